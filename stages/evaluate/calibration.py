"""Calibration: whether labels with score 0.8 are right in 8 of 10 cases.

`reliability` is the table behind a reliability diagram. The expected calibration error is the mean distance of its bins
from the diagonal, each weighted by what is in it (Naeini et al. 2015, AAAI; Guo et al. 2017, arXiv:1706.04599,
equation 3). The Brier score (Brier 1950) needs no bins: it is the mean squared distance of scores from 0 and 1.

Two ways to cut scores into bins, `Binning`. `width` is the published one: B bins (0, 1/B], (1/B, 2/B] ... as Guo et
al. write them, and a score of exactly 0, which theirs leave out, is in the first. Where scores crowd together, one bin
holds nearly all of them and averages their errors away. `mass` puts about equally many into each; equal scores are
never split, so that the table does not depend on the order of the labels.

The error is never negative, so chance alone lifts it: few labels a bin look worse calibrated than they are.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from schemas import BadInputError, UserError
from stages.evaluate.detections import Bools, Floats, Ints

Binning = Literal["width", "mass"]
"""Bins of equal width, or of about equally many labels."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Labels with scores near each other: how sure they are on average, and how often right."""

    low: float
    """`width`: the lower edge, outside the bin except at 0. `mass`: the smallest score in it."""
    high: float
    """`width`: the upper edge, inside the bin. `mass`: the largest score in it."""
    num: int
    mean_score: float | None
    """None if the bin is empty."""
    hit_rate: float | None
    """Share of right labels; None if the bin is empty."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def reliability(scores: Floats, hits: Bools, *, num_bins: int = 10, binning: Binning = "width") -> tuple[Bin, ...]:
    """The reliability table, by rising score; empty without labels.

    All bins of equal width are there, also empty ones. Of equal mass, empty ones are left out: there are fewer than
    `num_bins` where many scores are equal or labels are few.

    Args:
        scores: (N,) in [0, 1].
        hits: (N,) whether the label is right.
        num_bins: at least 1.

    Raises:
        UserError: if `num_bins` is below 1.
        BadInputError: if a score is no number in [0, 1].
    """
    numbers = bin_numbers(scores, num_bins=num_bins, binning=binning)
    if len(scores) == 0:
        return ()
    counts = np.bincount(numbers, minlength=num_bins)
    of_scores = np.bincount(numbers, weights=scores, minlength=num_bins)
    of_hits = np.bincount(numbers, weights=hits, minlength=num_bins)
    lows, highs = _edges(scores, numbers, num_bins, binning)
    return tuple(
        Bin(
            low=float(lows[i]),
            high=float(highs[i]),
            num=int(counts[i]),
            mean_score=float(of_scores[i] / counts[i]) if counts[i] else None,
            hit_rate=float(of_hits[i] / counts[i]) if counts[i] else None,
        )
        for i in range(num_bins)
        if counts[i] or binning == "width"
    )


def expected_calibration_error(
    scores: Floats, hits: Bools, *, num_bins: int = 10, binning: Binning = "width"
) -> float | None:
    """Mean over labels of |mean score - share of right ones| of their bin, in [0, 1]; None without labels.

    Arguments and errors are those of `reliability`.
    """
    numbers = bin_numbers(scores, num_bins=num_bins, binning=binning)
    if len(scores) == 0:
        return None
    excess = np.bincount(numbers, weights=scores - hits, minlength=num_bins)
    return float(np.abs(excess).sum() / len(scores))


def brier_score(scores: Floats, hits: Bools) -> float | None:
    """Mean squared difference of scores from 1 where the label is right and 0 where it is not; None without labels."""
    return float(np.mean((scores - hits) ** 2)) if len(scores) else None


def bin_numbers(scores: Floats, *, num_bins: int, binning: Binning) -> Ints:
    """(N,) the bin that each score is in, counted from 0. Errors are those of `reliability`."""
    if num_bins < 1:
        raise UserError(f"num_bins is {num_bins}; give a positive number")
    outside = np.flatnonzero(~((scores >= 0) & (scores <= 1)))
    if len(outside):
        raise BadInputError(f"score {outside[0]} is {scores[outside[0]]}; calibration takes scores in [0, 1]")
    if binning == "width":
        upper = np.arange(1, num_bins) / num_bins
        return np.asarray(np.searchsorted(upper, scores, side="left"), dtype=np.int64)
    # A group of equal scores goes where its middle rank falls; twice the ranks keep it in whole numbers.
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    middles = 2 * np.cumsum(sizes) - sizes
    return np.asarray((middles * num_bins // (2 * max(len(scores), 1)))[group], dtype=np.int64)


def _edges(scores: Floats, numbers: Ints, num_bins: int, binning: Binning) -> tuple[Floats, Floats]:
    if binning == "width":
        edges = np.arange(num_bins + 1) / num_bins
        return edges[:-1], edges[1:]
    lows, highs = np.full(num_bins, np.inf), np.full(num_bins, -np.inf)
    np.minimum.at(lows, numbers, scores)
    np.maximum.at(highs, numbers, scores)
    return lows, highs
