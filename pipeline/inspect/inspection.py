"""What `relmill inspect` found, as text for a terminal and as JSON."""

import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from schemas import Evidence, Relation, Scene, scene_to_json
from stages.audit.evidence import evidence_segments

_MOST_NAMES = 12
_MOST_CAPTIONS = 5
_MOST_RELATIONS = 12
_MOST_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Inspection:
    """An output or a shard, looked into."""

    target: str
    kind: str
    """`output` or `shard`."""
    facts: Mapping[str, Any]
    """What is known without sampling: counts, reasons, sizes; plain JSON values."""
    num_sampled: int
    """Scenes behind `classes`, `predicates` and `sources`."""
    classes: Mapping[str, int]
    """Regions of each class in the sample, most frequent first."""
    predicates: Mapping[str, int]
    """Asserted relations of each predicate in the sample, most frequent first."""
    sources: Mapping[str, int]
    """Asserted relations of each source in the sample."""
    scenes: Sequence[Scene]
    """Scenes to show; those asked for by key, or a few of the sample."""
    full: bool
    """Scenes were asked for by key: everything in them is shown."""
    problems: Sequence[str]
    """Damage that was met."""

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values, the scenes as in the shard."""
        return {
            "target": self.target,
            "kind": self.kind,
            **self.facts,
            "sample": {
                "scenes": self.num_sampled,
                "classes": dict(self.classes),
                "predicates": dict(self.predicates),
                "sources": dict(self.sources),
            },
            "scenes": [json.loads(scene_to_json(scene)) for scene in self.scenes],
            "problems": list(self.problems),
        }

    def to_text(self, *, colour: bool | None = None) -> str:
        """Text for a person; `colour` by default only if stdout is a terminal."""
        colour = sys.stdout.isatty() if colour is None else colour
        console = Console(file=io.StringIO(), force_terminal=colour, width=10_000, highlight=False, emoji=False)
        for line in [*self._head(), *(line for scene in self.scenes for line in self._scene(scene))]:
            console.print(line, soft_wrap=True)
        text: str = console.file.getvalue()  # type: ignore[attr-defined]
        return "\n".join(line.rstrip() for line in text.splitlines())

    def _head(self) -> list[Text]:
        lines = [Text(clean(self.target), style="bold")]
        lines += [_field(name, _value(value)) for name, value in self.facts.items()]
        if self.num_sampled:
            what = f"(in {self.num_sampled} sampled scenes)"
            lines.append(_field("classes", f"{_top(self.classes)}  {what}"))
            lines.append(_field("predicates", f"{_top(self.predicates)}  {what}"))
            lines.append(_field("sources", _top(self.sources)))
        lines += [_field("problem", clean(problem), style="bold red") for problem in self.problems]
        return lines

    def _scene(self, scene: Scene) -> list[Text]:
        """A scene in a few lines, or all of it."""
        image = scene.image
        size = f"{image.width} x {image.height}" if image.width and image.height else "size unknown"
        lines = [
            Text(),
            Text.assemble(
                (clean(scene.key), "bold"),
                f"  {size}{' ' + clean(image.format) if image.format else ''}  {len(scene.regions)} regions, "
                f"{len(scene.captions)} captions, {len(scene.relations)} relations",
            ),
        ]
        if self.full:
            lines += _provenance(scene)
        most = None if self.full else _MOST_NAMES
        lines += [_field("region", region) for region in _regions(scene)] if self.full else _short_regions(scene)
        captions = scene.captions if self.full else scene.captions[:_MOST_CAPTIONS]
        for i, caption in enumerate(captions):
            note = caption.source + (f", {clean(caption.decoding)}" if caption.decoding else "")
            if caption.log_probability is not None:
                note += f", log p {caption.log_probability:.2f}"
            lines.append(_field(f"caption {i}", f"{_cut(caption.text, whole=self.full)}  ({note})"))
        lines += _rest(len(scene.captions) - len(captions), "captions")
        phrases = _phrases(scene)
        if phrases:
            lines.append(_field("phrases", "; ".join(phrases[:most])))
        relations = sorted(scene.relations, key=lambda r: (r.source == "human", -r.score))
        shown = relations if self.full else relations[:_MOST_RELATIONS]
        for relation in shown:
            lines += _relation(scene, relation, whole=self.full)
        return lines + _rest(len(relations) - len(shown), "relations")


def clean(text: str) -> str:
    """Text that cannot steer a terminal: control and direction characters are written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _field(name: str, value: str | Text, *, style: str = "") -> Text:
    return Text.assemble((f"  {name:<12}", style or "dim"), " ", value)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{clean(str(name))} {_value(number)}" for name, number in value.items()) or "none"
    return clean(str(value))


