"""Kicking, throwing, walking a dog, pushing, feeding, petting, chasing, jumping, leaning, looking."""

from random import Random

from stages.ingest.scenes import palette
from stages.ingest.scenes.figures import animals, furniture, things, vehicles
from stages.ingest.scenes.figures.person import At, Pose, random_body
from stages.ingest.scenes.figures.shape import stroke
from stages.ingest.scenes.group import Group
from stages.ingest.scenes.situations.situation import Situation


def kick_ball(rng: Random) -> Group:
    group = Group()
    body = random_body(rng)
    pose = Pose(lean=-10, near_arm=(-38, -22), far_arm=(48, 62), near_leg=(52, 44), far_leg=(-10, -14))
    kicker, drawn = group.add_person(rng, body, pose)
    x, y = drawn.anchors["near_foot"]
    colour = palette.pick(rng)
    ball, _ = group.add(things.ball(colour), colour, x=x + 0.3, y=max(0.16, y + 0.08), z=2)
    group.state(kicker, "kick", ball)
    return group


def throw(rng: Random) -> Group:
    group = Group()
    body = random_body(rng)
    kind = rng.choice(("ball", "frisbee"))
    pose = Pose(lean=8, near_arm=(118, 108), far_arm=(-40, -10), near_leg=(-16, -26), far_leg=(24, 12), nod=4)
    thrower, drawn = group.add_person(rng, body, pose)
    x, y = drawn.anchors["near_hand"]
    colour = palette.pick(rng, other_than=body.shirt)
    figure = things.ball(colour, radius=0.13) if kind == "ball" else things.frisbee(colour)
    item, _ = group.add(figure, colour, x=x + 0.34, y=y + 0.16, z=3, ground=False)
    group.draw(
        *(
            stroke(((x + 0.1, y + d - 0.02), (x + 0.2, y + d + 0.05)), 0.008, (250, 250, 250), z=3, edge=False)
            for d in (0.0, 0.08, 0.16)
        )
    )
    group.state(thrower, "throw", item)
    return group


def walk_dog(rng: Random) -> Group:
    group = Group()
    body = random_body(rng)
    pose = Pose(lean=-2, near_arm=(28, 44), far_arm=(-18, -6), near_leg=(20, 12), far_leg=(-18, -34))
    walker, drawn = group.add_person(rng, body, pose)
    for i in range(rng.choice((1, 1, 1, 2))):
        coat = rng.choice(animals.BREEDS["dog"].coats)
        dog, figure = group.add(animals.animal("dog", coat, "walk"), coat, x=1.15 + 0.8 * i, z=2, y=-0.05 * i)
        collar = figure.anchors["neck"]
        x, y = drawn.anchors["near_hand"]
        group.draw(
            stroke(
                ((x, y), ((x + collar[0]) / 2, (y + collar[1]) / 2 - 0.06), collar),
                0.013,
                (150, 30, 40),
                z=4,
                edge=False,
            ),
            stroke(
                ((collar[0] - 0.05, collar[1] + 0.05), (collar[0] + 0.05, collar[1] - 0.07)),
                0.02,
                (190, 40, 40),
                z=4,
                edge=False,
            ),
        )
        group.state(walker, "walk", dog)
    return group


def push_cart(rng: Random) -> Group:
    group = Group()
    colour = palette.pick(rng)
    pulls = rng.random() < 0.4
    cart, figure = group.add(vehicles.cart(colour), colour, x=-1.1 if pulls else 1.35, flip=pulls)
    handle = figure.anchors["handle"]
    body = random_body(rng, kinds=("man", "woman"))
    if pulls:
        pose = Pose(lean=14, near_arm=At(handle, bend=-1), far_arm=(-14, -4), near_leg=(24, 8), far_leg=(-22, -40))
    else:
        pose = Pose(lean=14, near_arm=At(handle), far_arm=At(handle), near_leg=(22, 8), far_leg=(-22, -36))
    pusher, _ = group.add_person(rng, body, pose, z=2, x=0.1 if pulls else 0)
    group.state(pusher, "pull" if pulls else "push", cart)
    return group


