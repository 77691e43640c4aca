"""Grouping by image in bounded memory: parts go to a temporary table and come back sorted."""

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from types import TracebackType
from typing import Any, NamedTuple

from schemas import StorageError
from stages.ingest.keys import file_safe

# Pages that SQLite holds before its sorter goes to disk; negative means KiB.
_CACHE_KIB = 64 << 10


class Part(NamedTuple):
    """One statement of an annotation file about one image."""

    image_id: str
    kind: int
    """What it is: image, annotation, caption; parts of an image come back in this order."""
    body: Any
    """Anything JSON holds, NaN included."""


class Spool:
    """A join on the image id, on disk. Use as a context manager.

    One table without an index and one external sort: SQLite writes sorted runs and merges them, so memory stays at the
    cache size plus one image, and the disk takes about three times the parts' size while it runs. The files are
    SQLite's own temporary ones, which have no name: nothing is left behind, not even by a process that is killed.
    """

    def __init__(self) -> None:
        # The empty name is a private database in TMPDIR.
        self._database = sqlite3.connect("", isolation_level=None)
        for setting in ("temp_store=FILE", "journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.execute("CREATE TABLE part (id TEXT NOT NULL, kind INTEGER NOT NULL, body TEXT NOT NULL)")

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def add(self, parts: Iterable[Part]) -> None:
        """Take in parts, in file order.

        Raises:
            StorageError: if the temporary disk is full.
        """
        encode = json.JSONEncoder(separators=(",", ":")).encode
        rows = ((file_safe(image_id), kind, encode(body)) for image_id, kind, body in parts)
        with _explained():
            self._database.execute("BEGIN")
            self._database.executemany("INSERT INTO part VALUES (?, ?, ?)", rows)
            self._database.execute("COMMIT")

    def groups(self) -> Iterator[tuple[str, list[tuple[int, Any]]]]:
        """`(file-safe image id, [(kind, body), ...])`, sorted by id; within an image by kind, then in file order.

        Raises:
            StorageError: as `add`.
        """
        decode = json.JSONDecoder().raw_decode
        with _explained():
            rows = self._database.execute("SELECT id, kind, body FROM part ORDER BY id, kind, rowid")
            for image_id, group in groupby(rows, key=itemgetter(0)):
                yield image_id, [(kind, decode(body)[0]) for _, kind, body in group]


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(
            f"cannot sort the annotations on the temporary disk: {error}; free space there, "
            f"or set TMPDIR to a folder on a larger disk"
        ) from error
