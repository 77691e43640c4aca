"""A network from its configuration: every number passes through here, the parts know none."""

from stages.alif.backbone import Backbone, InputProjection
from stages.alif.config import AlifConfig
from stages.alif.encoder import AlifEncoder
from stages.alif.heads import RelationDecoder
from stages.alif.model import AlifModel, LanguageResizer
from stages.alif.position import PositionCode
from stages.alif.queries import AnchorQueries, PairQueries, ParsedQueries
from stages.alif.text_encoder import TextEncoder
from stages.alif.verb_decoder import MultiBranchFusion


def build_model(config: AlifConfig) -> AlifModel:
    """A network with start values, in training mode."""
    width, levels, repairs = config.encoder.width, config.encoder.num_levels, config.repairs
    backbone = Backbone(config.backbone)
    return AlifModel(
        backbone=backbone,
        input_projection=InputProjection(backbone.num_channels, width, num_levels=levels),
        # As in the published code: Deformable DETR shifts the code by half a pixel, its authors' ResNet models do not.
        position_code=PositionCode(width, levels, shift=config.backbone.kind.startswith("swin")),
        text_encoder=TextEncoder(config.text),
        encoder=AlifEncoder(config.encoder, published=not repairs.fusion_masks),
        resizer=LanguageResizer(config.encoder.language_width, width),
        decoder=RelationDecoder(
            config.decoder,
            _queries(config),
            fusion=MultiBranchFusion(width) if config.fused_verb_content else None,
            published=not repairs.anchor_position,
        ),
        backbone_padding=repairs.backbone_padding,
    )


def _queries(config: AlifConfig) -> ParsedQueries | AnchorQueries | PairQueries:
    width = config.decoder.width
    if config.decoding == "parseda":
        return AnchorQueries(width, config.num_pairs)
    if config.decoding == "parsed":
        return ParsedQueries(width, config.num_pairs, learned_verb_position=config.learned_verb_position)
    return PairQueries(
        width, learned_verb_position=config.learned_verb_position, published=not config.repairs.shared_slots
    )
