"""What the network is shown of a picture, and what is said about it: boxes, pairs and words follow the pixels."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from schemas import BadInputError
from stages.picture import decode_rgb
from stages.pretrain import (
    AugmentConfig,
    View,
    apply_to_boxes,
    draw_view,
    labels_in_view,
    mirrored,
    render,
    scaled_size,
)

SMALL = AugmentConfig(
    short_sides=(48, 56, 64), longest=120, crop_short_sides=(40, 50, 60), crop_size=(38, 60), flip=0.5, crop=0.7
)
NO_BOXES, NO_PAIRS = np.zeros((0, 4)), np.zeros((0, 2), dtype=np.int64)
ALWAYS_CROP = AugmentConfig(crop=1)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def encoded(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def natural(width: int, height: int) -> np.ndarray:
    """Shades, edges and a little grain, as in a photograph."""
    rng = generator(7)
    y, x = np.mgrid[:height, :width] / max(width, height)
    pixels = np.zeros((height, width, 3))
    for channel in range(3):
        for _ in range(6):
            fx, fy, phase = rng.uniform(-25, 25), rng.uniform(-25, 25), rng.uniform(0, 6)
            pixels[..., channel] += np.sin(fx * x + fy * y + phase)
    pixels = 128 + pixels * 18
    for _ in range(12):
        left, top = int(rng.integers(width)), int(rng.integers(height))
        pixels[top : top + height // 5, left : left + width // 6] = rng.uniform(20, 235, size=3)
    return np.clip(pixels + rng.normal(0, 3, size=pixels.shape), 0, 255).astype(np.uint8)


def rendered_plainly(view: View, data: bytes) -> np.ndarray:
    """Decoded at full size by the one door for pictures."""
    pixels = np.asarray(decode_rgb(data).resize(view.size, Image.Resampling.BILINEAR, box=view.crop))
    return pixels[:, ::-1] if view.flipped else pixels


@st.composite
def labelled(draw: st.DrawFn) -> tuple[int, int, np.ndarray, np.ndarray]:
    """Width, height, boxes (some reach beyond the picture, touch its edges, or have no area) and pairs."""
    width, height = draw(st.integers(1, 700)), draw(st.integers(1, 700))
    places = st.tuples(*[st.floats(-0.1, 1.1) | st.sampled_from([0, 0.25, 0.5, 1])] * 4)
    corners = draw(st.lists(places, max_size=6))
    boxes = np.array(
        [(min(a, c) * width, min(b, d) * height, max(a, c) * width, max(b, d) * height) for a, b, c, d in corners]
    ).reshape(-1, 4)
    rows = st.integers(0, max(len(boxes) - 1, 0))
    pairs = draw(st.lists(st.tuples(rows, rows), max_size=6)) if len(boxes) else []
    return width, height, boxes, np.array(pairs, dtype=np.int64).reshape(-1, 2)


CONFIGS = st.sampled_from(
    [SMALL, ALWAYS_CROP, AugmentConfig.published(), replace(SMALL, min_visible=0.9), AugmentConfig.none(64, 120)]
)


# What is drawn


@given(labelled(), CONFIGS, st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_view(picture, config, seed):
    assert draw_view(config, *picture, generator(seed)) == draw_view(config, *picture, generator(seed))


@given(labelled(), CONFIGS, st.integers(0, 2**32))
def test_a_view_is_inside_its_picture_and_no_larger_than_allowed(picture, config, seed):
    width, height = picture[:2]
    view = draw_view(config, *picture, generator(seed))
    left, top, right, bottom = view.crop
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert min(view.size) >= 1
    # The published rounding takes a picture of 235 x 1 to 235 x 1 where 120 are allowed; see `network_size`.
    assert max(view.size) <= config.longest * 2
    assert min(view.size) <= max(config.short_sides)


@given(labelled(), st.sampled_from([SMALL, ALWAYS_CROP]), st.integers(0, 2**32))
def test_at_least_one_pair_is_wholly_inside(picture, config, seed):
    width, height, boxes, pairs = picture
    whole = View(picture=(width, height), crop=(0, 0, width, height), size=(1, 1), flipped=False)
    possible = (apply_to_boxes(whole, boxes)[1] == 1)[pairs].all(axis=1)
    assume(possible.any())
    view = draw_view(config, *picture, generator(seed))
    assert (apply_to_boxes(view, boxes)[1] == 1)[pairs].all(axis=1).any()
    assert len(labels_in_view(view, boxes, pairs, min_visible=config.min_visible).kept)


def test_a_crop_of_a_picture_without_pairs_shows_a_region_wholly():
    boxes = np.array([[0, 0, 30, 20], [1900, 1480, 2000, 1500]], dtype=float)
    for seed in range(20):
        view = draw_view(ALWAYS_CROP, 2000, 1500, boxes, NO_PAIRS, generator(seed))
        assert sorted(apply_to_boxes(view, boxes)[1]) == [0, 1]


def test_published_crops_lose_pairs_that_ours_keep():
    boxes = np.array([[0, 0, 100, 100], [1900, 1400, 2000, 1500]], dtype=float)
    pairs = np.array([[0, 1]])
    published = replace(AugmentConfig.published(), crop=1)
    num_kept = {True: 0, False: 0}
    for config in (published, ALWAYS_CROP):
        for seed in range(20):
            view = draw_view(config, 2000, 1500, boxes, pairs, generator(seed))
            num_kept[config.keep_pairs] += len(labels_in_view(view, boxes, pairs, min_visible=config.min_visible).kept)
    assert num_kept[True] == 20
    assert num_kept[False] < 8


def test_crops_with_doubtful_pairs_are_avoided():
    """A large pair on the left, and a small one that most crops around it would cut."""
    boxes = np.array([[0, 0, 300, 400], [50, 100, 320, 480], [330, 100, 500, 300], [340, 150, 520, 330]], dtype=float)
    pairs = np.array([[0, 1], [2, 3]])

    def doubtful(config: AugmentConfig) -> int:
        views = [draw_view(config, 640, 480, boxes, pairs, generator(seed)) for seed in range(100)]
        return sum(len(labels_in_view(view, boxes, pairs, min_visible=0.5).doubtful) for view in views)

    assert doubtful(replace(ALWAYS_CROP, keep_pairs=False)) > 15
    assert doubtful(ALWAYS_CROP) < 3


def test_what_is_drawn_has_the_published_range():
    """Sizes of the crop are in pixels of a picture whose shorter side is one of three; no pair asks for more."""
    config = AugmentConfig.published()
    views = [draw_view(config, 2000, 1000, NO_BOXES, NO_PAIRS, generator(seed)) for seed in range(400)]
    whole = [view for view in views if view.crop == (0, 0, 2000, 1000)]
    assert 160 < len(whole) < 240
    assert 160 < sum(view.flipped for view in views) < 240
    assert {min(view.size) for view in whole} == {480, 512, 544, 576, 608, 640, *[666] * 5}
    assert {view.size for view in whole if min(view.size) == 666} == {(1332, 666)}
    widths = [view.crop[2] - view.crop[0] for view in views if view not in whole]
    assert 384 / 600 * 1000 <= min(widths) < 700
    assert 1400 < max(widths) <= 600 / 400 * 1000


def test_colours_change_as_drawn_and_nothing_else_does():
    config = replace(SMALL, colours=0.4)
    data = encoded(natural(120, 90))
    seen = set()
    for seed in range(40):
        view = draw_view(config, 120, 90, NO_BOXES, NO_PAIRS, generator(seed))
        plain = draw_view(SMALL, 120, 90, NO_BOXES, NO_PAIRS, generator(seed))
        assert replace(view, colours=()) == plain
        assert sorted(name for name, _ in view.colours) == ["brightness", "contrast", "saturation"]
        seen.add(tuple(name for name, _ in view.colours))
        assert all(0.6 <= factor <= 1.4 for _, factor in view.colours)
        assert render(view, data).shape == render(plain, data).shape
    assert len(seen) == 6
    whole = draw_view(AugmentConfig.none(90, 120), 120, 90, NO_BOXES, NO_PAIRS, generator())
    grey = render(replace(whole, colours=(("saturation", 0.0),)), data)
    assert (grey[..., 0] == grey[..., 1]).all()
    dark, light = (render(replace(whole, colours=(("brightness", factor),)), data) for factor in (0.6, 1.4))
    assert dark.mean() < 0.7 * render(whole, data).mean() < 0.6 * light.mean()
    flat = render(replace(whole, colours=(("contrast", 0.0),)), data)
    assert flat.min() == flat.max()


def test_a_pair_larger_than_the_largest_crop_gets_what_it_needs():
    boxes = np.array([[100, 700, 900, 800], [1500, 100, 1900, 1400]], dtype=float)
    for seed in range(20):
        view = draw_view(ALWAYS_CROP, 2000, 1500, boxes, np.array([[0, 1]]), generator(seed))
        assert apply_to_boxes(view, boxes)[1].tolist() == [1, 1]


def test_nothing_is_drawn_for_evaluation():
    config = AugmentConfig.none(short_side=480, longest=600)
    for seed in range(10):
        view = draw_view(config, 640, 480, NO_BOXES, NO_PAIRS, generator(seed))
        assert view == View(picture=(640, 480), crop=(0, 0, 640, 480), size=(600, 450), flipped=False)


@given(st.integers(1, 6000), st.integers(1, 6000), st.integers(1, 900), st.integers(1, 1400))
def test_sizes_are_those_of_the_network(width, height, short_side, longest):
    from stages.alif.images import network_size

    expected = network_size(width, height, short_side=short_side, longest=longest)
    assert scaled_size(width, height, short_side=short_side, longest=longest) == expected


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (10_000, 1), (3, 5000), (1, 100_000)])
def test_odd_pictures_have_views(size):
    box = np.array([[0, 0, *size]], dtype=float)
    data = encoded(np.full((size[1], size[0], 3), 90, dtype=np.uint8))
    jpeg = encoded(np.full((size[1], size[0], 3), 90, dtype=np.uint8), "JPEG") if max(size) < 65_000 else data
    for seed in range(6):
        for boxes, pairs in ((NO_BOXES, NO_PAIRS), (box, NO_PAIRS), (box, np.array([[0, 0]]))):
            view = draw_view(SMALL, *size, boxes, pairs, generator(seed))
            for one in (data, jpeg):
                pixels = render(view, one)
                assert pixels.shape == (view.size[1], view.size[0], 3)
                assert abs(pixels.astype(int) - 90).max() <= 2


def test_a_picture_smaller_than_a_crop_is_scaled_as_published():
    """The crop is of the picture as it would be with a shorter side of 400 to 600, so even a small one has crops."""
    views = [draw_view(ALWAYS_CROP, 30, 20, NO_BOXES, NO_PAIRS, generator(seed)) for seed in range(20)]
    assert len({view.crop for view in views}) > 15
    config = replace(ALWAYS_CROP, crop_size=(700, 900))
    view = draw_view(config, 20, 20, NO_BOXES, NO_PAIRS, generator())
    assert view.crop == (0, 0, 20, 20)


# What is said


@given(labelled(), CONFIGS, st.integers(0, 2**32))
def test_what_is_kept_is_visible_and_nothing_is_invented(picture, config, seed):
    _, _, boxes, pairs = picture
    view = draw_view(config, *picture, generator(seed))
    fractions, visible = apply_to_boxes(view, boxes)
    labels = labels_in_view(view, boxes, pairs, min_visible=config.min_visible)

    assert ((fractions >= 0) & (fractions <= 1)).all()
    single = labels.boxes_xyxy.astype(np.float32)
    assert (single[:, :2] < single[:, 2:]).all()
    assert (visible[labels.regions] >= config.min_visible).all()
    assert (visible[labels.regions] > 0).all()
    assert (np.diff(labels.regions) > 0).all()
    assert np.array_equal(labels.boxes_xyxy, fractions[labels.regions])

    assert np.array_equal(labels.regions[labels.pairs], pairs[labels.kept])
    assert not set(labels.kept) & set(labels.doubtful)
    for row, (subject, other) in enumerate(pairs):
        both_stay = {subject, other} <= set(labels.regions)
        assert (row in labels.kept) is both_stay
        if row in labels.doubtful:
            assert 0 < min(visible[subject], visible[other]) < config.min_visible


@given(labelled(), st.booleans())
def test_the_whole_picture_keeps_all_that_has_an_area(picture, flipped):
    width, height, boxes, pairs = picture
    view = View(picture=(width, height), crop=(0, 0, width, height), size=(1, 1), flipped=flipped)
    labels = labels_in_view(view, boxes, pairs, min_visible=1)
    sides = np.clip(boxes, 0, [width, height] * 2)
    sides = sides[:, 2:] - sides[:, :2]
    assert labels.regions.tolist() == np.flatnonzero((sides >= 0.01).all(axis=1)).tolist()
    assert len(labels.doubtful) == 0


def test_boxes_by_hand():
    view = View(picture=(100, 60), crop=(20.0, 10.0, 60.0, 30.0), size=(80, 40), flipped=False)
    boxes = np.array(
        [
            [20, 10, 60, 30],  # the view itself
            [30, 15, 40, 20],  # inside
            [10, 10, 30, 20],  # half of it
            [0, 0, 20, 60],  # touches the edge from outside
            [90, 50, 300, 200],  # beyond the picture
            [40, 0, 50, 60],  # a third
            [25, 20, 25, 30],  # no area
        ],
        dtype=float,
    )
    fractions, visible = apply_to_boxes(view, boxes)
    assert visible.tolist() == [1, 1, 0.5, 0, 0, 1 / 3, 0]
    assert fractions[:3].tolist() == [[0, 0, 1, 1], [0.25, 0.25, 0.5, 0.5], [0, 0, 0.25, 0.5]]
    assert fractions[5].tolist() == [0.5, 0, 0.75, 1]
    mirrored_boxes, _ = apply_to_boxes(replace(view, flipped=True), boxes)
    assert mirrored_boxes[:3].tolist() == [[0, 0, 1, 1], [0.5, 0.25, 0.75, 0.5], [0.75, 0, 1, 0.5]]

    labels = labels_in_view(view, boxes, np.array([[0, 1], [5, 1], [2, 5], [3, 0], [1, 2]]), min_visible=0.5)
    assert labels.regions.tolist() == [0, 1, 2]
    assert labels.kept.tolist() == [0, 4]
    assert labels.pairs.tolist() == [[0, 1], [1, 2]]
    assert labels.doubtful.tolist() == [1, 2]
    published = labels_in_view(view, boxes, np.array([[5, 1], [3, 0]]), min_visible=0)
    assert published.regions.tolist() == [0, 1, 2, 5]
    assert published.kept.tolist() == [0]


def test_pictures_without_anything_to_say():
    view = draw_view(SMALL, 64, 48, np.array([]), np.array([]), generator())
    assert apply_to_boxes(view, np.array([]))[0].shape == (0, 4)
    labels = labels_in_view(view, np.array([]), np.array([]), min_visible=0.5)
    assert labels.boxes_xyxy.shape == (0, 4)
    assert labels.pairs.shape == (0, 2)
    assert len(labels.regions) == len(labels.kept) == len(labels.doubtful) == 0


# Pixels


@settings(max_examples=60)
@given(
    size=st.tuples(st.integers(60, 400), st.integers(60, 400)),
    corner=st.tuples(st.floats(0, 0.6), st.floats(0, 0.6)),
    side=st.tuples(st.floats(0.2, 0.4), st.floats(0.2, 0.4)),
    kind=st.sampled_from(["PNG", "JPEG"]),
    seed=st.integers(0, 2**32),
)
def test_boxes_follow_the_pixels(size, corner, side, kind, seed):
    """A painted rectangle is where its box is said to be, flipped or not, cropped or not, decoded small or not."""
    start = [round(c * s) for c, s in zip(corner, size, strict=True)]
    stop = [round((c + d) * s) for c, d, s in zip(corner, side, size, strict=True)]
    canvas = np.full((size[1], size[0], 3), 20, dtype=np.uint8)
    canvas[start[1] : stop[1], start[0] : stop[0]] = 230
    boxes = np.array([[*start, *stop]], dtype=float)
    view = draw_view(SMALL, *size, boxes, np.array([[0, 0]]), generator(seed))
    pixels = render(view, encoded(canvas, kind, **({"quality": 95} if kind == "JPEG" else {})))
    assert pixels.shape == (view.size[1], view.size[0], 3)
    rows, columns = np.nonzero(pixels[..., 1] > 125)
    found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    expected = apply_to_boxes(view, boxes)[0][0] * (*view.size, *view.size)
    assert abs(found - expected).max() <= 1.5


def test_a_flipped_view_is_the_view_flipped():
    data = encoded(natural(90, 70))
    view = draw_view(SMALL, 90, 70, NO_BOXES, NO_PAIRS, generator())
    pixels = [render(replace(view, flipped=flipped), data) for flipped in (False, True)]
    assert np.array_equal(pixels[0][:, ::-1], pixels[1])
    assert all(one.flags.c_contiguous and one.flags.writeable and one.dtype == np.uint8 for one in pixels)


@pytest.mark.parametrize(
    ("size", "crop", "shrunk"),
    [
        ((160, 120), (0.0, 0.0, 641.0, 479.0), 2),
        ((90, 70), (10.5, 33.25, 400.0, 350.0), 4),
        ((60, 50), (100.0, 0.0, 641.0, 479.0), 8),
    ],
)
def test_a_jpeg_decoded_small_looks_the_same(size, crop, shrunk):
    from stages.pretrain.augment import _decode

    data = encoded(natural(641, 479), "JPEG", quality=92)
    view = View(picture=(641, 479), crop=crop, size=size, flipped=True)
    assert _decode(view, data)[1] == shrunk
    difference = np.abs(render(view, data).astype(int) - rendered_plainly(view, data))
    assert difference.mean() < 2.5
    assert np.percentile(difference, 99) < 25


@pytest.mark.parametrize("size", [(321, 100), (100, 240), (640, 480), (900, 700)])
def test_a_jpeg_is_decoded_in_full_where_it_would_have_to_grow_again(size):
    data = encoded(natural(641, 479), "JPEG")
    for crop in ((0.0, 0.0, 641.0, 479.0), (100.0, 100.0, 300.0, 290.0)):
        view = View(picture=(641, 479), crop=crop, size=size, flipped=False)
        assert np.array_equal(render(view, data), rendered_plainly(view, data))


def test_pictures_of_all_kinds_look_as_everywhere():
    rgb = Image.fromarray(natural(80, 60))
    alpha = rgb.copy()
    alpha.putalpha(Image.linear_gradient("L").resize(rgb.size))
    wide = Image.fromarray((np.asarray(rgb.convert("L")).astype(np.uint16)) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6
    kinds = {
        "alpha": encoded(alpha),
        "palette": encoded(rgb.quantize(16)),
        "grey": encoded(rgb.convert("L")),
        "16 bit": encoded(wide),
        "grey jpeg": encoded(rgb.convert("L"), "JPEG"),
        "cmyk": encoded(rgb.convert("CMYK"), "JPEG"),
        "turned": encoded(rgb, "JPEG", exif=turned),
        "progressive": encoded(rgb, "JPEG", progressive=True),
        "several": encoded(rgb, "MPO", save_all=True, append_images=[rgb.rotate(180)]),
        "webp": encoded(rgb, "WEBP"),
    }
    view = View(picture=(80, 60), crop=(3.0, 2.0, 71.0, 52.0), size=(64, 48), flipped=True)
    small = replace(view, size=(20, 15))
    for kind, data in kinds.items():
        assert np.array_equal(render(view, data), rendered_plainly(view, data)), kind
        difference = np.abs(render(small, data).astype(int) - rendered_plainly(small, data))
        assert difference.mean() < 4, kind


def test_a_picture_that_cannot_be_used_is_refused():
    view = View(picture=(80, 60), crop=(0.0, 0.0, 80.0, 60.0), size=(40, 30), flipped=False)
    for kind in ("PNG", "JPEG"):
        data = encoded(natural(60, 80), kind)
        with pytest.raises(BadInputError, match="measures 60 x 80 pixels, but its labels are for 80 x 60"):
            render(view, data)
        with pytest.raises(OSError, match="truncated"):
            render(replace(view, picture=(60, 80), crop=(0.0, 0.0, 60.0, 80.0)), data[: len(data) // 2])
    with pytest.raises(OSError, match="cannot identify"):
        render(view, b"no picture")


# Settings


def test_the_published_sizes_are_scaled_to_a_smaller_network():
    assert AugmentConfig.of_size(800, 1333) == AugmentConfig()
    small = AugmentConfig.of_size(160, 266)
    assert small.short_sides == (96, 102, 109, 115, 122, 128, 134, 141, 147, 154, 160)
    assert (small.longest, small.crop_short_sides, small.crop_size) == (266, (80, 100, 120), (77, 120))
    assert AugmentConfig.of_size(1, 1).short_sides == (1,) * 11


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"flip": 1.5}, "flip is 1.5; give a number from 0 to 1"),
        ({"crop": float("nan")}, "crop is nan; give"),
        ({"min_visible": -0.1}, "min_visible is -0.1; give"),
        ({"short_sides": ()}, r"short_sides is \(\); give at least one"),
        ({"crop_short_sides": (400, 0)}, r"crop_short_sides is \(400, 0\); give"),
        ({"longest": 799}, "longest is 799; give at least 800"),
        ({"crop_size": (600, 384)}, r"crop_size is \(600, 384\); give the least and the most"),
        ({"crop_size": (0, 384)}, r"crop_size is \(0, 384\); give"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        AugmentConfig(**wrong)


@pytest.mark.parametrize(
    ("size", "boxes", "pairs", "message"),
    [
        ((0, 5), NO_BOXES, NO_PAIRS, "measures 0 x 5"),
        ((9, 5), [[0, 0, 1]], NO_PAIRS, r"boxes have shape \(1, 3\)"),
        ((9, 5), [[0, 0, np.nan, 1]], NO_PAIRS, "give finite numbers"),
        ((9, 5), [[0, 0, 1, 1]], [[0, 1]], "between 0 and 0"),
        ((9, 5), [[0, 0, 1, 1]], [[0, -1]], "between 0 and 0"),
    ],
)
def test_wrong_labels_are_refused(size, boxes, pairs, message):
    with pytest.raises(ValueError, match=message):
        draw_view(SMALL, *size, np.array(boxes), np.array(pairs), generator())


# Words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("to the left of", "to the right of"),
        ("left of", "right of"),
        ("be left of", "be right of"),
        ("on the left of", "on the right of"),
        ("on left side of", "on right side of"),
        ("sit on the right hand side of", "sit on the left hand side of"),
        ("facing left", "facing right"),
        ("left_of", "right_of"),
        ("right-hand side", "left-hand side"),
        ("leftmost", "rightmost"),
        ("Rightwards from", "Leftwards from"),
        ("is left-handed", "is right-handed"),
        ("LEFT", "RIGHT"),
        ("left", "right"),
        ("left hand", "right hand"),
        ("his right arm", "his left arm"),
        ("right front leg", "left front leg"),
        ("upper-left corner", "upper-right corner"),
        ("on the left in front of", "on the right in front of"),
        ("to the right behind", "to the left behind"),
        ("turning right at", "turning left at"),
        ("from left to right", "from right to left"),
        ("left and right", "right and left"),
        ("right to the left of", "right to the right of"),
        ("on the left, next to", "on the right, next to"),
        ("right, above", "left, above"),
    ],
)
def test_sides_are_mirrored(text, expected):
    assert mirrored(text) == expected
    assert mirrored(expected) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "left behind",
            "was left on",
            "left in",
            "be left by",
            "have left the",
            "left over",
            "left alone",
            "was left",
        ),
        *("left the", "left a trail in", "left over from", "has left", "left open", "left-over"),
        *("right next to", "right behind", "right above", "right beside", "right in front of", "right on top of"),
        *("right at", "right under", "come right up to", "all right", "right there", "right now"),
        *("at a right angle to", "right of way", "right side up", "the right way", "right whale", "right-angled"),
        *("leave", "write", "bright", "upright", "copyright", "leftover", "cleft", "human rights", "lEFT"),
        *("ride", "next to", "", " ", "in front of"),
    ],
)
def test_what_is_no_side_stays(text):
    assert mirrored(text) == text


SIDES = st.sampled_from(["left", "right", "Left", "RIGHT", "lEft", "leftmost", "Rightward"])
CONTEXT = st.sampled_from(
    ["the", "to", "of", "on", "behind", "side", "up", "way", "was", "hand", ",", "-", "_", "3", "ſ"]
)
WORDS = SIDES | CONTEXT


@given(st.lists(WORDS, max_size=8).map(" ".join) | st.lists(WORDS, max_size=5).map("".join) | st.text())
def test_mirroring_twice_changes_nothing(text):
    assert mirrored(mirrored(text)) == text
