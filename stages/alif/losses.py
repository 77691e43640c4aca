"""What RLIPv2 learns from: the losses of detecting pairs and of tagging given pairs.

Letters: B images; Q pair queries of an image; N labelled pairs of an image, different for each; K pairs of the batch
for which a query answers; O entity texts, of which the last is "no objects"; R relation texts; D width of a text.

Boxes are cxcywh (centre x, centre y, width, height), as parts of the image's width and height.

What each loss is divided by:

- entity: the mean over all queries, where one without a pair counts `no_object_weight`;
- boxes: the number of pairs in the batch, at least 1;
- predicate: the number of known entries in the batch whose target is above 0, each counted by its probability, at least
  1, as in CornerNet.

So an image without pairs leaves the box losses alone, adds its queries to the sum of the predicate loss but not to
what that is divided by, and joins the mean of the entity loss.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional

from stages.alif.boxes import boxes_cxcywh_to_xyxy, generalized_iou
from stages.alif.focal_losses import corner_focal_loss, quality_focal_loss
from stages.alif.matcher import (
    HungarianMatcher,
    Match,
    PairLabels,
    PairPredictions,
    PairTargets,
    box_gious,
    check_same_sizes,
    object_in_image,
)
from stages.alif.unknown_pairs import UnknownPairs, on_unknown_pairs

PredicateTarget = Literal["pseudo_quality", "quality", "hard"]
"""What a matched query is to answer for a predicate.

- `pseudo_quality`: (label + relational pseudo-label) x box quality; in pre-training.
- `quality`: label x box quality; in fine-tuning on HICO-DET and Open Images.
- `hard`: the label; in fine-tuning on V-COCO and in training of the R-Tagger.

A label is 1 here. Where it is not sure (`PairTargets.predicate_labels` below 1), the loss is the expected one: with
that probability the one of a label, else that of a predicate that does not hold. Published labels are all sure.

The box quality of a pair is (GIoU + 1) / 2 of the worse of its two boxes, between 0 and 1 (the relational quality
labels of RLIP, Yuan et al., NeurIPS 2022).
"""


def _alone(divisors: Tensor) -> Tensor:
    """What the losses of one process alone are divided by."""
    return divisors


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The choices and weights of the losses; the defaults are those of the published pre-training."""

    predicate_target: PredicateTarget = "pseudo_quality"
    entity_weight: float = 1.0
    predicate_weight: float = 1.0
    box_l1_weight: float = 2.5
    box_giou_weight: float = 1.0
    no_object_weight: float = 0.1
    """How much a query without a pair counts in the entity loss; most queries have none."""
    unknown_weight: float = 0.0
    """How much what nobody knows counts, as if it did not hold, beside what is known. 0: not at all. With
    `pseudo_quality` it holds as far as it is like what holds, as all that is not said."""
    published: bool = False
    """Repeat what is repaired here:

    - The box losses of the object are divided by a number 1e-4 too great, counted in this process alone, where those of
      the subject are divided by the mean of all processes.
    - Probabilities of predicates are cut to [1e-6, 1 - 1e-6], so a query that is surely wrong (logit beyond 13.8)
      learns nothing.
    - Pseudo-labels hand on their gradient, so the text encoder learns to move the targets.
    - The box quality of a pair whose object is not in the image falls below 0, for the reason told at
      `HungarianMatcher.published`; the published code stops there.
    - After an image of more pairs than queries, the box quality and pseudo-labels of the images that follow in the
      batch are those of other pairs.
    """

    def __post_init__(self) -> None:
        if self.predicate_target not in get_args(PredicateTarget):
            raise ValueError(
                f"predicate_target is {self.predicate_target!r}; give one of {', '.join(get_args(PredicateTarget))}"
            )
        for field in fields(self):
            if field.name.endswith("_weight") and not getattr(self, field.name) >= 0:
                raise ValueError(f"{field.name} is {getattr(self, field.name)}; give a number of at least 0")


