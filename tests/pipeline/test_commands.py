"""The small commands: status, seal, repair, estimate, plan, schema; and the metrics of a running job."""

import hashlib
import json
import os
import re
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from tests_made import Fault, Relate, Slow, files_of
from typer.testing import CliRunner

from pipeline.cli import app, main
from pipeline.estimate import estimate
from pipeline.label import label
from pipeline.ledger import Ledger
from pipeline.meter import Meter
from pipeline.metrics import serve_metrics
from pipeline.repair import find_garbage
from pipeline.status import read_status
from pipeline.worker import Summary
from schemas import BadInputError, ConflictError, UserError
from schemas.commit import Counts
from stages.pack import CommitLog
from stages.storage import Folder


def run(*arguments: str):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text("dataset: {format: scenes, count: 12}\noutput: out\nunit_size: 4\n")
    return path


def test_the_commands_in_the_order_of_a_first_day(job, tmp_path):
    planned = run("plan", job)
    assert planned.exit_code == 0, planned.output
    assert "12 in 3 units of 4" in planned.output
    assert "committed  nothing" in planned.output
    measured = run("estimate", job, "--json")
    assert measured.exit_code == 0, measured.output
    assert json.loads(measured.output)["sampled_units"] == 3
    labelled = run("label", job, "--quiet")
    assert labelled.exit_code == 0, labelled.output
    assert "12 of 12 scenes done (12 now): 12 written" in labelled.output
    state = json.loads(run("status", job, "--json").output)
    assert state["complete"]
    assert state["sealed"]
    assert state["num_commits"] == 3
    looked = run("inspect", tmp_path / "out", "--num", "1", "--draw", tmp_path / "scene.png")
    assert looked.exit_code == 0, looked.output
    assert (tmp_path / "scene.png").read_bytes().startswith(b"\x89PNG")
    assert "committed  12 of 12 scenes, sealed" in run("plan", job).output
    assert run("seal", job).exit_code == 0


def test_label_writes_what_the_contract_names(job, tmp_path):
    run("label", job, "--quiet")
    out = tmp_path / "out"
    for name in ("dataset.json", "vocabulary.json", "dataset_card.md", "report.json", "report.html"):
        assert (out / name).stat().st_size > 0, name
    assert sorted(path.name for path in (out / "commits").iterdir()) == [f"{n:08d}.json" for n in range(4)]
    assert len(list((out / "shards").glob("*.tar"))) == len(list((out / "index").glob("*.parquet"))) == 3
    dataset = json.loads((out / "dataset.json").read_text())
    assert dataset["settings"]["unit_size"] == 4
    vocabulary = (out / "vocabulary.json").read_bytes()
    assert dataset["vocabulary_sha256"] == hashlib.sha256(vocabulary).hexdigest()
    classes = json.loads(vocabulary)["classes"]
    assert "person" in classes


@pytest.mark.parametrize("captions", [["a man rides a horse"], []])
def test_label_says_how_right_its_labels_are_where_that_can_be_said(tmp_path, captions):
    line = {
        "image": "1.jpg",
        "width": 100,
        "height": 100,
        "captions": captions,
        "triplets": [["person", [10, 10, 40, 60], "ride", "horse", [5, 30, 70, 95]]],
    }
    (tmp_path / "data.jsonl").write_text(json.dumps(line) + "\n")
    (tmp_path / "job.yaml").write_text(
        "dataset: {format: triplets, annotations: data.jsonl, pixels: false}\noutput: out\n"
    )
    result = run("label", tmp_path / "job.yaml", "--quiet")
    assert result.exit_code == 0, result.output
    assert ("precision 100.0%" in result.output) == bool(captions)


def test_a_limited_job_is_another_job(job):
    assert run("label", job, "--limit", "4", "--quiet").exit_code == 0
    refused = run("label", job, "--quiet")
    assert isinstance(refused.exception, ConflictError)
    assert "dataset.limit" in str(refused.exception)


