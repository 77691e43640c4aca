"""The pictures of a sample as files: the original bytes, under names that no file system stumbles over."""

import hashlib
import re
from pathlib import Path

from schemas import BadInputError, Scene
from stages.picture import FORMATS, open_picture

# Without dots: some readers take all before the first for the name, some all before the last.
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,149}")


class PictureFiles:
    """Writes each scene's picture once."""

    def __init__(self, folder: Path) -> None:
        """
        Args:
            folder: there, and empty.
        """
        self._folder = folder
        self._written: dict[str, str] = {}
        self._taken: set[str] = set()

    def __len__(self) -> int:
        return len(self._written)

    def of(self, key: str) -> str | None:
        """Name of the file with the picture of a scene; None if it was not written."""
        return self._written.get(key)

    def write(self, scene: Scene) -> str:
        """Write the picture of a scene, which must have one; the name of the file, without a folder.

        The name is the key where that is short and of ASCII letters, digits, `_` and `-`, and no other but for case;
        else it ends with a digest of the key.

        Raises:
            BadInputError: if it is no picture that we read, which has no known file ending.
            OSError: if it cannot be written.
        """
        data = scene.image.data
        assert data is not None, scene.key
        digest = hashlib.sha256(scene.key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        stem = scene.key if _SAFE.fullmatch(scene.key) else f"scene-{digest}"
        if stem.casefold() in self._taken:
            stem = f"{stem}-{digest}"
        self._taken.add(stem.casefold())
        name = f"{stem}.{_ending(scene)}"
        (self._folder / name).write_bytes(data)
        self._written[scene.key] = name
        return name


def picture_size(scene: Scene) -> tuple[int, int]:
    """Width and height of a scene's picture in pixels, from its header if the scene does not say.

    Raises:
        BadInputError: if there is no telling.
    """
    width, height = scene.image.width, scene.image.height
    if width and height:
        return width, height
    try:
        with open_picture(scene.image.data or b"") as picture:
            return picture.size
    except Exception as error:
        raise BadInputError(f"{scene.key}: the size of its picture is not known ({error})") from error


def _ending(scene: Scene) -> str:
    if scene.image.format in FORMATS.values():
        return str(scene.image.format)
    try:
        with open_picture(scene.image.data or b"") as picture:
            return FORMATS[str(picture.format)]
    except Exception as error:
        raise BadInputError(f"{scene.key}: its picture is of no format that is read here ({error})") from error
