"""Verbs that the parser took for nouns, known by agreement and place: "a dog sits" cannot be a plural of "dog sit".

A parser that learnt from many noun phrases reads a short clause as one. Grammar tells them apart: "a" has no plural
behind it, a finite verb is nobody's object, a past participle has no article of its own, and what a person or an animal
does in -ing is no name. The tree is changed so that the rules find the clause.
"""

from stages.parse.lemmas import is_plural, noun_lemma, verb_lemma
from stages.parse.lexicon import lexicon
from stages.parse.tree import NOMINAL, Tree

_ONE = frozenset({"a", "an", "another", "each", "every", "one"})
_FINITE = frozenset({"VBZ", "VBP", "VBD"})
_BEFORE = frozenset({"det", "amod", "compound", "nummod", "nmod", "nsubj"})
_INSIDE = frozenset({"compound", "nsubj", "amod", "nmod"})
_ARGUMENT = frozenset({"obj", "iobj", "obl", "nmod", "compound"})


def mend_verbs(tree: Tree) -> None:
    """Make clauses of what was read as a noun phrase; changes the tree."""
    for word in range(1, len(tree)):
        if tree.lower[word] not in lexicon().verb_forms:
            continue
        if _has_noun_inside(tree, word):
            tag = _tag_of_clause(tree, word)
            if tag is not None:
                _free(tree, word, tag)
        elif tree.dep[word] == "compound":
            _mend_plain_clause(tree, word)
        elif tree.dep[word] == "conj" or (tree.dep[word] in {"advcl", "acl"} and tree.dep[word - 1] == "conj"):
            _mend_second_clause(tree, word)
    for word in range(len(tree)):
        _mend_shared_noun(tree, word)
        _mend_inversion(tree, word)


def _has_noun_inside(tree: Tree, word: int) -> bool:
    noun = word - 1
    return tree.head[noun] == word and tree.dep[noun] in _INSIDE and tree.pos[noun] in NOMINAL


def _tag_of_clause(tree: Tree, word: int) -> str | None:
    """The Penn tag of a verb whose subject is the noun before it; None if the tree is as it should be."""
    form, noun, tag = tree.lower[word], word - 1, tree.tag[word]
    alone = any(tree.lower[k] in _ONE for w in (word, noun) for k in tree.kids(w, "det", "nummod"))
    if tree.pos[word] == "VERB":
        tag = "VBZ" if tag == "NNS" else tag  # where tagger and morphologizer differ
        # A verb has no compound, and is no object.
        misplaced = tree.dep[word] in _ARGUMENT | {"conj"} and tree.dep[noun] != "nsubj"
        if tag in _FINITE and (misplaced or tree.dep[noun] == "compound"):
            return tag
        return "VBN" if tag in {"VBN", "VBD"} and alone and tree.kids(word, "det") else None
    if tree.pos[word] not in {"NOUN", "PROPN"}:
        return None
    if alone and is_plural(form) and not is_plural(tree.lower[noun]):
        return "VBZ"
    if any(k > word for k in tree.kids(word, "obj")) and not form.endswith("ing"):
        return "VBP"  # no noun has an object
    return "VBG" if form.endswith("ing") and _acts(tree.lower[noun]) else None


def _acts(noun: str) -> bool:
    return lexicon().is_animate(noun_lemma(noun))


def _free(tree: Tree, verb: int, tag: str) -> None:
    """Give the noun before the verb the modifiers that the verb had, and both the places they should have."""
    noun, above, dep, subtype = verb - 1, tree.head[verb], tree.dep[verb], tree.subtype[verb]
    finite = tag in _FINITE
    if above == verb and finite:
        tree.dep[noun] = "nsubj"
    elif above == verb:
        tree.move(noun, noun, dep)
        tree.move(verb, noun, "acl")
    elif dep == "conj" and finite and tree.pos[_clause(tree, above)] == "VERB":
        tree.dep[noun] = "nsubj"  # "a man rides a horse and a girl sits in a boat"
        tree.move(verb, _clause(tree, above), "conj")
    elif dep == "conj" and finite:  # "a man and a woman ride bikes"
        tree.move(noun, above, "conj")
        tree.move(verb, above, "acl")
    else:
        tree.move(noun, above, dep, subtype)
        tree.move(verb, _root(tree, noun) if finite else noun, "acl")
        _take_over(tree, verb, above, {"obl", "nmod", "advmod", "obj"})
    tree.subtype[noun] = ""
    tree.pos[verb], tree.tag[verb] = "VERB", tag
    for child in list(tree.children[verb]):
        if child < noun and tree.dep[child] in _BEFORE:
            tree.move(child, noun, tree.dep[child], tree.subtype[child])
        elif child > verb and tree.dep[child] == "nmod":
            tree.move(child, verb, "obl" if tree.kids(child, "case") else "obj")
        elif child > verb and tree.tag[child] == "RP":
            tree.move(child, verb, "compound", "prt")


