"""What a stage does wrong ends on the scene it belongs to, with a reason; the other scenes are unaffected."""

import json
from pathlib import Path

import pytest
from tests_made import Fault, ListDataset, NeedsSmallBatches, Relate, files_of, scenes

from pipeline.label import TooManyDeadError, label
from pipeline.retry import retry
from schemas import Rejected, UserError
from stages.pack import CommitLog, committed_scenes, dead_letters
from stages.storage import Folder

GUILTY = "made-007"


def letters(folder: Folder) -> list[dict]:
    return [letter for commit in CommitLog(folder).entries() for letter in dead_letters(folder, commit)]


def assert_only_guilty_is_missing(prepared) -> None:
    keys = [scene.key for scene in committed_scenes(prepared.folder)]
    assert keys == [scene.key for scene in scenes(20) if scene.key != GUILTY]


@pytest.mark.parametrize(("fault", "reason"), [("raise", "exception"), ("memory", "out-of-memory")])
def test_a_scene_that_makes_a_stage_raise_dies_alone(make, runtime, fault, reason):
    prepared = make(runtime, stages=[Fault(fault, [GUILTY]), Relate()])
    result = label(prepared, quiet=True)
    assert (result.totals.written, result.totals.dead) == (19, 1)
    assert result.totals.balanced()
    assert_only_guilty_is_missing(prepared)
    (letter,) = letters(prepared.folder)
    assert (letter["key"], letter["stage"], letter["reason"]) == (GUILTY, "caption", reason)
    assert "Traceback" in letter["traceback"]


def test_a_hanging_scene_is_ended_by_the_time_out(make, runtime):
    prepared = make(runtime, stages=[Fault("hang", [GUILTY]), Relate()], timeout_s=1.0)
    result = label(prepared, quiet=True)
    assert (result.totals.written, result.totals.dead) == (19, 1)
    assert_only_guilty_is_missing(prepared)
    (letter,) = letters(prepared.folder)
    assert (letter["key"], letter["reason"]) == (GUILTY, "timeout")
    assert "runtime.timeout_s" in letter["detail"]


def test_a_scene_that_kills_its_worker_dies_alone(make, ray_session):
    prepared = make("ray", stages=[Relate_named("screen"), Fault("kill", [GUILTY]), Relate()])
    result = label(prepared, quiet=True)
    assert (result.totals.written, result.totals.dead) == (19, 1)
    assert_only_guilty_is_missing(prepared)
    (letter,) = letters(prepared.folder)
    assert (letter["key"], letter["stage"], letter["reason"]) == (GUILTY, "caption", "worker-died")


def Relate_named(name: str) -> Relate:
    stage = Relate()
    stage.name = name
    return stage


def test_a_stage_that_loses_a_scene_is_found_out(make, runtime):
    prepared = make(runtime, stages=[Fault("lose", [GUILTY])])
    result = label(prepared, quiet=True)
    assert result.totals.balanced()
    assert (result.totals.written, result.totals.dead) == (19, 1)
    assert "outcomes" in letters(prepared.folder)[0]["detail"]


def test_rejections_keep_their_reason(make, runtime):
    prepared = make(runtime, stages=[Fault("reject", [GUILTY]), Relate()])
    result = label(prepared, quiet=True)
    assert (result.totals.written, result.totals.rejected, result.totals.dead) == (19, 1, 0)
    assert result.totals.reasons == {"rejected.caption.refused": 1}
    assert letters(prepared.folder)[0]["outcome"] == "rejected"
    assert result.sealed


def test_records_refused_at_ingest_are_counted_with_their_unit(make, runtime):
    items = [*scenes(5), Rejected("made-999", "ingest", "annotation-without-image", "annotation 3")]
    result = label(make(runtime, items=items), quiet=True)
    assert (result.totals.planned, result.totals.written, result.totals.rejected) == (6, 5, 1)


def test_transient_faults_are_tried_again(make, runtime, tmp_path):
    prepared = make(runtime, stages=[Fault("transient", [GUILTY], flag=tmp_path / "tried")])
    result = label(prepared, quiet=True)
    assert result.totals.written == 20


def test_out_of_memory_halves_the_batch_and_remembers(make, tmp_path):
    log = tmp_path / "batches"
    result = label(make(stages=[NeedsSmallBatches(log)], num=32, unit_size=16), quiet=True)
    assert result.totals.written == 32
    sizes = [int(line) for line in log.read_text().split()]
    assert sum(size for size in sizes if size <= 2) == 32
    assert sum(size > 2 for size in sizes) <= 3, "the safe size was forgotten"


def test_too_many_dead_scenes_stop_the_run(make, runtime):
    keys = [scene.key for scene in scenes(200)]
    prepared = make(runtime, stages=[Fault("raise", keys)], num=200, unit_size=10, max_dead_fraction=0.5)
    with pytest.raises(TooManyDeadError, match="max_dead_fraction"):
        label(prepared, quiet=True)
    last = CommitLog(prepared.folder).last()
    assert 100 <= last.totals.planned < 200


def test_retry_runs_dead_scenes_only_and_then_seals(make, runtime, tmp_path):
    flag = tmp_path / "mended"
    stages = [Fault("raise", [GUILTY, "made-013"], flag=flag)]
    prepared = make(runtime, stages=stages)
    first = label(prepared, quiet=True)
    assert (first.totals.dead, first.sealed) == (2, False)
    before = files_of(Path(prepared.folder.url))

    again = retry(prepared, quiet=True)
    assert again.totals.dead == 2, "the cause is not mended yet"
    flag.touch()
    last = retry(prepared, quiet=True)
    assert (last.totals.written, last.totals.dead, last.sealed) == (20, 0, True)
    assert last.totals.balanced()
    assert last.totals.reasons == {}
    assert sorted(scene.key for scene in committed_scenes(prepared.folder)) == [scene.key for scene in scenes(20)]
    after = files_of(Path(prepared.folder.url))
    changed = [name for name, data in before.items() if after.get(name) != data and name != "dataset_card.md"]
    assert changed == [], "retry adds, it never changes what is there"


def test_retry_of_an_unfinished_job_says_what_to_do(make, tmp_path):
    with pytest.raises(UserError, match="finish `relmill label` first"):
        retry(make(), quiet=True)


def test_dead_letters_are_one_json_object_a_line_whatever_the_message(make, tmp_path):
    class Odd(Relate):
        name = "parse"

        def process(self, batch):
            raise ValueError("line\u2028separator \ud800 surrogate \n newline")

    prepared = make(stages=[Odd()], num=3)
    label(prepared, quiet=True)
    for path in (Path(prepared.folder.url) / "dead").iterdir():
        for line in path.read_bytes().split(b"\n")[:-1]:
            assert json.loads(line)["reason"] == "exception"


def test_list_dataset_is_a_dataset():
    """The stand-in obeys the contract it stands in for."""
    assert [item.key for item in ListDataset(list(reversed(scenes(3)))).records()] == [s.key for s in scenes(3)]
