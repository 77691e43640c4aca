"""Which things a word speaks of: each member of a list, what a group is of, what a pronoun stands for."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from stages.parse.doers import RELATIVE

if TYPE_CHECKING:
    from stages.parse.reading import Reading

_SINGULAR_PERSON = frozenset({"he", "she", "him", "her", "his", "hers", "himself", "herself"})
_SINGULAR_THING = frozenset({"it", "its", "itself"})
_PLURAL = frozenset({"they", "them", "their", "theirs", "themselves"})
PERSONAL = _SINGULAR_PERSON | _SINGULAR_THING | _PLURAL
# Words that a tagger calls pronouns, and that name somebody all the same.
_SOMEBODY = frozenset({"someone", "somebody", "one", "ones"})
# As `Tree` joins them.
RECIPROCAL = frozenset({"eachother", "oneanother"})
# A pronoun further from its noun is nobody's guess; keeps the search linear.
_LOOK_BACK = 40
_PARTS = frozenset({"compound", "flat", "collapsed", "case"})

EXAMPLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "list": {
        "a man and a woman riding horses": ("man ride horse", "woman ride horse"),
        "a man holds a cup, a book and a phone": ("man hold book", "man hold cup", "man hold phone"),
    },
    "group": {
        "a group of people sitting at a table": ("people sit at table",),
        "two slices of pizza on a plate": ("pizza on plate",),
        "a couple of dogs on a bed": ("dog on bed",),
    },
    "pronoun": {
        "a kid jumps over a bench as he rides a skateboard": ("kid jump over bench", "kid ride skateboard"),
        "a girl and a woman eat as she holds a phone": (),
    },
    "one": {
        "a red bus parked beside a blue one": ("bus park beside bus",),
    },
}


def find_things(r: "Reading", word: int) -> Iterator[int]:
    """Heads of the phrases that a word speaks of; see `Reading.things`."""
    for member in r.conjuncts(word):
        inner = r.measured(member)
        if inner is not None:
            yield from r.things(inner)
        elif r.tree.pos[member] in {"PRON", "DET"} or r.tree.lower[member] in RECIPROCAL:
            yield from _denoted(r, member)
        else:
            yield member


def _denoted(r: "Reading", pronoun: int) -> Iterator[int]:
    tree, form = r.tree, r.tree.lower[pronoun]
    if form in _SOMEBODY:
        yield pronoun
    elif form in RELATIVE:
        clause = pronoun
        while tree.dep[clause] != "acl" and tree.head[clause] != clause:
            clause = tree.head[clause]
        if tree.dep[clause] == "acl":
            yield from r.things(tree.head[clause])
    elif form in PERSONAL:
        yield from _antecedent(r, pronoun, form)


def _antecedent(r: "Reading", pronoun: int, form: str) -> tuple[int, ...]:
    """What a personal pronoun stands for: the one phrase before it that agrees; none where two do."""
    tree = r.tree
    nouns = [
        word
        for word in range(max(0, pronoun - _LOOK_BACK), pronoun)
        if tree.pos[word] in {"NOUN", "PROPN"} and tree.dep[word] not in _PARTS and r.measured(word) is None
    ]
    agreeing = [word for word in nouns if _agrees(r, word, form) and not _sits_beside(r, pronoun, word)]
    if form in _PLURAL and not agreeing:
        lists = [word for word in nouns if tree.dep[word] != "conj" and len(r.conjuncts(word)) > 1]
        return tuple(word for word in r.conjuncts(lists[0]) if word < pronoun) if len(lists) == 1 else ()
    people = [word for word in agreeing if r.lemma(word) in r.sets["person_nouns"]]
    if form in _SINGULAR_PERSON and people:
        agreeing = people
    if len(agreeing) > 1:
        agreeing = [word for word in agreeing if _leads(r, word)] or agreeing
    return tuple(agreeing) if len(agreeing) == 1 else ()


def _leads(r: "Reading", word: int) -> bool:
    """Whether the noun is the subject or the root, or joined to it by "and"."""
    tree = r.tree
    first = tree.head[word] if tree.dep[word] == "conj" else word
    return tree.dep[first] in {"nsubj", "ROOT", "root"}


def _agrees(r: "Reading", word: int, form: str) -> bool:
    several = r.is_plural(word)
    if form in _PLURAL:
        return several
    person = r.lemma(word) in r.sets["person_nouns"]
    if form in _SINGULAR_PERSON:
        return not several and (person or r.lemma(word) in r.sets["animal_nouns"])
    return not several and not person


def _sits_beside(r: "Reading", pronoun: int, word: int) -> bool:
    """Whether both are arguments of one verb: in "a boat pulls it", it is not the boat."""
    tree = r.tree
    arguments = tree.dep[pronoun] in {"obj", "iobj"} and tree.dep[word] == "nsubj"
    return arguments and tree.head[word] == tree.head[pronoun]
