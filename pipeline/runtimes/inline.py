"""The inline runtime: one unit after the other in this process, for tests, debugging and small jobs.

A stage that kills its process kills the run here; a stage that hangs is interrupted only while it executes Python
code. The Ray runtime survives both.
"""

from collections.abc import Iterable, Iterator

from pipeline.pack_worker import PackWorker
from pipeline.runtimes.context import RunContext
from pipeline.worker import Piece, StageWorker
from schemas import Outcome
from schemas.commit import Commit
from schemas.unit import Unit


def run_inline(context: RunContext, units: Iterable[Unit]) -> Iterator[Commit]:
    """Yield a commit draft per unit, in order. See `run_units`."""
    meter = context.meter
    workers = [
        StageWorker(stage, context.folder, job_digest=context.job_digest, timeout_s=context.runtime.timeout_s)
        for stage in context.stages
    ]
    for stage, worker in zip(context.stages, workers, strict=True):
        meter.stages[stage.name].setup_s = worker.setup()
    pack = PackWorker(context.folder)
    for unit in units:
        if context.stop.draining:
            return
        meter.units_under_way = 1
        outcomes: list[Outcome] | None = None
        for stage, worker in zip(context.stages, workers, strict=True):
            outcomes, summary = worker.run(Piece(unit), outcomes)
            meter.called(stage.name, summary, wait_s=0.0)
        draft, summary = pack.pack(unit, outcomes or [])
        meter.called("pack", summary, wait_s=0.0)
        meter.units_under_way = 0
        yield draft
