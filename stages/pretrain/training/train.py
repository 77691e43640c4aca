"""The loop of relational pre-training: RLIPv2's objective on a stream of shards.

RLIPv2, section 3.4, and its published `engine.py`: pairs are detected and matched with the labelled ones; classes,
boxes and predicates are learned against the label sequence of the batch, predicates with quality focal loss.
"""

from collections.abc import Callable
from contextlib import closing, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from schemas import BadInputError
from stages.alif.losses import LossConfig, LossReport, PairLoss
from stages.alif.matcher import HungarianMatcher, PairPredictions
from stages.alif.model import AlifModel
from stages.alif.relational_pseudo_labels import relational_pseudo_labels
from stages.alif.text_encoder import Tokenize, check_num_tokens
from stages.pretrain.batches import PretrainBatch
from stages.pretrain.training.average import MovingAverage
from stages.pretrain.training.config import PretrainConfig
from stages.storage import Folder
from stages.stream import StreamLoader, dead_readers_told
from stages.training import (
    RATE_FACTOR,
    TrainingLog,
    TrainingStates,
    WorkerGroup,
    apply_gradients,
    check_finite,
    seed_of_step,
)

STATE_SCHEMA = "relmill.pretraining/1"

_SLOW = ("backbone.", "text_encoder.")
_SHOWN = {"loss": "loss {:.3f}", "predicate": "predicate {:.4f}", "entity": "entity {:.3f}", "box_l1": "box {:.3f}"}
_FIGURES = ("loss", "predicate", "entity", "box_l1", "box_giou")

Score = Callable[[AlifModel], dict[str, float]]
"""Measures a network in evaluation mode on its device; the entry `score` says how good it is, greater is better."""


