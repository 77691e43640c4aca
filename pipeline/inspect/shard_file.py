"""One shard as a file on this machine, read with suspicion: it may come from anyone. Nothing is ever extracted."""

import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from schemas import BadInputError, Scene, scene_from_json

# A scene with a thousand boxes and ten captions takes less than one MB.
_MOST_JSON_BYTES = 64 << 20
_BLOCK = tarfile.BLOCKSIZE
# What tarfile raises on headers that make no sense, besides its own errors.
_HEADER_FAULTS = (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError, MemoryError)


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    offset: int
    """First byte of the content."""
    size: int


@dataclass(frozen=True)
class ShardFile:
    """The scenes of a tar, found by walking its headers."""

    path: Path
    size: int
    """Bytes."""
    jsons: Mapping[str, _Member]
    """Key to JSON member, in the order of the tar."""
    images: Mapping[str, _Member]
    """Key to picture, for the keys that have one."""
    problems: Sequence[str]
    """Members that are not what a shard holds."""

    def scene(self, key: str, *, pixels: bool = True) -> Scene:
        """The scene of one of the keys in `jsons`, with its picture if there is one and `pixels` is true.

        Raises:
            BadInputError: naming the member and its byte, if it is no scene or its picture is another one.
        """
        member = self.jsons[key]
        where = self._where(member)
        if member.size > _MOST_JSON_BYTES:
            raise BadInputError(f"{where}: {member.size} bytes of JSON, at most {_MOST_JSON_BYTES}; not a scene")
        try:
            scene = scene_from_json(self._content(member))
        except BadInputError as error:
            raise BadInputError(f"{where}: {error}") from error
        if scene.key != key:
            raise BadInputError(f"{where}: holds the scene {scene.key!r}")
        if pixels and key in self.images:
            picture = self.images[key]
            data = self._content(picture)
            if scene.image.sha256 is not None and sha256(data).hexdigest() != scene.image.sha256:
                raise BadInputError(f"{self._where(picture)}: damaged; its sha256 is not the one the scene records")
            scene = replace(scene, image=replace(scene.image, data=data))
        return scene

    def _content(self, member: _Member) -> bytes:
        with self.path.open("rb") as file:
            file.seek(member.offset)
            return file.read(member.size)

    def _where(self, member: _Member) -> str:
        return f"{self.path}: member {member.name!r} at byte {member.offset}"


def open_shard_file(path: Path) -> ShardFile:
    """Walk the headers of an uncompressed tar.

    Raises:
        BadInputError: if it cannot be read, is no tar, or is torn; names the last whole member and the byte.
    """
    members: list[_Member] = []
    problems: list[str] = []
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            try:
                _walk(file, path, size, members, problems)
            except _HEADER_FAULTS as error:
                raise BadInputError(f"{path}: {_torn(members)} ({error})") from error
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error.strerror or error}") from error

    jsons: dict[str, _Member] = {}
    images: dict[str, _Member] = {}
    for member in members:
        key, _, ending = member.name.partition(".")
        place = jsons if ending == "json" else images
        if key in place:
            problems.append(f"member {member.name!r} at byte {member.offset}: a second one for {key!r}; left out")
        else:
            place[key] = member
    problems += [f"member {images[key].name!r}: a picture without a scene" for key in images if key not in jsons]
    return ShardFile(path, size, jsons, images, problems)


def _walk(file: object, path: Path, size: int, members: list[_Member], problems: list[str]) -> None:
    with tarfile.open(fileobj=file, mode="r:") as tar:  # type: ignore[call-overload]
        end = 0
        while (info := tar.next()) is not None:
            # A negative size would send the walk backwards, and round in circles.
            if info.size < 0 or info.offset_data < end + _BLOCK:
                raise BadInputError(f"{path}: member {info.name!r} at byte {info.offset}: its header is damaged")
            end = info.offset_data
            if info.isreg() and not info.issparse():
                end += info.size
                if end > size:
                    raise BadInputError(
                        f"{path}: torn: member {info.name!r} starts at byte {info.offset_data} and needs {info.size} "
                        f"bytes; the file ends at byte {size}. Fetch or make it again"
                    )
                members.append(_Member(info.name, info.offset_data, info.size))
            else:
                problems.append(f"member {info.name!r} at byte {info.offset}: not a plain file; left alone")
        # tarfile takes a cut or damaged header for the end; the true end is a block of zeros.
        with path.open("rb") as raw:
            raw.seek(tar.offset)
            if raw.read(_BLOCK) != bytes(_BLOCK):
                raise BadInputError(f"{path}: {_torn(members)}, at byte {tar.offset}. Fetch or make it again")


def _torn(members: Sequence[_Member]) -> str:
    if not members:
        return "not a tar, or damaged from the start"
    return f"torn or damaged after member {members[-1].name!r}"
