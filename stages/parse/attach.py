"""What a participle or a prepositional phrase belongs to, where grammar leaves it open and the kind of noun decides.

"A man sitting on a bench talking on his phone" may be a bench that talks, and a parser trained on short captions and on
news often says so. Benches do not talk: the phrase is moved to the person. Only what the parser hung on the nearer noun
moves, and only towards a person or an animal.
"""

from stages.parse.prepositions import case_of
from stages.parse.reading import Reading
from stages.parse.tree import VERBAL

# Where these stand, two things are compared, so the one who acts rather than the last thing named is meant.
_PROXIMITY = frozenset(
    {
        "next to", "near", "beside", "behind", "in front of", "by", "alongside", "close to", "across from", "away from",
        "against", "around", "among", "to the left of", "to the right of",
    }
)  # fmt: skip
_MAX_STEPS = 6


def reattach(r: Reading) -> None:
    """Move what cannot belong to the nearer noun to the one who acts; changes the tree."""
    for word in range(len(r.tree)):
        dep = r.tree.dep[word]
        if dep == "acl" and not r.tree.subtype[word]:
            _participle(r, word)
        elif dep == "nmod" and not r.tree.subtype[word]:
            _prepositional(r, word)
        elif dep == "conj":
            _list_member(r, word)


def _list_member(r: Reading, word: int) -> None:
    """A boy holding a frisbee and a girl kicking a ball: the girl is beside the boy, not in his hand."""
    tree, first = r.tree, r.tree.head[word]
    busy = word + 1 < len(tree) and tree.tag[word + 1] in {"VBG", "VBN"} and tree.pos[word + 1] == "VERB"
    if r.lemma(word) not in r.sets["person_nouns"] or not busy or not r.is_nominal(first):
        return
    if r.lemma(first) in r.sets["person_nouns"] or tree.dep[first] not in {"obj", "obl", "nmod"}:
        return
    verb = tree.head[first]
    people = [d.word for d in r.doers(verb) if r.lemma(d.word) in r.sets["person_nouns"]] if r.is_verb(verb) else []
    if people and people[0] < word:
        tree.move(word, people[0], "conj")
        tree.move(word + 1, word, "acl")


def _participle(r: Reading, verb: int) -> None:
    tree, noun = r.tree, r.tree.head[verb]
    if tree.tag[verb] != "VBG" or r.is_animate(noun) or r.lemma(verb) in r.sets["inanimate_verbs"]:
        return
    if r.measured(noun) is not None or noun > verb or r.lemma(noun) in r.sets["vehicle_nouns"] & _movers(r, verb):
        return
    above = _acting(r, noun)
    if above is not None:
        tree.move(verb, above, "advcl" if tree.pos[above] in VERBAL else "acl")


def _movers(r: Reading, verb: int) -> frozenset[str]:
    moving = r.lemma(verb) in {"drive", "travel", "move", "ride", "go", "fly", "sail", "run", "turn", "pull", "carry"}
    return r.sets["vehicle_nouns"] if moving else frozenset()


def _prepositional(r: Reading, word: int) -> None:
    tree, noun = r.tree, r.tree.head[word]
    case = case_of(tree, word)
    if case is None or case.text == "of" or noun > word or r.is_animate(noun) or r.measured(noun) is not None:
        return
    above = _acting(r, noun)
    if above is None:
        return
    by_verb = tree.pos[above] in VERBAL
    if _belongs_above(r, case.text, r.lemma(word), r.lemma(noun), by_verb=by_verb):
        tree.move(word, above, "obl" if by_verb else "nmod")


def _belongs_above(r: Reading, preposition: str, place: str, nearest: str, *, by_verb: bool) -> bool:
    sets = r.sets
    if preposition in _PROXIMITY:
        return True
    if preposition == "with":
        personal = (
            place in sets["clothing_nouns"]
            or place in sets["instrument_nouns"]
            or place in sets["person_nouns"]
            or place in sets["animal_nouns"]
        )
        return personal or nearest in sets["place_nouns"] or nearest in sets["support_nouns"]
    if preposition == "in" and place in sets["clothing_nouns"]:
        return True
    if place in sets["part_nouns"]:
        return False
    return place in sets["support_nouns"] or (by_verb and place in sets["place_nouns"])


def _acting(r: Reading, noun: int) -> int | None:
    """The person or animal above a noun, or the verb above that has one as its doer; None if there is neither."""
    tree, word = r.tree, noun
    for _ in range(_MAX_STEPS):
        above = tree.head[word]
        if above == word or tree.dep[word] not in {"nmod", "obl", "obj", "conj", "appos"}:
            return None
        if r.is_verb(above):
            doers = r.doers(above)
            return (
                above
                if any(r.is_animate(thing) for doer in doers if not doer.passive for thing in r.things(doer.word))
                else None
            )
        if r.is_animate(above) and tree.dep[word] != "conj":
            return above
        word = above
    return None
