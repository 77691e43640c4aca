"""Deformable attention: the numbers of the published code, and what holds for any weights."""

import math
from pathlib import Path

import pytest
import torch
from parity_made import difference, fixtures, load, one_file, spec_values, tensors
from torch import Tensor

from stages.alif.deformable_attention import MultiScaleDeformableAttention, Sampler, sample, sample_maps
from stages.alif.published_encoder import ATTENTION_NAMES
from stages.alif.row_sampling import sample_rows

SHAPES = [(3, 4), (2, 2)]
PIXELS = 16

both_samplers = pytest.mark.parametrize("sampler", [sample_maps, sample_rows])


@pytest.fixture
def attention() -> MultiScaleDeformableAttention:
    """Width 8, two heads, two levels, three points, every weight random."""
    torch.manual_seed(5)
    made = MultiScaleDeformableAttention(8, num_heads=2, num_levels=2, num_points=3).double().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return made


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        (torch.float32, 1e-5),
        pytest.param(torch.float64, 2e-6, id="float64, what is left is the fixture's own rounding"),
    ],
)
def test_gives_the_published_numbers(test_data: Path, dtype: torch.dtype, tolerance: float) -> None:
    for folder in fixtures(test_data, "F1_ms_deform_attn"):
        given = tensors(one_file(folder, "*.safetensors"))
        shapes = [(height, width) for height, width in given["spatial_shapes"].tolist()]
        attention = MultiScaleDeformableAttention(256, num_heads=8, num_levels=len(shapes), num_points=4)
        load(attention, spec_values(one_file(folder, "*.spec.json")), ATTENTION_NAMES)
        attention.to(dtype)
        for reference in ("2d", "4d"):
            for name, padding_mask in (("nomask", None), ("mask", given["padding_mask"])):
                with torch.inference_mode():
                    result = attention(
                        given["query"].to(dtype),
                        given[f"reference_points_{reference}"].to(dtype),
                        given["input_flatten"].to(dtype),
                        shapes,
                        padding_mask,
                    )
                assert difference(result, given[f"out_{reference}_{name}"]) < tolerance, (folder.name, reference, name)


@both_samplers
def test_a_point_between_pixel_centres_is_interpolated_and_outside_is_zero(sampler: Sampler) -> None:
    values = torch.tensor([1.0, 3.0, 10.0, 20.0]).view(
        1, 4, 1, 1
    )  # a map of one row of two pixels, and a second like it
    shapes = [(1, 2), (1, 2)]
    locations = torch.tensor(
        [
            [[[0.25, 0.5], [0.5, 0.5]], [[0.75, 0.5], [0.5, 0.5]]],  # a centre, half-way; a centre, half-way
            [[[0.0, 0.5], [0.25, 0.0]], [[1.5, 0.5], [0.5, -1.0]]],  # half out to the left, to the top; far out
        ]
    ).view(1, 2, 1, 2, 2, 2)
    weights = torch.tensor([[[1.0, 100.0], [1.0, 0.5]], [[1.0, 10.0], [1.0, 1.0]]]).view(1, 2, 1, 2, 2)

    result = sampler(values, shapes, locations, weights)

    assert result.flatten().tolist() == pytest.approx([1 + 100 * 2 + 20 + 0.5 * 15, 0.5 + 10 * 0.5])


@both_samplers
def test_sampling_agrees_with_a_plain_loop(sampler: Sampler) -> None:
    torch.manual_seed(0)
    values = torch.randn(2, PIXELS, 2, 3, dtype=torch.float64)
    locations = torch.rand(2, 5, 2, 2, 3, 2, dtype=torch.float64) * 1.6 - 0.3
    locations[0, 0, 0] = torch.tensor([[-1e30, 0.5], [0.5, 1e30], [1.0, 1.0]])  # far out, and the last corner
    weights = torch.rand(2, 5, 2, 2, 3, dtype=torch.float64)

    expected = torch.zeros(2, 5, 2, 3, dtype=torch.float64)
    for image, query, head, level, point in torch.cartesian_prod(*map(torch.arange, (2, 5, 2, 2, 3))).tolist():
        start = sum(height * width for height, width in SHAPES[:level])
        at = locations[image, query, head, level, point].tolist()
        found = _interpolated(values[image, start:, head], SHAPES[level], at)
        expected[image, query, head] += weights[image, query, head, level, point] * found

    assert difference(sampler(values, SHAPES, locations, weights), expected.flatten(2)) < 1e-12


