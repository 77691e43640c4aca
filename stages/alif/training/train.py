"""The training loop of the Relation Tagger.

RLIPv2, section "R-Tagger", and its published scripts: AdamW, gradients clipped at 0.1, hard targets. Differences: the
learning rate warms up and falls along a cosine by default, as small networks are trained from nothing here; one
learning rate for all parts.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from schemas import StorageError, UserError
from stages.alif.losses import LossConfig, LossReport, TaggerLoss
from stages.alif.matcher import PairPredictions
from stages.alif.model import AlifModel
from stages.alif.tagger import decode_pairs
from stages.alif.text_encoder import Tokenize
from stages.alif.training.batches import TaggerBatch, TaggerBatches
from stages.alif.training.state import load_state, save_state

Schedule = Literal["cosine", "step"]
"""How the learning rate falls after the warm-up: along a cosine to 0, or to a tenth after 3/4 of the steps (published:
after 15 of 20 epochs)."""

_DROP_AT, _DROP_TO = 0.75, 0.1


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long and how fast to learn."""

    steps: int
    seed: int = 0
    """Of start values, order, texts, pairs, noise and dropout."""
    learning_rate: float = 1e-4
    """After the warm-up. 1e-4 is the published rate for networks that start from trained parts."""
    weight_decay: float = 1e-4
    max_gradient_norm: float = 0.1
    """Gradients of all weights together are scaled down to this length."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from near 0."""
    schedule: Schedule = "cosine"
    save_every: int = 500
    """Steps between two states."""
    report_every: int = 50
    """Steps between two lines of figures."""

    def __post_init__(self) -> None:
        for name in ("steps", "save_every", "report_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give a number of at least 1")
        for name in ("learning_rate", "max_gradient_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; give a number above 0")
        for name in ("seed", "weight_decay", "warmup_steps"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; give a number of at least 0")
        if self.schedule not in get_args(Schedule):
            raise ValueError(f"schedule is {self.schedule!r}; give one of {', '.join(get_args(Schedule))}")

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, the first is 0."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / (self.warmup_steps + 1)
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        if self.schedule == "step":
            return self.learning_rate * (1 if done < _DROP_AT else _DROP_TO)
        return self.learning_rate * (1 + math.cos(math.pi * done)) / 2


def train(
    model: AlifModel,
    tokenize: Tokenize,
    batches: TaggerBatches,
    config: TrainingConfig,
    *,
    state: Path,
    identity: Mapping[str, Any],
    metrics: Path,
    device: torch.device | None = None,
    report: Callable[[str], None] = print,
    num_threads: int = 1,
) -> AlifModel:
    """Train a network, going on from the newest state if there is one.

    On one CPU thread, stopping and going on gives the same weights, bit for bit, as not stopping; with more threads or
    on a GPU sums may round differently.

    Args:
        model: with start values, built with `decoding="pairs"`.
        tokenize: its tokenizer.
        batches: what to learn from.
        config: how long and how fast.
        state: folder of the states, see `state.py`; those of another `identity` are refused.
        identity: what makes it this training, plain JSON values.
        metrics: JSON lines, one every `report_every` steps: means over the steps since the last line, or since going
            on. Lines of steps that are done again are dropped.
        device: by default the GPU if there is one. On a GPU bfloat16 is used where PyTorch's autocast does so.
        report: gets a line of text with each line of figures.
        num_threads: threads that read pictures.

    Returns:
        The network, trained, in evaluation mode, on the CPU.

    Raises:
        UserError: if the loss or a gradient is no finite number. The last state, from before, is then still good.
        BadInputError: if the state does not fit, or no picture of a batch can be read.
        StorageError: if something cannot be written.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=config.weight_decay)
    loss = TaggerLoss(LossConfig(predicate_target="hard"))
    start = load_state(state, model, optimizer, identity)
    log = _Log(metrics, config.report_every, report, start=start)

    # The caller's random generators are left as they were.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for step, batch in enumerate(batches.stream(start, config.steps, num_threads=num_threads), start=start):
            torch.manual_seed(_seed_of_step(config.seed, step))
            moved = batch.to(device)
            costs = loss(tagger_predictions(model, tokenize, moved), moved.targets)
            _check_finite("loss", costs.total, step)
            optimizer.zero_grad(set_to_none=True)
            costs.total.backward()
            norm = torch.nn.utils.clip_grad_norm_(trained, config.max_gradient_norm)
            _check_finite("length of the gradient", norm, step)
            rate = config.learning_rate_at(step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()

            log.add(step + 1, batch, figures(costs) | {"gradient_norm": float(norm), "learning_rate": rate})
            if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
                save_state(state, step + 1, model, optimizer, identity)
    model.cpu().eval()
    return model


def tagger_predictions(model: AlifModel, tokenize: Tokenize, batch: TaggerBatch) -> list[PairPredictions]:
    """What each decoder layer says of a batch. Model and batch are on one device; see `train` for bfloat16."""
    device = batch.pixels.device
    input_ids, attention_mask = tokenize(list(batch.texts))
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
        features = model.text_encoder(input_ids.to(device), attention_mask.to(device))
        encoded = model.encode(batch.pixels, batch.padding, features)
        decoded = decode_pairs(
            model,
            encoded,
            batch.told,
            num_objects=batch.num_objects,
            num_relations=len(batch.texts) - batch.num_objects,
        )
    return [
        PairPredictions(*layer)
        for layer in zip(
            decoded.subject_logits,
            decoded.object_logits,
            decoded.relation_logits,
            decoded.subject_boxes,
            decoded.object_boxes,
            strict=True,
        )
    ]


def figures(costs: LossReport) -> dict[str, float]:
    """The loss of all layers, and its parts in the last layer, not weighted."""
    last = costs.layers[-1]
    return {
        "loss": float(costs.total.detach()),
        "predicate": float(last.predicate.detach()),
        "entity": float(last.entity.detach()),
        "box_l1": float((last.subject_box_l1 + last.object_box_l1).detach()),
        "box_giou": float((last.subject_box_giou + last.object_box_giou).detach()),
        "class_error_percent": float(last.subject_error_percent + last.object_error_percent) / 2,
    }


class _Log:
    """Means over some steps, as JSON lines and for the terminal."""

    def __init__(self, path: Path, every: int, report: Callable[[str], None], *, start: int) -> None:
        self._path = path
        self._every = every
        self._report = report
        self._sums: dict[str, float] = {}
        self._num_steps = self._num_pictures = self._num_unreadable = 0
        self._since = time.monotonic()
        self._write("".join(line for line in self._lines() if json.loads(line)["step"] <= start), mode="w")

    def add(self, step: int, batch: TaggerBatch, values: Mapping[str, float]) -> None:
        """Take the figures of one step, which is the `step`-th."""
        self._sums = {name: self._sums.get(name, 0.0) + value for name, value in values.items()}
        self._num_steps += 1
        self._num_pictures += len(batch.keys)
        self._num_unreadable += batch.num_unreadable
        if step % self._every == 0:
            self._flush(step)

    def _flush(self, step: int) -> None:
        means = {name: total / self._num_steps for name, total in self._sums.items()}
        seconds = time.monotonic() - self._since
        speed = {"steps_per_s": self._num_steps / seconds, "pictures_per_s": self._num_pictures / seconds}
        line = {"step": step, **means, **speed, "num_unreadable": self._num_unreadable}
        self._write(json.dumps(line) + "\n", mode="a")
        self._report(
            f"step {step}  loss {means['loss']:.3f}  predicate {means['predicate']:.3f}  entity {means['entity']:.3f}  "
            f"box {means['box_l1']:.3f}  {speed['pictures_per_s']:.1f} pictures/s"
            + (f"  {self._num_unreadable} unreadable" if self._num_unreadable else "")
        )
        self._sums = {}
        self._num_steps = self._num_pictures = self._num_unreadable = 0
        self._since = time.monotonic()

    def _lines(self) -> list[str]:
        if not self._path.is_file():
            return []
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [line for line in lines if line.endswith("}\n")]  # the last one may be cut short

    def _write(self, text: str, *, mode: str) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open(mode, encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise StorageError(f"{self._path}: cannot be written: {error}; free some space") from error


def _check_finite(what: str, figure: Tensor, step: int) -> None:
    value = float(figure.detach())
    if not math.isfinite(value):
        raise UserError(
            f"the {what} is {value} at step {step + 1}, and no weight was changed by it; train anew with a lower "
            f"learning rate, or go on from the last state with a longer warm-up"
        )


def _seed_of_step(seed: int, step: int) -> int:
    # Odd multipliers below 2^64 spread neighbouring numbers over all bits; 64 bits is what PyTorch takes.
    return ((seed + 1) * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9) % 2**63
