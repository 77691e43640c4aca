"""Distractors: instances of the same classes that take no part, and people who stand right beside."""

from random import Random

from stages.ingest.scenes import palette
from stages.ingest.scenes.figures import animals, furniture, things, vehicles
from stages.ingest.scenes.figures.person import STAND, STAND_FRONT, WALK, Pose, random_body
from stages.ingest.scenes.group import Group


def _person(rng: Random) -> Group:
    group = Group()
    pose = rng.choice((STAND, STAND_FRONT, WALK))
    group.add_person(rng, random_body(rng), pose, hat=0.3)
    return group


def _animal(rng: Random, name: str) -> Group:
    group = Group()
    coat = rng.choice(animals.BREEDS[name].coats)
    stance: animals.Stance = (
        rng.choice(("stand", "walk")) if name in ("horse", "cow", "sheep") else rng.choice(("stand", "sit", "lie"))
    )
    group.add(animals.animal(name, coat, stance), coat)
    return group


def _thing(rng: Random, name: str) -> Group:
    group = Group()
    colour = palette.pick(rng)
    figure = {
        "bicycle": vehicles.bicycle,
        "car": vehicles.car,
        "cart": vehicles.cart,
        "skateboard": vehicles.skateboard,
        "bench": furniture.bench,
        "chair": furniture.chair,
        "table": furniture.table,
        "couch": furniture.couch,
        "fence": furniture.fence,
        "box": vehicles.box_of,
        "ball": lambda c: things.ball(c, radius=0.17).placed(0, 0.17),
        "bag": lambda c: things.bag(c).placed(0, 0.47),
        "boat": vehicles.boat,
        "surfboard": vehicles.surfboard,
    }[name](colour)
    afloat = name in ("boat", "surfboard")
    number, _ = group.add(figure, colour, ground=not afloat)
    if name in ("bench", "chair", "boat"):
        group.describe(number, "empty")
    return group


def _tree(rng: Random) -> Group:
    group = Group()
    group.add(furniture.tree(rng), adjectives=("green",))
    return group


# Which classes can stand about, by setting; None of them is ever related to anything.
IDLE: dict[str, tuple[str, ...]] = {
    "meadow": ("person", "horse", "cow", "sheep", "dog", "tree", "ball", "fence"),
    "park": ("person", "dog", "bench", "tree", "ball", "bicycle", "bag", "cat", "horse", "chair"),
    "street": ("person", "car", "bicycle", "bench", "dog", "bag", "skateboard", "box", "cart"),
    "beach": ("person", "dog", "ball", "bag", "horse", "bench"),
    "room": ("person", "cat", "dog", "chair", "box", "ball", "bag", "table", "couch"),
    "sea": ("boat", "surfboard"),
}


def bystander(rng: Random, name: str) -> Group:
    """One idle instance of a class named in `IDLE`."""
    if name == "person":
        return _person(rng)
    if name == "tree":
        return _tree(rng)
    return _animal(rng, name) if name in animals.BREEDS else _thing(rng, name)


def add_neighbour(group: Group, rng: Random) -> None:
    """Stand somebody right beside the largest thing of a group, facing it or the viewer, and state `stand next to`.

    The hard case for whoever resolves "a man rides a horse": a second person is at the horse too.
    """
    sizes = {}
    extents = group.extents()
    for number, thing in enumerate(group.things):
        x1, y1, x2, y2 = extents[number]
        if (
            thing.name in ("horse", "bicycle", "bench", "car", "cow", "couch", "table", "cart")
            and number in group.standing
        ):
            sizes[number] = (x2 - x1) * (y2 - y1)
    if not sizes:
        return
    largest = max(sizes, key=lambda number: (sizes[number], -number))
    x1, _, x2, _ = extents[largest]
    outer = group.extent()
    # Only where the thing itself is the outermost on that side, or the neighbour would be beside something else.
    free = [side for side, edge, end in ((-1, x1, outer[0]), (1, x2, outer[2])) if abs(edge - end) < 0.15]
    if not free:
        return
    side = rng.choice(free)
    body = random_body(rng)
    pose = rng.choice((STAND, STAND_FRONT, Pose(near_arm=(-4, 20), far_arm=(6, 16))))
    x = (x1 - 0.3) if side < 0 else (x2 + 0.3)
    number, _ = group.add_person(rng, body, pose, x=x, flip=side > 0, z=8)
    group.state(number, "stand next to", largest)
