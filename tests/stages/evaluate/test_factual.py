"""FACTUAL's files are read whole or refused by place; what we read is said in its words."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import BadInputError
from stages.evaluate.caption_lines import (
    ReadCaption,
    StatedRelation,
    read_caption,
    read_gold_lines,
    read_parses,
)
from stages.evaluate.factual import factual_attribute, factual_graph, factual_name, factual_relation, read_factual
from stages.evaluate.graphs import SceneGraph, score_graphs
from stages.parse.parsed import Parse, ParsedAttribute, ParsedPhrase, ParsedRelation

HEADER = "image_id,region_id,caption,scene_graph\n"


def graph(*tuples: tuple[str, ...]) -> SceneGraph:
    return SceneGraph.of(tuples)


def csv_file(folder: Path, *rows: str, header: str = HEADER) -> str:
    path = folder / "gold.csv"
    path.write_text(header + "".join(f"{row}\n" for row in rows))
    return str(path)


def relation(subject: str, predicate: str, object_: str, text: str | None = None) -> StatedRelation:
    return StatedRelation(subject, predicate, object_, predicate if text is None else text)


def read(*relations: StatedRelation, names: tuple[str, ...] = (), attributes: tuple[tuple[str, str], ...] = ()):
    return ReadCaption("", names, relations, attributes)


# Reading


def test_a_row_is_a_caption_with_its_graph(tmp_path):
    path = csv_file(
        tmp_path,
        '1,2,"two boys, riding skateboards","( boys , is , 2 ) , ( boys , ride , skateboards )"',
        "1,3,the pole,( pole )",
    )
    first, second = read_factual(path)
    assert first.text == "two boys, riding skateboards"
    assert first.graph == graph(("boy", "is", "2"), ("boy", "ride", "skateboard"))
    assert second.graph == graph(("pole",))
    assert second.where == f"{path}: row 2"


def test_spaces_round_a_tuple_and_a_comma_do_not_matter(tmp_path):
    (caption,) = read_factual(csv_file(tmp_path, '1,2,a b,"(man,on,horse),( horse , is ,brown )  "'))
    assert caption.graph == graph(("man", "on", "horse"), ("horse", "is", "brown"))


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("", "no `( ... )` at character 0"),
        ("man on horse", "no `( ... )` at character 0"),
        ("( man , on , horse", "no `( ... )` at character 0"),
        ("( man , on , ( horse ) )", "no `( ... )` at character 0"),
        ("( man , on , horse ) ,", "no `( ... )` at character 22"),
        ("( man , on , horse ) ( dog )", "'(' at character 21"),
        ("( man , on , horse ) )", "')' at character 21"),
        ("( man , on )", "`( man , on )` has 2 parts"),
        ("( man , on , horse , grass )", "has 4 parts"),
        ("( man , , horse )", "has an empty part"),
        ("( )", "has an empty part"),
    ],
)
def test_a_malformed_graph_is_named_with_its_row_and_column(tmp_path, cell, problem):
    path = csv_file(tmp_path, "1,2,the pole,( pole )", f'1,3,a man,"{cell}"')
    with pytest.raises(BadInputError) as error:
        read_factual(path)
    assert str(error.value).startswith(f"{path}: row 2, column scene_graph: ")
    assert problem in str(error.value)
    assert "expected `( subject , relation , object )`" in str(error.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no column 'caption'; found '', expected image_id,region_id,caption,scene_graph"),
        ("image_id,caption\n1,a\n", "has no column 'scene_graph'; found 'image_id,caption'"),
        (f"{HEADER}1,2,a\n", "row 1: 3 values for 4 columns; expected image_id"),
        (f"{HEADER}1,2,  ,( a )\n", "row 1, column caption: is empty"),
        (f'{HEADER}1,2,"a\n', "not valid CSV"),
    ],
)
def test_a_file_that_is_not_factuals_is_refused(tmp_path, text, problem):
    path = tmp_path / "gold.csv"
    path.write_text(text)
    with pytest.raises(BadInputError) as error:
        read_factual(str(path))
    assert str(error.value).startswith(str(path))
    assert problem in str(error.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "gold.csv"
    path.write_bytes(HEADER.encode() + b"1,2,caf\xe9,( cafe )\n")
    with pytest.raises(BadInputError, match="not UTF-8"):
        read_factual(str(path))


@pytest.mark.parametrize("split", ["train", "dev"])
def test_the_published_splits_are_read_whole_and_are_perfect_to_themselves(test_data, split):
    path = test_data / "captions" / f"factual_{split}.csv"
    if not path.is_file():
        pytest.skip(f"no {path.name} among the test data")
    captions = read_factual(str(path))
    assert len(captions) == len(path.read_text(encoding="utf-8").splitlines()) - 1
    graphs = [caption.graph for caption in captions[:500]]
    assert all(one.tuples for one in graphs)
    score = score_graphs([(one, one) for one in graphs], num_resamples=10)
    assert score.set_match.value == score.spice_exact.value == score.relations.f1.value == 1


# Conventions


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (relation("man", "have", "dog", "with"), ("man", "with", "dog")),
        (relation("man", "have", "dog", "is blue with"), ("man", "with", "dog")),
        (relation("man", "have", "leg", "of"), ("man", "have", "leg")),
        (relation("man", "have", "leg", "'s"), ("man", "have", "leg")),
        (relation("man", "have", "dog", "has"), ("man", "have", "dog")),
        (relation("man", "wear", "hat", "with"), ("man", "with", "hat")),
        (relation("man", "wear", "hat", "with hat on"), ("man", "wear", "hat")),
        (relation("man", "wear", "hat", "in"), ("man", "wear", "hat")),
        (relation("man", "wear", "hat", "wearing"), ("man", "wear", "hat")),
        (relation("man", "wear", "hat", "'s"), ("man", "have", "hat")),
        (relation("man", "wear", "hat", "has"), ("man", "have", "hat")),
        (relation("man", "wear", "hat", "has hat on"), ("man", "wear", "hat")),
        (relation("man", "wear", "hat", "on"), ("hat", "on", "man")),
        (relation("cat", "lie on", "bed", "laying on"), ("cat", "lay on", "bed")),
        (relation("cat", "lie", "bed"), ("cat", "lay", "bed")),
        (relation("roof", "cover with", "snow"), ("snow", "cover", "roof")),
        (relation("roof", "cover in", "snow"), ("snow", "cover", "roof")),
        (relation("street", "line with", "tree"), ("tree", "line", "street")),
        (relation("man", "hold up", "sign"), ("man", "hold", "sign")),
        (relation("man", "hold up to", "ear"), ("man", "hold up to", "ear")),
        (relation("cat", "beneath", "bed"), ("cat", "under", "bed")),
        (relation("cat", "sleep below", "bed"), ("cat", "sleep under", "bed")),
        (relation("cup", "to the left of", "fork"), ("cup", "at the left of", "fork")),
        (relation("cup", "stand to the right of", "fork"), ("cup", "stand on the right side of", "fork")),
        (relation("boat", "in middle of", "lake"), ("boat", "on middle of", "lake")),
        (relation("man", "fill with", "water"), ("man", "fill with", "water")),
        (relation("man", "ride", "horse"), ("man", "ride", "horse")),
    ],
)
def test_a_relation_in_factuals_words(ours, theirs):
    assert factual_relation(ours) == theirs


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("brown", "brown"),
        ("5", "5"),
        ("1", None),
        ("several", None),
        ("group of", "group of"),
        ("groups of", "group of"),
        ("slices of", "slice"),
        ("piece of", "piece"),
        ("pair of", None),
        ("bunch of", None),
        ("wood", "wooden"),
        ("Blond", "blonde"),
    ],
)
def test_an_attribute_in_factuals_words(ours, theirs):
    assert factual_attribute(ours) == theirs


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("cell phone", "cellphone"),
        ("black cell phone case", "black cellphone case"),
        ("excel phone", "excel phone"),
        ("Someone", "person"),
        ("it", None),
        ("man", "man"),
    ],
)
def test_a_name_as_factual_spells_it(ours, theirs):
    assert factual_name(ours) == theirs


def test_a_caption_of_which_nothing_is_said_is_its_lone_things():
    assert factual_graph(read(names=("pole",))) == graph(("pole",))
    assert factual_graph(read(names=("it", "pole"))) == graph(("pole",))
    assert factual_graph(read(names=("pole", "sky"))) == graph(("pole",), ("sky",))
    assert factual_graph(read()) == graph()


def test_what_factual_leaves_out_leaves_the_lone_thing():
    assert factual_graph(read(names=("rock",), attributes=(("rock", "several"),))) == graph(("rock",))


def test_a_phrase_of_which_nothing_is_said_is_left_out_where_another_has_something():
    caption = read(relation("man", "ride", "horse"), names=("man", "horse", "day"), attributes=(("horse", "brown"),))
    assert factual_graph(caption) == graph(("man", "ride", "horse"), ("horse", "is", "brown"))


def test_what_is_said_of_a_pronoun_is_left_out():
    caption = read(relation("it", "on", "table"), names=("it", "table"), attributes=(("it", "brown"),))
    assert factual_graph(caption) == graph(("table",))


@given(st.text(), st.text(), st.text(), st.text(), st.text())
def test_any_words_can_be_translated(subject, predicate, object_, text, value):
    one = StatedRelation(subject, predicate, object_, text)
    assert factual_graph(ReadCaption("", (subject,), (one,), ((object_, value),))) is not None


# Lines

CAPTION = "two men with hats"
PARSE = Parse(
    phrases=(ParsedPhrase((0, 7), "man", "man", plural=True), ParsedPhrase((13, 17), "hat", "hat", plural=True)),
    relations=(ParsedRelation(0, "wear", 1, (8, 12), "with"),),
    attributes=(ParsedAttribute(0, "2"),),
)


def test_a_parse_and_its_line_are_read_alike(tmp_path):
    path = tmp_path / "parses.jsonl"
    path.write_text(json.dumps(PARSE.to_json(CAPTION)) + "\n\n")
    (from_file,) = read_parses(str(path))
    assert from_file == read_caption(PARSE, CAPTION)
    assert factual_graph(from_file) == graph(("man", "with", "hat"), ("man", "is", "2"))
    assert from_file.plain_graph == graph(("man", "wear", "hat"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"caption": None}, "`caption` is None, not a text"),
        ({"phrases": {}}, "`phrases` is {}, not a list"),
        ({"phrases": ["man"]}, "`phrases[0]` is 'man'"),
        ({"phrases": [{"head": "man"}]}, "`phrases[0]`: `name` is None, not a text"),
        ({"relations": [{"subject": "man", "predicate": 3}]}, "`relations[0]`: `predicate` is 3, not a text"),
        ({"attributes": [{"phrase": "man"}]}, "`attributes[0]`: `value` is None, not a text"),
    ],
)
def test_a_malformed_line_is_named_with_its_field(tmp_path, change, problem):
    path = tmp_path / "parses.jsonl"
    lines = [PARSE.to_json(CAPTION), PARSE.to_json(CAPTION) | change]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with pytest.raises(BadInputError) as error:
        read_parses(str(path))
    assert str(error.value).startswith(f"{path}: line 2: {problem}")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not valid JSON"),
        ("[1]", "is [1]; expected one JSON object a line"),
        ('{"relations": []}', "`caption` is None, not a text"),
        ('{"caption": "a"}', "`relations` is None, not a list"),
        ('{"caption": "a", "relations": [["man", "ride"]]}', "`relations[0]` is ['man', 'ride']"),
        ('{"caption": "a", "relations": [["man", "ride", ""]]}', "`relations[0]` is ['man', 'ride', '']"),
        ('{"caption": "a", "relations": ["man"]}', "`relations[0]` is 'man'; expected [subject, predicate, object]"),
    ],
)
def test_a_malformed_gold_line_is_named_with_its_field(tmp_path, line, problem):
    path = tmp_path / "gold.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(BadInputError) as error:
        read_gold_lines(str(path))
    assert problem in str(error.value)
    assert "line 1" in str(error.value)
