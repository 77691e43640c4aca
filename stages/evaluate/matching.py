"""Which true relation a predicted one found, by classes and boxes."""

from collections.abc import Callable

import numpy as np

from stages.evaluate.boxes import union_boxes
from stages.evaluate.detections import Bools, Floats, ImagePrediction, ImageTruth, Ints, LabelSpace

Overlap = Callable[[Floats, Floats], Floats]
"""(A, B) overlap of (A, 4) and (B, 4) boxes."""

_NEVER = np.iinfo(np.int64).max


def triplet_numbers(space: LabelSpace, labels: Ints, relations: Ints) -> Ints:
    """(N,) of (N, 3) relations: a number for the classes of subject, object and predicate; equal if all three are."""
    subject, object_, predicate = relations.T
    pair = labels[subject] * len(space.objects) + labels[object_]
    return np.asarray(pair * len(space.predicates) + predicate, dtype=np.int64)


def same_triplets(space: LabelSpace, truth: ImageTruth, prediction: ImagePrediction, rows: Ints) -> Bools:
    """(T, N) whether a true relation and one of N predicted ones have the same three classes."""
    true = triplet_numbers(space, truth.labels, truth.relations)
    return np.asarray(true[:, None] == triplet_numbers(space, prediction.labels, prediction.relations[rows]))


def relation_overlaps(truth: ImageTruth, prediction: ImagePrediction, rows: Ints, overlap: Overlap) -> Floats:
    """(T, N) of true relations and N predicted ones: the smaller overlap of their subjects and of their objects."""
    true_subjects, true_objects = _ends(truth.boxes, truth.relations)
    subjects, objects = _ends(prediction.boxes, prediction.relations[rows])
    return np.minimum(overlap(true_subjects, subjects), overlap(true_objects, objects))


def phrase_overlaps(truth: ImageTruth, prediction: ImagePrediction, rows: Ints, overlap: Overlap) -> Floats:
    """(T, N) of true relations and N predicted ones: overlap of the boxes around subject and object."""
    true = union_boxes(*_ends(truth.boxes, truth.relations))
    return overlap(true, union_boxes(*_ends(prediction.boxes, prediction.relations[rows])))


def best_truths(overlaps: Floats, least: float) -> Ints:
    """(N,) of each prediction the truth that it overlaps most, of equal ones the first; -1 if less than `least`.

    Only the best truth is looked at: where it is found already, a prediction does not fall back to the next, as in all
    the published evaluators.

    Args:
        overlaps: (T, N); below 0 where the classes differ.
    """
    if overlaps.size == 0:
        return np.full(overlaps.shape[1], -1, dtype=np.int64)
    best = overlaps.argmax(axis=0)
    return np.where(overlaps[best, np.arange(len(best))] >= least, best, -1)


def first_ranks(found: Bools) -> Ints:
    """(T,) of each truth the place, from 0, of the first prediction that finds it; beyond every K if none does.

    Args:
        found: (T, N) predictions best first.
    """
    if found.shape[1] == 0:
        return np.full(len(found), _NEVER, dtype=np.int64)
    return np.where(found.any(axis=1), found.argmax(axis=1), _NEVER)


def _ends(boxes: Floats, relations: Ints) -> tuple[Floats, Floats]:
    return boxes[relations[:, 0]], boxes[relations[:, 1]]
