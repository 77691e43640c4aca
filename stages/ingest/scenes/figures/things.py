"""Things one holds, wears, throws or reads. The origin is where a hand has them, unless said otherwise."""

import math

from stages.ingest.scenes import palette
from stages.ingest.scenes.figures.shape import Figure, Point, box, disc, oval, polygon, stroke
from stages.ingest.scenes.palette import shade


def ball(colour: str, *, radius: float = 0.16) -> Figure:
    """A ball about its centre."""
    paint = palette.NAMED[colour]
    shapes = [
        disc((0, 0), radius, paint, z=0),
        oval(
            (0, 0),
            radius * 0.94,
            radius * 0.34,
            shade(paint, 1.6) if colour != "white" else (90, 96, 110),
            turn=25,
            z=0.1,
            edge=False,
        ),
        disc((-radius * 0.4, radius * 0.45), radius * 0.18, shade(paint, 1.75), z=0.2, edge=False),
    ]
    return Figure("ball", tuple(shapes))


def cup(colour: str) -> Figure:
    """A mug, held by its handle at the origin and standing 0.1 m below it. Drawn half as large again as life."""
    paint = palette.NAMED[colour]
    shapes = [
        stroke(((0.07, 0.06), (0.0, 0.04), (0.0, -0.03), (0.07, -0.06)), 0.018, paint, z=0),
        polygon(((0.05, 0.1), (0.07, -0.1), (0.22, -0.1), (0.24, 0.1)), paint, z=0.1),
        oval((0.145, 0.1), 0.095, 0.028, shade(paint, 0.5), z=0.2),
    ]
    return Figure("cup", tuple(shapes))


def hat(colour: str, *, head_radius: float, style: str) -> Figure:
    """A hat on the brow, the origin; `style` is `brim` or `cap` (its peak towards +x)."""
    paint = palette.NAMED[colour]
    r = head_radius
    band = shade(paint, 0.6)
    if style == "cap":
        shapes = [
            stroke(((0.2 * r, 0.12 * r), (1.75 * r, 0.02 * r)), 0.13 * r, band, z=0),
            oval((0, 0.02 * r), 1.16 * r, 1.0 * r, paint, arc=(0, 180), z=0.1),
        ]
    else:
        shapes = [
            polygon(
                ((-0.98 * r, 0.1 * r), (-0.82 * r, 1.25 * r), (0.82 * r, 1.25 * r), (0.98 * r, 0.1 * r)), paint, z=0
            ),
            polygon(
                ((-0.98 * r, 0.1 * r), (-0.94 * r, 0.42 * r), (0.94 * r, 0.42 * r), (0.98 * r, 0.1 * r)),
                band,
                z=0.1,
                edge=False,
            ),
            stroke(((-1.75 * r, 0.1 * r), (1.75 * r, 0.1 * r)), 0.16 * r, paint, z=0.2),
        ]
    return Figure("hat", tuple(shapes))


def umbrella(colour: str, *, stick: float = 0.85) -> Figure:
    """An open umbrella held upright. Anchor: `canopy` (the height of its rim)."""
    paint = palette.NAMED[colour]
    rim, half = stick, 0.78
    dome = [(half * math.cos(math.radians(a)), rim + 0.46 * math.sin(math.radians(a))) for a in range(0, 181, 12)]
    scallops = []
    for i in range(4):
        x1, x2 = -half + i * half / 2, -half + (i + 1) * half / 2
        scallops += [
            ((x1 * 3 + x2) / 4, rim + 0.06),
            ((x1 + x2) / 2, rim + 0.085),
            ((x1 + x2 * 3) / 4, rim + 0.06),
            (x2, rim),
        ]
    ribs = [
        stroke(((0, rim + 0.46), (x, rim + 0.03)), 0.008, shade(paint, 0.68), z=0.2, edge=False)
        for x in (-half / 2, 0, half / 2)
    ]
    shapes = [
        stroke(((0.03, -0.14), (0, -0.1), (0, rim + 0.1)), 0.016, palette.METAL, z=0),
        polygon((*dome, *scallops[:-1]), paint, z=0.1),
        *ribs,
        stroke(((0, rim + 0.46), (0, rim + 0.54)), 0.016, palette.METAL, z=0),
    ]
    return Figure("umbrella", tuple(shapes), {"canopy": (0, rim)})