@pytest.mark.parametrize("what", ["job", "scene", "index"])
def test_schemas_are_printed(what):
    result = run("schema", what)
    assert result.exit_code == 0
    assert result.output.strip()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["label", "no.yaml"], 2),
        (["status", "nowhere"], 2),
        (["schema", "nothing"], 2),
        (["inspect", "nowhere"], 2),
    ],
)
def test_user_errors_are_one_message_and_status_2(arguments, status, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["relmill", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == status
    error = capsys.readouterr().err
    assert error.startswith("relmill: ")
    assert "Traceback" not in error


def test_a_seal_accepts_dead_scenes_and_ends_the_log(make):
    prepared = make(stages=[Fault("raise", ["made-003"]), Relate()])
    assert not label(prepared, quiet=True).sealed
    result = run("seal", prepared.folder.url)
    assert result.exit_code == 0, result.output
    assert "1 dead" in result.output
    assert read_status(prepared.folder).sealed
    ledger = Ledger(prepared.folder)
    ledger.take_over()
    assert ledger.sealed


def test_an_unfinished_output_is_not_sealed(make):
    prepared = make(stages=[Fault("raise", [f"made-{i:03d}" for i in range(200)])], num=200, max_dead_fraction=0.1)
    with pytest.raises(Exception, match="max_dead_fraction"):
        label(prepared, quiet=True)
    with pytest.raises(UserError, match="finish `relmill label`"):
        run_raising("seal", prepared.folder.url)


def run_raising(*arguments: str) -> None:
    result = run(*arguments)
    if result.exception:
        raise result.exception


def test_repair_removes_only_what_no_commit_names_and_is_old(make):
    prepared = make()
    label(prepared, quiet=True)
    before = files_of(Path(prepared.folder.url))
    orphan = Path(prepared.folder.url) / "shards" / "00000001-orphan.tar"
    orphan.write_bytes(b"left by a killed worker")
    fresh = Path(prepared.folder.url) / "tmp" / "relmill-fresh"
    fresh.write_bytes(b"being written")
    old = time.time() - 7200
    os.utime(orphan, (old, old))
    assert [g.name for g in find_garbage(prepared.folder, grace_s=3600)] == ["shards/00000001-orphan.tar"]
    assert "garbage" in run("repair", prepared.folder.url, "--grace", "1").output
    assert orphan.exists(), "listing deletes nothing"
    assert run("repair", prepared.folder.url, "--grace", "1", "--delete").exit_code == 0
    assert not orphan.exists()
    assert fresh.exists()
    assert files_of(Path(prepared.folder.url)) == before


def test_repair_takes_nothing_for_garbage_behind_a_lost_commit(make):
    prepared = make(num=8, unit_size=2)
    label(prepared, quiet=True)
    path = Path(prepared.folder.url)
    (path / "commits" / "00000001.json").unlink()
    before = files_of(path)
    with pytest.raises(BadInputError, match=r"00000001\.json: missing, though commits/00000002\.json is there"):
        run_raising("repair", prepared.folder.url, "--grace", "0", "--delete")
    assert files_of(path) == before


def test_an_estimate_touches_nothing_and_has_an_interval(make):
    prepared = make(stages=[Slow(0.02), Relate()], num=60, unit_size=10)
    projection = estimate(prepared, num_units=3)
    assert projection.sampled_records == 30
    slow = next(stage for stage in projection.stages if stage.stage == "parse")
    assert slow.low_s <= slow.total_s <= slow.high_s
    assert slow.total_s >= 60 * 0.02
    assert projection.slowest is slow
    assert projection.gpu_hours == (0, 0, 0)
    assert CommitLog(prepared.folder).length() == 0
    assert not (Path(prepared.folder.url) / "shards").exists()


def test_one_unit_gives_no_interval(make):
    assert estimate(make(), num_units=1).stages[0].high_s == float("inf")


def test_status_of_what_is_no_output(tmp_path):
    with pytest.raises(BadInputError, match="not an output folder"):
        read_status(Folder(str(tmp_path)))


def test_metrics_are_served_on_loopback_while_a_job_runs(make):
    port = free_port()
    prepared = make(stages=[Slow(0.02)], num=40, metrics_port=port)
    thread = threading.Thread(target=lambda: label(prepared, quiet=True))
    thread.start()
    text = ""
    while (thread.is_alive() and 'relmill_scenes_total{outcome="written"} 0.0' in (text or "outcome")) or not text:
        try:
            text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
        except OSError:
            assert thread.is_alive(), "the run ended before anyone could look"
        time.sleep(0.01)
    thread.join()
    assert "relmill_scenes_planned 40.0" in text
    assert 'relmill_stage_busy_seconds_total{stage="parse"}' in text
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)


def free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_a_taken_port_is_a_user_error(make):
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(UserError, match="metrics_port"):
            label(make(metrics_port=listener.getsockname()[1]), quiet=True)


def test_metrics_are_the_meters_figures():
    meter = Meter(("parse", "pack"), num_records=10)
    meter.called("parse", Summary(num_scenes=4, image_bytes=0, busy_s=2.0), wait_s=0.5)
    meter.was_committed(4, Counts(planned=4, written=3, dead=1, relations=7))
    port = free_port()
    with serve_metrics(meter, port):
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    figures = dict(re.findall(r"^(\S+) (\S+)$", text, flags=re.MULTILINE))
    assert figures['relmill_scenes_total{outcome="written"}'] == "3.0"
    assert figures['relmill_scenes_total{outcome="dead"}'] == "1.0"
    assert figures['relmill_stage_scenes_total{stage="parse"}'] == "4.0"
    assert figures["relmill_relations_total"] == "7.0"


def test_a_run_off_the_terminal_prints_lines(make, capsys, monkeypatch):
    monkeypatch.setattr("pipeline.progress._LINE_EVERY_S", 0.05)
    label(make(stages=[Slow(0.02)], num=40))
    assert re.search(r"\d+/40 scenes .* ETA", capsys.readouterr().err)
