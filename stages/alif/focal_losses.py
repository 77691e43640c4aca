"""Losses of predicates, of which few hold: what is easily told apart counts little."""

import torch
from torch import Tensor
from torch.nn import functional


def quality_focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    weights: Tensor | None = None,
    num_positives: Tensor | None = None,
    published: bool = False,
) -> Tensor:
    """() focal loss for targets between 0 and 1: |y - p|^2 BCE(p, y), summed, divided by the number of y > 0.

    Quality focal loss of Li et al., "Generalized Focal Loss", NeurIPS 2020, with beta 2; published `_soft_neg_loss`.

    Args:
        logits: (...) before the sigmoid that gives p.
        targets: (...) y.
        weights: (...) how much each entry counts; 0 leaves it out. By default all count 1.
        num_positives: () what to divide by, at least 1; by default the entries with y > 0 that are not left out.
        published: cut p to [1e-6, 1 - 1e-6], which caps the loss of an entry and ends its gradient there.
    """
    log_yes, log_no = _log_probabilities(logits, published=published)
    entries = (targets - log_yes.exp()).square() * -(targets * log_yes + (1 - targets) * log_no)
    return _sum_per_positive(entries, targets > 0, weights, num_positives)


def corner_focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    weights: Tensor | None = None,
    num_positives: Tensor | None = None,
    published: bool = False,
) -> Tensor:
    """() focal loss for targets 0 or 1, summed, divided by the number of ones.

    -(1 - p)^2 log p where y is 1, else -(1 - y)^4 p^2 log(1 - p): Law and Deng, "CornerNet", ECCV 2018, equation 1;
    published `_neg_loss`. Arguments as in `quality_focal_loss`.
    """
    log_yes, log_no = _log_probabilities(logits, published=published)
    positive = targets == 1
    if_positive = log_no.exp().square() * -log_yes
    if_negative = (1 - targets) ** 4 * log_yes.exp().square() * -log_no
    return _sum_per_positive(torch.where(positive, if_positive, if_negative), positive, weights, num_positives)


def _log_probabilities(logits: Tensor, *, published: bool) -> tuple[Tensor, Tensor]:
    """log p and log(1 - p) of p = sigmoid(logits), exact for every logit."""
    if published:
        probability = logits.sigmoid().clamp(1e-6, 1 - 1e-6)
        return probability.log(), (1 - probability).log()
    return functional.logsigmoid(logits), functional.logsigmoid(-logits)


def _sum_per_positive(
    entries: Tensor, positive: Tensor, weights: Tensor | None, num_positives: Tensor | None = None
) -> Tensor:
    """() weighted sum of the entries, divided by how many of those that count are positive, at least 1."""
    if weights is not None:
        entries, positive = entries * weights, positive & (weights > 0)
    num_positives = positive.sum() if num_positives is None else num_positives
    return entries.sum() / num_positives.clamp(min=1)
