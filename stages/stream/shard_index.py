"""The index of a shard as a reader needs it: where each scene lies, and what is said in it."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas import BadInputError
from schemas.shard import INDEX_SCHEMA
from stages.storage import Folder
from stages.stream.shard_files import committed
from stages.stream.shard_log import Shard

_VERSION = (INDEX_SCHEMA.metadata or {})[b"schema"].decode()
_PLACES = [f"{member}_{what}" for member in ("image", "json") for what in ("offset", "length", "crc32")]


Place = tuple[int, int, int, int, int, int]
"""Offset, length and crc32 of a scene's picture, then of its JSON; -1 three times where there is no picture."""


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """One row for each scene of a shard, in the order of the shard."""

    keys: Sequence[str]
    places: Sequence[Place]
    predicates: tuple[str, ...]
    """Asserted in the shard, sorted."""
    occurrences: NDArray[np.int64]
    """(m, 2) row and place in `predicates` of every asserted relation. Empty unless asked for, as are `names`."""
    names: Mapping[str, int]
    """How many asserted relations have a region of this name as subject or object, by alphabet."""

    @classmethod
    def read(cls, folder: Folder, shard: Shard, *, with_predicates: bool) -> "ShardIndex":
        """Read the index of a committed shard.

        Raises:
            BadInputError: if it is missing, not the one that was committed, or of another version.
        """
        path = folder.path(shard.index.name)
        with committed(folder, shard.index):
            data = folder.read(shard.index.name)
        found = hashlib.sha256(data).hexdigest()
        if found != shard.index.sha256:
            raise BadInputError(f"{path}: sha256 is {found}, its commit says {shard.index.sha256}; restore the file")
        # A file with the committed digest is what a Relmill wrote, so what follows can only be of another version.
        file = pq.ParquetFile(pa.BufferReader(data))
        version = (file.schema_arrow.metadata or {}).get(b"schema", b"none").decode(errors="replace")
        if version != _VERSION:
            raise BadInputError(
                f"{path}: schema is {version}; this relmill reads {_VERSION}. Install the newer relmill"
            )
        wanted = ["key", *_PLACES]
        if with_predicates:
            wanted += [f"relations.list.element.{field}" for field in ("subject", "predicate", "object", "state")]
        table = file.read(wanted, use_threads=False)
        if table.num_rows != shard.num_scenes:
            raise BadInputError(f"{path}: {table.num_rows} rows, its commit says {shard.num_scenes}; restore the file")
        # Plain lists: arrays that may be null would have Arrow import pandas where there is one, in every worker.
        columns = [[-1 if value is None else value for value in table[name].to_pylist()] for name in _PLACES]
        places = list(zip(*columns, strict=True))
        keys = table["key"].to_pylist()
        if not with_predicates:
            return cls(keys, places, (), np.zeros((0, 2), dtype=np.int64), {})
        return cls(keys, places, *_asserted(table["relations"]))


class IndexCache:
    """The indexes that were used last."""

    def __init__(self, folder: Folder, most: int) -> None:
        """
        Args:
            folder: of the output.
            most: indexes kept.
        """
        self._folder = folder
        self._most = most
        self._kept: OrderedDict[str, tuple[bool, ShardIndex]] = OrderedDict()

    def get(self, shard: Shard, *, with_predicates: bool = False) -> ShardIndex:
        """The index of a shard.

        Raises:
            BadInputError: as `ShardIndex.read`.
        """
        name = shard.index.name
        kept = self._kept.get(name)
        if kept is None or (with_predicates and not kept[0]):
            kept = with_predicates, ShardIndex.read(self._folder, shard, with_predicates=with_predicates)
            self._kept[name] = kept
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        return kept[1]


def _asserted(column: pa.ChunkedArray) -> tuple[tuple[str, ...], NDArray[np.int64], dict[str, int]]:
    """`predicates`, `occurrences` and `names` of an index."""
    relations = column.combine_chunks()
    rows = np.repeat(np.arange(len(relations)), np.diff(relations.offsets.to_numpy()))
    table = pa.Table.from_struct_array(relations.flatten()).append_column("row", pa.array(rows))
    table = table.filter(pc.equal(table["state"], "asserted"))
    codes = pc.dictionary_encode(table["predicate"].combine_chunks())
    order = np.argsort(np.array(codes.dictionary.to_pylist(), dtype=object))
    ranks = np.argsort(order)  # from the order of first occurrence to the alphabet
    occurrences = np.stack([table["row"].to_numpy(), ranks[codes.indices.to_numpy()]], axis=1)
    predicates = tuple(codes.dictionary.take(pa.array(order)).to_pylist())
    counts = pc.value_counts(pa.chunked_array([*table["subject"].chunks, *table["object"].chunks], pa.string()))
    names = dict(zip(*(field.to_pylist() for field in counts.flatten()), strict=True))
    return predicates, occurrences.astype(np.int64), {name: names[name] for name in sorted(names)}


def total_size(shards: Sequence[Shard]) -> NDArray[np.int64]:
    """(n + 1,) number of scenes before each shard, and in all."""
    return np.concatenate([[0], np.cumsum([shard.num_scenes for shard in shards], dtype=np.int64)]).astype(np.int64)
