"""Sitting, lying and standing on furniture, under tables and trees."""

from dataclasses import replace
from random import Random

from stages.ingest.scenes import palette
from stages.ingest.scenes.figures import animals, furniture, things, vehicles
from stages.ingest.scenes.figures.person import At, Body, Bones, Pose, random_body
from stages.ingest.scenes.figures.shape import Figure, Point
from stages.ingest.scenes.group import Group
from stages.ingest.scenes.situations.situation import Situation

_WOODS = ("brown", "green", "white", "red", "blue")


def seated_front(body: Body, seat: Point, *, near_arm: tuple[float, float] | At = (14, -12)) -> Pose:
    """Sitting towards the viewer: thighs foreshortened, feet on the ground where the legs are long enough."""
    x, y = seat
    h = body.height
    hip = (x, y + 0.03 * h)
    foot = max(0.035 * h, y - 0.06 - 0.225 * h)
    legs = [Bones((x + s * 0.075 * h, y - 0.055), (x + s * 0.075 * h, foot)) for s in (1, -1)]
    return Pose(front=True, hip=hip, near_arm=near_arm, far_arm=(14, -12), near_leg=legs[0], far_leg=legs[1])


def seated_side(body: Body, seat: Point, *, near_arm: tuple[float, float] | At = (32, 72)) -> Pose:
    """Sitting towards +x."""
    x, y = seat
    h = body.height
    foot = max(0.035 * h, y - 0.2 * h)
    return Pose(
        lean=-3,
        hip=(x, y + 0.05 * h),
        near_arm=near_arm,
        far_arm=(30, 75),
        near_leg=At((x + 0.25 * h, foot)),
        far_leg=At((x + 0.29 * h, foot)),
    )


def _sitter(group: Group, rng: Random, seat: Figure, number: int, place: str) -> int:
    """Somebody on a bench or couch, perhaps with a cup or a book in hand."""
    body = random_body(rng)
    at = seat.anchors[place]
    held = rng.choices(("", "cup", "book"), (0.55, 0.22, 0.23))[0]
    x, y = at[0], at[1]
    hand = {"cup": (x + 0.19 * body.height, y + 0.24 * body.height), "book": (x + 0.02, y + 0.17 * body.height)}.get(
        held
    )
    pose = seated_front(body, at, near_arm=At(hand) if hand else (14, -12))
    if held == "book":
        pose = replace(pose, far_arm=At((x - 0.04, y + 0.17 * body.height)))
    sitter, drawn = group.add_person(rng, body, pose, z=1, ground=False)
    group.state(sitter, "sit on", number)
    if held:
        colour = palette.pick(rng, other_than=body.shirt)
        figure = things.cup(colour) if held == "cup" else things.book(colour)
        hx, hy = drawn.anchors["near_hand"]
        item, _ = group.add(
            figure, colour, x=hx - (0 if held == "cup" else 0.05), y=hy, z=4.5 if held == "book" else 3.5, ground=False
        )
        group.state(sitter, "hold" if held == "cup" else "read", item)
    return sitter


def sit_on_bench(rng: Random) -> Group:
    group = Group()
    colour = rng.choice(_WOODS)
    bench, figure = group.add(furniture.bench(colour), colour)
    places = rng.choice((("left",), ("right",), ("left", "right")))
    for place in places:
        _sitter(group, rng, figure, bench, place)
    return group


def sit_on_couch(rng: Random) -> Group:
    group = Group()
    colour = palette.pick(rng, ("red", "blue", "green", "purple", "brown", "orange", "gray"))
    couch, figure = group.add(furniture.couch(colour), colour)
    first, second = rng.choice((("left", "right"), ("right", "left")))
    _sitter(group, rng, figure, couch, first)
    companion = rng.choice(("", "cat", "dog", "person"))
    x, y = figure.anchors[second]
    if companion == "person":
        _sitter(group, rng, figure, couch, second)
    elif companion:
        coat = rng.choice(animals.BREEDS[companion].coats)
        pet, _ = group.add(animals.animal(companion, coat, "lie"), coat, x=x, y=y - 0.02, flip=x > 0, z=6, ground=False)
        group.state(pet, "lie on", couch)
    return group