def _interpolated(pixels: Tensor, shape: tuple[int, int], at: list[float]) -> Tensor:
    height, width = shape
    x, y = at[0] * width - 0.5, at[1] * height - 0.5
    total = torch.zeros_like(pixels[0])
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                total += pixels[row * width + column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def test_rows_of_queries_may_share_a_row_of_memory(attention: MultiScaleDeformableAttention) -> None:
    torch.manual_seed(4)
    query, reference = torch.randn(3, 5, 8, dtype=torch.float64), torch.rand(3, 5, 2, 2, dtype=torch.float64)
    memory, padding = torch.randn(2, PIXELS, 8, dtype=torch.float64), torch.rand(2, PIXELS) < 0.2
    rows = torch.tensor([0, 1, 1])
    with torch.inference_mode():
        shared = attention(query, reference, memory, SHAPES, padding, memory_rows=rows)
        assert difference(shared, attention(query, reference, memory[rows], SHAPES, padding[rows])) < 1e-12


@both_samplers
def test_a_place_that_is_no_number_gives_none_and_harms_no_other(sampler: Sampler) -> None:
    values, weights = torch.randn(1, PIXELS, 2, 3), torch.ones(1, 2, 2, 2, 3)
    locations = torch.rand(1, 2, 2, 2, 3, 2)
    expected = sampler(values, SHAPES, locations, weights)
    locations[0, 0] = math.nan

    result = sampler(values, SHAPES, locations, weights)

    assert torch.equal(result[0, 1], expected[0, 1])
    if sampler is sample_rows:  # `grid_sample` takes no number for the upper left corner
        assert result[0, 0].isnan().all()


def test_what_needs_no_gradient_is_computed_another_way_and_is_the_same() -> None:
    torch.manual_seed(2)
    values = torch.randn(2, PIXELS, 2, 4)
    locations, weights = torch.rand(2, 5, 2, 2, 3, 2), torch.rand(2, 5, 2, 2, 3)
    with torch.inference_mode():
        answer = sample(values, SHAPES, locations, weights)
        assert torch.equal(answer, sample_rows(values, SHAPES, locations, weights))
    assert torch.equal(sample(values, SHAPES, locations, weights), sample_maps(values, SHAPES, locations, weights))
    assert difference(answer, sample_maps(values, SHAPES, locations, weights)) < 1e-5


def test_it_is_one_piece_for_a_compiler() -> None:
    torch.manual_seed(2)
    given = (torch.randn(2, PIXELS, 2, 4), SHAPES, torch.rand(2, 5, 2, 2, 3, 2), torch.rand(2, 5, 2, 2, 3))
    compiled = torch.compile(sample, backend="eager", fullgraph=True)
    with torch.inference_mode():
        assert difference(compiled(*given), sample(*given)) < 1e-5


@pytest.mark.parametrize("numbers", [2, 4])
def test_gradients_are_true(attention: MultiScaleDeformableAttention, numbers: int) -> None:
    torch.manual_seed(3)
    query = torch.randn(1, 2, 8, dtype=torch.float64, requires_grad=True)
    memory = torch.randn(1, PIXELS, 8, dtype=torch.float64, requires_grad=True)
    reference = (0.2 + 0.6 * torch.rand(1, 2, 2, numbers, dtype=torch.float64)).requires_grad_()
    padding = torch.zeros(1, PIXELS, dtype=torch.bool)
    padding[0, 3] = True
    parameters = tuple(attention.parameters())

    def run(query: Tensor, reference: Tensor, memory: Tensor, *_: Tensor) -> Tensor:
        return attention(query, reference, memory, SHAPES, padding)

    assert torch.autograd.gradcheck(run, (query, reference, memory, *parameters))


def test_padding_counts_as_outside_the_map(attention: MultiScaleDeformableAttention) -> None:
    """The maps with a padded column and row give what the maps alone give, the references rescaled."""
    torch.manual_seed(1)
    query = torch.randn(1, 5, 8, dtype=torch.float64)
    small = [torch.randn(1, height, width, 8, dtype=torch.float64) for height, width in SHAPES]
    large = [torch.nn.functional.pad(level, (0, 0, 0, 1, 0, 1), value=7.0) for level in small]
    padding = [torch.ones(level.shape[:3], dtype=torch.bool) for level in large]
    for level, (height, width) in zip(padding, SHAPES, strict=True):
        level[:, :height, :width] = False
    reference = torch.rand(1, 5, 1, 2, dtype=torch.float64).expand(-1, -1, 2, -1)
    ratios = torch.tensor([(w / (w + 1), h / (h + 1)) for h, w in SHAPES], dtype=torch.float64)

    alone = attention(query, reference, torch.cat([level.flatten(1, 2) for level in small], 1), SHAPES)
    padded = attention(
        query,
        reference * ratios,
        torch.cat([level.flatten(1, 2) for level in large], 1),
        [(height + 1, width + 1) for height, width in SHAPES],
        torch.cat([level.flatten(1) for level in padding], 1),
    )

    assert difference(padded, alone) < 1e-12


def test_images_and_queries_do_not_see_one_another(attention: MultiScaleDeformableAttention) -> None:
    torch.manual_seed(2)
    query = torch.randn(3, 4, 8, dtype=torch.float64)
    memory = torch.randn(3, PIXELS, 8, dtype=torch.float64)
    reference = torch.rand(3, 4, 2, 4, dtype=torch.float64)

    together = attention(query, reference, memory, SHAPES)

    for image in range(3):
        one = slice(image, image + 1)
        for part in (slice(0, 1), slice(1, 4)):
            alone = attention(query[one, part], reference[one, part], memory[one], SHAPES)
            assert difference(alone, together[one, part]) < 1e-12


def test_at_the_start_heads_look_around_the_reference_in_their_own_directions() -> None:
    attention = MultiScaleDeformableAttention(8, num_heads=4, num_levels=2, num_points=2)
    offsets = attention.sampling_offsets(torch.randn(1, 8)).view(4, 2, 2, 2)

    assert difference(offsets[:, 0, 0], torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]])) < 1e-6
    assert torch.equal(offsets[:, 1], offsets[:, 0])
    assert torch.equal(offsets[:, :, 1], 2 * offsets[:, :, 0])
    assert torch.equal(attention.attention_weights(torch.randn(1, 8)), torch.zeros(1, 16))


