"""`Group`: figures that belong together, what may be said of them, and which relations hold among them."""

from dataclasses import dataclass, field, replace
from random import Random

from stages.ingest.scenes import palette
from stages.ingest.scenes.figures import things
from stages.ingest.scenes.figures.person import Body, Pose, head_radius, person
from stages.ingest.scenes.figures.shape import Extent, Figure, Shape, extent_of
from stages.ingest.scenes.lexicon import Fact

_PERSON_WORDS = {"man": ("man", "guy"), "woman": ("woman", "lady"), "boy": ("boy",), "girl": ("girl",)}


@dataclass(frozen=True, slots=True)
class Thing:
    """One instance of a class, as a caption may speak of it."""

    name: str
    """Class name; the name of its region."""
    nouns: tuple[str, ...]
    """Words for it, the commonest first."""
    adjectives: tuple[str, ...] = ()
    """Each is true of what is drawn."""


@dataclass
class Group:
    """Figures placed together in metres; the layout moves the whole of it to a place in the picture."""

    things: list[Thing] = field(default_factory=list)
    parts: list[tuple[int | None, Shape]] = field(default_factory=list)
    """Shapes and the number of the thing they belong to; None for what is no thing (a leash, a splash)."""
    facts: list[Fact] = field(default_factory=list)
    standing: list[int] = field(default_factory=list)
    """Things whose feet are on the ground: they cast a shadow."""

    def add(
        self,
        figure: Figure,
        colour: str | None = None,
        *,
        nouns: tuple[str, ...] | None = None,
        adjectives: tuple[str, ...] = (),
        x: float = 0,
        y: float = 0,
        scale: float = 1,
        flip: bool = False,
        z: float = 0,
        ground: bool = True,
    ) -> tuple[int, Figure]:
        """Put a figure into the group; its number and the figure as it now stands."""
        placed = figure.placed(x, y, scale, flip=flip, z=z)
        number = len(self.things)
        said = (*((colour,) if colour else ()), *adjectives)
        self.things.append(Thing(figure.name, nouns or (figure.name,), said))
        self.parts += [(number, shape) for shape in placed.shapes]
        if ground:
            self.standing.append(number)
        return number, placed

    def add_person(
        self,
        rng: Random,
        body: Body,
        pose: Pose,
        *,
        x: float = 0,
        y: float = 0,
        scale: float = 1,
        flip: bool = False,
        z: float = 0,
        inside: tuple[float, float] | None = None,
        ground: bool = True,
        hat: float = 0.25,
    ) -> tuple[int, Figure]:
        """Put a person into the group, with a hat on in a share `hat` of the cases, and state that it is worn.

        `inside` presses the person between two painting heights, so as to sit in a car or boat.
        """
        figure = person(body, pose)
        nouns = (*_PERSON_WORDS[body.kind], *(("child", "kid") if body.child else ()), "person")
        adjectives = ("young", "little") if body.child else ()
        drawn = figure.pressed(*inside) if inside else figure
        number, placed = self.add(
            drawn, nouns=nouns, adjectives=adjectives, x=x, y=y, scale=scale, flip=flip, z=z, ground=ground
        )
        if rng.random() < hat:
            colour = palette.pick(rng, other_than=body.shirt)
            style = rng.choice(("brim", "cap"))
            worn = things.hat(colour, head_radius=head_radius(body), style=style)
            bx, by = placed.anchors["brow"]
            height = inside[1] if inside else z + 2.6
            worn_number, _ = self.add(
                worn.pressed(height, height + 0.05), colour, x=bx, y=by, scale=scale, flip=flip, ground=False
            )
            self.state(number, "wear", worn_number)
        return number, placed

    def draw(self, *shapes: Shape) -> None:
        """Add shapes that belong to no thing."""
        self.parts += [(None, shape) for shape in shapes]

    def state(self, subject: int, predicate: str, obj: int) -> None:
        """Say that a relation holds and is plainly to be seen."""
        self.facts.append(Fact(subject, predicate, obj))

    def describe(self, number: int, *adjectives: str) -> None:
        """Add adjectives that are true of a thing."""
        thing = self.things[number]
        self.things[number] = replace(thing, adjectives=(*thing.adjectives, *adjectives))

    def extent(self) -> Extent:
        """`(x1, y1, x2, y2)` in metres over all shapes."""
        return extent_of(shape for _, shape in self.parts)

    def extents(self) -> list[Extent]:
        """`(x1, y1, x2, y2)` in metres of each thing, in order."""
        return [extent_of(shape for owner, shape in self.parts if owner == n) for n in range(len(self.things))]
