"""OpenImages in its two definitions: published figures, conventions one by one, an independent loop, and laws."""

import gzip
import json
from collections import defaultdict
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.evaluate.benchmark import with_choices
from stages.evaluate.detections import (
    ImagePrediction,
    LabelSpace,
    image_prediction,
    image_truth,
    nothing_predicted,
)
from stages.evaluate.openimages import CORRECTED, OFFICIAL, PRESETS, OpenImagesConventions, OpenImagesEvaluator
from stages.evaluate.openimages_triplets import CORRECTED as TRIPLET_CORRECTED
from stages.evaluate.openimages_triplets import OFFICIAL as TRIPLET_OFFICIAL
from stages.evaluate.openimages_triplets import PRESETS as TRIPLET_PRESETS
from stages.evaluate.openimages_triplets import TripletConventions, TripletEvaluator

SPACE = LabelSpace(("cat", "dog", "man"), ("on", "by", "eats"))
CAT, DOG, MAN = range(3)
ON, BY, EATS = range(3)
SETTINGS = settings(max_examples=40)
SAVED = [OFFICIAL, CORRECTED, TRIPLET_OFFICIAL, TRIPLET_CORRECTED]

LEFT, RIGHT, FAR, FARTHER = [0, 0, 9, 9], [20, 0, 29, 9], [500, 500, 509, 509], [520, 500, 529, 509]
HALF = [0, 0, 9, 4]
"""Covers half of LEFT."""
NO_TRUTH = image_truth([], [], [])
CAT_ON_DOG = image_truth([LEFT, RIGHT], [CAT, DOG], [[0, 1, ON]])


def scored(images, conventions):
    kind = OpenImagesEvaluator if isinstance(conventions, OpenImagesConventions) else TripletEvaluator
    evaluator = kind(SPACE, conventions)
    for truth, prediction in images:
        evaluator.add(truth, prediction)
    return evaluator.score()


def figures(images, conventions):
    return dict(scored(images, conventions).figures)


def value_of(images, conventions, name, measure="AP relation"):
    return next(row.value for row in scored(images, conventions).classes if (row.name, row.measure) == (name, measure))


def said(*relations):
    """A prediction of rows (subject box, label, object box, label, predicate, score), each with boxes of its own."""
    subjects, labels, objects, others, predicates, scores = zip(*relations, strict=True) if relations else ((),) * 6
    count = len(relations)
    return image_prediction(
        [*subjects, *objects],
        [*labels, *others],
        [[row, count + row, predicate] for row, predicate in enumerate(predicates)],
        scores,
    )


# Generated images


@st.composite
def images(draw):
    """Up to three images; predicted boxes are true ones moved a little, mostly. Scores are often equal."""
    boxes = st.builds(lambda x, y, w, h: [x, y, x + w, y + h], *[st.integers(0, 30)] * 2, *[st.integers(2, 20)] * 2)
    made = []
    for _ in range(draw(st.integers(1, 3))):
        true = draw(st.lists(boxes, max_size=4))
        labels = draw(st.lists(st.integers(0, 2), min_size=len(true), max_size=len(true)))
        ends = st.integers(0, max(len(true) - 1, 0))
        relations = draw(st.lists(st.tuples(ends, ends, st.integers(0, 2)), max_size=5, unique=True)) if true else []
        moves = draw(st.lists(st.integers(-1, 1), min_size=len(true), max_size=len(true)))
        found = [[x1 + move, y1, x2 + move, y2] for (x1, y1, x2, y2), move in zip(true, moves, strict=True)]
        others = draw(st.lists(boxes, min_size=1, max_size=2))
        all_labels = labels + draw(st.lists(st.integers(0, 2), min_size=len(others), max_size=len(others)))
        ends = st.integers(0, len(all_labels) - 1)
        rows = draw(st.lists(st.tuples(ends, ends, st.integers(0, 2)), max_size=10, unique=True))
        scores = draw(st.lists(st.integers(1, 8).map(lambda n: n / 8), min_size=len(rows), max_size=len(rows)))
        made.append((image_truth(true, labels, relations), image_prediction(found + others, all_labels, rows, scores)))
    return made


