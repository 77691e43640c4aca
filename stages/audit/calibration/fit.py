"""Fits a calibration, and measures it on pictures that it was not fitted on.

Each kind of labels has a map for each family, and a pooled one. Which method, and how strongly families are drawn to
the pooled map, is what has the lowest log-loss when each fold of the pictures is predicted by a fit without it. Among
equals the earlier choice stays: `_choices` has the simpler ones first.

The written maps are fitted on all pictures. The figures are of others: each fold is predicted by maps that were fitted,
and whose method and strength were chosen, without its pictures (nested cross-validation; Varma and Simon 2006). So they
are of what the procedure does with a little less data, and never of what was fitted.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from threadpoolctl import threadpool_limits

from schemas import BadInputError, UserError
from stages.audit.calibration.families import LEAST_LABELS, Families, family_names
from stages.audit.calibration.figures import log_losses, measured
from stages.audit.calibration.isotonic import PooledIsotonic
from stages.audit.calibration.logistic import PooledLogistic
from stages.audit.calibration.observations import Observation
from stages.evaluate.detections import Bools, Ints
from stages.tag.calibration import (
    DECIMALS,
    Calibration,
    FamilyMap,
    Floats,
    KindCalibration,
    Method,
    ScoreMap,
)

_STRENGTHS: Mapping[Method, tuple[float, ...]] = {
    # Of a logistic map a label tells about a fifth, as its variance p (1 - p) goes: 10 are about 50 labels.
    "logistic": (math.inf, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1),
    "isotonic": (math.inf, 300.0, 100.0, 30.0, 10.0),
}


@dataclass(frozen=True, kw_only=True)
class CalibrationConfig:
    """How a calibration is fitted and measured."""

    method: Method | None = None
    """None: the one with the lower log-loss."""
    families: Families = "predicate"
    holdout: float = 0.2
    """Share of the pictures that each fold holds out, so that a fifth gives five folds."""
    seed: int = 0
    """Of the folds and of the intervals."""
    num_resamples: int = 1000
    """Of the intervals."""

    def __post_init__(self) -> None:
        if self.method is not None and self.method not in get_args(Method):
            raise UserError(f"--method {self.method}: give one of {', '.join(get_args(Method))}")
        if not 0.05 <= self.holdout <= 0.34:
            raise UserError(f"--holdout {self.holdout:g}: give a share of the pictures from 0.05 to 0.33")
        for name, least in (("seed", 0), ("num_resamples", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}; give {least} or more")

    @property
    def num_folds(self) -> int:
        """From 3 to 20: two more than none, as a method is chosen among those that are left."""
        return round(1 / self.holdout)


@dataclass(frozen=True, slots=True)
class _Choice:
    method: Method
    strength: float


@dataclass(frozen=True, slots=True)
class _Labels:
    """N labels of one kind."""

    scores: Floats
    right: Floats
    weights: Floats
    families: Ints
    """(N,) number of each label's family, -1 for none."""
    pictures: Ints
    folds: Ints

    def __len__(self) -> int:
        return len(self.scores)

    def where(self, kept: Bools) -> "_Labels":
        return _Labels(*(getattr(self, name)[kept] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class _Maps:
    """What one choice makes of some labels."""

    pooled: ScoreMap
    families: Mapping[int, ScoreMap]

    def __call__(self, labels: _Labels) -> Floats:
        """(N,) probabilities."""
        found = self.pooled(labels.scores)
        for number, of_family in self.families.items():
            members = labels.families == number
            found[members] = of_family(labels.scores[members])
        return found


def fit_calibration(
    observations: Sequence[Observation], config: CalibrationConfig, *, taggers: Sequence[str] = (), **fitted: Any
) -> tuple[Calibration, dict[str, int]]:
    """Fit a calibration. Equal observations, in any order, give equal bytes.

    Args:
        observations: of any kinds; weights in labels, see `equalised`.
        config: how.
        taggers: whose scores they are, see `Calibration.taggers`.
        fitted: more to remember of what it was fitted on; plain JSON values.

    Returns:
        The calibration, and the kinds that have too few labels for one, with how many they have.

    Raises:
        BadInputError: if no kind has labels enough.
    """
    by_kind: dict[str, list[Observation]] = {}
    for one in sorted(observations):
        by_kind.setdefault(one.kind, []).append(one)
    few = {kind: len(of_kind) for kind, of_kind in by_kind.items() if not _suffices(of_kind, config.num_folds)}
    if len(few) == len(by_kind):
        found = ", ".join(f"{number} of {kind}" for kind, number in few.items()) or "none"
        raise BadInputError(
            f"too few labels of which people said whether they are right: {found}; a calibration needs {LEAST_LABELS} "
            f"in {config.num_folds} pictures; judge more, or give more sources"
        )
    # Sums split over threads round by their number, and the last digits would depend on cores.
    with threadpool_limits(limits=1):
        kinds = {kind: _kind(of_kind, config) for kind, of_kind in by_kind.items() if kind not in few}
    return Calibration(kinds=kinds, taggers=tuple(sorted(set(taggers))), fitted=dict(fitted)), few


def _suffices(observations: Sequence[Observation], num_folds: int) -> bool:
    return len(observations) >= LEAST_LABELS and len({one.key for one in observations}) >= num_folds


def _kind(observations: Sequence[Observation], config: CalibrationConfig) -> KindCalibration:
    names = family_names((one.predicate for one in observations), config.families)
    families = sorted(set(names.values()))
    labels = _labels(observations, names, families, config)
    choices = _choices(config.method, num_families=len(families))
    losses, after = _cross_fitted(labels, choices, num_folds=config.num_folds)
    chosen = choices[int(np.argmin(losses))]
    maps = _grid(labels, [chosen])[0]

    def figures(probabilities: Floats) -> dict[str, Any]:
        found = measured(
            probabilities,
            labels.right,
            labels.weights,
            labels.pictures,
            num_resamples=config.num_resamples,
            seed=config.seed,
        )
        return found.to_json()

    return KindCalibration(
        method=chosen.method,
        strength=_finite(chosen.strength),
        num_labels=len(labels),
        num_scenes=int(labels.pictures.max()) + 1,
        mean_score=_mean(labels.scores, labels),
        share_right=_mean(labels.right, labels),
        pooled=maps.pooled,
        families={families[number]: _family(number, families, maps, labels, names) for number in sorted(maps.families)},
        figures={
            "before": figures(labels.scores),
            "after": figures(after),
            "tried": [
                {"method": choice.method, "strength": _finite(choice.strength), "log_loss": float(loss)}
                for choice, loss in zip(choices, losses, strict=True)
            ],
        },
    )


def _cross_fitted(labels: _Labels, choices: Sequence[_Choice], *, num_folds: int) -> tuple[Floats, Floats]:
    """(choices,) log-loss of each choice; and (N,) probabilities by what would be chosen without the label's fold.

    Two kinds of fits: without one fold, and without two. The first predict the fold; the second, on the other of their
    two folds, tell which choice the first would be.
    """
    folds = range(num_folds)
    held_out = [_predicted(labels, {fold}, choices) for fold in folds]
    without_two = {(i, j): _predicted(labels, {i, j}, choices) for i in folds for j in folds if i < j}
    after = np.empty(len(labels))
    losses = np.zeros(len(choices))
    for fold in folds:
        own = labels.folds == fold
        losses += _losses(labels, own, held_out[fold][:, own])
        inner = np.zeros(len(choices))
        for other in folds:
            if other != fold:
                looked_at = labels.folds == other
                pair = without_two[min(fold, other), max(fold, other)]
                inner += _losses(labels, looked_at, pair[:, looked_at])
        after[own] = held_out[fold][int(np.argmin(_per_label(inner, labels)))][own]
    return _per_label(losses, labels), after


def folds_of(keys: Iterable[str], *, num_folds: int, seed: int) -> dict[str, int]:
    """The fold of each picture, from 0: folds of equal size, but for one picture.

    The keys are put in the order of their digests, so that it takes no library's random numbers, and dealt out.
    """
    shuffled = sorted(set(keys), key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest())
    return {key: place % num_folds for place, key in enumerate(shuffled)}


def _labels(
    observations: Sequence[Observation], names: Mapping[str, str], families: Sequence[str], config: CalibrationConfig
) -> _Labels:
    numbers = {name: number for number, name in enumerate(families)}
    keys = sorted({one.key for one in observations})
    picture = {key: number for number, key in enumerate(keys)}
    fold = folds_of(keys, num_folds=config.num_folds, seed=config.seed)

    def column(values: Sequence[float]) -> Floats:
        return np.array(values, dtype=np.float64)

    def whole(values: Sequence[int]) -> Ints:
        return np.array(values, dtype=np.int64)

    return _Labels(
        scores=np.round(column([one.score for one in observations]), DECIMALS),
        right=column([one.right for one in observations]),
        weights=column([one.weight for one in observations]),
        families=whole([numbers.get(names.get(one.predicate, ""), -1) for one in observations]),
        pictures=whole([picture[one.key] for one in observations]),
        folds=whole([fold[one.key] for one in observations]),
    )


def _choices(method: Method | None, *, num_families: int) -> list[_Choice]:
    methods: tuple[Method, ...] = get_args(Method) if method is None else (method,)
    strengths = {name: _STRENGTHS[name] if num_families else (math.inf,) for name in methods}
    return [_Choice(name, strength) for name in methods for strength in strengths[name]]


def _grid(labels: _Labels, choices: Sequence[_Choice]) -> list[_Maps]:
    """What each choice makes of the labels, at least one."""
    pooled: dict[Method, PooledLogistic | PooledIsotonic] = {}
    numbers = np.unique(labels.families[labels.families >= 0]).tolist()
    members = {number: labels.where(labels.families == number) for number in numbers}
    maps = []
    for choice in choices:
        if choice.method not in pooled:
            kind = PooledLogistic if choice.method == "logistic" else PooledIsotonic
            pooled[choice.method] = kind(labels.scores, labels.right, labels.weights)
        of_all = pooled[choice.method]
        families = {
            number: of_all.family(one.scores, one.right, one.weights, strength=choice.strength)
            for number, one in members.items()
            if math.isfinite(choice.strength)
        }
        maps.append(_Maps(of_all.map, families))
    return maps


def _predicted(labels: _Labels, folds: set[int], choices: Sequence[_Choice]) -> Floats:
    """(choices, N) probabilities of the labels of some folds, by fits without them; those of the others are not set."""
    asked = np.isin(labels.folds, sorted(folds))
    of_folds = labels.where(asked)
    found = np.full((len(choices), len(labels)), np.nan)
    for row, maps in zip(found, _grid(labels.where(~asked), choices), strict=True):
        row[asked] = maps(of_folds)
    return found


def _losses(labels: _Labels, asked: Bools, probabilities: Floats) -> Floats:
    """(choices,) summed log-loss of some labels, of their (choices, asked) probabilities."""
    of_asked = labels.where(asked)
    return np.array([of_asked.weights @ log_losses(row, of_asked.right) for row in probabilities])


def _per_label(losses: Floats, labels: _Labels) -> Floats:
    """A label's share, rounded: what differs less is equal, and the earlier choice stays."""
    shares: Floats = np.round(losses / labels.weights.sum(), DECIMALS)
    return shares


def _family(number: int, families: Sequence[str], maps: _Maps, labels: _Labels, names: Mapping[str, str]) -> FamilyMap:
    members = labels.where(labels.families == number)
    return FamilyMap(
        predicates=tuple(sorted(name for name, family in names.items() if family == families[number])),
        num_labels=len(members),
        mean_score=_mean(members.scores, members),
        share_right=_mean(members.right, members),
        map=maps.families[number],
    )


def _mean(values: Floats, labels: _Labels) -> float:
    return round(float(np.average(values, weights=labels.weights)), DECIMALS)


def _finite(strength: float) -> float | None:
    return strength if math.isfinite(strength) else None
