"""Scene graphs in the manner of VG150: which of the true relations are among the first K predicted ones.

The default conventions are those of `sg_eval.py` of neural-motifs (rowanz/neural-motifs, commit da8d411; Zellers et al.
2018), with the mean recall of KERN (yuweihao/KERN, commit 0250f39) and the zero-shot recall of
KaihuaTang/Scene-Graph-Benchmark.pytorch. Figures: `R@K` over all relations, `mR@K` the mean of the predicates' recalls,
`zR@K` over relations whose three classes never met in training; each once with the graph constraint (a pair of boxes
has one predicate, the best) and once without it (`no constraint`). A predicted relation finds every truth of its three
classes that both its boxes overlap, so one can find several.

What differs between published evaluators, or is doubtful in all of them, is named:

- `absent_predicates`: KERN and Scene-Graph-Benchmark divide mR by the number of all predicates. One that no picture of
  the split has counts as recall 0, so a perfect prediction does not reach 1. Full VG150 has all fifty. `CORRECTED`
  leaves such predicates out.
- `images_without_prediction`: Scene-Graph-Benchmark skips pictures for which a model predicts nothing, which rewards
  silence. Neural-motifs counts them as recall 0, and so do we by default and in `CORRECTED`.
- Equal scores are ranked by a sort that is not stable in all of them; see `Ties`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from stages.evaluate.average_precision import Ties
from stages.evaluate.benchmark import BenchmarkScore, ClassScore, mean
from stages.evaluate.boxes import BoxEdges, iou_matrix
from stages.evaluate.detections import Bools, Floats, ImagePrediction, ImageTruth, Ints, LabelSpace
from stages.evaluate.matching import first_ranks, phrase_overlaps, relation_overlaps, same_triplets, triplet_numbers
from stages.evaluate.ranking import best_first, best_of_pairs, distinct_rows

Mode = Literal["sgdet", "sgcls", "predcls", "phrdet"]
"""What the model was told. `predcls`: boxes and labels, `sgcls`: boxes, `sgdet`: nothing but the picture. `phrdet`:
nothing either, and what has to overlap is the box around both ends instead of both boxes."""

_RECALLS = (20, 50, 100)
_SETTINGS = ("", " no constraint")
_CLASS_RECALL = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneGraphConventions:
    """What two evaluators of scene graphs could do differently."""

    mode: Mode = "sgdet"
    mean: Literal["per_image", "pooled"] = "per_image"
    """Recall is the mean of the pictures' recalls, or the share of all pictures' relations; for mR of each predicate's
    pictures or relations, before the mean over predicates."""
    iou_threshold: float = 0.5
    """Both boxes, or the boxes around both, overlap by at least this."""
    box_edges: BoxEdges = "inclusive"
    predicates_per_pair: int = 1
    """How many predicates of a pair the graph constraint lets through."""
    max_relations: int = 100
    """Of a picture the best so many are ranked."""
    ties: Ties = "together"
    """Here it only says which of two equal scores is ranked first: by classes and boxes, or by place in the file."""
    absent_predicates: Literal["zero", "leave_out"] = "zero"
    """What a predicate without any truth adds to mR."""
    images_without_prediction: Literal["count", "leave_out"] = "count"
    """Pictures with true relations and no predicted one: recall 0, or left out."""


OFFICIAL = SceneGraphConventions()
CORRECTED = SceneGraphConventions(absent_predicates="leave_out")
SCENE_GRAPH_BENCHMARK = SceneGraphConventions(images_without_prediction="leave_out")

PRESETS: Mapping[str, SceneGraphConventions] = {
    "official": OFFICIAL,
    "corrected": CORRECTED,
    "scene_graph_benchmark": SCENE_GRAPH_BENCHMARK,
}


class SceneGraphEvaluator:
    """Adds up, over pictures, what a model found of their scene graphs. Memory: a few hundred bytes a predicate.

    Args:
        space: names of objects and predicates; there is one row a predicate.
        train_triplets: (subject, predicate, object) class numbers of the training relations, repeats allowed. Without
            them there is no zR@K.

    Raises:
        ValueError: if a training triplet is outside `space`.
    """

    def __init__(
        self,
        space: LabelSpace,
        conventions: SceneGraphConventions = OFFICIAL,
        *,
        train_triplets: Iterable[tuple[int, int, int]] | None = None,
    ) -> None:
        self._conventions = conventions
        self._space = space
        self._known = None if train_triplets is None else _known_triplets(space, train_triplets)
        self._all = _Tally(1)
        self._by_predicate = _Tally(len(space.predicates))
        self._zero_shot = _Tally(1)
        self._num_predictions = np.zeros(len(space.predicates), dtype=np.int64)
        self._num_left_out = 0

    @property
    def num_left_out(self) -> int:
        """Pictures that no figure is about: without true relations, or as `images_without_prediction` says."""
        return self._num_left_out

    def add(self, truth: ImageTruth, prediction: ImagePrediction) -> None:
        """Count a picture.

        Raises:
            ValueError: in modes `predcls` and `sgcls`, if relations are predicted between other than the true boxes.
        """
        silent = len(prediction.relations) == 0
        if len(truth.relations) == 0 or (silent and self._conventions.images_without_prediction == "leave_out"):
            self._num_left_out += 1
            return

        prediction = _as_told(truth, prediction, self._conventions.mode)
        constrained, unconstrained = self._ranked(prediction)
        self._num_predictions += np.bincount(prediction.relations[constrained, 2], minlength=len(self._num_predictions))
        ranks = np.stack([self._ranks(truth, prediction, rows) for rows in (constrained, unconstrained)])
        found = ranks[:, None, :] < np.array(_RECALLS)[:, None]

        together = np.zeros(len(truth.relations), dtype=np.int64)
        self._all.add(found, together)
        self._by_predicate.add(found, truth.relations[:, 2])
        if self._known is not None:
            new = ~np.isin(triplet_numbers(self._space, truth.labels, truth.relations), self._known)
            self._zero_shot.add(found[..., new], together[new])

    def score(self) -> BenchmarkScore:
        """Recalls with and without graph constraint, and the recall of each predicate with it."""
        by_predicate = self._by_predicate.recall(self._conventions.mean)
        figures: dict[str, float | None] = {}
        for setting, suffix in enumerate(_SETTINGS):
            for name, tally in {"R": self._all, "mR": self._by_predicate, "zR": self._zero_shot}.items():
                if name == "zR" and self._known is None:
                    continue
                recall = tally.recall(self._conventions.mean)[setting]
                for at, of_groups in zip(_RECALLS, recall, strict=True):
                    figures[f"{name}@{at}{suffix}"] = self._mean(of_groups)
        rows = [
            ClassScore(
                name=name,
                group="",
                measure=f"R@{_CLASS_RECALL}",
                value=_or_none(by_predicate[0, _RECALLS.index(_CLASS_RECALL), number]),
                max_recall=None,
                num_truths=int(self._by_predicate.num_truths[number]),
                num_predictions=int(self._num_predictions[number]),
            )
            for number, name in enumerate(self._space.predicates)
        ]
        return BenchmarkScore(figures, tuple(rows))

    def _ranked(self, prediction: ImagePrediction) -> tuple[Ints, Ints]:
        """The relations that count, best first: with and without the graph constraint."""
        chosen = self._conventions
        scores = prediction.triplet_scores
        distinct = distinct_rows(prediction)
        of_pairs = best_of_pairs(prediction, distinct, most=chosen.predicates_per_pair)
        with_, without = (
            best_first(prediction, scores, rows, most=chosen.max_relations, ties=chosen.ties)
            for rows in (of_pairs, distinct)
        )
        return with_, without

    def _ranks(self, truth: ImageTruth, prediction: ImagePrediction, rows: Ints) -> Ints:
        chosen = self._conventions
        same = same_triplets(self._space, truth, prediction, rows)
        overlaps = phrase_overlaps if chosen.mode == "phrdet" else relation_overlaps
        found = same & (overlaps(truth, prediction, rows, self._overlap) >= chosen.iou_threshold)
        return first_ranks(found)

    def _overlap(self, first: Floats, second: Floats) -> Floats:
        return iou_matrix(first, second, edges=self._conventions.box_edges)

    def _mean(self, of_groups: Floats) -> float | None:
        known = [float(value) for value in of_groups if not np.isnan(value)]
        if known and self._conventions.absent_predicates == "zero":
            known += [0.0] * (len(of_groups) - len(known))
        return mean(known)


class _Tally:
    """Recall of groups of truths, of both settings (S) at each K, as shares of pictures and as counts."""

    def __init__(self, num_groups: int) -> None:
        shape = (len(_SETTINGS), len(_RECALLS), num_groups)
        self._shares = np.zeros(shape)
        self._hits = np.zeros(shape)
        self._num_images = np.zeros(num_groups, dtype=np.int64)
        self.num_truths = np.zeros(num_groups, dtype=np.int64)

    def add(self, found: Bools, groups: Ints) -> None:
        """Count a picture's truths: (S, K, T) whether each was found, and (T,) the group of each."""
        member = groups[:, None] == np.arange(len(self.num_truths))
        hits = found.astype(np.float64) @ member.astype(np.float64)
        num_truths = member.sum(axis=0)
        self._shares += hits / np.maximum(num_truths, 1)
        self._hits += hits
        self._num_images += num_truths > 0
        self.num_truths += num_truths

    def recall(self, kind: Literal["per_image", "pooled"]) -> Floats:
        """(S, K, groups); NaN for a group without truths."""
        above, below = (self._shares, self._num_images) if kind == "per_image" else (self._hits, self.num_truths)
        return np.asarray(np.where(below > 0, above / np.maximum(below, 1), np.nan), dtype=np.float64)


