"""People: a body with colours and size, and a pose given by angles or by where hands and feet are."""

from dataclasses import dataclass
from random import Random

from stages.ingest.scenes import palette
from stages.ingest.scenes.figures.shape import (
    Figure,
    Point,
    Shape,
    along,
    bent,
    disc,
    oval,
    polar,
    polygon,
    stroke,
)
from stages.ingest.scenes.palette import Colour, shade

KINDS = ("man", "woman", "boy", "girl")
_HEIGHT_M = {"man": 1.78, "woman": 1.68, "boy": 1.32, "girl": 1.27}


@dataclass(frozen=True, slots=True)
class Body:
    """Who a person is, in every pose."""

    kind: str
    """One of `KINDS`."""
    height: float
    """Metres, standing."""
    skin: Colour
    hair: Colour
    shirt: str
    """Colour name."""
    trousers: str
    skirt: bool

    @property
    def child(self) -> bool:
        return self.kind in ("boy", "girl")

    @property
    def female(self) -> bool:
        return self.kind in ("woman", "girl")


@dataclass(frozen=True, slots=True)
class Bones:
    """A limb given by its joint and its end, where angles would not do (legs foreshortened towards the viewer)."""

    joint: Point
    end: Point


@dataclass(frozen=True, slots=True)
class At:
    """A hand or foot put at a point; the elbow or knee follows. `bend` chooses its side."""

    point: Point
    bend: float = 0
    """0 for the natural side: elbows back, knees forward."""


ArmPose = tuple[float, float] | At
"""Upper and lower angle in degrees (0 down, 90 forward, 180 up), or a target."""
LegPose = tuple[float, float] | At | Bones | None
"""As an arm, or bones, or None: not drawn."""


@dataclass(frozen=True, slots=True)
class Pose:
    """How a person stands. In front view, positive angles point away from the body on both sides."""

    lean: float = 0
    """Degrees the torso leans forward."""
    near_arm: ArmPose = (8, 14)
    far_arm: ArmPose = (-8, 2)
    near_leg: LegPose = (-3, -3)
    far_leg: LegPose = (5, 3)
    hip: Point | None = None
    """Where the hip is; None puts the lower foot on the ground below x = 0."""
    nod: float = 0
    """Degrees the head looks up."""
    front: bool = False
    """Facing the viewer instead of +x."""


STAND = Pose()
STAND_FRONT = Pose(front=True, near_arm=(9, 4), far_arm=(9, 4), near_leg=(4, 2), far_leg=(4, 2))
WALK = Pose(lean=3, near_arm=(-24, -8), far_arm=(24, 40), near_leg=(24, 14), far_leg=(-20, -38))


def random_body(rng: Random, *, kinds: tuple[str, ...] = KINDS, shirt: str | None = None) -> Body:
    """Somebody."""
    kind = rng.choice(kinds)
    top = shirt or palette.pick(rng)
    bottom = palette.pick(rng, ("blue", "black", "brown", "gray", "green", "purple"), other_than=top)
    return Body(
        kind=kind,
        height=_HEIGHT_M[kind] * rng.uniform(0.97, 1.03),
        skin=rng.choice(palette.SKIN),
        hair=rng.choice(palette.HAIR[:4] if kind in ("boy", "girl") else palette.HAIR),
        shirt=top,
        trousers=bottom,
        skirt=kind in ("woman", "girl") and rng.random() < 0.5,
    )


