"""OpenImages visual relationships, by triplet class: the figures that RLIPv2 reports.

The names are those of `openimages`, the figures are not comparable with its: AP is of each (subject, predicate, object)
class. The default conventions are those of `oi_sgg_eval.py` of RLIPv2 (JacobYuan7/RLIPv2, commit 0b856c5; Yuan et al.
2023), with the suppression of doubles that its released scripts use. Its faults are kept under their names and mended
in `CORRECTED`:

- `phrase_matches`: what each phrase found is noted by its place in a list, and looked up after the list was sorted. The
  suppression leaves that list grouped by class, so phrases are credited with what others found, of any class. A class
  can then find more than there is: its max recall may exceed 1.
- `images_without_truth`: relations on an image without a box are compared as lists with tuples, match no class, and
  are dropped, so false positives there cost nothing; phrases are not.
- `phrase_recall`: truths of classes that were never predicted are missing from the denominator of phrases' max recall.
- `repeated_truths`: a relation annotated twice between the same two boxes counts twice and can be found once.
- `one_pixel_overlaps`: boxes whose overlap is a single row or column of pixels are taken as apart.

An image with boxes but without relations stops RLIPv2's code with an error; here its predictions are false.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stages.evaluate.average_precision import Interpolation, Ties, rows_by_class
from stages.evaluate.benchmark import BenchmarkScore, ClassScore, mean
from stages.evaluate.boxes import BoxEdges, iou_matrix, touch_only, union_boxes
from stages.evaluate.detections import Bools, Floats, ImagePrediction, ImageTruth, Ints, LabelSpace, merged_truth
from stages.evaluate.matching import best_truths, phrase_overlaps, relation_overlaps, same_triplets, triplet_numbers
from stages.evaluate.openimages_figures import SCORE_RECALL, class_score, plain_figures, share, weighted_figures
from stages.evaluate.ranking import best_by_target, best_first, keep_apart, pair_overlaps


@dataclass(frozen=True, slots=True, kw_only=True)
class TripletConventions:
    """What two evaluators per triplet class could do differently."""

    ap: Interpolation = "11_point"
    iou_threshold: float = 0.5
    """Overlaps of at least this count."""
    box_edges: BoxEdges = "inclusive"
    max_relations: int = 100
    """Of an image the best so many are ranked, whatever the class; for R@50 at most 50."""
    ties: Ties = "together"
    nms: Literal["none", "pair_and_phrase"] = "pair_and_phrase"
    """Whether, of relations and then of phrases of the same three classes that overlap, only the best is kept."""
    nms_threshold: float = 0.7
    nms_subject_power: float = 1.0
    nms_object_power: float = 0.5
    phrase_nms_threshold: float = 0.5
    phrase_matches: Literal["by_stale_position", "by_phrase"] = "by_stale_position"
    """What a phrase found: what was noted at its place before the list was sorted, or what it did find."""
    images_without_truth: Literal["ignore", "count"] = "ignore"
    """False relations on images without any true box."""
    phrase_recall: Literal["of_predicted_classes", "of_all_classes"] = "of_predicted_classes"
    """Which truths the max recall of phrases is a share of."""
    repeated_truths: Literal["count", "merge"] = "count"
    """A relation annotated twice between the same two boxes: two to find, or one."""
    one_pixel_overlaps: Literal["none", "count"] = "none"
    """Whether boxes overlap that share one row or column of pixels."""


OFFICIAL = TripletConventions()
CORRECTED = TripletConventions(
    phrase_matches="by_phrase",
    images_without_truth="count",
    phrase_recall="of_all_classes",
    repeated_truths="merge",
    one_pixel_overlaps="count",
)

PRESETS: Mapping[str, TripletConventions] = {"official": OFFICIAL, "corrected": CORRECTED}


class TripletEvaluator:
    """Adds up, over images, what a model found, by triplet class. Memory: about 50 bytes a counted prediction."""

    def __init__(self, space: LabelSpace, conventions: TripletConventions = OFFICIAL) -> None:
        self._conventions = conventions
        self._space = space
        self._truths: list[Ints] = [_no_ints()]
        self._num_truths = 0
        self._relations: list[_Found] = [_Found.nothing()]
        self._phrases: list[_Found] = [_Found.nothing()]

    def add(self, truth: ImageTruth, prediction: ImagePrediction) -> None:
        """Count an image. Its predictions of classes that no image's truth has count nowhere."""
        chosen = self._conventions
        truth = merged_truth(truth) if chosen.repeated_truths == "merge" else truth
        rows = best_first(
            prediction,
            prediction.triplet_scores,
            np.arange(len(prediction.relations)),
            most=chosen.max_relations,
            ties=chosen.ties,
        )
        kept = self._apart(prediction, rows) if chosen.nms == "pair_and_phrase" else np.ones(len(rows), dtype=np.bool_)
        early = np.flatnonzero(kept) < SCORE_RECALL
        rows = rows[kept]
        if len(truth.boxes) > 0 or chosen.images_without_truth == "count":
            targets = self._targets(truth, prediction, rows)
            self._relations.append(self._of(prediction, rows, targets, early))
        self._phrases.append(self._found_phrases(truth, prediction, rows))
        self._truths.append(triplet_numbers(self._space, truth.labels, truth.relations))
        self._num_truths += len(truth.relations)

    def score(self) -> BenchmarkScore:
        """Average precision by triplet class that occurs among the truths, and its means."""
        classes, num_truths = np.unique(np.concatenate(self._truths), return_counts=True)
        found, phrases = (_Found.joined(parts).of_classes(classes) for parts in (self._relations, self._phrases))
        relation_hits, phrase_hits = (
            best_by_target(part.targets, num_targets=self._num_truths) for part in (found, phrases)
        )
        relation_rows = self._rows("AP relation", found, relation_hits, classes, num_truths)
        phrase_rows = self._rows("AP phrase", phrases, phrase_hits, classes, num_truths)

        recall = share(int(relation_hits[found.early].sum()), self._num_truths)
        figures = weighted_figures(recall, relation_rows, phrase_rows)
        figures |= plain_figures(recall, _mean_value(relation_rows), _mean_value(phrase_rows))
        figures["max recall_rel"] = share(int(relation_hits.sum()), self._num_truths)
        figures["max recall_phr"] = share(int(phrase_hits.sum()), self._num_phrases(phrase_rows))
        for name, rows in (("rel", relation_rows), ("phr", phrase_rows)):
            figures[f"mean max recall_{name}"] = mean([row.max_recall for row in rows if row.max_recall is not None])
        return BenchmarkScore(figures, (*relation_rows, *phrase_rows))

    def _apart(self, prediction: ImagePrediction, rows: Ints) -> Bools:
        """(N,) which relations, best first, stay beside the better ones of their class."""
        chosen = self._conventions
        overlaps = pair_overlaps(
            *_end_boxes(prediction, rows),
            edges=chosen.box_edges,
            subject_power=chosen.nms_subject_power,
            object_power=chosen.nms_object_power,
        )
        return keep_apart(self._within_class(prediction, rows, overlaps), threshold=chosen.nms_threshold)

    def _found_phrases(self, truth: ImageTruth, prediction: ImagePrediction, rows: Ints) -> "_Found":
        """The phrases of relations, best first, that suppression left, and what each is credited with."""
        chosen = self._conventions
        if chosen.nms == "pair_and_phrase":
            boxes = union_boxes(*_end_boxes(prediction, rows))
            overlaps = iou_matrix(boxes, boxes, edges=chosen.box_edges)
            rows = rows[
                keep_apart(self._within_class(prediction, rows, overlaps), threshold=chosen.phrase_nms_threshold)
            ]
            # As suppression leaves them: classes by their best relation, each from best to worst.
            rows = rows[_grouped(triplet_numbers(self._space, prediction.labels, prediction.relations[rows]))]
        targets = self._targets(truth, prediction, rows, phrases=True)
        order = np.argsort(-prediction.triplet_scores[rows], kind="stable")
        if chosen.phrase_matches == "by_phrase":
            targets = targets[order]
        return self._of(prediction, rows[order], targets, np.ones(len(rows), dtype=np.bool_))

    def _within_class(self, prediction: ImagePrediction, rows: Ints, overlaps: Floats) -> Floats:
        numbers = triplet_numbers(self._space, prediction.labels, prediction.relations[rows])
        return np.where(numbers[:, None] == numbers, overlaps, 0.0)

    def _targets(self, truth: ImageTruth, prediction: ImagePrediction, rows: Ints, *, phrases: bool = False) -> Ints:
        """(N,) the truth that each relation, or its phrase, overlaps most; -1 for none."""
        overlaps = (phrase_overlaps if phrases else relation_overlaps)(truth, prediction, rows, self._overlap)
        same = same_triplets(self._space, truth, prediction, rows)
        return best_truths(np.where(same, overlaps, -1.0), self._conventions.iou_threshold)

    def _overlap(self, first: Floats, second: Floats) -> Floats:
        overlaps = iou_matrix(first, second, edges=self._conventions.box_edges)
        if self._conventions.one_pixel_overlaps == "none":
            overlaps[touch_only(first, second)] = 0.0
        return overlaps

    def _of(self, prediction: ImagePrediction, rows: Ints, targets: Ints, early: Bools) -> "_Found":
        return _Found(
            classes=triplet_numbers(self._space, prediction.labels, prediction.relations[rows]),
            scores=prediction.triplet_scores[rows],
            # Truths are numbered through all images.
            targets=np.where(targets >= 0, targets + self._num_truths, -1),
            early=early,
        )

    def _rows(self, measure: str, found: "_Found", hits: Bools, classes: Ints, num_truths: Ints) -> list[ClassScore]:
        of_class = rows_by_class(np.searchsorted(classes, found.classes), len(classes))
        return [
            class_score(
                self._conventions,
                found.scores[rows],
                hits[rows],
                name=self._name(int(number)),
                measure=measure,
                num_truths=int(truths),
            )
            for number, rows, truths in zip(classes, of_class, num_truths, strict=True)
        ]

    def _name(self, number: int) -> str:
        pair, predicate = divmod(number, len(self._space.predicates))
        subject, object_ = divmod(pair, len(self._space.objects))
        return f"{self._space.objects[subject]} {self._space.predicates[predicate]} {self._space.objects[object_]}"

    def _num_phrases(self, rows: Sequence[ClassScore]) -> int:
        every = self._conventions.phrase_recall == "of_all_classes"
        return sum(row.num_truths for row in rows if every or row.num_predictions)


