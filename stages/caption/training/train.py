"""The training loop of the captioner: AdamW, warm-up, then along a cosine to 0, teacher forcing.

BLIP fine-tunes with AdamW, weight decay 0.05, a cosine and label smoothing 0.1, from a trained network. This one starts
from nothing, so its learning rate is higher (2e-3 against 1e-5). A second task for the vision tower, guessing which
words the captions have, was tried: after 500 steps the captions' loss was the same with and without it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from stages.caption.training.batches import CaptionBatches
from stages.caption.training.loss import caption_loss
from stages.storage import Folder
from stages.training import (
    TrainingConfig,
    TrainingLog,
    TrainingStates,
    apply_gradients,
    check_finite,
    seed_of_step,
)

STATE_SCHEMA = "relmill.captioner-state/2"
_SHOWN = {"loss": "loss {:.3f}"}


@dataclass(frozen=True, kw_only=True)
class CaptionTrainingConfig(TrainingConfig):
    """How long and how fast to learn."""

    learning_rate: float = 2e-3
    """After the warm-up. On procedural scenes the loss falls faster so than with 1e-3."""
    weight_decay: float = 0.05
    """BLIP's. Of matrices; biases and norms have none."""
    max_gradient_norm: float = 1.0
    label_smoothing: float = 0.0
    """Share of each target that is spread over all tokens. BLIP has 0.1, which a beam search does not mind; here the
    captions are sampled, and what is spread would be said."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}; give a number from 0 to below 1")


def train(
    captioner: Any,
    batches: CaptionBatches,
    config: CaptionTrainingConfig,
    *,
    prompt_length: int,
    states: TrainingStates,
    metrics: Folder,
    device: torch.device | None = None,
    report: Callable[[str], None] = print,
    num_threads: int = 1,
) -> Any:
    """Train a captioner, going on from the newest state if there is one.

    On one CPU thread, stopping and going on gives the same weights, bit for bit, as not stopping; with more threads or
    on a GPU sums may round differently.

    Args:
        captioner: with start values, as `tiny_captioner` makes it.
        batches: what to learn from.
        config: how long and how fast.
        prompt_length: tokens at the front of each caption that are given, not learned.
        states: those of this training.
        metrics: folder of the figures; see `TrainingLog`.
        device: by default the GPU if there is one.
        report: gets a line of text with each line of figures.
        num_threads: threads that read pictures.

    Returns:
        The captioner, trained, in evaluation mode, on the CPU.

    Raises:
        UserError: if the loss or a gradient is no finite number. The last state, from before, is then still good.
        BadInputError: if the state does not fit, or no picture of a batch can be read.
        StorageError: if something cannot be written.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    captioner.to(device).train()
    trained = list(captioner.parameters())
    optimizer = torch.optim.AdamW(_groups(captioner, config.weight_decay), lr=config.learning_rate)
    state = states.load(captioner, optimizer)
    start = state.step if state else 0
    log = TrainingLog(metrics, config.report_every, report, shown=_SHOWN, start=start, steps=config.steps)

    # The caller's random generators are left as they were.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for step, batch in enumerate(batches.stream(start, config.steps, num_threads=num_threads), start=start):
            torch.manual_seed(seed_of_step(config.seed, step))
            loss = caption_loss(
                captioner, batch.to(device), prompt_length=prompt_length, label_smoothing=config.label_smoothing
            )
            check_finite("loss", loss, step)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            figures = {"loss": float(loss.detach()), **apply_gradients(trained, optimizer, config, step)}
            log.add(step + 1, figures, num_pictures=len(batch.keys), num_unreadable=batch.num_unreadable)
            if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
                states.save(step + 1, captioner, optimizer)
    return captioner.cpu().eval()


def _groups(captioner: Any, weight_decay: float) -> list[dict[str, Any]]:
    parameters = list(captioner.parameters())
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
