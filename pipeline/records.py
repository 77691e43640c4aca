"""The planned records of a unit: what ingest made of each image, kept until a worker takes it up.

A records file is gzip members of JSON lines, one member a unit, so that `zcat` shows it all and a worker reads its
unit with one ranged read.
"""

import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict

from schemas import Rejected, Scene, TransientError, scene_from_json, scene_to_json
from schemas.unit import Unit
from stages.storage import Folder


def records_to_gzip(records: Sequence[Scene | Rejected]) -> bytes:
    """One gzip member; the same records give the same bytes (no clock in the header)."""
    lines = []
    for record in records:
        if isinstance(record, Rejected):
            lines.append(
                json.dumps({"rejected": asdict(record)}, ensure_ascii=False).encode("utf-8", "backslashreplace")
            )
        else:
            lines.append(b'{"scene":' + scene_to_json(record) + b"}")
    # Level 1: the file is read once, and planning millions of images should not wait for the compressor.
    return gzip.compress(b"\n".join(lines) + b"\n", compresslevel=1, mtime=0)


def read_records(folder: Folder, unit: Unit) -> list[Scene | Rejected]:
    """The records of a unit, in plan order."""
    data = folder.read(unit.file, unit.offset, unit.offset + unit.length)
    if len(data) != unit.length:
        raise TransientError(f"{folder.path(unit.file)}: {len(data)} of {unit.length} bytes at {unit.offset}")
    return records_from_gzip(data)


def records_from_gzip(data: bytes) -> list[Scene | Rejected]:
    """What `records_to_gzip` wrote."""
    records: list[Scene | Rejected] = []
    for line in gzip.decompress(data).split(b"\n"):
        if line.startswith(b'{"scene":'):
            records.append(scene_from_json(line[len(b'{"scene":') : -1]))
        elif line:
            records.append(Rejected(**json.loads(line)["rejected"]))
    return records
