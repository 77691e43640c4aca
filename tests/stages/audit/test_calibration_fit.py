"""Fitting calibrations: what counts as right, the two methods, families, and the figures on what was held out."""

import json
import math
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import BadInputError, Image, Region, Relation, Scene, UserError
from schemas.audit import AuditItem, AuditSample, Place, Stratum, Verdict
from stages.audit.calibration import (
    CalibrationConfig,
    Observation,
    equalised,
    fit_calibration,
    read_families,
    sample_observations,
    scene_observations,
)
from stages.audit.calibration.families import family_names
from stages.audit.calibration.figures import measured
from stages.audit.calibration.fit import folds_of
from stages.audit.calibration.isotonic import PooledIsotonic
from stages.audit.calibration.logistic import PooledLogistic
from stages.evaluate.calibration import brier_score, expected_calibration_error
from stages.evaluate.label_quality import LabelQuality
from stages.evaluate.label_score import Bootstrap, LabelConventions
from stages.tag.calibration import LEAST, Calibration, LogisticMap

FEW = {"num_resamples": 20}


def columns(*labels):
    """Scores, right and weights; a label without a weight has 1."""
    return tuple(
        np.array(column, dtype=np.float64) for column in zip(*((*label, 1)[:3] for label in labels), strict=True)
    )


def logit(score):
    return np.log(score / (1 - score))