def person(body: Body, pose: Pose) -> Figure:
    """Draw a body in a pose.

    Anchors: `hip`, `neck`, `head` (its centre), `brow` (where a hat sits), `near_hand`, `far_hand`, and `near_foot`,
    `far_foot` if legs are drawn.
    """
    h = body.height
    near_leg, far_leg = _leg(body, pose, pose.near_leg), _leg(body, pose, pose.far_leg, mirrored=pose.front)
    hip = pose.hip or (0.0, 0.035 * h - min(leg[-1][1] for leg in (near_leg, far_leg) if leg))
    if pose.hip is None:
        near_leg = tuple((x, y + hip[1]) for x, y in near_leg)
        far_leg = tuple((x, y + hip[1]) for x, y in far_leg)

    neck = polar(hip, 180 - pose.lean, 0.31 * h)
    shoulder = along(hip, neck, 0.9)
    spread = 0.095 * h if pose.front else 0
    near_arm = _arm(body, pose.near_arm, (shoulder[0] + spread, shoulder[1]), mirrored=False)
    far_arm = _arm(body, pose.far_arm, (shoulder[0] - spread, shoulder[1]), mirrored=pose.front)
    radius = (0.088 if body.child else 0.075) * h
    head = polar(neck, 180 - pose.lean * 0.5 + pose.nod * 0.3, radius * 1.15)

    shapes = [
        *_leg_shapes(body, far_leg, z=0 if pose.front else -1, tone=1 if pose.front else 0.8, front=pose.front),
        *_arm_shapes(body, far_arm, z=2 if pose.front else -1.5, tone=1 if pose.front else 0.8),
        *_torso_shapes(body, hip, neck, shoulder, spread, bust=not near_leg),
        *_leg_shapes(body, near_leg, z=0 if pose.front else 1, tone=1, front=pose.front),
        *_skirt_shapes(body, hip, near_leg, far_leg, front=pose.front),
        *(
            _face_front(body, head, radius)
            if pose.front
            else _face_side(body, head, radius, pose.nod - pose.lean * 0.4)
        ),
        *_arm_shapes(body, near_arm, z=3, tone=1),
    ]
    anchors = {
        "hip": hip,
        "neck": neck,
        "head": head,
        "brow": (head[0], head[1] + radius * 0.45),
        "near_hand": near_arm[2],
        "far_hand": far_arm[2],
    }
    if near_leg:
        anchors["near_foot"] = near_leg[2]
    if far_leg:
        anchors["far_foot"] = far_leg[2]
    return Figure("person", tuple(shapes), anchors)


def head_radius(body: Body) -> float:
    """Metres; hats are cut to it."""
    return (0.088 if body.child else 0.075) * body.height


def _leg(body: Body, pose: Pose, limb: LegPose, *, mirrored: bool = False) -> tuple[Point, ...]:
    """Hip, knee and ankle; relative to a hip at the origin if the pose leaves the hip open."""
    if limb is None:
        return ()
    thigh, shin = 0.245 * body.height, 0.225 * body.height
    side = (-1 if mirrored else 1) if pose.front else 0
    hip = pose.hip or (0.0, 0.0)
    start = (hip[0] + side * 0.05 * body.height, hip[1])
    if isinstance(limb, Bones):
        return start, limb.joint, limb.end
    if isinstance(limb, At):
        return start, *bent(start, limb.point, thigh, shin, bend=limb.bend or -1)
    sign = -1 if mirrored else 1
    knee = polar(start, sign * limb[0], thigh)
    return start, knee, polar(knee, sign * limb[1], shin)


def _arm(body: Body, limb: ArmPose, shoulder: Point, *, mirrored: bool) -> tuple[Point, Point, Point]:
    upper, lower = 0.165 * body.height, 0.165 * body.height
    if isinstance(limb, At):
        return shoulder, *bent(shoulder, limb.point, upper, lower, bend=limb.bend or (-1 if mirrored else 1))
    sign = -1 if mirrored else 1
    elbow = polar(shoulder, sign * limb[0], upper)
    return shoulder, elbow, polar(elbow, sign * limb[1], lower)


def _leg_shapes(body: Body, leg: tuple[Point, ...], *, z: float, tone: float, front: bool) -> list[Shape]:
    if not leg:
        return []
    h = body.height
    bare = body.skirt
    cloth = shade(body.skin if bare else palette.NAMED[body.trousers], tone)
    _, knee, ankle = leg
    dx, dy = ankle[0] - knee[0], ankle[1] - knee[1]
    length = (dx * dx + dy * dy) ** 0.5 or 1.0
    toe = (
        (ankle[0] + (0.012 if dx >= 0 else -0.012) * h, ankle[1] - 0.012 * h)
        if front
        else (ankle[0] - dy / length * 0.075 * h, ankle[1] + dx / length * 0.075 * h)
    )
    shoe = shade(palette.NAMED["black"], 1.15 * tone)
    width = 0.75 if bare else 1.0
    return [
        stroke((ankle, toe), (0.03 * h, 0.024 * h), shoe, z=z - 0.1),
        stroke(leg, (0.052 * h, 0.042 * h * width, 0.03 * h * width), cloth, z=z),
    ]


