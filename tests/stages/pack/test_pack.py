"""Shards: deterministic tars, indexes that point at them, files named by what they hold."""

import io
import json
import tarfile
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import BadInputError, Dead, Image, InternalError, Region, Rejected, Relation, Scene, scene_from_json
from schemas.commit import Commit, Counts
from schemas.unit import Unit
from stages.pack import CommitLog, dead_letters, pack_unit, read_index, read_scene
from stages.pack.tar import verify_tar, write_tar
from stages.storage import Folder

REGIONS = (Region(0, "person", (0.0, 0.0, 4.0, 8.0)), Region(5, "horse", (1.0, 2.0, 9.0, 9.0)))
RELATION = Relation(0, 5, "ride", "riding", 0.5, "tagger")


def scene(number: int, data: bytes | None = b"picture") -> Scene:
    image = Image(f"{number}.jpg", 10, 10, "jpg", data=data)
    return Scene(f"pack-{number}", image, regions=REGIONS, relations=(RELATION,))


def unit(number: int, size: int, **fields) -> Unit:
    return Unit(number, f"unit{number}", "records", 0, 0, size, **fields)


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=6))
def test_tarfile_reads_what_was_written_and_offsets_are_true(tmp_path_factory, pictures):
    path = tmp_path_factory.mktemp("tar") / "x.tar"
    written = write_tar(path, [scene(i, data) for i, data in enumerate(pictures)])
    verify_tar(path, written)
    data = path.read_bytes()
    assert len(data) % tarfile.RECORDSIZE == 0
    with tarfile.open(path) as tar:
        names = tar.getnames()
        assert names == [f"pack-{i}.{end}" for i in range(len(pictures)) for end in ("jpg", "json")]
        for members, picture in zip(written, pictures, strict=True):
            assert tar.extractfile(members.image.name).read() == picture
            assert data[members.image.offset :][: members.image.length] == picture
            assert scene_from_json(tar.extractfile(members.json.name).read()) == members.scene


def test_equal_scenes_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_tar(tmp_path / name, [scene(1), scene(2)])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_key_too_long_for_a_plain_header_is_written_all_the_same(tmp_path):
    long = replace(scene(0), key="x-" + "9" * 150)
    written = write_tar(tmp_path / "x.tar", [long])
    verify_tar(tmp_path / "x.tar", written)
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert tar.getnames() == [f"{long.key}.jpg", f"{long.key}.json"]


@pytest.mark.parametrize("place", ["image", "json"])
def test_a_tar_that_does_not_read_back_is_not_published(tmp_path, place):
    path = tmp_path / "x.tar"
    written = write_tar(path, [scene(0)])
    data = bytearray(path.read_bytes())
    data[getattr(written[0], place).offset] ^= 1
    path.write_bytes(data)
    with pytest.raises(InternalError, match="does not read back"):
        verify_tar(path, written)


def test_a_unit_is_packed_counted_and_read_back(tmp_path):
    folder = Folder(str(tmp_path))
    outcomes = [
        scene(0),
        Rejected("pack-1", "screen", "image-missing", "gone"),
        scene(2),
        Dead("pack-3", "tag", "timeout"),
    ]
    draft = pack_unit(unit(7, 4), outcomes, folder)
    assert draft.counts == Counts(4, 2, 1, 1, 2, {"dead.tag.timeout": 1, "rejected.screen.image-missing": 1})
    rows = read_index(folder, draft)
    assert [row["key"] for row in rows] == ["pack-0", "pack-2"]
    assert rows[0]["relations"][0]["subject"] == "person"
    assert rows[0]["relations"][0]["object_box"] == [1.0, 2.0, 9.0, 9.0]
    assert read_scene(folder, rows[1]) == outcomes[2]
    assert read_scene(folder, rows[1]).image.data == b"picture"
    assert [letter["outcome"] for letter in dead_letters(folder, draft)] == ["rejected", "dead"]
    assert draft.shard.name.startswith("shards/00000007-")


