"""One decoder layer, and the small parts that the entity decoder and the verb decoder share.

Source: `DeformableTransformerDecoderLayer` of RLIPv2's `models/deformable_transformer.py`, the decoder layer of Zhu et
al., "Deformable DETR" (section 4.2; box refinement: appendix A.4). Written anew.

Shape letters of the decoder files: B images, S pixels of all levels, L levels, P pairs, Q queries (2P in the entity
decoder: P subjects, then P objects; P in the verb decoder), K decoder layers, T texts (O objects, then R relations),
D width.

Boxes and references are (cx, cy, w, h) or (x, y) as fractions of the image without its padding, x to the right, y down.
Masks are true on padding.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.alif.deformable_attention import MapShapes, MultiScaleDeformableAttention

_INVERSE_SIGMOID_EPSILON = 1e-5
"""`inverse_sigmoid` of RLIPv2's `util/misc.py`: a box side at 0 or 1 counts as this far inside."""


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """The numbers of the two decoders. The defaults are those of RLIPv2-ParSeDA; the others differ where said."""

    width: int = 256
    """D."""
    num_heads: int = 8
    """Heads of both kinds of attention."""
    num_levels: int = 4
    """L."""
    num_points: int = 4
    """Points that a head reads on each level."""
    num_layers: int = 3
    """K, in each of the two decoders."""
    feedforward_width: int = 2048
    """Inner width of the feed-forward part; 1024 in ParSeD and in the tagger."""
    dropout: float = 0.0
    """Chance that a value is dropped in training; 0.1 in ParSeD and in the tagger."""

    def __post_init__(self) -> None:
        for name in ("width", "num_heads", "num_levels", "num_points", "num_layers", "feedforward_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give a positive number")
        if self.width % (2 * self.num_heads):
            raise ValueError(
                f"width is {self.width}, num_heads {self.num_heads}; give an even width that the heads divide evenly"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; give a number from 0 up to, but not including, 1")


@dataclass(frozen=True)
class VisionMemory:
    """What the encoder leaves for the decoders to look at."""

    features: Tensor
    """(B, S, D), level after level, row after row; or (M, S, D) with `rows`."""
    padding: Tensor | None
    """(B, S) or (M, S) bool, true on padding; None if there is none."""
    shapes: MapShapes
    """Height and width of each level; the areas sum to S."""
    valid_ratios: Tensor
    """(B, L, 2): which share of the map's width and of its height is image."""
    rows: Tensor | None = None
    """(B,) int64, which of the M rows of features each row of queries looks at; None if each has its own."""


class DecoderLayer(nn.Module):  # type: ignore[misc]
    """Queries look at one another, then at the image, then each thinks for itself; every step is added and normalised.

    Args:
        config: the numbers.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        width = config.width
        self.self_attention = nn.MultiheadAttention(width, config.num_heads, config.dropout, batch_first=True)
        self.norm_self_attention = nn.LayerNorm(width)
        self.cross_attention = MultiScaleDeformableAttention(
            width, config.num_heads, config.num_levels, config.num_points
        )
        self.norm_cross_attention = nn.LayerNorm(width)
        self.feedforward_in = nn.Linear(width, config.feedforward_width)
        self.feedforward_out = nn.Linear(config.feedforward_width, width)
        self.norm_feedforward = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start values of RLIPv2: Xavier for every matrix; the deformable attention keeps its own."""
        for matrix in (
            self.self_attention.in_proj_weight,
            self.self_attention.out_proj.weight,
            self.feedforward_in.weight,
            self.feedforward_out.weight,
        ):
            nn.init.xavier_uniform_(matrix)

    def forward(
        self, states: Tensor, position: Tensor, references: Tensor, memory: VisionMemory, padding: Tensor | None = None
    ) -> Tensor:
        """One step of decoding.

        Args:
            states: (B, Q, D).
            position: (B, Q, D), added to the states wherever they ask or are asked, not to what they say.
            references: (B, Q, L, 2 or 4) in units of the padded map, as `references_per_level` gives them.
            memory: what to look at.
            padding: (B, Q) bool, true on queries that the others must not see.

        Returns:
            (B, Q, D).
        """
        asking = states + position
        heard, _ = self.self_attention(asking, asking, states, key_padding_mask=padding, need_weights=False)
        states = self.norm_self_attention(states + self.dropout(heard))

        seen = self.cross_attention(
            states + position,
            references,
            memory.features,
            memory.shapes,
            memory.padding,
            memory_rows=memory.rows,
        )
        states = self.norm_cross_attention(states + self.dropout(seen))

        thought = self.feedforward_out(self.dropout(functional.relu(self.feedforward_in(states))))
        return self.norm_feedforward(states + self.dropout(thought))


class Perceptron(nn.Module):  # type: ignore[misc]
    """Linear layers with a ReLU between them (`MLP` in the published code).

    Args:
        widths: of the input, of what lies between, and of the result; at least two.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(into, out) for into, out in itertools.pairwise(widths))

    def forward(self, values: Tensor) -> Tensor:
        """(..., first width) to (..., last width)."""
        for layer in self.layers[:-1]:
            values = functional.relu(layer(values))
        return self.layers[-1](values)


def box_perceptrons(width: int, count: int, *, first_size: float = 0.0) -> nn.ModuleList:
    """`count` perceptrons from a state (..., D) to the change of its box (..., 4), before the sigmoid.

    They start out changing nothing, but for the sizes of the first one.

    Args:
        first_size: where w and h of the first perceptron start, before the sigmoid. RLIPv2 takes -2, a side of 0.12,
            since a reference of two numbers says nothing about size.
    """
    perceptrons = nn.ModuleList(Perceptron((width, width, width, 4)) for _ in range(count))
    for perceptron in perceptrons:
        nn.init.zeros_(perceptron.layers[-1].weight)
        nn.init.zeros_(perceptron.layers[-1].bias)
    if count:
        nn.init.constant_(perceptrons[0].layers[-1].bias[2:], first_size)
    return perceptrons


def at_least_float32(values: Tensor) -> Tensor:
    """The same, not in half precision: there a box in a picture of 1333 pixels would be off by several of them."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def inverse_sigmoid(fractions: Tensor) -> Tensor:
    """The number whose sigmoid is the given one, any shape; what is not inside (0, 1) is first moved there."""
    inside = fractions.clamp(0, 1)
    return torch.log(inside.clamp(min=_INVERSE_SIGMOID_EPSILON) / (1 - inside).clamp(min=_INVERSE_SIGMOID_EPSILON))


def refine_boxes(change: Tensor, references: Tensor) -> Tensor:
    """Move references by what a box perceptron says.

    Args:
        change: (B, Q, 4), before the sigmoid.
        references: (B, Q, 4) boxes, or (B, Q, 2) points: then the change alone gives the size.

    Returns:
        (B, Q, 4) boxes cx, cy, w, h in (0, 1); float32 or better.
    """
    start = functional.pad(inverse_sigmoid(at_least_float32(references)), (0, 4 - references.shape[-1]))
    return (change + start).sigmoid()


def references_per_level(references: Tensor, valid_ratios: Tensor) -> Tensor:
    """From fractions of the image to fractions of each level's padded map.

    Args:
        references: (B, Q, 2 or 4).
        valid_ratios: (B, L, 2) of width and height.

    Returns:
        (B, Q, L, 2 or 4).
    """
    ratios = valid_ratios if references.shape[-1] == 2 else torch.cat((valid_ratios, valid_ratios), dim=-1)
    return references[:, :, None] * ratios[:, None]
