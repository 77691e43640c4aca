"""A scene as a picture: boxes with names, relations as arrows from subject to object."""

import colorsys
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from pipeline.show.verdict import Triplet, Verdict, judged_triplets
from schemas import BadInputError, Region, Scene
from stages.picture import decode_rgb

Colour = tuple[int, int, int]
Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Paint = tuple[int, int, int, int]

# Background and text of a relation's label, by what humans say of it; the report explains them in these colours.
VERDICT_COLOURS: dict[Verdict, tuple[Colour, Colour]] = {
    "agreed": ((21, 115, 71), (255, 255, 255)),
    "denied": ((176, 42, 55), (255, 255, 255)),
    "labelled": ((33, 37, 41), (255, 255, 255)),
    "human": ((255, 255, 255), (33, 37, 41)),
}

# More than this many arrows cannot be followed by eye; the rest is said in words.
_MOST_PAIRS = 10
# Boxes without a relation get a name only in a picture with few boxes.
_MOST_IDLE_NAMES = 6
SMOOTH = 2
"""Lines are drawn this much larger and shrunk, which smooths them."""
_GOLDEN = 0.618033988749895


@dataclass(frozen=True, slots=True)
class _Label:
    lines: tuple[str, ...]
    grounds: tuple[Colour, ...]
    """Background of each line."""
    inks: tuple[Colour, ...]
    places: tuple[Point, ...]
    """Top left corners to try, best first."""
    size: tuple[float, float]


def draw_scene(scene: Scene, *, max_side: int = 640, predicates: bool = True) -> Image.Image:
    """Draw a scene with its best relations, for a person to judge at a glance.

    Args:
        scene: with `image.data`; without it the boxes are drawn on grey.
        max_side: the longer side of the result in pixels; pictures are shrunk or enlarged to it.
        predicates: whether arrows are labelled. If not, every region is, as what is said of it stands elsewhere.

    Returns:
        An RGB picture. A label under an arrow is green where a human asserted the triplet too, red where one denied
        it, white for human triplets that were not labelled, and black where no human spoke of it.

    Raises:
        BadInputError: if the picture cannot be decoded; names the scene.
    """
    ground, scale = _ground(scene, max_side)
    boxes = {region.id: _scaled(region, scale, ground.size) for region in scene.regions}
    triplets = [t for t in judged_triplets(scene) if t.subject in boxes and t.object in boxes]
    pairs: dict[tuple[int, int], list[Triplet]] = {}
    for triplet in triplets:
        pairs.setdefault((triplet.subject, triplet.object), []).append(triplet)
    shown = dict(list(pairs.items())[:_MOST_PAIRS])
    related = {region for pair in shown for region in pair}
    colours = region_colours(region.id for region in scene.regions)
    anchors = {pair: _anchors(boxes[pair[0]], boxes[pair[1]]) for pair in shown}

    picture = _draw_lines(ground, boxes, colours, related, anchors)
    font_px = max(11, round(max_side / 46))
    font = ImageFont.load_default(size=font_px)
    named = related if predicates and len(boxes) - len(related) > _MOST_IDLE_NAMES else boxes.keys()
    labels = [
        _pair_label(shown[pair], *anchors[pair], font, ground.size) for pair in shown if predicates
    ] + [
        _name_label(region, boxes[region.id], colours[region.id], font, ground.size)
        for region in scene.regions
        if region.id in named
    ]  # fmt: skip
    hidden = sum(len(pair) for pair in pairs.values()) - sum(len(pair) for pair in shown.values())
    if hidden and predicates:
        labels.append(_footnote(f"and {hidden} more relations", font, ground.size))
    _draw_labels(picture, labels, [point for pair in anchors.values() for point in pair], font)
    return picture


def _ground(scene: Scene, max_side: int) -> tuple[Image.Image, float]:
    """What the boxes are drawn on, and the factor from the scene's pixels to its."""
    if scene.image.data is not None:
        try:
            picture = decode_rgb(scene.image.data)
        except Exception as error:
            raise BadInputError(f"{scene.key}: its picture cannot be decoded: {error}") from error
        width, height = float(picture.width), float(picture.height)
    else:
        picture = None
        # A size that is unknown, or none, is that of what the boxes span.
        spans = [max((region.box[i] for region in scene.regions), default=0.0) for i in (2, 3)]
        sides = (scene.image.width or 0, scene.image.height or 0)
        width, height = (max(1.0, side if side > 0 else span) for side, span in zip(sides, spans, strict=True))
    scale = max_side / max(width, height)
    # A picture as thin as a thread is given some height, or no label would fit.
    size = (max(32, round(width * scale)), max(32, round(height * scale)))
    if picture is None:
        return Image.new("RGB", size, (222, 224, 228)), scale
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0), scale


