"""What a scene teaches: its pairs, how far each predicate holds, and what is known not to hold.

RLIPv2 takes every pseudo-label of a confidence of 0.20 or more for true, every other predicate of every pair for
false, and of an image's relations the first 100. Each of these is a switch of `LabelConfig`; the defaults are ours.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from schemas import Relation, Scene

NO_INTERACTION = "no interaction"
_INTERACTION = "interact with"

Target = Literal["soft", "hard"]
"""How far an asserted relation is learned to hold: its calibrated probability (its score, where there is none), or 1.
"""
Absent = Literal["unknown", "negative"]
"""What a predicate is of a pair of which nobody says it, if somebody says it of another pair of the picture.

Captions were searched for relations of the things that they speak of; that a person sits says nothing of the others on
the picture. A predicate that nobody says of any pair is taken for negative either way: else nothing would be.
"""
Kept = Literal["best", "first"]
"""Which pairs are kept if a scene has too many: those with the highest targets, or those that come first."""


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """How relations become targets."""

    target: Target = "soft"
    threshold: float = 0.2
    """Relations that are learned as less are left out; of hard targets those of a lower score, as published."""
    absent: Absent = "unknown"
    max_pairs: int = 100
    """Pairs of a scene that are kept. Published: relations, also 100."""
    kept: Kept = "best"
    no_interaction: bool = False
    """Whether a pair that people deny to `interact with` has the predicate `no interaction` instead. It is one of
    HICO-DET's 117 verbs. Shards have it as a denial, as it is nothing that holds."""

    def __post_init__(self) -> None:
        for name, choices in (("target", Target), ("absent", Absent), ("kept", Kept)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(f"{name} is {getattr(self, name)!r}; give one of {', '.join(get_args(choices))}")
        if not (math.isfinite(self.threshold) and 0 <= self.threshold <= 1):
            raise ValueError(f"threshold is {self.threshold}; give a score from 0 to 1")
        if self.max_pairs < 1:
            raise ValueError(f"max_pairs is {self.max_pairs}; give a number of at least 1")

    @classmethod
    def published(cls) -> "LabelConfig":
        """As RLIPv2 does (`datasets/mixed_dataset.py`)."""
        return cls(target="hard", threshold=0.2, absent="negative", kept="first")


Learn = Literal["all", "human", "pseudo"]
"""Whose relations are learned from: all, those that people asserted or denied, or all others."""


@dataclass(frozen=True, kw_only=True)
class SourceLabels:
    """What the relations of one output are worth."""

    learn: Learn = "all"
    complete: bool = False
    """Whoever made these labels left nothing out, as in `scenes`: what is not said does not hold. Of pseudo-labels
    never; see `Absent`."""

    def __post_init__(self) -> None:
        if self.learn not in get_args(Learn):
            raise ValueError(f"learn is {self.learn!r}; give one of {', '.join(get_args(Learn))}")

    def has(self, relation: Relation) -> bool:
        """Whether a relation is learned from."""
        return self.learn == "all" or (relation.source == "human") == (self.learn == "human")


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """What is known of an ordered pair of regions."""

    subject: int
    """Place among the scene's regions."""
    object: int
    holds: Mapping[str, float]
    """Predicates with their targets, above 0."""
    denied: frozenset[str]


@dataclass(frozen=True, slots=True)
class SceneLabels:
    """A scene as the trainer learns from it."""

    key: str
    width: int
    """Pixels of the original picture."""
    height: int
    names: tuple[str, ...]
    """Of each region."""
    boxes_xyxy_px: NDArray[np.float64]
    """(n, 4) in pixels of the original picture."""
    pairs: tuple[LabelledPair, ...]
    """Those of which a predicate holds, at most `max_pairs`."""
    judged: frozenset[tuple[int, int]]
    """Subject and object of all pairs of which anything is asserted or denied."""
    left_out: frozenset[tuple[int, int]]
    """Those of which something is asserted that are not among `pairs`: beyond `max_pairs`."""
    mentioned: frozenset[str]
    """Predicates that somebody asserts of any pair, or under the threshold."""
    complete: bool
    """Whether what is not said does not hold."""

    @property
    def pair_places(self) -> NDArray[np.int64]:
        """(m, 2) subject and object of each of `pairs`."""
        return np.array([(pair.subject, pair.object) for pair in self.pairs], dtype=np.int64).reshape(-1, 2)


def scene_labels(scene: Scene, config: LabelConfig, source: SourceLabels) -> SceneLabels:
    """The labels of a scene whose picture was read at least once, so that its size is known.

    A relation of a region with itself is left out, as published. What is both asserted and denied counts as denied:
    denials come from people and verifiers, who looked at what the tagger had said. Only people's word, the last of all,
    stands against a verifier's.

    Args:
        scene: with or without its picture.
        config: how relations become targets.
        source: of the output that it is from.
    """
    places = {region.id: place for place, region in enumerate(scene.regions)}
    holds: dict[tuple[int, int], dict[str, float]] = {}
    # By people, by verifiers; and what people assert.
    denied: dict[tuple[int, int], set[str]] = {}
    doubted: dict[tuple[int, int], set[str]] = {}
    vouched: dict[tuple[int, int], set[str]] = {}
    mentioned = set()
    for relation in scene.relations:
        pair = places[relation.subject], places[relation.object]
        if pair[0] == pair[1] or not source.has(relation):
            continue
        if relation.state == "denied":
            if config.no_interaction and relation.source == "human" and relation.predicate == _INTERACTION:
                mentioned.add(NO_INTERACTION)
                holds.setdefault(pair, {})[NO_INTERACTION] = 1.0
            else:
                by = denied if relation.source == "human" else doubted
                by.setdefault(pair, set()).add(relation.predicate)
            continue
        mentioned.add(relation.predicate)
        if relation.source == "human":
            vouched.setdefault(pair, set()).add(relation.predicate)
        if (value := _target(relation, config)) > 0:
            of_pair = holds.setdefault(pair, {})
            of_pair[relation.predicate] = max(value, of_pair.get(relation.predicate, 0.0))
    none: frozenset[str] = frozenset()
    pairs = []
    for pair, values in holds.items():
        no = denied.get(pair, none) | (doubted.get(pair, none) - vouched.get(pair, none))
        if NO_INTERACTION in values and _INTERACTION not in vouched.get(pair, none):
            values.pop(_INTERACTION, None)  # a tagger's, which people denied
        if kept := {name: value for name, value in values.items() if name not in no}:
            pairs.append(LabelledPair(*pair, kept, frozenset(no)))
    if config.kept == "best":
        pairs.sort(key=lambda pair: -max(pair.holds.values()))  # stable: of equal ones the first
    assert scene.image.width is not None, scene.key
    assert scene.image.height is not None, scene.key
    return SceneLabels(
        key=scene.key,
        width=scene.image.width,
        height=scene.image.height,
        names=tuple(region.name for region in scene.regions),
        boxes_xyxy_px=np.array([region.box for region in scene.regions], dtype=np.float64).reshape(-1, 4),
        pairs=tuple(pairs[: config.max_pairs]),
        judged=frozenset(holds) | frozenset(denied) | frozenset(doubted),
        left_out=frozenset((pair.subject, pair.object) for pair in pairs[config.max_pairs :]),
        mentioned=frozenset(mentioned),
        complete=source.complete or config.absent == "negative",
    )


def _target(relation: Relation, config: LabelConfig) -> float:
    """0 leaves the relation out."""
    if relation.source == "human":
        return 1.0
    value = relation.score
    if config.target == "soft" and relation.probability is not None:
        value = relation.probability
    if value < config.threshold:
        return 0.0
    return 1.0 if config.target == "hard" else value
