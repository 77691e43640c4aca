"""How good pseudo-labels are, measured on scenes whose relations people wrote down: rates, ranking, calibration.

`LabelScore` (`labels.py`) counts in memory that does not grow, for the report of a run. `LabelQuality` keeps each label
in a row of numbers, so that it can rank them, bin their scores, and resample scenes.

**What is a hit.** A label is `(subject region, predicate, object region)`. Either both sides speak of the same region
ids (`add`), or regions are matched (`add_matched`): equal canonical names and IoU of at least `iou_threshold`, boxes
half-open. Predicates are equal as canonical strings. Each human triplet is found once, by the label with the best
score; equal scores are taken in the order of what they say, never of the file.

**What is wrong**, `Truth` (`label_score.py`). People deny little and assert little of what holds, so a label that
nobody asserted may be true. `closed` takes it as wrong: precision is a lower bound. `spoken_pairs` leaves out labels on
two regions between which, in that order, no human asserted anything, unless a human denied that very label: a denial is
always sure. The rest may still be true beside the human predicate, and pairs that people chose to describe are not a
fair draw of all pairs, so this is no upper bound; it answers another question: given two regions that people related,
is the predicate theirs? Recall is the same in both. Average precision, calibration and F1 rest on the labels that
`truth` counts.

Scenes in which no human asserted anything are left out, and counted. A triplet from several sources counts once over
all, with its best score, and once in each source.

**Intervals** are 95 % percentile bootstraps over scenes: labels of one scene are right and wrong together. Where the
resamples do not differ (one scene, or all right, or all wrong) a bootstrap says nothing: precision and recall of 0 or 1
then get Wilson's interval with scenes as trials, other figures none. The calibration error cannot be negative and so is
lifted by chance, in a resample more than in the data; its interval leans upwards. Its bins are those of the data.
"""

from array import array
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from schemas import BadInputError, Relation, Scene
from stages.evaluate.average_precision import rows_by_class
from stages.evaluate.detections import Ints
from stages.evaluate.label_figures import LabelGroup, Measured
from stages.evaluate.label_score import SOURCES, Bootstrap, LabelConventions, QualityRow, QualityScore
from stages.evaluate.label_verdicts import (
    Judge,
    NamedBox,
    Triplet,
    Verdict,
    human_triplets,
    judge_by_boxes,
    judge_by_id,
    judged,
    named_boxes,
    same_id,
)
from stages.evaluate.labels import FalsePositives

_GROUPS_AT_ONCE = 512


