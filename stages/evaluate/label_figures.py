"""Turns judged labels into the figures of `QualityRow`, with intervals from resampled scenes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.evaluate.average_precision import precision_recall
from stages.evaluate.calibration import bin_numbers, brier_score, expected_calibration_error, reliability
from stages.evaluate.detections import Bools, Floats, Ints
from stages.evaluate.estimate import Estimate
from stages.evaluate.label_score import Bootstrap, Group, LabelConventions, QualityRow
from stages.evaluate.label_verdicts import Verdict
from stages.evaluate.labels import Agreement, wilson_interval

_CONFIDENCE = 0.95
# Resamples times scenes, or times labels, held at once: 4 M numbers are 32 MB.
_AT_ONCE = 1 << 22
_RESAMPLES_AT_ONCE = 256

_RESAMPLED = ("precision_closed", "precision_spoken_pairs", "recall", "f1", "ece_width", "ece_mass", "brier")


@dataclass(frozen=True, slots=True)
class LabelGroup:
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


class Measured:
    """Turns groups into rows. Shape letters: G groups, S scenes, R resamples."""

    def __init__(self, conventions: LabelConventions, bootstrap: Bootstrap, num_scenes: int) -> None:
        self._truth = conventions.truth
        self._num_bins = conventions.num_bins
        self._bootstrap = bootstrap
        self._num_scenes = num_scenes
        # Sums over scenes: labels, labels on pairs of which humans spoke, matched, human, squared error, and a bin's
        # scores less its hits, for bins of equal width and of equal mass.
        self._num_sums = 5 + 2 * self._num_bins

    def rows(self, groups: Sequence[LabelGroup]) -> list[QualityRow]:
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

    def _counted(self, group: LabelGroup) -> _Counted:
        keep = self._counts(group)
        return _Counted(group.scenes[keep], group.scores[keep], group.verdicts[keep] == Verdict.HIT)

    def _counts(self, group: LabelGroup) -> Bools:
        spoken = group.verdicts != Verdict.SILENT_PAIR
        return np.ones_like(spoken) if self._truth == "closed" else spoken

    def _sums(self, group: LabelGroup, counted: _Counted) -> Any:
        """(sums, S) sparse: what each scene adds to each sum."""
        from scipy.sparse import coo_matrix

        bins, excess = self._num_bins, counted.scores - counted.hits
        parts: list[tuple[int | Ints, Ints, float | Floats]] = [
            (0, group.scenes, 1.0),
            (1, group.scenes[group.verdicts != Verdict.SILENT_PAIR], 1.0),
            (2, group.scenes[group.verdicts == Verdict.HIT], 1.0),
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

    def _row(self, group: LabelGroup, counted: _Counted, resampled: Mapping[str, Floats]) -> QualityRow:
        scores, hits, bins = counted.scores, counted.hits, self._num_bins
        spoken = group.scenes[group.verdicts != Verdict.SILENT_PAIR]
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
