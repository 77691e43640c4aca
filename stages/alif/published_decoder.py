"""The names that RLIPv2's checkpoints give to the decoders, queries and heads, and ours.

Lines as in `published_encoder`: (regular expression on the whole published key, our key inside `RelationDecoder`); an
empty one has no counterpart here. `NAMES` serves ParSeD and ParSeDA, `TAGGER_NAMES` the Relation Tagger.
"""

from collections.abc import Mapping

from torch import Tensor

from stages.alif.published_encoder import ATTENTION_NAMES, Names, below

_BOTH = r"\.(?P<leaf>weight|bias)"
_NUMBER = r"(?P<number>[0-9]+)"

LAYER_NAMES: Names = (
    (r"self_attn\.(?P<rest>in_proj_weight|in_proj_bias|out_proj\.weight|out_proj\.bias)", r"self_attention.\g<rest>"),
    *below(r"cross_attn\.", "cross_attention.", ATTENTION_NAMES),
    (r"linear1" + _BOTH, r"feedforward_in.\g<leaf>"),
    (r"linear2" + _BOTH, r"feedforward_out.\g<leaf>"),
    # Numbered as in DETR, where the attention to the image came first.
    (r"norm1" + _BOTH, r"norm_cross_attention.\g<leaf>"),
    (r"norm2" + _BOTH, r"norm_self_attention.\g<leaf>"),
    (r"norm3" + _BOTH, r"norm_feedforward.\g<leaf>"),
)
"""Lines for `DecoderLayer`; published as `DeformableTransformerDecoderLayer`."""

DECODER_NAMES: Names = (
    *below(r"layers\." + _NUMBER + r"\.", r"layers.\g<number>.", LAYER_NAMES),
    (r"ref_point_head\.(?P<rest>.+)", r"anchor_position.from_sine.\g<rest>"),
    (r"query_scale\.(?P<rest>.+)", r"anchor_position.content_scale.\g<rest>"),
)
"""Lines for `EntityDecoder` and `VerbDecoder`, but for their box perceptrons, which are published elsewhere."""


def _boxes(first: int, decoder: str) -> Names:
    """Box perceptrons `first`, `first` + 1, ... of the published list are those of one decoder, from 0 on.

    The list is one for both decoders, so its split is known for three layers each, as published, and no other number.
    """
    return tuple(
        (rf"{published}_bbox_embed\.{first + number}\.(?P<rest>.+)", rf"{decoder}.{ours}_boxes.{number}.\g<rest>")
        for number in range(3)
        for published, ours in (("sub", "subject"), ("obj", "object"))
    )


NAMES: Names = (
    # Second names of tensors that also stand at the top level; taken from there, below.
    (r"transformer\.(ho|verb)_decoder\.(sub|obj)_bbox_embed\..+", ""),
    *below(r"transformer\.ho_decoder\.", "entity_decoder.", DECODER_NAMES),
    *below(r"transformer\.verb_decoder\.", "verb_decoder.", DECODER_NAMES),
    # Box perceptron 5 would refine what nobody looks at any more; scaling it changes no output.
    (r"(sub|obj)_bbox_embed\.5\..+", ""),
    *_boxes(0, "entity_decoder"),
    *_boxes(3, "verb_decoder"),
    # How the verb decoder starts.
    (r"transformer\.verb_tgt_generator\.fc_1\.(?P<rest>.+)", r"fusion.from_subject.\g<rest>"),
    (r"transformer\.verb_tgt_generator\.fc_2\.(?P<rest>.+)", r"fusion.from_object.\g<rest>"),
    (r"transformer\.verb_tgt_generator\.fc_3\.(?P<rest>.+)", r"fusion.to_pair.\g<rest>"),
    (r"transformer\.verb_query_embed\.weight", r"queries.verb_position.weight"),
    # Queries of ParSeD and of the tagger.
    (r"query_embed\.weight", r"queries.slots.weight"),
    (r"transformer\.reference_points_sub" + _BOTH, r"queries.start_points.subject.\g<leaf>"),
    (r"transformer\.reference_points_obj" + _BOTH, r"queries.start_points.object.\g<leaf>"),
    # Queries of ParSeDA.
    (r"tgt_embed\.weight", r"queries.content.weight"),
    (r"verb_tgt_embed\.weight", r"queries.verb_content.weight"),
    (r"refpoint_embed\.weight", r"queries.anchors.weight"),
    # The head.
    (r"projection_text" + _BOTH, r"head.text_projection.\g<leaf>"),
    (r"bias_obj_a", r"head.entity_bias"),
    (r"bias_pred_a", r"head.relation_bias"),
)
"""Lines for `RelationDecoder` with `ParsedQueries` or `AnchorQueries`."""

TAGGER_NAMES: Names = (
    # The published tagger keeps the learned queries of ParSeD but reads only how many there are.
    (r"query_embed\.weight", ""),
    (r"transformer\.coord_proj" + _BOTH, r"queries.box_projection.\g<leaf>"),
    (r"transformer\.verb_tgt\.weight", r"queries.verb_content.weight"),
    *NAMES,
)
"""Lines for `RelationDecoder` with `PairQueries(published=True)`; for ours, `share_slots` comes after."""


def share_slots(state: Mapping[str, Tensor], *, prefix: str = "queries.") -> dict[str, Tensor]:
    """From weights for `PairQueries(published=True)` to weights for `PairQueries()`.

    What was learned for each slot becomes its mean over the slots: each pair then starts as an average pair did.

    Args:
        state: our keys to tensors; `<prefix>verb_content.weight` is (2P, D), subjects first, and
            `<prefix>verb_position.weight`, if it is there, (P, D).
        prefix: where the queries are, dot included.

    Returns:
        The same with (1, D) for these two. The other tensors are not copied.
    """
    shared = dict(state)
    content = f"{prefix}verb_content.weight"
    subjects, objects = state[content].chunk(2)
    shared[content] = (subjects + objects).mean(dim=0, keepdim=True)
    position = f"{prefix}verb_position.weight"
    if position in state:
        shared[position] = state[position].mean(dim=0, keepdim=True)
    return shared
