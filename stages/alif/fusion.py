"""Gated fusion of an image and its texts, both ways at once.

Source: RLIPv2, "Asymmetric Language-Image Fusion" (ALIF), after the fusion block of GLIP; published as
`RLIPv2_BiMultiHeadAttention` and `RLIPv2_BiAttentionBlockForCheckpoint` in `models/fuse_helper.py`. Written anew, with
the two gates of the released models only, and without the switches that they leave off (`stable_softmax_2d`, clamps).

Shape letters of this file: B images, N pixels that take part, T texts, H heads, D vision width, E language width,
M match width (where the two meet).
"""

from typing import Literal

import torch
from torch import Tensor, nn

Gate = Literal["scalar", "channel"]
"""How much of the other side is let in: by one number, or by one number a channel."""


class BidirectionalFusion(nn.Module):  # type: ignore[misc]
    """Pixels gather from texts, and texts from pixels, over one shared matrix of scores.

    Both sides are normalised first, and what comes out is the *normalised* input plus the gated gathering; so the
    features that come out are of another scale than those that went in.

    Args:
        vision_width: D.
        language_width: E.
        match_width: M, a multiple of `num_heads`. RLIPv2: 2048.
        num_heads: H.
        gate: "scalar" uses element 0 of each gate vector (RLIPv2's released models, `VXAc`), "channel" all of it
            (GLIP's way, and the ResNet-50 tagger's). Both keep the whole vectors, so checkpoints load either way.
        gate_start: first value of the gates. RLIPv2: 1 / number of levels.
        dropout: of the attention, after the softmax.
        published: true does as the published code does, whose masks do not mask: it adds one to every score, as its
            masks are booleans where numbers were meant. Padding pixels and padding texts then take part.
    """

    def __init__(
        self,
        vision_width: int,
        language_width: int,
        match_width: int,
        num_heads: int,
        *,
        gate: Gate = "scalar",
        gate_start: float = 0.25,
        dropout: float = 0.1,
        published: bool = False,
    ) -> None:
        if match_width % num_heads:
            raise ValueError(
                f"match_width is {match_width}, num_heads {num_heads}; give a width that the heads divide evenly"
            )
        super().__init__()
        self.num_heads = num_heads
        self.gate = gate
        self.published = published
        self.norm_vision = nn.LayerNorm(vision_width)
        self.norm_language = nn.LayerNorm(language_width)
        self.vision_match = nn.Linear(vision_width, match_width)
        self.language_match = nn.Linear(language_width, match_width)
        self.vision_value = nn.Linear(vision_width, match_width)
        self.language_value = nn.Linear(language_width, match_width)
        self.vision_output = nn.Linear(match_width, vision_width)
        self.language_output = nn.Linear(match_width, language_width)
        self.dropout = nn.Dropout(dropout)
        self.gate_vision = nn.Parameter(torch.full((vision_width,), gate_start))
        self.gate_language = nn.Parameter(torch.full((language_width,), gate_start))
        for part in self.children():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                nn.init.zeros_(part.bias)

    def forward(
        self,
        vision: Tensor,
        position: Tensor,
        language: Tensor,
        vision_padding: Tensor | None = None,
        language_padding: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Fuse. The order of the texts changes only the order of the answer; padding changes no other place.

        Args:
            vision: (B, N, D).
            position: (B, N, D) position code. Added for matching, not to what is passed on.
            language: (B, T, E), one feature a text.
            vision_padding: (B, N) bool, true on padding. What comes out there means nothing, but is finite.
            language_padding: (B, T) bool, true on padding. Likewise. Where all is padding, all takes part alike.

        Returns:
            Vision (B, N, D) and language (B, T, E).
        """
        vision = self.norm_vision(vision)
        language = self.norm_language(language)

        pixels = self._by_head(self.vision_match(vision + position))  # (B, H, N, M/H)
        texts = self._by_head(self.language_match(language))  # (B, H, T, M/H)
        scores = pixels * pixels.shape[-1] ** -0.5 @ texts.transpose(-1, -2)  # (B, H, N, T)
        # The published code subtracts the row maximum from the texts' scores first; torch's softmax does so itself.
        over_texts = self.dropout(self._masked(scores, language_padding).softmax(dim=-1))
        over_pixels = self.dropout(self._masked(scores.transpose(-1, -2), vision_padding).softmax(dim=-1))

        to_vision = self.vision_output(_side_by_side(over_texts @ self._by_head(self.language_value(language))))
        to_language = self.language_output(_side_by_side(over_pixels @ self._by_head(self.vision_value(vision))))
        return vision + self._gated(self.gate_vision, to_vision), language + self._gated(
            self.gate_language, to_language
        )

    def _by_head(self, features: Tensor) -> Tensor:
        """(B, X, M) to (B, H, X, M/H)."""
        return features.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _masked(self, scores: Tensor, padding: Tensor | None) -> Tensor:
        """Scores (B, H, X, Y) with nothing left for the columns that are padding (B, Y)."""
        if padding is None or self.published:
            return scores
        # The lowest finite number rather than minus infinity: a row of padding alone must not become not-a-number.
        return scores.masked_fill(padding[:, None, None, :], torch.finfo(scores.dtype).min)

    def _gated(self, gate: Tensor, delta: Tensor) -> Tensor:
        return (gate[0] if self.gate == "scalar" else gate) * delta


def _side_by_side(by_head: Tensor) -> Tensor:
    """(B, H, X, M/H) to (B, X, M)."""
    return by_head.transpose(1, 2).flatten(2)
