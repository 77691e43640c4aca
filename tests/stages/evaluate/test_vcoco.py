import gzip
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st

from schemas import UserError
from stages.evaluate.benchmark import BenchmarkScore, with_choices
from stages.evaluate.vcoco import (
    CORRECTED,
    OFFICIAL,
    PRESETS,
    Action,
    VCocoConventions,
    VCocoEvaluator,
    VCocoImageTruth,
    VCocoPrediction,
)
from stages.evaluate.vcoco_predictions import read_vcoco_predictions
from stages.evaluate.vcoco_truth import read_vcoco_truth

Image = tuple[VCocoImageTruth, VCocoPrediction]

ACTIONS = (Action("hit", ("instr", "obj")), Action("walk", ()), Action("point", ("instr",)))
HIT_INSTR, HIT_OBJ, POINT_INSTR = (0, 0), (0, 1), (2, 0)
MEASURES = {"AP role scenario 1": "scenario_1", "AP role scenario 2": "scenario_2", "AP agent": "agent"}
BOTH = pytest.mark.parametrize("conventions", PRESETS.values(), ids=PRESETS)

LEFT, RIGHT, FAR = [0, 0, 19, 19], [50, 0, 69, 19], [200, 200, 219, 219]
BALL, BAT = [20, 20, 29, 29], [30, 30, 39, 39]
ZEROS, NOTHING = [0, 0, 0, 0], [np.nan] * 4


def truth(*people: tuple[list[int], dict[str, int] | None, dict[tuple[int, int], list[int]]]) -> VCocoImageTruth:
    """Of (box, actions that are done or None if nobody said, boxes by action and role)."""
    labels = np.zeros((len(people), 3), dtype=np.int64)
    roles = np.full((len(people), 3, 2, 4), np.nan)
    for person, (_, done, boxes) in enumerate(people):
        labels[person] = -1 if done is None else [done.get(action.name, 0) for action in ACTIONS]
        for (action, role), box in boxes.items():
            roles[person, action, role] = box
    return VCocoImageTruth(np.array([box for box, _, _ in people], dtype=np.float64).reshape(-1, 4), labels, roles)


def predicted(*people: tuple[list[int], float, dict[tuple[int, int], Sequence[float]]]) -> VCocoPrediction:
    """Of (box, score of every action and role, boxes by action and role, zeros where not given)."""
    roles = np.zeros((len(people), 3, 2, 5))
    roles[..., 4] = np.array([score for _, score, _ in people]).reshape(-1, 1, 1)
    for person, (_, _, boxes) in enumerate(people):
        for (action, role), box in boxes.items():
            roles[person, action, role, :4] = box
    return VCocoPrediction(
        np.array([box for box, _, _ in people], dtype=np.float64).reshape(-1, 4), roles[:, :, 0, 4].copy(), roles
    )


def scored(images: Sequence[Image], conventions: VCocoConventions = OFFICIAL) -> BenchmarkScore:
    evaluator = VCocoEvaluator(ACTIONS, conventions)
    for one_truth, prediction in images:
        evaluator.add(one_truth, prediction)
    return evaluator.score()


def ap(score: BenchmarkScore, name: str, measure: str) -> float | None:
    (value,) = [row.value for row in score.classes if (row.name, row.measure) == (name, measure)]
    return value


def choose(prediction: VCocoPrediction, rows: Sequence[int]) -> VCocoPrediction:
    return VCocoPrediction(prediction.people[rows], prediction.agent_scores[rows], prediction.roles[rows])


@st.composite
def images(draw: st.DrawFn) -> list[Image]:
    """Up to three images whose predictions are often right; scores are eighths and often equal."""
    return [draw(one_image()) for _ in range(draw(st.integers(1, 3)))]


@st.composite
def one_image(draw: st.DrawFn) -> Image:
    shifts = draw(numpy_st.arrays(np.int64, (5, 4), elements=st.integers(0, 5)))
    pool = np.zeros((7, 4))
    pool[:5, 0], pool[:5, 1] = 8 * np.arange(5) + shifts[:, 0], shifts[:, 1]  # no two boxes are the same
    pool[:5, 2:] = pool[:5, :2] + 6 + shifts[:, 2:]
    pool[5] = np.nan
    num_true, num_predicted = draw(st.integers(0, 3)), draw(st.integers(0, 4))
    labels = draw(numpy_st.arrays(np.int64, (num_true, 3), elements=st.integers(0, 1)))
    labels[draw(numpy_st.arrays(np.bool_, num_true))] = -1
    true_roles = draw(numpy_st.arrays(np.int64, (num_true, 3, 2), elements=st.integers(0, 5)))
    people = draw(numpy_st.arrays(np.int64, num_predicted, elements=st.integers(0, 4)))
    roles = draw(numpy_st.arrays(np.int64, (num_predicted, 3, 2), elements=st.integers(0, 6)))
    scores = draw(numpy_st.arrays(np.int64, (num_predicted, 3, 3), elements=st.integers(0, 8))) / 8
    return (
        VCocoImageTruth(pool[:num_true], labels, pool[true_roles]),
        VCocoPrediction(pool[people], scores[..., 2], np.concatenate((pool[roles], scores[..., :2, None]), axis=-1)),
    )


