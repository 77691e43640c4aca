"""What people said since, in a stream: the same for all processes and in every epoch, and part of its state."""

from pathlib import Path

import pytest
from made_outputs import Output, stream_of

from schemas import BadInputError, UserError
from schemas.layer import Layer, SceneStatements, Statement
from stages.pack import CommitLog, Layers, LogDigest, append_layer, read_index
from stages.stream import SourceConfig, StreamBatch, StreamLoader


@pytest.fixture
def output(tmp_path: Path) -> Output:
    made = Output(tmp_path / "out")
    made.add(3)
    made.add(3)
    return made


def say(output: Output, key: str, state: str) -> None:
    """Write a layer: people say that in this scene the person rides the horse, or does not."""
    layers, log = Layers.of(output.folder), LogDigest()
    crc32s = {}
    for entry in CommitLog(output.folder).entries():
        log.add(entry)
        crc32s |= {row["key"]: row["json_crc32"] for row in read_index(output.folder, entry)}
    said = SceneStatements(crc32s[key], (Statement(0, 5, "ride", "ride", state, ("ann",)),))
    assert append_layer(
        output.folder,
        Layer(layers.number, layers.last_sha256, log.length, str(log.of(log.length)), "a", ("ann",), {key: said}),
    )


def said_of(batch: StreamBatch) -> list[tuple[str, list[str]]]:
    """Key and what people say, of each sample."""
    return [
        (sample.key, [one.state for one in sample.scene().relations if one.source == "human"]) for sample in batch.own
    ]


def loader_of(stream, **options) -> StreamLoader:
    return StreamLoader(stream, batch_size=3, make=said_of, **options)


def test_samples_have_what_people_say_and_keep_their_order(output: Output):
    output.seal()
    before = [key for batch in loader_of(stream_of(str(output.path), epochs=2)) for key, _ in batch]
    say(output, "s-00002", "denied")
    found = [one for batch in loader_of(stream_of(str(output.path), epochs=2)) for one in batch]
    assert [key for key, _ in found] == before
    assert [said for key, said in found if key == "s-00002"] == [["denied"]] * 2
    assert all(not said for key, said in found if key != "s-00002")
    none = [one for batch in loader_of(stream_of(str(output.path), epochs=2, layers=0)) for one in batch]
    assert all(not said for _, said in none)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_is_said_while_it_is_read_is_not_for_this_stream(output: Output, num_workers: int):
    output.seal()
    say(output, "s-00002", "denied")
    stream = stream_of(str(output.path), epochs=1).open()
    say(output, "s-00002", "asserted")
    for _ in range(2):  # workers of the second round are new processes
        found = dict(one for batch in loader_of(stream, num_workers=num_workers) for one in batch)
        assert found["s-00002"] == ["denied"]
        stream.close()
    again = dict(one for batch in loader_of(stream_of(str(output.path), epochs=1)) for one in batch)
    assert again["s-00002"] == ["asserted"]


def test_layers_are_settled_before_workers_open_the_output(output: Output):
    output.seal()
    say(output, "s-00002", "denied")
    stream = stream_of(str(output.path), epochs=1)
    stream.settle_layers()
    say(output, "s-00002", "asserted")
    assert stream.config.sources[0].layers == 1
    assert dict(one for batch in loader_of(stream) for one in batch)["s-00002"] == ["denied"]
    not_begun = stream_of(str(output.path / "later"), follow=True)
    not_begun.settle_layers()
    assert not_begun.config.sources[0].layers == 0


def test_a_followed_output_may_have_layers_and_grow_on(output: Output):
    say(output, "s-00001", "asserted")
    stream = stream_of(str(output.path), epochs=1, follow=True, window_shards=1).open()
    output.add(3)
    output.seal()
    found = dict(one for batch in loader_of(stream) for one in batch)
    assert len(found) == 9
    assert {key for key, said in found.items() if said} == {"s-00001"}


def test_a_state_goes_on_only_with_the_layers_that_were_read(output: Output):
    output.seal()
    old = loader_of(stream_of(str(output.path)))
    next(iter(old))
    state = old.state_dict()
    assert "layers" not in state["sources"][0], "states of outputs without layers are as they always were"
    say(output, "s-00002", "denied")
    with pytest.raises(BadInputError, match=r"0 of its layers were read before, now 1.*\(layers=0\)"):
        loader_of(stream_of(str(output.path))).load_state_dict(state)
    loader_of(stream_of(str(output.path), layers=0)).load_state_dict(state)

    loader = loader_of(stream_of(str(output.path)))
    next(iter(loader))
    state = loader.state_dict()
    say(output, "s-00003", "denied")
    loader_of(stream_of(str(output.path), layers=1)).load_state_dict(state)
    with pytest.raises(BadInputError, match="1 of its layers were read before, now 2"):
        loader_of(stream_of(str(output.path))).load_state_dict(state)
    for path in (output.path / "layers").iterdir():
        path.unlink()
    say(output, "s-00004", "denied")
    with pytest.raises(BadInputError, match="its first 1 layers are not those that were read before"):
        loader_of(stream_of(str(output.path), layers=1)).load_state_dict(state)


def test_a_number_of_layers_that_is_none():
    with pytest.raises(UserError, match="layers is -1"):
        SourceConfig(output="out", layers=-1)
