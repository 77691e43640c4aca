"""One sentence a construction, and the relations a person reads in it."""

import pytest

from stages.parse import parse_captions

SENTENCES = [
    # active, progressive, participle
    ("A man rides a horse.", ["man ride horse"]),
    ("a woman is holding an umbrella", ["woman hold umbrella"]),
    ("a man riding a brown horse", ["man ride horse"]),
    ("people ride their motorcycles", ["person ride motorcycle"]),
    ("a cat lying on a bed", ["cat lie on bed"]),
    ("a man swimming in the lake", ["man swim in lake"]),
    ("a boy kicked the ball", ["boy kick ball"]),
    # verbs that are nouns as well
    ("A snowboarder skis down a hill", ["snowboarder ski down hill"]),
    ("two men on skis", ["man on ski"]),
    ("a man wearing a hat leans against a car", ["man lean against car", "man wear hat"]),
    ("a woman in a blue uniform runs to kick a ball", ["woman kick ball", "woman wear uniform"]),
    ("a watch on a table", ["watch on table"]),
    # relative clauses
    ("a man who is riding a horse", ["man ride horse"]),
    ("the dog that sits on the bench", ["dog sit on bench"]),
    ("the horse that the man is riding", ["man ride horse"]),
    ("the water the bird is standing on", ["bird stand on water"]),
    # passive
    ("a horse ridden by a man", ["man ride horse"]),
    ("a ball is being kicked by a boy", ["boy kick ball"]),
    ("a hat worn by a man", ["man wear hat"]),
    ("a cup held by a woman", ["woman hold cup"]),
    ("a car parked by a tree", ["car park by tree"]),
    # copula and prepositions
    ("a cup is on the table", ["cup on table"]),
    ("a man on a horse", ["man on horse"]),
    ("a man standing in front of a car", ["man stand in front of car"]),
    ("a person sits on top of a horse", ["person sit on top of horse"]),
    ("a parked car next to a fire hydrant", ["car next to hydrant"]),
    ("a dog on the back of a truck", ["dog on the back of truck"]),
    ("a man running at the end of a court", ["man run at the end of court"]),
    # several subjects, several objects
    ("a man and a woman riding horses", ["man ride horse", "woman ride horse"]),
    ("a man holds a cup, a book and a phone", ["man hold book", "man hold cup", "man hold phone"]),
    ("a hitter, catcher, and umpire near a plate", ["catcher near plate", "hitter near plate", "umpire near plate"]),
    ("a man is wearing a hat and holding an umbrella", ["man hold umbrella", "man wear hat"]),
    ("a boy holding a frisbee and a girl kicking a ball", ["boy hold frisbee", "girl kick ball"]),
    # chains
    ("a man sitting on a bench holding a cup", ["man hold cup", "man sit on bench"]),
    ("a dog sitting on a bench next to a man", ["dog next to man", "dog sit on bench"]),
    ("A man riding a wave on a surfboard", ["man on surfboard", "man ride wave"]),
    ("a woman standing next to a cake sitting on a table", ["cake sit on table", "woman stand next to cake"]),
    # inversion and existence
    ("under the tree sits a dog", ["dog sit under tree"]),
    ("On the table is a cup", ["cup on table"]),
    ("there is a dog under the table", ["dog under table"]),
    ("This is a man throwing a frisbee", ["man throw frisbee"]),
    ("a picture of a man riding a bike", ["man ride bike"]),
    # having and wearing
    ("a bench with a cushion", ["bench have cushion"]),
    ("a man with a hat", ["man wear hat"]),
    ("a woman in a red dress", ["woman wear dress"]),
    ("a man dressed in a suit", ["man wear suit"]),
    ("the man's dog", ["man have dog"]),
    ("the leg of a table", ["table have leg"]),
    # instruments
    ("a man eating pizza with a fork", ["man eat pizza", "man eat with fork"]),
    # several of them
    ("two men riding bikes", ["man ride bike"]),
    ("a group of people sitting at a table", ["person sit at table"]),
    # pronouns
    ("a kid jumps over a bench as he rides a skateboard", ["kid jump over bench", "kid ride skateboard"]),
    ("a man and a boy play while he holds a kite", []),
    # nothing is stated
    ("a man not wearing a helmet", []),
    ("a man with no hat", []),
    ("two buses next to each other", []),
    ("a man is a surfer", []),
    ("Riding a horse", []),
    ("", []),
]


@pytest.mark.parametrize(("sentence", "relations"), SENTENCES)
def test_construction(sentence: str, relations: list[str]) -> None:
    phrases, mentions = parse_captions([sentence])[0]
    assert sorted(f"{phrases[m.subject].head} {m.predicate} {phrases[m.object].head}" for m in mentions) == relations


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("a man riding a horse", "riding"),
        ("a cup is on the table", "is on"),
        ("a man in front of a car", "in front of"),
        ("a horse ridden by a man", "ridden by"),
        ("under the tree sits a dog", "under the tree sits"),
        ("a man 🐎 riding\na horse", "riding"),
    ],
)
def test_the_span_of_a_mention_reads_the_words_that_state_it(sentence: str, words: str) -> None:
    _, (mention,) = parse_captions([sentence])[0]
    assert sentence[slice(*mention.span)] == words


@pytest.mark.parametrize(
    ("sentence", "phrase", "head", "plural"),
    [
        ("two men on a bench", "two men", "man", True),
        ("a group of people on a bench", "a group of people", "person", True),
        ("a pair of scissors on a bench", "a pair of scissors", "scissors", False),
        ("a black and white dog on a bench", "a black and white dog", "dog", False),
        ("a tennis player on a bench", "a tennis player", "player", False),
        ("one of the men on a bench", "one of the men", "man", False),
        ("several knives on a bench", "several knives", "knife", True),
        ("a tree in the park", "a tree", "tree", False),
    ],
)
def test_noun_phrase(sentence: str, phrase: str, head: str, plural: bool) -> None:
    first = parse_captions([sentence])[0][0][0]
    assert (sentence[slice(*first.span)], first.head, first.plural) == (phrase, head, plural)


@pytest.mark.parametrize(
    ("verb", "lemma"),
    [
        ("riding", "ride"), ("sitting on", "sit on"), ("lying on", "lie on"), ("laying on", "lie on"),
        ("carrying", "carry"), ("swimming to", "swim to"), ("petting", "pet"), ("skydiving over", "skydive over"),
        ("seated on", "sit on"),
    ],
)  # fmt: skip
def test_lemma(verb: str, lemma: str) -> None:
    _, (mention,) = parse_captions([f"a man {verb} a thing"])[0]
    assert mention.predicate == lemma
