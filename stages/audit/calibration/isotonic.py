"""Isotonic maps, those of families mixed with that of all.

Zadrozny and Elkan (2002), "Transforming classifier scores into accurate multiclass probability estimates": the rising
function that is nearest to the labels (pool adjacent violators, from scikit-learn). At the ends it would be 0 and 1
from a single label on; so the map of all labels sees two more, of weight 1, against the trend: a right one at the least
score and a wrong one at the greatest. n wrong labels at the lower end then give 1 / (n + 1), much as Laplace's rule.

A family with labels worth n gets (n F + s P) / (n + s): F its own isotonic map, P that of all, s the strength. Both
rise, so their mean does; both are straight between knots, so it is between the knots of either.
"""

import numpy as np

from stages.tag.calibration import DECIMALS, LEAST, Floats, KnotMap


class PooledIsotonic:
    """The map of all labels, from which those of families follow."""

    def __init__(self, scores: Floats, right: Floats, weights: Floats) -> None:
        """
        Args:
            scores: (N,) in [0, 1], N at least 1.
            right: (N,) in [0, 1].
            weights: (N,) above 0.
        """
        ends = np.array([scores.min(), scores.max()])
        self._knots = _isotonic(
            np.concatenate([scores, ends]), np.concatenate([right, [1.0, 0.0]]), np.concatenate([weights, [1.0, 1.0]])
        )

    @property
    def map(self) -> KnotMap:
        """Of all labels."""
        return _knot_map(*self._knots)

    def family(self, scores: Floats, right: Floats, weights: Floats, *, strength: float) -> KnotMap:
        """The map of some of the labels.

        Args:
            strength: how many labels the map of all counts as, above 0.
        """
        own, pooled = _isotonic(scores, right, weights), self._knots
        places = np.union1d(own[0], pooled[0])
        worth = float(weights.sum())
        mixed = (worth * np.interp(places, *own) + strength * np.interp(places, *pooled)) / (worth + strength)
        return _knot_map(places, mixed)


def _isotonic(scores: Floats, right: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Scores and probabilities of the knots; scores as the file holds them."""
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(increasing=True, out_of_bounds="clip")
    fitted.fit(np.round(scores, DECIMALS), right, sample_weight=weights)
    return np.asarray(fitted.X_thresholds_, dtype=np.float64), np.asarray(fitted.y_thresholds_, dtype=np.float64)


def _knot_map(scores: Floats, probabilities: Floats) -> KnotMap:
    kept = np.round(np.clip(probabilities, LEAST, 1 - LEAST), DECIMALS)
    # Sums in floats may fall by a last bit where the mean is level.
    rising = np.maximum.accumulate(kept)
    # Knots within a level stretch say nothing.
    inner = np.zeros(len(rising), dtype=np.bool_)
    inner[1:-1] = (rising[1:-1] == rising[:-2]) & (rising[1:-1] == rising[2:])
    return KnotMap(tuple(scores[~inner].tolist()), tuple(rising[~inner].tolist()))
