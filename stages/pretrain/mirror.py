"""Words that say left or right, for pictures that are mirrored.

The published augmentation flips the picture and leaves the words, so that half of the time "to the left of" is taught
for what lies to the right.

Whether "right" is a side or an adverb ("right behind"), and "left" a side or a verb ("left behind"), is told by the
words around it, listed in `mirror.json`. They are the same ones for both, so that mirroring twice gives the first text
back. The rules, of which the first that fits decides:

1. In a fixed expression it is no side: "right angle", "right of way", "right side up".
2. After an article, a possessive, a word of place or of turning it is one, whatever follows: "on the left in front of".
3. Before "to" and another side it is one: "from left to right".
4. Before prepositions (but "of"), adverbs and determiners it is none: "right next to", "left on", "left a trail".
5. As the last word after an auxiliary it is none: "was left", "all right".
6. Anywhere else it is one: "left hand", "facing right", "left of", "right".

So "right above" stays, though somebody may have meant "above, to the right". Other words that a mirror turns around
stay as well ("clockwise", what is written in the picture).
"""

import json
import re
from functools import cache
from importlib.resources import files
from typing import Final

_PAIRS: Final = (
    ("left", "right"),
    ("leftmost", "rightmost"),
    ("leftward", "rightward"),
    ("leftwards", "rightwards"),
    ("leftside", "rightside"),
    ("lefthand", "righthand"),
    ("lefthanded", "righthanded"),
)

# Small, Capitalised and CAPITAL; a word in another mixture stays.
_OTHER: Final = {
    case(word): case(other)
    for pair in _PAIRS
    for word, other in (pair, pair[::-1])
    for case in (str.lower, str.capitalize, str.upper)
}

# Only these two have other meanings.
_AMBIGUOUS: Final = frozenset(_PAIRS[0])

_WORD: Final = re.compile(r"[^\W\d_]+")
_JOINING: Final = re.compile(r"[\s_-]+")


def mirrored(text: str) -> str:
    """A predicate, or the name of a region, as it has to be in a mirrored picture.

    Usage::

        mirrored("to the left of")  # "to the right of"
        mirrored("Right arm")  # "Left arm"
        mirrored("right next to")  # the same: the adverb

    Laws: `mirrored(mirrored(text)) == text`; a text without a side is given back as it is.
    """
    found = list(_WORD.finditer(text))
    if not any(word[0] in _OTHER for word in found):
        return text
    pieces, end = [], 0
    for place, word in enumerate(found):
        if word[0] in _OTHER and _is_side(text, found, place):
            pieces += [text[end : word.start()], _OTHER[word[0]]]
            end = word.end()
    return "".join(pieces) + text[end:]


def _is_side(text: str, words: list[re.Match[str]], place: int) -> bool:
    """Whether a word out of `_OTHER` is meant as a side. It must not matter which side it, or another word, is."""
    if words[place][0].lower() not in _AMBIGUOUS:
        return True
    before = _word_at(text, words, place - 1, beside=place)
    after = _word_at(text, words, place + 1, beside=place)
    second = _word_at(text, words, place + 2, beside=place + 1) if after else ""
    telling = _telling_words()
    if not telling["expressions"].isdisjoint((after, f"{after} {second}")):
        return False
    if before in telling["after_these_a_side"] or (after == "to" and second in _AMBIGUOUS):
        return True
    is_last = place == len(words) - 1
    return after not in telling["before_these_none"] and not (is_last and before in telling["last_after_these_none"])


@cache
def _telling_words() -> dict[str, frozenset[str]]:
    """The lists of the rules 1, 2, 4 and 5."""
    document = json.loads(files("stages.pretrain").joinpath("mirror.json").read_text(encoding="utf-8"))
    return {name: frozenset(words) for name, words in document.items()}


def _word_at(text: str, words: list[re.Match[str]], place: int, *, beside: int) -> str:
    """The word at a place, in small letters; empty if there is none, or more than a space or hyphen is between."""
    if not 0 <= place < len(words):
        return ""
    first, second = sorted((place, beside))
    is_near = _JOINING.fullmatch(text, words[first].end(), words[second].start())
    return words[place][0].lower() if is_near else ""
