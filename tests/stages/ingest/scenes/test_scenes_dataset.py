"""The public face: records, pictures, and what they promise about determinism."""

import hashlib
import io
import pickle
import re

import pytest
from PIL import Image

from schemas import Scene, UserError, scene_from_json, scene_to_json
from stages.ingest.dataset import Dataset
from stages.ingest.scenes import open_scenes


def dataset(count=40, seed=3, name="scenes", limit=None):
    return open_scenes(count=count, seed=seed, name=name, limit=limit)


def test_is_a_dataset_without_source_files():
    opened: Dataset = dataset()
    assert opened.name == "scenes"
    assert opened.boxes_are_fractions is False


def test_same_seed_gives_the_same_records_and_bytes():
    first, second = dataset(count=6), dataset(count=6)
    assert list(first.records()) == list(second.records())
    for scene in first.records():
        data = first.images().read(scene.image.name)
        assert data == first.images().read(scene.image.name) == second.images().read(scene.image.name)


def test_another_seed_gives_other_pictures():
    first, second = dataset(count=5, seed=1), dataset(count=5, seed=2)
    for one, other in zip(first.records(), second.records(), strict=True):
        assert one.regions != other.regions
        assert first.images().read(one.image.name) != second.images().read(other.image.name)


def test_a_picture_depends_on_neither_count_nor_limit():
    wide, narrow, limited = dataset(count=40), dataset(count=7), dataset(count=40, limit=7)
    records = list(wide.records())
    assert list(narrow.records()) == records[:7] == list(limited.records())
    name = records[6].image.name
    assert wide.images().read(name) == narrow.images().read(name) == limited.images().read(name)


def test_keys_are_sorted_unique_and_bear_the_name():
    keys = [scene.key for scene in dataset(name="toys").records()]
    assert len(keys) == 40
    assert keys == sorted(set(keys))
    assert all(re.fullmatch(r"toys-[0-9]{8}", key) for key in keys)


def test_every_setting_changes_the_fingerprint():
    settings = {"count": 40, "seed": 3, "name": "scenes", "limit": None}
    changes = ({}, {"count": 41}, {"seed": 4}, {"name": "other"}, {"limit": 5})
    found = [open_scenes(**(settings | change)).fingerprint() for change in changes]
    assert len(set(found)) == len(changes)
    assert open_scenes(**settings).fingerprint() == found[0]


def test_the_picture_is_what_its_record_says():
    opened = dataset(count=8)
    images = pickle.loads(pickle.dumps(opened.images()))
    for scene in opened.records():
        data = images.read(scene.image.name)
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
            assert picture.format == "JPEG"
            assert picture.mode == "RGB"
            assert picture.size == (scene.image.width, scene.image.height)


@pytest.mark.parametrize("name", ["00000040.jpg", "0.jpg", "00000001.png", "../00000001.jpg", "", "٠٠٠٠٠٠٠١.jpg"])
def test_an_unknown_name_is_a_missing_file(name):
    with pytest.raises(FileNotFoundError, match=r"00000000\.jpg to 00000039\.jpg"):
        dataset().images().read(name)


def test_a_count_beyond_the_file_names_is_refused():
    with pytest.raises(UserError, match=r"dataset\.count: is 100000001"):
        dataset(count=100_000_001)


def test_records_survive_json():
    for scene in dataset(count=5).records():
        assert isinstance(scene, Scene)
        assert scene_from_json(scene_to_json(scene)) == scene


def test_the_first_pictures_are_pinned():
    """Fails when any picture's record changes: then raise GENERATOR_VERSION and put the new digest here."""
    digest = hashlib.sha256(b"\n".join(scene_to_json(scene) for scene in dataset(count=20, seed=0).records()))
    assert digest.hexdigest()[:16] == "1710d7562a39f828"
