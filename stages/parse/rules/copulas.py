"""What "is" joins: places, and adjectives that take a preposition."""

from collections.abc import Iterator

from stages.parse.reading import Link, Reading
from stages.parse.rules.rule import Rule


def located(r: Reading, word: int) -> Iterator[Link]:
    """The cup is on the table: the table is the predicate, "is" its copula, the cup its subject."""
    tree, case = r.tree, r.case(word)
    if case is None or not r.is_nominal(word):
        return
    said = (*tree.kids(word, "cop"), *range(case.start, case.end))
    for subject in tree.kids(word, "nsubj"):
        if tree.lower[subject] not in {"there", "here"}:
            yield Link(subject, case.text, word, said, "subject + place")


def adjective(r: Reading, word: int) -> Iterator[Link]:
    """Full of people, close to a tree: behind "is", behind the noun, or beside a verb."""
    tree, case, head = r.tree, r.case(word), r.tree.head[word]
    if case is None or tree.pos[head] not in {"ADJ", "ADV"} or tree.dep[head] == "collapsed":
        return
    if r.lemma(word) in {"color", "colour"}:  # "white in color"
        return
    said = (head, *range(case.start, case.end))
    subjects = tree.kids(head, "nsubj")
    above = tree.head[head]
    if not subjects and tree.dep[head] in {"advmod", "xcomp", "advcl"} and r.is_verb(above):
        lemma, words = r.verb(above)
        for doer in r.doers(above):
            yield Link(doer.word, f"{lemma} {case.text}", word, (*words, *said), f"{doer.rule} + adverb")
        return
    if not subjects and tree.dep[head] in {"amod", "acl", "advcl", "nmod"} and r.is_nominal(above):
        subjects = [above]
    for subject in subjects:
        yield Link(subject, f"{tree.lower[head]} {case.text}", word, said, "subject + adjective")


RULES = (
    Rule(
        "place",
        ("ROOT", "root", "acl", "advcl", "ccomp", "conj", "parataxis"),
        located,
        {
            "a cup is on the table": ("cup on table",),
            "the cat is next to the window": ("cat next to window",),
        },
    ),
    Rule("adjective", ("obl", "nmod"), adjective, {"a man happy about a cake": ("man happy about cake",)}),
)
