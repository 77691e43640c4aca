"""`kill -9` and Ctrl-C on the real command over real pictures: resumed, the output is the uninterrupted one's."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests_made import files_of

from stages.pack import CommitLog
from stages.storage import Folder

RELMILL = [sys.executable, "-m", "pipeline"]
KILLS = int(os.environ.get("RELMILL_TEST_KILLS", "3"))
"""How many times the driver is killed. 3 keep `make test` quick; the release check runs 20."""


@pytest.fixture(scope="module")
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sample = request.getfixturevalue("test_data") / "coco_sample"
    path = tmp_path_factory.mktemp("kill") / "job.yaml"
    path.write_text(
        f"dataset: {{format: coco, annotations: {sample}/instances.json, images: {sample}/images, "
        f"captions: {sample}/captions.json}}\n"
        "output: whole\nunit_size: 1\n"
    )
    return path


@pytest.fixture(scope="module")
def whole(job: Path) -> dict[str, bytes]:
    """The output of a run that nobody disturbed."""
    subprocess.run(command(job, "whole", "inline"), check=True, capture_output=True)
    return files_of(job.parent / "whole")


def command(job: Path, out: str, runtime: str, workers: int = 1) -> list[str]:
    pools = [f"--set=runtime.pools.{stage}={{workers: {workers}, cpus: 0.1}}" for stage in ("screen", "tag")]
    return [*RELMILL, "label", str(job), "--set", f"output={out}", "--runtime", runtime, "--quiet", *pools]


def wait_for_commits(folder: Path, number: int, process: subprocess.Popen) -> None:
    """Until the log is `number` entries long, or the process is done."""
    log = CommitLog(Folder(str(folder)))
    deadline = time.monotonic() + 120
    while process.poll() is None and log.read(number - 1) is None:
        assert time.monotonic() < deadline, "no progress"
        time.sleep(0.01)


def workers_of(pid: int) -> list[psutil.Process]:
    """The Ray workers below a driver that run our actors."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if re.match(r"ray::(Stage|Pack)Worker", " ".join(child.cmdline())):
                found.append(child)
    return found


def assert_all_end(processes: list[psutil.Process]) -> None:
    """The workers of a killed driver end by themselves (Ray's own agents take some minutes to notice)."""
    deadline = time.monotonic() + 60
    while any(process.is_running() and not is_zombie(process) for process in processes):
        assert time.monotonic() < deadline, processes
        time.sleep(0.05)


def is_zombie(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def test_the_driver_is_killed_at_random_moments(job, whole, tmp_path):
    draw = random.Random(20)
    killed = attempt = 0
    out = tmp_path / "0"
    while killed < KILLS:
        # Each resume runs otherwise than the run before it.
        runtime, workers = [("ray", 2), ("inline", 1), ("ray", 1), ("ray", 3)][attempt % 4]
        attempt += 1
        process = subprocess.Popen(
            command(job, str(out), runtime, workers), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        log = CommitLog(Folder(str(out)))
        wait_for_commits(out, log.length() + draw.randint(1, 4), process)
        time.sleep(draw.random() * 0.1)
        if process.poll() is None:
            orphans = workers_of(process.pid)
            process.send_signal(signal.SIGKILL)
            killed += 1
            assert_all_end(orphans)
        process.communicate()
        last = log.last()
        assert last is None or last.totals.balanced()
        if last is not None and last.sealed:
            # Finished before the last kill: it must be right, and the next kills fall on a new output.
            assert files_of(out) == whole
            out = tmp_path / str(attempt)
    subprocess.run(command(job, str(out), "inline"), check=True, capture_output=True)
    assert files_of(out) == whole


def test_workers_are_killed_at_random_moments(job, whole, tmp_path):
    draw = random.Random(7)
    out, killed = tmp_path / "out", 0
    process = subprocess.Popen(command(job, str(out), "ray", 2), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_for_commits(out, 1, process)
    while process.poll() is None and killed < KILLS:
        with contextlib.suppress(psutil.Error, IndexError):  # it may be gone before we look, or not there yet
            draw.choice(workers_of(process.pid)).send_signal(signal.SIGKILL)
            killed += 1
        time.sleep(draw.random() * 0.5)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors.decode()
    assert killed >= 1
    assert files_of(out) == whole


@pytest.mark.parametrize("runtime", ["inline", pytest.param("ray", marks=pytest.mark.extended)])
def test_ctrl_c_drains_and_the_same_command_resumes(job, whole, tmp_path, runtime):
    out = tmp_path / "out"
    process = subprocess.Popen(
        [*command(job, str(out), runtime), "--set", "runtime.window_units=1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for_commits(out, 2, process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr.decode()
    assert b"run the same command" in stdout
    assert b"Traceback" not in stderr
    assert not (out / "tmp").exists() or not list((out / "tmp").iterdir())
    subprocess.run(command(job, str(out), runtime), check=True, capture_output=True)
    assert files_of(out) == whole


def test_a_second_ctrl_c_stops_at_once(job, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(command(job, str(out), "ray"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_commits(out, 1, process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - start < 20
    assert process.returncode == 130
    assert b"Traceback" not in stderr
    subprocess.run(command(job, str(out), "inline"), check=True, capture_output=True)
    assert CommitLog(Folder(str(out))).last().sealed
