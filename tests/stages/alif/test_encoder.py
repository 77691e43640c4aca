"""The ALIF encoder: the numbers of the published code, and what holds for any weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from parity_made import difference, fixtures, load, one_file, spec_values, tensors
from torch import Tensor

from stages.alif.encoder import AlifEncoder, EncoderConfig, FusionPlace, encoder_reference_points
from stages.alif.published_encoder import NAMES

TINY = EncoderConfig(
    width=8,
    num_levels=2,
    num_layers=4,
    num_heads=2,
    num_points=2,
    feedforward_width=12,
    fusion_width=8,
    fusion_heads=2,
    language_width=6,
    language_heads=3,
    language_feedforward_width=10,
)
SHAPES = [(4, 6), (2, 3)]
PIXELS = 30


def tiny(*, published: bool = False, seed: int = 5, place: FusionPlace = "between") -> AlifEncoder:
    """An encoder of two levels, every weight random, in float64."""
    torch.manual_seed(seed)
    encoder = AlifEncoder(replace(TINY, fusion_place=place), published=published).double().eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return encoder


def inputs(*, images: int = 2, texts: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(11)
    sizes = ((PIXELS, 8), (PIXELS, 8), (texts, 6))
    vision, position, language = (torch.randn(images, *size, dtype=torch.float64) for size in sizes)
    return vision, position, language


def whole(images: int) -> Tensor:
    """The valid ratios of images without padding."""
    return torch.ones(images, 2, 2, dtype=torch.float64)


@pytest.mark.parametrize("published", [False, True])
def test_gives_the_published_numbers(test_data: Path, *, published: bool) -> None:
    """Also in float64, where what is left is the rounding of the fixture itself."""
    cases = ["nopad", *(["pad_published", "pad_published_langfree"] if published else ["pad_intended"])]
    for folder in fixtures(test_data, "F3_alif_encoder"):
        given = tensors(one_file(folder, "*.safetensors"))
        shapes = [(height, width) for height, width in given["spatial_shapes"].tolist()]
        encoder = AlifEncoder(EncoderConfig(), published=published)
        load(encoder, spec_values(one_file(folder, "*.spec.json")), NAMES)
        for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 5e-5)):
            encoder.to(dtype)
            for case in cases:
                ratios = torch.ones_like(given["valid_ratios"]) if case == "nopad" else given["valid_ratios"]
                with torch.inference_mode():
                    memory, states = encoder(
                        *(given[name].to(dtype) for name in ("src", "pos", "lang")),
                        shapes=shapes,
                        valid_ratios=ratios.to(dtype),
                        vision_padding=None if case == "nopad" else given["padding_mask"],
                        language_padding=None
                        if case in ("nopad", "pad_published_langfree")
                        else given["lang_padding_mask"],
                    )
                assert difference(memory, given[f"{case}.memory"]) < tolerance, (folder.name, case, dtype)
                assert difference(states, given[f"{case}.lang3"]) < tolerance, (folder.name, case, dtype)


def test_reference_points_are_the_published_ones(test_data: Path) -> None:
    for folder in fixtures(test_data, "F3_alif_encoder"):
        given = tensors(one_file(folder, "*.safetensors"))
        shapes = [(height, width) for height, width in given["spatial_shapes"].tolist()]
        ratios = given["valid_ratios"]
        for case, valid_ratios in (("pad", ratios), ("nopad", torch.ones_like(ratios))):
            points = encoder_reference_points(shapes, valid_ratios)
            assert difference(points, given[f"reference_points.{case}"]) < 1e-6, (folder.name, case)


def test_reference_points_are_pixel_centres_on_every_level() -> None:
    points = encoder_reference_points([(1, 2), (1, 1)], torch.tensor([[[0.5, 1.0], [1.0, 1.0]]]))

    # The first pixel of the first level is the whole valid image there, the second is padding; the last is the whole.
    assert points.tolist() == [
        [[[0.25, 0.5], [0.5, 0.5]], [[0.75, 0.5], [1.5, 0.5]], [[0.25, 0.5], [0.5, 0.5]]],
    ]


@pytest.mark.parametrize("place", ["between", "after"])
def test_padding_changes_nothing_elsewhere(place: FusionPlace) -> None:
    """A batch of a large and a small image with few texts gives what each gives alone, at the places that count."""
    encoder = tiny(place=place)
    vision, position, language = inputs()
    small = [(2, 4), (1, 2)]  # in the upper left of the maps of the second image
    valid = [torch.zeros(height, width, dtype=torch.bool) for height, width in SHAPES]
    for level, (height, width) in zip(valid, small, strict=True):
        level[:height, :width] = True
    kept = torch.cat([level.flatten() for level in valid])
    ratios = whole(2)
    ratios[1] = torch.tensor([(w / width, h / height) for (h, w), (height, width) in zip(small, SHAPES, strict=True)])

    memory, states = encoder(
        vision,
        position,
        language,
        shapes=SHAPES,
        valid_ratios=ratios,
        vision_padding=torch.stack([torch.zeros_like(kept), ~kept]),
        language_padding=torch.tensor([[False] * 5, [False, True, False, False, True]]),
    )

    first, first_states = encoder(vision[:1], position[:1], language[:1], shapes=SHAPES, valid_ratios=whole(1))
    assert difference(memory[:1], first) < 1e-10
    assert difference(states[:, :1], first_states) < 1e-10
    second, second_states = encoder(
        vision[1:, kept], position[1:, kept], language[1:, [0, 2, 3]], shapes=small, valid_ratios=whole(1)
    )
    assert difference(memory[1:, kept], second) < 1e-10
    assert difference(states[:, 1:, [0, 2, 3]], second_states) < 1e-10


@pytest.mark.parametrize("place", ["between", "after"])
def test_the_order_of_the_texts_changes_only_the_order_of_the_answer(place: FusionPlace) -> None:
    encoder = tiny(place=place)
    vision, position, language = inputs()
    order = torch.tensor([3, 0, 4, 2, 1])

    memory, states = encoder(vision, position, language, shapes=SHAPES, valid_ratios=whole(2))
    other, other_states = encoder(vision, position, language[:, order], shapes=SHAPES, valid_ratios=whole(2))

    assert difference(other, memory) < 1e-10
    assert difference(other_states, states[:, :, order]) < 1e-10


def test_only_the_coarsest_level_meets_the_texts() -> None:
    """With one fusion only, at the start, the texts see nothing of the finer level."""
    torch.manual_seed(5)
    encoder = AlifEncoder(replace(TINY, num_layers=2)).double().eval()
    vision, position, language = inputs()
    other = vision.clone()
    other[:, :24] += 1

    memory, states = encoder(vision, position, language, shapes=SHAPES, valid_ratios=whole(2))
    other_memory, other_states = encoder(other, position, language, shapes=SHAPES, valid_ratios=whole(2))

    assert states.shape == (1, 2, 5, 6)
    assert torch.equal(states, other_states)
    assert difference(memory, other_memory) > 0.1


def test_in_a_late_fusion_all_levels_meet_the_texts_and_no_layer_comes_behind() -> None:
    """The same weights, in another order: what the last fusion says is what comes out."""
    late = tiny(place="after")
    assert late.state_dict().keys() == tiny().state_dict().keys()
    vision, position, language = inputs()
    memory, states = late(vision, position, language, shapes=SHAPES, valid_ratios=whole(2))
    other_memory, other_states = late(vision, position, language + 1, shapes=SHAPES, valid_ratios=whole(2))
    assert bool(((memory - other_memory).abs().amax(-1) > 1e-6).all()), "every pixel of every level"
    assert states.shape == other_states.shape == (2, 2, 5, 6)
    with torch.no_grad():
        for fusion in late.fusions:
            for name, parameter in fusion.named_parameters():
                if "gate" in name:
                    parameter.zero_()
    memory, _ = late(vision, position, language, shapes=SHAPES, valid_ratios=whole(2))
    other_memory, _ = late(vision, position, language + 1, shapes=SHAPES, valid_ratios=whole(2))
    assert torch.equal(memory, other_memory), "only the fusions bring texts to pixels"


def test_the_input_is_left_as_it_was() -> None:
    """The published encoder writes the fused level into the tensor it was given."""
    given = inputs()
    before = [tensor.clone() for tensor in given]

    tiny()(*given, shapes=SHAPES, valid_ratios=whole(2))

    assert all(torch.equal(tensor, copy) for tensor, copy in zip(given, before, strict=True))


@pytest.mark.parametrize("place", ["between", "after"])
def test_a_gradient_reaches_every_weight(place: FusionPlace) -> None:
    torch.manual_seed(5)
    encoder = AlifEncoder(replace(TINY, fusion_place=place))
    memory, states = encoder(*(tensor.float() for tensor in inputs()), shapes=SHAPES, valid_ratios=whole(2).float())
    (memory.square().sum() + states.square().sum()).backward()

    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_start_values_are_those_of_the_published_code() -> None:
    """Offsets do not depend on the query at first, language matrices are Glorot's rather than RoBERTa's."""
    torch.manual_seed(5)
    encoder = AlifEncoder(replace(TINY, language_width=60, language_feedforward_width=100))

    for layer in encoder.vision_layers:
        assert not layer.self_attention.sampling_offsets.weight.any()
        assert not layer.self_attention.attention_weights.weight.any()
    for layer in encoder.language_layers:
        bound = (6 / (60 + 100)) ** 0.5
        assert 0.95 * bound < layer.intermediate.dense.weight.detach().abs().max().item() <= bound
    for fusion in encoder.fusions:
        assert fusion.gate_vision.unique().tolist() == [1 / TINY.num_levels]


@pytest.mark.parametrize("mixed", [True, False], ids=["autocast", "all of it"])
def test_runs_in_half_precision(*, mixed: bool) -> None:
    """Points and their references stay in float32; the result is near that of float32."""
    torch.manual_seed(5)
    encoder = AlifEncoder(TINY).eval()
    given = [tensor.float() for tensor in inputs()]
    padding = {
        "vision_padding": torch.arange(PIXELS).expand(2, -1) == 5,
        "language_padding": torch.arange(5).expand(2, -1) == 4,
    }
    exact, _ = encoder(*given, shapes=SHAPES, valid_ratios=whole(2).float(), **padding)

    if not mixed:
        encoder.bfloat16()
        given = [tensor.bfloat16() for tensor in given]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
        memory, _ = encoder(*given, shapes=SHAPES, valid_ratios=whole(2).float(), **padding)

    assert mixed or memory.dtype == torch.bfloat16
    assert difference(memory, exact) < 0.1  # three digits, and values of up to three


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"num_layers": 5}, "num_layers is 5, fusion_interval 2"),
        ({"width": 9}, "width is 9, num_heads 2"),
        ({"fusion_heads": 3}, "fusion_width is 8, fusion_heads 3"),
        ({"language_heads": 4}, "language_width is 6, language_heads 4"),
        ({"fusion_interval": 0}, "num_layers is 4, fusion_interval 0"),
        ({"fusion_place": "before"}, "fusion_place is 'before'; give one of between, after"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(TINY, **change)
