"""A drawn relation is found again in its output, or the reader says why not."""

import shutil
from dataclasses import replace

import pytest
from audit_sample_made import labelled_by_prior, sample_of_all

from schemas import BadInputError
from stages.audit import check_output, read_item
from stages.storage import Folder


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return labelled_by_prior(tmp_path_factory.mktemp("labelled") / "out", 12)


def test_every_item_is_read_back(output, tmp_path):
    sample, items = sample_of_all(output, tmp_path / "sample")
    folder = Folder(sample.output)
    check_output(sample, folder)
    for item in items:
        scene = read_item(folder, item)
        relation = scene.relations[item.relation]
        assert (relation.subject, relation.predicate, relation.object) == (
            item.subject_id, item.predicate, item.object_id,
        )  # fmt: skip
        assert scene.image.data.startswith(b"\xff\xd8")
        assert read_item(folder, item, pixels=False).image.data is None


def test_no_path_leads_out_of_the_output(output, tmp_path):
    _, (item, *_) = sample_of_all(output, tmp_path / "sample")
    for name in ("../sample/items.jsonl", "/etc/passwd", "shards/../../x", "", "a\0b"):
        with pytest.raises(BadInputError, match="no name of a file in the output"):
            read_item(Folder(str(output)), replace(item, shard=name))


def test_a_damaged_or_missing_shard_is_told(output, tmp_path):
    _, (item, *_) = sample_of_all(output, tmp_path / "sample")
    copy = tmp_path / "copy"
    shutil.copytree(output, copy)
    shard = copy / item.shard
    data = bytearray(shard.read_bytes())
    data[item.image.offset + 5] ^= 1
    shard.write_bytes(data)
    with pytest.raises(BadInputError, match=r"image of .* is damaged"):
        read_item(Folder(str(copy)), item)
    assert read_item(Folder(str(copy)), item, pixels=False).key == item.key
    shard.unlink()
    with pytest.raises(BadInputError, match="bring the output back"):
        read_item(Folder(str(copy)), item)


def test_a_place_of_another_scene_is_told(output, tmp_path):
    _, items = sample_of_all(output, tmp_path / "sample")
    other = next(item for item in items if item.key != items[0].key)
    with pytest.raises(BadInputError, match="Draw a sample anew"):
        read_item(Folder(str(output)), replace(items[0], shard=other.shard, scene=other.scene))
    with pytest.raises(BadInputError, match="Draw a sample anew"):
        read_item(Folder(str(output)), replace(items[0], relation=999))
