"""Why a label is there: the words it rests on, how they were read, and what else they could have meant."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from schemas import Caption, Evidence, Mention, Phrase, Region, Relation, Repair, Scene, Span, UserError
from stages.audit.evidence import Role, Segment, evidence_segments

MOST_CANDIDATES = 200
"""Pairs kept of those that a mention may speak of, best first: a crowd of 300 has 90,000."""

# What a repair says it is about: "region 3", "regions 3 and 5", "annotation a-12", "caption 2".
_NAMED = re.compile(r"\b(?:regions? (\d+)(?: and (\d+))?|annotation ([\w.-]*\w)|caption (\d+))")


@dataclass(frozen=True, slots=True)
class TracedPhrase:
    """A noun phrase of a caption, as it was read."""

    number: int
    """Place in the scene's phrases."""
    text: str
    span: Span
    """Characters of the caption, half-open."""
    head: str
    plural: bool
    regions: tuple[int, ...]
    """Ids of the regions it may denote; empty if its words name none, or no tagger has run."""
    role: Role
    """`subject` or `object` of the mention; empty for the caption's other phrases."""


@dataclass(frozen=True, slots=True)
class TracedMention:
    """What the caption states, before anyone says which regions are meant."""

    subject: int
    """`TracedPhrase.number`."""
    predicate: str
    """Canonical."""
    text: str
    """The caption's words for it."""
    span: Span
    object: int
    """`TracedPhrase.number`."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair of regions that a mention may speak of."""

    subject: int
    """Region id."""
    object: int
    """Region id; never the subject."""
    chosen: bool
    """Whether this is the pair of the traced relation."""
    relation: int | None
    """Place of the relation of the same predicate and source that the scene has for this pair; None if it has none."""
    score: float | None
    """Of that relation. None: the pair was not chosen, or scored below the least that is written."""
    same_words: bool
    """Whether that relation, too, rests on this mention. If not, its score comes from other words."""
    human: str
    """What people said of this predicate for this pair: `asserted`, `denied`, or empty if nothing."""


@dataclass(frozen=True, slots=True)
class TracedEvidence:
    """The words of a caption that the relation rests on, and how they were read."""

    caption: int
    """Place in the scene's captions."""
    text: str
    """The whole caption."""
    source: str
    """`given` or `blip`."""
    decoding: str | None
    log_probability: float | None
    """Natural logarithm, of the whole caption under the captioner."""
    segments: tuple[Segment, ...]
    """The caption cut at the ends of the evidence's spans; joined, the texts are the caption."""
    phrases: tuple[TracedPhrase, ...]
    """All of this caption, in the order of the parse."""
    mention: TracedMention | None
    """None if the scene no longer has the mention that the evidence points to."""
    candidates: tuple[Candidate, ...]
    """Best first, at most `MOST_CANDIDATES`; the chosen one is always there. Empty without a mention."""
    num_candidates: int
    """Of all pairs."""


@dataclass(frozen=True, slots=True)
class OtherRelation:
    """Another relation of the same two regions, subject and object alike."""

    number: int
    """Place in the scene's relations."""
    predicate: str
    text: str
    score: float
    probability: float | None
    source: str
    state: str


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a relation of a scene comes from, as far as the scene tells."""

    key: str
    """Of the scene."""
    number: int
    """Place of the relation in the scene's relations."""
    subject: Region
    predicate: str
    object: Region
    text: str
    """Surface text: the caption's words, or the dataset's own name of the predicate."""
    score: float
    probability: float | None
    source: str
    state: str
    origin: str
    """A sentence for people: what the relation rests on."""
    evidence: tuple[TracedEvidence, ...]
    """Empty for what no caption says of these two regions. First the words that are the relation's `text`."""
    verifier_scores: dict[str, float]
    others: tuple[OtherRelation, ...]
    """Of the same two regions: competing predicates, what people said, denials. By falling score."""
    regions: tuple[Region, ...]
    """Every region that the trace names, by id, so that it can be drawn."""
    stages: dict[str, str]
    """Stage name to the identity of what ran, in the order in which it ran."""
    job: str | None
    """Digest of the job."""
    repairs: tuple[Repair, ...]
    """Those that name these regions or captions, or speak of the scene as a whole."""
    num_repairs: int
    """Of the scene, whatever they speak of."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `json.dumps`: dataclasses are objects, segments `{"text": ..., "role": ...}`."""
        document = asdict(self)
        for evidence, plain in zip(self.evidence, document["evidence"], strict=True):
            plain["segments"] = [segment._asdict() for segment in evidence.segments]
        plain_document: dict[str, Any] = _lists(document)
        return plain_document


