"""HICO-DET's 600 interactions, how often each is in the training set, and which of them the published splits hide."""

import json
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Literal

import numpy as np

from stages.evaluate.detections import Ints, LabelSpace

Split = Literal["full", "nf", "uc_rf", "uc_nf", "uo"]
"""`full`: rare and non-rare. `nf`: the same after no fine-tuning, subjects that are no person left out. `uc_rf`,
`uc_nf`: unseen combinations, rare or non-rare first. `uo`: unseen objects."""

RARE_BELOW = 10
"""An interaction with fewer training instances is rare (Chao et al. 2018)."""

PERSON = "person"


@dataclass(frozen=True)
class HicoClasses:
    """The classes, in the order of HICO's list."""

    space: LabelSpace
    interactions: tuple[tuple[int, int], ...]
    """600 pairs of object and predicate."""
    num_train: tuple[int, ...]
    """Instances of each in the training set."""
    unseen: dict[str, frozenset[int]]
    """By split, the interactions that its training set leaves out."""

    @property
    def person(self) -> int:
        """The object class of every subject."""
        return self.space.objects.index(PERSON)

    @cached_property
    def table(self) -> Ints:
        """(objects, predicates) number of the interaction, -1 where HICO has none."""
        numbers = np.full((len(self.space.objects), len(self.space.predicates)), -1, dtype=np.int64)
        for number, (object_, predicate) in enumerate(self.interactions):
            numbers[object_, predicate] = number
        return numbers

    def name(self, interaction: int) -> str:
        """Such as `sit_on bench`."""
        object_, predicate = self.interactions[interaction]
        return f"{self.space.predicates[predicate]} {self.space.objects[object_]}"

    def groups(self, split: Split, *, rare_below: int = RARE_BELOW) -> tuple[str, ...]:
        """For each interaction the group that the split's table puts it in."""
        if split in ("full", "nf"):
            return tuple("rare" if count < rare_below else "non-rare" for count in self.num_train)
        unseen = self.unseen[split]
        return tuple("unseen" if number in unseen else "seen" for number in range(len(self.interactions)))


@cache
def hico_classes() -> HicoClasses:
    """HICO-DET's classes, from `hicodet_classes.json`, which names its sources."""
    document = json.loads(files("stages.evaluate").joinpath("hicodet_classes.json").read_text(encoding="utf-8"))
    objects, predicates = tuple(document["objects"]), tuple(document["predicates"])
    return HicoClasses(
        LabelSpace(objects, predicates),
        tuple((objects.index(name), predicates.index(verb)) for name, verb, _ in document["interactions"]),
        tuple(count for _, _, count in document["interactions"]),
        {split: frozenset(numbers) for split, numbers in document["unseen"].items()},
    )
