"""Training a tagger with several workers of a Ray cluster."""

import json
from pathlib import Path

import pytest
import torch
from ray_training_made import learn_without_dropout, second_worker_cannot_write
from safetensors.torch import load_file

import pipeline.train_tagger
from pipeline.runtimes.ray_training import train_with_ray
from pipeline.tagger_plan import TaggerSettings, plan_tagger
from pipeline.train_tagger import train_tagger
from pipeline.training_workers import Workers
from schemas import BadInputError, StorageError, UserError

SMALL = {"steps": 6, "batch_size": 4, "short_side": 48, "save_every": 2, "report_every": 1}


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    path = tmp_path / "scenes.yaml"
    path.write_text("dataset: {format: scenes, count: 8, seed: 3}\n")
    return path


def settings_of(scenes: Path, output: Path) -> TaggerSettings:
    others = {"network": "tiny", "seed": 0, "learning_rate": 1e-5, "assume_complete": False, "num_threads": 1}
    return TaggerSettings(datasets=(scenes,), output=output, **SMALL, **others)


def learn_alone(scenes: Path, output: Path, report) -> None:
    settings = settings_of(scenes, output)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        learn_without_dropout(settings, plan_tagger(settings).details, torch.device("cpu"), report)
    finally:
        torch.set_num_threads(before)


@pytest.mark.extended
@pytest.mark.slow
@pytest.mark.timeout(600)  # processes that import PyTorch start twice
def test_two_workers_go_on_where_one_stopped(
    tmp_path: Path, scenes: Path, ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(line: str) -> None:
        if line.startswith("step 3"):
            raise KeyboardInterrupt

    learn_alone(scenes, tmp_path / "whole", lambda line: None)
    output = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        learn_alone(scenes, output, stop)
    assert [path.name for path in (output / "state").glob("step-*")] == ["step-00000002"]

    monkeypatch.setattr(pipeline.train_tagger, "_learn", learn_without_dropout)
    lines: list[str] = []
    # What happens when one is killed is the same for all trainings: `test_train_ray.py`.
    summary = train_tagger(
        [scenes], output, resume=True, num_workers=2, report=lines.append, learning_rate=1e-5, **SMALL
    )
    assert sum(line.startswith("worker ") for line in lines) == 2
    assert summary.num_pictures == 8
    assert sorted(path.name for path in output.iterdir()) == [
        "config.json", "metrics.jsonl", "model.safetensors", "tokenizer.json", "training.json",
    ]  # fmt: skip
    metrics = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (tmp_path / "whole", output)
    ]
    assert [line["step"] for line in metrics[1]] == [1, 2, 3, 4, 5, 6]
    assert [line["loss"] for line in metrics[1]] == pytest.approx([line["loss"] for line in metrics[0]], rel=1e-3)
    reference = load_file(tmp_path / "whole" / "state" / "step-00000006" / "model.safetensors")
    ours = load_file(output / "model.safetensors")
    assert max(float((ours[name] - reference[name]).abs().max()) for name in reference) < 1e-5


@pytest.mark.extended
def test_an_error_of_one_worker_ends_all_and_is_told_as_it_is(tmp_path: Path, ray_session: None) -> None:
    lines: list[str] = []
    with pytest.raises(StorageError) as told:
        train_with_ray(second_worker_cannot_write, Workers(number=2), scratch=tmp_path / "scratch", report=lines.append)
    assert str(told.value) == "out/state: cannot be written: no space left; free some space"
    assert sorted(lines) == ["0 of 2 on cpu", "1 of 2 on cpu"]  # once, as nothing is tried again
    assert not (tmp_path / "scratch").exists()


def test_what_cannot_be_is_told_before_the_training(tmp_path: Path, scenes: Path, ray_session: None) -> None:
    with pytest.raises(UserError, match="batch_size is 4, fewer pictures than the 5 workers that share them"):
        train_tagger([scenes], tmp_path / "network", num_workers=5, **SMALL)
    with pytest.raises(UserError, match="num_workers is 0"):
        train_tagger([scenes], tmp_path / "network", num_workers=0, **SMALL)
    with pytest.raises(UserError, match=r"--workers 100: they reserve 100 CPUs, the cluster has 4; give fewer workers"):
        train_tagger([scenes], tmp_path / "many", num_workers=100, **SMALL | {"batch_size": 100})
    with pytest.raises(UserError, match=r"they reserve 1 GPUs, the cluster has 0; .* or lower --gpus-per-worker"):
        train_tagger([scenes], tmp_path / "gpus", num_workers=2, gpus_per_worker=0.5, **SMALL)


def test_a_worker_that_finds_other_files_is_told(tmp_path: Path, scenes: Path) -> None:
    settings = settings_of(scenes, tmp_path / "network")
    with pytest.raises(BadInputError, match=r"scenes.yaml: a worker finds other files than this machine"):
        pipeline.train_tagger._learn(settings, {"schema": "another"}, torch.device("cpu"), print, lambda: False)


def test_workers_whose_states_are_not_here_are_told(tmp_path: Path, scenes: Path) -> None:
    with pytest.raises(StorageError, match="the workers finished, but what they wrote is not here"):
        pipeline.train_tagger._trained(plan_tagger(settings_of(scenes, tmp_path / "network")))
