"""Chance as a function of numbers: the same on every machine, worker and version of a library.

NumPy does not promise that its generators draw the same in its next version, and a position has to find its sample in
any process without drawing what came before. So order comes from a hash: SplitMix64 (Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", OOPSLA 2014), which is one-to-one on 64-bit numbers.
"""

import numpy as np
from numpy.typing import NDArray

_GAMMA = 0x9E3779B97F4A7C15
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_MASK = 2**64 - 1


def scattered(numbers: NDArray[np.uint64], *key: int) -> NDArray[np.uint64]:
    """Each number to another one; no two to the same. Another key, another map."""
    return _mix(numbers * np.uint64(_GAMMA) + np.uint64(_seed(key)))


def permutation(size: int, *key: int) -> NDArray[np.int64]:
    """(size,) the numbers below `size` in an order that the key decides."""
    return np.argsort(scattered(np.arange(size, dtype=np.uint64), *key)).astype(np.int64, copy=False)


def uniform(*key: int) -> float:
    """A number in [0, 1) that the key decides."""
    return int(scattered(np.zeros(1, dtype=np.uint64), *key)[0] >> np.uint64(11)) * 2.0**-53


def _seed(key: tuple[int, ...]) -> int:
    state = 0
    for part in (len(key), *key):
        state = int(_mix(np.array([(state ^ (part & _MASK)) * _GAMMA + _GAMMA & _MASK], dtype=np.uint64))[0])
    return state


def _mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    numbers = (numbers ^ (numbers >> np.uint64(30))) * _FIRST
    numbers = (numbers ^ (numbers >> np.uint64(27))) * _SECOND
    return numbers ^ (numbers >> np.uint64(31))