def push_bicycle(rng: Random) -> Group:
    group = Group()
    colour = palette.pick(rng)
    bike, figure = group.add(vehicles.bicycle(colour), colour, x=0.1)
    body = random_body(rng, kinds=("man", "woman"))
    # Behind the rear wheel, both hands on the saddle: beside the frame it would look like riding.
    x, (sx, sy) = -0.78, figure.anchors["saddle"]
    pose = Pose(
        lean=22, near_arm=At((sx - x, sy)), far_arm=At((sx - x + 0.05, sy)), near_leg=(20, 8), far_leg=(-22, -38)
    )
    pusher, _ = group.add_person(rng, body, pose, x=x, z=2)
    group.state(pusher, "push", bike)
    return group


def feed_animal(rng: Random) -> Group:
    group = Group()
    kind = rng.choice(("horse", "cow", "sheep", "horse", "dog"))
    body = random_body(rng, kinds=("man", "woman", "boy", "girl") if kind in ("sheep", "dog") else ("man", "woman"))
    nod = {"horse": -0.55, "cow": 0.0, "sheep": 0.06, "dog": 0.1}[kind]
    coat = rng.choice(animals.BREEDS[kind].coats)
    figure = animals.animal(kind, coat, "stand", nod=nod)
    stoop = {"horse": 4, "cow": 8, "sheep": 26, "dog": 34}[kind]
    mouth = figure.anchors["mouth"]
    arm = 0.33 * body.height
    shift = mouth[0] + arm + 0.12
    beast, placed = group.add(figure, coat, x=shift, flip=True)
    mx, my = placed.anchors["mouth"]
    pose = Pose(lean=stoop, near_arm=At((mx - 0.2, my - 0.05)), far_arm=(-8, 10), near_leg=(8, -10), far_leg=(-10, -16))
    feeder, drawn = group.add_person(rng, body, pose, z=2, hat=0.25)
    hx, hy = drawn.anchors["near_hand"]
    food = things.carrot().placed(hx + 0.03, hy + 0.01, 1.3, z=6)
    group.draw(*food.shapes)
    group.state(feeder, "feed", beast)
    return group


def pet_animal(rng: Random) -> Group:
    group = Group()
    kind = rng.choice(("dog", "dog", "horse", "cat", "sheep"))
    coat = rng.choice(animals.BREEDS[kind].coats)
    body = random_body(rng, kinds=("man", "woman") if kind == "horse" else ("man", "woman", "boy", "girl"))
    h = body.height
    if kind == "horse":
        beast, figure = group.add(animals.animal(kind, coat, "stand", nod=-0.3), coat, x=1.25, flip=True)
        hx, hy = figure.anchors["neck"]
        pose = Pose(lean=4, near_arm=At((hx - 0.02, hy + 0.02)), far_arm=(-8, 4), near_leg=(4, -2), far_leg=(-6, -8))
    else:
        stance: animals.Stance = "stand" if kind == "sheep" else "sit"
        reach = {"dog": 0.62, "cat": 0.6, "sheep": 1.12}[kind]
        beast, figure = group.add(animals.animal(kind, coat, stance), coat, x=reach + 0.06 * h, flip=True)
        hx, hy = figure.anchors["head"] if kind != "sheep" else figure.anchors["neck"]
        # Crouching: the hip low, one knee up, so that the hand comes down to the animal's head.
        pose = Pose(
            lean=26,
            hip=(0.0, 0.2 * h),
            near_arm=At((hx, hy + 0.03)),
            far_arm=(28, 60),
            near_leg=At((0.02 * h, 0.035 * h)),
            far_leg=At((0.14 * h, 0.035 * h)),
        )
    petter, _ = group.add_person(rng, body, pose, z=2)
    group.state(petter, "pet", beast)
    return group


def chase(rng: Random) -> Group:
    group = Group()
    coat = rng.choice(animals.BREEDS["dog"].coats)
    dog, _ = group.add(animals.animal("dog", coat, "run"), coat, x=0, y=0.03)
    if rng.random() < 0.5:
        fur = rng.choice([c for c in animals.BREEDS["cat"].coats if c != coat])
        prey, _ = group.add(animals.animal("cat", fur, "run"), fur, x=1.25, y=0.02)
    else:
        colour = palette.pick(rng)
        prey, _ = group.add(things.ball(colour, radius=0.13), colour, x=1.0, y=0.13)
        group.draw(
            *(
                stroke(((0.72 - d, 0.08 + d), (0.82 - d * 0.5, 0.08 + d)), 0.008, (250, 250, 250), z=3, edge=False)
                for d in (0.0, 0.08, 0.15)
            )
        )
    group.state(dog, "chase", prey)
    return group


