"""The end of a training's step: gradients into weights."""

from collections.abc import Sequence

import torch
from torch import nn

from stages.training.config import TrainingConfig
from stages.training.finite import check_finite

RATE_FACTOR = "rate_factor"
"""Key of a group of an optimizer's parameters."""


def apply_gradients(
    trained: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer, config: TrainingConfig, step: int
) -> dict[str, float]:
    """Clip the gradients, and change the weights by them.

    Args:
        trained: all weights that learn.
        optimizer: over these weights. A group of them with an entry `RATE_FACTOR` learns by so much faster or slower.
        config: how long gradients may be, and how fast to learn.
        step: the first is 0.

    Returns:
        `gradient_norm`, before clipping, and `learning_rate`.

    Raises:
        UserError: if the length of the gradients is no finite number; no weight was changed then.
    """
    norm = float(torch.nn.utils.clip_grad_norm_(trained, config.max_gradient_norm))
    check_finite("length of the gradient", norm, step)
    rate = config.learning_rate_at(step)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(RATE_FACTOR, 1.0)
    optimizer.step()
    return {"gradient_norm": norm, "learning_rate": rate}
