"""What a calibration is fitted on: labels of which people said, or wrote down, whether they are right.

From the verdicts of an audit, or from human relations in the same scenes. There a label is right as `evaluate labels`
has it (`stages/evaluate/label_verdicts.py`): the same regions by id, and the same predicate; a triplet that a source
says several times counts once, with its best score.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from schemas import BadInputError, Scene
from schemas.audit import AuditItem, AuditSample
from schemas.audit import Verdict as Said
from stages.audit.judged import judged_items
from stages.audit.verdict_log import latest
from stages.evaluate.label_verdicts import Triplet, Verdict, human_triplets, judge_by_id, judged, same_id

Truth = Literal["closed", "spoken_pairs", "judged"]
"""What a label is that no human asserted: wrong; left out if humans related its two regions in no way, else wrong; or
left out unless a human denied it. The first two are those of `evaluate labels`. The third is for human relations that
come from verdicts, of some labels in a scene."""


@dataclass(frozen=True, slots=True, order=True)
class Observation:
    """A label, and how right it is."""

    kind: str
    """Its `Relation.source`."""
    key: str
    """Of its scene: labels of one picture are right and wrong together."""
    predicate: str
    score: float
    right: float
    """1 right, 0 wrong; between them where auditors disagree: the share that says right."""
    weight: float = 1.0
    """Above 0."""


def scene_observations(scene: Scene, truth: Truth = "closed") -> list[Observation]:
    """The labels of a scene, held against its own human relations.

    Empty if nobody asserted anything there (with `judged`: if nobody said anything).
    """
    human, denied = human_triplets(scene.relations, same_id)
    if not human and not (truth == "judged" and denied):
        return []
    scores: dict[str, dict[Triplet, float]] = {}
    for one in scene.relations:
        if one.source != "human" and one.state == "asserted":
            triplet = (one.subject, one.predicate, one.object)
            of_kind = scores.setdefault(one.source, {})
            of_kind[triplet] = max(_checked(scene.key, one.score), of_kind.get(triplet, 0.0))
    left_out = {
        "closed": set(),
        "spoken_pairs": {Verdict.SILENT_PAIR},
        "judged": {Verdict.SILENT_PAIR, Verdict.OTHER_PREDICATE},
    }[truth]
    return [
        Observation(kind, scene.key, triplet[1], of_kind[triplet], float(verdict == Verdict.HIT))
        for kind, of_kind in scores.items()
        for triplet, verdict in judged(of_kind, lambda labels: judge_by_id(labels, human, denied)).items()
        if verdict not in left_out
    ]


def sample_observations(sample: AuditSample, items: Sequence[AuditItem], verdicts: Sequence[Said]) -> list[Observation]:
    """The items of a sample of which an auditor is sure, but for those of people.

    `right` is right, whatever else is wrong but `unsure`, which counts for nothing. Each stands for as many labels of
    its stratum as fall to one of those judged there: with all judged, the stratum's weight. The order of a sample is
    random, so the first ones judged are a fair draw, too.
    """
    said = judged_items(sample, items, latest(verdicts))
    num_judged = np.bincount(said.strata, minlength=len(sample.strata))
    found = []
    for number, stratum, right in zip(said.numbers, said.strata, said.right, strict=True):
        item = items[number]
        # Nobody has to guess how sure people are: their relations have no score.
        if item.source != "human":
            weight = float(said.population[stratum] / num_judged[stratum])
            score = _checked(item.key, item.score)
            found.append(Observation(item.source, item.key, item.predicate, score, float(right), weight))
    return found


def equalised(observations: Iterable[Observation]) -> list[Observation]:
    """The observations of one source with weights that add up to what they are worth.

    A sample of 400 of 10^8 labels says as much as 400 labels do, and less if their weights differ: as much as
    (sum w)^2 / sum w^2 labels that were drawn with equal chance (Kish 1965). So sources can be added up.
    """
    found = list(observations)
    if not found:
        return []
    weights = np.array([one.weight for one in found], dtype=np.float64)
    scale = weights.sum() / (weights**2).sum()
    return [replace(one, weight=float(weight * scale)) for one, weight in zip(found, weights, strict=True)]


def _checked(key: str, score: float) -> float:
    if not 0 <= score <= 1:
        raise BadInputError(f"{key}: a label has the score {score}; calibration takes scores in [0, 1]")
    return score
