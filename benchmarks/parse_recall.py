"""Of what people labelled in pictures, how much is read in the captions that say it?

    python benchmarks/parse_recall.py --data DATA [--model builtin] [--json result.json]

DATA holds `relations/captions_vcoco.jsonl.gz`: 289 COCO val2017 pictures, five captions each, and V-COCO's triplets of
a person, a verb and a thing. Most triplets are in no caption. One counts as said where a single caption has a word for
a person, a word for the thing, and a form of the verb or of its usual other words; nothing is parsed for that. It
counts as read if the parser finds a relation from a phrase for a person to a phrase for the thing in one of those
captions, and as read with its verb if such a relation begins with the verb or one of its words.
"""

import argparse
import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.load_parser import load_parser
from schemas import Vocabulary
from stages.evaluate import wilson_interval
from stages.parse import CaptionParser, Parse
from stages.parse.lemmas import verb_lemma

# V-COCO's verbs name what captions say with other words.
WORDS = {
    "cut": {"cut", "slice", "carve"},
    "hit": {"hit", "swing", "serve"},
    "hold": {"hold", "carry", "grip"},
    "lay": {"lie"},
    "look": {"look", "watch", "stare"},
    "talk on phone": {"talk"},
    "throw": {"throw", "toss", "pitch"},
    "work on computer": {"work", "use", "type"},
}
ROLES = ("obj", "instr")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with gzip.open(options.data / "relations/captions_vcoco.jsonl.gz", "rt", encoding="utf-8") as lines:
        pictures = [json.loads(line) for line in lines]
    result = measure(pictures, load_parser(options.model))
    print(
        f"{result['triplets']} person-thing pairs with a verb in {result['pictures']} pictures, {result['said']} said"
    )
    for what in ("read", "read_with_verb"):
        row = result[what]
        print(f"{what.replace('_', ' '):16}{row['share']:8.1%}  (95 %: {row['low']:.1%} to {row['high']:.1%})")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def measure(pictures: Sequence[dict[str, Any]], parser: CaptionParser) -> dict[str, Any]:
    """Count over pictures; a verb and a class count once a picture."""
    classes = {thing for picture in pictures for *_, thing, _ in picture["triplets"]} | {"person"}
    vocabulary = Vocabulary.of(classes)
    num_triplets = num_said = num_read = num_with_verb = 0
    for picture in pictures:
        captions = picture["captions"]
        parses = parser.parse(captions)
        for verb, thing in sorted({(role_less(verb), thing) for _, _, verb, thing, _ in picture["triplets"]}):
            num_triplets += 1
            words = WORDS.get(verb, {verb})
            saying = [i for i, caption in enumerate(captions) if says(caption, words, thing, vocabulary)]
            if saying:
                predicates = [p for i in saying for p in between(parses[i], captions[i], thing, vocabulary)]
                num_said += 1
                num_read += bool(predicates)
                num_with_verb += any(predicate.split()[0] in words for predicate in predicates)
    return {
        "pictures": len(pictures),
        "triplets": num_triplets,
        "said": num_said,
        "read": share(num_read, num_said),
        "read_with_verb": share(num_with_verb, num_said),
    }


def role_less(verb: str) -> str:
    """`hold obj` is hold."""
    for role in ROLES:
        verb = verb.removesuffix(f" {role}")
    return verb


def says(caption: str, words: set[str], thing: str, vocabulary: Vocabulary) -> bool:
    """Whether a caption has a word for a person, one for the thing, and a form of one of the verbs."""
    named = {name for match in vocabulary.find(caption) for name in match.names}
    lemmas = {verb_lemma(word) for word in re.findall(r"[a-z]+", caption.lower())}
    return {"person", thing} <= named and not words.isdisjoint(lemmas)


def between(parse: Parse, caption: str, thing: str, vocabulary: Vocabulary) -> list[str]:
    """Predicates that the parse has from a phrase for a person to a phrase for the thing."""
    denoted = [vocabulary.denoted(caption[slice(*phrase.span)]) for phrase in parse.phrases]
    return [r.predicate for r in parse.relations if "person" in denoted[r.subject] and thing in denoted[r.object]]


def share(hits: int, number: int) -> dict[str, float]:
    """Share and its Wilson interval."""
    low, high = wilson_interval(hits, number) or (0.0, 1.0)
    return {"share": hits / max(number, 1), "low": low, "high": high}


if __name__ == "__main__":
    main()
