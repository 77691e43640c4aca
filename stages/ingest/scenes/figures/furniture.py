"""Furniture and what else stands still, seen from the front unless said otherwise."""

from random import Random

from stages.ingest.scenes import palette
from stages.ingest.scenes.figures.shape import Figure, box, disc, polygon, stroke
from stages.ingest.scenes.palette import shade


def bench(colour: str) -> Figure:
    """A park bench. Anchors: `seat`, `left`, `right` (places on the seat). Sitters go between z = 0 and z = 1."""
    wood = palette.NAMED[colour]
    dark = palette.METAL
    shapes = [
        *(stroke(((x, 0.03), (x, 0.9)), 0.028, shade(dark, 0.8), z=-0.2) for x in (-0.78, 0.78)),
        *(box(-0.88, y, 0.88, y + 0.11, wood, z=-0.1) for y in (0.58, 0.74)),
        polygon(((-0.88, 0.4), (0.88, 0.4), (0.82, 0.5), (-0.82, 0.5)), shade(wood, 1.15), z=0),
        box(-0.88, 0.34, 0.88, 0.4, shade(wood, 0.85), z=0),
        *(stroke(((x, 0.03), (x, 0.36)), 0.032, dark, z=-0.05) for x in (-0.74, 0.74)),
    ]
    return Figure("bench", tuple(shapes), {"seat": (0, 0.47), "left": (-0.42, 0.47), "right": (0.42, 0.47)})


def chair(colour: str) -> Figure:
    """A chair from the side, its sitter facing +x. Anchor: `seat`."""
    wood = palette.NAMED[colour]
    shapes = [
        *(stroke(((x, 0.02), (x + 0.01, 0.45)), 0.022, shade(wood, 0.7), z=-0.2) for x in (-0.14, 0.24)),
        stroke(((-0.27, 0.02), (-0.24, 0.46), (-0.31, 1.0)), 0.026, wood, z=0),
        stroke(((-0.29, 0.72), (-0.31, 0.98)), 0.045, wood, z=0.1),
        stroke(((0.2, 0.02), (0.2, 0.45)), 0.024, wood, z=0),
        stroke(((-0.22, 0.46), (0.22, 0.47)), 0.036, shade(wood, 1.15), z=0.1),
    ]
    return Figure("chair", tuple(shapes), {"seat": (-0.05, 0.5)})


def table(colour: str, *, half_width: float = 0.72) -> Figure:
    """A table. Anchors: `top` (on it), `under` (the floor below)."""
    wood = palette.NAMED[colour]
    w = half_width
    shapes = [
        *(box(x - 0.03, 0.1, x + 0.03, 0.7, shade(wood, 0.62), z=-0.5) for x in (-w * 0.76, w * 0.76)),
        polygon(((-w, 0.7), (-w * 0.86, 0.84), (w * 0.86, 0.84), (w, 0.7)), shade(wood, 1.2), z=0),
        box(-w, 0.63, w, 0.7, wood, z=0.1),
        *(box(x - 0.04, 0, x + 0.04, 0.63, shade(wood, 0.9), z=0.05) for x in (-w + 0.08, w - 0.08)),
    ]
    return Figure("table", tuple(shapes), {"top": (0, 0.76), "under": (0, 0.05)})


def couch(colour: str) -> Figure:
    """A couch for two. Anchors: `seat`, `left`, `right`."""
    cloth = palette.NAMED[colour]
    shapes = [
        box(-0.9, 0.4, 0.9, 0.98, shade(cloth, 0.85), z=-0.3),
        *(box(x, 0.46, x + 0.78, 0.92, cloth, z=-0.2) for x in (-0.8, 0.02)),
        *(box(x, 0.12, x + 0.8, 0.36, shade(cloth, 0.9), z=-0.1) for x in (-0.8, 0.0)),
        *(
            polygon(((x, 0.36), (x + 0.8, 0.36), (x + 0.76, 0.48), (x + 0.04, 0.48)), shade(cloth, 1.15), z=0)
            for x in (-0.8, 0.0)
        ),
        *(stroke(((x, 0.16), (x, 0.62)), 0.12, cloth, z=-0.05) for x in (-0.9, 0.9)),
        *(box(x - 0.04, 0, x + 0.04, 0.08, palette.WOOD, z=-0.4) for x in (-0.85, 0.85)),
    ]
    return Figure("couch", tuple(shapes), {"seat": (0, 0.45), "left": (-0.4, 0.45), "right": (0.4, 0.45)})


def fence(colour: str, *, half_width: float = 1.0, height: float = 0.8) -> Figure:
    """A piece of fence. Anchor: `top`."""
    wood = palette.NAMED[colour]
    count = 5
    posts = [-half_width + 0.06 + i * (2 * half_width - 0.12) / (count - 1) for i in range(count)]
    shapes = [
        *(box(-half_width, y, half_width, y + 0.09, wood, z=0) for y in (height * 0.3, height * 0.68)),
        *(
            polygon(
                ((x - 0.055, 0), (x - 0.055, height - 0.06), (x, height), (x + 0.055, height - 0.06), (x + 0.055, 0)),
                shade(wood, 1.1),
                z=0.1,
            )
            for x in posts
        ),
    ]
    return Figure("fence", tuple(shapes), {"top": (0, height)})


def tree(rng: Random) -> Figure:
    """A broad-leaved tree with room below its crown. Anchors: `trunk` (half way up its side), `below`."""
    leaves = rng.choice(palette.LEAVES)
    height = rng.uniform(2.9, 3.4)
    crown = height - 0.95
    puffs = [(-0.72, 0), (0.72, 0.02), (-0.4, 0.42), (0.42, 0.44), (0.0, 0.62), (0.0, 0.1)]
    jitter = [
        (x + rng.uniform(-0.08, 0.08), crown + y * 0.8 + rng.uniform(-0.06, 0.06), rng.uniform(0.5, 0.6))
        for x, y in puffs
    ]
    shapes = [
        polygon(
            ((-0.24, 0), (-0.13, 0.3), (-0.11, crown), (0.11, crown), (0.13, 0.3), (0.24, 0)), (112, 78, 50), z=-0.5
        ),
        stroke(((0.0, crown * 0.66), (0.4, crown)), (0.06, 0.05), (112, 78, 50), z=-0.5),
        *(disc((x, y), r + 0.02, shade(leaves, 0.6), z=-0.4, edge=False) for x, y, r in jitter),
        *(disc((x, y), r, leaves, z=-0.3, edge=False) for x, y, r in jitter),
        *(disc((x - 0.12, y + 0.14), r * 0.55, shade(leaves, 1.13), z=-0.2, edge=False) for x, y, r in jitter[:5]),
    ]
    return Figure("tree", tuple(shapes), {"trunk": (0.12, 1.1), "below": (0.0, 0.0)})
