"""OpenImages visual relationships, by predicate: recall and average precision of relations and of phrases.

A relation counts where the boxes of subject and object both overlap those of the truth, a phrase where the box around
both does. Papers report R@50, the weighted mean APs `wmAP_rel` and `wmAP_phr` (weights: share of the truths), and
`score_wtd = 0.2 R@50 + 0.4 wmAP_rel + 0.4 wmAP_phr`. Under these same names two different things are in use: AP of
each predicate over all its subjects and objects, here, and AP of each triplet class, in `openimages_triplets`. Figures
of one must not be compared with figures of the other.

The default conventions are those of `task_evaluation_sg.py` and `ap_eval_rel.py` of NVIDIA/ContrastiveLosses4VRD
(commits 2609c67 and aa79592; Zhang et al. 2019), after which most toolkits are made. Two doubtful points are kept under
their names and mended in `CORRECTED`:

- `absent_predicates`: the unweighted mean divides by all predicates; one without truths counts as AP 0.
- `repeated_truths`: of a relation annotated twice between the same two boxes, AP can only ever find one.

Its boxes are rounded to float32, ours are not: that can matter where an overlap is within 1e-7 of the threshold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stages.evaluate.average_precision import Interpolation, Ties, rows_by_class
from stages.evaluate.benchmark import BenchmarkScore, ClassScore, mean
from stages.evaluate.boxes import BoxEdges, iou_matrix
from stages.evaluate.detections import Bools, Floats, ImagePrediction, ImageTruth, Ints, LabelSpace, merged_truth
from stages.evaluate.matching import best_truths, first_ranks, phrase_overlaps, relation_overlaps, same_triplets
from stages.evaluate.openimages_figures import SCORE_RECALL, class_score, plain_figures, weighted_figures
from stages.evaluate.ranking import best_by_target, best_first, best_of_pairs, distinct_rows

Threshold = Literal["at_least", "more_than"]
"""Whether an overlap of exactly the threshold is enough."""

_RECALLS = (1, 5, 10, 20, 50, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenImagesConventions:
    """What two evaluators per predicate could do differently."""

    ap: Interpolation = "all_points"
    iou_threshold: float = 0.5
    recall_overlap: Threshold = "at_least"
    ap_overlap: Threshold = "more_than"
    box_edges: BoxEdges = "inclusive"
    predicates_per_pair: int = 2
    """Of the predicates of a pair of boxes the best so many are ranked."""
    max_relations: int = 100
    """Of an image the best so many are ranked, whatever the class."""
    scores_above: float = 0.0
    """Relations whose score (subject times object times predicate) is not above this are dropped."""
    ties: Ties = "together"
    absent_predicates: Literal["zero", "leave_out"] = "zero"
    """What a predicate without any truth adds to the unweighted means."""
    repeated_truths: Literal["count", "merge"] = "count"
    """A relation annotated twice between the same two boxes: two to find, or one."""


OFFICIAL = OpenImagesConventions()
CORRECTED = OpenImagesConventions(absent_predicates="leave_out", repeated_truths="merge")

PRESETS: Mapping[str, OpenImagesConventions] = {"official": OFFICIAL, "corrected": CORRECTED}


class OpenImagesEvaluator:
    """Adds up, over images, what a model found, by predicate. Memory: about 20 bytes a counted prediction."""

    def __init__(self, space: LabelSpace, conventions: OpenImagesConventions = OFFICIAL) -> None:
        self._conventions = conventions
        self._space = space
        self._num_truths = np.zeros(len(space.predicates), dtype=np.int64)
        self._num_found = np.zeros(len(_RECALLS), dtype=np.int64)
        nothing = np.zeros(0, dtype=np.bool_)
        self._found: list[tuple[Ints, Floats, Bools, Bools]] = [
            (np.zeros(0, dtype=np.int64), np.zeros(0), nothing, nothing)
        ]

    def add(self, truth: ImageTruth, prediction: ImagePrediction) -> None:
        """Count an image. Without true relations all that is predicted is false."""
        chosen = self._conventions
        truth = merged_truth(truth) if chosen.repeated_truths == "merge" else truth
        rows = self._ranked(prediction)
        same = same_triplets(self._space, truth, prediction, rows)
        relations = np.where(same, relation_overlaps(truth, prediction, rows, self._overlap), -1.0)
        phrases = np.where(same, phrase_overlaps(truth, prediction, rows, self._overlap), -1.0)

        predicates = prediction.relations[rows, 2]
        self._num_truths += np.bincount(truth.relations[:, 2], minlength=len(self._num_truths))
        ranks = first_ranks(relations >= _least(chosen.iou_threshold, chosen.recall_overlap))
        self._num_found += (ranks[:, None] < np.array(_RECALLS)).sum(axis=0)

        least = _least(chosen.iou_threshold, chosen.ap_overlap)
        hits, phrase_hits = (
            best_by_target(best_truths(overlaps, least), num_targets=len(truth.relations))
            for overlaps in (relations, phrases)
        )
        self._found.append((predicates, prediction.triplet_scores[rows], hits, phrase_hits))

    def score(self) -> BenchmarkScore:
        """Recalls of all relations together, and average precision by predicate with its means."""
        predicates, scores, *hits = (np.concatenate(column) for column in zip(*self._found, strict=True))
        of_predicate = rows_by_class(predicates, len(self._space.predicates))
        relations, phrases = (
            [
                class_score(
                    self._conventions, scores[rows], hit[rows], name=name, measure=measure, num_truths=int(num_truths)
                )
                for name, rows, num_truths in zip(self._space.predicates, of_predicate, self._num_truths, strict=True)
            ]
            for measure, hit in zip(("AP relation", "AP phrase"), hits, strict=True)
        )
        num_truths = int(self._num_truths.sum())
        recalls = {
            f"R@{at}": int(found) / num_truths if num_truths else None
            for at, found in zip(_RECALLS, self._num_found, strict=True)
        }
        recall = recalls[f"R@{SCORE_RECALL}"]
        # The order of the papers; the recalls that the evaluator also prints follow.
        figures = weighted_figures(recall, relations, phrases) | recalls
        figures |= plain_figures(recall, self._mean(relations), self._mean(phrases))
        return BenchmarkScore(figures, (*relations, *phrases))

    def _ranked(self, prediction: ImagePrediction) -> Ints:
        """The relations that count, best first."""
        chosen = self._conventions
        scores = prediction.triplet_scores
        rows = best_of_pairs(prediction, distinct_rows(prediction), most=chosen.predicates_per_pair)
        rows = rows[scores[rows] > chosen.scores_above]
        return best_first(prediction, scores, rows, most=chosen.max_relations, ties=chosen.ties)

    def _overlap(self, first: Floats, second: Floats) -> Floats:
        return iou_matrix(first, second, edges=self._conventions.box_edges)

    def _mean(self, rows: Sequence[ClassScore]) -> float | None:
        known = [row.value for row in rows if row.value is not None]
        if known and self._conventions.absent_predicates == "zero":
            known += [0.0] * (len(rows) - len(known))
        return mean(known)


def _least(threshold: float, kind: Threshold) -> float:
    """The least overlap that counts: for `more_than` the next number that can be written."""
    return threshold if kind == "at_least" else float(np.nextafter(threshold, np.inf))
