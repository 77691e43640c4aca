"""Backbones, input projection and position code: the published numbers, and the laws of padding."""

import json
import math
from pathlib import Path

import pytest
import torch
from parity_made import _weight_recipe, difference, fixtures, load, tensors, translated
from torch import Tensor, nn

from stages.alif.backbone import Backbone, BackboneConfig, FrozenBatchNorm, GroupNorm, InputProjection, Swin
from stages.alif.images import batch_images, level_masks
from stages.alif.position import PositionCode, sine_position_code
from stages.alif.published_backbone import NAMES, split_swin

PART = ("backbone.", "input_proj.", "transformer.level_embed")


def published_values(test_data: Path, folder: Path) -> dict[str, Tensor]:
    """The weights of this part alone: to make those of the whole network takes several times as long."""
    spec = json.loads((folder / "weights.spec.json").read_text(encoding="utf-8"))
    spec = {"salt": spec["salt"], "keys": {key: s for key, s in spec["keys"].items() if key.startswith(PART)}}
    expanded = _weight_recipe(test_data / "parity").expand(spec)
    return {key: torch.from_numpy(value) for key, value in expanded.items()}


def vision(backbone: Backbone, *, width: int = 256, num_levels: int = 4, shift: bool = False) -> nn.ModuleDict:
    return nn.ModuleDict(
        {
            "backbone": backbone,
            "input_projection": InputProjection(backbone.num_channels, width, num_levels=num_levels),
            "position_code": PositionCode(width, num_levels, shift=shift),
        }
    )


@pytest.fixture(scope="module")
def resnet50() -> nn.ModuleDict:
    """The weights are made once; tests that need others load them."""
    torch.manual_seed(0)
    return vision(Backbone(BackboneConfig())).eval()


@pytest.mark.parametrize("name", ["pda", "pd"])
def test_maps_and_position_code_are_the_published_ones(test_data, resnet50, name):
    for folder in fixtures(test_data, f"F5_full_model/{name}_"):
        given, expected = tensors(folder / "inputs.safetensors"), tensors(folder / "outputs.safetensors")
        if "mid.backbone0" not in expected:
            continue
        load(resnet50, published_values(test_data, folder), NAMES)
        pixels, padding = batch_images([given["image0"], given["image1"]])
        with torch.inference_mode():
            maps = resnet50["backbone"](pixels)
            levels = resnet50["input_projection"](maps)
            shapes = [(level.shape[2], level.shape[3]) for level in levels]
            code = resnet50["position_code"](level_masks(padding, shapes))
        assert [list(shape) for shape in shapes] == expected["mid.eval.spatial_shapes"].tolist()
        for index, features in enumerate(maps):
            wanted = expected[f"mid.backbone{index}"]
            assert difference(features, wanted) < 5e-6 * float(wanted.abs().max())
        assert difference(code, expected["mid.eval.pos_embed"]) < 1e-6


def test_the_published_maps_agree_in_double_precision(test_data):
    folder = fixtures(test_data, "F5_full_model/pda_dev")[0]
    given, expected = tensors(folder / "inputs.safetensors"), tensors(folder / "outputs.safetensors")
    model = vision(Backbone(BackboneConfig()))
    load(model, published_values(test_data, folder), NAMES)
    model.double()
    pixels, _ = batch_images([given["image0"].double(), given["image1"].double()])
    with torch.inference_mode():
        maps = model["backbone"](pixels)
    for index, features in enumerate(maps):
        wanted = expected[f"mid.backbone{index}"].double()
        assert difference(features, wanted) < 2e-6 * float(wanted.abs().max())


def test_counters_and_classifiers_of_other_files_have_no_place():
    keys = [
        "layer1.0.bn1.num_batches_tracked",
        "fc.weight",
        "layers.0.blocks.1.attn.relative_position_index",
        "norm.bias",
    ]
    assert translated({f"backbone.0.body.{key}": torch.zeros(1) for key in keys}, NAMES) == {}


# Laws of padding.


