"""The state of a training on disk, from which it goes on as if it had never stopped.

    <folder>/step-00000500/model.safetensors      weights
                           optimizer.safetensors  AdamW's two moments and step count of each weight
                           state.json             {"schema": "relmill...-training/1", "step": 500, "identity": ...}

A state is written beside the old one and renamed when it is whole, so there is always one to go on from. Nothing is
pickled. There is no state of random generators: every step seeds them from the training's seed and its own number.
"""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from schemas import BadInputError, StorageError

_MODEL, _OPTIMIZER, _STATE = "model.safetensors", "optimizer.safetensors", "state.json"
_STEP_FOLDER = re.compile(r"step-([0-9]{8})")


def save_state(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    identity: Mapping[str, Any],
    *,
    schema: str,
) -> None:
    """Write the state after `step` steps, then remove older ones.

    Args:
        folder: made if need be.
        step: steps done.
        model: the network.
        optimizer: AdamW over the parameters of `model` that are trained.
        identity: what makes it this training: plain JSON values.
        schema: of the kind of training.

    Raises:
        StorageError: if it cannot be written; the state before is then still there.
    """
    whole = folder / f"step-{step:08d}"
    partial = folder / f".step-{step:08d}.part"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file(copies(model.state_dict()), partial / _MODEL)
        save_file(copies(moments(model, optimizer)), partial / _OPTIMIZER)
        document = {"schema": schema, "step": step, "identity": dict(identity)}
        (partial / _STATE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(whole, ignore_errors=True)
        partial.rename(whole)
    except OSError as error:
        raise StorageError(f"{folder}: the training's state cannot be written: {error}; free some space") from error
    for old in _states(folder):
        if old != whole:
            shutil.rmtree(old, ignore_errors=True)


def check_state(folder: Path, identity: Mapping[str, Any], *, schema: str) -> int:
    """Steps done in the newest state of `folder`; 0 if there is none.

    Arguments as in `save_state`.

    Raises:
        BadInputError: if the state is damaged, or is of another training; names what differs.
    """
    states = _states(folder)
    if not states:
        return 0
    path = states[-1] / _STATE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path}: damaged ({error}); remove the folder {folder} and train anew") from error
    if not isinstance(document, dict) or document.get("schema") != schema:
        raise BadInputError(f"{path}: schema is not {schema!r}; remove the folder {folder} and train anew")
    if type(document.get("step")) is not int or not isinstance(document.get("identity"), dict):
        raise BadInputError(f"{path}: damaged (no step or no identity); remove the folder {folder} and train anew")
    then, now = flat(document["identity"]), flat(identity)
    if differing := [key for key in sorted({*then, *now}) if then.get(key) != now.get(key)]:
        key = differing[0]
        raise BadInputError(
            f"{folder}: is of a training with {key} {then.get(key, 'missing')}, now it is {now.get(key, 'missing')}; "
            f"go on with the old value, or give another output"
        )
    step: int = document["step"]
    return step


def load_state(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    identity: Mapping[str, Any],
    *,
    schema: str,
) -> int:
    """Put the newest state of `folder` into a network and its optimizer.

    Arguments as in `save_state`; without an optimizer only the weights are loaded.

    Returns:
        Steps done; 0 if there is no state, and nothing is changed then.

    Raises:
        BadInputError: as `check_state`, or if weights are damaged or of another network.
    """
    step = check_state(folder, identity, schema=schema)
    if not step:
        return 0
    newest = _states(folder)[-1]
    try:
        weights = load_file(newest / _MODEL)
        moments = {} if optimizer is None else load_file(newest / _OPTIMIZER)
    except (OSError, SafetensorError) as error:
        raise BadInputError(f"{newest}: damaged ({error}); remove the folder and train anew") from error
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:  # names that do not fit, on several lines
        raise BadInputError(f"{newest / _MODEL}: is of another network: {' '.join(str(error).split())}") from error
    if optimizer is not None:
        set_moments(model, optimizer, moments)
    return step


def _states(folder: Path) -> list[Path]:
    """Whole states, the newest last."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _STEP_FOLDER.fullmatch(path.name))


def moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What the optimizer keeps of each weight, by the weight's name: `<name>.exp_avg` and so on."""
    return {
        f"{name}.{kind}": value
        for name, parameter in model.named_parameters()
        for kind, value in optimizer.state.get(parameter, {}).items()
    }


def set_moments(model: nn.Module, optimizer: torch.optim.Optimizer, moments: Mapping[str, Tensor]) -> None:
    names = {parameter: name for name, parameter in model.named_parameters()}
    by_name: dict[str, dict[str, Tensor]] = {}
    for key, value in moments.items():
        name, _, kind = key.rpartition(".")
        by_name.setdefault(name, {})[kind] = value
    state = optimizer.state_dict()
    in_order = [names[parameter] for group in optimizer.param_groups for parameter in group["params"]]
    state["state"] = {number: by_name[name] for number, name in enumerate(in_order) if name in by_name}
    optimizer.load_state_dict(state)


def copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # safetensors refuses tensors that share memory.
    return {name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}


def flat(value: Any, name: str = "") -> dict[str, str]:
    """Nested JSON as `a.b` to text, to name what differs."""
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = ((str(number), part) for number, part in enumerate(value))  # type: ignore[assignment]
    else:
        return {name: json.dumps(value)}
    return {key: text for part, inner in parts for key, text in flat(inner, f"{name}.{part}".strip(".")).items()}
