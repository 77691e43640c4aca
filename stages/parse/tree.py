"""The dependency tree of a caption in plain lists: what the rules read. Labels are Universal Dependencies 2."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas import Span

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

NOMINAL = frozenset({"NOUN", "PROPN", "PRON", "NUM", "SYM"})
VERBAL = frozenset({"VERB", "AUX"})
_RECIPROCAL = frozenset({("each", "other"), ("one", "another")})
_SECOND = frozenset(second for _, second in _RECIPROCAL)
_HYPHENS = frozenset({"-", "–"})


@dataclass(frozen=True, slots=True)
class Case:
    """The preposition of a noun, canonical, and the words `[start, end)` that say it."""

    text: str
    start: int
    end: int


@dataclass(slots=True)
class Tree:
    """One entry a word in every list. The head of a root is the root itself."""

    spans: list[Span]
    """Characters of each word."""
    lower: list[str]
    pos: list[str]
    """Universal part of speech."""
    tag: list[str]
    """Penn tag."""
    dep: list[str]
    """Relation to the head, without its subtype."""
    subtype: list[str]
    """`pass` of `nsubj:pass`; empty if there is none."""
    head: list[int]
    children: list[list[int]] = field(default_factory=list)
    """In the order of the words."""
    cases: dict[int, Case] = field(default_factory=dict)
    """Prepositions of several words, by the noun they belong to; see `prepositions.py`."""

    def __post_init__(self) -> None:
        self.children = [[] for _ in self.head]
        for word, head in enumerate(self.head):
            if head != word:
                self.children[head].append(word)

    def __len__(self) -> int:
        return len(self.head)

    @classmethod
    def of(cls, doc: "Doc") -> "Tree":
        """The tree of a doc that a parser with Universal Dependencies labels parsed, spaces left out."""
        return cls.from_labels(doc, [token.head.i for token in doc], [token.dep_ for token in doc])

    @classmethod
    def from_labels(cls, doc: "Doc", heads: list[int], deps: list[str]) -> "Tree":
        """The tree of a doc with the given head and label of each of its tokens."""
        words = _words(doc)
        # A hyphenated word hangs where its uppermost part hangs; any other choice could close a circle.
        tokens = [word[0] if len(word) == 1 else min(word, key=lambda t: _depth(t, heads)) for word in words]
        place = {token.i: index for index, word in enumerate(words) for token in word}
        labels = [deps[token.i].partition(":") for token in tokens]
        return cls(
            spans=[(word[0].idx, word[-1].idx + len(word[-1])) for word in words],
            lower=["".join(token.text for token in word).lower().replace("’", "'") for word in words],
            pos=[token.pos_ for token in tokens],
            tag=[token.tag_ for token in tokens],
            dep=[label for label, _, _ in labels],
            subtype=[subtype for _, _, subtype in labels],
            head=[place.get(heads[token.i], index) for index, token in enumerate(tokens)],
        )

    def kids(self, word: int, *deps: str) -> list[int]:
        """Children of a word with one of these relations, in the order of the words."""
        return [child for child in self.children[word] if self.dep[child] in deps]

    def move(self, word: int, head: int, dep: str, subtype: str = "") -> None:
        """Hang a word under another head; `head == word` makes it a root.

        Nothing is moved under a word below it: a wrong tree stays wrong, but a tree.
        """
        if head != word and self.is_above(word, head):
            return
        if self.head[word] != word:
            self.children[self.head[word]].remove(word)
        self.head[word], self.dep[word], self.subtype[word] = head, dep, subtype
        if head != word:
            self.children[head] = sorted([*self.children[head], word])

    def is_above(self, ancestor: int, word: int) -> bool:
        """Whether `ancestor` stands above `word`, or is it."""
        while word != ancestor and self.head[word] != word:
            word = self.head[word]
        return word == ancestor


def _words(doc: "Doc") -> list[list["Token"]]:
    """Tokens, spaces left out, hyphenated words ("t-shirt") and "each other" put together."""
    words: list[list[Token]] = []
    for token in doc:
        if not (token.is_space or token.text in _HYPHENS or token.lower_ in _SECOND) and not _ends_open(words):
            words.append([token])  # nearly all of them
            continue
        if token.is_space:
            continue
        reciprocal = words and (words[-1][-1].lower_, token.lower_) in _RECIPROCAL
        if words and (reciprocal or _joins(words[-1], token) or _ends_open(words)):
            words[-1].append(token)
        else:
            words.append([token])
    return words


def _joins(word: list["Token"], token: "Token") -> bool:
    """Whether the token is a hyphen inside a word: letters or digits on both sides, no space."""
    if token.text not in _HYPHENS or token.whitespace_ or token.i + 1 == len(token.doc) or word[-1].whitespace_:
        return False
    return len(word) < 8 and word[-1].text[-1].isalnum() and token.nbor().text[0].isalnum()


def _ends_open(words: list[list["Token"]]) -> bool:
    return bool(words) and len(words[-1]) > 1 and words[-1][-1].text in _HYPHENS


def _depth(token: "Token", heads: list[int]) -> tuple[int, int]:
    """Steps to the root; of equals the later word first, which is the head of most English compounds."""
    depth, word = 0, token.i
    while heads[word] != word:
        depth, word = depth + 1, heads[word]
    return depth, -token.i
