"""Pairs of which nothing is known: to see a relation there is not wrong.

Published, a query without a labelled pair is to say "no objects" and to deny every predicate. Labels are incomplete,
pseudo-labels more so: a query may have found two regions whose relation nobody has judged.

Letters: B images; Q pair queries of an image; G regions of an image, different for each; R relation texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stages.alif.boxes import boxes_cxcywh_to_xyxy, pairwise_generalized_iou
from stages.alif.matcher import PairPredictions

_FITS = 0.5
"""GIoU with a region from which on a box is of this region; benchmarks take two boxes of IoU 0.5 for the same."""


@dataclass(frozen=True)
class UnknownPairs:
    """The regions of one image, and which of their pairs nobody has judged."""

    boxes_cxcywh: Tensor
    """(G, 4) between 0 and 1."""
    unknown: Tensor
    """(G, G) bool: whether the pair of this subject (row) and this object (column) is such a pair."""
    predicates: Tensor
    """(R,) bool: predicates that may hold of these pairs; all others are denied."""


def on_unknown_pairs(layer: PairPredictions, images: Sequence[UnknownPairs]) -> Tensor:
    """(B, Q) whether both boxes of a query fit the regions of an unknown pair. No gradient."""
    found = torch.zeros(layer.subject_logits.shape[:2], dtype=torch.bool, device=layer.subject_logits.device)
    with torch.no_grad():
        for row, image in enumerate(images):
            if not len(image.boxes_cxcywh):
                continue
            regions = boxes_cxcywh_to_xyxy(image.boxes_cxcywh.to(layer.subject_boxes_cxcywh))
            fits, places = [], []
            for boxes in (layer.subject_boxes_cxcywh[row], layer.object_boxes_cxcywh[row]):
                best = pairwise_generalized_iou(boxes_cxcywh_to_xyxy(boxes), regions).max(-1)
                fits.append(best.values >= _FITS)
                places.append(best.indices)
            found[row] = fits[0] & fits[1] & image.unknown[places[0], places[1]]
    return found
