"""The parse stage as the runtime sees it, and the parser on any text whatever."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import Caption, Image, Scene, scene_from_json, scene_to_json
from schemas.job import ParseJob
from stages.parse import open_parser, parse_captions

SUBJECTS = ["a man", "the old woman", "two dogs", "A group of people", "his cat", "a t-shirt"]
VERBS = ["riding", "is holding", "sits on", "that stands next to", "worn by", "on top of", "with", "of", "and"]
OBJECTS = ["a horse", "an umbrella", "the red, green and blue kites", "it", "each other", "no hat"]
TAILS = ["", ".", " holding a cup", ", a ball and a bat", " while he eats 🍕", ' in a "limo" bus', " on the left of it"]


def scene(*texts: str) -> Scene:
    return Scene(key="s-1", image=Image("1.jpg"), captions=tuple(Caption(text, "given") for text in texts))


def check_spans(text: str) -> None:
    phrases, mentions = parse_captions([text])[0]
    spans = [phrase.span for phrase in phrases]
    assert spans == sorted(spans)
    for start, end in [*spans, *(mention.span for mention in mentions)]:
        assert 0 <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
    for mention in mentions:
        assert 0 <= mention.subject < len(phrases)
        assert 0 <= mention.object < len(phrases)
        assert mention.subject != mention.object
        assert mention.predicate == mention.predicate.lower().strip() != ""


@settings(deadline=None, max_examples=150)
@given(st.tuples(*(st.sampled_from(words) for words in (SUBJECTS, VERBS, OBJECTS, TAILS))))
def test_spans_of_captions_read_words(parts: tuple[str, str, str, str]) -> None:
    subject, verb, object_, tail = parts
    check_spans(f"{subject} {verb} {object_}{tail}")


@settings(deadline=None, max_examples=150)
@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from([*" ,.-'’\"\n\t()🐶", "man", "of", "and", "riding", "is", "the"])).map(" ".join)
)
def test_any_text_is_read_without_an_error(text: str) -> None:
    check_spans(text)


@pytest.mark.parametrize(
    "text",
    ["\ud800 a man riding a horse", "a man\x00riding a horse", "Ein Mann reitet auf einem Pferd.", "https://a.b/c?d=e",
     "一个人骑马", "a man " + "and a man " * 300 + "riding a horse", "word " * 10_000, "x" * 200_000, "-" * 5_000,
     "a red and " * 3_000, "the " * 5_000, "a man 's " * 2_000],
)  # fmt: skip
def test_odd_text_takes_bounded_time(text: str) -> None:
    parse_captions(["warm"])
    began = time.process_time()
    check_spans(text)
    assert time.process_time() - began < 5


def test_stage_fills_phrases_and_mentions_of_each_caption() -> None:
    parser = open_parser(ParseJob())
    parser.setup()
    before = scene("a man riding a horse", "a dog", "a cup on a table")
    (after,) = parser.process([before])
    assert isinstance(after, Scene)
    assert [phrase.caption for phrase in after.phrases] == [0, 0, 1, 2, 2]
    assert [(m.caption, m.subject, m.predicate, m.object) for m in after.mentions] == [
        (0, 0, "ride", 1),
        (2, 3, "on", 4),
    ]
    assert scene_from_json(scene_to_json(after)) == after


def test_outcome_depends_on_the_scene_alone() -> None:
    parser = open_parser(ParseJob())
    scenes = [scene("a man riding a horse", "a dog"), scene(), scene("a man riding a horse")]
    together = list(parser.process(scenes))
    assert together == [outcome for one in scenes for outcome in parser.process([one])]
    assert list(parser.process(together)) == together


def test_long_caption_is_read_to_its_limit_and_the_rest_is_accounted_for() -> None:
    parser = open_parser(ParseJob())
    text = "a man riding a horse. " + "word " * 3_000 + ". a dog chasing a cat"
    (after,) = parser.process([scene(text)])
    assert isinstance(after, Scene)
    assert [m.predicate for m in after.mentions] == ["ride"]
    assert [(repair.stage, repair.reason) for repair in after.provenance.repairs] == [("parse", "caption-too-long")]
