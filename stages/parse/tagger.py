"""The word tagger: gives each word a tag and a lemma, by lexicon and neighbours.

Tags are the Penn verb tags (VB, VBZ, VBG, VBD, VBN) and the word classes that the reader needs. A word in no list is
a noun, which is what an unknown word of a caption nearly always is.
"""

from typing import TYPE_CHECKING

from stages.parse.lexicon import Lexicon, VerbForm, lexicon

if TYPE_CHECKING:
    from spacy.tokens import Doc

VERBS = frozenset({"VB", "VBZ", "VBG", "VBD", "VBN"})
_FINITE = frozenset({"VB", "VBZ", "VBD", "BE"})
_PREMODIFIERS = frozenset({"DET", "ADJ", "NUM", "POSS", "HYPH"})
_MODIFIABLE = frozenset({"NOUN", "ADJ", "NUM"})
# Words looked back for the start of a clause, which keeps tagging linear in the length of the text.
_LOOK_BACK = 40
_SENTENCE_ENDS = frozenset(".!?;:…-–—|/\\")
_LY_NOUNS = frozenset(
    {"family", "belly", "jelly", "butterfly", "firefly", "assembly", "italy", "supply", "lily", "holly"}
)


def tag_words(doc: "Doc") -> "Doc":
    """Set `tag_` and `lemma_` of every token of a doc; a spaCy component. Linear in the number of words."""
    tagger = _Tagger([token.lower_.replace("’", "'") for token in doc], [bool(token.whitespace_) for token in doc])
    for i, token in enumerate(doc):
        token.tag_, token.lemma_ = tagger.tag(i)
    return doc


