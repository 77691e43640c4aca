"""`Shape` and `Figure`: the geometry that both the drawing and the boxes come from.

Local coordinates are metres, x to the right, y upwards. The layout moves figures onto the picture, where the same
shapes are in pixels, y downwards. What a shape covers follows from its numbers alone, so a box needs no rendering.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from stages.ingest.scenes.palette import Colour, shade

Point = tuple[float, float]
Extent = tuple[float, float, float, float]
"""Smallest and largest x and y: `(x1, y1, x2, y2)`, y in the direction of whoever uses it."""

EDGE_PX = 0.8
"""Width in pixels of the dark line around a shape; it lies outside the shape, so boxes grow by it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A filled area of one colour."""

    kind: Literal["polygon", "stroke", "ring"]
    points: tuple[Point, ...]
    """Corners of the polygon, joints of the stroke, or the one centre of the ring."""
    radii: tuple[float, ...]
    """Stroke: half width at each joint. Ring: radius of the middle line, half width. Polygon: empty."""
    fill: Colour
    edge: Colour | None
    z: float
    """Painting order within a group of figures: higher lies in front."""

    def extent(self) -> Extent:
        """Smallest and largest x and y of what is filled, without the edge: `(x1, y1, x2, y2)`."""
        reach: tuple[float, ...] = self.radii or (0.0,) * len(self.points)
        if self.kind == "ring":
            reach = (sum(self.radii),)
        xs = [(x - r, x + r) for (x, _), r in zip(self.points, reach, strict=True)]
        ys = [(y - r, y + r) for (_, y), r in zip(self.points, reach, strict=True)]
        return min(x for x, _ in xs), min(y for y, _ in ys), max(x for _, x in xs), max(y for _, y in ys)

    def placed(self, x: float, y: float, scale: float, *, flip: bool = False, down: bool = False) -> "Shape":
        """The shape scaled, optionally mirrored left to right, and its origin moved to `(x, y)`.

        `down` turns metres with y upwards into pixels with y downwards.
        """
        kx = -scale if flip else scale
        ky = -scale if down else scale
        points = tuple((x + kx * px, y + ky * py) for px, py in self.points)
        return replace(self, points=points, radii=tuple(r * scale for r in self.radii))


@dataclass(frozen=True, slots=True)
class Figure:
    """One instance of a class: its shapes, and named points where other figures attach."""

    name: str
    shapes: tuple[Shape, ...]
    anchors: Mapping[str, Point] = field(default_factory=dict)

    def extent(self) -> Extent:
        """`(x1, y1, x2, y2)` over all shapes."""
        return extent_of(self.shapes)

    def placed(self, x: float = 0, y: float = 0, scale: float = 1, *, flip: bool = False, z: float = 0) -> "Figure":
        """The figure moved, scaled, mirrored, and lifted by `z` in the painting order."""
        shapes = tuple(replace(s, z=s.z + z) for s in (s.placed(x, y, scale, flip=flip) for s in self.shapes))
        kx = -scale if flip else scale
        anchors = {name: (x + kx * ax, y + scale * ay) for name, (ax, ay) in self.anchors.items()}
        return Figure(self.name, shapes, anchors)

    def pressed(self, low: float, high: float) -> "Figure":
        """The figure with its painting order squeezed between two heights, to sit inside another figure."""
        depths = [s.z for s in self.shapes]
        step = (high - low) / ((max(depths) - min(depths)) or 1)
        shapes = tuple(replace(s, z=low + (s.z - min(depths)) * step) for s in self.shapes)
        return Figure(self.name, shapes, self.anchors)


def extent_of(shapes: Iterable[Shape]) -> Extent:
    """Smallest rectangle around several shapes, edges left out."""
    boxes = [shape.extent() for shape in shapes]
    return min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)


def polygon(points: Sequence[Point], fill: Colour, *, z: float = 0, edge: bool = True) -> Shape:
    """A filled polygon."""
    return Shape("polygon", tuple(points), (), fill, shade(fill, 0.55) if edge else None, z)


def stroke(
    points: Sequence[Point], radius: float | Sequence[float], fill: Colour, *, z: float = 0, edge: bool = True
) -> Shape:
    """A line through joints, with round ends; one half width for all joints or one for each."""
    radii = (radius,) * len(points) if isinstance(radius, int | float) else tuple(radius)
    return Shape("stroke", tuple(points), radii, fill, shade(fill, 0.55) if edge else None, z)


def disc(centre: Point, radius: float, fill: Colour, *, z: float = 0, edge: bool = True) -> Shape:
    """A filled circle."""
    return stroke((centre,), radius, fill, z=z, edge=edge)


def ring(centre: Point, radius: float, half_width: float, fill: Colour, *, z: float = 0) -> Shape:
    """A circle's line, such as a tyre."""
    return Shape("ring", (centre,), (radius, half_width), fill, None, z)


def oval(
    centre: Point,
    rx: float,
    ry: float,
    fill: Colour,
    *,
    turn: float = 0,
    arc: tuple[float, float] = (0, 360),
    z: float = 0,
    edge: bool = True,
) -> Shape:
    """An ellipse turned by `turn` degrees, or the segment of it that the chord between two angles cuts off."""
    start, stop = arc
    count = max(8, round((stop - start) / 12))
    whole = stop - start >= 360
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    points = []
    for i in range(count if whole else count + 1):
        angle = math.radians(start + (stop - start) * i / count)
        x, y = rx * math.cos(angle), ry * math.sin(angle)
        points.append((centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos))
    return polygon(points, fill, z=z, edge=edge)


def box(x1: float, y1: float, x2: float, y2: float, fill: Colour, *, z: float = 0, edge: bool = True) -> Shape:
    """An upright rectangle."""
    return polygon(((x1, y1), (x2, y1), (x2, y2), (x1, y2)), fill, z=z, edge=edge)


def along(start: Point, end: Point, share: float) -> Point:
    """The point that lies `share` of the way from start to end."""
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def polar(origin: Point, degrees: float, length: float) -> Point:
    """The point at a distance from origin; 0 degrees is straight down, 90 forward (+x), 180 up."""
    angle = math.radians(degrees)
    return origin[0] + length * math.sin(angle), origin[1] - length * math.cos(angle)


def bent(start: Point, target: Point, first: float, second: float, *, bend: float) -> tuple[Point, Point]:
    """Joint and end of a two-bone limb that reaches for a target, stretched if it is too far away.

    `bend` is +1 or -1: the side of the line from start to target on which the joint lies (+1: its right).
    """
    dx, dy = target[0] - start[0], target[1] - start[1]
    distance = math.hypot(dx, dy) or 1e-6
    reach = min(max(distance, abs(first - second) + 1e-3), first + second - 1e-3)
    end = (start[0] + dx / distance * reach, start[1] + dy / distance * reach)
    share = (first**2 - second**2 + reach**2) / (2 * reach)
    aside = math.sqrt(max(first**2 - share**2, 0.0)) * bend
    ux, uy = dx / distance, dy / distance
    return (start[0] + ux * share + uy * aside, start[1] + uy * share - ux * aside), end
