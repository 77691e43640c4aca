"""The figures of a training: lines that go on where it goes on, curves if there can be some, and how long it takes."""

import importlib.util
import json
from pathlib import Path

import pytest

from schemas import StorageError
from stages.storage import Folder
from stages.training import TrainingLog

SHOWN = {"loss": "loss {:.3f}"}


def log_of(folder: Path | str, lines: list[str], *, start=0, steps=8, every=2, curves=False) -> TrainingLog:
    return TrainingLog(Folder(str(folder)), every, lines.append, shown=SHOWN, start=start, steps=steps, curves=curves)


def steps_of(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_line_has_means_speed_and_the_time_that_is_left(tmp_path: Path) -> None:
    lines: list[str] = []
    log = log_of(tmp_path, lines)
    log.add(1, {"loss": 3.0}, num_pictures=4)
    log.add(2, {"loss": 1.0}, num_pictures=4, num_unreadable=1)
    log.measured(2, {"score": 0.25})
    assert lines[0].startswith("step 2 of 8  loss 2.000  ")
    assert lines[0].endswith(" pictures/s  1 unreadable  ETA 0:00")
    assert lines[1] == "step 2  score 0.2500"
    first, second = (json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert (first["loss"], first["num_unreadable"]) == (2.0, 1)
    assert second == {"step": 2, "score": 0.25}


def test_the_time_that_is_left_is_told_from_all_steps_since_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 10.0, 20.0, 20.0, 30.0, 120.0, 130.0, 140.0])
    monkeypatch.setattr("stages.training.log.time.monotonic", lambda: next(clock))
    lines: list[str] = []
    log = log_of(tmp_path, lines, start=2, steps=10)
    for step in (3, 4):
        log.add(step, {"loss": 1.0}, num_pictures=5)
    assert lines[-1] == "step 4 of 10  loss 1.000  0.5 pictures/s  ETA 1:00"
    log.measured(4, {"score": 0.5})
    log.add(5, {"loss": 1.0}, num_pictures=5)
    log.measured(5, {"score": 0.5})  # takes 90 seconds, which say nothing of how fast pictures are learned from
    log.add(6, {"loss": 1.0}, num_pictures=5)
    assert lines[-1] == "step 6 of 10  loss 1.000  0.5 pictures/s  ETA 2:10"


def test_lines_of_steps_that_are_done_again_are_dropped(tmp_path: Path) -> None:
    log = log_of(tmp_path, [], every=1)
    for step in (1, 2, 3):
        log.add(step, {"loss": 1.0}, num_pictures=1)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')  # killed meanwhile
    log_of(tmp_path, [], every=1, start=2).add(3, {"loss": 2.0}, num_pictures=1)
    assert steps_of(tmp_path) == [1, 2, 3]


def test_an_object_store_gets_the_same_lines_and_no_curves() -> None:
    url = "memory://log"
    lines: list[str] = []
    log = log_of(url, lines, every=1, curves=True)
    for step in (1, 2):
        log.add(step, {"loss": 1.0}, num_pictures=1)
    log_of(url, [], every=1, start=1).add(2, {"loss": 3.0}, num_pictures=1)
    found = [json.loads(line) for line in Folder(url).read("metrics.jsonl").splitlines()]
    assert [(line["step"], line["loss"]) for line in found] == [(1, 1.0), (2, 3.0)]
    assert "no TensorBoard curves: memory://log is no local folder" in lines[0]


def test_curves_are_written_and_those_of_steps_done_again_are_hidden(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    log = log_of(tmp_path, [], every=1, curves=True)
    for step in (1, 2, 3):
        log.add(step, {"loss": float(step)}, num_pictures=1)
    log.measured(3, {"score": 0.5})
    log.close()
    log = log_of(tmp_path, [], every=1, start=1, curves=True)
    log.add(2, {"loss": 20.0}, num_pictures=1)
    log.close()
    assert scalars(tmp_path, "training/loss") == [(1, 1.0), (2, 20.0)]
    assert scalars(tmp_path, "validation/score") == []


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    """What TensorBoard shows."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator(str(folder / "tensorboard"))
    shown.Reload()
    return [(event.step, event.value) for event in shown.Scalars(tag)] if tag in shown.Tags()["scalars"] else []


def test_without_tensorboard_there_are_lines_alone_and_one_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    lines: list[str] = []
    log = log_of(tmp_path, lines, every=1, curves=True)
    log.add(1, {"loss": 1.0}, num_pictures=1)
    assert lines[0].startswith("no TensorBoard curves: TensorBoard is not installed here (pip install 'relmill[train]'")
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(StorageError, match="cannot be written"):
        log_of(tmp_path / "out", [])
