import builtins
import collections
import gzip
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import BadInputError
from stages.evaluate.allowed_pickle import load_pickle

PROTOCOLS = pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))

PLAIN = [
    {"image_id": 165, "person_box": [0.5, -1.0, 2e10, float("inf")], "name": "Füße", "none": None, "yes": True},
    ("a", b"bytes", b"", 1 << 80, [], {}),
]
ARRAYS = [
    np.array([1.5, np.nan, -0.0]),
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.arange(12.0).reshape(3, 4)[:, ::2],
    np.array([[True, False]]),
    np.array([1, 2], dtype=">u2"),
    np.array(3.5, dtype=np.float16),
    np.zeros((0, 4)),
    np.int64(7),
    np.float32(0.25),
    np.bool_(True),
]

# [{'image_id': 165, 'hold_obj': np.array([1, 2], 'f4'), 's': np.float32(0.5)}] in the steps of Python 2: text is bytes,
# and so is what is in an array.
PYTHON_2 = (
    b"\x80\x02]q\x01}q\x02(U\x08image_idq\x03K\xa5U\x08hold_objq\x04cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\n"
    b"ndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07(K\x01K\x02\x85cnumpy\ndtype\nq\x08U\x02f4K\x00K\x01\x87Rq\t(K\x03U\x01<NNN"
    b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08\x00\x00\x80?\x00\x00\x00@tbU\x01scnumpy.core.multiarray\nscalar\n"
    b"q\nh\tU\x04\x00\x00\x00?\x86Rq\x0bua."
)


class Calls:
    """Pickled as a call of any function."""

    def __init__(self, function: Any, *values: Any) -> None:
        self._call = (function, values)

    def __reduce__(self) -> Any:
        return self._call


def written(folder: Path, data: bytes) -> str:
    path = folder / "a.pkl"
    path.write_bytes(data)
    return str(path)


@PROTOCOLS
def test_plain_data_loads_from_every_protocol(tmp_path: Path, protocol: int) -> None:
    assert load_pickle(written(tmp_path, pickle.dumps(PLAIN, protocol))) == PLAIN


@PROTOCOLS
def test_arrays_and_scalars_load_from_every_protocol(tmp_path: Path, protocol: int) -> None:
    loaded = load_pickle(written(tmp_path, pickle.dumps(ARRAYS, protocol)))
    for found, array in zip(loaded, ARRAYS, strict=True):
        # NumPy too turns the bytes of a foreign machine round as it loads them.
        assert (found.dtype.newbyteorder("="), found.shape) == (array.dtype.newbyteorder("="), array.shape)
        assert isinstance(found, np.ndarray) == isinstance(array, np.ndarray)
        np.testing.assert_array_equal(found, array)


@PROTOCOLS
def test_numpy_before_version_2_called_its_modules_otherwise(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps(ARRAYS, protocol)
    core, old = b"numpy._core.", b"numpy.core."
    for module in (b"multiarray", b"numeric"):
        name, old_name = core + module, old + module
        for before, after in ((b"\x8c", b""), (b"c", b"\n")):
            # As a short string with its length in front (protocol 4 and 5), or as a line of a global.
            length = (bytes([len(name)]), bytes([len(old_name)])) if before == b"\x8c" else (b"", b"")
            data = data.replace(before + length[0] + name + after, before + length[1] + old_name + after)
    assert core not in data
    if protocol >= 4:
        # Frames carry their length, which has changed.
        data = data[:2] + data[11:]
    np.testing.assert_array_equal(load_pickle(written(tmp_path, data))[1], ARRAYS[1])


def test_python_2_pickles_load(tmp_path: Path) -> None:
    ((entry),) = load_pickle(written(tmp_path, PYTHON_2))
    assert entry["image_id"] == 165
    assert entry["hold_obj"].tolist() == [1.0, 2.0]
    assert (entry["s"], entry["s"].dtype) == (0.5, np.float32)


def test_gzip_is_decompressed(tmp_path: Path) -> None:
    assert load_pickle(written(tmp_path, gzip.compress(pickle.dumps(PLAIN)))) == PLAIN


@PROTOCOLS
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda mark: (os.system, f"touch {mark}"), f"{os.name}.system"),
        (lambda mark: (builtins.eval, f"open({mark!r}, 'w')"), "eval"),
        (lambda mark: (builtins.exec, f"open({mark!r}, 'w')"), "exec"),
        (lambda mark: (builtins.open, mark, "w"), "open"),
        (lambda mark: (os.mkdir, mark), "mkdir"),
        (lambda mark: (np.save, mark, [1]), "save"),
        (lambda mark: (getattr, "os", "system"), "getattr"),
        (lambda mark: (collections.OrderedDict,), "collections.OrderedDict"),
    ],
)
def test_any_other_function_is_refused_by_name_and_not_called(
    tmp_path: Path, call: Any, name: str, protocol: int
) -> None:
    mark = tmp_path / "called"
    path = written(tmp_path, pickle.dumps([1, Calls(*call(str(mark)))], protocol))
    with pytest.raises(BadInputError, match=r"a\.pkl.*refused") as refused:
        load_pickle(path)
    assert name in str(refused.value)
    assert not mark.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'touch {}'\ntR.",
        b"(S'touch {}'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch {}'\no.",
        b"cnumpy.core.multiarray\nos.system\n(S'touch {}'\ntR.",
        b"\x80\x04\x8c\x05numpy\x8c\x0andarray.dump\x93(\x8c\x04{}tR.",
        b"cbuiltins\n__import__\n(S'os'\ntR.",
        b"c__main__\nanything\n(tR.",
        b"\x80\x02\x82\x01.",
    ],
)
def test_hand_written_calls_are_refused(tmp_path: Path, data: bytes) -> None:
    mark = tmp_path / "called"
    with pytest.raises(BadInputError, match=r"a\.pkl"):
        load_pickle(written(tmp_path, data.replace(b"{}", str(mark).encode())))
    assert not mark.exists()


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, None], dtype=object),
        np.array(["text"]),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        np.array([1j]),
        np.datetime64("2020-01-01"),
        np.ma.masked_array([1.0], [True]),
        np.array([1.0]).view(np.recarray),
        np.dtype(object),
    ],
    ids=lambda array: type(array).__name__,
)
@PROTOCOLS
def test_arrays_of_anything_but_numbers_are_refused(tmp_path: Path, array: Any, protocol: int) -> None:
    with pytest.raises(BadInputError, match=r"a\.pkl"):
        load_pickle(written(tmp_path, pickle.dumps(array, protocol)))


