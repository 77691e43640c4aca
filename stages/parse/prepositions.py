"""Prepositions: of one word, of several ("next to"), and places that act as one ("on the left side of").

Treebanks hang the words of "in front of the car" in several ways, and a trained parser in more. So they are found by
their words, taken out of the tree, and the noun behind them is hung where the whole phrase hung.
"""

from functools import cache

from stages.parse.lexicon import lexicon
from stages.parse.tree import NOMINAL, VERBAL, Case, Tree

_LEADING = ("on", "in", "at", "to", "along", "by", "from", "off", "over", "down", "around", "near", "into", "onto")
_ARTICLES = ("", "the ", "a ", "an ", "its ", "their ")
# Where a place noun stands between a preposition and "of", the canonical preposition, whatever stood before it.
# "on side of", not "on the side of": people leave the article out or not.
_PLACES = {
    "side": "on side of", "sides": "on side of", "top": "on top of", "bottom": "on bottom of", "edge": "on edge of",
    "edges": "on edge of", "middle": "in middle of", "center": "in center of", "centre": "in center of",
    "corner": "in corner of", "end": "at end of", "front": "in front of", "back": "on back of", "rear": "at rear of",
    "left": "to the left of", "right": "to the right of", "left side": "to the left of",
    "right side": "to the right of", "left hand side": "to the left of", "right hand side": "to the right of",
    "base": "at base of", "face": "on face of", "surface": "on", "inside": "inside", "outside": "outside",
    "midst": "amid", "vicinity": "near",
}  # fmt: skip
_SIDES = {"other": "on other side of", "far": "on far side of", "opposite": "on opposite side of",
          "both": "on both sides of", "each": "on both sides of", "either": "on either side of"}  # fmt: skip
_BEHIND = frozenset({"in", "at"})
# No noun phrase begins with these, so the words before have no noun.
_NO_PHRASE = frozenset({"ADP", "PUNCT", "AUX", "VERB", "CCONJ"})
_INTRODUCED = NOMINAL | {"ADJ", "DET"}
_HANGING = frozenset({"nmod", "obl", "obj", "nsubj", "dep", "conj", "appos", "root", "ROOT"})
# Words from a preposition to its noun at the most.
_FARTHEST = 12


@cache
def _multiword() -> tuple[dict[tuple[str, ...], str], dict[str, tuple[int, ...]]]:
    """Word sequences with their canonical prepositions, and the lengths, longest first, by first word."""
    table = dict(lexicon().multiword_prepositions)
    for preposition in _LEADING:
        for article in _ARTICLES:
            for place, canonical in _PLACES.items():
                words = tuple(f"{preposition} {article}{place} of".split())
                behind = place == "back" and preposition in _BEHIND
                table[words] = "in back of" if behind else canonical
            for which, canonical in _SIDES.items():
                for side in ("side", "sides"):
                    table[tuple(f"{preposition} {article}{which} {side} of".split())] = canonical
    lengths: dict[str, set[int]] = {}
    for words in table:
        lengths.setdefault(words[0], set()).add(len(words))
    return table, {first: tuple(sorted(sizes, reverse=True)) for first, sizes in lengths.items()}


def collapse_prepositions(tree: Tree) -> None:
    """Take multiword prepositions out of the tree and record them as the case of their nouns."""
    table, lengths = _multiword()
    start = 0
    while start < len(tree):
        end = start + 1
        for length in lengths.get(tree.lower[start], ()):
            canonical = table.get(tuple(tree.lower[start : start + length]))
            if canonical is not None and start + length <= len(tree):
                noun = _noun_behind(tree, start, start + length)
                if noun is not None:
                    end = start + length
                    _collapse(tree, start, end, noun)
                    tree.cases[noun] = Case(canonical, start, end)
                break
        start = end


def case_of(tree: Tree, noun: int) -> Case | None:
    """The preposition of a noun; None if it has none."""
    found = tree.cases.get(noun)
    if found is not None:
        return found
    words = [k for k in tree.children[noun] if tree.dep[k] == "case" and k < noun and not tree.lower[k].startswith("'")]
    if not words:
        return None
    for case in list(words):
        words += [k for k in tree.kids(case, "fixed", "case") if k < noun]
    words.sort()
    text = " ".join(tree.lower[k] for k in words)
    lex = lexicon()
    canonical = lex.multiword_prepositions.get(tuple(text.split())) or lex.maps["canonical_prepositions"].get(
        text, text
    )
    return Case(canonical, words[0], words[-1] + 1)


def _noun_behind(tree: Tree, start: int, end: int) -> int | None:
    """The noun that the words `[start, end)` introduce: behind them, hanging on them or they on it."""
    inside = range(start, end)
    if end == len(tree) or tree.pos[end] in _NO_PHRASE:
        return None
    for word in range(end, min(end + _FARTHEST, len(tree))):
        hangs = tree.head[word] in inside
        if hangs and tree.dep[word] in _HANGING:
            return word
        introduced = any(k in inside and tree.dep[k] in {"case", "fixed"} for k in tree.children[word])
        if introduced and tree.pos[word] in _INTRODUCED:
            # Words both above and below the noun cannot be taken out together.
            torn = not hangs and any(tree.is_above(k, word) for k in inside)
            return None if torn else word
    return None


def _collapse(tree: Tree, start: int, end: int, noun: int) -> None:
    inside = range(start, end)
    if tree.head[noun] in inside:
        root = tree.head[noun]
        while tree.head[root] in inside and tree.head[root] != root:
            root = tree.head[root]
        above = tree.head[root]
        if above in {root, noun}:
            tree.move(noun, noun, "ROOT")
        else:
            tree.move(noun, above, _attachment(tree, above, tree.dep[root]))
    for word in inside:
        for child in list(tree.children[word]):
            if child not in inside and child != noun:
                tree.move(child, noun, tree.dep[child], tree.subtype[child])
        tree.move(word, noun, "collapsed")


def _attachment(tree: Tree, head: int, dep: str) -> str:
    if dep in {"conj", "ROOT", "root", "parataxis", "acl", "advcl", "ccomp"}:
        return dep
    return "obl" if tree.pos[head] in VERBAL | {"ADJ"} else "nmod"
