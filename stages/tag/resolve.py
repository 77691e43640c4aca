"""Which regions the phrases of a caption mean: one region a phrase, chosen jointly, by score.

A caption that says "a man riding a horse and holding a rope" speaks of one man. So phrases, not relations, are given
regions. Every way to do so has a weight, the product of the weights of the pairs it makes; the heaviest way is taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Ways enumerated exactly; beyond, only the best partial ways are carried on. Both sizes bound time and memory.
MAX_EXACT = 20_000
BEAM = 512

# Two phrases that each introduce somebody ("a man ... a man") seldom mean the same one: such a way counts e^-3.
_SAME_REGION_PENALTY = -3.0


@dataclass(frozen=True, slots=True)
class Link:
    """A relation between two phrases with the log-weight of every pair of their candidates."""

    subject: int
    object: int
    weights: npt.NDArray[np.float64]
    """(candidates of the subject, candidates of the object), finite."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Candidate index of each phrase, and the probability of each choice, and of each link's pair, among all ways."""

    choice: Mapping[int, int]
    confidence: Mapping[int, float]
    """Probability of each phrase's choice."""
    link_confidence: tuple[float, ...]


def resolve(
    candidates: Mapping[int, Sequence[int]],
    links: Sequence[Link],
    *,
    bonus: Mapping[int, npt.NDArray[np.float64]],
    distinct: Sequence[tuple[int, int]] = (),
) -> Resolution:
    """Choose a region for every phrase of `candidates`.

    Args:
        candidates: region ids of each phrase, sorted. Ties go to the smaller ids.
        links: between phrases of `candidates`.
        bonus: log-weight of each candidate of a phrase by itself.
        distinct: pairs of phrases that rather mean two things.
    """
    order = sorted(candidates)
    position = {phrase: i for i, phrase in enumerate(order)}
    # A link weighs in once both its phrases have a region.
    links_at: dict[int, list[Link]] = {}
    for link in links:
        links_at.setdefault(max(position[link.subject], position[link.object]), []).append(link)
    distinct_at: dict[int, list[tuple[int, int]]] = {}
    for one, other in distinct:
        distinct_at.setdefault(max(position[one], position[other]), []).append((one, other))
    ways = np.zeros((1, 0), dtype=np.int64)
    weights = np.zeros(1)
    for phrase in order:
        number = len(candidates[phrase])
        if len(ways) * number > MAX_EXACT:
            ways, weights = _heaviest(ways, weights)
        ways, weights = _extended(ways, weights, number)
        here = position[phrase]
        chosen = ways[:, here]
        weights = weights + bonus.get(phrase, np.zeros(number))[chosen]
        for link in links_at.get(here, ()):
            weights = weights + link.weights[ways[:, position[link.subject]], ways[:, position[link.object]]]
        for one, other in distinct_at.get(here, ()):
            same = _regions(candidates, one, ways, position) == _regions(candidates, other, ways, position)
            weights = weights + np.where(same, _SAME_REGION_PENALTY, 0.0)
    best = ways[int(np.argmax(weights))]
    probability = np.exp(weights - weights.max())
    probability /= probability.sum()
    certain = {phrase: float(probability[ways[:, i] == best[i]].sum()) for phrase, i in position.items()}
    ends = [(position[link.subject], position[link.object]) for link in links]
    jointly = tuple(float(probability[(ways[:, s] == best[s]) & (ways[:, o] == best[o])].sum()) for s, o in ends)
    return Resolution({phrase: int(best[position[phrase]]) for phrase in order}, certain, jointly)


def _heaviest(
    ways: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The `BEAM` heaviest ways in their old order; of equal weights the earlier, that is the smaller ids, stay."""
    kept = np.sort(np.argsort(-weights, kind="stable")[:BEAM])
    return ways[kept], weights[kept]


def _extended(
    ways: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], number: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Every way continued with each of `number` candidates of the next phrase."""
    column = np.tile(np.arange(number), len(ways))[:, None]
    return np.hstack([np.repeat(ways, number, axis=0), column]), np.repeat(weights, number)


def _regions(
    candidates: Mapping[int, Sequence[int]], phrase: int, ways: npt.NDArray[np.int64], position: Mapping[int, int]
) -> npt.NDArray[np.int64]:
    return np.asarray(candidates[phrase], dtype=np.int64)[ways[:, position[phrase]]]
