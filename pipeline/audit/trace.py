"""`relmill trace`: why a label of an output is there, on the terminal."""

import io
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline.inspect.find_scene import find_row
from pipeline.inspect.inspection import clean
from pipeline.report.sample import committed_scene
from schemas import Region, Relation, Scene, UserError
from stages.audit import Trace, trace_of
from stages.audit.trace import Candidate, OtherRelation, TracedEvidence
from stages.pack import Layers, read_dataset_file
from stages.storage import Folder

_MOST_CANDIDATES = 12
_MOST_LISTED = 8


@dataclass(frozen=True, slots=True)
class Listing:
    """The relations of a scene, each with its place."""

    scene: Scene

    def to_json(self) -> list[dict[str, Any]]:
        """A row for each relation, in their order: what `Trace` says of it without its evidence."""
        return [_row(self.scene, number) for number in range(len(self.scene.relations))]

    def to_text(self, *, colour: bool | None = None) -> str:
        """A line for each relation; `colour` by default only if stdout is a terminal."""
        lines = [Text.assemble((clean(self.scene.key), "bold"), f"  {len(self.scene.relations)} relations")]
        width = len(str(len(self.scene.relations)))
        for number, relation in enumerate(self.scene.relations):
            words = Text.assemble(f"  {number:>{width}}  ", _triplet(_regions(self.scene), relation))
            lines.append(words.append(f"  ({_figures(relation)})", "dim"))
        return _printed(lines, colour=colour)


@dataclass(frozen=True, slots=True)
class Explained:
    """A trace, with how the captions are parsed if that was asked for."""

    trace: Trace
    parses: tuple[tuple[int, str], ...] = ()
    """Place of a caption, and its tree, phrases, relations and rules as text."""
    unparsed: str = ""
    """Why there is no parse, if one was asked for."""

    def to_json(self) -> dict[str, Any]:
        """`Trace.to_json`, and `parses`, each `{"caption": ..., "text": ...}`."""
        parses = [{"caption": caption, "text": text} for caption, text in self.parses]
        return {**self.trace.to_json(), "parses": parses, "unparsed": self.unparsed}

    def to_text(self, *, colour: bool | None = None) -> str:
        """Text for a person; `colour` by default only if stdout is a terminal."""
        trace = self.trace
        names = {region.id: f"{clean(region.name)}#{region.id}" for region in trace.regions}
        arrow = Text.assemble(
            names[trace.subject.id], " ", (_predicate(trace), "bold cyan"), " ", names[trace.object.id]
        )
        lines = [
            Text.assemble((clean(trace.key), "bold"), f"  relation {trace.number}  ").append_text(arrow),
            _field("score", _figures(trace)),
            _field("words", clean(trace.text)),
            _field("subject", _region(trace.subject)),
            _field("object", _region(trace.object)),
            _field("because", trace.origin),
        ]
        for evidence in trace.evidence:
            lines += _evidence(evidence, names)
        if trace.others:
            lines += [Text(), Text("others of these two", style="bold")]
            lines += [_field(str(other.number), f"{_predicate(other)}  ({_figures(other)})") for other in trace.others]
        if trace.verifier_scores:
            lines += [Text(), Text("verifiers", style="bold")]
            lines += [_field(clean(name), f"{score:.3f}") for name, score in trace.verifier_scores.items()]
        lines += [Text(), Text("made by", style="bold"), _field("job", clean(trace.job or "unknown"))]
        lines += [_field(clean(name), clean(identity)) for name, identity in trace.stages.items()]
        lines += [
            _field("repair", f"{clean(repair.stage)}: {clean(repair.reason)}: {clean(repair.detail)}")
            for repair in trace.repairs
        ]
        if more := trace.num_repairs - len(trace.repairs):
            lines.append(_field("", f"and {more} repairs of other things in this scene"))
        text = _printed(lines, colour=colour)
        for caption, parse in self.parses:
            text += f"\n\nparse of caption {caption}\n\n{parse}"
        return text + (f"\n\nno parse: {self.unparsed}" if self.unparsed else "")


