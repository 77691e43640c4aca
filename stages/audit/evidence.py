"""The caption words a relation rests on, cut out so that they can be marked."""

from typing import Literal, NamedTuple

from schemas import Evidence, Scene

Role = Literal["", "subject", "predicate", "object"]
"""The part that words of a caption have in a piece of evidence; empty: none."""

# Characters kept on both sides of the evidence in a long caption.
_AROUND = 80


class Segment(NamedTuple):
    """A stretch of a caption and its part in the evidence."""

    text: str
    role: Role


def evidence_segments(scene: Scene, evidence: Evidence, *, around: int | None = _AROUND) -> list[Segment]:
    """The caption around a piece of evidence, cut at the ends of its spans; empty if it points nowhere.

    Where spans overlap the predicate wins.

    Args:
        around: characters kept on both sides of the evidence; what is cut off is an ellipsis. None keeps the caption
            whole: then the texts of the segments, joined, are the caption.
    """
    if not 0 <= evidence.caption < len(scene.captions):
        return []
    text = scene.captions[evidence.caption].text
    roles: list[Role] = [""] * len(text)
    spans: list[tuple[Role, tuple[int, int]]] = [
        ("subject", evidence.subject),
        ("object", evidence.object),
        ("predicate", evidence.predicate),
    ]
    for role, (start, end) in spans:
        for i in range(max(0, start), min(end, len(text))):
            roles[i] = role
    marked = [i for i, role in enumerate(roles) if role]
    if not marked:
        return []
    first, last = 0, len(text)
    if around is not None:
        first, last = max(first, marked[0] - around), min(last, marked[-1] + 1 + around)

    segments = [Segment("…", "")] if first > 0 else []
    start = first
    for i in range(first + 1, last + 1):
        if i == last or roles[i] != roles[start]:
            segments.append(Segment(text[start:i], roles[start]))
            start = i
    return segments + ([Segment("…", "")] if last < len(text) else [])
