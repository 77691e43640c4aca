"""`relmill trace`: from a key to the reasons of a label, on a terminal."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from audit_sample_made import labelled_by_prior
from outputs_made import dead, make_output, rejected, riding
from typer.testing import CliRunner

from pipeline.audit.trace import trace
from pipeline.cli import app
from schemas import BadInputError, Relation, UserError
from schemas.layer import Layer, SceneStatements, Statement
from stages.audit import log_digest, trace_of
from stages.pack import CommitLog, append_layer, committed_scenes, read_index
from stages.storage import Folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Path:
    """A job's output, with the job file beside it."""
    folder = tmp_path_factory.mktemp("trace")
    (folder / "job.yaml").write_text("dataset: {format: scenes, count: 12}\noutput: out\n")
    return labelled_by_prior(folder / "out")


@pytest.fixture
def made(tmp_path: Path) -> Folder:
    """Three units of two scenes; `made-03` was rejected and `made-04` died."""
    units = [[riding(f"made-{u * 2:02d}"), riding(f"made-{u * 2 + 1:02d}")] for u in range(3)]
    units[1][1] = rejected("made-03")
    units[2][0] = dead("made-04")
    return make_output(tmp_path / "out", units)


def run(*arguments: object):
    return CliRunner().invoke(app, ["trace", *map(str, arguments)])


def tagged(folder: Path) -> tuple[str, int, str]:
    """Key, place and triplet of the first label whose triplet its scene has once."""
    for scene in committed_scenes(Folder(str(folder)), pixels=False):
        names = {region.id: region.name for region in scene.regions}
        words = [f"{names[r.subject]} {r.predicate} {names[r.object]}" for r in scene.relations]
        for number, relation in enumerate(scene.relations):
            if relation.source == "tagger" and words.count(words[number]) == 1:
                return scene.key, number, words[number]
    raise AssertionError("no label")


def test_without_a_relation_the_scene_s_are_listed(made: Folder) -> None:
    shown = run(made, "made-01")
    assert shown.exit_code == 0, shown.output
    assert shown.output.splitlines() == [
        "made-01  2 relations",
        "  0  person#3 ride horse#5  (0.830, tagger)",
        "  1  person#3 ride horse#5  (1.000, human)",
    ]
    rows = json.loads(run(made, "made-01", "--json").output)
    assert [(row["number"], row["subject"]["name"], row["source"]) for row in rows] == [
        (0, "person", "tagger"),
        (1, "person", "human"),
    ]


def test_a_label_is_traced_to_its_words(labelled: Path) -> None:
    key, number, words = tagged(labelled)
    shown = run(labelled, key, number)
    assert shown.exit_code == 0, shown.output
    text = shown.output
    assert text.startswith(f"{key}  relation {number}  ")
    for part in ("because", "It rests on the words of", "caption ", "read as", "this pair", "tag/prior/1", "parse/2"):
        assert part in text
    assert "\x1b" not in text
    assert run(labelled, key, words).output == text
    assert run(labelled.parent / "job.yaml", key, number).output == text


def test_on_a_terminal_it_has_colours(made: Folder) -> None:
    assert "\x1b[" in trace(made.url, "made-00", "0").to_text(colour=True)


def test_json_is_the_trace(labelled: Path) -> None:
    key, number, _ = tagged(labelled)
    (scene,) = [scene for scene in committed_scenes(Folder(str(labelled)), pixels=False) if scene.key == key]
    document = json.loads(run(labelled, key, number, "--json").output)
    assert (document.pop("parses"), document.pop("unparsed")) == ([], "")
    assert document == trace_of(scene, number).to_json()


def test_the_parse_is_shown_by_the_pipeline_that_made_it(labelled: Path) -> None:
    key, number, _ = tagged(labelled)
    shown = run(labelled, key, number, "--parse")
    assert shown.exit_code == 0, shown.output
    assert "parse of caption" in shown.output
    assert "UPOS" in shown.output
    assert "rule" in shown.output
    document = json.loads(run(labelled, key, number, "--parse", "--json").output)
    assert [one["caption"] for one in document["parses"]] == [one["caption"] for one in document["evidence"]]


