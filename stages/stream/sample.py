"""A scene as it lies in a shard, and reading it."""

import contextlib
import os
import zlib
from collections import OrderedDict
from dataclasses import replace
from typing import NamedTuple

from schemas import BadInputError, Scene, scene_from_json
from schemas.layer import Statement
from stages.pack import with_statements
from stages.storage import Folder
from stages.stream.shard_files import ShardCache, open_local, sha256_of
from stages.stream.shard_index import ShardIndex
from stages.stream.shard_log import Shard


class Sample(NamedTuple):
    """The bytes of a scene, neither decoded nor parsed, and where it stands in the stream."""

    position: int
    """In the stream, from 0."""
    source: int
    """Which of the stream's sources it is of."""
    key: str
    """Of the scene."""
    is_substitute: bool
    """Whether it stands here for a damaged one."""
    content: bytes
    """Of the shard, from the first byte of its picture to the last one of its JSON. One piece, never copied."""
    image_length: int
    """Bytes of the picture; 0 if there is none."""
    json_start: int
    said: tuple[Statement, ...] = ()
    """What people said of the scene since it was written; see `stages.pack.Layers`."""

    @property
    def image(self) -> memoryview | None:
        """The encoded picture; None in an output without pixels, or if it was not asked for."""
        return memoryview(self.content)[: self.image_length] if self.image_length else None

    @property
    def json(self) -> memoryview:
        """The JSON of the scene as it lies in the shard."""
        return memoryview(self.content)[self.json_start :]

    def scene(self) -> Scene:
        """The scene with its picture, and with what people said of it since.

        Raises:
            BadInputError: if it is of another schema version, or people speak of a region that it does not have; names
                the scene and the field.
        """
        try:
            scene = scene_from_json(bytes(self.json))
        except BadInputError as error:
            raise BadInputError(f"{self.key}: {error}") from error
        if self.said:
            scene = with_statements(scene, self.said)
        image = self.image
        return scene if image is None else replace(scene, image=replace(scene.image, data=bytes(image)))


class DamagedError(Exception):
    """A member of a shard does not have the checksum that its index records."""


class ShardReader:
    """Reads scenes of one output by offset: one `pread` a scene, checksums always."""

    def __init__(self, folder: Folder, cache: ShardCache, *, num_open: int) -> None:
        """
        Args:
            folder: of the output.
            cache: for shards of a remote output; local ones are read where they are.
            num_open: files kept open, at least 1.
        """
        self._folder = folder
        self._cache = cache
        self._num_open = num_open
        self._open: OrderedDict[str, int] = OrderedDict()

    def read(self, shard: Shard, index: ShardIndex, row: int, *, pixels: bool) -> tuple[bytes, int, int]:
        """Content, length of the picture and start of the JSON, as in `Sample`.

        Of a remote shard whose copy here was damaged a new copy is made.

        Raises:
            DamagedError: if a checksum is not that of the index.
            BadInputError: if the shard is missing, or has another size.
        """
        try:
            return self._read(shard, index, row, pixels=pixels)
        except DamagedError:
            if self._folder.is_local or not self._cache.mend(shard.tar):
                raise
            os.close(self._open.pop(shard.tar.name))
        return self._read(shard, index, row, pixels=pixels)

    def _read(self, shard: Shard, index: ShardIndex, row: int, *, pixels: bool) -> tuple[bytes, int, int]:
        image_offset, image_length, image_crc32, offset, length, crc32 = index.places[row]
        if not pixels or image_offset < 0:
            image_offset, image_length = offset, 0
        descriptor = self._descriptor(shard)
        content = os.pread(descriptor, offset + length - image_offset, image_offset)
        json_start = offset - image_offset
        view = memoryview(content)
        if image_length and zlib.crc32(view[:image_length]) != image_crc32:
            raise self._damaged(shard, index, row, "picture", image_offset)
        if zlib.crc32(view[json_start:]) != crc32:
            raise self._damaged(shard, index, row, "JSON", offset)
        return content, image_length, json_start

    def close(self) -> None:
        """Close all files; reading opens them again."""
        while self._open:
            os.close(self._open.popitem()[1])

    def __del__(self) -> None:
        self.close()  # of a stream that is dropped, too: a descriptor is a number, which nobody else closes

    def _descriptor(self, shard: Shard) -> int:
        name = shard.tar.name
        descriptor = self._open.get(name)
        if descriptor is None:
            while len(self._open) >= self._num_open:
                os.close(self._open.popitem(last=False)[1])
            local = self._folder.is_local
            descriptor = open_local(self._folder, shard.tar) if local else self._cache.open(self._folder, shard.tar)
            self._open[name] = descriptor
        self._open.move_to_end(name)
        return descriptor

    def _damaged(self, shard: Shard, index: ShardIndex, row: int, what: str, offset: int) -> DamagedError:
        return DamagedError(
            f"{self._folder.path(shard.tar.name)}: {what} of {index.keys[row]} at byte {offset} is damaged (crc32)"
        )


def what_else_differs(folder: Folder, shard: Shard) -> str:
    """To be said of a damaged member: that the shard has other bytes, too, and not the index alone. Empty if not so.

    Only of a local shard; the digest of a remote one was checked when it was copied.
    """
    if not folder.is_local:
        return ""
    with contextlib.suppress(OSError):  # gone meanwhile: then the damaged member is all there is to say
        found = sha256_of(folder.local_path(shard.tar.name))
        if found != shard.tar.sha256:
            return f"; sha256 of the shard is {found}, its commit says {shard.tar.sha256}"
    return ""
