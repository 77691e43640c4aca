"""What the parser reads in one caption: noun phrases, the relations stated between them, and their attributes."""

from dataclasses import dataclass

from schemas import Span


@dataclass(frozen=True, slots=True)
class ParsedPhrase:
    """A noun phrase, or a pronoun that stands for one."""

    span: Span
    """Characters of the caption, half-open; neither its preposition nor its relative clause is in it."""
    head: str
    """Lemma of the head noun, lower case: `racket`."""
    name: str
    """What the thing is called, the last word being the head: `tennis racket`."""
    plural: bool = False
    """Several things are spoken of: "two men", "a group of people"."""


@dataclass(frozen=True, slots=True)
class ParsedRelation:
    """Subject, predicate and object; the phrases are indexes into `Parse.phrases`."""

    subject: int
    predicate: str
    """Canonical: lemma of the verb, then particle and preposition (`sit on`, `in front of`, `have`, `wear`)."""
    object: int
    span: Span
    """From the first to the last word that states the relation; `caption[start:end]` is the surface text."""
    rule: str
    """Names of the rules that found subject and object, joined by ` + `."""


@dataclass(frozen=True, slots=True)
class ParsedAttribute:
    """Something said of a phrase that is no relation: `brown`, `2`, `group of`, `sleeping`."""

    phrase: int
    value: str


@dataclass(frozen=True, slots=True)
class Parse:
    """One caption, read. Phrases stand in the order of the text, relations and attributes in that of their phrases.

    A caption that states nothing gives empty tuples.
    """

    phrases: tuple[ParsedPhrase, ...] = ()
    relations: tuple[ParsedRelation, ...] = ()
    attributes: tuple[ParsedAttribute, ...] = ()

    def to_json(self, caption: str) -> dict[str, object]:
        """The line that `relmill parse` prints for this caption."""
        return {
            "caption": caption,
            "phrases": [
                {
                    "text": caption[slice(*phrase.span)],
                    "span": list(phrase.span),
                    "head": phrase.head,
                    "name": phrase.name,
                    "plural": phrase.plural,
                }
                for phrase in self.phrases
            ],
            "relations": [
                {
                    "subject": self.phrases[relation.subject].name,
                    "predicate": relation.predicate,
                    "object": self.phrases[relation.object].name,
                    "text": caption[slice(*relation.span)],
                    "span": list(relation.span),
                    "phrases": [relation.subject, relation.object],
                    "rule": relation.rule,
                }
                for relation in self.relations
            ],
            "attributes": [
                {"phrase": self.phrases[attribute.phrase].name, "value": attribute.value, "index": attribute.phrase}
                for attribute in self.attributes
            ],
        }
