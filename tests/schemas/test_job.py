"""Job files: what is wrong is named by its key."""

from pathlib import Path

import pytest

from schemas import JobError
from schemas.job import Job, build_job, load_job

MINIMAL = "dataset: {format: coco, annotations: instances.json, images: images/}\noutput: out/\n"


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "job.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_relative_paths_resolve_against_the_job_file(write, tmp_path):
    job = load_job(write(MINIMAL))
    assert job.dataset.annotations == str(tmp_path / "instances.json")
    assert job.dataset.images == str(tmp_path / "images")
    assert job.output == str(tmp_path / "out")


def test_urls_and_hub_names_stay_as_they_are(write):
    job = load_job(write(MINIMAL + "caption: {backend: blip, model: a/b}\n"), ["output=s3://bucket/out"])
    assert job.output == "s3://bucket/out"
    assert job.caption.model == "a/b"
    assert job.tag.prior == "builtin"


def test_a_parsing_model_is_a_folder_if_one_stands_there(write, tmp_path):
    job_file = write(MINIMAL + "parse: {model: en_parser}\n")
    assert load_job(job_file).parse.model == "en_parser"
    (tmp_path / "en_parser").mkdir()
    assert load_job(job_file).parse.model == str(tmp_path / "en_parser")


def test_a_tag_part_without_a_backend_is_the_priors(write):
    job = load_job(write(MINIMAL + "tag: {min_score: 0.5}\n"))
    assert (job.tag.backend, job.tag.min_score) == ("prior", 0.5)


def test_the_relation_tagger_is_chosen_by_its_backend(write, tmp_path):
    job_file = write(MINIMAL + "tag: {backend: relation_tagger, model: tagger}\n")
    (tmp_path / "tagger").mkdir()
    tag = load_job(job_file, ["tag.scope=image_union"]).tag
    assert tag.model == str(tmp_path / "tagger")
    assert (tag.scope, tag.min_score, tag.pairs_per_group) == ("image_union", 0.05, 100)


def test_overrides_are_yaml_and_reach_nested_keys(write):
    job = load_job(write(MINIMAL), ["tag.min_score=0.25", "runtime.pools.parse.workers=3", "dataset.pixels=false"])
    assert job.tag.min_score == 0.25
    assert job.runtime.pools["parse"].workers == 3
    assert job.dataset.pixels is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("output: o\n", "dataset: missing"),
        (MINIMAL + "ouput: x\n", "ouput: unknown key"),
        (MINIMAL + "tag: {prio: 1}\n", "tag.prio: unknown key"),
        (MINIMAL + "tag: {backend: priot}\n", "tag: .*'prior', 'relation_tagger'"),
        (MINIMAL + "tag: 3\n", "tag: "),
        (MINIMAL + "tag: {backend: relation_tagger, model: m, prior: p}\n", "tag.prior: unknown key"),
        (MINIMAL + "tag: {backend: relation_tagger, model: m, scope: all}\n", "tag.scope: .*'own_texts'"),
        (
            MINIMAL + "tag: {backend: relation_tagger, model: m, short_side: 0}\n",
            "tag.*short_side.*greater than or equal to 1",
        ),
        (MINIMAL + "unit_size: 0\n", "unit_size: .*greater than or equal to 1"),
        (MINIMAL + "caption: {backend: blip, per_image: many}\n", "caption.per_image"),
        ("dataset: {format: cocoo}\noutput: o\n", "dataset: .*'coco'"),
        (MINIMAL + "seed: 1\nseed: 2\n", "'seed' is given twice"),
        ("- 1\n", "mapping"),
        ("a: [\n", "not valid YAML"),
        ("", "mapping"),
    ],
)
def test_faults_are_named_by_key(write, text, message):
    with pytest.raises(JobError, match=message):
        load_job(write(text))


@pytest.mark.parametrize("override", ["tag", "=1", "unit_size.x=1", "a=[1"])
def test_bad_overrides_are_named(write, override):
    with pytest.raises(JobError, match=r"--set .*" if "=" in override else "expected key=value"):
        load_job(write(MINIMAL + "unit_size: 4\n"), [override])


def test_a_missing_job_file_is_an_error(tmp_path):
    with pytest.raises(JobError, match=r"none\.yaml: cannot be read"):
        load_job(tmp_path / "none.yaml")


def test_yaml_tags_are_not_executed(write):
    with pytest.raises(JobError, match="not valid YAML"):
        load_job(write(MINIMAL + "seed: !!python/object/apply:os.getpid []\n"))


def test_every_key_has_its_help_or_speaks_for_itself():
    schema = Job.model_json_schema()
    silent = {
        f"{name}.{key}"
        for name, part in schema["$defs"].items()
        for key, value in part["properties"].items()
        if "description" not in value and key not in {"format", "backend"}
    }
    assert silent <= {"BlipCaptions.top_p", "BlipCaptions.num_beams", "BlipCaptions.min_length",
                      "BlipCaptions.max_length", "BlipCaptions.repetition_penalty"}  # fmt: skip


def test_a_job_can_be_built_without_a_file(tmp_path):
    job = build_job({"dataset": {"format": "scenes"}, "output": "out"}, base=tmp_path)
    assert job.output == str(tmp_path / "out")
