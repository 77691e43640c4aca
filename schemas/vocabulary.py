"""Class names: canonical forms, synonyms, and finding them in text.

RLIPv2 matched a synonym wherever its letters stood, so "a handbag" was a person ("hand") and "a carpet" a car. Here a
name matches whole words only, the longest name wins, and no word serves two names.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib.resources import files

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?", re.UNICODE)
_IRREGULAR_PLURALS = {"man": "men", "woman": "women", "person": "people", "child": "children", "knife": "knives",
                      "mouse": "mice", "goose": "geese", "foot": "feet", "tooth": "teeth", "leaf": "leaves",
                      "loaf": "loaves", "shelf": "shelves", "calf": "calves", "wife": "wives"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NameMatch:
    """Characters `[start, end)` of a text that name one or more classes."""

    start: int
    end: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Vocabulary:
    """The classes of a dataset and the words people use for them.

    >>> vocabulary = Vocabulary.of(["person", "tennis racket"])
    >>> [m.names for m in vocabulary.find("a woman with a tennis racket and a handbag")]
    [('person',), ('tennis racket',)]
    """

    synonyms: Mapping[str, tuple[str, ...]]
    """Canonical class name to the other words for it, both in sorted order."""

    @classmethod
    def of(cls, names: Iterable[str], synonyms: Mapping[str, Iterable[str]] | None = None) -> "Vocabulary":
        """A vocabulary of these class names with the built-in synonyms, or with the given ones instead."""
        table = builtin_synonyms() if synonyms is None else synonyms
        chosen = {}
        for name in sorted({canonical_name(name) for name in names}):
            parts = [part.strip() for part in re.split(r"[/,]", re.sub(r"\(.*?\)", "", name))]
            words = {canonical_name(word) for part in (name, *parts) for word in table.get(part, ())}
            chosen[name] = tuple(sorted((words | {part for part in parts if part}) - {name}))
        return cls(chosen)

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical class names, sorted."""
        return tuple(self.synonyms)

    def find(self, text: str) -> list[NameMatch]:
        """Every name in a text, left to right: whole words, longest first, singular or plural, no overlap."""
        words = [(m.start(), m.end(), m.group().lower()) for m in _WORD.finditer(text)]
        matches, i = [], 0
        while i < len(words):
            for n in range(min(self._longest, len(words) - i), 0, -1):
                names = self._forms.get(" ".join(word for _, _, word in words[i : i + n]))
                if names:
                    matches.append(NameMatch(words[i][0], words[i + n - 1][1], names))
                    i += n
                    break
            else:
                i += 1
        return matches

    def denoted(self, phrase: str) -> tuple[str, ...]:
        """Classes that a noun phrase may denote: the longest name that ends with the phrase ("horse cart" is a cart).

        Empty if the phrase names nothing of this vocabulary.
        """
        words = [word.lower() for word in _WORD.findall(phrase)]
        for n in range(min(self._longest, len(words)), 0, -1):
            names = self._forms.get(" ".join(words[-n:]))
            if names:
                return names
        return ()

    def to_json(self) -> bytes:
        """The file `vocabulary.json` of an output."""
        document = {
            "schema": "relmill.vocabulary/1",
            "classes": {name: list(self.synonyms[name]) for name in self.names},
        }
        return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"

    @property
    def sha256(self) -> str:
        """Hex digest of `to_json()`, which `dataset.json` records."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @cached_property
    def _forms(self) -> dict[str, tuple[str, ...]]:
        """Word sequence (lower case, singular and plural) to the classes it names, sorted."""
        forms: dict[str, set[str]] = {}
        for name, synonyms in self.synonyms.items():
            for phrase in (name, *synonyms):
                words = [word.lower() for word in _WORD.findall(phrase)]
                if words:
                    for last in (words[-1], plural(words[-1])):
                        forms.setdefault(" ".join([*words[:-1], last]), set()).add(name)
        return {form: tuple(sorted(names)) for form, names in forms.items()}

    @cached_property
    def _longest(self) -> int:
        return max((form.count(" ") + 1 for form in self._forms), default=0)


@lru_cache(maxsize=65536)
def canonical_name(raw: str) -> str:
    """Class name as Relmill writes it: lower case, underscores to spaces, single spaces."""
    return " ".join(raw.replace("_", " ").lower().split())


def plural(noun: str) -> str:
    """Plural of an English noun, by the regular rules and a short list of irregular nouns."""
    if noun in _IRREGULAR_PLURALS:
        return _IRREGULAR_PLURALS[noun]
    if noun.endswith(("man",)) and noun != "human":
        return noun[:-2] + "en"
    if re.search(r"(s|x|z|ch|sh)$", noun):
        return noun + "es"
    if re.search(r"[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + "s"


@cache
def builtin_synonyms() -> dict[str, tuple[str, ...]]:
    """Class name to synonyms, from `schemas/synonyms.json`."""
    document = json.loads(files("schemas").joinpath("synonyms.json").read_text(encoding="utf-8"))
    return {name: tuple(words) for name, words in document.items()}