def _as_told(truth: ImageTruth, prediction: ImagePrediction, mode: Mode) -> ImagePrediction:
    """The prediction with what the model did not have to find taken from the truth, box by box."""
    if mode in ("sgdet", "phrdet") or len(prediction.relations) == 0:
        return prediction
    if len(prediction.boxes) != len(truth.boxes):
        raise ValueError(
            f"mode {mode}: the prediction has {len(prediction.boxes)} boxes and the truth {len(truth.boxes)}; "
            "box by box they must be the same"
        )
    told = replace(prediction, boxes=truth.boxes)
    return replace(told, labels=truth.labels, box_scores=np.ones(len(truth.boxes))) if mode == "predcls" else told


def _known_triplets(space: LabelSpace, triplets: Iterable[tuple[int, int, int]]) -> Ints:
    """Their `triplet_numbers`, sorted, each once."""
    rows = np.array(sorted(set(triplets)), dtype=np.int64).reshape(-1, 3)
    sizes = np.array([len(space.objects), len(space.predicates), len(space.objects)])
    outside = ((rows < 0) | (rows >= sizes)).any(axis=1)
    if outside.any():
        raise ValueError(f"training triplet {tuple(rows[outside][0].tolist())} is outside {tuple(sizes.tolist())}")
    subject, predicate, object_ = rows.T
    return np.unique((subject * sizes[2] + object_) * sizes[1] + predicate)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
