"""Which sample comes when: once an epoch, whoever reads, wherever one stops."""

import json
import threading
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_outputs import Output, finished, read_all, scene, stream_of

from schemas import BadInputError, UserError
from stages.stream import SceneStream, SourceConfig, StreamConfig, StreamLoader
from stages.stream.mixture import Mixture
from stages.stream.order import permutation

SIZES = (5, 1, 7, 0, 4, 6, 3, 9, 2)


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> str:
    return finished(tmp_path_factory.mktemp("stream") / "out", SIZES)


def keys(stream: SceneStream, num: int) -> list[str]:
    return [sample.key for sample in stream.read(range(num))]


@given(size=st.integers(0, 300), key=st.lists(st.integers(-5, 2**70), max_size=4))
def test_an_order_has_every_number_once(size, key):
    assert sorted(permutation(size, *key).tolist()) == list(range(size))


def test_the_order_is_this_one_for_good():
    """It changes only together with the schema of the stream's state: a training that goes on relies on it."""
    assert permutation(10, 7, 3).tolist() == [4, 8, 6, 9, 1, 0, 5, 3, 7, 2]


def test_all_orders_of_three_come_equally_often():
    counts = Counter(tuple(permutation(3, 11, epoch).tolist()) for epoch in range(6000))
    assert len(counts) == 6
    assert all(850 < count < 1150 for count in counts.values())


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 6), min_size=1, max_size=9).filter(any),
    seed=st.integers(0, 2**63),
    window=st.integers(1, 10),
    follow=st.booleans(),
    epochs=st.integers(1, 3),
    batch=st.integers(1, 9),
)
def test_every_scene_comes_once_an_epoch(tmp_path_factory, sizes, seed, window, follow, epochs, batch):
    path = finished(tmp_path_factory.mktemp("once") / "out", sizes)
    stream = stream_of(path, seed=seed, epochs=epochs, follow=follow, window_shards=window)
    found = read_all(stream, batch_size=batch)
    total = sum(sizes)
    assert len(found) == epochs * total
    for epoch in range(epochs):
        assert sorted(found[epoch * total : (epoch + 1) * total]) == [f"s-{i:05d}" for i in range(total)]


def test_epochs_and_seeds_have_orders_of_their_own(output):
    total = sum(SIZES)
    first, second = (
        keys(stream_of(output, epochs=2), 2 * total)[:total],
        keys(stream_of(output, epochs=2), 2 * total)[total:],
    )
    assert first != second
    assert first != keys(stream_of(output, seed=1), total)
    assert first == keys(stream_of(output), total)


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # this machine may have fewer cores
@pytest.mark.parametrize("num_workers", [0, 1, 4])
@pytest.mark.parametrize("num_ranks", [1, 2, 3, 8])
@pytest.mark.parametrize("follow", [False, True])
def test_ranks_and_workers_do_not_change_the_order(output, num_ranks, num_workers, follow):
    stream = stream_of(output, seed=5, epochs=2, window_shards=3, follow=follow)
    assert read_all(stream, batch_size=8, num_ranks=num_ranks, num_workers=num_workers) == keys(stream, 100)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stops=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
    follow=st.booleans(),
)
def test_one_may_stop_anywhere_and_go_on_in_another_layout(output, stops, seed, follow):
    """Each stop: batch size, number of ranks, batches until the next stop."""

    def opened():
        return stream_of(output, seed=seed, epochs=2, window_shards=4, follow=follow)

    found, state = [], None
    for batch_size, most_ranks, num_batches in stops:
        num_ranks, states = min(most_ranks, batch_size), []
        found += read_all(
            opened(), batch_size=batch_size, num_ranks=num_ranks, stop=num_batches, state=state, states=states
        )
        assert all(each == states[0] for each in states), "every rank has the same state"
        state = json.loads(json.dumps(states[0]))
        assert len(json.dumps(state)) < 1000
    found += read_all(opened(), batch_size=5, state=state)
    assert found == keys(opened(), 100)


def test_what_workers_read_ahead_is_not_counted(output):
    loader = StreamLoader(stream_of(output), batch_size=4, make=lambda batch: batch.start, num_workers=2, prefetch=4)
    for start in loader:
        assert loader.state_dict()["position"] == start + 4
        if start > 40:
            break


@given(weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=5).filter(lambda w: min(w) / sum(w) > 1e-3))
def test_each_source_gives_its_share_everywhere(weights):
    mixture = Mixture(weights)
    sources, numbers = mixture.sources(np.arange(25_000))
    for source, weight in enumerate(weights):
        own = numbers[sources == source]
        assert own.tolist() == list(range(len(own))), "none left out, none twice"
        share = weight / sum(weights)
        cumulative = np.cumsum(sources == source)
        expected = share * np.arange(1, 25_001)
        assert np.abs(cumulative - expected).max() < 1.5 + 1e-4 * 25_000
    for position in (0, 1, 9_999, 10_000, 12_345):
        assert mixture.given(position) == [int((sources[:position] == s).sum()) for s in range(len(weights))]


def test_a_mixture_is_within_a_percent_of_its_weights(tmp_path):
    human = finished(tmp_path / "human", [40], prefix="h")
    pseudo = finished(tmp_path / "pseudo", [30, 30], prefix="p")
    sources = (SourceConfig(output=human, weight=0.2), SourceConfig(output=pseudo, weight=0.8))
    stream = SceneStream(StreamConfig(sources=sources))
    found = [key[0] for key in keys(stream, 1000)]
    assert abs(found.count("h") - 200) <= 2
    for start in range(0, 1000, 50):
        assert abs(found[start : start + 50].count("h") - 10) <= 1, "every batch has its share"
    assert len(set(keys(stream, 75))) == 75, "no scene twice before its source is through"


