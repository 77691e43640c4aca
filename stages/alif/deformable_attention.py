"""Deformable attention over feature maps of several sizes: each query looks at a few points that it chooses itself.

Source: Zhu et al., "Deformable DETR", section 4.1, equation 3, as RLIPv2 uses it (`MSDeformAttn` in
`models/ops/modules/ms_deform_attn.py`). Written anew, in plain PyTorch.

Shape letters of this file: B images, Q queries, S pixels of all levels together, L levels, H heads, P points a head
and level, D width, C = D / H. Pixels lie level after level, row after row. Points are (x, y), x to the right, y down,
in units of the padded map: (0, 0) is its upper left corner, (1, 1) its lower right one.

Why not the function of transformers (`MultiScaleDeformableAttention` in `models/deformable_detr`): it keeps the samples
of all levels and multiplies them by the weights in one piece, twice B·Q·L·P·D values where one level at a time is
enough; its order of axes takes about twice the time on a CPU; and it may fetch a kernel over the network when the
package `kernels` is installed.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.alif.row_sampling import sample_rows

MapShapes = Sequence[tuple[int, int]]
"""Height and width of each level's map, in the order of the pixels."""

Sampler = Callable[[Tensor, MapShapes, Tensor, Tensor], Tensor]
"""What `sample` is: a faster kernel takes the same arguments and gives the same result."""


def sample(values: Tensor, shapes: MapShapes, locations: Tensor, weights: Tensor) -> Tensor:
    """Read each query's points from the maps and sum them, weighted. Equation 3 of Deformable DETR, inner sums.

    On a CPU, where no gradient is asked for and nothing is compiled, by `sample_rows`; else by `sample_maps`. They
    differ in rounding.

    A point between pixel centres is interpolated bilinearly. Outside a map everything is zero.

    Args:
        values: (B, S, H, C) the maps, all levels.
        shapes: height and width of each of the L levels; the areas sum to S.
        locations: (B, Q, H, L, P, 2) points x, y in [0, 1]; may lie outside.
        weights: (B, Q, H, L, P).

    Returns:
        (B, Q, H * C), heads side by side, in the type of `values`. Computed in the type of `locations`, as half
        precision cannot tell neighbouring pixels of a large map apart.
    """
    # A compiler melts the steps of `sample_maps` into one, and stumbles over those of `sample_rows`.
    if values.device.type == "cpu" and not torch.is_grad_enabled() and not torch.compiler.is_compiling():
        return sample_rows(values, shapes, locations, weights)
    return sample_maps(values, shapes, locations, weights)


def sample_maps(values: Tensor, shapes: MapShapes, locations: Tensor, weights: Tensor) -> Tensor:
    """See `sample`."""
    batch, _, heads, channels = values.shape
    queries = locations.shape[1]
    areas = [height * width for height, width in shapes]
    maps = values.to(locations.dtype).permute(0, 2, 3, 1).flatten(0, 1).split(areas, dim=2)  # each (B*H, C, area)
    # grid_sample counts from -1 to 1 across the map. Queries go last, in memory too: what lies side by side is then
    # read and summed side by side. With points last, or with mere views, a CPU takes twice as long.
    grids = (2 * locations - 1).permute(0, 2, 3, 4, 1, 5).flatten(0, 1).contiguous()  # (B*H, L, P, Q, 2)
    shares = weights.to(locations.dtype).permute(0, 2, 3, 4, 1).flatten(0, 1).contiguous()  # (B*H, L, P, Q)
    total = locations.new_zeros(batch * heads, channels, queries)
    for level, (height, width) in enumerate(shapes):
        found = functional.grid_sample(
            maps[level].unflatten(2, (height, width)),
            grids[:, level],
            mode="bilinear",
            padding_mode="zeros",
            align_corners=False,
        )  # (B*H, C, P, Q)
        total = total + (found * shares[:, None, level]).sum(dim=2)
    return total.view(batch, heads * channels, queries).transpose(1, 2).to(values.dtype)


