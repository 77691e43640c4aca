"""The losses agree with the published ones (fixture F7), relational pseudo-labels too (F7, F5); laws of both."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from parity_made import difference, fixtures, one_file, tensors
from test_matcher import LAYERS, made, pairs_reordered, predictions_from, queries_reordered, targets_from
from torch import Tensor

from stages.alif.focal_losses import corner_focal_loss, quality_focal_loss
from stages.alif.losses import (
    LayerLosses,
    LossConfig,
    LossReport,
    PairLoss,
    TaggerLoss,
    entity_loss,
)
from stages.alif.matcher import HungarianMatcher, PairPredictions, PairTargets
from stages.alif.relational_pseudo_labels import relational_pseudo_labels
from stages.alif.unknown_pairs import UnknownPairs

PUBLISHED_NAMES = {
    "loss_obj_ce": "entity",
    "loss_verb_ce": "predicate",
    "loss_sub_bbox": "subject_box_l1",
    "loss_obj_bbox": "object_box_l1",
    "loss_sub_giou": "subject_box_giou",
    "loss_obj_giou": "object_box_giou",
    "sub_class_error": "subject_error_percent",
    "obj_class_error": "object_error_percent",
    "obj_cardinality_error": "cardinality_error",
}
LOSSES = ("entity", "predicate", "subject_box_l1", "object_box_l1", "subject_box_giou", "object_box_giou")


def all_pairs(targets: Sequence[PairTargets]) -> Tensor:
    none = torch.zeros(0, 4) if not targets else targets[0].predicate_labels[:0]
    return torch.cat([none, *(target.predicate_labels for target in targets)])


def similar(targets: Sequence[PairTargets], *, seed: int = 5) -> Tensor:
    features = torch.randn(4, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return relational_pseudo_labels(features, all_pairs(targets))


def pair_loss(
    layers: Sequence[PairPredictions],
    targets: Sequence[PairTargets],
    *,
    predicate_target: Any = "pseudo_quality",
    published: bool = False,
    unknown_weight: float = 0.0,
    **choices: Any,
) -> LossReport:
    """With pseudo-labels of made features, if wanted."""
    if predicate_target == "pseudo_quality":
        choices.setdefault("pseudo_labels", similar(targets))
    config = LossConfig(predicate_target=predicate_target, published=published, unknown_weight=unknown_weight)
    return PairLoss(config, HungarianMatcher(published=published))(layers, targets, **choices)


def values(losses: LayerLosses) -> dict[str, float]:
    return {
        name: getattr(losses, name).item()
        for name in (*LOSSES, "cardinality_error")
        if getattr(losses, name) is not None
    }


def report_of_case(
    name: str, case: dict[str, Any], given: dict[str, Tensor], dtype: torch.dtype, published: bool
) -> LossReport:
    """What our losses say to a case of the fixture, layers in the order aux0, aux1, final."""
    layers = [predictions_from(given, prefix, dtype) for prefix in LAYERS.values()]
    targets = targets_from(given)
    if "without any pair" in name:
        targets = [pairs_reordered(target, torch.arange(0)) for target in targets]
    flags, weights = case["flags"].split(), case["weights"]
    quality = "pseudo_quality" if "--pseudo_verb" in flags else "quality"
    config = LossConfig(
        predicate_target=quality if "--giou_verb_label" in flags else "hard",
        entity_weight=weights["loss_obj_ce"],
        predicate_weight=weights["loss_verb_ce"],
        box_l1_weight=weights["loss_sub_bbox"],
        box_giou_weight=weights["loss_sub_giou"],
        no_object_weight=case["eos_coef"],
        published=published,
    )
    if "--verb_tagger" in flags:
        return TaggerLoss(config)(layers, targets)
    similar = given["rpl.target_verb_sim"][: len(all_pairs(targets))].to(dtype)
    loss = PairLoss(config, HungarianMatcher(published=published))
    return loss(layers, targets, pseudo_labels=similar if config.predicate_target == "pseudo_quality" else None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("published", [False, True])
def test_every_value_of_every_case_is_the_published_one(test_data: Path, dtype: torch.dtype, published: bool) -> None:
    tolerance = 1e-5 if published else 1.1e-4  # ours does not divide by 1e-4 too much
    for folder in fixtures(test_data, "F7_losses"):
        given = tensors(one_file(folder, "*.safetensors"))
        cases = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
        assert len(cases) >= 5
        for name, case in cases.items():
            report = report_of_case(name, case, given, dtype, published)
            for key, expected in case["losses"].items():
                stem, _, layer = key.rpartition("_") if key[-1].isdigit() else (key, "", "2")
                ours = getattr(report.layers[int(layer)], PUBLISHED_NAMES[stem])
                assert ours.item() == pytest.approx(expected, rel=tolerance), (name, key)
            assert report.total.item() == pytest.approx(case["weighted_total"], rel=tolerance), name


@pytest.mark.parametrize("published", [False, True])
def test_pseudo_labels_are_the_published_ones(test_data: Path, published: bool) -> None:
    for folder in fixtures(test_data, "F7_losses"):
        given = tensors(one_file(folder, "*.safetensors"))
        for dtype in (torch.float32, torch.float64):
            ours = relational_pseudo_labels(
                given["rpl.relation_text_features"].to(dtype), given["rpl.verb_labels"], published=published
            )
            assert difference(ours, given["rpl.target_verb_sim"]) < 1e-5


def test_pseudo_labels_of_the_full_model_follow_from_its_text_features(test_data: Path) -> None:
    for folder in fixtures(test_data, "F5_full_model/"):
        inputs, outputs = tensors(folder / "inputs.safetensors"), tensors(folder / "outputs.safetensors")
        num_objects, num_relations = inputs["num_object_and_relation_texts"].tolist()
        if "mid.text_pooler" not in outputs:
            continue
        features = outputs["mid.text_pooler"]
        assert len(features) == num_objects + num_relations
        ours = relational_pseudo_labels(features[num_objects:], all_pairs(targets_from(inputs)))
        assert difference(ours, outputs["train.target_verb_sim"]) < 1e-5


def test_pseudo_labels_by_hand() -> None:
    """Texts at 0, 1 and 4 on a line; the pairs have the first predicate, the first two, and none."""
    features = torch.tensor([[0.0], [1.0], [4.0]])
    labels = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    # Similarities to text 0: 4, 3, 0; to text 1: 2, 3, 0. The second pair's sums are 6, 6, 0.
    expected = torch.tensor([[0.0, 0.75, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert torch.allclose(relational_pseudo_labels(features, labels), expected)
    assert not relational_pseudo_labels(features, labels, threshold=0.75).any()
    assert bool(relational_pseudo_labels(features, labels, published=True)[2].isnan().all())


@pytest.mark.parametrize(("num_texts", "num_pairs"), [(4, 0), (1, 2), (0, 2)])
def test_pseudo_labels_of_nothing_are_zeros(num_texts: int, num_pairs: int) -> None:
    ours = relational_pseudo_labels(torch.eye(num_texts, 8), torch.ones(num_pairs, num_texts))
    assert ours.shape == (num_pairs, num_texts)
    assert not ours.any()


def test_another_order_of_texts_or_pairs_reorders_the_pseudo_labels() -> None:
    random = torch.Generator().manual_seed(2)
    features = torch.randn(6, 8, generator=random, dtype=torch.float64)
    labels = (torch.rand(5, 6, generator=random) < 0.3).double()
    texts, pairs = torch.randperm(6, generator=random), torch.randperm(5, generator=random)
    ours = relational_pseudo_labels(features, labels)
    assert torch.allclose(relational_pseudo_labels(features[texts], labels[pairs][:, texts]), ours[pairs][:, texts])


def test_pseudo_labels_are_targets_without_gradient_unless_as_published() -> None:
    random = torch.Generator().manual_seed(5)
    features = torch.randn(4, 8, generator=random, dtype=torch.float64).requires_grad_()
    predictions, targets = made([3, 2])
    labels = all_pairs(targets)
    assert not relational_pseudo_labels(features, labels).requires_grad
    moving = relational_pseudo_labels(features, labels, published=True)
    assert torch.equal(moving, relational_pseudo_labels(features, labels))
    assert moving.any()
    assert not pair_loss([predictions], targets, pseudo_labels=moving).total.requires_grad
    pair_loss([predictions], targets, pseudo_labels=moving, published=True).total.backward()
    assert features.grad is not None
    assert features.grad.any()


def test_focal_losses_by_hand() -> None:
    """Probabilities one half, and three quarters (logit log 3)."""
    logits = torch.tensor([0.0, math.log(3), math.log(3)], dtype=torch.float64)
    half, quarter, most = math.log(0.5), math.log(0.25), math.log(0.75)
    hard = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    expected = -(0.25 * half + most / 16 + 9 / 16 * quarter) / 2
    assert corner_focal_loss(logits, hard).item() == pytest.approx(expected)
    assert quality_focal_loss(logits, hard).item() == pytest.approx(expected)  # the same for hard targets

    soft = torch.tensor([0.25, 0.75, 0.0], dtype=torch.float64)
    expected = -((0.25 * half + 0.75 * half) / 16 + 9 / 16 * quarter) / 2
    assert quality_focal_loss(logits, soft).item() == pytest.approx(expected)
    known = torch.tensor([True, False, True])
    expected = -((0.25 * half + 0.75 * half) / 16 + 9 / 16 * quarter) / 1
    assert quality_focal_loss(logits, soft, weights=known).item() == pytest.approx(expected)
    # A label that is right three times of four, else 0; both other entries are sure.
    expected = -((0.75 * 0.25 * half + 0.25 * 0.25 * half) + most / 16 + 9 / 16 * quarter) / 1.75
    probability = torch.tensor([0.75, 1.0, 0.3], dtype=torch.float64)
    assert corner_focal_loss(logits, hard, probability=probability).item() == pytest.approx(expected)
    assert quality_focal_loss(logits, hard, probability=probability).item() == pytest.approx(expected)
    # Without any positive, the sum is not divided.
    assert corner_focal_loss(logits, torch.zeros(3)).item() == pytest.approx(-(0.25 * half + 9 / 8 * quarter))
    assert corner_focal_loss(logits[:0], hard[:0]).item() == 0


@pytest.mark.parametrize("focal_loss", [corner_focal_loss, quality_focal_loss])
def test_focal_gradients_are_right_and_reach_a_query_that_is_surely_wrong(focal_loss: Any) -> None:
    logits = torch.tensor([-30.0, -3.0, 0.5, 2.0, 30.0], dtype=torch.float64, requires_grad=True)
    hard = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: focal_loss(x, hard), logits)

    for published, learns in ((False, True), (True, False)):
        for wrong, answer in ((30.0, 0.0), (-30.0, 1.0)):
            logit = torch.tensor([wrong], requires_grad=True)
            focal_loss(logit, torch.tensor([answer]), published=published).backward()
            assert logit.grad is not None
            assert bool(logit.grad.any()) is learns
    inside = torch.linspace(-10, 10, 21, dtype=torch.float64)
    answers = (inside > 3).double()
    assert focal_loss(inside, answers).item() == pytest.approx(focal_loss(inside, answers, published=True).item())


@pytest.mark.parametrize("predicate_target", ["pseudo_quality", "quality", "hard"])
@pytest.mark.parametrize("published", [False, True])
def test_the_order_of_queries_and_pairs_does_not_matter(predicate_target: str, published: bool) -> None:
    predictions, targets = made([3, 0, 5])
    plain = pair_loss([predictions], targets, predicate_target=predicate_target, published=published)

    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    shuffled = queries_reordered(predictions, order)
    again = pair_loss([shuffled], targets, predicate_target=predicate_target, published=published)
    assert values(again.layers[0]) == pytest.approx(values(plain.layers[0]))

    turned = [pairs_reordered(target, torch.arange(len(target)).flip(0)) for target in targets]
    again = pair_loss([predictions], turned, predicate_target=predicate_target, published=published)
    assert values(again.layers[0]) == pytest.approx(values(plain.layers[0]))


def test_an_image_without_pairs_changes_only_what_is_told() -> None:
    """Box losses stay; the predicate loss grows by the image's own sum; the entity loss is a mean over all queries."""
    predictions, targets = made([3, 2, 0])
    part = PairPredictions(*(tensor[:2] for tensor in predictions.tensors()))
    rest = PairPredictions(*(tensor[2:] for tensor in predictions.tensors()))
    for predicate_target in ("pseudo_quality", "quality", "hard"):
        alone, empty, whole = (
            pair_loss([layer], labels, predicate_target=predicate_target).layers[0]
            for layer, labels in ((part, targets[:2]), (rest, targets[2:]), (predictions, targets))
        )
        for name in ("subject_box_l1", "object_box_l1", "subject_box_giou", "object_box_giou"):
            assert getattr(whole, name).item() == pytest.approx(getattr(alone, name).item())
            assert getattr(empty, name).item() == 0
        wanted = all_pairs(targets)
        if predicate_target == "pseudo_quality":
            wanted = wanted + similar(targets)
        divisor = (wanted > 0).sum()
        assert whole.predicate.item() == pytest.approx((alone.predicate + empty.predicate / divisor).item())
        weight_alone, weight_empty = 5 + 19 * 0.1, 12 * 0.1
        mean = (weight_alone * alone.entity + weight_empty * empty.entity) / (weight_alone + weight_empty)
        assert whole.entity.item() == pytest.approx(mean.item())


