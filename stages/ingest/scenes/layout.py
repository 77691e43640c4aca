"""Compose a picture: a setting, a main situation, perhaps a second one, and bystanders, each put in a free place.

Everything follows from `(seed, index)`. The result is geometry in pixels; boxes are read off it without drawing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from schemas import Box
from stages.ingest.scenes.figures.shape import EDGE_PX, Extent, Shape
from stages.ingest.scenes.group import Group, Thing
from stages.ingest.scenes.lexicon import Fact, entailed
from stages.ingest.scenes.situations import IDLE, SITUATIONS, Setting, Situation, add_neighbour, bystander

SIZES = ((480, 360), (512, 384), (560, 400), (600, 400), (640, 420), (440, 440))
"""Width and height of the pictures, in pixels."""

# Where the ground's lines meet, and the farthest ground on which anything stands, as shares of the height.
_VANISHING = {"meadow": 0.4, "park": 0.42, "street": 0.38, "beach": 0.4, "room": 0.28, "sea": 0.3}
_FARTHEST = {"meadow": 0.62, "park": 0.64, "street": 0.66, "beach": 0.68, "room": 0.74, "sea": 0.55}
_NEAREST = 0.95

# Metres to pixels at the nearest ground, per pixel of height: an adult takes half the picture's height.
_CLOSE_UP = {"meadow": 0.29, "park": 0.28, "street": 0.28, "beach": 0.29, "room": 0.34, "sea": 0.29}

# Shares of a box that another one may overlap when things are put down; above, it would hide or seem related.
_MAX_OVERLAP = 0.12
# Pixels added around boxes for that: a ball that touches a bench from behind would seem to lie on it.
_CLEARANCE_PX = 5
_NEIGHBOUR_SHARE = 0.4
_SECOND_SHARE = 0.5
_TRIES = 40


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture before it is drawn."""

    width: int
    height: int
    setting: Setting
    situations: tuple[str, ...]
    """Names, the main one first."""
    things: tuple[Thing, ...]
    boxes: tuple[Box, ...]
    """One for each thing, in pixels, tight around its shapes and their edges, cut at the picture's border."""
    stated: tuple[Fact, ...]
    """The relations that the situations show."""
    facts: tuple[Fact, ...]
    """`stated` and what they entail: the truth."""
    main: frozenset[int]
    """Things of the main situation."""
    parts: tuple[tuple[int | None, Shape], ...]
    """In painting order, in pixels; the number of the thing, or None."""
    shadows: tuple[Box, ...]
    """Ellipses on the ground, drawn before everything."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all groups of a picture share: its size, its setting, pixels per metre at the nearest ground."""

    width: int
    height: int
    setting: Setting
    scale_near: float

    def spot(self, rng: Random, outer: Extent, ground: float) -> "_Spot":
        """Feet at a height of the picture, somewhere between left and right, facing either way."""
        vanishing = _VANISHING[self.setting] * self.height
        scale = self.scale_near * (ground - vanishing) / (_NEAREST * self.height - vanishing)
        flip = rng.random() < 0.5
        x1, _, x2, _ = outer
        left, right = (-x2, -x1) if flip else (x1, x2)
        margin = 0.015 * self.width
        low, high = margin - left * scale, self.width - margin - right * scale
        return _Spot(rng.uniform(low, high) if low < high else (low + high) / 2, ground, scale, flip)


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a group goes: its origin in pixels, pixels per metre, and which way it faces."""

    x: float
    ground: float
    scale: float
    flip: bool

    def box(self, extent: Extent) -> Box:
        """Box in pixels, edges of the shapes included, of an extent in metres."""
        x1, y1, x2, y2 = extent
        left, right = (-x2, -x1) if self.flip else (x1, x2)
        return (
            self.x + left * self.scale - EDGE_PX,
            self.ground - y2 * self.scale - EDGE_PX,
            self.x + right * self.scale + EDGE_PX,
            self.ground - y1 * self.scale + EDGE_PX,
        )


@dataclass(frozen=True, slots=True)
class _Placed:
    """A group where it stands in the picture."""

    ground: float
    parts: list[tuple[int | None, Shape]]
    boxes: list[Box]
    shadows: list[Box]


def compose(seed: int, index: int) -> Layout:
    """The picture of this number under this seed; no other picture has any influence on it."""
    rng = Random(f"{seed}-{index}")
    width, height = rng.choice(SIZES)
    main = _choose(rng, SITUATIONS)
    setting = rng.choice(main.settings)
    groups = [main.build(rng)]
    if setting != "sea" and rng.random() < _NEIGHBOUR_SHARE:
        add_neighbour(groups[0], rng)
    names = [main.name]
    frame = _Frame(width, height, setting, _scale(rng, groups[0], setting, (width, height)))
    placed = [_place_main(rng, groups[0], frame)]

    # Others are tried one by one and left out where there is no room for them.
    for name, group in _others(rng, groups[0], setting):
        spot = _place(rng, group, frame, placed)
        if spot:
            groups.append(group)
            placed.append(spot)
            names += [name] if name else []
    return _merge(frame, tuple(names), groups, placed)


def _choose(rng: Random, situations: Sequence[Situation]) -> Situation:
    return rng.choices(situations, [s.weight for s in situations])[0]


def _others(rng: Random, main: Group, setting: Setting) -> list[tuple[str, Group]]:
    """A second situation at times, then bystanders: first of a class that a relation of the main group involves."""
    others: list[tuple[str, Group]] = []
    if rng.random() < _SECOND_SHARE:
        possible = [s for s in SITUATIONS if setting in s.settings]
        second = _choose(rng, possible)
        others.append((second.name, second.build(rng)))
    involved = sorted({main.things[i].name for fact in main.facts for i in (fact.subject, fact.object)})
    rivals = [name for name in involved if name in IDLE[setting]]
    for _ in range(rng.choice((1, 2, 2, 3))):
        pool = rivals if rivals and rng.random() < 0.75 else IDLE[setting]
        others.append(("", bystander(rng, rng.choice(pool))))
    return others


def _scale(rng: Random, group: Group, setting: Setting, size: tuple[int, int]) -> float:
    """Pixels per metre at the nearest ground, so that the main group is large and fits."""
    width, height = size
    x1, y1, x2, y2 = group.extent()
    return min(
        _CLOSE_UP[setting] * height * rng.uniform(0.88, 1.06),
        0.72 * width / (x2 - x1),
        0.88 * height / (y2 - min(y1, 0)),
    )


def _place_main(rng: Random, group: Group, frame: _Frame) -> _Placed:
    # What stands before the group's own ground line must be inside the picture too.
    lowest = 0.985 * frame.height + group.extent()[1] * frame.scale_near
    ground = min(frame.height * rng.uniform(0.86, _NEAREST - 0.01), lowest)
    return _put(group, frame.spot(rng, group.extent(), ground))


def _place(rng: Random, group: Group, frame: _Frame, placed: list[_Placed]) -> _Placed | None:
    extents, outer = group.extents(), group.extent()
    for _ in range(_TRIES):
        spot = frame.spot(rng, outer, frame.height * rng.uniform(_FARTHEST[frame.setting], _NEAREST))
        if _fits([spot.box(extent) for extent in extents], placed, frame):
            return _put(group, spot)
    return None


def _put(group: Group, spot: _Spot) -> _Placed:
    parts = [
        (owner, shape.placed(spot.x, spot.ground, spot.scale, flip=spot.flip, down=True))
        for owner, shape in group.parts
    ]
    parts.sort(key=lambda part: part[1].z)
    boxes = [spot.box(extent) for extent in group.extents()]
    return _Placed(spot.ground, parts, boxes, [_shadow(group, number, spot) for number in group.standing])


def _shadow(group: Group, number: int, spot: _Spot) -> Box:
    shapes = [shape.extent() for owner, shape in group.parts if owner == number]
    floor = min(shape[1] for shape in shapes)
    near = [shape for shape in shapes if shape[1] < floor + 0.12]
    x1, x2 = min(s[0] for s in near) - 0.06, max(s[2] for s in near) + 0.06
    left, right = (-x2, -x1) if spot.flip else (x1, x2)
    y = spot.ground - (floor + 0.01) * spot.scale
    depth = min(0.09 + 0.04 * (x2 - x1), 0.16) * spot.scale
    return spot.x + left * spot.scale, y - depth, spot.x + right * spot.scale, y + depth * 0.8


def _fits(boxes: list[Box], placed: list[_Placed], frame: _Frame) -> bool:
    """Inside the picture, and apart from what is there already."""
    if any(x1 < 0 or y1 < 0 or x2 > frame.width or y2 > frame.height for x1, y1, x2, y2 in boxes):
        return False
    return all(_overlap(a, b) <= _MAX_OVERLAP for other in placed for a in boxes for b in other.boxes)


def _overlap(a: Box, b: Box) -> float:
    """Area that two boxes share, one of them grown by the clearance, over the smaller of the two."""
    across = min(a[2], b[2]) - max(a[0], b[0]) + _CLEARANCE_PX
    down = min(a[3], b[3]) - max(a[1], b[1]) + _CLEARANCE_PX
    if across <= 0 or down <= 0:
        return 0.0
    return across * down / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))


def _merge(frame: _Frame, names: tuple[str, ...], groups: list[Group], placed: list[_Placed]) -> Layout:
    """Number the things through, and paint the farther groups first."""
    things: list[Thing] = []
    boxes: list[Box] = []
    stated: list[Fact] = []
    painted: list[tuple[float, list[tuple[int | None, Shape]]]] = []
    shadows: list[Box] = []
    for group, spot in zip(groups, placed, strict=True):
        offset = len(things)
        things += group.things
        boxes += [_cut(box, frame.width, frame.height) for box in spot.boxes]
        stated += [Fact(f.subject + offset, f.predicate, f.object + offset) for f in group.facts]
        parts = [(None if owner is None else owner + offset, shape) for owner, shape in spot.parts]
        painted.append((spot.ground, parts))
        shadows += spot.shadows
    painted.sort(key=lambda row: row[0])
    return Layout(
        width=frame.width,
        height=frame.height,
        setting=frame.setting,
        situations=names,
        things=tuple(things),
        boxes=tuple(boxes),
        stated=tuple(stated),
        facts=tuple(entailed(stated, [thing.name for thing in things])),
        main=frozenset(range(len(groups[0].things))),
        parts=tuple(part for _, parts in painted for part in parts),
        shadows=tuple(shadows),
    )


def _cut(box: Box, width: int, height: int) -> Box:
    """The box within the picture, to a hundredth of a pixel so that no digit depends on the platform's last bit."""
    x1, y1, x2, y2 = box
    return (
        round(min(max(x1, 0.0), width), 2),
        round(min(max(y1, 0.0), height), 2),
        round(min(max(x2, 0.0), width), 2),
        round(min(max(y2, 0.0), height), 2),
    )
