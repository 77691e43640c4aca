"""Which predictions of an image count, and in what order: the best by score, equal scores by what they say."""

from collections.abc import Iterator

import numpy as np

from stages.evaluate.average_precision import Ties
from stages.evaluate.boxes import BoxEdges, iou_matrix
from stages.evaluate.detections import Bools, Floats, ImagePrediction, Ints


def best_first(prediction: ImagePrediction, scores: Floats, rows: Ints, *, most: int, ties: Ties) -> Ints:
    """The `most` best of some rows of `prediction.relations`, best first.

    Equal scores: with `file_order` the earlier row comes first; with `together` classes and boxes decide, so that which
    rows are cut off does not depend on the order of the file.

    Args:
        scores: (P,) by which they are ranked.
        rows: indices into `relations` and `scores`.
    """
    of_rows = scores[rows]
    if len(rows) > most:
        # Only what is at least as good as the last one that can stay has to be sorted.
        least = np.partition(of_rows, len(rows) - most)[len(rows) - most] if most else np.inf
        rows = rows[of_rows >= least]
        of_rows = scores[rows]
    order = np.argsort(-of_rows, kind="stable")
    ranked = of_rows[order]
    if ties == "together" and np.any(ranked[1:] == ranked[:-1]):
        order = np.lexsort((*_content(prediction, rows), -of_rows))
    return np.asarray(rows[order][:most], dtype=np.int64)


def distinct_rows(prediction: ImagePrediction) -> Ints:
    """Rows of `prediction.relations`, rising, of which no two say the same of the same pair: of those the best scored.

    The published files hold a table of one score for each predicate of a pair, so there it cannot happen.
    """
    pair, predicate = _pairs(prediction), prediction.relations[:, 2]
    order = np.lexsort((-prediction.scores, predicate, pair))
    again = (pair[order][1:] == pair[order][:-1]) & (predicate[order][1:] == predicate[order][:-1])
    return np.sort(order[np.insert(~again, 0, values=True)[: len(order)]])


def best_of_pairs(prediction: ImagePrediction, rows: Ints, *, most: int) -> Ints:
    """Some of `rows`, rising: of each pair the `most` with the best predicate score, of equal ones the lower predicate.

    Args:
        rows: of `prediction.relations`, distinct.
    """
    pair = _pairs(prediction)[rows]
    order = np.lexsort((prediction.relations[rows, 2], -prediction.scores[rows], pair))
    # The place in a run of the same pair is the distance to where the run starts.
    places = np.arange(len(order))
    starts = np.append(True, pair[order][1:] != pair[order][:-1])[: len(order)]
    places -= np.maximum.accumulate(np.where(starts, places, 0))
    return np.sort(rows[order[places < most]])


def best_by_target(targets: Ints, *, num_targets: int) -> Bools:
    """Of predictions, best first, those that are the first to find their target.

    Args:
        targets: (N,) what each one found, -1 for nothing.
        num_targets: targets are below this.
    """
    first = np.full(num_targets + 1, len(targets), dtype=np.int64)
    # Written backwards, so that the first of each target is what remains.
    first[targets[::-1]] = np.arange(len(targets))[::-1]
    return np.asarray((targets >= 0) & (first[targets] == np.arange(len(targets))), dtype=np.bool_)


def keep_apart(overlaps: Floats, *, threshold: float) -> Bools:
    """Greedy non-maximum suppression: which of N predictions, best first, overlap no better one that stays.

    Args:
        overlaps: (N, N); 0 between predictions that do not compete.
        threshold: more than this suppresses.
    """
    competes = overlaps > threshold
    stays = np.ones(len(overlaps), dtype=np.bool_)
    for row in np.flatnonzero(np.triu(competes, 1).any(axis=1)):
        if stays[row]:
            stays[row + 1 :] &= ~competes[row, row + 1 :]
    return stays


def pair_overlaps(
    subjects: Floats, objects: Floats, *, edges: BoxEdges, subject_power: float, object_power: float
) -> Floats:
    """(N, N) overlap of N pairs of boxes: IoU of the subjects and of the objects, each to a power, multiplied.

    CDN (Zhang et al. 2021), section 3.4, with the powers of RLIPv2's evaluator: 1 and 0.5.
    """
    subject = iou_matrix(subjects, subjects, edges=edges) ** subject_power
    object_ = iou_matrix(objects, objects, edges=edges) ** object_power
    return np.asarray(subject * object_, dtype=np.float64)


def _content(prediction: ImagePrediction, rows: Ints) -> Iterator[Floats | Ints]:
    """Keys that order rows by what they say, the least important first, as `np.lexsort` wants them."""
    subject, object_, predicate = prediction.relations[rows].T
    for corner in reversed(range(4)):
        yield prediction.boxes[object_, corner]
        yield prediction.boxes[subject, corner]
    yield prediction.labels[subject]
    yield prediction.labels[object_]
    yield predicate


def _pairs(prediction: ImagePrediction) -> Ints:
    return np.asarray(prediction.relations[:, 0] * len(prediction.boxes) + prediction.relations[:, 1])
