"""spaCy's `doc.noun_chunks` for parsers with Universal Dependencies.

spaCy's own English iterator
* knows only ClearNLP's labels: of a UD tree it keeps subjects and appositions and loses objects and obliques silently;
* takes everything left of the noun that hangs on it, which in UD begins with the preposition.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Span, Token

_HEADS = frozenset({"NOUN", "PROPN", "PRON"})
# What a noun phrase can be in its sentence, without subtypes; clauses because a noun may lead one: "who is a cook".
_PHRASES = frozenset(
    {
        "ROOT", "root", "nsubj", "obj", "iobj", "obl", "nmod", "appos", "dislocated", "vocative", "list", "orphan",
        "parataxis", "dep", "csubj", "xcomp", "ccomp", "advcl", "acl",
    }
)  # fmt: skip
_BEFORE = frozenset({"det", "amod", "nummod", "compound", "nmod", "flat", "goeswith", "advmod"})
_BEHIND = frozenset({"flat", "goeswith"})
# Allowed inside a phrase ("a big, brown dog"), never at its beginning. Adverbs there belong to the clause: "not a dog".
_NOT_FIRST = frozenset({"case", "cc", "punct", "mark"})
_NOT_FIRST_POS = frozenset({"ADP", "CCONJ", "SCONJ", "PUNCT", "SPACE"})


def install_noun_chunks(nlp: "Language") -> None:
    """Make `doc.noun_chunks` of the docs that a pipeline makes from now on read Universal Dependencies.

    spaCy does not save this with the pipeline; call it after each load.
    """
    # spaCy's stub says that the function yields spans; spaCy itself takes what its own iterators yield.
    nlp.vocab.get_noun_chunks = noun_chunks  # type: ignore[assignment]


def noun_chunks(doclike: "Doc | Span") -> Iterator[tuple[int, int, int]]:
    """The base noun phrases of a doc or span as start, end and label, tokens of the doc, half-open.

    In the order of the text, never overlapping. Each holds the noun or pronoun that leads it, its determiners and
    modifiers and a possessor ("the man's dog" is one), not what follows it; none begins with a preposition or
    conjunction. Of a span's phrases, those that lie inside it.

    Raises:
        ValueError: if the doc has no parse, as spaCy's own iterators do.
    """
    from spacy.errors import Errors

    doc = doclike.doc
    if not doc.has_annotation("DEP"):
        raise ValueError(Errors.E029)
    label = doc.vocab.strings.add("NP")
    first, last = (doclike[0].i, doclike[-1].i + 1) if len(doclike) else (0, 0)
    chunks: list[tuple[int, int]] = []
    # From the right, for of two nested phrases the outer ends further right: "the man's dog".
    for word in reversed(doc[first:last]):
        if chunks and word.i >= chunks[-1][0]:
            continue
        if word.pos_ in _HEADS and _is_phrase(word):
            start, end = _start(word), _end(word)
            if first <= start and end <= (chunks[-1][0] if chunks else last):
                chunks.append((start, end))
    for start, end in reversed(chunks):
        yield start, end, label


def _is_phrase(word: "Token") -> bool:
    """Whether a noun leads a phrase of its own; possessors and parts of names do not."""
    while word.dep_ == "conj" and word.head.i != word.i:
        word = word.head
    base, _, subtype = word.dep_.partition(":")
    return base in _PHRASES and subtype != "poss"


def _start(head: "Token") -> int:
    doc, start = head.doc, head.i
    for index in range(head.i - 1, -1, -1):
        branch = _branch(doc[index], head)
        if branch is None or not _may_stand_before(branch):
            break
        if not (branch.dep_ in _NOT_FIRST or branch.dep_.startswith("advmod")):
            start = index
    while start < head.i and (doc[start].dep_ in _NOT_FIRST or doc[start].pos_ in _NOT_FIRST_POS):
        start += 1
    return start


def _end(head: "Token") -> int:
    doc, end = head.doc, head.i + 1
    while end < len(doc):
        branch = _branch(doc[end], head)
        if branch is None or branch.dep_.partition(":")[0] not in _BEHIND:
            break
        end += 1
    return end


def _branch(word: "Token", head: "Token") -> "Token | None":
    """The child of `head` that a word is or hangs below; None if it does not hang below `head`."""
    while word.head.i != head.i:
        if word.head.i == word.i:
            return None
        word = word.head
    return word


def _may_stand_before(branch: "Token") -> bool:
    """Whether a child of a noun, standing before it, may be inside its phrase."""
    base, _, subtype = branch.dep_.partition(":")
    if base == "nmod" and subtype != "poss":
        # "on the left a dog" is two phrases.
        return all(child.dep_ != "case" for child in branch.lefts)
    return base in _BEFORE or base in {"cc", "punct"}
