"""Who does it, and what a prepositional phrase belongs to: choices that word order leaves open, made by word classes.

Each choice is between the nearest noun and the subject of the clause, e.g. in "a man sitting on a bench holding a cup"
it is the man who holds. A parser trained on trees learns this; here it is a few preferences.
"""

from stages.parse.lexicon import lexicon

# Where these stand, two things are compared, so the clause's subject rather than the last thing named is meant.
_PROXIMITY = frozenset(
    {
        "next to", "near", "beside", "behind", "in front of", "by", "alongside", "close to", "across from", "away from",
        "against", "around", "among", "to the left of", "to the right of", "under", "beneath",
    }
)  # fmt: skip


def is_animate(lemma: str) -> bool:
    """Whether the noun names a person or an animal."""
    words = lexicon().words
    return lemma in words["person_nouns"] or lemma in words["animal_nouns"]


def nearest_fits(verb: str, nearest: str, clause: str, *, nearest_is_located: bool) -> bool:
    """Whether the subject of a participle is the nearest noun rather than the subject of the clause.

    Args:
        verb: lemma of the participle.
        nearest: lemma of the last noun before it.
        clause: lemma of the clause's subject.
        nearest_is_located: the nearest noun is the object of a preposition ("on a bench"), so it only gives a place.
    """
    if verb in lexicon().words["inanimate_verbs"]:
        return True
    near, far = _aptness(verb, nearest), _aptness(verb, clause)
    return near > far or (near == far and not (nearest_is_located and near == 0))


def _aptness(verb: str, noun: str) -> int:
    words = lexicon().words
    if noun in words["person_nouns"]:
        return 2
    if noun in words["animal_nouns"]:
        return 1 if verb in words["human_verbs"] else 2
    return 0


def prepositional_subject(prep: str, place: str, *, nearest: str, clause: str, has_verb: bool) -> str:
    """What "[prep] [place]" says the position of: `nearest` noun or `clause` subject.

    "A man riding a wave on a surfboard" is a man on a surfboard; "a man holding a cup on a saucer" a cup on one.
    """
    words = lexicon().words
    if prep in _PROXIMITY:
        return "clause"
    if prep == "with":
        return _owner(place, nearest=nearest, clause=clause)
    if prep == "in" and place in words["clothing_nouns"]:
        return "nearest" if is_animate(nearest) or not is_animate(clause) else "clause"
    if is_animate(clause) and has_verb and (place in words["support_nouns"] or place in words["place_nouns"]):
        return "clause"
    if is_animate(clause) and not is_animate(nearest) and place in words["support_nouns"]:
        return "clause"
    return "nearest"


def _owner(thing: str, *, nearest: str, clause: str) -> str:
    words = lexicon().words
    if is_animate(nearest) or not is_animate(clause):
        return "nearest"
    personal = thing in words["clothing_nouns"] or thing in words["instrument_nouns"] or is_animate(thing)
    return "clause" if personal or nearest in words["place_nouns"] or nearest in words["support_nouns"] else "nearest"
