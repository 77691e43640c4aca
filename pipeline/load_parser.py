"""The caption parser for a process that does nothing else: quick to start."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.parse.parser import CaptionParser


def load_parser(model: str) -> "CaptionParser":
    """Load `builtin`, an installed spaCy package by name, or a folder.

    Raises:
        BadInputError: if the pipeline cannot be loaded.
    """
    with _without_torch() if model == "builtin" else contextlib.nullcontext():
        from stages.parse.parser import CaptionParser

        return CaptionParser(model)


@contextlib.contextmanager
def _without_torch() -> Iterator[None]:
    """spaCy imports torch wherever it is installed: 1.4 s and 190 MB, of no use to the built-in pipeline."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment] # Python's own way to say that a module is not there
    try:
        yield
    finally:
        del sys.modules["torch"]