def drawn(count: int, right, *, seed: int, predicate: str = "ride", pictures: int = 200, kind: str = "tagger"):
    """Labels with even scores, each right with the probability that `right` gives."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        score = round(chance.uniform(0.02, 0.98), 6)
        key = f"made-{chance.randrange(pictures)}"
        found.append(Observation(kind, key, predicate, score, float(chance.random() < right(score))))
    return found


def sharp(score):
    return 1 / (1 + math.exp(-(0.5 + 2 * math.log(score / (1 - score)))))


# What counts as right


def scene(*relations, key: str = "made-0") -> Scene:
    regions = tuple(Region(i, "person", (float(i), 0.0, i + 5.0, 9.0)) for i in range(4))
    return Scene(key, Image("0.jpg"), regions, relations=relations)


def label(subject, predicate, object_, score, source="tagger"):
    return Relation(subject, object_, predicate, predicate, score, source)


def human(subject, predicate, object_, state="asserted"):
    return Relation(subject, object_, predicate, predicate, 1.0, "human", state=state)


MIXED = scene(
    label(0, "ride", 1, 0.9), label(0, "lead", 1, 0.4), label(1, "ride", 2, 0.3), label(2, "hold", 3, 0.2),
    label(0, "ride", 1, 0.7, "caption"), label(0, "ride", 1, 0.8, "caption"),
    human(0, "ride", 1), human(1, "ride", 2, "denied"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("truth", "expected"),
    [
        ("closed", {(0.9, 1), (0.4, 0), (0.3, 0), (0.2, 0)}),
        ("spoken_pairs", {(0.9, 1), (0.4, 0), (0.3, 0)}),
        ("judged", {(0.9, 1), (0.3, 0)}),
    ],
)
def test_labels_are_right_if_people_assert_them_and_wrong_as_the_truth_says(truth, expected):
    found = scene_observations(MIXED, truth)
    assert {(one.score, one.right) for one in found if one.kind == "tagger"} == expected


def test_a_triplet_that_a_source_says_twice_counts_once_with_its_best_score():
    assert [(one.score, one.right) for one in scene_observations(MIXED) if one.kind == "caption"] == [(0.8, 1.0)]


def test_a_scene_of_which_people_only_deny_counts_where_only_what_is_judged_does():
    one = scene(label(0, "ride", 1, 0.9), human(0, "ride", 1, "denied"))
    assert scene_observations(one) == []
    assert scene_observations(one, "judged") == [Observation("tagger", "made-0", "ride", 0.9, 0.0)]


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from(["ride", "lead"]), st.integers(0, 3), st.floats(0, 1),
            st.sampled_from(["tagger", "asserted", "denied"]),
        ),
        min_size=1,
    ),
    st.sampled_from(["closed", "spoken_pairs"]),
)  # fmt: skip
def test_right_is_what_evaluate_labels_calls_a_hit(rows, truth):
    one = scene(
        *(
            label(s, predicate, o, score) if what == "tagger" else human(s, predicate, o, what)
            for s, predicate, o, score, what in rows
        )
    )
    found = scene_observations(one, truth)
    quality = LabelQuality(LabelConventions(truth=truth))
    quality.add(one)
    row = quality.score(Bootstrap(num_resamples=1, num_ap_resamples=1)).overall
    assert (len(found), sum(one.right for one in found)) == (row.num_labels, row.num_matched)
    if found:
        scores, right, weights = columns(*((one.score, one.right) for one in found))
        figures = measured(scores, right, weights, np.zeros(len(found), dtype=np.int64), num_resamples=1, seed=0)
        assert figures.ece_width.value == pytest.approx(row.ece_width.value, abs=1e-6)
        assert figures.brier.value == pytest.approx(row.brier.value, abs=1e-6)


def sample(*items: tuple[int, str]) -> tuple[AuditSample, list[AuditItem]]:
    """Of (stratum, source) each; two strata, of which an item stands for 10 and for 2 labels if all are judged."""
    box, place = (0.0, 0.0, 1.0, 1.0), Place(0, 1, 2)
    made = [
        AuditItem(
            i, stratum, f"made-{i}", 0, "shard", None, place, 9, 9, 0, "person", box, "ride", 1, "horse", box, "rides",
            i / 10, None, source,
        )
        for i, (stratum, source) in enumerate(items)
    ]  # fmt: skip
    counts = [sum(stratum == place for stratum, _ in items) for place in (0, 1)]
    strata = (Stratum({"predicate": "ride"}, 10 * counts[0], counts[0]), Stratum({}, 2 * counts[1], counts[1]))
    whole = AuditSample("out", 1, "0", 0, ("predicate",), None, 99, strata, len(made))
    return whole, made


def test_verdicts_say_what_is_right_by_the_share_of_auditors_who_are_sure():
    whole, items = sample((0, "tagger"), (0, "tagger"), (1, "tagger"), (1, "tagger"), (1, "human"))
    said = [
        Verdict(0, "ann", "right"), Verdict(0, "bob", "wrong box"), Verdict(1, "ann", "unsure"),
        Verdict(1, "bob", "right"), Verdict(2, "ann", "wrong"), Verdict(2, "ann", "right"), Verdict(3, "ann", "unsure"),
        Verdict(4, "ann", "right"),
    ]  # fmt: skip
    found = {one.key: (one.score, one.right, one.weight) for one in sample_observations(whole, items, said)}
    # Of the six labels of the second stratum two items are judged, of which one is people's.
    assert found == {"made-0": (0.0, 0.5, 10.0), "made-1": (0.1, 1.0, 10.0), "made-2": (0.2, 1.0, 3.0)}


def test_sources_weigh_as_many_labels_as_they_are_worth():
    one = Observation("tagger", "made-0", "ride", 0.5, 1.0)
    assert [each.weight for each in equalised([replace(one, weight=1e6)] * 3)] == pytest.approx([1, 1, 1])
    # (1 + 3)^2 / (1 + 9) = 1.6 labels.
    assert [each.weight for each in equalised([one, replace(one, weight=3.0)])] == pytest.approx([0.4, 1.2])
    assert equalised([]) == []


# Logistic


def test_without_a_prior_a_family_has_the_fit_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    labels = drawn(300, sharp, seed=1)
    scores, right, weights = columns(*((one.score, one.right, 1 + one.score) for one in labels))
    found = PooledLogistic(scores, right, weights).family(scores, right, weights, strength=1e-9)
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(scores)[:, None], right, sample_weight=weights)
    assert found.slope == pytest.approx(theirs.coef_[0, 0], abs=1e-4)
    assert found.intercept == pytest.approx(theirs.intercept_[0], abs=1e-4)


def test_what_the_scores_were_made_from_is_found_again():
    scores, right, weights = columns(*((one.score, one.right) for one in drawn(20_000, sharp, seed=2)))
    found = PooledLogistic(scores, right, weights).map
    assert (found.intercept, found.slope) == (pytest.approx(0.5, abs=0.1), pytest.approx(2.0, abs=0.1))


def test_where_better_scores_are_worse_the_map_is_level_at_the_share_of_right_ones():
    labels = columns((0.2, 1), (0.3, 1), (0.4, 1), (0.6, 0), (0.7, 1), (0.8, 0))
    found = PooledLogistic(*labels).family(*labels, strength=1e-9)
    assert found.slope == 0.0
    assert found(np.array([0.1, 0.9])) == pytest.approx([4 / 6, 4 / 6], abs=1e-5)


def test_labels_that_are_all_right_do_not_make_a_certainty():
    found = PooledLogistic(*columns(*((score, 1) for score in (0.2, 0.4, 0.6, 0.8))))
    # Platt's targets: (4 + 1) / (4 + 2).
    assert found.map(np.array([0.4, 0.6])).mean() == pytest.approx(5 / 6, abs=0.05)


def test_equal_scores_leave_the_slope_at_one_and_meet_the_share_of_right_ones():
    found = PooledLogistic(*columns(*[(0.5, 1)] * 300, *[(0.5, 0)] * 100)).map
    assert found.slope == pytest.approx(1.0)
    assert found(np.array([0.5]))[0] == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("kind", [PooledLogistic, PooledIsotonic])
def test_a_label_of_weight_two_is_two_labels(kind):
    once = columns((0.2, 0, 1), (0.3, 1, 2), (0.6, 0, 2), (0.7, 1, 1))
    twice = columns((0.2, 0), (0.3, 1), (0.3, 1), (0.6, 0), (0.6, 0), (0.7, 1))
    assert kind(*once).map == kind(*twice).map
    assert kind(*once).family(*once, strength=3.0) == kind(*once).family(*twice, strength=3.0)


@pytest.mark.parametrize("kind", [PooledLogistic, PooledIsotonic])
def test_the_weaker_the_pooling_and_the_more_the_labels_the_farther_is_a_family_from_all(kind):
    all_ = columns(*((one.score, one.right) for one in drawn(2000, sharp, seed=3)))
    pooled = kind(*all_)
    at = np.array([0.5])

    def distance(count, strength):
        wrong = columns(*((0.3 + 0.4 * i / count, 0) for i in range(count)))
        return float(pooled.map(at)[0] - pooled.family(*wrong, strength=strength)(at)[0])

    by_strength = [distance(50, strength) for strength in (1e9, 100, 10, 1)]
    assert by_strength[0] == pytest.approx(0, abs=1e-5)
    assert by_strength == sorted(by_strength)
    by_number = [distance(count, 30) for count in (5, 50, 500)]
    assert by_number == sorted(by_number)
    assert by_number[-1] > 0.3


# Isotonic


def test_an_isotonic_map_worked_out_by_hand():
    # At the ends a right and a wrong label more: 1 of 4 is right below, 3 of 4 above.
    labels = columns((0.1, 0), (0.2, 0), (0.3, 0), (0.7, 1), (0.8, 1), (0.9, 1))
    found = PooledIsotonic(*labels).map
    assert found.scores == (0.1, 0.3, 0.7, 0.9)
    assert found.probabilities == (0.25, 0.25, 0.75, 0.75)


def test_a_family_is_mixed_with_all_by_its_number_of_labels():
    labels = columns((0.1, 0), (0.2, 0), (0.3, 0), (0.7, 1), (0.8, 1), (0.9, 1))
    # Two labels, all right, and the map of all as six: (2 * 1 + 6 * 0.25) / 8 and (2 * 1 + 6 * 0.75) / 8.
    found = PooledIsotonic(*labels).family(*columns((0.2, 1), (0.8, 1)), strength=6.0)
    assert found(np.array([0.1, 0.2, 0.3, 0.8, 0.9])).tolist() == [0.4375, 0.4375, 0.4375, 0.8125, 0.8125]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 100)), min_size=1, max_size=30),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 100)), min_size=1, max_size=30),
    st.floats(0.1, 1000),
    st.sampled_from([PooledLogistic, PooledIsotonic]),
)
def test_every_map_rises_and_stays_inside(labels, members, strength, kind):
    pooled = kind(*columns(*((round(s, 6), r, w) for s, r, w in labels)))
    grid = np.linspace(0, 1, 101)
    for found in (pooled.map, pooled.family(*columns(*members), strength=strength)):
        at = found(grid)
        assert (np.diff(at) >= 0).all()
        assert at.min() >= LEAST
        assert at.max() <= 1 - LEAST


# Figures


def test_figures_are_those_of_evaluate_and_weights_are_numbers_of_labels():
    labels = drawn(200, sharp, seed=4)
    scores, right, _ = columns(*((one.score, one.right) for one in labels))
    pictures = np.arange(200) // 2
    figures = measured(scores, right, np.ones(200), pictures, num_resamples=50, seed=0)
    hits = right > 0
    assert figures.ece_width.value == pytest.approx(expected_calibration_error(scores, hits), abs=1e-6)
    assert figures.ece_mass.value == pytest.approx(expected_calibration_error(scores, hits, binning="mass"), abs=1e-6)
    assert figures.brier.value == pytest.approx(brier_score(scores, hits), abs=1e-6)
    assert figures.log_loss.value == pytest.approx(-np.mean(np.log(np.where(hits, scores, 1 - scores))), abs=1e-6)
    low, high = figures.brier.interval_95
    assert low < figures.brier.value < high
    twice = measured(
        np.append(scores, scores[:100]), np.append(right, right[:100]), np.ones(300),
        np.append(pictures, pictures[:100]), num_resamples=1, seed=0,
    )  # fmt: skip
    weighted = measured(scores, right, np.where(np.arange(200) < 100, 2.0, 1.0), pictures, num_resamples=1, seed=0)
    assert weighted.brier.value == twice.brier.value
    assert weighted.ece_width.value == twice.ece_width.value


def test_one_picture_has_no_interval():
    figures = measured(*columns((0.5, 1), (0.5, 0)), np.zeros(2, dtype=np.int64), num_resamples=50, seed=0)
    assert (figures.brier.value, figures.brier.interval_95) == (0.25, None)


# All together


def test_held_out_labels_tell_how_far_off_labels_of_new_pictures_will_be():
    found, few = fit_calibration(drawn(3000, sharp, seed=5), CalibrationConfig(**FEW))
    kind = found.kinds["tagger"]
    before, after = kind.figures["before"], kind.figures["after"]
    assert few == {}
    assert before["ece_width"]["value"] > 0.1
    assert after["ece_width"]["value"] < 0.03
    assert after["log_loss"]["value"] < before["log_loss"]["value"]
    fresh = drawn(3000, sharp, seed=6)
    probabilities = np.array([kind.probability(one.predicate, one.score) for one in fresh])
    hits = np.array([one.right > 0 for one in fresh])
    assert expected_calibration_error(probabilities, hits) < 0.03
    assert brier_score(probabilities, hits) == pytest.approx(after["brier"]["value"], abs=0.02)


def test_the_method_with_the_lower_loss_is_taken_unless_one_is_asked_for():
    def steps(score):
        return 0.1 if score < 0.45 else 0.5 if score < 0.55 else 0.97

    logistic, _ = fit_calibration(drawn(2000, sharp, seed=7), CalibrationConfig(**FEW))
    isotonic, _ = fit_calibration(drawn(2000, steps, seed=8), CalibrationConfig(**FEW))
    asked, _ = fit_calibration(drawn(2000, steps, seed=8), CalibrationConfig(method="logistic", **FEW))
    assert [one.kinds["tagger"].method for one in (logistic, isotonic, asked)] == ["logistic", "isotonic", "logistic"]
    tried = isotonic.kinds["tagger"].figures["tried"]
    best = min(tried, key=lambda one: one["log_loss"])
    kind = isotonic.kinds["tagger"]
    assert (best["method"], best["strength"]) == (kind.method, kind.strength)
    assert {one["method"] for one in asked.kinds["tagger"].figures["tried"]} == {"logistic"}


@pytest.mark.parametrize("method", ["logistic", "isotonic"])
def test_predicates_that_differ_get_maps_of_their_own_and_rare_ones_share(method):
    labels = [
        *drawn(400, lambda _: 0.9, seed=9, predicate="wear"),
        *drawn(400, lambda _: 0.2, seed=10, predicate="throw"),
        *drawn(29, lambda _: 0.2, seed=11, predicate="kick"),
    ]
    found, _ = fit_calibration(labels, CalibrationConfig(method=method, **FEW))
    kind = found.kinds["tagger"]
    assert list(kind.families) == ["throw", "wear"]
    assert (kind.families["wear"].num_labels, kind.num_labels) == (400, 829)
    assert kind.families["wear"].share_right == pytest.approx(0.9, abs=0.05)
    assert kind.probability("wear", 0.5) == pytest.approx(0.9, abs=0.07)
    assert kind.probability("throw", 0.5) == pytest.approx(0.2, abs=0.07)
    assert kind.probability("kick", 0.5) == kind.probability("never seen", 0.5)
    none, _ = fit_calibration(labels, CalibrationConfig(method=method, families="none", **FEW))
    assert none.kinds["tagger"].families == {}
    assert none.kinds["tagger"].figures["after"]["brier"]["value"] > kind.figures["after"]["brier"]["value"] + 0.05


def test_predicates_that_do_not_differ_are_pooled():
    labels = [one for i in range(8) for one in drawn(100, sharp, seed=20 + i, predicate=f"verb {i}")]
    kind = fit_calibration(labels, CalibrationConfig(method="logistic", **FEW))[0].kinds["tagger"]
    assert kind.strength is None or kind.strength >= 10


def test_families_of_a_file_are_counted_together():
    predicates = ["ride"] * 20 + ["walk"] * 20 + ["hold"] * 29 + ["wear"] * 40
    families = {"ride": "motion", "walk": "motion", "hold": "hands", "unseen": "motion"}
    assert family_names(predicates, families) == {"ride": "motion", "walk": "motion", "unseen": "motion"}
    assert family_names(predicates, "predicate") == {"wear": "wear"}
    assert family_names(predicates, "none") == {}


def test_each_kind_of_labels_is_fitted_by_itself_and_one_with_few_is_told():
    labels = [
        *drawn(300, sharp, seed=12),
        *drawn(300, lambda _: 0.5, seed=13, kind="caption"),
        *drawn(20, sharp, seed=14, kind="geometry"),
    ]
    found, few = fit_calibration(labels, CalibrationConfig(**FEW))
    assert sorted(found.kinds) == ["caption", "tagger"]
    assert few == {"geometry": 20}
    assert found.kinds["caption"].probability("ride", 0.95) < 0.8 < found.kinds["tagger"].probability("ride", 0.95)


def test_equal_labels_in_any_order_give_equal_bytes_and_another_seed_other_folds():
    labels = drawn(400, sharp, seed=15)
    mixed = random.Random(0).sample(labels, len(labels))
    one, other = (
        fit_calibration(each, CalibrationConfig(**FEW), taggers=["b", "a"], note=1)[0] for each in (labels, mixed)
    )
    assert one.to_json() == other.to_json()
    assert Calibration.from_json(one.to_json()) == one
    assert (one.taggers, one.fitted) == (("a", "b"), {"note": 1})
    assert fit_calibration(labels, CalibrationConfig(seed=1, **FEW))[0].to_json() != one.to_json()


def test_folds_take_whole_pictures_and_are_of_equal_size():
    keys = [f"made-{i}" for i in range(23)]
    folds = folds_of([*keys, *keys], num_folds=5, seed=0)
    assert sorted(Counter(folds.values()).values()) == [4, 4, 5, 5, 5]
    assert folds == folds_of(reversed(keys), num_folds=5, seed=0) != folds_of(keys, num_folds=5, seed=1)


def test_what_a_fold_holds_out_is_not_learned_from():
    """In each picture labels have one score and one truth, both by chance: who saw the others knows it."""
    chance = random.Random(16)
    truths = [(chance.uniform(0.1, 0.9), float(chance.random() < 0.5)) for _ in range(20)]
    labels = [
        Observation("tagger", f"made-{i}", f"verb {i}", *truth) for i, truth in enumerate(truths) for _ in range(30)
    ]
    kind = fit_calibration(labels, CalibrationConfig(method="logistic", **FEW))[0].kinds["tagger"]
    # Each picture has a predicate of its own, so maps of families would tell all, if a fit had them.
    assert len(kind.families) in {0, 20}
    assert kind.figures["after"]["log_loss"]["value"] > 0.65


def test_too_few_labels_or_pictures_are_refused():
    with pytest.raises(BadInputError, match=r"right: 29 of tagger; a calibration needs 30 in 5 pictures; judge more"):
        fit_calibration(drawn(29, sharp, seed=17), CalibrationConfig())
    with pytest.raises(BadInputError, match="too few labels"):
        fit_calibration(drawn(300, sharp, seed=17, pictures=4), CalibrationConfig())
    with pytest.raises(BadInputError, match="right: none"):
        fit_calibration([], CalibrationConfig())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "magic"}, "--method magic: give one of logistic, isotonic"),
        ({"holdout": 0.5}, "--holdout 0.5: give a share of the pictures from 0.05 to 0.33"),
        ({"holdout": 0.0}, "--holdout 0: give"),
        ({"seed": -1}, "seed is -1; give 0 or more"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        CalibrationConfig(**changes)


def test_a_file_of_families_is_read_or_refused_by_name(tmp_path):
    path = tmp_path / "families.json"
    for text, message in (
        ("[1]", "expected an object of predicates"),
        ("{}", "expected an object of predicates"),
        ('{"ride": 3}', "the family of 'ride' is 3; expected a name"),
        ("{", "not valid JSON"),
    ):
        path.write_text(text)
        with pytest.raises(BadInputError, match=rf"families\.json: {message}"):
            read_families(path)
    path.write_text(json.dumps({"ride": "motion"}))
    assert read_families(path) == {"ride": "motion"}
    with pytest.raises(BadInputError, match="nowhere: no such file; give predicate, none, or a JSON file"):
        read_families(tmp_path / "nowhere")


def test_a_score_out_of_range_is_named():
    with pytest.raises(BadInputError, match=r"made-0: a label has the score 1\.5"):
        scene_observations(scene(label(0, "ride", 1, 1.5), human(0, "ride", 1)))


def test_the_written_numbers_are_the_ones_that_are_used():
    found = PooledLogistic(*columns((0.2, 0), (0.4, 1), (0.7, 1))).map
    assert LogisticMap(round(found.intercept, 6), round(found.slope, 6)) == found
