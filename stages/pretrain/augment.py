"""What a training picture is turned into before the network sees it: flipped, cropped, and of another size each time.

The recipe of DETR that RLIPv2 pre-trains with (`datasets/transforms.py`, `make_coco_transforms`), with three changes:

* It is decided before the picture is decoded, from its size and its boxes alone. So a JPEG can be decoded at a fraction
  of its size, and pixels are resampled once, not up to three times.
* Published crops fall where they may and leave labels without the thing they speak of. Here a crop is drawn around one
  of the labelled pairs, and what hardly shows any more is not called a region (`AugmentConfig.published` for the old
  way).
* A pair that shows too little to be labelled, but may still be seen, is reported (`ViewLabels.doubtful`), so that a
  loss can leave it out rather than punish the network for finding it.

Usage::

    view = draw_view(config, width, height, boxes_xyxy_px, pairs, rng)
    pixels = render(view, data)
    labels = labels_in_view(view, boxes_xyxy_px, pairs, min_visible=config.min_visible)
    predicate = mirrored(predicate) if view.flipped else predicate  # names of regions, too

Shape letters: N regions of the picture, M labelled pairs, K regions that stay, P pairs that stay, D doubtful pairs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

from schemas import BadInputError, Box
from stages.picture import decode_rgb, open_picture

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Size = tuple[int, int]
"""Width and height, in pixels."""
Colour = Literal["brightness", "contrast", "saturation"]
"""What of all colours of a picture may change."""

_ENHANCERS: Final = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
}

# Of so many crops that keep a pair, the first without a doubtful pair is taken, else the one with the fewest. Of the
# pairs of 3,767 HICO-DET pictures, all cropped, 2.9 % are doubtful with one try, 1.0 % with two, 0.1 % with eight.
# Crops as published, with the same `min_visible`, make 13 % doubtful, and leave 18 % of the pictures without a pair.
_MOST_TRIES: Final = 8

# What is narrower or lower, in pixels of the original, has no area. Thicker boxes have one also as float32 fractions.
_THINNEST: Final = 0.01

# By how much libjpeg can scale while it decodes: the picture is a half, a quarter or an eighth as wide and high.
_JPEG_SCALES: Final = (8, 4, 2)


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How pictures are varied. The sizes and chances are the published ones.

    Usage::

        AugmentConfig()  # for training
        AugmentConfig(short_sides=(480, 512), longest=800)  # less memory
        AugmentConfig.of_size(160, 266)  # for a small network
        AugmentConfig.none(short_side=800)  # for evaluation
        AugmentConfig.published()  # to compare with the published crops
    """

    flip: float = 0.5
    """Chance that left and right change places."""
    short_sides: tuple[int, ...] = (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    """Pixels of the shorter side for the network; each picture draws one."""
    longest: int = 1333
    """Most pixels of the longer side for the network."""
    crop: float = 0.5
    """Chance that the network sees a part of the picture only."""
    crop_short_sides: tuple[int, ...] = (400, 500, 600)
    """Pixels that the shorter side is taken to have while a crop is drawn; each crop draws one."""
    crop_size: tuple[int, int] = (384, 600)
    """Least and most pixels of each side of a crop, of a picture with such a shorter side. A side of the picture that
    has fewer is not cropped; a pair that needs more gets more."""
    keep_pairs: bool = True
    """Whether a crop must show one of the labelled pairs wholly; of a picture without pairs, one of the regions."""
    min_visible: float = 0.5
    """Share of its area that a region must show to stay a region. 0: any."""
    colours: float = 0.0
    """Most by which brightness, contrast and saturation change, each for itself: 0.4 makes them 0.6 to 1.4 times what
    they are. RLIPv2 varies colours in fine-tuning only, by 0.4."""

    def __post_init__(self) -> None:
        for name in ("flip", "crop", "min_visible", "colours"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"{name} is {value}; give a number from 0 to 1")
        for name in ("short_sides", "crop_short_sides"):
            sides = getattr(self, name)
            if not sides or min(sides) < 1:
                raise ValueError(f"{name} is {sides}; give at least one number of pixels, each at least 1")
        if self.longest < max(self.short_sides):
            raise ValueError(
                f"longest is {self.longest}; give at least {max(self.short_sides)}, the largest of short_sides"
            )
        if len(self.crop_size) != 2 or not 1 <= self.crop_size[0] <= self.crop_size[1]:
            raise ValueError(f"crop_size is {self.crop_size}; give the least and the most pixels, the least at least 1")

    @classmethod
    def of_size(cls, short_side: int, longest: int) -> "AugmentConfig":
        """The published sizes, which are for pictures of 800 by 1333, in proportion to those of another size."""
        sizes = cls()
        published = max(sizes.short_sides)

        def scaled(pixels: int) -> int:
            return max(1, round(pixels * short_side / published))

        least, most = sizes.crop_size
        return cls(
            short_sides=tuple(map(scaled, sizes.short_sides)),
            longest=longest,
            crop_short_sides=tuple(map(scaled, sizes.crop_short_sides)),
            crop_size=(scaled(least), scaled(most)),
        )

    @classmethod
    def none(cls, short_side: int = 800, longest: int = 1333) -> "AugmentConfig":
        """The whole picture, never flipped, in one size: that of `stages.alif.images.network_size`."""
        return cls(flip=0, crop=0, short_sides=(short_side,), longest=longest)

    @classmethod
    def published(cls) -> "AugmentConfig":
        """Crops that fall where they may; a region is what shows at all."""
        return cls(keep_pairs=False, min_visible=0)


@dataclass(frozen=True, slots=True)
class View:
    """What the network is shown of a picture."""

    picture: Size
    """Of the original."""
    crop: Box
    """The part that is shown: corners in pixels of the original, inside of it; maybe less than a pixel wide or high."""
    size: Size
    """That the part is scaled to."""
    flipped: bool
    """Whether left and right change places, after the crop."""
    colours: tuple[tuple[Colour, float], ...] = ()
    """What is changed, in this order, and by which factor."""


@dataclass(frozen=True, eq=False, slots=True)
class ViewLabels:
    """What can be said about a view."""

    regions: Ints
    """(K,) the regions that stay, ascending: rows of the boxes of the picture."""
    boxes_xyxy: Floats
    """(K, 4) the part of each that shows, as fractions of the view. All have an area, also as float32."""
    kept: Ints
    """(P,) the pairs that stay, ascending: rows of the pairs of the picture."""
    pairs: Ints
    """(P, 2) the same pairs, as rows of `regions` and `boxes_xyxy`."""
    doubtful: Ints
    """(D,) the pairs that do not stay, though something of both regions shows: rows of the pairs of the picture. A
    network that finds one should be neither rewarded nor punished; `apply_to_boxes` has their boxes."""


def scaled_size(width: int, height: int, *, short_side: int, longest: int | None = None) -> Size:
    """The size of a picture whose shorter side becomes `short_side`, unless the longer one gets past `longest`.

    `stages.alif.images.network_size`, rounding included, for those who are without PyTorch; a test holds them equal.
    """
    short, long = min(width, height), max(width, height)
    if longest is not None and long / short * short_side > longest:
        short_side = round(longest * short / long)
    new = (short_side, int(short_side * long / short)) if short_side else (1, longest or 1)
    return new if width < height else (new[1], new[0])


def draw_view(  # noqa: PLR0917 - a picture, what is said about it, and chance, as everywhere
    config: AugmentConfig, width: int, height: int, boxes_xyxy_px: Floats, pairs: Ints, rng: np.random.Generator
) -> View:
    """Decide how a picture is shown this time.

    With `keep_pairs` at least one pair is wholly inside of the view, if there is one whose boxes have areas.

    Args:
        config: what is drawn from.
        width: pixels of the original.
        height: pixels of the original.
        boxes_xyxy_px: (N, 4) corners of the regions in pixels of the original; what is outside of it is ignored. May be
            empty.
        pairs: (M, 2) rows of subject and object of the labelled pairs. May be empty.
        rng: where chance comes from. The same state gives the same view.

    Raises:
        ValueError: if the picture has no pixels, boxes or pairs have another shape, a corner is not finite, or a pair
            names a box that is not there.
    """
    if min(width, height) < 1:
        raise ValueError(f"the picture measures {width} x {height}; give the size of one that has pixels")
    boxes = _clipped(_checked_boxes(boxes_xyxy_px), (0, 0, width, height))
    pairs = _checked_pairs(pairs, len(boxes))
    flipped = bool(rng.random() < config.flip)
    short_side = _pick(config.short_sides, rng)
    cut = _Cut((0.0, 0.0, float(width), float(height)), (width, height))
    if rng.random() < config.crop:
        cut = _draw_cut(config, (width, height), boxes, pairs, rng)
    size = scaled_size(*cut.shape, short_side=short_side, longest=config.longest)
    colours = _draw_colours(config.colours, rng) if config.colours else ()
    return View(picture=(width, height), crop=cut.box, size=size, flipped=flipped, colours=colours)


def apply_to_boxes(view: View, boxes_xyxy_px: Floats) -> tuple[Floats, Floats]:
    """Where boxes are in a view, and how much of them it shows.

    Args:
        view: any.
        boxes_xyxy_px: (N, 4) corners in pixels of the original. May be empty.

    Returns:
        (N, 4) corners as fractions of the view, each in [0, 1]: of the part that shows. A box that does not show has no
        area, and lies at the nearest edge or corner.

        (N,) share of the area of each in [0, 1], and 1 exactly for a box that is wholly inside. What is outside of the
        picture does not count. A box without an area in the picture, thinner than a hundredth of a pixel, has 0.

    Raises:
        ValueError: as `draw_view`.
    """
    in_picture = _clipped(_checked_boxes(boxes_xyxy_px), (0, 0, *view.picture))
    shown = _clipped(in_picture, view.crop)
    area = _areas(in_picture)
    visible = np.divide(_areas(shown), area, out=np.zeros_like(area), where=area > 0)
    left, top, right, bottom = view.crop
    fractions = (shown - (left, top, left, top)) / (right - left, bottom - top, right - left, bottom - top)
    if view.flipped:
        fractions[:, [0, 2]] = 1 - fractions[:, [2, 0]]
    return fractions, visible


def labels_in_view(view: View, boxes_xyxy_px: Floats, pairs: Ints, *, min_visible: float) -> ViewLabels:
    """Which regions and pairs of a picture stay in a view.

    A region stays if some of it shows, and at least `min_visible` of its area; its box is then the part that shows. A
    pair stays if both of its regions do. Nothing is added. A view of the whole picture keeps every region that has an
    area in it.

    Args:
        view: any.
        boxes_xyxy_px: (N, 4) corners of the regions in pixels of the original. May be empty.
        pairs: (M, 2) rows of subject and object. May be empty.
        min_visible: see `AugmentConfig`.

    Raises:
        ValueError: as `draw_view`.
    """
    fractions, visible = apply_to_boxes(view, boxes_xyxy_px)
    pairs = _checked_pairs(pairs, len(visible))
    shows = visible > 0
    stays = shows & (visible >= min_visible)
    regions = np.flatnonzero(stays)
    places = np.cumsum(stays) - 1
    kept = stays[pairs].all(axis=1)
    return ViewLabels(
        regions=regions,
        boxes_xyxy=fractions[regions],
        kept=np.flatnonzero(kept),
        pairs=places[pairs[kept]],
        doubtful=np.flatnonzero(shows[pairs].all(axis=1) & ~kept),
    )


def render(view: View, data: bytes) -> npt.NDArray[np.uint8]:
    """The pixels of a view: decoded, cropped and scaled with one resampling, flipped.

    Pillow's bilinear filter, which averages when it makes smaller, as `resize_for_network`. Colours are those of
    `stages.picture.decode_rgb`. A JPEG that is to become much smaller is decoded at a half, a quarter or an eighth, but
    never so small that it would have to grow again.

    Args:
        view: of this picture.
        data: the encoded picture.

    Returns:
        (H, W, 3) RGB, contiguous and writable, where (W, H) is `view.size`.

    Raises:
        OSError: if it is no picture, or cut short (decoders may raise other errors, too).
        BadInputError: if it has another size than the view was drawn for.
    """
    picture, shrunk = _decode(view, data)
    left, top, right, bottom = (side / shrunk for side in view.crop)
    picture = picture.resize(view.size, Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    if view.flipped:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for colour, factor in view.colours:
        picture = _ENHANCERS[colour](picture).enhance(factor)
    return np.array(picture)


def _decode(view: View, data: bytes) -> tuple[Image.Image, int]:
    """The whole picture in RGB, and how many pixels of the original became one along each side."""
    with open_picture(data) as image:
        if image.format in {"JPEG", "MPO"}:
            _check_size(view, image.size)
            shrunk = _shrink(view, image)
            image.load()
            # As `decode_rgb`: JPEG knows neither transparency nor more than 8 bit.
            return (image if image.mode == "RGB" else image.convert("RGB")), shrunk
    picture = decode_rgb(data)
    _check_size(view, picture.size)
    return picture, 1


def _shrink(view: View, image: Image.Image) -> int:
    """Have a JPEG decoded as small as a view permits; how many pixels become one along each side."""
    (width, height), (left, top, right, bottom) = view.picture, view.crop
    for scale in _JPEG_SCALES:
        if (right - left) / scale >= view.size[0] and (bottom - top) / scale >= view.size[1]:
            # Pillow takes the largest scale that leaves at least this size, which is `scale`.
            return scale if image.draft(None, (width // scale, height // scale)) else 1
    return 1


def _check_size(view: View, size: Size) -> None:
    if size != view.picture:
        expected = f"{view.picture[0]} x {view.picture[1]}"
        raise BadInputError(f"the picture measures {size[0]} x {size[1]} pixels, but its labels are for {expected}")


def _draw_colours(most: float, rng: np.random.Generator) -> tuple[tuple[Colour, float], ...]:
    """Each colour setting with a factor, in random order."""
    names = get_args(Colour)
    return tuple((names[place], float(rng.uniform(1 - most, 1 + most))) for place in rng.permutation(len(names)))


@dataclass(frozen=True, slots=True)
class _Cut:
    """A part of a picture."""

    box: Box
    """In pixels of the original."""
    shape: Size
    """Of the part in pixels of the scaled picture that it was drawn in, which say its ratio."""


def _draw_cut(config: AugmentConfig, picture: Size, boxes: Floats, pairs: Ints, rng: np.random.Generator) -> _Cut:
    """A crop as wanted; of those that keep a pair, one with few doubtful pairs.

    Args:
        config: what is wanted.
        picture: the size of the original.
        boxes: (N, 4) inside of the picture.
        pairs: (M, 2) rows of `boxes`.
        rng: where chance comes from.
    """
    to_keep = _with_area(boxes, pairs)
    if not config.keep_pairs or not len(to_keep):
        return _draw_cut_around(config, picture, None, rng)
    cuts: list[tuple[int, _Cut]] = []
    while len(cuts) < _MOST_TRIES and not any(num == 0 for num, _ in cuts):
        pair = boxes[to_keep[rng.integers(len(to_keep))]]
        cut = _draw_cut_around(config, picture, np.concatenate((pair[:, :2].min(axis=0), pair[:, 2:].max(axis=0))), rng)
        view = View(picture=picture, crop=cut.box, size=cut.shape, flipped=False)
        cuts.append((len(labels_in_view(view, boxes, to_keep, min_visible=config.min_visible).doubtful), cut))
    return min(cuts, key=lambda numbered: numbered[0])[1]


def _with_area(boxes: Floats, pairs: Ints) -> Ints:
    """(M', 2) the pairs whose boxes both have an area; without any, each box that has one, as a pair with itself."""
    has_area = _areas(boxes) > 0
    usable = pairs[has_area[pairs].all(axis=1)]
    return usable if len(usable) else np.repeat(np.flatnonzero(has_area)[:, None], 2, axis=1)


def _draw_cut_around(config: AugmentConfig, picture: Size, inside: Floats | None, rng: np.random.Generator) -> _Cut:
    """A crop of a drawn size at a drawn place, which has a box inside, or none in particular.

    As published it is drawn in whole pixels of the scaled picture, which is never made.
    """
    scaled = scaled_size(*picture, short_side=_pick(config.crop_short_sides, rng))
    corners, sides = np.zeros((2, 2)), []
    for axis, (length, original) in enumerate(zip(scaled, picture, strict=True)):
        start, stop = length, 0
        if inside is not None:
            start = math.floor(inside[axis] * length / original)
            stop = math.ceil(inside[axis + 2] * length / original)
        first, num = _draw_span(length, config.crop_size, start, stop, rng)
        corners[:, axis] = first * original / length, (first + num) * original / length
        sides.append(num)
    if inside is not None:  # rounding must not cut off the last bit
        corners = np.stack((np.minimum(corners[0], inside[:2]), np.maximum(corners[1], inside[2:])))
    (left, top), (right, bottom) = corners.tolist()
    return _Cut((left, top, right, bottom), (sides[0], sides[1]))


def _draw_span(length: int, sizes: tuple[int, int], start: int, stop: int, rng: np.random.Generator) -> tuple[int, int]:
    """The first pixel, and how many, of a random part of `length` pixels.

    Args:
        length: of the whole.
        sizes: least and most pixels of the part, if there are as many, and if [start, stop) needs no more.
        start: the part has [start, stop) inside; with `length` and 0 that asks for nothing.
        stop: see `start`.
        rng: where chance comes from.
    """
    needed = stop - start
    most = sizes[1] if needed <= sizes[1] else length
    num = int(rng.integers(min(max(sizes[0], needed), length), min(most, length), endpoint=True))
    first = int(rng.integers(max(0, stop - num), min(length - num, start), endpoint=True))
    return first, num


def _pick(numbers: Sequence[int], rng: np.random.Generator) -> int:
    return numbers[int(rng.integers(len(numbers)))]


def _clipped(boxes: Floats, frame: Sequence[float]) -> Floats:
    """Boxes cut to what is inside of a frame; one that is outside becomes a point or line on its edge."""
    left, top, right, bottom = frame
    return np.clip(boxes, (left, top, left, top), (right, bottom, right, bottom))


def _areas(boxes: Floats) -> Floats:
    """(N,) square pixels; 0 for a box that is too thin, or turned inside out."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.where((sides >= _THINNEST).all(axis=1), sides[:, 0] * sides[:, 1], 0.0)


def _checked_boxes(boxes_xyxy_px: Floats) -> Floats:
    boxes = np.asarray(boxes_xyxy_px, dtype=np.float64)
    if boxes.size == 0:
        return np.zeros((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError(f"boxes have shape {boxes.shape}; give finite numbers of shape (N, 4)")
    return boxes


def _checked_pairs(pairs: Ints, num_boxes: int) -> Ints:
    checked = np.asarray(pairs)
    if checked.size == 0:
        return np.zeros((0, 2), dtype=np.int64)
    if checked.ndim != 2 or checked.shape[1] != 2 or checked.min() < 0 or checked.max() >= num_boxes:
        raise ValueError(f"pairs have shape {checked.shape}; give rows of (M, 2) between 0 and {num_boxes - 1}")
    return checked.astype(np.int64)
