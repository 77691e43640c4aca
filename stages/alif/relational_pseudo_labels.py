"""Predicates that probably hold, too, as their texts mean much the same as that of a labelled one."""

import torch
from torch import Tensor


def relational_pseudo_labels(
    text_features: Tensor, predicate_labels: Tensor, *, threshold: float = 0.3, published: bool = False
) -> Tensor:
    """How far other predicates hold too, since their text is close to that of a labelled one; for pre-training.

    The similarity of text r to text g is (greatest distance of any text to g) - (distance of r to g), Euclidean. It is
    added up over the labelled predicates g of a pair and divided by the pair's greatest sum. What is labelled, or not
    above `threshold`, becomes 0. (Relational pseudo-labels of RLIP, Yuan et al., NeurIPS 2022; published in
    `RLIP_ParSeDA.forward`, mode "online", and in `RLIP_ParSe.forward`.)

    Args:
        text_features: (R, D) of the relation texts, as the text encoder gives them, before fusion with the image.
        predicate_labels: (N, R), 1 where a predicate is labelled, else 0.
        threshold: similarity below which, or at which, nothing is assumed.
        published: hand on the gradient to `text_features`, which lets the text encoder move the targets, and let a
            pair without predicates become not-a-number, where 0 is right.

    Returns:
        (N, R) between 0 and 1. Another order of the texts gives another order of the columns, and no more.
    """
    with torch.autocast(text_features.device.type, enabled=False), torch.set_grad_enabled(published):
        features = text_features if text_features.dtype == torch.float64 else text_features.float()
        distance = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
        labels = predicate_labels.to(distance.dtype)
        if not distance.numel():  # without texts there is no greatest distance
            return torch.zeros_like(labels)
        similarity = distance.amax(-1, keepdim=True) - distance
        summed = labels @ similarity
        greatest = summed.amax(-1, keepdim=True)
        share = summed / (greatest if published else torch.where(greatest > 0, greatest, 1.0))
        share = share.masked_fill(labels.bool(), 0.0)
        return share * (share > threshold)
