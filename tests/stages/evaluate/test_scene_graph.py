"""Recall of scene graphs: published figures, conventions one by one, an independent loop, and laws."""

import gzip
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.evaluate.benchmark import with_choices
from stages.evaluate.detections import ImagePrediction, LabelSpace, image_prediction, image_truth, nothing_predicted
from stages.evaluate.scene_graph import (
    CORRECTED,
    OFFICIAL,
    PRESETS,
    SCENE_GRAPH_BENCHMARK,
    SceneGraphConventions,
    SceneGraphEvaluator,
)

SPACE = LabelSpace(("cat", "dog", "man"), ("on", "by", "eats"))
CAT, DOG, MAN = range(3)
ON, BY, EATS = range(3)
SETTINGS = settings(max_examples=40)
SAVED = list(PRESETS.values())

LEFT, RIGHT, FAR, FARTHER = [0, 0, 9, 9], [20, 0, 29, 9], [500, 500, 509, 509], [520, 500, 529, 509]
CAT_ON_DOG = image_truth([LEFT, RIGHT], [CAT, DOG], [[0, 1, ON]])
NO_TRUTH = image_truth([LEFT], [CAT], [])


def scored(pictures, conventions=OFFICIAL, train_triplets=None):
    evaluator = SceneGraphEvaluator(SPACE, conventions, train_triplets=train_triplets)
    for truth, prediction in pictures:
        evaluator.add(truth, prediction)
    return evaluator.score()


def figures(pictures, conventions=OFFICIAL, train_triplets=None):
    return dict(scored(pictures, conventions, train_triplets).figures)


def found(truth, relations, scores=None, **changes):
    """A prediction of relations between the true boxes; scores fall by default."""
    scores = [1 / (2 + place) for place in range(len(relations))] if scores is None else scores
    return replace(image_prediction(truth.boxes, truth.labels, relations, scores), **changes)


# Generated pictures


@st.composite
def graphs(draw, *, modes=False):
    """Up to three pictures; predicted boxes are true ones moved a little and then some, or the true ones only."""
    boxes = st.builds(lambda x, y, w, h: [x, y, x + w, y + h], *[st.integers(0, 30)] * 2, *[st.integers(2, 20)] * 2)
    made = []
    for _ in range(draw(st.integers(1, 3))):
        true = draw(st.lists(boxes, min_size=1, max_size=4))
        labels = draw(st.lists(st.integers(0, 2), min_size=len(true), max_size=len(true)))
        ends = st.integers(0, len(true) - 1)
        relations = draw(st.lists(st.tuples(ends, ends, st.integers(0, 2)), max_size=5))
        moves = draw(st.lists(st.integers(-1, 1), min_size=len(true), max_size=len(true)))
        moved = [[x1 + move, y1, x2 + move, y2] for (x1, y1, x2, y2), move in zip(true, moves, strict=True)]
        others = [] if modes else draw(st.lists(boxes, max_size=2))
        every = draw(st.lists(st.integers(0, 2), min_size=len(moved), max_size=len(moved))) if modes else labels
        every = every + [CAT] * len(others)
        ends = st.integers(0, len(every) - 1)
        rows = draw(st.lists(st.tuples(ends, ends, st.integers(0, 2)), max_size=12, unique=True))
        scores = draw(st.lists(st.integers(1, 8).map(lambda n: n / 8), min_size=len(rows), max_size=len(rows)))
        made.append((image_truth(true, labels, relations), image_prediction(moved + others, every, rows, scores)))
    return made


def rows_of(prediction, rows):
    return replace(prediction, relations=prediction.relations[rows], scores=prediction.scores[rows])


