"""The predicates: their canonical names, the forms that captions use, and what each one entails."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verb:
    """The forms of a predicate that begins with a verb."""

    base: str
    third: str
    ing: str
    participle: str
    """Past participle, for the passive; empty if the predicate has no passive."""
    preposition: str = ""

    @property
    def canonical(self) -> str:
        return f"{self.base} {self.preposition}".strip()


def _with(base: str, third: str, ing: str, *prepositions: str) -> list[Verb]:
    return [Verb(base, third, ing, "", preposition) for preposition in prepositions]


VERBS: dict[str, Verb] = {
    verb.canonical: verb
    for verb in [
        Verb("ride", "rides", "riding", "ridden"),
        Verb("hold", "holds", "holding", "held"),
        Verb("wear", "wears", "wearing", "worn"),
        Verb("kick", "kicks", "kicking", "kicked"),
        Verb("walk", "walks", "walking", "walked"),
        Verb("throw", "throws", "throwing", "thrown"),
        Verb("push", "pushes", "pushing", "pushed"),
        Verb("pull", "pulls", "pulling", "pulled"),
        Verb("carry", "carries", "carrying", "carried"),
        Verb("drive", "drives", "driving", "driven"),
        Verb("feed", "feeds", "feeding", "fed"),
        Verb("pet", "pets", "petting", "petted"),
        Verb("chase", "chases", "chasing", "chased"),
        Verb("read", "reads", "reading", "read"),
        Verb("fly", "flies", "flying", "flown"),
        Verb("drink", "drinks", "drinking", "", "from"),
        *_with("look", "looks", "looking", "at"),
        *_with("jump", "jumps", "jumping", "over"),
        *_with("lean", "leans", "leaning", "on", "against"),
        *_with("sit", "sits", "sitting", "on", "in", "at", "under", "next to"),
        *_with("lie", "lies", "lying", "on", "under"),
        *_with("stand", "stands", "standing", "on", "under", "next to", "behind", "in front of"),
    ]
}

PREPOSITIONS = ("on", "under", "in", "next to", "behind", "in front of")
"""Predicates without a verb."""

# What else holds of the same pair when the first holds. A truth that lacked these would count a correct label as wrong.
_ENTAILED: dict[str, tuple[str, ...]] = {
    "ride": ("on",),
    "drive": ("in", "sit in"),
    "carry": ("hold",),
    "read": ("hold",),
    "drink from": ("hold",),
    "lean against": ("lean on",),
    "lean on": ("lean against",),
    "sit on": ("on",),
    "sit in": ("in",),
    "lie on": ("on",),
    "stand on": ("on",),
    "sit under": ("under",),
    "lie under": ("under",),
    "stand under": ("under",),
    "sit next to": ("next to",),
    "stand next to": ("next to",),
    "stand behind": ("behind",),
    "stand in front of": ("in front of",),
}
_ENTAILED_BY_OBJECT: dict[tuple[str, str], tuple[str, ...]] = {
    ("ride", "horse"): ("sit on",),
    ("ride", "bicycle"): ("sit on",),
    ("ride", "skateboard"): ("stand on",),
    ("ride", "surfboard"): ("stand on",),
}
_INVERSE = {"next to": "next to", "behind": "in front of", "in front of": "behind"}


@dataclass(frozen=True, slots=True)
class Fact:
    """A relation between two things of a picture, by their numbers."""

    subject: int
    predicate: str
    object: int

    def __post_init__(self) -> None:
        assert self.predicate in VERBS or self.predicate in PREPOSITIONS, self.predicate


def surface(predicate: str) -> str:
    """How a predicate reads between a subject and an object: `riding`, `sitting on`, `next to`."""
    verb = VERBS.get(predicate)
    return f"{verb.ing} {verb.preposition}".strip() if verb else predicate


def entailed(facts: list[Fact], names: list[str]) -> list[Fact]:
    """The facts, each followed by what it entails, without repetition, in a stable order.

    `names[i]` is the class of thing i: a horse is ridden seated, a skateboard standing.
    """
    found: dict[Fact, None] = {}
    queue = list(facts)
    while queue:
        fact = queue.pop(0)
        if fact in found:
            continue
        found[fact] = None
        more = (*_ENTAILED.get(fact.predicate, ()), *_ENTAILED_BY_OBJECT.get((fact.predicate, names[fact.object]), ()))
        queue += [Fact(fact.subject, predicate, fact.object) for predicate in more]
        if fact.predicate in _INVERSE:
            queue.append(Fact(fact.object, _INVERSE[fact.predicate], fact.subject))
    return list(found)
