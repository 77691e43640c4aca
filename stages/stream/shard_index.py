"""The index of a shard as a reader needs it: where each scene lies, and what is said in it."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas import BadInputError
from schemas.shard import INDEX_SCHEMA
from stages.storage import Folder
from stages.stream.shard_log import Shard

_VERSION = (INDEX_SCHEMA.metadata or {})[b"schema"].decode()
_PLACES = [f"{member}_{what}" for member in ("image", "json") for what in ("offset", "length", "crc32")]
_ASSERTED = "asserted"


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """One row for each scene of a shard, in the order of the shard."""

    keys: pa.Array
    places: NDArray[np.int64]
    """(n, 6) offset, length and crc32 of the picture, then of the JSON. -1 where there is no picture."""
    predicates: tuple[str, ...]
    """Asserted in the shard, sorted."""
    occurrences: NDArray[np.int64]
    """(m, 2) row and place in `predicates` of every asserted relation. Empty unless asked for."""

    @classmethod
    def read(cls, folder: Folder, shard: Shard, *, with_predicates: bool) -> "ShardIndex":
        """Read the index of a committed shard.

        Raises:
            BadInputError: if it is missing, not the one that was committed, or of another version.
        """
        path = folder.path(shard.index.name)
        try:
            data = folder.read(shard.index.name)
        except FileNotFoundError as error:
            raise BadInputError(f"{path}: named by a commit, but missing; restore it, or label anew") from error
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
        columns = ["key", *_PLACES]
        if with_predicates:
            columns += ["relations.list.element.predicate", "relations.list.element.state"]
        table = file.read(columns, use_threads=False)
        if table.num_rows != shard.num_scenes:
            raise BadInputError(f"{path}: {table.num_rows} rows, its commit says {shard.num_scenes}; restore the file")
        places = np.stack([table[name].cast(pa.int64()).fill_null(-1).to_numpy() for name in _PLACES], axis=1)
        predicates, occurrences = _asserted(table["relations"]) if with_predicates else ((), np.zeros((0, 2), np.int64))
        return cls(table["key"].combine_chunks(), places, predicates, occurrences)


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
        if name not in self._kept or (with_predicates and not self._kept[name][0]):
            self._kept[name] = with_predicates, ShardIndex.read(self._folder, shard, with_predicates=with_predicates)
        self._kept.move_to_end(name)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return self._kept[name][1]


def _asserted(column: pa.ChunkedArray) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    relations = column.combine_chunks()
    rows = np.repeat(np.arange(len(relations)), np.diff(relations.offsets.to_numpy()))
    flat = relations.flatten()
    kept = np.asarray(flat.field("state").to_pylist(), dtype=object) == _ASSERTED
    names = flat.field("predicate").to_pylist()
    predicates = tuple(sorted({name for name, keep in zip(names, kept, strict=True) if keep}))
    places = {name: place for place, name in enumerate(predicates)}
    codes = [places.get(name, -1) for name in names]
    return predicates, np.stack([rows, np.array(codes, dtype=np.int64)], axis=1)[kept.astype(bool)]


def total_size(shards: Sequence[Shard]) -> NDArray[np.int64]:
    """(n + 1,) number of scenes before each shard, and in all."""
    return np.concatenate([[0], np.cumsum([shard.num_scenes for shard in shards], dtype=np.int64)]).astype(np.int64)
