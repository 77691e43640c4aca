"""The pieces that readers are made of: keys, the join on disk, the JSON window, predicates."""

import json
import os
import re
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import BadInputError, StorageError
from stages.ingest import canonical_predicate, json_stream
from stages.ingest.draft import Draft
from stages.ingest.json_stream import json_array, json_lists
from stages.ingest.keys import file_safe
from stages.ingest.merge import MergedRegions, iou
from stages.ingest.predicates import states_denial
from stages.ingest.spool import Part, Spool

IDS = st.text(max_size=8) | st.text(string.ascii_letters + "-._/ ", max_size=8) | st.text(min_size=90, max_size=300)


@given(IDS, IDS)
def test_keys_are_file_safe_short_and_different_for_different_ids(one: str, other: str) -> None:
    safe = file_safe(one)
    assert re.fullmatch(r"[A-Za-z0-9_-]*", safe)
    assert len(safe) <= 100
    assert (safe == file_safe(other)) == (one == other)


@pytest.mark.parametrize(
    ("image_id", "expected"),
    [
        ("397133", "397133"),
        ("HICO_train2015_00000001", "HICO_train2015_00000001"),
        ("a.b", "a-2Eb"),
        ("a-2Eb", "a-2D2Eb"),
        ("\u00e9", "-C3-A9"),
        ("\u0663", "-D9-A3"),
        ("x" * 101, "x" * 60 + "--c675a2e604b0cd1229c036e3ce0c8742"),
    ],
)
def test_keys_people_rely_on(image_id: str, expected: str) -> None:
    # Keys are in every shard: this table may grow, but no line of it may change.
    assert file_safe(image_id) == expected


PARTS = st.lists(
    st.tuples(
        st.sampled_from(["9", "10", "a", "A", "a.b", "\u00e9", "\ud800"]), st.integers(0, 3), st.floats() | st.text()
    ),
    max_size=30,
)


@given(parts=PARTS, shuffle=st.randoms(use_true_random=False))
def test_spool_groups_and_sorts_whatever_the_order_of_insertion(parts: list[Any], shuffle: Any) -> None:
    def through_spool(some: list[Any]) -> list[tuple[str, list[tuple[int, str]]]]:
        with Spool() as spool:
            spool.add(Part(*part) for part in some)
            return [(key, [(kind, repr(body)) for kind, body in group]) for key, group in spool.groups()]

    groups = through_spool(parts)
    keys = [key for key, _ in groups]
    assert keys == sorted({file_safe(image_id) for image_id, _, _ in parts})
    for key, group in groups:
        # By kind, and within a kind as they came.
        mine = [(kind, repr(body)) for image_id, kind, body in parts if file_safe(image_id) == key]
        assert group == sorted(mine, key=lambda pair: pair[0])
    mixed = list(parts)
    shuffle.shuffle(mixed)
    assert [(key, sorted(group)) for key, group in through_spool(mixed)] == [(key, sorted(g)) for key, g in groups]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to look at open files")
def test_spool_is_on_disk_under_no_name(tmp_path: Path) -> None:
    code = """
import os
from stages.ingest.spool import Part, Spool
with Spool() as spool:
    spool.add(Part(str(number), 0, "x" * 1000) for number in range(100_000))
    descriptors = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    held = [os.readlink(path) for path in descriptors if os.path.islink(path)]
    print(sum(name.startswith(os.environ["TMPDIR"]) for name in held), os.listdir(os.environ["TMPDIR"]))
"""
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1 []\n"


def test_full_temporary_disk_is_told() -> None:
    with Spool() as spool:
        spool._database.execute("PRAGMA max_page_count=10")
        with pytest.raises(StorageError, match="TMPDIR"):
            spool.add(Part(str(number), 0, "x" * 1000) for number in range(1000))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


