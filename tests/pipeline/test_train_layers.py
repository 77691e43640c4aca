"""What people said since, in `relmill train`: it is learned from, and a training goes on with what it began with."""

import json
import shutil
from pathlib import Path

import pytest
from audit_sample_made import judge, sample_of_all
from train_made import figures, job_of, labelled, written

from pipeline.audit.apply import apply_verdicts
from pipeline.train import train
from pipeline.train_plan import plan_training
from schemas import BadInputError
from stages.audit import read_item
from stages.storage import Folder
from stages.threads import one_thread


@pytest.fixture(autouse=True)
def alone():
    """The order of sums, and so the last bit, depends on the number of threads."""
    with one_thread():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output, and a sample of its labels in which two verdicts were said."""
    folder = tmp_path_factory.mktemp("layers")
    sample_of_all(labelled(folder / "out", 12), folder / "sample")
    return folder


@pytest.fixture
def audit(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "audit")


def say(audit: Path, judgements: dict) -> None:
    """Judge some items, and apply it."""
    judge(audit / "sample", "ann", judgements, num_items=len(judgements) + max(judgements))
    apply_verdicts(audit / "sample", str(audit / "out"))


def quiet(_line: str) -> None:
    """Nobody reads it."""


def details_of(folder: Path) -> dict:
    return json.loads((folder / "training.json").read_text())


def test_what_people_say_is_learned_and_named(audit: Path, tmp_path: Path):
    job = job_of(tmp_path / "net", {"output": audit / "out", "learn": "all", "complete": False})
    without = plan_training(job, report=quiet)
    assert "layers" not in without.details["sources"][0]
    say(audit, {0: "wrong"})
    plan = plan_training(job, report=quiet)
    named = plan.details["sources"][0].pop("layers")
    assert named["number"] == 1
    assert len(named["sha256"]) == 64
    assert plan.details == without.details, "and nothing else is another"
    sample = json.loads((audit / "sample" / "items.jsonl").read_text().splitlines()[0])
    scenes = {one.key: one.scene() for one in plan.stream.read(range(12))}
    states = {
        (one.source, one.state)
        for one in scenes[sample["key"]].relations
        if (one.subject, one.object, one.predicate) == (sample["subject_id"], sample["object_id"], sample["predicate"])
    }
    assert ("human", "denied") in states


def test_a_training_goes_on_with_what_was_said_when_it_began(audit: Path, tmp_path: Path):
    say(audit, {0: "wrong"})
    source = {"output": audit / "out", "learn": "all", "complete": False}
    assert train(job_of(tmp_path / "whole", source), report=quiet) is not None

    with pytest.raises(KeyboardInterrupt):
        train(job_of(tmp_path / "cut", source), report=_stop_after_four)
    say(audit, {1: "right", 2: "wrong"})
    lines: list[str] = []
    assert train(job_of(tmp_path / "cut", source), report=lines.append) is not None
    assert written(tmp_path / "cut") == written(tmp_path / "whole")
    assert figures(tmp_path / "cut") == figures(tmp_path / "whole")
    assert any("have said more since this training began, which it does not read" in line for line in lines)
    assert details_of(tmp_path / "cut")["sources"][0]["layers"]["number"] == 1

    assert plan_training(job_of(tmp_path / "new", source), report=quiet).details["sources"][0]["layers"]["number"] == 2


def _stop_after_four(line: str) -> None:
    if line.startswith("step 4 of"):
        raise KeyboardInterrupt


def test_a_training_of_before_goes_on_without_layers(audit: Path, tmp_path: Path):
    job = job_of(tmp_path / "net", audit / "out")
    begun = plan_training(job, report=quiet).details
    say(audit, {0: "wrong"})
    assert plan_training(job, report=quiet, begun=begun).details == begun


def test_a_training_refuses_other_layers_than_it_began_with(audit: Path, tmp_path: Path):
    say(audit, {0: "wrong"})
    job = job_of(tmp_path / "net", audit / "out")
    with pytest.raises(KeyboardInterrupt):
        train(job, report=_stop_after_four)
    layer = audit / "out" / "layers" / "00000000.json"
    kept = layer.read_bytes()
    layer.unlink()
    with pytest.raises(BadInputError, match=r"layers/00000000\.json: missing, and 1 layers are to be read"):
        train(job, report=quiet)
    say(audit, {1: "right"})
    with pytest.raises(BadInputError, match="its first 1 layers are not those that were read before; restore them"):
        train(job, report=quiet)
    layer.write_bytes(kept)
    assert train(job, report=quiet) is not None


def test_networks_are_measured_on_what_people_say_since(audit: Path, tmp_path: Path):
    folder, items = Folder(str(audit / "out")), _items(audit)
    job = job_of(tmp_path / "net", audit / "out", validation={"output": str(audit / "out"), "limit": 12})
    before = plan_training(job, report=quiet)
    said = next(item.number for item in items if _by_people(read_item(folder, item), item))
    say(audit, {said: "wrong"})
    after = plan_training(job, report=quiet)
    assert after.details["validation"]["layers"]["number"] == 1
    assert after.details["validation"]["sha256"] != before.details["validation"]["sha256"]
    begun = plan_training(job, report=quiet, begun=before.details)
    assert begun.details == before.details, "a measure does not change in the midst of a training"


def _items(audit: Path):
    from stages.audit import read_sample

    return read_sample(audit / "sample")[1]


def _by_people(scene, item) -> bool:
    said = item.subject_id, item.object_id, item.predicate
    return any(
        one.source == "human" and one.state == "asserted" and (one.subject, one.object, one.predicate) == said
        for one in scene.relations
    )
