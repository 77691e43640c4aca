"""The image side before ALIF: a backbone gives feature maps, an input projection brings them to one width.

Shapes: B images, H rows, W columns, C channels of a map, L levels, D width. Masks are true on padding.

Batches are padded (`stages.alif.images`). The published code lets the features of an image run into the padding beside
it and back: the convolutions do not know where the image ends, and group norms average over the padding. So what is
found in an image depends a little on the images beside it. That is what is computed when `padding` is left out. With
`padding`, an image has the features that it has alone, if the batch is rounded up to a multiple of the coarsest stride
(`batch_images(..., multiple_of=...)`); this works for all kinds but Swin, whose windows reach over the border.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.alif.images import PaddingMasks

NORM_EPS = 1e-5
"""Of every norm of the backbones, frozen or not; the value of torchvision, Swin and DETR."""


@dataclass(frozen=True)
class BackboneConfig:
    """Which network sees the pixels. The published models are `resnet50`, `swin_t` and `swin_l`."""

    kind: Literal["resnet50", "swin_t", "swin_l", "tiny"] = "resnet50"
    drop_path: float = 0.0
    """Swin only: chance that the last block is skipped in training, earlier ones less. Published: T 0.2, L 0.5."""
    tiny_width: int = 32
    """`tiny` only: channels of its first map, a multiple of 8; the second has twice as many."""

    def __post_init__(self) -> None:
        if self.kind not in {"resnet50", "swin_t", "swin_l", "tiny"}:
            raise ValueError(f"the backbone is {self.kind!r}; give resnet50, swin_t, swin_l or tiny")
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path is {self.drop_path}; give a number from 0 to below 1")
        if self.drop_path and not self.kind.startswith("swin"):
            raise ValueError(f"drop_path is {self.drop_path}, but a {self.kind} has none; leave it at 0")
        if self.tiny_width < 8 or self.tiny_width % 8:
            raise ValueError(f"tiny_width is {self.tiny_width}; give a positive multiple of 8")


class Backbone(nn.Module):  # type: ignore[misc]
    """Pixels to feature maps, finest first.

    ======== ============ ====================== =====================================================
    kind     strides      channels               what is not trained, as published
    ======== ============ ====================== =====================================================
    resnet50 8, 16, 32    512, 1024, 2048        all norms; the stem and the first stage
    swin_t   8, 16, 32    192, 384, 768          all norms and tables of relative position
    swin_l   8, 16, 32    384, 768, 1536         the same
    tiny     8, 16        width, 2 * width       nothing; ours, for the embedded model
    ======== ============ ====================== =====================================================

    Stride s means ceil(H / s) rows and ceil(W / s) columns; any size goes in.

    Sources: `models/DDETR_backbone.py` (ResNet-50 of torchvision, stride on the 3x3 convolution) and
    `models/swin/backbone.py` (windows of 7, each map behind a layer norm of its own).
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.network: nn.Module
        self.num_channels: tuple[int, ...]
        if config.kind == "resnet50":
            self.network = ResNet(
                stem_width=64,
                stages=(Stage(64, 3, stride=1), Stage(128, 4), Stage(256, 6), Stage(512, 3)),
                bottleneck=True,
                frozen_norms=True,
                num_maps=3,
            )
            self.network.stem.requires_grad_(requires_grad=False)
            self.network.stages[0].requires_grad_(requires_grad=False)
            self.num_channels = (512, 1024, 2048)
        elif config.kind == "tiny":
            width = config.tiny_width
            self.network = ResNet(
                stem_width=width,
                stages=(Stage(width, 1), Stage(2 * width, 1)),
                bottleneck=False,
                frozen_norms=False,
                num_maps=2,
            )
            self.num_channels = (width, 2 * width)
        else:
            large = config.kind == "swin_l"
            width = 192 if large else 96
            self.network = Swin(
                width=width,
                depths=(2, 2, 18, 2) if large else (2, 2, 6, 2),
                num_heads=(6, 12, 24, 48) if large else (3, 6, 12, 24),
                drop_path=config.drop_path,
            )
            self.num_channels = (2 * width, 4 * width, 8 * width)
        self.strides: tuple[int, ...] = (8, 16, 32)[: len(self.num_channels)]

    def forward(self, pixels: Tensor, padding: Tensor | None = None) -> list[Tensor]:
        """Compute the maps.

        Args:
            pixels: (B, 3, H, W), normalised, zero on padding.
            padding: (B, H, W) bool. Without it the padding takes part, as in the published code; see the head of this
                file. Swin does not look at it.

        Returns:
            A map (B, C, ceil(H / s), ceil(W / s)) for each of `strides` and `num_channels`. Values on padding mean
            nothing.
        """
        maps: list[Tensor] = self.network(pixels, None if padding is None else PaddingMasks(padding))
        return maps


