"""Nucleus (top-p) sampling whose chance comes from outside: one uniform number a row and step.

Sampling with the framework's own generator ties a row's luck to its place in the batch. Here the numbers are a
function of (seed, scene, sample), so neighbours, batch size and worker change nothing.
"""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def uniform_numbers(seed: int, key: str, sample: int, count: int) -> list[float]:
    """`count` numbers in [0, 1) that belong to one sample of one scene, the same on every machine."""
    digest = hashlib.shake_256(f"{seed}\0{key}\0{sample}".encode()).digest(8 * count)
    # 53 bits fill a float's mantissa, so that no number rounds up to 1.
    return [(int.from_bytes(digest[8 * i : 8 * i + 8], "big") >> 11) * 2.0**-53 for i in range(count)]


class NucleusChoice:
    """A logits processor for greedy `generate` that leaves each row one token, drawn from the row's nucleus.

    The nucleus is the smallest set of most probable tokens whose probabilities sum to at least `top_p`. The token is
    found by inverting their cumulative distribution at the row's uniform number: an exact draw, no approximation.
    """

    def __init__(
        self,
        uniforms: "Tensor",
        *,
        prompt_length: int,
        top_p: float,
        bend: "Callable[[Tensor, Tensor], Tensor] | None" = None,
    ) -> None:
        """
        Args:
            uniforms: (rows, steps) float64 in [0, 1), on the device of the scores.
            prompt_length: tokens before the first drawn one.
            top_p: probability that the nucleus has at least.
            bend: changes scores before the nucleus is taken, as a logits processor: penalties and bans.
        """
        self._uniforms = uniforms
        self._prompt_length = prompt_length
        self._top_p = top_p
        self._bend = bend
        self.log_probabilities: list[Tensor] = []
        """For each step so far, of each row's drawn token (rows,), under the scores as they were before `bend`."""

    def __call__(self, input_ids: "Tensor", scores: "Tensor") -> "Tensor":
        """Scores (rows, vocabulary) with the drawn token at 0 and all others at minus infinity."""
        step = input_ids.shape[1] - self._prompt_length
        # Some processors work in place.
        bent = self._bend(input_ids, scores.clone()) if self._bend is not None else scores
        probabilities, tokens = bent.double().softmax(-1).sort(dim=-1, descending=True, stable=True)
        cumulative = probabilities.cumsum(-1)
        num_kept = ((cumulative - probabilities) < self._top_p).sum(-1, keepdim=True)
        mass = cumulative.gather(-1, num_kept - 1)
        place = (cumulative <= self._uniforms[:, step, None] * mass).sum(-1, keepdim=True)
        drawn = tokens.gather(-1, place.minimum(num_kept - 1))
        self.log_probabilities.append(scores.gather(-1, drawn)[:, 0] - scores.logsumexp(-1))
        return scores.new_full(scores.shape, float("-inf")).scatter(-1, drawn, 0.0)
