"""The whole network: image and texts in, pairs with boxes, classes and relations out.

RLIPv2 (Yuan et al. 2023), figure 2: backbone and text encoder, ALIF encoder, entity and verb decoders. Encoding is
apart from decoding, so that an image is encoded once, whatever is then asked about it.

Shape letters: B images, H x W pixels, S pixels of all levels, L levels, T = O + R texts (objects with "no objects",
then relations), K language states and decoder layers, D width, E language width, P pairs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stages.alif.backbone import Backbone, InputProjection
from stages.alif.deformable_attention import MapShapes
from stages.alif.encoder import AlifEncoder
from stages.alif.heads import Decoded, RelationDecoder
from stages.alif.images import level_masks, valid_ratios
from stages.alif.position import PositionCode
from stages.alif.queries import StartQueries
from stages.alif.text_encoder import TextEncoder


@dataclass(frozen=True)
class Encoded:
    """Images and texts after they have met."""

    memory: Tensor
    """(B, S, D), or (M, S, D) with `memory_rows`."""
    padding: Tensor
    """(B, S) or (M, S) bool, true on padding."""
    shapes: MapShapes
    """Height and width of each level, the finest first."""
    valid_ratios: Tensor
    """(B, L, 2) the part of each map's width and height that is image."""
    text_states: Tensor
    """(K, T, B, D) language states, resized to the width of the states that they are compared with."""
    memory_rows: Tensor | None = None
    """(B,) int64, which row of the memory is each image's; None if each has its own. See `repeated`."""


class LanguageResizer(nn.Module):  # type: ignore[misc]
    """Language states to the width of vision: a linear map and a norm. Published as `FeatureResizer`.

    Args:
        language_width: E.
        width: D.
        dropout: after the norm.
    """

    def __init__(self, language_width: int, width: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.linear = nn.Linear(language_width, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor) -> Tensor:
        """(..., E) to (..., D)."""
        return self.dropout(self.norm(self.linear(states)))


class AlifModel(nn.Module):  # type: ignore[misc]
    """RLIPv2's network, of ready-made parts; `build_model` makes them from a configuration.

    Usage::

        encoded = model.encode(pixels, padding, model.text_encoder(input_ids, attention_mask))
        queries = model.decoder.queries(len(pixels))
        decoded = model.decode(encoded, queries, num_objects=81, num_relations=117)

    Args:
        backbone_padding: tell the backbone and the input projection what is padding; see `Repairs`.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        input_projection: InputProjection,
        position_code: PositionCode,
        text_encoder: TextEncoder,
        encoder: AlifEncoder,
        resizer: LanguageResizer,
        decoder: RelationDecoder,
        backbone_padding: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.input_projection = input_projection
        self.position_code = position_code
        self.text_encoder = text_encoder
        self.encoder = encoder
        self.resizer = resizer
        self.decoder = decoder
        self.backbone_padding = backbone_padding

    def encode(
        self, pixels: Tensor, padding: Tensor, text_features: Tensor, text_padding: Tensor | None = None
    ) -> Encoded:
        """Encode images together with texts.

        Args:
            pixels: (B, 3, H, W) normalised, zero on padding.
            padding: (B, H, W) bool, true on padding.
            text_features: (T, E) if the images share their texts, or (B, T, E).
            text_padding: (B, T) bool, true where there is no text; None if all are texts.
        """
        known = padding if self.backbone_padding else None
        maps = self.input_projection(self.backbone(pixels, known), known)
        shapes = [(int(one.shape[-2]), int(one.shape[-1])) for one in maps]
        masks = level_masks(padding, shapes)
        flat_padding = torch.cat([mask.flatten(1) for mask in masks], dim=1)
        ratios = valid_ratios(masks)
        language = text_features if text_features.dim() == 3 else text_features.expand(len(pixels), -1, -1)
        memory, states = self.encoder(
            torch.cat([one.flatten(2).transpose(1, 2) for one in maps], dim=1),
            self.position_code(masks),
            language,
            shapes=shapes,
            valid_ratios=ratios,
            vision_padding=flat_padding,
            language_padding=text_padding,
        )
        return Encoded(memory, flat_padding, shapes, ratios, self.resizer(states).transpose(1, 2))

    def decode(self, encoded: Encoded, queries: StartQueries, *, num_objects: int, num_relations: int) -> Decoded:
        """Decode pairs from queries that `self.decoder.queries` made, and score them against the texts."""
        decoded: Decoded = self.decoder(
            encoded.memory,
            encoded.padding,
            encoded.shapes,
            encoded.valid_ratios,
            encoded.text_states,
            num_objects=num_objects,
            num_relations=num_relations,
            queries=queries,
            memory_rows=encoded.memory_rows,
        )
        return decoded
