"""`relmill retry`: run the dead scenes again, into new shards."""

import hashlib
from collections import Counter

from pipeline.label import Prepared, RunResult, run
from pipeline.ledger import Ledger
from pipeline.records import read_records, records_from_gzip, records_to_gzip
from schemas import Rejected, Scene, UserError
from schemas.commit import Commit
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


def _dead_records(prepared: Prepared) -> dict[str, tuple[Scene | Rejected, str]]:
    """Key to planned record and reason (`dead.<stage>.<reason>`) of each scene that is dead now, in key order.

    Every commit is read, but dead letters and records only where there are dead scenes or a retry mended some.
    """
    dead: dict[str, tuple[Scene | Rejected, str]] = {}
    for commit in CommitLog(prepared.folder).entries():
        is_retry = commit.number >= len(prepared.plan.units)
        if not is_retry and commit.counts.dead == 0:
            continue
        letters = {
            letter["key"]: f"dead.{letter['stage']}.{letter['reason']}"
            for letter in dead_letters(prepared.folder, commit)
            if letter["outcome"] == "dead"
        }
        for record in _records_of(prepared, commit):
            if record.key in letters:
                dead[record.key] = record, letters[record.key]
            else:
                dead.pop(record.key, None)
    return dict(sorted(dead.items()))


def _records_of(prepared: Prepared, commit: Commit) -> list[Scene | Rejected]:
    if commit.number < len(prepared.plan.units):
        return read_records(prepared.folder, prepared.plan.units[commit.number])
    return records_from_gzip(prepared.folder.read(_records_name(prepared.digest, commit.number)))


def _retry_units(prepared: Prepared, dead: dict[str, tuple[Scene | Rejected, str]], *, first_number: int) -> list[Unit]:
    units, entries, size = [], list(dead.values()), prepared.job.unit_size
    for number, start in enumerate(range(0, len(entries), size), start=first_number):
        part = entries[start : start + size]
        data = records_to_gzip([record for record, _ in part])
        name = _records_name(prepared.digest, number)
        _write(prepared.folder, name, data)
        identity = hashlib.sha256(f"retry {number} ".encode() + data).hexdigest()[:32]
        reasons = Counter(reason for _, reason in part)
        units.append(Unit(number, identity, name, 0, len(data), len(part), tuple(sorted(reasons.items()))))
    return units


def _write(folder: Folder, name: str, data: bytes) -> None:
    # A retry that was interrupted left a cut of its own at this number, which no commit names: ours replaces it.
    if not folder.create(name, data):
        folder.replace(name, data)


def _records_name(digest: str, number: int) -> str:
    return f"plan/{digest[:16]}/retry-{number:08d}.jsonl.gz"