@dataclass(frozen=True, slots=True)
class _Found:
    """Predictions of an image, or of all, best first in each image."""

    classes: Ints
    """(N,) see `triplet_numbers`."""
    scores: Floats
    """(N,)"""
    targets: Ints
    """(N,) the truth that each is credited with, numbered through all images; -1 for none."""
    early: Bools
    """(N,) whether it is among the image's first 50, counted before suppression as RLIPv2's second evaluator does."""

    @classmethod
    def nothing(cls) -> "_Found":
        return cls(_no_ints(), np.zeros(0), _no_ints(), np.zeros(0, dtype=np.bool_))

    @classmethod
    def joined(cls, parts: "Sequence[_Found]") -> "_Found":
        return cls(
            np.concatenate([part.classes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.targets for part in parts]),
            np.concatenate([part.early for part in parts]),
        )

    def of_classes(self, classes: Ints) -> "_Found":
        """Those of classes that occur among the truths; the others do not even use up what they are credited with."""
        known = np.isin(self.classes, classes)
        return _Found(self.classes[known], self.scores[known], self.targets[known], self.early[known])


def _grouped(numbers: Ints) -> Ints:
    """An order that brings equal numbers together: groups by first appearance, in a group as before."""
    _, first, group = np.unique(numbers, return_index=True, return_inverse=True)
    return np.argsort(first[group], kind="stable")


def _end_boxes(prediction: ImagePrediction, rows: Ints) -> tuple[Floats, Floats]:
    subject, object_, _ = prediction.relations[rows].T
    return prediction.boxes[subject], prediction.boxes[object_]


def _mean_value(rows: Sequence[ClassScore]) -> float | None:
    return mean([row.value for row in rows if row.value is not None])


def _no_ints() -> Ints:
    return np.zeros(0, dtype=np.int64)
