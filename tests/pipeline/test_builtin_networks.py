"""The two networks that ship: the demo labels with them, on either runtime, and they do what their cards say."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests_made import files_of

from stages.alif.checkpoint import checkpoint_sha256
from stages.caption.model_files import folder_digest

ROOT = Path(__file__).resolve().parents[2]
CAPTIONER, TAGGER = ROOT / "stages" / "caption" / "builtin", ROOT / "stages" / "tag" / "builtin_tagger"


def test_the_demo_labels_alike_on_both_runtimes_and_mostly_right(tmp_path: Path) -> None:
    label = [sys.executable, "-m", "pipeline", "label", str(ROOT / "examples" / "demo.yaml"), "--quiet"]
    small = ["--set", "dataset.count=32", "--set", "dataset.seed=77"]
    for runtime in ("inline", "ray"):
        arguments = ["--runtime", runtime, "--set", f"output={tmp_path / runtime}"]
        done = subprocess.run([*label, *small, *arguments], capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "inline") == files_of(tmp_path / "ray")
    triplets = json.loads((tmp_path / "inline" / "report.json").read_text())["score"]["triplets"]
    # By chance neither: one of 36 predicates of one of hundreds of pairs.
    assert triplets["precision"] > 0.75
    assert triplets["recall"] > 0.15


@pytest.mark.parametrize(
    ("card", "digest"),
    [
        (ROOT / "stages" / "caption" / "CAPTIONER_CARD.md", folder_digest(str(CAPTIONER))),
        (ROOT / "stages" / "tag" / "TAGGER_CARD.md", checkpoint_sha256(TAGGER)),
    ],
    ids=["captioner", "tagger"],
)
def test_the_cards_are_of_the_networks_that_ship(card: Path, digest: str) -> None:
    assert digest in card.read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", [CAPTIONER, TAGGER], ids=["captioner", "tagger"])
def test_the_networks_are_small_and_nothing_in_them_can_run(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert sum(path.stat().st_size for path in files) < 6_000_000
    assert not [path for path in files if not re.fullmatch(r".*\.(json|safetensors)", path.name)]
