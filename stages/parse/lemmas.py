"""Lemmas by dictionary: the forms of caption verbs, then the forms that treebanks hold, then spelling.

spaCy's rule lemmatizer makes "rid" of riding, a trained one "swimm" of swimming. Here spelling alone decides only for
forms that neither the lexicon nor a treebank has.
"""

import json
from collections.abc import Mapping
from functools import cache

from stages.parse.conventions import BUILTIN_FOLDER
from stages.parse.lexicon import lexicon

LEMMAS_FILE = "lemmas.json"


@cache
def verb_lemma(form: str) -> str:
    """Lemma of a verb form in lower case: riding, rides, rode and ridden are `ride`.

    Three verbs are read as another that captions mean by them: lay as lie, seat as sit, dress as wear.
    """
    lex = lexicon()
    if form in lex.words["be_forms"]:
        return "be"
    lemma = lex.verb_forms.get(form) or _treebank_verbs().get(form) or lex.guess_verb(form)
    return str(lex.maps["verb_synonyms"].get(lemma, lemma))


@cache
def noun_lemma(form: str) -> str:
    """Singular of a noun form in lower case; a noun that has only a plural ("scissors") stays as it is."""
    return lexicon().noun_lemma(form)[0]


@cache
def is_plural(form: str) -> bool:
    """Whether a noun form speaks of several: "dogs", "men", not "scissors", "bus" or "grass"."""
    return lexicon().noun_lemma(form)[1]


@cache
def _treebank_verbs() -> Mapping[str, str]:
    table: dict[str, str] = json.loads((BUILTIN_FOLDER / LEMMAS_FILE).read_text(encoding="utf-8"))
    return table
