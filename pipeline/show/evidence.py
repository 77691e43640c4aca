"""The caption words a relation rests on, cut out so that they can be marked."""

from typing import Literal, NamedTuple

from schemas import Evidence, Scene

# Characters kept on both sides of the evidence in a long caption.
_AROUND = 80


class Segment(NamedTuple):
    """A stretch of a caption and its part in the evidence."""

    text: str
    role: Literal["", "subject", "predicate", "object"]


def evidence_segments(scene: Scene, evidence: Evidence) -> list[Segment]:
    """The caption around a piece of evidence, cut at the ends of its spans; empty if it points nowhere.

    Where spans overlap the predicate wins. Long captions are cut short with an ellipsis.
    """
    if not 0 <= evidence.caption < len(scene.captions):
        return []
    text = scene.captions[evidence.caption].text
    roles: list[Literal["", "subject", "predicate", "object"]] = [""] * len(text)
    spans = {"subject": evidence.subject, "object": evidence.object, "predicate": evidence.predicate}
    for role, (start, end) in spans.items():
        for i in range(max(0, start), min(end, len(text))):
            roles[i] = role  # type: ignore[call-overload]
    marked = [i for i, role in enumerate(roles) if role]
    if not marked:
        return []
    first, last = max(0, marked[0] - _AROUND), min(len(text), marked[-1] + 1 + _AROUND)

    segments = [Segment("…", "")] if first > 0 else []
    start = first
    for i in range(first + 1, last + 1):
        if i == last or roles[i] != roles[start]:
            segments.append(Segment(text[start:i], roles[start]))
            start = i
    return segments + ([Segment("…", "")] if last < len(text) else [])
