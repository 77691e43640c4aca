"""How good pseudo-labels are, measured on scenes whose relations people wrote down: rates, ranking, calibration.

`LabelScore` (`labels.py`) counts in memory that does not grow, for the report of a run. `LabelQuality` keeps each label
in a row of numbers, so that it can rank them, bin their scores, and resample scenes.

**What is a hit.** A label is `(subject region, predicate, object region)`. Either both sides speak of the same region
ids (`add`), or regions are matched (`add_matched`): equal canonical names and IoU of at least `iou_threshold`, boxes
half-open. Predicates are equal as canonical strings. Each human triplet is found once, by the label with the best
score; equal scores are taken in the order of what they say, never of the file.

**What is wrong**, `Truth`. People deny little and assert little of what holds, so a label that nobody asserted may be
true. `closed` takes it as wrong: precision is a lower bound. `spoken_pairs` leaves out labels on two regions between
which, in that order, no human asserted anything, unless a human denied that very label: a denial is always sure. The
rest may still be true beside the human predicate, and pairs that people chose to describe are not a fair draw of all
pairs, so this is no upper bound; it answers another question: given two regions that people related, is the predicate
theirs? Recall is the same in both. Average precision, calibration and F1 rest on the labels that `truth` counts.

Scenes in which no human asserted anything are left out, and counted. A triplet from several sources counts once over
all, with its best score, and once in each source.

**Intervals** are 95 % percentile bootstraps over scenes: labels of one scene are right and wrong together. Where the
resamples do not differ (one scene, or all right, or all wrong) a bootstrap says nothing: precision and recall of 0 or 1
then get Wilson's interval with scenes as trials, other figures none. The calibration error cannot be negative and so is
lifted by chance, in a resample more than in the data; its interval leans upwards. Its bins are those of the data.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from schemas import BadInputError, Box, Relation, Scene, UserError
from stages.evaluate.average_precision import precision_recall, rows_by_class
from stages.evaluate.boxes import iou_matrix
from stages.evaluate.calibration import Bin, bin_numbers, brier_score, expected_calibration_error, reliability
from stages.evaluate.detections import Bools, Floats, Ints
from stages.evaluate.graphs import Estimate
from stages.evaluate.labels import Agreement, FalsePositives, wilson_interval

Truth = Literal["closed", "spoken_pairs"]
"""What no human asserted is wrong, or is wrong only between regions that humans related."""

ScoreUse = Literal["score", "probability"]
"""What labels are ranked and calibrated by. A label without a probability goes by its score, and is counted."""

Group = Literal["overall", "source", "predicate"]

SOURCES = ("caption", "tagger", "geometry", "derived")
"""Where labels come from, in the order of the rows."""

_CONFIDENCE = 0.95
# Resamples times scenes, or times labels, held at once: 4 M numbers are 32 MB.
_AT_ONCE = 1 << 22
_RESAMPLES_AT_ONCE = 256
_GROUPS_AT_ONCE = 512

_NamedBox = tuple[str, Box]
_Triplet = tuple[int | _NamedBox, str, int | _NamedBox]


class _Verdict(IntEnum):
    """What a label is, held against what humans said."""

    HIT = 0
    DENIED = 1
    OTHER_PREDICATE = 2
    REPEATED = 3
    """It fits a human triplet that a better label has found; only where regions are matched."""
    SILENT_PAIR = 4
    ELSEWHERE = 5
    """The same triplet counts with the score of another source."""


_Judge = Callable[[Sequence[_Triplet]], list[_Verdict]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelConventions:
    """What two evaluations of the same labels could do differently."""

    truth: Truth = "closed"
    use: ScoreUse = "score"
    iou_threshold: float = 0.5
    """Both boxes overlap by at least this, where regions are matched."""
    num_bins: int = 10
    """Of the reliability tables and calibration errors."""

    def __post_init__(self) -> None:
        if self.num_bins < 1:
            raise UserError(f"num_bins is {self.num_bins}; give a positive number")
        if not 0 < self.iou_threshold <= 1:
            raise UserError(f"iou_threshold is {self.iou_threshold}; give a number above 0, at most 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """How the intervals are made: by drawing as many scenes as there are, with replacement, again and again."""

    num_resamples: int = 1000
    num_ap_resamples: int = 200
    """For the average precision, which walks through all labels anew for each. They are the first of the same
    resamples."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("num_resamples", 1), ("num_ap_resamples", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}; give {least} or more")


