"""Sentences about a picture: of varied wording, each true, and each knowing which relations it states.

A sentence is built from marked pieces, so where its noun phrases and predicates stand is known, not searched for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from schemas import Span
from schemas.vocabulary import plural
from stages.ingest.scenes.layout import Layout
from stages.ingest.scenes.lexicon import VERBS, Fact, Verb

_PLACES = {
    "meadow": ("in a meadow", "in the grass"),
    "park": ("in the park", "in a park"),
    "street": ("in the street", "in the city"),
    "beach": ("at the beach",),
    "room": ("in a room", "at home"),
    "sea": ("at sea",),
}
# What a caption may put first ("under the tree sits a dog"); "at a horse looks a man" is no English.
_INVERTIBLE = frozenset({"sit", "lie", "stand"})
# Chosen as often as one in three others would be: hats abound, and they are seldom what a picture is about.
_WEAR_WEIGHT = 0.33
# Too small to be listed for their own sake.
_UNLISTED = frozenset({"hat", "cup", "book", "laptop"})
_NUMBERS = {2: "two", 3: "three", 4: "four"}


@dataclass(frozen=True, slots=True)
class Statement:
    """A relation that a sentence states, and its words. The predicate's span holds no word of subject or object:
    where they stand between verb and preposition ("on the bench sits a man"), it is the verb alone."""

    fact: Fact
    subject: Span
    predicate: Span
    object: Span


@dataclass(frozen=True, slots=True)
class Sentence:
    """A caption with what it says."""

    text: str
    statements: tuple[Statement, ...]
    mentioned: tuple[tuple[int, Span], ...]
    """Every thing that the sentence names, with the noun phrase."""


@dataclass
class _Draft:
    """A sentence that grows from left to right."""

    layout: Layout
    rng: Random
    text: str = ""
    spans: dict[int, Span] = field(default_factory=dict)
    nouns: dict[int, str] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)

    def say(self, words: str) -> Span:
        """Append words; where they stand."""
        if not words:
            return len(self.text), len(self.text)
        self.text += (" " if self.text else "") + words
        return len(self.text) - len(words), len(self.text)

    def name(self, *numbers: int, definite: bool = False) -> Span:
        """Append a noun phrase for one thing or several of a class."""
        nouns = [self._noun(number) for number in numbers]
        noun = nouns[0] if len(set(nouns)) == 1 else self.layout.things[numbers[0]].name
        if len(numbers) > 1:
            phrase = f"{_NUMBERS[len(numbers)]} {plural(noun)}"
        else:
            phrase = self._singular(numbers[0], noun, definite=definite)
        span = self.say(phrase)
        for number in numbers:
            self.spans[number] = span
            self.nouns[number] = noun
        return span

    def state(self, fact: Fact, predicate: Span) -> None:
        """Note that the sentence says `fact`; both its things have been named."""
        self.statements.append(Statement(fact, self.spans[fact.subject], predicate, self.spans[fact.object]))

    def done(self) -> Sentence:
        text = self.text[0].upper() + self.text[1:] if self.rng.random() < 0.6 else self.text
        if self.rng.random() < 0.6:
            text += "."
        mentioned = tuple(sorted(self.spans.items()))
        return Sentence(text, tuple(self.statements), mentioned)

    def _noun(self, number: int) -> str:
        nouns = self.layout.things[number].nouns
        # The first word is the usual one; the others make up a third.
        return nouns[0] if len(nouns) == 1 or self.rng.random() < 0.66 else self.rng.choice(nouns[1:])

    def _singular(self, number: int, noun: str, *, definite: bool) -> str:
        if noun in self.nouns.values():
            return f"another {noun}"
        adjectives = self.layout.things[number].adjectives
        words = noun
        if adjectives and self.rng.random() < (0.3 if self.layout.things[number].name == "person" else 0.5):
            words = f"{self.rng.choice(adjectives)} {noun}"
        if definite and self.rng.random() < 0.5:
            return f"the {words}"
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def describe(layout: Layout, rng: Random) -> list[Sentence]:
    """Three to five different sentences about a picture; the first ones speak of its main situation."""
    main = [fact for fact in layout.stated if fact.subject in layout.main]
    other = [fact for fact in layout.stated if fact.subject not in layout.main]
    count = rng.randint(3, 5)
    sentences: list[Sentence] = []
    seen: set[str] = set()
    for turn in range(count * 8):
        if len(sentences) == count:
            break
        sentence = _one(layout, rng, main, other, first=turn == 0)
        words = sentence.text.lower().rstrip(".")
        if words not in seen:
            seen.add(words)
            sentences.append(sentence)
    return sentences


def _one(layout: Layout, rng: Random, main: list[Fact], other: list[Fact], *, first: bool) -> Sentence:
    kind = rng.random()
    several = _several(layout)
    if several and kind < 0.18:
        return _plural(layout, rng, rng.choice(several))
    if not first and kind < 0.27:
        return _inventory(layout, rng)
    pool = other if other and not first and rng.random() < 0.3 else main
    fact = rng.choices(pool, [_WEAR_WEIGHT if f.predicate == "wear" else 1.0 for f in pool])[0]
    if kind > 0.78:
        joined = _joined(layout, rng, fact, first=main, other=other)
        if joined:
            return joined
    if not first and rng.random() < 0.2:
        things = (fact.subject, fact.object)
        fact = rng.choice([f for f in layout.facts if (f.subject, f.object) == things])
    return _simple(layout, rng, fact)


def _simple(layout: Layout, rng: Random, fact: Fact) -> Sentence:
    draft = _Draft(layout, rng)
    verb = VERBS.get(fact.predicate)
    if verb is None:
        _prepositional(draft, fact)
    elif verb.preposition:
        inverted = 0.13 if verb.base in _INVERTIBLE else 0.0
        rng.choices((_active, _inverted, _relative), (0.75, inverted, 0.12))[0](draft, fact, verb)
    elif verb.participle:
        rng.choices((_active, _passive, _relative, _object_relative), (0.68, 0.16, 0.08, 0.08))[0](draft, fact, verb)
    else:
        _active(draft, fact, verb)
    if rng.random() < 0.2:
        draft.say(rng.choice(_PLACES[layout.setting]))
    return draft.done()


def _active(draft: _Draft, fact: Fact, verb: Verb) -> None:
    """`a man rides a horse`, `a man is riding a horse`, `a man riding a horse`, `there is a man riding a horse`."""
    form = draft.rng.choice(("third", "progressive", "participle", "there"))
    draft.say("there is" if form == "there" else "")
    draft.name(fact.subject)
    draft.say("is" if form == "progressive" else "")
    predicate = draft.say(f"{verb.third if form == 'third' else verb.ing} {verb.preposition}".strip())
    # "sits on the bench" is said of a bench just seen; "wears the hat" would need one spoken of before.
    draft.name(fact.object, definite=bool(verb.preposition))
    draft.state(fact, predicate)


def _passive(draft: _Draft, fact: Fact, verb: Verb) -> None:
    """`a horse is ridden by a man`, `a horse being ridden by a man`, `a horse ridden by a man`."""
    draft.name(fact.object)
    draft.say(draft.rng.choice(("is", "is being", "being", "")))
    predicate = draft.say(f"{verb.participle} by")
    draft.name(fact.subject)
    draft.state(fact, predicate)


def _relative(draft: _Draft, fact: Fact, verb: Verb) -> None:
    """`a man who is riding a horse`, `a dog that sits on a bench`."""
    draft.name(fact.subject)
    draft.say("who" if draft.layout.things[fact.subject].name == "person" else "that")
    form = draft.rng.choice(("third", "progressive"))
    draft.say("is" if form == "progressive" else "")
    predicate = draft.say(f"{verb.third if form == 'third' else verb.ing} {verb.preposition}".strip())
    draft.name(fact.object)
    draft.state(fact, predicate)


def _object_relative(draft: _Draft, fact: Fact, verb: Verb) -> None:
    """`a horse that a man is riding`."""
    draft.name(fact.object)
    draft.say("that")
    draft.name(fact.subject)
    draft.say("is")
    draft.state(fact, draft.say(verb.ing))


def _inverted(draft: _Draft, fact: Fact, verb: Verb) -> None:
    """`under the tree sits a dog`."""
    draft.say(verb.preposition)
    draft.name(fact.object, definite=True)
    predicate = draft.say(verb.third)
    draft.name(fact.subject)
    draft.state(fact, predicate)


def _prepositional(draft: _Draft, fact: Fact) -> None:
    """`a cup on a table`, `a cup is on the table`, `there is a cup on the table`, `on the table is a cup`."""
    form = draft.rng.choice(("phrase", "is", "there", "inverted"))
    if form == "inverted":
        predicate = draft.say(fact.predicate)
        draft.name(fact.object, definite=True)
        draft.say("is")
        draft.name(fact.subject)
    else:
        draft.say("there is" if form == "there" else "")
        draft.name(fact.subject)
        draft.say("is" if form == "is" else "")
        predicate = draft.say(fact.predicate)
        draft.name(fact.object, definite=True)
    draft.state(fact, predicate)


def _joined(layout: Layout, rng: Random, fact: Fact, *, first: list[Fact], other: list[Fact]) -> Sentence | None:
    """Two relations in a sentence: of the same subject, or of two; None if there is no second one to add."""
    same = [
        f for f in (*first, *other) if f.subject == fact.subject and f.object != fact.object and f.predicate in VERBS
    ]
    draft = _Draft(layout, rng)
    if fact.predicate not in VERBS:
        return None
    verb = VERBS[fact.predicate]
    if same:
        _joined_same(draft, fact, verb, rng.choice(same))
        return draft.done()
    apart = [
        f for f in (*first, *other) if f.predicate in VERBS and not {f.subject, f.object} & {fact.subject, fact.object}
    ]
    if not apart:
        return None
    second = rng.choice(apart)
    for link, clause in (("", fact), (rng.choice(("while", "and")), second)):
        draft.say(link)
        draft.name(clause.subject)
        form = VERBS[clause.predicate]
        predicate = draft.say(f"{form.third} {form.preposition}".strip())
        draft.name(clause.object)
        draft.state(clause, predicate)
    return draft.done()


def _joined_same(draft: _Draft, fact: Fact, verb: Verb, second: Fact) -> None:
    """`a man wearing a hat rides a horse`, `a girl sits on a bench and reads a book`, `... while holding a cup`."""
    other = VERBS[second.predicate]
    link = draft.rng.choice(("participle", "and", "while"))
    # What one wears describes a person; it is nothing that one does while riding.
    if link != "participle" and "wear" in (verb.base, other.base):
        link = "participle"
    if verb.base == "wear":
        fact, verb, second, other = second, other, fact, verb
    draft.name(fact.subject)
    if link == "participle":
        aside = draft.say(f"{other.ing} {other.preposition}".strip())
        draft.name(second.object)
        draft.state(second, aside)
        predicate = draft.say(f"{verb.third} {verb.preposition}".strip())
        draft.name(fact.object)
        draft.state(fact, predicate)
        return
    predicate = draft.say(f"{verb.third} {verb.preposition}".strip())
    draft.name(fact.object)
    draft.state(fact, predicate)
    draft.say(link)
    aside = draft.say(f"{other.third if link == 'and' else other.ing} {other.preposition}".strip())
    draft.name(second.object)
    draft.state(second, aside)


def _several(layout: Layout) -> list[list[Fact]]:
    """Facts that one plural sentence can state: a predicate, different subjects of a class, one object or as many."""
    groups: dict[tuple[str, str, str], list[Fact]] = {}
    for fact in layout.stated:
        if fact.predicate in VERBS and fact.predicate != "wear":
            names = layout.things[fact.subject].name, layout.things[fact.object].name
            groups.setdefault((fact.predicate, *names), []).append(fact)
    fitting = []
    for facts in groups.values():
        subjects, objects = {f.subject for f in facts}, {f.object for f in facts}
        if (
            2 <= len(facts) <= 4
            and len(subjects) == len(facts)
            and len(objects) in (1, len(facts))
            and not subjects & objects
        ):
            fitting.append(facts)
    return fitting


def _plural(layout: Layout, rng: Random, facts: Sequence[Fact]) -> Sentence:
    """`two people sit on a bench`, `two women are riding two horses`."""
    draft = _Draft(layout, rng)
    verb = VERBS[facts[0].predicate]
    objects = sorted({fact.object for fact in facts})
    form = rng.choice(("base", "progressive", "participle"))
    draft.name(*(fact.subject for fact in facts))
    draft.say("are" if form == "progressive" else "")
    predicate = draft.say(f"{verb.base if form == 'base' else verb.ing} {verb.preposition}".strip())
    draft.name(*objects)
    for fact in facts:
        draft.state(fact, predicate)
    return draft.done()


def _inventory(layout: Layout, rng: Random) -> Sentence:
    """A sentence that names things and relates none: `a dog and a tree in the park`."""
    draft = _Draft(layout, rng)
    listed = [number for number, thing in enumerate(layout.things) if thing.name not in _UNLISTED]
    count = min(len(listed), rng.choice((1, 2, 2)))
    draft.say(rng.choice(("", "", "there is", "a picture of")))
    for turn, number in enumerate(rng.sample(listed, count)):
        draft.say("and" if turn else "")
        draft.name(number)
    draft.say(rng.choice(_PLACES[layout.setting]))
    return draft.done()
