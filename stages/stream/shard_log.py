"""The shards of one output as its commit log names them, also while it grows."""

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass

from schemas import BadInputError, TransientError, UserError
from schemas.commit import FileEntry
from stages.pack import CommitLog, LogDigest, read_dataset_file
from stages.storage import Folder, permitted

_POLL_S, _POLL_REMOTE_S = 0.2, 2.0  # each poll of an object store is a paid request


@dataclass(frozen=True, slots=True)
class Shard:
    """A committed shard."""

    tar: FileEntry
    index: FileEntry
    num_scenes: int
    log_length: int
    """Entries of the log up to and with the one that names this shard."""


class ShardLog:
    """The shards that an output has so far, in the order of their commits."""

    def __init__(self, folder: Folder, *, timeout_s: float, stopped: Callable[[], bool]) -> None:
        """
        Args:
            folder: of the output.
            timeout_s: how long to wait for the next commit of a run that is not complete.
            stopped: whether nobody wants what is waited for any more.
        """
        self.folder = folder
        self.shards: list[Shard] = []
        self.sealed = False
        """Whether nothing more will come."""
        self._timeout_s = timeout_s
        self._stopped = stopped
        self._log = CommitLog(folder)
        self._digests = LogDigest()

    @property
    def length(self) -> int:
        """Entries seen so far, also those without a shard."""
        return self._digests.length

    def poll(self) -> bool:
        """Take in the entries that came since; whether there were any.

        Raises:
            BadInputError: as `CommitLog.entries`.
        """
        if self.sealed:
            return False
        before = self.length
        for entry in self._log.entries(self.length):
            self._digests.add(entry)
            self.sealed = entry.sealed
            if entry.shard is not None and entry.index is not None:
                self.shards.append(Shard(entry.shard, entry.index, entry.counts.written, self.length))
        return self.length > before

    def wait(self, enough: Callable[[], bool]) -> None:
        """Wait until `enough()` holds or the log is sealed.

        Raises:
            UserError: if nothing was committed for `timeout_s`.
            TransientError: if the store could not be read then.
            BadInputError: as `poll`.
        """
        since = time.monotonic()
        while not (self.sealed or enough()):
            fault: TransientError | None = None
            try:
                grown = self.poll()
            except TransientError as error:  # asked again, as if nothing had come
                grown, fault = False, error
            if grown:
                since = time.monotonic()
                continue
            if time.monotonic() - since > self._timeout_s:
                if fault is not None:
                    raise fault
                raise UserError(
                    f"{self.folder}: no commit for {self._timeout_s:g} s after {self.length} entries of its log, "
                    f"and it is not complete. Let `relmill label` run on, then start this again; it goes on"
                )
            _pause(self.folder, self._stopped)

    def digest(self, length: int) -> str | None:
        """Digest of the first `length` entries; None if not so many were seen."""
        return self._digests.of(length)

    def check_complete(self) -> None:
        """Refuse a log to which something may still be added.

        Raises:
            BadInputError: naming how long it is, and what to do.
        """
        self.poll()
        if self.sealed:
            return
        if not self.length:
            raise BadInputError(
                f"{self.folder}: has no commits, so it has no scenes; run `relmill label`, or read it with `follow` "
                f"while that runs"
            )
        raise BadInputError(
            f"{self.folder}: is not complete (its log has {self.length} entries and no seal). Finish `relmill label` "
            f"(with `--seal` if scenes are dead that you do not want), or read it with `follow`"
        )


def vocabulary_of(folder: Folder, *, timeout_s: float, stopped: Callable[[], bool]) -> str:
    """Digest of the class names of an output; waits for a run that has just begun.

    Raises:
        BadInputError: if it is not an output folder.
    """
    until = time.monotonic() + timeout_s
    with permitted(folder.path("dataset.json")):
        while not folder.exists("dataset.json") and time.monotonic() < until:
            _pause(folder, stopped)
        return str(read_dataset_file(folder).get("vocabulary_sha256"))


def _pause(folder: Folder, stopped: Callable[[], bool]) -> None:
    parent = multiprocessing.parent_process()
    if stopped() or (parent is not None and not parent.is_alive()):
        raise SystemExit  # whoever would take what we read is gone
    time.sleep(_POLL_S if folder.is_local else _POLL_REMOTE_S)