class InputProjection(nn.Module):  # type: ignore[misc]
    """Brings each map to width D, and adds coarser levels made from the last map.

    A 1x1 convolution a map; the first further level is a 3x3 convolution of stride 2 over the last map as the backbone
    gave it, not over its projection; levels after that take the level before. A group norm behind each.
    Source: `input_proj` of `RLIP_ParSeDA` (`models/hoi.py`), after Deformable DETR.
    """

    def __init__(
        self, num_channels: Sequence[int], width: int = 256, *, num_levels: int = 4, num_groups: int = 32
    ) -> None:
        """
        Args:
            num_channels: C of each map of the backbone.
            width: D, a multiple of `num_groups`.
            num_levels: L, at least the number of maps. RLIPv2 has 4.
            num_groups: of the group norms.

        Raises:
            ValueError: if there are fewer levels than maps, or the groups do not divide the width.
        """
        super().__init__()
        if num_levels < len(num_channels):
            raise ValueError(f"num_levels is {num_levels}, but the backbone gives {len(num_channels)} maps")
        if width % num_groups:
            raise ValueError(f"the width {width} is no multiple of the {num_groups} groups of its norms")
        # Of the further levels, the first takes the last map, the others the projected level before them.
        inputs = [*num_channels, num_channels[-1], *[width] * num_levels][:num_levels]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, width, kernel_size=1)
            if level < len(num_channels)
            else nn.Conv2d(channels, width, kernel_size=3, stride=2, padding=1)
            for level, channels in enumerate(inputs)
        )
        self.norms = nn.ModuleList(GroupNorm(num_groups, width) for _ in inputs)
        for convolution in self.convolutions:
            nn.init.xavier_uniform_(convolution.weight)
            nn.init.zeros_(convolution.bias)

    def forward(self, maps: Sequence[Tensor], padding: Tensor | None = None) -> list[Tensor]:
        """Project.

        Args:
            maps: the maps of the backbone (B, C, H, W), finest first.
            padding: (B, H, W) bool, of the pixels; as in `Backbone.forward`.

        Returns:
            L levels (B, D, H, W): the maps' sizes, then each half the size before, rounded up.
        """
        masks = None if padding is None else PaddingMasks(padding)
        levels: list[Tensor] = []
        for level, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            if level < len(maps):
                features = maps[level]
            elif level == len(maps):
                features = _without_padding(maps[-1], masks)
            else:
                features = _without_padding(levels[-1], masks)
            levels.append(norm(convolution(features), masks))
        return levels


@dataclass(frozen=True)
class Stage:
    """One stage of a `ResNet`: blocks of one width; the first block divides the size by `stride`."""

    width: int
    num_blocks: int
    stride: int = 2


class ResNet(nn.Module):  # type: ignore[misc]
    """A residual network (He et al. 2016): a stem of stride 4, then stages; the last maps are the result.

    Like torchvision's in all that decides a number: the stride of a bottleneck is on its 3x3 convolution, no
    convolution has a bias, the pool of the stem is 3x3 of stride 2.
    """

    def __init__(
        self, *, stem_width: int, stages: Sequence[Stage], bottleneck: bool, frozen_norms: bool, num_maps: int
    ) -> None:
        """
        Args:
            stem_width: channels behind the stem.
            stages: fine to coarse. A bottleneck stage gives four times its width in channels.
            bottleneck: blocks of 1x1, 3x3, 1x1 (ResNet-50) rather than of two 3x3.
            frozen_norms: frozen batch norms, as for trained weights; otherwise group norms, to train from nothing.
            num_maps: how many of the last stages give a map.
        """
        super().__init__()
        self.stem = Convolved(3, stem_width, kernel=7, stride=2, frozen_norm=frozen_norms)
        self.stages = nn.ModuleList()
        channels = stem_width
        for stage in stages:
            blocks = nn.ModuleList()
            for index in range(stage.num_blocks):
                block = _Block(
                    channels,
                    stage.width,
                    stride=stage.stride if index == 0 else 1,
                    bottleneck=bottleneck,
                    frozen_norm=frozen_norms,
                )
                blocks.append(block)
                channels = block.num_channels
            self.stages.append(blocks)
        self._num_maps = num_maps

    def forward(self, pixels: Tensor, masks: PaddingMasks | None = None) -> list[Tensor]:
        """(B, 3, H, W) to `num_maps` maps (B, C, H, W), finest first."""
        features = functional.relu(self.stem(pixels, masks))
        # The pool fills its border with minus infinity, but behind a ReLU a zero on padding is no less.
        features = functional.max_pool2d(_without_padding(features, masks), kernel_size=3, stride=2, padding=1)
        maps = []
        for blocks in self.stages:
            for block in blocks:
                features = block(features, masks)
            maps.append(features)
        return maps[-self._num_maps :]