@dataclass(frozen=True, slots=True)
class QualityRow:
    """Figures of all labels, of one source's or of one predicate's."""

    group: Group
    name: str
    """The source or predicate; empty overall."""
    num_scenes: int
    """Measured scenes with such a label or human triplet. Intervals of a row with few say little."""
    num_labels: int
    """Labels that `truth` counts."""
    num_silent: int
    """Labels on two regions between which no human asserted anything, and which no human denied."""
    num_human: int
    """Human triplets to be found; for a source all of them."""
    num_matched: int
    precision: Estimate
    """Of the labels that `truth` counts."""
    precision_closed: Estimate
    precision_spoken_pairs: Estimate
    recall: Estimate
    f1: Estimate
    ap: Estimate
    """Area under the precision envelope, labels ranked by score, equal scores one step; not a mean over predicates."""
    ece_width: Estimate
    ece_mass: Estimate
    brier: Estimate
    reliability_width: tuple[Bin, ...]
    reliability_mass: tuple[Bin, ...]

    def estimates(self) -> dict[str, Estimate]:
        """Every figure that has an interval, by name."""
        return {name: getattr(self, name) for name in _FIGURES}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "group": self.group,
            "name": self.name,
            **{name: getattr(self, name) for name in COUNTS},
            **{name: estimate.to_json() for name, estimate in self.estimates().items()},
            "reliability_width": [one.to_json() for one in self.reliability_width],
            "reliability_mass": [one.to_json() for one in self.reliability_mass],
        }


COUNTS = ("num_scenes", "num_labels", "num_silent", "num_human", "num_matched")
"""The counts of a `QualityRow`."""

_RESAMPLED = ("precision_closed", "precision_spoken_pairs", "recall", "f1", "ece_width", "ece_mass", "brier")
_FIGURES = ("precision", "precision_closed", "precision_spoken_pairs", "recall", "f1", "ap", *_RESAMPLED[4:])


