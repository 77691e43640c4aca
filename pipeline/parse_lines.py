"""`relmill parse`: a caption a line in, a JSON line out, as a stream in bounded memory."""

import contextlib
import os
import sys
from collections.abc import Generator, Iterable, Iterator
from typing import BinaryIO

from pipeline.load_parser import load_parser
from pipeline.parse_workers import Chunk, parse_here, parse_in_workers
from schemas import BadInputError, StorageError, UserError

STDIN = "-"
# A chunk is what a worker gets at once, and ends at either: about a third of a second of work, twice the captions of a
# batch. The characters bound memory and time where lines are paragraphs.
CHUNK_LINES = 512
CHUNK_CHARACTERS = 1 << 16
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def print_parses(file: str, *, model: str, num_jobs: int = 1) -> None:
    """Write the JSON line of each line of `file` to standard output. Ends quietly when nobody reads it any more.

    Args:
        file: a path, or `-` for standard input.
        model: `builtin`, the name of an installed spaCy package, or a folder.
        num_jobs: processes that parse; with 1, it is this one. The output does not depend on it.

    Raises:
        UserError: if `num_jobs` is below 1.
        BadInputError: if the file cannot be read or is not UTF-8; the lines before the place are written.
        StorageError: if standard output takes no more.
        RelmillError: if a worker died.
    """
    if num_jobs < 1:
        raise UserError(f"--jobs is {num_jobs}; give the number of processes that parse, at least 1")
    with _opened(file) as lines:
        chunks = read_chunks(lines, "standard input" if file == STDIN else file)
        with contextlib.closing(_parsed(chunks, model, num_jobs)) as parsed:
            _write(parsed, sys.stdout.buffer)


def read_chunks(lines: Iterable[bytes], name: str) -> Iterator[Chunk]:
    """The captions of a stream of lines, a chunk at a time. Ends of lines, LF or CRLF, are taken off; blank lines stay.

    Raises:
        BadInputError: at a line that is not UTF-8, after the captions before it; names the file and the line.
    """
    chunk: list[str] = []
    num_characters = 0
    for number, line in enumerate(_told(lines, name), start=1):
        text = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
        try:
            caption = text.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            yield chunk
            raise BadInputError(
                f"{name}: line {number} is not UTF-8 ({error.reason} at byte {error.start + 1}); convert it, "
                f"e.g. with iconv"
            ) from error
        chunk.append(caption)
        num_characters += len(caption)
        if len(chunk) == CHUNK_LINES or num_characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, num_characters = [], 0
    if chunk:
        yield chunk


def _told(lines: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The lines; a fault of the disk becomes an error of ours."""
    try:
        yield from lines
    except OSError as error:
        raise BadInputError(f"{name}: cannot be read on: {error.strerror}; what was read of it is written") from error


def _parsed(chunks: Iterable[Chunk], model: str, num_jobs: int) -> Generator[bytes]:
    if num_jobs == 1:
        return parse_here(chunks, load_parser(model))
    return parse_in_workers(chunks, model=model, num_workers=num_jobs)


@contextlib.contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == STDIN:
        yield sys.stdin.buffer
        return
    # Not fsspec, which cannot read a pipe: `relmill parse <(zcat captions.gz)`.
    try:
        lines = open(file, "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise BadInputError(f"{file}: cannot be read: {error.strerror}; give a file of captions, one a line") from error
    with lines:
        yield lines


def _write(parts: Iterable[bytes], out: BinaryIO) -> None:
    for part in parts:
        try:
            out.write(part)
            out.flush()
        except OSError as error:
            # What is left in the buffer has to go somewhere when the process ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
            if isinstance(error, BrokenPipeError):  # `| head` has seen enough
                return
            raise StorageError(f"standard output cannot be written: {error.strerror}") from error
