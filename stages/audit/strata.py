"""How many relations to draw from which stratum."""

import heapq
import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

from schemas import UserError

Allocation = Literal["sqrt", "proportional", "equal"]
ALLOCATIONS: tuple[Allocation, ...] = get_args(Allocation)

LEAST = 2
"""Relations drawn of a stratum that has so many: from one alone nobody can tell how much they differ."""

_WEIGHTS: dict[Allocation, Callable[[int], float]] = {
    # Power allocation (Bankier, "Power allocations: determining sample sizes for subnational areas", The American
    # Statistician 42, 1988) with power 1/2: between what is best for the whole and what is fair to each part.
    "sqrt": math.sqrt,
    "proportional": float,
    "equal": lambda _: 1.0,
}


def merged(sizes: Sequence[int], num_drawn: int, allocation: Allocation) -> list[int]:
    """The stratum of the sample that each stratum of the population goes to.

    As long as `num_drawn` cannot give each what it must have (see `allocated`), the least populated ones are one
    stratum together, the last one, called the rest. Of equal ones, those that come later in `sizes` are merged first.
    As few are merged as will do. The others keep their order.

    Args:
        sizes: relations of each, at least 1.
        num_drawn: relations drawn in all, at least 1.
        allocation: how they are going to be shared out.
    """
    total = sum(sizes)
    must_have = [_must_have(size, total, num_drawn, allocation, rest=False) for size in sizes]
    needed, rest = sum(must_have), 0
    if needed <= num_drawn or num_drawn >= total:
        return list(range(len(sizes)))
    chosen = set()
    for place in sorted(range(len(sizes)), key=lambda place: (sizes[place], -place)):
        chosen.add(place)
        rest += sizes[place]
        needed -= must_have[place]
        if len(chosen) > 1 and needed + _must_have(rest, total, num_drawn, allocation, rest=True) <= num_drawn:
            break
    kept = [place for place in range(len(sizes)) if place not in chosen]
    numbers = {place: number for number, place in enumerate(kept)}
    return [numbers.get(place, len(kept)) for place in range(len(sizes))]


def allocated(sizes: Sequence[int], num_drawn: int, allocation: Allocation, *, with_rest: bool = False) -> list[int]:
    """How many to draw from each stratum; they add up to `num_drawn`, or to all that there are if there are fewer.

    Each must have two, or all that it has, and half of what would be proportional. So no drawn relation stands for more
    than twice as many as in a sample without strata, and a large part of the population cannot hang on a few verdicts,
    which would cost the estimate for the whole more than strata gain it. With `equal` this holds for the rest alone.

    Within these bounds the numbers are as the weights demand: one after the other goes to the stratum whose weight over
    its number plus a half is largest (the method of Sainte-Laguë with minimum requirements; Balinski and Young, "Fair
    Representation", 1982). Ties go to the first. One relation more in all never takes one away from a stratum, which
    largest remainders can do.

    Args:
        sizes: relations of each, at least 1.
        num_drawn: at least what the strata must have, as `merged` sees to.
        allocation: what weights are: square root of the size, the size, or the same for all.
        with_rest: the last stratum is what was merged.

    Raises:
        UserError: if there is no such allocation.
    """
    check_allocation(allocation)
    total = sum(sizes)
    if num_drawn >= total:
        return list(sizes)
    numbers = [
        _must_have(size, total, num_drawn, allocation, rest=with_rest and place == len(sizes) - 1)
        for place, size in enumerate(sizes)
    ]
    assert sum(numbers) <= num_drawn, (numbers, num_drawn)
    weights = [_WEIGHTS[allocation](size) for size in sizes]
    queue = [
        (-weight / (number + 0.5), place)
        for place, (weight, number) in enumerate(zip(weights, numbers, strict=True))
        if number < sizes[place]
    ]
    heapq.heapify(queue)
    for _ in range(num_drawn - sum(numbers)):
        _, place = queue[0]
        numbers[place] += 1
        if numbers[place] < sizes[place]:
            heapq.heapreplace(queue, (-weights[place] / (numbers[place] + 0.5), place))
        else:
            heapq.heappop(queue)
    return numbers


def check_allocation(allocation: str) -> None:
    """Refuse an allocation that there is not.

    Raises:
        UserError: naming those that there are.
    """
    if allocation not in ALLOCATIONS:
        raise UserError(f"allocation {allocation!r}: give one of {', '.join(ALLOCATIONS)}")


def _must_have(size: int, total: int, num_drawn: int, allocation: Allocation, *, rest: bool) -> int:
    half_share = -(-num_drawn * size // (2 * total)) if rest or allocation != "equal" else 0
    return min(size, max(LEAST, half_share), num_drawn)
