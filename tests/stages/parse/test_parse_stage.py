"""The parse stage as the runtime sees it, and the parser on any text whatever."""

import itertools
import pickle
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import BadInputError, Caption, Image, Scene, scene_from_json, scene_to_json
from schemas.job import ParseJob
from stages.contract import Stage
from stages.parse import CaptionParser, Parse, open_parser
from stages.parse.conventions import BUILTIN_FOLDER

PARSER = CaptionParser()
SUBJECTS = ["a man", "the old woman", "two dogs", "A group of people", "his cat", "a t-shirt", "someone"]
VERBS = ["riding", "is holding", "sits on", "that stands next to", "worn by", "on top of", "with", "of", "and"]
OBJECTS = ["a horse", "an umbrella", "the red, green and blue kites", "it", "each other", "no hat"]
TAILS = [
    "",
    ".",
    " holding a cup",
    ", a ball and a bat",
    " while he eats 🍕",
    ' in a "limo"  bus',
    " on the left of it",
]
CAPTIONS = [" ".join(parts) for parts in itertools.product(SUBJECTS, VERBS, OBJECTS[:3])]


@pytest.fixture(scope="module")
def stage() -> Stage:
    parser = open_parser(ParseJob())
    parser.setup()
    return parser


def scene(*texts: str) -> Scene:
    return Scene(key="s-1", image=Image("1.jpg"), captions=tuple(Caption(text, "given") for text in texts))


def check_spans(text: str) -> Parse:
    (parse,) = PARSER.parse([text])
    spans = [phrase.span for phrase in parse.phrases]
    assert spans == sorted(spans)
    for start, end in [*spans, *(relation.span for relation in parse.relations)]:
        assert 0 <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
    for relation in parse.relations:
        assert 0 <= relation.subject < len(parse.phrases)
        assert 0 <= relation.object < len(parse.phrases)
        assert relation.predicate == relation.predicate.lower().strip() != ""
        assert relation.rule
    for attribute in parse.attributes:
        assert 0 <= attribute.phrase < len(parse.phrases)
        assert attribute.value
    return parse


@settings(max_examples=150)
@given(st.tuples(*(st.sampled_from(words) for words in (SUBJECTS, VERBS, OBJECTS, TAILS))))
def test_spans_of_captions_read_words(parts: tuple[str, str, str, str]) -> None:
    subject, verb, object_, tail = parts
    check_spans(f"{subject} {verb} {object_}{tail}")


@settings(max_examples=150)
@given(
    st.text(max_size=80)
    | st.lists(
        st.sampled_from([*" ,.-'’\"\n\t()🐶", "man", "of", "and", "riding", "is", "the", "-", "next", "to"])
    ).map(" ".join)
)
def test_any_text_is_read_without_an_error(text: str) -> None:
    check_spans(text)


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\t", "\ud800 a man riding a horse", "a man\x00riding a horse", "https://a.b/c?d=e&f=g", "🐶🐕 🐎",
     "a man " + "and a man " * 300 + "riding a horse", "word " * 10_000, "x" * 200_000, "-" * 5_000, "a-b" * 3_000,
     "a red and " * 3_000, "the " * 5_000, "a man 's " * 2_000, "a cup of " * 2_000, "a man holding " * 1_500,
     "he saw her and it with them " * 800, "on top of " * 2_000, "a man who saw " * 1_500, "a man is " * 2_000],
)  # fmt: skip
def test_odd_text_takes_bounded_time(text: str) -> None:
    PARSER.parse(["warm"])
    began = time.process_time()
    check_spans(text)
    # Each takes well below a second on an idle core. What grows with the square of the length would take minutes.
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "text",
    ["Ein Mann reitet auf einem braunen Pferd am Strand.", "一个人骑马", "un homme monte un cheval brun sur la plage",
     "мужчина едет на лошади", "رجل يركب حصانا", "lorem ipsum dolor sit amet consectetur adipiscing elit",
     "a man " + "and a man " * 300 + "riding a horse", "word " * 10_000, "xqzt brrk flmp wug"],
)  # fmt: skip
def test_what_is_no_english_caption_states_nothing(text: str) -> None:
    assert check_spans(text).relations == ()


def test_spans_count_the_characters_of_the_text_as_given() -> None:
    text = "  A   MAN\n🐎 RIDING   A\tBROWN HORSE  "
    parse = check_spans(text)
    assert [text[slice(*phrase.span)] for phrase in parse.phrases] == ["A   MAN", "A\tBROWN HORSE"]
    assert [text[slice(*relation.span)] for relation in parse.relations] == ["RIDING"]