def images(*sizes: tuple[int, int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(3, height, width, generator=generator) for height, width in sizes]


def unlike_defaults(model: nn.Module) -> None:
    """Norms that start as identity hide mistakes."""
    generator = torch.Generator().manual_seed(4)
    for module in model.modules():
        if isinstance(module, FrozenBatchNorm | GroupNorm):
            for name, tensor in module.state_dict().items():
                low, high = (-0.3, 0.3) if name in {"bias", "running_mean"} else (0.7, 1.3)
                tensor.uniform_(low, high, generator=generator)


@pytest.mark.parametrize("kind", ["resnet50", "tiny"])
def test_with_a_mask_an_image_has_the_features_it_has_alone(resnet50, kind):
    model = resnet50 if kind == "resnet50" else vision(Backbone(BackboneConfig(kind="tiny", tiny_width=16)), width=64)
    unlike_defaults(model)
    model.eval()
    small, large = images((50, 77), (64, 128))
    with torch.inference_mode():
        pixels, padding = batch_images([small, large], multiple_of=64)
        levels = model["input_projection"](model["backbone"](pixels, padding), padding)
        shapes = [(level.shape[2], level.shape[3]) for level in levels]
        codes = model["position_code"](level_masks(padding, shapes)).split([math.prod(s) for s in shapes], dim=1)
        alone = model["input_projection"](model["backbone"](small[None]))
        shapes_alone = [(level.shape[2], level.shape[3]) for level in alone]
        no_padding = torch.zeros(1, 50, 77, dtype=torch.bool)
        codes_alone = model["position_code"](level_masks(no_padding, shapes_alone)).split(
            [math.prod(s) for s in shapes_alone], dim=1
        )
    assert len(levels) == 4
    for level, (batched, single) in enumerate(zip(levels, alone, strict=True)):
        height, width = shapes_alone[level]
        torch.testing.assert_close(batched[:1, :, :height, :width], single, rtol=1e-4, atol=2e-5)
        code = codes[level][0].unflatten(0, shapes[level])[:height, :width]
        torch.testing.assert_close(code, codes_alone[level][0].unflatten(0, shapes_alone[level]), rtol=0, atol=1e-6)


def test_without_a_mask_padding_takes_part_as_published(resnet50):
    unlike_defaults(resnet50)
    small, large = images((64, 64), (64, 128))
    with torch.inference_mode():
        alone = resnet50["backbone"](small[None])[0]
        batched = resnet50["backbone"](batch_images([small, large])[0])[0]
    assert difference(batched[:1, :, :, :8], alone) > 1e-2


def test_a_mask_without_padding_changes_nothing():
    torch.manual_seed(0)
    model = vision(Backbone(BackboneConfig(kind="tiny")), num_levels=3)
    pixels, padding = batch_images(images((64, 64), (64, 64)))
    plain = model["input_projection"](model["backbone"](pixels))
    masked = model["input_projection"](model["backbone"](pixels, padding), padding)
    for one, other in zip(plain, masked, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["resnet50", "tiny"])
def test_what_lies_on_padding_does_not_matter(resnet50, kind):
    model = resnet50 if kind == "resnet50" else vision(Backbone(BackboneConfig(kind="tiny")), num_levels=3)
    pixels, padding = batch_images(images((64, 64), (64, 128)))
    dirty = pixels.masked_fill(padding[:, None], 7.0)
    with torch.inference_mode():
        clean_levels, dirty_levels = (
            model["input_projection"](model["backbone"](batch, padding), padding) for batch in (pixels, dirty)
        )
    for clean, other in zip(clean_levels, dirty_levels, strict=True):
        half = clean.shape[3] // 2
        torch.testing.assert_close(clean[0, :, :, :half], other[0, :, :, :half], rtol=1e-4, atol=1e-5)


# Shapes, training, settings.


@pytest.mark.parametrize("kind", ["resnet50", "swin_t", "swin_l", "tiny"])
def test_maps_have_the_strides_and_channels_they_should(kind):
    # On the meta device nothing is computed, so the large network costs nothing.
    with torch.device("meta"):
        backbone = Backbone(BackboneConfig(kind=kind)).eval()
        projection = InputProjection(backbone.num_channels, num_levels=len(backbone.strides) + 2)
        maps = backbone(torch.zeros(1, 3, 101, 150))
        levels = projection(maps)
    expected = [
        (1, channels, math.ceil(101 / stride), math.ceil(150 / stride))
        for channels, stride in zip(backbone.num_channels, backbone.strides, strict=True)
    ]
    assert [tuple(features.shape) for features in maps] == expected
    further = [2 * backbone.strides[-1], 4 * backbone.strides[-1]]
    assert [tuple(level.shape) for level in levels] == [
        (1, 256, math.ceil(101 / stride), math.ceil(150 / stride)) for stride in (*backbone.strides, *further)
    ]


def test_what_the_published_training_leaves_alone_has_no_gradient():
    with torch.device("meta"):
        resnet = Backbone(BackboneConfig())
        swin = Backbone(BackboneConfig(kind="swin_t"))
        tiny = Backbone(BackboneConfig(kind="tiny"))
    trained = {name for name, parameter in resnet.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[2] for name in trained} == {"1", "2", "3"}
    assert all(name.endswith("convolution.weight") for name in trained)
    still = {name for name, parameter in swin.named_parameters() if not parameter.requires_grad}
    # A table and two norms in each of 12 blocks, norms of 3 merges, 3 maps and the patches; weight and bias.
    assert len(still) == 12 + 2 * (2 * 12 + 3 + 3 + 1)
    assert all(parameter.requires_grad for parameter in tiny.parameters())


def test_every_weight_of_the_tiny_backbone_learns():
    torch.manual_seed(0)
    model = vision(Backbone(BackboneConfig(kind="tiny", tiny_width=8)), width=32, num_levels=3)
    pixels, padding = batch_images(images((40, 40), (33, 64)))
    levels = model["input_projection"](model["backbone"](pixels, padding), padding)
    codes = model["position_code"](level_masks(padding, [tuple(level.shape[2:]) for level in levels]))
    (torch.cat([level.flatten(2).mT for level in levels], 1) * codes).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_frozen_norms_stay_as_they_are_in_training():
    norm = FrozenBatchNorm(2).train()
    norm.running_mean.fill_(1.0)
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    result = norm(torch.tensor([3.0, 5.0]).reshape(1, 2, 1, 1))
    torch.testing.assert_close(result.flatten(), torch.tensor([2.0, 4.0]) / math.sqrt(1 + 1e-5))
    assert all(torch.equal(before[name], tensor) for name, tensor in norm.state_dict().items())
    assert not list(norm.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "vgg"}, "give resnet50, swin_t, swin_l or tiny"),
        ({"kind": "swin_t", "drop_path": 1.0}, "drop_path is 1.0"),
        ({"kind": "resnet50", "drop_path": 0.1}, "leave it at 0"),
        ({"kind": "tiny", "tiny_width": 12}, "multiple of 8"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        BackboneConfig(**settings)


def test_a_projection_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="gives 3 maps"):
        InputProjection((8, 16, 32), num_levels=2)
    with pytest.raises(ValueError, match="no multiple"):
        InputProjection((8,), 100)