def trace_of(scene: Scene, relation: int) -> Trace:
    """Trace a relation of a scene; neither the picture nor any model is needed.

    Args:
        relation: place in `scene.relations`, from 0.

    Raises:
        UserError: if the scene has no such relation, or it names a region that is not there.
    """
    if not 0 <= relation < len(scene.relations):
        places = f"its relations are 0 to {len(scene.relations) - 1}" if scene.relations else "it has no relations"
        raise UserError(f"{scene.key}: no relation {relation}; {places}")
    traced = scene.relations[relation]
    by_id = {region.id: region for region in scene.regions}
    for region_id in (traced.subject, traced.object):
        if region_id not in by_id:
            raise UserError(f"{scene.key}: relation {relation} names region {region_id}, which the scene does not have")
    evidence = tuple(_evidence(scene, relation, one) for one in _best_first(scene, traced))
    named = {traced.subject, traced.object}
    for one in evidence:
        named.update(region_id for phrase in one.phrases for region_id in phrase.regions)
    return Trace(
        key=scene.key,
        number=relation,
        subject=by_id[traced.subject],
        predicate=traced.predicate,
        object=by_id[traced.object],
        text=traced.text,
        score=traced.score,
        probability=traced.probability,
        source=traced.source,
        state=traced.state,
        origin=_origin(traced, num_captions=len({one.caption for one in evidence})),
        evidence=evidence,
        verifier_scores=dict(traced.verifier_scores),
        others=_others(scene, relation),
        regions=tuple(by_id[region_id] for region_id in sorted(named) if region_id in by_id),
        stages=dict(scene.provenance.stages),
        job=scene.provenance.job,
        repairs=tuple(
            repair
            for repair in scene.provenance.repairs
            if _concerns(repair, [by_id[traced.subject], by_id[traced.object]], {one.caption for one in evidence})
        ),
        num_repairs=len(scene.provenance.repairs),
    )


def _best_first(scene: Scene, relation: Relation) -> list[Evidence]:
    """The evidence of a relation, that with its surface text first: there its score comes from."""
    there = [one for one in relation.evidence if 0 <= one.caption < len(scene.captions)]
    return sorted(there, key=lambda one: scene.captions[one.caption].text[slice(*one.predicate)] != relation.text)


def _origin(relation: Relation, *, num_captions: int) -> str:
    """What a relation rests on, in a sentence."""
    if relation.source == "human":
        done = "denied" if relation.state == "denied" else "asserted"
        rests = "a caption of the dataset speaks of it" if num_captions else "it rests on no caption"
        return f"A person {done} it; {rests}."
    if num_captions:
        return f"It rests on the words of {'a caption' if num_captions == 1 else f'{num_captions} captions'}."
    if relation.source == "tagger":
        return "The tagger gave these two regions words that a caption says of others; no caption says it of these."
    return f"Its source is {relation.source}; it rests on no caption."


def _evidence(scene: Scene, relation: int, evidence: Evidence) -> TracedEvidence:
    caption: Caption = scene.captions[evidence.caption]
    mention = _mention(scene, scene.relations[relation].predicate, evidence)
    phrases = tuple(
        TracedPhrase(
            number=number,
            text=caption.text[slice(*phrase.span)],
            span=phrase.span,
            head=phrase.head,
            plural=phrase.plural,
            regions=phrase.regions,
            role=_role(number, phrase, mention, evidence),
        )
        for number, phrase in enumerate(scene.phrases)
        if phrase.caption == evidence.caption
    )
    candidates = [] if mention is None else _candidates(scene, relation, evidence, mention)
    return TracedEvidence(
        caption=evidence.caption,
        text=caption.text,
        source=caption.source,
        decoding=caption.decoding,
        log_probability=caption.log_probability,
        segments=tuple(evidence_segments(scene, evidence, around=None)),
        phrases=phrases,
        mention=None
        if mention is None
        else TracedMention(
            subject=mention.subject,
            predicate=mention.predicate,
            text=caption.text[slice(*mention.span)],
            span=mention.span,
            object=mention.object,
        ),
        candidates=_kept(candidates),
        num_candidates=len(candidates),
    )


