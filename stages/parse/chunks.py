"""From tagged words to the items that the reader reads: noun phrases, verbs, prepositions and the words between them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stages.parse.lexicon import Lexicon, lexicon
from stages.parse.tagger import VERBS

if TYPE_CHECKING:
    from spacy.tokens import Doc

Kind = Literal[
    "phrase", "verb", "be", "prep", "cc", "comma", "rel", "sub", "there", "to", "aux", "not", "adjective", "end"
]


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
        kinds: dict[str, Kind] = {
            "BE": "be", "CC": "cc", "COMMA": "comma", "REL": "rel", "SUB": "sub", "EX": "there", "TO": "to", "AUX": "aux",
            "NOT": "not", "END": "end",
        }  # fmt: skip
        kind = kinds.get(tag)
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
            paired = self.words[inner.end - 1] in self.lex.words["unit_plurals"]
            many = simple.lemma in self.lex.words["group_measures"] or simple.plural or inner.plural
            return Item(
                "phrase",
                i,
                inner.end,
                inner.lemma,
                inner.tag,
                many and not (paired and not simple.plural),
                simple.negated,
            )
        return simple

    def _simple_phrase(self, i: int) -> Item | None:
        end = self._phrase_end(i)
        if end is None:
            return None
        head = end - 1
        while head > i and self.tags[head] in {"HYPH", "IGNORED"}:
            head -= 1
        lemma, plural = self.lex.noun_lemma(self.words[head])
        before_head = self.words[i:head]
        numbers = self.lex.maps["numbers"]
        if self.words[head] not in self.lex.words["unit_plurals"]:
            plural = plural or any(
                word in self.lex.words["plural_determiners"]
                or numbers.get(word, 1) > 1
                or (word.isdigit() and word != "1")
                for word in before_head
            )
            plural = (
                plural
                or self.words[head] in {"both", "several", "many", "others"}
                or numbers.get(self.words[head], 1) > 1
            )
        owns = end < len(self.words) and self.tags[end] == "POSS"
        return Item(
            "phrase",
            i,
            head + 1 if not owns else head + 1,
            lemma,
            "POSS" if owns else "",
            plural,
            self.words[i] in {"no", "neither"},
        )

    def _phrase_end(self, i: int) -> int | None:
        """Where a noun phrase without its "of" ends, or None if none begins at word `i`."""
        if self.tags[i] == "ADJ" and self.items and self.items[-1].kind in {"be", "verb"} and not self._noun_ahead(i):
            return None
        end, j, seen_noun = None, i, False
        while j < len(self.words):
            tag = self.tags[j]
            if j > i and self._multiword(j):
                break
            if tag == "NOUN":
                seen_noun, end = True, j + 1
            elif seen_noun and tag == "NUM" and self.words[j].isdigit():
                end = j + 1
            elif seen_noun and tag != "HYPH" and tag != "IGNORED":
                break
            elif tag == "DET" and j > i and not self._stacks(j):
                break
            elif tag in {"DET", "NUM"}:
                end = end if end is not None and tag == "DET" else j + 1
            elif tag == "ADJ":
                end = j + 1 if j > i or self._after_preposition() or self._noun_ahead(j) else end
            elif tag in {"CC", "COMMA"}:
                if not (
                    self.tags[j - 1] == "ADJ"
                    and j + 1 < len(self.tags)
                    and self.tags[j + 1] == "ADJ"
                    and self._noun_ahead(j + 1)
                ):
                    break
            elif tag == "HYPH":
                if j == i:
                    return None
            elif tag in {"ADV", "IGNORED"} or (tag in VERBS and self.tags[j - 1] == "HYPH"):
                if not (j > i and self._noun_ahead(j + 1)):
                    break
            else:
                break
            j += 1
        if not seen_noun and end is not None and self.tags[i] == "ADJ" and not self._after_preposition():
            return None
        return end

    def _stacks(self, j: int) -> bool:
        """Determiners that follow another one: "all the people", "the other man", "his many dogs"."""
        return (
            self.tags[j - 1] in {"DET", "NUM"}
            and self.words[j]
            in {"the", "other", "many", "few", "several", "his", "her", "their", "these", "those", "more", "such", "a"}
            and self.words[j - 1] not in {"one", "another"}
        )

    def _after_preposition(self) -> bool:
        return bool(self.items) and self.items[-1].kind == "prep"

    def _noun_ahead(self, i: int) -> bool:
        """Whether only adjectives (joined by commas or conjunctions) stand between word `i` and a noun."""
        for j in range(i, min(i + 8, len(self.tags))):
            if self.tags[j] == "NOUN":
                return True
            if self.tags[j] not in {"ADJ", "CC", "COMMA", "HYPH", "ADV", "IGNORED", "NUM"}:
                return False
        return False
