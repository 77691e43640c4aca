"""The small tagger that Relmill can ship: the published parts in small, for pictures of 128 to 192 pixels on a CPU.

With 2,000 words of text it has 1.3 million values, 5.4 MB in float32.
"""

from stages.alif.backbone import BackboneConfig
from stages.alif.config import AlifConfig, PictureSize
from stages.alif.decoder_layers import DecoderConfig
from stages.alif.encoder import EncoderConfig
from stages.alif.text_encoder import TextEncoderConfig

_WIDTH = 96
_LEVELS = 2
_FEEDFORWARD = 192


def tiny_config(vocab_size: int) -> AlifConfig:
    """The network of the small tagger.

    Two feature maps of strides 8 and 16, two fusions, two layers in each decoder. There is no dropout but behind
    the language resizer: a network of this size learns too little by heart rather than too much.

    Args:
        vocab_size: words of its tokenizer, the special tokens included.
    """
    return AlifConfig(
        backbone=BackboneConfig(kind="tiny", tiny_width=32),
        text=TextEncoderConfig(
            vocab_size=vocab_size,
            num_layers=1,
            width=_WIDTH,
            num_heads=4,
            feedforward_width=_FEEDFORWARD,
            num_positions=34,  # 32 tokens, behind the two rows that RoBERTa leaves unused
            dropout=0.0,
        ),
        encoder=EncoderConfig(
            width=_WIDTH,
            num_levels=_LEVELS,
            num_layers=2,
            num_heads=4,
            num_points=4,
            feedforward_width=_FEEDFORWARD,
            fusion_interval=1,
            fusion_width=_WIDTH,
            fusion_heads=4,
            fusion_dropout=0.0,
            language_width=_WIDTH,
            language_heads=4,
            language_feedforward_width=_FEEDFORWARD,
            language_dropout=0.0,
        ),
        decoder=DecoderConfig(
            width=_WIDTH,
            num_heads=4,
            num_levels=_LEVELS,
            num_points=4,
            num_layers=2,
            feedforward_width=_FEEDFORWARD,
        ),
        decoding="pairs",
        fused_verb_content=True,
        picture=PictureSize(short_side=160, longest=266),
    )
