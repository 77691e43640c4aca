"""Chunks of captions to JSON lines, in order: in this process, or in worker processes.

Processes of our own rather than `concurrent.futures`: a worker ends when this process is gone, however it went; a dead
one is noticed at once; and after an error nothing waits for chunks that nobody will read.
"""

import contextlib
import json
import multiprocessing
import signal
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Protocol, cast

from pipeline.load_parser import load_parser
from schemas import RelmillError

if TYPE_CHECKING:
    from stages.parse.parsed import Parse

Chunk = Sequence[str]

# Chunks taken before the first of them is written, per worker: one at work, and one done out of turn.
_AHEAD = 2
# Some readers take these for ends of lines, too.
_LINE_ENDS = str.maketrans({"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_LOADING = -1


class Parser(Protocol):
    """What parses: a `CaptionParser`."""

    def parse(self, texts: Iterable[str]) -> "list[Parse]":
        """The parse of each text, in order."""


def json_line(parse: "Parse", caption: str) -> bytes:
    """The line of one caption, in UTF-8, with its line feed and no other end of line in it."""
    document = parse.to_json(caption)
    line = json.dumps(document, ensure_ascii=False)
    if not line.isascii():
        line = line.translate(_LINE_ENDS)
    try:
        return line.encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, which only an escape can say
        return json.dumps(document).encode() + b"\n"


def parse_here(chunks: Iterable[Chunk], parser: Parser) -> Generator[bytes]:
    """The lines of each chunk, in order."""
    for chunk in chunks:
        yield _lines(parser, chunk)


def parse_in_workers(chunks: Iterable[Chunk], *, model: str, num_workers: int) -> Generator[bytes]:
    """The lines of each chunk, in order; what `chunks` raises comes after the lines of the chunks before it.

    Raises:
        BadInputError: if the pipeline cannot be loaded.
        RelmillError: if a worker died.
    """
    source = _with_failure(chunks)
    failure: RelmillError | None = None
    more = True
    num_taken = num_written = 0
    done: dict[int, bytes] = {}
    with _started(num_workers, model) as workers:
        idle: list[Connection] = []
        busy = dict.fromkeys(workers, _LOADING)
        while more or num_written < num_taken:
            while more and idle and num_taken < num_written + _AHEAD * num_workers:
                chunk = next(source, None)
                if chunk is None or isinstance(chunk, RelmillError):
                    more, failure = False, chunk
                else:
                    busy[idle[-1]] = num_taken
                    _send(idle.pop(), chunk)
                    num_taken += 1
            for worker in _ready(busy):
                done[busy.pop(worker)] = _receive(worker)
                idle.append(worker)
            done.pop(_LOADING, None)
            while num_written in done:
                yield done.pop(num_written)
                num_written += 1
    if failure is not None:
        raise failure


def _lines(parser: Parser, captions: Chunk) -> bytes:
    return b"".join(json_line(parse, caption) for parse, caption in zip(parser.parse(captions), captions, strict=True))


def _with_failure(chunks: Iterable[Chunk]) -> Iterator[Chunk | RelmillError]:
    """The chunks, then the error that ended them, if any."""
    try:
        yield from chunks
    except RelmillError as error:
        yield error


@contextlib.contextmanager
def _started(num_workers: int, model: str) -> Iterator[list[Connection]]:
    """Connections to new workers, which are gone afterwards."""
    # Not forked: a child must not share the threads and open files of whatever called.
    context = multiprocessing.get_context("spawn")
    processes = []
    connections = []
    try:
        with _interrupts_ignored():
            for _ in range(num_workers):
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(theirs, model), daemon=True)
                process.start()
                theirs.close()  # the worker's is then the only one, and closed when it dies
                processes.append(process)
                connections.append(ours)
        yield connections
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Children started inside ignore Ctrl-C, which a terminal sends to them, too; this process ends them."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set it
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(connection: Connection, model: str) -> None:
    """The life of a worker: load, say so, then lines for chunks until nobody is there."""
    try:
        parser = load_parser(model)
    except RelmillError as error:
        connection.send(error)
        return
    lines = b""
    while True:
        try:
            connection.send(lines)
            chunk = connection.recv()
        except (EOFError, OSError):
            return
        lines = _lines(parser, chunk)


def _ready(busy: Iterable[Connection]) -> list[Connection]:
    """The workers that have something to say; waits until one has, unless none is busy."""
    waited_for = list(busy)
    return cast(list[Connection], wait(waited_for)) if waited_for else []


def _send(worker: Connection, chunk: Chunk) -> None:
    try:
        worker.send(chunk)
    except OSError as error:
        raise _died() from error


def _receive(worker: Connection) -> bytes:
    try:
        result = worker.recv()
    except (EOFError, OSError) as error:
        raise _died() from error
    if isinstance(result, RelmillError):
        raise result
    assert isinstance(result, bytes)
    return result


def _died() -> RelmillError:
    return RelmillError(
        "a worker of `relmill parse` died, killed or out of memory; what is written so far is right. "
        "Run it again, with a smaller --jobs if memory is short"
    )
