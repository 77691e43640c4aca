"""Every rule reads its own examples, and a sentence a construction reads as a person reads it."""

from collections.abc import Iterator

import pytest

from stages.parse import CaptionParser, Parse
from stages.parse.doers import EXAMPLES as DOERS
from stages.parse.rules import RULES
from stages.parse.things import EXAMPLES as THINGS


def examples() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for rule in RULES:
        yield from ((rule.name, sentence, triples) for sentence, triples in rule.examples.items())
    for table in (DOERS, THINGS):
        for name, sentences in table.items():
            yield from ((name, sentence, triples) for sentence, triples in sentences.items())


def triples(parse: Parse) -> tuple[str, ...]:
    heads = [phrase.head for phrase in parse.phrases]
    return tuple(sorted(f"{heads[r.subject]} {r.predicate} {heads[r.object]}" for r in parse.relations))


@pytest.mark.parametrize(("rule", "sentence", "expected"), examples())
def test_rule_reads_its_examples(parser: CaptionParser, rule: str, sentence: str, expected: tuple[str, ...]) -> None:
    (parse,) = parser.parse([sentence])
    assert triples(parse) == expected
    if rule not in {"list", "group"} and expected:  # those two multiply what other rules find
        assert any(rule in relation.rule.split(" + ") for relation in parse.relations)


def test_every_rule_has_an_example() -> None:
    assert [rule.name for rule in RULES if not rule.examples] == []


SENTENCES = [
    # verbs that are nouns as well
    ("A snowboarder skis down a hill", ["snowboarder ski down hill"]),
    ("a watch on a table", ["watch on table"]),
    ("a young boy swings a bat", ["boy swing bat"]),
    ("two men ride bikes", ["man ride bike"]),
    ("a man holds a cup and sits on a bench", ["man hold cup", "man sit on bench"]),
    ("A boy rides a bicycle and a woman rides a horse", ["boy ride bicycle", "woman ride horse"]),
    ("a person wearing a green hat sits on a bench", ["person sit on bench", "person wear hat"]),
    # the place first
    ("on the bench sits a man", ["man sit on bench"]),
    ("Next to a pink bicycle sits a gray dog", ["dog sit next to bicycle"]),
    # relative clauses
    ("the horse that the man is riding", ["man ride horse"]),
    ("a table that has a vase on it", ["table have vase", "vase on table"]),
    # passive
    ("a cup held by a woman", ["woman hold cup"]),
    # copula and prepositions
    ("a person sits on top of a horse", ["person sit on top of horse"]),
    ("a parked car next to a fire hydrant", ["car next to hydrant"]),
    ("a dog on the back of a truck", ["dog on back of truck"]),
    ("a clock to the left of a window", ["clock to the left of window"]),
    # several subjects, several objects
    ("a boy holding a frisbee and a girl kicking a ball", ["boy hold frisbee", "girl kick ball"]),
    ("two men riding bikes", ["man ride bike"]),
    ("trees and bushes growing on a lawn", ["bush grow on lawn", "tree grow on lawn"]),
    # what grammar leaves open
    ("a dog sitting on a bench next to a man", ["dog sit next to man", "dog sit on bench"]),
    ("A man riding a wave on a surfboard", ["man ride on surfboard", "man ride wave"]),
    ("Man sitting on a sidewalk next to a bicycle talking on a phone", ["man sit next to bicycle",
     "man sit on sidewalk", "man talk on phone"]),
    # existence
    ("This is a man throwing a frisbee", ["man throw frisbee"]),
    ("a picture of a man riding a bike", ["man ride bike"]),
    # capitals
    ("A MAN RIDING A HORSE", ["man ride horse"]),
    # a phrase with itself
    ("two buses next to each other", ["bus next to bus"]),
    # nothing is stated
    ("a man not wearing a helmet", []),
    ("a man with no hat", []),
    ("a man is a surfer", []),
    ("Riding a horse", []),
    ("", []),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "relations"), SENTENCES)
def test_construction(parser: CaptionParser, sentence: str, relations: list[str]) -> None:
    assert list(triples(parser.parse([sentence])[0])) == relations


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("a man riding a horse", "riding"),
        ("a cup is on the table", "is on"),
        ("a man in front of a car", "in front of"),
        ("a horse ridden by a man", "ridden by"),
        ("the man's dog", "'s"),
        ("a man 🐎 riding\na horse", "riding"),
    ],
)
def test_the_span_of_a_relation_reads_the_words_that_state_it(parser: CaptionParser, sentence: str, words: str) -> None:
    (relation,) = parser.parse([sentence])[0].relations
    assert sentence[slice(*relation.span)] == words


@pytest.mark.parametrize(
    ("sentence", "phrase", "name", "head", "plural"),
    [
        ("two men on a bench", "two men", "man", "man", True),
        ("a group of people on a bench", "people", "people", "people", True),
        ("a black and white dog on a bench", "a black and white dog", "dog", "dog", False),
        ("a woman holding a tennis racket", "a tennis racket", "tennis racket", "racket", False),
        ("several knives on a bench", "several knives", "knife", "knife", True),
        ("a pair of scissors on a bench", "scissors", "scissors", "scissors", False),
        ("a man wearing a t-shirt", "a t-shirt", "t-shirt", "t-shirt", False),
        ("his dog on a bench", "his dog", "dog", "dog", False),
    ],
)
def test_noun_phrase(parser: CaptionParser, sentence: str, phrase: str, name: str, head: str, plural: bool) -> None:
    read = {sentence[slice(*p.span)]: p for p in parser.parse([sentence])[0].phrases}
    assert phrase in read
    assert (read[phrase].name, read[phrase].head, read[phrase].plural) == (name, head, plural)


@pytest.mark.parametrize(
    ("sentence", "attributes"),
    [
        ("a brown horse", ["horse brown"]),
        ("two dark green leaves", ["leaf 2", "leaf dark green"]),
        ("the top is blue", ["top blue"]),
        ("a group of people on a bench", ["people group of"]),
        ("a wood table", ["table wooden"]),
        ("two women skiing", ["woman 2", "woman skiing"]),
        ("a very large bus", ["bus large"]),
    ],
)
def test_attributes(parser: CaptionParser, sentence: str, attributes: list[str]) -> None:
    parse = parser.parse([sentence])[0]
    assert sorted(f"{parse.phrases[a.phrase].name} {a.value}" for a in parse.attributes) == attributes


@pytest.mark.parametrize(
    ("verb", "lemma"),
    [
        ("riding", "ride"), ("sitting on", "sit on"), ("lying on", "lie on"), ("laying on", "lie on"),
        ("carrying", "carry"), ("swimming to", "swim to"), ("petting", "pet"), ("overlooking", "overlook"),
        ("framing", "frame"), ("seated on", "sit on"),
    ],
)  # fmt: skip
def test_lemma(parser: CaptionParser, verb: str, lemma: str) -> None:
    (relation,) = parser.parse([f"a man {verb} a boat"])[0].relations
    assert relation.predicate == lemma
