"""`relmill train` with several workers of a Ray cluster."""

import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from train_made import figures, job_of, labelled, work_without_dropout

import pipeline.train
from pipeline.train import train
from pipeline.train_plan import plan_training
from schemas import BadInputError, UserError
from stages.threads import one_thread


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled(tmp_path_factory.mktemp("train") / "out", 16)


def quiet(_line: str) -> None:
    """Nobody reads it."""


def learn_alone(job) -> None:
    with one_thread():
        details = plan_training(job, report=quiet).details
        work_without_dropout(job, details, torch.device("cpu"), quiet)


@pytest.mark.extended
@pytest.mark.slow
@pytest.mark.timeout(600)  # processes that import PyTorch start three times
def test_two_workers_one_of_them_killed_learn_what_one_learns(
    tmp_path: Path, output: Path, ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill_once(line: str) -> None:
        lines.append(line)
        if line.startswith("worker 1 is"):
            workers.append(int(line.rsplit(maxsplit=1)[-1]))
        if line.startswith("step 5 ") and len(workers) == 1:
            os.kill(workers[0], signal.SIGKILL)

    settings = {"learning_rate": 1e-5, "steps": 8}
    learn_alone(job_of(tmp_path / "whole", output, **settings))
    monkeypatch.setattr(pipeline.train, "_work", work_without_dropout)
    lines: list[str] = []
    workers: list[int] = []
    two = job_of(tmp_path / "two", output, **settings, runtime={"workers": 2, "readers": 1})
    summary = train(two, report=kill_once)
    assert len(workers) == 2, lines  # the one that was killed, and the one in its place
    assert summary is not None
    assert summary.step == 8
    # Each step once, of the same samples: another batch would have another loss.
    assert [line["step"] for line in figures(tmp_path / "two")] == list(range(1, 9))
    for mine, theirs in zip(figures(tmp_path / "whole"), figures(tmp_path / "two"), strict=True):
        assert mine == pytest.approx(theirs, rel=2e-3), "float32, padded to other sizes"
    state = tmp_path / "whole" / "state" / "step-00000008"
    one, ours = load_file(state / "average.safetensors"), load_file(tmp_path / "two" / "model.safetensors")
    assert max(float((ours[name] - one[name]).abs().max()) for name in one) < 1e-4
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == [
        "config.json", "metrics.jsonl", "model.safetensors", "tensorboard", "tokenizer.json", "training.json",
    ]  # fmt: skip


def test_what_cannot_be_is_told_before_the_training(tmp_path: Path, output: Path, ray_session: None) -> None:
    many = job_of(tmp_path / "many", output, batch_size=100, runtime={"workers": 100})
    with pytest.raises(UserError, match=r"runtime\.workers 100: they reserve 100 CPUs, the cluster has 4; give fewer"):
        train(many, report=quiet)
    gpus = job_of(tmp_path / "gpus", output, runtime={"workers": 2, "gpus_per_worker": 0.5})
    with pytest.raises(UserError, match=r"they reserve 1 GPUs, .* or lower runtime\.gpus_per_worker"):
        train(gpus, report=quiet)


def test_a_worker_that_finds_other_files_is_told(tmp_path: Path, output: Path) -> None:
    with pytest.raises(BadInputError, match="net: a worker finds other outputs, or another network, than this machine"):
        pipeline.train._work(
            job_of(tmp_path / "net", output), {"schema": "another"}, torch.device("cpu"), quiet, lambda: False
        )
