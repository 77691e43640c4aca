"""Things one rides, drives, pushes or rows, facing +x."""

from stages.ingest.scenes import palette
from stages.ingest.scenes.figures.shape import Figure, Shape, box, disc, oval, polygon, ring, stroke
from stages.ingest.scenes.palette import shade


def bicycle(colour: str) -> Figure:
    """A bicycle. Anchors: `saddle`, `bars`, `near_pedal`, `far_pedal`, `frame`."""
    paint = palette.NAMED[colour]
    rear, front, radius = (-0.5, 0.33), (0.52, 0.33), 0.31
    crank, saddle, stem, bars = (-0.04, 0.32), (-0.2, 0.9), (0.36, 0.86), (0.4, 1.0)
    spokes: list[Shape] = []
    for hub in (rear, front):
        spokes += [
            stroke(((hub[0] - dx, hub[1] - dy), (hub[0] + dx, hub[1] + dy)), 0.006, (150, 152, 158), z=0, edge=False)
            for dx, dy in ((0.29, 0), (0, 0.29), (0.2, 0.2), (0.2, -0.2))
        ]
    shapes = [
        *spokes,
        *(ring(hub, radius, 0.026, palette.TYRE, z=0.05) for hub in (rear, front)),
        *(disc(hub, 0.035, palette.METAL, z=0.1) for hub in (rear, front)),
        stroke((crank, (-0.17, 0.74), (0.34, 0.8), crank), 0.021, paint, z=0.2),
        stroke(((-0.17, 0.74), rear, crank), 0.019, paint, z=0.2),
        stroke((front, stem, bars, (0.52, 0.98)), (0.02, 0.022, 0.022, 0.022), palette.METAL, z=0.2),
        stroke(((-0.17, 0.74), saddle), 0.016, palette.METAL, z=0.15),
        stroke(((-0.31, 0.91), (-0.1, 0.9)), (0.045, 0.025), palette.TYRE, z=0.25),
        disc(crank, 0.07, palette.METAL, z=0.25),
    ]
    anchors = {"saddle": (-0.2, 0.95), "bars": (0.5, 1.0), "near_pedal": (0.05, 0.2), "far_pedal": (-0.12, 0.44),
               "frame": (0.0, 0.75)}  # fmt: skip
    return Figure("bicycle", tuple(shapes), anchors)


def car(colour: str) -> Figure:
    """A car, its windows see-through. Anchors: `seat` (a driver's hip), `wheel` (steering), `door`, `hood`.

    A driver is painted between z = 0 (the cabin) and z = 1 (the door).
    """
    paint = palette.NAMED[colour]
    body = (
        (-1.62, 0.3),
        (1.58, 0.3),
        (1.66, 0.5),
        (1.6, 0.72),
        (1.42, 0.82),
        (0.72, 0.9),
        (-1.3, 0.92),
        (-1.6, 0.84),
        (-1.68, 0.55),
    )
    shapes = [
        polygon(((-1.22, 0.88), (-0.98, 1.46), (-0.8, 1.52), (0.2, 1.52), (0.36, 1.46), (0.86, 0.88)), paint, z=0),
        polygon(((-1.04, 0.9), (-0.86, 1.4), (-0.34, 1.43), (-0.34, 0.9)), palette.GLASS, z=0.1, edge=False),
        polygon(((-0.24, 0.9), (-0.24, 1.43), (0.2, 1.43), (0.68, 0.9)), palette.GLASS, z=0.1, edge=False),
        stroke(((0.34, 0.86), (0.42, 1.06)), 0.025, palette.TYRE, z=0.4, edge=False),
        polygon(body, paint, z=1),
        stroke(((-0.29, 0.88), (-0.29, 0.42)), 0.008, shade(paint, 0.6), z=1.1, edge=False),
        stroke(((0.62, 0.86), (0.62, 0.42)), 0.008, shade(paint, 0.6), z=1.1, edge=False),
        stroke(((-0.14, 0.76), (0.0, 0.76)), 0.02, shade(paint, 0.6), z=1.1, edge=False),
        stroke(((1.5, 0.66), (1.56, 0.66)), 0.06, (250, 240, 170), z=1.1, edge=False),
        stroke(((-1.6, 0.68), (-1.56, 0.68)), 0.05, (170, 30, 30), z=1.1, edge=False),
        *(disc((x, 0.32), 0.32, palette.TYRE, z=1.2) for x in (-1.0, 1.0)),
        *(disc((x, 0.32), 0.16, (190, 192, 198), z=1.3) for x in (-1.0, 1.0)),
    ]
    anchors = {"seat": (-0.02, 0.72), "wheel": (0.42, 1.06), "door": (-1.66, 0.95), "hood": (1.0, 0.9)}
    return Figure("car", tuple(shapes), anchors)