def jump_over_fence(rng: Random) -> Group:
    group = Group()
    paint = rng.choice(("white", "brown", "red"))
    kind = rng.choice(("dog", "horse", "dog"))
    height = 0.42 if kind == "dog" else 0.6
    fence, _ = group.add(furniture.fence(paint, half_width=0.5 if kind == "dog" else 0.75, height=height), paint, z=-5)
    coat = rng.choice(animals.BREEDS[kind].coats)
    jumper, _ = group.add(animals.animal(kind, coat, "jump"), coat, y=0.36, ground=False)
    group.state(jumper, "jump over", fence)
    return group


def lean_against(rng: Random) -> Group:
    group = Group()
    kind = rng.choice(("tree", "car", "fence", "bicycle"))
    body = random_body(rng, kinds=("man", "woman"))
    h = body.height
    pose = Pose(lean=-13, near_arm=(24, 98), far_arm=(30, 88), near_leg=(14, 14), far_leg=(26, 4))
    if kind == "bicycle":
        tree, _ = group.add(furniture.tree(rng), adjectives=("green",))
        colour = palette.pick(rng, other_than="green")
        bike, _ = group.add(vehicles.bicycle(colour), colour, x=0.2, y=-0.1, z=5)
        group.state(bike, "lean against", tree)
        return group
    if kind == "tree":
        support, _ = group.add(furniture.tree(rng), adjectives=("green", "tall"))
        x = 0.12 + 0.2 * h
    elif kind == "car":
        colour = palette.pick(rng)
        support, _ = group.add(vehicles.car(colour), colour, x=-1.68)
        x = -0.04 + 0.1 * h
    else:
        colour = rng.choice(("white", "brown"))
        support, _ = group.add(furniture.fence(colour, half_width=0.8, height=0.95), colour, x=-0.7)
        x = 0.1 + 0.075 * h
    leaner, _ = group.add_person(rng, body, pose, x=x, y=-0.05, z=4)
    group.state(leaner, "lean against", support)
    return group


def look_at(rng: Random) -> Group:
    group = Group()
    body = random_body(rng)
    h = body.height
    kind = rng.choice(("horse", "cow", "dog", "cat", "car", "tree"))
    low = kind in ("dog", "cat")
    # A hand above the eyes says "looking" even in a thumbnail.
    pose = Pose(lean=6, near_arm=At((0.1 * h, 0.965 * h), bend=1), far_arm=(-8, 0), nod=-18 if low else 4)
    looker, _ = group.add_person(rng, body, pose, hat=0)
    if kind == "car":
        colour = palette.pick(rng)
        seen, _ = group.add(vehicles.car(colour), colour, x=2.4, flip=rng.random() < 0.5)
    elif kind == "tree":
        seen, _ = group.add(furniture.tree(rng), adjectives=("green", "big"), x=2.0)
    else:
        coat = rng.choice(animals.BREEDS[kind].coats)
        distance = {"horse": 2.1, "cow": 2.0, "dog": 1.3, "cat": 1.1}[kind]
        seen, _ = group.add(animals.animal(kind, coat, "stand" if not low else "sit"), coat, x=distance, flip=True)
    group.state(looker, "look at", seen)
    return group


SITUATIONS = (
    Situation("kick-ball", ("meadow", "park", "beach"), kick_ball, 1.6),
    Situation("throw", ("meadow", "park", "beach"), throw, 1.3),
    Situation("walk-dog", ("park", "street", "beach"), walk_dog, 1.6),
    Situation("push-cart", ("street", "park"), push_cart, 1.1),
    Situation("push-bicycle", ("street", "park"), push_bicycle, 0.7),
    Situation("feed-animal", ("meadow",), feed_animal, 1.6),
    Situation("pet-animal", ("meadow", "park"), pet_animal, 1.4),
    Situation("chase", ("meadow", "park", "beach"), chase, 1.0),
    Situation("jump-over-fence", ("meadow",), jump_over_fence, 1.0),
    Situation("lean-against", ("park", "meadow"), lean_against, 1.1),
    Situation("look-at", ("meadow", "park"), look_at, 1.0),
)