def train(
    model: AlifModel,
    tokenize: Tokenize,
    loader: StreamLoader[PretrainBatch],
    config: PretrainConfig,
    *,
    states: TrainingStates,
    metrics: Folder,
    group: WorkerGroup = WorkerGroup(),  # noqa: B008 - it is frozen
    device: torch.device | None = None,
    report: Callable[[str], None] = print,
    score: Score | None = None,
    curves: bool = False,
    stopping: Callable[[], bool] = lambda: False,
) -> AlifModel:
    """Train a network on a stream, going on from the newest state if there is one.

    On one CPU thread, stopping and going on gives the same weights, bit for bit, as not stopping; with more threads or
    on a GPU sums may round differently. Several workers share each batch and learn what one learns, but for rounding
    and dropout; a state may be gone on from by any number of them, and by any number of reading processes.

    Args:
        model: with start values, built with `decoding="parseda"` or `"parsed"`.
        tokenize: its tokenizer.
        loader: of this worker's part, with `BatchMaker`, from the start of the stream.
        config: how long and how fast.
        states: those of this training.
        metrics: folder of the figures; see `TrainingLog`.
        group: the workers that call this together; the first one writes.
        device: by default the GPU if there is one.
        report: gets a line of text with each line of figures.
        score: measures the network at each state, by the first worker; the best state is kept.
        curves: whether figures are written for TensorBoard, too.
        stopping: the first worker asks it at each state whether all are to stop there.

    Returns:
        The network, or its moving average if there is one, in evaluation mode, on the CPU.

    Raises:
        UserError: if the loss or a gradient is no finite number, or the stream waits too long for a commit.
        BadInputError: if a state does not fit, the stream ends before the last step, no picture of a batch can be
            decoded, or a text is too long for the network.
        StorageError: if something cannot be written, or the workers do not see the same states.
        TransientError: if a process that reads ahead died.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        _groups(model, config), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    average = MovingAverage(model, config.average) if config.average else None
    state = states.load(model, optimizer, average=average.model if average else None)
    start = state.step if state else 0
    states.check_same_start(group.each(start, device))
    if state is not None:
        loader.load_state_dict(dict(state.more["stream"]))
    group.take_first(model.state_dict().values())
    log = None
    if group.is_first:
        log = TrainingLog(
            metrics, config.report_every, report, shown=_SHOWN, start=start, steps=config.steps, curves=curves
        )
    loss = PairLoss(
        LossConfig(predicate_target=config.predicate_target, unknown_weight=config.unknown_weight), HungarianMatcher()
    )

    # The caller's random generators are left as they were.
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        nullcontext() if log is None else closing(log),
        dead_readers_told(),
    ):
        batches = iter(loader)
        for step in range(start, config.steps):
            batch = next(batches, None)
            if batch is None:
                raise BadInputError(
                    f"the stream ends after {step} of {config.steps} steps; give fewer steps, or more epochs"
                )
            torch.manual_seed(seed_of_step(config.seed, step, rank=group.rank))
            num_pictures, num_unreadable = _counts(batch, group, device)
            if not num_pictures:
                raise BadInputError(f"not one picture of a batch can be read; the first: {batch.problem}")

            costs = _costs(model, tokenize, batch.to(device), loss, config=config, group=group)
            seen = _figures_of_all(costs, group, device)
            check_finite("loss", seen["loss"], step)
            optimizer.zero_grad(set_to_none=True)
            if costs is not None:
                costs.total.backward()
            group.sum_gradients(trained)
            seen |= apply_gradients(trained, optimizer, config, step)
            if average is not None:
                average.update(step)

            if log is not None:
                log.add(step + 1, seen, num_pictures=num_pictures, num_unreadable=num_unreadable)
            if (step + 1) % config.save_every and step + 1 < config.steps:
                continue
            if log is not None:
                measured = _measured(model if average is None else average.model, score, log, step + 1)
                states.save(
                    step + 1,
                    model,
                    optimizer,
                    average=None if average is None else average.model,
                    score=measured.get("score"),
                    more={"stream": loader.state_dict()},
                )
            if _one_says(group.is_first and stopping(), group, device):
                break
        batches.close()
    result = model if average is None else average.model
    result.cpu().eval()
    return result


def pair_predictions(
    model: AlifModel, tokenize: Tokenize, batch: PretrainBatch, *, precision: str
) -> tuple[list[PairPredictions], Tensor]:
    """What each decoder layer says of a batch of at least one picture, and (R, E) the features of its relation texts.

    Model and batch are on one device.
    """
    device = batch.pixels.device
    input_ids, attention_mask = tokenize(list(batch.texts))
    check_num_tokens(batch.texts, attention_mask, model.text_encoder.max_tokens)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        features = model.text_encoder(input_ids.to(device), attention_mask.to(device))
        encoded = model.encode(batch.pixels, batch.padding, features)
        decoded = model.decode(
            encoded,
            model.decoder.queries(len(batch.pixels)),
            num_objects=batch.num_objects,
            num_relations=len(batch.texts) - batch.num_objects,
        )
    return PairPredictions.of_layers(decoded), features[batch.num_objects :]


def _costs(
    model: AlifModel,
    tokenize: Tokenize,
    batch: PretrainBatch,
    loss: PairLoss,
    *,
    config: PretrainConfig,
    group: WorkerGroup,
) -> LossReport | None:
    """The losses of this worker's part; None if it has no picture."""
    if not batch.keys:
        group.sum(torch.zeros(PairLoss.num_divisors(model.decoder.num_layers), device=batch.pixels.device))
        return None
    layers, features = pair_predictions(model, tokenize, batch, precision=config.precision)
    similar = None
    if config.predicate_target == "pseudo_quality":
        labels = torch.cat([target.predicate_labels for target in batch.targets])
        similar = relational_pseudo_labels(features, labels)
    return loss(layers, batch.targets, pseudo_labels=similar, unknown_pairs=batch.unknown, share=group.sum)


def _groups(model: nn.Module, config: PretrainConfig) -> list[dict[str, Any]]:
    slow: list[nn.Parameter] = []
    fast: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (slow if name.startswith(_SLOW) else fast).append(parameter)
    return [{"params": fast}, {"params": slow, RATE_FACTOR: config.slow_rate}]


def _measured(model: AlifModel, score: Score | None, log: TrainingLog, step: int) -> dict[str, float]:
    if score is None:
        return {}
    was_training = model.training
    values = score(model.eval())
    model.train(was_training)
    log.measured(step, values)
    return values


def _one_says(word: bool, group: WorkerGroup, device: torch.device) -> bool:  # noqa: FBT001
    """Whether any worker says so; all learn it. Others wait here for the first one, which writes the state."""
    return bool(group.sum(torch.tensor([int(word)], device=device)).any())


def _figures_of_all(costs: LossReport | None, group: WorkerGroup, device: torch.device) -> dict[str, float]:
    """Losses of the workers add up, as all divide by what the whole batch has."""
    own = dict.fromkeys(_FIGURES, 0.0) if costs is None else costs.figures()
    if group.size == 1:
        return own
    summed = group.sum(torch.tensor([own[name] for name in _FIGURES], dtype=torch.float64, device=device))
    return dict(zip(_FIGURES, summed.tolist(), strict=True))


def _counts(batch: PretrainBatch, group: WorkerGroup, device: torch.device) -> tuple[int, int]:
    """Pictures of the whole batch that were read, and that could not be."""
    own = torch.tensor([len(batch.keys), batch.num_unreadable], device=device)
    num_pictures, num_unreadable = group.sum(own).tolist()
    return num_pictures, num_unreadable
