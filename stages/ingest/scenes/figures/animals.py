"""Horses, cows, sheep, dogs and cats: one four-legged plan with different numbers."""

from dataclasses import dataclass
from typing import Literal

from stages.ingest.scenes import palette
from stages.ingest.scenes.figures.shape import Figure, Point, Shape, along, bent, disc, oval, polar, polygon, stroke
from stages.ingest.scenes.palette import Colour, shade

Stance = Literal["stand", "walk", "run", "jump", "sit", "lie"]


@dataclass(frozen=True, slots=True)
class Breed:
    """The measures of a kind of animal, in metres."""

    back: float
    """Height of the middle of the trunk above the ground."""
    half_length: float
    """From the middle of the trunk to shoulder and to hip."""
    trunk: tuple[float, float]
    """Half width of the trunk at the hip and at the shoulder."""
    leg: float
    """Half width of a leg at the top."""
    neck: Point
    """From the shoulder to the back of the head."""
    neck_width: tuple[float, float]
    muzzle: Point
    """From the back of the head to the nose."""
    head_width: tuple[float, float]
    coats: tuple[str, ...]
    """Colour names to choose from."""


BREEDS = {
    "horse": Breed(1.14, 0.5, (0.31, 0.3), 0.105, (0.4, 0.62), (0.24, 0.13), (0.36, -0.26), (0.13, 0.085),
                   ("brown", "white", "black", "gray")),
    "cow": Breed(0.95, 0.55, (0.33, 0.34), 0.1, (0.36, 0.25), (0.25, 0.16), (0.3, -0.2), (0.16, 0.12),
                 ("brown", "white", "black")),
    "sheep": Breed(0.55, 0.3, (0.27, 0.27), 0.05, (0.24, 0.16), (0.16, 0.11), (0.17, -0.14), (0.1, 0.06), ("white",)),
    "dog": Breed(0.42, 0.27, (0.115, 0.14), 0.052, (0.17, 0.2), (0.1, 0.085), (0.19, -0.06), (0.1, 0.052),
                 ("brown", "black", "white", "gray")),
    "cat": Breed(0.25, 0.19, (0.09, 0.085), 0.034, (0.1, 0.11), (0.06, 0.06), (0.05, -0.015), (0.088, 0.05),
                 ("orange", "black", "white", "gray")),
}  # fmt: skip

# Foot positions by stance: fractions of the trunk's height, forward of (front near, front far, hind near, hind far),
# and how high each foot is lifted.
_FEET: dict[str, tuple[tuple[float, float], ...]] = {
    "stand": ((0.02, 0), (0.14, 0), (-0.06, 0), (0.06, 0)),
    "walk": ((0.24, 0), (-0.1, 0.0), (-0.26, 0), (0.12, 0.03)),
    "run": ((0.5, 0.28), (0.34, 0.12), (-0.45, 0.1), (-0.6, 0.25)),
    "jump": ((0.42, 0.5), (0.34, 0.42), (-0.6, 0.06), (-0.72, 0.12)),
}


def animal(name: str, coat: str, stance: Stance = "stand", *, nod: float = 0) -> Figure:
    """An animal of a class in `BREEDS`, facing +x.

    `nod` lowers (negative) or lifts the head, in metres. Anchors: `saddle`, `back`, `mouth`, `head`, `neck`, `rump`.
    """
    breed, colour = BREEDS[name], palette.NAMED[coat]
    hip, shoulder = _trunk(breed, stance)
    head = (shoulder[0] + breed.neck[0], shoulder[1] + breed.neck[1] + nod)
    nose = (head[0] + breed.muzzle[0], head[1] + breed.muzzle[1] + nod * 0.4)
    if stance == "jump":
        head, nose = (head[0] + 0.1 * breed.half_length, head[1]), (nose[0] + 0.1 * breed.half_length, nose[1] + 0.02)
    shapes = [
        *_legs(breed, hip, shoulder, colour, stance, socks=name in ("horse", "cow")),
        *_tail(name, breed, hip, colour, stance),
        stroke(
            (hip, along(hip, shoulder, 0.55), shoulder),
            (breed.trunk[0], sum(breed.trunk) / 2 * 0.96, breed.trunk[1]),
            colour,
        ),
        stroke((shoulder, head), breed.neck_width, colour, z=0.1),
        # The trunk's own colour again, without an edge, hides the seam between neck and shoulder.
        disc(shoulder, breed.trunk[1] * 0.93, colour, z=0.15, edge=False),
        *_head(name, breed, head, nose, colour),
        *_markings(name, hip, shoulder, head, colour),
    ]
    top = along(hip, shoulder, 0.48)
    anchors = {
        "saddle": (top[0], top[1] + breed.trunk[0] * 0.95),
        "back": (along(hip, shoulder, 0.7)[0], along(hip, shoulder, 0.7)[1] + breed.trunk[1] * 0.92),
        "mouth": nose,
        "head": (head[0] + breed.muzzle[0] * 0.2, head[1] + breed.head_width[0] * 0.9),
        "neck": along(shoulder, head, 0.8),
        "rump": hip,
    }
    return Figure(name, tuple(shapes), anchors)