def test_half_precision_values_are_read_at_exact_places() -> None:
    """Points are kept in float32: in bfloat16 they would be several pixels off on a map this wide."""
    ramp = torch.arange(200.0).view(1, 200, 1, 1)
    location = torch.full((1, 1, 1, 1, 1, 2), 0.5)
    location[..., 0] = (160 + 0.5) / 200

    result = sample(ramp.bfloat16(), [(1, 200)], location, torch.ones(1, 1, 1, 1, 1).bfloat16())

    assert result.dtype == torch.bfloat16
    assert result.item() == 160


def test_another_sampler_can_take_the_place() -> None:
    calls = []

    def counting(values: Tensor, shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
        calls.append((tuple(values.shape), tuple(locations.shape), tuple(weights.shape)))
        return sample(values, shapes, locations, weights)

    attention = MultiScaleDeformableAttention(8, num_heads=2, num_levels=2, num_points=3, sampler=counting)
    attention(torch.randn(1, 5, 8), torch.rand(1, 5, 2, 2), torch.randn(1, PIXELS, 8), SHAPES)

    assert calls == [((1, PIXELS, 2, 4), (1, 5, 2, 2, 3, 2), (1, 5, 2, 2, 3))]


def test_sizes_that_do_not_fit_are_refused(attention: MultiScaleDeformableAttention) -> None:
    with pytest.raises(ValueError, match="width is 10, num_heads 4"):
        MultiScaleDeformableAttention(10, num_heads=4, num_levels=1, num_points=1)
    query = torch.zeros(1, 1, 8, dtype=torch.float64)
    with pytest.raises(ValueError, match="reference points have 3 numbers"):
        attention(query, torch.zeros(1, 1, 2, 3), query.expand(1, PIXELS, 8), SHAPES)
