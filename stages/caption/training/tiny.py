"""The small captioner: BLIP's network with about 1.2 million weights, 5 MB, for pictures of few kinds of things."""

import math
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from torch import Tensor

from stages.caption.training.vocabulary import END, PAD, START

PROMPT = "a picture of"
"""How every caption starts, as BLIP was trained and as the backend `blip` asks by default."""

IMAGE_SIZE = 96
"""Pixels of a side."""
PATCH = 12
"""Pixels of a side of a patch. Measured: with 8 a step takes 1.5 times as long, and after 500 the loss
was no lower."""
MAX_TOKENS = 32
"""Positions of the text decoder, start token and prompt counted."""

_WIDTH = 128
_SIZE = {"hidden_size": _WIDTH, "intermediate_size": 3 * _WIDTH, "num_attention_heads": 4}
# Wider than BLIP's 0.02: about 1 / sqrt(width), which keeps the scale of what goes through a layer this narrow.
_SPREAD = 0.06
_POSITION_SPREAD = 0.5


def tiny_captioner(vocabulary: Mapping[str, int], *, image_size: int = IMAGE_SIZE) -> Any:
    """A `transformers.BlipForConditionalGeneration` with random start values, drawn from PyTorch's generator.

    Args:
        vocabulary: of `caption_vocabulary`.
        image_size: pixels of a side, a multiple of `PATCH`.
    """
    text = {
        "num_hidden_layers": 2,
        "vocab_size": len(vocabulary),
        "max_position_embeddings": MAX_TOKENS,
        "initializer_range": _SPREAD,
        "pad_token_id": vocabulary[PAD],
        "bos_token_id": vocabulary[START],
        "eos_token_id": vocabulary[END],
        "sep_token_id": vocabulary[END],
    }
    vision = {
        "num_hidden_layers": 4,
        "image_size": image_size,
        "patch_size": PATCH,
        "initializer_range": _SPREAD,
    }
    config = transformers.BlipConfig(text_config={**_SIZE, **text}, vision_config={**_SIZE, **vision})
    model = transformers.BlipForConditionalGeneration(config)
    positions = model.vision_model.embeddings.position_embedding
    with torch.no_grad():
        # Random positions cost a network this small most of its training: it has to find out what lies beside what.
        positions[:, 1:] = _POSITION_SPREAD * _grid_positions(image_size // PATCH, _WIDTH)
    return model


def _grid_positions(side: int, width: int) -> Tensor:
    """Sines and cosines of row and column of a square grid: (side * side, width), a row of the grid after the other."""
    # The longest wave is a few times the grid, the shortest two cells.
    waves = 2 ** torch.linspace(0, math.log2(4 * side / 2), width // 4)
    angles = torch.arange(side)[:, None] * (math.pi / waves)
    axis = torch.cat((angles.sin(), angles.cos()), dim=-1)
    rows, columns = axis[:, None].expand(-1, side, -1), axis[None].expand(side, -1, -1)
    return torch.cat((rows, columns), dim=-1).flatten(0, 1)