def _skirt_shapes(
    body: Body, hip: Point, near_leg: tuple[Point, ...], far_leg: tuple[Point, ...], *, front: bool
) -> list[Shape]:
    if not body.skirt or not near_leg or not far_leg:
        return []
    h, cloth = body.height, palette.NAMED[body.trousers]
    waist = (hip[0], hip[1] + 0.03 * h)
    near, far = along(near_leg[0], near_leg[1], 0.85), along(far_leg[0], far_leg[1], 0.85)
    middle = along(near, far, 0.5)
    return [
        stroke((waist, far), (0.05 * h, 0.062 * h), cloth, z=0.4 if front else -0.5),
        stroke((waist, middle), (0.05 * h, 0.06 * h), cloth, z=0.5, edge=False),
        stroke((waist, near), (0.055 * h, 0.062 * h), cloth, z=0.45 if front else 1.2),
    ]


def _torso_shapes(body: Body, hip: Point, neck: Point, shoulder: Point, spread: float, *, bust: bool) -> list[Shape]:
    h, cloth = body.height, palette.NAMED[body.shirt]
    low = along(hip, shoulder, 0.45) if bust else along(hip, shoulder, 0.06)
    throat = stroke((along(hip, neck, 0.9), along(hip, neck, 1.12)), 0.03 * h, shade(body.skin, 0.9), z=1.8)
    if not spread:
        return [stroke((low, along(low, shoulder, 0.95)), (0.06 * h, 0.073 * h), cloth, z=1.5), throat]
    chest = [(shoulder[0] + s * spread * 0.72, shoulder[1] + 0.005 * h) for s in (-1, 1)]
    waist = [(low[0] + s * 0.052 * h, low[1]) for s in (-1, 1)]
    return [
        stroke((waist[0], chest[0], chest[1], waist[1], waist[0]), 0.034 * h, cloth, z=1.4),
        polygon((waist[0], chest[0], chest[1], waist[1]), cloth, z=1.5, edge=False),
        throat,
    ]


def _arm_shapes(body: Body, arm: tuple[Point, Point, Point], *, z: float, tone: float) -> list[Shape]:
    h = body.height
    shoulder, elbow, hand = arm
    cuff = along(elbow, hand, 0.82)
    return [
        stroke((cuff, hand), 0.023 * h, shade(body.skin, tone), z=z),
        stroke(
            (shoulder, elbow, cuff),
            (0.037 * h, 0.031 * h, 0.026 * h),
            shade(palette.NAMED[body.shirt], 0.9 * tone),
            z=z,
        ),
    ]


def _face_side(body: Body, head: Point, r: float, tilt: float) -> list[Shape]:
    x, y = head
    shapes = []
    if body.female:
        back = polar(head, -95 + tilt, r * 0.55)
        shapes.append(stroke((back, polar(back, -14, r * 1.9)), (r * 0.6, r * 0.42), body.hair, z=1.7))
    eye, nose, mouth = (polar(head, 90 + tilt + turn, r * far) for turn, far in ((14, 0.55), (-8, 1.0), (-42, 0.72)))
    return [
        *shapes,
        disc(nose, r * 0.17, body.skin, z=2),
        disc((x, y), r, body.skin, z=2.1),
        disc(eye, r * 0.13, palette.INK, z=2.2, edge=False),
        stroke((mouth, along(mouth, head, 0.35)), r * 0.06, (150, 60, 60), z=2.2, edge=False),
        oval(head, r * 1.07, r * 1.07, body.hair, turn=tilt, arc=(52, 215), z=2.3),
    ]


def _face_front(body: Body, head: Point, r: float) -> list[Shape]:
    x, y = head
    shapes = []
    if body.female:
        shapes = [
            stroke(((x + s * r * 0.75, y), (x + s * r * 0.85, y - r * 1.5)), r * 0.34, body.hair, z=1.3)
            for s in (-1, 1)
        ]
    return [
        *shapes,
        disc(head, r, body.skin, z=2.1),
        *(disc((x + s * r * 0.38, y + r * 0.02), r * 0.12, palette.INK, z=2.2, edge=False) for s in (-1, 1)),
        stroke(
            ((x - r * 0.28, y - r * 0.45), (x, y - r * 0.53), (x + r * 0.28, y - r * 0.45)),
            r * 0.06,
            (150, 60, 60),
            z=2.2,
            edge=False,
        ),
        oval(head, r * 1.07, r * 1.07, body.hair, arc=(18, 162), z=2.3),
    ]