def trace(
    target: str, key: str, relation: str | None, *, parse: bool = False, model: str = "builtin"
) -> Listing | Explained:
    """Look a scene up in an output, and trace one of its relations; without `relation`, list them.

    Args:
        target: folder or URL of the output.
        key: of the scene. A few index files are read to find it, however many there are.
        relation: place in the scene's relations, or its triplet in words (`person ride horse`, `person#3 ride horse`).
        parse: parse the captions of the evidence again, to show tree and rules.
        model: pipeline to parse with; shown only if it is the one that the scene was made with.

    Raises:
        BadInputError: if there is no such output or key, the scene was rejected or died, or something is damaged.
        UserError: if there is no such relation, or several.
    """
    folder = Folder(target)
    read_dataset_file(folder)
    row = find_row(folder, key)
    scene = Layers.of(folder).applied(committed_scene(folder, row, pixels=False), row["json_crc32"])
    if relation is None:
        return Listing(scene)
    found = trace_of(scene, relation_number(scene, relation))
    if not parse:
        return Explained(found)
    return _with_parses(found, model)


def relation_number(scene: Scene, relation: str) -> int:
    """The place that a number, or a triplet in words, stands for.

    Raises:
        UserError: if no relation, or more than one, has these words; lists those that do, or some that there are.
    """
    if relation.lstrip("-").isdecimal():
        return int(relation)
    regions = _regions(scene)
    wanted = _words(relation)
    found = [number for number, one in enumerate(scene.relations) if wanted in _spellings(regions, one)]
    if len(found) == 1:
        return found[0]
    shown = found or list(range(len(scene.relations)))
    lines = [
        f"\n  {number}  {_triplet(regions, scene.relations[number])}  ({_figures(scene.relations[number])})"
        for number in shown[:_MOST_LISTED]
    ]
    more = f"\n  and {len(shown) - _MOST_LISTED} more" if len(shown) > _MOST_LISTED else ""
    what = f"{len(found)} relations are" if found else "no relation is"
    raise UserError(f"{scene.key}: {what} {relation!r}; give the number of one of{''.join(lines) or ' none'}{more}")


def _with_parses(found: Trace, model: str) -> Explained:
    from pipeline.explain import explain
    from stages.parse.model import pipeline_digest
    from stages.parse.stage import Parser

    if not found.evidence:
        return Explained(found, unparsed="the relation rests on no caption")
    made_by = found.stages.get("parse")
    if made_by is None:
        return Explained(found, unparsed="the scene does not say what parsed its captions")
    here = Parser(model=model, sha256=pipeline_digest(model)).identity
    if made_by != here:
        return Explained(
            found,
            unparsed=f"the captions were parsed by {made_by}, and {model} is {here}, which may read them otherwise; "
            f"give that pipeline with --model",
        )
    captions = {evidence.caption: evidence.text for evidence in found.evidence}
    return Explained(found, tuple((place, explain(text, model=model).to_text()) for place, text in captions.items()))


def _evidence(evidence: TracedEvidence, names: dict[int, str]) -> list[Text]:
    note = evidence.source + (f", {clean(evidence.decoding)}" if evidence.decoding else "")
    if evidence.log_probability is not None:
        note += f", log p {evidence.log_probability:.2f}"
    quote = Text()
    for segment in evidence.segments:
        words = clean(segment.text)
        quote.append(f"[{words}]" if segment.role == "predicate" else words, "underline" if segment.role else "")
    lines = [Text(), Text(f"caption {evidence.caption} ({note})", style="bold"), _field("", quote)]
    for phrase in evidence.phrases:
        regions = ", ".join(names.get(region, f"#{region}") for region in phrase.regions) or "no region"
        what = f"{clean(phrase.text)}  [{clean(phrase.head)}{', plural' if phrase.plural else ''}]  may be {regions}"
        lines.append(_field(phrase.role or "phrase", what))
    if evidence.mention is None:
        return [*lines, _field("", "the scene does not keep the mention that these words were read as")]
    lines.append(_field("read as", f"{clean(evidence.mention.predicate)}  «{clean(evidence.mention.text)}»"))
    shown = evidence.candidates[:_MOST_CANDIDATES]
    shown += tuple(one for one in evidence.candidates[_MOST_CANDIDATES:] if one.chosen)
    lines += [_candidate(one, names) for one in shown]
    if more := evidence.num_candidates - len(shown):
        lines.append(_field("", f"and {more} more pairs"))
    return lines