@dataclass(frozen=True, slots=True)
class QualityScore:
    """Everything that labels scored, with what it takes to measure it again."""

    conventions: LabelConventions
    bootstrap: Bootstrap
    num_scenes: int
    """Scenes measured."""
    num_left_out: int
    """Scenes without a human assertion."""
    num_without_probability: int
    """Labels of measured scenes that went by their score for want of a probability; 0 if `use` is `score`."""
    false_positives: FalsePositives
    num_repeated: int
    """Labels that fit a human triplet which a better label had found. With `false_positives`: all that are no hits."""
    overall: QualityRow
    by_source: tuple[QualityRow, ...]
    """Sources that labelled anything, in the order of `SOURCES`."""
    by_predicate: tuple[QualityRow, ...]
    """Most frequent among humans first, then among labels, then by name."""

    @property
    def rows(self) -> tuple[QualityRow, ...]:
        """All rows: overall, sources, predicates."""
        return (self.overall, *self.by_source, *self.by_predicate)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        wrong = self.false_positives
        return {
            "conventions": asdict(self.conventions),
            "bootstrap": asdict(self.bootstrap),
            "num_scenes": self.num_scenes,
            "num_left_out": self.num_left_out,
            "num_without_probability": self.num_without_probability,
            "false_positives": {
                "denied": wrong.denied,
                "other_predicate": wrong.other_predicate,
                "silent_pair": wrong.silent_pair,
                "repeated": self.num_repeated,
            },
            "overall": self.overall.to_json(),
            "by_source": [row.to_json() for row in self.by_source],
            "by_predicate": [row.to_json() for row in self.by_predicate],
        }


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
        human, denied = _human(scene.relations, _same_id)

        def judge(labels: Sequence[_Triplet]) -> list[_Verdict]:
            return _judge_by_id(labels, human, denied)

        self._add(scene, human, _same_id, judge)

    def add_matched(self, scene: Scene, truth: Scene) -> None:
        """Count the labels of a scene against the human relations of another one, with regions of its own.

        Human relations of `scene` and labels of `truth` count for nothing. Regions with equal names and boxes are one.

        Raises:
            BadInputError: if a score or probability is no number in [0, 1].
        """
        human, denied = _human(truth.relations, _named_boxes(truth))
        threshold = self._conventions.iou_threshold

        def judge(labels: Sequence[_Triplet]) -> list[_Verdict]:
            return _judge_by_boxes(labels, sorted(human), sorted(denied), threshold)

        self._add(scene, human, _named_boxes(scene), judge)

    def score(self, bootstrap: Bootstrap | None = None) -> QualityScore:
        """All figures so far. The same scenes give the same figures and intervals, in whatever order they came.

        A million labels in 100,000 scenes take well below 1 GB.

        Raises:
            BadInputError: if two scenes have the same key.
        """
        chosen = bootstrap or Bootstrap()
        groups = self._groups()
        measured = _Measured(self._conventions, chosen, self.num_scenes)
        rows: list[QualityRow] = []
        for start in range(0, len(groups), _GROUPS_AT_ONCE):
            rows += measured.rows(groups[start : start + _GROUPS_AT_ONCE])
        verdicts = np.bincount(groups[0].verdicts, minlength=len(_Verdict))
        return QualityScore(
            conventions=self._conventions,
            bootstrap=chosen,
            num_scenes=self.num_scenes,
            num_left_out=self.num_left_out,
            num_without_probability=self._num_without_probability,
            false_positives=FalsePositives(
                denied=int(verdicts[_Verdict.DENIED]),
                other_predicate=int(verdicts[_Verdict.OTHER_PREDICATE]),
                silent_pair=int(verdicts[_Verdict.SILENT_PAIR]),
            ),
            num_repeated=int(verdicts[_Verdict.REPEATED]),
            overall=rows[0],
            by_source=tuple(row for row in rows if row.group == "source"),
            by_predicate=tuple(
                sorted(
                    (row for row in rows if row.group == "predicate"),
                    key=lambda row: (-row.num_human, -row.num_labels, row.name),
                )
            ),
        )

    def _add(self, scene: Scene, human: set[_Triplet], end: Callable[[int], int | _NamedBox], judge: _Judge) -> None:
        by_source = self._labels(scene, end)
        if not human:
            self.num_left_out += 1
            return
        best: dict[_Triplet, float] = {}
        for found in by_source.values():
            for triplet, (score, _) in found.items():
                best[triplet] = max(score, best.get(triplet, 0.0))
        verdicts = _judged(best, judge)

        number = len(self._keys)
        self._keys.append(scene.key)
        for source, labels in sorted(by_source.items()):
            scores = {triplet: score for triplet, (score, _) in labels.items()}
            in_source = verdicts if len(by_source) == 1 else _judged(scores, judge)
            for triplet, score in scores.items():
                # The source with the best score, of several the first, speaks for the triplet over all.
                speaks = score == best.get(triplet)
                self._scene.append(number)
                self._predicate.append(self._predicates.setdefault(triplet[1], len(self._predicates)))
                self._source.append(source)
                self._score.append(score)
                self._verdict.append(verdicts[triplet] if speaks else _Verdict.ELSEWHERE)
                self._in_source.append(in_source[triplet])
                if speaks:
                    del best[triplet]
            self._num_without_probability += sum(lacks for _, lacks in labels.values())
        for _, predicate, _ in human:
            self._human_scene.append(number)
            self._human_predicate.append(self._predicates.setdefault(predicate, len(self._predicates)))

    def _labels(
        self, scene: Scene, end: Callable[[int], int | _NamedBox]
    ) -> dict[int, dict[_Triplet, tuple[float, bool]]]:
        """By source (index into `SOURCES`) its triplets: the best score, and whether that lacks a probability."""
        found: dict[int, dict[_Triplet, tuple[float, bool]]] = {}
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

    def _groups(self) -> list["_Group"]:
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
        once = sorted_rows[verdict[sorted_rows] != _Verdict.ELSEWHERE]
        groups = [_Group("overall", "", scene[once], score[once], verdict[once], human_scene)]
        for number, rows in enumerate(rows_by_class(source[sorted_rows], len(SOURCES))):
            if len(rows):
                chosen = sorted_rows[rows]
                name = SOURCES[number]
                groups.append(_Group("source", name, scene[chosen], score[chosen], in_source[chosen], human_scene))
        human_rows = rows_by_class(human_predicate, len(names))
        for number, rows in enumerate(rows_by_class(predicate[once], len(names))):
            chosen = once[rows]
            humans = human_scene[human_rows[number]]
            groups.append(_Group("predicate", names[number], scene[chosen], score[chosen], verdict[chosen], humans))
        return groups


