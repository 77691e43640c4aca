"""Where to cut off scores so that what is left is as precise as somebody wants.

Among many thresholds the lowest that passes is told, so chance helps it: a lower bound that was chosen because it
passed holds a little less often than 95 % intervals do. Wanted precision near the bound deserves a sample of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from schemas.audit import AuditItem
from stages.audit.estimates import FEWEST_FOR_INTERVAL, Share, precision, share, weights
from stages.audit.judged import Floats, Judged, numbers_of

_MOST_THRESHOLDS = 1000
_MOST_POINTS = 40


@dataclass(frozen=True, slots=True)
class Cut:
    """What is left if relations below a score are dropped."""

    threshold: float
    """The lowest score that stays."""
    precision: Share
    """Of what stays."""
    kept: Share
    """Share of all relations that stay."""
    right_kept: float | None
    """Share of the right ones that stay; None if nothing is right."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Cuts by rising threshold, and those that reach a precision."""

    wanted: float
    curve: tuple[Cut, ...]
    """At most `_MOST_POINTS`, spread over the scores that were judged."""
    surely: Cut | None
    """The lowest whose precision has a lower 95 % bound of at least `wanted`; None if there is none."""
    likely: Cut | None
    """The lowest whose estimated precision is at least `wanted`."""


def thresholds(judged: Judged, items: Sequence[AuditItem], wanted: float) -> Thresholds:
    """Try every score that a judged item has (a thousand of them, if there are more).

    A cut that leaves fewer than `FEWEST_FOR_INTERVAL` judged items passes for neither.

    Args:
        wanted: precision in [0, 1].
    """
    scores = numbers_of(judged, items, "score")
    found = _spread(np.unique(scores), _MOST_THRESHOLDS)
    left = [(float(threshold), precision(judged, scores >= threshold)) for threshold in found]
    surely = likely = None
    for threshold, part in left:
        value, interval = part.estimate.value, part.estimate.interval
        if value is None or part.num < FEWEST_FOR_INTERVAL:
            continue
        if likely is None and value >= wanted:
            likely = _cut(judged, scores, threshold, part)
        if surely is None and interval is not None and interval[0] >= wanted:
            surely = _cut(judged, scores, threshold, part)
    shown = set(_spread(found, _MOST_POINTS).tolist())
    curve = tuple(_cut(judged, scores, threshold, part) for threshold, part in left if threshold in shown)
    return Thresholds(wanted, curve, surely, likely)


def _cut(judged: Judged, scores: Floats, threshold: float, part: Share) -> Cut:
    stays = scores >= threshold
    right = weights(judged) * judged.right
    return Cut(
        threshold=threshold,
        precision=part,
        kept=share(judged, stays.astype(np.float64)),
        right_kept=float(right[stays].sum() / right.sum()) if right.sum() > 0 else None,
    )


def _spread(values: Floats, most: int) -> Floats:
    """At most so many of them, evenly by rank, the first and the last among them."""
    if len(values) <= most:
        return values
    return values[np.linspace(0, len(values) - 1, most).round().astype(np.int64)]