def test_a_parse_depends_on_the_text_alone() -> None:
    """Whatever stands beside it, in any order and number: to the last bit of every score that decides."""
    together = PARSER.parse(CAPTIONS)
    assert together == [parse for caption in CAPTIONS for parse in PARSER.parse([caption])]
    assert together[::-1] == PARSER.parse(CAPTIONS[::-1])
    assert together == PARSER.parse([*CAPTIONS, *CAPTIONS])[: len(CAPTIONS)]


def test_scores_of_a_word_do_not_depend_on_the_batch() -> None:
    nlp = PARSER._model.nlp
    tok2vec = nlp.get_pipe("tok2vec")
    docs = [nlp.make_doc(caption) for caption in CAPTIONS[:200]]
    alone = [tok2vec.predict([doc])[0] for doc in docs]  # type: ignore[attr-defined]
    for size in (3, 50, 200):
        batched = [v for i in range(0, 200, size) for v in tok2vec.predict(docs[i : i + size])]  # type: ignore[attr-defined]
        assert all((a == b).all() for a, b in zip(alone, batched, strict=True))


def test_stage_fills_phrases_and_mentions_of_each_caption(stage: Stage) -> None:
    before = scene("a man riding a horse", "a dog", "a cup on a table")
    (after,) = stage.process([before])
    assert isinstance(after, Scene)
    assert [phrase.caption for phrase in after.phrases] == [0, 0, 1, 2, 2]
    assert [(m.caption, m.subject, m.predicate, m.object) for m in after.mentions] == [
        (0, 0, "ride", 1),
        (2, 3, "on", 4),
    ]
    assert scene_from_json(scene_to_json(after)) == after


def test_a_mention_is_never_of_a_phrase_with_itself(stage: Stage) -> None:
    (after,) = stage.process([scene("two buses next to each other")])
    assert isinstance(after, Scene)
    assert after.mentions == ()


def test_outcome_depends_on_the_scene_alone(stage: Stage) -> None:
    scenes = [scene("a man riding a horse", "a dog"), scene(), scene("a man riding a horse")]
    together = list(stage.process(scenes))
    assert together == [outcome for one in scenes for outcome in stage.process([one])]
    assert list(stage.process([s for s in together if isinstance(s, Scene)])) == together


def test_long_caption_is_read_to_its_limit_and_the_rest_is_accounted_for(stage: Stage) -> None:
    text = "a man riding a horse. " + "he is a man. " * 1_000 + ". a dog chasing a cat"
    (after,) = stage.process([scene(text)])
    assert isinstance(after, Scene)
    assert "ride" in [m.predicate for m in after.mentions]
    assert "chase" not in [m.predicate for m in after.mentions]
    assert [(repair.stage, repair.reason) for repair in after.provenance.repairs] == [("parse", "caption-too-long")]


def test_stage_travels_by_pickle_and_names_its_model(stage: Stage) -> None:
    other = pickle.loads(pickle.dumps(open_parser(ParseJob())))
    other.setup()
    assert other.identity == stage.identity
    assert list(other.process([scene("a cup on a table")])) == list(stage.process([scene("a cup on a table")]))


def test_another_pipeline_is_loaded_from_its_folder_and_is_another_identity(tmp_path: Path, stage: Stage) -> None:
    copy = tmp_path / "model"
    shutil.copytree(BUILTIN_FOLDER, copy)
    same = open_parser(ParseJob(model=str(copy)))
    assert same.identity == stage.identity
    (copy / "words.txt").write_text("only\nthese\n")
    changed = open_parser(ParseJob(model=str(copy)))
    assert changed.identity != stage.identity
    with pytest.raises(BadInputError, match="changed since the job began"):
        same.setup()


def test_missing_pipeline_is_named() -> None:
    with pytest.raises(BadInputError, match=r"parse\.model 'no_such_model': no such folder and no such installed"):
        open_parser(ParseJob(model="no_such_model"))


def test_pipeline_of_another_language_is_refused(tmp_path: Path) -> None:
    import spacy

    spacy.blank("de").to_disk(tmp_path / "de")
    with pytest.raises(BadInputError, match="a pipeline for 'de'"):
        CaptionParser(str(tmp_path / "de"))


@pytest.mark.parametrize("name", ["conventions.json", "tok2vec/model", "meta.json", "parser/moves"])
def test_damaged_file_of_a_pipeline_is_an_error_message(tmp_path: Path, name: str) -> None:
    shutil.copytree(BUILTIN_FOLDER, tmp_path / "model")
    damaged = tmp_path / "model" / name
    damaged.write_bytes(damaged.read_bytes()[:40] + b"\x00]")
    with pytest.raises(BadInputError, match="cannot be"):
        CaptionParser(str(tmp_path / "model"))


def test_damaged_pipeline_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.cfg").write_text("[nlp]\nlang = 3\n")
    with pytest.raises(BadInputError, match="cannot be loaded"):
        CaptionParser(str(tmp_path))
