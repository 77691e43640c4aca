"""One stage over the scenes of a unit: one outcome per scene, whatever the stage does.

What goes wrong ends on the scene it belongs to. A batch that raises is bisected, from untouched inputs, down to the
guilty scene; a batch that does not fit into memory is halved; a network fault is tried again after a pause.
"""

import gc
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import TypeVar

from schemas import (
    Dead,
    InternalError,
    Outcome,
    OutOfMemoryError,
    Rejected,
    Scene,
    StorageError,
    TransientError,
    UserError,
)
from stages.contract import Stage

# Pauses before the same call is made again, in seconds: long enough for a store to recover from a burst.
TRANSIENT_PAUSES_S = (0.2, 1.0, 5.0)

Result = TypeVar("Result")

_TRACEBACK_CHARS = 8000
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")


class StageTimeoutError(Exception):
    """A stage took longer than `runtime.timeout_s` for one batch."""


class StageRunner:
    """Runs one stage in this process and remembers which batch sizes fit into memory."""

    def __init__(self, stage: Stage, *, timeout_s: float | None = None) -> None:
        """`timeout_s` interrupts a hanging batch; it works in a main thread and on Python code only."""
        self.stage = stage
        self._timeout_s = timeout_s
        self._safe_sizes: dict[int, int] = {}

    def run(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Replace every scene by the stage's outcome for it; rejected and dead ones pass through. Same order."""
        results = list(outcomes)
        places = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, Scene)]
        start = 0
        while start < len(places):
            bucket = _resolution_bucket(results[places[start]])
            size = self._safe_sizes.get(bucket, self.stage.batch_size)
            batch = places[start : start + size]
            scenes = [outcome for i in batch if isinstance(outcome := results[i], Scene)]
            for i, outcome in zip(batch, self._settle(scenes), strict=True):
                results[i] = _without_addresses(outcome) if isinstance(outcome, Rejected) else outcome
            start += size
        return results

    def _settle(self, scenes: list[Scene]) -> list[Outcome]:
        try:
            return patiently(lambda: self._process(scenes))
        except (UserError, StorageError):
            raise  # the job or the machine is wrong, not this scene: stop the run
        except Exception as error:  # noqa: BLE001 - whatever a stage raises must end on its scene
            letter = _dead(scenes[0], self.stage.name, error)
        # Outside the handler the failed call's frames, and the tensors that they held, are gone.
        if letter.reason == "out-of-memory":
            _free_memory()
            self._safe_sizes[_resolution_bucket(scenes[0])] = (len(scenes) + 1) // 2
        if len(scenes) == 1:
            return [letter]
        if letter.reason == "timeout":
            # Each half would wait for the time-out again; one by one only the guilty scene does.
            return [outcome for scene in scenes for outcome in self._settle([scene])]
        half = (len(scenes) + 1) // 2
        return self._settle(scenes[:half]) + self._settle(scenes[half:])

    def _process(self, scenes: list[Scene]) -> list[Outcome]:
        with _alarm(self._timeout_s, self.stage.name):
            outcomes: list[Outcome] = list(self.stage.process(scenes))
        if [outcome.key for outcome in outcomes] != [scene.key for scene in scenes]:
            raise InternalError(
                f"stage {self.stage.name} returned {len(outcomes)} outcomes for {len(scenes)} scenes, or not in order"
            )
        return outcomes


def patiently(call: Callable[[], Result]) -> Result:
    """Make a call, and make it again after a pause if the fault was a transient one; the last fault is let through."""
    for pause in TRANSIENT_PAUSES_S:
        try:
            return call()
        except TransientError:
            time.sleep(pause)
    return call()


def _dead(scene: Scene, stage: str, error: BaseException) -> Dead:
    reason = "exception"
    if _is_out_of_memory(error):
        reason = "out-of-memory"
    elif isinstance(error, StageTimeoutError):
        reason = "timeout"
    elif isinstance(error, TransientError):
        reason = "transient"
    attempts = len(TRANSIENT_PAUSES_S) + 1 if reason == "transient" else 1
    # Object addresses differ in every process; without them equal failures leave equal dead letters.
    text = _ADDRESS.sub("0x...", "".join(traceback.format_exception(error)))[-_TRACEBACK_CHARS:]
    detail = _ADDRESS.sub("0x...", f"{type(error).__name__}: {error}")
    return Dead(scene.key, stage, reason, detail, text, attempts)


def _without_addresses(rejected: Rejected) -> Rejected:
    """Details often quote a library's message, and some of those name an object by its address in memory."""
    return replace(rejected, detail=_ADDRESS.sub("0x...", rejected.detail))


def _is_out_of_memory(error: BaseException) -> bool:
    # torch has an exception class of the same name; naming it avoids importing torch for jobs without it.
    return isinstance(error, MemoryError | OutOfMemoryError) or type(error).__name__ == "OutOfMemoryError"


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _resolution_bucket(outcome: Outcome) -> int:
    """Pictures whose pixel counts share a power of two share a safe batch size."""
    if isinstance(outcome, Rejected | Dead):
        return 0
    return ((outcome.image.width or 0) * (outcome.image.height or 0)).bit_length()


@contextmanager
def _alarm(timeout_s: float | None, stage: str) -> Iterator[None]:
    if timeout_s is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal module's signature
        raise StageTimeoutError(f"stage {stage} took longer than runtime.timeout_s = {timeout_s:g} s")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