def _mention(scene: Scene, predicate: str, evidence: Evidence) -> Mention | None:
    """The mention that a piece of evidence was made from; evidence keeps its spans, not its place."""
    there = range(len(scene.phrases))
    for mention in scene.mentions:
        if (
            (mention.caption, mention.span, mention.predicate) == (evidence.caption, evidence.predicate, predicate)
            and mention.subject in there
            and mention.object in there
            and scene.phrases[mention.subject].span == evidence.subject
            and scene.phrases[mention.object].span == evidence.object
        ):
            return mention
    return None


def _role(number: int, phrase: Phrase, mention: Mention | None, evidence: Evidence) -> Role:
    if mention is not None:
        return "subject" if number == mention.subject else "object" if number == mention.object else ""
    return "subject" if phrase.span == evidence.subject else "object" if phrase.span == evidence.object else ""


def _candidates(scene: Scene, relation: int, evidence: Evidence, mention: Mention) -> list[Candidate]:
    """Every pair that the mention's phrases may denote, best first, formed as taggers form them: see `pair_texts`.

    Pairs of equal or no score come in the order of their ids, behind the chosen one.
    """
    traced = scene.relations[relation]
    labelled: dict[tuple[int, int], int] = {}
    human: dict[tuple[int, int], str] = {}
    for number, other in enumerate(scene.relations):
        if other.predicate != mention.predicate:
            continue
        pair = (other.subject, other.object)
        if other.source == "human":
            human[pair] = "denied" if "denied" in (other.state, human.get(pair)) else "asserted"
        elif other.source == traced.source and other.state == "asserted":
            best = labelled.setdefault(pair, number)
            if other.score > scene.relations[best].score:
                labelled[pair] = number
    chosen_pair = (traced.subject, traced.object)
    labelled[chosen_pair] = relation

    found = []
    for subject in scene.phrases[mention.subject].regions:
        for object_ in scene.phrases[mention.object].regions:
            pair = (subject, object_)
            if subject != object_:
                place = labelled.get(pair)
                found.append(
                    Candidate(
                        subject=subject,
                        object=object_,
                        chosen=pair == chosen_pair,
                        relation=place,
                        score=None if place is None else scene.relations[place].score,
                        same_words=place is not None and evidence in scene.relations[place].evidence,
                        human=human.get(pair, ""),
                    )
                )
    return sorted(
        found,
        key=lambda one: (one.score is None, -(one.score or 0.0), not one.chosen, one.subject, one.object),
    )


def _kept(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    best = candidates[:MOST_CANDIDATES]
    if any(one.chosen for one in best):
        return tuple(best)
    return (*best[:-1], *(one for one in candidates if one.chosen))


def _others(scene: Scene, relation: int) -> tuple[OtherRelation, ...]:
    traced = scene.relations[relation]
    found = [
        OtherRelation(number, other.predicate, other.text, other.score, other.probability, other.source, other.state)
        for number, other in enumerate(scene.relations)
        if number != relation and (other.subject, other.object) == (traced.subject, traced.object)
    ]
    return tuple(sorted(found, key=lambda other: (-other.score, other.predicate, other.number)))


def _concerns(repair: Repair, regions: Sequence[Region], captions: set[int]) -> bool:
    """Whether a repair names one of these, or names no region, annotation or caption at all."""
    ours = {("region", str(region.id)) for region in regions}
    ours |= {("annotation", region.source_id) for region in regions if region.source_id is not None}
    ours |= {("caption", str(number)) for number in captions}
    kinds = ("region", "region", "annotation", "caption")
    named = {
        (kind, name) for names in _NAMED.findall(repair.detail) for kind, name in zip(kinds, names, strict=True) if name
    }
    return not named or not named.isdisjoint(ours)


def _lists(value: Any) -> Any:
    """The value with lists for its tuples, all the way down."""
    if isinstance(value, dict):
        return {name: _lists(inner) for name, inner in value.items()}
    return [_lists(inner) for inner in value] if isinstance(value, list | tuple) else value
