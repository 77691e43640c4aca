"""A scene as a picture beside its graph: who does what to whom, to be read where arrows over a picture would tangle."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from pipeline.show.draw import (
    SMOOTH,
    VERDICT_COLOURS,
    Colour,
    Font,
    Paint,
    draw_arrow,
    draw_scene,
    ink_on,
    line_height,
    region_colours,
    region_name,
    triplet_words,
)
from pipeline.show.verdict import Triplet, judged_triplets
from schemas import Scene

_GROUND, _INK = (255, 255, 255), (33, 37, 41)
_LINE: Paint = (120, 126, 133, 255)
_MARGIN = 18
_PADDING = 6
"""Between a text and the edge of its box."""
_REACH = 34
"""Length of a line before and behind its predicates."""


@dataclass(frozen=True, slots=True)
class _Edge:
    """All that holds between a subject and an object."""

    object: int
    words: tuple[str, ...]
    colours: tuple[tuple[Colour, Colour], ...]
    """Background and text of each."""


def draw_graph(scene: Scene, *, max_side: int = 1024) -> Image.Image:
    """Draw the regions of a scene on its picture, and the graph of all its relations at the right, in the same colours.

    In the graph each subject stands once, in the order of its best relation, with lines to all of its objects.

    Args:
        scene: with `image.data`; without it the boxes are drawn on grey.
        max_side: the longer side of the picture in pixels; the graph comes on top.

    Returns:
        An RGB picture.

    Raises:
        BadInputError: if the picture cannot be decoded; names the scene.
    """
    picture = draw_scene(scene, max_side=max_side, predicates=False)
    graph = _draw_panel(scene, max(11, round(max_side / 56)), least_height=picture.height)
    drawn = Image.new("RGB", (picture.width + graph.width, graph.height), _GROUND)
    drawn.paste(picture, (0, 0))
    drawn.paste(graph, (picture.width, 0))
    return drawn


def _draw_panel(scene: Scene, font_px: int, *, least_height: int) -> Image.Image:
    font = ImageFont.load_default(size=font_px)
    names = {region.id: region_name(region) for region in scene.regions}
    groups = _edges([t for t in judged_triplets(scene) if t.subject in names and t.object in names])
    if not groups:
        return _empty_panel(font, least_height)
    step = line_height(font) + _PADDING
    subjects = _widest([names[subject] for subject in groups], font)
    predicates = _widest([words for edges in groups.values() for edge in edges for words in edge.words], font)
    objects = _widest([names[edge.object] for edges in groups.values() for edge in edges], font)
    at_predicates = _MARGIN + subjects + _REACH
    at_objects = at_predicates + predicates + _REACH
    num_lines = sum(len(edge.words) for edges in groups.values() for edge in edges)
    # A gap of half a line behind an edge, of another half behind a subject.
    gaps = (sum(map(len, groups.values())) + len(groups)) * step // 2
    height = max(least_height, num_lines * step + gaps + 2 * _MARGIN)
    size = (at_objects + objects + _MARGIN, height)

    colours = region_colours(names)
    panel = _Panel(size, font, step)
    top = _MARGIN
    for subject, edges in groups.items():
        middles = []
        for edge in edges:
            middle = top + len(edge.words) * step // 2
            panel.arrow((at_predicates - _REACH // 2, middle), (at_objects, middle), colours[subject])
            for i, (words, (ground, ink)) in enumerate(zip(edge.words, edge.colours, strict=True)):
                panel.box((at_predicates, top + i * step), predicates, words, ground, ink)
            panel.box((at_objects, middle - step // 2), objects, names[edge.object], colours[edge.object])
            middles.append(middle)
            top += len(edge.words) * step + step // 2
        middle = (middles[0] + middles[-1]) // 2
        trunk = at_predicates - _REACH // 2
        panel.line((_MARGIN + subjects, middle), (trunk, middle), colours[subject])
        panel.line((trunk, middles[0]), (trunk, middles[-1]), colours[subject])
        panel.box((_MARGIN, middle - step // 2), subjects, names[subject], colours[subject])
        top += step // 2
    return panel.finished()


class _Panel:
    """Lines, and boxes with text over them, both in the panel's pixels."""

    def __init__(self, size: tuple[int, int], font: Font, step: int) -> None:
        self._font, self._step, self._size = font, step, size
        self._layer = Image.new("RGBA", (size[0] * SMOOTH, size[1] * SMOOTH))
        self._lines = ImageDraw.Draw(self._layer)
        self._boxes: list[tuple[tuple[int, int], int, str, Colour, Colour]] = []

    def line(self, start: tuple[int, int], end: tuple[int, int], colour: Colour) -> None:
        points = [(x * SMOOTH, y * SMOOTH) for x, y in (start, end)]
        self._lines.line(points, fill=_LINE, width=4 * SMOOTH)
        self._lines.line(points, fill=(*colour, 255), width=2 * SMOOTH)

    def arrow(self, start: tuple[int, int], end: tuple[int, int], colour: Colour) -> None:
        draw_arrow(self._lines, start, end, _LINE, width=4)
        draw_arrow(self._lines, start, end, (*colour, 255), width=2)

    def box(self, at: tuple[int, int], width: int, text: str, ground: Colour, ink: Colour | None = None) -> None:
        self._boxes.append((at, width, text, ground, ink or ink_on(ground)))

    def finished(self) -> Image.Image:
        panel = Image.new("RGBA", self._size, (*_GROUND, 255))
        panel.alpha_composite(self._layer.resize(self._size, Image.Resampling.BOX))
        draw = ImageDraw.Draw(panel)
        for (x, y), width, text, ground, ink in self._boxes:
            draw.rounded_rectangle([x, y, x + width, y + self._step - 2], radius=4, fill=ground, outline=_INK)
            draw.text((x + (width - self._font.getlength(text)) / 2, y + 2), text, fill=ink, font=self._font)
        return panel.convert("RGB")


def _edges(triplets: Sequence[Triplet]) -> dict[int, list[_Edge]]:
    """By subject what it has to do with each object, in the order of the triplets."""
    pairs: dict[int, dict[int, list[Triplet]]] = {}
    for triplet in triplets:
        pairs.setdefault(triplet.subject, {}).setdefault(triplet.object, []).append(triplet)
    return {
        subject: [
            _Edge(
                object_,
                tuple(triplet_words(triplet) for triplet in said),
                tuple(VERDICT_COLOURS[triplet.verdict] for triplet in said),
            )
            for object_, said in objects.items()
        ]
        for subject, objects in pairs.items()
    }


def _widest(texts: Sequence[str], font: Font) -> int:
    return round(max(font.getlength(text) for text in texts)) + 2 * _PADDING


def _empty_panel(font: Font, height: int) -> Image.Image:
    text = "no relation"
    panel = Image.new("RGB", (round(font.getlength(text)) + 2 * _MARGIN, height), _GROUND)
    ImageDraw.Draw(panel).text((_MARGIN, _MARGIN), text, fill=_INK, font=font)
    return panel