@pytest.mark.parametrize(
    "data",
    [
        # An array that claims more elements than the file has bytes for; a negative and an enormous shape.
        PYTHON_2.replace(b"K\x01K\x02\x85c", b"K\x01K\x64\x85c"),
        PYTHON_2.replace(b"K\x01K\x02\x85c", b"K\x01J\xff\xff\xff\xff\x85c"),
        PYTHON_2.replace(b"K\x01K\x02\x85c", b"K\x01\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85c"),
        # Element types that name an object, or state a record in the place where only a byte order belongs.
        PYTHON_2.replace(b"U\x02f4", b"U\x02O8"),
        PYTHON_2.replace(b"U\x01<NNN", b"U\x01QNNN"),
        # Attributes are set on a function, and one is made a class of.
        b"cnumpy\nndarray\n}S'__doc__'\nS'mine'\nsb.",
        b"cnumpy.core.multiarray\nscalar\nN}S'__defaults__'\n(K\x01tst\x86b.",
        b"\x80\x02cnumpy\nndarray\n(K\x02t\x81.",
        b"cnumpy\nndarray\n(K\x02tR.",
        b"cnumpy.core.multiarray\nscalar\n(tR.",
        b"c_codecs\nencode\n(S'a'\nS'zlib'\ntR.",
    ],
)
def test_what_an_allowed_name_is_misused_for_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadInputError, match=r"a\.pkl: not a pickle that can be read"):
        load_pickle(written(tmp_path, data))


@settings(max_examples=60)
@given(st.data())
def test_a_file_that_is_cut_short_or_damaged_is_bad_input_or_loads(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = data.draw(st.sampled_from([PYTHON_2, pickle.dumps(PLAIN, 0), pickle.dumps(ARRAYS[:3], 4)]))
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    if damaged and data.draw(st.booleans()):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = written(tmp_path_factory.mktemp("damaged"), bytes(damaged))
    if len(damaged) < len(whole):
        with pytest.raises(BadInputError, match=r"a\.pkl"):
            load_pickle(path)


@pytest.mark.parametrize("data", [b"", b"[1, 2]", b"\x1f\x8bnot gzip", b"\x80\x05", b"\x80\xff.", b"x" * 5000])
def test_what_is_no_pickle_is_bad_input(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadInputError, match=r"a\.pkl"):
        load_pickle(written(tmp_path, data))


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no such file"):
        load_pickle(str(tmp_path / "none.pkl"))


def test_nesting_is_bounded(tmp_path: Path) -> None:
    shared = within = [1]
    for _ in range(31):
        within = [within, within]  # a walk that did not notice what is shared would take 2 ** 31 steps
    assert load_pickle(written(tmp_path, pickle.dumps(within)))[0][1] is not None
    assert shared == [1]
    for value in ([within], {"a": {"b": within}}):
        with pytest.raises(BadInputError, match="nested more than 32 deep"):
            load_pickle(written(tmp_path, pickle.dumps(value)))
    with pytest.raises(BadInputError, match="nested more than 32 deep"):
        load_pickle(
            written(tmp_path, b"]" * (sys.getrecursionlimit() * 5) + b"a" * (sys.getrecursionlimit() * 5 - 1) + b".")
        )
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(BadInputError, match="nested more than 32 deep"):
        load_pickle(written(tmp_path, pickle.dumps(endless)))
