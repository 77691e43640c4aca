"""Workers that train one network together: what each of them has is added up, so that they act as one.

Plain sums rather than `DistributedDataParallel`: a worker that could read none of its pictures adds zeros and needs no
made-up picture, weights that no worker used keep no gradient as with one worker, and nothing has to be declared
beforehand. The price: gradients travel after the backward pass, not during it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

Item = TypeVar("Item")

# Gradients travel in parcels of about this size, so that there is never a second copy of all of them. DDP has 25 MiB.
_PARCEL_BYTES = 32 * 2**20


@dataclass(frozen=True)
class WorkerGroup:
    """One worker's view of the group; `WorkerGroup()` is a worker alone, for which nothing travels.

    Every worker must call the same methods in the same order.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> "WorkerGroup":
        """The group of this process, as `torch.distributed` was set up; alone if it was not."""
        if distributed.is_available() and distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls()

    @property
    def is_first(self) -> bool:
        """Whether this worker writes what one alone must write."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """What of some work is this worker's: every `size`-th item."""
        return items[self.rank :: self.size]

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all workers, the same bits on each; `tensor` itself for a worker alone."""
        if self.size == 1:
            return tensor
        total = tensor.clone()
        distributed.all_reduce(total)
        return total

    def each(self, number: int, device: torch.device) -> list[int]:
        """The numbers of all workers, by rank."""
        row = torch.zeros(self.size, dtype=torch.int64, device=device)
        row[self.rank] = number
        return [int(value) for value in self.sum(row)]

    def take_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors by those of the first worker."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, src=0)

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace the gradients of some parameters by their sums over all workers.

        None counts as zero, and stays None if it is None everywhere.
        """
        if self.size == 1:
            return
        used = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.int32)
        used = self.sum(used.to(parameters[0].device)).cpu()
        wanted = [parameter for parameter, number in zip(parameters, used.tolist(), strict=True) if number]
        for parameter in wanted:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for gradients in _parcels([parameter.grad for parameter in wanted]):
            total = torch.cat([gradient.flatten() for gradient in gradients])
            distributed.all_reduce(total)
            for gradient, summed in zip(gradients, total.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(summed.view_as(gradient))


def _parcels(gradients: Sequence[Tensor]) -> list[list[Tensor]]:
    """Neighbours of one type together, up to the size of a parcel."""
    parcels: list[list[Tensor]] = []
    num_bytes = 0
    for gradient in gradients:
        if not parcels or num_bytes + gradient.nbytes > _PARCEL_BYTES or parcels[-1][0].dtype != gradient.dtype:
            parcels.append([])
            num_bytes = 0
        parcels[-1].append(gradient)
        num_bytes += gradient.nbytes
    return parcels
