"""The relations of an index file that qualify for a sample, and what an auditor is told of those that are drawn.

DuckDB reads list columns with all their fields, also where a query names one: with 2.0.0 a sum of scores fails on a
file whose other fields are damaged, and takes 13 times the CPU time of Arrow reading scores alone. So Arrow reads the
fields that are asked for, texts as the dictionaries that they are stored as, and counting is done on the numbers behind
them, in a third of the time of DuckDB's GROUP BY on the files. DuckDB is given what is left to decide: the condition.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas import BadInputError, UserError
from schemas.audit import Dimension
from stages.audit.condition import COLUMNS, Condition
from stages.audit.index_files import OpenIndex

TENTHS = tuple(f"{low / 10:.1f}-{(low + 1) / 10:.1f}" for low in range(10))
"""Values of the dimension `score`. Each includes its lower end; the last one also its upper."""

_MOST_CELLS = 2**62
_FEW_CELLS = 1 << 20  # so many are counted in a table, more by sorting


@dataclass(frozen=True)
class Question:
    """Which relations are asked for, and what they are told apart by."""

    by: tuple[Dimension, ...]
    condition: Condition | None
    """Beside it, `asserted` and not of people is asked for unless the condition speaks of `state` and `source`."""

    @cached_property
    def columns(self) -> frozenset[str]:
        """Names of `COLUMNS` that have to be read."""
        named = frozenset() if self.condition is None else self.condition.columns
        return named.union(self.by, ("state", "source"))

    def asked(self, index: OpenIndex) -> Iterator["Qualifying"]:
        """The relations of an index file that qualify, part by part in the order of the file.

        Raises:
            UserError: if the condition cannot be evaluated, or there are too many values to tell apart.
            BadInputError: if the file is damaged.
        """
        by_scene = ["key"] if self.columns & {"key", "dataset"} else []
        fields = {_FIELDS.get(name, name) for name in self.columns} - {"key", "dataset"}
        start = 0
        for group in range(index.num_groups):
            table = index.read(group, by_scene, sorted(fields))
            offset = 0
            for chunk in table["relations"].chunks:
                keys = table["key"].slice(offset, len(chunk)).combine_chunks() if by_scene else None
                offset += len(chunk)
                part = _Part(index, chunk, keys)
                yield self._qualifying(part, start)
                start += part.num_relations

    def _qualifying(self, part: "_Part", start: int) -> "Qualifying":
        keep = np.ones(part.num_relations, dtype=bool)
        named = frozenset() if self.condition is None else self.condition.columns
        if "state" not in named:
            levels, ids = part.levels("state")
            keep &= np.array([level == "asserted" for level in levels], dtype=bool)[ids]
        if "source" not in named:
            levels, ids = part.levels("source")
            keep &= np.array([level != "human" for level in levels], dtype=bool)[ids]
        rows = np.flatnonzero(keep)
        if self.condition is not None and len(rows):
            columns = {name: part.column(name) for name in sorted(named)}
            table = pa.table(columns) if columns else pa.table({"state": part.column("state")})
            rows = rows[self.condition.rows(table.take(pa.array(rows)))]
        dimensions = [part.levels(name) for name in self.by]
        return Qualifying(
            start, part.num_relations, rows, [levels for levels, _ in dimensions], [ids[rows] for _, ids in dimensions]
        )


@dataclass(frozen=True)
class Qualifying:
    """Some of the relations of a part of an index file, in its order."""

    start: int
    """Relations of the file before this part."""
    num_relations: int
    """Of this part, qualifying or not."""
    rows: NDArray[np.int64]
    """(m,) where they are in this part."""
    levels: Sequence[Sequence[str]]
    """Of each dimension, the values that occur here."""
    ids: Sequence[NDArray[np.int64]]
    """Of each dimension, (m,) places in `levels`."""

    @cached_property
    def cells(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Combinations of values that occur: their ids (c, dimensions), how many have them (c,), which has which (m,).

        Raises:
            UserError: if they cannot be numbered.
        """
        sizes = [max(1, len(levels)) for levels in self.levels]
        codes = numbered(sizes, self.ids, len(self.rows))
        num_cells = int(np.prod(sizes, dtype=np.int64)) if sizes else 1
        if num_cells <= _FEW_CELLS:
            table = np.bincount(codes, minlength=num_cells)
            present = np.flatnonzero(table)
            places = np.zeros(num_cells, dtype=np.int64)
            places[present] = np.arange(len(present))
            counts, inverse = table[present], places[codes]
        else:
            present, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
        return unnumbered(sizes, present), counts.astype(np.int64), inverse.astype(np.int64)


