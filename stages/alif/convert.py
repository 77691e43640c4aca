"""Checkpoints of RLIPv2 as networks of ours: what they are is read off their tensors, nothing is guessed or dropped.

A published checkpoint is a pickle `{"model": {key: tensor}, ...}`; it is read with PyTorch's `weights_only`, which
admits tensors and plain values and nothing that could run.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from schemas import BadInputError
from stages.alif.backbone import BackboneConfig
from stages.alif.config import PUBLISHED, AlifConfig, Decoding, Repairs
from stages.alif.decoder_layers import DecoderConfig
from stages.alif.encoder import EncoderConfig
from stages.alif.fusion import Gate
from stages.alif.published_backbone import split_swin
from stages.alif.published_decoder import share_slots
from stages.alif.published_names import names_for, renamed
from stages.alif.text_encoder import BERT_BASE, TextEncoderConfig

_LISTED = 8
_TEXT = "transformer.text_encoder."
_QUERIES: Mapping[Decoding, str] = {"pairs": "transformer.coord_proj.weight", "parseda": "refpoint_embed.weight"}


@dataclass(frozen=True)
class Converted:
    """A published network under our names."""

    config: AlifConfig
    state: dict[str, Tensor]
    unused: tuple[str, ...]
    """Published keys that have no place with us: second names of tensors, counters, and what changes no output."""


def read_published(path: Path) -> dict[str, Tensor]:
    """The tensors of a published checkpoint.

    Raises:
        BadInputError: if it is none, or damaged.
    """
    if not path.is_file():
        raise BadInputError(f"{path}: no such file; give a checkpoint of RLIPv2 (.pth)")
    try:
        document = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged archive shows as almost any exception, and so does what weights_only refuses.
        first = str(error).strip().splitlines()[:1]
        raise BadInputError(
            f"{path}: cannot be read as a checkpoint ({type(error).__name__}: {' '.join(first)}); fetch it again. "
            "Only tensors and plain values are read from it"
        ) from error
    values: Any = document.get("model") if isinstance(document, dict) else None
    if not isinstance(values, dict) or not all(isinstance(value, Tensor) for value in values.values()):
        found = (
            f"keys {sorted(map(str, document))[:_LISTED]}" if isinstance(document, dict) else type(document).__name__
        )
        raise BadInputError(f'{path}: holds {found}; expected {{"model": {{key: tensor}}, ...}}')
    return values


def convert(
    values: Mapping[str, Tensor], *, where: str, gate: Gate | None = None, published: bool = False
) -> Converted:
    """A published network under our names, with its configuration.

    Args:
        values: published key to tensor.
        where: the checkpoint, for messages.
        gate: how the fusion is gated, which the tensors do not say; None takes what was published: one gate a channel
            for the tagger with a ResNet, one number for all others.
        published: keep the faults of the published network, for parity; else they are repaired (`Repairs`).

    Raises:
        BadInputError: if it is another network, or lacks a tensor; names the keys.
    """
    values = split_swin(values)
    config = _config(values, where=where, gate=gate, repairs=PUBLISHED if published else Repairs())
    state, unused, unknown = renamed(values, names_for(config))
    if unknown:
        raise BadInputError(f"{where}: unknown tensors {_listed(unknown)}; it is no checkpoint of RLIPv2")
    _check_second_names(values, where=where)
    if config.decoding == "pairs" and config.repairs.shared_slots:
        state = share_slots(state, prefix="decoder.queries.")
    return Converted(config, state, tuple(unused))


def _config(values: Mapping[str, Tensor], *, where: str, gate: Gate | None, repairs: Repairs) -> AlifConfig:
    """What network it is, from the tensors that are there and their shapes."""

    def shape(key: str) -> tuple[int, ...]:
        if key not in values:
            raise BadInputError(
                f"{where}: lacks {key}; it is no checkpoint of RLIPv2 with text (RLIP-ParSeD or -ParSeDA)"
            )
        return tuple(values[key].shape)

    def count(pattern: str) -> int:
        numbers = {int(found.group(1)) for key in values if (found := re.match(pattern, key))}
        return max(numbers, default=-1) + 1

    decoding: Decoding = next((name for name, key in _QUERIES.items() if key in values), "parsed")
    backbone = _backbone(values, where=where)
    plain = any(key.startswith("transformer.encoder.layers.") for key in values)
    encoder = "transformer.encoder." if plain else "transformer.ho_encoder."
    num_levels, width = shape("transformer.level_embed")
    num_layers, num_fusions = (
        count(re.escape(encoder) + r"layers\.(\d+)\."),
        count(re.escape(encoder) + r"VLFuse_layers\.(\d+)\."),
    )
    if not num_fusions or num_layers % num_fusions:
        raise BadInputError(
            f"{where}: has {num_layers} encoder layers and {num_fusions} fusions; expected as many layers a fusion"
        )
    feedforward, _ = shape(f"{encoder}layers.0.linear1.weight")
    fusion_width, language_width = shape(f"{encoder}VLFuse_layers.0.b_attn.attn.l_proj.weight")
    language_feedforward, _ = shape(f"{encoder}roberta_layers.0.intermediate.dense.weight")
    of_resnet_tagger = decoding == "pairs" and backbone.kind == "resnet50"
    anchored = decoding == "parseda"
    return AlifConfig(
        backbone=backbone,
        text=_text(shape, count),
        encoder=EncoderConfig(
            width=width,
            num_levels=num_levels,
            num_layers=num_layers,
            feedforward_width=feedforward,
            dropout=0.0 if anchored else 0.1,
            fusion_interval=num_layers // num_fusions,
            fusion_width=fusion_width,
            gate=gate or ("channel" if of_resnet_tagger else "scalar"),
            language_width=language_width,
            language_feedforward_width=language_feedforward,
        ),
        decoder=DecoderConfig(
            width=width,
            num_levels=num_levels,
            num_layers=count(r"transformer\.ho_decoder\.layers\.(\d+)\."),
            feedforward_width=shape("transformer.ho_decoder.layers.0.linear1.weight")[0],
            dropout=0.0 if anchored else 0.1,
        ),
        decoding=decoding,
        num_pairs=shape("refpoint_embed.weight" if anchored else "query_embed.weight")[0] // 2,
        fused_verb_content=any(key.startswith("transformer.verb_tgt_generator.") for key in values),
        learned_verb_position="transformer.verb_query_embed.weight" in values,
        repairs=repairs,
    )


def _backbone(values: Mapping[str, Tensor], *, where: str) -> BackboneConfig:
    if "backbone.0.body.layer4.2.conv3.weight" in values:
        return BackboneConfig(kind="resnet50")
    patches = values.get("backbone.0.body.patch_embed.proj.weight")
    widths = {96: "swin_t", 192: "swin_l"}
    if patches is None or patches.shape[0] not in widths:
        found = "neither a ResNet-50 nor a Swin" if patches is None else f"a Swin of width {patches.shape[0]}"
        raise BadInputError(f"{where}: its backbone is {found}; expected ResNet-50, Swin-T or Swin-L")
    kind: Any = widths[patches.shape[0]]
    return BackboneConfig(kind=kind)


def _text(shape: Any, count: Any) -> TextEncoderConfig:
    embeddings = f"{_TEXT}embeddings."
    vocab_size, width = shape(f"{embeddings}word_embeddings.weight")
    token_types, _ = shape(f"{embeddings}token_type_embeddings.weight")
    # BERT tells two sentences apart, RoBERTa does not.
    base = BERT_BASE if token_types == BERT_BASE.num_token_types else TextEncoderConfig()
    return replace(
        base,
        vocab_size=vocab_size,
        num_layers=count(re.escape(_TEXT) + r"encoder\.layer\.(\d+)\."),
        width=width,
        num_heads=width // 64,
        feedforward_width=shape(f"{_TEXT}encoder.layer.0.intermediate.dense.weight")[0],
        num_positions=shape(f"{embeddings}position_embeddings.weight")[0],
    )


def _check_second_names(values: Mapping[str, Tensor], *, where: str) -> None:
    """Box perceptrons are saved twice; if the two differ, the file was tampered with, or is of another code."""
    for key, tensor in values.items():
        found = re.fullmatch(r"transformer\.(ho|verb)_decoder\.((?:sub|obj)_bbox_embed)\.(\d+)\.(.+)", key)
        if found is None:
            continue
        decoder, name, number, rest = found.groups()
        first = f"{name}.{int(number) + (3 if decoder == 'verb' else 0)}.{rest}"
        if first in values and not torch.equal(values[first], tensor):
            raise BadInputError(f"{where}: {key} differs from {first}; both should name one tensor")


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
    return ", ".join(keys[:_LISTED]) + more
