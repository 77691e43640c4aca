"""The Parquet index of a shard: one row per scene, offsets for readers, relations for questions."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.shard import INDEX_SCHEMA, index_relations
from stages.pack.tar import SceneMembers


def write_index(path: Path, shard: str, written: Sequence[SceneMembers]) -> None:
    """Write the index of a tar whose final name is `shard`."""
    rows = []
    for members in written:
        scene, image = members.scene, members.image
        rows.append(
            {
                "key": scene.key,
                "shard": shard,
                "image_offset": image.offset if image else None,
                "image_length": image.length if image else None,
                "image_crc32": image.crc32 if image else None,
                "json_offset": members.json.offset,
                "json_length": members.json.length,
                "json_crc32": members.json.crc32,
                "width": scene.image.width,
                "height": scene.image.height,
                "num_regions": len(scene.regions),
                "num_captions": len(scene.captions),
                "num_relations": len(scene.relations),
                "relations": index_relations(scene),
            }
        )
    table = pa.Table.from_pylist(rows, schema=INDEX_SCHEMA)
    pq.write_table(table, path, compression="zstd", store_schema=True)
