"""From a gold file and a parser, or its lines, to a score."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.evaluate.parse import evaluate_parse, print_evaluation
from schemas import BadInputError, InternalError
from stages.parse.parsed import Parse, ParsedAttribute, ParsedPhrase, ParsedRelation

FACTUAL = """\
image_id,region_id,caption,scene_graph
1,1,man with hat .,"( man , with , hat )"
1,2,brown horse,"( horse , is , brown )"
1,3,the pole,( pole )
1,4,man with hat .,"( man , with , hat )"
"""
PARSES = {
    "man with hat .": Parse(
        (ParsedPhrase((0, 3), "man", "man"), ParsedPhrase((9, 12), "hat", "hat")),
        relations=(ParsedRelation(0, "wear", 1, (4, 8), "with"),),
    ),
    "brown horse": Parse((ParsedPhrase((0, 11), "horse", "horse"),), attributes=(ParsedAttribute(0, "brown"),)),
    "the pole": Parse((ParsedPhrase((0, 8), "pole", "pole"),)),
}


def parse(captions: Sequence[str]) -> list[Parse]:
    return [PARSES[caption] for caption in captions]


def parse_nothing(captions: Sequence[str]) -> list[Parse]:
    return [Parse()] * len(captions)


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    path = tmp_path / "gold.csv"
    path.write_text(FACTUAL)
    return path


def lines(folder: Path, *captions: str) -> Path:
    path = folder / "parses.jsonl"
    path.write_text("".join(json.dumps(PARSES[one].to_json(one)) + "\n" for one in captions))
    return path


def test_a_parser_that_reads_all_scores_one(gold):
    result = evaluate_parse(gold, parse=parse, model="by hand")
    assert (result.format, result.model, result.gold) == ("factual", "by hand", "gold.csv")
    assert result.score.num_captions == 4
    assert result.score.set_match.value == result.score.spice.value == result.score.relations.f1.value == 1
    assert result.score.attributes.f1.value == 1


def test_a_parser_that_reads_nothing_scores_nought(gold):
    score = evaluate_parse(gold, parse=parse_nothing).score
    assert score.set_match.value == score.spice.value == score.relations.recall.value == 0
    assert score.relations.precision.value is None


@pytest.mark.parametrize(
    "order",
    [
        ("man with hat .", "brown horse", "the pole", "man with hat ."),
        ("the pole", "man with hat .", "brown horse"),
    ],
    ids=["in the order of the gold", "in another, once each"],
)
def test_lines_score_as_the_parser_that_wrote_them(gold, tmp_path, order):
    path = lines(tmp_path, *order)
    result = evaluate_parse(gold, predictions=path)
    assert result.score == evaluate_parse(gold, parse=parse).score
    assert result.model == "parses.jsonl"


def test_a_caption_without_a_line_is_named(gold, tmp_path):
    with pytest.raises(BadInputError, match=r"no line for the caption 'the pole' .*gold\.csv: row 3"):
        evaluate_parse(gold, predictions=lines(tmp_path, "man with hat .", "brown horse"))


def test_a_malformed_line_is_named(gold, tmp_path):
    path = tmp_path / "parses.jsonl"
    path.write_text('{"caption": "brown horse", "phrases": [], "relations": 3, "attributes": []}\n')
    with pytest.raises(BadInputError, match=r"parses\.jsonl: line 1: `relations` is 3, not a list"):
        evaluate_parse(gold, predictions=path)


def test_gold_lines_score_relations_by_heads(tmp_path):
    path = tmp_path / "gold.jsonl"
    path.write_text(
        '{"image_id": 1, "caption": "man with hat .", "relations": [["old man", "wear", "hat"]]}\n'
        '{"image_id": 2, "caption": "the pole", "relations": []}\n'
    )
    result = evaluate_parse(path, parse=parse)
    assert result.format == "relations"
    # Our own predicate, `wear`: nothing is translated.
    assert result.score.relations.f1.value == result.score.pairs.f1.value == 1
    assert result.score.set_match is None
    assert result.to_json()["attributes"] is None


@pytest.mark.parametrize("text", ["", "\n\n", FACTUAL.splitlines()[0] + "\n"])
def test_a_gold_file_without_captions_is_refused(tmp_path, text):
    path = tmp_path / "gold.csv"
    path.write_text(text)
    with pytest.raises(BadInputError, match=r"gold\.csv: (has no column|holds no captions)"):
        evaluate_parse(path, parse=parse)


def test_missing_files_are_named(gold, tmp_path):
    with pytest.raises(BadInputError, match=r"none\.csv: no such file; give FACTUAL's CSV, or one JSON object"):
        evaluate_parse(tmp_path / "none.csv", parse=parse)
    with pytest.raises(BadInputError, match=r"none\.jsonl: no such file; give what `relmill parse` wrote"):
        evaluate_parse(gold, predictions=tmp_path / "none.jsonl")


def test_a_parser_that_loses_a_caption_is_a_bug_of_ours(gold):
    with pytest.raises(InternalError, match="3 results for 4 captions"):
        evaluate_parse(gold, parse=lambda captions: parse(captions)[:3])


def test_the_result_is_plain_json_and_comes_again_with_its_seed(gold):
    one, other = (evaluate_parse(gold, parse=parse, seed=3, num_resamples=20) for _ in range(2))
    assert one == other
    document = json.loads(json.dumps(one.to_json()))
    assert document["seed"] == 3
    assert document["resamples"] == 20
    assert document["captions"] == 4
    assert document["relations"]["predicted"] == 2
    assert document["set_match"] == {"value": 1.0, "interval_95": [1.0, 1.0]}


def test_the_table_has_a_line_for_each_metric(gold, capsys):
    print_evaluation(evaluate_parse(gold, parse=parse, model="by hand"))
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "gold   gold.csv: 4 captions, FACTUAL graphs, names compared as lemmas"
    assert printed[1] == "model  by hand"
    assert [line.split("  ")[0] for line in printed[4:]] == [
        "metric",
        "Set Match",
        "SPICE",
        "SPICE, no synonyms",
        "relations",
        "relations, lenient",
        "pairs",
        "attributes",
    ]


def test_real_captions_are_scored(test_data):
    gold = test_data / "captions" / "factual_dev.csv"
    if not gold.is_file():
        pytest.skip("no factual_dev.csv among the test data")
    score = evaluate_parse(gold, parse=parse_nothing, num_resamples=10).score
    assert score.num_captions > 0
    assert score.spice.value == 0
    assert score.relations.predicted == 0 < score.relations.gold
