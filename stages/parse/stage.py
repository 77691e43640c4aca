"""The parse stage: captions in, phrases and mentions out."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from schemas import Mention, Phrase, Repair, Scene
from stages.parse.chunks import chunk
from stages.parse.reader import read_relations
from stages.parse.tagger import tag_words

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

# A caption is a sentence or a paragraph; what stands behind so many characters is not read. Keeps the time bounded.
MAX_CHARACTERS = 10_000

Parsed = tuple[tuple[Phrase, ...], tuple[Mention, ...]]


class RuleParser:
    """Reads captions by rules on spaCy's tokens; needs no download and no trained model."""

    name = "parse"
    identity = "parse/builtin-rules/1"
    batch_size = 256

    def setup(self) -> None:
        """Build the pipeline now rather than on the first batch."""
        _pipeline()

    def process(self, scenes: Sequence[Scene]) -> Sequence[Scene]:
        """Fill `phrases` and `mentions` of each scene from its captions, replacing what was there."""
        texts = dict.fromkeys(caption.text for scene in scenes for caption in scene.captions)
        parsed = dict(zip(texts, parse_captions(texts), strict=True))
        return [_with_parses(scene, [parsed[caption.text] for caption in scene.captions]) for scene in scenes]


def parse_captions(texts: Iterable[str]) -> list[Parsed]:
    """Phrases and mentions of each text, in order. Caption indexes are 0 and mentions index the text's own phrases.

    Any text is fine; one without relations gives none. Only the first 10,000 characters are read.
    """
    nlp = _pipeline()
    # Strings of a memory zone are freed with it; otherwise every misspelt word of a million captions would stay.
    with nlp.memory_zone():
        return [_parsed(doc) for doc in nlp.pipe((_readable(text) for text in texts), batch_size=256)]


def _with_parses(scene: Scene, parses: list[Parsed]) -> Scene:
    phrases: list[Phrase] = []
    mentions: list[Mention] = []
    repairs = list(scene.provenance.repairs)
    for index, (caption, (own_phrases, own_mentions)) in enumerate(zip(scene.captions, parses, strict=True)):
        base = len(phrases)
        phrases += [replace(phrase, caption=index) for phrase in own_phrases]
        mentions += [replace(m, caption=index, subject=m.subject + base, object=m.object + base) for m in own_mentions]
        if len(caption.text) > MAX_CHARACTERS:
            detail = f"caption {index} has {len(caption.text)} characters; only the first {MAX_CHARACTERS} were read"
            repairs.append(Repair("parse", "caption-too-long", detail))
    provenance = replace(scene.provenance, repairs=tuple(repairs))
    return replace(scene, phrases=tuple(phrases), mentions=tuple(mentions), provenance=provenance)


def _readable(text: str) -> str:
    """The part that is read; lone surrogates, which no encoder takes, replaced one for one, so that spans hold."""
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text[:MAX_CHARACTERS])


def _parsed(doc: "Doc") -> Parsed:
    items = chunk(doc)
    stated = read_relations(items)
    used = {index for relation in stated for index in (relation.subject, relation.object)}
    kept = [i for i, item in enumerate(items) if item.kind == "phrase" and (item.tag != "PRON" or i in used)]
    number = {item: i for i, item in enumerate(kept)}
    phrases = tuple(
        Phrase(0, _characters(doc, items[i].start, items[i].end), items[i].lemma, items[i].plural) for i in kept
    )
    mentions = [
        Mention(0, number[r.subject], number[r.object], r.predicate, _characters(doc, r.start, r.end)) for r in stated
    ]
    return phrases, tuple(dict.fromkeys(mentions))


def _characters(doc: "Doc", start: int, end: int) -> tuple[int, int]:
    last = doc[end - 1]
    return doc[start].idx, last.idx + len(last)


@cache
def _pipeline() -> "Language":
    """spaCy's English tokenizer and our word tagger."""
    import spacy
    from spacy.language import Language

    Language.component("relmill_word_tagger", func=tag_words)
    nlp = spacy.blank("en")
    nlp.add_pipe("relmill_word_tagger")
    return nlp
