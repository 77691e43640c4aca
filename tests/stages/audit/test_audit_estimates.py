"""Intervals hold what they say, weights undo unequal sampling, and figures are those worked out by hand."""

import json

import numpy as np
import pytest
from audit_figures_made import item, judged, said, sample
from hypothesis import given
from hypothesis import strategies as st

from schemas import BadInputError
from stages.audit.estimates import FEWEST_FOR_INTERVAL, precision, share, unjudged_strata, weights, wilson
from stages.audit.figures import audit_figures
from stages.audit.judged import judged_items
from stages.audit.reliability import reliability, tenth_name, tenths
from stages.audit.thresholds import thresholds
from stages.evaluate.calibration import brier_score, expected_calibration_error

AUDITS = 1000


def sizes(number, *, spread, seed=1):
    """Strata of uneven size, 20 to some thousands."""
    return np.rint(np.exp(np.random.default_rng(seed).normal(6, spread, number))).astype(int) + 20


def simulated(population, precisions, drawn, *, seed=7):
    """Estimates and intervals of a thousand audits of strata whose precision is known, and the true precision."""
    population, drawn = np.asarray(population), np.minimum(drawn, population)
    right = np.rint(np.asarray(precisions) * population).astype(int)
    draw = np.random.default_rng(seed)
    found = np.stack(
        [draw.hypergeometric(r, n - r, d, AUDITS) for r, n, d in zip(right, population, drawn, strict=True)], axis=1
    )
    strata = np.repeat(np.arange(len(population)), drawn)
    place = np.concatenate([np.arange(number) for number in drawn])
    shares = [precision(judged(place < hits[strata], strata, population)) for hits in found]
    values = np.array([one.estimate.value for one in shares])
    intervals = np.array([one.estimate.interval for one in shares])
    return values, intervals, right.sum() / population.sum()


def coverage(intervals, truth):
    return np.mean((intervals[:, 0] <= truth + 1e-12) & (truth - 1e-12 <= intervals[:, 1]))


