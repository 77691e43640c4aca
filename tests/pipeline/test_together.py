"""`relmill run`: labelling and training on one cluster, each unharmed by what befalls the other."""

import contextlib
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.together import run_together
from schemas import JobError
from schemas.job import load_run_job
from stages.pack import CommitLog
from stages.storage import Folder

ROOT = Path(__file__).parents[2]
RELMILL = [
    sys.executable,
    "-c",
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pipeline.cli import main; main()",
]
TRAINING = {
    "steps": 8, "batch_size": 4, "num_pairs": 12, "short_side": 48, "save_every": 1, "report_every": 1,
    "learning_rate": 1e-4, "runtime": {"readers": 0}, "output": "net",
}  # fmt: skip


def write_jobs(folder: Path, *, follow: bool = True, count: int = 200, **run) -> Path:
    source = {"output": "out", "follow": follow, "window_shards": 2, "learn": "human", "complete": True}
    documents = {
        "label.yaml": {"dataset": {"format": "scenes", "count": count}, "output": "out", "unit_size": 4},
        "train.yaml": {**TRAINING, "sources": [source]},
        "run.yaml": {"label": "label.yaml", "train": "train.yaml", **run},
    }
    for name, document in documents.items():
        (folder / name).write_text(yaml.safe_dump(document))
    return folder / "run.yaml"


def workers_below(process: subprocess.Popen, name: str) -> list[psutil.Process]:
    """Ray workers of a driver whose actors are called so."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if re.match(name, " ".join(child.cmdline())):
                found.append(child)
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)  # processes that import PyTorch start twice
def test_both_end_whatever_is_killed_and_the_network_is_one_that_can_be_scored(tmp_path):
    job = write_jobs(tmp_path)
    process = subprocess.Popen([*RELMILL, "run", str(job), "--quiet"], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    lines, killed = [], []
    for line in process.stdout:
        lines.append(line)
        if "training begins" in line and not killed:
            (victim, *_) = workers_below(process, r"ray::StageWorker")
            victim.send_signal(signal.SIGKILL)
            killed.append("labeller")
        if line.startswith("step 3 ") and len(killed) == 1:
            (victim, *_) = workers_below(process, r"ray::.*TrainWorker")
            victim.send_signal(signal.SIGKILL)
            killed.append("trainer")
    assert process.wait(timeout=60) == 0, lines
    assert killed == ["labeller", "trainer"]

    # What happened when.
    events = [json.loads(line)["event"] for line in (tmp_path / "net" / "run.jsonl").read_text().splitlines()]
    assert [event.split(",")[0].split(";")[0] for event in events] == [
        "labelling begins", "training begins", "labelling ends", "training ends",
    ]  # fmt: skip
    log = CommitLog(Folder(str(tmp_path / "out")))
    last = log.last()
    assert last.sealed
    assert last.totals.written == 200, "nothing was lost with the labeller"
    steps = [json.loads(line)["step"] for line in (tmp_path / "net" / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 9)), "each step once"

    predictions = tmp_path / "predictions.jsonl"
    net, out = str(tmp_path / "net"), str(tmp_path / "out")
    for arguments in (
        ["predict", net, "--dataset", out, "--output", str(predictions)],
        ["evaluate", "openimages", "--ground-truth", out, "--predictions", str(predictions), "--classes", out],
    ):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    assert "R@50" in result.output


def test_a_training_that_does_not_follow_the_labelling_is_refused(tmp_path):
    job = load_run_job(write_jobs(tmp_path, follow=False))
    with pytest.raises(JobError, match=r"train\.yaml: none of its sources follows .*out"):
        run_together(job, report=lambda line: None)
    assert not (tmp_path / "out").exists()


def test_a_training_that_takes_every_cpu_is_refused(tmp_path, ray_session):
    job = write_jobs(tmp_path)
    document = yaml.safe_load((tmp_path / "train.yaml").read_text())
    document["runtime"]["workers"] = 4
    document["batch_size"] = 4
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(document))
    result = CliRunner().invoke(app, ["run", str(job), "--quiet"])
    assert "take every CPU of the cluster" in str(result.exception)


@pytest.mark.parametrize(
    ("run", "what"), [({"start_after": 0}, "start_after"), ({"workers": 2}, "workers: unknown key")], ids=str
)
def test_a_file_of_wrong_keys_is_refused(tmp_path, run, what):
    with pytest.raises(JobError, match=what):
        load_run_job(write_jobs(tmp_path, **run))