@st.composite
def separate_truths(draw):
    """Images with one true relation a pair of boxes, and the pairs far from each other."""
    made = []
    for _ in range(draw(st.integers(1, 3))):
        pairs = draw(st.lists(st.tuples(*[st.integers(0, 2)] * 3), max_size=4))
        corners = [[100 * n + x, 0, 100 * n + x + 9, 9] for n in range(len(pairs)) for x in (0, 20)]
        labels = [label for subject, object_, _ in pairs for label in (subject, object_)]
        relations = [[2 * n, 2 * n + 1, predicate] for n, (_, _, predicate) in enumerate(pairs)]
        made.append(image_truth(corners, labels, relations))
    return made


def rows_of(prediction, rows, scores=None):
    scores = prediction.scores if scores is None else scores
    return replace(prediction, relations=prediction.relations[rows], scores=scores[rows])


def shuffled(prediction: ImagePrediction, seed: int) -> ImagePrediction:
    """The same with its boxes numbered otherwise and its relations in another order."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(prediction.boxes))
    place = np.argsort(order)
    relations = prediction.relations.copy()
    relations[:, :2] = place[relations[:, :2]]
    moved = replace(
        prediction,
        boxes=prediction.boxes[order],
        labels=prediction.labels[order],
        box_scores=prediction.box_scores[order],
        relations=relations,
    )
    return rows_of(moved, rng.permutation(len(relations)))


# The published figures


@pytest.fixture(scope="module")
def golden(test_data: Path):
    path = test_data / "evaluation" / "oi_golden.json.gz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    with gzip.open(path) as file:
        return json.load(file)


def golden_images(golden):
    for image in golden["images"]:
        subjects, labels, objects, others, predicates = zip(*image["gt"], strict=True)
        count = len(predicates)
        truth = image_truth(
            [*subjects, *objects],
            [*labels, *others],
            [[n, count + n, predicate] for n, predicate in enumerate(predicates)],
        )
        pairs = image["pred"]
        relations = [[n, len(pairs) + n, predicate] for n, row in enumerate(pairs) for predicate in range(len(row[6]))]
        yield (
            truth,
            image_prediction(
                [row[0] for row in pairs] + [row[2] for row in pairs],
                [row[1] for row in pairs] + [row[3] for row in pairs],
                relations,
                [score for row in pairs for score in row[6]],
                box_scores=[row[4] for row in pairs] + [row[5] for row in pairs],
            ),
        )


def test_the_official_evaluator_s_printed_figures_are_reproduced_for_each_predicate(golden):
    evaluator = OpenImagesEvaluator(LabelSpace(tuple(golden["objects"]), tuple(golden["relations"])))
    for truth, prediction in golden_images(golden):
        evaluator.add(truth, prediction)
    score = evaluator.score()
    expected = dict(golden["expected"])
    for measure, name in (("AP relation", "rel_ap"), ("AP phrase", "phr_ap")):
        rows = {row.name: row.value or 0.0 for row in score.classes if row.measure == measure}
        assert {name: round(100 * value, 2) for name, value in rows.items()} == expected.pop(name)
    assert {name: round(100 * score.figures[name], 2) for name in expected} == expected


# Both definitions


@pytest.mark.parametrize("conventions", SAVED)
def test_figures_come_in_the_order_of_the_papers_and_the_total_is_their_weighted_sum(conventions):
    wrong = (LEFT, CAT, FAR, DOG, ON, 0.9)
    found = figures([(CAT_ON_DOG, said(wrong, (LEFT, CAT, RIGHT, DOG, ON, 0.5)))], conventions)
    assert list(found)[:4] == ["R@50", "wmAP_rel", "wmAP_phr", "score_wtd"]
    recall, relation, phrase, total = list(found.values())[:4]
    assert recall == 1
    assert 0 < relation < 1
    assert total == pytest.approx(0.2 * recall + 0.4 * relation + 0.4 * phrase, abs=1e-15)


@pytest.mark.parametrize("conventions", SAVED)
def test_weights_are_shares_of_the_truths(conventions):
    truth = image_truth(
        [LEFT, RIGHT, FAR, FARTHER, [700, 0, 709, 9], [720, 0, 729, 9]],
        [CAT, DOG, CAT, DOG, MAN, DOG],
        [[0, 1, ON], [2, 3, ON], [4, 5, BY]],
    )
    found = said((LEFT, CAT, RIGHT, DOG, ON, 0.9), (FAR, CAT, FARTHER, DOG, ON, 0.8))
    assert figures([(truth, found)], conventions)["wmAP_rel"] == pytest.approx(2 / 3, abs=1e-15)


@pytest.mark.parametrize("conventions", SAVED)
def test_a_truth_found_twice_counts_once(conventions):
    twice = said((LEFT, CAT, RIGHT, DOG, ON, 0.9), ([1, 0, 12, 9], CAT, [19, 0, 29, 12], DOG, ON, 0.8))
    score = scored(
        [(CAT_ON_DOG, twice), (CAT_ON_DOG, nothing_predicted())], replace(conventions, **_without_nms(conventions))
    )
    row = next(row for row in score.classes if row.num_truths)
    assert (row.max_recall, row.num_predictions, score.figures["R@50"]) == (0.5, 2, 0.5)
    half = 6 / 11 if conventions.ap == "11_point" else 0.5
    assert row.value == pytest.approx(half, abs=1e-15)


@pytest.mark.parametrize("conventions", SAVED)
def test_equal_scores_are_one_step_or_ranked_as_in_the_file(conventions):
    right, wrong = (LEFT, CAT, RIGHT, DOG, ON, 0.9), (FAR, CAT, FARTHER, DOG, ON, 0.9)
    for rows, as_in_file in (((right, wrong), 1), ((wrong, right), 0.5)):
        pictures = [(CAT_ON_DOG, said(*rows))]
        assert figures(pictures, conventions)["wmAP_rel"] == pytest.approx(0.5, abs=1e-15)
        in_order = replace(conventions, ties="file_order")
        assert figures(pictures, in_order)["wmAP_rel"] == pytest.approx(as_in_file, abs=1e-15)


@pytest.mark.parametrize("conventions", SAVED)
def test_nothing_at_all_has_no_figures(conventions):
    score = scored([(NO_TRUTH, nothing_predicted())], conventions)
    assert set(score.figures.values()) == {None}
    assert all(row.value is None for row in score.classes)


def _without_nms(conventions):
    return {"nms": "none"} if isinstance(conventions, TripletConventions) else {}


def test_the_definitions_differ_where_a_predicate_has_several_classes_of_ends():
    # Per predicate the wrong cat ranks above the found man; per triplet class they never meet.
    truth = image_truth([LEFT, RIGHT], [MAN, DOG], [[0, 1, ON]])
    other = image_truth([LEFT, RIGHT], [CAT, DOG], [[0, 1, ON]])
    pictures = [
        (truth, said((LEFT, MAN, RIGHT, DOG, ON, 0.5), (FAR, CAT, FARTHER, DOG, ON, 0.9))),
        (other, nothing_predicted()),
    ]
    assert value_of(pictures, OFFICIAL, "on") == pytest.approx(0.25, abs=1e-15)
    assert value_of(pictures, TRIPLET_OFFICIAL, "man on dog") == pytest.approx(1, abs=1e-15)


def test_presets_start_with_the_official_one_and_conventions_can_be_chosen_by_text():
    assert list(PRESETS) == list(TRIPLET_PRESETS) == ["official", "corrected"]
    assert PRESETS["official"] == OpenImagesConventions()
    assert TRIPLET_PRESETS["official"] == TripletConventions()
    chosen = with_choices(TRIPLET_OFFICIAL, {"nms": "none", "max_relations": "7"}, benchmark="openimages")
    assert (chosen.nms, chosen.max_relations) == ("none", 7)


# Per predicate


def test_a_pair_has_two_predicates_and_the_third_is_dropped():
    found = image_prediction([LEFT, RIGHT], [CAT, DOG], [[0, 1, BY], [0, 1, EATS], [0, 1, ON]], [0.9, 0.8, 0.7])
    assert figures([(CAT_ON_DOG, found)], OFFICIAL)["R@100"] == 0
    assert figures([(CAT_ON_DOG, found)], replace(OFFICIAL, predicates_per_pair=3))["R@100"] == 1


def test_the_score_is_that_of_subject_object_and_predicate_and_has_to_be_above_zero():
    def found(score):
        return image_prediction(
            [LEFT, RIGHT, FAR], [CAT, DOG, DOG], [[0, 2, ON], [0, 1, ON]], [0.9, 0.8], box_scores=[1, score, 0.5]
        )

    assert figures([(CAT_ON_DOG, found(1.0))], OFFICIAL)["R@1"] == 1
    assert figures([(CAT_ON_DOG, found(0.1))], OFFICIAL)["R@1"] == 0
    assert figures([(CAT_ON_DOG, found(0.0))], OFFICIAL)["R@5"] == 0


def test_an_overlap_of_exactly_a_half_is_enough_for_recall_and_not_for_average_precision():
    pictures = [(CAT_ON_DOG, said((HALF, CAT, RIGHT, DOG, ON, 0.9)))]
    found = figures(pictures, OFFICIAL)
    assert (found["R@1"], found["wmAP_rel"]) == (1, 0)
    assert figures(pictures, replace(OFFICIAL, ap_overlap="at_least"))["wmAP_rel"] == 1
    assert figures(pictures, replace(OFFICIAL, recall_overlap="more_than"))["R@1"] == 0


def test_a_phrase_needs_only_the_box_around_both():
    flipped = said(([0, 0, 3, 9], CAT, RIGHT, DOG, ON, 0.9))
    found = figures([(CAT_ON_DOG, flipped)], OFFICIAL)
    assert (found["wmAP_rel"], found["wmAP_phr"]) == (0, 1)


def test_one_prediction_may_recall_several_truths_that_it_overlaps():
    truth = image_truth([LEFT, RIGHT, [20, 0, 30, 9]], [CAT, DOG, DOG], [[0, 1, ON], [0, 2, ON]])
    found = figures([(truth, said((LEFT, CAT, RIGHT, DOG, ON, 0.9)))], OFFICIAL)
    assert (found["R@1"], found["wmAP_rel"]) == (1, 0.5)


def test_recall_is_a_share_of_all_images_relations_and_false_predictions_count_on_images_without_truth():
    wrong = said((LEFT, CAT, RIGHT, DOG, ON, 0.95))
    right = said((LEFT, CAT, RIGHT, DOG, ON, 0.9))
    pictures = [(CAT_ON_DOG, right), (NO_TRUTH, wrong)]
    found = figures(pictures, OFFICIAL)
    assert (found["R@50"], found["wmAP_rel"], found["wmAP_phr"]) == (1, 0.5, 0.5)


def test_a_relation_annotated_twice_can_be_found_once_unless_merged():
    truth = replace(CAT_ON_DOG, relations=np.repeat(CAT_ON_DOG.relations, 2, axis=0))
    pictures = [(truth, said((LEFT, CAT, RIGHT, DOG, ON, 0.9)))]
    assert value_of(pictures, OFFICIAL, "on") == 0.5
    assert value_of(pictures, CORRECTED, "on") == 1


def test_predicates_without_truths_lower_the_plain_mean_only_as_published():
    pictures = [(CAT_ON_DOG, said((LEFT, CAT, RIGHT, DOG, ON, 0.9)))]
    assert figures(pictures, OFFICIAL)["mAP_rel"] == pytest.approx(1 / 3, abs=1e-15)
    assert figures(pictures, CORRECTED)["mAP_rel"] == 1
    assert value_of(pictures, OFFICIAL, "eats") is None


# Per triplet class


def test_false_relations_on_images_without_boxes_cost_nothing_as_published_but_false_phrases_do():
    right, wrong = said((LEFT, CAT, RIGHT, DOG, ON, 0.5)), said((LEFT, CAT, RIGHT, DOG, ON, 0.9))
    pictures = [(CAT_ON_DOG, right), (NO_TRUTH, wrong)]
    official, corrected = figures(pictures, TRIPLET_OFFICIAL), figures(pictures, TRIPLET_CORRECTED)
    assert (official["wmAP_rel"], official["wmAP_phr"]) == pytest.approx((1, 0.5), abs=1e-15)
    assert (corrected["wmAP_rel"], corrected["wmAP_phr"]) == pytest.approx((0.5, 0.5), abs=1e-15)


def test_phrases_of_a_list_grouped_by_class_are_credited_with_each_other_s_matches_as_published():
    # By score: a right cat on dog, a wrong man by dog, another right cat on dog. Grouped: the cats, then the man.
    truth = image_truth(
        [LEFT, RIGHT, FAR, FARTHER, [700, 0, 709, 9], [720, 0, 729, 9]],
        [CAT, DOG, CAT, DOG, MAN, DOG],
        [[0, 1, ON], [2, 3, ON], [4, 5, BY]],
    )
    nowhere = ([0, 700, 9, 709], MAN, [20, 700, 29, 709], DOG, BY, 0.8)
    found = said((LEFT, CAT, RIGHT, DOG, ON, 0.9), nowhere, (FAR, CAT, FARTHER, DOG, ON, 0.7))
    pictures = [(truth, found)]
    official, corrected = scored(pictures, TRIPLET_OFFICIAL), scored(pictures, TRIPLET_CORRECTED)
    phrases = [
        {row.name: row.value for row in score.classes if row.measure == "AP phrase"} for score in (official, corrected)
    ]
    # The man is credited with the second cat, and the second cat with the man's nothing.
    assert phrases[0] == pytest.approx({"cat on dog": 6 / 11, "man by dog": 1}, abs=1e-15)
    assert phrases[1] == pytest.approx({"cat on dog": 1, "man by dog": 0}, abs=1e-15)
    assert official.figures["wmAP_rel"] == corrected.figures["wmAP_rel"] == corrected.figures["wmAP_phr"]
    without = replace(TRIPLET_OFFICIAL, nms="none")
    assert figures(pictures, without)["wmAP_phr"] == corrected.figures["wmAP_phr"]


def test_suppression_leaves_the_better_of_two_relations_and_then_of_two_phrases():
    near = ([0, 0, 9, 9], CAT, [20, 0, 30, 9], DOG, ON, 0.8)
    other_ends = ([0, 0, 4, 9], CAT, [25, 0, 29, 9], DOG, ON, 0.7)
    found = said((LEFT, CAT, RIGHT, DOG, ON, 0.9), near, other_ends)

    def counted(conventions):
        return [row.num_predictions for row in scored([(CAT_ON_DOG, found)], conventions).classes]

    assert counted(TRIPLET_OFFICIAL) == [2, 1]
    assert counted(replace(TRIPLET_OFFICIAL, nms="none")) == [3, 3]
    assert counted(replace(TRIPLET_OFFICIAL, phrase_nms_threshold=1.0)) == [2, 2]


def test_recall_is_of_the_first_fifty_and_average_precision_of_the_first_hundred():
    wrong = [(FAR, MAN, FARTHER, MAN, EATS, 0.9)] * 50
    found = said(*wrong, (LEFT, CAT, RIGHT, DOG, ON, 0.5))
    official = figures([(CAT_ON_DOG, found)], TRIPLET_OFFICIAL)
    assert (official["R@50"], official["max recall_rel"]) == (0, 1)
    assert figures([(CAT_ON_DOG, found)], replace(TRIPLET_OFFICIAL, max_relations=50))["max recall_rel"] == 0


def test_classes_never_predicted_are_missing_from_the_recall_of_phrases_as_published():
    truth = image_truth([LEFT, RIGHT, FAR, FARTHER], [CAT, DOG, MAN, DOG], [[0, 1, ON], [2, 3, BY]])
    pictures = [(truth, said((LEFT, CAT, RIGHT, DOG, ON, 0.9)))]
    official, corrected = figures(pictures, TRIPLET_OFFICIAL), figures(pictures, TRIPLET_CORRECTED)
    assert (official["max recall_rel"], official["max recall_phr"]) == (0.5, 1)
    assert corrected["max recall_phr"] == 0.5


def test_a_relation_annotated_twice_halves_the_recall_of_its_class_unless_merged():
    truth = replace(CAT_ON_DOG, relations=np.repeat(CAT_ON_DOG.relations, 2, axis=0))
    pictures = [(truth, said((LEFT, CAT, RIGHT, DOG, ON, 0.9)))]
    assert figures(pictures, TRIPLET_OFFICIAL)["max recall_rel"] == 0.5
    assert figures(pictures, TRIPLET_CORRECTED)["max recall_rel"] == 1


def test_boxes_one_pixel_wide_find_each_other_only_when_mended():
    truth = image_truth([[5, 0, 5, 9], RIGHT], [CAT, DOG], [[0, 1, ON]])
    pictures = [(truth, said(([5, 0, 5, 9], CAT, RIGHT, DOG, ON, 0.9)))]
    assert figures(pictures, TRIPLET_OFFICIAL)["R@50"] == 0
    assert figures(pictures, TRIPLET_CORRECTED)["R@50"] == 1


def test_predictions_on_an_image_with_boxes_and_no_relations_are_false():
    boxes_only = image_truth([LEFT], [CAT], [])
    pictures = [
        (CAT_ON_DOG, said((LEFT, CAT, RIGHT, DOG, ON, 0.5))),
        (boxes_only, said((LEFT, CAT, RIGHT, DOG, ON, 0.9))),
    ]
    assert figures(pictures, TRIPLET_OFFICIAL)["wmAP_rel"] == pytest.approx(0.5, abs=1e-15)


# The published algorithm once more, as plain loops


def plain_overlap(one, other, *, apart_if_touching):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if min(width, height) <= (0 if apart_if_touching else -1):
        return 0.0
    shared = (width + 1) * (height + 1)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (one, other)]
    return shared / (sum(areas) - shared)


def plain_around(one, other):
    return [min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])]


def plain_suppressed(listed, overlap, threshold):
    """Class by class, in the order of first appearance: the best, the best that does not overlap it, and so on."""
    kept = []
    for triplet in dict.fromkeys(item["class"] for item in listed):
        left = sorted((item for item in listed if item["class"] == triplet), key=lambda item: -item["score"])
        while left:
            best = left.pop(0)
            kept.append(best)
            left = [item for item in left if overlap(best, item) <= threshold]
    return kept


def plain_average(outcomes, num_truths):
    """11-point average precision of (score, hit) pairs."""
    hits, points = 0, []
    for seen, (_, hit) in enumerate(sorted(outcomes, key=lambda outcome: -outcome[0]), start=1):
        hits += hit
        points.append((hits / num_truths, hits / seen))
    return sum(max((p for r, p in points if r >= at), default=0.0) / 11 for at in np.arange(0, 1.1, 0.1))


def plain_items(boxes, labels, relations, scores):
    return [
        {
            "class": (labels[s], p, labels[o]),
            "ends": (list(boxes[s]), list(boxes[o])),
            "around": plain_around(boxes[s], boxes[o]),
            "score": score,
        }
        for (s, o, p), score in zip(relations.tolist(), scores, strict=True)
    ]


def plain_targets(true, listed, overlap):
    targets = []
    for item in listed:
        best = (0.0, None)
        for number, one in enumerate(true):
            found = overlap(one, item)
            if one["class"] == item["class"] and found >= 0.5 and found > best[0]:
                best = (found, number)
        targets.append(best[1])
    return targets


def plain_credit(outcomes, listed, targets, of_truths):
    visited = set()
    for item, target in zip(listed, targets, strict=True):
        if item["class"] not in of_truths:
            continue
        hit = target is not None and target not in visited
        visited |= {target} if hit else set()
        outcomes[item["class"]].append((item["score"], hit))


def plain_triplets(pictures, *, nms, stale, top):
    """Weighted and plain mean AP of relations and phrases, and the share of true relations found."""
    truths = [plain_items(t.boxes, t.labels, t.relations, [0] * len(t.relations)) for t, _ in pictures]
    of_truths = defaultdict(int)
    for item in (item for true in truths for item in true):
        of_truths[item["class"]] += 1
    relations, phrases = defaultdict(list), defaultdict(list)

    def ends_overlap(one, other, *, apart_if_touching=True):
        return [
            plain_overlap(a, b, apart_if_touching=apart_if_touching)
            for a, b in zip(one["ends"], other["ends"], strict=True)
        ]

    def around_overlap(one, other, *, apart_if_touching=True):
        return plain_overlap(one["around"], other["around"], apart_if_touching=apart_if_touching)

    def pairs_overlap(one, other):
        subject, object_ = ends_overlap(one, other, apart_if_touching=False)
        return subject * object_**0.5

    for (truth, prediction), true in zip(pictures, truths, strict=True):
        listed = plain_items(prediction.boxes, prediction.labels, prediction.relations, prediction.scores)
        listed = sorted(listed, key=lambda item: -item["score"])[:top]
        listed = plain_suppressed(listed, pairs_overlap, 0.7) if nms else listed
        around = listed
        if nms:
            around = plain_suppressed(
                listed, lambda one, other: around_overlap(one, other, apart_if_touching=False), 0.5
            )
        if len(truth.boxes):
            ranked = sorted(listed, key=lambda item: -item["score"])
            plain_credit(
                relations, ranked, plain_targets(true, ranked, lambda a, b: min(ends_overlap(a, b))), of_truths
            )
        ranked = sorted(around, key=lambda item: -item["score"])
        noted = around if stale else ranked
        plain_credit(phrases, ranked, plain_targets(true, noted, around_overlap), of_truths)

    found = {}
    total = sum(of_truths.values())
    for name, outcomes in (("rel", relations), ("phr", phrases)):
        averages = {triplet: plain_average(outcomes[triplet], count) for triplet, count in of_truths.items()}
        found[f"wmAP_{name}"] = sum(averages[triplet] * count / total for triplet, count in of_truths.items())
        found[f"mAP_{name}"] = sum(averages.values()) / len(averages)
    found["recall"] = sum(hit for outcomes in relations.values() for _, hit in outcomes) / total
    return found


def jittered_pictures(seed):
    """Pictures whose predictions are true boxes moved a little, some with another label; all scores differ."""
    rng = np.random.default_rng(seed)
    pictures = []
    for picture in range(3):
        count = int(rng.integers(0, 6))
        corner = rng.integers(0, 30, (count, 2))
        boxes = np.concatenate((corner, corner + rng.integers(0, 30, (count, 2))), axis=1)
        labels = rng.integers(0, 3, count)
        num_relations = int(rng.integers(0, 7)) if count else 0
        relations = np.stack([rng.integers(0, max(n, 1), num_relations) for n in (count, count, 3)], axis=1)
        ends = rng.integers(0, count, 24) if count else np.zeros(24, dtype=int)
        found = (boxes[ends] if count else np.tile(FAR, (24, 1))) + rng.integers(-3, 4, (24, 4))
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2])
        found_labels = np.where(rng.random(24) < 0.2, rng.integers(0, 3, 24), labels[ends] if count else 0)
        rows = np.array(list(product(range(12), range(3))))
        rows = np.stack((rows[:, 0], rows[:, 0] + 12, rows[:, 1]), axis=1)
        scores = (3 * rng.permutation(len(rows)) + picture + 1) / 200
        pictures.append((image_truth(boxes, labels, relations), image_prediction(found, found_labels, rows, scores)))
    return pictures


@pytest.mark.parametrize("matches", ["by_stale_position", "by_phrase"])
@pytest.mark.parametrize("nms", ["pair_and_phrase", "none"])
@given(seed=st.integers(0, 10**6), top=st.sampled_from([7, 100]))
@settings(max_examples=15)
def test_the_triplet_evaluator_agrees_with_plain_loops(nms, matches, seed, top):
    pictures = jittered_pictures(seed)
    if not any(len(truth.relations) for truth, _ in pictures):
        return
    conventions = replace(TRIPLET_OFFICIAL, nms=nms, phrase_matches=matches, max_relations=top)
    found = figures(pictures, conventions)
    for name, value in plain_triplets(
        pictures, nms=nms != "none", stale=matches == "by_stale_position", top=top
    ).items():
        assert found["max recall_rel" if name == "recall" else name] == pytest.approx(value, abs=1e-12)
    at_50 = plain_triplets(pictures, nms=nms != "none", stale=False, top=min(top, 50))["recall"]
    assert found["R@50"] == pytest.approx(at_50, abs=1e-12)


# Laws


@pytest.mark.parametrize("conventions", SAVED)
@given(truths=separate_truths(), data=st.data())
@SETTINGS
def test_a_perfect_prediction_scores_one(conventions, truths, data):
    """Of relations that lie apart: of two phrases with the same box and classes only one can be found."""
    pictures = []
    for truth in truths:
        count = len(truth.relations)
        scores = data.draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))
        pictures.append((truth, image_prediction(truth.boxes, truth.labels, truth.relations, scores)))
    score = scored(pictures, conventions)
    if not any(len(truth.relations) for truth in truths):
        assert set(score.figures.values()) == {None}
        return
    names = ["R@50", "wmAP_rel", "wmAP_phr", "score_wtd"]
    if conventions not in (OFFICIAL, TRIPLET_OFFICIAL):
        # The first prediction of an image cannot find all its relations.
        names = [name for name in score.figures if name != "R@1"]
    assert [score.figures[name] for name in names] == pytest.approx([1] * len(names), abs=1e-12)
    assert all(row.value == pytest.approx(1, abs=1e-12) for row in score.classes if row.num_truths)


@pytest.mark.parametrize("conventions", SAVED)
@given(pictures=images(), seed=st.integers(0, 1000), few=st.booleans())
@SETTINGS
def test_the_order_of_images_boxes_and_predictions_changes_nothing(conventions, pictures, seed, few):
    conventions = replace(conventions, max_relations=3) if few else conventions
    moved = [(truth, shuffled(prediction, seed)) for truth, prediction in pictures]
    assert scored(moved[::-1], conventions).figures == pytest.approx(
        dict(scored(pictures, conventions).figures), abs=1e-12
    )


@pytest.mark.parametrize("conventions", SAVED)
@given(pictures=images())
@SETTINGS
def test_scores_in_the_same_order_change_nothing(conventions, pictures):
    moved = [(truth, replace(prediction, scores=np.exp(prediction.scores) - 1)) for truth, prediction in pictures]
    assert scored(moved, conventions) == scored(pictures, conventions)


@pytest.mark.parametrize(
    "conventions",
    [
        replace(OFFICIAL, predicates_per_pair=9, max_relations=999),
        replace(TRIPLET_CORRECTED, nms="none", max_relations=999),
    ],
)
@given(pictures=images(), label=st.integers(0, 2), predicate=st.integers(0, 2), score=st.integers(1, 8))
@SETTINGS
def test_a_false_positive_never_raises_an_average_precision(conventions, pictures, label, predicate, score):
    """Where no cap pushes another prediction out and no suppression removes one."""
    truth, prediction = pictures[0]
    count = len(prediction.boxes)
    worse = ImagePrediction(
        np.concatenate((prediction.boxes, [FAR, FARTHER])),
        np.append(prediction.labels, [label, label]),
        np.append(prediction.box_scores, [1.0, 1.0]),
        np.concatenate((prediction.relations, [[count, count + 1, predicate]])),
        np.append(prediction.scores, score / 8),
    )
    before = scored(pictures, conventions).classes
    after = scored([(truth, worse), *pictures[1:]], conventions).classes
    for old, new in zip(before, after, strict=True):
        assert (old.value is None) == (new.value is None)
        assert old.value is None or new.value <= old.value + 1e-15


@pytest.mark.parametrize("conventions", SAVED)
@given(pictures=images())
@SETTINGS
def test_what_is_said_twice_of_the_same_pair_counts_once(conventions, pictures):
    doubled = [(truth, rows_of(found, np.repeat(np.arange(len(found.scores)), 2))) for truth, found in pictures]
    assert scored(doubled, conventions).figures == scored(pictures, conventions).figures


@given(pictures=images())
@SETTINGS
def test_what_is_said_twice_never_helps_without_suppression(pictures):
    conventions = replace(TRIPLET_CORRECTED, nms="none", max_relations=999)
    doubled = [(truth, rows_of(found, np.repeat(np.arange(len(found.scores)), 2))) for truth, found in pictures]
    before, after = figures(pictures, conventions), figures(doubled, conventions)
    assert before["R@50"] == after["R@50"]
    assert before["wmAP_rel"] is None or after["wmAP_rel"] <= before["wmAP_rel"] + 1e-15
