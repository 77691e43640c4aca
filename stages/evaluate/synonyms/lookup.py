"""Looking up whether two words have a meaning in common."""

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal

PartOfSpeech = Literal["noun", "verb", "adjective"]


@lru_cache(maxsize=65536)
def share_synset(a: str, b: str, *, part_of_speech: PartOfSpeech | None = None) -> bool:
    """Whether two lemmas in lower case are equal or stand together in a synset of WordNet.

    Lemmas may have several words (`fire hydrant`). A word that WordNet or our excerpt of it lacks is only like itself.

    Args:
        a: a lemma.
        b: another.
        part_of_speech: look only at the synsets of nouns, of verbs or of adjectives; all three if left out.
    """
    if a == b:
        return True
    tables = _tables()
    chosen = [tables[part_of_speech]] if part_of_speech else tables.values()
    return any(not table.get(a, frozenset()).isdisjoint(table.get(b, frozenset())) for table in chosen)


@cache
def _tables() -> Mapping[PartOfSpeech, Mapping[str, frozenset[int]]]:
    document = json.loads(files("stages.evaluate.synonyms").joinpath("wordnet.json").read_text(encoding="utf-8"))
    parts: tuple[PartOfSpeech, ...] = ("noun", "verb", "adjective")
    return {part: {lemma: frozenset(synsets) for lemma, synsets in document[part].items()} for part in parts}
