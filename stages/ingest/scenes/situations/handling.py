"""Holding, carrying, reading, drinking, flying a kite."""

from random import Random

from stages.ingest.scenes import palette
from stages.ingest.scenes.figures import things, vehicles
from stages.ingest.scenes.figures.person import At, Body, Pose, random_body
from stages.ingest.scenes.figures.shape import stroke
from stages.ingest.scenes.group import Group
from stages.ingest.scenes.situations.situation import Situation

_LEGS = {"stand": ((-3.0, -3.0), (5.0, 3.0)), "walk": ((22.0, 12.0), (-18.0, -34.0))}


def hold_umbrella(rng: Random) -> Group:
    group = Group()
    body = random_body(rng)
    h = body.height
    near_leg, far_leg = _LEGS[rng.choice(("stand", "walk"))]
    hand = (0.2 * h, 0.7 * h)
    pose = Pose(near_arm=At(hand), far_arm=(-6, 4), near_leg=near_leg, far_leg=far_leg)
    holder, drawn = group.add_person(rng, body, pose, hat=0)
    colour = palette.pick(rng, other_than=body.shirt)
    x, y = drawn.anchors["near_hand"]
    umbrella, _ = group.add(things.umbrella(colour, stick=0.42 * h), colour, x=x - 0.06, y=y, z=2.9, ground=False)
    group.state(holder, "hold", umbrella)
    group.state(holder, "under", umbrella)
    return group


def _offering(body: Body) -> Pose:
    h = body.height
    near_leg, far_leg = _LEGS["stand"]
    return Pose(near_arm=At((0.27 * h, 0.62 * h)), far_arm=(-6, 4), near_leg=near_leg, far_leg=far_leg)


def hold_small_thing(rng: Random) -> Group:
    group = Group()
    body = random_body(rng)
    holder, drawn = group.add_person(rng, body, _offering(body))
    x, y = drawn.anchors["near_hand"]
    kind = rng.choice(("cup", "ball", "frisbee"))
    colour = palette.pick(rng, other_than=body.shirt)
    if kind == "cup":
        item, _ = group.add(things.cup(colour), colour, x=x, y=y, z=2.9, ground=False)
    elif kind == "ball":
        item, _ = group.add(things.ball(colour), colour, x=x + 0.12, y=y + 0.06, z=2.9, ground=False)
    else:
        item, _ = group.add(things.frisbee(colour), colour, x=x + 0.14, y=y, z=2.9, ground=False)
    group.state(holder, "hold", item)
    return group


def drink_from_cup(rng: Random) -> Group:
    group = Group()
    body = random_body(rng)
    h = body.height
    near_leg, far_leg = _LEGS["stand"]
    pose = Pose(near_arm=At((0.17 * h, 0.84 * h)), far_arm=(-6, 4), near_leg=near_leg, far_leg=far_leg, nod=12)
    drinker, drawn = group.add_person(rng, body, pose, hat=0.15)
    x, y = drawn.anchors["near_hand"]
    colour = palette.pick(rng, other_than=body.shirt)
    cup, _ = group.add(
        things.cup(colour), colour, x=x + 0.015 * h, y=y + 0.01, flip=True, scale=0.9, z=2.9, ground=False
    )
    group.state(drinker, "drink from", cup)
    return group


def read_standing(rng: Random) -> Group:
    group = Group()
    body = random_body(rng)
    h = body.height
    pose = Pose(near_arm=At((0.22 * h, 0.66 * h)), far_arm=At((0.25 * h, 0.68 * h)), nod=-14)
    reader, drawn = group.add_person(rng, body, pose)
    x, y = drawn.anchors["near_hand"]
    colour = palette.pick(rng, other_than=body.shirt)
    book, _ = group.add(things.book(colour), colour, x=x, y=y, z=2.5, ground=False)
    group.state(reader, "read", book)
    return group


def carry_bag(rng: Random) -> Group:
    group = Group()
    body = random_body(rng)
    near_leg, far_leg = _LEGS["walk"]
    pose = Pose(near_arm=(4, 6), far_arm=(18, 34), near_leg=near_leg, far_leg=far_leg, lean=2)
    carrier, drawn = group.add_person(rng, body, pose)
    colour = palette.pick(rng, other_than=body.shirt)
    x, y = drawn.anchors["near_hand"]
    bag, _ = group.add(things.bag(colour), colour, x=x, y=y, z=2.9, scale=0.8 if body.child else 1.0, ground=False)
    group.state(carrier, "carry", bag)
    return group


def carry_box(rng: Random) -> Group:
    group = Group()
    body = random_body(rng)
    h = body.height
    near_leg, far_leg = _LEGS["walk"]
    pose = Pose(
        near_arm=At((0.26 * h, 0.5 * h)), far_arm=At((0.3 * h, 0.52 * h)), near_leg=near_leg, far_leg=far_leg, lean=-3
    )
    carrier, drawn = group.add_person(rng, body, pose)
    x, y = drawn.anchors["near_hand"]
    colour = palette.pick(rng, ("brown", "orange", "blue", "red"), other_than=body.shirt)
    box, _ = group.add(vehicles.box_of(colour, size=0.42), colour, x=x + 0.06, y=y - 0.03, z=2.3, ground=False)
    group.state(carrier, "carry", box)
    return group


def carry_surfboard(rng: Random) -> Group:
    group = Group()
    body = random_body(rng, kinds=("man", "woman"))
    h = body.height
    near_leg, far_leg = _LEGS["walk"]
    pose = Pose(near_arm=At((0.2 * h, 0.56 * h)), far_arm=(-8, 4), near_leg=near_leg, far_leg=far_leg)
    carrier, drawn = group.add_person(rng, body, pose, hat=0.1)
    colour = palette.pick(rng, other_than=body.shirt)
    x, y = drawn.anchors["near_hand"]
    board, _ = group.add(vehicles.board_upright(colour), colour, x=x + 0.1, y=y + 0.1, z=2.2, ground=False)
    group.state(carrier, "carry", board)
    return group


def fly_kite(rng: Random) -> Group:
    group = Group()
    body = random_body(rng)
    h = body.height
    pose = Pose(near_arm=(112, 128), far_arm=(96, 118), lean=-6, nod=30)
    flyer, drawn = group.add_person(rng, body, pose)
    colour = palette.pick(rng, other_than="white")
    second = palette.pick(rng, other_than=colour)
    x, y = drawn.anchors["near_hand"]
    kite, figure = group.add(
        things.kite(colour, second=second), colour, x=x + rng.uniform(0.9, 1.4), y=h + 1.35, z=5, ground=False
    )
    bridle = figure.anchors["bridle"]
    sag = ((x + bridle[0]) / 2 + 0.1, (y + bridle[1]) / 2 - 0.14)
    group.draw(stroke(((x, y), sag, bridle), 0.007, palette.INK, z=4, edge=False))
    group.state(flyer, "fly", kite)
    return group


SITUATIONS = (
    Situation("hold-umbrella", ("park", "street", "beach", "meadow"), hold_umbrella, 1.6),
    Situation("hold-small-thing", ("park", "street", "beach", "room", "meadow"), hold_small_thing, 1.2),
    Situation("drink-from-cup", ("room", "street"), drink_from_cup, 0.8),
    Situation("read-standing", ("room", "park"), read_standing, 0.6),
    Situation("carry-bag", ("street", "room", "beach"), carry_bag, 1.2),
    Situation("carry-box", ("street", "room"), carry_box, 0.9),
    Situation("carry-surfboard", ("beach",), carry_surfboard, 1.8),
    Situation("fly-kite", ("meadow", "beach", "park"), fly_kite, 1.4),
)