def cart(colour: str) -> Figure:
    """A two-wheeled cart with its handle towards -x. Anchor: `handle`."""
    paint = palette.NAMED[colour]
    shapes = [
        stroke(((-0.35, 0.55), (-0.82, 0.98), (-0.92, 0.98)), 0.025, palette.METAL, z=0),
        polygon(((-0.42, 0.42), (-0.52, 0.92), (0.66, 0.92), (0.56, 0.42)), paint, z=0.1),
        stroke(((-0.5, 0.84), (0.63, 0.84)), 0.02, shade(paint, 0.75), z=0.2, edge=False),
        stroke(((-0.46, 0.62), (0.6, 0.62)), 0.012, shade(paint, 0.75), z=0.2, edge=False),
        *(disc((x, 0.19), 0.19, palette.TYRE, z=0.3) for x in (-0.2, 0.36)),
        *(disc((x, 0.19), 0.08, (190, 192, 198), z=0.4) for x in (-0.2, 0.36)),
    ]
    return Figure("cart", tuple(shapes), {"handle": (-0.9, 0.99)})


def skateboard(colour: str) -> Figure:
    """A skateboard. Anchor: `deck`."""
    paint = palette.NAMED[colour]
    shapes = [
        *(disc((x, 0.05), 0.05, palette.TYRE, z=0) for x in (-0.27, 0.27)),
        stroke(((-0.48, 0.17), (-0.36, 0.125), (0.36, 0.125), (0.48, 0.17)), 0.028, paint, z=0.1),
    ]
    return Figure("skateboard", tuple(shapes), {"deck": (0.0, 0.155)})


def surfboard(colour: str, *, tilt: float = 8) -> Figure:
    """A surfboard gliding on water. Anchor: `deck`."""
    paint = palette.NAMED[colour]
    shapes = [
        oval((0, 0.1), 1.05, 0.085, paint, turn=tilt, z=0),
        oval((0, 0.125), 0.8, 0.018, shade(paint, 1.5), turn=tilt, z=0.1, edge=False),
    ]
    return Figure("surfboard", tuple(shapes), {"deck": (0.0, 0.19)})


def board_upright(colour: str) -> Figure:
    """A surfboard on its tail, as people carry it, centred on the origin."""
    paint = palette.NAMED[colour]
    shapes = [
        oval((0, 0), 0.21, 0.98, paint, z=0),
        stroke(((0, -0.8), (0, 0.8)), 0.012, shade(paint, 0.7), z=0.1, edge=False),
    ]
    return Figure("surfboard", tuple(shapes), {})


def boat(colour: str) -> Figure:
    """A rowing boat, low in the water. Anchors: `seat`, `bow`. Who sits in it is painted between z = 0 and z = 1."""
    paint = palette.NAMED[colour]
    shapes = [
        polygon(((-1.25, 0.48), (1.4, 0.56), (1.2, 0.4), (-1.15, 0.36)), shade(paint, 0.55), z=0),
        polygon(((-1.3, 0.5), (-1.1, 0.02), (0.95, 0.02), (1.5, 0.6), (1.1, 0.42), (-1.0, 0.38)), paint, z=1),
        stroke(((-1.24, 0.4), (-1.0, 0.3), (1.06, 0.34), (1.38, 0.5)), 0.02, shade(paint, 1.5), z=1.1, edge=False),
    ]
    return Figure("boat", tuple(shapes), {"seat": (-0.2, 0.42), "bow": (1.4, 0.55)})


def box_of(colour: str, *, size: float = 0.5) -> Figure:
    """A parcel. Anchor: `top`."""
    paint = palette.NAMED[colour]
    half = size / 2
    shapes = [
        polygon(
            ((-half, size * 0.78), (-half * 0.72, size * 0.98), (half * 1.18, size * 0.98), (half, size * 0.78)),
            shade(paint, 1.25),
            z=0,
        ),
        polygon(
            ((half, 0), (half * 1.18, size * 0.2), (half * 1.18, size * 0.98), (half, size * 0.78)),
            shade(paint, 0.75),
            z=0,
        ),
        box(-half, 0, half, size * 0.78, paint, z=0.1),
        box(-half * 0.18, 0, half * 0.18, size * 0.78, shade(paint, 1.35), z=0.2, edge=False),
    ]
    return Figure("box", tuple(shapes), {"top": (0, size * 0.88)})
