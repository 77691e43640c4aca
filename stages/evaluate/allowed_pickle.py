"""Published pickles of plain data, read without running what they say.

A pickle is a program: it names functions and has them called. This is the only place where Relmill reads one, and only
because evaluations were published as pickles. What a pickle may name is an explicit list, and even that is not what it
gets: each name stands for a small function of ours that takes nothing but arrays of plain numbers. NumPy's own
functions are kept out of reach because they trust the file; they would take a made-up element type for pointers.

| a pickle may hold | it is refused for |
|---|---|
| numbers, strings, bytes, None, lists, tuples and dicts | any other class or function, whatever module it is in |
| NumPy arrays and scalars of bool, int, uint or float | arrays of objects, strings, records or times |

What a file can still do is to ask for much memory.
"""

import math
import pickle
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from schemas import BadInputError, RelmillError
from stages.ingest.files import open_input

_MOST_LEVELS = 32
_ELEMENTS = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})
_EXPECTED = "a pickle of lists, dicts, numbers and NumPy arrays of numbers"


def load_pickle(path: str) -> Any:
    """What a pickle of plain data holds, of any protocol, also as written by Python 2. Gzip is decompressed.

    Arrays come as `numpy.ndarray` (of a subclass that differs only in how it is read), NumPy scalars as such.

    Raises:
        BadInputError: if it names anything but the above, is damaged or cut short, or is nested more than 32 deep.
        TransientError: if the store failed.
    """
    with open_input(path) as file:
        try:
            # Latin 1 is how Python 3 gets at the bytes of an array that Python 2 has pickled.
            value = _AllowedOnly(path, file, encoding="latin1").load()
        except RelmillError:
            raise
        except Exception as error:
            # Damage may show as almost any exception: the file is a program, and its steps no longer fit.
            found = f"{type(error).__name__}: {error}"[:200]
            raise BadInputError(f"{path}: not a pickle that can be read ({found}); expected {_EXPECTED}") from error
    _check_levels(path, value)
    return value


class _AllowedOnly(pickle.Unpickler):
    """Looks names up in our list and nowhere else."""

    def __init__(self, path: str, file: Any, *, encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self._path = path

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        allowed = _ALLOWED.get((module_name, global_name))
        if allowed is None:
            raise BadInputError(
                f"{self._path}: a pickle that asks for `{module_name}.{global_name}`, which is refused because loading "
                f"it could run any code; expected {_EXPECTED}"
            )
        return _Call(allowed)


class _Call:
    """A function that the file can call but not change: a pickle may also set attributes, of functions too."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *values: Any) -> Any:
        return self._function(*values)

    def __setstate__(self, _: Any) -> NoReturn:
        raise pickle.UnpicklingError("it sets attributes of a function")


class _Element:
    """The type of an array's elements, in place of `numpy.dtype`."""

    __slots__ = ("_code", "_order")

    def __init__(self, code: Any, *_: Any) -> None:
        self._order = "="
        if isinstance(code, str) and code[:1] in {"<", ">", "|", "="}:
            self._order, code = code[0], code[1:]
        if code not in _ELEMENTS:
            raise pickle.UnpicklingError(f"an array of elements {code!r}, which are no plain numbers")
        self._code = code

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, parts of a record ...): only the order can be said of a number.
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in {"<", ">", "|", "="}:
            raise pickle.UnpicklingError("an element type with an unknown byte order")
        self._order = state[1]

    def dtype(self) -> np.dtype[Any]:
        found: np.dtype[Any] = np.dtype(self._order + self._code)
        return found


class _Array(NDArray[Any]):
    """An array that is filled from the file after it was made: that is the order in which pickles say it."""

    def __setstate__(self, state: Any) -> None:
        _, shape, element, by_columns, data = state
        raw, dtype = _checked(data, element, shape)
        super().__setstate__((1, shape, dtype, bool(by_columns), raw))  # type: ignore[arg-type]


def _checked(data: Any, element: Any, shape: Any) -> tuple[bytes, np.dtype[Any]]:
    """The bytes of an array, of which there must be as many as its shape says, and the type of its elements."""
    if isinstance(data, str):
        data = data.encode("latin1")
    is_shape = isinstance(shape, tuple) and all(type(length) is int and length >= 0 for length in shape)
    if not is_shape or not isinstance(element, _Element) or not isinstance(data, bytes | bytearray):
        raise pickle.UnpicklingError("an array without shape, element type or bytes")
    dtype = element.dtype()
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise pickle.UnpicklingError(f"an array of shape {shape} and type {dtype} in {len(data)} bytes")
    return bytes(data), dtype


def _empty_array(*_: Any) -> NDArray[Any]:
    return np.ndarray.__new__(_Array, (0,), np.float64)


def _array(data: Any, element: Any, shape: Any, order: Any) -> NDArray[Any]:
    raw, dtype = _checked(data, element, shape)
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if order == "F" else "C").copy(order="K")


def _scalar(element: Any, data: Any) -> Any:
    raw, dtype = _checked(data, element, ())
    return np.frombuffer(raw, dtype)[0]


def _bytes_of(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in {"latin1", "latin-1"}:
        raise pickle.UnpicklingError("bytes that are not written as latin1 text")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


def _never(*_: Any) -> NoReturn:
    raise pickle.UnpicklingError("a bare `numpy.ndarray` is made")


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _never,  # named as an argument, never called
    ("numpy", "dtype"): _Element,
    # Bytes in the old protocols, empty and other.
    ("_codecs", "encode"): _bytes_of,
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "bytes"): _no_bytes,
}
for _core in ("numpy.core", "numpy._core"):  # as NumPy called it before version 2, and since
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _empty_array
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _scalar
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _array


def _check_levels(path: str, value: Any) -> None:
    """Refuse what is nested too deep, or inside itself, before someone walks through it."""
    heights: dict[int, int] = {}

    def height(one: Any, room: int) -> int:
        known = heights.get(id(one), 0)
        if room < known or room == 0:
            raise BadInputError(f"{path}: nested more than {_MOST_LEVELS} deep; expected {_EXPECTED}")
        if not known:
            inside = [*one, *one.values()] if isinstance(one, dict) else one
            known = 1 + max((height(part, room - 1) for part in inside if type(part) in _CONTAINERS), default=0)
            heights[id(one)] = known
        return known

    if type(value) in _CONTAINERS:
        height(value, _MOST_LEVELS)


_CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
