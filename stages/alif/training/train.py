"""The training loop of the Relation Tagger.

RLIPv2, section "R-Tagger", and its published scripts: AdamW, gradients clipped at 0.1, hard targets. Differences: the
learning rate warms up and falls along a cosine by default, as small networks are trained from nothing here; one
learning rate for all parts.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch

from schemas import BadInputError
from stages.alif.losses import LossConfig, LossReport, TaggerCounts, TaggerLoss
from stages.alif.matcher import PairPredictions
from stages.alif.model import AlifModel
from stages.alif.tagger import decode_pairs
from stages.alif.text_encoder import Tokenize
from stages.alif.training.batches import TaggerBatch, TaggerBatches
from stages.storage import Folder
from stages.training import (
    TrainingConfig,
    TrainingLog,
    TrainingStates,
    WorkerGroup,
    apply_gradients,
    check_finite,
    seed_of_step,
)

STATE_SCHEMA = "relmill.alif-training/2"

_SHOWN = {
    "loss": "loss {:.3f}",
    "predicate": "predicate {:.3f}",
    "entity": "entity {:.3f}",
    "box_l1": "box {:.3f}",
}


def train(
    model: AlifModel,
    tokenize: Tokenize,
    batches: TaggerBatches,
    config: TrainingConfig,
    *,
    states: TrainingStates,
    metrics: Folder,
    group: WorkerGroup = WorkerGroup(),  # noqa: B008 - it is frozen
    device: torch.device | None = None,
    report: Callable[[str], None] = print,
    num_threads: int = 1,
) -> AlifModel:
    """Train a network, going on from the newest state if there is one.

    On one CPU thread, stopping and going on gives the same weights, bit for bit, as not stopping; with more threads or
    on a GPU sums may round differently.

    Several workers share each batch. Without dropout they learn what one worker learns, but for rounding; with it, each
    draws its own. A state may be gone on from by any number of workers.

    Args:
        model: with start values, built with `decoding="pairs"`.
        tokenize: its tokenizer.
        batches: what to learn from.
        config: how long and how fast.
        states: those of this training.
        metrics: folder of the figures; see `TrainingLog`.
        group: the workers that call this together, each with the same arguments; the first one writes.
        device: by default the GPU if there is one. On a GPU bfloat16 is used where PyTorch's autocast does so.
        report: gets a line of text with each line of figures.
        num_threads: threads that read pictures.

    Returns:
        The network, trained, in evaluation mode, on the CPU.

    Raises:
        UserError: if the loss or a gradient is no finite number. The last state, from before, is then still good.
        BadInputError: if the state does not fit, or no picture of a batch can be read.
        StorageError: if something cannot be written, or the workers do not see the same states.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=config.weight_decay)
    loss = TaggerLoss(LossConfig(predicate_target="hard"))
    state = states.load(model, optimizer)
    start = state.step if state else 0
    states.check_same_start(group.each(start, device))
    group.take_first(model.state_dict().values())
    log = None
    if group.is_first:
        log = TrainingLog(metrics, config.report_every, report, shown=_SHOWN, start=start, steps=config.steps)

    # The caller's random generators are left as they were.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        made = batches.stream(start, config.steps, group, num_threads=num_threads)
        for step, batch in enumerate(made, start=start):
            torch.manual_seed(seed_of_step(config.seed, step, rank=group.rank))
            moved = batch.to(device)
            total = _Total.of(moved, loss.config, group)
            if not total.num_pictures:
                raise BadInputError(f"not one picture of a batch can be read; the first: {batch.problem}")

            # All workers see the same figures, so that they stop together.
            costs = None
            if batch.keys:
                costs = loss(tagger_predictions(model, tokenize, moved), moved.targets, counts=total.counts)
            seen = _figures_of_all(costs, group, device)
            check_finite("loss", seen["loss"], step)
            optimizer.zero_grad(set_to_none=True)
            if costs is not None:
                costs.total.backward()
            group.sum_gradients(trained)
            seen |= apply_gradients(trained, optimizer, config, step)

            if log is not None:
                log.add(
                    step + 1,
                    seen,
                    num_pictures=total.num_pictures,
                    num_unreadable=total.num_unreadable,
                )
            if group.is_first and ((step + 1) % config.save_every == 0 or step + 1 == config.steps):
                states.save(step + 1, model, optimizer)
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
    return PairPredictions.of_layers(decoded)


def figures(costs: LossReport) -> dict[str, float]:
    """Those of the losses, and how often a class is wrong in the last layer."""
    last = costs.layers[-1]
    errors = float(last.subject_error_percent + last.object_error_percent) / 2
    return costs.figures() | {"class_error_percent": errors}


# Of a worker without pictures: it adds nothing, and nothing of what it was asked is right.
_NO_FIGURES = {
    "loss": 0.0, "predicate": 0.0, "entity": 0.0, "box_l1": 0.0, "box_giou": 0.0, "class_error_percent": 100.0,
}  # fmt: skip


def _figures_of_all(costs: LossReport | None, group: WorkerGroup, device: torch.device) -> dict[str, float]:
    """The figures of the whole batch. Losses of the workers add up, as all divide by the counts of the whole batch."""
    own = _NO_FIGURES if costs is None else figures(costs)
    if group.size == 1:
        return own
    summed = group.sum(torch.tensor([own[name] for name in _NO_FIGURES], dtype=torch.float64, device=device))
    total = dict(zip(_NO_FIGURES, summed.tolist(), strict=True))
    # What adds up is the right ones: 100 - x.
    return total | {"class_error_percent": total["class_error_percent"] - 100 * (group.size - 1)}


@dataclass(frozen=True)
class _Total:
    """What a batch has, over all workers."""

    counts: TaggerCounts
    num_pictures: int
    num_unreadable: int

    @classmethod
    def of(cls, batch: TaggerBatch, config: LossConfig, group: WorkerGroup) -> "_Total":
        classes = batch.pixels.new_zeros(0, batch.num_objects)
        own = TaggerCounts.of(batch.targets, classes, config)
        if group.size == 1:
            return cls(own, len(batch.keys), batch.num_unreadable)
        names = [field.name for field in fields(own)]
        row = [*(getattr(own, name) for name in names), len(batch.keys), batch.num_unreadable]
        *counts, num_pictures, num_unreadable = group.sum(
            torch.tensor([float(value) for value in row], dtype=torch.float64, device=classes.device)
        )
        return cls(TaggerCounts(*(count.float() for count in counts)), int(num_pictures), int(num_unreadable))
