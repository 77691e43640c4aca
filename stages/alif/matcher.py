"""Which query answers for which labelled pair: the Hungarian matching of RLIPv2.

Letters: B images; Q pair queries of an image; N labelled pairs of an image, different for each; M the most pairs that
an image of the batch has; O entity texts, of which the last is "no objects"; R relation texts.

Boxes are cxcywh (centre x, centre y, width, height), as parts of the image's width and height.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from stages.alif.boxes import boxes_cxcywh_to_xyxy, generalized_iou

if TYPE_CHECKING:
    from stages.alif.heads import Decoded


@dataclass(frozen=True)
class PairPredictions:
    """What one decoder layer says about the pair queries of a batch."""

    subject_logits: Tensor
    """(B, Q, O) before the softmax."""
    object_logits: Tensor
    """(B, Q, O) before the softmax."""
    predicate_logits: Tensor
    """(B, Q, R) before the sigmoid: several predicates may hold at once."""
    subject_boxes_cxcywh: Tensor
    """(B, Q, 4) between 0 and 1."""
    object_boxes_cxcywh: Tensor
    """(B, Q, 4) between 0 and 1."""

    def tensors(self) -> tuple[Tensor, ...]:
        """The five tensors in the order of the fields."""
        return (
            self.subject_logits,
            self.object_logits,
            self.predicate_logits,
            self.subject_boxes_cxcywh,
            self.object_boxes_cxcywh,
        )

    def at_least_float32(self) -> "PairPredictions":
        """The same in float32, or in float64 if they are: half precision is too coarse for sums over all queries."""
        return PairPredictions(*(x if x.dtype == torch.float64 else x.float() for x in self.tensors()))

    def at(self, images: Tensor, queries: Tensor) -> "PairPredictions":
        """The K queries named by (K,) image numbers and (K,) query numbers; every shape begins with K then."""
        return PairPredictions(*(x[images, queries] for x in self.tensors()))

    @staticmethod
    def of_layers(decoded: "Decoded") -> "list[PairPredictions]":
        """What each decoder layer says, in the order of the decoder."""
        return [
            PairPredictions(*layer)
            for layer in zip(
                decoded.subject_logits,
                decoded.object_logits,
                decoded.relation_logits,
                decoded.subject_boxes,
                decoded.object_boxes,
                strict=True,
            )
        ]

    @staticmethod
    def joined(layers: "Sequence[PairPredictions]") -> "PairPredictions":
        """Several layers as one batch: first all images of the first layer, then those of the second, and so on."""
        return PairPredictions(*(torch.cat(same) for same in zip(*(layer.tensors() for layer in layers), strict=True)))


@dataclass(frozen=True)
class PairTargets:
    """The labelled pairs of one image, which may be none. A pair is listed once, with all its predicates."""

    subject_labels: Tensor
    """(N,) int64, position in the list of entity texts."""
    object_labels: Tensor
    """(N,) int64, position in the list of entity texts."""
    predicate_labels: Tensor
    """(N, R) float: the probability that the predicate holds; 1 or 0 where that is sure."""
    subject_boxes_cxcywh: Tensor
    """(N, 4) between 0 and 1."""
    object_boxes_cxcywh: Tensor
    """(N, 4) between 0 and 1; a row of zeros says that the object is not in the image, as V-COCO has it."""
    unknown_predicates: Tensor | None = None
    """(N, R) bool: True where nobody knows whether the predicate holds. Such an entry counts in no cost, and in a loss
    as little as `LossConfig.unknown_weight` says; its label is not read. None means that all are known, as published.
    """

    def __post_init__(self) -> None:
        num_pairs, num_relation_texts = self.predicate_labels.shape
        unknown = self.unknown_predicates
        wanted = {
            "subject_labels": ((num_pairs,), self.subject_labels),
            "object_labels": ((num_pairs,), self.object_labels),
            "subject_boxes_cxcywh": ((num_pairs, 4), self.subject_boxes_cxcywh),
            "object_boxes_cxcywh": ((num_pairs, 4), self.object_boxes_cxcywh),
            "unknown_predicates": (
                (num_pairs, num_relation_texts),
                self.predicate_labels if unknown is None else unknown,
            ),
        }
        for name, (shape, tensor) in wanted.items():
            if tuple(tensor.shape) != shape:
                raise ValueError(
                    f"{name} has shape {tuple(tensor.shape)}, but predicate_labels of shape "
                    f"{(num_pairs, num_relation_texts)} ask for {shape}; give one row for each pair"
                )

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.subject_labels)

    def labels(self) -> "PairLabels":
        """The same as plain tensors, with the mask turned round: which entries are known."""
        unknown = self.unknown_predicates
        return PairLabels(
            self.subject_labels,
            self.object_labels,
            self.predicate_labels,
            torch.ones_like(self.predicate_labels, dtype=torch.bool) if unknown is None else ~unknown,
            self.subject_boxes_cxcywh,
            self.object_boxes_cxcywh,
        )


class PairLabels(NamedTuple):
    """The tensors of `PairTargets` of many images, padded or one after the other; `...` stands for the pairs."""

    subject_labels: Tensor
    """(...,)"""
    object_labels: Tensor
    """(...,)"""
    predicate_labels: Tensor
    """(..., R)"""
    known_predicates: Tensor
    """(..., R) bool"""
    subject_boxes_cxcywh: Tensor
    """(..., 4)"""
    object_boxes_cxcywh: Tensor
    """(..., 4)"""

    def floats_as(self, dtype: torch.dtype) -> "PairLabels":
        """The same with predicates and boxes in the type of the predictions."""
        return self._replace(
            predicate_labels=self.predicate_labels.to(dtype),
            subject_boxes_cxcywh=self.subject_boxes_cxcywh.to(dtype),
            object_boxes_cxcywh=self.object_boxes_cxcywh.to(dtype),
        )


class Match(NamedTuple):
    """Which queries of an image answer for which of its pairs, min(Q, N) of them; both empty if it has no pair."""

    queries: Tensor
    """int64, ascending."""
    pairs: Tensor
    """int64, as long; the pair of the query in the same place."""


@dataclass(frozen=True)
class PairCosts:
    """The terms of the matching cost, each (B, Q, M) and not yet weighted; less is better.

    In an image of N < M pairs the columns from N on mean nothing.
    """

    subject_class: Tensor
    """-p(label of the subject), between -1 and 0."""
    object_class: Tensor
    """-p(label of the object), between -1 and 0."""
    predicate: Tensor
    """Minus the mean of two means: p over the pair's predicates, 1 - p over all others. Between -1 and 0."""
    subject_box_l1: Tensor
    """Sum of the four absolute differences in cxcywh."""
    object_box_l1: Tensor
    """Likewise; 0 if the object is not in the image."""
    subject_box_giou: Tensor
    """-GIoU, between -1 and 1."""
    object_box_giou: Tensor
    """-GIoU, between -1 and 1; that of the subject if the object is not in the image."""

    @property
    def box_l1(self) -> Tensor:
        """(B, Q, M) of the worse of the two boxes."""
        return torch.maximum(self.subject_box_l1, self.object_box_l1)

    @property
    def box_giou(self) -> Tensor:
        """(B, Q, M) of the worse of the two boxes."""
        return torch.maximum(self.subject_box_giou, self.object_box_giou)