def _top(counts: Mapping[str, int]) -> str:
    shown = [f"{clean(name)} {number}" for name, number in list(counts.items())[:_MOST_NAMES]]
    more = len(counts) - len(shown)
    return (", ".join(shown) or "none") + (f", and {more} more" if more > 0 else "")


def _rest(number: int, what: str) -> list[Text]:
    return [_field("", f"and {number} more {what}")] if number > 0 else []


def _cut(text: str, *, whole: bool) -> str:
    text = clean(text)
    return text if whole or len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"


def _provenance(scene: Scene) -> list[Text]:
    image, made = scene.image, scene.provenance
    lines = [
        _field("image", f"{clean(image.name)}  sha256 {clean(image.sha256 or 'unknown')}"),
        _field("job", clean(made.job or "unknown")),
    ]
    lines += [_field("stage", f"{clean(name)}: {clean(identity)}") for name, identity in made.stages.items()]
    return lines + [
        _field("repair", f"{clean(repair.stage)}: {clean(repair.reason)}: {clean(repair.detail)}")
        for repair in made.repairs
    ]


def _regions(scene: Scene) -> list[str]:
    lines = []
    for region in scene.regions:
        box = ", ".join(f"{value:g}" for value in region.box)
        origin = f", id {clean(region.source_id)}" if region.source_id else ""
        lines.append(f"{clean(region.name)}#{region.id}  [{box}]  ({region.source} {region.score:.2f}{origin})")
    return lines


def _short_regions(scene: Scene) -> list[Text]:
    names = [f"{clean(region.name)}#{region.id}" for region in scene.regions]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return [_field("regions", "  ".join(names[:_MOST_NAMES]) + more)] if names else []


def _phrases(scene: Scene) -> list[str]:
    """`[a man] -> person#3`, a caption's phrases in its order."""
    parts = []
    for phrase in scene.phrases:
        if 0 <= phrase.caption < len(scene.captions):
            start, end = max(0, phrase.span[0]), max(0, phrase.span[1])
            words = scene.captions[phrase.caption].text[start:end]
            regions = ", ".join(_name(scene, region) for region in phrase.regions) or "no region"
            parts.append(f"[{_cut(words, whole=False)}] -> {regions}")
    return list(dict.fromkeys(parts))


def _name(scene: Scene, region_id: int) -> str:
    name = next((region.name for region in scene.regions if region.id == region_id), "?")
    return f"{clean(name)}#{region_id}"


def _relation(scene: Scene, relation: Relation, *, whole: bool) -> list[Text]:
    """`person#3 --ride (0.83, tagger)--> horse#5   «a man [riding] a horse» caption 2`."""
    what = "human" if relation.source == "human" else f"{relation.score:.2f}, {relation.source}"
    if relation.probability is not None:
        what += f", p {relation.probability:.2f}"
    denied = "not " if relation.state == "denied" else ""
    arrow = (f"{denied}{clean(relation.predicate)}", "bold green" if relation.source == "human" else "bold cyan")
    line = Text.assemble(_name(scene, relation.subject), " --", arrow, f" ({what})--> ", _name(scene, relation.object))
    evidence = [_quote(scene, evidence) for evidence in relation.evidence]
    if not whole:
        return [_field("relation", Text.assemble(line, "   ", evidence[0]) if evidence else line)]
    lines = [_field("relation", line)] + [_field("", quote) for quote in evidence]
    scores = ", ".join(f"{clean(name)} {score:.3f}" for name, score in relation.verifier_scores.items())
    return lines + ([_field("", f"verified: {scores}")] if scores else [])


def _quote(scene: Scene, evidence: Evidence) -> Text:
    """The caption with the words of the predicate in brackets."""
    quote = Text("«")
    for segment in evidence_segments(scene, evidence):
        words = clean(segment.text)
        quote.append(f"[{words}]" if segment.role == "predicate" else words, "underline" if segment.role else "")
    return quote.append(f"» caption {evidence.caption}")