def test_packing_again_finds_its_own_files(tmp_path):
    folder = Folder(str(tmp_path))
    first = pack_unit(unit(0, 1), [scene(0)], folder)
    assert pack_unit(unit(0, 1), [scene(0)], folder) == first
    assert len(list((tmp_path / "shards").iterdir())) == 1
    other = pack_unit(unit(0, 1), [scene(0, b"another picture")], folder)
    assert other.shard.name != first.shard.name, "other content, other name: nothing is overwritten"


def test_a_lost_outcome_is_a_bug_that_stops_the_unit(tmp_path):
    with pytest.raises(InternalError, match="2 records planned, 1 outcomes"):
        pack_unit(unit(0, 2), [scene(0)], Folder(str(tmp_path)))


def test_without_pixels_a_shard_holds_json_only(tmp_path):
    draft = pack_unit(unit(0, 1), [scene(0, None)], Folder(str(tmp_path)))
    with tarfile.open(tmp_path / draft.shard.name) as tar:
        assert tar.getnames() == ["pack-0.json"]
    (row,) = read_index(Folder(str(tmp_path)), draft)
    assert row["image_offset"] is None


def test_a_unit_of_which_nothing_is_written_has_no_shard(tmp_path):
    draft = pack_unit(unit(0, 1), [Rejected("a", "screen", "x")], Folder(str(tmp_path)))
    assert (draft.shard, draft.index) == (None, None)
    assert draft.dead is not None


def test_a_damaged_member_is_found_by_its_checksum(tmp_path):
    folder = Folder(str(tmp_path))
    draft = pack_unit(unit(0, 1), [scene(0)], folder)
    (row,) = read_index(folder, draft)
    path = tmp_path / draft.shard.name
    data = bytearray(path.read_bytes())
    data[row["image_offset"]] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadInputError, match=r"image of pack-0 at byte 512 is damaged"):
        read_scene(folder, row)


def test_a_retry_takes_back_what_was_counted(tmp_path):
    retried = unit(9, 2, taken_back=(("dead.tag.timeout", 2),))
    draft = pack_unit(retried, [scene(0), Dead("pack-1", "tag", "exception")], Folder(str(tmp_path)))
    assert draft.counts == Counts(0, 1, 0, -1, 1, {"dead.tag.exception": 1, "dead.tag.timeout": -2})
    assert draft.counts.balanced()
    before = Counts(planned=2, written=0, dead=2, reasons={"dead.tag.timeout": 2})
    assert before + draft.counts == Counts(2, 1, 0, 1, 1, {"dead.tag.exception": 1})


counts = st.builds(
    Counts, *[st.integers(0, 9)] * 5, st.dictionaries(st.text(min_size=1, max_size=5), st.integers(1, 9), max_size=3)
)


@given(counts, counts, counts)
def test_counts_add_up_in_any_order(a, b, c):
    assert (a + b) + c == a + (b + c)
    assert (a + b).reasons == (b + a).reasons


@given(counts)
def test_commits_survive_their_json(some):
    commit = Commit(3, "u", counts=some, totals=some + some)
    assert Commit.from_json(commit.to_json()) == commit


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"v": 9}', b'{"v": 1, "number": 0}', b"\xff"])
def test_a_damaged_commit_is_named(tmp_path, data):
    (tmp_path / "commits").mkdir()
    (tmp_path / "commits" / "00000000.json").write_bytes(data)
    with pytest.raises(BadInputError, match=r"commits/00000000\.json"):
        CommitLog(Folder(str(tmp_path))).read(0)


def test_json_members_are_plain_json(tmp_path):
    draft = pack_unit(unit(0, 1), [scene(0)], Folder(str(tmp_path)))
    with tarfile.open(tmp_path / draft.shard.name) as tar:
        document = json.load(io.TextIOWrapper(tar.extractfile("pack-0.json"), "utf-8"))
    assert document["schema"] == "relmill.scene/1"
    assert "data" not in document["image"]
