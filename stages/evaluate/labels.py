"""Pseudo-labels against the human relations of the same scenes, scene by scene in bounded memory.

A triplet is `(subject region, predicate, object region)`; regions are the same ids on both sides, so no boxes are
matched, and predicates are equal only as canonical strings: `ride` is not `sit on`, even where both are true.

**What a false positive is here.** A labelled triplet that no human asserted in that scene. Where humans wrote down
only some of what holds, as in every published dataset, that includes labels that are true but that nobody wrote down.
Precision is then a lower bound, and a difference in precision between two runs may be a difference in taste.
`FalsePositives` says how many are surely wrong (a human denied them), how many compete with another human predicate
on the same two regions, and how many stand on regions between which no human said anything. Recall does not suffer:
what humans did assert is asked for, and nothing else. Where the human relations are complete, as in procedural scenes,
both figures mean what they say.

Scenes in which no human asserted anything are left out, and counted: they hold no truth to be measured against.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from schemas import Relation, Scene

THRESHOLDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

_Z_95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution
_Triplet = tuple[int, str, int]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two sets and their intersection: labelled, human, both."""

    labelled: int
    human: int
    matched: int

    @property
    def precision(self) -> float | None:
        """Share of the labelled that a human asserted too. None if nothing was labelled."""
        return self.matched / self.labelled if self.labelled else None

    @property
    def recall(self) -> float | None:
        """Share of the human ones that were labelled. None if there are none."""
        return self.matched / self.human if self.human else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall. None if both sets are empty."""
        return 2 * self.matched / (self.labelled + self.human) if self.labelled + self.human else None

    def to_dict(self) -> dict[str, Any]:
        """Counts, rates and their 95 % intervals as plain JSON values."""
        return {
            "labelled": self.labelled,
            "human": self.human,
            "matched": self.matched,
            "precision": self.precision,
            "precision_95": wilson_interval(self.matched, self.labelled),
            "recall": self.recall,
            "recall_95": wilson_interval(self.matched, self.human),
            "f1": self.f1,
        }


@dataclass(frozen=True, slots=True)
class FalsePositives:
    """Labelled triplets that no human asserted, by how much that says against them. They add up to all of them."""

    denied: int
    """A human looked and said no."""
    other_predicate: int
    """Humans asserted only other predicates between these two regions, in this order."""
    silent_pair: int
    """Humans asserted nothing between these two regions, in this order."""


class LabelScore:
    """Adds up, over scenes, how labelled relations agree with human ones.

    Labelled is every asserted relation of a source other than `human`, once a scene however many sources say it; its
    score is the highest among them. Memory grows with the number of distinct predicates only.
    """

    def __init__(self, *, thresholds: Sequence[float] = THRESHOLDS) -> None:
        self.num_scenes = 0
        """Scenes with at least one human relation: those that are scored."""
        self.num_left_out = 0
        """Scenes without one."""
        self._thresholds = tuple(sorted(thresholds))
        self._labelled, self._human, self._matched = (Counter[str]() for _ in range(3))
        self._pairs = Counter[str]()
        self._false = Counter[str]()
        self._labelled_above, self._matched_above = (Counter[float]() for _ in range(2))

    def add(self, scene: Scene) -> None:
        """Count the relations of a scene."""
        self.add_relations(scene.relations)

    def add_relations(self, relations: Iterable[Relation]) -> None:
        """Count the relations of one scene; all that is needed of it, so that an index row will do."""
        human: set[_Triplet] = set()
        denied: set[_Triplet] = set()
        labelled: dict[_Triplet, float] = {}
        for relation in relations:
            triplet = (relation.subject, relation.predicate, relation.object)
            if relation.source == "human":
                (human if relation.state == "asserted" else denied).add(triplet)
            elif relation.state == "asserted":
                labelled[triplet] = max(relation.score, labelled.get(triplet, 0.0))
        if not human:
            self.num_left_out += 1
            return
        self.num_scenes += 1

        human_pairs = {(subject, object_) for subject, _, object_ in human}
        labelled_pairs = {(subject, object_) for subject, _, object_ in labelled}
        self._human.update(predicate for _, predicate, _ in human)
        self._pairs.update(
            human=len(human_pairs), labelled=len(labelled_pairs), matched=len(human_pairs & labelled_pairs)
        )
        for triplet, score in labelled.items():
            subject, predicate, object_ = triplet
            above = [threshold for threshold in self._thresholds if score >= threshold]
            self._labelled[predicate] += 1
            self._labelled_above.update(above)
            if triplet in human:
                self._matched[predicate] += 1
                self._matched_above.update(above)
            elif triplet in denied:
                self._false["denied"] += 1
            elif (subject, object_) in human_pairs:
                self._false["other_predicate"] += 1
            else:
                self._false["silent_pair"] += 1

    @property
    def triplets(self) -> Agreement:
        """Right regions and right predicate."""
        return Agreement(self._labelled.total(), self._human.total(), self._matched.total())

    @property
    def pairs(self) -> Agreement:
        """Right two regions in the right order, whatever the predicate; a pair counts once a scene."""
        return Agreement(self._pairs["labelled"], self._pairs["human"], self._pairs["matched"])

    @property
    def false_positives(self) -> FalsePositives:
        """What the labelled triplets are that no human asserted."""
        return FalsePositives(self._false["denied"], self._false["other_predicate"], self._false["silent_pair"])

    def by_predicate(self) -> dict[str, Agreement]:
        """Triplets of each predicate, most frequent among humans first, then among labels, then by name."""
        names = sorted(
            self._human.keys() | self._labelled.keys(),
            key=lambda name: (-self._human[name], -self._labelled[name], name),
        )
        return {name: Agreement(self._labelled[name], self._human[name], self._matched[name]) for name in names}

    def by_threshold(self) -> dict[float, Agreement]:
        """Triplets if only those with at least that score were kept, by rising threshold."""
        human = self._human.total()
        return {t: Agreement(self._labelled_above[t], human, self._matched_above[t]) for t in self._thresholds}

    def to_dict(self) -> dict[str, Any]:
        """Everything above as plain JSON values."""
        false = self.false_positives
        return {
            "scenes": self.num_scenes,
            "scenes_without_human_relations": self.num_left_out,
            "triplets": self.triplets.to_dict(),
            "pairs": self.pairs.to_dict(),
            "false_positives": {
                "denied": false.denied,
                "other_predicate": false.other_predicate,
                "silent_pair": false.silent_pair,
            },
            "by_predicate": [{"predicate": name, **value.to_dict()} for name, value in self.by_predicate().items()],
            "by_threshold": [{"score": score, **value.to_dict()} for score, value in self.by_threshold().items()],
        }


def wilson_interval(hits: int, trials: int) -> tuple[float, float] | None:
    """95 % score interval of a proportion (Wilson 1927), within [0, 1]; None without trials.

    It takes trials as independent. Triplets of one scene are not quite, so the true interval is somewhat wider.
    """
    if trials == 0:
        return None
    share, z2 = hits / trials, _Z_95**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z_95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    # At 0 and at all hits a bound is exact; rounding must not move it off the share itself.
    return (0.0 if hits == 0 else centre - half, 1.0 if hits == trials else centre + half)
