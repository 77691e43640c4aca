"""What all auditors together say of each item: the numbers that every figure of an audit is computed from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.audit import JUDGEMENTS, AuditItem, AuditSample, Judgement, Verdict

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

KINDS: tuple[Judgement, ...] = tuple(judgement for judgement in JUDGEMENTS if judgement != "unsure")
"""What an item can be counted as. An `unsure` is no answer."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The items of which somebody said anything but `unsure`. M items, H strata, K `KINDS`."""

    numbers: Ints
    """(M,) of the items, rising."""
    strata: Ints
    """(M,) place of each in `AuditSample.strata`."""
    kinds: Floats
    """(M, K) share of each kind among what an item's auditors say, `unsure` aside. Rows add up to 1."""
    population: Ints
    """(H,) relations of each stratum."""
    num_unsure: int
    """Items of which nobody said anything but `unsure`. They are not among the M."""

    @property
    def right(self) -> Floats:
        """(M,) share of an item's auditors who say `right`."""
        return self.kinds[:, KINDS.index("right")]


def judged_items(
    sample: AuditSample, items: Sequence[AuditItem], verdicts: Mapping[tuple[str, int], Verdict]
) -> Judged:
    """Bring together what auditors say of each item.

    Each auditor of an item counts alike; where they differ, the item is right in part.

    Args:
        items: of the sample, all.
        verdicts: of `latest`.
    """
    votes = np.zeros((len(items), len(KINDS)))
    spoken = np.zeros(len(items), dtype=bool)
    for (_, number), verdict in verdicts.items():
        spoken[number] = True
        if verdict.judgement in KINDS:
            votes[number, KINDS.index(verdict.judgement)] += 1
    totals = votes.sum(axis=1)
    sure = totals > 0
    strata = np.fromiter((item.stratum for item in items), dtype=np.int64, count=len(items))
    return Judged(
        numbers=np.flatnonzero(sure),
        strata=strata[sure],
        kinds=votes[sure] / totals[sure, None],
        population=np.array([stratum.population for stratum in sample.strata], dtype=np.int64),
        num_unsure=int((spoken & ~sure).sum()),
    )


def numbers_of(judged: Judged, items: Sequence[AuditItem], field: str) -> Floats:
    """(M,) a number of each judged item, such as `score`; NaN where it has none."""
    found = [getattr(items[number], field) for number in judged.numbers]
    return np.array([math.nan if value is None else value for value in found], dtype=np.float64)


def names_of(judged: Judged, items: Sequence[AuditItem], field: str) -> list[str]:
    """A name of each judged item, such as `predicate`."""
    return [str(getattr(items[number], field)) for number in judged.numbers]
