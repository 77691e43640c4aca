"""From the mentions of one caption to relations between regions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas import Caption, Mention, Phrase
from stages.tag.candidates import PairWeigher, PairWeights
from stages.tag.resolve import Link, Resolution, resolve

# Beyond this many, a caption is a list, and the pairs of its members would cost their square.
_MOST_INTRODUCED = 24
# What begins a phrase that takes up somebody known ("the man", "his dog"); any other introduces somebody new.
_DEFINITE = frozenset(
    {"the", "this", "that", "these", "those", "his", "her", "their", "its", "he", "she", "it", "they"}
)

# Log-weight of a relation of a region with itself. It is never kept; but where a caption names more people than there
# are boxes, what it says of the others must not be lost with it.
_LAST_RESORT = -50.0


@dataclass(frozen=True, slots=True)
class Assigned:
    """A mention between two regions.

    `score` is, of `assign`, the probability that this pair, of all that bear the names, is the one the caption means,
    times the probability that the pair is related at all, judged by its geometry with even odds beforehand. Of the
    Relation Tagger it is how well the words fit the pair, in (0, 1); see `stages/tag/relation_tagger.py`.
    """

    mention: Mention
    subject: int
    object: int
    score: float


def assign(
    caption: Caption,
    phrases: Mapping[int, Phrase],
    mentions: Sequence[Mention],
    weigher: PairWeigher,
) -> list[Assigned]:
    """Give the regions meant to the mentions of one caption.

    A phrase in the singular denotes one region, the same in all relations of the caption. A phrase in the plural
    denotes all regions whose pairs are likelier related than not; where both sides are plural, each subject gets one
    object. A mention whose phrases name no pair of regions gives nothing.

    Args:
        phrases: by index into the scene's phrases, with candidate regions.
        mentions: of this caption.
    """
    known = [m for m in mentions if phrases[m.subject].regions and phrases[m.object].regions]
    weights = [weigher.weights(m.predicate, phrases[m.subject].regions, phrases[m.object].regions) for m in known]
    found: list[Assigned] = []
    for part in _parts(caption, phrases, known):
        found += _assign_part(caption, phrases, [known[i] for i in part], [weights[i] for i in part])
    return found


def _assign_part(
    caption: Caption, phrases: Mapping[int, Phrase], mentions: Sequence[Mention], weights: Sequence[PairWeights]
) -> Iterator[Assigned]:
    single = sorted({p for m in mentions for p in (m.subject, m.object) if not phrases[p].plural})
    bonus = {p: np.zeros(len(phrases[p].regions)) for p in single}
    links, linked = [], []
    for i, (mention, weight) in enumerate(zip(mentions, weights, strict=True)):
        s_plural, o_plural = phrases[mention.subject].plural, phrases[mention.object].plural
        if not s_plural and not o_plural:
            links.append(Link(mention.subject, mention.object, np.maximum(weight.total, _LAST_RESORT)))
            linked.append(i)
        elif s_plural and not o_plural:
            bonus[mention.object] += np.clip(weight.evidence, 0, None).sum(axis=0)
        elif o_plural and not s_plural:
            bonus[mention.subject] += np.clip(weight.evidence, 0, None).sum(axis=1)
    candidates = {p: phrases[p].regions for p in single}
    chosen = resolve(candidates, links, bonus=bonus, distinct=_distinct(caption, phrases, single))
    confidence = dict(zip(linked, chosen.link_confidence, strict=True))
    for i, (mention, weight) in enumerate(zip(mentions, weights, strict=True)):
        subjects, objects = phrases[mention.subject].regions, phrases[mention.object].regions
        if i in confidence:
            s, o = chosen.choice[mention.subject], chosen.choice[mention.object]
            if subjects[s] != objects[o]:
                yield Assigned(mention, subjects[s], objects[o], confidence[i] * _related(weight.evidence[s, o]))
        else:
            for s, o, score in _plural_pairs(mention, weight.evidence, chosen):
                yield Assigned(mention, subjects[s], objects[o], score)


def _plural_pairs(
    mention: Mention, evidence: npt.NDArray[np.float64], chosen: Resolution
) -> Iterator[tuple[int, int, float]]:
    """Pairs of a mention with a plural side that are likelier than the background, with their scores."""
    if mention.subject in chosen.choice:
        s = chosen.choice[mention.subject]
        sure = chosen.confidence[mention.subject]
        yield from ((s, int(o), sure * _related(evidence[s, o])) for o in np.flatnonzero(evidence[s] > 0))
    elif mention.object in chosen.choice:
        o = chosen.choice[mention.object]
        sure = chosen.confidence[mention.object]
        yield from ((int(s), o, sure * _related(evidence[s, o])) for s in np.flatnonzero(evidence[:, o] > 0))
    else:
        from scipy.optimize import linear_sum_assignment

        gain = np.clip(evidence, 0, None)
        for s, o in zip(*linear_sum_assignment(gain, maximize=True), strict=True):
            if evidence[s, o] > 0:
                # Of this subject's pairs, or none of them.
                odds = np.exp(evidence[s])
                yield int(s), int(o), float(odds[o] / (1 + odds.sum()))


def _related(evidence: float) -> float:
    return float(1 / (1 + np.exp(-evidence)))


def _parts(caption: Caption, phrases: Mapping[int, Phrase], mentions: Sequence[Mention]) -> list[list[int]]:
    """Mentions (by position) in groups whose singular phrases have nothing to do with those of other groups."""
    single = sorted({p for m in mentions for p in (m.subject, m.object) if not phrases[p].plural})
    root = {p: p for p in single}

    def find(p: int) -> int:
        while root[p] != p:
            p = root[p]
        return p

    ties = [(m.subject, m.object) for m in mentions if m.subject in root and m.object in root]
    for one, other in [*ties, *_distinct(caption, phrases, single)]:
        first, second = sorted((find(one), find(other)))
        root[second] = first
    parts: dict[tuple[int, int], list[int]] = {}
    for i, mention in enumerate(mentions):
        anchor = next((p for p in (mention.subject, mention.object) if p in root), None)
        parts.setdefault((0, find(anchor)) if anchor is not None else (1, i), []).append(i)
    return [parts[key] for key in sorted(parts)]


def _distinct(caption: Caption, phrases: Mapping[int, Phrase], single: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of phrases that could be one region but each introduce somebody."""
    new = [p for p in single if caption.text[slice(*phrases[p].span)].split(maxsplit=1)[0].lower() not in _DEFINITE]
    if len(new) > _MOST_INTRODUCED:
        return []
    return [
        (one, other)
        for i, one in enumerate(new)
        for other in new[i + 1 :]
        if not set(phrases[one].regions).isdisjoint(phrases[other].regions)
    ]
