"""Decoders and heads against the published ones (fixture F4), and the laws they obey."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from parity_made import difference, fixtures, load, spec_values, tensors, translated
from torch import Tensor

from stages.alif.decoder_layers import DecoderConfig, inverse_sigmoid, references_per_level, refine_boxes
from stages.alif.heads import PRIOR_LOGIT, ClassificationHead, Decoded, RelationDecoder
from stages.alif.published_decoder import NAMES, TAGGER_NAMES, share_slots
from stages.alif.queries import (
    PUBLISHED_PAIRS,
    AnchorQueries,
    PairQueries,
    ParsedQueries,
    StartQueries,
    sine_of_boxes,
)
from stages.alif.verb_decoder import MultiBranchFusion

# Suggested by the README of the fixtures.
LOGIT_TOLERANCE = 1e-3
BOX_TOLERANCE = 1e-5

FOLDERS = {"parsed": "F4_decoders/parsed_", "parseda": "F4_decoders/parseda_", "tagger": "F4_decoders/tagger_"}
KINDS = list(FOLDERS)
SHAPES = [(6, 8), (3, 4)]  # of the small decoders below
WIDTH = 32


# The published decoders.


def published_decoder(kind: str, folder: Path) -> RelationDecoder:
    """With the weights of the fixture."""
    values = spec_values(folder / "weights.spec.json")
    feedforward_width, width = values["transformer.ho_decoder.layers.0.linear1.weight"].shape
    config = DecoderConfig(width=width, feedforward_width=feedforward_width)
    if kind == "tagger":
        decoder = RelationDecoder(config, PairQueries(width, published=True))
    else:
        queries = ParsedQueries(width) if kind == "parsed" else AnchorQueries(width)
        decoder = RelationDecoder(config, queries, fusion=MultiBranchFusion(width), published=True)
    load(decoder, values, TAGGER_NAMES if kind == "tagger" else NAMES)
    return decoder


def pairs_of(given: dict[str, Tensor], num_slots: int) -> dict[str, Tensor]:
    """The pairs of each image as arguments of `PairQueries`, filled up to `num_slots` with padding."""
    groups = sorted({name.split(".")[0] for name in given if name.startswith("pair_group")})
    pairs = {
        "subject_boxes": torch.zeros(len(groups), num_slots, 4),
        "object_boxes": torch.zeros(len(groups), num_slots, 4),
        "subject_classes": torch.zeros(len(groups), num_slots, dtype=torch.int64),
        "object_classes": torch.zeros(len(groups), num_slots, dtype=torch.int64),
        "padding": torch.ones(len(groups), num_slots, dtype=torch.bool),
    }
    for row, group in enumerate(groups):
        count = len(given[f"{group}.sub_labels"])
        for ours, theirs in (("subject", "sub"), ("object", "obj")):
            pairs[f"{ours}_boxes"][row, :count] = given[f"{group}.{theirs}_boxes"]
            pairs[f"{ours}_classes"][row, :count] = given[f"{group}.{theirs}_labels"]
        pairs["padding"][row, :count] = False
    return pairs


def decode_fixture(
    kind: str, decoder: RelationDecoder, given: dict[str, Tensor], num_slots: int = PUBLISHED_PAIRS
) -> tuple[StartQueries, Decoded]:
    dtype = next(decoder.parameters()).dtype
    num_objects, num_relations = given["obj_pred_names_sums"][0].tolist()
    text_states = given["text_memory_resized"].to(dtype)
    with torch.inference_mode():
        if kind == "tagger":
            features = text_states[-1, :num_objects].transpose(0, 1)
            queries = decoder.queries(**pairs_of(given, num_slots), class_features=features)
        else:
            queries = decoder.queries(len(given["img_memory"]))
        return queries, decoder(
            given["img_memory"].to(dtype),
            given["masks"],
            [(height, width) for height, width in given["spatial_shapes"].tolist()],
            given["valid_ratios"].to(dtype),
            text_states,
            num_objects=num_objects,
            num_relations=num_relations,
            queries=queries,
        )


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_agrees_with_the_published_decoders(kind: str, test_data: Path) -> None:
    for folder in fixtures(test_data, FOLDERS[kind]):
        expected = tensors(folder / "outputs.safetensors")
        decoder = published_decoder(kind, folder)
        queries, decoded = decode_fixture(kind, decoder, tensors(folder / "inputs.safetensors"))
        found = {"mid.hs_ho": decoded.entity_states, "mid.hs_verb": decoded.verb_states}
        layers = ["aux0.", "aux1.", ""]
        assert len(decoded.relation_logits) == len(layers)
        for number, layer in enumerate(layers):
            found[f"{layer}pred_sub_logits"] = decoded.subject_logits[number]
            found[f"{layer}pred_obj_logits"] = decoded.object_logits[number]
            found[f"{layer}pred_verb_logits"] = decoded.relation_logits[number]
            found[f"{layer}pred_sub_boxes"] = decoded.subject_boxes[number]
            found[f"{layer}pred_obj_boxes"] = decoded.object_boxes[number]
        found["mid.inter_references"] = torch.stack((decoded.subject_boxes, decoded.object_boxes), dim=1)
        for name, start in zip(("sub", "obj"), decoded.start_references.chunk(2, dim=1), strict=True):
            # Published anchors have no batch axis.
            wanted = expected[f"mid.init_reference_{name}"]
            found[f"mid.init_reference_{name}"] = start if wanted.dim() == 3 else start[0]
        if kind == "tagger":
            assert queries.position is not None
            found["mid.query"] = torch.cat((queries.position, queries.content), dim=-1)
            assert queries.padding is not None
            assert torch.equal(queries.padding.repeat(1, 2), expected["mid.key_padding_mask"])
            found["mid.key_padding_mask"] = queries.padding.repeat(1, 2)
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            tolerance = BOX_TOLERANCE if "boxes" in name or "reference" in name else LOGIT_TOLERANCE
            assert difference(found[name], tensor) < tolerance, f"{folder.name}: {name}"


@pytest.mark.parametrize("kind", KINDS)
def test_float64_agrees_with_float32(kind: str, test_data: Path) -> None:
    folder = fixtures(test_data, FOLDERS[kind])[0]
    given = tensors(folder / "inputs.safetensors")
    decoder = published_decoder(kind, folder)
    _, single = decode_fixture(kind, decoder, given)
    _, double = decode_fixture(kind, decoder.double(), given)
    assert double.relation_logits.dtype == double.subject_boxes.dtype == torch.float64
    assert difference(single.relation_logits, double.relation_logits) < 2e-4
    assert difference(single.subject_boxes, double.subject_boxes) < 2e-6
    assert difference(single.object_boxes, double.object_boxes) < 2e-6


def test_the_tagger_needs_no_more_slots_than_there_are_pairs(test_data: Path) -> None:
    folder = fixtures(test_data, FOLDERS["tagger"])[0]
    given = tensors(folder / "inputs.safetensors")
    decoder = published_decoder("tagger", folder)
    _, full = decode_fixture("tagger", decoder, given)
    few = max(len(given[name]) for name in given if name.endswith("labels"))
    _, cut = decode_fixture("tagger", decoder, given, few)
    present = ~pairs_of(given, few)["padding"]
    assert few < PUBLISHED_PAIRS
    assert difference(cut.relation_logits[:, present], full.relation_logits[:, :, :few][:, present]) < 1e-4
    assert difference(cut.subject_boxes[:, present], full.subject_boxes[:, :, :few][:, present]) < 1e-6


def test_weights_of_the_published_tagger_fill_the_repaired_one(test_data: Path) -> None:
    folder = fixtures(test_data, FOLDERS["tagger"])[0]
    given = tensors(folder / "inputs.safetensors")
    state = translated(spec_values(folder / "weights.spec.json"), TAGGER_NAMES)
    shared = share_slots(state)
    assert shared.keys() == state.keys()
    halves = state["queries.verb_content.weight"].view(2, PUBLISHED_PAIRS, -1)
    assert difference(shared["queries.verb_content.weight"], halves.sum(dim=0).mean(dim=0)[None]) < 1e-6

    published = published_decoder("tagger", folder)
    repaired = RelationDecoder(DecoderConfig(feedforward_width=1024), PairQueries(256)).eval()
    repaired.load_state_dict(shared)
    _, before = decode_fixture("tagger", published, given, 9)
    _, after = decode_fixture("tagger", repaired, given, 9)
    # The slots speak to the verb decoder alone.
    assert torch.equal(before.subject_logits, after.subject_logits)
    assert not torch.allclose(before.relation_logits, after.relation_logits, atol=LOGIT_TOLERANCE)


def test_a_learned_verb_position_is_shared_too() -> None:
    torch.manual_seed(0)
    published = PairQueries(WIDTH, learned_verb_position=True, published=True)
    repaired = PairQueries(WIDTH, learned_verb_position=True)
    shared = share_slots(published.state_dict(), prefix="")
    repaired.load_state_dict(shared)
    assert difference(shared["verb_position.weight"][0], published.verb_position.weight.mean(dim=0).detach()) < 1e-6


# Laws, on small decoders of random weights.


def small_decoder(kind: str, *, published: bool = False, fused: bool = True) -> RelationDecoder:
    """Random everywhere: freshly built, the box perceptrons and biases are zero and would hide mistakes."""
    torch.manual_seed(1)
    config = DecoderConfig(width=WIDTH, num_heads=4, num_levels=2, num_points=2, num_layers=3, feedforward_width=48)
    queries: dict[str, Callable[[], ParsedQueries | AnchorQueries | PairQueries]] = {
        "parsed": lambda: ParsedQueries(WIDTH, 5, learned_verb_position=fused),
        "parseda": lambda: AnchorQueries(WIDTH, 5),
        "tagger": lambda: PairQueries(WIDTH, learned_verb_position=fused, published=published),
    }
    fusion = MultiBranchFusion(WIDTH, 4) if fused else None
    decoder = RelationDecoder(config, queries[kind](), fusion=fusion, published=published)
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return decoder.eval()


def seen(batch: int = 2) -> dict[str, Tensor]:
    """A memory whose second image ends after half of each map, in width and height alike; and texts."""
    generator = torch.Generator().manual_seed(2)
    size = sum(height * width for height, width in SHAPES)
    padding = []
    for height, width in SHAPES:
        mask = torch.zeros(batch, height, width, dtype=torch.bool)
        mask[1:, height // 2 + height % 2 :] = True
        mask[1:, :, width // 2 :] = True
        padding.append(mask.flatten(1))
    ratios = torch.ones(batch, len(SHAPES), 2)
    ratios[1:, :, 0] = 0.5
    ratios[1:, :, 1] = torch.tensor([(height // 2 + height % 2) / height for height, _ in SHAPES])
    return {
        "memory": torch.randn(batch, size, WIDTH, generator=generator),
        "padding": torch.cat(padding, dim=1),
        "valid_ratios": ratios,
        "text_states": torch.randn(3, 7, batch, WIDTH, generator=generator),
    }


def some_pairs(batch: int = 2, num_pairs: int = 4) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {
        "subject_boxes": torch.rand(batch, num_pairs, 4, generator=generator),
        "object_boxes": torch.rand(batch, num_pairs, 4, generator=generator),
        "subject_classes": torch.randint(4, (batch, num_pairs), generator=generator),
        "object_classes": torch.randint(4, (batch, num_pairs), generator=generator),
        "padding": torch.zeros(batch, num_pairs, dtype=torch.bool),
    }


def ask(
    decoder: RelationDecoder,
    given: dict[str, Tensor],
    pairs: dict[str, Tensor] | None = None,
    shapes: list[tuple[int, int]] = SHAPES,
) -> Decoded:
    """Four object texts and three relations; `pairs` for the tagger, of which there are some by default."""
    if isinstance(decoder.queries, PairQueries):
        pairs = some_pairs(len(given["memory"])) if pairs is None else pairs
        queries = decoder.queries(**pairs, class_features=given["text_states"][-1, :4].transpose(0, 1))
    else:
        queries = decoder.queries(len(given["memory"]))
    return decoder(**given, shapes=shapes, num_objects=4, num_relations=3, queries=queries)


def assert_close(found: Decoded, expected: Decoded, tolerance: float = 2e-5) -> None:
    for field in fields(Decoded):
        result, wanted = getattr(found, field.name), getattr(expected, field.name)
        assert difference(result, wanted) < tolerance, field.name


def at(decoded: Decoded, image: slice | Tensor, pairs: slice | Tensor = slice(None)) -> Decoded:
    """The rows of some images and pairs; batch and pair axes are kept."""

    def of_both(values: Tensor) -> Tensor:
        subjects, objects = values.chunk(2, dim=-2)
        return torch.cat((subjects[..., pairs, :], objects[..., pairs, :]), dim=-2)

    doubled = {"entity_states", "start_references"}
    cut = {}
    for field in fields(Decoded):
        values = getattr(decoded, field.name)
        values = values[image] if field.name == "start_references" else values[:, image]
        cut[field.name] = of_both(values) if field.name in doubled else values[..., pairs, :]
    return replace(decoded, **cut)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "vanilla"])
@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_what_stands_on_padding_changes_nothing(kind: str, fused: bool) -> None:
    decoder, given = small_decoder(kind, fused=fused), seen()
    expected = ask(decoder, given)
    loud = torch.where(given["padding"][..., None], torch.tensor(1e4), given["memory"])
    assert_close(ask(decoder, {**given, "memory": loud}), expected, 1e-9)


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_a_batch_gives_what_single_images_give(kind: str) -> None:
    decoder, given = small_decoder(kind), seen()
    together = ask(decoder, given)
    for image in range(2):
        here = slice(image, image + 1)
        levels = given["memory"][here].split([height * width for height, width in SHAPES], dim=1)
        shapes, cropped = [], []
        for level, (values, (height, width)) in enumerate(zip(levels, SHAPES, strict=True)):
            ratio_width, ratio_height = given["valid_ratios"][image, level].tolist()
            shapes.append((round(height * ratio_height), round(width * ratio_width)))
            cropped.append(values.unflatten(1, (height, width))[:, : shapes[-1][0], : shapes[-1][1]].flatten(1, 2))
        memory = torch.cat(cropped, dim=1)
        alone = {
            "memory": memory,
            "padding": torch.zeros(memory.shape[:2], dtype=torch.bool),
            "valid_ratios": torch.ones(1, len(SHAPES), 2),
            "text_states": given["text_states"][:, :, here],
        }
        pairs = {name: values[here] for name, values in some_pairs().items()}
        assert_close(ask(decoder, alone, pairs, shapes), at(together, here))
        assert_close(ask(decoder, {**alone, "padding": None}, pairs, shapes), at(together, here))


@torch.inference_mode()
def test_published_anchors_follow_the_padding() -> None:
    """The fault that `published` brings back: the same image, more padding, another answer."""
    given = seen()
    unpadded = {**given, "valid_ratios": torch.ones_like(given["valid_ratios"])}
    for published, changes in ((True, True), (False, False)):
        position = small_decoder("parseda", published=published).entity_decoder.anchor_position
        boxes = torch.rand(2, 10, 4, generator=torch.Generator().manual_seed(4))
        padded, full = (position(boxes, some["valid_ratios"], None) for some in (given, unpadded))
        assert torch.equal(padded[0], full[0])
        assert torch.equal(padded[1], full[1]) is not changes


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_the_order_of_texts_is_the_order_of_scores(kind: str) -> None:
    decoder, given = small_decoder(kind), seen()
    expected = ask(decoder, given)
    objects, relations = torch.tensor([2, 0, 3, 1]), torch.tensor([1, 2, 0])
    moved = given["text_states"][:, torch.cat((objects, 4 + relations))]
    pairs = some_pairs()
    for name in ("subject_classes", "object_classes"):
        pairs[name] = objects.argsort()[pairs[name]]
    found = ask(decoder, {**given, "text_states": moved}, pairs)
    assert difference(found.subject_logits, expected.subject_logits[..., objects]) < 1e-5
    assert difference(found.object_logits, expected.object_logits[..., objects]) < 1e-5
    assert difference(found.relation_logits, expected.relation_logits[..., relations]) < 1e-5
    assert torch.equal(found.subject_boxes, expected.subject_boxes)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "vanilla"])
@torch.inference_mode()
def test_the_order_of_pairs_is_the_order_of_answers(fused: bool) -> None:
    decoder, given, pairs = small_decoder("tagger", fused=fused), seen(), some_pairs()
    order = torch.tensor([3, 1, 0, 2])
    moved = {name: values[:, order] for name, values in pairs.items()}
    assert_close(ask(decoder, given, moved), at(ask(decoder, given, pairs), slice(None), order))


@torch.inference_mode()
def test_published_slots_make_the_order_of_pairs_matter() -> None:
    decoder, given, pairs = small_decoder("tagger", published=True), seen(), some_pairs()
    order = torch.tensor([3, 1, 0, 2])
    moved = {name: values[:, order] for name, values in pairs.items()}
    found, straight = ask(decoder, given, moved), at(ask(decoder, given, pairs), slice(None), order)
    assert difference(found.entity_states, straight.entity_states) < 2e-5
    assert difference(found.relation_logits, straight.relation_logits) > 1e-2


@pytest.mark.parametrize("published", [True, False], ids=["published", "repaired"])
@torch.inference_mode()
def test_padded_pairs_change_nothing(published: bool) -> None:
    decoder, given, pairs = small_decoder("tagger", published=published), seen(), some_pairs()
    expected = ask(decoder, given, pairs)
    more = some_pairs(num_pairs=9)
    for name, values in pairs.items():
        more[name][:, :4] = values
    more["padding"][:, 4:] = True
    assert_close(at(ask(decoder, given, more), slice(None), slice(4)), expected)


@torch.inference_mode()
def test_an_image_without_pairs_disturbs_no_other() -> None:
    decoder, given, pairs = small_decoder("tagger"), seen(), some_pairs()
    expected = ask(decoder, given, pairs)
    pairs["padding"][0] = True
    queries = decoder.queries(**pairs, class_features=given["text_states"][-1, :4].transpose(0, 1))
    assert not queries.padding.all(dim=1).any()  # whether a softmax over nothing is a number depends on the kernel
    found = ask(decoder, given, pairs)
    assert all(bool(torch.isfinite(getattr(found, field.name)).all()) for field in fields(Decoded))
    assert_close(at(found, slice(1, 2)), at(expected, slice(1, 2)))


@torch.inference_mode()
def test_zero_pairs_give_zero_rows() -> None:
    decoder, given = small_decoder("tagger"), seen()
    found = ask(decoder, given, some_pairs(num_pairs=0))
    assert found.relation_logits.shape == (3, 2, 0, 3)
    assert found.subject_boxes.shape == (3, 2, 0, 4)


@torch.inference_mode()
def test_only_the_repaired_tagger_takes_more_than_the_published_pairs() -> None:
    given, many = seen(), some_pairs(num_pairs=PUBLISHED_PAIRS + 1)
    assert ask(small_decoder("tagger"), given, many).relation_logits.shape == (3, 2, PUBLISHED_PAIRS + 1, 3)
    with pytest.raises(ValueError, match="101 pairs for 100 slots"):
        ask(small_decoder("tagger", published=True), given, many)


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_that_can_learn_gets_a_gradient(kind: str) -> None:
    decoder, given = small_decoder(kind), seen()
    given["text_states"].requires_grad_()
    decoded = ask(decoder.train(), given)
    logits = (decoded.subject_logits, decoded.object_logits, decoded.relation_logits)
    (sum(values.sum() for values in logits) + decoded.subject_boxes.sum() + decoded.object_boxes.sum()).backward()
    frozen = {name for name, weight in decoder.named_parameters() if not weight.requires_grad}
    assert frozen == {
        name for name in decoder.state_dict() if name.startswith(("verb_decoder.subject_b", "verb_decoder.object_b"))
    }
    for name, weight in decoder.named_parameters():
        assert name in frozen or (weight.grad is not None and weight.grad.abs().sum() > 0), name


@pytest.mark.parametrize("kind", KINDS)
def test_where_to_look_carries_no_gradient(kind: str) -> None:
    """References are cut off, so scores teach nothing to the perceptrons that made the boxes."""
    decoder = small_decoder(kind)
    ask(decoder, seen()).relation_logits.sum().backward()
    makers = [*decoder.entity_decoder.subject_boxes.parameters(), *decoder.entity_decoder.object_boxes.parameters()]
    assert all(weight.grad is None for weight in makers)


def test_class_features_of_the_tagger_get_no_gradient() -> None:
    features = torch.randn(2, 4, WIDTH, requires_grad=True)
    queries = small_decoder("tagger").queries(**some_pairs(), class_features=features)
    assert queries.content.requires_grad is False
    assert queries.position is not None
    assert queries.position.requires_grad


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_boxes_stay_precise_when_weights_are_halved(kind: str) -> None:
    decoder, given = small_decoder(kind), seen()
    exact = ask(decoder, given)
    half = {name: values.bfloat16() if name in {"memory", "text_states"} else values for name, values in given.items()}
    found = ask(decoder.bfloat16(), half)
    assert found.relation_logits.dtype == torch.bfloat16
    assert found.subject_boxes.dtype == found.start_references.dtype == torch.float32
    assert difference(found.subject_boxes[0], exact.subject_boxes[0]) < 0.05


# Parts, by hand.


def test_inverse_sigmoid_is_one_and_stays_finite_at_the_border() -> None:
    inside = torch.tensor([0.01, 0.25, 0.5, 0.99])
    assert difference(inverse_sigmoid(inside).sigmoid(), inside) < 1e-6
    border = inverse_sigmoid(torch.tensor([-1.0, 0.0, 1.0, 2.0]))
    assert difference(border, torch.tensor([-11.5129, -11.5129, 11.5129, 11.5129])) < 1e-4


def test_a_point_has_no_size_until_a_layer_says_one() -> None:
    change = torch.zeros(1, 1, 4)
    assert refine_boxes(change, torch.tensor([[[0.3, 0.8]]]))[0, 0].tolist() == pytest.approx([0.3, 0.8, 0.5, 0.5])
    box = torch.tensor([[[0.3, 0.8, 0.1, 0.2]]])
    assert difference(refine_boxes(change, box), box) < 1e-6


def test_fresh_decoders_start_with_small_boxes() -> None:
    """Layer one sizes a reference of two numbers at sigmoid(-2); the later layers leave all as it is."""
    torch.manual_seed(0)
    config = DecoderConfig(width=WIDTH, num_heads=4, num_levels=2, num_points=2, feedforward_width=48)
    with torch.inference_mode():
        found = ask(RelationDecoder(config, ParsedQueries(WIDTH, 5)).eval(), seen())
    points = found.start_references[:, :5]
    assert difference(found.subject_boxes[..., :2], points.expand(3, -1, -1, -1)) < 1e-5
    assert difference(found.subject_boxes[..., 2:], torch.full((3, 2, 5, 2), 0.1192)) < 1e-4


def test_references_are_scaled_by_width_and_height() -> None:
    ratios = torch.tensor([[[0.5, 0.25], [1.0, 1.0]]])
    boxes = references_per_level(torch.tensor([[[0.4, 0.8, 0.2, 0.4]]]), ratios)
    assert boxes.shape == (1, 1, 2, 4)
    assert boxes[0, 0, 0].tolist() == pytest.approx([0.2, 0.2, 0.1, 0.1])
    points = references_per_level(torch.tensor([[[0.4, 0.8]]]), ratios)
    assert points[0, 0].flatten().tolist() == pytest.approx([0.2, 0.2, 0.4, 0.8])


def test_the_sine_of_a_box_goes_y_x_w_h() -> None:
    # The first wave is sin and cos of 2 pi times the number, the second of that divided by 10000 ** (2 / 4) = 100.
    found = sine_of_boxes(torch.tensor([0.25, 0.5, 0.125, 0.0]), 4)
    turns = {"y": 0.5, "x": 0.25, "w": 0.125, "h": 0.0}
    angles = [2 * torch.pi * turn / scale for turn in turns.values() for scale in (1, 100)]
    expected = [value for angle in torch.tensor(angles) for value in (angle.sin(), angle.cos())]
    assert difference(found, torch.stack(expected)) < 1e-6


def test_fusion_is_the_sum_of_its_branches() -> None:
    torch.manual_seed(0)
    fusion = MultiBranchFusion(8, 2)
    first, second = torch.randn(3, 8), torch.randn(3, 8)
    total = torch.zeros(3, 8)
    for one, other, out in zip(fusion.from_subject, fusion.from_object, fusion.to_pair, strict=True):
        total = total + out((one(first) * other(second)).relu())
    assert difference(fusion(first, second).detach(), total.relu().detach()) < 1e-6
    with pytest.raises(ValueError, match="divides the width"):
        MultiBranchFusion(8, 3)


def test_a_state_that_says_nothing_scores_the_prior() -> None:
    head = ClassificationHead(4)
    with torch.inference_mode():
        entities, relations = head(torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 1, 4), torch.randn(1, 3, 1, 4), 2)
    assert pytest.approx(-4.59512) == PRIOR_LOGIT
    assert entities.shape == (1, 1, 2, 2)
    assert relations.sigmoid().flatten().tolist() == pytest.approx([0.01])


def test_texts_are_normalised_before_they_are_projected() -> None:
    head = ClassificationHead(2)
    with torch.no_grad():
        head.text_projection.weight.copy_(torch.eye(2))
        head.text_projection.bias.zero_()
        head.entity_bias.copy_(torch.tensor([1.0, 0.0]))
    texts = torch.tensor([[3.0, 4.0], [0.0, 2.0], [5.0, 0.0]])[None, :, None]
    states, verbs = torch.tensor([[1.0, 1.0]])[None, None], torch.tensor([[0.0, 6.0]])[None, None]
    with torch.inference_mode():
        entities, relations = head(states, verbs, texts, 1)
    assert entities.item() == pytest.approx(2 * 0.3 + 1 * 0.4 + PRIOR_LOGIT)
    assert relations.flatten().tolist() == pytest.approx([6 * 0.5 + PRIOR_LOGIT, PRIOR_LOGIT])


def test_texts_that_do_not_fit_are_refused() -> None:
    decoder, given = small_decoder("parsed"), seen()
    with pytest.raises(ValueError, match="give 3 states, one a decoder layer, of 4 object and 3 relation texts"):
        ask(decoder, {**given, "text_states": given["text_states"][1:]})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_layers": 0}, "num_layers is 0; give a positive number"),
        ({"width": 12, "num_heads": 8}, "give an even width that the heads divide evenly"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_impossible_numbers_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DecoderConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["parsed", "parseda"])
def test_the_first_pairs_can_be_kept(kind: str) -> None:
    """Subjects stand before objects, so the first pairs are in the middle, too; slot i of either half is pair i."""
    queries = ParsedQueries(WIDTH, 5) if kind == "parsed" else AnchorQueries(WIDTH, 5)
    with torch.no_grad():
        whole = queries(1)
        queries.keep_first(3)
        kept = queries(1)
    rows = torch.tensor([0, 1, 2, 5, 6, 7])
    for name in ("content", "position", "references"):
        before, after = getattr(whole, name), getattr(kept, name)
        assert after is None if before is None else torch.allclose(after, before[:, rows])
    assert torch.equal(kept.verb_content, whole.verb_content[:, :3])
    if whole.verb_position is not None:
        assert kept.verb_position is not None
        assert torch.equal(kept.verb_position, whole.verb_position[:, :3])
    (parameter, *_) = queries.parameters()
    assert parameter.requires_grad