# What a label is


def _same_id(region: int) -> int:
    return region


def _named_boxes(scene: Scene) -> Callable[[int], _NamedBox]:
    """Regions by what they show: two of the same name and box are one, whatever their ids."""
    known = {region.id: (region.name, region.box) for region in scene.regions}

    def end(region: int) -> _NamedBox:
        if region not in known:
            raise BadInputError(f"{scene.key}: a relation names region {region}, which the scene does not have")
        return known[region]

    return end


def _human(relations: Iterable[Relation], end: Callable[[int], int | _NamedBox]) -> tuple[set[_Triplet], set[_Triplet]]:
    """What humans asserted, and what they denied."""
    asserted: set[_Triplet] = set()
    denied: set[_Triplet] = set()
    for relation in relations:
        if relation.source == "human":
            kept = asserted if relation.state == "asserted" else denied
            kept.add((end(relation.subject), relation.predicate, end(relation.object)))
    return asserted, denied


def _judged(labels: Mapping[_Triplet, float], judge: _Judge) -> dict[_Triplet, _Verdict]:
    best_first = sorted(labels, key=lambda triplet: (-labels[triplet], triplet))
    return dict(zip(best_first, judge(best_first), strict=True))


def _judge_by_id(labels: Sequence[_Triplet], human: set[_Triplet], denied: set[_Triplet]) -> list[_Verdict]:
    pairs = {(subject, object_) for subject, _, object_ in human}
    return [
        _Verdict.HIT
        if label in human
        else _Verdict.DENIED
        if label in denied
        else _Verdict.OTHER_PREDICATE
        if (label[0], label[2]) in pairs
        else _Verdict.SILENT_PAIR
        for label in labels
    ]


def _judge_by_boxes(
    labels: Sequence[_Triplet], human: Sequence[_Triplet], denied: Sequence[_Triplet], threshold: float
) -> list[_Verdict]:
    """The same where regions have to overlap. Labels are best first; each finds the free human triplet it fits best."""
    overlaps = _pair_overlaps(human, labels, threshold)
    fits = np.where(_same_predicate(human, labels), overlaps, 0.0)
    refused = (_pair_overlaps(denied, labels, threshold) > 0) & _same_predicate(denied, labels)
    hit = _first_finds(fits)
    # From the weakest reason to the strongest.
    verdicts = np.full(len(labels), _Verdict.SILENT_PAIR)
    verdicts[overlaps.any(axis=0)] = _Verdict.OTHER_PREDICATE
    verdicts[refused.any(axis=0)] = _Verdict.DENIED
    verdicts[fits.any(axis=0)] = _Verdict.REPEATED
    verdicts[hit] = _Verdict.HIT
    return [_Verdict(verdict) for verdict in verdicts]


def _first_finds(fits: Floats) -> Bools:
    """(P,) which of P labels, best first, find one of T triplets that none before them found; (T, P) 0 does not fit."""
    free = np.ones(len(fits), dtype=np.bool_)
    hit = np.zeros(fits.shape[1], dtype=np.bool_)
    for label in np.flatnonzero(fits.any(axis=0)):
        overlaps = np.where(free, fits[:, label], 0.0)
        found = overlaps.argmax()
        if overlaps[found] > 0:
            hit[label], free[found] = True, False
    return hit