def test_layers_are_compared_one_by_one_and_added() -> None:
    first, targets = made([3, 0, 5])
    second, _ = made([3, 0, 5], seed=1)
    both = pair_loss([first, second], targets)
    single = [pair_loss([layer], targets) for layer in (first, second)]
    assert [values(layer) for layer in both.layers] == [pytest.approx(values(each.layers[0])) for each in single]
    assert both.total.item() == pytest.approx(sum(each.total.item() for each in single))
    for matches, each in zip(both.matches, single, strict=True):
        assert [match.queries.tolist() for match in matches] == [match.queries.tolist() for match in each.matches[0]]


@pytest.mark.parametrize("num_pairs", [[], [0], [0, 0], [2, 0, 3], [20, 1]])
@pytest.mark.parametrize("kind", ["pseudo_quality", "quality", "hard", "tagger"])
def test_losses_and_gradients_are_finite_for_every_batch(num_pairs: list[int], kind: str) -> None:
    predictions, targets = made(num_pairs, queries=20 if kind == "tagger" else 12)
    leaves = [tensor.requires_grad_() for tensor in predictions.tensors()]
    if kind == "tagger":
        report = TaggerLoss(LossConfig(predicate_target="hard"))([predictions], targets)
    else:
        report = pair_loss([predictions], targets, predicate_target=kind)
    assert bool(report.total.isfinite())
    report.total.backward()
    for leaf in leaves:
        assert leaf.grad is not None
        assert bool(leaf.grad.isfinite().all())
    if not sum(num_pairs):
        assert report.layers[0].subject_box_l1.item() == 0