class MultiScaleDeformableAttention(nn.Module):  # type: ignore[misc]
    """Attention whose queries choose P points a head and level, relative to a reference point or box.

    Args:
        width: D, of queries, memory and result; a multiple of `num_heads`.
        num_heads: H.
        num_levels: L.
        num_points: P.
        sampler: reads the points; see `sample`.
    """

    def __init__(
        self, width: int, num_heads: int, num_levels: int, num_points: int, *, sampler: Sampler = sample
    ) -> None:
        if width % num_heads:
            raise ValueError(f"width is {width}, num_heads {num_heads}; give a width that the heads divide evenly")
        super().__init__()
        self.num_heads = num_heads
        self.num_levels = num_levels
        self.num_points = num_points
        self.sampler = sampler
        samples = num_heads * num_levels * num_points
        self.sampling_offsets = nn.Linear(width, 2 * samples)
        self.attention_weights = nn.Linear(width, samples)
        self.value_projection = nn.Linear(width, width)
        self.output_projection = nn.Linear(width, width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start values as published (`MSDeformAttn._reset_parameters`): heads look in H directions, all points alike.

        The k-th point of a head, from 1, starts k pixels away.
        """
        angles = torch.arange(self.num_heads) * (2 * math.pi / self.num_heads)
        directions = torch.stack([angles.cos(), angles.sin()], dim=-1)  # (H, 2)
        # On the edge of a square rather than of a circle, so that each head meets whole pixels.
        directions = directions / directions.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, self.num_points + 1)
        offsets = directions[:, None, None, :] * steps[:, None]  # (H, 1, P, 2)
        nn.init.zeros_(self.sampling_offsets.weight)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.expand(-1, self.num_levels, -1, -1).flatten())
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for projection in (self.value_projection, self.output_projection):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(
        self,
        query: Tensor,
        reference_points: Tensor,
        memory: Tensor,
        shapes: MapShapes,
        padding_mask: Tensor | None = None,
        *,
        memory_rows: Tensor | None = None,
    ) -> Tensor:
        """Let each query gather from the memory around its reference.

        Args:
            query: (B, Q, D), position code included.
            reference_points: (B, Q, L, 2) points x, y: offsets then count in pixels of the level. Or (B, Q, L, 4)
                boxes cx, cy, w, h: an offset of P then reaches the border of the box. In [0, 1] of the padded map.
            memory: (B, S, D), or (M, S, D) with `memory_rows`.
            shapes: height and width of each level.
            padding_mask: (B, S) or (M, S) bool, true on padding. There the projected memory counts as zero, as outside
                the map.
            memory_rows: (B,) int64, which row of the memory each row of queries looks at: what several of them look at
                is projected once.

        Returns:
            (B, Q, D).

        Raises:
            ValueError: if the reference points have neither 2 nor 4 numbers.
        """
        assert len(shapes) == self.num_levels, f"{len(shapes)} maps for {self.num_levels} levels"
        values = self.value_projection(memory)
        if padding_mask is not None:
            values = values.masked_fill(padding_mask[..., None], 0.0)
        if memory_rows is not None:
            values = values[memory_rows]
        values = values.unflatten(-1, (self.num_heads, -1))

        offsets = self.sampling_offsets(query).unflatten(-1, (self.num_heads, self.num_levels, self.num_points, 2))
        weights = self.attention_weights(query).unflatten(-1, (self.num_heads, self.num_levels * self.num_points))
        # One softmax over all levels: a head may leave a level alone.
        weights = weights.softmax(dim=-1).unflatten(-1, (self.num_levels, self.num_points))
        locations = self._locations(offsets, reference_points, shapes)

        return self.output_projection(self.sampler(values, shapes, locations, weights))

    def _locations(self, offsets: Tensor, reference_points: Tensor, shapes: MapShapes) -> Tensor:
        """Offsets (B, Q, H, L, P, 2) around the references, as points x, y in [0, 1]; same shape."""
        reference = reference_points[:, :, None, :, None, :]  # (B, Q, 1, L, 1, 2 or 4)
        if reference.shape[-1] == 2:
            sizes_wh = torch.tensor(
                [(width, height) for height, width in shapes], dtype=reference.dtype, device=reference.device
            )
            return reference + offsets / sizes_wh[:, None, :]
        if reference.shape[-1] == 4:
            centre, size = reference.split(2, dim=-1)
            return centre + offsets / self.num_points * size * 0.5
        raise ValueError(
            f"reference points have {reference.shape[-1]} numbers; give 2 (x, y) or 4 (cx, cy, w, h) in the last axis"
        )
