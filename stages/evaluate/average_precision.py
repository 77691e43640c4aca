"""Precision and recall of ranked predictions, and the two areas under the curve that are called average precision.

What equal scores mean is left open by every published evaluator: they rank with a sort that is not stable, so their
figure depends on the order of the file and on the machine. Here that is a named choice, `Ties`. `together` asks for
precision and recall only where the score changes, since no threshold can tell such predictions apart: the figure is
then a function of the predictions alone. Without equal scores both choices are the same number.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from stages.evaluate.detections import Bools, Floats, Ints

Interpolation = Literal["11_point", "all_points"]
"""`11_point`: mean of the best precision at recall 0, 0.1, ... 1 or more (PASCAL VOC 2007). `all_points`: area under
the precision envelope (PASCAL VOC 2010)."""

Ties = Literal["together", "file_order"]
"""Predictions with equal scores: one step of the curve, or in the order in which they were given."""

# As the published code has them: the fourth is 0.30000000000000004, and recall 0.3 is below it.
_RECALLS = np.arange(0.0, 1.1, 0.1)


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision and recall of a class by falling score."""

    recall: Floats
    """(N,) rising"""
    precision: Floats
    """(N,)"""
    num_positives: int

    def average_precision(self, interpolation: Interpolation) -> float:
        """In [0, 1]; 0 without predictions."""
        if len(self.recall) == 0:
            return 0.0
        return _eleven_point(self) if interpolation == "11_point" else _all_points(self)

    @property
    def max_recall(self) -> float:
        """Recall of all predictions; 0 without any."""
        return float(self.recall[-1]) if len(self.recall) else 0.0


def precision_recall(scores: Floats, hits: Bools, num_positives: int, *, ties: Ties) -> Curve:
    """The curve of one class.

    Args:
        scores: (N,) finite, in any order.
        hits: (N,) whether the prediction found something true that no better one had found.
        num_positives: how much there is to find, at least 1.
        ties: what equal scores mean.
    """
    order = np.argsort(-scores, kind="stable")
    true = np.cumsum(hits[order])
    seen = np.arange(1, len(order) + 1)
    if ties == "together" and len(order):
        ranked = scores[order]
        last = np.append(ranked[1:] != ranked[:-1], True)
        true, seen = true[last], seen[last]
    return Curve(recall=true / num_positives, precision=true / seen, num_positives=num_positives)


def rows_by_class(classes: Ints, num_classes: int) -> list[Ints]:
    """For each class the rows that bear it, in their order; classes outside [0, num_classes) are nobody's."""
    order = np.argsort(classes, kind="stable")
    bounds = np.searchsorted(classes[order], np.arange(num_classes + 1))
    return [order[start:end] for start, end in pairwise(bounds)]


def _eleven_point(curve: Curve) -> float:
    # Recall rises, so the best precision at recall t or more is that of the tail that starts where t is reached.
    best = np.append(np.maximum.accumulate(curve.precision[::-1])[::-1], 0.0)
    # The published loop adds up elevenths, and gets 1.0000000000000002 of a perfect class.
    return float(best[np.searchsorted(curve.recall, _RECALLS, side="left")].sum() / len(_RECALLS))


def _all_points(curve: Curve) -> float:
    recall = np.concatenate(([0.0], curve.recall, [1.0]))
    precision = np.concatenate(([0.0], curve.precision, [0.0]))
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    rises = np.flatnonzero(recall[1:] != recall[:-1])
    return float(np.sum((recall[rises + 1] - recall[rises]) * envelope[rises + 1]))