@pytest.fixture(scope="module")
def golden(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with the parts of the golden as files, and what the official evaluator prints for them."""
    path = test_data / "evaluation" / "vcoco_golden.json.gz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    parts = json.loads(gzip.decompress(path.read_bytes()))
    folder = tmp_path_factory.mktemp("vcoco")
    for name in ("vcoco", "instances", "detections"):
        (folder / f"{name}.json").write_text(json.dumps(parts[name]))
    (folder / "vcoco.ids").write_text("\n".join(map(str, parts["ids"])))
    (folder / "detections.pkl").write_bytes(pickle.dumps([as_published(one) for one in parts["detections"]], 2))
    return folder, parts["expected"]


def as_published(detection: dict[str, Any]) -> dict[str, Any]:
    """With arrays and NumPy scalars, as in the pickles of published models."""
    lists = {key: np.array(value, dtype=np.float64) for key, value in detection.items() if isinstance(value, list)}
    numbers = {key: np.float64(value) for key, value in detection.items() if isinstance(value, float)}
    return detection | lists | numbers


@pytest.mark.parametrize("file", ["detections.json", "detections.pkl"])
def test_every_digit_that_the_official_evaluator_prints(golden: tuple[Path, dict[str, Any]], file: str) -> None:
    folder, expected = golden
    split = read_vcoco_truth(str(folder / "vcoco.json"), str(folder / "instances.json"), str(folder / "vcoco.ids"))
    evaluator = VCocoEvaluator(split.actions)
    predictions = dict(read_vcoco_predictions(str(folder / file), split))
    for image, people in split.images.items():
        evaluator.add(people, predictions.pop(image, VCocoPrediction.nobody(split.actions)))
    assert not predictions
    score = evaluator.score()

    for measure, key in MEASURES.items():
        rows = {row.name.replace(" ", "-"): row for row in score.classes if row.measure == measure}
        assert rows.keys() == expected[key]["per"].keys()
        for name, row in rows.items():
            assert row.num_truths == expected[key]["per"][name]["npos"], (measure, name)
            assert 100 * row.value == pytest.approx(expected[key]["per"][name]["ap"], abs=0.005 + 1e-6), (measure, name)
        assert 100 * score.figures[measure] == pytest.approx(expected[key]["mean"], abs=0.005 + 1e-6), measure


def test_scenario_1_wants_no_box_where_nothing_plays_the_role_and_scenario_2_takes_any() -> None:
    person = truth((LEFT, {"hit": 1}, {HIT_OBJ: BALL}))
    silent = scored([(person, predicted((LEFT, 0.5, {HIT_OBJ: BALL})))])
    assert ap(silent, "hit instr", "AP role scenario 1") == 1.0
    unknown = scored([(person, predicted((LEFT, 0.5, {HIT_OBJ: BALL, HIT_INSTR: NOTHING})))])
    assert ap(unknown, "hit instr", "AP role scenario 1") == 1.0
    talkative = scored([(person, predicted((LEFT, 0.5, {HIT_OBJ: BALL, HIT_INSTR: BAT})))])
    assert ap(talkative, "hit instr", "AP role scenario 1") == 0.0
    assert ap(talkative, "hit instr", "AP role scenario 2") == 1.0
    for score in (silent, talkative):
        assert ap(score, "hit obj", "AP role scenario 1") == ap(score, "hit obj", "AP role scenario 2") == 1.0


def test_people_without_the_role_are_positives_for_it_unless_left_out() -> None:
    with_bat = (LEFT, {"hit": 1}, {HIT_INSTR: BAT})
    without = (RIGHT, {"hit": 1}, {HIT_OBJ: BALL})
    images = [(truth(with_bat, without), predicted((LEFT, 0.5, {HIT_INSTR: BAT}), (RIGHT, 0.9, {HIT_INSTR: BAT})))]
    official = scored(images)
    assert [row.num_truths for row in official.classes if row.name == "hit instr"] == [2, 2]
    assert ap(official, "hit instr", "AP role scenario 1") == 0.25  # the second of two is right, one of two is found
    left_out = scored(images, VCocoConventions(people_without_role="leave_out"))
    assert [row.num_truths for row in left_out.classes if row.name == "hit instr"] == [1, 1]
    assert ap(left_out, "hit instr", "AP role scenario 1") == ap(left_out, "hit instr", "AP role scenario 2") == 1.0
    assert ap(left_out, "hit", "AP agent") == 1.0


def test_a_role_of_another_box_is_wrong_in_both_scenarios() -> None:
    score = scored([(truth((LEFT, {"hit": 1}, {HIT_OBJ: BALL})), predicted((LEFT, 0.5, {HIT_OBJ: BAT})))])
    assert ap(score, "hit obj", "AP role scenario 1") == ap(score, "hit obj", "AP role scenario 2") == 0.0
    assert ap(score, "hit", "AP agent") == 1.0


def test_the_means_leave_out_what_nobody_does_and_without_point_its_role() -> None:
    person = truth((LEFT, {"hit": 1, "point": 1}, {HIT_OBJ: BALL, POINT_INSTR: BAT}))
    score = scored([(person, predicted((LEFT, 0.5, {HIT_OBJ: BALL, POINT_INSTR: BALL})))])
    assert score.figures == {
        "AP role scenario 1": 2 / 3,
        "AP role scenario 2": 2 / 3,
        "AP role scenario 1 without point": 1.0,
        "AP role scenario 2 without point": 1.0,
        "AP agent": 1.0,
    }
    assert list(score.figures)[:2] == ["AP role scenario 1", "AP role scenario 2"]
    assert ap(score, "walk", "AP agent") is None


def test_without_a_prediction_what_is_done_has_ap_0_and_what_is_not_has_none() -> None:
    score = scored([(truth((LEFT, {"walk": 1}, {})), VCocoPrediction.nobody(ACTIONS))])
    assert (ap(score, "walk", "AP agent"), ap(score, "hit", "AP agent")) == (0.0, None)
    assert score.figures["AP role scenario 1"] is None
    assert scored([]).figures["AP agent"] is None


def test_the_roles_are_ranked_by_their_own_score() -> None:
    people = truth((LEFT, {"hit": 1}, {HIT_OBJ: BALL}))
    prediction = predicted((LEFT, 0.5, {HIT_OBJ: BALL}), (RIGHT, 0.5, {}))
    prediction.agent_scores[:] = [[0.1], [0.9]]
    prediction.roles[..., 4] = [[[0.9]], [[0.1]]]
    score = scored([(people, prediction)])
    assert (ap(score, "hit", "AP agent"), ap(score, "hit obj", "AP role scenario 1")) == (0.5, 1.0)


def test_a_score_that_is_not_a_number_is_no_prediction() -> None:
    prediction = predicted((LEFT, 0.5, {}), (LEFT, np.nan, {}))
    score = scored([(truth((LEFT, {"hit": 1}, {})), prediction)])
    assert {row.num_predictions for row in score.classes} == {1}
    assert ap(score, "hit", "AP agent") == 1.0


def test_equal_scores_are_one_step_or_stand_in_the_order_of_the_file() -> None:
    people = truth((LEFT, {"walk": 1}, {}))
    right_first, wrong_first = predicted((LEFT, 0.5, {}), (FAR, 0.5, {})), predicted((FAR, 0.5, {}), (LEFT, 0.5, {}))
    in_file_order = VCocoConventions(ties="file_order")
    together = [ap(scored([(people, one)]), "walk", "AP agent") for one in (right_first, wrong_first)]
    in_order = [ap(scored([(people, one)], in_file_order), "walk", "AP agent") for one in (right_first, wrong_first)]
    assert (together, in_order) == ([0.5, 0.5], [1.0, 0.5])


def test_corrected_a_false_positive_is_forgiven_only_on_an_unannotated_person() -> None:
    people = truth((LEFT, None, {}), (RIGHT, {"walk": 1}, {}))
    for box, official, corrected in ((FAR, 1.0, 0.5), ([10, 0, 40, 19], 1.0, 0.5), (LEFT, 1.0, 1.0)):
        image = (people, predicted((RIGHT, 0.5, {}), (box, 0.9, {})))
        assert ap(scored([image]), "walk", "AP agent") == official
        assert ap(scored([image], CORRECTED), "walk", "AP agent") == corrected


def test_corrected_false_positives_count_on_images_without_people() -> None:
    split = [
        (truth((LEFT, {"walk": 1}, {})), predicted((LEFT, 0.5, {}))),
        (truth(), predicted((FAR, 0.9, {}))),
    ]
    assert ap(scored(split), "walk", "AP agent") == 1.0
    assert ap(scored(split, CORRECTED), "walk", "AP agent") == 0.5


def test_corrected_no_role_box_finds_no_box_in_the_corner() -> None:
    people = truth((LEFT, {"hit": 1}, {}))
    people.role_boxes[0, 0, 1] = [0, 0, 0.25, 0.25]
    image = (people, predicted((LEFT, 0.5, {HIT_OBJ: ZEROS})))
    assert ap(scored([image]), "hit obj", "AP role scenario 2") == 1.0
    assert ap(scored([image], CORRECTED), "hit obj", "AP role scenario 2") == 0.0


def test_corrected_scores_that_differ_in_float64_are_not_equal() -> None:
    image = (truth((LEFT, {"walk": 1}, {})), predicted((LEFT, 0.5 + 1e-12, {}), (FAR, 0.5, {})))
    assert ap(scored([image]), "walk", "AP agent") == 0.5
    assert ap(scored([image], CORRECTED), "walk", "AP agent") == 1.0


def test_conventions_are_chosen_by_name() -> None:
    chosen = with_choices(OFFICIAL, {"iou_threshold": "0.6", "unannotated_people": "found"}, benchmark="vcoco")
    assert chosen == VCocoConventions(iou_threshold=0.6, unannotated_people="found")
    assert next(iter(PRESETS)) == "official"
    with pytest.raises(UserError, match="nearest or found"):
        with_choices(OFFICIAL, {"unannotated_people": "none"}, benchmark="vcoco")


@BOTH
@settings(max_examples=25)
@given(split=images())
def test_the_truth_predicted_scores_1(split: list[Image], conventions: VCocoConventions) -> None:
    perfect = []
    for one, _ in split:
        scores = (one.labels == 1).astype(np.float64)
        by_role = np.repeat(scores[:, :, None], 2, axis=2)
        roles = np.concatenate((one.role_boxes, by_role[..., None]), axis=-1)
        perfect.append((one, VCocoPrediction(one.people, scores, roles)))
    score = scored(perfect, conventions)
    assert {row.value for row in score.classes} <= {1.0, None}
    assert all((row.value is None) == (row.num_truths == 0) for row in score.classes)


@BOTH
@settings(max_examples=25)
@given(split=images(), data=st.data())
def test_the_order_of_images_and_of_people_changes_nothing(
    split: list[Image], data: st.DataObject, conventions: VCocoConventions
) -> None:
    shuffled = []
    for one, prediction in data.draw(st.permutations(split)):
        shuffled.append((one, choose(prediction, data.draw(st.permutations(range(len(prediction.people)))))))
    assert scored(shuffled, conventions) == scored(split, conventions)


@BOTH
@settings(max_examples=25)
@given(split=images(), eighths=st.integers(0, 8), role=st.sampled_from([FAR, ZEROS, NOTHING]))
def test_a_false_positive_more_never_raises_ap(
    split: list[Image], eighths: int, role: list[float], conventions: VCocoConventions
) -> None:
    one, prediction = split[0]
    more = predicted((FAR, eighths / 8, {HIT_INSTR: role, HIT_OBJ: role, POINT_INSTR: role}))
    both = VCocoPrediction(
        np.concatenate((prediction.people, more.people)),
        np.concatenate((prediction.agent_scores, more.agent_scores)),
        np.concatenate((prediction.roles, more.roles)),
    )
    assert not raised(scored([(one, both), *split[1:]], conventions), scored(split, conventions))


@BOTH
@settings(max_examples=25)
@given(split=images())
def test_predictions_made_twice_find_nothing_more(split: list[Image], conventions: VCocoConventions) -> None:
    twice = [(one, choose(prediction, [*range(len(prediction.people))] * 2)) for one, prediction in split]
    after, before = scored(twice, conventions), scored(split, conventions)
    assert not raised(after, before)
    assert [row.max_recall for row in after.classes] == [row.max_recall for row in before.classes]


@BOTH
@settings(max_examples=25)
@given(split=images())
def test_only_the_order_of_the_scores_matters(split: list[Image], conventions: VCocoConventions) -> None:
    rescaled = []
    for one, prediction in split:
        roles = prediction.roles.copy()
        roles[..., 4] = roles[..., 4] ** 3 * 100 - 7
        rescaled.append((one, VCocoPrediction(prediction.people, prediction.agent_scores**3 * 100 - 7, roles)))
    assert scored(rescaled, conventions) == scored(split, conventions)


def raised(after: BenchmarkScore, before: BenchmarkScore) -> list[str]:
    """The classes with a higher value than before."""
    pairs = zip(after.classes, before.classes, strict=True)
    return [new.name for new, old in pairs if new.value is not None and new.value > old.value + 1e-12]