def shuffled(prediction: ImagePrediction, seed: int) -> ImagePrediction:
    """The same with its boxes numbered otherwise and its relations in another order."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(prediction.boxes))
    relations = prediction.relations.copy()
    relations[:, :2] = np.argsort(order)[relations[:, :2]]
    moved = replace(
        prediction,
        boxes=prediction.boxes[order],
        labels=prediction.labels[order],
        box_scores=prediction.box_scores[order],
        relations=relations,
    )
    return rows_of(moved, rng.permutation(len(relations)))


# The published figures


def golden(folder: Path, name: str):
    path = folder / "evaluation" / name
    if not path.is_file():
        pytest.skip(f"no {path}")
    with gzip.open(path) as file:
        return json.load(file)


def test_the_official_evaluator_s_figures_are_reproduced_with_and_without_graph_constraint(test_data):
    pictures, expected = golden(test_data, "oi_golden.json.gz"), golden(test_data, "sgg_golden.json.gz")["expected"]
    evaluator = SceneGraphEvaluator(LabelSpace(tuple(pictures["objects"]), tuple(pictures["relations"])))
    for picture in pictures["images"]:
        subjects, labels, objects, others, predicates = zip(*picture["gt"], strict=True)
        count = len(predicates)
        truth = image_truth(
            [*subjects, *objects],
            [*labels, *others],
            [[n, count + n, predicate] for n, predicate in enumerate(predicates)],
        )
        pairs = picture["pred"]
        prediction = image_prediction(
            [row[0] for row in pairs] + [row[2] for row in pairs],
            [row[1] for row in pairs] + [row[3] for row in pairs],
            [[n, len(pairs) + n, predicate] for n, row in enumerate(pairs) for predicate in range(len(row[6]))],
            [score for row in pairs for score in row[6]],
            box_scores=[row[4] for row in pairs] + [row[5] for row in pairs],
        )
        evaluator.add(truth, prediction)
    score = evaluator.score().figures
    for setting, suffix in {"graph_constraint": "", "no_graph_constraint": " no constraint"}.items():
        assert {name: score[name + suffix] for name in expected[setting]} == pytest.approx(expected[setting], abs=1e-9)


# One convention at a time


def test_with_the_graph_constraint_a_pair_has_only_its_best_predicate():
    truth = image_truth([LEFT, RIGHT], [CAT, DOG], [[0, 1, ON], [0, 1, BY]])
    score = figures([(truth, found(truth, [[0, 1, ON], [0, 1, BY]]))])
    assert (score["R@20"], score["R@20 no constraint"]) == (0.5, 1)
    assert (
        figures([(truth, found(truth, [[0, 1, ON], [0, 1, BY]]))], replace(OFFICIAL, predicates_per_pair=2))["R@20"]
        == 1
    )


def test_the_best_predicate_is_chosen_by_its_own_score_and_pairs_are_ranked_by_the_product():
    truth = image_truth([LEFT, RIGHT], [CAT, DOG], [[0, 1, BY]])
    relations, scores = [[0, 1, ON], [0, 1, BY], [2, 1, ON]], [0.8, 0.9, 0.5]

    def recall(cat_score, most):
        prediction = image_prediction(
            [LEFT, RIGHT, FAR], [CAT, DOG, MAN], relations, scores, box_scores=[cat_score, 1, 1]
        )
        return figures([(truth, prediction)], replace(OFFICIAL, max_relations=most))["R@20"]

    assert [recall(1.0, 1), recall(0.1, 1), recall(0.1, 2)] == [1, 0, 1]
    # The products of both predicates are 0 here, their own scores are not.
    assert recall(0.0, 2) == 1


def test_recall_at_k_looks_at_the_first_k():
    boxes = [LEFT, RIGHT, *[[n, 700, n + 9, 709] for n in range(0, 1200, 20)]]
    labels = [CAT, DOG] + [MAN] * 60
    wrong = [[n, n + 1, EATS] for n in range(2, 52)]
    prediction = image_prediction(boxes, labels, [*wrong, [0, 1, ON]], [0.9] * 50 + [0.5])
    score = figures([(CAT_ON_DOG, prediction)])
    assert (score["R@20"], score["R@50"], score["R@100"]) == (0, 0, 1)
    assert figures([(CAT_ON_DOG, prediction)], replace(OFFICIAL, max_relations=50))["R@100"] == 0


def test_one_relation_finds_all_truths_that_both_its_boxes_overlap_by_half():
    half, less = [0, 0, 9, 4], [0, 0, 9, 3]
    truth = image_truth([LEFT, half, less, RIGHT], [CAT, CAT, CAT, DOG], [[0, 3, ON], [1, 3, ON], [2, 3, ON]])
    score = figures([(truth, found(truth, [[0, 3, ON]]))])
    assert score["R@20"] == pytest.approx(2 / 3)


def test_predcls_takes_boxes_and_labels_from_the_truth_and_ignores_the_scores_of_boxes():
    told = found(CAT_ON_DOG, [[0, 1, ON]], boxes=np.array([FAR, FAR], float), labels=np.array([MAN, MAN]))
    assert figures([(CAT_ON_DOG, told)], replace(OFFICIAL, mode="predcls"))["R@20"] == 1
    assert figures([(CAT_ON_DOG, told)], replace(OFFICIAL, mode="sgcls"))["R@20"] == 0
    assert (
        figures([(CAT_ON_DOG, replace(told, labels=CAT_ON_DOG.labels))], replace(OFFICIAL, mode="sgcls"))["R@20"] == 1
    )
    assert figures([(CAT_ON_DOG, replace(told, labels=CAT_ON_DOG.labels))])["R@20"] == 0

    truth = image_truth([LEFT, RIGHT, FAR], [CAT, DOG, MAN], [[0, 1, ON]])
    doubtful = found(truth, [[0, 1, ON], [0, 2, ON]], [0.5, 0.4], box_scores=np.array([1.0, 0.1, 1.0]))
    first = {mode: replace(OFFICIAL, mode=mode, max_relations=1) for mode in ("predcls", "sgcls")}
    assert figures([(truth, doubtful)], first["predcls"])["R@20"] == 1
    assert figures([(truth, doubtful)], first["sgcls"])["R@20"] == 0


@pytest.mark.parametrize("mode", ["predcls", "sgcls"])
def test_where_boxes_are_given_there_must_be_as_many_predicted_unless_nothing_is_said(mode):
    told = replace(OFFICIAL, mode=mode)
    one_more = image_prediction([LEFT, RIGHT, FAR], [CAT, DOG, MAN], [[0, 1, ON]], [0.5])
    with pytest.raises(ValueError, match="the prediction has 3 boxes and the truth 2"):
        scored([(CAT_ON_DOG, one_more)], told)
    assert figures([(CAT_ON_DOG, nothing_predicted())], told)["R@20"] == 0


def test_a_phrase_is_found_by_the_box_around_both_ends():
    narrow = image_prediction([[0, 0, 3, 9], RIGHT], [CAT, DOG], [[0, 1, ON]], [0.5])
    assert figures([(CAT_ON_DOG, narrow)])["R@20"] == 0
    assert figures([(CAT_ON_DOG, narrow)], replace(OFFICIAL, mode="phrdet"))["R@20"] == 1


def test_recall_is_the_mean_over_pictures_and_for_mr_over_each_predicate_s_pictures():
    many = image_truth([LEFT, RIGHT, FAR], [CAT, DOG, MAN], [[0, 1, ON], [0, 2, ON], [1, 2, ON], [2, 0, BY]])
    pictures = [(many, found(many, [[0, 1, ON]])), (CAT_ON_DOG, found(CAT_ON_DOG, [[0, 1, ON]]))]
    score = figures(pictures, CORRECTED)
    assert score["R@20"] == pytest.approx((1 / 4 + 1) / 2)
    assert score["mR@20"] == pytest.approx(((1 / 3 + 1) / 2 + 0) / 2)
    pooled = figures(pictures, replace(CORRECTED, mean="pooled"))
    assert pooled["R@20"] == pytest.approx(2 / 5)
    assert pooled["mR@20"] == pytest.approx((2 / 4 + 0) / 2)


def test_a_predicate_without_truths_lowers_mean_recall_only_as_published():
    pictures = [(CAT_ON_DOG, found(CAT_ON_DOG, [[0, 1, ON]]))]
    assert figures(pictures)["mR@20"] == pytest.approx(1 / 3)
    assert figures(pictures, CORRECTED)["mR@20"] == 1


def test_zero_shot_recall_is_of_relations_whose_classes_never_met_in_training():
    truth = image_truth([LEFT, RIGHT, FAR], [CAT, DOG, MAN], [[0, 1, ON], [1, 0, ON], [2, 0, BY]])
    prediction = found(truth, [[0, 1, ON], [2, 0, BY]])
    known = [(CAT, ON, DOG), (CAT, ON, DOG), (MAN, EATS, CAT)]
    pictures = [(truth, prediction), (CAT_ON_DOG, nothing_predicted())]
    score = figures(pictures, train_triplets=known)
    # Dog on cat and man by cat are new; the second picture has nothing new and is no part of the mean.
    assert score["zR@20"] == score["zR@20 no constraint"] == 0.5
    assert score["R@20"] == pytest.approx((2 / 3 + 0) / 2)
    assert figures([(CAT_ON_DOG, nothing_predicted())], train_triplets=known)["zR@20"] is None
    assert not [name for name in figures(pictures) if name.startswith("zR")]


def test_training_triplets_outside_the_label_space_are_refused():
    with pytest.raises(ValueError, match=r"training triplet \(0, 3, 1\) is outside \(3, 3, 3\)"):
        SceneGraphEvaluator(SPACE, train_triplets=[(CAT, ON, DOG), (0, 3, 1)])


def test_pictures_without_true_relations_are_left_out_and_counted():
    evaluator = SceneGraphEvaluator(SPACE)
    evaluator.add(CAT_ON_DOG, found(CAT_ON_DOG, [[0, 1, ON]]))
    evaluator.add(NO_TRUTH, found(NO_TRUTH, [[0, 0, ON]]))
    assert (evaluator.score().figures["R@20"], evaluator.num_left_out) == (1, 1)


def test_silence_costs_recall_except_as_scene_graph_benchmark_counts():
    pictures = [(CAT_ON_DOG, found(CAT_ON_DOG, [[0, 1, ON]])), (CAT_ON_DOG, nothing_predicted())]
    assert [figures(pictures, chosen)["R@20"] for chosen in (OFFICIAL, CORRECTED, SCENE_GRAPH_BENCHMARK)] == [
        0.5,
        0.5,
        1,
    ]


def test_nothing_at_all_has_no_figures():
    score = scored([])
    assert set(score.figures.values()) == {None}
    assert [(row.name, row.value, row.num_truths) for row in score.classes] == [
        (name, None, 0) for name in SPACE.predicates
    ]


def test_there_is_a_row_a_predicate_with_its_recall_at_fifty():
    truth = image_truth([LEFT, RIGHT, FAR], [CAT, DOG, MAN], [[0, 1, ON], [0, 2, ON], [1, 2, BY]])
    score = scored([(truth, found(truth, [[0, 1, ON], [1, 2, EATS]]))])
    rows = [(row.name, row.measure, row.value, row.num_truths, row.num_predictions) for row in score.classes]
    assert rows == [("on", "R@50", 0.5, 2, 1), ("by", "R@50", 0.0, 1, 0), ("eats", "R@50", None, 0, 1)]


def test_figures_come_by_setting_then_measure_then_k_and_presets_start_with_the_official_one():
    names = list(figures([], train_triplets=[]))
    assert names[:4] == ["R@20", "R@50", "R@100", "mR@20"]
    assert names[6] == "zR@20"
    assert names[9] == "R@20 no constraint"
    assert next(iter(PRESETS.items())) == ("official", SceneGraphConventions())
    assert with_choices(OFFICIAL, {"mode": "predcls"}, benchmark="scene_graph").mode == "predcls"


# The published algorithm once more, as plain loops


def plain_iou(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0]) + 1
    height = min(one[3], other[3]) - max(one[1], other[1]) + 1
    if min(width, height) <= 0:
        return 0.0
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


def plain_around(boxes):
    return [min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)]


def plain_recalls(pictures, *, mode, constraint, known):
    """R, mR and zR at 20, 50 and 100 as the mean of the pictures' recalls; no two scores may be equal."""
    shares = defaultdict(list)
    for truth, prediction in pictures:
        boxes = truth.boxes if mode in ("predcls", "sgcls") else prediction.boxes
        labels = truth.labels if mode == "predcls" else prediction.labels
        sure = np.ones(len(boxes)) if mode == "predcls" else prediction.box_scores
        tables = defaultdict(dict)
        for (subject, object_, predicate), score in zip(prediction.relations.tolist(), prediction.scores, strict=True):
            tables[subject, object_][predicate] = score
        listed = []
        for (subject, object_), table in tables.items():
            both = sure[subject] * sure[object_]
            chosen = [max(table, key=table.get)] if constraint else table
            listed += [(both * table[predicate], subject, object_, predicate) for predicate in chosen]
        listed.sort(reverse=True)

        for k in (20, 50, 100):
            hits = []
            for subject, object_, predicate in truth.relations.tolist():
                ends = (truth.boxes[subject], truth.boxes[object_])
                classes = (truth.labels[subject], predicate, truth.labels[object_])
                hit = False
                for _, s, o, p in listed[:k]:
                    if mode == "phrdet":
                        near = plain_iou(plain_around(ends), plain_around((boxes[s], boxes[o]))) >= 0.5
                    else:
                        near = plain_iou(ends[0], boxes[s]) >= 0.5 and plain_iou(ends[1], boxes[o]) >= 0.5
                    hit = hit or (near and (labels[s], p, labels[o]) == classes)
                hits.append((hit, classes))
            groups = {"R": hits, "zR": [entry for entry in hits if entry[1] not in known]}
            groups |= {predicate: [entry for entry in hits if entry[1][1] == predicate] for predicate in range(3)}
            for name, entries in groups.items():
                if entries:
                    shares[name, k].append(sum(hit for hit, _ in entries) / len(entries))

    def averaged(name, k):
        return sum(shares[name, k]) / len(shares[name, k]) if shares[name, k] else None

    recalls = {f"{name}@{k}": averaged(name, k) for name in ("R", "zR") for k in (20, 50, 100)}
    for k in (20, 50, 100):
        values = [averaged(predicate, k) for predicate in range(3)]
        recalls[f"mR@{k}"] = sum(value or 0.0 for value in values) / 3 if any(v is not None for v in values) else None
    return recalls


