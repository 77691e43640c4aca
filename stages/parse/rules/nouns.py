"""Nouns joined without a verb of their own: "a dog on a bed", "a snow covered field"."""

from collections.abc import Iterator

from stages.parse.lemmas import verb_lemma
from stages.parse.reading import Link, Reading
from stages.parse.rules.rule import Rule

# "of" and "with" are read by possession.py; the rest says when, or about what.
_NO_PLACE = frozenset({"of", "with", "without", "like", "than", "as", "during", "about"})
# Participles that stand behind who does it and before whom it is done to.
_DONE_TO = frozenset({"cover", "fill", "line", "surround", "top"})


def preposition(r: Reading, word: int) -> Iterator[Link]:
    """A noun and the noun in its prepositional phrase."""
    head, case = r.tree.head[word], r.case(word)
    if case is None or case.text in _NO_PLACE or not _hangs_behind(r, word, head, case.start):
        return
    if r.tree.kids(head, "cop"):  # "the man is in the air on a snowboard": both are places of the man
        for subject in r.tree.kids(head, "nsubj"):
            yield Link(subject, case.text, word, tuple(range(case.start, case.end)), "subject + place")
        return
    if not (case.text == "on" and r.tree.lower[word] == "top"):
        said = tuple(range(case.start, case.end))
        yield Link(head, case.text, word, said, "preposition of a noun", worn=case.text == "in")


def on_top(r: Reading, word: int) -> Iterator[Link]:
    """A cake with a candle on top: on top of the cake, which is what has the candle."""
    head, case = r.tree.head[word], r.case(word)
    if case is None or case.text != "on" or r.tree.lower[word] != "top" or not r.is_nominal(head):
        return
    below, own = r.tree.head[head], r.case(head)
    if own is not None and own.text == "with" and r.is_nominal(below):
        yield Link(head, "on top of", below, tuple(range(case.start, word + 1)), "on top")


def compound_participle(r: Reading, word: int) -> Iterator[Link]:
    """The noun before a participle covers the noun behind it."""
    tree, noun = r.tree, r.tree.head[word]
    lemma = verb_lemma(tree.lower[word])
    if lemma not in _DONE_TO or not tree.lower[word].endswith("ed") or noun < word or not r.is_nominal(noun):
        return
    for doer in range(word - 1, max(-1, word - 3), -1):
        if tree.pos[doer] in {"NOUN", "PROPN"} and tree.head[doer] in {word, noun}:
            r.apart.add(doer)
            yield Link(doer, lemma, noun, (word,), "participle before a noun")
            return


def _hangs_behind(r: Reading, word: int, head: int, start: int) -> bool:
    """Whether the phrase that begins at `start` belongs to the noun before it."""
    return head != word and r.is_nominal(head) and head < start


RULES = (
    Rule(
        "preposition of a noun",
        ("nmod", "obl", "appos", "dep"),
        preposition,
        {
            "a dog on a bed": ("dog on bed",),
            "two men on skis": ("man on ski",),
            "a tree on the side of the road": ("tree on side of road",),
            "a woman in a red dress": ("woman wear dress",),
        },
    ),
    Rule(
        "on top",
        ("nmod", "obl"),
        on_top,
        {"a cake with a candle on top": ("cake have candle", "candle on top of cake")},
    ),
    Rule(
        "participle before a noun",
        ("amod", "compound"),
        compound_participle,
        {"a snow covered field": ("snow cover field",)},
    ),
)
