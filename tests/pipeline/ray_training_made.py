"""What the workers of `test_train_tagger_ray.py` run; it must be found by the name of its module."""

import os
import time

import torch

from pipeline.tagger_plan import plan_tagger
from schemas import StorageError
from stages.training import WorkerGroup


def learn_without_dropout(settings, details, device, report, stopping=None):
    """As the workers do, but for dropout, of which each would draw its own; and each tells its process."""
    plan = plan_tagger(settings)
    for module in plan.start.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    assert plan.details == details
    group = WorkerGroup.current()
    report(f"worker {group.rank} is {os.getpid()}")
    plan.train(report=report, group=group, device=device)


def second_worker_cannot_write(device, report, stopping):
    """The second one raises, the first one waits for it."""
    group = WorkerGroup.current()
    report(f"{group.rank} of {group.size} on {device}")
    if group.rank == 1:
        time.sleep(1)
        raise StorageError("out/state: cannot be written: no space left; free some space")
    group.sum(torch.zeros(1))