def book(colour: str, *, opened: bool = True) -> Figure:
    """A book: open at a reader's hand, or lying closed on what is below the origin."""
    paint = palette.NAMED[colour]
    if not opened:
        return Figure(
            "book",
            (
                box(-0.17, 0.012, 0.17, 0.075, (240, 236, 222), z=0),
                box(-0.18, 0.06, 0.18, 0.09, paint, z=0.1),
                box(-0.18, 0, 0.18, 0.02, paint, z=0.1),
            ),
        )
    shapes = [
        polygon(((0.02, -0.12), (0.24, -0.03), (0.24, 0.23), (0.02, 0.14)), paint, z=0),
        polygon(((0.02, -0.12), (-0.16, 0.0), (-0.16, 0.26), (0.02, 0.14)), shade(paint, 0.8), z=0),
        polygon(((0.02, -0.08), (0.21, 0.0), (0.21, 0.22), (0.02, 0.14)), (248, 244, 232), z=0.1, edge=False),
        polygon(((0.02, -0.08), (-0.13, 0.02), (-0.13, 0.24), (0.02, 0.14)), (232, 226, 208), z=0.1, edge=False),
    ]
    return Figure("book", tuple(shapes))


def bag(colour: str) -> Figure:
    """A bag hanging from the hand at the origin, or standing with its handle up."""
    paint = palette.NAMED[colour]
    shapes = [
        stroke(((-0.11, -0.14), (-0.06, 0.0), (0.06, 0.0), (0.11, -0.14)), 0.018, shade(paint, 0.6), z=0),
        polygon(((-0.2, -0.13), (0.2, -0.13), (0.24, -0.46), (-0.24, -0.46)), paint, z=0.1),
        stroke(((-0.19, -0.2), (0.19, -0.2)), 0.015, shade(paint, 0.65), z=0.2, edge=False),
    ]
    return Figure("bag", tuple(shapes))


def kite(colour: str, *, second: str) -> Figure:
    """A kite about its middle, its line leaving at the anchor `bridle`; the tail belongs to it."""
    paint, other = palette.NAMED[colour], palette.NAMED[second]
    top, right, bottom, left = (0.1, 0.42), (0.34, 0.08), (-0.12, -0.42), (-0.3, 0.12)
    middle = (0.0, 0.08)
    tail: tuple[Point, ...] = (bottom, (-0.02, -0.6), (-0.18, -0.74), (-0.06, -0.92))
    shapes = [
        stroke(tail, 0.012, other, z=0, edge=False),
        *(
            polygon(
                ((x - 0.07, y + 0.05), (x + 0.07, y - 0.05), (x + 0.07, y + 0.05), (x - 0.07, y - 0.05)),
                other,
                z=0.1,
                edge=False,
            )
            for x, y in tail[1:]
        ),
        polygon((top, right, bottom, left), paint, z=0.2),
        polygon((top, right, middle), other, z=0.3, edge=False),
        polygon((middle, bottom, left), other, z=0.3, edge=False),
    ]
    return Figure("kite", tuple(shapes), {"bridle": middle})


def laptop(colour: str) -> Figure:
    """An open laptop standing on what is below the origin, seen from behind its user's shoulder."""
    paint = palette.NAMED[colour]
    shapes = [
        polygon(((-0.23, 0.02), (-0.19, 0.31), (0.19, 0.31), (0.23, 0.02)), paint, z=0),
        polygon(((-0.2, 0.045), (-0.165, 0.285), (0.165, 0.285), (0.2, 0.045)), (120, 176, 220), z=0.1, edge=False),
        polygon(((-0.27, -0.04), (-0.23, 0.03), (0.23, 0.03), (0.27, -0.04)), shade(paint, 1.3), z=0.1),
    ]
    return Figure("laptop", tuple(shapes))


def carrot() -> Figure:
    """What is fed to an animal; belongs to no class."""
    shapes = (
        stroke(((0, 0), (0.16, 0.03)), (0.035, 0.012), (236, 130, 40), z=0),
        stroke(((-0.06, 0.0), (0.0, 0.0)), 0.02, (70, 150, 60), z=0, edge=False),
    )
    return Figure("carrot", shapes)


def frisbee(colour: str) -> Figure:
    """A flying disc about its centre."""
    paint = palette.NAMED[colour]
    return Figure(
        "frisbee",
        (
            oval((0, 0), 0.19, 0.065, paint, turn=12, z=0),
            oval((0, 0.015), 0.13, 0.03, shade(paint, 1.4), turn=12, z=0.1, edge=False),
        ),
    )
