"""The prior as a probability model and as a file."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import BadInputError, Box, Image, Region, Relation, Scene
from stages.tag import Prior, PriorCounts, load_prior
from stages.tag.geometry import BINS, NUM_FEATURES, geometry_bins

PERSON, HORSE, FAR = (100.0, 50.0, 160.0, 200.0), (60.0, 120.0, 220.0, 300.0), (500.0, 120.0, 660.0, 300.0)
BOXES = st.tuples(*[st.floats(0, 500, width=32)] * 2, *[st.floats(0, 300, width=32)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


def scene(number: int, *boxes: tuple[str, Box], relations: tuple[tuple[int, str, int], ...]) -> Scene:
    regions = tuple(Region(i, name, box) for i, (name, box) in enumerate(boxes))
    human = tuple(Relation(s, o, p, p, 1.0, "human") for s, p, o in relations)
    return Scene(key=f"t-{number}", image=Image(f"{number}.jpg"), regions=regions, relations=human)


def riding(number: int) -> Scene:
    boxes = (("person", PERSON), ("horse", HORSE), ("horse", FAR))
    return scene(number, *boxes, relations=((0, "ride", 1), (0, "sit on", 1)))


def fitted(*scenes: Scene) -> Prior:
    counts = PriorCounts()
    counts.add_all(scenes)
    return Prior.of(counts)


def bins(subject: Box, object_: Box) -> np.ndarray:
    return geometry_bins(np.array([subject]), np.array([object_]), largest_area=30_000)


RIDERS = fitted(
    *(riding(i) for i in range(40)), scene(99, ("dog", PERSON), ("bench", HORSE), relations=((0, "on", 1),))
)


@settings(max_examples=60)
@given(
    BOXES, BOXES, st.sampled_from(["person", "horse", "woman", "spoon"]), st.sampled_from(["person", "horse", "fork"])
)
def test_probabilities_of_all_predicates_and_none_sum_to_one(s_box: Box, o_box: Box, s: str, o: str) -> None:
    posterior = RIDERS.probabilities(s, o, bins(s_box, o_box))
    assert posterior.shape == (1, len(RIDERS.predicates) + 1)
    assert (posterior > 0).all()
    assert posterior.sum() == pytest.approx(1)


def test_class_part_sums_to_one_over_predicates_and_none() -> None:
    for s, o in [("person", "horse"), ("person", "spoon"), ("cup", "spoon")]:
        related = sum(np.exp(RIDERS.log_prior(s, p, o)) for p in RIDERS.predicates)
        assert related == pytest.approx(np.exp(RIDERS.log_prior(s, "never seen", o)))
        assert 0 < related < 1


def test_geometry_bins_are_all_possible_under_every_event() -> None:
    for predicate in ["ride", "sit on", "never seen"]:
        for feature, number in enumerate(BINS):
            rows = np.zeros((number, NUM_FEATURES), dtype=np.int64)
            rows[:, feature] = np.arange(number)
            assert np.isfinite(RIDERS.log_likelihood_ratio("person", predicate, "horse", rows)).all()


def test_related_geometry_beats_the_background() -> None:
    near, far = (RIDERS.log_likelihood_ratio("person", "ride", "horse", bins(PERSON, box))[0] for box in (HORSE, FAR))
    assert near > 0 > far


def test_unseen_predicate_and_unseen_classes_back_off() -> None:
    for s, p, o in [("person", "sit upon", "horse"), ("person", "tickle", "horse"), ("cup", "ride", "spoon")]:
        near, far = (RIDERS.log_likelihood_ratio(s, p, o, bins(PERSON, box))[0] for box in (HORSE, FAR))
        assert near > far


def test_words_for_a_class_share_its_counts() -> None:
    assert RIDERS.log_prior("woman", "ride", "pony") == RIDERS.log_prior("person", "ride", "horse")


def test_likely_predicate_of_the_classes_is_likelier() -> None:
    assert RIDERS.log_prior("person", "ride", "horse") > RIDERS.log_prior("person", "on", "horse")


def test_order_of_the_scenes_changes_nothing() -> None:
    holders = [(("person", PERSON), ("cup", (10.0, 10.0, 20.0 + i, 30.0))) for i in range(10)]
    scenes = [riding(i) for i in range(10)]
    scenes += [scene(50 + i, *boxes, relations=((0, "hold", 1),)) for i, boxes in enumerate(holders)]
    mixed = random.Random(3).sample(scenes, len(scenes))
    assert fitted(*scenes).to_json() == fitted(*mixed).to_json()
    assert fitted(*scenes).to_json() != fitted(*scenes[1:]).to_json()


def test_order_of_regions_and_relations_changes_no_count() -> None:
    one = riding(1)
    other = replace(one, regions=one.regions[::-1], relations=one.relations[::-1])
    a, b = PriorCounts(), PriorCounts()
    a.add(one)
    b.add(other)
    assert {e: (c.number, c.bins.tolist()) for e, c in a.events.items()} == {
        e: (c.number, c.bins.tolist()) for e, c in b.events.items()
    }


def test_only_what_annotators_looked_at_counts_as_unrelated() -> None:
    counts = PriorCounts()
    counts.add(
        scene(1, ("person", PERSON), ("horse", HORSE), ("horse", FAR), ("cup", FAR), relations=((0, "ride", 1),))
    )
    unrelated = {(e.subject, e.object): c.number for e, c in counts.events.items() if not e.predicate}
    assert unrelated == {("person", "horse"): 1}


def test_a_box_drawn_twice_is_no_counterexample() -> None:
    again = (62.0, 121.0, 221.0, 299.0)
    counts = PriorCounts()
    counts.add(scene(1, ("person", PERSON), ("horse", HORSE), ("horse", again), relations=((0, "ride", 1),)))
    assert not any(event.predicate == "" for event in counts.events)


def test_a_denied_relation_counts_as_unrelated() -> None:
    one = scene(1, ("person", PERSON), ("horse", FAR), relations=((0, "interact with", 1),))
    denied = replace(one, relations=(replace(one.relations[0], state="denied"),))
    counts = PriorCounts()
    counts.add(denied)
    assert [(e.predicate, c.number) for e, c in counts.events.items()] == [("", 1)]


def test_file_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "prior.json"
    path.write_bytes(RIDERS.to_json())
    loaded = load_prior(str(path))
    assert loaded.to_json() == RIDERS.to_json()
    assert loaded.sha256 == RIDERS.sha256
    pair = bins(PERSON, HORSE)
    assert (loaded.probabilities("person", "horse", pair) == RIDERS.probabilities("person", "horse", pair)).all()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no json", "not a prior"),
        (b"[]", "not a prior"),
        (b'{"version": "relmill.prior/0"}', "fit it again"),
        (RIDERS.to_json().replace(b'"counts": [\n', b'"counts": [\n[9,9,9],'), "damaged"),
        (RIDERS.to_json()[:-200], "not a prior"),
    ],
)
def test_what_is_no_prior_is_refused_by_name(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=says) as caught:
        load_prior(str(path))
    assert "other.json" in str(caught.value)


def test_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"tag\.prior.*nowhere\.json"):
        load_prior(str(tmp_path / "nowhere.json"))


def test_builtin_prior_is_small_and_knows_its_data() -> None:
    prior = load_prior("builtin")
    assert len(prior.to_json()) < 1_000_000
    assert {"ride", "hold", "sit on", "wear", "next to"} <= set(prior.predicates)
    assert len(prior.data["fingerprint"]) == 64
    near, far = (prior.log_likelihood_ratio("person", "ride", "horse", bins(PERSON, box))[0] for box in (HORSE, FAR))
    assert near > 0 > far
