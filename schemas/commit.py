"""The commit: one entry of the log that says what an output contains.

Apart from the index, so that the workers of most stages need not load Arrow.
"""

import json
import re
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePosixPath
from typing import Any

from schemas.errors import BadInputError

COMMIT_VERSION = 1
DATASET_VERSION = "relmill.dataset/1"


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of scenes. `planned == written + rejected + dead` holds for every unit and for the whole run."""

    planned: int = 0
    written: int = 0
    rejected: int = 0
    dead: int = 0
    relations: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    """`rejected.<stage>.<reason>`, `dead.<stage>.<reason>` and `repaired.<stage>.<reason>`, with their numbers."""

    def __add__(self, other: "Counts") -> "Counts":
        reasons = dict(self.reasons)
        for reason, number in other.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + number
        return Counts(
            self.planned + other.planned,
            self.written + other.written,
            self.rejected + other.rejected,
            self.dead + other.dead,
            self.relations + other.relations,
            {reason: number for reason, number in sorted(reasons.items()) if number},
        )

    def balanced(self) -> bool:
        """Whether no scene was lost or counted twice."""
        return self.planned == self.written + self.rejected + self.dead


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file that a commit vouches for."""

    name: str
    """Relative to the output folder."""
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Commit:
    """One entry of the log. Its content is a function of the job and the data: no clock, no host, no worker."""

    number: int
    unit: str
    """Id of the unit; empty on the seal."""
    shard: FileEntry | None = None
    """None if no scene of the unit was written."""
    index: FileEntry | None = None
    dead: FileEntry | None = None
    """None if every scene of the unit was written."""
    counts: Counts = Counts()
    """Of this unit. A retry unit re-runs dead scenes: its `planned` is 0 and its `dead` is at most 0."""
    totals: Counts = Counts()
    """Of this and all earlier entries, so that the last entry tells the state of the whole run."""
    sealed: bool = False
    v: int = COMMIT_VERSION

    def to_json(self) -> bytes:
        """One line of JSON."""
        return json.dumps(_plain(self), separators=(",", ":"), sort_keys=True).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes, *, name: str = "commit") -> "Commit":
        """Read an entry.

        Raises:
            BadInputError: if it is no commit of a version this reader knows; names the file.
        """
        try:
            document = json.loads(data)
            if document["v"] != COMMIT_VERSION:
                raise BadInputError(
                    f"{name}: commit version {document['v']}; this relmill reads {COMMIT_VERSION}. Install the newer "
                    f"relmill"
                )
            for key in ("shard", "index", "dead"):
                document[key] = FileEntry(**document[key]) if document[key] else None
            for key in ("counts", "totals"):
                document[key] = Counts(**document[key])
            entry = cls(**document)
            _check_types(entry)
            _check_files(entry)
            return entry
        except (ValueError, KeyError, TypeError) as error:
            raise BadInputError(f"{name}: not a commit entry ({error!r}); the file is damaged") from error

    def follows(self, previous: "Commit | None") -> "Commit":
        """This entry placed behind `previous`: numbered, with running totals."""
        if previous is None:
            return replace(self, number=0, totals=self.counts)
        return replace(self, number=previous.number + 1, totals=previous.totals + self.counts)


def _check_types(entry: Commit) -> None:
    """Raise TypeError if a value that a reader computes with, or opens, is of another type than this file says."""
    numbers = [entry.number]
    for counts in (entry.counts, entry.totals):
        numbers += [counts.planned, counts.written, counts.rejected, counts.dead, counts.relations]
        numbers += counts.reasons.values() if isinstance(counts.reasons, dict) else [counts.reasons]
    files = [file for file in (entry.shard, entry.index, entry.dead) if file]
    numbers += [file.bytes for file in files]
    texts = [entry.unit, *(text for file in files for text in (file.name, file.sha256))]
    wrong = [v for v in numbers if type(v) is not int] + [v for v in texts if not isinstance(v, str)]
    if wrong:
        raise TypeError(f"found {wrong[0]!r} of type {type(wrong[0]).__name__}")


def _check_files(entry: Commit) -> None:
    """Raise ValueError if a file lies outside of the output folder, or has a digest that cannot be one.

    Readers open what is named here, and call their copies after the digest.
    """
    for file in (entry.shard, entry.index, entry.dead):
        if file is None:
            continue
        path = PurePosixPath(file.name)
        if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in file.name:
            raise ValueError(f"{file.name!r} is no name of a file in the output folder")
        if not re.fullmatch("[0-9a-f]{64}", file.sha256):
            raise ValueError(f"{file.sha256!r} is no sha256")


def commit_name(number: int) -> str:
    """`commits/00000042.json`."""
    return f"commits/{number:08d}.json"


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return value
