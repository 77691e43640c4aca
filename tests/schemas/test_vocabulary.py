"""Class names in text: whole words, longest first, head last."""

import pytest

from schemas import Vocabulary
from schemas.vocabulary import builtin_synonyms, canonical_name

CLASSES = [
    "person", "car", "cat", "bus", "dog", "hot dog", "bicycle", "motorcycle", "couch", "tv", "cup", "tennis racket",
    "sheep", "handbag",
]  # fmt: skip


@pytest.mark.parametrize("phrase", ["a carpet", "a catcher's mitt", "a busy street", "a hotdog stand", "a trainer", ""])
def test_letters_inside_a_word_name_nothing(phrase: str) -> None:
    assert Vocabulary.of(["car", "cat", "bus", "hot dog", "train"]).denoted(phrase) == ()


def test_a_handbag_is_no_person() -> None:
    assert Vocabulary.of(CLASSES).denoted("a brown handbag") == ("handbag",)
    assert Vocabulary.of(["person"]).denoted("a brown handbag") == ()


@pytest.mark.parametrize(
    ("phrase", "names"),
    [
        ("a hot dog", ("hot dog",)),
        ("two dogs", ("dog",)),
        ("an old woman", ("person",)),
        ("a group of people", ("person",)),
        ("his bike", ("bicycle", "motorcycle")),
        ("a motorbike", ("motorcycle",)),
        ("the sofa", ("couch",)),
        ("the television", ("tv",)),
        ("an animal", ("cat", "dog", "sheep")),
        ("some vehicles", ("bus", "car")),
        ("the dog house", ()),
        ("a tennis racquet", ("tennis racket",)),
        ("three sheep", ("sheep",)),
        ("A WOMAN", ("person",)),
    ],
)
def test_denoted(phrase: str, names: tuple[str, ...]) -> None:
    assert Vocabulary.of(CLASSES).denoted(phrase) == names


def test_names_in_a_text_do_not_overlap() -> None:
    found = Vocabulary.of(CLASSES).find("a man with a hot dog by a parked car")
    assert [match.names for match in found] == [("person",), ("hot dog",), ("car",)]


def test_compound_names_of_datasets_are_known_by_each_part() -> None:
    vocabulary = Vocabulary.of(["Handbag/Satchel", "bat_(animal)"])
    assert vocabulary.denoted("a satchel") == ("handbag/satchel",)
    assert vocabulary.denoted("a bat") == ("bat (animal)",)


def test_builtin_synonyms_are_canonical_sorted_and_say_something() -> None:
    for name, words in builtin_synonyms().items():
        assert name == canonical_name(name)
        assert list(words) == sorted(set(words))
        assert words
        assert name not in words
        assert all(word == canonical_name(word) for word in words)


def test_order_of_the_classes_changes_nothing() -> None:
    assert Vocabulary.of(CLASSES).to_json() == Vocabulary.of(reversed(CLASSES)).to_json()
