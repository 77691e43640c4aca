"""A job that writes its own captions: pictures in, generated captions in the shards, equal on both runtimes."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
from tests_made import files_of

from stages.pack import committed_scenes
from stages.storage import Folder


@pytest.mark.extended
def test_generated_captions_do_not_depend_on_the_runtime(tiny_blip: Path, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(
        "dataset: {format: scenes, count: 6}\n"
        f"caption: {{backend: blip, model: {tiny_blip}, per_image: 3, batch_size: 2, prompt: a picture of}}\n"
        "output: inline\nunit_size: 4\nseed: 3\n"
    )
    label = [sys.executable, "-m", "pipeline", "label", str(job), "--quiet"]
    for arguments in ([], ["--runtime", "ray", "--set", "output=ray"]):
        done = subprocess.run([*label, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "inline") == files_of(tmp_path / "ray")
    scenes = list(committed_scenes(Folder(str(tmp_path / "ray"))))
    assert len(scenes) == 6
    for scene in scenes:
        written = [caption for caption in scene.captions if caption.source == "blip"]
        assert 1 <= len(written) <= 3
        for caption in written:
            assert caption.decoding == "nucleus"
            assert caption.text
            assert math.isfinite(caption.log_probability)
            assert caption.log_probability < 0
        assert "blip/1" in scene.provenance.stages["caption"]
