"""Several workers for a training: how a person asks for them, and what is refused before they are started."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from schemas import UserError

if TYPE_CHECKING:
    import torch

Learn = Callable[["torch.device", Callable[[str], None], Callable[[], bool]], None]
"""What each worker does, with a device, what takes lines for the terminal, and what tells the first worker to stop at
its next state. `torch.distributed` is set up then. It travels to the workers, and must go on where it stood when it is
called again."""


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Who shares a training's batches."""

    number: int = 1
    gpus_per_worker: float | None = None
    """None: 1 if the cluster has so many, else 0."""
    address: str | None = None
    """Of a Ray cluster; None: a local one for several workers, none for one."""
    of_job: bool = False
    """Whether a person gives these settings in a job file, not on the command line; for messages."""

    @property
    def are_here(self) -> bool:
        """Whether one worker, this process, is all that is needed."""
        return self.number == 1 and self.address is None

    def setting(self, name: str) -> str:
        """`workers`, `gpus_per_worker` or `address`, as a person would type it."""
        return f"runtime.{name}" if self.of_job else f"--{name.replace('_', '-')}"

    def check(self, batch_size: int) -> None:
        """Refuse a number of workers that cannot share a batch.

        Raises:
            UserError: naming the number.
        """
        if self.number < 1:
            raise UserError(f"num_workers is {self.number}; give a number of at least 1")
        if 1 <= batch_size < self.number:
            raise UserError(
                f"batch_size is {batch_size}, fewer pictures than the {self.number} workers that share them; give a "
                f"greater --batch-size or fewer {self.setting('workers')}"
            )

    def train(
        self,
        learn: Learn,
        *,
        scratch: Path,
        report: Callable[[str], None],
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Have the workers of a Ray cluster train together; see `train_with_ray`.

        Args:
            learn: what each of them does.
            scratch: folder for what Ray Train writes besides, on storage that all workers share; removed at the end.
            report: gets the lines of the workers.
            stopping: asked now and then whether they are to stop at their next state.

        Raises:
            UserError: if Ray Train cannot be imported.
        """
        if importlib.util.find_spec("pandas") is None:  # Ray Train says less about it
            raise UserError(
                "training with several workers needs pandas, not installed here; run: pip install 'relmill[train]'"
            )
        from pipeline.runtimes.ray_training import train_with_ray

        train_with_ray(learn, self, scratch=scratch, report=report, stopping=stopping)
