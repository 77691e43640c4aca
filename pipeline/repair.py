"""`relmill repair`: remove what no commit names and no driver can still be about to name."""

import time
from dataclasses import dataclass

from stages.pack import CommitLog, read_dataset_file
from stages.storage import Folder

_FOLDERS = ("shards", "index", "dead", "tmp")


@dataclass(frozen=True, slots=True)
class Garbage:
    """A file that belongs to nothing."""

    name: str
    bytes: int


def find_garbage(folder: Folder, *, grace_s: float) -> list[Garbage]:
    """Files older than `grace_s` seconds that no commit names: left by drivers or workers that were killed.

    A unit is published a little before it is committed, so the grace time must be longer than a unit can wait
    behind slower ones.

    Raises:
        BadInputError: if this is no output folder.
    """
    read_dataset_file(folder)
    # Files first, log second: a file that is committed in between is then seen as named.
    candidates = []
    for place in _FOLDERS:
        for name in folder.names(place):
            info = folder.info(f"{place}/{name}")
            if time.time() - _modified(info) >= grace_s:
                candidates.append(Garbage(f"{place}/{name}", int(info["size"])))
    named = {
        entry.name
        for commit in CommitLog(folder).entries()
        for entry in (commit.shard, commit.index, commit.dead)
        if entry is not None
    }
    return [garbage for garbage in candidates if garbage.name not in named]


def _modified(info: dict[str, object]) -> float:
    for key in ("mtime", "LastModified", "updated"):
        value = info.get(key)
        if isinstance(value, int | float):
            return float(value)
        if hasattr(value, "timestamp"):
            return float(value.timestamp())
    return time.time()  # an age nobody can tell is young: never delete on a guess
