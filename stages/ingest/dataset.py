"""What every dataset format looks like to the runtime."""

from collections.abc import Iterator
from typing import Protocol

from schemas import Rejected, Scene


class ImageSource(Protocol):
    """Where the encoded pictures come from. Picklable; opened by the worker that reads."""

    def read(self, name: str) -> bytes:
        """The encoded bytes of the picture that `Image.name` names.

        Raises:
            FileNotFoundError: if there is no such picture.
            PermissionError: if it may not be read.
            UnsafeNameError: if the name leads out of the image folder.
            TransientError: if the store failed; the same call may succeed later.
        """


class Dataset(Protocol):
    """Annotated pictures in a published format. Annotation files are read by `records` and `fingerprint` only."""

    name: str
    """First part of every key."""
    boxes_are_fractions: bool
    """Boxes of `records` are in [0, 1] of the picture's size; `screen` makes them pixels."""

    def fingerprint(self) -> str:
        """SHA-256, in hex, of the annotation files' contents and of what else decides the records.

        Paths are no part of it, so data may move. Equal fingerprints give equal records.
        """

    def records(self) -> Iterator[Scene | Rejected]:
        """Every picture of the dataset once, sorted by key as plain strings, in bounded memory.

        Raises:
            BadInputError: if a file is missing, is not of the format, or is damaged; the message says where.
        """

    def images(self) -> ImageSource:
        """Where the pictures that the records name are read from.

        Raises:
            UserError: if the job names no picture folder.
        """
