"""How long and how fast a network learns, and what chance each step has."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

Schedule = Literal["cosine", "step"]
"""How the learning rate falls after the warm-up: along a cosine to 0, or to a tenth after 3/4 of the steps (RLIPv2:
after 15 of 20 epochs)."""

_DROP_AT, _DROP_TO = 0.75, 0.1


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long and how fast to learn."""

    steps: int
    seed: int = 0
    """Of start values, order, all that is drawn for a batch, and dropout."""
    learning_rate: float = 1e-4
    """After the warm-up. 1e-4 is the published rate for networks that start from trained parts."""
    weight_decay: float = 1e-4
    max_gradient_norm: float = 0.1
    """Gradients of all weights together are scaled down to this length."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from near 0."""
    schedule: Schedule = "cosine"
    save_every: int = 500
    """Steps between two states."""
    report_every: int = 50
    """Steps between two lines of figures."""

    def __post_init__(self) -> None:
        for name in ("steps", "save_every", "report_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give a number of at least 1")
        for name in ("learning_rate", "max_gradient_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; give a number above 0")
        for name in ("seed", "weight_decay", "warmup_steps"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; give a number of at least 0")
        if self.schedule not in get_args(Schedule):
            raise ValueError(f"schedule is {self.schedule!r}; give one of {', '.join(get_args(Schedule))}")

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, the first is 0."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / (self.warmup_steps + 1)
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        if self.schedule == "step":
            return self.learning_rate * (1 if done < _DROP_AT else _DROP_TO)
        return self.learning_rate * (1 + math.cos(math.pi * done)) / 2


def seed_of_step(seed: int, step: int, *, rank: int = 0) -> int:
    """The seed of what is drawn inside the network in a step, such as dropout, by one of several workers."""
    # Odd multipliers below 2^64 spread neighbouring numbers over all bits; 64 bits is what PyTorch takes.
    return ((seed + 1) * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + rank * 0x94D049BB133111EB) % 2**63
