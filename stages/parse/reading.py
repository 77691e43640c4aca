"""A tree under reading: which things a word speaks of, and who does what a verb says.

The rules in `rules/` find links between words. They all ask two questions, which are answered here once a word:
`things(word)`, over groups, lists and pronouns (`things.py`), and `doers(verb)`, over participles, relative clauses,
passives and verbs that share a subject (`doers.py`).
"""

from dataclasses import dataclass

from stages.parse.conventions import MEASURES, Conventions, builtin_conventions
from stages.parse.doers import Doer, find_doers
from stages.parse.lemmas import is_plural, noun_lemma, verb_lemma
from stages.parse.lexicon import lexicon
from stages.parse.prepositions import case_of
from stages.parse.things import find_things
from stages.parse.tree import NOMINAL, VERBAL, Case, Tree

# A list of more says nothing about a picture.
MAX_THINGS = 64
# Steps from one word to the next that decides for it. No sentence needs ten; a list of a thousand names would.
_MAX_DEPTH = 40
_NO_VERB = frozenset({"aux", "cop", "case", "mark", "collapsed", "amod", "compound"})


@dataclass(frozen=True, slots=True)
class Link:
    """A relation between two words, before lists, groups and pronouns are followed."""

    subject: int
    predicate: str
    object: int
    words: tuple[int, ...]
    """Those that state it."""
    rule: str
    worn: bool = False
    """Objects that are clothes on somebody make it `wear`: "with a hat and a dog" says both."""


class Reading:
    """One caption while it is read. `tree` must have had its multiword prepositions taken out."""

    def __init__(self, tree: Tree, conventions: Conventions | None = None) -> None:
        self.tree = tree
        self.conventions = conventions or builtin_conventions()
        self.sets = lexicon().words
        self.apart: set[int] = set()
        """Modifiers that a rule read as things of their own ("snow" of "snow covered field")."""
        self._cases: dict[int, Case | None] = {}
        self._doers: dict[int, tuple[Doer, ...]] = {}
        self._things: dict[int, tuple[int, ...]] = {}
        self._depth = 0

    def things(self, word: int) -> tuple[int, ...]:
        """Heads of the phrases that a word speaks of; none if it is a pronoun that nothing resolves."""
        if word not in self._things:
            self._things[word] = ()  # where a wrong tree leads back here
            if self._depth < _MAX_DEPTH:
                self._depth += 1
                found = tuple(dict.fromkeys(find_things(self, word)))
                self._things[word] = found if len(found) <= MAX_THINGS else ()
                self._depth -= 1
        return self._things[word]

    def doers(self, verb: int) -> tuple[Doer, ...]:
        """Who does what the verb says, the passive ones marked; empty if the caption does not say."""
        if verb not in self._doers:
            self._doers[verb] = ()
            if self._depth < _MAX_DEPTH:
                self._depth += 1
                self._doers[verb] = tuple(find_doers(self, verb))
                self._depth -= 1
        return self._doers[verb]

    def case(self, noun: int) -> Case | None:
        """The preposition of a noun."""
        if noun not in self._cases:
            self._cases[noun] = case_of(self.tree, noun)
        return self._cases[noun]

    def lemma(self, word: int) -> str:
        """Lemma of a verb, or of a noun whatever the tagger took it for; a pronoun or number as it is."""
        form = self.tree.lower[word]
        if self.tree.pos[word] in VERBAL:
            return verb_lemma(form)
        return form if self.tree.pos[word] in {"PRON", "DET", "NUM"} else noun_lemma(form)

    def verb(self, verb: int) -> tuple[str, tuple[int, ...]]:
        """Lemma of a verb with its particle ("pick up"), and its words."""
        tree = self.tree
        particles = [k for k in tree.kids(verb, "compound") if tree.subtype[k] == "prt" and k > verb]
        return " ".join([verb_lemma(tree.lower[verb]), *(tree.lower[k] for k in particles)]), (verb, *particles)

    def is_nominal(self, word: int) -> bool:
        """Whether a word can name a thing."""
        return self.tree.pos[word] in NOMINAL

    def is_verb(self, word: int) -> bool:
        """Whether a word is a verb that says something: not a copula or auxiliary of another word."""
        return self.tree.pos[word] in VERBAL and self.tree.dep[word] not in _NO_VERB

    def is_animate(self, word: int) -> bool:
        """Whether a noun names a person or an animal."""
        return lexicon().is_animate(self.lemma(word))

    def is_worn(self, subject: int, object_: int) -> bool:
        """Whether the object is clothing and the subject can wear it."""
        return self.lemma(object_) in self.sets["clothing_nouns"] and self.is_animate(subject)

    def is_plural(self, word: int) -> bool:
        """Whether the noun phrase of this head speaks of several things."""
        form = self.tree.lower[word]
        if form in self.sets["unit_plurals"]:
            return False
        counted = any(self._counts_several(k) for k in self.tree.kids(word, "nummod", "det", "amod"))
        return counted or form in {"people", "others"} or is_plural(form) or self._in_group(word)

    def conjuncts(self, word: int) -> list[int]:
        """A word and what is joined to it by "and", "or" or commas, left to right."""
        tree, found = self.tree, [word]
        for member in found:
            joined = [k for k in tree.kids(member, "conj") if tree.pos[k] in {*NOMINAL, "ADJ", "DET", "X"}]
            # "a cup, a book and a phone": what stands between the first and "and" is no other name of it.
            between = tree.kids(member, "appos") if joined else []
            found += [*joined, *(k for k in between if k < joined[-1] and tree.kids(k, "det"))]
            if len(found) > MAX_THINGS:
                break
        return sorted(found)

    def measured(self, word: int) -> int | None:
        """What a group or measure is of: `people` for the word "group" of "a group of people"."""
        if not self.is_measure(word):
            return None
        for child in self.tree.kids(word, "nmod", "obl"):
            case = self.case(child)
            if case is not None and case.text == "of" and child > word:
                return child
        return None

    def is_measure(self, word: int) -> bool:
        """Whether a noun before "of" counts or portions what comes behind."""
        counted = self.conventions.of.get(self.lemma(word))
        if counted is not None:
            return counted in MEASURES
        return self.lemma(word) in self.sets["measures"] or self.tree.lower[word] in self.sets["measures"]

    def meant_by_one(self, word: int) -> int:
        """The noun that "one" repeats ("a red bus beside a blue one"); the word itself if there is none before it."""
        tree = self.tree
        for before in range(word - 1, -1, -1):
            if tree.pos[before] == "NOUN" and tree.dep[before] not in {"compound", "collapsed"}:
                return before
        return word

    def _in_group(self, word: int) -> bool:
        """Whether the noun stands behind "a group of" or the like: several, but for a pair of one thing's halves."""
        above = self.tree.head[word]
        if above == word or self.measured(above) != word:
            return False
        return self.lemma(above) in self.sets["group_measures"] or self.is_plural(above)

    def _counts_several(self, word: int) -> bool:
        form = self.tree.lower[word]
        number = lexicon().maps["numbers"].get(form, 1) > 1 or (form.isdigit() and form not in {"0", "1"})
        return number or form in self.sets["plural_determiners"]
