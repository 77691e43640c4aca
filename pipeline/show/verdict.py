"""The relations of a scene as a person wants to see them: each triplet once, with what humans say of it."""

from dataclasses import dataclass
from typing import Literal

from schemas import Relation, Scene

Verdict = Literal["agreed", "denied", "labelled", "human"]


@dataclass(frozen=True, slots=True)
class Triplet:
    """An asserted triplet of a scene, from all its sources."""

    subject: int
    """Region id."""
    predicate: str
    object: int
    """Region id."""
    verdict: Verdict
    """`agreed`: labelled, and a human asserted it. `denied`: labelled, and a human denied it.
    `labelled`: no human spoke of it. `human`: asserted by a human only."""
    relation: Relation
    """The labelled relation with the highest score; the human one if nothing labelled it."""


def judged_triplets(scene: Scene) -> list[Triplet]:
    """Every asserted triplet once: labelled ones by falling score, then those that only humans assert."""
    labelled: dict[tuple[int, str, int], Relation] = {}
    human: dict[tuple[int, str, int], Relation] = {}
    denied = set()
    for relation in scene.relations:
        key = (relation.subject, relation.predicate, relation.object)
        if relation.source == "human" and relation.state == "denied":
            denied.add(key)
        elif relation.source == "human":
            human.setdefault(key, relation)
        elif relation.state == "asserted" and (key not in labelled or relation.score > labelled[key].score):
            labelled[key] = relation

    triplets = []
    for key, relation in sorted(labelled.items(), key=lambda item: (-item[1].score, item[0])):
        verdict: Verdict = "agreed" if key in human else "denied" if key in denied else "labelled"
        triplets.append(Triplet(*key, verdict, relation))
    return triplets + [Triplet(*key, "human", human[key]) for key in sorted(human.keys() - labelled.keys())]