@pytest.mark.parametrize("mode", ["sgdet", "sgcls", "predcls", "phrdet"])
@given(pictures=graphs(modes=True), data=st.data())
@settings(max_examples=25)
def test_the_evaluator_agrees_with_plain_loops(mode, pictures, data):
    known = data.draw(st.sets(st.tuples(*[st.integers(0, 2)] * 3), max_size=8))
    seed = data.draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    distinct = []
    for truth, prediction in pictures:
        if len(truth.relations):
            # Every pair with every predicate: more than the twentieth rank.
            count = len(truth.boxes)
            rows = np.stack(np.meshgrid(range(count), range(count), range(3)), axis=-1).reshape(-1, 3)
            scores, sure = rng.random(len(rows)) + 0.1, rng.random(count) + 0.1
            distinct.append((truth, replace(prediction, relations=rows, scores=scores, box_scores=sure)))
    score = figures(distinct, replace(OFFICIAL, mode=mode), known)
    for constraint, suffix in ((True, ""), (False, " no constraint")):
        for name, value in plain_recalls(distinct, mode=mode, constraint=constraint, known=known).items():
            assert score[name + suffix] == (None if value is None else pytest.approx(value, abs=1e-12))


# Laws


@pytest.mark.parametrize("mode", ["sgdet", "sgcls", "predcls", "phrdet"])
@given(pictures=graphs())
@SETTINGS
def test_a_perfect_prediction_scores_one_where_a_pair_has_one_predicate(mode, pictures):
    perfect = []
    for truth, _ in pictures:
        _, first = np.unique(truth.relations[:, :2], axis=0, return_index=True)
        single = replace(truth, relations=truth.relations[first])
        perfect.append((single, found(single, single.relations)))
    score = figures(perfect, replace(CORRECTED, mode=mode), [])
    some = any(len(truth.relations) for truth, _ in perfect)
    assert set(score.values()) == ({1.0} if some else {None})