def _scaled(region: Region, scale: float, size: tuple[int, int]) -> Rectangle:
    """The box in the drawing's pixels, inside it, whatever the record says."""
    x1, x2 = sorted(min(max(x * scale, 0.0), size[0] - 1.0) for x in (region.box[0], region.box[2]))
    y1, y2 = sorted(min(max(y * scale, 0.0), size[1] - 1.0) for y in (region.box[1], region.box[3]))
    return x1, y1, x2, y2


def region_colours(regions: Iterable[int]) -> dict[int, Colour]:
    """Neighbouring regions get hues far apart, by steps of the golden section around the colour circle."""
    colours = {}
    for i, region in enumerate(sorted(regions)):
        red, green, blue = colorsys.hsv_to_rgb((0.02 + i * _GOLDEN) % 1.0, 0.85 if i % 2 else 0.7, 0.95)
        colours[region] = (round(red * 255), round(green * 255), round(blue * 255))
    return colours


def _anchors(subject: Rectangle, object_: Rectangle) -> tuple[Point, Point]:
    """Start and end of an arrow: the centres, moved a little so that two opposite arrows do not cover each other."""
    (ax, ay), (bx, by) = _centre(subject), _centre(object_)
    if math.hypot(bx - ax, by - ay) < 30:
        # Boxes on top of each other: from the upper edge of one to the lower edge of the other.
        ay, by = subject[1] + (subject[3] - subject[1]) * 0.25, object_[3] - (object_[3] - object_[1]) * 0.15
        if math.hypot(bx - ax, by - ay) < 30:
            ay, by = ay - 15, by + 15
    length = math.hypot(bx - ax, by - ay) or 1.0
    shift_x, shift_y = -(by - ay) / length * 5, (bx - ax) / length * 5
    return (ax + shift_x, ay + shift_y), (bx + shift_x, by + shift_y)


def _centre(box: Rectangle) -> Point:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _draw_lines(
    ground: Image.Image,
    boxes: dict[int, Rectangle],
    colours: dict[int, Colour],
    related: set[int],
    anchors: dict[tuple[int, int], tuple[Point, Point]],
) -> Image.Image:
    """Boxes and arrows over the ground, smoothed."""
    layer = Image.new("RGBA", (ground.width * SMOOTH, ground.height * SMOOTH))
    draw = ImageDraw.Draw(layer)
    # Large boxes first, so that small ones inside them stay visible; those without a relation below all.
    order = sorted(boxes, key=lambda region: (region in related, -_area(boxes[region]), region))
    for region in order:
        box = [value * SMOOTH for value in boxes[region]]
        strong = region in related
        if strong:
            draw.rectangle(box, outline=(0, 0, 0, 150), width=4 * SMOOTH)
        draw.rectangle(box, outline=(*colours[region], 255 if strong else 170), width=(2 if strong else 1) * SMOOTH)
    for (subject, _), (start, end) in anchors.items():
        draw_arrow(draw, start, end, (0, 0, 0, 170), width=5)
        draw_arrow(draw, start, end, (*colours[subject], 255), width=3)
    picture = ground.convert("RGBA")
    picture.alpha_composite(layer.resize(ground.size, Image.Resampling.BOX))
    return picture.convert("RGB")


def draw_arrow(draw: ImageDraw.ImageDraw, start: Point, end: Point, ink: Paint, *, width: int) -> None:
    """An arrow on a layer that is `SMOOTH` times as large as the points say."""
    (ax, ay), (bx, by) = ((x * SMOOTH, y * SMOOTH) for x, y in (start, end))
    length = math.hypot(bx - ax, by - ay) or 1.0
    ux, uy = (bx - ax) / length, (by - ay) / length
    head, half, radius = (3 + 3 * width) * SMOOTH, (2 + 1.2 * width) * SMOOTH, (1.5 + width) * SMOOTH
    neck_x, neck_y = bx - ux * head, by - uy * head
    draw.line([(ax, ay), (neck_x, neck_y)], fill=ink, width=width * SMOOTH)
    draw.polygon(
        [(bx, by), (neck_x - uy * half, neck_y + ux * half), (neck_x + uy * half, neck_y - ux * half)], fill=ink
    )
    draw.ellipse([ax - radius, ay - radius, ax + radius, ay + radius], fill=ink)