def _pair_overlaps(human: Sequence[_Triplet], labels: Sequence[_Triplet], threshold: float) -> Floats:
    """(T, P) the smaller overlap of subjects and of objects; 0 where names differ or it is below the threshold."""
    if not human:
        return np.zeros((0, len(labels)))
    both = np.minimum(*(_overlaps([t[end] for t in human], [t[end] for t in labels]) for end in (0, 2)))
    return np.where(both >= threshold, both, 0.0)


def _overlaps(first: Sequence[Any], second: Sequence[Any]) -> Floats:
    """(A, B) IoU of named boxes, 0 where the names differ."""
    names = [np.array([name for name, _ in ends], dtype=np.object_) for ends in (first, second)]
    boxes = [np.array([box for _, box in ends], dtype=np.float64).reshape(-1, 4) for ends in (first, second)]
    return np.where(names[0][:, None] == names[1], iou_matrix(boxes[0], boxes[1], edges="half_open"), 0.0)


def _same_predicate(human: Sequence[_Triplet], labels: Sequence[_Triplet]) -> Bools:
    first, second = (np.array([predicate for _, predicate, _ in side], dtype=np.object_) for side in (human, labels))
    return np.asarray(first[:, None] == second, dtype=np.bool_)


def _ints(values: "array[int]") -> Ints:
    return np.array(values, dtype=np.int64)


# Figures and their intervals


@dataclass(frozen=True, slots=True)
class _Group:
    """The labels of a row, n of them, and its human triplets, by the rank of their scene."""

    group: Group
    name: str
    scenes: Ints
    scores: Floats
    verdicts: Ints
    human_scenes: Ints


@dataclass(frozen=True, slots=True)
class _Counted:
    """A group with only the labels that `truth` counts."""

    scenes: Ints
    scores: Floats
    hits: Bools


