"""Reliability tables and calibration errors: worked out by hand, and the laws they obey."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import BadInputError, UserError
from stages.evaluate.calibration import Bin, Binning, bin_numbers, brier_score, expected_calibration_error, reliability
from stages.evaluate.detections import Bools, Floats

BINNINGS: tuple[Binning, ...] = ("width", "mass")


def arrays(*labels: tuple[float, bool]) -> tuple[Floats, Bools]:
    scores, hits = zip(*labels, strict=True) if labels else ((), ())
    return np.array(scores, dtype=np.float64), np.array(hits, dtype=np.bool_)


def test_a_table_of_equal_width_worked_out_by_hand():
    table = reliability(*arrays((0.1, False), (0.3, True), (0.9, True), (0.7, False)), num_bins=4)
    assert [(one.low, one.high, one.num, one.hit_rate) for one in table] == [
        (0.0, 0.25, 1, 0.0),
        (0.25, 0.5, 1, 1.0),
        (0.5, 0.75, 1, 0.0),
        (0.75, 1.0, 1, 1.0),
    ]
    assert [one.mean_score for one in table] == [0.1, 0.3, 0.7, 0.9]
    # Off by 0.1, 0.7, 0.7 and 0.1.
    assert expected_calibration_error(*arrays((0.1, False), (0.3, True), (0.9, True), (0.7, False)), num_bins=4) == (
        pytest.approx(0.4)
    )


def test_a_table_of_equal_mass_worked_out_by_hand():
    labels = arrays((0.80, True), (0.81, False), (0.82, True), (0.90, True), (0.91, True), (0.92, True))
    low, high = reliability(*labels, num_bins=2, binning="mass")
    assert (low.low, low.high, low.num) == (0.80, 0.82, 3)
    assert (high.low, high.high, high.num) == (0.90, 0.92, 3)
    assert (low.hit_rate, high.hit_rate) == (pytest.approx(2 / 3), 1.0)
    # 3/6 |0.81 - 2/3| + 3/6 |0.91 - 1|, where bins of equal width see |0.833.. - 2/3| and |0.91 - 1| in two of ten.
    assert expected_calibration_error(*labels, num_bins=2, binning="mass") == pytest.approx((0.81 - 2 / 3 + 0.09) / 2)


def test_a_bin_holds_its_upper_edge_and_the_first_one_zero():
    scores = np.array([0.0, 0.1, 0.2, 0.3, 0.30000000000000004, 1.0])
    assert bin_numbers(scores, num_bins=10, binning="width").tolist() == [0, 0, 1, 2, 3, 9]


def test_equal_scores_are_never_split_between_bins_of_equal_mass():
    labels = arrays(*[(0.5, True)] * 7, (0.1, False), (0.9, True))
    table = reliability(*labels, num_bins=3, binning="mass")
    assert [(one.low, one.num) for one in table] == [(0.1, 1), (0.5, 7), (0.9, 1)]


def test_empty_bins_are_there_if_equal_in_width_only():
    labels = arrays((0.95, True))
    assert reliability(*labels, num_bins=2) == (Bin(0.0, 0.5, 0, None, None), Bin(0.5, 1.0, 1, 0.95, 1.0))
    assert reliability(*labels, num_bins=2, binning="mass") == (Bin(0.95, 0.95, 1, 0.95, 1.0),)


@pytest.mark.parametrize("binning", BINNINGS)
def test_of_no_labels_nothing_is_said(binning):
    assert reliability(*arrays(), binning=binning) == ()
    assert expected_calibration_error(*arrays(), binning=binning) is None
    assert brier_score(*arrays()) is None


@pytest.mark.parametrize("binning", BINNINGS)
def test_scores_of_a_fair_coin_that_claim_nine_tenths_are_off_by_four_tenths(binning):
    hits = np.arange(1000) % 2 == 0
    assert expected_calibration_error(np.full(1000, 0.9), hits, binning=binning) == pytest.approx(0.4)
    assert brier_score(np.full(1000, 0.9), hits) == pytest.approx((0.01 + 0.81) / 2)


@pytest.mark.parametrize("binning", BINNINGS)
def test_scores_that_are_the_probability_have_hardly_an_error(binning):
    random = np.random.default_rng(0)
    scores = random.random(50_000)
    error = expected_calibration_error(scores, random.random(50_000) < scores, binning=binning)
    # A bin of 5,000 is off by about sqrt(0.25 / 5000) = 0.007 at most, the mean of ten by less.
    assert error is not None
    assert 0 < error < 0.01


@pytest.mark.parametrize("binning", BINNINGS)
@pytest.mark.parametrize("score", [-0.1, 1.5, math.nan, math.inf])
def test_a_score_that_is_no_share_is_named(binning, score):
    with pytest.raises(BadInputError, match=r"score 1 is (-0\.1|1\.5|nan|inf); calibration takes scores in \[0, 1\]"):
        reliability(*arrays((0.5, True), (score, True)), binning=binning)


def test_at_least_one_bin_is_asked_for():
    with pytest.raises(UserError, match="num_bins is 0"):
        reliability(*arrays((0.5, True)), num_bins=0)


labelled = st.lists(st.tuples(st.sampled_from([i / 16 for i in range(17)]), st.booleans()), min_size=1, max_size=40)


@settings(max_examples=60)
@given(labelled, st.integers(1, 12), st.sampled_from(BINNINGS), st.randoms(use_true_random=False))
def test_the_table_adds_up_and_no_order_matters(labels, num_bins, binning, random):
    scores, hits = arrays(*labels)
    table = reliability(scores, hits, num_bins=num_bins, binning=binning)
    assert sum(one.num for one in table) == len(labels)
    assert sum(one.num * (one.hit_rate or 0) for one in table) == pytest.approx(hits.sum())
    error = expected_calibration_error(scores, hits, num_bins=num_bins, binning=binning)
    assert error == pytest.approx(
        sum(one.num * abs(one.mean_score - one.hit_rate) for one in table if one.num) / len(labels)
    )
    # Within a bin errors may cancel, so no table says more than the plainest one denies.
    assert abs(float(np.mean(scores - hits))) - 1e-12 <= error <= 1

    random.shuffle(labels)
    assert reliability(*arrays(*labels), num_bins=num_bins, binning=binning) == table


@settings(max_examples=60)
@given(st.sets(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 12))
def test_bins_of_equal_mass_differ_by_one_label_where_all_scores_differ(scores, num_bins):
    counts = np.bincount(bin_numbers(np.array(sorted(scores)), num_bins=num_bins, binning="mass"), minlength=num_bins)
    assert counts.max() - counts.min() <= 1
