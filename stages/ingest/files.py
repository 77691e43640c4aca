"""Annotation files: opened, measured and hashed through fsspec, their faults told to the user."""

import contextlib
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import fsspec

from schemas import BadInputError, RelmillError, TransientError, UserError

_CHUNK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


@contextlib.contextmanager
def open_input(path: str) -> Iterator[BinaryIO]:
    """Open an annotation file for reading, decompressed if its first bytes say gzip.

    Raises:
        BadInputError: if it is missing, unreadable, or damaged gzip (also while it is being read).
        TransientError: if the store failed (also while it is being read).
    """
    with _opened(path) as raw:
        if raw.peek(2)[:2] != _GZIP_MAGIC:
            yield cast(BinaryIO, raw)
            return
        try:
            with gzip.GzipFile(fileobj=raw) as file:
                yield cast(BinaryIO, file)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadInputError(f"{path}: damaged gzip ({error}); fetch the file again") from error


@contextlib.contextmanager
def open_text(path: str) -> Iterator[io.TextIOWrapper]:
    """As `open_input`, decoded as UTF-8 (a byte order mark is dropped), line ends kept as they are."""
    with open_input(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        try:
            yield text
        except UnicodeDecodeError as error:
            raise BadInputError(f"{path}: not UTF-8 text ({error.reason}); is it another kind of file?") from error
        finally:
            text.detach()


def content_sha256(path: str) -> str:
    """SHA-256, in hex, of the file's bytes as stored."""
    digest = hashlib.sha256()
    with _opened(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def _opened(path: str) -> Iterator[io.BufferedReader]:
    with contextlib.ExitStack() as stack:
        with _explained(path):
            file = stack.enter_context(fsspec.open(path, "rb"))
        yield io.BufferedReader(_Explained(file, path), _CHUNK_BYTES)


class _Explained(io.RawIOBase):
    """A file whose reads raise our errors, whatever the store's client raises."""

    def __init__(self, file: Any, path: str) -> None:
        self._file, self._path = file, path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _explained(self._path):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except RelmillError:
        raise
    except FileNotFoundError as error:
        raise BadInputError(f"{path}: no such file; correct the path, which in a job is one of `dataset`'s") from error
    except PermissionError as error:
        raise BadInputError(f"{path}: no permission to read it; grant it, or correct the path") from error
    except IsADirectoryError as error:
        raise BadInputError(f"{path}: is a folder; give the file in it") from error
    except (ImportError, ValueError) as error:
        raise UserError(f"{path}: cannot be opened: {error}") from error
    except Exception as error:
        raise TransientError(f"{path}: cannot be read: {error}") from error
