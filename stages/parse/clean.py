"""The part of a text that is read, as the models know captions: plain words, single spaces, not all capitals."""

import re
from collections.abc import Sequence

# A caption is a sentence or a paragraph; what stands behind so many characters is not read. Keeps the time bounded.
MAX_CHARACTERS = 10_000

# Controls (line breaks among them), lone surrogates, which no encoder takes, arrows and dingbats, and emoji with what
# joins them. A tagger takes each for a name, and a space character beside another for a word.
_UNREADABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202f\u2060-\u206f\u2190-\u2bff\ud800-\udfff\ue000-\uf8ff"
    "\ufe00-\ufe0f\ufeff\ufff0-\uffff\U0001f000-\U0001faff\U000e0000-\U0010ffff]"
)
_SPACES = re.compile(r"\s{2,}|^\s+|\s+$|[^\S ]")


def clean(text: str) -> tuple[str, Sequence[int]]:
    """The text to read, and the place of each of its characters in the text as it was given.

    Pictures and controls become spaces, and runs of spaces one. A text in capitals is read in lower case; else every
    word of it would be a name.
    """
    plain = _UNREADABLE.sub(" ", text[:MAX_CHARACTERS])
    if plain.isupper() and len(plain.lower()) == len(plain):
        plain = plain.lower()
    if not _SPACES.search(plain):
        return plain, range(len(plain))
    words = [(match.start(), match.group()) for match in re.finditer(r"\S+", plain)]
    place: list[int] = []
    for start, word in words:
        if place:
            place.append(place[-1] + 1)
        place += range(start, start + len(word))
    return " ".join(word for _, word in words), place
