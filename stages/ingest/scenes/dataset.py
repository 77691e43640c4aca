"""The procedural pictures as a dataset: records without drawing, pictures drawn when they are read."""

import hashlib
import json
import re
from collections.abc import Iterator
from random import Random

from schemas import Caption, Evidence, Image, Region, Relation, Scene, UserError
from stages.ingest.scenes.captions import Sentence, describe
from stages.ingest.scenes.layout import Layout, compose
from stages.ingest.scenes.lexicon import surface
from stages.ingest.scenes.render import encode, render

GENERATOR_VERSION = "1"
"""Raised by every change that alters a picture, a box, a caption or a relation of any seed."""

_DIGITS = 8
_NAME = re.compile(rf"([0-9]{{{_DIGITS}}})\.jpg")


class SceneImages:
    """Draws the picture that is asked for. Picklable; the bytes depend on seed and name alone."""

    def __init__(self, *, count: int, seed: int) -> None:
        self._count = count
        self._seed = seed

    def read(self, name: str) -> bytes:
        """The JPEG bytes of a picture, drawn anew and the same on every call.

        Raises:
            FileNotFoundError: if the dataset has no picture of this name.
        """
        match = _NAME.fullmatch(name)
        if match is None or int(match[1]) >= self._count:
            last = _image_name(self._count - 1)
            raise FileNotFoundError(f"no picture {name!r:.200}; this dataset has {_image_name(0)} to {last}")
        index = int(match[1])
        return encode(render(compose(self._seed, index), seed=self._seed, index=index))


class SceneDataset:
    """`count` pictures of a seed. Picture i is the same whatever the count and the limit."""

    boxes_are_fractions: bool = False

    def __init__(self, *, count: int, seed: int, name: str, limit: int | None) -> None:
        self.name = name
        self._count = count
        self._seed = seed
        self._limit = limit

    def fingerprint(self) -> str:
        """SHA-256, in hex, of the generator's version and the settings: all that decides the records."""
        settings = ["relmill.scenes", GENERATOR_VERSION, self._seed, self._count, self.name, self._limit]
        return hashlib.sha256(json.dumps(settings).encode()).hexdigest()

    def records(self) -> Iterator[Scene]:
        """One scene a picture, sorted by key; none is ever rejected, and none is drawn."""
        for index in range(self._count if self._limit is None else min(self._count, self._limit)):
            yield self._scene(index)

    def images(self) -> SceneImages:
        """The pictures, drawn on demand."""
        return SceneImages(count=self._count, seed=self._seed)

    def _scene(self, index: int) -> Scene:
        layout = compose(self._seed, index)
        sentences = describe(layout, Random(f"{self._seed}-{index}-captions"))
        return Scene(
            key=f"{self.name}-{index:0{_DIGITS}d}",
            image=Image(name=_image_name(index), width=layout.width, height=layout.height, format="jpg"),
            regions=tuple(
                Region(id=number, name=thing.name, box=box, source_id=f"{index}-{number}")
                for number, (thing, box) in enumerate(zip(layout.things, layout.boxes, strict=True))
            ),
            captions=tuple(Caption(text=sentence.text, source="given") for sentence in sentences),
            relations=_relations(layout, sentences),
        )


def open_scenes(*, count: int, seed: int, name: str, limit: int | None) -> SceneDataset:
    """The dataset of procedural pictures. Nothing is drawn yet.

    Args:
        count: number of pictures.
        seed: of all pictures; another seed gives other pictures throughout.
        name: first part of every key.
        limit: take only the first pictures; None takes all.

    Raises:
        UserError: if `count` is more than file names of eight digits can tell apart.
    """
    if count > 10**_DIGITS:
        raise UserError(f"dataset.count: is {count}; the generator numbers at most {10**_DIGITS} pictures")
    return SceneDataset(count=count, seed=seed, name=name, limit=limit)


def _image_name(index: int) -> str:
    return f"{index:0{_DIGITS}d}.jpg"


def _relations(layout: Layout, sentences: list[Sentence]) -> tuple[Relation, ...]:
    """The truth, each relation with the captions that state it; without evidence where none does."""
    return tuple(
        Relation(
            subject=fact.subject,
            object=fact.object,
            predicate=fact.predicate,
            text=surface(fact.predicate),
            score=1.0,
            source="human",
            evidence=tuple(
                Evidence(number, statement.subject, statement.predicate, statement.object)
                for number, sentence in enumerate(sentences)
                for statement in sentence.statements
                if statement.fact == fact
            ),
        )
        for fact in layout.facts
    )
