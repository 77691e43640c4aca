"""The scene of a drawn relation, read from where its item says it lies: no index, no log, no listing."""

from pathlib import PurePosixPath
from typing import Any

from schemas import BadInputError, Scene
from schemas.audit import AuditItem, Place
from stages.pack import read_scene
from stages.storage import Folder


def read_item(folder: Folder, item: AuditItem, *, pixels: bool = True) -> Scene:
    """The scene that an item was drawn from, with its picture if the output has pictures and `pixels` is true.

    `scene.relations[item.relation]` is the drawn relation.

    Args:
        folder: the output of the sample; `check_output` says whether it still is.

    Raises:
        BadInputError: if the shard is gone or may not be read, a member does not have the checksum that the item
            records, or what is there is not the item's relation.
        TransientError: on any other fault of the store.
    """
    path = PurePosixPath(item.shard)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in item.shard:
        raise BadInputError(f"item {item.number}: its shard {item.shard!r} is no name of a file in the output")
    row = {"key": item.key, "shard": item.shard, **_place("json", item.scene), **_place("image", item.image)}
    try:
        scene = read_scene(folder, row, pixels=pixels)
    except (FileNotFoundError, PermissionError) as error:
        raise BadInputError(
            f"{folder.path(item.shard)}: cannot be read ({error.__class__.__name__}); bring the output back to where "
            f"it was when the sample was drawn"
        ) from error
    if scene.key != item.key or not 0 <= item.relation < len(scene.relations):
        raise BadInputError(
            f"{folder.path(item.shard)}: at byte {item.scene.offset} is {scene.key} with {len(scene.relations)} "
            f"relations; item {item.number} is relation {item.relation} of {item.key}. Draw a sample anew"
        )
    return scene


def _place(kind: str, place: Place | None) -> dict[str, Any]:
    """A place as the row of an index says it."""
    offset, length, crc32 = (None, None, None) if place is None else (place.offset, place.length, place.crc32)
    return {f"{kind}_offset": offset, f"{kind}_length": length, f"{kind}_crc32": crc32}
