"""Captions with what they state: gold captions, and the lines of `relmill parse`, one JSON object a line."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas import BadInputError
from stages.evaluate.graphs import GraphTuple, SceneGraph
from stages.ingest.json_objects import objects_of_lines
from stages.parse.parsed import Parse

GOLD_LAYOUT = 'one JSON object a line: {"caption": "a man rides a horse", "relations": [["man", "ride", "horse"]]}'
PARSE_LAYOUT = "a line of `relmill parse`"


@dataclass(frozen=True, slots=True)
class GoldCaption:
    """A caption and the graph that people gave it, in their words."""

    text: str
    tuples: tuple[GraphTuple, ...]
    where: str
    """File and row, for messages."""

    @property
    def graph(self) -> SceneGraph:
        """The tuples as they are compared."""
        return SceneGraph.of(self.tuples)


@dataclass(frozen=True, slots=True)
class StatedRelation:
    """A relation as the parser read it."""

    subject: str
    predicate: str
    object: str
    text: str
    """The words of the caption that state it."""
    rule: str = ""
    """The rules that found it."""


@dataclass(frozen=True, slots=True)
class ReadCaption:
    """A caption and what the parser read in it, names instead of indexes."""

    text: str
    names: tuple[str, ...]
    """Of every phrase."""
    relations: tuple[StatedRelation, ...]
    attributes: tuple[tuple[str, str], ...]
    """Name and value."""

    @property
    def plain_graph(self) -> SceneGraph:
        """The relations in our own words, without attributes and lone things."""
        return SceneGraph.of((one.subject, one.predicate, one.object) for one in self.relations)


def read_caption(parse: Parse, caption: str) -> ReadCaption:
    """What a parse says of its caption."""
    return _read_caption(parse.to_json(caption), "parse")


def read_parses(path: str) -> list[ReadCaption]:
    """The lines that `relmill parse` wrote.

    Raises:
        BadInputError: if a line is no such line; names file, line and field.
    """
    return [_read_caption(entry, where) for where, entry in objects_of_lines(path, layout=PARSE_LAYOUT)]


def read_gold_lines(path: str) -> list[GoldCaption]:
    """Gold captions whose relations alone were judged. Other fields of a line are passed over.

    Raises:
        BadInputError: if a line has another layout; names file, line and field.
    """
    return [_gold_caption(entry, where) for where, entry in objects_of_lines(path, layout=GOLD_LAYOUT)]


def _gold_caption(entry: dict[str, Any], where: str) -> GoldCaption:
    text = _string(entry, "caption", where, GOLD_LAYOUT)
    relations = _list(entry, "relations", where, GOLD_LAYOUT)
    for index, relation in enumerate(relations):
        strings = isinstance(relation, list) and all(isinstance(part, str) and part.strip() for part in relation)
        if not strings or len(relation) != 3:
            raise BadInputError(
                f"{where}: `relations[{index}]` is {_shown(relation)}; expected [subject, predicate, object]"
            )
    return GoldCaption(text, tuple(tuple(relation) for relation in relations), where)


def _read_caption(entry: dict[str, Any], where: str) -> ReadCaption:
    text = _string(entry, "caption", where, PARSE_LAYOUT)
    phrases = list(_members(entry, "phrases", where))
    relations = list(_members(entry, "relations", where))
    attributes = list(_members(entry, "attributes", where))
    return ReadCaption(
        text=text,
        names=tuple(_string(body, "name", place, PARSE_LAYOUT) for place, body in phrases),
        relations=tuple(
            StatedRelation(
                subject=_string(body, "subject", place, PARSE_LAYOUT),
                predicate=_string(body, "predicate", place, PARSE_LAYOUT),
                object=_string(body, "object", place, PARSE_LAYOUT),
                text=_string(body, "text", place, PARSE_LAYOUT),
                rule=_string(body, "rule", place, PARSE_LAYOUT),
            )
            for place, body in relations
        ),
        attributes=tuple(
            (_string(body, "phrase", place, PARSE_LAYOUT), _string(body, "value", place, PARSE_LAYOUT))
            for place, body in attributes
        ),
    )


def _members(entry: dict[str, Any], field: str, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for index, body in enumerate(_list(entry, field, where, PARSE_LAYOUT)):
        place = f"{where}: `{field}[{index}]`"
        if not isinstance(body, dict):
            raise BadInputError(f"{place} is {_shown(body)}; expected {PARSE_LAYOUT}")
        yield place, body


def _string(entry: dict[str, Any], field: str, where: str, layout: str) -> str:
    value = entry.get(field)
    if not isinstance(value, str):
        raise BadInputError(f"{where}: `{field}` is {_shown(value)}, not a text; expected {layout}")
    return value


def _list(entry: dict[str, Any], field: str, where: str, layout: str) -> list[Any]:
    value = entry.get(field)
    if not isinstance(value, list):
        raise BadInputError(f"{where}: `{field}` is {_shown(value)}, not a list; expected {layout}")
    return value


def _shown(value: object) -> str:
    return repr(value)[:80]
