"""`relmill status`: where an output stands, from its log and the layers over it."""

from dataclasses import dataclass

from pipeline.plan import open_plan
from schemas import BadInputError
from schemas.commit import Counts
from stages.pack import CommitLog, Layers, read_dataset_file
from stages.storage import Folder


@dataclass(frozen=True, slots=True)
class Status:
    """The state of an output."""

    job: str
    num_records: int
    num_units: int
    num_commits: int
    """Entries of the log, a seal not counted."""
    totals: Counts
    sealed: bool
    layers: dict[str, int]
    """What people said since: `layers`, `scenes`, `asserted`, `denied`."""

    @property
    def complete(self) -> bool:
        """Whether every planned scene is accounted for."""
        return self.totals.planned == self.num_records


def read_status(folder: Folder) -> Status:
    """Read the state of an output with a few look-ups, however long its log is.

    Raises:
        BadInputError: if this is no output folder, it has no plan yet, or its layers are damaged.
    """
    job = str(read_dataset_file(folder)["job"])
    plan = open_plan(folder, job)
    if plan is None:
        raise BadInputError(f"{folder}: planning has not finished; run `relmill label` or `relmill plan` again")
    last, said = CommitLog(folder).last(), Layers.of(folder).counts()
    if last is None:
        return Status(job, plan.summary.num_records, len(plan.units), 0, Counts(), sealed=False, layers=said)
    commits = last.number + (0 if last.sealed else 1)
    return Status(job, plan.summary.num_records, len(plan.units), commits, last.totals, last.sealed, said)
