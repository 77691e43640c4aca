"""What the benchmarks compare: of one image, the relations that people asserted and those that a model scored.

Shape letters of this folder: B boxes, T true relations, P predicted relations, C classes. Boxes are corners
`[x1, y1, x2, y2]` in pixels, float64, in whatever frame the benchmark's files use: truth and prediction share it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """The names behind class numbers: a label is an index into one of these."""

    objects: tuple[str, ...]
    predicates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageTruth:
    """Boxes of an image and the relations that people asserted between them."""

    boxes: Floats
    """(B, 4)"""
    labels: Ints
    """(B,) into `LabelSpace.objects`."""
    relations: Ints
    """(T, 3): subject and object as indices into `boxes`, and the predicate."""


@dataclass(frozen=True, slots=True)
class ImagePrediction:
    """Boxes that a model found in an image and the relations that it scored between them, in any order."""

    boxes: Floats
    """(B, 4)"""
    labels: Ints
    """(B,) into `LabelSpace.objects`."""
    box_scores: Floats
    """(B,) confidence of the label; ones where the relations' scores say it all."""
    relations: Ints
    """(P, 3): subject and object as indices into `boxes`, and the predicate. Same-numbered ends are the same pair."""
    scores: Floats
    """(P,) of the predicate; finite."""

    @property
    def triplet_scores(self) -> Floats:
        """(P,) subject times object times predicate."""
        ends = self.box_scores[self.relations[:, 0]] * self.box_scores[self.relations[:, 1]]
        return np.asarray(ends * self.scores, dtype=np.float64)


def image_truth(
    boxes: Sequence[Sequence[float]], labels: Sequence[int], relations: Sequence[Sequence[int]]
) -> ImageTruth:
    """An `ImageTruth` from plain lists."""
    return ImageTruth(_boxes(boxes), _ints(labels), _ints(relations).reshape(-1, 3))


def image_prediction(
    boxes: Sequence[Sequence[float]],
    labels: Sequence[int],
    relations: Sequence[Sequence[int]],
    scores: Sequence[float],
    *,
    box_scores: Sequence[float] | None = None,
) -> ImagePrediction:
    """An `ImagePrediction` from plain lists; without `box_scores` they are all 1."""
    return ImagePrediction(
        _boxes(boxes),
        _ints(labels),
        np.ones(len(labels)) if box_scores is None else np.asarray(box_scores, dtype=np.float64).reshape(-1),
        _ints(relations).reshape(-1, 3),
        np.asarray(scores, dtype=np.float64).reshape(-1),
    )


def merged_truth(truth: ImageTruth) -> ImageTruth:
    """The truth with each relation once, however often it is annotated between the same two boxes."""
    return replace(truth, relations=np.unique(truth.relations, axis=0))


def nothing_predicted() -> ImagePrediction:
    """The prediction of an image of which a model said nothing."""
    return image_prediction([], [], [], [])


def _boxes(values: Sequence[Sequence[float]]) -> Floats:
    return np.asarray(values, dtype=np.float64).reshape(-1, 4)


def _ints(values: Sequence[int] | Sequence[Sequence[int]]) -> Ints:
    return np.asarray(values, dtype=np.int64)
