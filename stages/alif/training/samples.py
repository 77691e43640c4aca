"""Labelled pictures as the training keeps them, and the texts that their labels consist of."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from schemas import Box, Scene
from stages.alif.label_sequence import NO_OBJECTS

Pair = tuple[int, int]
"""Positions of subject and object among the regions of a picture."""


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """What people said about the regions of a picture; the pixels are read when a batch needs them."""

    key: str
    image_name: str
    source: int
    """Which of the datasets has the picture."""
    names: tuple[str, ...]
    """Of each region."""
    boxes_xyxy: tuple[Box, ...]
    """In pixels of the original, or as fractions of it."""
    boxes_are_fractions: bool
    asserted: Mapping[Pair, frozenset[str]]
    """Predicates that hold."""
    denied: Mapping[Pair, frozenset[str]]
    """Predicates that somebody looked for and did not find."""
    absent_is_false: frozenset[str]
    """Predicates that the annotators would have listed wherever they hold. Of all others the absent are unknown."""
    wordings: tuple[tuple[str, str], ...] = ()
    """Predicates with the words they are said in, lower case: the annotators' own and those of captions that state the
    relation. `ride` may be said as `riding`, `rides` and `ridden by`."""

    @property
    def labelled_pairs(self) -> list[Pair]:
        """Pairs of which something is said, sorted."""
        return sorted(self.asserted.keys() | self.denied.keys())


def labelled_picture(scene: Scene, *, source: int, boxes_are_fractions: bool) -> LabelledPicture | None:
    """The human relations of a scene; None if it has none between two regions.

    A relation of a region with itself is left out, as published: the tagger is never asked about one. What is both
    asserted and denied counts as asserted. `absent_is_false` is empty; see `all_labelled`.
    """
    places = {region.id: place for place, region in enumerate(scene.regions)}
    said: dict[str, dict[Pair, set[str]]] = {"asserted": {}, "denied": {}}
    wordings: list[tuple[str, str]] = []
    for relation in scene.relations:
        if relation.source == "human" and relation.subject != relation.object:
            pair = places[relation.subject], places[relation.object]
            said[relation.state].setdefault(pair, set()).add(relation.predicate)
            stated = [scene.captions[one.caption].text[slice(*one.predicate)] for one in relation.evidence]
            wordings += [(relation.predicate, " ".join(text.lower().split())) for text in (relation.text, *stated)]
    if not said["asserted"] and not said["denied"]:
        return None
    asserted = {pair: frozenset(predicates) for pair, predicates in said["asserted"].items()}
    none: frozenset[str] = frozenset()
    denied = {pair: frozenset(predicates) - asserted.get(pair, none) for pair, predicates in said["denied"].items()}
    return LabelledPicture(
        key=scene.key,
        image_name=scene.image.name,
        source=source,
        names=tuple(region.name for region in scene.regions),
        boxes_xyxy=tuple(region.box for region in scene.regions),
        boxes_are_fractions=boxes_are_fractions,
        asserted=asserted,
        denied=denied,
        absent_is_false=frozenset(),
        wordings=tuple(wordings),
    )


def predicates_of(pictures: Iterable[LabelledPicture]) -> frozenset[str]:
    """Every predicate that is asserted somewhere: the vocabulary of a dataset."""
    return frozenset(text for picture in pictures for texts in picture.asserted.values() for text in texts)


def all_labelled(pictures: Sequence[LabelledPicture]) -> list[LabelledPicture]:
    """The pictures of a dataset whose annotators left nothing out: what is not said of a pair does not hold.

    Of predicates that occur in other datasets only they still say nothing.
    """
    vocabulary = predicates_of(pictures)
    return [replace(picture, absent_is_false=vocabulary) for picture in pictures]


@dataclass(frozen=True)
class TextCounts:
    """The texts of the training data, and how often each occurs; keys are sorted."""

    objects: Mapping[str, int]
    """Region names, counted over regions."""
    predicates: Mapping[str, int]
    """Canonical predicates, counted over pairs that assert or deny them."""
    wordings: Mapping[str, Mapping[str, int]]
    """Of each predicate, the texts that it is said in, at least one. Texts that more than one predicate is said in are
    left out (`sits` of "under the tree sits a dog"), so no text belongs to two."""

    @classmethod
    def of(cls, pictures: Iterable[LabelledPicture]) -> "TextCounts":
        """Counted over some pictures."""
        objects: Counter[str] = Counter()
        predicates: Counter[str] = Counter()
        wordings: Counter[tuple[str, str]] = Counter()
        for picture in pictures:
            objects.update(picture.names)
            wordings.update(picture.wordings)
            for said in (picture.asserted, picture.denied):
                for of_pair in said.values():
                    predicates.update(of_pair)
        return cls(_sorted(objects), _sorted(predicates), _unambiguous(sorted(predicates), wordings))

    def all(self) -> dict[str, int]:
        """Both kinds with "no objects": what a tokenizer must know."""
        counts = Counter(self.objects)
        for of_predicate in self.wordings.values():
            counts.update(of_predicate)
        counts[NO_OBJECTS] += 1
        return dict(counts)


def _unambiguous(predicates: Sequence[str], wordings: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    """Of each predicate, the texts that are its alone; its name if it has none."""
    # A predicate's name is its own, even if another one is said so, and even if it never is.
    owners: dict[str, set[str]] = {predicate: {predicate} for predicate in predicates}
    for predicate, text in wordings:
        owners.setdefault(text, set()).add(predicate)
    kept: dict[str, dict[str, int]] = {predicate: {} for predicate in predicates}
    for predicate, text in sorted(wordings):
        if text and len(owners[text]) == 1:
            kept[predicate][text] = wordings[predicate, text]
    return {predicate: texts or {predicate: 1} for predicate, texts in kept.items()}


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return {key: counts[key] for key in sorted(counts)}


def choose_wordings(
    predicates: Sequence[str], wordings: Mapping[str, Mapping[str, int]], rng: np.random.Generator
) -> list[str]:
    """One text for each predicate, drawn by frequency; no two are alike."""
    chosen = []
    for predicate in predicates:
        texts = list(wordings[predicate])
        weights = np.array(list(wordings[predicate].values()), dtype=np.float64)
        chosen.append(texts[int(rng.choice(len(texts), p=weights / weights.sum()))])
    return chosen


def choose_pairs(picture: LabelledPicture, num_pairs: int, rng: np.random.Generator) -> list[Pair]:
    """The pairs that the network is asked about, in random order.

    First labelled pairs, then other ordered pairs of regions, each at random. Published, they also stand in this order,
    so that a slot tells whether its pair is related; here their order is drawn anew.

    Args:
        picture: its regions and labels.
        num_pairs: at most so many.
        rng: where chance comes from.
    """
    labelled = picture.labelled_pairs
    if len(labelled) > num_pairs:
        return _drawn(labelled, num_pairs, rng)
    known = set(labelled)
    regions = range(len(picture.names))
    others = [(a, b) for a in regions for b in regions if a != b and (a, b) not in known]
    chosen = [*labelled, *_drawn(others, min(len(others), num_pairs - len(labelled)), rng)]
    return _drawn(chosen, len(chosen), rng)


def _drawn(pairs: Sequence[Pair], number: int, rng: np.random.Generator) -> list[Pair]:
    return [pairs[place] for place in rng.permutation(len(pairs))[:number]]