def _take_over(tree: Tree, verb: int, former: int, deps: set[str]) -> None:
    """What stands behind the verb is the verb's, whatever it hung on."""
    for child in tree.kids(former, *deps):
        if child > verb:
            tree.move(child, verb, "obl" if tree.dep[child] == "nmod" else tree.dep[child])


def _mend_plain_clause(tree: Tree, verb: int) -> None:
    """Two men ride bikes: "men" stands before no other noun, so what follows is the verb, and its object."""
    noun, last, form = verb - 1, tree.head[verb], tree.lower[verb]
    names_people = is_plural(tree.lower[noun]) or tree.lower[noun] == "people"
    if tree.head[noun] != last or last < verb or verb_lemma(form) != form or not names_people:
        return
    if not _acts(tree.lower[noun]):
        return
    if tree.head[last] == last:
        tree.move(noun, noun, tree.dep[last])
    else:
        tree.move(noun, tree.head[last], tree.dep[last], tree.subtype[last])
    for child in list(tree.children[last]):
        if child < noun:
            tree.move(child, noun, tree.dep[child], tree.subtype[child])
    tree.move(verb, noun, "acl")
    tree.move(last, verb, "obj")
    tree.pos[verb], tree.tag[verb] = "VERB", "VBP"


def _mend_second_clause(tree: Tree, verb: int) -> None:
    """Of a verb joined by "and": to the verb before rather than to its object, with the noun before it as subject."""
    above, before = tree.head[verb], verb - 1
    finite = tree.pos[verb] == "VERB" and tree.tag[verb] in _FINITE
    lemma = verb_lemma(tree.lower[verb])
    # "a man holds a cup and sits": behind "and", and hardly ever a noun
    bare = tree.tag[verb] == "NNS" and tree.dep[before] == "cc" and lemma not in lexicon().words["noun_like_verbs"]
    clause = _clause(tree, above)
    finite = finite and not tree.kids(verb, "mark")
    if not (finite or bare) or tree.pos[clause] != "VERB" or tree.is_above(verb, clause):
        return
    if tree.pos[above] in NOMINAL:
        for former in (clause, above):
            _take_over(tree, verb, former, {"obl", "advmod", "nmod"})
    if clause != verb:
        tree.move(verb, clause, "conj")
    tree.pos[verb], tree.tag[verb] = "VERB", "VBZ" if bare else tree.tag[verb]
    joined = tree.dep[before] == "conj" and tree.pos[before] in {"NOUN", "PROPN"} and not tree.kids(verb, "nsubj")
    if joined and not tree.is_above(before, verb):
        tree.move(before, verb, "nsubj")


def _mend_shared_noun(tree: Tree, verb: int) -> None:
    """A boy rides a bicycle and a woman rides: a noun right behind a verb is its object, not the next one's subject."""
    first, joined = tree.head[verb], verb - 1
    if tree.pos[verb] != "VERB" or tree.pos[first] != "VERB" or first >= verb or tree.kids(first, "obj"):
        return
    for noun in tree.kids(verb, "nsubj"):
        begins = min([noun, *tree.kids(noun, "det", "amod", "compound", "nummod", "nmod")])
        if begins == first + 1 and tree.head[joined] == noun and tree.dep[joined] == "conj":
            tree.move(noun, first, "obj")
            tree.move(joined, verb, "nsubj")
            tree.move(verb, first, "conj")
            return


def _mend_inversion(tree: Tree, verb: int) -> None:
    """On the bench sits a man: the noun with the preposition is the place, the one behind the verb sits."""
    if tree.pos[verb] != "VERB" or verb_lemma(tree.lower[verb]) not in lexicon().words["posture_verbs"]:
        return
    before = [k for k in tree.kids(verb, "nsubj", "obl") if k < verb]
    behind = [k for k in tree.kids(verb, "obj", "nsubj") if k > verb and not tree.kids(k, "case")]
    if len(before) != 1 or not behind:
        return
    place = before[0]
    preposition = min([place, *tree.kids(place, "det", "amod", "compound", "nummod", "nmod", "case")]) - 1
    if not tree.kids(place, "case"):
        if preposition < 0 or tree.tag[preposition] not in {"IN", "TO"}:
            return
        tree.move(preposition, place, "case")
    tree.move(place, verb, "obl")
    tree.move(behind[0], verb, "nsubj")


def _clause(tree: Tree, word: int) -> int:
    """The nearest verb above a word, the word itself included; the root if there is none."""
    while tree.pos[word] != "VERB" and tree.head[word] != word:
        word = tree.head[word]
    return word


def _root(tree: Tree, word: int) -> int:
    while tree.head[word] != word:
        word = tree.head[word]
    return word
