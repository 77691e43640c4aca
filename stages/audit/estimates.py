"""Shares of a population, estimated from the judged part of a stratified sample, with intervals that hold.

A judged item stands for population / judged relations of its stratum (post-stratified: judging may have stopped
anywhere, the order of the items is random). The share among a domain, say all relations with a score above 0.5, is the
ratio of two weighted sums. Its variance is that of the linearised ratio (Woodruff 1971; Särndal, Swensson and Wretman
1992, chapter 5): strata add up, each with its finite population correction; a domain that strata do not fix adds the
variance of how much of each stratum is in it.

Strata of a sample are many and small. Two items that are both right have variance 0, which says nothing, so each
stratum's variance is drawn towards the pooled one of the domain, as if that had been seen on four more items
(`_PRIOR`), and the pooled one a little towards that of a population without strata. Squeezed variances and their
degrees of freedom are those of Smyth (2004, Statistical Applications in Genetics and Molecular Biology 3, article 3);
the degrees of the sum are Satterthwaite's (1946). The interval is Wilson's (1927) on the effective number of items,
p(1 - p) / variance (Kish 1965; Franco et al. 2019, Journal of Survey Statistics and Methodology 7, compare such
intervals), with Student's quantile in the place of the normal one.

What was tried, on 47 made populations with 4,000 audits each (the bootstrap: 300 audits of 400 resamples): 100 to 800
items in 1 to 200 strata; equal, and unequal allocation up to weights of 1 : 1000; two items a stratum, and one;
precision 0.02 to 0.98, the same in all strata, spread, or at both ends at once; strata drawn nearly whole. Wanted is
95 % in each:

    interval                                                      93-97 % in   below in   lowest    highest
    Wald, variance of each stratum on its own                         15          32       36.0 %     96.1 %
    Rao and Wu (1988): rescaled bootstrap, percentiles                12          35       31.0 %     96.7 %
    Wilson, effective size from that variance                         22          25       43.3 %     96.6 %
    Korn and Graubard (1998): Clopper-Pearson on it                   23          12       46.0 %    100.0 %
    Jeffreys' on the squeezed variance (2 more items)                 34           4       84.4 %     99.9 %
    Wilson, pooled variance weighted as strata are                    28          17       43.7 %     99.7 %
    Wilson, beta-binomial variance of each stratum                    32          10       87.9 %     99.9 %
    Wilson, squeezed variance, 2 more items, normal quantile          39           4       84.5 %     99.8 %
    this one                                                          38           4       91.0 %     99.9 %

Without squeezing, all fail where small strata are all right: they have no variance, and the bootstrap draws none from
them. On 400 more populations for each allocation, drawn at random from such ranges, this interval covers on average

    allocation                      on average   lowest   populations in 93-97 %   these of Korn and Graubard
    root of the size, 2 at least       95.1 %    87.6 %            93 %                       52 %
    in proportion, 2 at least          94.9 %    80.8 %            95 %                       47 %
    equal                              95.2 %    76.2 %            79 %                       54 %

Its weakness: strata are taken to be alike in variance. It is too wide where a stratum that few items stand for holds
much of the population and is nearly all right while others are not; too narrow where half a dozen heavy
items decide, or where most strata are right throughout or wrong throughout and few heavy ones are not. Equal
allocation brings about both. In domains that cut through strata, of 6 more populations, 92 to 98 % of the intervals
hold the share.
"""

from dataclasses import dataclass

import numpy as np

from stages.audit.judged import Bools, Floats, Ints, Judged
from stages.evaluate.estimate import Estimate

_PRIOR = 4.0
"""Degrees of freedom that the pooled variance brings to that of each stratum."""
_PRIOR_OF_POOL = 2.0
"""Degrees of freedom that the variance without strata brings to the pooled one."""

FEWEST_FOR_INTERVAL = 5
"""Judged items below which a share has no interval: the pooled variance would be made up, not measured."""


@dataclass(frozen=True, slots=True)
class Share:
    """An estimated share of a domain, and how much stands behind it."""

    estimate: Estimate
    num: int
    """Judged items in the domain."""
    population: float
    """Relations of the population in the domain, estimated where strata do not fix it."""


