"""A moving average of a network's weights, which wavers less than the weights."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class MovingAverage(Generic[Network]):
    """The average after each step: decay * average + (1 - decay) * weights (Polyak and Juditsky, 1992).

    At the start the decay is lower, so that start values are soon forgotten.
    """

    def __init__(self, model: Network, decay: float) -> None:
        """
        Args:
            model: the network, as it starts.
            decay: from 0 to below 1.
        """
        self.model: Network = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
        self._decay = decay

    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after a step; the first is 0. What is no weight, such as counts, is copied."""
        decay = min(self._decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for mine, theirs in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
                if mine.dtype.is_floating_point:
                    mine.lerp_(theirs, 1 - decay)
                else:
                    mine.copy_(theirs)
