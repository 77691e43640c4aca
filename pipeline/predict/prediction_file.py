"""The file of predictions: written picture by picture, there only when it is whole."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.local_files import replacing
from schemas import StorageError
from stages.predict import Layout


@contextlib.contextmanager
def prediction_file(path: Path, layout: Layout) -> Iterator[Callable[[str], None]]:
    """What writes the text of one picture after another. If the caller fails, the path is as it was.

    Raises:
        StorageError: if it cannot be written.
    """
    head, between, tail = ("", "\n", "\n") if layout == "triplets" else ("[\n", ",\n", "\n]\n")
    with contextlib.ExitStack() as stack:
        with _told(path):
            file = stack.enter_context(replacing(path))
        before = head

        def write(text: str) -> None:
            nonlocal before
            with _told(path):
                file.write(before + text)
            before = between

        yield write
        with _told(path):
            file.write(tail if before == between else "[]\n" if head else "")
            stack.pop_all().close()


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}; give another --output") from error