# Position code.


def test_positions_are_shares_of_the_image_not_of_the_batch():
    mask = torch.tensor([[[False, False, True, True]]])
    code = sine_position_code(mask, 4, shift=False, dtype=torch.float64)
    # Row 1 of 1 is 2 pi; columns 1 and 2 of 2 are pi and 2 pi. Sine, then cosine; the row first.
    torch.testing.assert_close(code[0, 0, 0], torch.tensor([0, 1, 0, -1.0]).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(code[0, 0, 1], torch.tensor([0, 1, 0, 1.0]).double(), atol=1e-5, rtol=0)


def test_shifted_positions_are_the_centres():
    mask = torch.zeros(1, 1, 2, dtype=torch.bool)
    code = sine_position_code(mask, 4, shift=True, dtype=torch.float64)
    # The row is at pi, the columns at pi / 2 and 3 pi / 2.
    torch.testing.assert_close(code[0, 0, 0], torch.tensor([0, -1, 1, 0.0]).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(code[0, 0, 1], torch.tensor([0, -1, -1, 0.0]).double(), atol=1e-5, rtol=0)


def test_each_pair_of_channels_has_a_longer_wave():
    mask = torch.zeros(1, 1, 4, dtype=torch.bool)
    code = sine_position_code(mask, 8, shift=False, temperature=100.0, dtype=torch.float64)
    # Two wavelengths for each of row and column: 1 and sqrt(100). The first column is at pi / 2.
    expected = torch.tensor([1.0, 0.0, math.sin(math.pi / 20), math.cos(math.pi / 20)]).double()
    torch.testing.assert_close(code[0, 0, 0, 4:], expected, atol=1e-5, rtol=0)


def test_positions_are_finite_where_all_is_padding():
    assert sine_position_code(torch.ones(1, 2, 2, dtype=torch.bool), 8, shift=True).isfinite().all()


# Swin. There is no fixture: the whole is computed a second time from the rules of the published code.


@pytest.mark.parametrize("size", [(64, 92), (29, 250)])
def test_swin_is_what_its_rules_say(size):
    torch.manual_seed(5)
    depths, num_heads, width = (2, 2, 2, 2), (1, 2, 4, 8), 8
    published = _swin_weights(width, depths, num_heads)
    swin = Swin(width=width, depths=depths, num_heads=num_heads, drop_path=0.3)
    model = nn.ModuleDict({"backbone": nn.ModuleDict({"network": swin})})
    load(model, {f"backbone.0.body.{key}": value for key, value in split_swin(published).items()}, NAMES)
    model.double()
    pixels = torch.randn(2, 3, *size).double()
    with torch.inference_mode():
        maps = swin(pixels)
        for features, expected in zip(maps, _swin(published, pixels, depths, num_heads), strict=True):
            assert difference(features, expected) < 1e-9


def _swin_weights(width: int, depths: tuple[int, ...], num_heads: tuple[int, ...]) -> dict[str, Tensor]:
    """Random weights under the published names."""
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embed.proj.weight": (width, 3, 4, 4),
        "patch_embed.proj.bias": (width,),
    }
    norms = {"patch_embed.norm": width}
    for stage, (depth, heads) in enumerate(zip(depths, num_heads, strict=True)):
        wide = width * 2**stage
        for block in range(depth):
            front = f"layers.{stage}.blocks.{block}."
            norms |= {f"{front}norm1": wide, f"{front}norm2": wide}
            shapes[f"{front}attn.relative_position_bias_table"] = (13 * 13, heads)
            for name, (out, given) in {
                "attn.qkv": (3 * wide, wide),
                "attn.proj": (wide, wide),
                "mlp.fc1": (4 * wide, wide),
                "mlp.fc2": (wide, 4 * wide),
            }.items():
                shapes |= {f"{front}{name}.weight": (out, given), f"{front}{name}.bias": (out,)}
        if stage < 3:
            norms[f"layers.{stage}.downsample.norm"] = 4 * wide
            shapes[f"layers.{stage}.downsample.reduction.weight"] = (2 * wide, 4 * wide)
        if stage > 0:
            norms[f"norm{stage}"] = wide
    weights = {key: torch.randn(shape) / math.sqrt(math.prod(shape[1:]) or 1) for key, shape in shapes.items()}
    for name, wide in norms.items():
        weights |= {f"{name}.weight": 1 + 0.1 * torch.randn(wide), f"{name}.bias": 0.1 * torch.randn(wide)}
    return weights


def _swin(
    weights: dict[str, Tensor], pixels: Tensor, depths: tuple[int, ...], num_heads: tuple[int, ...]
) -> list[Tensor]:
    """`SwinTransformer.forward` of the published code, with one mask over all pairs of pixels instead of windows."""
    w = {key: value.double() for key, value in weights.items()}

    def norm(x: Tensor, name: str) -> Tensor:
        return nn.functional.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])

    def linear(x: Tensor, name: str) -> Tensor:
        return nn.functional.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    def attention(x: Tensor, name: str, heads: int, shift: int) -> Tensor:
        _, height, width, _ = x.shape
        x = nn.functional.pad(x, (0, 0, 0, -width % 7, 0, -height % 7))
        rows, columns = x.shape[1:3]
        # Where each pixel lies once the map is rolled by the shift, and so its window and its side of the seams.
        y = (torch.arange(rows) - shift) % rows
        x_ = (torch.arange(columns) - shift) % columns
        y, x_ = (axis.flatten() for axis in torch.meshgrid(y, x_, indexing="ij"))
        window = y // 7 * columns + x_ // 7
        side = [(at >= size - 7).long() + (at >= size - shift) for at, size in ((y, rows), (x_, columns))]
        side = side[0] * 3 + side[1] if shift else torch.zeros_like(window)
        step = (y[:, None] - y + 6).clamp(0, 12) * 13 + (x_[:, None] - x_ + 6).clamp(0, 12)
        bias = w[f"{name}.relative_position_bias_table"][step].permute(2, 0, 1)
        bias = bias - 100.0 * (side[:, None] != side)
        bias = bias.masked_fill(window[:, None] != window, -math.inf)
        q, k, v = linear(x.flatten(1, 2), f"{name}.qkv").unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        scores = (q / math.sqrt(q.shape[-1])) @ k.mT + bias
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        return linear(mixed, f"{name}.proj").unflatten(1, (rows, columns))[:, :height, :width]

    height, width = pixels.shape[-2:]
    pixels = nn.functional.pad(pixels, (0, -width % 4, 0, -height % 4))
    x = nn.functional.conv2d(pixels, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=4)
    x = norm(x.permute(0, 2, 3, 1), "patch_embed.norm")
    maps = []
    for stage, (depth, heads) in enumerate(zip(depths, num_heads, strict=True)):
        for block in range(depth):
            front = f"layers.{stage}.blocks.{block}"
            x = x + attention(norm(x, f"{front}.norm1"), f"{front}.attn", heads, 3 * (block % 2))
            hidden = nn.functional.gelu(linear(norm(x, f"{front}.norm2"), f"{front}.mlp.fc1"))
            x = x + linear(hidden, f"{front}.mlp.fc2")
        if stage > 0:
            maps.append(norm(x, f"norm{stage}").permute(0, 3, 1, 2))
        if stage < 3:
            x = nn.functional.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
            x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
            x = linear(norm(x, f"layers.{stage}.downsample.norm"), f"layers.{stage}.downsample.reduction")
    return maps