class _Measured:
    """Turns groups into rows. Shape letters: G groups, S scenes, R resamples."""

    def __init__(self, conventions: LabelConventions, bootstrap: Bootstrap, num_scenes: int) -> None:
        self._truth = conventions.truth
        self._num_bins = conventions.num_bins
        self._bootstrap = bootstrap
        self._num_scenes = num_scenes
        # Sums over scenes: labels, labels on pairs of which humans spoke, matched, human, squared error, and a bin's
        # scores less its hits, for bins of equal width and of equal mass.
        self._num_sums = 5 + 2 * self._num_bins

    def rows(self, groups: Sequence[_Group]) -> list[QualityRow]:
        """A row for each group."""
        from scipy.sparse import vstack

        counted = [self._counted(group) for group in groups]
        ranked = [_Ranked.of(one, group.human_scenes) for one, group in zip(counted, groups, strict=True)]
        sums = vstack([self._sums(group, one) for group, one in zip(groups, counted, strict=True)], format="csr")
        most, most_ap = self._bootstrap.num_resamples, self._bootstrap.num_ap_resamples
        figures: list[Floats] = []
        areas: list[Floats] = []
        done = 0
        for times in _resamples(self._num_scenes, num_resamples=max(most, most_ap), seed=self._bootstrap.seed):
            if done < most:
                figures.append(self._figures(sums, times[: most - done]))
            if done < most_ap:
                areas.append(np.stack([one.average_precisions(times[: most_ap - done]) for one in ranked]))
            done += len(times)
        # Without scenes there are no resamples.
        by_figure = np.concatenate(figures, axis=-1) if figures else np.full((len(_RESAMPLED), len(groups), 1), np.nan)
        of_ap = np.concatenate(areas, axis=-1) if areas else np.full((len(groups), 1), np.nan)
        return [
            self._row(group, one, dict(zip(_RESAMPLED, by_figure[:, i], strict=True)) | {"ap": of_ap[i]})
            for i, (group, one) in enumerate(zip(groups, counted, strict=True))
        ]

    def _counted(self, group: _Group) -> _Counted:
        keep = self._counts(group)
        return _Counted(group.scenes[keep], group.scores[keep], group.verdicts[keep] == _Verdict.HIT)

    def _counts(self, group: _Group) -> Bools:
        spoken = group.verdicts != _Verdict.SILENT_PAIR
        return np.ones_like(spoken) if self._truth == "closed" else spoken

    def _sums(self, group: _Group, counted: _Counted) -> Any:
        """(sums, S) sparse: what each scene adds to each sum."""
        from scipy.sparse import coo_matrix

        bins, excess = self._num_bins, counted.scores - counted.hits
        parts: list[tuple[int | Ints, Ints, float | Floats]] = [
            (0, group.scenes, 1.0),
            (1, group.scenes[group.verdicts != _Verdict.SILENT_PAIR], 1.0),
            (2, group.scenes[group.verdicts == _Verdict.HIT], 1.0),
            (3, group.human_scenes, 1.0),
            (4, counted.scenes, excess**2),
            (5 + bin_numbers(counted.scores, num_bins=bins, binning="width"), counted.scenes, excess),
            (5 + bins + bin_numbers(counted.scores, num_bins=bins, binning="mass"), counted.scenes, excess),
        ]
        lengths = [len(scenes) for _, scenes, _ in parts]
        places = [np.broadcast_to(place, n).astype(np.int32) for (place, _, _), n in zip(parts, lengths, strict=True)]
        values = [np.broadcast_to(value, n) for (_, _, value), n in zip(parts, lengths, strict=True)]
        scenes = np.concatenate([scenes.astype(np.int32) for _, scenes, _ in parts])
        table = (np.concatenate(values), (np.concatenate(places), scenes))
        return coo_matrix(table, shape=(self._num_sums, self._num_scenes)).tocsr()

    def _figures(self, sums: Any, times: Ints) -> Floats:
        """(figures, G, R) in the order of `_RESAMPLED`; not a number where there is nothing to measure."""
        resampled = np.asarray(sums @ np.ascontiguousarray(times.T, dtype=np.float64))
        of_group = resampled.reshape(-1, self._num_sums, len(times))
        labels, spoken, matched, human, squared = (of_group[:, i] for i in range(5))
        counted = labels if self._truth == "closed" else spoken
        excess = np.abs(of_group[:, 5:]).reshape(len(of_group), 2, self._num_bins, len(times)).sum(axis=2)
        return np.stack(
            [
                _ratio(matched, labels),
                _ratio(matched, spoken),
                _ratio(matched, human),
                _ratio(2 * matched, counted + human),
                _ratio(excess[:, 0], counted),
                _ratio(excess[:, 1], counted),
                _ratio(squared, counted),
            ]
        )

    def _row(self, group: _Group, counted: _Counted, resampled: Mapping[str, Floats]) -> QualityRow:
        scores, hits, bins = counted.scores, counted.hits, self._num_bins
        spoken = group.scenes[group.verdicts != _Verdict.SILENT_PAIR]
        num_matched, num_human = int(hits.sum()), len(group.human_scenes)
        closed, on_spoken, both = (
            Agreement(num, num_human, num_matched) for num in (len(group.scenes), len(spoken), len(scores))
        )
        curve = precision_recall(scores, hits, max(num_human, 1), ties="together")

        def share(name: str, value: float | None, scenes: Ints) -> Estimate:
            return _share(value, resampled[name], num_scenes=len(np.unique(scenes)))

        def other(name: str, value: float | None) -> Estimate:
            return Estimate(value, _interval(value, resampled[name]))

        precisions = {
            "closed": share("precision_closed", closed.precision, group.scenes),
            "spoken_pairs": share("precision_spoken_pairs", on_spoken.precision, spoken),
        }
        return QualityRow(
            group=group.group,
            name=group.name,
            num_scenes=len(np.union1d(group.scenes, group.human_scenes)),
            num_labels=len(scores),
            num_silent=len(group.scenes) - len(spoken),
            num_human=num_human,
            num_matched=num_matched,
            precision=precisions[self._truth],
            precision_closed=precisions["closed"],
            precision_spoken_pairs=precisions["spoken_pairs"],
            recall=share("recall", both.recall, group.human_scenes),
            f1=other("f1", both.f1),
            ap=other("ap", curve.average_precision("all_points") if num_human else None),
            ece_width=other("ece_width", expected_calibration_error(scores, hits, num_bins=bins, binning="width")),
            ece_mass=other("ece_mass", expected_calibration_error(scores, hits, num_bins=bins, binning="mass")),
            brier=other("brier", brier_score(scores, hits)),
            reliability_width=reliability(scores, hits, num_bins=bins, binning="width"),
            reliability_mass=reliability(scores, hits, num_bins=bins, binning="mass"),
        )


