"""What a worker does, in this process or on a cluster: run one stage over units."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.records import read_records
from pipeline.runner import StageRunner, patiently
from schemas import Outcome, Scene
from schemas.unit import Unit
from stages.contract import Stage
from stages.storage import Folder


@dataclass(frozen=True, slots=True)
class Summary:
    """What the driver learns of a call; the scenes themselves never pass through it."""

    num_scenes: int
    image_bytes: int
    busy_s: float


@dataclass(frozen=True, slots=True)
class Piece:
    """A unit, or one record of it while the runtime looks for the record that ends its workers."""

    unit: Unit
    record: int | None = None


class StageWorker:
    """Runs one stage. The first stage of a job reads the planned records itself."""

    def __init__(self, stage: Stage, folder: Folder, *, job_digest: str, timeout_s: float | None = None) -> None:
        self._stage = stage
        self._folder = folder
        self._job_digest = job_digest
        self._timeout_s = timeout_s
        self._runner: StageRunner | None = None

    def setup(self) -> float:
        """Load the stage, once. Returns the seconds it took."""
        start = time.perf_counter()
        if self._runner is None:
            self._stage.setup()
            self._runner = StageRunner(self._stage, timeout_s=self._timeout_s)
        return time.perf_counter() - start

    def run(self, piece: Piece, outcomes: Sequence[Outcome] | None = None) -> tuple[list[Outcome], Summary]:
        """Run the stage over a piece: over `outcomes` of the stage before, or over its planned records."""
        self.setup()
        assert self._runner is not None
        start = time.perf_counter()
        if outcomes is None:
            outcomes = self._planned(piece)
        results = [self._stamp(outcome) for outcome in self._runner.run(outcomes)]
        scenes = [outcome for outcome in results if isinstance(outcome, Scene)]
        image_bytes = sum(len(scene.image.data) for scene in scenes if scene.image.data is not None)
        return results, Summary(len(results), image_bytes, time.perf_counter() - start)

    def _planned(self, piece: Piece) -> list[Outcome]:
        records = patiently(lambda: read_records(self._folder, piece.unit))
        return list(records if piece.record is None else records[piece.record : piece.record + 1])

    def _stamp(self, outcome: Outcome) -> Outcome:
        """Write into a scene's provenance what this stage was."""
        if not isinstance(outcome, Scene):
            return outcome
        stages = {**outcome.provenance.stages, self._stage.name: self._stage.identity}
        return replace(outcome, provenance=replace(outcome.provenance, job=self._job_digest, stages=stages))
