"""Which source gives the n-th sample of a mixture."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas import UserError

_PERIOD = 10_000
"""Samples after which the pattern repeats; weights are kept to a part of this."""


class Mixture:
    """Sources by weight, spread evenly: after any number of samples each source has given its share, within one or two.

    Nothing is drawn, so a batch has its share, too, and the n-th sample is known without those before it. (Sources
    chosen by chance would need a million samples to come within a percent of a weight of 0.01.)

    >>> Mixture([3, 1]).sources(np.arange(8))[0].tolist()
    [0, 0, 1, 0, 0, 0, 1, 0]
    """

    def __init__(self, weights: Sequence[float]) -> None:
        """
        Raises:
            UserError: if a weight is not above 0, or so small that its source would never come.
        """
        given = np.array(weights, dtype=np.float64)
        if not len(given) or not np.all(np.isfinite(given)) or not np.all(given > 0):
            raise UserError(f"weights of the sources are {list(weights)}; give numbers above 0")
        parts = given / given.sum() * _PERIOD
        quotas = np.floor(parts).astype(np.int64)
        # Largest remainders get what rounding down left over, of equal ones the first.
        left = np.argsort(quotas - parts, kind="stable")[: _PERIOD - int(quotas.sum())]
        quotas[left] += 1
        if not np.all(quotas):
            least = int(np.argmin(quotas))
            raise UserError(
                f"weight {weights[least]} of source {least + 1} is below 1/{_PERIOD} of all weights; raise it, or "
                f"leave the source out"
            )
        # The j-th sample of a source is due at (j + 1/2) / quota of the period.
        due = np.concatenate([(np.arange(quota) + 0.5) / quota for quota in quotas])
        source = np.repeat(np.arange(len(quotas)), quotas)
        order = np.lexsort((source, due))
        self._quotas = quotas
        self._source = source[order]
        self._before = np.concatenate([np.arange(quota) for quota in quotas])[order]

    def sources(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(n,) the source of each position of the mixture, and (n,) the number of that sample within its source."""
        period, place = np.divmod(positions, _PERIOD)
        source = self._source[place]
        return source, period * self._quotas[source] + self._before[place]

    def given(self, position: int) -> list[int]:
        """How many samples each source gives before a position."""
        period, place = divmod(position, _PERIOD)
        within = np.bincount(self._source[:place], minlength=len(self._quotas))
        return [int(count) for count in period * self._quotas + within]
