"""A finished unit to published files: tar, index and dead letters, named by what they contain."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from schemas import Dead, InternalError, Outcome, Rejected, Scene
from schemas.commit import Commit, Counts, FileEntry
from schemas.unit import Unit
from stages.pack.index import write_index
from stages.pack.tar import verify_tar, write_tar
from stages.storage import Folder


def pack_unit(unit: Unit, outcomes: Sequence[Outcome], folder: Folder) -> Commit:
    """Publish the shard, index and dead letters of a unit and return the commit that will vouch for them.

    Nothing counts as written before that commit stands in the log. Names carry the digest of the content: packing the
    same outcomes again, after a crash or on another worker, finds its own files and leaves them as they are.

    Raises:
        StorageError: if the output cannot be written.
        InternalError: if a file does not read back, or an outcome was lost.
    """
    if len(outcomes) != unit.num_records:
        raise InternalError(f"unit {unit.number}: {unit.num_records} records planned, {len(outcomes)} outcomes")
    scenes = [outcome for outcome in outcomes if isinstance(outcome, Scene)]
    lost = [outcome for outcome in outcomes if not isinstance(outcome, Scene)]
    shard, index = _publish_shard(unit, scenes, folder) if scenes else (None, None)
    dead = _publish_dead(unit, lost, folder) if lost else None
    return Commit(number=unit.number, unit=unit.id, shard=shard, index=index, dead=dead, counts=_count(unit, outcomes))


def _publish_shard(unit: Unit, scenes: list[Scene], folder: Folder) -> tuple[FileEntry, FileEntry]:
    with folder.scratch() as tar, folder.scratch() as index:
        written = write_tar(tar, scenes)
        verify_tar(tar, written)
        digest = _sha256(tar)
        stem = f"{unit.number:08d}-{digest[:16]}"
        shard_entry = FileEntry(f"shards/{stem}.tar", tar.stat().st_size, digest)
        write_index(index, shard_entry.name, written)
        index_entry = FileEntry(f"index/{stem}.parquet", index.stat().st_size, _sha256(index))
        # Index first: whoever finds a shard, even outside the log, finds its index too.
        _publish(folder, index, index_entry)
        _publish(folder, tar, shard_entry)
    return shard_entry, index_entry


def _publish_dead(unit: Unit, lost: Sequence[Rejected | Dead], folder: Folder) -> FileEntry:
    lines = []
    for outcome in lost:
        kind = "dead" if isinstance(outcome, Dead) else "rejected"
        lines.append(json.dumps({"outcome": kind, **asdict(outcome)}, ensure_ascii=False, separators=(",", ":")))
    data = ("\n".join(lines) + "\n").encode("utf-8", errors="backslashreplace")
    digest = hashlib.sha256(data).hexdigest()
    entry = FileEntry(f"dead/{unit.number:08d}-{digest[:16]}.jsonl", len(data), digest)
    with folder.scratch() as path:
        path.write_bytes(data)
        _publish(folder, path, entry)
    return entry


def _publish(folder: Folder, local: Path, entry: FileEntry) -> None:
    if not folder.publish(local, entry.name) and folder.info(entry.name)["size"] != entry.bytes:
        raise InternalError(f"{folder.path(entry.name)}: holds other content than its name says; remove it and resume")


def _count(unit: Unit, outcomes: Sequence[Outcome]) -> Counts:
    reasons: Counter[str] = Counter()
    for outcome in outcomes:
        if isinstance(outcome, Scene):
            reasons.update(f"repaired.{repair.stage}.{repair.reason}" for repair in outcome.provenance.repairs)
        else:
            reasons[f"{type(outcome).__name__.lower()}.{outcome.stage}.{outcome.reason}"] += 1
    # A retried scene was counted dead before; whatever it is now, that count is taken back here.
    reasons.subtract(dict(unit.taken_back))
    retried = sum(number for _, number in unit.taken_back)
    scenes = [outcome for outcome in outcomes if isinstance(outcome, Scene)]
    return Counts(
        planned=unit.num_records - retried,
        written=len(scenes),
        rejected=sum(isinstance(outcome, Rejected) for outcome in outcomes),
        dead=sum(isinstance(outcome, Dead) for outcome in outcomes) - retried,
        relations=sum(len(scene.relations) for scene in scenes),
        reasons={reason: number for reason, number in sorted(reasons.items()) if number},
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
