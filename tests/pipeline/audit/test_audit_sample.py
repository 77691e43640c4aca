"""`relmill audit sample`: what it writes, says and refuses."""

from pathlib import Path

import pytest
from audit_drawn_made import output_of, relation, repeated
from audit_sample_made import judge, labelled_by_prior
from typer.testing import CliRunner

from pipeline.audit.sample import sample
from pipeline.cli import app, main
from schemas import ConflictError, StorageError, UserError
from stages.audit import check_output, read_item, read_sample
from stages.pack import committed_scenes
from stages.storage import Folder

COUNTS = {("ride", 0.15, "tagger"): 40, ("hold", 0.55, "caption"): 9, ("wear", 0.9, "tagger"): 4}


def run(*arguments: object):
    return CliRunner().invoke(app, ["audit", "sample", *map(str, arguments)])


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sampled") / "out"
    output_of(folder, repeated(COUNTS))
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Path:
    return labelled_by_prior(tmp_path_factory.mktemp("labelled") / "out")


def test_a_sample_of_real_labels_is_drawn_and_read_back(labelled, tmp_path) -> None:
    result = run(labelled, tmp_path / "sample", "--n", 20, "--by", "predicate,source", "--seed", 7, "--auditor", "ana",
                 "--auditor", "ben", "--overlap", 0.2)  # fmt: skip
    assert result.exit_code == 0, result.output
    drawn, items = read_sample(tmp_path / "sample")
    folder = Folder(drawn.output)
    check_output(drawn, folder)
    there = [
        scene.relations[place]
        for scene in committed_scenes(folder, pixels=False)
        for place in range(len(scene.relations))
        if scene.relations[place].source != "human" and scene.relations[place].state == "asserted"
    ]
    assert (drawn.population, len(items), drawn.overlap, drawn.auditors) == (len(there), 20, 0.2, ("ana", "ben"))
    assert [len(drawn.items_of(name)) for name in drawn.auditors] == [12, 12]
    for item in items:
        found = read_item(folder, item).relations[item.relation]
        assert (found.predicate, found.score, found.source) == (item.predicate, item.score, item.source)
        assert drawn.strata[item.stratum].values in ({}, {"predicate": item.predicate, "source": item.source})
    assert f"population  {len(there)} relations" in result.output
    assert "ana 12, ben 12 items; 20% are judged by all" in result.output
    assert f"next: relmill audit serve {tmp_path / 'sample'}" in result.output


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_threads(output, tmp_path) -> None:
    def files(name: str, **options) -> list[bytes]:
        sample(str(output), tmp_path / name, num_drawn=25, **options)
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == ["items.jsonl", "sample.json"]
        return [(tmp_path / name / file).read_bytes() for file in ("items.jsonl", "sample.json")]

    first = files("one", num_threads=1, seed=3)
    assert first == files("four", num_threads=4, seed=3) == files("some", seed=3)
    assert first[0] != files("other", seed=4)[0]


def test_what_is_said_of_strata(output, tmp_path) -> None:
    result = run(output, tmp_path / "sample", "--n", 6, "--by", "predicate", "--allocation", "equal")
    lines = result.output.splitlines()
    assert lines[:3] == [
        f"output      {output}, 6 entries of its log",
        "population  53 relations  (asserted relations that are not of people)",
        "drawn       6 in 3 strata, seed 0",
    ]
    assert lines[4:8] == [
        "predicate  population  drawn  each stands for",
        "ride               40      2             20.0",
        "hold                9      2              4.5",
        "wear                4      2              2.0",
    ]
    merged = run(output, tmp_path / "merged", "--n", 5, "--by", "predicate", "--where", "score < 1")
    assert "where score < 1" in merged.output
    assert "merged      2 strata of 3 are too rare" in merged.output
    assert "all others          13      2" in merged.output
    assert read_sample(tmp_path / "merged")[0].strata[-1].values == {}


def test_a_long_list_of_strata_is_cut_and_names_cannot_steer_the_terminal(tmp_path) -> None:
    relations = [[relation(f"do {number}") for number in range(30)], [relation("\x1b[2J red")] * 3]
    output_of(tmp_path / "out", [relations])
    result = run(tmp_path / "out", tmp_path / "sample", "--by", "predicate")
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert "\\x1b[2J red" in result.output
    assert f"and 7 more; all are in {tmp_path / 'sample' / 'sample.json'}" in result.output


def test_a_job_file_stands_for_its_output(output, tmp_path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(f"dataset: {{format: scenes, count: 1}}\noutput: {output}\n")
    assert run(job, tmp_path / "sample").exit_code == 0
    assert read_sample(tmp_path / "sample")[0].output == str(output)


def test_an_output_is_recorded_from_the_root(output, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(output.parent)
    assert run("out", tmp_path / "sample").exit_code == 0
    assert read_sample(tmp_path / "sample")[0].output == str(output)


def test_a_sample_is_never_written_over(output, tmp_path) -> None:
    folder = tmp_path / "sample"
    sample(str(output), folder, num_drawn=3)
    before = (folder / "items.jsonl").read_bytes()
    with pytest.raises(ConflictError, match=r"sample\.json: is of a sample that was drawn already"):
        sample(str(output), folder, num_drawn=3, seed=9)
    judge(folder, "ana", {0: "right"}, num_items=3)
    (folder / "sample.json").unlink()
    with pytest.raises(ConflictError, match="verdicts: is of a sample that was drawn already"):
        sample(str(output), folder, num_drawn=3, seed=9)  # the verdicts would be of other items
    assert (folder / "items.jsonl").read_bytes() == before


def test_what_cannot_be_written_is_said(output, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        sample(str(output), tmp_path / "file" / "sample")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--n", "0"], "n is 0"),
        (["--by", "predicate,colour"], "no dimension 'colour'; choose from predicate, score, source"),
        (["--where", "1=1) union select (1"], "syntax error"),
        (["--where", 'predicate="ride"'], "no column 'ride'"),
        (["--where", "score > 2"], "none of 53 relations is where 'score > 2'"),
        (["--allocation", "best"], "give one of sqrt, proportional, equal"),
        (["--auditor", "a/b"], "auditor 'a/b'"),
        (["--overlap", "2"], "overlap is 2"),
    ],
)
def test_bad_options_end_with_a_message_and_leave_nothing(output, tmp_path, monkeypatch, capsys, options, what) -> None:
    monkeypatch.setattr("sys.argv", ["relmill", "audit", "sample", str(output), str(tmp_path / "sample"), *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert what in told
    assert "Traceback" not in told
    assert not (tmp_path / "sample").exists()


def test_a_condition_without_duckdb_says_what_to_install(output, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(
        UserError, match=r"--where needs duckdb, not installed here; run: pip install 'relmill\[audit\]'"
    ):
        sample(str(output), tmp_path / "sample", where="score < 0.5")
    assert sample(str(output), tmp_path / "sample").sample.population == 53  # without one it is not needed
