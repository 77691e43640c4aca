"""The layout of an output folder: file names, the Parquet index, the commit log.

    dataset.json            what this output is; created once, before the first commit
    shards/*.tar            WebDataset: `<key>.<jpg|png|...>` then `<key>.json`, adjacent
    index/*.parquet         one row per scene of the shard of the same name
    dead/*.jsonl            one line per rejected or dead scene of a unit
    commits/00000042.json   the log: what exists. Contiguous from 0; each entry created only if absent
    layers/00000000.json    what people said of relations since; contiguous, created only if absent (`schemas.layer`)
    vocabulary.json  dataset_card.md  report.json  report.html
    plan/  drivers/  tmp/   how the run was cut, who ran it, files being written; readers of the data need none

What no commit names does not exist for a reader. `{"sealed": true}` is the log's last entry.
"""

from typing import Any

import pyarrow as pa

from schemas.scene import Scene

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
