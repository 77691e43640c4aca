"""The figures of a run, counted once and shown in three places: progress, Prometheus, report."""

import time
from dataclasses import dataclass, field

from pipeline.worker import Summary
from schemas.commit import Counts


@dataclass(slots=True)
class StageFigures:
    """What one stage's pool has done so far."""

    workers: int = 1
    calls: int = 0
    scenes: int = 0
    busy_s: float = 0.0
    """Time spent inside the stage, summed over workers."""
    wait_s: float = 0.0
    """Time that finished work of the stage before lay waiting, summed over calls."""
    setup_s: float = 0.0
    deaths: int = 0
    """Workers that died, or were ended after a time-out."""


@dataclass(slots=True)
class Meter:
    """All figures of a run; owned by the driver, read by whoever shows them."""

    stage_names: tuple[str, ...]
    num_records: int
    """Records of the whole plan."""
    done_before: int = 0
    """Records that earlier runs had committed."""
    stages: dict[str, StageFigures] = field(default_factory=dict)
    totals: Counts = field(default_factory=Counts)
    """Of the whole output, earlier runs included."""
    committed: int = 0
    """Records committed by this run."""
    units_under_way: int = 0
    notice: str = ""
    """What a person should know now, e.g. that workers wait for a place on the cluster; empty if nothing."""
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        for name in self.stage_names:
            self.stages.setdefault(name, StageFigures())

    def called(self, stage: str, summary: Summary, wait_s: float) -> None:
        """A worker of `stage` finished a call."""
        figures = self.stages[stage]
        figures.calls += 1
        figures.scenes += summary.num_scenes
        figures.busy_s += summary.busy_s
        figures.wait_s += max(0.0, wait_s)

    def was_committed(self, records: int, totals: Counts) -> None:
        """A unit of `records` records now stands in the log."""
        self.committed += records
        self.totals = totals

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run started."""
        return time.monotonic() - self.started

    @property
    def images_per_s(self) -> float:
        """Committed records per second of this run."""
        return self.committed / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds to the end at the pace so far; None before the first commit."""
        left = self.num_records - self.done_before - self.committed
        return left / self.images_per_s if self.committed else None

    def busy_fraction(self, stage: str) -> float:
        """Share of the run that the stage's workers spent inside the stage, 0 to 1."""
        figures = self.stages[stage]
        available = self.elapsed_s * figures.workers
        return min(1.0, figures.busy_s / available) if available > 0 else 0.0