def _trunk(breed: Breed, stance: Stance) -> tuple[Point, Point]:
    half = breed.half_length
    if stance == "sit":
        low = breed.trunk[0] + breed.leg * 0.4
        return (-half * 0.55, low), (half * 0.35, breed.back * 1.12)
    if stance == "lie":
        low = breed.trunk[0] * 1.02
        return (-half, low), (half * 0.95, low + breed.trunk[1] * 0.12)
    tilt = {"jump": 0.34, "run": 0.05}.get(stance, 0.0) * half
    return (-half, breed.back - tilt), (half, breed.back + tilt)


def _legs(breed: Breed, hip: Point, shoulder: Point, colour: Colour, stance: Stance, *, socks: bool) -> list[Shape]:
    far = shade(colour, 0.74)
    hoof = shade(palette.NAMED["black"], 1.0)
    r = breed.leg
    if stance == "lie":
        ground = r * 0.55
        return [
            stroke(((shoulder[0], ground * 1.6), (shoulder[0] + breed.back * 0.55, ground)), (r, r * 0.6), far, z=-0.5),
            stroke(
                ((shoulder[0] - r, ground * 1.8), (shoulder[0] + breed.back * 0.4, ground)), (r, r * 0.6), colour, z=0.3
            ),
            oval((hip[0] + r, hip[1] * 0.72), breed.trunk[0] * 0.95, hip[1] * 0.62, colour, z=0.3),
            stroke(((hip[0], ground), (hip[0] + breed.back * 0.5, ground)), (r * 0.7, r * 0.6), colour, z=0.4),
        ]
    if stance == "sit":
        foot = (shoulder[0] + r * 1.4, r * 0.55)
        return [
            stroke((shoulder, (foot[0] + r, foot[1])), (r, r * 0.62), far, z=-0.5),
            stroke((shoulder, foot), (r * 1.1, r * 0.62), colour, z=0.3),
            oval((hip[0] + r, hip[1] * 0.85), breed.trunk[0] * 1.15, hip[1] * 0.8, colour, turn=15, z=0.3),
            stroke(((hip[0], r * 0.6), (hip[0] + breed.back * 0.42, r * 0.6)), r * 0.6, colour, z=0.4),
        ]
    shapes = []
    spots = zip((shoulder, shoulder, hip, hip), _FEET[stance], (True, False, True, False), strict=True)
    for index, (top, (forward, lift), near) in enumerate(spots):
        start = (top[0] + (0.1 if index < 2 else -0.1) * breed.half_length, top[1] - breed.trunk[0] * 0.3)
        foot = (start[0] + forward * breed.back, r * 0.5 + lift * breed.back)
        length = breed.back - breed.trunk[0] * 0.3
        bend = 1 if index >= 2 else -1
        knee, foot = bent(start, foot, length * 0.52, length * 0.5, bend=bend)
        fill, z = (colour, 0.3) if near else (far, -0.5)
        shapes.append(stroke((start, knee, foot), (r * 1.25, r * 0.72, r * 0.52), fill, z=z))
        if socks:
            shapes.append(stroke((along(knee, foot, 0.9), foot), r * 0.56, hoof, z=z + 0.01, edge=False))
    return shapes


def _tail(name: str, breed: Breed, hip: Point, colour: Colour, stance: Stance) -> list[Shape]:
    start = (hip[0] - breed.trunk[0] * 0.85, hip[1] + breed.trunk[0] * 0.45)
    if name == "horse":
        back = -42 if stance in ("run", "jump") else -16
        middle = polar(start, back - 22, 0.3)
        return [stroke((start, middle, polar(middle, back, 0.45)), (0.06, 0.1, 0.04), shade(colour, 0.5), z=-0.6)]
    if name == "cow":
        end = polar(start, -8, 0.62)
        return [stroke((start, end), 0.025, shade(colour, 0.8), z=-0.6), disc(end, 0.06, palette.INK, z=-0.6)]
    if name == "sheep":
        return [disc((start[0] - 0.02, start[1]), 0.08, shade(colour, 0.95), z=-0.6)]
    width = breed.leg * (0.62 if name == "cat" else 0.75)
    long = breed.half_length * (0.75 if name == "cat" else 0.5)
    if stance == "lie":
        middle = (hip[0] - breed.trunk[0] * 1.1, width * 1.2)
        return [
            stroke(
                ((hip[0] - breed.trunk[0] * 0.5, hip[1] * 0.8), middle, (middle[0] - long, width)),
                width,
                shade(colour, 0.9),
                z=-0.6,
            )
        ]
    if stance == "sit":
        start = (hip[0] - breed.trunk[0] * 0.8, hip[1] * 0.55)
    middle = polar(start, -118, long)
    return [
        stroke(
            (start, middle, polar(middle, -165 if name == "dog" else -185, long)),
            (width * 1.1, width, width * 0.8),
            shade(colour, 0.92),
            z=-0.6,
        )
    ]


