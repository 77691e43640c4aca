"""Files on this machine that take the place of old ones in one step: after a crash there is the old one, or the new."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A text file, UTF-8 with line ends as written, that takes the place of `path` once it is whole.

    Raises:
        OSError: if it cannot be written; `path` is then as it was.
    """
    with _partial(path) as partial:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield file
        partial.replace(path)


def replace_bytes(path: Path, data: bytes) -> None:
    """Put `data` in the place of `path`.

    Raises:
        OSError: if it cannot be written; `path` is then as it was.
    """
    with _partial(path) as partial:
        partial.write_bytes(data)
        partial.replace(path)


@contextlib.contextmanager
def _partial(path: Path) -> Iterator[Path]:
    partial = path.with_name(f".{path.name}.part")
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)
