"""The Relation Tagger's question: given an image, pairs of its boxes and texts, how well does each text fit each pair?

RLIPv2's R-Tagger (`models/verb_tagger_helper.py`): ParSeD whose queries are pairs of known boxes and classes. The image
is encoded once with all texts; then pairs are decoded in groups, which see one another within a group.

Shape letters: B images, P pairs of a group, O object texts with "no objects", R relation texts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from stages.alif.heads import Decoded
from stages.alif.model import AlifModel, Encoded
from stages.alif.queries import PairQueries


@dataclass(frozen=True)
class PairGroup:
    """Pairs of boxes of each image, padded to the same number."""

    subject_boxes: Tensor
    """(B, P, 4) cx, cy, w, h as fractions of the image."""
    object_boxes: Tensor
    """(B, P, 4)"""
    subject_classes: Tensor
    """(B, P) int64, which of the O object texts names the subject; any on padding."""
    object_classes: Tensor
    """(B, P) int64"""
    padding: Tensor
    """(B, P) bool, true where there is no pair."""


def decode_pairs(
    model: AlifModel, encoded: Encoded, group: PairGroup, *, num_objects: int, num_relations: int
) -> Decoded:
    """What the tagger says of each pair; `relation_logits[-1].sigmoid()` (B, P, R) are the scores.

    Args:
        model: built with `decoding="pairs"`.
        encoded: images with O object texts, then R relation texts. One image may be asked about in several groups:
            `repeated` gives it a row for each, without encoding it again.
    """
    assert isinstance(model.decoder.queries, PairQueries), "the network does not take pairs; build it as a tagger"
    queries = model.decoder.queries(
        group.subject_boxes,
        group.object_boxes,
        group.subject_classes,
        group.object_classes,
        padding=group.padding,
        class_features=encoded.text_states[-1, :num_objects].transpose(0, 1),
    )
    return model.decode(encoded, queries, num_objects=num_objects, num_relations=num_relations)


def repeated(encoded: Encoded, times: Tensor) -> Encoded:
    """Row i of what was encoded, `times[i]` times, in order. What the decoder sees of an image is computed once.

    Args:
        times: (B,) int64.
    """
    rows = torch.arange(len(times), device=times.device) if encoded.memory_rows is None else encoded.memory_rows
    return Encoded(
        memory=encoded.memory,
        padding=encoded.padding,
        shapes=encoded.shapes,
        valid_ratios=torch.repeat_interleave(encoded.valid_ratios, times, dim=0),
        text_states=torch.repeat_interleave(encoded.text_states, times, dim=2),
        memory_rows=torch.repeat_interleave(rows, times),
    )
