"""Verbs with objects and prepositional phrases: "rides a horse", "sits on a bench", "ridden by a man"."""

from collections.abc import Iterator

from stages.parse.doers import Doer
from stages.parse.reading import Link, Reading
from stages.parse.rules.rule import Rule

# When something happens is no relation between things.
_TIMES = frozenset(
    {"day", "night", "morning", "afternoon", "evening", "time", "sunset", "dusk", "dawn", "year", "noon"}
)
# "a tree covered with snow", "in snow" and "by snow" say the same: the snow covers the tree.
_COVERING = frozenset({"cover", "surround", "line"})
# Nobody lies with a ball: who lies on the ground with one has it.
_POSTURES = frozenset({"sit", "stand", "lie", "kneel", "lean", "pose", "smile", "crouch", "squat", "be"})
# Particles that say no more than the preposition behind them: "lies down on", "hangs up on".
_IDLE_PARTICLES = frozenset({"up", "down", "out", "over"})


def direct_object(r: Reading, word: int) -> Iterator[Link]:
    """Of an active verb."""
    verb = r.tree.head[word]
    if not r.is_verb(verb) or r.case(word) is not None:
        return
    predicate, words = r.verb(verb)
    for doer in r.doers(verb):
        if not doer.passive:
            yield Link(doer.word, predicate, word, words, f"{doer.rule} + object")


def oblique(r: Reading, word: int) -> Iterator[Link]:
    """A verb's prepositional phrase: where, with what, by whom."""
    verb, case = r.tree.head[word], r.case(word)
    if case is None or not r.is_verb(verb) or r.lemma(word) in _TIMES:
        return
    lemma, words = r.verb(verb)
    preposition = tuple(range(case.start, case.end))
    said = (*words, *preposition)
    for doer in r.doers(verb):
        if _is_agent(lemma, case.text, doer, r):
            yield Link(word, lemma, doer.word, said, f"{doer.rule} + agent")
        elif case.text == "with" and lemma in _POSTURES and not r.is_animate(word):
            yield Link(doer.word, "have", word, preposition, f"{doer.rule} + with", worn=True)
        elif lemma == "be":  # "there is a dog under the table"
            yield Link(doer.word, case.text, word, said, f"{doer.rule} + place")
        elif lemma == "wear":  # "dressed in a suit"
            yield Link(doer.word, "wear", word, said, f"{doer.rule} + clothing")
        else:
            yield Link(doer.word, _with_preposition(lemma, case.text), word, said, f"{doer.rule} + preposition")


def _is_agent(lemma: str, preposition: str, doer: Doer, r: Reading) -> bool:
    if not doer.passive:
        return False
    covers = lemma in _COVERING and preposition in {"in", "with"}
    return covers or (preposition == "by" and lemma not in r.sets["posture_verbs"])


def _with_preposition(lemma: str, preposition: str) -> str:
    verb, _, particle = lemma.partition(" ")
    return f"{verb if particle in _IDLE_PARTICLES else lemma} {preposition}"


RULES = (
    Rule(
        "object",
        ("obj", "iobj"),
        direct_object,
        {
            "people ride their motorcycles": ("people have motorcycle", "people ride motorcycle"),
            "a man picks up a box": ("man pick up box",),
            "a man wearing a hat leans against a car": ("man lean against car", "man wear hat"),
        },
    ),
    Rule(
        "preposition",
        ("obl",),
        oblique,
        {
            "a cat lying on a bed": ("cat lie on bed",),
            "a man standing in front of a car": ("man stand in front of car",),
            "a dog sits next to a bench": ("dog sit next to bench",),
            "a man eating pizza with a fork": ("man eat pizza", "man eat with fork"),
            "a woman lying down on a sofa": ("woman lie on sofa",),
            "a car parked by a tree": ("car park by tree",),
        },
    ),
    # What else `oblique` finds; it is called once a word, by the rule above.
    Rule(
        "agent",
        (),
        oblique,
        {
            "a hat worn by a man": ("man wear hat",),
            "a tree covered with snow": ("snow cover tree",),
        },
    ),
    Rule("clothing", (), oblique, {"a man dressed in a suit": ("man wear suit",)}),
    Rule("with", (), oblique, {"a man standing with a bag": ("man have bag",)}),
)
