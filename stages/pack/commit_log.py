"""The commit log: the only thing that says what an output contains.

Entries are `commits/00000000.json`, `commits/00000001.json`, ... Each is created only if absent, which is the one
atomic point of a run. A reader asks for the next number; it never lists, globs or guesses.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from schemas import BadInputError, ConflictError
from schemas.commit import Commit, commit_name
from stages.storage import Folder, permitted

_MOST_AT_ONCE = 32


class LogDigest:
    """Digests of a log's first k entries for every k, each from the one before it."""

    def __init__(self) -> None:
        self._digests = [hashlib.sha256(b"relmill.log").hexdigest()]

    def add(self, entry: Commit) -> None:
        """Take in the next entry."""
        self._digests.append(hashlib.sha256(self._digests[-1].encode() + entry.to_json()).hexdigest())

    @property
    def length(self) -> int:
        """Entries taken in."""
        return len(self._digests) - 1

    def of(self, length: int) -> str | None:
        """Hex digest of the first `length` entries; None if there are fewer."""
        return self._digests[length] if 0 <= length <= self.length else None


class CommitLog:
    """The log of one output folder, for readers and for the driver."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def read(self, number: int) -> Commit | None:
        """Entry `number`, or None if the log is not that long yet.

        Raises:
            BadInputError: if the entry is damaged, or may not be read.
        """
        name = commit_name(number)
        path = self._folder.path(name)
        try:
            with permitted(path):
                data = self._folder.read(name)
        except FileNotFoundError:
            return None
        entry = Commit.from_json(data, name=path)
        if entry.number != number:
            raise BadInputError(f"{path}: says that it is entry {entry.number}; restore the file")
        return entry

    def entries(self, start: int = 0) -> Iterator[Commit]:
        """Entries from `start` on, in order, up to the present end.

        Raises:
            BadInputError: if an entry is damaged or may not be read, or is missing although the next one is there.
        """
        number = start
        for entry in self._local(start) if self._folder.is_local else self._remote(start):
            yield entry
            if entry.sealed:
                return
            number += 1
        # A reader that took a lost entry for the end would lose all that comes behind it. Asked for once more: of two
        # entries that came since, we may have missed the first and seen the second.
        if self._folder.exists(commit_name(number + 1)) and self.read(number) is None:
            raise BadInputError(
                f"{self._folder.path(commit_name(number))}: missing, though {commit_name(number + 1)} is there; "
                f"restore the file"
            )

    def _local(self, start: int) -> Iterator[Commit]:
        number = start
        while (entry := self.read(number)) is not None:
            yield entry
            number += 1

    def _remote(self, start: int) -> Iterator[Commit]:
        """Of an object store each takes its time: the longer the log proves to be, the more are asked for at once."""
        number, num_asked = start, 1
        with ThreadPoolExecutor(_MOST_AT_ONCE) as pool:
            while True:
                for entry in pool.map(self.read, range(number, number + num_asked)):
                    if entry is None:
                        return
                    yield entry
                number += num_asked
                num_asked = min(2 * num_asked, _MOST_AT_ONCE)

    def length(self) -> int:
        """Number of entries, found with O(log n) look-ups: the log has no gaps."""
        if not self._folder.exists(commit_name(0)):
            return 0
        high = 1
        while self._folder.exists(commit_name(high)):
            high *= 2
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            if self._folder.exists(commit_name(middle)):
                low = middle
            else:
                high = middle
        return high

    def last(self) -> Commit | None:
        """The newest entry; its totals are the state of the run."""
        length = self.length()
        return self.read(length - 1) if length else None

    def append(self, commit: Commit, previous: Commit | None) -> Commit:
        """Put `commit` right behind `previous` and return the entry that now stands there.

        If another driver put the same unit there first, its entry is the one that counts and is returned.

        Raises:
            ConflictError: if another unit, or a seal, stands at that number.
            StorageError: if the store refuses.
        """
        entry = commit.follows(previous)
        if self._folder.create(commit_name(entry.number), entry.to_json()):
            return entry
        found = self.read(entry.number)
        if found is None or found.unit != entry.unit or found.sealed != entry.sealed:
            what = "a seal" if found is not None and found.sealed else "another unit"
            raise ConflictError(
                f"{self._folder.path(commit_name(entry.number))}: {what} stands where unit {entry.unit[:12]} belongs; "
                f"another driver writes to this output. Let only one run"
            )
        return found
