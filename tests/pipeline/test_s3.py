"""The same job against an S3 server: the same shards, a conditional commit, and the same fences."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests_made import files_of

from schemas import ConflictError
from schemas.commit import Commit
from stages.pack import CommitLog, committed_scenes
from stages.storage import Folder


@pytest.mark.parametrize("runtime", ["inline", pytest.param("ray", marks=pytest.mark.extended)])
def test_the_same_job_gives_the_same_shards(s3_server, tmp_path, test_data, runtime):
    sample = test_data / "coco_sample"
    job = tmp_path / "job.yaml"
    job.write_text(
        f"dataset: {{format: coco, annotations: {sample}/instances.json, images: {sample}/images, "
        f"captions: {sample}/captions.json, limit: 20}}\noutput: local\nunit_size: 8\n"
    )
    label = [sys.executable, "-m", "pipeline", "label", str(job), "--quiet"]
    subprocess.run(label, check=True, capture_output=True, env=s3_server)
    url = f"s3://relmill/{tmp_path.name}"
    done = subprocess.run(
        [*label, "--runtime", runtime, "--set", f"output={url}"],
        capture_output=True,
        text=True,
        env=s3_server,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    remote = Folder(url)
    for name, data in files_of(tmp_path / "local").items():
        assert remote.read(name) == data, name
    assert sum(1 for _ in committed_scenes(remote, pixels=False)) == CommitLog(remote).last().totals.written
    again = subprocess.run(
        [*label, "--set", f"output={url}"], capture_output=True, text=True, env=s3_server, check=False
    )
    assert "(0 now)" in again.stdout
    status = subprocess.run(
        [sys.executable, "-m", "pipeline", "status", url], capture_output=True, text=True, env=s3_server, check=True
    )
    assert "sealed" in status.stdout


def test_a_commit_number_is_given_once(s3_server, tmp_path):
    folder = Folder(f"s3://relmill/race-{tmp_path.name}")
    first = CommitLog(folder).append(Commit(0, "a"), None)
    assert CommitLog(folder).append(Commit(0, "a"), None) == first, "the same unit twice is one commit"
    with pytest.raises(ConflictError, match="another unit"):
        CommitLog(folder).append(Commit(0, "b"), None)


def test_pictures_may_lie_on_s3(s3_server, tmp_path, test_data):
    sample: Path = test_data / "coco_sample"
    for path in sorted((sample / "images").iterdir())[:4]:
        assert Folder("s3://relmill/pictures").create(path.name, path.read_bytes())
    (tmp_path / "job.yaml").write_text(
        f"dataset: {{format: coco, annotations: {sample}/instances.json, images: 's3://relmill/pictures', "
        "limit: 30}\noutput: out\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "label", str(tmp_path / "job.yaml"), "--quiet"],
        capture_output=True,
        text=True,
        env=s3_server,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    totals = CommitLog(Folder(str(tmp_path / "out"))).last().totals
    assert totals.planned == 30
    assert totals.rejected == totals.reasons.get("rejected.screen.image-missing", 0)