def sit_on_chair(rng: Random) -> Group:
    group = Group()
    colour = rng.choice(_WOODS)
    chair, figure = group.add(furniture.chair(colour), colour)
    body = random_body(rng)
    held = rng.choice(("", "book", "cup", "table"))
    seat = figure.anchors["seat"]
    reach = (seat[0] + 0.24 * body.height, seat[1] + 0.24 * body.height)
    if held == "table":
        reach = (0.62, 0.82)
    pose = seated_side(body, seat, near_arm=At(reach) if held else (30, 70))
    sitter, drawn = group.add_person(rng, body, pose, ground=False)
    group.state(sitter, "sit on", chair)
    hx, hy = drawn.anchors["near_hand"]
    if held == "book":
        paint = palette.pick(rng, other_than=body.shirt)
        book, _ = group.add(things.book(paint), paint, x=hx, y=hy, z=2.5, ground=False)
        group.state(sitter, "read", book)
    elif held == "cup":
        paint = palette.pick(rng, other_than=body.shirt)
        cup, _ = group.add(things.cup(paint), paint, x=hx, y=hy, z=2.8, ground=False)
        group.state(sitter, "hold", cup)
    elif held == "table":
        paint = rng.choice(("brown", "white"))
        table, top = group.add(furniture.table(paint, half_width=0.62), paint, x=1.08, z=4)
        group.state(sitter, "sit at", table)
        tx, ty = top.anchors["top"]
        shade = palette.pick(rng)
        laptop, _ = group.add(things.laptop("gray"), "gray", x=tx + 0.1, y=ty, z=5, ground=False)
        group.state(laptop, "on", table)
        if rng.random() < 0.5:
            cup, _ = group.add(things.cup(shade), shade, x=tx - 0.48, y=ty + 0.1, z=5, ground=False)
            group.state(cup, "on", table)
    return group


def lie_on_bench(rng: Random) -> Group:
    group = Group()
    colour = rng.choice(_WOODS)
    bench, figure = group.add(furniture.bench(colour), colour)
    body = random_body(rng, kinds=("man", "woman", "boy"))
    x, y = figure.anchors["seat"]
    h = body.height
    hip = (x - 0.02 * h, y + 0.075 * h)
    pose = Pose(lean=-87, hip=hip, near_arm=(58, 92), far_arm=(60, 88), near_leg=(91, 88), far_leg=(128, 50))
    sleeper, _ = group.add_person(rng, body, pose, z=2, ground=False, hat=0)
    group.state(sleeper, "lie on", bench)
    return group


def pet_on_furniture(rng: Random) -> Group:
    group = Group()
    kind = rng.choice(("cat", "cat", "dog"))
    support = rng.choice(("couch", "chair", "bench")) if kind == "cat" else rng.choice(("couch", "bench"))
    colour = palette.pick(rng, ("red", "blue", "green", "purple", "brown"))
    figure = {"couch": furniture.couch, "chair": furniture.chair, "bench": furniture.bench}[support](colour)
    seat, placed = group.add(figure, colour)
    coat = rng.choice(animals.BREEDS[kind].coats)
    stance: animals.Stance = rng.choice(("sit", "lie")) if support != "chair" else "sit"
    x, y = placed.anchors["seat"]
    pet, _ = group.add(animals.animal(kind, coat, stance), coat, x=x, y=y - 0.02, z=3, ground=False)
    group.state(pet, "sit on" if stance == "sit" else "lie on", seat)
    return group


def pet_under_table(rng: Random) -> Group:
    group = Group()
    colour = rng.choice(("brown", "white", "gray"))
    table, figure = group.add(furniture.table(colour, half_width=0.8), colour)
    kind = rng.choice(("dog", "cat", "dog"))
    coat = rng.choice(animals.BREEDS[kind].coats)
    pet, _ = group.add(animals.animal(kind, coat, "lie"), coat, y=0.06, z=-0.3, ground=False)
    group.state(pet, "lie under", table)
    _lay(group, rng, figure, table, rng.choice(("cup", "book", "laptop")))
    return group


def _lay(group: Group, rng: Random, table: Figure, number: int, kind: str, *, dx: float = 0.1) -> int:
    """A small thing on a table."""
    x, y = table.anchors["top"]
    colour = palette.pick(rng)
    if kind == "cup":
        item, _ = group.add(things.cup(colour), colour, x=x + dx, y=y + 0.1, z=3, ground=False)
    elif kind == "book":
        item, _ = group.add(things.book(colour, opened=False), colour, x=x + dx, y=y, z=3, ground=False)
    elif kind == "laptop":
        item, _ = group.add(things.laptop("gray"), "gray", x=x + dx, y=y + 0.03, z=3, ground=False)
    elif kind == "hat":
        item, _ = group.add(
            things.hat(colour, head_radius=0.14, style="brim"), colour, x=x + dx, y=y + 0.01, z=3, ground=False
        )
    else:
        item, _ = group.add(things.ball(colour), colour, x=x + dx, y=y + 0.16, z=3, ground=False)
    group.state(item, "on", number)
    return item


