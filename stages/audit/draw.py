"""A stratified random sample of the relations of an output, drawn from its index alone.

The same output, question and seed give the same sample on every machine, with any number of threads and any version of
NumPy, Arrow or DuckDB: relations are counted off in the order of the log, and chance comes from `stages.stream.order`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from schemas import BadInputError, UserError
from schemas.audit import AuditItem, AuditSample, Dimension, Place, Stratum, check_auditor
from stages.audit.condition import Condition
from stages.audit.index_files import OpenIndex, index_files, read_log
from stages.audit.population import Population, side_by_side
from stages.audit.qualifying import Question, read_rows
from stages.audit.strata import Allocation, allocated, check_allocation, merged
from stages.storage import Folder
from stages.stream.order import permutation, scattered

DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

# What a number of chance is for, so that no two uses share one.
_RANKS, _ORDER = 1, 2
_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """What to draw; checked before anything is read.

    Raises:
        UserError: if a part of it makes no sense; names the part.
    """

    num_drawn: int
    by: tuple[Dimension, ...] = ("predicate", "score", "source")
    where: str | None = None
    seed: int = 0
    allocation: Allocation = "sqrt"
    auditors: tuple[str, ...] = ()
    overlap: float = 1.0

    def __post_init__(self) -> None:
        if self.num_drawn < 1:
            raise UserError(f"n is {self.num_drawn}; give the number of relations to draw, at least 1")
        unknown = [name for name in self.by if name not in DIMENSIONS]
        if unknown or len(set(self.by)) < len(self.by):
            what = f"no dimension {unknown[0]!r}" if unknown else "a dimension is given twice"
            raise UserError(f"by {','.join(self.by)}: {what}; choose from {', '.join(DIMENSIONS)}, each at most once")
        check_allocation(self.allocation)
        for name in self.auditors:
            check_auditor(name)
        if len(set(self.auditors)) < len(self.auditors):
            raise UserError(f"auditors {', '.join(self.auditors)}: a name is given twice")
        if not 0 <= self.overlap <= 1:
            raise UserError(f"overlap is {self.overlap:g}; give the part of the items that all judge, from 0 to 1")


def draw_sample(
    folder: Folder, plan: Plan, *, num_threads: int | None = None
) -> tuple[AuditSample, list[AuditItem], int]:
    """Draw a sample from what an output has now; it may still be growing.

    Args:
        num_threads: index files read side by side; by default as many as make sense. It does not change the sample.

    Returns:
        The sample, its items in the order in which they are to be judged, and how many strata of the population were
        merged into one because they were too many; 0 if none were.

    Raises:
        UserError: if the condition is none, or no relation qualifies.
        BadInputError: if it is no output, or what the log names is missing, damaged or of another version.
        TransientError: if the store cannot be reached.
    """
    question = Question(plan.by, None if plan.where is None else Condition(plan.where))
    entries, digest = read_log(folder)
    population = Population.count(folder, index_files(entries), question, num_threads=num_threads)
    sizes = population.sizes
    if not len(sizes):
        which = f"where {plan.where!r}" if plan.where else "asserted and not of people"
        num_relations = sum(file.num_relations for file in population.files)
        raise UserError(f"{folder}: none of {num_relations} relations is {which}; there is nothing to draw")

    goes_to = np.array(merged(sizes.tolist(), plan.num_drawn, plan.allocation), dtype=np.int64)
    num_strata = int(goes_to.max()) + 1
    totals = np.zeros(num_strata, dtype=np.int64)
    np.add.at(totals, goes_to, sizes)
    num_merged = int((goes_to == num_strata - 1).sum()) if num_strata < len(sizes) else 0
    numbers = allocated(totals.tolist(), plan.num_drawn, plan.allocation, with_rest=num_merged > 0)
    strata = []
    for stratum, (total, number) in enumerate(zip(totals.tolist(), numbers, strict=True)):
        rest = num_merged and stratum == num_strata - 1
        values = {} if rest else population.values(int(np.flatnonzero(goes_to == stratum)[0]))
        strata.append(Stratum(values, total, number))

    items = _items(population, goes_to, strata, seed=plan.seed, num_threads=num_threads)
    sample = AuditSample(
        output=str(Path(folder.local_path(""))) if folder.is_local else folder.url,
        log_length=len(entries),
        log_sha256=digest,
        seed=plan.seed,
        by=plan.by,
        where=plan.where,
        population=int(totals.sum()),
        strata=tuple(strata),
        num_items=len(items),
        auditors=plan.auditors,
        overlap=plan.overlap,
    )
    return sample, items, num_merged


def chosen(number: int, size: int, *key: int) -> list[int]:
    """`number` different ones of the numbers below `size`, ascending; the key decides which.

    Every such set is equally likely. Memory and time go with `number`, not with `size`: Floyd's algorithm (Bentley and
    Floyd, "A sample of brilliance", Communications of the ACM 30, 1987).
    """
    chance = _Chance(key)
    taken: set[int] = set()
    for last in range(size - number, size):
        pick = chance.below(last + 1)
        taken.add(last if pick in taken else pick)
    return sorted(taken)


class _Chance:
    """Whole numbers by chance, as a key decides them."""

    def __init__(self, key: tuple[int, ...]) -> None:
        self._key = key
        self._num_made = 0
        self._waiting: list[int] = []

    def below(self, bound: int) -> int:
        """One of the numbers below `bound`, each equally likely."""
        # A remainder would favour small numbers, so the last, incomplete round of 2^64 is passed over.
        fair = 2**64 - 2**64 % bound
        while (number := self._next()) >= fair:
            pass
        return number % bound

    def _next(self) -> int:
        if not self._waiting:
            places = np.arange(self._num_made, self._num_made + _BATCH, dtype=np.uint64)
            self._waiting = scattered(places, *self._key).tolist()[::-1]
            self._num_made += _BATCH
        return self._waiting.pop()


@dataclass(frozen=True, slots=True)
class _Draw:
    """A drawn relation, before anything is read of it."""

    file: int
    stratum: int
    rank: int
    """Among the relations of its stratum in its file."""
    num_there: int
    """Relations of its stratum in its file."""


def _items(
    population: Population, goes_to: NDArray[np.int64], strata: Sequence[Stratum], *, seed: int, num_threads: int | None
) -> list[AuditItem]:
    draws = _draws(population, goes_to, strata, seed)
    by_file: dict[int, list[_Draw]] = {}
    for draw in draws:
        by_file.setdefault(draw.file, []).append(draw)

    def read(work: tuple[int, list[_Draw]]) -> list[tuple[_Draw, dict[str, Any]]]:
        return _read(population, goes_to, *work)

    found: dict[_Draw, dict[str, Any]] = {}
    for parts in side_by_side(population.folder, read, sorted(by_file.items()), num_threads):
        found.update(parts)
    order = permutation(len(draws), seed, _ORDER).tolist()
    return [AuditItem(number=number, **found[draws[place]]) for number, place in enumerate(order)]


def _draws(population: Population, goes_to: NDArray[np.int64], strata: Sequence[Stratum], seed: int) -> list[_Draw]:
    """What is drawn, stratum by stratum, in the order of the log."""
    # Files that a stratum of the sample meets, in order, each with how many relations they have in common.
    pairs, inverse = np.unique(
        goes_to[population.stratum_of] * len(population.files) + population.file_of, return_inverse=True
    )
    counts = np.zeros(len(pairs), dtype=np.int64)
    np.add.at(counts, inverse, population.counts)
    ends = np.cumsum(counts)
    draws, start = [], 0
    for number, stratum in enumerate(strata):
        ranks = np.array(chosen(stratum.drawn, stratum.population, seed, _RANKS, number), dtype=np.int64) + start
        for rank, pair in zip(ranks.tolist(), np.searchsorted(ends, ranks, side="right").tolist(), strict=True):
            file, num_there = int(pairs[pair]) % len(population.files), int(counts[pair])
            draws.append(_Draw(file, number, rank - int(ends[pair]) + num_there, num_there))
        start += stratum.population
    return draws


def _read(
    population: Population, goes_to: NDArray[np.int64], file: int, draws: Sequence[_Draw]
) -> list[tuple[_Draw, dict[str, Any]]]:
    """What an item says of each draw of a file, but for its number."""
    index = OpenIndex(population.folder, population.files[file], checked=True)
    rows, strata = [], []
    for part in population.question.asked(index):
        places = population.strata_in(part)
        rows.append(part.rows + part.start)
        strata.append(np.where(places < 0, -1, goes_to[places]))
    all_rows, all_strata = np.concatenate(rows), np.concatenate(strata)
    row_of = {}
    for draw in draws:
        there = all_rows[all_strata == draw.stratum]
        if len(there) != draw.num_there:  # counting did not compare digests of all
            raise BadInputError(f"{index.path}: was changed while the sample was drawn; draw it again")
        row_of[draw] = int(there[draw.rank])
    ordered = sorted(draws, key=row_of.__getitem__)
    found = read_rows(index, [row_of[draw] for draw in ordered])
    shard = population.files[file].shard
    return [
        (draw, {"stratum": draw.stratum, "shard": shard, **_facts(*told)})
        for draw, told in zip(ordered, found, strict=True)
    ]


def _facts(row: dict[str, Any], place: int, relation: dict[str, Any]) -> dict[str, Any]:
    boxes = {name: tuple(relation[name]) for name in ("subject_box", "object_box")}
    return {
        **relation,
        **boxes,
        "key": row["key"],
        "relation": place,
        "image": None if row["image_offset"] is None else _place(row, "image"),
        "scene": _place(row, "json"),
        "width": row["width"],
        "height": row["height"],
    }


def _place(row: dict[str, Any], member: str) -> Place:
    return Place(row[f"{member}_offset"], row[f"{member}_length"], row[f"{member}_crc32"])
