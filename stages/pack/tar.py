"""Deterministic WebDataset tars, written with the offset of every member.

`tarfile` makes the headers; the writing is ours because it must know where each member's content starts, and because
mtime, owner and mode have to be the same in every run.
"""

import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from schemas import InternalError, Scene, scene_to_json

_BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a tar: where its content lies and what it checks against."""

    name: str
    offset: int
    length: int
    crc32: int


@dataclass(frozen=True, slots=True)
class SceneMembers:
    """The one or two members of a scene. `image` is None in a job without pixels."""

    scene: Scene
    image: Member | None
    json: Member


def write_tar(path: Path, scenes: Iterable[Scene]) -> list[SceneMembers]:
    """Write scenes to a new tar in the given order, picture before JSON, and say where everything lies."""
    written = []
    with path.open("xb", buffering=1 << 20) as file:
        position = 0

        def add(name: str, data: bytes) -> Member:
            nonlocal position
            info = tarfile.TarInfo(name)
            info.size = len(data)
            # PAX writes an extra header only for names that do not fit the plain one; both forms are deterministic.
            header = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
            padding = -len(data) % _BLOCK
            file.write(header)
            file.write(data)
            file.write(bytes(padding))
            member = Member(name, position + len(header), len(data), zlib.crc32(data))
            position += len(header) + len(data) + padding
            return member

        for scene in scenes:
            image = scene.image
            picture = add(f"{scene.key}.{image.format}", image.data) if image.data is not None else None
            written.append(SceneMembers(scene, picture, add(f"{scene.key}.json", scene_to_json(scene))))
        # Two empty blocks end a tar; readers in stream mode want whole records.
        end = 2 * _BLOCK
        file.write(bytes(end + -(position + end) % tarfile.RECORDSIZE))
    return written


def verify_tar(path: Path, written: list[SceneMembers]) -> None:
    """Read a finished tar back: every header names its member, every content has its checksum.

    Raises:
        InternalError: if anything differs; the tar must not be published.
    """
    with path.open("rb") as file:
        for members in written:
            for member in (members.image, members.json):
                if member is None:
                    continue
                file.seek(member.offset - _BLOCK)
                block = file.read(_BLOCK + member.length)
                header, data = block[:_BLOCK], block[_BLOCK:]
                info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
                if info.size != member.length or zlib.crc32(data) != member.crc32:
                    raise InternalError(f"{path}: member {member.name} does not read back as it was written")
