"""ALIF, the encoder of RLIPv2: image and texts are encoded together, and meet before every second vision layer.

For comparison the same parts can be wired as a late fusion, where image and texts meet after both are encoded.

Source: RLIPv2, "Asymmetric Language-Image Fusion"; published as `RLIPv2_DeformableTransformerEncoder` and
`DeformableTransformerEncoderLayer` in `models/deformable_transformer.py`, and `RobertaLayer` in
`models/modeling_roberta.py`. Written anew.

Shape letters of this file: B images, S pixels of all levels together, L levels, T texts, D vision width,
E language width, K fusions. Pixels lie level after level, row after row, the finest level first.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.alif.deformable_attention import MapShapes, MultiScaleDeformableAttention
from stages.alif.fusion import BidirectionalFusion, Gate

FusionPlace = Literal["between", "after"]
"""Where image and texts meet.

- `between`: before vision layers, as ALIF has it.
- `after`: behind all vision and language layers, as in RLIP and MDETR (late fusion). With no vision layer behind that
  carries what was fused to the other levels, all levels take part. The parts are the same, and so are their weights in
  number: the two differ in nothing but the order.
"""


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Sizes of an `AlifEncoder`. The defaults are those of RLIPv2-ParSeDA with a ResNet-50 and RoBERTa-base.

    RLIPv2-ParSeD and its tagger differ: `feedforward_width=1024, dropout=0.1`, the tagger also `gate="channel"`.
    """

    width: int = 256
    """D, of the vision features."""
    num_levels: int = 4
    """L, feature maps."""
    num_layers: int = 6
    """Vision layers; a multiple of `fusion_interval`."""
    num_heads: int = 8
    num_points: int = 4
    """Points that a head reads from a level."""
    feedforward_width: int = 2048
    dropout: float = 0.0
    """Of the vision layers."""

    fusion_interval: int = 2
    """A fusion and a language layer stand before every vision layer whose number is a multiple of this, 0 included."""
    fusion_place: FusionPlace = "between"
    fusion_width: int = 2048
    """Width at which pixels and texts are matched."""
    fusion_heads: int = 8
    fusion_dropout: float = 0.1
    gate: Gate = "scalar"

    language_width: int = 768
    """E, of the language features."""
    language_heads: int = 12
    language_feedforward_width: int = 3072
    language_dropout: float = 0.1
    language_norm_eps: float = 1e-5
    """Of RoBERTa as released. Its configuration class has another default, 1e-12."""

    def __post_init__(self) -> None:
        if self.fusion_place not in get_args(FusionPlace):
            raise ValueError(f"fusion_place is {self.fusion_place!r}; give one of {', '.join(get_args(FusionPlace))}")
        for whole, part in (
            ("num_layers", "fusion_interval"),
            ("width", "num_heads"),
            ("fusion_width", "fusion_heads"),
            ("language_width", "language_heads"),
        ):
            if getattr(self, part) < 1 or getattr(self, whole) < 1 or getattr(self, whole) % getattr(self, part):
                raise ValueError(
                    f"{whole} is {getattr(self, whole)}, {part} {getattr(self, part)}; "
                    f"give positive numbers, {whole} a multiple of {part}"
                )

    @property
    def num_fusions(self) -> int:
        """K."""
        return self.num_layers // self.fusion_interval


def encoder_reference_points(shapes: MapShapes, valid_ratios: Tensor) -> Tensor:
    """Where each pixel of the encoder looks by default: at its own place, on every level.

    Deformable DETR, section 4.1: the centre of the pixel as a part of the valid image, carried over to the other
    levels. Pixels on padding get points beyond the valid image; they are never read from.

    Args:
        shapes: height and width of each level.
        valid_ratios: (B, L, 2) the part of the map, x then y, that is image and not padding; in (0, 1].

    Returns:
        (B, S, L, 2) points x, y in units of the padded map of the level looked at; type and device of `valid_ratios`.
    """
    per_level = []
    for level, (height, width) in enumerate(shapes):
        rows = torch.arange(height, dtype=valid_ratios.dtype, device=valid_ratios.device) + 0.5
        columns = torch.arange(width, dtype=valid_ratios.dtype, device=valid_ratios.device) + 0.5
        y = rows / (valid_ratios[:, level, 1:] * height)  # (B, height)
        x = columns / (valid_ratios[:, level, :1] * width)  # (B, width)
        grid = torch.stack([x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)], dim=-1)
        per_level.append(grid.flatten(1, 2))
    points = torch.cat(per_level, dim=1)  # (B, S, 2) in units of the valid image
    return points[:, :, None] * valid_ratios[:, None]


class DeformableEncoderLayer(nn.Module):  # type: ignore[misc]
    """One vision layer: deformable self-attention, then two linear layers, each added and normalised after.

    Args:
        attention: the self-attention, of the same width.
        width: D.
        feedforward_width: between the two linear layers.
        dropout: after the attention and after each linear layer.
    """

    def __init__(
        self, attention: MultiScaleDeformableAttention, *, width: int, feedforward_width: int, dropout: float
    ) -> None:
        super().__init__()
        self.self_attention = attention
        self.norm_attention = nn.LayerNorm(width)
        self.feedforward_in = nn.Linear(width, feedforward_width)
        self.feedforward_out = nn.Linear(feedforward_width, width)
        self.norm_feedforward = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        vision: Tensor,
        position: Tensor,
        reference_points: Tensor,
        shapes: MapShapes,
        padding_mask: Tensor | None = None,
    ) -> Tensor:
        """Vision (B, S, D) to vision (B, S, D).

        Args:
            vision: (B, S, D).
            position: (B, S, D), added to the queries only.
            reference_points: (B, S, L, 2), see `encoder_reference_points`.
            shapes: height and width of each level.
            padding_mask: (B, S) bool, true on padding.
        """
        gathered = self.self_attention(vision + position, reference_points, vision, shapes, padding_mask)
        vision = self.norm_attention(vision + self.dropout(gathered))
        hidden = self.dropout(functional.relu(self.feedforward_in(vision)))
        return self.norm_feedforward(vision + self.dropout(self.feedforward_out(hidden)))