@dataclass(frozen=True, kw_only=True)
class HungarianMatcher:
    """Gives every labelled pair the query that fits it best, one to one, at the least total cost.

    The cost of a query for a pair is the weighted sum of `PairCosts`, of L1 and GIoU the worse of the two boxes
    (published `HungarianMatcherHOI` with subject classes; the weights are those of all published runs).

    Usage::

        matches = HungarianMatcher()(predictions, targets)
        matches[0].queries, matches[0].pairs  # of the first image
    """

    entity_class: float = 1.0
    """Weight of `subject_class` and of `object_class`."""
    predicate: float = 1.0
    box_l1: float = 2.5
    box_giou: float = 1.0
    published: bool = False
    """Repeat a fault of the published code: the GIoU of an object that is not in the image is taken with an empty box
    in the image's corner and added to that of the subject, so the result depends on where a box is predicted that
    nothing can be said about, and leaves the range of a GIoU. No difference where every object has a box."""

    def __call__(self, predictions: PairPredictions, targets: Sequence[PairTargets]) -> list[Match]:
        """Match the queries of each image with its pairs, for the losses.

        Returns:
            One match per image, same order, on the device of the predictions. The same input gives the same result.
            Another order of the queries, or of the pairs, gives the same couples, unless two sets of couples cost
            exactly the same.

        Raises:
            ValueError: if a cost is infinite or not a number.
        """
        from scipy.optimize import linear_sum_assignment

        check_same_sizes(predictions, targets)
        if not targets:
            return []
        costs = self.total(self.costs(predictions, targets)).cpu()  # one copy for the batch; the solver needs numpy
        chosen: list[Tensor] = []
        for image, target in enumerate(targets):
            cost = costs[image, :, : len(target)]
            if not bool(torch.isfinite(cost).all()):
                raise ValueError(
                    f"the matching cost of image {image} of the batch is not finite: a logit or a box, predicted or "
                    "labelled, is infinite or not a number"
                )
            queries, pairs = linear_sum_assignment(cost.numpy())
            chosen += [torch.as_tensor(queries, dtype=torch.int64), torch.as_tensor(pairs, dtype=torch.int64)]
        parts = torch.cat(chosen).to(predictions.subject_logits.device).split([len(part) for part in chosen])
        return [Match(queries, pairs) for queries, pairs in zip(parts[::2], parts[1::2], strict=True)]

    def total(self, costs: PairCosts) -> Tensor:
        """(B, Q, M) weighted sum of the terms."""
        return (
            self.entity_class * (costs.subject_class + costs.object_class)
            + self.predicate * costs.predicate
            + self.box_l1 * costs.box_l1
            + self.box_giou * costs.box_giou
        )

    def costs(self, predictions: PairPredictions, targets: Sequence[PairTargets]) -> PairCosts:
        """Every term of every query for every pair of the same image, without gradient; at least one image."""
        with torch.no_grad(), torch.autocast(predictions.subject_logits.device.type, enabled=False):
            predicted = predictions.at_least_float32()
            labels = _padded(targets, predicted.subject_logits.dtype)

            # Classes: the probability of the label, for each query.
            subject_class = -_probability_of(predicted.subject_logits, labels.subject_labels)
            object_class = -_probability_of(predicted.object_logits, labels.object_labels)

            # Predicates: mean over those that hold and mean over those that do not, so that a pair with many
            # predicates is worth no more than a pair with one.
            probability = predicted.predicate_logits.sigmoid()
            right = labels.predicate_labels * labels.known_predicates
            wrong = (1 - labels.predicate_labels) * labels.known_predicates
            predicate = -(_mean_over(probability, right) + _mean_over(1 - probability, wrong)) / 2

            # Boxes.
            in_image = object_in_image(labels.object_boxes_cxcywh)[:, None, :]
            subject_l1 = torch.cdist(predicted.subject_boxes_cxcywh, labels.subject_boxes_cxcywh, p=1)
            object_l1 = torch.cdist(predicted.object_boxes_cxcywh, labels.object_boxes_cxcywh, p=1) * in_image
            subject_giou, object_giou = box_gious(
                predicted.subject_boxes_cxcywh[:, :, None, :],
                predicted.object_boxes_cxcywh[:, :, None, :],
                labels.subject_boxes_cxcywh[:, None, :, :],
                labels.object_boxes_cxcywh[:, None, :, :],
                published=self.published,
            )
        return PairCosts(subject_class, object_class, predicate, subject_l1, object_l1, -subject_giou, -object_giou)


