"""Small outputs and jobs for `relmill train`, and what the workers of `test_train_ray.py` run, found by module name."""

import json
import os
import shutil
from pathlib import Path

import torch

from pipeline.label import label, prepare
from pipeline.train_plan import plan_training
from schemas.job import TrainJob, build_job, build_train_job
from stages.training import WorkerGroup

SMALL = {
    "steps": 6, "batch_size": 4, "num_pairs": 12, "short_side": 48, "save_every": 2, "report_every": 1,
    "learning_rate": 1e-4, "runtime": {"readers": 0},
}  # fmt: skip


def labelled(folder: Path, count: int, *, seed: int = 5, **dataset) -> Path:
    """A finished output of drawn scenes, four a shard."""
    document = {
        "dataset": {"format": "scenes", "count": count, "seed": seed, **dataset}, "output": str(folder), "unit_size": 4,
    }  # fmt: skip
    assert label(prepare(build_job(document)), quiet=True).sealed
    return folder


def job_of(output: Path, *sources, **settings) -> TrainJob:
    """Of the given sources: outputs, or keys of one."""
    whole = [dict(source) if isinstance(source, dict) else {"output": str(source)} for source in sources]
    for source in whole:
        source.setdefault("learn", "human")
        source.setdefault("complete", True)
        source["output"] = str(source["output"])
    return build_train_job({**SMALL, "sources": whole, "output": str(output), **settings})


def written(output: Path, files=("config.json", "model.safetensors", "tokenizer.json", "training.json")) -> dict:
    return {name: (output / name).read_bytes() for name in files}


def figures(output: Path) -> list[dict]:
    """Lines of a training, without what depends on the clock."""
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.endswith("_per_s")} for line in lines]


def begun_copy(output: Path, copy: Path, *, num_commits: int) -> Path:
    """An output as it was when so many units were committed; the shards of later ones are there, unnamed."""
    shutil.copytree(output, copy)
    for commit in sorted((copy / "commits").iterdir())[num_commits:]:
        commit.unlink()
    return copy


def work_without_dropout(job, details, device, report, stopping=lambda: False):
    """As the workers do, but for dropout, of which each would draw its own; and each tells its process."""
    plan = plan_training(job, report=lambda line: None)
    for module in plan.start.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    assert plan.details == details
    group = WorkerGroup.current()
    report(f"worker {group.rank} is {os.getpid()}")
    plan.train(report=report, group=group, device=device, stopping=stopping)