class LabelQuality:
    """Adds up labels against human relations, scene by scene, in any order.

        quality = LabelQuality(LabelConventions(truth="spoken_pairs"))
        for scene in scenes:
            quality.add(scene)
        score = quality.score(Bootstrap(seed=1))

    Labelled is what another source than `human` asserts. Memory: 19 bytes a label of a source, 8 a human triplet, and
    the keys.
    """

    def __init__(self, conventions: LabelConventions | None = None) -> None:
        self._conventions = conventions or LabelConventions()
        self.num_left_out = 0
        """Scenes so far without a human assertion."""
        self._num_without_probability = 0
        self._keys: list[str] = []
        self._predicates: dict[str, int] = {}
        self._scene, self._predicate, self._source = array("i"), array("i"), array("b")
        self._score, self._verdict, self._in_source = array("d"), array("b"), array("b")
        self._human_scene, self._human_predicate = array("i"), array("i")

    @property
    def num_scenes(self) -> int:
        """Scenes so far with a human assertion: those that are measured."""
        return len(self._keys)

    def add(self, scene: Scene) -> None:
        """Count a scene whose human relations are among its own, on the same regions.

        Raises:
            BadInputError: if a score or probability is no number in [0, 1].
        """
        human, denied = human_triplets(scene.relations, same_id)

        def judge(labels: Sequence[Triplet]) -> list[Verdict]:
            return judge_by_id(labels, human, denied)

        self._add(scene, human, same_id, judge)

    def add_matched(self, scene: Scene, truth: Scene) -> None:
        """Count the labels of a scene against the human relations of another one, with regions of its own.

        Human relations of `scene` and labels of `truth` count for nothing. Regions with equal names and boxes are one.

        Raises:
            BadInputError: if a score or probability is no number in [0, 1].
        """
        human, denied = human_triplets(truth.relations, named_boxes(truth))
        threshold = self._conventions.iou_threshold

        def judge(labels: Sequence[Triplet]) -> list[Verdict]:
            return judge_by_boxes(labels, sorted(human), sorted(denied), threshold)

        self._add(scene, human, named_boxes(scene), judge)

    def score(self, bootstrap: Bootstrap | None = None) -> QualityScore:
        """All figures so far. The same scenes give the same figures and intervals, in whatever order they came.

        A million labels in 100,000 scenes take well below 1 GB.

        Raises:
            BadInputError: if two scenes have the same key.
        """
        chosen = bootstrap or Bootstrap()
        groups = self._groups()
        measured = Measured(self._conventions, chosen, self.num_scenes)
        rows: list[QualityRow] = []
        for start in range(0, len(groups), _GROUPS_AT_ONCE):
            rows += measured.rows(groups[start : start + _GROUPS_AT_ONCE])
        verdicts = np.bincount(groups[0].verdicts, minlength=len(Verdict))
        return QualityScore(
            conventions=self._conventions,
            bootstrap=chosen,
            num_scenes=self.num_scenes,
            num_left_out=self.num_left_out,
            num_without_probability=self._num_without_probability,
            false_positives=FalsePositives(
                denied=int(verdicts[Verdict.DENIED]),
                other_predicate=int(verdicts[Verdict.OTHER_PREDICATE]),
                silent_pair=int(verdicts[Verdict.SILENT_PAIR]),
            ),
            num_repeated=int(verdicts[Verdict.REPEATED]),
            overall=rows[0],
            by_source=tuple(row for row in rows if row.group == "source"),
            by_predicate=tuple(
                sorted(
                    (row for row in rows if row.group == "predicate"),
                    key=lambda row: (-row.num_human, -row.num_labels, row.name),
                )
            ),
        )

    def _add(self, scene: Scene, human: set[Triplet], end: Callable[[int], int | NamedBox], judge: Judge) -> None:
        by_source = self._labels(scene, end)
        if not human:
            self.num_left_out += 1
            return
        best: dict[Triplet, float] = {}
        for found in by_source.values():
            for triplet, (score, _) in found.items():
                best[triplet] = max(score, best.get(triplet, 0.0))
        verdicts = judged(best, judge)

        number = len(self._keys)
        self._keys.append(scene.key)
        for source, labels in sorted(by_source.items()):
            scores = {triplet: score for triplet, (score, _) in labels.items()}
            in_source = verdicts if len(by_source) == 1 else judged(scores, judge)
            for triplet, score in scores.items():
                # The source with the best score, of several the first, speaks for the triplet over all.
                speaks = score == best.get(triplet)
                self._scene.append(number)
                self._predicate.append(self._predicates.setdefault(triplet[1], len(self._predicates)))
                self._source.append(source)
                self._score.append(score)
                self._verdict.append(verdicts[triplet] if speaks else Verdict.ELSEWHERE)
                self._in_source.append(in_source[triplet])
                if speaks:
                    del best[triplet]
            self._num_without_probability += sum(lacks for _, lacks in labels.values())
        for _, predicate, _ in human:
            self._human_scene.append(number)
            self._human_predicate.append(self._predicates.setdefault(predicate, len(self._predicates)))

    def _labels(
        self, scene: Scene, end: Callable[[int], int | NamedBox]
    ) -> dict[int, dict[Triplet, tuple[float, bool]]]:
        """By source (index into `SOURCES`) its triplets: the best score, and whether that lacks a probability."""
        found: dict[int, dict[Triplet, tuple[float, bool]]] = {}
        for relation in scene.relations:
            if relation.source == "human" or relation.state != "asserted":
                continue
            scored = self._scored(scene, relation)
            triplet = (end(relation.subject), relation.predicate, end(relation.object))
            labels = found.setdefault(SOURCES.index(relation.source), {})
            labels[triplet] = max(scored, labels.get(triplet, scored))
        return found

    def _scored(self, scene: Scene, relation: Relation) -> tuple[float, bool]:
        calibrated = self._conventions.use == "probability" and relation.probability is not None
        value = relation.probability if calibrated else relation.score
        if value is None or not 0 <= value <= 1:
            raise BadInputError(
                f"{scene.key}: the {'probability' if calibrated else 'score'} of {relation.source} relation "
                f"{relation.subject} {relation.predicate!r} {relation.object} is {value}; expected a number in [0, 1]"
            )
        return float(value), self._conventions.use == "probability" and not calibrated

    def _groups(self) -> list[LabelGroup]:
        """All labels, those of each source, those of each predicate; scenes and labels in an order of their own."""
        order = sorted(range(len(self._keys)), key=self._keys.__getitem__)
        for one, next_ in pairwise(order):
            if self._keys[one] == self._keys[next_]:
                raise BadInputError(f"scene {self._keys[one]!r} is there twice; keys are unique within an output")
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        names = sorted(self._predicates)
        renamed = np.empty(len(names), dtype=np.int64)
        renamed[[self._predicates[name] for name in names]] = np.arange(len(names))

        scene, predicate, source = rank[_ints(self._scene)], renamed[_ints(self._predicate)], _ints(self._source)
        score, verdict, in_source = (
            np.array(self._score, dtype=np.float64),
            _ints(self._verdict),
            _ints(self._in_source),
        )
        human_scene, human_predicate = rank[_ints(self._human_scene)], renamed[_ints(self._human_predicate)]
        human_order = np.lexsort((human_scene, human_predicate))
        human_scene, human_predicate = human_scene[human_order], human_predicate[human_order]

        # Sums of floats depend on their order in the last bit, so that has to be a function of the labels alone.
        sorted_rows = np.lexsort((in_source, verdict, source, score, predicate, scene))
        once = sorted_rows[verdict[sorted_rows] != Verdict.ELSEWHERE]
        groups = [LabelGroup("overall", "", scene[once], score[once], verdict[once], human_scene)]
        for number, rows in enumerate(rows_by_class(source[sorted_rows], len(SOURCES))):
            if len(rows):
                chosen = sorted_rows[rows]
                name = SOURCES[number]
                groups.append(LabelGroup("source", name, scene[chosen], score[chosen], in_source[chosen], human_scene))
        human_rows = rows_by_class(human_predicate, len(names))
        for number, rows in enumerate(rows_by_class(predicate[once], len(names))):
            chosen = once[rows]
            humans = human_scene[human_rows[number]]
            groups.append(LabelGroup("predicate", names[number], scene[chosen], score[chosen], verdict[chosen], humans))
        return groups


def _ints(values: "array[int]") -> Ints:
    return np.array(values, dtype=np.int64)
