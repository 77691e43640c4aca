"""Where a feature lies in its image: sines of the row and the column, plus a learned vector for the level.

Shapes: B images, H rows and W columns of a level, L levels, S pixels of all levels, D width. Masks are true on padding.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

_EPSILON = 1e-6  # keeps rows and columns of padding alone from dividing by zero; `PositionEmbeddingSine`


def sine_position_code(
    mask: Tensor, width: int, *, shift: bool, temperature: float = 10000.0, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Code the row and column of each pixel in sines and cosines (`PositionEmbeddingSine`, normalised).

    Rows are counted 1, 2, ... down the image and divided by their number, so the last row of an image has position
    2 pi, however much padding follows. Columns likewise.

    Args:
        mask: (B, H, W) bool, true on padding.
        width: D, a multiple of 4.
        shift: count 0.5, 1.5, ... instead, the centres of the pixels. Deformable DETR shifts. The Swin models of
            RLIPv2 were trained with it (`models/swin/position_encoding.py`), the ResNet models without
            (`models/position_encoding.py`); a wrong choice moves logits by more than 2.
        temperature: the longest wavelength in units of 2 pi. RLIPv2 leaves it at 10000; its option `pe_temperature`
            reaches no model.
        dtype: of the arithmetic and of the result.

    Returns:
        (B, H, W, D): the first half for the row, the second for the column, in each sine and cosine in turn. On padding
        the values are finite, and mean nothing.
    """
    image = (~mask).to(dtype)
    offset = 0.5 if shift else 0.0
    halves = []
    for axis in (1, 2):
        counts = image.cumsum(axis)
        total = counts.narrow(axis, counts.shape[axis] - 1, 1)
        angle = (counts - offset) / (total + _EPSILON) * (2 * math.pi)
        halves.append(_sines(angle, width // 2, temperature))
    return torch.cat(halves, dim=-1)


class PositionCode(nn.Module):  # type: ignore[misc]
    """The position code of all levels in one row, as the encoder adds it to its queries."""

    def __init__(self, width: int, num_levels: int, *, shift: bool, temperature: float = 10000.0) -> None:
        """`width` is D, a multiple of 4; for `shift` and `temperature` see `sine_position_code`."""
        super().__init__()
        self.width = width
        self.shift = shift
        self.temperature = temperature
        self.level_embedding = nn.Parameter(torch.empty(num_levels, width))
        nn.init.normal_(self.level_embedding)

    def forward(self, masks: Sequence[Tensor]) -> Tensor:
        """Sine code plus the vector of the level.

        Args:
            masks: L masks (B, H, W), finest level first.

        Returns:
            (B, S, D), level by level, each row by row. The same for an image in any batch, wherever it is not padding,
            as long as the level has the same number of rows and columns of image.
        """
        dtype = self.level_embedding.dtype
        # Half precision cannot count the columns of a large level.
        exact = torch.promote_types(dtype, torch.float32)
        levels = [
            sine_position_code(mask, self.width, shift=self.shift, temperature=self.temperature, dtype=exact).to(dtype)
            for mask in masks
        ]
        return torch.cat(
            [code.flatten(1, 2) + vector for code, vector in zip(levels, self.level_embedding, strict=True)], dim=1
        )


def _sines(angle: Tensor, width: int, temperature: float) -> Tensor:
    """Sine and cosine of (...) angles at width/2 wavelengths, in turn: (..., width)."""
    step = torch.arange(width // 2, dtype=angle.dtype, device=angle.device)
    angles = angle[..., None] / temperature ** (2 * step / width)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
