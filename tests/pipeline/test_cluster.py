"""A cluster of several nodes: one is lost and one joins during a run; the output is the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests_made import HERE, Relate, Slow, files_of

from pipeline.label import label


@pytest.mark.extended
def test_a_node_goes_and_a_node_comes_during_a_run(make, tmp_path):
    reference = make("inline", stages=[Slow(0.0), Relate()], num=120, unit_size=3, out="reference")
    label(reference, quiet=True)
    out = tmp_path / "cluster"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])}
    done = subprocess.run(
        [sys.executable, str(HERE / "cluster_run.py"), str(out)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "node removed" in done.stdout
    assert files_of(out) == files_of(Path(reference.folder.url))