class AlifEncoder(nn.Module):  # type: ignore[misc]
    """The ALIF encoder: K times a fusion, a language layer and `fusion_interval` vision layers.

    Only the coarsest level takes part in the fusion, and with it every text; the vision layers carry the result to
    the finer levels. A language layer is a layer of RoBERTa, with no position code, as the texts are a set.

    Args:
        config: all sizes.
        published: true repeats the fault of the published code; see `BidirectionalFusion`.
    """

    def __init__(self, config: EncoderConfig, *, published: bool = False) -> None:
        super().__init__()
        self.vision_layers = nn.ModuleList(_vision_layer(config) for _ in range(config.num_layers))
        self.fusions = nn.ModuleList(_fusion(config, published=published) for _ in range(config.num_fusions))
        self.language_layers = nn.ModuleList(_language_layer(config) for _ in range(config.num_fusions))
        self.fusion_interval = config.fusion_interval
        self.fusion_place = config.fusion_place
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start values of the published code: matrices after Glorot, deformable attention after its own rule.

        The language layers start at random as well, not from RoBERTa.
        """
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for layer in self.vision_layers:
            layer.self_attention.reset_parameters()

    def forward(
        self,
        vision: Tensor,
        position: Tensor,
        language: Tensor,
        *,
        shapes: MapShapes,
        valid_ratios: Tensor,
        vision_padding: Tensor | None = None,
        language_padding: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encode images and their texts together.

        Padding changes nothing elsewhere, and the order of the texts changes only the order of the answer. At
        padding, what comes out means nothing.

        Args:
            vision: (B, S, D) features of all levels.
            position: (B, S, D) position code, the level's part included.
            language: (B, T, E) one feature a text.
            shapes: height and width of each of the L levels, the finest first.
            valid_ratios: (B, L, 2) the part of the map, x then y, that is image and not padding.
            vision_padding: (B, S) bool, true on padding.
            language_padding: (B, T) bool, true on padding.

        Returns:
            The memory (B, S, D), and the language after each language layer (K, B, T, E); in a late fusion after each
            fusion.
        """
        reference_points = encoder_reference_points(shapes, valid_ratios)
        language_bias = None if language_padding is None else _attention_bias(language_padding, language.dtype)
        states = []
        if self.fusion_place == "after":
            for layer in self.vision_layers:
                vision = layer(vision, position, reference_points, shapes, vision_padding)
            for layer in self.language_layers:
                language = layer(language, language_bias)
            for fusion in self.fusions:
                vision, language = fusion(vision, position, language, vision_padding, language_padding)
                states.append(language)
            return vision, torch.stack(states)

        coarsest = _coarsest(shapes)
        coarse_padding = None if vision_padding is None else vision_padding[:, coarsest]
        for number, layer in enumerate(self.vision_layers):
            if number % self.fusion_interval == 0:
                fusion = number // self.fusion_interval
                coarse, language = self.fusions[fusion](
                    vision[:, coarsest], position[:, coarsest], language, coarse_padding, language_padding
                )
                vision = torch.cat([vision[:, : coarsest.start], coarse], dim=1)
                language = self.language_layers[fusion](language, language_bias)
                states.append(language)
            vision = layer(vision, position, reference_points, shapes, vision_padding)
        return vision, torch.stack(states)


def _vision_layer(config: EncoderConfig) -> DeformableEncoderLayer:
    attention = MultiScaleDeformableAttention(config.width, config.num_heads, config.num_levels, config.num_points)
    return DeformableEncoderLayer(
        attention, width=config.width, feedforward_width=config.feedforward_width, dropout=config.dropout
    )


def _fusion(config: EncoderConfig, *, published: bool) -> BidirectionalFusion:
    return BidirectionalFusion(
        config.width,
        config.language_width,
        config.fusion_width,
        config.fusion_heads,
        gate=config.gate,
        gate_start=1 / config.num_levels,
        dropout=config.fusion_dropout,
        published=published,
    )


def _language_layer(config: EncoderConfig) -> nn.Module:
    """A layer of RoBERTa: (B, T, E) and an additive bias (B, 1, 1, T) or none, to (B, T, E)."""
    from transformers.models.roberta.configuration_roberta import RobertaConfig
    from transformers.models.roberta.modeling_roberta import RobertaLayer

    # Eager attention, as published: sums in another order differ in the last digits.
    return RobertaLayer(
        RobertaConfig(
            hidden_size=config.language_width,
            num_attention_heads=config.language_heads,
            intermediate_size=config.language_feedforward_width,
            hidden_act="gelu",
            hidden_dropout_prob=config.language_dropout,
            attention_probs_dropout_prob=config.language_dropout,
            layer_norm_eps=config.language_norm_eps,
            attn_implementation="eager",
        )
    )


def _coarsest(shapes: MapShapes) -> slice:
    """The pixels of the last level."""
    return slice(sum(height * width for height, width in shapes[:-1]), None)


def _attention_bias(padding: Tensor, dtype: torch.dtype) -> Tensor:
    """Padding (B, T) as what RoBERTa's eager attention adds to its scores: (B, 1, 1, T), the lowest number or zero."""
    bias = torch.zeros(padding.shape, dtype=dtype, device=padding.device)
    return bias.masked_fill(padding, torch.finfo(dtype).min)[:, None, None, :]
