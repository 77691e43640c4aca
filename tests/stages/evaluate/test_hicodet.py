"""HICO-DET's average precision: the published evaluator's figures, its conventions one by one, and its laws."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hico_made import (
    BICYCLE,
    FEED,
    HOLD,
    HORSE,
    PERSON,
    RIDE,
    SPACE,
    Interaction,
    perfect,
    predictions,
    shuffled,
    together,
    truth_of,
    truths,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.evaluate_hicodet import PlainLoop, made_images
from stages.evaluate.detections import ImagePrediction, image_prediction, image_truth, nothing_predicted
from stages.evaluate.hicodet import CORRECTED, OFFICIAL, PRESETS, RLIPV2, HicoConventions, HicoEvaluator
from stages.evaluate.hicodet_classes import hico_classes

IMAGES = st.lists(st.tuples(truths(), predictions()), min_size=1, max_size=3)
SETTINGS = settings(max_examples=40)


def scored(images, conventions=OFFICIAL, split="full"):
    evaluator = HicoEvaluator(conventions, split=split)
    for truth, prediction in images:
        evaluator.add(truth, prediction)
    return evaluator.score()


def figures(images, conventions=OFFICIAL):
    return dict(scored(images, conventions).figures)


def average_precision(images, name, conventions=OFFICIAL):
    return next(row.value for row in scored(images, conventions).classes if row.name == name)


@pytest.fixture(scope="module")
def golden(test_data: Path):
    path = test_data / "evaluation" / "hico_golden.json.gz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    with gzip.open(path) as file:
        return json.load(file)


@pytest.fixture(scope="module")
def golden_images(golden):
    objects = [SPACE.objects.index(name.replace("_", " ")) for name in golden["objects"]]
    verbs = [SPACE.predicates.index(name) for name in golden["verbs"]]
    images = []
    for true, found in zip(golden["gts"], golden["preds"], strict=True):
        truth = image_truth(
            true["boxes"], [objects[i] for i in true["labels"]], [(s, o, verbs[v]) for s, o, v in true["hois"]]
        )
        relations = [
            ((subject, object_, verbs[int(verb)]), score)
            for subject, object_, row in zip(found["sub_ids"], found["obj_ids"], found["verb_scores"], strict=True)
            for verb, score in row.items()
        ]
        prediction = image_prediction(
            found["boxes"],
            [objects[i] for i in found["labels"]],
            [relation for relation, _ in relations],
            [score for _, score in relations],
        )
        images.append((truth, prediction))
    return images


@pytest.mark.parametrize("ties", ["together", "file_order"])
def test_the_published_evaluators_figures_are_reproduced(golden, golden_images, ties):
    found = figures(golden_images, HicoConventions(ties=ties))
    assert found == pytest.approx(golden["expected"], abs=1e-9)


def test_the_rare_interactions_are_the_published_ones(golden):
    rare = [number for number, group in enumerate(hico_classes().groups("full")) if group == "rare"]
    assert rare == sorted(golden["rare_hoi"])


def test_the_interactions_are_the_published_ones(golden):
    for number, object_, verb in golden["correspondence"]:
        assert hico_classes().interactions[number] == (
            SPACE.objects.index(golden["objects"][object_].replace("_", " ")),
            SPACE.predicates.index(golden["verbs"][verb]),
        )


def test_the_unseen_interactions_leave_every_object_and_verb_seen():
    """That is what unseen combinations means; unseen objects are whole objects."""
    classes = hico_classes()
    assert {split: len(numbers) for split, numbers in classes.unseen.items()} == {"uc_rf": 120, "uc_nf": 120, "uo": 100}
    for split in ("uc_rf", "uc_nf"):
        seen = [pair for number, pair in enumerate(classes.interactions) if number not in classes.unseen[split]]
        assert len({object_ for object_, _ in seen}) == 80
        assert len({verb for _, verb in seen}) == 117
    hidden = {classes.interactions[number][0] for number in classes.unseen["uo"]}
    assert len(hidden) == 12
    assert classes.unseen["uo"] == {n for n, (object_, _) in enumerate(classes.interactions) if object_ in hidden}


@pytest.mark.parametrize("split", ["uc_rf", "uc_nf", "uo"])
def test_a_split_reports_unseen_and_seen(golden_images, split):
    score = scored(golden_images, split=split)
    assert list(score.figures) == ["mAP", "mAP unseen", "mAP seen", "mean max recall"]
    for group in ("unseen", "seen"):
        values = [row.value for row in score.classes if row.group == group and row.value is not None]
        assert score.figures[f"mAP {group}"] == pytest.approx(sum(values) / len(values))
    assert score.figures["mAP"] == pytest.approx(figures(golden_images)["mAP"])


# One convention at a time, on images small enough to do by hand.

RIDER = truth_of([Interaction(0, BICYCLE, RIDE)])


def rider(score: float, *, place: int = 0, verb: int = RIDE, shift: float = 0.0) -> ImagePrediction:
    boxes = [[x1 + shift, y1, x2 + shift, y2] for x1, y1, x2, y2 in Interaction(place, BICYCLE, verb).boxes]
    return image_prediction(boxes, [PERSON, BICYCLE], [(0, 1, verb)], [score])


def test_overlap_counts_the_last_pixel():
    """41 pixels wide, moved by 13: 28 of 54 are shared. Without the last pixel it is 27 of 53, and the thing less."""
    truth = image_truth([[0, 0, 40, 40], [100, 0, 140, 40]], [PERSON, BICYCLE], [(0, 1, RIDE)])
    moved = image_prediction([[14, 0, 53, 40], [100, 0, 140, 40]], [PERSON, BICYCLE], [(0, 1, RIDE)], [0.9])
    # Inclusive: 27 wide of 54. Half-open: 26 of 53.
    assert average_precision([(truth, moved)], "ride bicycle") == pytest.approx(1)
    assert average_precision([(truth, moved)], "ride bicycle", HicoConventions(box_edges="half_open")) == 0


def test_both_boxes_must_be_found():
    truth = image_truth([[0, 0, 40, 40], [100, 0, 140, 40]], [PERSON, BICYCLE], [(0, 1, RIDE)])
    wrong_thing = image_prediction([[0, 0, 40, 40], [180, 0, 220, 40]], [PERSON, BICYCLE], [(0, 1, RIDE)], [0.9])
    assert average_precision([(truth, wrong_thing)], "ride bicycle") == 0


def test_only_the_best_hundred_of_an_image_count():
    many = together(rider(0.5), rider(0.9, place=3))
    assert average_precision([(RIDER, many)], "ride bicycle") == pytest.approx(0.5)
    assert average_precision([(RIDER, many)], "ride bicycle", HicoConventions(max_triplets=1)) == 0


def test_a_verb_with_score_zero_is_a_prediction_unless_said_otherwise():
    assert average_precision([(RIDER, rider(0.0))], "ride bicycle") == pytest.approx(1)
    assert average_precision([(RIDER, rider(0.0))], "ride bicycle", HicoConventions(zero_scores="drop")) == 0


def test_verbs_that_the_object_does_not_allow_take_no_place():
    eaten = image_prediction(RIDER.boxes, [PERSON, BICYCLE], [(0, 1, SPACE.predicates.index("eat"))], [0.99])
    images = [(RIDER, together(eaten, rider(0.5)))]
    assert average_precision(images, "ride bicycle", HicoConventions(max_triplets=1)) == pytest.approx(1)
    ranked = HicoConventions(max_triplets=1, impossible_verbs="rank")
    assert average_precision(images, "ride bicycle", ranked) == 0


def test_what_is_rare_may_be_chosen():
    rows = scored([(RIDER, rider(0.5))], HicoConventions(rare_below=10**6)).classes
    assert {row.group for row in rows} == {"rare"}


def test_false_positives_on_images_without_truth_are_ignored_officially_and_counted_when_mended():
    empty = image_truth([], [], [])
    images = [(RIDER, rider(0.5)), (empty, rider(0.9))]
    assert average_precision(images, "ride bicycle") == pytest.approx(1)
    assert average_precision(images, "ride bicycle", CORRECTED) == pytest.approx(0.5)


def test_a_relation_annotated_twice_can_be_found_once():
    twice = image_truth(RIDER.boxes, RIDER.labels, [(0, 1, RIDE), (0, 1, RIDE)])
    assert scored([(twice, rider(0.9))]).figures["mean max recall"] == 0.5
    assert scored([(twice, rider(0.9))], CORRECTED).figures["mean max recall"] == 1


def test_a_box_one_pixel_wide_is_not_found_officially():
    thin = image_truth([[5, 0, 5, 80], [42, 0, 90, 80]], [PERSON, BICYCLE], [(0, 1, RIDE)])
    assert average_precision([(thin, perfect(thin))], "ride bicycle") == 0
    assert average_precision([(thin, perfect(thin))], "ride bicycle", CORRECTED) == pytest.approx(1)


def test_known_object_looks_only_at_images_with_the_object():
    horse = truth_of([Interaction(0, HORSE, RIDE)])
    images = [(RIDER, rider(0.5)), (horse, rider(0.9))]
    assert average_precision(images, "ride bicycle") == pytest.approx(0.5)
    assert average_precision(images, "ride bicycle", HicoConventions(setting="known_object")) == pytest.approx(1)


def test_pair_suppression_removes_the_weaker_of_two_alike_of_one_class():
    """Pairs moved by 3 pixels: the overlaps are 38/44 and (46/52)^0.5, their product is over 0.7."""
    doubled = together(rider(0.9), rider(0.8, shift=3.0))
    other_verb = together(rider(0.9), rider(0.8, shift=3.0, verb=HOLD))
    row = next(row for row in scored([(RIDER, doubled)], RLIPV2).classes if row.name == "ride bicycle")
    assert row.num_predictions == 1
    score = scored([(RIDER, other_verb)], RLIPV2)
    assert sum(row.num_predictions for row in score.classes) == 2
    assert sum(row.num_predictions for row in scored([(RIDER, doubled)]).classes) == 2


def test_without_persons_only_rlipv2s_zero_shot_keeps_the_place():
    bicycles = image_prediction(RIDER.boxes, [BICYCLE, BICYCLE], [(0, 1, RIDE)], [0.9])
    both = together(bicycles, rider(0.5))
    first_only = HicoConventions(max_triplets=1)
    assert average_precision([(RIDER, both)], "ride bicycle", first_only) == 0
    persons = HicoConventions(max_triplets=1, subjects="person")
    assert average_precision([(RIDER, both)], "ride bicycle", persons) == pytest.approx(1)


def test_a_prediction_finds_the_truth_that_it_overlaps_most():
    """Two riders whose boxes overlap each other: each prediction takes its own, so both are found."""
    boxes = [[0, 0, 40, 80], [42, 0, 90, 80], [8, 0, 48, 80], [50, 0, 98, 80]]
    two = image_truth(boxes, [PERSON, BICYCLE] * 2, [(0, 1, RIDE), (2, 3, RIDE)])
    assert average_precision([(two, perfect(two))], "ride bicycle") == pytest.approx(1)


def test_nothing_predicted_is_nought_and_no_truth_is_nothing():
    score = scored([(RIDER, nothing_predicted())])
    assert score.figures["mAP"] == 0
    assert {row.value for row in score.classes if row.num_truths == 0} == {None}
    assert HicoEvaluator().score().figures["mAP"] is None


@pytest.mark.parametrize("preset", ["official", "rlipv2"])
def test_a_plain_loop_of_the_published_algorithm_agrees(preset):
    """The loop is written for the benchmark, box by box and prediction by prediction; it takes ties in file order."""
    images = list(made_images(15, 40))
    loop = PlainLoop(suppress=preset == "rlipv2")
    for truth, prediction in images:
        loop.add(truth, prediction)
    conventions = replace(PRESETS[preset], ties="file_order")
    assert figures(images, conventions)["mAP"] == pytest.approx(loop.mean_average_precision(), abs=1e-12)
    assert figures(images, conventions)["mAP"] < 1


# Laws.


@SETTINGS
@given(st.lists(truths(), min_size=1, max_size=4), st.sampled_from(sorted(PRESETS)))
def test_a_perfect_prediction_scores_one(images, preset):
    found = figures([(truth, perfect(truth)) for truth in images], PRESETS[preset])
    assert found["mAP rare"] is None  # None of the interactions made here is rare.
    assert [value for value in found.values() if value is not None] == pytest.approx([1, 1, 1])


@SETTINGS
@given(IMAGES, st.sampled_from(sorted(PRESETS)), st.integers(0, 2**32 - 1))
def test_the_order_of_images_and_predictions_changes_nothing(images, preset, seed):
    order = np.random.default_rng(seed)
    mixed = [(images[i][0], shuffled(images[i][1], order)) for i in order.permutation(len(images))]
    assert scored(mixed, PRESETS[preset]) == scored(images, PRESETS[preset])


@SETTINGS
@given(IMAGES, st.integers(0, 20))
def test_a_false_positive_never_raises_average_precision(images, score):
    """Where no cap and no suppression makes room for others, and in its own class."""
    (truth, prediction), rest = images[0], images[1:]
    wrong = rider(score / 20, place=9)
    before = scored(images)
    after = scored([(truth, together(prediction, wrong)), *rest])
    for old, new in zip(before.classes, after.classes, strict=True):
        assert old.value is None or new.value <= old.value


@SETTINGS
@given(IMAGES, st.sampled_from((0.5, 2.0, 3.0)), st.sampled_from(sorted(PRESETS)))
def test_scaling_scores_monotonically_changes_nothing(images, power, preset):
    scaled = [
        (truth, ImagePrediction(p.boxes, p.labels, p.box_scores, p.relations, p.scores**power)) for truth, p in images
    ]
    assert scored(scaled, PRESETS[preset]) == scored(images, PRESETS[preset])


@SETTINGS
@given(IMAGES)
def test_a_duplicate_finds_nothing_anew(images):
    doubled = [(truth, together(prediction, prediction)) for truth, prediction in images]
    for old, new in zip(scored(images).classes, scored(doubled).classes, strict=True):
        if old.value is not None:
            assert new.max_recall == old.max_recall
            assert new.value <= old.value


@SETTINGS
@given(IMAGES)
def test_without_equal_scores_file_order_and_together_agree(images):
    rng = np.random.default_rng(0)
    distinct = [
        (truth, ImagePrediction(p.boxes, p.labels, p.box_scores, p.relations, rng.random(len(p.scores))))
        for truth, p in images
    ]
    assert scored(distinct) == scored(distinct, HicoConventions(ties="file_order"))


def test_feeding_is_an_interaction_of_the_horse():
    """The classes that these tests use exist."""
    assert hico_classes().table[HORSE, FEED] >= 0
