"""The figures of OpenImages visual relationships, the same in both of their definitions."""

from collections.abc import Sequence
from typing import Protocol

from stages.evaluate.average_precision import Interpolation, Ties, precision_recall
from stages.evaluate.benchmark import ClassScore
from stages.evaluate.detections import Bools, Floats

SCORE_RECALL = 50
"""The recall that `score_wtd` is made of."""


class CurveConventions(Protocol):
    """What the curve of a class depends on."""

    @property
    def ap(self) -> Interpolation: ...

    @property
    def ties(self) -> Ties: ...


def class_score(
    conventions: CurveConventions,
    scores: Floats,
    hits: Bools,
    *,
    name: str,
    measure: str,
    num_truths: int,
) -> ClassScore:
    """The row of one class: its (N,) predictions' scores, and whether each found something."""
    curve = precision_recall(scores, hits, max(num_truths, 1), ties=conventions.ties)
    return ClassScore(
        name=name,
        group="",
        measure=measure,
        value=curve.average_precision(conventions.ap) if num_truths else None,
        max_recall=curve.max_recall if num_truths else None,
        num_truths=num_truths,
        num_predictions=len(scores),
    )


def weighted_figures(
    recall: float | None, relations: Sequence[ClassScore], phrases: Sequence[ClassScore]
) -> dict[str, float | None]:
    """What the papers' tables have."""
    relation, phrase = (_weighted_mean(rows) for rows in (relations, phrases))
    return {
        f"R@{SCORE_RECALL}": recall,
        "wmAP_rel": relation,
        "wmAP_phr": phrase,
        "score_wtd": _total(recall, relation, phrase),
    }


def plain_figures(recall: float | None, relation: float | None, phrase: float | None) -> dict[str, float | None]:
    """The same with all classes alike."""
    return {"mAP_rel": relation, "mAP_phr": phrase, "score": _total(recall, relation, phrase)}


def share(part: float, whole: int) -> float | None:
    """None of nothing."""
    return part / whole if whole else None


def _weighted_mean(rows: Sequence[ClassScore]) -> float | None:
    weighted = sum(row.value * row.num_truths for row in rows if row.value is not None)
    return share(weighted, sum(row.num_truths for row in rows))


def _total(recall: float | None, relation: float | None, phrase: float | None) -> float | None:
    """The weights of the OpenImages challenge of 2018."""
    if recall is None or relation is None or phrase is None:
        return None
    return 0.2 * recall + 0.4 * relation + 0.4 * phrase
