"""The reader: from the items of a caption to its relations, left to right, one method a kind of item.

It keeps the subject of the clause, the verb under way, the preposition waiting for its noun and the last noun, which
is enough for the constructions of captions. The tests hold a sentence for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from stages.parse.attach import is_animate, nearest_fits, prepositional_subject
from stages.parse.chunks import Item
from stages.parse.lexicon import lexicon

# Lists multiply out. More pairs than this come from no sentence about a picture.
_MOST_PAIRS = 64
_POINTING = frozenset({"this", "that", "these", "those", "here"})
_NAMELESS = frozenset({"someone", "somebody", "everyone", "everybody"})


@dataclass(frozen=True, slots=True)
class Stated:
    """A relation between two phrase items, by their index, and the words `[start, end)` that state it."""

    subject: int
    object: int
    predicate: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Group:
    """Phrases joined by "and". `items` is empty where a pronoun could not be resolved: nothing is stated of it."""

    items: tuple[int, ...]
    lemma: str
    located: bool = False
    """It stands behind a preposition, so it tells where something is."""


@dataclass(slots=True)
class _Verb:
    lemma: str
    start: int
    end: int
    subject: _Group | None
    passive: bool = False
    open: bool = True
    """Its object or preposition may still follow."""
    negated: bool = False
    copula: bool = False
    finite: bool = False


@dataclass(frozen=True, slots=True)
class _Preposition:
    word: str
    start: int
    end: int
    verb: _Verb | None
    """The verb right before it."""


def read_relations(items: Sequence[Item]) -> list[Stated]:
    """Every relation that the items state, in the order of their words; no relation of a phrase with itself."""
    reader = _Reader(items)
    reader.run()
    return reader.found


class _Reader:
    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.words = lexicon().words
        self.found: list[Stated] = []
        self.subject: _Group | None = None
        self.last: _Group | None = None
        self.verb: _Verb | None = None
        self.prep: _Preposition | None = None
        self.antecedent: _Group | None = None
        self.gap: _Group | None = None
        self.fronted: tuple[_Preposition, _Group] | None = None
        self.joined = ""
        """The comma, conjunction, subordinator or "to" right before the present item."""
        self.negated = False

    def run(self) -> None:
        i = 0
        while i < len(self.items):
            item = self.items[i]
            if item.kind == "phrase":
                i = self._phrases(i)
                self.joined = ""
                continue
            if item.kind == "verb":
                self._verb(i)
            elif item.kind == "be":
                self._copula(item)
            elif item.kind == "prep":
                self._preposition(item)
            elif item.kind == "rel":
                self.antecedent = self._who(item.lemma)
            elif item.kind == "sub":
                self._subordinate(i)
            elif item.kind == "end":
                self._new_clause(forget_fronted=True)
            elif item.kind == "adjective":
                self._adjective()
            elif item.kind == "not":
                self.negated = True
            if item.kind in {"cc", "comma", "sub", "to"}:
                self.joined = "cc" if self.joined == "comma" and item.kind == "cc" else item.kind
                self.prep = None if item.kind != "to" else self.prep
            elif item.kind not in {"aux", "not"}:
                self.joined = ""
            i += 1

    # Items

    def _phrases(self, i: int) -> int:
        """Read the noun phrases from item `i` that belong together; returns the index of the item behind them."""
        end = self._coordinated(i)
        indexes = [j for j in range(i, end) if self.items[j].kind == "phrase"]
        for owner, owned in pairwise(indexes):
            if self.items[owner].tag == "POSS" and owned == owner + 1:
                self._state(
                    self._one(owner), "have", self.items[owner].end, self.items[owner].end + 1, self._one(owned)
                )
        members = [j for j in indexes if not (self.items[j].tag == "POSS" and j + 1 in indexes)]
        resolved = tuple(sorted({k for j in members for k in self._one(j).items}))
        self._noun(_Group(resolved, self._lemma(resolved, members)), i)
        return end

    def _lemma(self, resolved: tuple[int, ...], members: list[int]) -> str:
        index = resolved[0] if resolved else members[-1]
        return self.items[index].lemma

    def _noun(self, group: _Group, i: int) -> None:
        """Give the group its place: object of a preposition, object of a verb, or a new subject."""
        if self.prep is not None:
            prep, self.prep = self.prep, None
            located = _Group(group.items, group.lemma, located=True)
            self._prepositional(prep, located)
            self.last = located
            return
        if self.antecedent is not None or self._reduced_relative(i):
            # "the horse (that) the man rides": the antecedent is the object to come.
            self.gap, self.antecedent = self.antecedent or self.last, None
            self.last, self.verb = group, None
            return
        verb = self.verb
        if verb is not None and verb.open:
            verb.open = False
            if verb.subject is None and self.fronted is not None:
                self._inverted(verb, group)
            elif verb.copula:
                self._identity(verb, group)
            else:
                if not verb.passive:
                    self._state(verb.subject, verb.lemma, verb.start, verb.end, group, negated=verb.negated)
                self.last = group
            return
        if self.fronted is not None:
            prep, place = self.fronted
            self.fronted = None
            if prep.word not in self.words["abstract_prepositions"] and place.lemma not in self.words["picture_nouns"]:
                self._state(group, prep.word, prep.start, prep.end, place)
        self.subject, self.last, self.verb = group, group, None

    def _reduced_relative(self, i: int) -> bool:
        """Whether item `i` follows a phrase directly and has its own verb: "the water the bird stands on"."""
        beside = (
            self.last is not None and i > 0 and self.items[i - 1].kind == "phrase" and self.items[i - 1].tag != "POSS"
        )
        return beside and (self.verb is None or not self.verb.open) and self._kind(i + 1) in {"be", "verb"}

    def _identity(self, verb: _Verb, group: _Group) -> None:
        """ "This is a man riding": speak of the man on; "the man is a surfer" stays with the man."""
        subject = verb.subject
        if subject is None or not subject.items or subject.lemma in self.words["picture_nouns"] | _POINTING:
            self.subject = self.last = group
        else:
            self.last = subject
        self.verb = None

    def _inverted(self, verb: _Verb, group: _Group) -> None:
        """ "Under the tree sits a dog"."""
        assert self.fronted is not None
        prep, place = self.fronted
        self.fronted = None
        if verb.copula:
            self._state(group, prep.word, prep.start, prep.end, place, negated=verb.negated)
        else:
            self._state(group, f"{verb.lemma} {prep.word}", prep.start, verb.end, place, negated=verb.negated)
        self.subject = self.last = group
        self.verb = None

    def _verb(self, i: int) -> None:
        item = self.items[i]
        following = self.items[i + 1] if i + 1 < len(self.items) else None
        before = self.verb
        by_agent = following is not None and following.kind == "prep" and following.lemma == "by"
        active_past = item.tag in {"VBN", "VBD"} and following is not None and following.kind == "phrase"
        after_be = before is not None and before.copula and before.open
        passive = item.tag == "VBN" and item.lemma not in self.words["posture_verbs"] and (after_be or not active_past)
        finite = item.tag in {"VBZ", "VB"} or (active_past and not after_be)
        subject = self._subject_of(item, finite=finite, after_be=after_be)
        verb = _Verb(item.lemma, item.start, item.end, subject, passive, negated=self.negated, finite=finite)
        if item.lemma == "wear" and item.tag == "VBN" and not by_agent:
            verb.passive = False  # "dressed in a suit"
        if before is not None and before.negated and (after_be or self.joined == "to"):
            verb.negated = True
        self.negated = False
        if self.gap is not None:
            self._object_relative(verb, i)
            return
        self.verb, self.antecedent, self.prep = verb, None, None

    def _subject_of(self, item: Item, *, finite: bool, after_be: bool) -> _Group | None:
        verb = self.verb
        if self.gap is not None:
            return self.last
        if self.antecedent is not None:
            return self.antecedent
        goes_on = self.joined in {"cc", "to"} or (not self.joined and verb is not None and verb.open and not finite)
        if verb is not None and (after_be or goes_on):
            return verb.subject  # "is riding", "sits and holds", "goes surfing"
        if self.joined or self.last is None:
            return self.subject
        return self._finite_subject(item) if finite else self._participle_subject(item)

    def _finite_subject(self, item: Item) -> _Group | None:
        """The subject of the clause; but in "watches a dog run" it is the dog that runs."""
        watched = self.verb is not None and self.verb.finite and item.tag == "VB"
        return self.last if watched and self.last is not None and not self.last.located else self.subject

    def _participle_subject(self, item: Item) -> _Group | None:
        """The last noun or the subject of the clause, whichever the verb fits."""
        assert self.last is not None
        verb = self.verb
        clause = verb.subject if verb is not None and verb.subject is not None else self.subject
        if clause is None:
            return self.last
        if verb is not None and {verb.lemma, item.lemma} <= self.words["posture_verbs"]:
            return self.last  # "a woman standing by a cake sitting on a table"
        fits = nearest_fits(item.lemma, self.last.lemma, clause.lemma, nearest_is_located=self.last.located)
        return self.last if fits else clause

    def _object_relative(self, verb: _Verb, i: int) -> None:
        """ "The bench that a man sits on", "the horse that a man rides"."""
        gap, self.gap = self.gap, None
        following = [item.kind for item in self.items[i + 1 : i + 3]]
        if following[:1] == ["prep"] and following[1:] != ["phrase"]:
            prep = self.items[i + 1]
            self._state(verb.subject, f"{verb.lemma} {prep.lemma}", verb.start, prep.end, gap, negated=verb.negated)
            verb.open = False
        elif following[:1] not in (["phrase"], ["verb"]):
            self._state(verb.subject, verb.lemma, verb.start, verb.end, gap, negated=verb.negated)
            verb.open = following[:1] == ["prep"]
        self.verb = verb

    def _copula(self, item: Item) -> None:
        subject = self.antecedent if self.antecedent is not None else self.subject
        if self.gap is not None:
            subject = self.last
        elif (
            self.antecedent is None
            and self.last is not None
            and self.joined == ""
            and self.verb is not None
            and self.verb.finite
        ):
            subject = self.subject
        self.verb = _Verb("be", item.start, item.end, subject, copula=True, negated=self.negated)
        self.antecedent = self.prep = None
        self.negated = False

    def _preposition(self, item: Item) -> None:
        verb = self.verb if self.verb is not None and self.verb.open else None
        if self.prep is not None:
            self.prep = _Preposition(item.lemma, self.prep.start, item.end, self.prep.verb)
            return
        self.prep = _Preposition(item.lemma, item.start, item.end, verb)
        if verb is not None:
            verb.open = False

    def _adjective(self) -> None:
        if self.verb is not None and self.verb.copula:
            self.verb.open = True  # "is busy riding", "is dirty from"

    def _subordinate(self, i: int) -> None:
        """ "while a dog watches" opens a clause of its own; "while holding a cup" stays with the subject."""
        self.prep = self.antecedent = self.gap = None
        end = self._coordinated(i + 1) if i + 1 < len(self.items) and self.items[i + 1].kind == "phrase" else i + 1
        if end > i + 1:
            if end < len(self.items) and self.items[end].kind in {"verb", "be", "aux", "prep"}:
                self._new_clause(forget_fronted=True)
            else:
                self.prep = _Preposition("like", self.items[i].start, self.items[i].end, None)

    def _new_clause(self, *, forget_fronted: bool) -> None:
        self.subject = self.last = self.verb = self.prep = self.antecedent = self.gap = None
        self.fronted = None if forget_fronted else self.fronted
        self.negated = False

    # Prepositional phrases

    def _prepositional(self, prep: _Preposition, group: _Group) -> None:
        verb = prep.verb
        if verb is not None and not verb.copula and (verb.subject is not None or self.subject is not None):
            self._verb_preposition(verb, prep, group)
        elif verb is not None and verb.copula and verb.subject is not None:
            self._located(verb.subject, prep, group, start=verb.start, negated=verb.negated)
        elif self.last is None:
            if self.subject is None:
                self.fronted = (prep, group)
        else:
            self._noun_preposition(prep, group)

    def _verb_preposition(self, verb: _Verb, prep: _Preposition, group: _Group) -> None:
        if prep.word == "without":
            return
        if verb.passive and prep.word == "by":
            self._state(group, verb.lemma, verb.start, prep.end, verb.subject, negated=verb.negated)
        elif verb.lemma == "wear" and prep.word in {"in", "with"}:
            self._state(verb.subject, "wear", verb.start, prep.end, group, negated=verb.negated)
        elif verb.lemma == "put" and prep.word == "on" and group.lemma in self.words["clothing_nouns"]:
            self._state(verb.subject, "put on", verb.start, prep.end, group, negated=verb.negated)
        elif (
            prep.word == "in"
            and group.lemma in self.words["clothing_nouns"]
            and verb.subject is not None
            and is_animate(verb.subject.lemma)
        ):
            self._state(verb.subject, "wear", prep.start, prep.end, group, negated=verb.negated)
        else:
            self._state(verb.subject, f"{verb.lemma} {prep.word}", verb.start, prep.end, group, negated=verb.negated)

    def _noun_preposition(self, prep: _Preposition, group: _Group) -> None:
        assert self.last is not None
        if prep.word == "of":
            self._of(prep, group)
            return
        verb = self.verb
        clause = verb.subject if verb is not None and verb.subject is not None else self.subject
        subject = self.last
        if clause is not None and clause != self.last:
            choice = prepositional_subject(
                prep.word, group.lemma, nearest=self.last.lemma, clause=clause.lemma, has_verb=verb is not None
            )
            subject = clause if choice == "clause" else self.last
            instrument = prep.word == "with" and group.lemma in self.words["instrument_nouns"] and not self.last.located
            if (
                instrument
                and verb is not None
                and not verb.passive
                and not verb.copula
                and subject is clause
                and verb.lemma not in {"hold", "wear", "have"}
            ):
                self._state(clause, f"{verb.lemma} with", verb.start, prep.end, group, negated=verb.negated)
                return
        self._located(subject, prep, group, start=prep.start)

    def _of(self, prep: _Preposition, group: _Group) -> None:
        """ "The leg of a table" is a table that has a leg; "a basket of fruit" a basket that has fruit."""
        assert self.last is not None
        if self.last.lemma in self.words["picture_nouns"]:
            if self.last is self.subject:
                self.subject = _Group(group.items, group.lemma)
        elif self.last.lemma in self.words["container_nouns"]:
            self._state(self.last, "have", prep.start, prep.end, group)
        else:
            self._state(group, "have", prep.start, prep.end, self.last)

    def _located(
        self, subject: _Group, prep: _Preposition, group: _Group, *, start: int, negated: bool = False
    ) -> None:
        dressed = group.lemma in self.words["clothing_nouns"] and is_animate(subject.lemma)
        if prep.word in self.words["abstract_prepositions"] and prep.word != "with":
            return
        if prep.word in {"in", "with"} and dressed:
            predicate = "wear"
        elif prep.word == "with":
            predicate = "with" if is_animate(group.lemma) else "have"
        else:
            predicate = prep.word
        self._state(subject, predicate, start, prep.end, group, negated=negated)

    # Who is meant

    def _who(self, word: str) -> _Group | None:
        """The noun that a relative pronoun stands for: the nearest, but "who" is somebody."""
        if word == "who" and self.last is not None and self.subject is not None and not is_animate(self.last.lemma):
            return self.subject
        return self.last

    def _one(self, index: int) -> _Group:
        """The group of one phrase item; a pronoun stands for what it refers to, if that is beyond doubt."""
        item = self.items[index]
        if item.negated:
            return _Group((), item.lemma)
        if item.tag != "PRON" or item.lemma in _NAMELESS:
            return _Group((index,), item.lemma)
        kind = lexicon().maps["personal_pronouns"].get(item.lemma)
        earlier = [j for j in range(index) if self.items[j].kind == "phrase" and (self.items[j].tag != "PRON")]
        people = [j for j in earlier if self.items[j].lemma in self.words["person_nouns"]]
        fitting = {
            "person": people,
            "thing": [j for j in earlier if j not in people],
            "any": [j for j in earlier if self.items[j].plural],
        }.get(kind or "", [])
        return _Group((fitting[0],), self.items[fitting[0]].lemma) if len(fitting) == 1 else _Group((), item.lemma)

    def _coordinated(self, i: int) -> int:
        """Index behind the noun phrases from item `i` that are joined by commas and conjunctions into one group."""
        end = i + 1
        while True:
            if self.items[end - 1].tag == "POSS" and self._kind(end) == "phrase":
                end += 1
                continue
            step = 2 if self._kind(end) == "comma" and self._kind(end + 1) == "cc" else 1
            joint = self._kind(end) == "cc" or step == 2 or (self._kind(end) == "comma" and self._list_goes_on(end))
            if not joint or self._kind(end + step) != "phrase" or self._opens_clause(i, end + step):
                return end
            end += step + 1

    def _list_goes_on(self, comma: int) -> bool:
        """Whether a conjunction closes the list that this comma may be part of. Looks no further than 24 items."""
        j = comma
        while j < min(comma + 24, len(self.items)) and self._kind(j) == "comma" and self._kind(j + 1) == "phrase":
            j += 2
        j += self._kind(j) == "comma"
        return self._kind(j) == "cc" and self._kind(j + 1) == "phrase"

    def _opens_clause(self, first: int, index: int) -> bool:
        """Whether the phrase behind a conjunction begins a clause of its own: "a horse and a woman walking a dog"."""
        inside = self.prep is not None or (self.verb is not None and self.verb.open)
        if not inside:
            return False
        behind = self._kind(index + 1)
        animate, first_animate = is_animate(self.items[index].lemma), is_animate(self.items[first].lemma)
        if behind in {"verb", "be", "aux"}:
            return animate or self.items[index + 1].tag in {"VBZ", "VB"} or behind != "verb"
        return behind == "prep" and self.items[index + 1].lemma != "of" and animate and not first_animate

    def _kind(self, i: int) -> str:
        return self.items[i].kind if i < len(self.items) else ""

    def _clothed(self, predicate: str, subject: _Group, object_: _Group) -> tuple[str, _Group, _Group]:
        """ "Has a hat on" and "a hat on a man" are wearing."""
        clothing = self.words["clothing_nouns"]
        if predicate == "have" and object_.lemma in clothing and is_animate(subject.lemma):
            return "wear", subject, object_
        if predicate == "on" and subject.lemma in clothing and is_animate(object_.lemma):
            return "wear", object_, subject
        return predicate, subject, object_

    def _state(
        self,
        subject: _Group | None,
        predicate: str,
        start: int,
        end: int,
        object_: _Group | None,
        *,
        negated: bool = False,
    ) -> None:
        if subject is None or object_ is None or negated:
            return
        if len(subject.items) * len(object_.items) > _MOST_PAIRS:
            return
        predicate, subject, object_ = self._clothed(predicate, subject, object_)
        self.found.extend(Stated(s, o, predicate, start, end) for s in subject.items for o in object_.items if s != o)
