"""How many cores a network computes on."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one CPU thread: sums split over threads round by their number, and results would depend on cores.

    On CPUs, more workers are the way to use more cores; on a GPU it changes nothing.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
