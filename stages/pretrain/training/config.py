"""How a network is pre-trained: published choices by name, and ours."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from stages.alif.losses import PredicateTarget
from stages.training import TrainingConfig

Precision = Literal["float32", "bfloat16"]
"""Of the network's products; losses are always taken in float32."""


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(TrainingConfig):
    """How long, how fast and with what.

    The rates are RLIPv2's with 64 pictures a batch; its schedule is `step`.
    """

    learning_rate: float = 1.41e-4
    slow_rate: float = 0.1
    """The backbone and the text encoder, which start from trained weights, learn at this part of the rate. Published:
    1.41e-5 to 1.41e-4. Give 1 where they start from nothing."""
    average: float = 0.0
    """Decay of the moving average of the weights, which is then what is measured and kept, e.g. 0.9997. 0: none, as
    published. In the first steps it is lower, (1 + step) / (10 + step)."""
    precision: Precision = "float32"
    predicate_target: PredicateTarget = "pseudo_quality"
    """See `stages.alif.losses.PredicateTarget`."""
    unknown_weight: float = 0.5
    """How much what nobody knows counts, as if it did not hold, beside what is known: 0, not at all, to 1, as much.
    Nearly all of it does not hold, and without it little says where a predicate does not belong."""
    keep_last: int = 1
    """States kept, besides the best one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.slow_rate < math.inf:
            raise ValueError(f"slow_rate is {self.slow_rate}; give a number of at least 0")
        if not 0 <= self.average < 1:
            raise ValueError(f"average is {self.average}; give a decay from 0 to below 1")
        if not 0 <= self.unknown_weight <= 1:
            raise ValueError(f"unknown_weight is {self.unknown_weight}; give a number from 0 to 1")
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision is {self.precision!r}; give one of {', '.join(get_args(Precision))}")
        if self.keep_last < 1:
            raise ValueError(f"keep_last is {self.keep_last}; give a number of at least 1")
