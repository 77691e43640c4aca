"""The word lists of the rule parser, and the forms and lemmas derived from them.

`lexicon.json` holds what cannot be computed: closed classes, caption verbs, irregular forms, and the nouns whose kind
(person, clothing, ...) decides who does what. Regular forms are computed here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

_VOWELS = "aeiou"


@dataclass(frozen=True, slots=True)
class VerbForm:
    """What an inflected form is: its lemma and its Penn tags, e.g. `held` is VBD and VBN of `hold`."""

    lemma: str
    tags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Word sets by name, verb forms, and multiword prepositions; all in lower case."""

    words: Mapping[str, frozenset[str]]
    maps: Mapping[str, Mapping[str, Any]]
    verb_forms: Mapping[str, VerbForm]
    multiword_prepositions: Mapping[tuple[str, ...], str]
    """Word sequence to canonical preposition."""
    longest_preposition: int

    def noun_lemma(self, noun: str) -> tuple[str, bool]:
        """Lemma of a noun form and whether the form is plural: `benches` is (`bench`, True)."""
        irregular = self.maps["irregular_plurals"].get(noun)
        if irregular is not None:
            return irregular, noun not in self.words["unit_plurals"]
        if (
            noun in self.words["uninflected_nouns"]
            or len(noun) < 4
            or not noun.endswith("s")
            or noun.endswith(("ss", "us", "is"))
        ):
            return noun, False
        if noun.endswith("ies"):
            return noun[:-3] + "y", True
        if noun.endswith(("sses", "xes", "zzes", "ches", "shes")):
            return noun[:-2], True
        return noun[:-1], True

    def guess_verb(self, word: str) -> VerbForm | None:
        """The verb behind an unlisted -ing or -ed form, by spelling alone; None if there is no vowel left before it."""
        for ending, tags in (("ing", frozenset({"VBG"})), ("ed", frozenset({"VBD", "VBN"}))):
            stem = word[: -len(ending)]
            if word.endswith(ending) and len(stem) > 2 and word.isalpha() and any(c in _VOWELS + "y" for c in stem):
                return VerbForm(_verb_of_stem(stem), tags)
        return None


@cache
def lexicon() -> Lexicon:
    """The built-in lexicon, read once."""
    document = json.loads(files("stages.parse").joinpath("lexicon.json").read_text(encoding="utf-8"))
    words = {key: frozenset(value) for key, value in document.items() if isinstance(value, list)}
    maps = {key: value for key, value in document.items() if isinstance(value, dict)}
    multiword = {tuple(phrase.split()): canonical for phrase, canonical in maps["multiword_prepositions"].items()}
    return Lexicon(words, maps, _all_verb_forms(words, maps), multiword, max(len(phrase) for phrase in multiword))


def _all_verb_forms(words: Mapping[str, frozenset[str]], maps: Mapping[str, Mapping[str, Any]]) -> dict[str, VerbForm]:
    irregular = maps["irregular_verbs"]
    lemmas = words["regular_verbs"] | words["doubling_verbs"] | words["noun_like_verbs"] | irregular.keys()
    tags: dict[str, dict[str, set[str]]] = {}
    for lemma in sorted(lemmas - {"be"}):
        doubling = lemma in words["doubling_verbs"]
        past, participle = irregular.get(lemma, [_suffixed(lemma, "ed", doubling=doubling)] * 2)
        forms = {
            "VB": lemma,
            "VBZ": _third_person(lemma),
            "VBG": _suffixed(lemma, "ing", doubling=doubling),
            "VBD": past,
            "VBN": participle,
        }
        for tag, form in forms.items():
            tags.setdefault(form, {}).setdefault(lemma, set()).add(tag)
    # Two verbs may share a form. A lemma owns itself, but for forms that captions use for the other verb.
    table = {}
    for form, readings in tags.items():
        lemma = (
            form
            if form in readings and form not in {"saw", "found", "fell", "lay"}
            else min(readings, key=lambda verb: (form == verb, verb))
        )
        table[form] = VerbForm(lemma, frozenset(readings[lemma]))
    table["lay"] = VerbForm("lie", frozenset({"VB", "VBD"}))
    table["has"] = VerbForm("have", frozenset({"VBZ"}))
    table["having"] = VerbForm("have", frozenset({"VBG"}))
    return table


def _suffixed(lemma: str, suffix: str, *, doubling: bool) -> str:
    """`ride` + ing is riding, `swim` swimming, `lie` lying, `carry` + ed carried."""
    stem = lemma
    if doubling:
        stem = lemma + lemma[-1]
    elif suffix == "ing" and lemma.endswith("ie"):
        stem = lemma[:-2] + "y"
    elif lemma.endswith("e") and not (suffix == "ing" and lemma.endswith(("ee", "oe", "ye"))):
        stem = lemma[:-1]
    elif suffix == "ed" and lemma.endswith("y") and lemma[-2:-1] not in _VOWELS:
        stem = lemma[:-1] + "i"
    return stem + suffix


def _third_person(lemma: str) -> str:
    if lemma.endswith(("s", "x", "z", "ch", "sh")) or lemma in {"go", "do", "echo"}:
        return lemma + "es"
    if lemma.endswith("y") and lemma[-2:-1] not in _VOWELS:
        return lemma[:-1] + "ies"
    return lemma + "s"


def _verb_of_stem(stem: str) -> str:
    if len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] not in "sl":
        return stem[:-1]
    if stem.endswith("i"):
        return stem[:-1] + "y"
    # A single consonant behind a single vowel usually lost an e: parasail keeps its two vowels, skydive loses one.
    if (
        stem[-1] not in _VOWELS + "wxy"
        and stem[-2] in _VOWELS
        and (len(stem) < 3 or stem[-3] not in _VOWELS)
        and stem[-1] not in "rnlt"
    ):
        return stem + "e"
    if stem.endswith(("v", "c", "g", "u")) and not stem.endswith("ng"):
        return stem + "e"
    return stem
