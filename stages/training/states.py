"""The states of a training, in a folder or an object store, from which it goes on as if it had never stopped.

    <folder>/states.json                           which states there are, and the training that they are of
             step-00000500/model.safetensors       weights
                           optimizer.safetensors   AdamW's two moments and step count of each weight
                           average.safetensors     moving average of the weights, if one is kept

`states.json` is replaced, in one go, when the files of a new state are whole: what it does not name does not exist.
Nothing is pickled. There is no state of random generators: every step seeds them from the training's seed and its own
number. What an older state has is deleted after that, so there is always one to go on from.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from schemas import BadInputError, ConflictError, StorageError
from stages.storage import Folder

_INDEX = "states.json"


@dataclass(frozen=True, slots=True)
class SavedState:
    """What `states.json` says of a state."""

    step: int
    """Steps done."""
    files: Mapping[str, str]
    """Names within the state's folder to sha256."""
    score: float | None = None
    """How good the network was then, greater is better; None if it was not measured."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else the training goes on from: plain JSON values."""


class TrainingStates:
    """The states of one training.

    Usage::

        states = TrainingStates(Folder("out/train/state"), identity, schema="relmill.pretraining/1")
        newest = states.load(model, optimizer)
        ...
        states.save(500, model, optimizer, more={"stream": loader.state_dict()})
    """

    def __init__(self, folder: Folder, identity: Mapping[str, Any], *, schema: str, keep_last: int = 1) -> None:
        """
        Args:
            folder: of the states.
            identity: what makes it this training: plain JSON values.
            schema: of the kind of training.
            keep_last: how many of the newest states are kept; the one with the best score is kept besides.
        """
        self.folder = folder
        self._identity = dict(identity)
        self._schema = schema
        self._keep_last = keep_last

    def saved(self) -> list[SavedState]:
        """The states that there are, the newest last.

        Raises:
            BadInputError: if `states.json` is damaged, or is of another training; names what differs.
        """
        path = self.folder.path(_INDEX)
        try:
            document = json.loads(self.folder.read(_INDEX))
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise BadInputError(f"{path}: damaged ({error}); remove {self.folder} and train anew") from error
        if not isinstance(document, dict) or document.get("schema") != self._schema:
            raise BadInputError(f"{path}: schema is not {self._schema!r}; remove {self.folder} and train anew")
        if not isinstance(document.get("identity"), dict):
            raise BadInputError(f"{path}: damaged (no identity); remove {self.folder} and train anew")
        check_same_training(document["identity"], self._identity, where=str(self.folder))
        names = {each.name for each in fields(SavedState)}
        try:
            return [SavedState(**{name: state[name] for name in names}) for state in document["states"]]
        except (KeyError, TypeError) as error:
            raise BadInputError(f"{path}: damaged ({error!r}); remove {self.folder} and train anew") from error

    def steps_done(self) -> int:
        """Steps of the state to go on from; 0 if there is none.

        Raises:
            BadInputError: as `saved`.
        """
        states = self.saved()
        return states[-1].step if states else 0

    def check_same_start(self, steps: Sequence[int]) -> None:
        """Refuse workers that start at different steps: they would learn from different batches.

        Args:
            steps: that each worker finds done.

        Raises:
            StorageError: if they are not all the same.
        """
        if len(set(steps)) > 1:
            raise StorageError(
                f"{self.folder}: the workers see different states, after {', '.join(map(str, steps))} steps; give an "
                f"output on storage that all of them share"
            )

    def check_finished(self, steps: int) -> None:
        """Refuse to go on without the last state of workers that have come to an end.

        Raises:
            StorageError: if it is not there.
            BadInputError: as `saved`.
        """
        if self.steps_done() != steps:
            raise StorageError(
                f"{self.folder}: the workers finished, but what they wrote is not here; give an output on storage that "
                f"all of them share"
            )

    def save(
        self,
        step: int,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        average: nn.Module | None = None,
        score: float | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the state after `step` steps, then remove those that are not kept.

        Args:
            step: steps done.
            model: the network.
            optimizer: over the parameters of `model` that are trained.
            average: moving average of the network.
            score: how good the network is, greater is better.
            more: plain JSON values.

        Raises:
            ConflictError: if there is a state of so many steps, or more: somebody else's.
            StorageError: if it cannot be written; the states before are then still there.
            BadInputError: as `saved`.
        """
        before = self.saved()
        if before and before[-1].step >= step:
            raise ConflictError(
                f"{self.folder}: has a state after {before[-1].step} steps that this training did not write; another "
                f"one writes here. Let one run only"
            )
        parts = {"model": model.state_dict(), "optimizer": _moments(model, optimizer)}
        if average is not None:
            parts["average"] = average.state_dict()
        files = {f"{name}.safetensors": self._write(step, f"{name}.safetensors", part) for name, part in parts.items()}
        states = [*before, SavedState(step, files, score, dict(more or {}))]
        kept = self._kept(states)
        document = {"schema": self._schema, "identity": self._identity, "states": [asdict(state) for state in kept]}
        self.folder.replace(_INDEX, json.dumps(document, indent=1).encode() + b"\n")
        for state in before:
            if state not in kept:
                self._remove(state)

    def load(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        average: nn.Module | None = None,
        state: SavedState | None = None,
    ) -> SavedState | None:
        """Put a state into a network, and into its optimizer and average if they are given.

        Args:
            model: of the same kind.
            optimizer: over its parameters.
            average: a network of the same kind.
            state: which one; by default the newest.

        Returns:
            The state; None if there is none, and nothing is changed then.

        Raises:
            BadInputError: as `saved`, or if a file is missing, damaged or of another network.
        """
        if state is None:
            states = self.saved()
            if not states:
                return None
            state = states[-1]
        weights = self._read(state, "model.safetensors")
        of_average = self._read(state, "average.safetensors") if average is not None else {}
        of_optimizer = self._read(state, "optimizer.safetensors") if optimizer is not None else {}
        self._fill(model, state, weights)
        if average is not None:
            self._fill(average, state, of_average)
        if optimizer is not None:
            _set_moments(model, optimizer, of_optimizer)
        return state

    def load_result(self, model: nn.Module) -> SavedState | None:
        """Put into a network what the training came to: the state with the best score, or the newest if none has one.

        Its moving average, if there is one, else its weights.

        Returns:
            The state; None if there is none, and nothing is changed then.

        Raises:
            BadInputError: as `load`.
        """
        states = self.saved()
        if not states:
            return None
        state = _best(states) or states[-1]
        name = "average.safetensors" if "average.safetensors" in state.files else "model.safetensors"
        self._fill(model, state, self._read(state, name))
        return state

    def remove(self) -> None:
        """Delete all states: the training is finished.

        Raises:
            BadInputError: as `saved`.
        """
        states = self.saved()
        self.folder.remove(_INDEX)
        for state in states:
            self._remove(state)
        if self.folder.is_local:  # what a killed worker left, too
            shutil.rmtree(self.folder.local_path(""), ignore_errors=True)

    def _kept(self, states: list[SavedState]) -> list[SavedState]:
        newest, best = states[-self._keep_last :], _best(states)
        return [state for state in states if state in newest or state is best]

    def _fill(self, model: nn.Module, state: SavedState, weights: Mapping[str, Tensor]) -> None:
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:  # names that do not fit, on several lines
            told = " ".join(str(error).split())
            raise BadInputError(f"{self._path(state.step, '')}: is of another network: {told}") from error

    def _write(self, step: int, name: str, tensors: Mapping[str, Tensor]) -> str:
        with self.folder.scratch() as path:
            save_file(_copies(tensors), path)
            digest = _sha256(path)
            # What lies there is of a state that was begun and never named.
            self.folder.remove(_name(step, name))
            if not self.folder.publish(path, _name(step, name)):
                raise StorageError(f"{self._path(step, name)}: another training writes here; let one run only")
        return digest

    def _read(self, state: SavedState, name: str) -> dict[str, Tensor]:
        path = self._path(state.step, name)
        try:
            with self.folder.local_copy(_name(state.step, name)) as local:
                found = _sha256(local)
                if found != state.files.get(name):
                    raise BadInputError(
                        f"{path}: damaged (sha256 is {found}, {_INDEX} says {state.files.get(name)}); remove "
                        f"{self.folder} and train anew"
                    )
                tensors: dict[str, Tensor] = load_file(local)
        except FileNotFoundError as error:
            raise BadInputError(f"{path}: is missing; remove {self.folder} and train anew") from error
        except SafetensorError as error:
            raise BadInputError(f"{path}: damaged ({error}); remove {self.folder} and train anew") from error
        return tensors

    def _remove(self, state: SavedState) -> None:
        for name in state.files:
            self.folder.remove(_name(state.step, name))
        self.folder.remove_folder(_name(state.step, ""))

    def _path(self, step: int, name: str) -> str:
        return self.folder.path(_name(step, name)).rstrip("/")


def _name(step: int, name: str) -> str:
    return f"step-{step:08d}/{name}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_same_training(then: Mapping[str, Any], now: Mapping[str, Any], *, where: str) -> None:
    """Refuse to go on with another training.

    Args:
        then: what makes the training that was begun: plain JSON values.
        now: what makes the one that is to go on.
        where: names the training that was begun, for the message.

    Raises:
        BadInputError: naming the first setting that differs.
    """
    before, after = _flat(then), _flat(now)
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            raise BadInputError(
                f"{where}: is of a training with {key} {before.get(key, 'missing')}, now it is "
                f"{after.get(key, 'missing')}; go on with the old value, or give another output"
            )


def _best(states: Sequence[SavedState]) -> SavedState | None:
    """The one with the highest score, of equal ones the newest; None if none was measured."""
    measured = [state for state in reversed(states) if state.score is not None]
    return max(measured, key=lambda state: state.score or 0.0, default=None)


def _moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What the optimizer keeps of each weight, by the weight's name: `<name>.exp_avg` and so on."""
    return {
        f"{name}.{kind}": value
        for name, parameter in model.named_parameters()
        for kind, value in optimizer.state.get(parameter, {}).items()
    }


def _set_moments(model: nn.Module, optimizer: torch.optim.Optimizer, moments: Mapping[str, Tensor]) -> None:
    names = {parameter: name for name, parameter in model.named_parameters()}
    by_name: dict[str, dict[str, Tensor]] = {}
    for key, value in moments.items():
        name, _, kind = key.rpartition(".")
        by_name.setdefault(name, {})[kind] = value
    state = optimizer.state_dict()
    in_order = [names[parameter] for group in optimizer.param_groups for parameter in group["params"]]
    state["state"] = {number: by_name[name] for number, name in enumerate(in_order) if name in by_name}
    optimizer.load_state_dict(state)


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # safetensors refuses tensors that share memory.
    return {name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}


def _flat(value: Any, name: str = "") -> dict[str, str]:
    """Nested JSON as `a.b` to text, to name what differs."""
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = ((str(number), part) for number, part in enumerate(value))  # type: ignore[assignment]
    else:
        return {name: json.dumps(value)}
    return {key: text for part, inner in parts for key, text in _flat(inner, f"{name}.{part}".strip(".")).items()}
