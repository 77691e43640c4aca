"""Which of HICO-DET's training annotations a model may see: the zero-shot sets, and few-shot subsets drawn by seed.

Zero-shot sets are published: the relations of some interactions are removed, all images stay, also those without any
relation left (Hou et al. 2020, 2021; RLIPv2 makes its files so).

Few-shot subsets are not. RLIPv2 drew its 1 % and 10 % without a seed, so only the files it released define them, and
the two are not nested. Ours are a function of the annotations and a seed:

1. Images with at least one of the 600 interactions take part, in a random order: `numpy.random.default_rng(seed)`
   permutes their sorted names.
2. Cover: in that order, an image is taken if it brings a verb or an object that no image before it brought. Every verb
   and object that occurs at all is then among those taken, as RLIPv2's subsets have it.
3. The subset is filled in that order up to its size.

As both subsets go by one order, the smaller is part of the larger. The order of the input plays no role.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

import numpy as np

from schemas import UserError
from stages.evaluate.detections import Ints
from stages.evaluate.hicodet_classes import hico_classes

ZeroShot = Literal["uc_rf", "uc_nf", "uo"]
"""Unseen combinations, rare or non-rare first; unseen objects."""

ZERO_SHOT: tuple[ZeroShot, ...] = get_args(ZeroShot)

FEW_SHOT_PERCENT = (1, 10)
"""Of the training images; the sizes that RLIPv2 reports."""

SHIPPED_SEED = 0
"""That the files in `stages/evaluate/splits` were drawn with."""


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """What the splits need to know of an image."""

    name: str
    """Its file name, by which the annotations tell images apart."""
    interactions: tuple[int | None, ...]
    """One a relation, as annotated: its number among HICO's 600, from 0; None if it is none of them."""
    broken: bool = False
    """Whether a relation points at a box that is not there. qpic's and RLIPv2's training leave such an image out."""

    @property
    def takes_part(self) -> bool:
        """Whether a few-shot subset may draw it."""
        return not self.broken and any(number is not None for number in self.interactions)


def seen_relations(image: TrainingImage, split: ZeroShot) -> tuple[int, ...]:
    """Places, among the image's relations, of those that stay in the split's training set, in their order."""
    unseen = hico_classes().unseen[split]
    return tuple(place for place, number in enumerate(image.interactions) if number not in unseen)


def few_shot_names(images: Iterable[TrainingImage], *, percent: int, seed: int) -> tuple[str, ...]:
    """The file names of a few-shot subset, sorted.

    Its size is that share of the images that take part, to the nearest whole number, halves up.

    Args:
        images: in any order, names unlike.
        percent: 1 to 100.
        seed: 0 or more.

    Raises:
        UserError: if the subset is too small for every verb and object; says how many images that takes.
    """
    if seed < 0:
        raise UserError(f"seed is {seed}; give a whole number, 0 or more")
    if not 1 <= percent <= 100:
        raise UserError(f"percent is {percent}; give a whole number from 1 to 100")
    drawn = _shuffled([image for image in images if image.takes_part], seed)
    size = (len(drawn) * percent + 50) // 100
    cover = _cover(drawn)
    if len(cover) > size:
        raise UserError(
            f"{percent} % of {len(drawn)} images with relations are {size}, but with seed {seed} it takes {len(cover)} "
            f"to have every verb and object; give more images, or a greater percentage"
        )
    rest = [place for place in range(len(drawn)) if place not in cover]
    return tuple(sorted(drawn[place].name for place in [*cover, *rest][:size]))


def num_instances(images: Iterable[TrainingImage]) -> Ints:
    """(600,) how often each interaction is annotated."""
    counts = np.zeros(len(hico_classes().interactions), dtype=np.int64)
    for image in images:
        for number in image.interactions:
            if number is not None:
                counts[number] += 1
    return counts


def hidden_in(interaction: int) -> tuple[ZeroShot, ...]:
    """The zero-shot splits whose training set leaves the interaction out."""
    return tuple(split for split in ZERO_SHOT if interaction in hico_classes().unseen[split])


@cache
def shipped_few_shot_names(percent: Literal[1, 10]) -> tuple[str, ...]:
    """The file names of HICO-DET's few-shot subset of seed 0, sorted, as shipped in `stages/evaluate/splits`."""
    path = files("stages.evaluate.splits").joinpath(f"hicodet_few_shot_{percent}.txt")
    return tuple(path.read_text(encoding="utf-8").splitlines())


def _shuffled(images: list[TrainingImage], seed: int) -> list[TrainingImage]:
    by_name = sorted(images, key=lambda image: image.name)
    return [by_name[place] for place in np.random.default_rng(seed).permutation(len(by_name))]


def _cover(images: Sequence[TrainingImage]) -> dict[int, None]:
    """Places of the images that bring a verb or object which none before brought: an ordered set."""
    classes = hico_classes()
    cover: dict[int, None] = {}
    objects: set[int] = set()
    verbs: set[int] = set()
    for place, image in enumerate(images):
        pairs = [classes.interactions[number] for number in image.interactions if number is not None]
        if any(object_ not in objects or verb not in verbs for object_, verb in pairs):
            cover[place] = None
            objects.update(object_ for object_, _ in pairs)
            verbs.update(verb for _, verb in pairs)
    return cover
