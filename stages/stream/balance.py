"""Scenes with rare predicates more often: repeat factors, at the same length of an epoch.

A predicate that is asserted in a part f of the scenes has the factor max(1, sqrt(t / f)), a scene the greatest factor
of its predicates (Gupta, Dollar and Girshick, "LVIS", CVPR 2019, section 5.1). There an epoch grows by the repeats.
Here each window keeps its size and hands it out anew: a scene with the factor r comes r / (mean factor of the window)
times, rounded up or down, so that every position still has its sample whatever is rare.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stages.stream.order import uniform
from stages.stream.shard_index import ShardIndex


class PredicateCounts:
    """In how many scenes each predicate is asserted, over the shards that were added."""

    def __init__(self) -> None:
        self._num_scenes = 0
        self._counts: Counter[str] = Counter()

    def add(self, index: ShardIndex) -> None:
        """Count one more shard."""
        self._num_scenes += len(index.places)
        present = np.unique(index.occurrences, axis=0)
        for code, count in enumerate(np.bincount(present[:, 1], minlength=len(index.predicates))):
            self._counts[index.predicates[code]] += int(count)

    def factors(self, index: ShardIndex, threshold: float) -> NDArray[np.float64]:
        """(n,) repeat factor of each scene of a shard that was added."""
        share = np.array([self._counts[name] / self._num_scenes for name in index.predicates])
        of_predicate = np.maximum(1, np.sqrt(threshold / share)) if len(share) else share
        factors = np.ones(len(index.places))
        np.maximum.at(factors, index.occurrences[:, 0], of_predicate[index.occurrences[:, 1]])
        return factors


def handed_out(factors: Sequence[NDArray[np.float64]], order: NDArray[np.int64], *key: int) -> NDArray[np.int64]:
    """(n,) the scenes of a window as often as their factors say, n in all.

    Systematic sampling: n points at equal distances along the factors laid end to end, the first one by chance.

    Args:
        factors: of each shard of the window.
        order: (n,) in which the scenes are laid; scenes whose number is rounded down or up are other ones in another.
        key: of the chance.
    """
    ends = np.cumsum(np.concatenate(factors)[order])
    step = ends[-1] / len(order)
    points = (np.arange(len(order)) + uniform(*key)) * step
    chosen: NDArray[np.int64] = order[np.minimum(np.searchsorted(ends, points, side="right"), len(order) - 1)]
    return chosen
