"""From outputs and audit samples to a calibration, and on to labels with probabilities."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from audit_sample_made import judge, labelled_by_prior, sample_of_all
from outputs_made import make_output, riding
from typer.testing import CliRunner

from pipeline.calibrate import calibrate
from pipeline.cli import app
from pipeline.evaluate.labels import evaluate_labels
from pipeline.label import label, prepare
from schemas import BadInputError, ConflictError, UserError
from schemas.job import build_job
from stages.audit.calibration import CalibrationConfig
from stages.evaluate.label_score import LabelConventions
from stages.pack import committed_scenes
from stages.storage import Folder
from stages.tag import load_calibration, open_tagger

FEW = CalibrationConfig(num_resamples=20)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def output(folder: Path, count: int, *, seed: int = 0) -> str:
    """An output of which scores below 0.5 are never right, and others always."""
    chance = random.Random(seed)
    scores = [round(chance.random(), 6) for _ in range(count)]
    scenes = [
        riding(f"made-{i}", score=score, human="ride" if score > 0.5 else "lead") for i, score in enumerate(scores)
    ]
    return str(make_output(folder, [scenes]))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """Drawn scenes labelled by the prior."""
    return labelled_by_prior(tmp_path_factory.mktemp("calibrate") / "drawn", 30)


@pytest.fixture(scope="module")
def judged(drawn, tmp_path_factory) -> Path:
    """A sample of them, half judged by two auditors who differ at times, half by one."""
    folder = tmp_path_factory.mktemp("calibrate") / "sample"
    _, items = sample_of_all(drawn, folder)
    num = len(items)
    ann = {item.number: "right" if item.score > 0.4 else "wrong box" for item in items}
    bob = {item.number: "unsure" if item.number % 5 == 0 else "right" for item in items[: num // 2]}
    judge(folder, "ann", ann, num_items=num)
    judge(folder, "bob", bob, num_items=num)
    return folder


@pytest.fixture(scope="module")
def fitted(drawn, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("calibrate") / "calibration.json"
    calibrate([str(drawn)], path, config=FEW)
    return path


# Fitting


@pytest.mark.parametrize("truth", ["closed", "spoken_pairs"])
def test_before_it_is_what_evaluate_labels_says_of_the_same_output(drawn, tmp_path, truth):
    kind = calibrate([str(drawn)], tmp_path / "c.json", config=FEW, truth=truth).calibration.kinds["tagger"]
    found = evaluate_labels(str(drawn), conventions=LabelConventions(truth=truth), num_resamples=1, num_ap_resamples=1)
    row = found.score.overall
    assert kind.num_labels == row.num_labels
    assert kind.share_right == pytest.approx(row.precision.value, abs=1e-6)
    before = kind.figures["before"]
    for name in ("ece_width", "ece_mass", "brier"):
        assert before[name]["value"] == pytest.approx(getattr(row, name).value, abs=1e-6), name


def test_what_scores_do_not_say_probabilities_do(tmp_path):
    summary = calibrate([output(tmp_path / "out", 200)], tmp_path / "c.json", config=FEW)
    kind = summary.calibration.kinds["tagger"]
    assert kind.probability("ride", 0.3) < 0.05
    assert kind.probability("ride", 0.7) > 0.95
    assert kind.figures["before"]["ece_width"]["value"] > 0.2
    assert kind.figures["after"]["ece_width"]["value"] < 0.05


def test_verdicts_of_a_sample_are_learned_from(judged, drawn, tmp_path):
    kind = calibrate([str(judged)], tmp_path / "c.json", config=FEW).calibration.kinds["tagger"]
    assert kind.probability("ride", 0.1) < 0.6 < kind.probability("ride", 0.95)
    (source,) = json.loads((tmp_path / "c.json").read_bytes())["fitted"]["sources"]
    assert (source["kind"], source["auditors"], source["num_labels"]) == ("sample", ["ann", "bob"], kind.num_labels)
    # The output is there, so it is known whose scores they are.
    (tagger,) = load_calibration(str(tmp_path / "c.json")).taggers
    assert tagger.startswith("tag/prior/1 ")


def test_mixed_sources_add_up_and_their_order_changes_no_byte(judged, drawn, tmp_path):
    paths = [tmp_path / "one.json", tmp_path / "other.json"]
    sources = [str(judged), str(drawn)]
    alone = [calibrate([source], tmp_path / "alone.json", config=FEW).calibration for source in sources]
    for path, order in zip(paths, (sources, sources[::-1]), strict=True):
        found = calibrate(order, path, config=FEW).calibration
        assert found.kinds["tagger"].num_labels == sum(one.kinds["tagger"].num_labels for one in alone)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_sample_whose_output_is_gone_can_be_fitted_but_nobody_knows_whose_scores_they_are(drawn, tmp_path):
    sample, items = sample_of_all(drawn, tmp_path / "made")
    away = tmp_path / "away"
    away.mkdir()
    document = json.loads((tmp_path / "made" / "sample.json").read_bytes())
    (away / "sample.json").write_text(json.dumps({**document, "output": str(tmp_path / "gone")}))
    (away / "items.jsonl").write_bytes((tmp_path / "made" / "items.jsonl").read_bytes())
    judge(away, "ann", {item.number: "right" for item in items}, num_items=sample.num_items)
    summary = calibrate([str(away)], tmp_path / "c.json", config=FEW)
    assert summary.calibration.taggers == ()
    assert "scores of unknown; `label` cannot tell" in str(summary)


def test_bad_sources_are_named(drawn, tmp_path, judged):
    target = tmp_path / "c.json"
    with pytest.raises(BadInputError, match=r"no dataset\.json here.*; and no sample\.json either: give audit samples"):
        calibrate([str(tmp_path)], target, config=FEW)
    with pytest.raises(UserError, match=r"drawn: is the same as .*drawn; give each source once"):
        calibrate([str(drawn), str(judged), str(drawn)], target, config=FEW)
    blind = make_output(tmp_path / "blind", [[riding("made-0", human=None)]])
    with pytest.raises(BadInputError, match=r"blind: no human relations in any scene with pseudo-labels"):
        calibrate([str(blind)], target, config=FEW)
    with pytest.raises(BadInputError, match="scene 'made-0' is there twice"):
        calibrate([str(make_output(tmp_path / "twice", [[riding("made-0"), riding("made-0")]]))], target, config=FEW)
    sample_of_all(drawn, tmp_path / "unjudged")
    with pytest.raises(BadInputError, match="right: none; a calibration needs 30"):
        calibrate([str(tmp_path / "unjudged")], target, config=FEW)
    with pytest.raises(UserError, match="--truth open: give one of closed, spoken_pairs, judged"):
        calibrate([str(drawn)], target, config=FEW, truth="open")
    assert not target.exists()


def test_scores_of_two_taggers_do_not_mix(drawn, tmp_path):
    other = make_output(tmp_path / "other", [[riding(f"made-{i}") for i in range(4)]])
    path = Path(other.path("dataset.json"))
    document = json.loads(path.read_bytes())
    document["settings"]["stages"] = {"tag": "tag/relation_tagger/1 sha256:ab own_texts"}
    path.write_text(json.dumps(document))
    with pytest.raises(
        BadInputError, match=r"several taggers, tag/prior/1 \w+ and tag/relation_tagger/1 sha256:ab, wh"
    ):
        calibrate([str(drawn), str(other)], tmp_path / "c.json", config=FEW)


# The command


def test_the_command_tells_before_and_after_and_json_has_the_whole_file(tmp_path):
    url, target = output(tmp_path / "out", 120), tmp_path / "new" / "c.json"
    told = run("calibrate", url, "--output", target, "--families", "none", "--method", "isotonic")
    assert told.exit_code == 0, told.output
    assert f"{target}: {target.stat().st_size} bytes, sha256 {load_calibration(str(target)).sha256}" in told.output
    assert "tagger: 120 labels in 120 scenes, mean score 0." in told.output
    assert "isotonic, one map for all" in told.output
    assert "calibration error, equal width  0." in told.output
    text = target.read_bytes()
    as_json = run("calibrate", url, "--output", target, "--families", "none", "--method", "isotonic", "--json")
    document = json.loads(as_json.output)
    assert target.read_bytes() == text
    assert document["kinds"] == json.loads(text)["kinds"]
    assert document["too_few"] == {}


def test_families_of_a_file_are_taken(tmp_path):
    (tmp_path / "families.json").write_text('{"ride": "motion"}')
    url, target = output(tmp_path / "out", 120), tmp_path / "c.json"
    told = run("calibrate", url, "--output", target, "--families", tmp_path / "families.json")
    assert told.exit_code == 0, told.output
    assert load_calibration(str(target)).fitted["settings"]["families"] == {"ride": "motion"}


# Labelling


def job_file(folder: Path, **tag) -> Path:
    path = folder / "job.yaml"
    document = {
        "dataset": {"format": "scenes", "count": 8, "seed": 9}, "tag": {"backend": "prior", **tag}, "output": "out",
        "unit_size": 4,
    }  # fmt: skip
    path.write_text(json.dumps(document))
    return path


def test_label_stores_the_probability_and_changes_nothing_else(fitted, tmp_path):
    plain, with_it = tmp_path / "plain", tmp_path / "with"
    for folder in (plain, with_it):
        folder.mkdir()
    (with_it / "c.json").write_bytes(fitted.read_bytes())
    assert run("label", job_file(plain), "--quiet").exit_code == 0
    done = run("label", job_file(with_it, calibration="c.json"), "--quiet")
    assert done.exit_code == 0, done.output
    kind = load_calibration(str(fitted)).kinds["tagger"]
    pairs = list(zip(*(committed_scenes(Folder(str(one / "out"))) for one in (plain, with_it)), strict=True))
    assert len(pairs) == 8
    tagged = [one for _, scene in pairs for one in scene.relations if one.source == "tagger"]
    assert tagged
    for one in tagged:
        assert one.probability == kind.probability(one.predicate, one.score)
    for before, after in pairs:
        without = tuple(replace(one, probability=None) for one in after.relations)
        assert replace(after, relations=without, provenance=before.provenance) == before
    found = evaluate_labels(
        str(with_it / "out"), conventions=LabelConventions(use="probability"), num_resamples=1, num_ap_resamples=1
    )
    assert found.score.num_without_probability == 0
    # Without a calibration a job is what it was before there were any.
    settings = json.loads((plain / "out" / "dataset.json").read_bytes())["settings"]
    assert settings["tag"] == {"backend": "prior", "min_score": 0.0}
    assert settings["stages"]["tag"] == open_tagger(build_job(json.loads(job_file(plain).read_text())).tag).identity


def test_another_calibration_is_another_job(fitted, tmp_path):
    path = tmp_path / "c.json"
    path.write_bytes(fitted.read_bytes())
    job = build_job(json.loads(job_file(tmp_path, calibration="c.json").read_text()), base=tmp_path)
    first = prepare(job)
    label(first, quiet=True)
    moved = tmp_path / "moved.json"
    path.rename(moved)
    again = job.model_copy(update={"tag": job.tag.model_copy(update={"calibration": str(moved)})})
    assert prepare(again).digest == first.digest
    document = json.loads(moved.read_bytes())
    document["kinds"]["tagger"]["share_right"] = 0.5
    moved.write_text(json.dumps(document))
    with pytest.raises(ConflictError, match=r"stages\.tag: .*calibration=.* there, .*calibration=.* in this job"):
        prepare(again)


def test_a_missing_or_damaged_calibration_ends_the_command_before_anything_is_written(tmp_path):
    for text in (None, "{}"):
        if text is not None:
            (tmp_path / "c.json").write_text(text)
        with pytest.raises(BadInputError, match=r"tag\.calibration: .*c\.json"):
            prepare(build_job(json.loads(job_file(tmp_path, calibration="c.json").read_text()), base=tmp_path))
    assert not (tmp_path / "out").exists()
