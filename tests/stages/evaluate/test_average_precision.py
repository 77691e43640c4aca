"""Areas under the curve, worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.evaluate.average_precision import precision_recall, rows_by_class


def curve(scores, hits, positives, ties="together"):
    return precision_recall(np.array(scores, dtype=float), np.array(hits, dtype=bool), positives, ties=ties)


def test_a_hit_a_miss_and_a_hit_of_two_give_known_areas():
    found = curve([0.9, 0.8, 0.7], [True, False, True], 2)
    assert found.recall.tolist() == [0.5, 0.5, 1.0]
    assert found.precision.tolist() == [1.0, 0.5, 2 / 3]
    assert found.average_precision("all_points") == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    # Recall 0 to 0.5 are six of the eleven points.
    assert found.average_precision("11_point") == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    assert found.max_recall == 1.0


def test_recall_of_exactly_three_tenths_misses_the_fourth_point():
    """The published loop compares with 0.30000000000000004, and so do we."""
    found = curve([0.9, 0.8, 0.7], [True, True, True], 10)
    assert found.average_precision("11_point") == pytest.approx(3 / 11)


def test_no_prediction_is_nought():
    assert curve([], [], 3).average_precision("11_point") == curve([], [], 3).average_precision("all_points") == 0
    assert curve([], [], 3).max_recall == 0


def test_equal_scores_are_one_step_of_the_curve():
    """No threshold tells them apart, so whether the hit or the miss stands first in the file is no difference."""
    assert curve([0.5, 0.5], [True, False], 1).average_precision("all_points") == 0.5
    assert curve([0.5, 0.5], [False, True], 1).average_precision("all_points") == 0.5


def test_in_file_order_equal_scores_are_ranked_as_given():
    assert curve([0.5, 0.5], [True, False], 1, ties="file_order").average_precision("all_points") == 1.0
    assert curve([0.5, 0.5], [False, True], 1, ties="file_order").average_precision("all_points") == 0.5


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=12), st.randoms(use_true_random=False))
def test_order_changes_nothing(rows, random):
    mixed = random.sample(rows, len(rows))
    for interpolation in ("11_point", "all_points"):
        first, second = (
            curve([score for score, _ in some], [hit for _, hit in some], 12).average_precision(interpolation)
            for some in (rows, mixed)
        )
        assert first == second


def test_rows_by_class_leaves_out_what_is_no_class():
    rows = rows_by_class(np.array([2, 0, -1, 2, 7, 0]), 3)
    assert [part.tolist() for part in rows] == [[1, 5], [], [0, 3]]
