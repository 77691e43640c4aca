"""What can be drawn from an output: how many relations of which stratum each index file has.

The first of two passes over the index. It keeps a number for each file and stratum that meet, and no relation, so its
memory goes with files times strata at most. The second pass, in `stages.audit.draw`, reads only the files in which
relations were drawn.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from schemas import BadInputError
from stages.audit.index_files import IndexFile, OpenIndex
from stages.audit.qualifying import Qualifying, Question, numbered, unnumbered
from stages.storage import Folder

_MOST_THREADS, _REMOTE_THREADS = 8, 16

_Work = TypeVar("_Work")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Population:
    """The relations of an output that qualify, as numbers of files and strata."""

    folder: Folder
    files: Sequence[IndexFile]
    """In the order of the log."""
    question: Question
    levels: Sequence[Sequence[str]]
    """Of each dimension, the values that occur, in their order."""
    strata: NDArray[np.int64]
    """(s,) every combination of values that occurs, as `numbered` numbers it, ascending: in the order of the values."""
    file_of: NDArray[np.int64]
    """(e,) place in `files`, of each file and stratum that meet."""
    stratum_of: NDArray[np.int64]
    """(e,) place in `strata`."""
    counts: NDArray[np.int64]
    """(e,) relations that they have in common."""

    @classmethod
    def count(
        cls, folder: Folder, files: Sequence[IndexFile], question: Question, *, num_threads: int | None = None
    ) -> "Population":
        """Look into every index file.

        Args:
            num_threads: files read side by side; by default as many as there are cores to use. It changes nothing.

        Raises:
            BadInputError: if a file is missing, damaged, not the one that was committed, or of another version.
            UserError: if the question cannot be answered.
            TransientError: if the store cannot be reached.
        """
        names: list[dict[str, int]] = [{} for _ in question.by]  # ids in the order of appearance, for now
        file_of, ids, counts = [], [], []

        def look(file: IndexFile) -> list[tuple[Sequence[Sequence[str]], NDArray[np.int64], NDArray[np.int64]]]:
            found, num_relations = [], 0
            index = OpenIndex(folder, file, checked=False)
            for part in question.asked(index):
                own_ids, own_counts, _ = part.cells
                found.append((part.levels, own_ids, own_counts))
                num_relations += part.num_relations
            if num_relations != file.num_relations:
                raise BadInputError(
                    f"{index.path}: {num_relations} relations, its commit says {file.num_relations}; restore the file"
                )
            return found

        for number, parts in enumerate(side_by_side(folder, look, files, num_threads)):
            for levels, own_ids, own_counts in parts:
                known = np.empty(own_ids.shape, dtype=np.int32)
                for place, (own, all_of_them) in enumerate(zip(levels, names, strict=True)):
                    translated = [all_of_them.setdefault(name, len(all_of_them)) for name in own]
                    known[:, place] = np.array(translated, dtype=np.int32)[own_ids[:, place]]
                ids.append(known)
                counts.append(own_counts)
                file_of.append(np.full(len(own_counts), number, dtype=np.int64))

        in_order = [sorted(own) for own in names]
        if not ids:
            none = np.zeros(0, dtype=np.int64)
            return cls(folder, files, question, in_order, none, none, none, none)
        all_ids = np.concatenate(ids)
        sorted_ids = [_ranks(own)[all_ids[:, place]] for place, own in enumerate(names)]
        codes = numbered([max(1, len(own)) for own in in_order], sorted_ids, len(all_ids))
        strata, stratum_of = np.unique(codes, return_inverse=True)
        return cls(
            folder, files, question, in_order, strata, np.concatenate(file_of), stratum_of, np.concatenate(counts)
        )

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(s,) relations of each stratum."""
        sizes = np.zeros(len(self.strata), dtype=np.int64)
        np.add.at(sizes, self.stratum_of, self.counts)
        return sizes

    def values(self, stratum: int) -> dict[str, str]:
        """Dimension to value."""
        sizes = [max(1, len(own)) for own in self.levels]
        (ids,) = unnumbered(sizes, self.strata[stratum : stratum + 1])
        return {name: own[i] for name, own, i in zip(self.question.by, self.levels, ids.tolist(), strict=True)}

    def strata_in(self, part: Qualifying) -> NDArray[np.int64]:
        """(m,) place in `strata` of each relation of a part of a file; -1 where it is new, so the file was changed."""
        own_ids, _, inverse = part.cells
        known = np.ones(len(own_ids), dtype=bool)
        ids = []
        for place, (names, own) in enumerate(zip(self.levels, part.levels, strict=True)):
            ranks = {name: rank for rank, name in enumerate(names)}
            translated = np.array([ranks.get(name, -1) for name in own], dtype=np.int64)[own_ids[:, place]]
            known &= translated >= 0
            ids.append(np.maximum(translated, 0))
        codes = numbered([max(1, len(own)) for own in self.levels], ids, len(own_ids))
        places = np.minimum(np.searchsorted(self.strata, codes), max(0, len(self.strata) - 1))
        return np.where(known & (self.strata[places] == codes), places, -1)[inverse]


def side_by_side(
    folder: Folder, work: Callable[[_Work], _Result], items: Iterable[_Work], num_threads: int | None
) -> Iterator[_Result]:
    """What `work` makes of each item, in the order of the items, by so many threads or as many as make sense."""
    if num_threads is None:
        num_threads = min(_MOST_THREADS, _num_cores()) if folder.is_local else _REMOTE_THREADS
    pool = ThreadPoolExecutor(num_threads)
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _ranks(names: dict[str, int]) -> NDArray[np.int64]:
    """(len(names),) place of each id's name in the alphabet."""
    ranks = np.zeros(len(names), dtype=np.int64)
    for rank, name in enumerate(sorted(names)):
        ranks[names[name]] = rank
    return ranks
