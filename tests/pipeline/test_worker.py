"""Workers: a store that fails for a moment fails nobody's run."""

from tests_made import Relate

from pipeline import runner
from pipeline.worker import Piece, StageWorker
from schemas import Scene, TransientError
from stages.storage import Folder


def test_planned_records_are_read_again_after_a_transient_fault(make, monkeypatch):
    monkeypatch.setattr(runner, "TRANSIENT_PAUSES_S", (0.0, 0.0))
    prepared = make()

    class Hiccup(Folder):
        faults = 2

        def read(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
            if self.faults:
                self.faults -= 1
                raise TransientError("the store hiccuped")
            return super().read(name, start, end)

    worker = StageWorker(Relate(), Hiccup(prepared.folder.url), job_digest=prepared.digest)
    outcomes, summary = worker.run(Piece(prepared.plan.units[0]))
    assert summary.num_scenes == 4
    assert all(isinstance(outcome, Scene) for outcome in outcomes)
