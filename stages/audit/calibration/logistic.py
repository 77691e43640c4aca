"""Platt's logistic maps, those of families drawn towards that of all.

Platt (1999), "Probabilistic outputs for support vector machines", with his targets for the map of all labels:
(N+ + 1) / (N+ + 2) instead of 1, and 1 / (N- + 2) instead of 0, so that a source whose labels are all right does not
get a step. The score goes in as its logit, so a source that is calibrated already gets intercept 0 and slope 1.

A family's intercept and slope have a Gaussian prior around those of all labels: partial pooling. Logits are centred and
scaled to variance 1 for the fit, so that one strength suits both numbers.
"""

from dataclasses import dataclass

import numpy as np

from stages.tag.calibration import DECIMALS, Floats, LogisticMap, logits

# Holds the map of all labels where the labels do not say: as strong as a hundredth of a label.
_POOLED_PRECISION = 0.01
_MOST_STEPS = 100
_SMALL_STEP = 1e-11


@dataclass(frozen=True, slots=True)
class Scale:
    """How logits were centred and scaled."""

    mean: float
    deviation: float

    def map_of(self, parameters: Floats) -> LogisticMap:
        """The map with these (2,) parameters of scaled logits."""
        slope = parameters[1] / self.deviation
        intercept = parameters[0] - slope * self.mean
        # 0.0 is added because -0.0 would be written otherwise.
        return LogisticMap(round(float(intercept), DECIMALS) + 0.0, round(float(slope), DECIMALS) + 0.0)


class PooledLogistic:
    """The map of all labels, from which those of families follow."""

    def __init__(self, scores: Floats, right: Floats, weights: Floats) -> None:
        """
        Args:
            scores: (N,) in [0, 1], N at least 1.
            right: (N,) in [0, 1].
            weights: (N,) above 0.
        """
        x = logits(scores)
        mean = float(np.average(x, weights=weights))
        deviation = float(np.sqrt(np.average((x - mean) ** 2, weights=weights)))
        self._scale = Scale(mean, deviation if deviation > 1e-9 else 1.0)
        num_right = float(np.sum(weights * right))
        num_wrong = float(np.sum(weights * (1 - right)))
        of_right, of_wrong = (num_right + 1) / (num_right + 2), 1 / (num_wrong + 2)
        targets = right * of_right + (1 - right) * of_wrong
        # Intercept 0 and slope 1 in the scale of the fit: a score is what it claims to be.
        identity = np.array([self._scale.mean, self._scale.deviation])
        self._parameters = _fit(self._scaled(scores), targets, weights, centre=identity, precision=_POOLED_PRECISION)

    @property
    def map(self) -> LogisticMap:
        """Of all labels."""
        return self._scale.map_of(self._parameters)

    def family(self, scores: Floats, right: Floats, weights: Floats, *, strength: float) -> LogisticMap:
        """The map of some of the labels.

        Args:
            strength: precision of the prior, above 0.
        """
        fitted = _fit(self._scaled(scores), right, weights, centre=self._parameters, precision=strength)
        return self._scale.map_of(fitted)

    def _scaled(self, scores: Floats) -> Floats:
        scaled: Floats = (logits(scores) - self._scale.mean) / self._scale.deviation
        return scaled


def _fit(x: Floats, targets: Floats, weights: Floats, *, centre: Floats, precision: float) -> Floats:
    """(2,) intercept and slope, the slope at least 0, of least log-loss and squared distance from the centre.

    The distance counts by half the precision. The sum is convex, so where the best slope is negative, the best that is
    allowed is 0.
    """
    found = _newton(x, targets, weights, centre=centre, precision=precision)
    if found[1] >= 0:
        return found
    level = _newton(np.zeros_like(x), targets, weights, centre=centre, precision=precision)
    return np.array([level[0], 0.0])


def _newton(x: Floats, targets: Floats, weights: Floats, *, centre: Floats, precision: float) -> Floats:
    def loss(at: Floats) -> float:
        logit = at[0] + at[1] * x
        return float(weights @ (np.logaddexp(0, logit) - targets * logit) + precision / 2 * np.sum((at - centre) ** 2))

    at = centre.copy()
    lowest = loss(at)
    for _ in range(_MOST_STEPS):
        probabilities = 1 / (1 + np.exp(-(at[0] + at[1] * x)))
        pull = weights * (probabilities - targets)
        curve = weights * probabilities * (1 - probabilities)
        gradient = np.array([pull.sum(), pull @ x]) + precision * (at - centre)
        mixed = float(curve @ x)
        hessian = np.array([[curve.sum() + precision, mixed], [mixed, curve @ x**2 + precision]])
        step = np.linalg.solve(hessian, gradient)
        # Far from the optimum a whole step may lead uphill.
        while (then := loss(at - step)) > lowest + 1e-12 * abs(lowest) and np.max(np.abs(step)) > _SMALL_STEP:
            step = step / 2
        at, lowest = at - step, then
        if np.max(np.abs(step)) <= _SMALL_STEP:
            break
    return at