@given(items=st.lists(JSON, max_size=12), others=JSON, indent=st.sampled_from([None, 0, 3]), ascii_=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_stream_reads_what_json_reads_through_any_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, items: list[Any], others: Any, indent: int | None, ascii_: bool
) -> None:
    path = tmp_path / "a.json"
    text = json.dumps(items, indent=indent, ensure_ascii=ascii_)
    wrapped = json.dumps({"first": others, "list": items, "last": [others]}, indent=indent, ensure_ascii=ascii_)
    for window in (3, 64, 1 << 20):
        # Numbers of Python run to 309 digits, so the look-ahead stays above.
        monkeypatch.setattr(json_stream, "_WINDOW_BYTES", window)
        monkeypatch.setattr(json_stream, "_LOOKAHEAD", 400)
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        assert repr(list(json_array(str(path), layout=""))) == repr(json.loads(text))
        path.write_text(wrapped, encoding="utf-8", errors="surrogatepass")
        elements = [element for _, index, element in json_lists(str(path), {"list"}, layout="") if index >= 0]
        assert repr(elements) == repr(json.loads(text))


@given(cut=st.integers(0, 10_000), window=st.sampled_from([7, 100, 1 << 20]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_stream_cut_anywhere_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int, window: int
) -> None:
    monkeypatch.setattr(json_stream, "_WINDOW_BYTES", window)
    text = json.dumps([{"id": i, "name": "\u00e9" * (i % 7), "box": [i / 3, -i]} for i in range(100)])
    path = tmp_path / "a.json"
    path.write_text(text[: cut % len(text)])
    with pytest.raises(BadInputError, match=re.escape(str(path))):
        list(json_array(str(path), layout="a list"))


def test_fault_in_the_middle_does_not_read_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1}, {"a" 2}' + ', {"a": 3}' * 1_000_000 + "]")
    with pytest.raises(BadInputError, match=r"at character 16: .*delimiter"):
        list(json_array(str(path), layout="a list"))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("sit_on", "sit on"),
        ("text on", "text on"),
        ("no_interaction", "interact with"),
        ("no interaction", "interact with"),
        ("interacts_with", "interact with"),
        ("hold obj", "hold"),
        ("cut instr", "cut with"),
        ("cut_instr", "cut with"),
        ("look obj", "look at"),
        ("work_on_computer instr", "work on"),
        ("talk_on_phone instr", "talk on"),
        ("ride instr", "ride"),
        ("holds", "hold"),
        ("plays", "play"),
        ("inside_of", "inside"),
        ("ON", "on"),
        ("wears", "wear"),
        ("WEARING", "wear"),
        ("has", "have"),
        ("has a", "have"),
        ("are sitting on the", "sit on"),
        ("riding", "ride"),
        ("lying on", "lie on"),
        ("laying on", "lie on"),
        ("flies", "fly"),
        ("watches", "watch"),
        ("stopped at", "stop at"),
        ("covered in", "cover in"),
        ("tied to", "tie to"),
        ("in front of", "in front of"),
        ("along", "along"),
        ("left of", "left of"),
        ("is", "be"),
        ("  On \n top  of ", "on top of"),
        (" _ ", ""),
    ],
)
def test_predicates_are_lemma_and_preposition(raw: str, expected: str) -> None:
    assert canonical_predicate(raw) == expected
    assert canonical_predicate(expected) == expected


def test_only_no_interaction_is_a_denial() -> None:
    assert states_denial("no_interaction")
    assert states_denial("No Interaction")
    assert not states_denial("interacts_with")


def test_best_overlap_wins_and_other_names_stay_apart() -> None:
    draft = Draft("k")
    merged = MergedRegions(draft)
    assert merged.add("dog", (0, 0, 10, 10)) == 0
    assert merged.add("dog", (0, 3, 10, 13)) == 1
    assert merged.add("cat", (0, 0, 10, 10)) == 2
    assert merged.add("Dog", (0, 2.2, 10, 12.2)) == 1
    assert merged.add("dog", (0, 2.2, 10, 12.2), apart_from={0}) == 1
    assert len(draft.regions) == 3
    assert iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert iou((0, 0, 1, 1), (1, 0, 2, 1)) == 0
