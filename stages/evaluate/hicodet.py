"""HICO-DET: mean average precision over 600 human-object interactions (Chao et al. 2018).

The default conventions are those of `hico_eval.py` of qpic (hitachi-rd-cv/qpic), whose figures the field has quoted
since; RLIPv2's evaluator is the same code with a suppression of pairs. Two faults of theirs are kept under their names
and mended in `CORRECTED`:

- `images_without_truth`: predictions on an image without a box are compared as a list with tuples, match no class, and
  are dropped, so false positives there cost nothing.
- `repeated_truths`: a relation that is annotated twice counts twice as positive and can be found once.
- `one_pixel_overlaps`: boxes whose overlap is a single row or column of pixels are taken as apart, so a box one pixel
  wide is not found even by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stages.evaluate.average_precision import Interpolation, Ties, precision_recall, rows_by_class
from stages.evaluate.benchmark import BenchmarkScore, ClassScore, mean
from stages.evaluate.boxes import BoxEdges, iou_matrix, touch_only
from stages.evaluate.detections import Bools, Floats, ImagePrediction, ImageTruth, Ints, merged_truth
from stages.evaluate.hicodet_classes import RARE_BELOW, HicoClasses, Split, hico_classes
from stages.evaluate.matching import best_truths, relation_overlaps, same_triplets
from stages.evaluate.ranking import best_by_target, best_first, keep_apart, pair_overlaps


@dataclass(frozen=True, slots=True, kw_only=True)
class HicoConventions:
    """What two evaluators of HICO-DET could do differently."""

    ap: Interpolation = "11_point"
    iou_threshold: float = 0.5
    """Both boxes overlap by at least this."""
    box_edges: BoxEdges = "inclusive"
    max_triplets: int = 100
    """Of an image the best so many are ranked, whatever the class."""
    zero_scores: Literal["count", "drop"] = "count"
    """Whether a verb with score 0 is a prediction."""
    impossible_verbs: Literal["drop", "rank"] = "drop"
    """Verbs that HICO-DET does not have for the object: never ranked, or ranked and right nowhere."""
    ties: Ties = "together"
    images_without_truth: Literal["ignore", "count"] = "ignore"
    """False positives on images without any true box."""
    repeated_truths: Literal["count", "merge"] = "count"
    """A relation annotated twice between the same two boxes: two positives, or one."""
    one_pixel_overlaps: Literal["none", "count"] = "none"
    """Whether boxes overlap that share one row or column of pixels."""
    setting: Literal["default", "known_object"] = "default"
    """`known_object`: a class is evaluated on the images that have its object."""
    subjects: Literal["any", "person"] = "any"
    """`person`: subjects of another class are dropped before ranking, as in RLIPv2's zero-shot evaluation."""
    rare_below: int = RARE_BELOW
    """Interactions with fewer training instances are rare."""
    nms: Literal["none", "pair"] = "none"
    """`pair`: of triplets of one class whose boxes overlap, only the best is kept, as in RLIPv2."""
    nms_threshold: float = 0.7
    nms_subject_power: float = 1.0
    nms_object_power: float = 0.5


OFFICIAL = HicoConventions()
RLIPV2 = HicoConventions(nms="pair")
CORRECTED = HicoConventions(images_without_truth="count", repeated_truths="merge", one_pixel_overlaps="count")

PRESETS: Mapping[str, HicoConventions] = {"official": OFFICIAL, "corrected": CORRECTED, "rlipv2": RLIPV2}


