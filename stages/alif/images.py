"""From pictures to a padded batch, and what padding means at every level of the feature maps.

Shapes: B images, H rows, W columns, L levels. Masks are true on padding.

A batch is as high and as wide as its largest image; smaller images lie in the upper left corner and the rest is zero.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

MEAN_RGB = (0.485, 0.456, 0.406)
STD_RGB = (0.229, 0.224, 0.225)
"""Mean and deviation of ImageNet, channels in [0, 1]; `make_coco_transforms` of the published code."""

MOST_WASTE = 1.3
"""A batch covers at most this many times the pixels of its pictures. Upright and lying ones together would be 1.67."""


def network_size(width: int, height: int, *, short_side: int = 800, longest: int = 1333) -> tuple[int, int]:
    """The (width, height) that a picture is scaled to: the short side as wished, unless the long one gets too long.

    The rule of DETR and RLIPv2 (`datasets/transforms.py`, `resize`), with its rounding: the short side is rounded, the
    long side cut off. Rounding up the short side of a very long picture takes the long side a few pixels past
    `longest`.

    One difference: a picture so long that its short side would round to nothing gets a short side of 1 and a long side
    of `longest`; the published code fails.
    """
    short, long = min(width, height), max(width, height)
    if long / short * short_side > longest:
        short_side = round(longest * short / long)
    if short_side == 0:
        new_short, new_long = 1, longest
    elif short_side == short:
        new_short, new_long = short, long
    else:
        new_short, new_long = short_side, int(short_side * long / short)
    return (new_short, new_long) if width < height else (new_long, new_short)


def resize_for_network(picture: Image.Image, *, short_side: int = 800, longest: int = 1333) -> Tensor:
    """Scale and normalise a picture as RLIPv2 does when it evaluates or tags.

    Pillow's bilinear filter, which averages when it makes smaller, as torchvision does for Pillow images. Results
    differ from those of filters on tensors.

    Args:
        picture: RGB, 8 bits a channel.
        short_side: pixels of the shorter side afterwards.
        longest: most pixels of the longer side; see `network_size`.

    Returns:
        (3, H, W) float32 on the CPU, channels R, G, B, each with the mean and deviation of ImageNet taken out.

    Raises:
        ValueError: if the picture is not RGB.
    """
    if picture.mode != "RGB":
        raise ValueError(f"the picture has mode {picture.mode}; convert it to RGB first")
    size = network_size(picture.width, picture.height, short_side=short_side, longest=longest)
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    return normalised(np.array(picture))


def normalised(pixels: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) of R, G, B in 8 bits to (3, H, W) float32 without the mean and deviation of ImageNet."""
    scaled = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().to(torch.float32) / 255
    mean, std = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (MEAN_RGB, STD_RGB))
    return (scaled - mean) / std


def batch_images(images: Sequence[Tensor], *, multiple_of: int = 1) -> tuple[Tensor, Tensor]:
    """Put images of different sizes into one batch, as `nested_tensor_from_tensor_list` of the published code.

    Args:
        images: at least one (3, H, W), all of one type and on one device.
        multiple_of: height and width of the batch are rounded up to a multiple of this. The published code does not
            round (1). Only with a multiple of the coarsest stride (64 for four levels) do the masks of all levels end
            where the features of the image alone would end.

    Returns:
        Pixels (B, 3, H, W), zero on padding, and padding (B, H, W), true where no image is.

    Raises:
        ValueError: if there is no image.
    """
    if not images:
        raise ValueError("a batch needs at least one image")
    height, width = (-(-max(image.shape[axis] for image in images) // multiple_of) * multiple_of for axis in (1, 2))
    first = images[0]
    pixels = first.new_zeros(len(images), first.shape[0], height, width)
    padding = torch.ones(len(images), height, width, dtype=torch.bool, device=first.device)
    for image, row, mask in zip(images, pixels, padding, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
        mask[: image.shape[1], : image.shape[2]] = False
    return pixels, padding


def similar_sizes(sizes: Sequence[tuple[int, int]], *, most: int, waste: float) -> list[list[int]]:
    """Pictures, by number, in batches of little padding; every picture is in one.

    Args:
        sizes: height and width of each.
        most: pictures of a batch at most.
        waste: a batch covers at most this many times the pixels of its pictures; at 1 they are all of one size.
    """
    batches: list[list[int]] = []
    height = width = covered = 0
    for number in sorted(range(len(sizes)), key=lambda i: (sizes[i], i)):
        own_height, own_width = sizes[number]
        taller, wider = max(height, own_height), max(width, own_width)
        own = own_height * own_width
        if batches and len(batches[-1]) < most and taller * wider * (len(batches[-1]) + 1) <= waste * (covered + own):
            batches[-1].append(number)
            height, width, covered = taller, wider, covered + own
        else:
            batches.append([number])
            height, width, covered = own_height, own_width, own
    return batches


class PaddingMasks:
    """The padding of a batch at any map size; each size is computed once.

    Usage::

        masks = PaddingMasks(padding)  # (B, H, W) of the pixels
        masks.at(25, 42)  # (B, 25, 42)
    """

    def __init__(self, padding: Tensor) -> None:
        self._pixels = padding[None].float()
        self._known: dict[tuple[int, int], Tensor] = {tuple(padding.shape[-2:]): padding}

    def at(self, height: int, width: int) -> Tensor:
        """(B, height, width) bool: the nearest pixel of the batch decides, as in `BackboneBase.forward` of DETR.

        "Nearest" is the pixel at floor(index * pixels / map size).
        """
        if (height, width) not in self._known:
            mask = functional.interpolate(self._pixels, size=(height, width), mode="nearest")
            self._known[height, width] = mask[0].to(torch.bool)
        return self._known[height, width]


def level_masks(padding: Tensor, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """The padding of a batch at the size of each level.

    Args:
        padding: (B, H, W) bool, of the pixels.
        shapes: (height, width) of each of the L levels.

    Returns:
        L masks (B, height, width).
    """
    masks = PaddingMasks(padding)
    return [masks.at(height, width) for height, width in shapes]


def valid_ratios(masks: Sequence[Tensor]) -> Tensor:
    """How much of each level is image rather than padding (Deformable DETR, `get_valid_ratio`).

    Args:
        masks: L masks (B, H, W), with the image in the upper left corner.

    Returns:
        (B, L, 2) float32: share of the width, then of the height, each in (0, 1].
    """
    ratios = [
        torch.stack(
            [(~mask[:, 0, :]).float().sum(1) / mask.shape[2], (~mask[:, :, 0]).float().sum(1) / mask.shape[1]], dim=-1
        )
        for mask in masks
    ]
    return torch.stack(ratios, dim=1)
