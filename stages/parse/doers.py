"""Who does what a verb says: its subject, the noun a participle hangs on, or somebody named before."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.parse.reading import Reading

RELATIVE = frozenset({"who", "which", "that", "whom"})
_PARTICIPLES = frozenset({"VBG", "VBN"})

# Name of a rule to sentences with all the relations that they state; a test reads each.
EXAMPLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "subject": {
        "A man rides a horse.": ("man ride horse",),
        "a woman is holding an umbrella": ("woman hold umbrella",),
    },
    "passive subject": {
        "a ball is being kicked by a boy": ("boy kick ball",),
        "the car is parked on the street": ("car park on street",),
    },
    "participle": {
        "a man riding a brown horse": ("man ride horse",),
        "a horse ridden by a man": ("man ride horse",),
        "a bag filled with apples": ("bag fill with apple",),
    },
    "relative clause": {
        "a man who is riding a horse": ("man ride horse",),
        "the dog that sits on the bench": ("dog sit on bench",),
    },
    "subject shared": {
        "a man is wearing a hat and holding an umbrella": ("man hold umbrella", "man wear hat"),
        "a boy rides a skateboard while holding a phone": ("boy hold phone", "boy ride skateboard"),
    },
    "object that acts": {
        "a woman watching a man ride a horse": ("man ride horse", "woman watch man"),
    },
    "participle shared": {
        "a man sitting on a bench holding a cup": ("man hold cup", "man sit on bench"),
    },
}


@dataclass(frozen=True, slots=True)
class Doer:
    """Who does what a verb says, by the rule that found it. Passive: to whom it is done."""

    word: int
    rule: str
    passive: bool = False


def find_doers(r: "Reading", verb: int) -> Iterator[Doer]:
    """Who does what the verb says; see `Reading.doers`."""
    tree = r.tree
    passive = is_passive(r, verb)
    subjects = _subjects(r, verb)
    dep, head = tree.dep[verb], tree.head[verb]
    if subjects:
        relative = tree.lower[subjects[0]] in RELATIVE and tree.pos[subjects[0]] in {"PRON", "DET", "SCONJ"}
        rule = "relative clause" if relative else "passive subject" if passive else "subject"
        yield Doer(subjects[0], rule, passive)
    elif dep == "acl" and tree.subtype[verb] == "relcl":
        yield Doer(head, "relative clause", passive)
    elif dep == "acl" and r.is_nominal(head):
        yield Doer(head, "participle", passive)
    elif dep in {"conj", "parataxis"} and (r.is_verb(head) or tree.kids(head, "cop")):
        for doer in r.doers(head):
            yield Doer(doer.word, _shared(doer.rule), passive and tree.tag[verb] == "VBN")
    elif dep in {"advcl", "xcomp", "ccomp"}:
        yield from _doers_above(r, verb, passive=passive)
    elif dep == "conj" and r.is_nominal(head) and tree.tag[verb] in _PARTICIPLES:
        yield Doer(head, "participle", passive)


def is_passive(r: "Reading", verb: int) -> bool:
    """Whether a verb form stands in the passive: it has a passive auxiliary, or is a bare past participle."""
    tree = r.tree
    if any(tree.subtype[k] == "pass" for k in tree.kids(verb, "aux", "nsubj")):
        return True
    auxiliaries = [tree.lower[k] for k in tree.kids(verb, "aux")]
    if auxiliaries and r.sets["be_forms"].isdisjoint(auxiliaries):
        return False
    if tree.dep[verb] == "acl" and tree.subtype[verb] != "relcl":
        return tree.tag[verb] in {"VBN", "VBD"}
    return tree.tag[verb] == "VBN" and not tree.kids(verb, "obj")


def _subjects(r: "Reading", verb: int) -> list[int]:
    tree = r.tree
    subjects = [k for k in tree.kids(verb, "nsubj") if tree.lower[k] not in {"there", "here"}]
    if subjects or tree.tag[verb] not in {"VBG", "VBN", "VBZ", "VBD"}:
        return subjects
    # "zebras standing in a field": a verb heads no compound; its noun is the one who does it.
    return [k for k in tree.kids(verb, "compound", "obl") if k < verb and r.is_nominal(k) and r.case(k) is None]


def _doers_above(r: "Reading", verb: int, *, passive: bool) -> Iterator[Doer]:
    """Of a verb without a subject under another word: the object seen doing it, or the doer of the verb above."""
    tree = r.tree
    above = tree.head[verb]
    objects = [k for k in tree.kids(above, "obj") if k < verb]
    finite = tree.tag[verb] in {"VBZ", "VBD"}  # "wearing a hat sits": a finite verb is not what the hat is seen doing
    if tree.dep[verb] in {"xcomp", "ccomp"} and objects and not finite:
        yield Doer(objects[0], "object that acts", passive)
    elif r.is_verb(above):
        for doer in r.doers(above):
            yield Doer(doer.word, _shared(doer.rule), passive)
    elif subjects := tree.kids(above, "nsubj"):
        yield Doer(subjects[0], "subject shared", passive)
    elif r.is_nominal(above):
        yield Doer(above, "participle", passive)


def _shared(rule: str) -> str:
    return rule if rule.endswith(" shared") else f"{rule} shared"
