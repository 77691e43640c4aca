"""Reading an output back, by the log: committed scenes and dead letters."""

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import BadInputError, Scene, scene_from_json
from schemas.commit import DATASET_VERSION, Commit, FileEntry
from stages.pack.commit_log import CommitLog
from stages.pack.layers import Layers
from stages.storage import Folder


def read_dataset_file(folder: Folder) -> dict[str, Any]:
    """`dataset.json` of an output.

    Raises:
        BadInputError: if there is none, or it is not one.
    """
    try:
        document = json.loads(folder.read("dataset.json"))
    except FileNotFoundError as error:
        raise BadInputError(f"{folder}: no dataset.json here; not an output folder of relmill label") from error
    except ValueError as error:
        raise BadInputError(f"{folder.path('dataset.json')}: not valid JSON: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != DATASET_VERSION:
        raise BadInputError(f"{folder.path('dataset.json')}: schema is not {DATASET_VERSION!r}")
    return document


def read_index(
    folder: Folder, commit: Commit, *, most: int | None = None, columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Index rows of a commit, as dictionaries; empty if no scene of the unit was written.

    They are of the shard alone: `Layers.applied_row` adds what people said since.

    Args:
        folder: of the output.
        commit: an entry of its log.
        most: no more than that many rows, evenly spread over the shard.
        columns: decode these only; the relations are most of an index.
    """
    if commit.index is None:
        return []
    table = pq.read_table(pa.BufferReader(_read(folder, commit.index)), columns=columns and list(columns))
    if most is not None and table.num_rows > most:
        table = table.take([i * table.num_rows // most for i in range(most)])
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def read_scene(folder: Folder, row: dict[str, Any], *, pixels: bool = True, layers: Layers | None = None) -> Scene:
    """The scene of an index row, with its picture if there is one and `pixels` is true.

    Args:
        folder: of the output.
        row: of `read_index`; where the scene lies is enough.
        pixels: whether the picture is read, too.
        layers: of the output; None gives the scene as it lies in the shard.

    Raises:
        BadInputError: if a member does not have the checksum that the index records, or a layer is of another scene.
    """
    scene = scene_from_json(_member(folder, row, "json"))
    if layers is not None:
        scene = layers.applied(scene, row["json_crc32"])
    if pixels and row["image_offset"] is not None:
        scene = replace(scene, image=replace(scene.image, data=_member(folder, row, "image")))
    return scene


def committed_scenes(folder: Folder, *, pixels: bool = True) -> Iterator[Scene]:
    """Every scene that the log names, in log order, with what people said of it since."""
    layers = Layers.of(folder)
    for commit in CommitLog(folder).entries():
        for row in read_index(folder, commit):
            yield read_scene(folder, row, pixels=pixels, layers=layers)


def dead_letters(folder: Folder, commit: Commit) -> list[dict[str, Any]]:
    """Rejected and dead scenes of a commit: `{outcome, key, stage, reason, detail, ...}`."""
    if commit.dead is None:
        return []
    return [json.loads(line) for line in _read(folder, commit.dead).split(b"\n") if line]


def _read(folder: Folder, entry: FileEntry) -> bytes:
    try:
        data = folder.read(entry.name)
    except FileNotFoundError as error:
        raise BadInputError(f"{folder.path(entry.name)}: named by a commit, but missing") from error
    if len(data) != entry.bytes:
        raise BadInputError(f"{folder.path(entry.name)}: {len(data)} bytes, its commit says {entry.bytes}")
    return data


def _member(folder: Folder, row: dict[str, Any], kind: str) -> bytes:
    offset, length = row[f"{kind}_offset"], row[f"{kind}_length"]
    data = folder.read(row["shard"], offset, offset + length)
    if zlib.crc32(data) != row[f"{kind}_crc32"]:
        raise BadInputError(f"{folder.path(row['shard'])}: {kind} of {row['key']} at byte {offset} is damaged (crc32)")
    return data
