"""Behind, in front of, next to, under: things that stand in a place on purpose."""

from random import Random

from stages.ingest.scenes import palette
from stages.ingest.scenes.figures import animals, furniture, things, vehicles
from stages.ingest.scenes.figures.person import STAND, STAND_FRONT, random_body
from stages.ingest.scenes.figures.shape import Figure
from stages.ingest.scenes.group import Group
from stages.ingest.scenes.situations.situation import Situation

# One step back into the picture: higher up, a little smaller, and painted first.
_BACK_M = 0.34
_BACK_SCALE = 0.93


def behind_fence(rng: Random) -> Group:
    group = Group()
    colour = rng.choice(("white", "brown"))
    kind = rng.choice(("person", "horse", "cow", "person"))
    width = 0.85 if kind == "person" else 1.2
    fence, _ = group.add(furniture.fence(colour, half_width=width, height=0.62), colour)
    if kind == "person":
        hidden, _ = group.add_person(
            rng, random_body(rng, kinds=("man", "woman")), STAND_FRONT, y=_BACK_M, scale=_BACK_SCALE, z=-20
        )
    else:
        coat = rng.choice(animals.BREEDS[kind].coats)
        hidden, _ = group.add(animals.animal(kind, coat), coat, y=_BACK_M, scale=_BACK_SCALE, z=-20)
    group.state(hidden, "stand behind", fence)
    return group


def around_car(rng: Random) -> Group:
    group = Group()
    colour = palette.pick(rng)
    car, _ = group.add(vehicles.car(colour), colour)
    body = random_body(rng, kinds=("man", "woman"), shirt=palette.pick(rng, other_than=colour))
    x = rng.uniform(-1.0, 1.0)
    if rng.random() < 0.5:
        other, _ = group.add_person(rng, body, STAND_FRONT, x=x, y=0.42, z=-20)
        group.state(other, "stand behind", car)
    else:
        other, _ = group.add_person(rng, body, STAND_FRONT, x=x, y=-0.28, scale=1.04, z=20)
        group.state(other, "stand in front of", car)
    return group


def in_front_of_tree(rng: Random) -> Group:
    group = Group()
    tree, _ = group.add(furniture.tree(rng), adjectives=("green", "tall"))
    kind = rng.choice(("car", "bench", "bicycle"))
    colour = palette.pick(rng, other_than="green")
    figure = {"car": vehicles.car, "bench": furniture.bench, "bicycle": vehicles.bicycle}[kind](colour)
    front, _ = group.add(figure, colour, y=-0.42, z=20, x=rng.uniform(-0.25, 0.25))
    group.state(front, "in front of", tree)
    return group


def beside(rng: Random) -> Group:
    group = Group()
    outdoors_pair = rng.choice(("dog-bench", "bicycle-bench", "bag-bench", "dog-bicycle", "ball-bench"))
    left, right = outdoors_pair.split("-")
    colour = palette.pick(rng)
    if right == "bench":
        anchor, figure = group.add(furniture.bench(colour), colour)
    else:
        anchor, figure = group.add(vehicles.bicycle(colour), colour)
    edge = figure.extent()[2]
    _beside(group, rng, left, anchor, edge)
    if right == "bench" and left != "ball" and rng.random() < 0.4:
        paint = palette.pick(rng, other_than=colour)
        ball, _ = group.add(things.ball(paint), paint, x=rng.uniform(-0.4, 0.4), y=0.16, z=-0.15, ground=False)
        group.state(ball, "under", anchor)
    return group


def beside_indoors(rng: Random) -> Group:
    group = Group()
    colour = palette.pick(rng, ("red", "blue", "green", "brown", "orange"))
    kind = rng.choice(("chair", "couch", "table"))
    figure = {"chair": furniture.chair, "couch": furniture.couch, "table": furniture.table}[kind](colour)
    anchor, placed = group.add(figure, colour)
    _beside(group, rng, rng.choice(("dog", "cat", "bag", "box")), anchor, placed.extent()[2])
    if kind == "chair" and rng.random() < 0.6:
        paint = palette.pick(rng, other_than=colour)
        ball, _ = group.add(things.ball(paint, radius=0.13), paint, x=0.02, y=0.14, z=-0.3, ground=False)
        group.state(ball, "under", anchor)
    return group


def _beside(group: Group, rng: Random, kind: str, anchor: int, edge: float) -> None:
    """A thing right of what ends at `edge`, close but apart."""
    if kind in ("dog", "cat"):
        coat = rng.choice(animals.BREEDS[kind].coats)
        _put_right(group, animals.animal(kind, coat, "sit"), coat, anchor, edge, predicate="sit next to")
        return
    colour = palette.pick(rng)
    figure = {
        "bicycle": lambda: vehicles.bicycle(colour),
        "bag": lambda: things.bag(colour).placed(0, 0.47),
        "box": lambda: vehicles.box_of(colour, size=0.5),
        "ball": lambda: things.ball(colour, radius=0.19).placed(0, 0.19),
    }[kind]()
    _put_right(group, figure, colour, anchor, edge, predicate="next to")


def _put_right(group: Group, figure: Figure, colour: str, anchor: int, edge: float, *, predicate: str) -> None:
    left = figure.extent()[0]
    number, _ = group.add(figure, colour, x=edge - left + 0.1, y=-0.06, z=3)
    group.state(number, predicate, anchor)


def two_friends(rng: Random) -> Group:
    group = Group()
    pose = STAND_FRONT if rng.random() < 0.6 else STAND
    first, _ = group.add_person(rng, random_body(rng), pose)
    second, _ = group.add_person(rng, random_body(rng), STAND_FRONT, x=0.82, z=1)
    group.state(first, "stand next to", second)
    group.state(second, "stand next to", first)
    return group


SITUATIONS = (
    Situation("behind-fence", ("meadow", "park"), behind_fence, 1.3),
    Situation("around-car", ("street",), around_car, 1.4),
    Situation("in-front-of-tree", ("park", "street"), in_front_of_tree, 1.0),
    Situation("beside", ("park", "street", "beach"), beside, 1.3),
    Situation("beside-indoors", ("room",), beside_indoors, 1.2),
    Situation("two-friends", ("park", "street", "room", "beach", "meadow"), two_friends, 0.8),
)