@pytest.mark.parametrize("conventions", SAVED)
@given(pictures=graphs(), seed=st.integers(0, 1000), few=st.booleans())
@SETTINGS
def test_the_order_of_pictures_boxes_and_predictions_changes_nothing(conventions, pictures, seed, few):
    conventions = replace(conventions, max_relations=2) if few else conventions
    moved = [(truth, shuffled(prediction, seed)) for truth, prediction in pictures]
    assert figures(moved[::-1], conventions) == pytest.approx(figures(pictures, conventions), abs=1e-12)


@pytest.mark.parametrize("conventions", SAVED)
@given(pictures=graphs())
@SETTINGS
def test_scores_in_the_same_order_change_nothing(conventions, pictures):
    moved = [(truth, replace(prediction, scores=np.exp(prediction.scores))) for truth, prediction in pictures]
    assert scored(moved, conventions) == scored(pictures, conventions)


@pytest.mark.parametrize("conventions", SAVED)
@given(pictures=graphs())
@SETTINGS
def test_what_is_said_twice_of_the_same_pair_counts_once(conventions, pictures):
    doubled = [(truth, rows_of(said, np.repeat(np.arange(len(said.scores)), 2))) for truth, said in pictures]
    assert scored(doubled, conventions) == scored(pictures, conventions)


