"""The state of the tagger's training on disk; what is in it is told in `stages/training/state.py`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stages import training

SCHEMA = "relmill.alif-training/1"


def save_state(
    folder: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, identity: Mapping[str, Any]
) -> None:
    """`stages.training.save_state` of a tagger."""
    training.save_state(folder, step, model, optimizer, identity, schema=SCHEMA)


def check_state(folder: Path, identity: Mapping[str, Any]) -> int:
    """`stages.training.check_state` of a tagger."""
    return training.check_state(folder, identity, schema=SCHEMA)


def load_state(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None, identity: Mapping[str, Any]
) -> int:
    """`stages.training.load_state` of a tagger."""
    return training.load_state(folder, model, optimizer, identity, schema=SCHEMA)
