"""Large JSON files, element by element.

The file is decoded in a sliding window and each element by Python's own decoder. Compared with an event parser (ijson
with its C backend) this
  * reads several lists of one object in a single pass, in whatever order they stand;
  * accepts `NaN` and `Infinity`, which Python writes and C parsers refuse: one such number costs its box, not the file;
  * is no slower (measured in `benchmarks/plan_memory.py`).
Memory is one window plus one element.
"""

import codecs
import json
import re
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, NoReturn

from schemas import BadInputError
from stages.ingest.files import open_input

_WINDOW_BYTES = 1 << 20
# A value longer than this is no element of a list of annotations but a file that is not what it should be.
_LONGEST_VALUE = 64 << 20
# A number must be followed by this much text before it is believed: `12` may go on as `12.5e3` behind the window.
_LOOKAHEAD = 1024

_SPACE = re.compile(r"[ \t\n\r]*")
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")


def json_array(path: str, *, layout: str) -> Iterator[Any]:
    """The elements of a file that is one JSON list.

    Args:
        path: plain or gzipped, any fsspec URL.
        layout: what the file should look like, for the error message.

    Raises:
        BadInputError: if it is not JSON, is cut short, or is no list; names the place.
    """
    with open_input(path) as file:
        text = _Window(file, path, layout)
        if text.peek() != "[":
            text.fail(f"starts with {text.peek()!r}, not with a list")
        yield from text.array()
        text.finish()


def json_lists(path: str, names: Collection[str], *, layout: str) -> Iterator[tuple[str, int, Any]]:
    """`(name, index, element)` of the named lists of a file that is one JSON object, in file order.

    Other members are passed over. Whether a list was there at all is the caller's to check.

    Raises:
        BadInputError: as `json_array`; also if a named member is no list.
    """
    with open_input(path) as file:
        text = _Window(file, path, layout)
        if text.peek() != "{":
            text.fail(f"starts with {text.peek()!r}, not with an object")
        for name in text.members():
            if name not in names:
                text.skip()
            elif text.peek() != "[":
                text.fail(f"`{name}` is not a list")
            else:
                # A list that is empty is still announced, so that the caller can tell it from a missing one.
                yield name, -1, None
                for index, element in enumerate(text.array()):
                    yield name, index, element
        text.finish()


def starts_with(path: str) -> str:
    """The first character of a JSON file that is not white space; empty if there is none."""
    with open_input(path) as file:
        return _Window(file, path, "").peek()


class _Window:
    """The part of the text that is in memory, and where we are in it."""

    def __init__(self, file: BinaryIO, path: str, layout: str) -> None:
        self._file, self._path, self._layout = file, path, layout
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._parse = json.JSONDecoder().raw_decode
        self._text, self._at, self._passed, self._ended = "", 0, 0, False

    def fail(self, problem: str) -> NoReturn:
        expected = f"; expected {self._layout}" if self._layout else ""
        raise BadInputError(f"{self._path}: at character {self._passed + self._at}: {problem}{expected}")

    def peek(self) -> str:
        """The next character that is not white space, without taking it; empty at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            assert found is not None
            self._at = found.end()
            if self._at < len(self._text) or not self._read():
                return self._text[self._at : self._at + 1]

    def take(self, allowed: str) -> str:
        """Take one of the allowed characters."""
        char = self.peek()
        if not char:
            self.fail("the file ends here; it is cut short, fetch it again")
        if char not in allowed:
            self.fail(f"found {char!r}, not {' or '.join(allowed)}")
        self._at += 1
        return char

    def value(self) -> Any:
        """Take one whole value."""
        self.peek()
        while True:
            try:
                value, end = self._parse(self._text, self._at)
            except json.JSONDecodeError as error:
                self._more_or_fail(error)
                continue
            except (ValueError, RecursionError) as error:
                self.fail(f"not valid JSON ({error})")
            if len(self._text) - end >= _LOOKAHEAD or not self._read():
                self._at = end
                return value

    def array(self) -> Iterator[Any]:
        """Take a list, element by element."""
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            yield self.value()
            comma = _COMMA.match(self._text, self._at)
            if comma is not None:
                self._at = comma.end()
            elif self.take(",]") == "]":
                return

    def members(self) -> Iterator[str]:
        """Take an object: yields each name, upon which the caller takes the value."""
        self.take("{")
        if self.peek() == "}":
            self.take("}")
            return
        while True:
            if self.peek() != '"':
                self.take('"')
            name = self.value()
            self.take(":")
            yield name
            if self.take(",}") == "}":
                return

    def skip(self) -> None:
        """Pass over a value without holding all of it."""
        first = self.peek()
        if first == "[":
            for _ in self.array():
                pass
        elif first == "{":
            for _ in self.members():
                self.value()
        else:
            self.value()

    def finish(self) -> None:
        """The document ends here."""
        if self.peek():
            self.fail("there is more text behind the end of the JSON document")

    def _more_or_fail(self, error: json.JSONDecodeError) -> None:
        """A value that does not parse may only be cut off by the window; if it is not, that is an error."""
        length = len(self._text) - self._at
        # An unterminated string is reported where it starts; every other fault where it is.
        inside = error.pos < len(self._text) - _LOOKAHEAD and not error.msg.startswith("Unterminated string")
        if inside or length > _LONGEST_VALUE or not self._read(max(_WINDOW_BYTES, length)):
            if not inside and length <= _LONGEST_VALUE:
                self.fail(f"the file ends inside a value or is not JSON ({error.msg}); fetch it again")
            self._at = error.pos
            self.fail(f"not valid JSON ({error.msg})")

    def _read(self, count: int = _WINDOW_BYTES) -> bool:
        """Move the window on; false at the end of the file."""
        if self._ended:
            return False
        data = self._file.read(count)
        self._ended = not data
        try:
            text = self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            problem = f"{self._path}: not UTF-8 text ({error.reason}); is it another kind of file?"
            raise BadInputError(problem) from error
        if self._ended:
            return False
        self._passed += self._at
        self._text = self._text[self._at :] + text
        self._at = 0
        return True
