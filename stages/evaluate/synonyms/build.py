"""Make `wordnet.json` from WordNet's database files and the words of captions.

    python -m stages.evaluate.synonyms.build DICT --captions factual_train.csv --output wordnet.json

DICT is a folder with WordNet's `data.noun`, `data.verb` and `data.adj`. Only words that occur in the captions, in their
graphs or among the class names of `schemas/synonyms.json` are kept, and of their synsets only those that hold two of
them: the others make no two words synonymous. The bytes are a function of WordNet's files and of the words.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from schemas import BadInputError
from schemas.vocabulary import builtin_synonyms
from stages.evaluate.factual import read_factual

_SOURCE = "WordNet 3.1 Copyright 2011 by Princeton University. All rights reserved. Licence: WORDNET_CARD.md"
_FILES = {"noun": "data.noun", "verb": "data.verb", "adjective": "data.adj"}
# Of the word sequences of captions, those that WordNet may know: `hot dog`, `chest of drawers`.
_LONGEST_NAME = 3
_ENDINGS = (
    ("s", ""),
    ("es", ""),
    ("ies", "y"),
    ("ves", "f"),
    ("ed", ""),
    ("ed", "e"),
    ("ied", "y"),
    ("ing", ""),
    ("ing", "e"),
)


def build_synonyms(dictionary: Path, words: Iterable[str]) -> bytes:
    """The file: part of speech to lemma to the numbers of its synsets. Words are in lower case, with single spaces.

    Raises:
        BadInputError: if a file of the folder is missing or is not WordNet's.
    """
    wanted = frozenset(words)
    document: dict[str, dict[str, list[int]]] = {}
    number = 0
    for part, name in _FILES.items():
        table: dict[str, list[int]] = defaultdict(list)
        for lemmas in _synsets(dictionary / name):
            found = sorted(wanted.intersection(lemmas))
            if len(found) > 1:
                for lemma in found:
                    table[lemma].append(number)
                number += 1
        document[part] = dict(sorted(table.items()))
    return _one_line_a_lemma(document)


def words_of_captions(texts: Iterable[str]) -> set[str]:
    """Every word of the texts, up to three in a row, the last one also without each ending it may have.

    That makes words that are none (`thi` of `this`), which WordNet then does not know. Our lemmas are left out of it:
    a better lemma of ours must not change the file.
    """
    words: set[str] = set()
    for text in texts:
        plain = [word.strip(".,;:!?\"'()") for word in text.lower().split()]
        for start in range(len(plain)):
            for end in range(start + 1, min(start + _LONGEST_NAME, len(plain)) + 1):
                before = "".join(f"{word} " for word in plain[start : end - 1])
                words.update(before + form for form in _without_endings(plain[end - 1]))
    return words


def _without_endings(word: str) -> set[str]:
    """`riding`, `rid` and `ride` of riding; `sitting`, `sitt`, `sit` and `sitte` of sitting."""
    forms = {word}
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) > len(ending) + 1:
            stem = word.removesuffix(ending)
            forms.add(stem + instead)
            if stem[-1] == stem[-2]:
                forms.add(stem[:-1])
    return forms


def _synsets(path: Path) -> Iterator[set[str]]:
    """The lemmas of each synset, in the file's order. A line is, in short: offset, file number, type, count, words."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: cannot be read ({error}); give the folder `dict` of WordNet 3.1") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("  ") or not line.strip():  # the licence, at the head of each file
            continue
        try:
            fields = line.split(" ")
            words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
        except (IndexError, ValueError) as error:
            raise BadInputError(f"{path}: line {number} is {line[:60]!r}; expected a synset of WordNet") from error
        # An adjective may carry its position in brackets: `galore(ip)`.
        yield {word.partition("(")[0].replace("_", " ").lower() for word in words}


def _one_line_a_lemma(document: dict[str, dict[str, list[int]]]) -> bytes:
    parts = []
    for part, table in document.items():
        lines = [
            f"{json.dumps(lemma)}:{json.dumps(numbers, separators=(',', ':'))}" for lemma, numbers in table.items()
        ]
        parts.append(f"{json.dumps(part)}:{{\n" + ",\n".join(lines) + "\n}")
    return ("{" + ",\n".join([f'"source":{json.dumps(_SOURCE)}', *parts]) + "}\n").encode()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command above."""
    parser = argparse.ArgumentParser(description="Make the excerpt of WordNet that `evaluate parse` uses.")
    parser.add_argument("dict", type=Path, help="folder of WordNet's database files")
    parser.add_argument("--captions", type=Path, required=True, help="captions with graphs, FACTUAL's CSV")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    given = parser.parse_args(arguments)
    captions = read_factual(str(given.captions))
    names = {part for caption in captions for one in caption.tuples for part in one}
    classes = {name for entry in builtin_synonyms().items() for name in (entry[0], *entry[1])}
    data = build_synonyms(given.dict, words_of_captions([*(caption.text for caption in captions), *names, *classes]))
    given.output.write_bytes(data)
    print(f"{given.output}: {len(data)} bytes")  # noqa: T201 - the terminal's face


if __name__ == "__main__":
    main()
