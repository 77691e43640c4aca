"""From tagged words to the items that the reader reads: noun phrases, verbs, prepositions, and the words between."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stages.parse.lexicon import Lexicon, lexicon
from stages.parse.tagger import VERBS

if TYPE_CHECKING:
    from spacy.tokens import Doc

Kind = Literal[
    "phrase", "verb", "be", "prep", "cc", "comma", "rel", "sub", "there", "to", "aux", "not", "adjective", "end"
]

_KINDS: dict[str, Kind] = {
    "BE": "be", "CC": "cc", "COMMA": "comma", "REL": "rel", "SUB": "sub", "EX": "there", "TO": "to", "AUX": "aux",
    "NOT": "not", "END": "end",
}  # fmt: skip

# Determiners that may follow another: "all the people", "his many dogs".
_STACKED = frozenset(
    {"the", "other", "many", "few", "several", "his", "her", "their", "these", "those", "more", "such", "a"}
)


@dataclass(frozen=True, slots=True)
class Item:
    """A noun phrase or a function word, with the words `[start, end)` it spans."""

    kind: Kind
    start: int
    end: int
    lemma: str = ""
    """Head lemma of a phrase, lemma of a verb, canonical preposition; the word itself otherwise."""
    tag: str = ""
    """Penn tag of a verb; `PRON` for a pronoun, `POSS` for a phrase that owns the next one."""
    plural: bool = False
    negated: bool = False
    """The phrase says that there is no such thing ("no helmet")."""


def chunk(doc: "Doc") -> list[Item]:
    """Cut a tagged doc into items, left to right, without overlap; adverbs and quotation marks are left out."""
    words = [token.lower_.replace("’", "'") for token in doc]
    tags = [token.tag_ for token in doc]
    lemmas = [token.lemma_ for token in doc]
    return _Chunker(words, tags, lemmas).run()


class _Chunker:
    def __init__(self, words: list[str], tags: list[str], lemmas: list[str]) -> None:
        self.words = words
        self.tags = tags
        self.lemmas = lemmas
        self.lex: Lexicon = lexicon()
        self.items: list[Item] = []

    def run(self) -> list[Item]:
        i = 0
        while i < len(self.words):
            item = self._preposition(i) or self._phrase(i) or self._single(i)
            if item.kind != "adjective" or item.tag:
                self.items.append(item)
            i = item.end
        return self.items

    def _preposition(self, i: int) -> Item | None:
        n = self._multiword(i)
        if n:
            return Item("prep", i, i + n, self.lex.multiword_prepositions[tuple(self.words[i : i + n])])
        if self.tags[i] != "IN":
            return None
        return Item("prep", i, i + 1, self.lex.maps["canonical_prepositions"].get(self.words[i], self.words[i]))

    def _multiword(self, i: int) -> int:
        """Number of words of the multiword preposition that begins at word `i`; 0 if none does."""
        for n in range(min(self.lex.longest_preposition, len(self.words) - i), 1, -1):
            if tuple(self.words[i : i + n]) in self.lex.multiword_prepositions:
                return n
        return 0

    def _single(self, i: int) -> Item:
        tag, word = self.tags[i], self.words[i]
        if tag in VERBS:
            return Item("verb", i, i + 1, self.lemmas[i], tag)
        kind = _KINDS.get(tag)
        if kind is not None:
            return Item(kind, i, i + 1, word)
        # Adverbs, quotation marks and stray adjectives: nothing for the reader, except that "is tall" ends a copula.
        return Item("adjective", i, i + 1, word, tag="ADJ" if tag == "ADJ" else "")

    def _phrase(self, i: int) -> Item | None:
        if self.words[i : i + 2] in (["each", "other"], ["one", "another"]):
            return Item("phrase", i, i + 2, "each other", tag="PRON")
        if self.tags[i] == "PRON":
            return Item("phrase", i, i + 1, self.words[i], tag="PRON")
        simple = self._simple_phrase(i)
        if simple is None:
            return None
        # "a group of people" and "a game of frisbee" speak of what comes behind "of".
        of = simple.end
        measured = simple.lemma in self.lex.words["measures"] and of + 1 < len(self.words) and self.words[of] == "of"
        inner = self._simple_phrase(of + 1) if measured else None
        if inner is not None:
            many = simple.lemma in self.lex.words["group_measures"] or simple.plural or inner.plural
            one_pair = self.words[inner.end - 1] in self.lex.words["unit_plurals"] and not simple.plural
            plural = many and not one_pair and simple.lemma not in {"one", "each", "either"}
            return Item("phrase", i, inner.end, inner.lemma, inner.tag, plural, simple.negated)
        return simple

    def _simple_phrase(self, i: int) -> Item | None:
        end = self._phrase_end(i)
        if end is None:
            return None
        head = end - 1
        lemma, plural = self.lex.noun_lemma(self.words[head])
        if self.words[head] not in self.lex.words["unit_plurals"]:
            plural = plural or any(self._counts_several(word) for word in self.words[i:end])
        owns = end < len(self.words) and self.tags[end] == "POSS"
        negated = self.words[i] in {"no", "neither"}
        return Item("phrase", i, end, lemma, "POSS" if owns else "", plural, negated)

    def _counts_several(self, word: str) -> bool:
        number = self.lex.maps["numbers"].get(word, 1) > 1 or (word.isdigit() and word != "1")
        return number or word in self.lex.words["plural_determiners"] or word == "others"

    def _phrase_end(self, i: int) -> int | None:
        """Where a noun phrase without its "of" ends, or None if none begins at word `i`."""
        behind = self.items[-1].kind if self.items else ""
        if self.tags[i] == "HYPH" or (self.tags[i] == "ADJ" and behind in {"be", "verb"} and not self._noun_ahead(i)):
            return None
        end, noun, j = None, False, i
        while j < len(self.words) and not (j > i and self._multiword(j)):
            tag = self.tags[j]
            if tag == "NOUN":
                noun, end = True, j + 1
            elif not (self._continues(j) if noun else self._modifies(i, j)):
                break
            elif not noun and (tag in {"DET", "NUM"} or (tag == "ADJ" and (j > i or behind == "prep"))):
                end = j + 1  # the head for now: "two", "another", "the young", "in red"
            elif noun and tag == "NUM":
                end = j + 1
            j += 1
        return None if not noun and self.tags[i] == "ADJ" and behind != "prep" else end

    def _continues(self, j: int) -> bool:
        """Whether word `j` belongs to the phrase whose noun stands before it: "t-shirt", "number 934"."""
        return self.tags[j] in {"HYPH", "IGNORED"} or (self.tags[j] == "NUM" and self.words[j].isdigit())

    def _modifies(self, i: int, j: int) -> bool:
        """Whether word `j` may stand before the noun of the phrase that begins at word `i`."""
        tag, before = self.tags[j], self.tags[j - 1] if j > i else ""
        if tag in {"ADJ", "NUM"}:
            return True
        if tag == "DET":
            return j == i or (before in {"DET", "NUM"} and self.words[j] in _STACKED and self.words[j - 1] != "another")
        if tag in {"CC", "COMMA"}:
            return before == "ADJ" and self.tags[j + 1 : j + 2] == ["ADJ"] and self._noun_ahead(j + 1)
        linked = tag in {"ADV", "IGNORED"} or (tag in VERBS and before == "HYPH")
        return tag == "HYPH" or (linked and j > i and self._noun_ahead(j + 1))

    def _noun_ahead(self, i: int) -> bool:
        """Whether only adjectives (joined by commas or conjunctions) stand between word `i` and a noun."""
        for j in range(i, min(i + 8, len(self.tags))):
            if self.tags[j] == "NOUN":
                return True
            if self.tags[j] not in {"ADJ", "CC", "COMMA", "HYPH", "ADV", "IGNORED", "NUM"}:
                return False
        return False
