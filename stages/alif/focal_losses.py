"""Losses of predicates, of which few hold: what is easily told apart counts little."""

import torch
from torch import Tensor
from torch.nn import functional


def quality_focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    probability: Tensor | None = None,
    weights: Tensor | None = None,
    num_positives: Tensor | None = None,
    published: bool = False,
) -> Tensor:
    """() focal loss for targets between 0 and 1: |y - p|^2 BCE(p, y), summed, divided by the number of y > 0.

    Quality focal loss of Li et al., "Generalized Focal Loss", NeurIPS 2020, with beta 2; published `_soft_neg_loss`.

    Args:
        logits: (...) before the sigmoid that gives p.
        targets: (...) y.
        probability: (...) that y is right, else it is 0: the loss that is expected is taken. By default all are 1.
            A lower y instead would be learned far more slowly, as the square of the distance from p to y counts.
        weights: (...) how much each entry counts; 0 leaves it out. By default all count 1.
        num_positives: () what to divide by, at least 1; by default the entries with y > 0 that are not left out, each
            counted by its probability.
        published: cut p to [1e-6, 1 - 1e-6], which caps the loss of an entry and ends its gradient there.
    """
    log_yes, log_no = _log_probabilities(logits, published=published)
    found = log_yes.exp()
    right = (targets - found).square() * -(targets * log_yes + (1 - targets) * log_no)
    wrong = found.square() * -log_no
    return _expected_per_positive(
        right, wrong, targets > 0, probability=probability, weights=weights, num_positives=num_positives
    )


def corner_focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    probability: Tensor | None = None,
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
    right = log_no.exp().square() * -log_yes
    wrong = log_yes.exp().square() * -log_no
    entries = torch.where(positive, right, (1 - targets) ** 4 * wrong)
    return _expected_per_positive(
        entries, wrong, positive, probability=probability, weights=weights, num_positives=num_positives
    )


def _log_probabilities(logits: Tensor, *, published: bool) -> tuple[Tensor, Tensor]:
    """log p and log(1 - p) of p = sigmoid(logits), exact for every logit."""
    if published:
        probability = logits.sigmoid().clamp(1e-6, 1 - 1e-6)
        return probability.log(), (1 - probability).log()
    return functional.logsigmoid(logits), functional.logsigmoid(-logits)


def _expected_per_positive(
    right: Tensor,
    wrong: Tensor,
    positive: Tensor,
    *,
    probability: Tensor | None,
    weights: Tensor | None,
    num_positives: Tensor | None,
) -> Tensor:
    """() weighted sum of what entries cost, divided by how many of those that count are positive, at least 1.

    Args:
        right: (...) what an entry costs if its target is right.
        wrong: (...) what it costs if it is 0.
        positive: (...) bool
        probability: see `quality_focal_loss`, as the others.
        weights: likewise.
        num_positives: likewise.
    """
    counted = positive.to(right)
    if probability is not None:
        counted = counted * probability
        right = probability * right + (1 - probability) * wrong
    if weights is not None:
        right, counted = right * weights, counted * (weights > 0)
    num_positives = counted.sum() if num_positives is None else num_positives
    return right.sum() / num_positives.clamp(min=1)