UNEVEN = sizes(20, spread=1.2)
MANY = sizes(200, spread=1.0)
POPULATIONS = {
    # name: relations of each stratum, precision of each, drawn of each
    "even, precision near 0": (np.full(10, 5000), np.full(10, 0.02), np.full(10, 40)),
    "even, in the middle": (np.full(10, 5000), np.full(10, 0.5), np.full(10, 40)),
    "even, near 1": (np.full(10, 5000), np.full(10, 0.98), np.full(10, 40)),
    "one stratum": ([100_000], [0.9], [100]),
    "unequal, near 0": (UNEVEN, np.full(20, 0.02), np.full(20, 20)),
    "unequal, in the middle": (UNEVEN, np.full(20, 0.6), np.full(20, 20)),
    "unequal, near 1": (UNEVEN, np.full(20, 0.97), np.full(20, 20)),
    "unequal, strata differ": (UNEVEN, np.linspace(0.02, 0.98, 20), np.full(20, 20)),
    "few of the largest": ([5000, 5000], [0.95, 0.4], [180, 20]),
    "two items a stratum, near 0": (MANY, np.full(200, 0.02), np.full(200, 2)),
    "two items a stratum, in the middle": (MANY, np.full(200, 0.5), np.full(200, 2)),
    "two items a stratum, near 1": (MANY, np.full(200, 0.98), np.full(200, 2)),
    "two items a stratum, strata differ": (MANY, np.linspace(0.2, 1, 200), np.full(200, 2)),
    "one item in every third stratum": (MANY, np.full(200, 0.8), np.where(np.arange(200) % 3, 2, 1)),
    "drawn nearly whole": (np.full(40, 12), np.tile([1, 0.75, 0.5, 0.917], 10), np.full(40, 10)),
    "in proportion, two at least": (UNEVEN, np.linspace(0.99, 0.6, 20), np.maximum(2, UNEVEN * 400 // UNEVEN.sum())),
}


@pytest.mark.parametrize("name", POPULATIONS)
def test_95_percent_intervals_cover_93_to_97_percent(name):
    values, intervals, truth = simulated(*POPULATIONS[name])
    assert 0.93 <= coverage(intervals, truth) <= 0.97
    # Unbiased: the mean of a thousand is within four of its standard errors.
    assert abs(values.mean() - truth) <= 4 * values.std() / AUDITS**0.5
    assert (intervals[:, 0] <= values).all()
    assert (values <= intervals[:, 1]).all()


def test_a_heavy_stratum_that_is_better_than_the_others_makes_intervals_wide_never_narrow():
    """The known weakness: seven items stand for half of the population, and the others are not like them."""
    population, precisions = np.array([10_000] + [500] * 19), np.array([0.95, *np.linspace(0.3, 0.9, 19)])
    _, intervals, truth = simulated(population, precisions, np.full(20, 7))
    assert coverage(intervals, truth) >= 0.97
    assert 0.1 < (intervals[:, 1] - intervals[:, 0]).mean() < 0.3


def test_weights_undo_unequal_sampling_where_a_plain_mean_does_not():
    population, precisions, drawn = np.array([10_000, 100]), np.array([0.9, 0.1]), np.array([50, 50])
    values, _, truth = simulated(population, precisions, drawn)
    assert truth == pytest.approx(0.892, abs=1e-3)
    assert values.mean() == pytest.approx(truth, abs=0.004)
    assert (drawn * precisions).sum() / drawn.sum() == 0.5


def test_intervals_hold_where_judging_stopped_early():
    """The first 150 of 400 items, and of these a domain that cuts through the strata."""
    draw = np.random.default_rng(5)
    population = sizes(20, spread=0.7)
    strata = np.repeat(np.arange(20), population)
    chances = draw.uniform(0.3, 0.95, 20)[strata]
    scores = draw.random(len(strata))
    right = draw.random(len(strata)) < chances
    starts = np.cumsum(population) - population
    covered, high = [], []
    for _ in range(AUDITS):
        drawn = np.concatenate([starts[h] + draw.choice(population[h], 20, replace=False) for h in range(20)])
        drawn = draw.permutation(drawn)[:150]
        part = judged(right[drawn], strata[drawn], population)
        there = ~np.isin(strata, unjudged_strata(part)[0])
        low, up = precision(part).estimate.interval
        covered.append(low <= right[there].mean() <= up)
        low, up = precision(part, scores[drawn] > 0.5).estimate.interval
        high.append(low <= right[there & (scores > 0.5)].mean() <= up)
    assert 0.93 <= np.mean(covered) <= 0.97
    assert 0.93 <= np.mean(high) <= 0.98


def test_a_domain_varies_with_how_much_of_each_stratum_is_in_it():
    """All of one stratum is right, nothing of the other; half of each is in the domain, which a sample has to find."""
    draw, strata = np.random.default_rng(4), np.repeat([0, 1], 40)
    covered = []
    for _ in range(AUDITS):
        inside = np.concatenate([np.arange(40) < draw.hypergeometric(500, 500, 40) for _ in range(2)])
        found = precision(judged(strata == 0, strata, [1000, 1000]), inside).estimate
        covered.append(found.interval[0] <= 0.5 <= found.interval[1])
    assert 0.93 <= np.mean(covered) <= 0.98


def test_a_share_is_worked_out_by_hand():
    """300 relations with 1 of 2 right and 100 with 2 of 2: (300 x 0.5 + 100 x 1) / 400."""
    part = judged([1, 0, 1, 1], [0, 0, 1, 1], [300, 100])
    assert weights(part).tolist() == [150, 150, 50, 50]
    found = precision(part)
    assert (found.estimate.value, found.num, found.population) == (0.625, 4, 400)
    assert found.estimate.interval is None, "fewer than five items"
    first = precision(part, np.array([True, False, False, True]))
    assert (first.estimate.value, first.population) == (1.0, 200)
    assert precision(part, np.zeros(4, dtype=bool)).estimate.value is None


def test_one_stratum_of_very_many_gives_wilsons_interval():
    """With 1,000 of 10^9 the squeezing, the correction and Student's quantile hardly matter."""
    found = precision(judged([1] * 900 + [0] * 100, [0] * 1000, [10**9])).estimate
    assert found.interval == pytest.approx(wilson(0.9, 1000, 1.959964), abs=2e-4)
    assert wilson(0.9, 10, 1.959964) == pytest.approx((0.59585, 0.98212), abs=1e-5)  # Newcombe 1998's method 3


def test_all_right_is_not_certain_unless_all_was_judged():
    part = judged([1] * 20, [0] * 10 + [1] * 10, [1000, 10])
    low, high = precision(part).estimate.interval
    assert 0.6 < low < 0.9
    assert high == 1.0
    whole = precision(judged([1, 1, 1, 0, 1], [0] * 5, [5])).estimate
    assert whole.value == pytest.approx(0.8)
    assert whole.interval == (whole.value, whole.value)


def test_nothing_of_many_items_is_right():
    low, high = precision(judged([0] * 50, list(range(25)) * 2, [100] * 25)).estimate.interval
    assert low == 0.0
    assert 0.02 < high < 0.12


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=40),
       st.integers(0, 2**32 - 1))  # fmt: skip
