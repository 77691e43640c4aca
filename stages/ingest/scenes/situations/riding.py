"""Riding, driving and sitting in boats."""

from random import Random

from stages.ingest.scenes import palette
from stages.ingest.scenes.figures import animals, vehicles
from stages.ingest.scenes.figures.person import At, Pose, random_body
from stages.ingest.scenes.figures.shape import along, oval, stroke
from stages.ingest.scenes.group import Group
from stages.ingest.scenes.situations.situation import Situation


def mount(group: Group, rng: Random, *, stance: animals.Stance, x: float = 0, lift: float = 0) -> tuple[int, int]:
    """A rider on a horse in a group; their numbers."""
    coat = rng.choice(animals.BREEDS["horse"].coats)
    horse, figure = group.add(animals.animal("horse", coat, stance), coat, x=x, y=lift, ground=lift == 0)
    sx, sy = figure.anchors["saddle"]
    nx, ny = figure.anchors["neck"]
    rein = along((sx, sy), (nx, ny), 0.55)
    body = random_body(rng)
    reach = 0.37 if not body.child else 0.28
    pose = Pose(
        lean=22 if stance == "jump" else 4,
        hip=(sx - 0.08, sy + 0.09),
        near_arm=At((rein[0] - 0.08, rein[1] + 0.16)),
        far_arm=At((rein[0] - 0.02, rein[1] + 0.2)),
        near_leg=At((sx + 0.12, sy - reach - 0.24)),
        far_leg=At((sx + 0.2, sy - reach - 0.2)),
    )
    rider, drawn = group.add_person(rng, body, pose, ground=False, hat=0.4)
    hand = drawn.anchors["near_hand"]
    group.draw(
        stroke((hand, figure.anchors["mouth"]), 0.012, palette.INK, z=2.9, edge=False),
        oval((sx, sy - 0.02), 0.27, 0.06, (92, 56, 36), z=0.9),
    )
    group.state(rider, "ride", horse)
    return rider, horse


def ride_horse(rng: Random) -> Group:
    group = Group()
    mount(group, rng, stance=rng.choice(("stand", "walk", "walk")))
    return group


def two_riders(rng: Random) -> Group:
    group = Group()
    mount(group, rng, stance="walk", x=-1.3)
    mount(group, rng, stance=rng.choice(("stand", "walk")), x=1.3)
    return group


def jump_fence_on_horse(rng: Random) -> Group:
    from stages.ingest.scenes.figures.furniture import fence

    group = Group()
    paint = rng.choice(("white", "brown", "red"))
    rail, _ = group.add(fence(paint, half_width=0.75, height=0.6), paint, x=0.1, z=-5)
    _, horse = mount(group, rng, stance="jump", lift=0.42)
    group.state(horse, "jump over", rail)
    return group


def _cyclist(group: Group, rng: Random, *, x: float = 0) -> tuple[int, int]:
    colour = palette.pick(rng)
    bike, figure = group.add(vehicles.bicycle(colour), colour, x=x)
    body = random_body(rng, kinds=("man", "woman", "woman", "man", "boy"))
    sx, sy = figure.anchors["saddle"]
    pose = Pose(
        lean=24,
        hip=(sx, sy + 0.07),
        near_arm=At(figure.anchors["bars"]),
        far_arm=At(figure.anchors["bars"]),
        near_leg=At(figure.anchors["near_pedal"]),
        far_leg=At(figure.anchors["far_pedal"]),
    )
    rider, _ = group.add_person(rng, body, pose, ground=False)
    group.state(rider, "ride", bike)
    return rider, bike


def ride_bicycle(rng: Random) -> Group:
    group = Group()
    _cyclist(group, rng)
    return group


def two_cyclists(rng: Random) -> Group:
    group = Group()
    _cyclist(group, rng, x=-0.95)
    _cyclist(group, rng, x=0.95)
    return group


def ride_skateboard(rng: Random) -> Group:
    group = Group()
    colour = palette.pick(rng)
    board, figure = group.add(vehicles.skateboard(colour), colour)
    x, y = figure.anchors["deck"]
    body = random_body(rng)
    pose = Pose(
        lean=14,
        hip=(x - 0.02, y + 0.41 * body.height),
        near_arm=(-62, -40),
        far_arm=(70, 95),
        near_leg=At((x - 0.24, y + 0.035 * body.height)),
        far_leg=At((x + 0.18, y + 0.035 * body.height)),
    )
    rider, _ = group.add_person(rng, body, pose, ground=False, hat=0.4)
    group.state(rider, "ride", board)
    return group