@dataclass(frozen=True, slots=True)
class _Ranked:
    """The labels of a group, sorted once, ready to be weighted."""

    scenes: Ints
    """(n,) by falling score."""
    hit_places: Ints
    """(h,) places of the hits among them."""
    hit_steps: Ints
    """(k,) for each step of the curve that has hits, how many hits there are up to its end, less one."""
    steps: Ints
    """(k,) the last place of each such step."""
    human_scenes: Ints

    @classmethod
    def of(cls, labels: _Counted, human_scenes: Ints) -> "_Ranked":
        order = np.argsort(-labels.scores, kind="stable")
        ranked, hits = labels.scores[order], labels.hits[order]
        ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], len(ranked) > 0)[: len(ranked)])
        # The envelope is highest where recall has just risen, so steps without a hit can be passed over.
        upto = np.cumsum(hits)[ends]
        rises = np.diff(upto, prepend=0) > 0
        return cls(labels.scenes[order], np.flatnonzero(hits), upto[rises] - 1, ends[rises], human_scenes)

    def average_precisions(self, times: Ints) -> Floats:
        """(R,) area under the precision envelope with each scene taken so often; not a number without a truth.

        Args:
            times: (R, S).
        """
        at_once = max(1, _AT_ONCE // max(len(self.scenes), len(self.human_scenes), 1))
        parts = [self._areas(times[start : start + at_once]) for start in range(0, len(times), at_once)]
        return np.concatenate(parts)

    def _areas(self, times: Ints) -> Floats:
        human = times[:, self.human_scenes].sum(axis=1, dtype=np.float64)
        if len(self.steps) == 0:
            return _ratio(np.zeros_like(human), human)
        weights = times[:, self.scenes]
        true = np.cumsum(weights[:, self.hit_places], axis=1)[:, self.hit_steps]
        seen = np.cumsum(weights, axis=1)[:, self.steps]
        # A step that was not drawn repeats the point before it; before the first one drawn recall stays 0.
        precision = true / np.maximum(seen, 1)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        return _ratio(np.sum(np.diff(true, axis=1, prepend=0) * envelope, axis=1), human)


def _resamples(num_scenes: int, *, num_resamples: int, seed: int) -> Iterator[Ints]:
    """How often each scene is drawn, (R, S) at a time: as many scenes as there are, with replacement."""
    if num_scenes == 0:
        return
    random = np.random.default_rng(seed)
    at_once = max(1, min(_RESAMPLES_AT_ONCE, _AT_ONCE // num_scenes))
    for start in range(0, num_resamples, at_once):
        num = min(at_once, num_resamples - start)
        drawn = random.integers(num_scenes, size=(num, num_scenes))
        drawn += num_scenes * np.arange(num)[:, None]
        yield np.bincount(drawn.ravel(), minlength=num * num_scenes).reshape(num, num_scenes)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0), dtype=np.float64)


def _share(value: float | None, resampled: Floats, *, num_scenes: int) -> Estimate:
    """A proportion. At 0 and 1 all resamples agree, however few the scenes are; Wilson's interval counts those."""
    interval = _interval(value, resampled)
    if interval is None and value in {0.0, 1.0}:
        interval = wilson_interval(num_scenes if value else 0, num_scenes)
    return Estimate(value, interval)


def _interval(value: float | None, resampled: Floats) -> tuple[float, float] | None:
    measured = resampled[~np.isnan(resampled)]
    if value is None or len(measured) == 0:
        return None
    tail = (1 - _CONFIDENCE) / 2
    low, high = (float(bound) for bound in np.quantile(measured, (tail, 1 - tail)))
    # Equal up to rounding: nothing varied, so nothing can be said.
    return (min(low, value), max(high, value)) if high - low > 1e-12 else None