class HicoEvaluator:
    """Adds up, over images, what a model found of HICO-DET. Memory: a dozen bytes a counted prediction."""

    def __init__(self, conventions: HicoConventions = OFFICIAL, *, split: Split = "full") -> None:
        self._conventions = conventions
        self._split: Split = split
        self._classes: HicoClasses = hico_classes()
        self._table = self._classes.table
        self._object_of = np.array([object_ for object_, _ in self._classes.interactions])
        self._num_truths = np.zeros(len(self._classes.interactions), dtype=np.int64)
        self._found: list[tuple[Ints, Floats, Bools]] = []

    def add(self, truth: ImageTruth, prediction: ImagePrediction) -> None:
        """Count an image. Its true relations are all among HICO's 600."""
        chosen = self._conventions
        truth = merged_truth(truth) if chosen.repeated_truths == "merge" else truth
        _, objects, predicates = truth.relations.T
        np.add.at(self._num_truths, self._table[truth.labels[objects], predicates], 1)
        if len(truth.boxes) == 0 and chosen.images_without_truth == "ignore":
            return

        rows = self._ranked(prediction)
        hits = self._hits(truth, prediction, rows)
        interactions = self._interactions(prediction, rows)
        counts = interactions >= 0
        if chosen.setting == "known_object":
            counts &= np.isin(self._object_of[interactions], truth.labels)
        # Narrow types: at full size this is what memory is spent on.
        self._found.append((interactions[counts].astype(np.int16), prediction.scores[rows][counts], hits[counts]))

    def score(self) -> BenchmarkScore:
        """Average precision by interaction, and its means over the split's groups."""
        interactions, scores, hits = self._collected()
        groups = self._classes.groups(self._split, rare_below=self._conventions.rare_below)
        rows = []
        for number, found in enumerate(rows_by_class(interactions, len(groups))):
            num_truths = int(self._num_truths[number])
            curve = precision_recall(scores[found], hits[found], max(num_truths, 1), ties=self._conventions.ties)
            rows.append(
                ClassScore(
                    name=self._classes.name(number),
                    group=groups[number],
                    measure="AP",
                    value=curve.average_precision(self._conventions.ap) if num_truths else None,
                    max_recall=curve.max_recall if num_truths else None,
                    num_truths=num_truths,
                    num_predictions=len(found),
                    num_train=self._classes.num_train[number],
                )
            )
        figures = {"mAP": _mean_of(rows)}
        figures |= {f"mAP {group}": _mean_of(rows, group=group) for group in sorted(set(groups), reverse=True)}
        figures["mean max recall"] = mean([row.max_recall for row in rows if row.max_recall is not None])
        return BenchmarkScore(figures, tuple(rows))

    def _ranked(self, prediction: ImagePrediction) -> Ints:
        """The relations that count, best first, after suppression."""
        chosen = self._conventions
        subject, object_, predicate = prediction.relations.T
        allowed = self._table[prediction.labels[object_], predicate] >= 0
        if chosen.impossible_verbs == "rank":
            allowed = np.ones(len(predicate), dtype=np.bool_)
        if chosen.zero_scores == "drop":
            allowed &= prediction.scores > 0
        if chosen.subjects == "person":
            allowed &= prediction.labels[subject] == self._classes.person
        rows = best_first(
            prediction, prediction.scores, np.flatnonzero(allowed), most=chosen.max_triplets, ties=chosen.ties
        )
        return rows[self._apart(prediction, rows)] if chosen.nms == "pair" else rows

    def _apart(self, prediction: ImagePrediction, rows: Ints) -> Bools:
        chosen = self._conventions
        subject, object_, predicate = prediction.relations[rows].T
        overlaps = pair_overlaps(
            prediction.boxes[subject],
            prediction.boxes[object_],
            edges=chosen.box_edges,
            subject_power=chosen.nms_subject_power,
            object_power=chosen.nms_object_power,
        )
        classes = np.stack((prediction.labels[subject], prediction.labels[object_], predicate))
        same = (classes[:, :, None] == classes[:, None, :]).all(axis=0)
        return keep_apart(np.where(same, overlaps, 0.0), threshold=chosen.nms_threshold)

    def _hits(self, truth: ImageTruth, prediction: ImagePrediction, rows: Ints) -> Bools:
        same = same_triplets(self._classes.space, truth, prediction, rows)
        overlaps = np.where(same, relation_overlaps(truth, prediction, rows, self._overlap), -1.0)
        targets = best_truths(overlaps, self._conventions.iou_threshold)
        return best_by_target(targets, num_targets=len(truth.relations))

    def _overlap(self, first: Floats, second: Floats) -> Floats:
        overlaps = iou_matrix(first, second, edges=self._conventions.box_edges)
        if self._conventions.one_pixel_overlaps == "none":
            overlaps[touch_only(first, second)] = 0.0
        return overlaps

    def _interactions(self, prediction: ImagePrediction, rows: Ints) -> Ints:
        """(N,) number of the interaction, -1 if the subject is no person."""
        subject, object_, predicate = prediction.relations[rows].T
        numbers = self._table[prediction.labels[object_], predicate]
        return np.where(prediction.labels[subject] == self._classes.person, numbers, -1)

    def _collected(self) -> tuple[Ints, Floats, Bools]:
        if not self._found:
            return np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=np.bool_)
        interactions, scores, hits = (np.concatenate(column) for column in zip(*self._found, strict=True))
        return interactions, scores, hits


def are_interactions(truth: ImageTruth) -> Bools:
    """(T,) whether a relation is one of the 600 interactions of a person."""
    classes = hico_classes()
    subject, object_, predicate = truth.relations.T
    numbers = classes.table[truth.labels[object_], predicate]
    return np.asarray((numbers >= 0) & (truth.labels[subject] == classes.person), dtype=np.bool_)


def _mean_of(rows: list[ClassScore], *, group: str | None = None) -> float | None:
    return mean([row.value for row in rows if row.value is not None and group in (None, row.group)])