@given(pictures=graphs(), label=st.integers(0, 2), predicate=st.integers(0, 2), score=st.integers(1, 8))
@SETTINGS
def test_a_false_positive_never_raises_a_recall(pictures, label, predicate, score):
    """In any evaluator that does not leave out silent pictures, whatever the cap."""
    truth, prediction = pictures[0]
    count = len(prediction.boxes)
    worse = ImagePrediction(
        np.concatenate((prediction.boxes, [FAR, FARTHER])),
        np.append(prediction.labels, [label, label]),
        np.append(prediction.box_scores, [1.0, 1.0]),
        np.concatenate((prediction.relations, [[count, count + 1, predicate]])),
        np.append(prediction.scores, score / 8),
    )
    few = replace(OFFICIAL, max_relations=3)
    before, after = figures(pictures, few), figures([(truth, worse), *pictures[1:]], few)
    assert all(before[name] is None or after[name] <= before[name] + 1e-15 for name in before)


@given(pictures=graphs())
@SETTINGS
def test_recall_rises_with_k(pictures):
    score = figures(pictures)
    for name in ("R@{}", "mR@{}", "R@{} no constraint", "mR@{} no constraint"):
        values = [score[name.format(k)] for k in (20, 50, 100)]
        assert values == [None] * 3 or values == sorted(values)
