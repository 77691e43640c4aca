"""Published names of the backbone, the input projection, the position code and the text encoder, and ours.

Ours are the names inside a module that holds the four as `backbone`, `input_projection`, `position_code` and
`text_encoder`. The first line that matches counts; an empty name says that the tensor has no place with us.

Swin keeps query, key and value in one matrix; `split_swin` takes it apart before the names are looked up.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

_NORM = r"(weight|bias|running_mean|running_var)"
_BODY = r"backbone\.0\.body\."
_TEXT = r"transformer\.text_encoder\."

_RESNET = (
    (_BODY + r".*\.num_batches_tracked", ""),  # a counter that torchvision's files have; frozen norms do not count
    (_BODY + r"fc\..*", ""),  # the classifier of ImageNet, in files of backbones
    (_BODY + r"conv1\.weight", r"backbone.network.stem.convolution.weight"),
    (_BODY + rf"bn1\.{_NORM}", r"backbone.network.stem.norm.\1"),
    *(
        line
        for stage in range(4)
        for line in (
            (
                _BODY + rf"layer{stage + 1}\.(\d+)\.downsample\.0\.weight",
                rf"backbone.network.stages.{stage}.\1.shortcut.convolution.weight",
            ),
            (
                _BODY + rf"layer{stage + 1}\.(\d+)\.downsample\.1\.{_NORM}",
                rf"backbone.network.stages.{stage}.\1.shortcut.norm.\2",
            ),
            *(
                line
                for index in range(3)
                for line in (
                    (
                        _BODY + rf"layer{stage + 1}\.(\d+)\.conv{index + 1}\.weight",
                        rf"backbone.network.stages.{stage}.\1.convolutions.{index}.convolution.weight",
                    ),
                    (
                        _BODY + rf"layer{stage + 1}\.(\d+)\.bn{index + 1}\.{_NORM}",
                        rf"backbone.network.stages.{stage}.\1.convolutions.{index}.norm.\2",
                    ),
                )
            ),
        )
    ),
)

_SWIN_MODEL = "backbone.network.model.swin."
_SWIN_BLOCK = _BODY + r"layers\.(\d+)\.blocks\.(\d+)\."
_OUR_BLOCK = _SWIN_MODEL + r"encoder.layers.\1.blocks.\2."

_SWIN = (
    (_BODY + r".*\.relative_position_index", ""),  # computed from the size of the window
    (_BODY + r".*\.attn_mask", ""),  # in files of Swin classifiers: for one size of image
    (_BODY + r"(norm|head)\.(weight|bias)", ""),  # the classifier of ImageNet, in files of backbones
    (_BODY + r"patch_embed\.proj\.(.*)", _SWIN_MODEL + r"embeddings.patch_embeddings.projection.\1"),
    (_BODY + r"patch_embed\.norm\.(.*)", _SWIN_MODEL + r"embeddings.norm.\1"),
    (_SWIN_BLOCK + r"norm1\.(.*)", _OUR_BLOCK + r"layernorm_before.\3"),
    (_SWIN_BLOCK + r"norm2\.(.*)", _OUR_BLOCK + r"layernorm_after.\3"),
    (
        _SWIN_BLOCK + r"attn\.relative_position_bias_table",
        _OUR_BLOCK + r"attention.relative_position_bias.relative_position_bias_table",
    ),
    (_SWIN_BLOCK + r"attn\.([qkv])\.(.*)", _OUR_BLOCK + r"attention.\3_proj.\4"),
    (_SWIN_BLOCK + r"attn\.proj\.(.*)", _OUR_BLOCK + r"attention.o_proj.\3"),
    (_SWIN_BLOCK + r"mlp\.(fc[12])\.(.*)", _OUR_BLOCK + r"mlp.\3.\4"),
    (
        _BODY + r"layers\.(\d+)\.downsample\.(reduction|norm)\.(.*)",
        _SWIN_MODEL + r"encoder.layers.\1.downsample.\2.\3",
    ),
    # The published norms are counted from 0, the stages of the transformers library from 1.
    *(
        (_BODY + rf"norm{stage}\.(.*)", rf"backbone.network.model.hidden_states_norms.stage{stage + 1}.\1")
        for stage in (1, 2, 3)
    ),
)

NAMES: tuple[tuple[str, str], ...] = (
    *_RESNET,
    *_SWIN,
    (r"input_proj\.(\d+)\.0\.(weight|bias)", r"input_projection.convolutions.\1.\2"),
    (r"input_proj\.(\d+)\.1\.(weight|bias)", r"input_projection.norms.\1.\2"),
    (r"transformer\.level_embed", "position_code.level_embedding"),
    (_TEXT + r"embeddings\.(position_ids|token_type_ids)", ""),  # counters, in files of older transformers
    (_TEXT + r"(.*)", r"text_encoder.model.\1"),
)


def split_swin(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give each of query, key and value a name of its own: `attn.qkv.weight` becomes `attn.q.weight` and so on.

    Args:
        values: published key to tensor. `attn.qkv.weight` is (3 D, D), `attn.qkv.bias` (3 D,): query, key, value.

    Returns:
        The same tensors; the parts are copies. A ResNet model comes back as it was.
    """
    split: dict[str, Tensor] = {}
    for key, tensor in values.items():
        front, found, leaf = key.rpartition(".attn.qkv.")
        if not found:
            split[key] = tensor
            continue
        parts = torch.chunk(tensor, 3)
        split |= {f"{front}.attn.{name}.{leaf}": part.clone() for name, part in zip("qkv", parts, strict=True)}
    return split