def _candidate(candidate: Candidate, names: dict[int, str]) -> Text:
    """A pair that competed, with its score and why it has that, or none."""
    pair = f"{names[candidate.subject]} - {names[candidate.object]}"
    score = "not chosen, or below the least score" if candidate.score is None else f"{candidate.score:.3f}"
    notes = [f"people: {candidate.human}"] if candidate.human else []
    if candidate.relation is not None and not candidate.chosen:
        notes.append(f"relation {candidate.relation}" + ("" if candidate.same_words else ", by other words"))
    line = Text.assemble(f"{pair}  ", score, f"  ({'; '.join(notes)})" if notes else "")
    if candidate.chosen:
        line.stylize("bold")
    return _field("this pair" if candidate.chosen else "or", line)


def _row(scene: Scene, number: int) -> dict[str, Any]:
    relation, regions = scene.relations[number], _regions(scene)
    return {
        "number": number,
        "subject": {"id": relation.subject, "name": _name(regions, relation.subject)},
        "predicate": relation.predicate,
        "object": {"id": relation.object, "name": _name(regions, relation.object)},
        "text": relation.text,
        "score": relation.score,
        "probability": relation.probability,
        "source": relation.source,
        "state": relation.state,
    }


def _regions(scene: Scene) -> dict[int, Region]:
    return {region.id: region for region in scene.regions}


def _name(regions: dict[int, Region], region_id: int) -> str:
    return regions[region_id].name if region_id in regions else "?"


def _triplet(regions: dict[int, Region], relation: Relation) -> str:
    """`person#3 ride horse#5`."""
    subject, object_ = (f"{clean(_name(regions, end))}#{end}" for end in (relation.subject, relation.object))
    return f"{subject} {_predicate(relation)} {object_}"


def _spellings(regions: dict[int, Region], relation: Relation) -> set[str]:
    """What a person may call it: each end by its name, or by its name and id."""
    ends = [
        (_name(regions, end), f"{_name(regions, end)}#{end}", f"#{end}") for end in (relation.subject, relation.object)
    ]
    return {
        _words(f"{subject} {predicate} {object_}")
        for subject in ends[0]
        for object_ in ends[1]
        for predicate in (relation.predicate, relation.text)
    }


def _words(text: str) -> str:
    return " ".join(text.casefold().split())


def _predicate(relation: Relation | Trace | OtherRelation) -> str:
    return ("not " if relation.state == "denied" else "") + clean(relation.predicate)


def _figures(relation: Relation | Trace | OtherRelation) -> str:
    """`0.830, probability 0.71, tagger`."""
    probability = "" if relation.probability is None else f", probability {relation.probability:.3f}"
    return f"{relation.score:.3f}{probability}, {relation.source}"


def _region(region: Region) -> str:
    box = ", ".join(f"{value:g}" for value in region.box)
    origin = f", id {clean(region.source_id)}" if region.source_id else ""
    return f"{clean(region.name)}#{region.id}  [{box}]  ({region.source} {region.score:.2f}{origin})"


def _field(name: str, value: str | Text) -> Text:
    return Text.assemble((f"  {name:<10}", "dim"), " ", value)


def _printed(lines: Sequence[Text], *, colour: bool | None) -> str:
    colour = sys.stdout.isatty() if colour is None else colour
    console = Console(file=io.StringIO(), force_terminal=colour, width=10_000, highlight=False, emoji=False)
    for line in lines:
        console.print(line, soft_wrap=True)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())


def to_json_text(result: Listing | Explained) -> str:
    """What `--json` prints."""
    return json.dumps(result.to_json(), indent=1, ensure_ascii=False)
