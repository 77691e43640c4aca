"""The names that RLIPv2's checkpoints give to the parts of the encoder, and ours.

Each line is (regular expression on the whole published key, our key); the first line that matches counts. Keys are
those inside the module: `ATTENTION_NAMES` for `MultiScaleDeformableAttention`, `FUSION_NAMES` for
`BidirectionalFusion`, `LAYER_NAMES` for `DeformableEncoderLayer`, `NAMES` for the whole `AlifEncoder`. Groups have
names, so that lines can stand below one another's prefixes.
"""

Names = tuple[tuple[str, str], ...]


def below(published_prefix: str, prefix: str, names: Names) -> Names:
    """The same lines for a module that is part of a larger one: both keys get their prefix.

    Args:
        published_prefix: a regular expression, dot included; its groups carry names, as in `(?P<layer>[0-9]+)`.
        prefix: ours, dot included; may refer to these groups, as in `\\g<layer>`.
        names: lines as in this file.
    """
    return tuple((published_prefix + pattern, prefix + ours) for pattern, ours in names)


_BOTH = r"\.(?P<leaf>weight|bias)"

ATTENTION_NAMES: Names = (
    (r"sampling_offsets" + _BOTH, r"sampling_offsets.\g<leaf>"),
    (r"attention_weights" + _BOTH, r"attention_weights.\g<leaf>"),
    (r"value_proj" + _BOTH, r"value_projection.\g<leaf>"),
    (r"output_proj" + _BOTH, r"output_projection.\g<leaf>"),
)
"""Lines for `MultiScaleDeformableAttention`; published as `MSDeformAttn`."""

FUSION_NAMES: Names = (
    (r"b_attn\.layer_norm_v" + _BOTH, r"norm_vision.\g<leaf>"),
    (r"b_attn\.layer_norm_l" + _BOTH, r"norm_language.\g<leaf>"),
    (r"b_attn\.attn\.v_proj" + _BOTH, r"vision_match.\g<leaf>"),
    (r"b_attn\.attn\.l_proj" + _BOTH, r"language_match.\g<leaf>"),
    (r"b_attn\.attn\.values_v_proj" + _BOTH, r"vision_value.\g<leaf>"),
    (r"b_attn\.attn\.values_l_proj" + _BOTH, r"language_value.\g<leaf>"),
    (r"b_attn\.attn\.out_v_proj" + _BOTH, r"vision_output.\g<leaf>"),
    (r"b_attn\.attn\.out_l_proj" + _BOTH, r"language_output.\g<leaf>"),
    (r"b_attn\.gamma_v", r"gate_vision"),
    (r"b_attn\.gamma_l", r"gate_language"),
)
"""Lines for `BidirectionalFusion`; published as `RLIPv2_VLFuse`."""

LAYER_NAMES: Names = (
    *below(r"self_attn\.", "self_attention.", ATTENTION_NAMES),
    (r"norm1" + _BOTH, r"norm_attention.\g<leaf>"),
    (r"linear1" + _BOTH, r"feedforward_in.\g<leaf>"),
    (r"linear2" + _BOTH, r"feedforward_out.\g<leaf>"),
    (r"norm2" + _BOTH, r"norm_feedforward.\g<leaf>"),
)
"""Lines for `DeformableEncoderLayer`; published as `DeformableTransformerEncoderLayer`."""

_NUMBER = r"(?P<number>[0-9]+)\."

NAMES: Names = (
    *below(r"layers\." + _NUMBER, r"vision_layers.\g<number>.", LAYER_NAMES),
    *below(r"VLFuse_layers\." + _NUMBER, r"fusions.\g<number>.", FUSION_NAMES),
    # The language layers are transformers' own and keep their names.
    (r"roberta_layers\." + _NUMBER + r"(?P<rest>.+)", r"language_layers.\g<number>.\g<rest>"),
)
"""Lines for `AlifEncoder`; published as `RLIPv2_DeformableTransformerEncoder`."""
