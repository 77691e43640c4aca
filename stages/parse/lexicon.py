"""The word lists of the parser, and the verb forms and noun lemmas derived from them.

`lexicon.json` holds what cannot be computed: caption verbs, irregular forms, prepositions of several words, and nouns
whose kind (person, clothing, ...) decides who does what. Regular forms are computed here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

_VOWELS = "aeiou"


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Word sets and maps by name, verb forms, and prepositions of several words; all in lower case."""

    words: Mapping[str, frozenset[str]]
    maps: Mapping[str, Mapping[str, Any]]
    verb_forms: Mapping[str, str]
    """Inflected form to lemma."""
    multiword_prepositions: Mapping[tuple[str, ...], str]
    """Word sequence to canonical preposition."""

    def is_animate(self, lemma: str) -> bool:
        """Whether a noun names a person or an animal."""
        return lemma in self.words["person_nouns"] or lemma in self.words["animal_nouns"]

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

    def guess_verb(self, form: str) -> str:
        """The lemma of an unlisted verb form, by spelling alone."""
        for ending in ("ing", "ed"):
            stem = form.removesuffix(ending)
            if stem != form and len(stem) > 2 and form.isalpha() and any(c in _VOWELS + "y" for c in stem):
                return _verb_of_stem(stem)
        if form.endswith("ies") and len(form) > 4:
            return form[:-3] + "y"
        if form.endswith(("sses", "xes", "zzes", "ches", "shes")):
            return form[:-2]
        return form[:-1] if form.endswith("s") and not form.endswith(("ss", "us", "is")) else form


@cache
def lexicon() -> Lexicon:
    """The built-in lexicon, read once."""
    document = json.loads(files("stages.parse").joinpath("lexicon.json").read_text(encoding="utf-8"))
    words = {key: frozenset(value) for key, value in document.items() if isinstance(value, list)}
    maps = {key: value for key, value in document.items() if isinstance(value, dict)}
    multiword = {tuple(phrase.split()): canonical for phrase, canonical in maps["multiword_prepositions"].items()}
    return Lexicon(words, maps, _all_verb_forms(words, maps), multiword)


def _all_verb_forms(words: Mapping[str, frozenset[str]], maps: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    irregular = maps["irregular_verbs"]
    verbs = words["regular_verbs"] | words["doubling_verbs"] | words["noun_like_verbs"] | irregular.keys()
    readings: dict[str, set[str]] = {}
    for verb in verbs - {"be"}:
        doubling = verb in words["doubling_verbs"]
        past, participle = irregular.get(verb, [_suffixed(verb, "ed", doubling=doubling)] * 2)
        for form in (verb, _third_person(verb), _suffixed(verb, "ing", doubling=doubling), past, participle):
            readings.setdefault(form, set()).add(verb)
    # Two verbs may share a form. A lemma owns itself, but for forms that captions use for the other verb.
    table = {
        form: form
        if form in lemmas and form not in {"saw", "found", "fell", "lay"}
        else min(lemmas, key=lambda lemma: (form == lemma, lemma))
        for form, lemmas in readings.items()
    }
    return table | {"lay": "lie", "has": "have", "having": "have"}


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
    # situate, crumple, raise: what a stem of some length lost as well.
    long_at = stem.endswith("at") and len(stem) > 5
    consonant_l = stem[-1] == "l" and stem[-2] not in _VOWELS + "lrw"
    vowels_s = stem[-1] == "s" and stem[-2] in _VOWELS and stem[-3] in _VOWELS
    return stem + "e" if long_at or consonant_l or vowels_s else stem
