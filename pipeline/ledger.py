"""The driver's side of the commit log: who owns the output, what is done, what comes next."""

import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.identity import differences
from schemas import ConflictError
from schemas.commit import Commit, Counts
from stages.pack import CommitLog, read_dataset_file
from stages.storage import Folder


class Ledger:
    """Commits units in plan order, as the one driver that owns the output.

    Ownership is a numbered claim, created only if absent: the newest claim owns. A driver looks for a newer claim
    before each commit and gives way to it, so a run that is resumed elsewhere needs no clock and no lock to expire,
    and a driver that comes back from a pause cannot write beside its successor. Entries are the same whoever
    commits them, so even a claim that arrives between look and commit does no harm.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._log = CommitLog(folder)
        self._claim = -1
        self._owner = ""
        self.last: Commit | None = None

    def take_over(self, *, on_predecessor: Callable[[str], None] = lambda _: None) -> None:
        """Claim the output for this process and read where the log stands."""
        self._owner = uuid.uuid4().hex
        claim = {"driver": self._owner, "host": socket.gethostname(), "pid": os.getpid(), "started": time.time()}
        number = self._newest_claim() + 1
        while not self._folder.create(_claim_name(number), json.dumps(claim).encode() + b"\n"):
            number += 1
        self._claim = number
        if number > 0:
            on_predecessor(self._describe(number - 1))
        self.last = self._log.last()

    @property
    def length(self) -> int:
        """Number of entries in the log, as far as this driver has seen."""
        return 0 if self.last is None else self.last.number + 1

    @property
    def totals(self) -> Counts:
        """What has become of the scenes of all committed units."""
        return Counts() if self.last is None else self.last.totals

    @property
    def sealed(self) -> bool:
        """Whether the log is closed."""
        return self.last is not None and self.last.sealed

    def commit(self, draft: Commit) -> Commit:
        """Append the next unit, or the seal, and return the entry that stands there.

        Raises:
            ConflictError: if another driver took the output over, or committed something else there.
            StorageError: if the store refuses.
        """
        if self._folder.exists(_claim_name(self._claim + 1)):
            raise ConflictError(
                f"{self._folder}: taken over by another driver ({self._describe(self._claim + 1)}). This run stops; "
                f"nothing is lost, the other one goes on from commit {self.length}"
            )
        self.last = self._log.append(draft, self.last)
        return self.last

    def seal(self) -> Commit:
        """Close the log: readers that wait for more learn that there is none."""
        return self.commit(Commit(number=self.length, unit="", sealed=True))

    def _newest_claim(self) -> int:
        names = self._folder.names("drivers")
        numbers = [int(name[:8]) for name in names if name[:8].isdigit()]
        return max(numbers, default=-1)

    def _describe(self, number: int) -> str:
        try:
            claim = json.loads(self._folder.read(_claim_name(number)))
        except (FileNotFoundError, ValueError):
            return f"claim {number}"
        started = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(claim["started"]))
        return f"process {claim['pid']} on {claim['host']}, started {started}"


def write_dataset_file(folder: Folder, document: Mapping[str, Any]) -> None:
    """Create `dataset.json`, or check that the one that is there is this job's.

    Raises:
        ConflictError: naming each setting that differs.
    """
    data = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
    if not folder.create("dataset.json", data):
        check_dataset_file(folder, job=document["job"], settings=document["settings"])


def check_dataset_file(folder: Folder, *, job: str, settings: dict[str, Any]) -> None:
    """Check that the output is free, or this job's.

    Raises:
        ConflictError: naming each setting that differs.
    """
    if not folder.exists("dataset.json"):
        return
    found = read_dataset_file(folder)
    if found["job"] != job:
        lines = differences(found.get("settings", {}), settings)
        raise ConflictError(
            f"{folder}: holds the output of another job. Choose another `output`, or change back:\n  "
            + "\n  ".join(lines or ["(dataset.json of an unknown version)"])
        )


def _claim_name(number: int) -> str:
    return f"drivers/{number:08d}.json"