def _head(name: str, breed: Breed, head: Point, nose: Point, colour: Colour) -> list[Shape]:
    wide, narrow = breed.head_width
    dark = shade(colour, 0.6)
    face = shade(palette.NAMED["black"], 1.2) if name == "sheep" else colour
    eye = (along(head, nose, 0.32)[0], along(head, nose, 0.32)[1] + wide * 0.35)
    shapes = [
        stroke((head, nose), breed.head_width, face, z=0.6),
        disc(
            eye,
            max(wide * 0.13, 0.012),
            (250, 250, 250) if face == palette.NAMED["black"] else palette.INK,
            z=0.7,
            edge=False,
        ),
        disc((nose[0] + narrow * 0.45, nose[1] + narrow * 0.3), narrow * 0.36, palette.INK, z=0.7, edge=False),
    ]
    top = (head[0] - wide * 0.2, head[1] + wide * 0.7)
    if name == "cat":
        shapes += [
            polygon(((head[0] + s * wide * 0.75 - wide * 0.42, head[1] + wide * 0.6),
                     (head[0] + s * wide * 0.75, head[1] + wide * 1.65),
                     (head[0] + s * wide * 0.75 + wide * 0.42, head[1] + wide * 0.6)), colour, z=0.55)
            for s in (-0.75, 0.75)
        ]  # fmt: skip
        whisker = (nose[0] + wide * 0.3, nose[1])
        shapes += [
            stroke(
                (nose, (whisker[0] + wide * 0.4, whisker[1] + wide * d)),
                wide * 0.035,
                (230, 230, 230),
                z=0.8,
                edge=False,
            )
            for d in (-0.3, 0.2)
        ]
    elif name == "dog":
        shapes.append(
            oval((head[0] - wide * 0.35, head[1] - wide * 0.1), wide * 0.36, wide * 0.85, dark, turn=-8, z=0.8)
        )
    elif name == "cow":
        shapes += [
            stroke(
                (top, (top[0] + 0.03, top[1] + 0.16), (top[0] + 0.1, top[1] + 0.22)),
                (0.045, 0.035, 0.012),
                (232, 224, 200),
                z=0.5,
            ),
            oval((top[0] - 0.1, top[1] - 0.04), 0.13, 0.06, dark, turn=15, z=0.8),
            disc(nose, narrow, (226, 176, 166), z=0.65),
            disc((nose[0] + narrow * 0.5, nose[1] + narrow * 0.2), narrow * 0.16, palette.INK, z=0.7, edge=False),
        ]
    elif name == "sheep":
        shapes += [
            oval((head[0] - wide * 0.5, head[1] + wide * 0.2), wide * 0.8, wide * 0.34, face, turn=25, z=0.8),
            *(
                disc((head[0] + dx * wide, head[1] + wide * 0.95), wide * 0.6, colour, z=0.75, edge=False)
                for dx in (-0.7, 0.1)
            ),
        ]
    else:
        shapes += [
            polygon(
                (
                    (top[0] - wide * 0.4, top[1] - 0.03),
                    (top[0] + wide * 0.15, top[1] + wide * 1.15),
                    (top[0] + wide * 0.5, top[1] - 0.04),
                ),
                colour,
                z=0.65,
            ),
        ]
    return shapes


def _markings(name: str, hip: Point, shoulder: Point, head: Point, colour: Colour) -> list[Shape]:
    """What tells the kinds apart at a glance: mane, patches, wool."""
    if name == "horse":
        dark = shade(colour, 0.5)
        crest = [(p[0] - 0.11, p[1] + 0.09) for p in (along(shoulder, head, s) for s in (0.25, 0.6, 0.95))]
        return [stroke((*crest, (head[0] + 0.06, head[1] + 0.16)), (0.09, 0.09, 0.08, 0.04), dark, z=0.5)]
    if name == "cow":
        patch = palette.NAMED["black"] if colour == palette.NAMED["white"] else (236, 232, 224)
        return [
            oval((hip[0] + 0.12, hip[1] + 0.08), 0.2, 0.16, patch, turn=20, z=0.2, edge=False),
            oval((shoulder[0] - 0.18, shoulder[1] - 0.05), 0.16, 0.2, patch, turn=-15, z=0.2, edge=False),
            disc((hip[0] + 0.2, hip[1] - 0.31), 0.09, (226, 176, 166), z=-0.2),
        ]
    if name == "sheep":
        curls = []
        for i in range(6):
            base = along(hip, shoulder, i / 5)
            curls += [
                disc((base[0], base[1] + d), 0.13, shade(colour, 0.97 if d < 0 else 1.0), z=0.2, edge=False)
                for d in (-0.14, 0.16)
            ]
        return curls
    return []
