"""How many cores a network computes on, and how exactly."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


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


@contextmanager
def repeatable_arithmetic(device: "torch.device") -> Iterator[None]:
    """On a CPU one thread, on a GPU float32 that is float32; both only meanwhile.

    PyTorch lets convolutions on a GPU round their inputs to ten bits (TF32) unless told otherwise, which is more than
    what batches may differ by.
    """
    import torch

    if device.type == "cpu":
        with one_thread():
            yield
    else:
        with torch.backends.cudnn.flags(allow_tf32=False):
            yield