@dataclass(frozen=True)
class LayerLosses:
    """The losses of one decoder layer, not yet weighted, and figures to watch; all of shape ()."""

    entity: Tensor
    """Cross-entropy of the subject's class plus that of the object's."""
    predicate: Tensor
    """`quality_focal_loss` or `corner_focal_loss`."""
    subject_box_l1: Tensor
    """Sum of the four absolute differences in cxcywh, mean over the pairs."""
    object_box_l1: Tensor
    """Likewise, mean over the pairs whose object is in the image."""
    subject_box_giou: Tensor
    """1 - GIoU, mean over the pairs."""
    object_box_giou: Tensor
    """Likewise, mean over the pairs whose object is in the image."""
    subject_error_percent: Tensor
    """Queries with a pair whose likeliest subject is wrong; 100 if none has a pair. No gradient, as in all below."""
    object_error_percent: Tensor
    """Likewise for the object."""
    cardinality_error: Tensor | None
    """How far the number of queries that see an object is from the number of pairs, mean over the images. None for the
    R-Tagger, whose slots without a pair mean nothing."""

    def total(self, config: LossConfig) -> Tensor:
        """() weighted sum of the losses, without the figures."""
        return (
            config.entity_weight * self.entity
            + config.predicate_weight * self.predicate
            + config.box_l1_weight * (self.subject_box_l1 + self.object_box_l1)
            + config.box_giou_weight * (self.subject_box_giou + self.object_box_giou)
        )


@dataclass(frozen=True)
class LossReport:
    """What a batch costs."""

    total: Tensor
    """() the weighted losses of all layers, added: call `backward` on it."""
    layers: tuple[LayerLosses, ...]
    """One for each decoder layer, same order."""
    matches: tuple[tuple[Match, ...], ...]
    """For each decoder layer and each image, which queries answered for which pairs."""

    def figures(self) -> dict[str, float]:
        """The loss of all layers, and its parts in the last layer, not weighted."""
        last = self.layers[-1]
        return {
            "loss": float(self.total.detach()),
            "predicate": float(last.predicate.detach()),
            "entity": float(last.entity.detach()),
            "box_l1": float((last.subject_box_l1 + last.object_box_l1).detach()),
            "box_giou": float((last.subject_box_giou + last.object_box_giou).detach()),
        }


@dataclass(frozen=True)
class BoxCounts:
    """How many boxes there are to compare, each ()."""

    pairs: Tensor
    objects: Tensor
    """Pairs whose object is in the image."""

    @classmethod
    def of(cls, targets: Sequence[PairTargets], device: torch.device | str = "cpu") -> "BoxCounts":
        """Counted over some images."""
        in_image = [object_in_image(target.object_boxes_cxcywh).sum() for target in targets]
        pairs = torch.tensor(sum(len(target) for target in targets), device=device)
        objects = torch.stack(in_image).sum() if in_image else torch.tensor(0)
        return cls(pairs, objects.to(device))

    def at_least_one(self) -> "BoxCounts":
        """What box losses are divided by."""
        return BoxCounts(self.pairs.clamp(min=1), self.objects.clamp(min=1))


@dataclass(frozen=True)
class TaggerCounts:
    """What the losses of the R-Tagger are divided by, each (), where they are above 0."""

    pairs: Tensor
    objects: Tensor
    """Pairs whose object is in the image."""
    subject_weight: Tensor
    """Of the classes of all subjects: `no_object_weight` for "no objects", else 1."""
    object_weight: Tensor
    positives: Tensor
    """Predicates that are known to hold."""

    @classmethod
    def of(cls, targets: Sequence[PairTargets], logits: Tensor, config: LossConfig) -> "TaggerCounts":
        """Counted over some images. Where several workers share a batch, give the sum over all of them to the loss.

        Args:
            targets: one for each image; none is fine.
            logits: (..., O) of any shape, also empty: the number of classes, the type and the device.
            config: of the loss.
        """
        if not targets:
            return cls(*logits.new_zeros(5))
        labels = [target.labels() for target in targets]
        weights = _class_weights(logits, config.no_object_weight)
        positive = [((each.predicate_labels == 1) & each.known_predicates).sum() for each in labels]
        return cls(
            pairs=torch.tensor(sum(len(target) for target in targets), device=logits.device),
            objects=torch.stack([object_in_image(each.object_boxes_cxcywh).sum() for each in labels]).sum(),
            subject_weight=weights[torch.cat([each.subject_labels for each in labels])].sum(),
            object_weight=weights[torch.cat([each.object_labels for each in labels])].sum(),
            positives=torch.stack(positive).sum(),
        )