def _area(box: Rectangle) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _pair_label(
    triplets: Sequence[Triplet],
    start: Point,
    end: Point,
    font: Font,
    size: tuple[int, int],
) -> _Label:
    """All predicates of a pair, one a line, near the middle of its arrow."""
    lines = tuple(triplet_words(t) for t in triplets)
    grounds, inks = zip(*(VERDICT_COLOURS[t.verdict] for t in triplets), strict=True)
    width, height = _measure(lines, font)
    places = []
    on_the_line = math.hypot(end[0] - start[0], end[1] - start[1]) > height + 40
    # Beside the arrow where it is too short to carry the label, on it otherwise.
    beside = [(width / 2 + 14, 0.0), (-width / 2 - 14, 0.0), (0.0, -height / 2 - 14), (0.0, height / 2 + 14)]
    for dx, dy in [(0.0, 0.0), *beside] if on_the_line else [*beside, (0.0, 0.0)]:
        for along in (0.5, 0.38, 0.62, 0.25, 0.75, 0.0, 1.0):
            x, y = start[0] + (end[0] - start[0]) * along + dx, start[1] + (end[1] - start[1]) * along + dy
            places.append(_inside(x - width / 2, y - height / 2, width, height, size))
    return _Label(lines, grounds, inks, tuple(places), (width, height))


def triplet_words(triplet: Triplet) -> str:
    """Predicate, and score if it is not a human's."""
    words = clipped(triplet.predicate)
    return words if triplet.verdict == "human" else f"{words} {triplet.relation.score:.2f}"


def _name_label(
    region: Region,
    box: Rectangle,
    colour: Colour,
    font: Font,
    size: tuple[int, int],
) -> _Label:
    """Name and id of a region, at a corner of its box."""
    lines = (region_name(region),)
    width, height = _measure(lines, font)
    x1, y1, x2, y2 = box
    corners = [
        (x1, y1 - height), (x1, y1), (x2 - width, y1 - height), (x2 - width, y1), (x1, y2), (x1, y2 - height),
        (x2 - width, y2), (x2 - width, y2 - height), (x2, y1), (x1 - width, y1),
    ]  # fmt: skip
    places = tuple(_inside(x, y, width, height, size) for x, y in corners)
    return _Label(lines, (colour,), (ink_on(colour),), places, (width, height))


def region_name(region: Region) -> str:
    """Such as `horse#5`."""
    return f"{clipped(region.name)}#{region.id}"


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever can be read on a colour."""
    return (0, 0, 0) if 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 130 else (255, 255, 255)


def _footnote(text: str, font: Font, size: tuple[int, int]) -> _Label:
    width, height = _measure((text,), font)
    ground, ink = VERDICT_COLOURS["labelled"]
    return _Label((text,), (ground,), (ink,), (_inside(0, size[1], width, height, size),), (width, height))


def _measure(lines: Sequence[str], font: Font) -> tuple[float, float]:
    return max(font.getlength(line) for line in lines) + 6, len(lines) * line_height(font)


def line_height(font: Font) -> int:
    """Pixels that a line of text takes, with a little air."""
    _, top, _, bottom = font.getbbox("Ágj")
    return math.ceil(bottom - min(top, 0)) + 3


def _inside(x: float, y: float, width: float, height: float, size: tuple[int, int]) -> Point:
    return max(0.0, min(x, size[0] - width)), max(0.0, min(y, size[1] - height))


def clipped(text: str, most: int = 28) -> str:
    """Short and on one line: a name in a record may hold anything."""
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= most else text[: most - 1] + "…"


def _draw_labels(picture: Image.Image, labels: Sequence[_Label], keep_free: Sequence[Point], font: Font) -> None:
    """Place each label where it covers least of those before it and of the ends of arrows, and write it."""
    draw = ImageDraw.Draw(picture)
    taken: list[Rectangle] = [(x - 10, y - 10, x + 10, y + 10) for x, y in keep_free]
    for label in labels:
        width, height = label.size
        rectangles = [(x, y, x + width, y + height) for x, y in label.places]
        chosen = min(rectangles, key=lambda rectangle: sum(_overlap(rectangle, other) for other in taken))
        taken.append(chosen)
        step = height / len(label.lines)
        for i, line in enumerate(label.lines):
            y = chosen[1] + i * step
            draw.rectangle([chosen[0], y, chosen[0] + width, y + step], fill=label.grounds[i], outline=label.inks[i])
            draw.text((chosen[0] + 3, y + 1), line, fill=label.inks[i], font=font)


def _overlap(a: Rectangle, b: Rectangle) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
