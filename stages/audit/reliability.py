"""Calibration of scores against what auditors say, for the population that was sampled.

The table, the expected calibration error and the Brier score are those of `stages.evaluate.calibration`, with two
differences: every item counts for the relations that it stands for, and a bin is `[0.4, 0.5)`, as the strata of a
sample are, so that a bin that is made of whole strata has its exact size. A score of 1 is in the last.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from schemas import BadInputError
from schemas.audit import AuditItem
from stages.audit.estimates import Share, precision, weights
from stages.audit.judged import Floats, Ints, Judged, numbers_of

NUM_TENTHS = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Relations with scores in a tenth."""

    low: float
    high: float
    mean_score: float
    """Weighted."""
    precision: Share


@dataclass(frozen=True, slots=True)
class Reliability:
    """How a score, or a probability, compares with precision."""

    bins: tuple[ReliabilityBin, ...]
    """By rising score; those without judged items are left out."""
    expected_calibration_error: float
    """In [0, 1]: mean distance of bins from the diagonal, weighted. Chance alone lifts it above 0."""
    brier_score: float
    """In [0, 1]."""
    num: int
    """Judged items that have such a score."""


def reliability(judged: Judged, items: Sequence[AuditItem], field: str = "score") -> Reliability | None:
    """Compare `score` or `probability` with precision; None if no judged item has it.

    Raises:
        BadInputError: if one is outside of [0, 1].
    """
    scores = numbers_of(judged, items, field)
    known = ~np.isnan(scores)
    if not known.any():
        return None
    outside = np.flatnonzero(known & ~((scores >= 0) & (scores <= 1)))
    if len(outside):
        raise BadInputError(
            f"item {judged.numbers[outside[0]]}: {field} is {scores[outside[0]]}; calibration takes {field}s in [0, 1]"
        )
    places = np.where(known, tenths(np.nan_to_num(scores)), -1)
    each, right = weights(judged), judged.right
    bins = []
    for place in np.unique(places[known]).tolist():
        among = places == place
        mean = float(np.average(scores[among], weights=each[among]))
        bins.append(ReliabilityBin(place / NUM_TENTHS, (place + 1) / NUM_TENTHS, mean, precision(judged, among)))
    each, right, scores = each[known], right[known], scores[known]
    excess = np.bincount(places[known], each * (scores - right))
    squares = right * (1 - scores) ** 2 + (1 - right) * scores**2
    return Reliability(
        bins=tuple(bins),
        expected_calibration_error=float(np.abs(excess).sum() / each.sum()),
        brier_score=float(np.average(squares, weights=each)),
        num=int(known.sum()),
    )


def tenths(scores: Floats) -> Ints:
    """The tenth that each score in [0, 1] is in, from 0 to 9."""
    return np.minimum((scores * NUM_TENTHS).astype(np.int64), NUM_TENTHS - 1)


def tenth_name(tenth: int) -> str:
    """Such as `0.4-0.5`."""
    return f"{tenth / NUM_TENTHS:.1f}-{(tenth + 1) / NUM_TENTHS:.1f}"
