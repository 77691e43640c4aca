"""A bounded look at an output of any size: committed scenes, evenly spread, their damage told rather than raised."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from schemas import BadInputError, Relation, RelmillError, Scene
from schemas.commit import Commit
from stages.pack import CommitLog, Layers, dead_letters, read_index, read_scene
from stages.storage import Folder

# A sample touches at most so many units, and fewer if they are large: an index is downloaded whole.
_MOST_UNITS = 128
_MOST_ROWS_LOADED = 64_000
# Object stores answer after tens of milliseconds; the disk does not mind.
_THREADS = 8


@dataclass(frozen=True, slots=True)
class Sample:
    """Some committed scenes, as index rows in log order."""

    rows: Sequence[dict[str, Any]]
    letters: Sequence[tuple[str, dict[str, Any]]]
    """Dead letters of the sampled units, each with the name of its file."""
    num_units: int
    """Units looked at."""
    num_units_committed: int
    problems: Sequence[str]
    """What could not be read, a sentence each."""


def sample_output(folder: Folder, *, seed: str, num_scenes: int = 2000) -> Sample:
    """Look at evenly spread units, and at evenly spread scenes of each; the seed shifts the grid of units.

    Reads at most 128 commits, indexes and dead-letter files, however long the log is, and no shard. What is damaged
    becomes a problem, never an exception.
    """
    problems: list[str] = []
    try:
        log = CommitLog(folder)
        last = log.last()
    except (RelmillError, PermissionError) as error:
        return Sample([], [], 0, 0, [str(error)])
    if last is None or (num_units := last.number + (0 if last.sealed else 1)) == 0:
        return Sample([], [], 0, 0, [])
    per_unit = max(1, last.totals.written // num_units)
    wanted = min(_MOST_UNITS, max(2, _MOST_ROWS_LOADED // per_unit), num_scenes)
    numbers = spread(num_units, wanted, seed=seed)
    most = -(-num_scenes // len(numbers))

    def look(number: int) -> tuple[list[dict[str, Any]], list[tuple[str, dict[str, Any]]], str | None]:
        try:
            commit = log.read(number)
            if commit is None:
                raise BadInputError(f"{folder}: commit {number} is missing, though later ones are there")
            letters = (
                [(commit.dead.name, letter) for letter in committed_letters(folder, commit)] if commit.dead else []
            )
            return committed_rows(folder, commit, most=most), letters, None
        except (RelmillError, PermissionError) as error:
            return [], [], str(error)

    rows: list[dict[str, Any]] = []
    letters: list[tuple[str, dict[str, Any]]] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for found, lost, problem in pool.map(look, numbers):
            rows += found
            letters += lost
            if problem:
                problems.append(problem)
    return Sample(rows, letters, len(numbers), num_units, problems)


def spread(total: int, wanted: int, *, seed: str) -> list[int]:
    """`wanted` different numbers below `total`, evenly spread and rising; all of them if there are not so many."""
    if wanted >= total:
        return list(range(total))
    digest = hashlib.sha256(seed.encode("utf-8", "replace")).digest()
    shift = int.from_bytes(digest[:8], "big") / 2**64
    return [int((i + shift) * total / wanted) for i in range(wanted)]


def committed_rows(
    folder: Folder, commit: Commit, *, most: int | None = None, columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """`read_index`, trusting nothing that it finds.

    Args:
        most: as in `read_index`.
        columns: as there; `key` and `shard` must be among them.

    Raises:
        BadInputError: if the index is damaged, or the commit or the index names a file outside the output.
        TransientError: if the store failed.
    """
    if commit.index is None:
        return []
    place = folder.path(commit.index.name)
    try:
        rows = read_index(folder, commit, most=most, columns=columns)
    except (RelmillError, PermissionError):
        raise
    except Exception as error:
        raise BadInputError(f"{place}: the index is damaged ({type(error).__name__}: {error})") from error
    shard = commit.shard.name if commit.shard else None
    if any(row.get("shard") != shard or not isinstance(row.get("key"), str) for row in rows):
        raise BadInputError(f"{place}: rows that do not belong to shard {shard}; the index is damaged")
    return rows


def committed_letters(folder: Folder, commit: Commit) -> list[dict[str, Any]]:
    """`dead_letters`, with the care of `committed_rows`."""
    if commit.dead is None:
        return []
    place = folder.path(commit.dead.name)
    try:
        letters = dead_letters(folder, commit)
    except (RelmillError, PermissionError):
        raise
    except Exception as error:
        raise BadInputError(f"{place}: damaged ({type(error).__name__}: {error})") from error
    if not all(isinstance(letter, dict) and isinstance(letter.get("key"), str) for letter in letters):
        raise BadInputError(f"{place}: a line without a key; the file is damaged")
    return letters


def committed_scene(folder: Folder, row: dict[str, Any], *, pixels: bool = True, layers: Layers | None = None) -> Scene:
    """`read_scene` of a row of `committed_rows`, with the same care.

    Raises:
        BadInputError: if the shard is missing or damaged, or a layer is of another scene.
        TransientError: if the store failed.
    """
    try:
        scene = read_scene(folder, row, pixels=pixels, layers=layers)
    except (RelmillError, PermissionError):
        raise
    except FileNotFoundError as error:
        raise BadInputError(f"{folder.path(row['shard'])}: named by a commit, but missing") from error
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise BadInputError(f"{folder.path(row['shard'])}: {row['key']} cannot be read ({what})") from error
    if scene.key != row["key"]:
        raise BadInputError(f"{folder.path(row['shard'])}: holds {scene.key!r} where the index says {row['key']!r}")
    return scene


def row_relations(row: dict[str, Any]) -> list[Relation]:
    """The relations of an index row, as far as it holds them: without evidence and verifier scores."""
    return [
        Relation(
            subject=relation["subject_id"],
            object=relation["object_id"],
            predicate=relation["predicate"],
            text=relation["text"],
            score=relation["score"],
            probability=relation["probability"],
            source=relation["source"],
            state=relation["state"],
        )
        for relation in row["relations"]
    ]


def is_label(relation: Relation) -> bool:
    """Whether it is a pseudo-label: asserted, and not by a human."""
    return relation.source != "human" and relation.state == "asserted"
