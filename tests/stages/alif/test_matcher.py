"""The matcher agrees with the published one (fixture F7), and its laws; boxes."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from parity_made import difference, fixtures, one_file, tensors
from torch import Tensor

from stages.alif.boxes import (
    boxes_cxcywh_to_xyxy,
    boxes_xyxy_to_cxcywh,
    generalized_iou,
    pairwise_generalized_iou,
)
from stages.alif.matcher import HungarianMatcher, PairPredictions, PairTargets

LAYERS = {"aux0": "outputs.aux0.", "aux1": "outputs.aux1.", "final": "outputs."}


def predictions_from(given: dict[str, Tensor], prefix: str, dtype: torch.dtype = torch.float32) -> PairPredictions:
    names = ("pred_sub_logits", "pred_obj_logits", "pred_verb_logits", "pred_sub_boxes", "pred_obj_boxes")
    return PairPredictions(*(given[prefix + name].to(dtype) for name in names))


def targets_from(given: dict[str, Tensor]) -> list[PairTargets]:
    names = ("sub_labels", "obj_labels", "verb_labels", "sub_boxes", "obj_boxes")
    count = sum(key.startswith("target") and key.endswith(".sub_labels") for key in given)
    return [PairTargets(*(given[f"target{i}.{name}"] for name in names)) for i in range(count)]


def made(num_pairs: Sequence[int], *, queries: int = 12, seed: int = 0) -> tuple[PairPredictions, list[PairTargets]]:
    """Random predictions for images of so many pairs, 5 entity texts and 4 relation texts, in float64."""
    random = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=random, dtype=torch.float64)

    batch = len(num_pairs)
    predictions = PairPredictions(
        4 * uniform(batch, queries, 5) - 2,
        4 * uniform(batch, queries, 5) - 2,
        4 * uniform(batch, queries, 4) - 2,
        0.1 + 0.6 * uniform(batch, queries, 4),
        0.1 + 0.6 * uniform(batch, queries, 4),
    )
    targets = []
    for count in num_pairs:
        predicates = (uniform(count, 4) < 0.4).double()
        predicates[:, 0] = 1.0 - predicates[:, 1:].amax(-1)  # at least one
        targets.append(
            PairTargets(
                (4 * uniform(count)).long(),
                (4 * uniform(count)).long(),
                predicates,
                0.1 + 0.6 * uniform(count, 4),
                0.1 + 0.6 * uniform(count, 4),
            )
        )
    return predictions, targets


def joined(targets: Sequence[PairTargets]) -> PairTargets:
    """The pairs of all images as if they were in one."""
    return PairTargets(*(torch.cat(same) for same in zip(*map(fields_of, targets), strict=True)))


def fields_of(target: PairTargets) -> tuple[Tensor, ...]:
    return (
        target.subject_labels,
        target.object_labels,
        target.predicate_labels,
        target.subject_boxes_cxcywh,
        target.object_boxes_cxcywh,
    )


def pairs_reordered(target: PairTargets, order: Tensor) -> PairTargets:
    return PairTargets(*(tensor[order] for tensor in fields_of(target)))


def queries_reordered(predictions: PairPredictions, order: Tensor) -> PairPredictions:
    return PairPredictions(*(tensor[:, order] for tensor in predictions.tensors()))


def couples(match: tuple[Tensor, Tensor]) -> set[tuple[int, int]]:
    return set(zip(match[0].tolist(), match[1].tolist(), strict=True))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("published", [False, True])
def test_every_cost_is_the_published_one(test_data: Path, layer: str, dtype: torch.dtype, published: bool) -> None:
    for folder in fixtures(test_data, "F7_losses"):
        given = tensors(one_file(folder, "*.safetensors"))
        predictions, targets = predictions_from(given, LAYERS[layer], dtype), targets_from(given)
        matcher = HungarianMatcher(published=published)
        # The fixture holds the cost of every query for every pair, also of other images: one image of all of them.
        flat = PairPredictions(*(tensor.flatten(0, 1)[None] for tensor in predictions.tensors()))
        costs = matcher.costs(flat, [joined(targets)])
        terms = {
            "cost_sub_class": costs.subject_class,
            "cost_obj_class": costs.object_class,
            "cost_verb_class": costs.predicate,
            "cost_bbox": costs.box_l1,
            "cost_bbox_pair.sub": costs.subject_box_l1,
            "cost_bbox_pair.obj": costs.object_box_l1,
            "cost_giou": costs.box_giou,
            "cost_giou_pair.sub": costs.subject_box_giou,
            "cost_giou_pair.obj": costs.object_box_giou,
        }
        assert {f"cost.{layer}.{name}" for name in terms} == {key for key in given if key.startswith(f"cost.{layer}.")}
        for name, ours in terms.items():
            assert difference(ours[0], given[f"cost.{layer}.{name}"]) < 1e-5, name

        # In a batch, the same costs stand in the columns of the image's own pairs.
        batch = matcher.total(matcher.costs(predictions, targets))
        start = 0
        for image, target in enumerate(targets):
            block = matcher.total(costs)[0].unflatten(0, batch.shape[:2])[image, :, start : start + len(target)]
            assert torch.allclose(batch[image, :, : len(target)], block, atol=1e-5, rtol=0)
            start += len(target)


def test_the_matches_are_the_published_ones(test_data: Path) -> None:
    for folder in fixtures(test_data, "F7_losses"):
        given = tensors(one_file(folder, "*.safetensors"))
        expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
        cases = {name: case for name, case in expected.items() if "indices" in case}
        assert cases
        for name, case in cases.items():
            targets = targets_from(given)
            if "without any pair" in name:
                targets = [pairs_reordered(target, torch.arange(0)) for target in targets]
            for layer, prefix in LAYERS.items():
                matches = HungarianMatcher()(predictions_from(given, prefix), targets)
                assert [[m.queries.tolist(), m.pairs.tolist()] for m in matches] == case["indices"][layer], name


def test_another_order_of_queries_or_pairs_matches_the_same_couples() -> None:
    predictions, targets = made([3, 0, 5])
    matches = HungarianMatcher()(predictions, targets)

    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    for before, after in zip(matches, HungarianMatcher()(queries_reordered(predictions, order), targets), strict=True):
        assert couples((order[after.queries], after.pairs)) == couples(before)

    turned = [pairs_reordered(target, torch.arange(len(target)).flip(0)) for target in targets]
    for before, after, target in zip(matches, HungarianMatcher()(predictions, turned), targets, strict=True):
        assert couples((after.queries, len(target) - 1 - after.pairs)) == couples(before)


def test_an_image_is_matched_the_same_alone_as_in_a_batch_and_in_every_precision() -> None:
    predictions, targets = made([3, 0, 5])
    matches = HungarianMatcher()(predictions, targets)
    for image, match in enumerate(matches):
        alone = PairPredictions(*(tensor[image : image + 1] for tensor in predictions.tensors()))
        assert couples(HungarianMatcher()(alone, targets[image : image + 1])[0]) == couples(match)
    single = PairPredictions(*(tensor.float() for tensor in predictions.tensors()))
    assert [couples(m) for m in HungarianMatcher()(single, targets)] == [couples(m) for m in matches]


@pytest.mark.parametrize(("num_pairs", "lengths"), [([], []), ([0], [0]), ([0, 0], [0, 0]), ([7, 0, 2], [4, 0, 2])])
def test_a_match_has_as_many_couples_as_there_are_queries_or_pairs(num_pairs: list[int], lengths: list[int]) -> None:
    matches = HungarianMatcher()(*made(num_pairs, queries=4))
    assert [len(match.queries) for match in matches] == [len(match.pairs) for match in matches] == lengths
    assert all(match.queries.dtype == match.pairs.dtype == torch.int64 for match in matches)


def test_an_unknown_predicate_counts_neither_for_nor_against_a_query() -> None:
    predictions, (target,) = made([2])
    unknown = torch.tensor([[False, True, True, False], [False, False, False, False]])
    masked = replace(target, unknown_predicates=unknown)
    cost = HungarianMatcher().costs(predictions, [masked]).predicate

    flipped = replace(
        masked, predicate_labels=torch.where(unknown, 1 - target.predicate_labels, target.predicate_labels)
    )
    assert torch.equal(HungarianMatcher().costs(predictions, [flipped]).predicate, cost)
    # Of the first pair, only texts 0 and 3 are left.
    left = torch.tensor([0, 3])
    fewer = replace(predictions, predicate_logits=predictions.predicate_logits[..., left])
    target_left = replace(target, predicate_labels=target.predicate_labels[:, left])
    expected = HungarianMatcher().costs(fewer, [target_left]).predicate
    assert torch.allclose(cost[..., 0], expected[..., 0])
    assert torch.equal(cost[..., 1], HungarianMatcher().costs(predictions, [target]).predicate[..., 1])


def test_an_object_that_is_not_in_the_image_costs_what_its_subject_costs() -> None:
    predictions, (target,) = made([2])
    absent = replace(target, object_boxes_cxcywh=target.object_boxes_cxcywh * torch.tensor([[1.0], [0.0]]))
    costs = HungarianMatcher().costs(predictions, [absent])
    assert torch.equal(costs.box_giou[..., 1], costs.subject_box_giou[..., 1])
    assert torch.equal(costs.box_l1[..., 1], costs.subject_box_l1[..., 1])
    published = HungarianMatcher(published=True).costs(predictions, [absent])
    assert torch.equal(published.box_giou[..., 0], costs.box_giou[..., 0])
    # As published: the GIoU with an empty box, which is only the share of the hull that the box leaves bare.
    x, y, width, height = predictions.object_boxes_cxcywh[..., :].unbind(-1)
    left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    hull = (right.clamp(min=0) - left.clamp(max=0)) * (bottom.clamp(min=0) - top.clamp(max=0))
    bare = (hull - width * height) / hull
    assert torch.allclose(published.object_box_giou[..., 1], costs.subject_box_giou[..., 1] + bare)


def test_a_cost_that_is_no_number_is_told() -> None:
    predictions, targets = made([1, 2])
    predictions.subject_boxes_cxcywh[1, 3, 0] = float("nan")
    with pytest.raises(ValueError, match="cost of image 1 of the batch is not finite"):
        HungarianMatcher()(predictions, targets)


def test_labels_that_do_not_fit_are_refused() -> None:
    predictions, targets = made([1, 2])
    with pytest.raises(ValueError, match="1 images are labelled, but 2 predicted"):
        HungarianMatcher()(predictions, targets[:1])
    fewer = replace(targets[1], predicate_labels=targets[1].predicate_labels[:, :3])
    with pytest.raises(ValueError, match="labels of image 1 of the batch are over 3 relation texts"):
        HungarianMatcher()(predictions, [targets[0], fewer])
    with pytest.raises(ValueError, match=r"object_labels has shape \(1,\)"):
        replace(targets[1], object_labels=targets[0].object_labels)
    with pytest.raises(ValueError, match=r"unknown_predicates has shape \(4,\)"):
        replace(targets[1], unknown_predicates=torch.zeros(4, dtype=torch.bool))


def test_boxes_turn_into_corners_and_back() -> None:
    boxes = torch.tensor([[0.5, 0.4, 0.2, 0.4]], dtype=torch.float64)
    corners = boxes_cxcywh_to_xyxy(boxes)
    assert torch.allclose(corners, torch.tensor([[0.4, 0.2, 0.6, 0.6]], dtype=torch.float64))
    assert torch.allclose(boxes_xyxy_to_cxcywh(corners), boxes)


def test_generalized_iou_by_hand() -> None:
    first = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 1.0, 1.0]])
    second = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0], [3.0, 0.0, 4.0, 1.0]])
    expected = torch.tensor([1.0, 1 / 7 - 2 / 9, -2 / 4])
    assert torch.allclose(generalized_iou(first, second), expected)
    pairwise = pairwise_generalized_iou(first, second)
    assert pairwise.shape == (3, 3)
    assert torch.allclose(pairwise.diagonal(), expected)
    assert torch.allclose(pairwise_generalized_iou(second, first), pairwise.T)
    assert pairwise_generalized_iou(first[:0], second).shape == (0, 3)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]),
        ([0.5, 0.5, 0.0, 0.3], [0.5, 0.5, 0.2, 0.2]),
        ([0.5, 0.5, 1e-38, 1e-20], [0.5, 0.5, 1e-30, 0.0]),
        ([0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1e-25, 1e-25]),
    ],
)
def test_boxes_without_area_have_a_finite_gradient(first: list[float], second: list[float]) -> None:
    box = torch.tensor([first], requires_grad=True)
    giou = generalized_iou(boxes_cxcywh_to_xyxy(box), boxes_cxcywh_to_xyxy(torch.tensor([second])))
    giou.sum().backward()
    assert bool(torch.isfinite(giou).all())
    assert bool((giou.abs() <= 1).all())
    assert box.grad is not None
    assert bool(torch.isfinite(box.grad).all())