def test_a_share_lies_in_its_interval_and_does_not_depend_on_the_order(found, seed):
    strata = np.array([stratum for stratum, _ in found])
    right = np.array([value for _, value in found])
    population = np.bincount(strata, minlength=4) + 3
    one = share(judged(right, strata, population), right).estimate
    order = np.random.default_rng(seed).permutation(len(found))
    other = share(judged(right[order], strata[order], population), right[order]).estimate
    assert other.value == pytest.approx(one.value)
    assert (one.interval is None) == (len(found) < FEWEST_FOR_INTERVAL)
    if one.interval is not None:
        assert other.interval == pytest.approx(one.interval)
        assert 0 <= one.interval[0] <= one.value + 1e-12
        assert one.value - 1e-12 <= one.interval[1] <= 1


def test_verdicts_become_shares_and_unsure_ones_are_left_out():
    drawn = sample([(50, 4), (30, 2)])
    items = [item(i, stratum) for i, stratum in enumerate([0, 0, 0, 0, 1, 1])]
    verdicts = said(
        ann={0: "right", 1: "wrong box", 2: "unsure", 4: "unsure"},
        bob={0: "right", 1: "right", 2: "unsure", 4: "wrong"},
    )
    part = judged_items(drawn, items, verdicts)
    assert part.numbers.tolist() == [0, 1, 4]
    assert part.right.tolist() == [1.0, 0.5, 0.0]
    assert part.num_unsure == 1
    # Stratum 0: (1 + 0.5) / 2 of 50; stratum 1: 0 of 30.
    assert precision(part).estimate.value == pytest.approx(0.75 * 50 / 80)

    figures = audit_figures(drawn, items, verdicts, wanted=0.9)
    assert figures["progress"]["judged"] == 3
    assert figures["progress"]["unseen"] == 2
    assert figures["kinds"]["wrong box"]["value"] == pytest.approx(0.25 * 50 / 80)
    assert figures["kinds"]["wrong"]["value"] == pytest.approx(30 / 80)
    assert sum(kind["value"] for kind in figures["kinds"].values()) == pytest.approx(1)
    json.dumps(figures, allow_nan=False)


def test_strata_without_a_judged_item_are_named_with_their_share():
    drawn = sample([(50, 2), (30, 1), (20, 1)])
    items = [item(0, 0), item(1, 0), item(2, 1), item(3, 2, score=0.8)]
    figures = audit_figures(drawn, items, said(ann={0: "right", 1: "wrong", 2: "unsure"}), wanted=0.9)
    assert figures["unjudged"]["share"] == pytest.approx(0.5)
    assert [stratum["values"] for stratum in figures["unjudged"]["strata"]] == [
        {"predicate": "p1"}, {"predicate": "p2"},
    ]  # fmt: skip
    assert figures["precision"]["value"] == 0.5
    assert figures["precision"]["population"] == 50


