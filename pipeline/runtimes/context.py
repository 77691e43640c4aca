"""What a runtime needs to know, and how it is told to stop."""

import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from pipeline.meter import Meter
from schemas.job import RuntimeJob
from stages.contract import Stage
from stages.storage import Folder


@dataclass(frozen=True)
class ClusterShare:
    """A part of a Ray cluster that is set aside, so that what runs there leaves the rest alone."""

    placement_group: Any
    """Of Ray."""
    resources: Mapping[str, float]
    """`CPU` and `GPU`, over all its bundles."""


class Stop:
    """First Ctrl-C (or SIGTERM): finish what is under way, start nothing new. Second: stop at once.

    Either way the output stays whole and the same command resumes it. Outside the main thread, where Python knows no
    signals, it is the caller who sets `draining`.
    """

    def __init__(self) -> None:
        self.draining = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signal module's signature
        if self.draining:
            raise KeyboardInterrupt
        self.draining = True


@dataclass(frozen=True)
class RunContext:
    """Everything a runtime needs besides the units."""

    stages: Sequence[Stage]
    folder: Folder
    job_digest: str
    runtime: RuntimeJob
    meter: Meter
    stop: Stop = field(default_factory=Stop)
    share: ClusterShare | None = None
    """What part of a Ray cluster the workers may have; None: all of it."""
