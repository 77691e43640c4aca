"""Order and prefetching of a training's batches. Nothing here knows what a batch consists of."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

Made = TypeVar("Made")


class EndlessOrder:
    """Every epoch is a new random order of all samples; batches run on across its end, so that all are of one size."""

    def __init__(self, num_samples: int, *, seed: tuple[int, ...]) -> None:
        """
        Args:
            num_samples: at least 1.
            seed: of the order, no other draw's.
        """
        assert num_samples > 0, "no samples to put in order"
        self._num_samples = num_samples
        self._seed = seed
        self._epoch: tuple[int, np.ndarray] = (-1, np.zeros(0, dtype=np.int64))

    def batch(self, number: int, size: int) -> list[int]:
        """The samples of batch `number`, from 0. Called from one thread."""
        return [self._place(position) for position in range(number * size, (number + 1) * size)]

    def _place(self, position: int) -> int:
        epoch, place = divmod(position, self._num_samples)
        if self._epoch[0] != epoch:
            rng = np.random.default_rng([*self._seed, epoch])
            self._epoch = epoch, rng.permutation(self._num_samples)
        return int(self._epoch[1][place])


def made_ahead(submit: Callable[[int], Callable[[], Made]], numbers: range, *, num_threads: int) -> Iterator[Made]:
    """What is made of each number, in order; the next ones are made while one is in use.

    Args:
        submit: called in order, by this thread; what it returns is called by another one.
        numbers: of the batches.
        num_threads: that make them.
    """
    waiting = iter(numbers)
    pending: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(max_workers=num_threads, thread_name_prefix="batches") as pool:
        try:
            while True:
                while len(pending) <= num_threads and (number := next(waiting, None)) is not None:
                    pending.append(pool.submit(submit(number)))
                if not pending:
                    return
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
