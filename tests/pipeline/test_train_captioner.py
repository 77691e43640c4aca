"""Training a captioner from dataset files to a folder that the backend `blip` loads."""

import json
from pathlib import Path

import pytest

from pipeline.train_captioner import train_captioner
from schemas import BadInputError, UserError
from schemas.job import BlipCaptions
from stages.caption import open_captioner
from stages.threads import one_thread

SMALL = {"steps": 3, "batch_size": 2, "image_size": 36, "save_every": 2, "report_every": 1}


@pytest.fixture(autouse=True)
def alone():
    """The order of sums, and so the last bit, depends on the number of threads."""
    with one_thread():
        yield


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    path = tmp_path / "scenes.yaml"
    path.write_text("dataset: {format: scenes, count: 5, seed: 3}\n")
    return path


def triplets(folder: Path) -> Path:
    """A dataset without captions."""
    (folder / "pictures").mkdir(exist_ok=True)
    said = ["person", [1, 1, 30, 40], "ride", "horse", [2, 10, 40, 47]]
    record = {"image": "1.jpg", "width": 64, "height": 48, "triplets": [said]}
    (folder / "triplets.jsonl").write_text(json.dumps(record) + "\n")
    path = folder / "triplets.yaml"
    path.write_text("dataset: {format: triplets, annotations: triplets.jsonl, images: pictures}\n")
    return path


def coco(folder: Path, *captions: str) -> Path:
    """A picture with captions, whose file is missing."""
    (folder / "pictures").mkdir(exist_ok=True)
    document = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 64, "height": 48}],
        "annotations": [{"id": i, "image_id": 1, "caption": text} for i, text in enumerate(captions)],
    }
    (folder / "captions.json").write_text(json.dumps(document))
    instances = {"images": document["images"], "annotations": [], "categories": [{"id": 1, "name": "dog"}]}
    (folder / "instances.json").write_text(json.dumps(instances))
    path = folder / "coco.yaml"
    path.write_text("dataset: {format: coco, annotations: instances.json, captions: captions.json, images: pictures}\n")
    return path


def quiet(_line: str) -> None:
    """Nobody reads it."""


def test_same_seed_gives_the_same_captioner_and_another_seed_another(tmp_path: Path, scenes: Path) -> None:
    lines: list[str] = []
    first = train_captioner([scenes], tmp_path / "1", seed=5, report=lines.append, **SMALL)
    second = train_captioner([scenes], tmp_path / "2", seed=5, report=quiet, num_threads=3, **SMALL)
    other = train_captioner([scenes], tmp_path / "3", seed=6, report=quiet, **SMALL)
    assert first.sha256 == second.sha256 != other.sha256
    names = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert names == [
        "config.json", "generation_config.json", "metrics.jsonl", "model.safetensors", "preprocessor_config.json",
        "tokenizer.json", "tokenizer_config.json", "training.json",
    ]  # fmt: skip
    for name in set(names) - {"metrics.jsonl"}:  # which has times
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name
    assert len(lines) == 3
    assert (first.num_pictures, first.num_too_long, first.num_rejected) == (5, 0, 0)
    assert first.num_bytes < 5_000_000
    details = json.loads((tmp_path / "1" / "training.json").read_text())
    assert (details["image_size"], details["batch"]["mirrored"], details["training"]["seed"]) == (36, True, 5)
    stage = open_captioner(BlipCaptions(backend="blip", model=str(tmp_path / "1")), seed=0)
    assert first.sha256 in stage.identity
    stage.setup()


def test_a_stopped_training_goes_on_to_the_same_captioner(tmp_path: Path, scenes: Path) -> None:
    def stop(line: str) -> None:
        if line.startswith("step 3"):
            raise KeyboardInterrupt

    whole = train_captioner([scenes], tmp_path / "whole", report=quiet, **SMALL)
    with pytest.raises(KeyboardInterrupt):
        train_captioner([scenes], tmp_path / "parts", report=stop, **SMALL)
    with pytest.raises(BadInputError, match="has files already"):
        train_captioner([scenes], tmp_path / "parts", report=quiet, **SMALL)
    with pytest.raises(BadInputError, match=r"training\.steps 3, now it is 4"):
        train_captioner([scenes], tmp_path / "parts", resume=True, report=quiet, **SMALL | {"steps": 4})
    resumed = train_captioner([scenes], tmp_path / "parts", resume=True, report=quiet, **SMALL)
    assert resumed.sha256 == whole.sha256
    with pytest.raises(BadInputError, match="its training is finished"):
        train_captioner([scenes], tmp_path / "parts", resume=True, report=quiet, **SMALL)


def test_a_dataset_without_captions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no captions in triplets; a captioner learns from them"):
        train_captioner([triplets(tmp_path)], tmp_path / "captioner", **SMALL)
    assert not (tmp_path / "captioner").exists()


def test_missing_pictures_are_told(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"not one picture of a batch can be read; the first: .*FileNotFoundError"):
        train_captioner([coco(tmp_path, "a dog")], tmp_path / "captioner", **SMALL)


def test_captions_that_are_all_too_long_are_told_before_the_training(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="every caption is too long: the network takes 28 tokens after the prompt"):
        train_captioner([coco(tmp_path, "dog " * 29)], tmp_path / "captioner", **SMALL)
    assert not (tmp_path / "captioner").exists()


def test_impossible_settings_and_places_are_told(tmp_path: Path, scenes: Path) -> None:
    with pytest.raises(UserError, match="steps is 0"):
        train_captioner([scenes], tmp_path / "captioner", **SMALL | {"steps": 0})
    with pytest.raises(UserError, match="batch_size is 0"):
        train_captioner([scenes], tmp_path / "captioner", **SMALL | {"batch_size": 0})
    with pytest.raises(UserError, match="image_size is 50; give a multiple of 12"):
        train_captioner([scenes], tmp_path / "captioner", **SMALL | {"image_size": 50})
    with pytest.raises(BadInputError, match="is a file; give a folder"):
        train_captioner([scenes], scenes, **SMALL)
