"""Pictures in a folder, local or remote."""

import re

from schemas import BadInputError
from stages.storage import Folder

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:")


class UnsafeNameError(BadInputError):
    """A picture's name leads out of the image folder."""


class FolderImages:
    """Reads pictures below one folder, and nowhere else. Picklable.

    Links inside the folder are followed: they are its owner's, as in the usual COCO tree of links to `train2017`.

    Args:
        url: path or fsspec URL of the folder.
        flat_too: a picture that is not where its name says (`patch8/x.jpg`) may lie in the folder itself (`x.jpg`).
            For datasets whose file names are unique, and which people unpack either way.
    """

    def __init__(self, url: str, *, flat_too: bool = False) -> None:
        self._folder = Folder(url)
        self._flat_too = flat_too

    def read(self, name: str) -> bytes:
        """The encoded bytes of a picture.

        Raises:
            FileNotFoundError: if there is no such picture.
            PermissionError: if it may not be read.
            UnsafeNameError: if the name is absolute, a URL, or has `..` in it.
            TransientError: if the store failed.
        """
        check_name(name)
        try:
            return self._folder.read(name)
        except FileNotFoundError:
            if not self._flat_too or "/" not in name:
                raise
            return self._folder.read(name.rsplit("/", 1)[1])


def check_name(name: str) -> None:
    """Refuse names that could lead out of a folder, on any operating system.

    Raises:
        UnsafeNameError: saying what is wrong with it.
    """
    parts = name.replace("\\", "/").split("/")
    if _SCHEME.match(name):
        problem = "is a URL or has a drive letter"
    elif not parts[0] and name:
        problem = "is absolute"
    elif ".." in parts:
        problem = "goes up with `..`"
    elif not parts[-1] or "\0" in name:
        problem = "names no file"
    else:
        return
    raise UnsafeNameError(f"image name {name!r:.200} {problem}; expected a path inside the image folder")
