"""What a stage is. The runtime knows the stages; the stages do not know the runtime."""

from collections.abc import Sequence
from typing import Protocol

from schemas import Rejected, Scene


class Stage(Protocol):
    """A step that the runtime drives. Constructed on the driver, pickled, set up and used on a worker.

    The constructor stores settings and touches no file, device or network. A stage is pure towards the outside:
    no global state, and the outcome of a scene does not depend on the scenes beside it in the batch.

    A stage that runs on a GPU says so with a class attribute `wants_gpu = True`; a runtime that has GPUs gives each of
    its workers one, or the fraction that the job file asks for.
    """

    name: str
    """Slug, used in reports, metrics, dead letters and `Rejected.stage`."""
    identity: str
    """What runs: backend, version, and the revision or digest of each model. Part of the job digest and of
    every scene's provenance, so a changed model is a changed job."""
    batch_size: int
    """The most scenes `process` is given at once."""

    def setup(self) -> None:
        """Load weights, once per worker. The device is chosen here."""

    def process(self, scenes: Sequence[Scene]) -> Sequence[Scene | Rejected]:
        """Return one outcome per scene, in the same order.

        Raise `OutOfMemoryError` (or let torch's own, or `MemoryError`, through) and the runtime halves the batch;
        raise `TransientError` and it tries again; any other exception is bisected down to the guilty scene.
        """


def wants_gpu(stage: Stage) -> bool:
    """Whether a stage says that it runs on a GPU."""
    return bool(getattr(stage, "wants_gpu", False))