class PairLoss:
    """The loss of detecting pairs: the queries of each layer are matched with the pairs, then compared with them.

    Published `SetCriterionHOI` with subject classes. Neither the order of the queries nor that of the pairs changes a
    loss.

    Usage::

        loss = PairLoss(LossConfig(), HungarianMatcher())
        similar = relational_pseudo_labels(relation_features, torch.cat([t.predicate_labels for t in targets]))
        loss(layers, targets, pseudo_labels=similar).total.backward()
    """

    def __init__(self, config: LossConfig, matcher: HungarianMatcher) -> None:
        """Take the choices, and the matcher that all layers share."""
        self.config = config
        self.matcher = matcher

    def __call__(
        self,
        layers: Sequence[PairPredictions],
        targets: Sequence[PairTargets],
        *,
        pseudo_labels: Tensor | None = None,
        unknown_pairs: Sequence[UnknownPairs] | None = None,
        share: Callable[[Tensor], Tensor] = _alone,
    ) -> LossReport:
        """Compare what the decoder layers say with the labels.

        Args:
            layers: one for each decoder layer, at least one, in the order of the decoder.
            targets: one for each image; none, or none with a pair, is fine.
            pseudo_labels: (N of all images together, R) from `relational_pseudo_labels`, pairs in the order of
                `targets`. Needed if `predicate_target` is `pseudo_quality`, refused if not.
            unknown_pairs: one for each image. A query without a labelled pair that is on an unknown one may be right in
                its classes and in the predicates that may hold there; see `LossConfig.unknown_weight`. None: all such
                queries are wrong, as published.
            share: gets what the losses are divided by, `num_divisors` numbers of this process, and returns what they
                are over all processes that share the batch, whose losses and gradients then add up.
        """
        check_same_sizes(layers[-1], targets)
        layers = [layer.at_least_float32() for layer in layers]
        labels = _one_after_another(targets, layers[-1])
        pseudo_labels = self._checked(pseudo_labels, labels)
        sizes = [len(target) for target in targets]

        # All layers are matched in one go: one wait for the device instead of one for each layer.
        with torch.no_grad():
            found = self.matcher(PairPredictions.joined(layers), list(targets) * len(layers))
        matches = tuple(tuple(found[i * len(sizes) : (i + 1) * len(sizes)]) for i in range(len(layers)))

        questions = []
        for layer, match in zip(layers, matches, strict=True):
            couples = _couples(match, sizes, layer)
            predicates, probability, known = self._predicates_asked(layer, labels, couples, match, pseudo_labels)
            unknown = _on_unknown(layer, couples, known, unknown_pairs)
            subjects = _for_every_query(layer.subject_logits, labels.subject_labels, couples)
            objects = _for_every_query(layer.object_logits, labels.object_labels, couples)
            questions.append(
                _Questions(
                    couples,
                    subjects,
                    objects,
                    predicates.new_ones(predicates.shape[:2]).masked_fill(unknown, self.config.unknown_weight),
                    predicates,
                    probability,
                    known,
                )
            )
        own = [each.divisors(layer, self.config) for each, layer in zip(questions, layers, strict=True)]
        counts = BoxCounts.of(targets, layers[-1].subject_logits.device)
        shared = share(torch.cat([torch.stack((counts.pairs, counts.objects)).to(own[0]), *own]))
        counts = BoxCounts(shared[0], shared[1])

        losses = []
        for layer, each, divisors in zip(layers, questions, shared[2:].view(-1, 3), strict=True):
            weight = self.config.no_object_weight
            focal_loss = corner_focal_loss if self.config.predicate_target == "hard" else quality_focal_loss
            losses.append(
                LayerLosses(
                    entity=entity_loss(
                        layer.subject_logits,
                        each.subjects,
                        no_object_weight=weight,
                        weights=each.class_weights,
                        total_weight=divisors[0],
                    )
                    + entity_loss(
                        layer.object_logits,
                        each.objects,
                        no_object_weight=weight,
                        weights=each.class_weights,
                        total_weight=divisors[1],
                    ),
                    predicate=focal_loss(
                        layer.predicate_logits,
                        each.predicates,
                        probability=each.probability,
                        weights=torch.ones_like(each.predicates).masked_fill(~each.known, self.config.unknown_weight),
                        num_positives=divisors[2],
                        published=self.config.published,
                    ),
                    **_box_losses(layer, labels, each.couples, counts.at_least_one(), published=self.config.published),
                    **_class_errors(layer, labels, each.couples),
                    cardinality_error=_cardinality_error(layer.object_logits, sizes),
                )
            )
        return _report(losses, matches, self.config)

    @staticmethod
    def num_divisors(num_layers: int) -> int:
        """How many numbers the processes share in one call; one without images adds so many zeros."""
        return 2 + 3 * num_layers

    def _checked(self, pseudo_labels: Tensor | None, labels: PairLabels) -> Tensor | None:
        if (pseudo_labels is not None) != (self.config.predicate_target == "pseudo_quality"):
            given = "not given" if pseudo_labels is None else "given"
            raise ValueError(
                f"predicate_target is {self.config.predicate_target!r} and pseudo_labels are {given}; they go with "
                "'pseudo_quality' and with no other"
            )
        if pseudo_labels is None:
            return None
        if pseudo_labels.shape != labels.predicate_labels.shape:
            raise ValueError(
                f"pseudo_labels have shape {tuple(pseudo_labels.shape)}, but the labels of all pairs have "
                f"{tuple(labels.predicate_labels.shape)}; give one row for each pair"
            )
        pseudo_labels = pseudo_labels.to(labels.predicate_labels.dtype)
        return pseudo_labels if self.config.published else pseudo_labels.detach()

    def _predicates_asked(
        self,
        layer: PairPredictions,
        labels: PairLabels,
        couples: "_Couples",
        match: Sequence[Match],
        pseudo_labels: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(B, Q, R) what each query is to answer if the labels are right, the probability of that, whether it is known.

        What only sounds like a label holds no more surely than the surest label of the pair.
        """
        matched_known = labels.known_predicates[couples.rows]
        holds = labels.predicate_labels[couples.rows].masked_fill(~matched_known, 0.0)
        matched = (holds > 0).to(holds)
        matched_probability = torch.where(holds > 0, holds, 1.0)
        if self.config.predicate_target != "hard":
            rows = couples.rows
            if self.config.published:  # the published code counts the matched pairs of an image as all its pairs
                rows = _couples(match, [len(each.pairs) for each in match], layer).rows
            if pseudo_labels is not None:
                matched = matched + pseudo_labels[rows]
                surest = holds.amax(-1, keepdim=True) if holds.shape[-1] else holds
                matched_probability = torch.where(holds > 0, holds, surest)
            matched = matched * self._box_quality(layer, labels, couples._replace(rows=rows))[:, None]

        # A query without a pair is to deny every predicate.
        places = couples.images, couples.queries
        targets = torch.zeros_like(layer.predicate_logits).index_put(places, matched)
        probability = torch.ones_like(targets).index_put(places, matched_probability)
        known = torch.ones_like(targets, dtype=torch.bool)
        known[places] = matched_known
        return targets, probability, known

    def _box_quality(self, layer: PairPredictions, labels: PairLabels, couples: "_Couples") -> Tensor:
        """(K,) how well both boxes fit. It is a target, so it has no gradient."""
        with torch.no_grad():
            queries = layer.at(couples.images, couples.queries)
            gious = box_gious(
                queries.subject_boxes_cxcywh,
                queries.object_boxes_cxcywh,
                labels.subject_boxes_cxcywh[couples.rows],
                labels.object_boxes_cxcywh[couples.rows],
                published=self.config.published,
            )
            quality = (torch.minimum(*gious) + 1) / 2
            # The GIoU of equal boxes may be a rounding error above 1. The published code stops there.
            return quality if self.config.published else quality.clamp(0, 1)


class TaggerLoss:
    """The loss of the R-Tagger, which is given its pairs: slot i answers for pair i, nothing is matched.

    Published `loss_verb_tagger`. Slots after the last pair of an image are not looked at; a pair without predicates is
    to be denied all of them.

    Usage::

        TaggerLoss(LossConfig(predicate_target="hard"))(layers, targets).total.backward()
    """

    def __init__(self, config: LossConfig) -> None:
        """Take the choices; the target of a predicate must be its label."""
        if config.predicate_target != "hard":
            raise ValueError(
                f"predicate_target is {config.predicate_target!r}; the R-Tagger is given its boxes, so give 'hard'"
            )
        self.config = config

    def __call__(
        self, layers: Sequence[PairPredictions], targets: Sequence[PairTargets], *, counts: TaggerCounts | None = None
    ) -> LossReport:
        """Compare what the decoder layers say about the given pairs with the labels.

        Args:
            layers: one for each decoder layer, at least one, in the order of the decoder; Q slots.
            targets: one for each image, at most Q pairs each, in the order in which they were given to the network.
            counts: what to divide by; by default counted over `targets`. With those of a batch that several workers
                share, their losses and gradients add up to those of one worker.
        """
        check_same_sizes(layers[-1], targets)
        layers = [layer.at_least_float32() for layer in layers]
        num_slots = layers[-1].subject_logits.shape[1]
        sizes = [len(target) for target in targets]
        if max(sizes, default=0) > num_slots:
            raise ValueError(f"an image has {max(sizes)} pairs, but there are {num_slots} slots; give it in parts")
        labels = _one_after_another(targets, layers[-1])
        counts = counts or TaggerCounts.of(targets, layers[-1].subject_logits, self.config)
        boxes = BoxCounts(counts.pairs, counts.objects).at_least_one()
        slots = torch.arange(num_slots, device=layers[-1].subject_logits.device)
        match = tuple(Match(slots[:size], slots[:size]) for size in sizes)
        couples = _couples(match, sizes, layers[-1])

        losses = []
        for layer in layers:
            given = layer.at(couples.images, couples.queries)
            weight = self.config.no_object_weight
            losses.append(
                LayerLosses(
                    entity=entity_loss(
                        given.subject_logits,
                        labels.subject_labels,
                        no_object_weight=weight,
                        total_weight=counts.subject_weight,
                    )
                    + entity_loss(
                        given.object_logits,
                        labels.object_labels,
                        no_object_weight=weight,
                        total_weight=counts.object_weight,
                    ),
                    predicate=corner_focal_loss(
                        given.predicate_logits,
                        labels.predicate_labels,
                        weights=labels.known_predicates.to(labels.predicate_labels),
                        num_positives=counts.positives,
                        published=self.config.published,
                    ),
                    **_box_losses(layer, labels, couples, boxes, published=self.config.published),
                    **_class_errors(layer, labels, couples, num_pairs=boxes.pairs),
                    cardinality_error=None,
                )
            )
        return _report(losses, (match,) * len(layers), self.config)


def entity_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    no_object_weight: float,
    weights: Tensor | None = None,
    total_weight: Tensor | None = None,
) -> Tensor:
    """() cross-entropy of (..., O) logits with (...) labels, weighted mean; 0 if there is none.

    The last class, "no objects", has the weight `no_object_weight`, all others 1 (`eos_coef` in DETR).

    Args:
        logits: (..., O)
        labels: (...)
        no_object_weight: of the last class.
        weights: (...) by which that of the class is multiplied; by default 1.
        total_weight: what to divide by; by default these products, added.
    """
    counted = _class_weights(logits, no_object_weight)[labels]
    if weights is not None:
        counted = counted * weights
    losses = functional.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="none")
    loss = (losses * counted.flatten()).sum()
    if total_weight is None:
        total_weight = counted.sum()
    return loss / total_weight.clamp(min=torch.finfo(logits.dtype).tiny)


def _class_weights(logits: Tensor, no_object_weight: float) -> Tensor:
    """(O,)"""
    weights = logits.new_ones(logits.shape[-1])
    weights[-1] = no_object_weight
    return weights


class _Couples(NamedTuple):
    """The K pairs of the batch that have a query; all are (K,) int64."""

    images: Tensor
    queries: Tensor
    rows: Tensor
    """Number of the pair, counted through the whole batch."""


class _Questions(NamedTuple):
    """What every query of a decoder layer is to answer."""

    couples: _Couples
    subjects: Tensor
    """(B, Q) class."""
    objects: Tensor
    """(B, Q) likewise."""
    class_weights: Tensor
    """(B, Q) how much both count: 1, or `LossConfig.unknown_weight` where it is not known that there is no pair."""
    predicates: Tensor
    """(B, Q, R) between 0 and 1, if the label is right."""
    probability: Tensor
    """(B, Q, R) that it is; where there is no label, 1."""
    known: Tensor
    """(B, Q, R) bool."""

    def divisors(self, layer: PairPredictions, config: LossConfig) -> Tensor:
        """(3,) weights of all subjects' classes, of all objects' classes, and predicates that hold."""
        weights = _class_weights(layer.subject_logits, config.no_object_weight)
        positive = (self.predicates > 0) & self.known
        sums = [(weights[classes] * self.class_weights).sum() for classes in (self.subjects, self.objects)]
        return torch.stack((*sums, (self.probability * positive).sum()))


def _couples(matches: Sequence[Match], sizes: Sequence[int], like: PairPredictions) -> _Couples:
    """Matches of all images as one list.

    Args:
        matches: one for each image.
        sizes: how many pairs each image has.
        like: names the device.
    """
    none = torch.zeros(0, dtype=torch.int64, device=like.subject_logits.device)  # torch.cat wants at least one
    images, queries, rows, first = [none], [none], [none], 0
    for image, (match, size) in enumerate(zip(matches, sizes, strict=True)):
        images.append(torch.full_like(match.queries, image))
        queries.append(match.queries)
        rows.append(match.pairs + first)
        first += size
    return _Couples(torch.cat(images), torch.cat(queries), torch.cat(rows))


def _one_after_another(targets: Sequence[PairTargets], like: PairPredictions) -> PairLabels:
    """The labels of all images as one list of pairs, in the type of the predictions."""
    if not targets:
        logits, boxes = like.subject_logits, like.subject_boxes_cxcywh
        classes = logits.new_zeros(0, dtype=torch.int64)
        predicates = logits.new_zeros(0, like.predicate_logits.shape[-1])
        return PairLabels(classes, classes, predicates, predicates.bool(), boxes.new_zeros(0, 4), boxes.new_zeros(0, 4))
    each = zip(*(target.labels() for target in targets), strict=True)
    return PairLabels(*(torch.cat(list(same)) for same in each)).floats_as(like.subject_logits.dtype)


def _on_unknown(
    layer: PairPredictions, couples: _Couples, known: Tensor, images: Sequence[UnknownPairs] | None
) -> Tensor:
    """(B, Q) queries without a pair that are on an unknown one; predicates that may hold there become unknown."""
    if images is None:
        return known.new_zeros(known.shape[:2])
    unknown = on_unknown_pairs(layer, images)
    unknown[couples.images, couples.queries] = False
    may_hold = torch.stack([image.predicates for image in images]) if images else known[:, 0]
    known &= ~(unknown[:, :, None] & may_hold[:, None, :])
    return unknown


def _for_every_query(logits: Tensor, labels: Tensor, couples: _Couples) -> Tensor:
    """(B, Q) the label of the pair for which a query answers, else "no objects"."""
    classes = torch.full(logits.shape[:2], logits.shape[-1] - 1, dtype=torch.int64, device=logits.device)
    return classes.index_put((couples.images, couples.queries), labels[couples.rows])


def _box_losses(
    layer: PairPredictions, labels: PairLabels, couples: _Couples, counts: BoxCounts, *, published: bool
) -> dict[str, Tensor]:
    """The four box losses of `LayerLosses`, by name; 0 if no query has a pair."""
    queries = layer.at(couples.images, couples.queries)
    subjects = labels.subject_boxes_cxcywh[couples.rows]
    objects = labels.object_boxes_cxcywh[couples.rows]
    in_image = object_in_image(objects)
    num_objects = in_image.sum() + 1e-4 if published else counts.objects
    subject_l1, subject_giou = _box_distances(queries.subject_boxes_cxcywh, subjects)
    object_l1, object_giou = _box_distances(queries.object_boxes_cxcywh, objects)
    return {
        "subject_box_l1": subject_l1.sum() / counts.pairs,
        "object_box_l1": (object_l1 * in_image).sum() / num_objects,
        "subject_box_giou": subject_giou.sum() / counts.pairs,
        "object_box_giou": (object_giou * in_image).sum() / num_objects,
    }


def _box_distances(predicted_cxcywh: Tensor, boxes_cxcywh: Tensor) -> tuple[Tensor, Tensor]:
    """(K,) summed absolute difference and (K,) 1 - GIoU of (K, 4) boxes with (K, 4) boxes."""
    overlap = generalized_iou(boxes_cxcywh_to_xyxy(predicted_cxcywh), boxes_cxcywh_to_xyxy(boxes_cxcywh))
    return (predicted_cxcywh - boxes_cxcywh).abs().sum(-1), 1 - overlap


def _class_errors(
    layer: PairPredictions, labels: PairLabels, couples: _Couples, *, num_pairs: Tensor | None = None
) -> dict[str, Tensor]:
    """The two figures of `LayerLosses` about classes, by name; of `num_pairs` if that is more than are here."""
    queries = layer.at(couples.images, couples.queries)
    right_subjects = queries.subject_logits.argmax(-1) == labels.subject_labels[couples.rows]
    right_objects = queries.object_logits.argmax(-1) == labels.object_labels[couples.rows]
    count = max(len(couples.rows), 1) if num_pairs is None else num_pairs
    return {
        "subject_error_percent": 100 - 100 * right_subjects.sum() / count,
        "object_error_percent": 100 - 100 * right_objects.sum() / count,
    }


def _cardinality_error(object_logits: Tensor, sizes: Sequence[int]) -> Tensor:
    """() from (B, Q, O) logits; 0 without images."""
    num_found = (object_logits.argmax(-1) != object_logits.shape[-1] - 1).sum(-1)
    num_pairs = torch.tensor(sizes, dtype=num_found.dtype, device=num_found.device)
    return (num_found - num_pairs).abs().sum() / max(len(sizes), 1)


def _report(losses: Sequence[LayerLosses], matches: tuple[tuple[Match, ...], ...], config: LossConfig) -> LossReport:
    total = torch.stack([each.total(config) for each in losses]).sum()
    return LossReport(total, tuple(losses), matches)
