"""Judges each label of a scene against its human triplets: by region ids, or by the names and boxes of regions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np

from schemas import BadInputError, Box, Relation, Scene
from stages.evaluate.boxes import iou_matrix
from stages.evaluate.detections import Bools, Floats

NamedBox = tuple[str, Box]
Triplet = tuple[int | NamedBox, str, int | NamedBox]


class Verdict(IntEnum):
    """What a label is, held against what humans said."""

    HIT = 0
    DENIED = 1
    OTHER_PREDICATE = 2
    REPEATED = 3
    """It fits a human triplet that a better label has found; only where regions are matched."""
    SILENT_PAIR = 4
    ELSEWHERE = 5
    """The same triplet counts with the score of another source."""


Judge = Callable[[Sequence[Triplet]], list[Verdict]]


def same_id(region: int) -> int:
    """Regions by their id, where both sides speak of the same ones."""
    return region


def named_boxes(scene: Scene) -> Callable[[int], NamedBox]:
    """Regions by what they show: two of the same name and box are one, whatever their ids."""
    known = {region.id: (region.name, region.box) for region in scene.regions}

    def end(region: int) -> NamedBox:
        if region not in known:
            raise BadInputError(f"{scene.key}: a relation names region {region}, which the scene does not have")
        return known[region]

    return end


def human_triplets(
    relations: Iterable[Relation], end: Callable[[int], int | NamedBox]
) -> tuple[set[Triplet], set[Triplet]]:
    """What humans asserted, and what they denied."""
    asserted: set[Triplet] = set()
    denied: set[Triplet] = set()
    for relation in relations:
        if relation.source == "human":
            kept = asserted if relation.state == "asserted" else denied
            kept.add((end(relation.subject), relation.predicate, end(relation.object)))
    return asserted, denied


def judged(labels: Mapping[Triplet, float], judge: Judge) -> dict[Triplet, Verdict]:
    """What each label is, given its score; the best are judged first."""
    best_first = sorted(labels, key=lambda triplet: (-labels[triplet], triplet))
    return dict(zip(best_first, judge(best_first), strict=True))


def judge_by_id(labels: Sequence[Triplet], human: set[Triplet], denied: set[Triplet]) -> list[Verdict]:
    """One verdict per label, same order, where regions are the same if their ids are."""
    pairs = {(subject, object_) for subject, _, object_ in human}
    return [
        Verdict.HIT
        if label in human
        else Verdict.DENIED
        if label in denied
        else Verdict.OTHER_PREDICATE
        if (label[0], label[2]) in pairs
        else Verdict.SILENT_PAIR
        for label in labels
    ]


def judge_by_boxes(
    labels: Sequence[Triplet], human: Sequence[Triplet], denied: Sequence[Triplet], threshold: float
) -> list[Verdict]:
    """The same where regions have to overlap. Labels are best first; each finds the free human triplet it fits best."""
    overlaps = _pair_overlaps(human, labels, threshold)
    fits = np.where(_same_predicate(human, labels), overlaps, 0.0)
    refused = (_pair_overlaps(denied, labels, threshold) > 0) & _same_predicate(denied, labels)
    hit = _first_finds(fits)
    # From the weakest reason to the strongest.
    verdicts = np.full(len(labels), Verdict.SILENT_PAIR)
    verdicts[overlaps.any(axis=0)] = Verdict.OTHER_PREDICATE
    verdicts[refused.any(axis=0)] = Verdict.DENIED
    verdicts[fits.any(axis=0)] = Verdict.REPEATED
    verdicts[hit] = Verdict.HIT
    return [Verdict(verdict) for verdict in verdicts]


def _first_finds(fits: Floats) -> Bools:
    """(P,) which of P labels, best first, find one of T triplets that none before them found; (T, P) 0 does not fit."""
    free = np.ones(len(fits), dtype=np.bool_)
    hit = np.zeros(fits.shape[1], dtype=np.bool_)
    for label in np.flatnonzero(fits.any(axis=0)):
        overlaps = np.where(free, fits[:, label], 0.0)
        found = overlaps.argmax()
        if overlaps[found] > 0:
            hit[label], free[found] = True, False
    return hit


def _pair_overlaps(human: Sequence[Triplet], labels: Sequence[Triplet], threshold: float) -> Floats:
    """(T, P) the smaller overlap of subjects and of objects; 0 where names differ or it is below the threshold."""
    if not human:
        return np.zeros((0, len(labels)))
    both = np.minimum(*(_overlaps([t[end] for t in human], [t[end] for t in labels]) for end in (0, 2)))
    return np.where(both >= threshold, both, 0.0)


def _overlaps(first: Sequence[Any], second: Sequence[Any]) -> Floats:
    """(A, B) IoU of named boxes, 0 where the names differ."""
    names = [np.array([name for name, _ in ends], dtype=np.object_) for ends in (first, second)]
    boxes = [np.array([box for _, box in ends], dtype=np.float64).reshape(-1, 4) for ends in (first, second)]
    return np.where(names[0][:, None] == names[1], iou_matrix(boxes[0], boxes[1], edges="half_open"), 0.0)


def _same_predicate(human: Sequence[Triplet], labels: Sequence[Triplet]) -> Bools:
    first, second = (np.array([predicate for _, predicate, _ in side], dtype=np.object_) for side in (human, labels))
    return np.asarray(first[:, None] == second, dtype=np.bool_)