def object_in_image(object_boxes_cxcywh: Tensor) -> Tensor:
    """(...,) bool: whether (..., 4) labelled boxes are boxes; a row of zeros says that the object is not to be seen."""
    return (object_boxes_cxcywh != 0).any(-1)


def box_gious(
    predicted_subjects_cxcywh: Tensor,
    predicted_objects_cxcywh: Tensor,
    subjects_cxcywh: Tensor,
    objects_cxcywh: Tensor,
    *,
    published: bool = False,
) -> tuple[Tensor, Tensor]:
    """GIoU of the predicted subjects and objects with the labelled ones, element by element.

    Args:
        predicted_subjects_cxcywh: (..., 4); leading dimensions of all four are broadcast.
        predicted_objects_cxcywh: (..., 4).
        subjects_cxcywh: (..., 4), as labelled.
        objects_cxcywh: (..., 4), as labelled; zeros if the object is not in the image. The GIoU of the subject then
            stands for that of the object.
        published: repeat the fault told at `HungarianMatcher.published`.

    Returns:
        (...,) of the subjects and (...,) of the objects, between -1 and 1.
    """
    of_subjects = generalized_iou(
        boxes_cxcywh_to_xyxy(predicted_subjects_cxcywh), boxes_cxcywh_to_xyxy(subjects_cxcywh)
    )
    of_objects = generalized_iou(boxes_cxcywh_to_xyxy(predicted_objects_cxcywh), boxes_cxcywh_to_xyxy(objects_cxcywh))
    in_image = object_in_image(objects_cxcywh)
    if published:
        return of_subjects, of_objects + of_subjects * ~in_image
    return of_subjects, torch.where(in_image, of_objects, of_subjects)


def check_same_sizes(predictions: PairPredictions, targets: Sequence[PairTargets]) -> None:
    """Refuse predictions and labels that are not of the same images and the same relation texts."""
    num_images, _, num_relation_texts = predictions.predicate_logits.shape
    if len(targets) != num_images:
        raise ValueError(f"{len(targets)} images are labelled, but {num_images} predicted; give targets for each image")
    for image, target in enumerate(targets):
        if target.predicate_labels.shape[1] != num_relation_texts:
            raise ValueError(
                f"the labels of image {image} of the batch are over {target.predicate_labels.shape[1]} relation texts, "
                f"the predictions over {num_relation_texts}; all images of a batch share one list of texts"
            )


def _padded(targets: Sequence[PairTargets], dtype: torch.dtype) -> PairLabels:
    """The labels of all images one above the other: the first dimension N becomes (B, M), filled up with zeros."""
    each = zip(*(target.labels() for target in targets), strict=True)
    return PairLabels(*(pad_sequence(list(same), batch_first=True) for same in each)).floats_as(dtype)


def _probability_of(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, Q, M) softmax over (B, Q, O) logits, at (B, M) labels."""
    return logits.softmax(-1).gather(-1, labels[:, None, :].expand(-1, logits.shape[1], -1))


def _mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """(B, Q, M) mean of (B, Q, R) values over the entries that (B, M, R) marks with 1; 0 if it marks none."""
    return values @ chosen.mT / (chosen.sum(-1) + 1e-4)[:, None, :]  # 1e-4 as published, against division by 0
