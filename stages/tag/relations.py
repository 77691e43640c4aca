"""From what was found between regions to the relations of a scene: the same for every tagger."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from schemas import Evidence, Phrase, Relation, Scene
from stages.tag.assign import Assigned


def with_relations(
    scene: Scene, phrases: tuple[Phrase, ...], assigned: Iterable[Assigned], *, min_score: float
) -> Scene:
    """A copy of the scene with these phrases, and with what was found as relations behind those of other sources.

    Relations of other sources stay as they were; those of an earlier tagger go. Equal relations of several captions
    become one, with the highest score and the evidence of all. What a person denied of a pair is not asserted.

    Args:
        phrases: the scene's own, with candidate regions.
        assigned: any order.
        min_score: relations below are not kept.
    """
    kept = tuple(relation for relation in scene.relations if relation.source != "tagger")
    denied = {(r.subject, r.object, r.predicate) for r in kept if r.state == "denied"}
    grouped: dict[tuple[int, int, str], list[Assigned]] = {}
    for one in assigned:
        key = (one.subject, one.object, one.mention.predicate)
        if key not in denied:
            grouped.setdefault(key, []).append(one)
    relations = [_relation(scene, phrases, key, grouped[key]) for key in sorted(grouped)]
    chosen = tuple(relation for relation in relations if relation.score >= min_score)
    return replace(scene, phrases=phrases, relations=kept + chosen)


def _relation(
    scene: Scene, phrases: tuple[Phrase, ...], key: tuple[int, int, str], found: Sequence[Assigned]
) -> Relation:
    subject, object_, predicate = key
    best = min(found, key=lambda one: (-one.score, one.mention.caption, one.mention.span))
    evidence = {
        Evidence(m.caption, phrases[m.subject].span, m.span, phrases[m.object].span)
        for m in (one.mention for one in found)
        # A text may be asked of pairs that its caption does not speak of; for those it is no evidence.
        if subject in phrases[m.subject].regions and object_ in phrases[m.object].regions
    }
    return Relation(
        subject=subject,
        object=object_,
        predicate=predicate,
        text=scene.captions[best.mention.caption].text[slice(*best.mention.span)],
        # Processors differ in the last bits of exp and log; rounded, nodes of different kinds write the same bytes.
        score=round(best.score, 6),
        source="tagger",
        evidence=tuple(sorted(evidence, key=lambda e: (e.caption, e.predicate, e.subject, e.object))),
    )