def numbered(sizes: Sequence[int], ids: Sequence[NDArray[np.int64]], length: int) -> NDArray[np.int64]:
    """(length,) one number for each combination of ids, in their lexical order.

    Raises:
        UserError: if there could be too many.
    """
    num_cells = 1
    codes = np.zeros(length, dtype=np.int64)
    for size, own in zip(sizes, ids, strict=True):
        num_cells *= size
        if num_cells > _MOST_CELLS:
            raise UserError(
                f"by: {' x '.join(map(str, sizes))} values are too many to tell apart; give fewer dimensions"
            )
        codes = codes * size + own
    return codes


def unnumbered(sizes: Sequence[int], codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """(len(codes), len(sizes)) the ids that `numbered` made these of."""
    ids = np.zeros((len(codes), len(sizes)), dtype=np.int64)
    for place in reversed(range(len(sizes))):
        codes, ids[:, place] = np.divmod(codes, sizes[place])
    return ids


def read_rows(index: OpenIndex, rows: Sequence[int]) -> list[tuple[dict[str, Any], int, dict[str, Any]]]:
    """Relations at these places among all of an index file, ascending: row of the scene, place in it, the relation.

    Raises:
        BadInputError: if the file is damaged.
    """
    found = []
    start, wanted = 0, np.asarray(rows, dtype=np.int64)
    for group in range(index.num_groups):
        table = index.read(group, _SCENE_COLUMNS, _RELATION_FIELDS)
        scenes, offset = table.drop_columns("relations"), 0
        for chunk in table["relations"].chunks:
            part = _Part(index, chunk, None)
            own = wanted[(wanted >= start) & (wanted < start + part.num_relations)] - start
            places = np.searchsorted(part.offsets, own, side="right") - 1
            relations = part.relations.take(pa.array(own)).to_pylist()
            rows_of = scenes.take(pa.array(places + offset)).to_pylist()
            within = (own - part.offsets[places]).tolist()
            found += list(zip(rows_of, within, relations, strict=True))
            start += part.num_relations
            offset += len(chunk)
    return found


class _Part:
    """The relations of some scenes, behind each other."""

    def __init__(self, index: OpenIndex, scenes: pa.ListArray, keys: pa.Array | None) -> None:
        self._path = index.path
        self._keys = keys
        self._levels: dict[str, tuple[Sequence[str], NDArray[np.int64]]] = {}
        self.relations = scenes.flatten()
        self.num_relations = len(self.relations)
        offsets = scenes.offsets.to_numpy()
        self.offsets = (offsets - offsets[0]).astype(np.int64)
        if scenes.null_count or self.offsets[-1] != self.num_relations:
            raise self._damaged("relations")

    def column(self, name: str) -> pa.Array:
        """(num_relations,) one of `COLUMNS`."""
        if name in ("key", "dataset"):
            assert self._keys is not None
            values = self._keys if name == "key" else pa.array([_dataset(key) for key in self._keys.to_pylist()])
            return values.dictionary_encode().take(pa.array(np.repeat(np.arange(len(values)), np.diff(self.offsets))))
        field = _FIELDS.get(name, name)
        if field == name:
            return self.relations.field(name)
        axis = 0 if name.endswith("width") else 1
        corners = self.relations.field(field)
        if corners.null_count:
            raise self._damaged(field)
        boxes = corners.flatten().to_numpy().reshape(-1, 4)
        return pa.array(boxes[:, axis + 2] - boxes[:, axis])

    def levels(self, name: str) -> tuple[Sequence[str], NDArray[np.int64]]:
        """Values of a dimension, and (num_relations,) which of them each relation has."""
        if name not in self._levels:
            self._levels[name] = self._encoded(name)
        return self._levels[name]

    def _encoded(self, name: str) -> tuple[Sequence[str], NDArray[np.int64]]:
        values = self.column(name)
        if values.null_count:
            raise self._damaged(name)
        if name == "score":
            return TENTHS, np.clip(np.floor(values.to_numpy() * 10), 0, 9).astype(np.int64)
        encoded = values if pa.types.is_dictionary(values.type) else pc.dictionary_encode(values)
        return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)

    def _damaged(self, what: str) -> BadInputError:
        return BadInputError(f"{self._path}: {what} is missing for a relation; the index is damaged. Restore the file")


def _dataset(key: str) -> str:
    return key.split("-", 1)[0]


# Where a column comes from another field than its name says.
_FIELDS: Mapping[str, str] = {
    name: name.split("_")[0] + "_box" for name in COLUMNS if name.endswith(("_width", "_height"))
}
_SCENE_COLUMNS = (
    "key",
    "image_offset",
    "image_length",
    "image_crc32",
    "json_offset",
    "json_length",
    "json_crc32",
    "width",
    "height",
)
_RELATION_FIELDS = (
    "subject_id",
    "subject",
    "subject_box",
    "predicate",
    "object_id",
    "object",
    "object_box",
    "text",
    "score",
    "probability",
    "source",
)
