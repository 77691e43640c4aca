"""Pictures to batches: sizes, normalisation, and what padding means at each level."""

import math

import numpy as np
import pytest
import torch
from parity_made import difference, fixtures, tensors
from PIL import Image

from stages.alif.images import (
    PaddingMasks,
    batch_images,
    level_masks,
    network_size,
    resize_for_network,
    similar_sizes,
    valid_ratios,
)


def test_a_batch_is_padded_as_the_published_one(test_data):
    for folder in fixtures(test_data, "F5_full_model"):
        given, expected = tensors(folder / "inputs.safetensors"), tensors(folder / "outputs.safetensors")
        pixels, padding = batch_images([given["image0"], given["image1"]])
        assert difference(pixels, expected["mid.padded_images"]) == 0, folder
        assert torch.equal(padding, expected["mid.pixel_padding_mask"]), folder


def test_masks_and_ratios_of_the_levels_are_the_published_ones(test_data):
    seen = 0
    for folder in fixtures(test_data, "F5_full_model"):
        expected = tensors(folder / "outputs.safetensors")
        if "mid.eval.masks" not in expected:
            continue
        seen += 1
        shapes = [(int(height), int(width)) for height, width in expected["mid.eval.spatial_shapes"]]
        masks = level_masks(expected["mid.pixel_padding_mask"], shapes)
        for level in range(3):
            assert torch.equal(masks[level], expected[f"mid.backbone{level}_mask"])
        assert torch.equal(torch.cat([mask.flatten(1) for mask in masks], 1), expected["mid.eval.masks"])
        assert difference(valid_ratios(masks), expected["mid.eval.valid_ratios"]) == 0
    assert seen


def test_smaller_images_lie_in_the_upper_left_corner():
    wide, high = torch.full((3, 1, 3), 1.0), torch.full((3, 2, 1), 2.0)
    pixels, padding = batch_images([wide, high])
    assert pixels[:, 0].tolist() == [[[1, 1, 1], [0, 0, 0]], [[2, 0, 0], [2, 0, 0]]]
    assert padding.tolist() == [
        [[False, False, False], [True, True, True]],
        [[False, True, True], [False, True, True]],
    ]


def test_a_batch_can_be_rounded_up():
    pixels, padding = batch_images([torch.ones(3, 65, 64)], multiple_of=64)
    assert pixels.shape == (1, 3, 128, 64)
    assert padding[0, 65:].all()
    assert not padding[0, :65].any()


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one image"):
        batch_images([])


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 480), (1066, 800)),  # 640 * 800 / 480 = 1066.7, cut off
        ((480, 640), (800, 1066)),
        ((500, 500), (800, 800)),
        ((1000, 300), (1333, 400)),  # 1333 * 300 / 1000 = 399.9, rounded
        ((800, 1200), (800, 1200)),  # as it is
        ((10000, 1), (1333, 1)),  # the short side would be 0
    ],
)
def test_the_size_follows_the_rule_of_detr(size, expected):
    assert network_size(*size) == expected


def test_rounding_up_the_short_side_takes_the_long_side_past_the_limit():
    # 1333 * 15 / 1480 = 13.51, rounded to 14; 14 * 1480 / 15 = 1381.3
    assert network_size(1480, 15) == (1381, 14)


def test_pixels_are_normalised_with_the_statistics_of_imagenet():
    pixels = resize_for_network(Image.new("RGB", (4, 4), (255, 0, 51)), short_side=8, longest=20)
    assert pixels.shape == (3, 8, 8)
    assert pixels.dtype == torch.float32
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    torch.testing.assert_close(pixels[:, 3, 3], torch.tensor(expected))


def test_making_smaller_averages():
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[::2] = 255
    pixels = resize_for_network(Image.fromarray(stripes), short_side=4)
    grey = pixels[0] * 0.229 + 0.485
    assert (grey[1:-1] - 0.5).abs().max() < 0.05


def test_a_picture_of_another_mode_is_refused():
    with pytest.raises(ValueError, match="mode L"):
        resize_for_network(Image.new("L", (8, 8)))


@pytest.mark.parametrize("height", [1, 31, 64, 65, 100, 127])
def test_in_a_rounded_batch_the_masks_end_where_the_image_alone_would(height):
    _, padding = batch_images([torch.ones(3, height, 20), torch.ones(3, 190, 70)], multiple_of=64)
    masks = PaddingMasks(padding)
    for stride in (2, 4, 8, 16, 32, 64):
        mask = masks.at(192 // stride, 128 // stride)[0]
        assert int((~mask[:, 0]).sum()) == math.ceil(height / stride)
        assert int((~mask[0]).sum()) == math.ceil(20 / stride)


def test_ratios_are_width_then_height():
    mask = torch.ones(1, 4, 5, dtype=torch.bool)
    mask[0, :3, :1] = False
    torch.testing.assert_close(valid_ratios([mask, ~torch.ones_like(mask)]), torch.tensor([[[0.2, 0.75], [1.0, 1.0]]]))


def test_batches_are_of_similar_size():
    sizes = [(800, 1200), (1200, 800), (800, 1100), (1200, 800), (800, 1200)]
    assert similar_sizes(sizes, most=8, waste=1.3) == [[2, 0, 4], [1, 3]]
    assert similar_sizes(sizes, most=2, waste=1.3) == [[2, 0], [4], [1, 3]]
    assert similar_sizes(sizes, most=8, waste=1.0) == [[2], [0, 4], [1, 3]]
    assert similar_sizes([], most=8, waste=1.3) == []
