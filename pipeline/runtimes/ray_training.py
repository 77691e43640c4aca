"""Training by several workers of a Ray cluster, through Ray Train.

Ray Train places the workers, connects them, and starts all of them anew when one dies. What it would keep for us is not
used: a training of ours has its states in its output, which the workers share, and goes on from the newest.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import exceptions as ray_exceptions
from ray.train import (
    ControllerError,
    FailureConfig,
    LoggingConfig,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
    UserCallback,
    WorkerGroupError,
)
from ray.train.torch import TorchConfig, TorchTrainer, get_device

from pipeline.runtimes.ray_cluster import ray_cluster
from pipeline.training_workers import Learn, Workers
from schemas import InternalError, RelmillError, TransientError, UserError

# Over a whole training. Each costs at most `save_every` steps, and half a minute.
_MAX_RESTARTS = 10
_POLL_S = 0.25
_ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # workers stay where they were started, as relative paths are meant from there
    # A worker that waits for one that failed does not hear it; no use in asking it for half a minute to stop waiting.
    "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "3",
}


def train_with_ray(
    learn: Learn,
    workers: Workers,
    *,
    scratch: Path,
    report: Callable[[str], None],
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Have some workers train a network together.

    Args:
        learn: what each of them does.
        workers: how many; each has a CPU. With less than a GPU each, workers share one.
        scratch: folder for what Ray Train writes besides, on storage that all workers share; removed at the end.
        report: gets the lines of the workers.
        stopping: asked now and then whether they are to stop at their next state.

    Raises:
        RelmillError: what a worker raised, whichever worker.
        UserError: if there is no cluster at the address, or it is too small.
        TransientError: if workers died too often.
        InternalError: if a worker failed otherwise.
    """
    with ray_cluster(workers.address, setting=workers.setting("address")), _scratch(scratch):
        gpus = _gpus_per_worker(workers)
        lines = ray.remote(_Lines).options(num_cpus=0).remote()
        trainer = TorchTrainer(
            _work,
            train_loop_config={"learn": learn, "lines": lines},
            # NCCL refuses workers that share a GPU.
            torch_config=TorchConfig(backend="nccl" if gpus >= 1 else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=workers.number, use_gpu=gpus > 0, resources_per_worker={"CPU": 1, "GPU": gpus}
            ),
            run_config=RunConfig(
                name="train",
                storage_path=str(scratch.absolute()),
                failure_config=FailureConfig(max_failures=_MAX_RESTARTS),
                callbacks=[_OurErrors()],
                logging_config=LoggingConfig(log_level="ERROR"),
            ),
        )
        try:
            _fit(trainer, lines, report, stopping)
        except TrainingFailedError as error:
            raise _told(error) from error
        finally:
            ray.kill(lines)


class _Lines:
    """Lines of the workers on their way to the terminal; and the word to stop, on its way to them."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._stopping = False

    def stop(self) -> None:
        self._stopping = True

    def is_stopping(self) -> bool:
        return self._stopping

    def put(self, line: str) -> None:
        self._lines.append(line)

    def take(self) -> list[str]:
        lines, self._lines = self._lines, []
        return lines


class _OurErrors(UserCallback):  # type: ignore[misc]
    """Ends a training that a restart cannot help. What a callback raises, Ray Train does not retry."""

    def after_exception(self, run_context: Any, worker_exceptions: Mapping[int, Exception]) -> None:  # noqa: ARG002
        """See `UserCallback`."""
        if (found := _ours(worker_exceptions)) is not None and not isinstance(found, TransientError):
            raise found


def _work(config: Mapping[str, Any]) -> None:
    """What Ray Train runs on each worker."""

    def report(line: str) -> None:
        config["lines"].put.remote(line)

    def stopping() -> bool:
        return bool(ray.get(config["lines"].is_stopping.remote()))

    config["learn"](get_device(), report, stopping)


def _fit(trainer: TorchTrainer, lines: Any, report: Callable[[str], None], stopping: Callable[[], bool]) -> None:
    """Run a training and hand on its lines, in this thread, so that Ctrl-C ends the wait as everywhere else.

    In the main thread Ray Train would put a handler of its own in the place of Python's, and leave it there.
    """
    failure: list[BaseException] = []

    def fit() -> None:
        try:
            trainer.fit()
        except BaseException as error:  # noqa: BLE001 - raised again by the other thread
            failure.append(error)

    thread = threading.Thread(target=fit, name="ray-train", daemon=True)
    thread.start()
    while thread.is_alive():
        time.sleep(_POLL_S)
        for line in ray.get(lines.take.remote()):
            report(line)
        if stopping():
            lines.stop.remote()
    for line in ray.get(lines.take.remote()):
        report(line)
    if failure:
        raise failure[0]


@contextmanager
def _scratch(folder: Path) -> Iterator[None]:
    """A folder for Ray Train, and the settings that it takes from the environment."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ |= _ENVIRONMENT
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _gpus_per_worker(workers: Workers) -> float:
    """What each worker reserves; refuses what would wait for ever."""
    has = ray.cluster_resources()
    wanted = workers.gpus_per_worker
    if wanted is None:
        wanted = float(has.get("GPU", 0.0) >= workers.number)
    for kind, each in (("CPU", 1.0), ("GPU", wanted)):
        if workers.number * each > has.get(kind, 0.0) + 1e-6:
            raise UserError(
                f"{workers.setting('workers')} {workers.number}: they reserve {workers.number * each:g} {kind}s, the "
                f"cluster has {has.get(kind, 0.0):g}; give fewer workers"
                + (f" or lower {workers.setting('gpus_per_worker')}" if kind == "GPU" else "")
            )
    return wanted


def _ours(failures: Mapping[int, Exception]) -> RelmillError | None:
    """The error of ours of the first worker that has one."""
    ours = [failure for _, failure in sorted(failures.items()) if isinstance(failure, RelmillError)]
    return ours[0] if ours else None


def _told(error: TrainingFailedError) -> RelmillError:
    """The error of ours that a failed training carries, or one that says what happened."""
    if isinstance(error, ControllerError) and isinstance(error.controller_failure, RelmillError):
        return error.controller_failure
    if isinstance(error, WorkerGroupError):
        if (found := _ours(error.worker_failures)) is not None:
            return found
        if any(isinstance(failure, ray_exceptions.RayActorError) for failure in error.worker_failures.values()):
            return TransientError(
                f"workers of the training died {_MAX_RESTARTS + 1} times; see `ray status`, then resume it"
            )
    return InternalError(f"a worker of the training failed: {error}")
