"""Training a tagger from dataset files to a network that loads."""

import json
from pathlib import Path

import pytest

from pipeline.train_tagger import train_tagger
from schemas import BadInputError, UserError
from stages.alif.checkpoint import checkpoint_sha256, load_checkpoint
from stages.threads import one_thread

SMALL = {"steps": 3, "batch_size": 2, "short_side": 48, "save_every": 2, "report_every": 1}


@pytest.fixture(autouse=True)
def alone():
    """The order of sums, and so the last bit, depends on the number of threads."""
    with one_thread():
        yield


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    path = tmp_path / "scenes.yaml"
    path.write_text("dataset: {format: scenes, count: 8, seed: 3}\n")
    return path


def triplets(folder: Path, *triplets: list) -> Path:
    (folder / "pictures").mkdir(exist_ok=True)
    lines = [json.dumps({"image": "1.jpg", "width": 64, "height": 48, "triplets": list(triplets)})]
    (folder / "triplets.jsonl").write_text("\n".join(lines) + "\n")
    path = folder / "triplets.yaml"
    path.write_text("dataset: {format: triplets, annotations: triplets.jsonl, images: pictures}\n")
    return path


RIDE = ["person", [1, 1, 30, 40], "ride", "horse", [2, 10, 40, 47]]


def quiet(_line: str) -> None:
    """Nobody reads it."""


def test_same_seed_gives_the_same_network_and_another_seed_another(tmp_path: Path, scenes: Path) -> None:
    lines: list[str] = []
    first = train_tagger([scenes], tmp_path / "1", seed=5, report=lines.append, **SMALL)
    second = train_tagger([scenes], tmp_path / "2", seed=5, report=quiet, num_threads=3, **SMALL)
    other = train_tagger([scenes], tmp_path / "3", seed=6, report=quiet, **SMALL)
    assert first.sha256 == second.sha256 != other.sha256
    for name in ("config.json", "model.safetensors", "tokenizer.json", "training.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name
    assert len(lines) == 3
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == [
        "config.json", "metrics.jsonl", "model.safetensors", "tokenizer.json", "training.json",
    ]  # fmt: skip
    loaded = load_checkpoint(tmp_path / "1")
    assert first.num_parameters == sum(parameter.numel() for parameter in loaded.model.parameters())
    assert first.sha256 == checkpoint_sha256(tmp_path / "1")
    assert (first.num_pictures, first.num_without_negatives, first.num_rejected) == (8, 0, 0)
    assert (loaded.config.picture.short_side, loaded.config.picture.longest) == (48, 80)


def test_a_stopped_training_goes_on_to_the_same_network(tmp_path: Path, scenes: Path) -> None:
    def stop(line: str) -> None:
        if line.startswith("step 3"):
            raise KeyboardInterrupt

    whole = train_tagger([scenes], tmp_path / "whole", report=quiet, **SMALL)
    with pytest.raises(KeyboardInterrupt):
        train_tagger([scenes], tmp_path / "parts", report=stop, **SMALL)
    with pytest.raises(BadInputError, match="has files already"):
        train_tagger([scenes], tmp_path / "parts", report=quiet, **SMALL)
    with pytest.raises(BadInputError, match=r"training\.steps 3, now it is 4"):
        train_tagger([scenes], tmp_path / "parts", resume=True, report=quiet, **SMALL | {"steps": 4})
    resumed = train_tagger([scenes], tmp_path / "parts", resume=True, report=quiet, **SMALL)
    assert resumed.sha256 == whole.sha256
    with pytest.raises(BadInputError, match="its training is finished"):
        train_tagger([scenes], tmp_path / "parts", resume=True, report=quiet, **SMALL)


def test_a_network_can_be_trained_further_on_another_dataset(tmp_path: Path, scenes: Path) -> None:
    first = train_tagger([scenes], tmp_path / "first", report=quiet, **SMALL)
    settings = {name: value for name, value in SMALL.items() if name != "short_side"}
    more = tmp_path / "more.yaml"
    more.write_text("dataset: {format: scenes, count: 3, seed: 4}\n")
    second = train_tagger([more], tmp_path / "second", network=str(tmp_path / "first"), report=quiet, **settings)
    assert first.num_parameters == second.num_parameters
    assert first.sha256 != second.sha256
    tokenizers = [(tmp_path / name / "tokenizer.json").read_bytes() for name in ("first", "second")]
    assert tokenizers[0] == tokenizers[1]
    assert load_checkpoint(tmp_path / "second").config.picture.short_side == 48


def test_the_loss_of_eight_scenes_falls(tmp_path: Path, scenes: Path) -> None:
    train_tagger([scenes], tmp_path / "network", steps=24, batch_size=4, short_side=32, report_every=8, report=quiet)
    lines = [json.loads(line) for line in (tmp_path / "network" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [8, 16, 24]
    assert lines[-1]["loss"] < 0.9 * lines[0]["loss"]
    assert lines[-1]["predicate"] < 0.8 * lines[0]["predicate"]


def test_a_dataset_that_denies_nothing_teaches_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="nothing in triplets says that a relation does not hold"):
        train_tagger([triplets(tmp_path, RIDE)], tmp_path / "network", **SMALL)
    assert not (tmp_path / "network").exists()


def test_a_dataset_without_relations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no human relations in triplets"):
        train_tagger([triplets(tmp_path)], tmp_path / "network", **SMALL)


def test_missing_pictures_are_told(tmp_path: Path) -> None:
    job = triplets(tmp_path, RIDE)
    with pytest.raises(BadInputError, match=r"not one picture of a batch can be read; the first: .*FileNotFoundError"):
        train_tagger([job], tmp_path / "network", assume_complete=True, **SMALL)


def test_a_text_that_is_too_long_is_told_before_the_training(tmp_path: Path) -> None:
    long = [*RIDE[:2], "ride " * 40, *RIDE[3:]]
    with pytest.raises(BadInputError, match=r"the text 'ride ride .* has 42 tokens, but the network takes 32"):
        train_tagger([triplets(tmp_path, long)], tmp_path / "network", assume_complete=True, **SMALL)
    assert not (tmp_path / "network").exists()


def test_impossible_settings_are_told(tmp_path: Path, scenes: Path) -> None:
    with pytest.raises(UserError, match="steps is 0"):
        train_tagger([scenes], tmp_path / "network", **SMALL | {"steps": 0})
    with pytest.raises(UserError, match="learning_rate is 0"):
        train_tagger([scenes], tmp_path / "network", learning_rate=0, **SMALL)
    with pytest.raises(UserError, match="short_side is 0"):
        train_tagger([scenes], tmp_path / "network", **SMALL | {"short_side": 0})
    with pytest.raises(BadInputError, match="no such file"):
        train_tagger([scenes], tmp_path / "network", network=str(tmp_path / "nowhere"), **SMALL)
