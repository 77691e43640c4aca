"""Universal Dependencies treebanks as spaCy docs, whole, in short runs of sentences, lower-cased, and in fragments."""

import gzip
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from schemas import BadInputError

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

# Most captions are one sentence; the longer runs teach where one ends.
_RUN_LENGTHS = (1, 1, 1, 2, 1, 3)
# A fragment is a noun phrase with something to say: a noun with a prepositional phrase, a participle or a list.
_MODIFIERS = frozenset({"nmod", "acl", "conj"})
_FRAGMENT_HEADS = frozenset({"NOUN", "PROPN"})
_STRIPPED = frozenset({"case", "punct", "cc", "mark"})
MIN_FRAGMENT_WORDS = 3
MAX_FRAGMENT_WORDS = 25


def read_treebank(path: Path) -> Iterator["Doc"]:
    """The sentences of a CoNLL-U file (plain or .gz), one doc each, in the order of the file.

    Raises:
        BadInputError: if the file cannot be read as CoNLL-U; the message names it.
    """
    from spacy.training.converters.conllu_to_docs import conllu_to_docs

    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            text = file.read()
        # The converter wants exactly ten columns and no blank line at either end.
        yield from conllu_to_docs(text.strip() + "\n", n_sents=1, no_print=True)  # type: ignore[no-untyped-call]
    except (OSError, EOFError, UnicodeDecodeError, ValueError) as error:
        raise BadInputError(f"{path}: cannot be read as CoNLL-U: {error}") from error


def runs(sentences: Iterable["Doc"]) -> Iterator["Doc"]:
    """The same sentences, some of them joined into docs of two or three."""
    from spacy.tokens import Doc

    rest = iter(sentences)
    for length in cycle(_RUN_LENGTHS):
        run = list(islice(rest, length))
        if not run:
            return
        yield run[0] if len(run) == 1 else Doc.from_docs(run)


def lower_cased(sentence: "Doc") -> "Doc":
    """The sentence as captions are written: lower case, without the full stop at the end."""
    tokens = list(sentence)
    if tokens[-1].dep_ == "punct" and not list(tokens[-1].children) and len(tokens) > 1:
        tokens.pop()
    return _part(tokens, lower=True)


def noun_fragments(sentence: "Doc") -> Iterator["Doc"]:
    """The noun phrases of a sentence that have a modifier, each as a doc of its own, lower-cased, its noun the root.

    Captions are noun phrases, and treebanks hardly have one as a sentence.
    """
    for noun in sentence:
        if noun.pos_ not in _FRAGMENT_HEADS or not any(
            child.dep_.split(":")[0] in _MODIFIERS for child in noun.children
        ):
            continue
        tokens = list(noun.subtree)
        while tokens and tokens[0].dep_ in _STRIPPED and tokens[0] != noun:
            tokens.pop(0)
        while tokens and tokens[-1].dep_ == "punct":
            tokens.pop()
        contiguous = bool(tokens) and tokens[-1].i - tokens[0].i == len(tokens) - 1
        if contiguous and noun in tokens and MIN_FRAGMENT_WORDS <= len(tokens) <= MAX_FRAGMENT_WORDS:
            yield _part(tokens, lower=True)


def _part(tokens: list["Token"], *, lower: bool) -> "Doc":
    """A doc of some tokens of another; the one whose head is left out becomes the root."""
    from spacy.tokens import Doc

    place = {token.i: index for index, token in enumerate(tokens)}
    inside = [token.head.i in place and token.head.i != token.i for token in tokens]
    return Doc(
        tokens[0].vocab,
        words=[token.text.lower() if lower else token.text for token in tokens],
        spaces=[bool(token.whitespace_) for token in tokens],
        tags=[token.tag_ for token in tokens],
        pos=[token.pos_ for token in tokens],
        morphs=[str(token.morph) for token in tokens],
        heads=[
            place[token.head.i] if within else index
            for index, (token, within) in enumerate(zip(tokens, inside, strict=True))
        ],
        deps=[token.dep_ if within else "ROOT" for token, within in zip(tokens, inside, strict=True)],
    )
