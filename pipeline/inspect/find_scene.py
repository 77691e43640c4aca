"""One scene of an output by its key, in O(log n) reads however many units there are."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

from pipeline.report.sample import committed_letters, committed_rows
from schemas import BadInputError
from schemas.commit import Commit
from stages.pack import CommitLog
from stages.storage import Folder


def find_row(folder: Folder, key: str, *, known: Callable[[], Sequence[str]] = tuple) -> dict[str, Any]:
    """The index row of a scene.

    Units are cut by sorted key, so the unit is found by bisection; units of a retry, behind the planned ones, are
    looked through one by one, and only for a key that died.

    Args:
        known: gives some keys that there are; asked only if this is none of them.

    Raises:
        BadInputError: if the scene was rejected or died, with the reason; or if there is none, with keys like it.
    """
    log = CommitLog(folder)
    length = log.length()
    planned = _first(length, lambda number: not _is_planned(_entry(log, folder, number)))
    # The first planned unit whose last key is not below the key is the only one that can hold it.
    number = _first(planned, lambda number: _last_key(folder, _entry(log, folder, number)) >= key)
    near: list[str] = []
    if number == planned > 0:  # behind the last one
        near = [
            row["key"] for row in committed_rows(folder, _entry(log, folder, planned - 1), columns=("key", "shard"))
        ]
    if number < planned:
        commit = _entry(log, folder, number)
        rows, letters = committed_rows(folder, commit), committed_letters(folder, commit)
        for row in rows:
            if row["key"] == key:
                return row
        letter = next((letter for letter in letters if letter["key"] == key), None)
        if letter is not None:
            for later in range(planned, length):
                retried = _entry(log, folder, later)
                for row in committed_rows(folder, retried):
                    if row["key"] == key:
                        return row
                letter = next((lost for lost in committed_letters(folder, retried) if lost["key"] == key), letter)
            raise BadInputError(
                f"{folder}: {key} was not written: {letter.get('outcome')} by {letter.get('stage')}, "
                f"{letter.get('reason')}: {letter.get('detail')}. See {commit.dead.name if commit.dead else 'dead/'}"
            )
        near = [row["key"] for row in rows]
    last = log.last()
    raise absent_key(str(folder), key, num_keys=last.totals.written if last else 0, known=[*near, *known()])


def absent_key(where: str, key: str, *, num_keys: int, known: Sequence[str]) -> BadInputError:
    """The error for a key that is not there: how many there are, and those that look like it."""
    known = list(dict.fromkeys(known))
    like = get_close_matches(key, known, n=3) or known[:3]
    hint = f"; keys there are for example {', '.join(like)}" if like else ""
    return BadInputError(f"{where}: no scene {key!r} among its {num_keys} scenes{hint}")


def _first(total: int, holds: Callable[[int], bool]) -> int:
    """The first number below `total` for which a condition holds that, once true, stays true; `total` if none."""
    low, high = 0, total
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _entry(log: CommitLog, folder: Folder, number: int) -> Commit:
    commit = log.read(number)
    if commit is None:
        raise BadInputError(f"{folder}: commit {number} is missing, though later ones are there; the log is damaged")
    return commit


def _is_planned(commit: Commit) -> bool:
    """Neither a seal nor a unit of a retry, whose scenes were planned before."""
    return commit.counts.planned > 0


def _last_key(folder: Folder, commit: Commit) -> str:
    keys = [row["key"] for row in committed_rows(folder, commit, columns=("key", "shard"))]
    return max(keys + [letter["key"] for letter in committed_letters(folder, commit)], default="")