def test_predictions_in_half_precision_are_counted_in_float32() -> None:
    predictions, targets = made([3, 5])
    half = PairPredictions(*(tensor.bfloat16() for tensor in predictions.tensors()))
    exact = PairPredictions(*(tensor.double() for tensor in half.tensors()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        coarse = pair_loss([half], targets)
    assert coarse.total.dtype == torch.float32
    assert coarse.total.item() == pytest.approx(pair_loss([exact], targets).total.item(), rel=1e-5)


def fitting(target: PairTargets, *, queries: int = 12) -> PairPredictions:
    """Predictions whose query i has exactly the boxes of pair i, so that no other fits it."""
    predictions, _ = made([0], queries=queries, seed=3)
    for ours, theirs in (
        (predictions.subject_boxes_cxcywh, target.subject_boxes_cxcywh),
        (predictions.object_boxes_cxcywh, target.object_boxes_cxcywh),
    ):
        ours[0, : len(target)] = theirs
    return predictions


@pytest.mark.parametrize("kind", ["pseudo_quality", "quality", "hard", "tagger"])
def test_an_unknown_predicate_adds_no_loss(kind: str) -> None:
    _, (target,) = made([3])
    unknown = torch.zeros(3, 4, dtype=torch.bool)
    unknown[0, 1] = unknown[2, 3] = True
    masked = replace(target, unknown_predicates=unknown)
    pseudo = similar([target])

    def of(predictions: PairPredictions, labels: PairTargets) -> LossReport:
        if kind == "tagger":
            return TaggerLoss(LossConfig(predicate_target="hard"))([predictions], [labels])
        given = {"pseudo_labels": pseudo} if kind == "pseudo_quality" else {}
        return pair_loss([predictions], [labels], predicate_target=kind, **given)

    predictions = fitting(target)
    predictions.predicate_logits.requires_grad_()
    report = of(predictions, masked)
    report.total.backward()
    assert set(report.matches[0][0].queries.tolist()) == {0, 1, 2}
    gradient = predictions.predicate_logits.grad
    assert gradient is not None
    assert torch.equal(gradient[0, :3] == 0, unknown)

    # Neither the label nor the logit of such an entry plays a part.
    flipped = replace(
        masked, predicate_labels=torch.where(unknown, 1 - target.predicate_labels, target.predicate_labels)
    )
    assert of(predictions, flipped).total.item() == pytest.approx(report.total.item(), rel=1e-12)
    other = predictions.predicate_logits.detach().clone()
    other[0, :3][unknown] += 1.0
    assert of(replace(predictions, predicate_logits=other), masked).total.item() == pytest.approx(report.total.item())
    # A mask that marks nothing is no mask.
    all_known = replace(target, unknown_predicates=torch.zeros_like(unknown))
    assert torch.equal(of(predictions, all_known).total, of(predictions, target).total)


@pytest.mark.parametrize("kind", ["pseudo_quality", "quality", "hard"])
def test_a_label_that_is_not_sure_costs_what_is_expected(kind: str) -> None:
    _, (target,) = made([3])
    held = torch.zeros(3, 4, dtype=target.predicate_labels.dtype)
    held[0, 1] = held[1, 0] = held[1, 2] = held[2, 3] = 1
    layer = fitting(replace(target, predicate_labels=held))
    given = {"pseudo_labels": torch.zeros_like(held)} if kind == "pseudo_quality" else {}

    def sum_and_gradient(probability: float) -> tuple[float, Tensor]:
        """Of the predicate loss, not divided by the number of positives, which are three without this one."""
        labels = held.clone()
        labels[1, 2] = probability
        logits = layer.predicate_logits.clone().requires_grad_()
        report = pair_loss(
            [replace(layer, predicate_logits=logits)],
            [replace(target, predicate_labels=labels)],
            predicate_target=kind,
            **given,
        )
        cost = report.layers[0].predicate * (3 + probability)
        cost.backward()
        assert logits.grad is not None
        return cost.item(), logits.grad

    right, right_gradient = sum_and_gradient(1.0)
    wrong, wrong_gradient = sum_and_gradient(0.0)
    assert right != pytest.approx(wrong)
    for probability in (0.1, 0.5, 0.9):
        cost, gradient = sum_and_gradient(probability)
        assert cost == pytest.approx(probability * right + (1 - probability) * wrong)
        assert torch.allclose(gradient, probability * right_gradient + (1 - probability) * wrong_gradient)


def test_what_sounds_like_a_label_is_as_sure_as_the_surest_label_of_the_pair() -> None:
    _, (target,) = made([1])
    labels, sounds = torch.zeros(1, 4).double(), torch.zeros(1, 4).double()
    labels[0, 0], labels[0, 2], sounds[0, 1] = 0.3, 0.6, 0.8
    target = replace(target, predicate_labels=labels)
    layer = fitting(target)
    predicate = pair_loss([layer], [target], pseudo_labels=sounds).layers[0].predicate
    answers = torch.zeros_like(layer.predicate_logits)
    answers[0, 0] = torch.tensor([1.0, 0.8, 1.0, 0.0])
    probability = torch.ones_like(answers)
    probability[0, 0] = torch.tensor([0.3, 0.6, 0.6, 1.0])
    expected = quality_focal_loss(layer.predicate_logits, answers, probability=probability)
    assert predicate.item() == pytest.approx(expected.item())


def test_boxes_that_fit_exactly_have_quality_one() -> None:
    _, (target,) = made([3])
    predictions = fitting(target)
    quality = pair_loss([predictions], [target], predicate_target="quality").layers[0]
    assert quality.subject_box_giou.item() == pytest.approx(0, abs=1e-12)
    wanted = torch.zeros_like(predictions.predicate_logits)
    wanted[0, :3] = target.predicate_labels
    assert quality.predicate.item() == pytest.approx(quality_focal_loss(predictions.predicate_logits, wanted).item())


def test_an_object_that_is_not_in_the_image_has_no_box_loss_and_the_quality_of_its_subject() -> None:
    _, (target,) = made([2])
    absent = replace(target, object_boxes_cxcywh=target.object_boxes_cxcywh * torch.tensor([[1.0], [0.0]]))
    predictions = fitting(target)
    predictions.object_boxes_cxcywh[0, :2] += 0.1
    predictions.object_boxes_cxcywh.requires_grad_()
    report = pair_loss([predictions], [absent], predicate_target="quality")
    report.total.backward()
    gradient = predictions.object_boxes_cxcywh.grad
    assert gradient is not None
    assert gradient[0, 0].any()
    assert not gradient[0, 1:].any()
    assert report.layers[0].object_box_l1.item() == pytest.approx(0.4)  # one object counts, off by 0.1 four times

    published = pair_loss([predictions], [absent], predicate_target="quality", published=True)
    assert published.layers[0].object_box_l1.item() == pytest.approx(0.4 / 1.0001)
    assert published.layers[0].predicate.item() != pytest.approx(report.layers[0].predicate.item(), rel=1e-4)


def test_more_pairs_than_queries_shift_the_targets_of_later_images_only_as_published() -> None:
    """The last image's loss is its own: with the first image's pairs cut to those matched, nothing changes for it."""
    predictions, targets = made([6, 3], queries=4)

    def last_image(published: bool, rows: Sequence[int]) -> Tensor:
        """Gradient of the predicate logits of the last image, without the common divisor."""
        logits = predictions.predicate_logits.clone().requires_grad_()
        labels = [pairs_reordered(targets[0], torch.tensor(rows)), targets[1]]
        layer = replace(predictions, predicate_logits=logits)
        pair_loss([layer], labels, predicate_target="quality", published=published).layers[0].predicate.backward()
        assert logits.grad is not None
        return logits.grad[1] / logits.grad[1].abs().sum()

    matched = HungarianMatcher()(predictions, targets)[0].pairs.tolist()
    assert len(matched) == 4
    own = last_image(False, matched)
    assert torch.allclose(own, last_image(True, matched))
    assert torch.allclose(own, last_image(False, range(6)))
    assert not torch.allclose(own, last_image(True, range(6)))


@pytest.mark.parametrize("predicate_target", ["quality", "hard"])
def test_losses_of_processes_that_share_a_batch_add_up(predicate_target: Any) -> None:
    predictions, targets = made([3, 0, 2, 6])
    whole = pair_loss([predictions] * 2, targets, predicate_target=predicate_target)
    parts = [slice(0, 1), slice(1, 4)]
    told: list[Tensor] = []

    def losses_of(part: slice, share: Callable[[Tensor], Tensor]) -> LossReport:
        own = PairPredictions(*(tensor[part] for tensor in predictions.tensors()))
        return pair_loss([own] * 2, targets[part], predicate_target=predicate_target, share=share)

    def listen(divisors: Tensor) -> Tensor:
        told.append(divisors)
        return divisors

    for part in parts:
        losses_of(part, listen)
    assert all(len(each) == PairLoss.num_divisors(2) for each in told)
    reports = [losses_of(part, lambda _: told[0] + told[1]) for part in parts]
    assert sum(report.total.item() for report in reports) == pytest.approx(whole.total.item())
    for name in LOSSES:
        summed = sum(getattr(report.layers[1], name).item() for report in reports)
        assert summed == pytest.approx(getattr(whole.layers[1], name).item()), name


def test_a_query_on_an_unknown_pair_is_not_wrong() -> None:
    predictions, targets = made([2], queries=5)
    match = HungarianMatcher()(predictions, targets)[0]
    free = next(query for query in range(5) if query not in match.queries.tolist())
    boxes = torch.stack([predictions.subject_boxes_cxcywh[0, free], predictions.object_boxes_cxcywh[0, free]])
    num_texts = predictions.predicate_logits.shape[-1]
    may_hold = torch.arange(num_texts) == 1

    def gradients(unknown: Tensor) -> tuple[Tensor, Tensor]:
        """Of the free query's class and predicate logits, and all others' must not change."""
        classes = predictions.subject_logits.clone().requires_grad_()
        predicates = predictions.predicate_logits.clone().requires_grad_()
        layer = replace(predictions, subject_logits=classes, predicate_logits=predicates)
        pairs = [UnknownPairs(boxes, unknown, may_hold)]
        pair_loss([layer], targets, predicate_target="quality", unknown_pairs=pairs).total.backward()
        assert classes.grad is not None
        assert predicates.grad is not None
        return classes.grad[0], predicates.grad[0]

    known_classes, known_predicates = gradients(torch.zeros(2, 2, dtype=torch.bool))
    assert known_classes[free].any()
    assert known_predicates[free].all()
    classes, predicates = gradients(torch.tensor([[False, True], [False, False]]))
    assert not classes[free].any(), "it may be an object"
    assert not predicates[free][may_hold].any(), "this predicate may hold"
    assert predicates[free][~may_hold].all(), "others are denied all the same"
    others = torch.arange(5) != free
    assert classes[others].any(-1).all()
    assert torch.allclose(predicates[others], known_predicates[others])
    # The same pair of regions the other way round is another pair.
    turned, _ = gradients(torch.tensor([[False, False], [True, False]]))
    assert torch.equal(turned, known_classes)


@pytest.mark.parametrize("kind", ["pseudo_quality", "quality", "hard"])
def test_what_is_unknown_may_count_as_not_holding_but_less(kind: str) -> None:
    """At weight 1 as much as what is known, at 0 not at all, between these in proportion."""
    _, (target,) = made([3])
    target = replace(target, predicate_labels=torch.ones_like(target.predicate_labels))
    layer = fitting(target)  # query i answers for pair i, and the fourth for none
    hidden = torch.zeros(3, 4, dtype=torch.bool)
    hidden[0, 1] = hidden[2, 3] = True
    unknown = replace(target, unknown_predicates=hidden)
    denied = replace(target, predicate_labels=(~hidden).to(target.predicate_labels))
    boxes = torch.stack([layer.subject_boxes_cxcywh[0, 3], layer.object_boxes_cxcywh[0, 3]])
    pairs = [UnknownPairs(boxes, ~torch.eye(2, dtype=torch.bool), torch.arange(4) == 1)]
    given = {"pseudo_labels": similar([target])} if kind == "pseudo_quality" else {}

    def of(labels: PairTargets, weight: float, **more: Any) -> LayerLosses:
        report = pair_loss([layer], [labels], predicate_target=kind, unknown_weight=weight, **given, **more)
        return report.layers[0]

    nothing, half, all_ = (of(unknown, weight, unknown_pairs=pairs) for weight in (0.0, 0.5, 1.0))
    if not given:  # similar texts hold, too, where they are known not to
        assert all_.predicate.item() == pytest.approx(of(denied, 0.0).predicate.item())
    assert all_.entity.item() == pytest.approx(of(target, 0.0).entity.item())
    assert nothing.predicate < half.predicate < all_.predicate
    assert half.predicate.item() == pytest.approx((nothing.predicate + all_.predicate).item() / 2)
    assert min(nothing.entity, all_.entity) < half.entity < max(nothing.entity, all_.entity)
    with pytest.raises(ValueError, match=r"unknown_weight is -1.0; give a number of at least 0"):
        LossConfig(unknown_weight=-1.0)


def test_the_tagger_looks_at_no_slot_after_the_last_pair() -> None:
    predictions, targets = made([3, 0, 5])
    loss = TaggerLoss(LossConfig(predicate_target="hard"))
    report = loss([predictions], targets)
    for tensor in predictions.tensors():
        tensor[0, 3:] += 7
        tensor[1] += 7
    assert values(loss([predictions], targets).layers[0]) == values(report.layers[0])

    # Pairs and slots in another order say the same.
    order = torch.tensor([2, 0, 1, *range(3, 12)])
    turned = [pairs_reordered(target, order[: len(target)]) if i == 0 else target for i, target in enumerate(targets)]
    shuffled = PairPredictions(*(torch.cat((tensor[:1, order], tensor[1:])) for tensor in predictions.tensors()))
    assert values(loss([shuffled], turned).layers[0]) == pytest.approx(values(report.layers[0]))


def test_entity_loss_is_the_weighted_mean() -> None:
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]], dtype=torch.float64)
    labels = torch.tensor([0, 1])
    expected = (math.log(2) + 0.1 * math.log(4)) / 1.1
    assert entity_loss(logits, labels, no_object_weight=0.1).item() == pytest.approx(expected)
    assert entity_loss(logits[:0], labels[:0], no_object_weight=0.1).item() == 0
    assert entity_loss(logits[1:], labels[1:], no_object_weight=0.0).item() == 0


def test_choices_that_contradict_each_other_are_refused() -> None:
    predictions, targets = made([2])
    with pytest.raises(ValueError, match="predicate_target is 'soft'; give one of pseudo_quality, quality, hard"):
        LossConfig(predicate_target="soft")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="box_l1_weight is -1; give a number of at least 0"):
        LossConfig(box_l1_weight=-1)
    with pytest.raises(ValueError, match="pseudo_labels are not given"):
        pair_loss([predictions], targets, pseudo_labels=None)
    with pytest.raises(ValueError, match="predicate_target is 'hard' and pseudo_labels are given"):
        pair_loss([predictions], targets, predicate_target="hard", pseudo_labels=similar(targets))
    with pytest.raises(ValueError, match=r"pseudo_labels have shape \(1, 4\)"):
        pair_loss([predictions], targets, pseudo_labels=similar(targets)[:1])
    with pytest.raises(ValueError, match="the R-Tagger is given its boxes, so give 'hard'"):
        TaggerLoss(LossConfig())
    crowded, many = made([13])
    with pytest.raises(ValueError, match="an image has 13 pairs, but there are 12 slots"):
        TaggerLoss(LossConfig(predicate_target="hard"))([crowded], many)
