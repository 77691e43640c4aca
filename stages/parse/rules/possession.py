"""Having: "the man's dog", "the leg of a table", "a bench with a cushion", "a car door"; clothes, which are worn."""

from collections.abc import Iterator

from stages.parse.phrases import role_of
from stages.parse.reading import Link, Reading
from stages.parse.rules.rule import Rule


def genitive(r: Reading, word: int) -> Iterator[Link]:
    """By 's or a possessive pronoun."""
    tree, owned = r.tree, r.tree.head[word]
    if tree.subtype[word] == "poss" and r.is_nominal(owned):
        mark = [k for k in tree.kids(word, "case") if tree.lower[k].startswith("'")]
        yield Link(word, "have", owned, tuple(mark) or (word,), "genitive")


def of(r: Reading, word: int) -> Iterator[Link]:
    """A part of a whole, or the other way round where people see it so: "a box of apples" holds apples."""
    head, case = r.tree.head[word], r.case(word)
    if case is None or case.text != "of" or head == word or not r.is_nominal(head) or r.measured(head) is not None:
        return
    if r.lemma(head) in r.sets["picture_nouns"]:
        return
    words = tuple(range(case.start, case.end))
    held = "< in" if r.lemma(head) in r.sets["container_nouns"] else "< have"
    direction, _, predicate = r.conventions.of.get(r.lemma(head), held).partition(" ")
    if direction == ">":
        yield Link(head, predicate, word, words, "of")
    else:
        yield Link(word, predicate, head, words, "of")


def having(r: Reading, word: int) -> Iterator[Link]:
    """A noun with a noun: a part, a thing carried, or clothes on somebody."""
    head, case = r.tree.head[word], r.case(word)
    if case is None or case.text != "with" or head == word or not r.is_nominal(head) or head > case.start:
        return
    yield Link(head, "have", word, tuple(range(case.start, case.end)), "with", worn=True)


def owner(r: Reading, word: int) -> Iterator[Link]:
    """A car door is a door that a car has, where people see it so; a tennis court is one thing."""
    head = r.tree.head[word]
    if head <= word or r.tree.subtype[word] == "prt" or r.lemma(word) == r.lemma(head):
        return
    if r.is_nominal(head) and role_of(r, word, head) == "owner":
        r.apart.add(word)
        yield Link(word, "have", head, (word, head), "owner")


RULES = (
    Rule(
        "genitive",
        ("nmod", "det"),
        genitive,
        {"the man's dog": ("man have dog",), "a man walking his dog": ("man have dog", "man walk dog")},
    ),
    Rule(
        "of",
        ("nmod",),
        of,
        {"the leg of a table": ("table have leg",), "a box of tissues": ("tissue in box",)},
    ),
    Rule(
        "with",
        ("nmod", "obl"),
        having,
        {
            "a bench with a cushion": ("bench have cushion",),
            "a man with a hat and a dog": ("man have dog", "man wear hat"),
        },
    ),
    Rule("owner", ("compound", "amod"), owner, {"a car door": ("car have door",)}),
)