def test_another_parser_is_not_passed_off_as_the_one_that_was_used(tmp_path: Path) -> None:
    scene = riding("made-00")
    scene.provenance.stages["parse"] = "parse/2 0123456789ab"
    output = make_output(tmp_path / "out", [[scene]])
    shown = run(output, "made-00", 0, "--parse").output
    assert "no parse: the captions were parsed by parse/2 0123456789ab, and builtin is parse/" in shown
    assert "UPOS" not in shown


def test_a_scene_that_does_not_say_its_parser_is_not_parsed(made: Folder) -> None:
    assert "no parse: the scene does not say what parsed its captions" in run(made, "made-00", 0, "--parse").output
    assert "no parse: the relation rests on no caption" in run(made, "made-00", 1, "--parse").output


@pytest.mark.parametrize("words", ["person ride horse", " Person  RIDE horse", "person#3 ride #5"])
def test_words_that_fit_several_relations_list_them(made: Folder, words: str) -> None:
    with pytest.raises(UserError, match="give the number of one of") as raised:
        trace(made.url, "made-00", words)
    assert "person#3 ride horse#5  (0.830, tagger)" in str(raised.value)


def test_the_caption_s_own_words_are_understood(made: Folder) -> None:
    assert trace(made.url, "made-00", "person riding horse").trace.number == 0


def test_words_that_fit_none_list_what_there_is(made: Folder) -> None:
    with pytest.raises(UserError, match="no relation is 'cat on mat'; give the number of one of\n  0  person#3 ride"):
        trace(made.url, "made-00", "cat on mat")


def test_a_number_that_is_none_says_how_many_there_are(made: Folder) -> None:
    with pytest.raises(UserError, match="no relation 7; its relations are 0 to 1"):
        trace(made.url, "made-00", "7")


def test_a_rejected_or_dead_scene_says_why(made: Folder) -> None:
    with pytest.raises(BadInputError, match="made-03 was not written: rejected by screen, image-truncated"):
        trace(made.url, "made-03", None)
    with pytest.raises(BadInputError, match="made-04 was not written: dead by tag, exception: ValueError: boom"):
        trace(made.url, "made-04", None)


@pytest.mark.parametrize(("key", "near"), [("made-0", "made-0[01]"), ("zebra", "made-05"), ("a", "made-00")])
def test_a_key_that_is_not_there_names_some_that_are(made: Folder, key: str, near: str) -> None:
    with pytest.raises(
        BadInputError, match=f"no scene '{key}' among its 4 scenes; keys there are for example .*{near}"
    ):
        trace(made.url, key, None)


def test_what_is_no_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no dataset\.json here"):
        trace(str(tmp_path), "made-00", None)


def test_what_people_said_later_is_told(made: Folder) -> None:
    """A layer over the shards denies the label; the label keeps its place."""
    (row,) = [row for row in read_index(made, next(iter(CommitLog(made).entries()))) if row["key"] == "made-00"]
    length, digest = log_digest(made)
    denied = Statement(3, 5, "ride", "riding", "denied", ("ann",))
    layer = Layer(0, "", length, digest, "sample", ("ann",), {"made-00": SceneStatements(row["json_crc32"], (denied,))})
    assert append_layer(made, layer)
    explained = trace(made.url, "made-00", "0")
    assert [(one.source, one.state) for one in explained.trace.others] == [("human", "denied")]
    assert "not ride  (1.000, human)" in explained.to_text(colour=False)


def test_names_and_captions_cannot_steer_the_terminal(tmp_path: Path) -> None:
    hostile = "a man\x1b[2J riding\u202e a horse"
    scene = riding("made-00", caption=hostile)
    relations = (*scene.relations, Relation(3, 5, "on\x1b[31m", "on\nme", 0.5, "tagger"))
    output = make_output(tmp_path / "out", [[replace(scene, relations=relations)]])
    for place in ("0", "2"):
        text = trace(output.url, "made-00", place).to_text(colour=False)
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "\\x1b[31m" in trace(output.url, "made-00", None).to_text(colour=False)
