"""Counting a prior: class pairs, predicates and geometry of human relations, and of the pairs that nobody related."""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schemas import Scene, scene_to_json
from schemas.vocabulary import builtin_synonyms, canonical_name
from stages.tag.geometry import NUM_BINS, NUM_FEATURES, geometry_bins, iou_matrix

NONE = ""
"""The event that no human relation names a pair of regions."""

# Annotators of HICO-DET draw a box anew for each relation. A pair that lies on a related pair is that pair again, and
# says nothing about unrelated ones.
_SAME_BOX_IOU = 0.5


class Event(NamedTuple):
    """What is counted: a predicate, or `NONE`, between two classes."""

    subject: str
    object: str
    predicate: str


class Count(NamedTuple):
    """How often an event was seen, and the bins of its geometry: (NUM_FEATURES, NUM_BINS)."""

    number: int
    bins: npt.NDArray[np.int64]


class PriorCounts:
    """Counts over scenes. Sums of integers, so the order of the scenes changes nothing."""

    def __init__(self) -> None:
        self.events: dict[Event, Count] = {}
        self.num_scenes = 0
        self.num_relations = 0
        self._digest = 0

    @property
    def fingerprint(self) -> str:
        """Hex digest of the scenes counted, whatever their order."""
        return f"{self._digest:064x}"

    def add_all(self, scenes: Iterable[Scene]) -> None:
        """Count the human relations of these scenes; scenes without any count for nothing."""
        for scene in scenes:
            self.add(scene)

    def add(self, scene: Scene) -> None:
        """Count one scene.

        A pair of regions counts as `NONE` if a person denied a relation of it, or if no human relation names it though
        the picture has human relations with subjects of the first and objects of the second class: there, annotators
        looked for them.
        """
        human = [relation for relation in scene.relations if relation.source == "human"]
        if not human:
            return
        self.num_scenes += 1
        # Sum of digests: the same for any order of the scenes.
        digest = int.from_bytes(hashlib.sha256(scene_to_json(scene)).digest(), "big")
        self._digest = (self._digest + digest) % (1 << 256)

        row = {region.id: i for i, region in enumerate(scene.regions)}
        names = [prior_class(region.name) for region in scene.regions]
        boxes = np.array([region.box for region in scene.regions], dtype=np.float64)
        largest = float(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1).max())
        asserted = [r for r in human if r.state == "asserted" and r.subject != r.object]
        pairs = [(row[r.subject], row[r.object], r.predicate) for r in asserted]
        named = {(row[r.subject], row[r.object]) for r in human}
        related = {(i, j) for i, j, _ in pairs}
        background = _background(names, iou_matrix(boxes), named, related)
        pairs += [(i, j, NONE) for i, j in background]
        self.num_relations += len(asserted)

        if pairs:
            bins = geometry_bins(boxes[[i for i, _, _ in pairs]], boxes[[j for _, j, _ in pairs]], largest_area=largest)
            self._count([Event(names[i], names[j], predicate) for i, j, predicate in pairs], bins)

    def _count(self, events: list[Event], bins: npt.NDArray[np.int64]) -> None:
        features = np.arange(NUM_FEATURES)
        rows: dict[Event, list[int]] = {}
        for i, event in enumerate(events):
            rows.setdefault(event, []).append(i)
        for event, indexes in rows.items():
            seen = self.events.get(event) or Count(0, np.zeros((NUM_FEATURES, NUM_BINS), dtype=np.int64))
            np.add.at(seen.bins, (features[None, :].repeat(len(indexes), axis=0), bins[indexes]), 1)
            self.events[event] = Count(seen.number + len(indexes), seen.bins)


def prior_class(name: str) -> str:
    """The class that the prior counts a region name under: `woman` under `person`, `couch` under itself."""
    plain = canonical_name(name)
    return plain if plain in builtin_synonyms() else _hypernyms().get(plain, plain)


def _background(
    names: list[str], iou: npt.NDArray[np.float64], named: set[tuple[int, int]], related: set[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Ordered pairs of rows that stand for "unrelated"; see `PriorCounts.add`."""
    subjects, objects = {names[i] for i, _ in named}, {names[j] for _, j in named}
    firsts = [i for i, name in enumerate(names) if name in subjects]
    seconds = [j for j, name in enumerate(names) if name in objects]
    again = np.zeros_like(iou, dtype=bool)
    same = (iou >= _SAME_BOX_IOU) & (np.array(names)[:, None] == np.array(names)[None])
    for i, j in related:
        again |= same[i][:, None] & same[j][None]
    return [(i, j) for i in firsts for j in seconds if i != j and not again[i, j]]


_HYPERNYMS: dict[str, str] = {}


def _hypernyms() -> dict[str, str]:
    """Synonym to the one class it is a word for."""
    if not _HYPERNYMS:
        owners: dict[str, set[str]] = {}
        for name, words in builtin_synonyms().items():
            for word in words:
                owners.setdefault(word, set()).add(name)
        _HYPERNYMS.update({word: next(iter(names)) for word, names in owners.items() if len(names) == 1})
    return _HYPERNYMS
