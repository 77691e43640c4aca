"""Deformable attention's reading of maps on a CPU, without gradients: several times as fast as `grid_sample`.

A bilinear sample is a weighted sum of four pixels, and a head's answer a weighted sum of its samples: together, of
4 L P rows of a table. `torch.nn.functional.embedding_bag` adds up weighted rows and keeps nothing in between, while
`grid_sample` writes every sample down, channel by channel.

Shape letters as in `deformable_attention.py`. N = L * P samples of a head; S' pixels of all maps with their frames.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def sample_rows(values: Tensor, shapes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
    """See `stages.alif.deformable_attention.sample`; the same but for rounding, and without gradients."""
    dtype = locations.dtype
    if not locations.numel():  # `embedding_bag` knows no bag that is not there
        return values.new_zeros(*locations.shape[:2], values.shape[2] * values.shape[3])
    frame = _Frame(shapes, num_heads=values.shape[2], num_points=locations.shape[4], dtype=dtype)
    # One image at a time, as its table fits a cache better than all of them.
    answers = [
        _sample_image(frame, values[image].to(dtype), locations[image], weights[image].to(dtype))
        for image in range(len(values))
    ]
    return torch.stack(answers).to(values.dtype)


class _Frame:
    """Maps with a frame of zeros, one pixel wide, so that what lies outside needs no case of its own.

    Every (N,) tensor holds a number of its sample's level.
    """

    def __init__(
        self, shapes: Sequence[tuple[int, int]], *, num_heads: int, num_points: int, dtype: torch.dtype
    ) -> None:
        self.shapes = shapes
        self.num_heads = num_heads
        areas = [(height + 2) * (width + 2) for height, width in shapes]
        self.starts = [sum(areas[:level]) for level in range(len(areas))]
        self.num_pixels = sum(areas)

        def of_each_sample(numbers: Sequence[int], dtype: torch.dtype) -> Tensor:
            return torch.tensor(numbers, dtype=dtype).repeat_interleave(num_points)

        self.widths = of_each_sample([width for _, width in shapes], dtype)
        self.heights = of_each_sample([height for height, _ in shapes], dtype)
        self.strides = of_each_sample([width + 2 for _, width in shapes], torch.int32)
        # Of pixel (0, 0), which the frame shifts by a row and a column.
        self.firsts = of_each_sample(self.starts, torch.int32) + self.strides + 1
        # Below and right of these there is nothing.
        ends = of_each_sample([start + area for start, area in zip(self.starts, areas, strict=True)], torch.int32)
        self.lasts = ends - self.strides - 2

    def table(self, values: Tensor) -> Tensor:
        """(S, H, C) to (S' * H, C)."""
        table = values.new_zeros(self.num_pixels, *values.shape[1:])
        taken = 0
        for start, (height, width) in zip(self.starts, self.shapes, strict=True):
            framed = table[start : start + (height + 2) * (width + 2)].unflatten(0, (height + 2, width + 2))
            framed[1:-1, 1:-1] = values[taken : taken + height * width].unflatten(0, (height, width))
            taken += height * width
        return table.flatten(0, 1)


def _sample_image(frame: _Frame, values: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    """(S, H, C), (Q, H, L, P, 2) and (Q, H, L, P) to (Q, H * C)."""
    queries, heads = weights.shape[:2]
    x, y = locations.flatten(2, 3).flatten(0, 1).unbind(-1)  # each (Q * H, N)
    left, x_share = _pixel(x, frame.widths)
    upper, y_share = _pixel(y, frame.heights)

    lower_weights = y_share * weights.flatten(2, 3).flatten(0, 1)
    upper_weights = weights.flatten(2, 3).flatten(0, 1) - lower_weights
    shares = torch.empty(queries * heads, 4, x.shape[1], dtype=x.dtype)
    torch.mul(lower_weights, x_share, out=shares[:, 3])
    torch.sub(lower_weights, shares[:, 3], out=shares[:, 2])
    torch.mul(upper_weights, x_share, out=shares[:, 1])
    torch.sub(upper_weights, shares[:, 1], out=shares[:, 0])

    first = upper * frame.strides + left + frame.firsts
    # No number becomes some integer; its share is no number, too, and so is what comes out.
    first = first.clamp(min=first.new_zeros(()), max=frame.lasts).unflatten(0, (queries, heads))
    first = (first * heads + torch.arange(heads, dtype=torch.int32)[:, None]).flatten(0, 1)
    rows = torch.empty(queries * heads, 4, x.shape[1], dtype=torch.int32)
    rows[:, 0] = first
    torch.add(first, heads, out=rows[:, 1])
    torch.add(first, frame.strides * heads, out=rows[:, 2])
    torch.add(rows[:, 2], heads, out=rows[:, 3])
    found = functional.embedding_bag(
        rows.flatten(1), frame.table(values), per_sample_weights=shares.flatten(1), mode="sum"
    )
    return found.view(queries, -1)


def _pixel(places: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """The pixel before each place, -1 to size - 1, and how far it is from there to the next, 0 to 1.

    Args:
        places: (Q * H, N) in units of the map; a pixel's centre is half a pixel from its border.
        sizes: (N,) of the map, in pixels.

    Returns:
        Two of (Q * H, N), the first int32. What lies beyond the frame is moved onto it, where all is zero.
    """
    inside = (places * sizes - 0.5).clamp(min=places.new_tensor(-1), max=sizes)
    before = torch.minimum(inside.floor(), sizes - 1)
    return before.to(torch.int32), inside - before
