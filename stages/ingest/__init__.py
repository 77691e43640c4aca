"""Ingest: annotation files of published formats in, one `Scene` (or `Rejected`) a picture out, sorted by key."""

from stages.ingest.dataset import Dataset, ImageSource
from stages.ingest.images import FolderImages, UnsafeNameError
from stages.ingest.open import open_dataset
from stages.ingest.predicates import canonical_predicate

__all__ = [
    "Dataset",
    "FolderImages",
    "ImageSource",
    "UnsafeNameError",
    "canonical_predicate",
    "open_dataset",
]
