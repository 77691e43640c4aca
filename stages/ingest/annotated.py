"""`AnnotatedDataset`: a dataset of annotation files, read by the format's own reader and joined on disk."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from schemas import Rejected, Scene, UserError
from stages.ingest.dataset import ImageSource
from stages.ingest.files import content_sha256
from stages.ingest.images import FolderImages
from stages.ingest.spool import Part, Spool


class Reader(Protocol):
    """What a format has to say: how its files fall into parts, and how the parts of one image make a record."""

    version: str
    """Name and version of the reader; a change of what it makes of the same files is a new version."""
    boxes_are_fractions: bool

    @property
    def files(self) -> Mapping[str, str]:
        """Role to path."""

    def parts(self) -> Iterator[Part]:
        """Every statement of the files about an image, in file order, in bounded memory."""

    def assemble(self, key: str, parts: Sequence[tuple[int, Any]]) -> Scene | Rejected | None:
        """The record of one image from `(kind, body)` parts; None if the image is no part of the dataset."""


class AnnotatedDataset:
    """Implements `Dataset` for every format with annotation files.

    Args:
        limit: take only the first records by sorted key.
        images: folder of the pictures; None for a dataset without.
        flat_images: see `FolderImages`.
    """

    def __init__(
        self, reader: Reader, *, name: str, images: str | None, limit: int | None, flat_images: bool = False
    ) -> None:
        self.name = name
        self.boxes_are_fractions = reader.boxes_are_fractions
        self._reader, self._images, self._limit, self._flat_images = reader, images, limit, flat_images

    def fingerprint(self) -> str:
        """See `Dataset.fingerprint`."""
        contents = {role: content_sha256(path) for role, path in self._reader.files.items()}
        options = {"name": self.name, "limit": self._limit, "reader": self._reader.version}
        return hashlib.sha256(json.dumps([contents, options], sort_keys=True).encode()).hexdigest()

    def records(self) -> Iterator[Scene | Rejected]:
        """See `Dataset.records`."""
        return islice(self._all_records(), self._limit)

    def images(self) -> ImageSource:
        """See `Dataset.images`."""
        if self._images is None:
            raise UserError("dataset.images: missing; give the folder of the pictures, or set dataset.pixels to false")
        return FolderImages(self._images, flat_too=self._flat_images)

    def _all_records(self) -> Iterator[Scene | Rejected]:
        with Spool() as spool:
            spool.add(self._reader.parts())
            for file_safe_id, parts in spool.groups():
                record = self._reader.assemble(f"{self.name}-{file_safe_id}", parts)
                if record is not None:
                    yield record