class _Block(nn.Module):  # type: ignore[misc]
    """Convolutions with a way around them; the way around gets a 1x1 convolution where shapes differ."""

    def __init__(self, channels: int, width: int, *, stride: int, bottleneck: bool, frozen_norm: bool) -> None:
        super().__init__()
        self.num_channels = 4 * width if bottleneck else width
        # Input channels, output channels, kernel, stride.
        shapes = (
            [(channels, width, 1, 1), (width, width, 3, stride), (width, self.num_channels, 1, 1)]
            if bottleneck
            else [(channels, width, 3, stride), (width, width, 3, 1)]
        )
        self.convolutions = nn.ModuleList(
            Convolved(given, made, kernel=kernel, stride=step, frozen_norm=frozen_norm)
            for given, made, kernel, step in shapes
        )
        self.shortcut = (
            Convolved(channels, self.num_channels, kernel=1, stride=stride, frozen_norm=frozen_norm)
            if stride != 1 or channels != self.num_channels
            else None
        )

    def forward(self, features: Tensor, masks: PaddingMasks | None) -> Tensor:
        around = features if self.shortcut is None else self.shortcut(features, masks)
        *first, last = self.convolutions
        for convolution in first:
            features = functional.relu(convolution(features, masks))
        return functional.relu(last(features, masks) + around)


class Convolved(nn.Module):  # type: ignore[misc]
    """A convolution without bias, and its norm. It halves or keeps the size: H / stride, rounded up."""

    def __init__(self, channels: int, width: int, *, kernel: int, stride: int, frozen_norm: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=False)
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_out", nonlinearity="relu")
        self.norm = FrozenBatchNorm(width) if frozen_norm else GroupNorm(8, width)
        self._looks_around = kernel > 1

    def forward(self, features: Tensor, masks: PaddingMasks | None) -> Tensor:
        """(B, C, H, W) to (B, width, H / stride, W / stride)."""
        if self._looks_around:
            features = _without_padding(features, masks)
        return self.norm(self.convolution(features), masks)


class FrozenBatchNorm(nn.Module):  # type: ignore[misc]
    """A batch norm whose statistics and weights never change: buffers, in training mode, too (DETR)."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(width))
        self.register_buffer("bias", torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, features: Tensor, _masks: PaddingMasks | None = None) -> Tensor:
        """(B, C, H, W) to the same shape; padding does not matter to fixed statistics."""
        return functional.batch_norm(
            features, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=NORM_EPS
        )


class GroupNorm(nn.GroupNorm):  # type: ignore[misc]
    """A group norm that can leave padding out of mean and variance."""

    def __init__(self, num_groups: int, width: int) -> None:
        super().__init__(num_groups, width, eps=NORM_EPS)

    def forward(self, features: Tensor, masks: PaddingMasks | None = None) -> Tensor:
        """(B, C, H, W) to the same shape. With masks, values on padding mean nothing."""
        if masks is None:
            return super().forward(features)
        height, width = features.shape[-2:]
        image = (~masks.at(height, width))[:, None, None].to(features.dtype)  # (B, 1, 1, H, W)
        groups = features.unflatten(1, (self.num_groups, -1))  # (B, groups, C / groups, H, W)
        count = image.sum((2, 3, 4), keepdim=True) * groups.shape[2]
        mean = (groups * image).sum((2, 3, 4), keepdim=True) / count
        centred = groups - mean
        variance = (centred.square() * image).sum((2, 3, 4), keepdim=True) / count
        normal = (centred * (variance + self.eps).rsqrt()).flatten(1, 2)
        return normal * self.weight[:, None, None] + self.bias[:, None, None]


class Swin(nn.Module):  # type: ignore[misc]
    """A Swin Transformer (Liu et al. 2021) as RLIPv2 uses it: windows of 7, a layer norm on each map that goes out.

    The network is the one of the transformers library, which computes what `models/swin/swin_transformer.py` does:
    pixels are padded to whole patches of 4, maps to whole windows and to even size before patches are merged, windows
    are shifted by 3 in every second block, also on maps smaller than a window, and the maps that go out are taken
    before the merging. No published weights were at hand to compare; the tests compute it a second way.
    """

    def __init__(self, *, width: int, depths: Sequence[int], num_heads: Sequence[int], drop_path: float) -> None:
        """
        Args:
            width: channels of the first stage; each further one has twice as many.
            depths: blocks of each stage.
            num_heads: of each stage.
            drop_path: chance that the last block is skipped in training; grows from 0 block by block.
        """
        super().__init__()
        import transformers

        config = transformers.SwinConfig(
            embed_dim=width,
            depths=list(depths),
            num_heads=list(num_heads),
            window_size=7,
            drop_path_rate=drop_path,
            layer_norm_eps=NORM_EPS,
            out_features=[f"stage{stage}" for stage in range(2, len(depths) + 1)],
        )
        self.model: Any = transformers.SwinBackbone(config)
        # A norm behind the last stage that no map passes through.
        self.model.swin.layernorm = nn.Identity()
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_("norm" not in name and "relative_position_bias_table" not in name)

    def forward(self, pixels: Tensor, _masks: PaddingMasks | None = None) -> list[Tensor]:
        """(B, 3, H, W) to a map (B, C, H, W) for each stage but the first, finest first."""
        return list(self.model(pixels).feature_maps)


def _without_padding(features: Tensor, masks: PaddingMasks | None) -> Tensor:
    """Zeros where padding is, as if the image ended there."""
    if masks is None:
        return features
    height, width = features.shape[-2:]
    return features.masked_fill(masks.at(height, width)[:, None], 0)