def ride_surfboard(rng: Random) -> Group:
    group = Group()
    colour = palette.pick(rng)
    board, figure = group.add(vehicles.surfboard(colour), colour, ground=False)
    x, y = figure.anchors["deck"]
    body = random_body(rng, kinds=("man", "woman", "boy"))
    pose = Pose(
        lean=26,
        hip=(x - 0.04, y + 0.36 * body.height),
        near_arm=(-70, -55),
        far_arm=(78, 98),
        near_leg=At((x - 0.34, y + 0.03)),
        far_leg=At((x + 0.26, y + 0.09)),
    )
    rider, _ = group.add_person(rng, body, pose, ground=False, hat=0)
    group.state(rider, "ride", board)
    group.draw(
        *(oval((px, py), rx, 0.06, (238, 246, 248), z=5, edge=False)
          for px, py, rx in ((-0.95, -0.06, 0.5), (-0.2, -0.04, 0.45), (0.55, 0.02, 0.3), (-1.25, 0.02, 0.22)))
    )  # fmt: skip
    return group


def drive_car(rng: Random) -> Group:
    group = Group()
    colour = palette.pick(rng)
    car, figure = group.add(vehicles.car(colour), colour)
    body = random_body(rng, kinds=("man", "woman"), shirt=palette.pick(rng, other_than=colour))
    wheel = figure.anchors["wheel"]
    pose = Pose(lean=-6, hip=figure.anchors["seat"], near_arm=At(wheel), far_arm=At(wheel), near_leg=None, far_leg=None)
    # Seated low: a whole adult does not fit below the roof, so the driver is drawn a little smaller.
    sx, sy = figure.anchors["seat"]
    scale = 0.84
    driver, _ = group.add_person(
        rng,
        body,
        Pose(
            lean=-4,
            hip=(0, 0),
            near_arm=At(((wheel[0] - sx) / scale, (wheel[1] - sy) / scale)),
            far_arm=At(((wheel[0] - sx) / scale, (wheel[1] - sy) / scale)),
            near_leg=pose.near_leg,
            far_leg=pose.far_leg,
        ),
        x=sx,
        y=sy,
        scale=scale,
        inside=(0.15, 0.35),
        ground=False,
        hat=0,
    )
    group.state(driver, "drive", car)
    return group


def sit_in_boat(rng: Random) -> Group:
    group = Group()
    colour = palette.pick(rng)
    boat, figure = group.add(vehicles.boat(colour), colour, ground=False)
    x, y = figure.anchors["seat"]
    count = rng.choice((1, 1, 2))
    for i in range(count):
        body = random_body(rng, shirt=palette.pick(rng, other_than=colour))
        at = x + (0.0 if count == 1 else -0.45 + 0.95 * i)
        pose = Pose(
            lean=8,
            hip=(at, y + 0.05),
            near_arm=(50, 80),
            far_arm=(42, 84),
            near_leg=At((at + 0.5, y - 0.22)),
            far_leg=At((at + 0.55, y - 0.22)),
        )
        sitter, drawn = group.add_person(rng, body, pose, inside=(0.2, 0.8), ground=False, hat=0.3)
        group.state(sitter, "sit in", boat)
        if i == 0:
            hand = drawn.anchors["near_hand"]
            group.draw(stroke((hand, (hand[0] - 0.75, -0.06)), (0.018, 0.02), palette.WOOD, z=1.5))
    group.draw(*(oval((px, 0.0), 0.5, 0.05, (214, 232, 240), z=5, edge=False) for px in (-0.75, 0.1, 0.8)))
    return group


SITUATIONS = (
    Situation("ride-horse", ("meadow", "park", "beach"), ride_horse, 1.6),
    Situation("two-riders", ("meadow", "beach"), two_riders, 0.5),
    Situation("jump-fence-on-horse", ("meadow",), jump_fence_on_horse, 0.7),
    Situation("ride-bicycle", ("street", "park"), ride_bicycle, 1.4),
    Situation("two-cyclists", ("street", "park"), two_cyclists, 0.4),
    Situation("ride-skateboard", ("street", "park"), ride_skateboard, 1.1),
    Situation("ride-surfboard", ("sea",), ride_surfboard, 1.4),
    Situation("drive-car", ("street",), drive_car, 1.2),
    Situation("sit-in-boat", ("sea",), sit_in_boat, 1.4),
)