def test_tables_put_the_worst_predicate_first_and_the_hardly_judged_last():
    names = ["ride"] * 6 + ["hold"] * 6 + ["eat"]
    items = [item(i, predicate=name, score=0.05 + 0.07 * i) for i, name in enumerate(names)]
    verdicts = said(ann={i: "right" if i in {0, 1, 2, 3, 6} else "wrong" for i in range(13)})
    figures = audit_figures(sample([(500, 13)]), items, verdicts, wanted=0.9)
    rows = [(row["name"], row["judged"], row["interval_95"] is None) for row in figures["by"]["predicate"]]
    assert rows == [("hold", 6, False), ("ride", 6, False), ("eat", 1, True)]
    assert [row["name"] for row in figures["by"]["score"]][:2] == ["0.0-0.1", "0.1-0.2"]
    assert sum(row["population"] for row in figures["by"]["score"]) == pytest.approx(500)


def test_nothing_but_unsure_gives_no_figure():
    figures = audit_figures(sample([(9, 2)]), [item(0), item(1)], said(ann={0: "unsure"}), wanted=0.9)
    assert figures["precision"]["value"] is None
    assert figures["reliability"] == {"score": None, "probability": None}
    assert figures["thresholds"]["surely"] is None
    assert figures["by"] == {"predicate": [], "source": [], "score": [], "stratum": []}


def test_calibration_equals_the_plain_one_where_all_weigh_the_same():
    draw = np.random.default_rng(2)
    scores = draw.uniform(0.01, 0.99, 200)
    right = draw.random(200) < scores**2
    items = [item(i, score=float(score), probability=float(score**2)) for i, score in enumerate(scores)]
    part = judged(right, [0] * 200, [10_000])
    found = reliability(part, items)
    assert found.expected_calibration_error == pytest.approx(expected_calibration_error(scores, right))
    assert found.brier_score == pytest.approx(brier_score(scores, right))
    assert sum(bin_.precision.num for bin_ in found.bins) == 200
    better = reliability(part, items, "probability")
    assert better.expected_calibration_error < found.expected_calibration_error


def test_calibration_weighs_items_by_what_they_stand_for():
    """Score 0.2 stands for 90 relations, all wrong; 0.8 for 10, half of them right."""
    items = [item(0, score=0.2), item(1, score=0.8), item(2, 1, score=0.8), item(3, 1, score=0.8)]
    part = judged([0, 0.5, 0.5, 0.5], [0, 1, 1, 1], [90, 10])
    found = reliability(part, items[:1] + items[1:])
    assert found.expected_calibration_error == pytest.approx(0.9 * 0.2 + 0.1 * 0.3)
    assert found.brier_score == pytest.approx(0.9 * 0.04 + 0.1 * (0.5 * 0.04 + 0.5 * 0.64))
    assert reliability(part, items, "probability") is None
    with pytest.raises(BadInputError, match=r"item 0: score is 1\.5"):
        reliability(part, [item(0, score=1.5), *items[1:]])


def test_tenths_are_those_of_strata():
    assert tenths(np.array([0.0, 0.099, 0.1, 0.3, 0.6, 0.7, 0.999, 1.0])).tolist() == [0, 0, 1, 3, 6, 7, 9, 9]
    assert tenth_name(4) == "0.4-0.5"


def test_the_lowest_threshold_that_reaches_a_precision():
    """Scores 0.005 to 0.995; right from 0.5 on: above 0.4 5 of 6 are right, and all from 0.5 on."""
    scores = np.arange(200) / 200 + 0.0025
    items = [item(i, score=float(score)) for i, score in enumerate(scores)]
    part = judged(scores > 0.5, [0] * 200, [20_000])
    found = thresholds(part, items, 100 / 120)
    assert found.likely.threshold == pytest.approx(0.4025)
    assert found.likely.kept.estimate.value == pytest.approx(0.6)
    assert found.likely.right_kept == pytest.approx(1.0)
    assert 0.4025 < found.surely.threshold < 0.5
    assert found.surely.precision.estimate.interval[0] >= 100 / 120
    assert len(found.curve) == 40
    assert found.curve[0].kept.estimate.value == 1.0
    # From five items on a cut can pass: all right, but never surely at 99 %.
    strict = thresholds(judged([0] * 195 + [1] * 5, [0] * 200, [20_000]), items, 0.99)
    assert strict.surely is None
    assert strict.likely.threshold == pytest.approx(scores[195])
    assert thresholds(judged([0] * 196 + [1] * 4, [0] * 200, [20_000]), items, 0.99).likely is None
