"""`relmill retry`: run the dead scenes again, into new shards."""

import hashlib

from pipeline.label import Prepared, RunResult, run
from pipeline.ledger import Ledger
from pipeline.records import read_records, records_to_gzip
from schemas import Rejected, Scene, UserError
from schemas.shard import Commit
from schemas.unit import Unit
from stages.pack import CommitLog, dead_letters
from stages.storage import Folder


def retry(prepared: Prepared, *, seal: bool | None = None, quiet: bool = False) -> RunResult:
    """Run every scene whose last outcome is dead once more, as new units at the end of the log.

    Raises:
        UserError: if the run is not complete yet, or already sealed.
    """
    ledger = Ledger(prepared.folder)
    ledger.take_over()
    if ledger.sealed:
        raise UserError(f"{prepared.folder}: the log is sealed; a sealed output does not change any more")
    if ledger.totals.planned != prepared.plan.summary.num_records:
        raise UserError(
            f"{prepared.folder}: {ledger.totals.planned} of {prepared.plan.summary.num_records} scenes are done; "
            f"finish `relmill label` first"
        )
    units = _retry_units(prepared, _dead_records(prepared), first_number=ledger.length)
    return run(prepared, ledger, units, seal=seal, quiet=quiet)


def _dead_records(prepared: Prepared) -> list[Scene | Rejected]:
    """Planned records of the scenes that are dead now, in key order.

    The log is read whole, but dead letters only of units that have dead ones.
    """
    folder, dead = prepared.folder, {}
    for commit in CommitLog(folder).entries():
        if not any(reason.startswith("dead.") for reason in commit.counts.reasons):
            if commit.number < len(prepared.plan.units):
                continue
        letters = {letter["key"] for letter in dead_letters(folder, commit) if letter["outcome"] == "dead"}
        for record in read_records(folder, _unit_of(prepared, commit)):
            if record.key in letters:
                dead[record.key] = record
            else:
                dead.pop(record.key, None)
    return [dead[key] for key in sorted(dead)]


def _unit_of(prepared: Prepared, commit: Commit) -> Unit:
    """The unit behind a commit: of the plan, or of an earlier retry."""
    if commit.number < len(prepared.plan.units):
        return prepared.plan.units[commit.number]
    name = _records_name(prepared.digest, commit.number)
    length = int(prepared.folder.info(name)["size"])
    number = commit.counts.written + commit.counts.rejected - commit.counts.dead
    return Unit(commit.number, commit.unit, name, 0, length, number, retries=number)


def _retry_units(prepared: Prepared, records: list[Scene | Rejected], *, first_number: int) -> list[Unit]:
    units, size = [], prepared.job.unit_size
    for number, start in enumerate(range(0, len(records), size), start=first_number):
        part = records[start : start + size]
        data = records_to_gzip(part)
        name = _records_name(prepared.digest, number)
        _write(prepared.folder, name, data)
        identity = hashlib.sha256(f"retry {number} ".encode() + data).hexdigest()[:32]
        units.append(Unit(number, identity, name, 0, len(data), len(part), retries=len(part)))
    return units


def _write(folder: Folder, name: str, data: bytes) -> None:
    # A retry that was interrupted left a cut of its own at this number, which no commit names: ours replaces it.
    if not folder.create(name, data):
        folder.replace(name, data)


def _records_name(digest: str, number: int) -> str:
    return f"plan/{digest[:16]}/retry-{number:08d}.jsonl.gz"
