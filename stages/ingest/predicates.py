"""Predicates as Relmill writes them: lemma of the verb, then preposition, lower case (`sit on`).

Three tables, in this order:
1. `_ROLES`: V-COCO names a verb with the role of its object (`cut instr`), OpenImages glues words together
   (`holding_hands`), HICO-DET has a class for no relation. Each gets the words a caption would use. Where HICO-DET has
   the same relation under another name, its name is taken, so that both datasets count towards one predicate.
2. `_VERBS`: verbs that occur in predicates of HICO-DET, OpenImages and Visual Genome. Their regular forms are made by
   rule, so that an unknown word is left alone: nothing is stripped from `along`, `king` or `glass`.
3. `_IRREGULAR`: forms that the rules do not make.
Only the first word of a predicate is a verb; a leading "be" (`is sitting on`) and articles (`on a`) say nothing.
"""

import re
from functools import cache

_ROLES = {
    "no interaction": "interact with",
    # OpenImages
    "interacts with": "interact with",
    "inside of": "inside",
    "talk on phone": "talk on",
    "holding hands": "hold hands with",
    "handshake": "shake hands with",
    "highfive": "high five",
    # V-COCO; `drink with`, `jump`, `lie on`, `sit on` and `talk on` are HICO-DET's names
    "carry obj": "carry",
    "catch obj": "catch",
    "cut instr": "cut with",
    "cut obj": "cut",
    "drink instr": "drink with",
    "eat instr": "eat with",
    "eat obj": "eat",
    "hit instr": "hit with",
    "hit obj": "hit",
    "hold obj": "hold",
    "jump instr": "jump",
    "kick obj": "kick",
    "lay instr": "lie on",
    "look obj": "look at",
    "point instr": "point at",
    "read obj": "read",
    "ride instr": "ride",
    "sit instr": "sit on",
    "skateboard instr": "skateboard on",
    "ski instr": "ski on",
    "snowboard instr": "snowboard on",
    "surf instr": "surf on",
    "talk on phone instr": "talk on",
    "throw obj": "throw",
    "work on computer instr": "work on",
}

# The predicate that HICO-DET's annotators used to say that person and object have nothing to do with each other.
_DENIALS = frozenset({"no interaction"})

# `+` behind a verb: its last consonant doubles (`sit+`: sitting).
_VERBS = """
adjust approach assemble attach bite blow board break brush build buy carry catch chase check chew climb control
cook cover cross cut+ dance decorate direct display dock drag+ dribble drink drive dry eat enter exit face feed fill
flip+ float flush fly follow gather grab+ graze greet grind groom grow hang help herd hit+ hold hop+ hose hug+ hunt
inspect install interact jump kick kiss lasso launch lead lean lick lie lift light line load look lose make milk
mount move open operate pack paint park pay peel perch pet+ pick place plant play point pose pour print pull push
race reach read reflect release repair rest ride row run+ sail say scratch sell serve set+ shear show sign sip+ sit+
skateboard ski sleep slide smell snowboard speak spin+ splash squeeze stab+ stack stand stick stir+ stop+ straddle
stretch support surf surround swim+ swing tag+ take talk teach text throw tie toast touch train travel turn type use
wait walk wash watch wave wear wield work write zip+
""".split()  # noqa: SIM905 - words read better without quotes

_IRREGULAR = {
    "am": "be", "are": "be", "been": "be", "being": "be", "is": "be", "was": "be", "were": "be",
    "had": "have", "has": "have", "having": "have",
    "does": "do", "did": "do", "doing": "do", "goes": "go", "going": "go", "went": "go",
    "bitten": "bite", "blown": "blow", "broken": "break", "built": "build", "bought": "buy", "caught": "catch",
    "driven": "drive", "ate": "eat", "eaten": "eat", "fed": "feed", "flew": "fly", "flown": "fly", "grew": "grow",
    "grown": "grow", "hung": "hang", "held": "hold", "laid": "lie", "lain": "lie", "lay": "lie", "laying": "lie",
    "lays": "lie", "lying": "lie", "led": "lead", "lit": "light", "made": "make", "paid": "pay", "ran": "run",
    "ridden": "ride", "rode": "ride", "said": "say", "sat": "sit", "sold": "sell", "shown": "show", "slept": "sleep",
    "spoke": "speak", "stood": "stand", "stuck": "stick", "swam": "swim", "taken": "take", "taught": "teach",
    "threw": "throw", "thrown": "throw", "tying": "tie", "wore": "wear", "worn": "wear", "written": "write",
    "wrote": "write",
}  # fmt: skip

_BE = frozenset(form for form, lemma in _IRREGULAR.items() if lemma == "be") | {"be"}
_ARTICLES = frozenset({"a", "an", "the"})


@cache
def canonical_predicate(raw: str) -> str:
    """A dataset's or a caption's predicate in canonical form; empty if there is no word in it.

    >>> [canonical_predicate(raw) for raw in ("sit_on", "cut instr", "wears", "is standing on the", "ON", "parked on")]
    ['sit on', 'cut with', 'wear', 'stand on', 'on', 'park on']
    """
    plain = _plain(raw)
    if plain in _ROLES:
        return _ROLES[plain]
    words = [word for word in plain.split() if word not in _ARTICLES] or plain.split()
    while len(words) > 1 and words[0] in _BE:
        words = words[1:]
    if not words:
        return ""
    return " ".join([_lemmas().get(words[0], words[0]), *words[1:]])


def states_denial(raw: str) -> bool:
    """Whether a dataset's predicate says that the canonical relation does not hold (HICO-DET's `no_interaction`)."""
    return _plain(raw) in _DENIALS


def _plain(raw: str) -> str:
    return " ".join(re.sub(r"[_\s]+", " ", raw).lower().split())


@cache
def _lemmas() -> dict[str, str]:
    """Every form of every verb in the tables to its lemma."""
    forms: dict[str, str] = {}
    for entry in _VERBS:
        verb = entry.rstrip("+")
        stem = verb + verb[-1] if entry.endswith("+") else verb
        if verb.endswith("ie"):
            forms |= {verb + "s": verb, verb + "d": verb}
        elif verb.endswith("e"):
            forms |= {verb + "s": verb, verb + "d": verb, verb[:-1] + "ing": verb}
        elif re.search(r"[^aeiou]y$", verb):
            forms |= {verb[:-1] + "ies": verb, verb[:-1] + "ied": verb, verb + "ing": verb}
        else:
            ending = "es" if re.search(r"(s|x|z|ch|sh|o)$", verb) else "s"
            forms |= {verb + ending: verb, stem + "ed": verb, stem + "ing": verb}
        forms[verb] = verb
    # Irregular forms win over those the rules made.
    return forms | _IRREGULAR
