"""The index files that a log names, opened with care.

Counting looks into every file, but on this machine only at the few columns that it needs, a small part of the bytes.
So there the size is compared with the commit, and the numbers of scenes and relations. Where relations are drawn, and
where the file comes from a store in one piece anyway, so is the sha256.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import BadInputError
from schemas.commit import Commit, FileEntry, commit_name
from schemas.shard import INDEX_SCHEMA
from stages.pack import CommitLog, LogDigest, read_dataset_file
from stages.storage import Folder, permitted
from stages.stream.shard_files import committed

_VERSION = (INDEX_SCHEMA.metadata or {})[b"schema"].decode()
_FIELD = "relations.list.element."
_TEXTS = [_FIELD + name for name in ("predicate", "source", "state", "subject", "object", "text")]


@dataclass(frozen=True, slots=True)
class IndexFile:
    """The index of a committed shard."""

    entry: FileEntry
    shard: str
    """Name of the tar."""
    num_scenes: int
    num_relations: int


def read_log(folder: Folder) -> tuple[list[Commit], str]:
    """The entries of an output's log, up to the end that it has now, and their digest; see `LogDigest`.

    Raises:
        BadInputError: if it is no output, nothing was committed yet, or as `CommitLog.entries`.
        TransientError: if the store cannot be reached.
    """
    with permitted(folder.path("dataset.json")):
        read_dataset_file(folder)
    entries = list(CommitLog(folder).entries())
    if not entries:
        raise BadInputError(
            f"{folder.path(commit_name(0))}: is not there, so nothing was committed yet; run `relmill label`"
        )
    digests = LogDigest()
    for entry in entries:
        digests.add(entry)
    return entries, str(digests.of(len(entries)))


def index_files(entries: Sequence[Commit]) -> list[IndexFile]:
    """The index files that a log names, in its order."""
    return [
        IndexFile(entry.index, entry.shard.name, entry.counts.written, entry.counts.relations)
        for entry in entries
        if entry.index is not None and entry.shard is not None
    ]


class OpenIndex:
    """An index file that can be read from."""

    def __init__(self, folder: Folder, file: IndexFile, *, checked: bool) -> None:
        """
        Args:
            checked: whether to compare the sha256 of all of it, if it lies on this machine; else it is compared always.

        Raises:
            BadInputError: if it is missing, not the one that was committed, or of another version.
            TransientError: if the store cannot be reached.
        """
        self.path = folder.path(file.entry.name)
        self._file = self._guarded(lambda: self._opened(folder, file, checked=checked))
        version = (self._file.schema_arrow.metadata or {}).get(b"schema", b"none").decode(errors="replace")
        if version != _VERSION:
            raise BadInputError(
                f"{self.path}: schema is {version}; this relmill reads {_VERSION}. Install the newer relmill"
            )
        if self._file.metadata.num_rows != file.num_scenes:
            raise BadInputError(
                f"{self.path}: {self._file.metadata.num_rows} scenes, its commit says {file.num_scenes}; restore the "
                f"file"
            )

    @property
    def num_groups(self) -> int:
        """Parts in which it can be read, one after the other."""
        return int(self._file.num_row_groups)

    def read(self, group: int, columns: Sequence[str], fields: Sequence[str]) -> pa.Table:
        """Some columns of a part, and in `relations` some fields; texts of relations are encoded by dictionaries.

        Raises:
            BadInputError: if it is damaged.
        """
        wanted = [*columns, *(_FIELD + field for field in fields)]
        return self._guarded(lambda: self._file.read_row_group(group, wanted, use_threads=False))

    def _opened(self, folder: Folder, file: IndexFile, *, checked: bool) -> pq.ParquetFile:
        with committed(folder, file.entry):
            if folder.is_local and not checked:
                path = folder.local_path(file.entry.name)
                self._check("bytes", path.stat().st_size, file.entry.bytes)
                return pq.ParquetFile(path, read_dictionary=_TEXTS)
            data = folder.read(file.entry.name)
        self._check("bytes", len(data), file.entry.bytes)
        self._check("sha256", hashlib.sha256(data).hexdigest(), file.entry.sha256)
        return pq.ParquetFile(pa.BufferReader(data), read_dictionary=_TEXTS)

    def _check(self, what: str, found: object, expected: object) -> None:
        if found != expected:
            raise BadInputError(f"{self.path}: {what} {found}, its commit says {expected}; restore the file")

    def _guarded(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BadInputError(f"{self.path}: damaged, or cannot be read ({reason}); restore the file") from error
