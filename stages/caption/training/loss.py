"""What a batch of captions costs.

Shape letters: B pictures, N captions of all of them, T tokens, P patches with the class token, D width, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from stages.caption.training.batches import CaptionBatch


def caption_loss(captioner: Any, batch: CaptionBatch, *, prompt_length: int, label_smoothing: float = 0.0) -> Tensor:
    """Nats a token, each picture counting the same, however many captions it has: ().

    Args:
        captioner: a `BlipForConditionalGeneration`.
        batch: on the same device.
        prompt_length: tokens at the front of each caption that are given, not learned: start token and prompt.
        label_smoothing: share of each target that is spread over all tokens (BLIP: 0.1).
    """
    logits = next_token_logits(captioner, batch)
    targets = batch.tokens[:, prompt_length:]
    padding: int = captioner.config.text_config.pad_token_id
    costs = functional.cross_entropy(
        logits[:, prompt_length - 1 :].flatten(0, 1).float(),
        targets.flatten(),
        ignore_index=padding,
        reduction="none",
        label_smoothing=label_smoothing,
    ).view(targets.shape)
    num_pictures = len(batch.num_captions)
    owners = torch.arange(num_pictures, device=costs.device).repeat_interleave(batch.num_captions)
    sums = costs.new_zeros(num_pictures).index_add(0, owners, costs.sum(-1))
    counts = costs.new_zeros(num_pictures).index_add(0, owners, (targets != padding).sum(-1).to(costs.dtype))
    return (sums / counts).mean()


def next_token_logits(captioner: Any, batch: CaptionBatch) -> Tensor:
    """Scores of the token after each but the last: (N, T - 1, V). The vision tower runs once a picture."""
    embeds = captioner.vision_model(pixel_values=batch.pixels).last_hidden_state  # (B, P, D)
    inputs = batch.tokens[:, :-1]
    logits: Tensor = captioner.text_decoder(
        input_ids=inputs,
        attention_mask=(inputs != captioner.config.text_config.pad_token_id).long(),
        encoder_hidden_states=embeds.repeat_interleave(batch.num_captions, dim=0),
        use_cache=False,
    ).logits
    return logits
