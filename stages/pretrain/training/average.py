"""A moving average of a network's weights, which wavers less than the weights."""

import copy
from typing import Generic, TypeVar

from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

Network = TypeVar("Network", bound=nn.Module)


class MovingAverage(Generic[Network]):
    """The average after each step: decay * average + (1 - decay) * weights (Polyak and Juditsky, 1992).

    At the start the decay is lower, so that start values are soon forgotten.
    """

    def __init__(self, model: Network, decay: float) -> None:
        """
        Args:
            model: the network, as it starts. Neither it nor the average may be moved to another device between
                updates.
            decay: from 0 to below 1.
        """
        self.model: Network = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
        self._decay = decay
        # Looked up once: to find and name all weights of a network takes longer than to average them.
        pairs = list(zip(self.model.state_dict().values(), model.state_dict().values(), strict=True))
        self._averages = [mine for mine, _ in pairs if mine.dtype.is_floating_point]
        self._weights = [theirs for _, theirs in pairs if theirs.dtype.is_floating_point]
        self._copied = [(mine, theirs) for mine, theirs in pairs if not mine.dtype.is_floating_point]

    def update(self, step: int) -> None:
        """Take in the weights after a step; the first is 0. What is no weight, such as counts, is copied."""
        mean = get_ema_multi_avg_fn(min(self._decay, (1 + step) / (10 + step)))
        mean(self._averages, self._weights, step)
        for mine, theirs in self._copied:
            mine.copy_(theirs)