class _Tagger:
    """Tags words left to right; a decision may look at all words but only at the tags before it."""

    def __init__(self, words: list[str], space_after: list[bool]) -> None:
        self.words = words
        self.space_after = space_after
        self.lex: Lexicon = lexicon()
        self.sets = self.lex.words
        self.tags: list[str] = []

    def tag(self, i: int) -> tuple[str, str]:
        """Tag and lemma of word `i`; all words before it must have been tagged."""
        tag, lemma = self._decide(i, self.words[i])
        self.tags.append(tag)
        return tag, lemma

    def _decide(self, i: int, word: str) -> tuple[str, str]:
        speaks = any(c.isalnum() for c in word)
        closed = self._closed_class(i, word) if speaks else self._punctuation(i, word)
        if closed is not None:
            return closed, word
        form = self._verb_form(word)
        if form is not None:
            tag = self._verb_or_not(i, word, form)
            if tag in VERBS:
                return tag, self.lex.maps["verb_synonyms"].get(form.lemma, form.lemma)
            return tag, word if tag == "ADJ" else self.lex.noun_lemma(word)[0]
        if word in self.sets["adjectives"] or word in self.sets["premodifier_participles"]:
            return "ADJ", word
        adverb = word.endswith("ly") and len(word) > 4 and word not in _LY_NOUNS
        return ("ADV", word) if adverb else ("NOUN", self.lex.noun_lemma(word)[0])

    def _punctuation(self, i: int, word: str) -> str:
        if word == ",":
            return "COMMA"
        if word == "&":
            return "CC"
        if (
            word in {"-", "–"}
            and 0 < i < len(self.words) - 1
            and not self.space_after[i]
            and not self.space_after[i - 1]
        ):
            return "HYPH"
        # Quotes, brackets and emoji do not end a clause: a man in a "limo" bus.
        return "END" if word[0] in _SENTENCE_ENDS else "IGNORED"

    def _closed_class(self, i: int, word: str) -> str | None:  # noqa: PLR0911, PLR0912 - one line a word class
        before, following = self._before(i), self._word(i + 1)
        if word in {"not", "n't", "never"}:
            return "NOT"
        if word == "that":
            return "REL" if before == "NOUN" else ("DET" if self._may_be_noun(i + 1) else "PRON")
        if word in self.sets["relative_pronouns"]:
            return "REL"
        if word == "there":
            return "EX" if following in self.sets["be_forms"] or following == "'s" else "ADV"
        if word == "'s":
            possessive = before == "NOUN" and (self._may_be_noun(i + 1) or following in self.sets["adjectives"])
            return "POSS" if possessive else "BE"
        if word == "'":
            return "POSS"
        if word == "her":
            return "DET" if self._may_be_noun(i + 1) or following in self.sets["adjectives"] else "PRON"
        if word == "to":
            return "TO" if "VB" in self._verb_tags(self._skip_adverbs(i + 1)) and before != "END" else "IN"
        if word in {"before", "after", "since"}:
            return "SUB" if "VBG" in self._verb_tags(following) else "IN"
        if word in self.lex.maps["numbers"] or word.isdigit():
            return "NUM"
        if word in self.sets["auxiliaries"]:
            after = self._skip_adverbs(i + 1)
            modal = "VB" in self._verb_tags(after) or after in self.sets["be_forms"]
            return "AUX" if modal or word != "can" else "NOUN"
        if word in self.sets["be_forms"]:
            return "BE"
        if word in self.sets["subordinators"]:
            return "SUB"
        if word in self.sets["conjunctions"]:
            return "CC"
        if word in self.sets["prepositions"]:
            return "NOUN" if word == "inside" and before == "DET" else "IN"
        if word in self.sets["determiners"]:
            return "DET"
        if word in self.sets["pronouns"]:
            return "PRON"
        return "ADV" if word in self.sets["adverbs"] else None

    def _verb_form(self, word: str) -> VerbForm | None:
        form = self.lex.verb_forms.get(word)
        if form is None and not any(
            word in self.sets[name] for name in ("adjectives", "noun_like_ing", "premodifier_participles")
        ):
            form = self.lex.guess_verb(word)
        return form

    def _verb_or_not(self, i: int, word: str, form: VerbForm) -> str:
        if "VBG" in form.tags:
            return self._progressive(i, word)
        if form.tags & {"VBZ", "VB"} and not form.tags & {"VBD", "VBN"}:
            return self._present(i, word, form)
        if form.tags & {"VB"} and (self._before(i) in {"DET", "ADJ", "POSS", "NUM"} or word == "left"):
            return self._without_verb(word)  # "a hit", "a cut", "the left"
        return self._past(i, word, form)

    def _progressive(self, i: int, word: str) -> str:
        before, following = self._before(i), self._word(i + 1)
        if following in self.lex.maps["ing_compounds"].get(word, ()):
            return "ADJ"
        if word in self.sets["noun_like_ing"] and before not in {"BE", "SUB"}:
            return "NOUN"
        if before in _PREMODIFIERS:
            return "ADJ" if self._may_be_noun(i + 1) or following in self.sets["adjectives"] else "NOUN"
        return "VBG"

    def _present(self, i: int, word: str, form: VerbForm) -> str:
        tag = "VBZ" if "VBZ" in form.tags else "VB"
        if self._demands_verb(i, tag):
            return tag
        noun_like = form.lemma in self.sets["noun_like_verbs"]
        second = self._before(i) == "CC" and self._verb_before(i) and not noun_like
        predicate = self._agrees(i, tag) and (not noun_like or self._has_doer(i, tag))
        return tag if (second or predicate) and word not in self.sets["adjectives"] else self._without_verb(word)

    def _demands_verb(self, i: int, tag: str) -> bool:
        """Whether the word before can only be followed by a verb: "who", "to", "he", "another holds"."""
        before, word = self._before(i), self._word_before(i)
        if before == "PRON":
            return word in self.sets["subject_pronouns"]
        return before in {"REL", "TO", "AUX"} or (word in {"one", "another"} and tag == "VBZ")

    def _agrees(self, i: int, tag: str) -> bool:
        """Whether word `i` agrees with the noun before it: "dogs run", "the dog runs". A compound rarely does."""
        noun = self._word_before(i)
        lemma, plural = self.lex.noun_lemma(noun)
        plural = plural or noun in {"people", "crew", "police", "sheep", "cattle"}
        either = lemma in {"group", "couple", "team", "crowd", "pair"} or self._joined_subject(i)
        return self._before(i) == "NOUN" and (plural == (tag == "VB") or either)

    def _has_doer(self, i: int, tag: str) -> bool:
        """Whether a word that may as well be a noun stands where the clause's verb should: behind one who acts."""
        clause = range(self._clause_start(i), i)
        if any(self.tags[j] in _FINITE for j in clause) or not self._opens(self._word(i + 1)):
            return False
        lemma = self.lex.noun_lemma(self._word_before(i))[0]
        if self._acts(lemma):
            return not any(self.tags[j] in VERBS for j in clause)
        if not any(self._acts(self.lex.noun_lemma(self.words[j])[0]) for j in clause):
            return False
        if lemma in self.sets["clothing_nouns"]:
            return True  # "a woman in uniform runs"
        # "A man holding a cup walks along"; but "a man on water skis", "a train on the railroad tracks".
        apart = i > 1 and self.tags[i - 1] == "NOUN" and self.tags[i - 2] in {"DET", "ADJ"}
        return apart and tag == "VBZ" and self._word(i + 1).isalpha()

    def _acts(self, noun: str) -> bool:
        return any(noun in self.sets[name] for name in ("person_nouns", "animal_nouns", "vehicle_nouns"))

    def _verb_before(self, i: int) -> bool:
        return any(tag in VERBS or tag == "BE" for tag in self.tags[self._clause_start(i) :])

    def _opens(self, word: str) -> bool:
        """Whether a word may follow a verb: an object or an adverbial begins, or the text ends."""
        opening = ("determiners", "prepositions", "adverbs", "adjectives", "pronouns", "conjunctions", "subordinators")
        return (
            not any(c.isalnum() for c in word)
            or any(word in self.sets[name] for name in opening)
            or word in self.lex.maps["numbers"]
            or word in {"to", "her", "next"}
            or word.endswith(("ing", "ly", "s"))
        )

    def _past(self, i: int, word: str, form: VerbForm) -> str:
        before = self._before(i)
        tag = "VBN" if "VBN" in form.tags else "VBD"
        if before in {"BE", "REL", "SUB", "TO", "AUX"}:
            return tag
        modifies = not self._opens_phrase(i + 1) and (
            self._may_be_noun(i + 1) or (self._word(i + 1) in self.sets["adjectives"] and before != "NOUN")
        )
        fixed = word in self.sets["premodifier_participles"] or before in _PREMODIFIERS | {"", "IN", "CC", "COMMA"}
        if word in self.sets["adjectives"] or (fixed and modifies):
            return "ADJ"
        if before in {"DET", "POSS"}:
            return "NOUN"
        if form.lemma in self.sets["noun_like_verbs"] and before == "NOUN" and "VB" in form.tags:
            return self._present(i, word, VerbForm(form.lemma, frozenset({"VB"})))
        return tag

    def _without_verb(self, word: str) -> str:
        return "ADJ" if word in self.sets["adjectives"] else "NOUN"

    def _joined_subject(self, i: int) -> bool:
        """Whether a conjunction stands among the nouns right before word `i`: "a man and a woman ride"."""
        for tag in reversed(self.tags[max(0, i - _LOOK_BACK) : i]):
            if tag == "CC":
                return True
            if tag not in {"NOUN", "ADJ", "DET", "NUM"}:
                return False
        return False

    def _clause_start(self, i: int) -> int:
        """First word of the clause that holds word `i`: behind a full stop or "that", or behind "and a dog"."""
        for j in range(i - 1, max(-1, i - _LOOK_BACK), -1):
            if self.tags[j] in {"END", "SUB", "REL"}:
                return j + 1
            if self.tags[j] == "CC" and j + 1 < i and self.tags[j + 1] in {"DET", "NUM"}:
                return j + 1
        return max(0, i - _LOOK_BACK)

    def _before(self, i: int) -> str:
        """Tag of the word before, over adverbs; empty at the start."""
        for j in range(i - 1, max(-1, i - 6), -1):
            if self.tags[j] not in {"ADV", "NOT", "IGNORED"}:
                return self.tags[j]
        return ""

    def _word_before(self, i: int) -> str:
        for j in range(i - 1, max(-1, i - 6), -1):
            if self.tags[j] not in {"ADV", "NOT", "IGNORED"}:
                return self.words[j]
        return ""

    def _word(self, i: int) -> str:
        return self.words[i] if i < len(self.words) else ""

    def _skip_adverbs(self, i: int) -> str:
        while i < len(self.words) - 1 and self.words[i] in self.sets["adverbs"]:
            i += 1
        return self._word(i)

    def _verb_tags(self, word: str) -> frozenset[str]:
        form = self.lex.verb_forms.get(word)
        return form.tags if form is not None else frozenset()

    def _may_be_noun(self, i: int) -> bool:
        word = self._word(i)
        if not any(c.isalnum() for c in word):
            return False
        closed = (
            "determiners",
            "prepositions",
            "adverbs",
            "pronouns",
            "conjunctions",
            "subordinators",
            "be_forms",
            "auxiliaries",
        )
        if any(word in self.sets[name] for name in closed) or word in {"to", "her", "that", "there", "'s"}:
            return False
        if word in self.sets["adjectives"]:
            return False
        form = self.lex.verb_forms.get(word)
        return form is None or form.lemma in self.sets["noun_like_verbs"] or word in self.sets["noun_like_ing"]

    def _opens_phrase(self, i: int) -> bool:
        return self._word(i) in self.sets["determiners"]
