"""From an output folder, and perhaps another with the truth, to tables."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from outputs_made import dead, make_output, rejected, riding

from pipeline.evaluate.labels import evaluate_labels
from schemas import BadInputError, Region, Relation, Scene, UserError
from stages.evaluate import FalsePositives
from stages.evaluate.label_score import LabelConventions
from stages.storage import Folder

FEW = {"num_resamples": 20, "num_ap_resamples": 10}


def output(folder: Path, *scenes: Scene, seal: bool = True) -> str:
    """The URL of an output with two units: the first scene, and the rest."""
    return str(make_output(folder, [scenes[:1], [*scenes[1:], rejected("made-x"), dead("made-y")]], seal=seal))


@pytest.fixture
def labelled(tmp_path: Path) -> str:
    """One label right, one wrong, one that no human judged."""
    return output(
        tmp_path / "labelled",
        riding("made-0", score=0.8),
        riding("made-1", human="lead", score=0.2),
        riding("made-2", human=None),
    )


def truth_of(*scenes: Scene) -> list[Scene]:
    """The human relations of scenes, on regions with other ids and slightly other boxes."""
    return [
        replace(
            scene,
            regions=tuple(
                replace(one, id=one.id + 100, box=(one.box[0] + 1, *one.box[1:])) for one in reversed(scene.regions)
            ),
            relations=tuple(
                replace(one, subject=one.subject + 100, object=one.object + 100)
                for one in scene.relations
                if one.source == "human"
            ),
        )
        for scene in scenes
    ]


def test_labels_are_measured_against_the_human_relations_of_their_own_scenes(labelled):
    result = evaluate_labels(labelled, **FEW)
    score = result.score
    assert (score.num_scenes, score.num_left_out, result.num_unknown, result.num_unlabelled) == (2, 1, 0, 0)
    assert (score.overall.num_labels, score.overall.num_human, score.overall.num_matched) == (2, 2, 1)
    assert score.overall.precision.value == score.overall.recall.value == 0.5
    assert score.overall.ap.value == 0.5
    assert score.false_positives == FalsePositives(denied=0, other_predicate=1, silent_pair=0)
    assert [row.name for row in score.by_source] == ["tagger"]
    assert [row.name for row in score.by_predicate] == ["ride", "lead"]
    assert (result.predictions_job, result.ground_truth_job) == ("0123456789abcdef" * 4, None)


def test_a_truth_with_regions_of_its_own_is_matched_by_them(labelled, tmp_path):
    truth = output(tmp_path / "truth", *truth_of(riding("made-0"), riding("made-1", human="lead"), riding("made-2")))
    own, other = evaluate_labels(labelled, **FEW).score, evaluate_labels(labelled, truth, **FEW).score
    # The third scene has a human relation there, and its label is right.
    assert (other.num_scenes, other.num_left_out) == (3, 0)
    assert (other.overall.num_labels, other.overall.num_human, other.overall.num_matched) == (3, 3, 2)
    assert other.false_positives == own.false_positives
    strict = evaluate_labels(labelled, truth, conventions=LabelConventions(iou_threshold=0.99), **FEW).score
    assert strict.overall.num_matched == 0


def test_denials_of_another_output_are_believed(labelled, tmp_path):
    no = Relation(3, 5, "ride", "ride", 1.0, "human", state="denied")
    lead = riding("made-0", human="lead")
    truth = output(tmp_path / "truth", *truth_of(replace(lead, relations=(*lead.relations, no))))
    assert evaluate_labels(labelled, truth, **FEW).score.false_positives.denied == 1


def test_scenes_that_only_one_side_has_are_reported_and_those_of_the_truth_count_as_nothing_found(labelled, tmp_path):
    only_there, nothing_there = riding("made-7"), riding("made-8", human=None)
    truth = output(tmp_path / "truth", *truth_of(riding("made-0"), only_there, nothing_there))
    result = evaluate_labels(labelled, truth, **FEW)
    assert (result.num_unknown, result.num_unlabelled, result.score.num_scenes) == (2, 1, 2)
    assert "2 only in the labels, left out; 1 only in the truth, counted as nothing found" in result.to_text()
    assert result.score.overall.recall.value == 0.5
    assert result.to_json()["num_unknown"] == 2


def test_the_text_says_what_was_measured_and_every_figure(labelled):
    text = evaluate_labels(labelled, **FEW).to_text()
    for line in (
        "truth      its own human relations, on the same regions",
        "scenes     2 measured, 1 left out: no human relations",
        "found      1 of 2 human relations, by 2 labels",
        "ranked by  score",
        "intervals  95 %, of 20 resamples of scenes, 10 for AP",
    ):
        assert line in text.splitlines()
    assert "precision, closed               50.0 (0.0 to 100.0)" in text
    assert "predicate  labels  human  precision            recall" in text
    assert "0.10 to 0.20  1       20.0        0.0" in text


def test_an_unsealed_output_says_so(tmp_path):
    url = output(tmp_path / "open", riding("made-0"), riding("made-1"), seal=False)
    result = evaluate_labels(url, **FEW)
    assert not result.predictions_sealed
    assert "(not sealed: more may come)" in result.to_text()


def test_many_predicates_are_cut_in_the_text_only(tmp_path):
    scenes = [riding(f"made-{i}", human=f"verb {i:02d}") for i in range(30)]
    result = evaluate_labels(output(tmp_path / "many", *scenes), **FEW)
    assert "predicate, 20 of 31" in result.to_text()
    assert len(result.csv_rows()) == 1 + 1 + 1 + 31


def test_the_csv_has_a_row_for_overall_each_source_and_each_predicate(labelled):
    result = evaluate_labels(labelled, **FEW)
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert [(row["group"], row["name"]) for row in rows] == [
        ("overall", ""),
        ("source", "tagger"),
        ("predicate", "ride"),
        ("predicate", "lead"),
    ]
    assert float(rows[0]["precision"]) == 0.5
    assert (float(rows[0]["precision_low"]), float(rows[0]["precision_high"])) == (0.0, 1.0)
    assert (rows[3]["precision"], rows[3]["recall"]) == ("", "0.0")


def test_the_json_is_plain_and_says_how_to_measure_again(labelled):
    document = json.loads(json.dumps(evaluate_labels(labelled, seed=7, **FEW).to_json(), allow_nan=False))
    assert document["predictions"] == labelled
    assert document["bootstrap"] == {"num_resamples": 20, "num_ap_resamples": 10, "seed": 7}
    assert document["conventions"] == {"truth": "closed", "use": "score", "iou_threshold": 0.5, "num_bins": 10}
    assert document["overall"]["num_matched"] == 1


# Bad input


def test_a_folder_that_is_no_output_is_named(labelled, tmp_path):
    with pytest.raises(BadInputError, match=r"none: no dataset\.json here"):
        evaluate_labels(str(tmp_path / "none"))
    with pytest.raises(BadInputError, match=r"none: no dataset\.json here"):
        evaluate_labels(labelled, str(tmp_path / "none"))


def test_an_output_without_a_commit_is_named(tmp_path):
    with pytest.raises(BadInputError, match="empty: nothing is committed yet; run `relmill label`"):
        evaluate_labels(str(make_output(tmp_path / "empty", [], seal=False)))


def test_an_output_without_human_relations_asks_for_a_truth(tmp_path):
    url = output(tmp_path / "blind", riding("made-0", human=None), riding("made-1", human=None))
    with pytest.raises(BadInputError, match=r"blind: no human relations of any scene .* as ground truth"):
        evaluate_labels(url)
    with pytest.raises(BadInputError, match="blind: no human relations of any scene"):
        evaluate_labels(url, url)


def test_outputs_without_a_common_scene_are_refused(labelled, tmp_path):
    truth = output(tmp_path / "truth", riding("other-0"), riding("other-1"))
    with pytest.raises(BadInputError, match="have no scene in common; scenes are known by their keys"):
        evaluate_labels(labelled, truth)


def test_a_key_that_comes_twice_is_named(labelled, tmp_path):
    twice = output(tmp_path / "twice", riding("made-0"), riding("made-0"))
    with pytest.raises(BadInputError, match="twice: scene 'made-0' is there twice"):
        evaluate_labels(twice, **FEW)
    with pytest.raises(BadInputError, match=r"twice/index/.*\.parquet: scene 'made-0' is there twice"):
        evaluate_labels(labelled, twice, **FEW)


@pytest.mark.parametrize("argument", ["num_resamples", "num_ap_resamples"])
def test_settings_are_refused_before_anything_is_measured(labelled, argument):
    with pytest.raises(UserError, match=f"{argument} is 0; give 1 or more"):
        evaluate_labels(labelled, **{argument: 0})


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("score", 1.5, "score is 1.5; expected a number in [0, 1]"),
        ("score", float("nan"), "score is nan; expected a number in [0, 1]"),
        ("probability", -0.5, "probability is -0.5; expected a number in [0, 1], or null"),
        ("source", "oracle", "source is 'oracle'; expected one of tagger, caption, geometry, human, derived"),
        ("state", "maybe", "state is 'maybe'; expected one of asserted, denied"),
        ("predicate", None, "predicate is None; expected a text"),
        ("object", None, "object is None; expected a text"),
        ("subject_id", None, "subject_id is None; expected a whole number"),
        ("subject_box", None, "subject_box is None; expected four finite numbers"),
        ("object_box", [0.0, 0.0, float("inf"), 1.0], "expected four finite numbers"),
    ],
)
def test_what_an_index_may_not_hold_is_named_with_its_place(tmp_path, field, value, expected):
    url = output(tmp_path / "bad", riding("made-0"), riding("made-1"))
    index = spoiled_index(Folder(url), field, value)
    with pytest.raises(BadInputError) as caught:
        evaluate_labels(url)
    assert f"{index}: made-0: relation 0: " in str(caught.value)
    assert expected in str(caught.value)


def test_a_truncated_index_is_named(labelled):
    index = next(Path(labelled).glob("index/*.parquet"))
    index.write_bytes(index.read_bytes()[:-9])
    with pytest.raises(BadInputError, match=f"{index.name}: .* bytes, its commit says"):
        evaluate_labels(labelled)


def test_a_region_far_away_is_another_region(labelled, tmp_path):
    moved = [
        replace(scene, regions=tuple(Region(one.id, one.name, (60.0, 40.0, 64.0, 48.0)) for one in scene.regions))
        for scene in truth_of(riding("made-0"), riding("made-1"))
    ]
    score = evaluate_labels(labelled, output(tmp_path / "moved", *moved), **FEW).score
    assert (score.overall.num_matched, score.false_positives.silent_pair) == (0, 2)


def spoiled_index(folder: Folder, field: str, value: object) -> str:
    """Put a value into the first relation of the output's first index, and its new size into the commit; its path."""
    commit_path = Path(folder.path("commits/00000000.json"))
    commit = json.loads(commit_path.read_bytes())
    path = Path(folder.path(commit["index"]["name"]))
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0]["relations"][0][field] = value
    pq.write_table(table.from_pylist(rows, schema=table.schema), path)
    commit["index"]["bytes"] = path.stat().st_size
    commit_path.write_text(json.dumps(commit))
    return str(path)
