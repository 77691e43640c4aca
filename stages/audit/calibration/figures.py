"""How good probabilities are: calibration error, Brier score, log-loss, each with an interval.

The measures are those of `stages/evaluate/calibration.py`, with weights: labels of an audit stand for different numbers
of others, and may be half right. With equal weights they are the same numbers. Intervals are 95 % percentile bootstraps
over pictures; bins are those of the data. Chance lifts a calibration error, in a resample more than in the data.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stages.evaluate.calibration import bin_numbers
from stages.evaluate.detections import Ints
from stages.tag.calibration import DECIMALS, LEAST, Floats

NUM_BINS = 10
_TAIL = 0.025
# Resamples times pictures held at once: 4 M numbers are 32 MB.
_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, and its 95 % interval; None where resamples do not differ."""

    value: float
    interval_95: tuple[float, float] | None

    def to_text(self) -> str:
        """Three places, the interval in brackets."""
        if self.interval_95 is None:
            return f"{self.value:.3f}"
        low, high = self.interval_95
        return f"{self.value:.3f} ({low:.3f} to {high:.3f})"


@dataclass(frozen=True, slots=True)
class Figures:
    """How far probabilities are from the truth; 0 is perfect in all of them."""

    ece_width: Figure
    """Expected calibration error, 10 bins of equal width."""
    ece_mass: Figure
    """10 bins of about equally many labels."""
    brier: Figure
    log_loss: Figure
    """In nats, of probabilities within [`LEAST`, 1 - `LEAST`]."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            name: {**figure, "interval_95": None if figure["interval_95"] is None else list(figure["interval_95"])}
            for name, figure in asdict(self).items()
        }


def log_losses(probabilities: Floats, right: Floats) -> Floats:
    """(N,) of each label, in nats."""
    kept = np.clip(probabilities, LEAST, 1 - LEAST)
    losses: Floats = -(right * np.log(kept) + (1 - right) * np.log(1 - kept))
    return losses


def measured(
    probabilities: Floats, right: Floats, weights: Floats, pictures: Ints, *, num_resamples: int, seed: int
) -> Figures:
    """The figures of N labels, at least one.

    Args:
        probabilities: (N,) in [0, 1].
        right: (N,) in [0, 1].
        weights: (N,) above 0.
        pictures: (N,) number of each label's picture, from 0.
        num_resamples: of the intervals, at least 1.
        seed: of the resamples.
    """
    sums = _sums(probabilities, right, weights, pictures)
    values = _figures(sums.sum(axis=0)[None])[0]
    resampled = np.concatenate([_figures(part) for part in _resampled(sums, num_resamples=num_resamples, seed=seed)])
    # A resample without labels has no figure.
    lows, highs = np.nanquantile(resampled, (_TAIL, 1 - _TAIL), axis=0)
    return Figures(*(_figure(*one) for one in zip(values, lows, highs, strict=True)))


def _sums(probabilities: Floats, right: Floats, weights: Floats, pictures: Ints) -> Floats:
    """(pictures, 3 + 2 bins) what each adds: weight, squared error, log-loss, and excess by bin, of either binning."""
    num = int(pictures.max()) + 1
    excess = weights * (probabilities - right)
    # With shares of auditors this is the Brier score of the mean verdict, not the mean over verdicts.
    columns = [weights, weights * (probabilities - right) ** 2, weights * log_losses(probabilities, right)]
    plain = np.stack([np.bincount(pictures, weights=column, minlength=num) for column in columns], axis=1)
    binned = [
        np.bincount(
            pictures * NUM_BINS + bin_numbers(probabilities, num_bins=NUM_BINS, binning=binning),
            weights=excess,
            minlength=num * NUM_BINS,
        ).reshape(num, NUM_BINS)
        for binning in ("width", "mass")
    ]
    return np.concatenate([plain, *binned], axis=1)


def _figures(sums: Floats) -> Floats:
    """(R, 4) in the order of `Figures`, of (R, 3 + 2 bins) sums."""
    weight = np.where(sums[:, 0] > 0, sums[:, 0], np.nan)
    by_width, by_mass = np.abs(sums[:, 3 : 3 + NUM_BINS]), np.abs(sums[:, 3 + NUM_BINS :])
    totals = np.stack([by_width.sum(axis=1), by_mass.sum(axis=1), sums[:, 1], sums[:, 2]], axis=1)
    shares: Floats = totals / weight[:, None]
    return shares


def _resampled(sums: Floats, *, num_resamples: int, seed: int) -> list[Floats]:
    """Sums over as many pictures as there are, drawn with replacement, again and again."""
    random = np.random.default_rng(seed)
    num = len(sums)
    at_once = max(1, _AT_ONCE // num)
    parts = []
    for start in range(0, num_resamples, at_once):
        size = min(at_once, num_resamples - start)
        drawn = random.integers(num, size=(size, num)) + num * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * num).reshape(size, num)
        parts.append(times.astype(np.float64) @ sums)
    return parts


def _figure(value: float, low: float, high: float) -> Figure:
    places = [round(float(one), DECIMALS) for one in (value, min(low, value), max(high, value))]
    # Equal: nothing varied, so nothing can be said.
    return Figure(places[0], (places[1], places[2]) if places[2] > places[1] else None)
