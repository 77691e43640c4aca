"""The layout of an output folder: file names, the Parquet index, the commit log.

    dataset.json            what this output is; created once, before the first commit
    shards/*.tar            WebDataset: `<key>.<jpg|png|...>` then `<key>.json`, adjacent
    index/*.parquet         one row per scene of the shard of the same name
    dead/*.jsonl            one line per rejected or dead scene of a unit
    commits/00000042.json   the log: what exists. Contiguous from 0; each entry created only if absent
    vocabulary.json  dataset_card.md  report.json  report.html
    plan/  drivers/         how the run was cut, and who ran it; readers of the data need neither

What no commit names does not exist for a reader. `{"sealed": true}` is the log's last entry.
"""

import json
from dataclasses import dataclass, field, fields, replace
from typing import Any

import pyarrow as pa

from schemas.errors import BadInputError
from schemas.scene import Scene

COMMIT_VERSION = 1
DATASET_VERSION = "relmill.dataset/1"

_box = pa.list_(pa.float64(), 4)

RELATION_TYPE = pa.struct(
    [
        ("subject_id", pa.int64()),
        ("subject", pa.string()),
        ("subject_box", _box),
        ("predicate", pa.string()),
        ("object_id", pa.int64()),
        ("object", pa.string()),
        ("object_box", _box),
        ("text", pa.string()),
        ("score", pa.float64()),
        ("probability", pa.float64()),
        ("source", pa.string()),
        ("state", pa.string()),
    ]
)

INDEX_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        # Offsets of the member's content, not of its header: one pread gives the bytes. Null without pixels.
        pa.field("image_offset", pa.int64()),
        pa.field("image_length", pa.int64()),
        pa.field("image_crc32", pa.uint32()),
        pa.field("json_offset", pa.int64(), nullable=False),
        pa.field("json_length", pa.int64(), nullable=False),
        pa.field("json_crc32", pa.uint32(), nullable=False),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("num_regions", pa.int32(), nullable=False),
        pa.field("num_captions", pa.int32(), nullable=False),
        pa.field("num_relations", pa.int32(), nullable=False),
        pa.field("relations", pa.list_(RELATION_TYPE), nullable=False),
    ],
    metadata={"schema": "relmill.index/1"},
)


def index_relations(scene: Scene) -> list[dict[str, Any]]:
    """The `relations` cell of a scene's index row: names and boxes beside each predicate, so a query needs no join."""
    regions = {region.id: region for region in scene.regions}
    rows = []
    for relation in scene.relations:
        subject, object_ = regions[relation.subject], regions[relation.object]
        rows.append(
            {
                "subject_id": subject.id,
                "subject": subject.name,
                "subject_box": list(subject.box),
                "predicate": relation.predicate,
                "object_id": object_.id,
                "object": object_.name,
                "object_box": list(object_.box),
                "text": relation.text,
                "score": relation.score,
                "probability": relation.probability,
                "source": relation.source,
                "state": relation.state,
            }
        )
    return rows


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
                raise BadInputError(f"{name}: commit version {document['v']}; this relmill reads {COMMIT_VERSION}")
            for key in ("shard", "index", "dead"):
                document[key] = FileEntry(**document[key]) if document[key] else None
            for key in ("counts", "totals"):
                document[key] = Counts(**document[key])
            entry = cls(**document)
            _check_types(entry)
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
    numbers += [file.bytes for file in (entry.shard, entry.index, entry.dead) if file]
    texts = [entry.unit, *(file.name for file in (entry.shard, entry.index, entry.dead) if file)]
    wrong = [v for v in numbers if type(v) is not int] + [v for v in texts if not isinstance(v, str)]
    if wrong:
        raise TypeError(f"found {wrong[0]!r} of type {type(wrong[0]).__name__}")


def commit_name(number: int) -> str:
    """`commits/00000042.json`."""
    return f"commits/{number:08d}.json"


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return value
