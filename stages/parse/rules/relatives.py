"""Relative clauses that say what happens to the noun before them: "the horse that the man rides"."""

from collections.abc import Iterator

from stages.parse.doers import RELATIVE
from stages.parse.reading import Link, Reading
from stages.parse.rules.rule import Rule


def gap(r: Reading, verb: int) -> Iterator[Link]:
    """The noun is the object of the clause, or of its preposition without a noun."""
    tree, noun = r.tree, r.tree.head[verb]
    subjects = [k for k in tree.kids(verb, "nsubj") if tree.lower[k] not in RELATIVE]
    if tree.pos[verb] == "ADP":  # "the table the vases are on": the preposition is the predicate
        for subject in subjects:
            yield Link(subject, tree.lower[verb], noun, (verb,), "subject + gap")
        return
    if not subjects or not r.is_verb(verb):
        return
    lemma, words = r.verb(verb)
    stranded = _stranded(r, verb)
    for doer in r.doers(verb):
        if stranded is not None:
            plain = lemma.split()[0]
            predicate = tree.lower[stranded] if plain == "be" else f"{plain} {tree.lower[stranded]}"
            yield Link(doer.word, predicate, noun, (*words, stranded), f"{doer.rule} + gap")
        elif not doer.passive and lemma not in r.sets["posture_verbs"] | {"be"} and _lacks_object(r, verb):
            yield Link(doer.word, lemma, noun, words, f"{doer.rule} + gap")


def _stranded(r: Reading, verb: int) -> int | None:
    """The preposition behind the verb that has no noun."""
    tree = r.tree
    hanging = [k for k in tree.children[verb] if k > verb and tree.pos[k] == "ADP" and not tree.children[k]]
    return hanging[-1] if hanging else None


def _lacks_object(r: Reading, verb: int) -> bool:
    """Whether the noun before the clause fills the object's place: nothing else does, and no "in which" takes it."""
    objects = [k for k in r.tree.kids(verb, "obj") if r.tree.lower[k] not in RELATIVE]
    places = [k for k in r.tree.kids(verb, "obl") if r.tree.lower[k] in RELATIVE]
    return not objects and not places


RULES = (
    Rule(
        "gap",
        ("acl",),
        gap,
        {
            "the bench that the man is sitting on": ("man sit on bench",),
        },
    ),
)
