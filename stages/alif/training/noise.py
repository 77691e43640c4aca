"""Noise on what the tagger is told, so that it learns to look rather than to repeat; what it must answer stays clean.

Source: `models/verb_tagger_helper.py` of RLIPv2, with label noise 0.2 and box noise 0.4; after Li et al., "DN-DETR".

Shape letters: P pairs or any other number of boxes.
"""

import numpy as np
import torch
from torch import Tensor


def noisy_classes(classes: Tensor, num_classes: int, share: float, rng: np.random.Generator) -> Tensor:
    """Replace some classes by random ones, which may be the same again.

    The published code draws below the number of images in the batch, where the number of classes was meant.

    Args:
        classes: (...) int64.
        num_classes: random ones are drawn from 0 up to, but not including, this.
        share: how many are replaced, in [0, 1].
        rng: where chance comes from.
    """
    replaced = torch.from_numpy(rng.random(tuple(classes.shape)) < share)
    drawn = torch.from_numpy(rng.integers(num_classes, size=tuple(classes.shape)))
    return torch.where(replaced, drawn, classes)


def noisy_boxes(boxes_cxcywh: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Shift and scale boxes.

    The centre moves by up to `strength` times half the box's width and height, the sides change by up to `strength`
    times themselves, all evenly distributed; then all four numbers are cut to [0, 1].

    Args:
        boxes_cxcywh: (..., 4) centre, width and height as fractions of the image.
        strength: 0 changes nothing. Below 1 no side vanishes.
        rng: where chance comes from.
    """
    chance = torch.from_numpy(rng.uniform(-1, 1, size=tuple(boxes_cxcywh.shape))).to(boxes_cxcywh.dtype)
    sizes = boxes_cxcywh[..., 2:]
    return (boxes_cxcywh + strength * chance * torch.cat((sizes / 2, sizes), dim=-1)).clamp(0, 1)