@pytest.mark.parametrize("weights", [[1, 0], [1, -1], [1, float("nan")], [1, 1e-9]])
def test_a_weight_that_is_none_is_refused(weights):
    with pytest.raises(UserError, match="weight"):
        Mixture(weights)


def test_two_sources_that_are_one_output_have_two_orders(output):
    stream = stream_of(output, output)
    found = keys(stream, 2 * sum(SIZES))
    assert found[::2] != found[1::2]
    assert sorted(found[::2]) == sorted(found[1::2])


@pytest.mark.parametrize("balance", [None, 0.2])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_live_is_replay(tmp_path, num_workers, balance):
    """Read while it is written: the order is that of a later run over the finished log."""
    output = Output(tmp_path / "out")

    def write() -> None:
        for number, size in enumerate(SIZES):
            output.add(size, predicates=["ride", "feed"] if number == 2 else ["ride"])
            time.sleep(0.05)
        output.seal()

    def stream() -> SceneStream:
        return stream_of(str(output.path), epochs=2, follow=True, timeout_s=20, window_shards=2, balance=balance)

    writer = threading.Thread(target=write)
    writer.start()
    live = read_all(stream(), batch_size=3, num_workers=num_workers)
    writer.join()
    assert live == read_all(stream(), batch_size=4)
    assert len(live) == 2 * sum(SIZES)
    first_window = {f"s-{i:05d}" for i in range(SIZES[0] + SIZES[1])}
    assert set(live[: len(first_window)]) <= first_window, "what was committed first comes first"


def test_a_batch_is_given_out_before_the_next_window_is_committed(tmp_path):
    output = Output(tmp_path / "out")
    output.add(6)
    loader = StreamLoader(
        stream_of(str(output.path), follow=True, timeout_s=20, window_shards=1),
        batch_size=3, make=lambda batch: batch.start, num_workers=1,
    )  # fmt: skip
    batches = iter(loader)
    assert [next(batches), next(batches)] == [0, 3]
    assert loader.state_dict()["sources"][0]["log_length"] == 1
    output.add(3)
    assert next(batches) == 6
    batches.close()


def test_waiting_ends_with_a_message(tmp_path):
    output = Output(tmp_path / "out")
    output.add(4)
    stream = stream_of(str(output.path), follow=True, timeout_s=0.3, window_shards=1)
    loader = StreamLoader(stream, batch_size=4, make=lambda batch: batch.start, num_workers=1)
    with pytest.raises(UserError, match=r"no commit for 0\.3 s after 1 entries"):
        list(loader)
    assert loader.position == 4


def test_rare_predicates_come_more_often_and_epochs_keep_their_length(tmp_path):
    output = Output(tmp_path / "out")
    for start in range(0, 400, 100):
        output.commit([scene(i, predicates=["feed"] if i % 100 == 7 else ["ride"]) for i in range(start, start + 100)])
    output.seal()
    stream = stream_of(str(output.path), balance=0.16, epochs=5)
    found = read_all(stream, batch_size=50)
    assert len(found) == 2000
    rare = sum(int(key[2:]) % 100 == 7 for key in found)
    # In a part of 0.01 of the scenes: sqrt(0.16 / 0.01) = 4 times as often as the others.
    share = 4 * 4 / (4 * 4 + 396)
    assert abs(rare / 2000 - share) < 0.002
    counts = Counter(found[:400])
    assert max(counts.values()) <= 4
    assert len(set(found)) == 400, "what one epoch leaves out another one has"


def test_a_state_of_another_order_is_refused(output, tmp_path):
    loader = StreamLoader(stream_of(output, epochs=1), batch_size=4, make=keys_of_nothing)
    next(iter(loader))
    state = loader.state_dict()
    other = finished(tmp_path / "other", (9, 9))
    for stream, what in [
        (stream_of(output, seed=1), "seed"),
        (stream_of(output, window_shards=2), "window_shards"),
        (stream_of(output, output), "number of sources"),
        (stream_of(other), "its log is not the one"),
    ]:
        with pytest.raises(BadInputError, match=what):
            StreamLoader(stream, batch_size=4, make=keys_of_nothing).load_state_dict(state)
    with pytest.raises(BadInputError, match="state"):
        loader.load_state_dict({**state, "schema": "relmill.stream-state/9"})


def keys_of_nothing(batch):
    return batch.start


def test_a_followed_output_may_have_grown_since_the_state_was_saved(tmp_path):
    output = Output(tmp_path / "out")
    output.add(5)
    output.add(5)
    loader = StreamLoader(stream_of(str(output.path), follow=True, window_shards=1), batch_size=5, make=keys_of_nothing)
    next(iter(loader))
    state = loader.state_dict()
    output.add(5)
    output.seal()
    loader.load_state_dict(state)
    assert next(iter(loader)) == 5


@pytest.mark.parametrize(
    "options",
    [{"window_shards": 0}, {"timeout_s": 0}, {"balance": 0}, {"balance": 1.5}, {"epochs": 0}],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(options):
    with pytest.raises(UserError, match=next(iter(options))):
        stream_of("out", **options)


def test_epochs_of_several_sources_are_refused(output):
    with pytest.raises(UserError, match="epochs"):
        stream_of(output, output, epochs=1)