def things_on_table(rng: Random) -> Group:
    group = Group()
    colour = rng.choice(("brown", "white", "gray"))
    table, figure = group.add(furniture.table(colour, half_width=0.85), colour)
    first, second = rng.sample(("cup", "book", "laptop", "hat", "ball", "cup"), 2)
    _lay(group, rng, figure, table, first, dx=-0.42)
    _lay(group, rng, figure, table, second, dx=0.3)
    if rng.random() < 0.6:
        paint = palette.pick(rng)
        if rng.random() < 0.5:
            below, _ = group.add(things.ball(paint, radius=0.19), paint, x=0.1, y=0.22, z=-0.3, ground=False)
        else:
            below, _ = group.add(vehicles.box_of(paint, size=0.4), paint, x=-0.1, y=0.06, z=-0.3, ground=False)
        group.state(below, "under", table)
    return group


def pet_on_table(rng: Random) -> Group:
    group = Group()
    colour = rng.choice(("brown", "white", "gray"))
    table, figure = group.add(furniture.table(colour), colour)
    coat = rng.choice(animals.BREEDS["cat"].coats)
    x, y = figure.anchors["top"]
    stance: animals.Stance = rng.choice(("stand", "sit", "lie"))
    cat, _ = group.add(animals.animal("cat", coat, stance), coat, x=x, y=y, z=3, ground=False)
    group.state(cat, f"{stance} on", table)
    return group


def stand_on_box(rng: Random) -> Group:
    group = Group()
    colour = palette.pick(rng, ("brown", "red", "blue", "orange"))
    box, figure = group.add(vehicles.box_of(colour, size=0.55), colour)
    x, y = figure.anchors["top"]
    if rng.random() < 0.6:
        body = random_body(rng)
        pose = Pose(front=True, near_arm=(30, 20), far_arm=(30, 20), near_leg=(3, 3), far_leg=(3, 3))
        climber, _ = group.add_person(rng, body, pose, x=x, y=y - 0.03, z=3, ground=False)
    else:
        coat = rng.choice(animals.BREEDS["dog"].coats)
        climber, _ = group.add(animals.animal("dog", coat, "stand"), coat, x=x, y=y - 0.02, z=3, ground=False)
    group.state(climber, "stand on", box)
    return group


def under_tree(rng: Random) -> Group:
    group = Group()
    tree, _ = group.add(furniture.tree(rng), adjectives=("green", "big"))
    side = rng.choice((-1, 1))
    if rng.random() < 0.5:
        kind = rng.choice(("dog", "sheep", "cow", "dog"))
        stance: animals.Stance = (
            "stand" if kind == "cow" else ("lie" if kind == "sheep" else rng.choice(("lie", "sit")))
        )
        coat = rng.choice(animals.BREEDS[kind].coats)
        rester, _ = group.add(animals.animal(kind, coat, stance), coat, x=side * 0.4, y=-0.12, flip=side < 0, z=5)
        group.state(rester, f"{stance} under", tree)
        return group
    body = random_body(rng)
    h = body.height
    x = side * 0.35
    pose = Pose(
        lean=-8,
        hip=(0, 0.05 * h),
        near_arm=At((0.26 * h, 0.28 * h)),
        far_arm=At((0.26 * h, 0.3 * h)),
        near_leg=At((0.36 * h, 0.035 * h)),
        far_leg=At((0.3 * h, 0.035 * h)),
    )
    rester, drawn = group.add_person(rng, body, pose, x=x, y=-0.12, flip=side < 0, z=5)
    group.state(rester, "sit under", tree)
    if rng.random() < 0.6:
        colour = palette.pick(rng, other_than=body.shirt)
        hx, hy = drawn.anchors["near_hand"]
        book, _ = group.add(things.book(colour), colour, x=hx, y=hy, flip=side < 0, z=7.5, ground=False)
        group.state(rester, "read", book)
    return group


SITUATIONS = (
    Situation("sit-on-bench", ("park", "street", "beach"), sit_on_bench, 1.8),
    Situation("sit-on-couch", ("room",), sit_on_couch, 1.5),
    Situation("sit-on-chair", ("room", "park"), sit_on_chair, 1.5),
    Situation("lie-on-bench", ("park", "street"), lie_on_bench, 0.6),
    Situation("pet-on-furniture", ("room",), pet_on_furniture, 1.0),
    Situation("pet-under-table", ("room",), pet_under_table, 1.2),
    Situation("things-on-table", ("room",), things_on_table, 1.3),
    Situation("pet-on-table", ("room",), pet_on_table, 0.8),
    Situation("stand-on-box", ("room", "street", "park"), stand_on_box, 0.7),
    Situation("under-tree", ("park", "meadow"), under_tree, 1.6),
)
