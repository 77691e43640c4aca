"""Same job, same bytes: whatever runtime, worker count, window or interruption."""

import json
import threading
from pathlib import Path

import pytest
from tests_made import Relate, Slow, files_of, scenes

from pipeline.label import label
from pipeline.ledger import Ledger, write_dataset_file
from pipeline.runtimes import RunContext, run_units
from pipeline.status import read_status
from schemas import ConflictError
from stages.pack import CommitLog, committed_scenes


def test_the_runtime_changes_no_byte(make, ray_session):
    outputs = {}
    for name, kind, pools, window in (
        ("inline", "inline", {}, 32),
        ("ray", "ray", {}, 32),
        ("wide", "ray", {"tag": {"workers": 3, "cpus": 0.1}, "pack": {"workers": 2, "cpus": 0.1}}, 3),
    ):
        prepared = make(kind, num=30, unit_size=4, out=name, pools=pools, window_units=window)
        assert label(prepared, quiet=True).sealed
        outputs[name] = files_of(Path(prepared.folder.url))
    assert outputs["inline"] == outputs["ray"] == outputs["wide"]
    assert len([name for name in outputs["ray"] if name.startswith("commits/")]) == 9  # 8 units and the seal


def test_every_planned_scene_is_written_once_in_plan_order(make, runtime):
    prepared = make(runtime, num=33, unit_size=5)
    result = label(prepared, quiet=True)
    assert (result.totals.planned, result.totals.written, result.num_records) == (33, 33, 33)
    assert [scene.key for scene in committed_scenes(prepared.folder)] == [scene.key for scene in scenes(33)]


def test_a_second_run_of_a_finished_job_does_nothing(make, runtime):
    prepared = make(runtime)
    label(prepared, quiet=True)
    before = files_of(Path(prepared.folder.url))
    again = label(make(runtime), quiet=True)
    assert again.committed_now == 0
    assert files_of(Path(prepared.folder.url)) == before


@pytest.mark.parametrize("committed", [1, 3])
def test_an_interrupted_run_goes_on_where_it_stood(make, runtime, committed):
    whole = make(runtime, num=20, out="whole")
    label(whole, quiet=True)

    cut = make(runtime, num=20, out="cut")
    write_dataset_file(cut.folder, cut.document)
    ledger = Ledger(cut.folder)
    ledger.take_over()
    context = RunContext(cut.stages, cut.folder, cut.digest, cut.job.runtime, _meter(cut))
    drafts = run_units(context, cut.plan.units)
    for _ in range(committed):
        ledger.commit(next(drafts))
    drafts.close()
    assert read_status(cut.folder).num_commits == committed

    resumed = label(make(runtime, num=20, out="cut", pools={"tag": {"workers": 2, "cpus": 0.1}}), quiet=True)
    assert resumed.committed_now == 20 - 4 * committed
    assert files_of(Path(cut.folder.url)) == files_of(Path(whole.folder.url))


def _meter(prepared):
    from pipeline.meter import Meter

    return Meter((*(stage.name for stage in prepared.stages), "pack"), prepared.plan.summary.num_records)


def test_of_two_drivers_the_later_one_finishes_and_the_other_stops_cleanly(make, runtime):
    reference = make(runtime, out="reference", stages=[Slow(0.01)], num=40)
    label(reference, quiet=True)

    first = make("inline", out="shared", stages=[Slow(0.01)], num=40)
    errors: list[Exception] = []
    started, go_on = threading.Event(), threading.Event()

    def run_first() -> None:
        ledger = Ledger(first.folder)
        ledger.take_over()
        context = RunContext(first.stages, first.folder, first.digest, first.job.runtime, _meter(first))
        try:
            for number, draft in enumerate(run_units(context, first.plan.units)):
                if number == 2:
                    started.set()
                    go_on.wait(60)
                ledger.commit(draft)
        except ConflictError as error:
            errors.append(error)

    thread = threading.Thread(target=run_first)
    thread.start()
    assert started.wait(60)
    second = make(runtime, out="shared", stages=[Slow(0.01)], num=40)
    result = label(second, quiet=True)
    go_on.set()
    thread.join(60)
    assert result.complete
    assert "taken over by another driver" in str(errors[0])
    assert files_of(Path(second.folder.url)) == files_of(Path(reference.folder.url))


def test_an_output_of_another_job_is_refused_with_the_difference(make):
    label(make(num=8), quiet=True)
    with pytest.raises(ConflictError, match=r"unit_size: 4 there, 2 in this job"):
        make(num=8, unit_size=2)
    with pytest.raises(ConflictError, match="fingerprint"):
        make(num=9)

    class Other(Relate):
        identity = "relate/2"

    with pytest.raises(ConflictError, match=r"stages.tag: 'relate/1' there, 'relate/2' in this job"):
        make(num=8, stages=[Other()])


def test_planning_does_not_bind_an_output_to_a_job(make):
    make(num=8)
    assert label(make(num=8, unit_size=2), quiet=True).complete


def test_the_log_is_contiguous_and_its_totals_add_up(make, runtime):
    prepared = make(runtime, num=17, unit_size=4)
    label(prepared, quiet=True)
    entries = list(CommitLog(prepared.folder).entries())
    assert [entry.number for entry in entries] == list(range(6))
    assert [entry.sealed for entry in entries] == [False] * 5 + [True]
    planned = 0
    for entry in entries:
        planned += entry.counts.planned
        assert entry.totals.planned == planned
        assert entry.totals.balanced()


@pytest.mark.parametrize("length", [0, 1, 2, 3, 7, 8, 9, 33])
def test_the_length_of_a_log_is_found_without_reading_it(make, length):
    prepared = make(num=max(1, length), unit_size=1)
    ledger = Ledger(prepared.folder)
    ledger.take_over()
    context = RunContext(prepared.stages, prepared.folder, prepared.digest, prepared.job.runtime, _meter(prepared))
    for draft, _ in zip(run_units(context, prepared.plan.units), range(length), strict=False):
        ledger.commit(draft)
    assert CommitLog(prepared.folder).length() == length


def test_a_planner_that_was_killed_is_simply_run_again(make, tmp_path):
    prepared = make(num=12)
    place = Path(prepared.folder.url) / "plan" / prepared.digest[:16]
    files = {path.name: path.read_bytes() for path in place.iterdir()}
    (place / "plan.json").unlink()
    (place / "records-00000.jsonl.gz").write_bytes(b"torn")
    make(num=12)
    assert {path.name: path.read_bytes() for path in place.iterdir()} == files


def test_nothing_of_clock_host_or_process_is_in_the_deterministic_files(make, runtime):
    prepared = make(runtime, num=4)
    label(prepared, quiet=True)
    for name, data in files_of(Path(prepared.folder.url)).items():
        if name.startswith("commits/"):
            assert set(json.loads(data)) == {
                "counts", "dead", "index", "number", "sealed", "shard", "totals", "unit", "v"
            }  # fmt: skip
