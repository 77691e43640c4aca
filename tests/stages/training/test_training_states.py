"""The states of a training: which are kept, which one is the result, and what is left of them."""

from pathlib import Path

import pytest
import torch
from torch import nn

from schemas import BadInputError, ConflictError, StorageError
from stages.storage import Folder
from stages.training import TrainingStates, check_same_training


def states_of(folder: Path | str, **identity) -> TrainingStates:
    return TrainingStates(Folder(str(folder)), identity, schema="test/1")


def network(value: float) -> nn.Linear:
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(value)
    return model


def save(states: TrainingStates, step: int, *, score: float | None = None, average: float | None = None) -> None:
    model = network(step)
    optimizer = torch.optim.AdamW(model.parameters())
    states.save(step, model, optimizer, score=score, average=None if average is None else network(average))


def result(states: TrainingStates) -> tuple[int, float]:
    """Which state, and what a weight is."""
    model = network(-1)
    state = states.load_result(model)
    assert state is not None
    return state.step, float(model.weight.detach()[0, 0])


@pytest.mark.parametrize("url", ["state", "memory://states"])
def test_the_result_is_the_newest_state(tmp_path: Path, url: str) -> None:
    states = states_of(url if "://" in url else tmp_path / url)
    assert (states.load_result(network(0)), states.steps_done()) == (None, 0)
    for step in (1, 2):
        save(states, step)
    assert result(states) == (2, 2.0)
    assert states.steps_done() == 2
    states.remove()
    assert (states.saved(), states.steps_done()) == ([], 0)
    assert not (tmp_path / "state").exists()


def test_the_result_is_the_best_state_and_of_equal_ones_the_newest(tmp_path: Path) -> None:
    states = states_of(tmp_path)
    for step, score in enumerate([0.5, 0.7, 0.7, 0.6], start=1):
        save(states, step, score=score)
    assert [state.step for state in states.saved()] == [3, 4]
    assert result(states) == (3, 3.0)


def test_the_result_is_the_average_if_there_is_one(tmp_path: Path) -> None:
    states = states_of(tmp_path)
    save(states, 1, average=7.0)
    assert result(states) == (1, 7.0)


def test_a_second_training_in_the_same_folder_is_told(tmp_path: Path) -> None:
    first, second = states_of(tmp_path), states_of(tmp_path)
    save(first, 2)
    before = (tmp_path / "step-00000002" / "model.safetensors").read_bytes()
    with pytest.raises(ConflictError, match="has a state after 2 steps that this training did not write"):
        save(second, 2, average=1.0)
    assert (tmp_path / "step-00000002" / "model.safetensors").read_bytes() == before
    assert [state.step for state in second.saved()] == [2]


def test_removing_takes_what_a_killed_worker_left(tmp_path: Path) -> None:
    states = states_of(tmp_path / "state")
    save(states, 1)
    (tmp_path / "state" / "step-00000002").mkdir()
    (tmp_path / "state" / "step-00000002" / "model.safetensors").write_text("begun")
    states.remove()
    assert list(tmp_path.iterdir()) == []


def test_workers_that_wrote_elsewhere_are_told(tmp_path: Path) -> None:
    states = states_of(tmp_path)
    save(states, 1)
    states.check_finished(1)
    with pytest.raises(StorageError, match="the workers finished, but what they wrote is not here"):
        states.check_finished(2)


def test_the_first_setting_that_differs_is_named() -> None:
    then = {"a": {"b": [1, 2]}, "c": None}
    check_same_training(then, {"a": {"b": (1, 2)}, "c": None}, where="out")
    with pytest.raises(BadInputError, match=r"out: is of a training with a\.b\.1 2, now it is 3; go on with"):
        check_same_training(then, {"a": {"b": [1, 3]}, "c": 1}, where="out")
    with pytest.raises(BadInputError, match=r"with c null, now it is missing"):
        check_same_training(then, {"a": {"b": [1, 2]}}, where="out")