def share(judged: Judged, values: Floats, among: Bools | None = None) -> Share:
    """The mean of a value over all relations of the population that are in a domain.

    Strata without a judged item are left out of the population: see `unjudged_strata`.

    Args:
        values: (M,) in [0, 1], of each judged item: whether, or in what share, it is so.
        among: (M,) whether an item is in the domain; all, if left out.

    Returns:
        Value None if no judged item is in the domain; interval None if fewer than `FEWEST_FOR_INTERVAL` are.
    """
    inside = np.ones(len(values), dtype=bool) if among is None else among
    counts = np.bincount(judged.strata, minlength=len(judged.population))
    present = np.unique(judged.strata[inside])
    if len(present) == 0:
        return Share(Estimate(None, None), 0, 0.0)
    place = np.searchsorted(present, judged.strata[inside])
    num = np.bincount(place)
    mean = np.asarray(np.bincount(place, values[inside]) / num, dtype=np.float64)
    squares = np.asarray(np.bincount(place, (values[inside] - mean[place]) ** 2), dtype=np.float64)
    part = _Part(population=judged.population[present], judged=counts[present], num=num, mean=mean, squares=squares)
    value = float(np.clip(part.value, 0.0, 1.0))
    interval = part.interval() if num.sum() >= FEWEST_FOR_INTERVAL else None
    return Share(Estimate(value, interval), int(num.sum()), float(part.weights.sum()))


def precision(judged: Judged, among: Bools | None = None) -> Share:
    """The share of relations that are right; arguments and result are those of `share`."""
    return share(judged, judged.right, among)


def weights(judged: Judged) -> Floats:
    """(M,) how many relations of the population each judged item stands for."""
    counts = np.bincount(judged.strata, minlength=len(judged.population))
    return np.asarray((judged.population / np.maximum(counts, 1))[judged.strata], dtype=np.float64)


def unjudged_strata(judged: Judged) -> tuple[list[int], float]:
    """Places of the strata without a judged item, and the share of the population that they hold, in [0, 1]."""
    counts = np.bincount(judged.strata, minlength=len(judged.population))
    missing = np.flatnonzero(counts == 0)
    total = int(judged.population.sum())
    return missing.tolist(), float(judged.population[missing].sum() / total) if total else 0.0


class _Part:
    """The strata that a domain has judged items in, H of them."""

    def __init__(self, *, population: Ints, judged: Ints, num: Ints, mean: Floats, squares: Floats) -> None:
        """
        Args:
            population: (H,) relations of the stratum, in the domain or not.
            judged: (H,) judged items of it, in the domain or not.
            num: (H,) of these those in the domain, at least 1.
            mean: (H,) of their values.
            squares: (H,) sum of squared distances from that mean.
        """
        self.num, self.mean = num, mean
        self.weights = population / judged * num
        """(H,) estimated relations of the stratum in the domain."""
        self.value = float(self.weights @ mean / self.weights.sum())
        self._judged = judged
        self._squares = squares
        self._inside = num / judged
        # Variance of the estimate is the sum of this times the variance of a single value of the stratum.
        self._factors = (population / self.weights.sum()) ** 2 * (1 - judged / population) / judged * self._inside

    def interval(self) -> tuple[float, float]:
        """95 % of such intervals hold the true share."""
        from scipy.special import stdtrit

        single = self._variances()
        within = np.asarray(self._factors * single, dtype=np.float64)
        variance = within.sum() + max(0.0, self._membership(single))
        degrees = _satterthwaite(within, np.asarray(self.num - 1 + _PRIOR, dtype=np.float64))
        if self._factors.sum() <= 0:  # judged to the last relation
            return self.value, self.value
        spread = self.value * (1 - self.value)
        # All right, or none: as many items as a population without differences between its strata would take.
        size = spread / variance if variance > 0 and spread > 0 else 1 / self._factors.sum()
        return wilson(self.value, size, float(stdtrit(degrees, 0.975)))

    def _variances(self) -> Floats:
        """(H,) of a single value of each stratum, within the domain; squeezed."""
        degrees = self.num - 1
        pooled = self._squares.sum() + _PRIOR_OF_POOL * self.value * (1 - self.value)
        pooled /= degrees.sum() + _PRIOR_OF_POOL
        return np.asarray((self._squares + _PRIOR * pooled) / (degrees + _PRIOR), dtype=np.float64)

    def _membership(self, single: Floats) -> float:
        """Variance that comes of not knowing how much of each stratum is in the domain; noise may make it negative."""
        outside = (1 - self._inside) * self._judged / np.maximum(self._judged - 1, 1)
        away = (self.mean - self.value) ** 2 - single / self.num
        return float((self._factors * outside * away).sum())


def _satterthwaite(parts: Floats, degrees: Floats) -> float:
    """Degrees of freedom of a sum of variances."""
    total = parts.sum()
    return float(total**2 / (parts**2 / degrees).sum()) if total > 0 else float(degrees.sum())


def wilson(value: float, size: float, quantile: float) -> tuple[float, float]:
    """Wilson's (1927) interval of a share measured on `size` items, which need be no whole number."""
    square = quantile**2 / size
    centre = (value + square / 2) / (1 + square)
    reach = quantile * np.sqrt(value * (1 - value) / size + square / (4 * size)) / (1 + square)
    # At the ends the bound is the end itself; rounding must not leave it a hair away.
    low = 0.0 if value <= 0 else max(0.0, float(centre - reach))
    return low, 1.0 if value >= 1 else min(1.0, float(centre + reach))
