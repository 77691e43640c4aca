"""All numbers of a network, and those of the networks that RLIPv2 published.

A configuration is plain data: it is written beside the weights as JSON, and a network is built from it (`build.py`).
"""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from schemas import BadInputError
from stages.alif.backbone import BackboneConfig
from stages.alif.decoder_layers import DecoderConfig
from stages.alif.encoder import EncoderConfig
from stages.alif.text_encoder import TextEncoderConfig

Decoding = Literal["parsed", "parseda", "pairs"]
"""Where decoding starts: learned queries (ParSeD), learned anchors (ParSeDA), or given pairs of boxes (the tagger)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairs:
    """Faults of the published network that are mended; `PUBLISHED` mends none, for parity with its checkpoints."""

    fusion_masks: bool = True
    """Padding takes no part in the fusion. Published: its masks are booleans where numbers were meant, and mask
    nothing."""
    backbone_padding: bool = True
    """Padding does not leak into features through convolutions and group norms. Published: an image's features depend
    on how much it is padded, thus on the images beside it."""
    anchor_position: bool = True
    """Anchors are fractions of the image. Published: of the padded batch, where their sine is taken."""
    shared_slots: bool = True
    """All pairs of the tagger start from one learned content. Published: one for each of 100 slots, and as related
    pairs came first in training, the slot tells whether a pair is related."""


PUBLISHED = Repairs(fusion_masks=False, backbone_padding=False, anchor_position=False, shared_slots=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSize:
    """What pictures are scaled to, in pixels; see `network_size`. RLIPv2's by default."""

    short_side: int = 800
    """Of the shorter side."""
    longest: int = 1333
    """Most of the longer side; the shorter gives way."""

    def __post_init__(self) -> None:
        if not 1 <= self.short_side <= self.longest:
            raise ValueError(
                f"short_side is {self.short_side}, longest {self.longest}; give 1 <= short_side <= longest"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlifConfig:
    """A network. The defaults are RLIPv2-ParSeDA's with a ResNet-50 and RoBERTa-base, repaired."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    text: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    decoding: Decoding = "parseda"
    num_pairs: int = 100
    """Pairs that learned queries and anchors look for; the tagger takes any number."""
    fused_verb_content: bool = True
    """The verb decoder starts from a fusion of the pair's states ('vanilla_MBF'); else from what is learned alone."""
    learned_verb_position: bool = False
    """The verb decoder's positions are learned; else the sum of the pair's states. Not for anchors."""
    repairs: Repairs = Repairs()
    picture: PictureSize = PictureSize()
    """The size that it was trained with, and sees best."""

    def __post_init__(self) -> None:
        if not self.encoder.width == self.decoder.width or self.encoder.num_levels != self.decoder.num_levels:
            raise ValueError(
                f"encoder and decoder differ: width {self.encoder.width} and {self.decoder.width}, levels "
                f"{self.encoder.num_levels} and {self.decoder.num_levels}; give both the same"
            )
        if self.encoder.num_fusions != self.decoder.num_layers:
            raise ValueError(
                f"the encoder has {self.encoder.num_fusions} language states, the decoders {self.decoder.num_layers} "
                "layers; each layer is compared with the state of its number"
            )

    @property
    def coarsest_stride(self) -> int:
        """Pixels of a side of the coarsest map's cells.

        A batch padded to a multiple of it has maps that end where those of each picture alone would end.
        """
        # The table in `Backbone`: strides 8 and 16, and 32 but for the tiny one; each further level halves the last.
        coarsest, num_maps = (16, 2) if self.backbone.kind == "tiny" else (32, 3)
        return coarsest << self.encoder.num_levels - num_maps

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any], *, where: str) -> "AlifConfig":
        """The configuration that `to_json` wrote.

        Raises:
            BadInputError: if a key is unknown or a value impossible; names `where` and the key.
        """
        config = _from_json(cls, document, where=where)
        assert isinstance(config, cls)
        return config


def published_config(name: str) -> AlifConfig:
    """A network of RLIPv2 as it was published.

    Args:
        name: `parseda` or `parsed` or `tagger`, then `-resnet50`, `-swin_t` or `-swin_l`.

    Raises:
        BadInputError: if it is none of these.
    """
    decoding, _, kind = name.partition("-")
    kinds = typing.get_args(typing.get_type_hints(BackboneConfig)["kind"])
    if decoding not in ("parseda", "parsed", "tagger") or kind not in kinds or kind == "tiny":
        raise BadInputError(f"{name}: give parseda, parsed or tagger, then -resnet50, -swin_t or -swin_l")
    backbone = BackboneConfig(kind=typing.cast(Any, kind))
    if decoding == "parseda":
        return AlifConfig(backbone=backbone, repairs=PUBLISHED)
    # ParSeD is a Deformable DETR: a narrower feed-forward part, and dropout. Its tagger has one gate a channel, and
    # with a ResNet nothing of the pair's states in the verb queries.
    of_resnet_tagger = decoding == "tagger" and kind == "resnet50"
    return AlifConfig(
        backbone=backbone,
        encoder=EncoderConfig(feedforward_width=1024, dropout=0.1, gate="channel" if of_resnet_tagger else "scalar"),
        decoder=DecoderConfig(feedforward_width=1024, dropout=0.1),
        decoding="pairs" if decoding == "tagger" else "parsed",
        fused_verb_content=not of_resnet_tagger,
        learned_verb_position=not of_resnet_tagger,
        repairs=PUBLISHED,
    )


def _from_json(kind: Any, document: Any, *, where: str) -> Any:
    """A dataclass of plain values and of further ones, from nested objects."""
    if not isinstance(document, Mapping):
        raise BadInputError(f"{where} is {document!r}; expected an object")
    hints = typing.get_type_hints(kind)
    if unknown := sorted(set(document) - set(hints)):
        raise BadInputError(f"{where}: unknown key {unknown[0]!r}; there are {', '.join(hints)}")
    values = {
        name: _from_json(hints[name], value, where=f"{where}.{name}")
        if dataclasses.is_dataclass(hints[name])
        else value
        for name, value in document.items()
    }
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        raise BadInputError(f"{where}: {error}") from error
