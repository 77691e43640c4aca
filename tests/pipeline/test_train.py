"""`relmill train`: from labelled outputs to a network, whatever stops it, and while they are being labelled."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml
from train_made import SMALL, begun_copy, figures, job_of, labelled, written

from pipeline.train import train
from pipeline.train_plan import plan_training
from schemas import BadInputError, JobError, UserError
from schemas.job import load_train_job
from stages.alif.checkpoint import checkpoint_sha256, load_checkpoint
from stages.alif.detector import PairDetector
from stages.pack import committed_scenes
from stages.picture import decode_rgb
from stages.pretrain import mirrored
from stages.storage import Folder
from stages.threads import one_thread


@pytest.fixture(autouse=True)
def alone():
    """The order of sums, and so the last bit, depends on the number of threads."""
    with one_thread():
        yield


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled(tmp_path_factory.mktemp("train") / "out", 24)


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled(tmp_path_factory.mktemp("train") / "held_out", 8, seed=6)


def quiet(_line: str) -> None:
    """Nobody reads it."""


def test_a_job_gives_a_network_that_detects(tmp_path: Path, output: Path) -> None:
    lines: list[str] = []
    summary = train(job_of(tmp_path / "net", output), report=lines.append)
    assert summary is not None
    assert sorted(path.name for path in (tmp_path / "net").iterdir()) == [
        "config.json", "metrics.jsonl", "model.safetensors", "tensorboard", "tokenizer.json", "training.json",
    ]  # fmt: skip
    assert [line.split("  ")[0] for line in lines] == [f"step {i} of 6" for i in range(1, 7)]
    assert all("pictures/s  ETA " in line for line in lines)
    assert [line["step"] for line in figures(tmp_path / "net")] == [1, 2, 3, 4, 5, 6]
    checkpoint = load_checkpoint(tmp_path / "net")
    assert summary.sha256 == checkpoint_sha256(tmp_path / "net")
    assert (summary.step, summary.score) == (6, None)
    config = checkpoint.config
    assert (config.decoding, config.num_pairs, config.picture.short_side) == ("parseda", 12, 48)
    scene = next(committed_scenes(Folder(str(output))))
    detector = PairDetector(
        checkpoint.model, checkpoint.tokenize, objects=["person", "dog"], predicates=["ride"],
        multiple_of=config.coarsest_stride,
    )  # fmt: skip
    (found,) = detector.detect([decode_rgb(scene.image.data)], short_side=48, longest=80)
    assert found.predicate_scores.shape == (12, 1)


def test_the_vocabulary_has_class_names_and_what_is_said_also_in_a_mirror(tmp_path: Path, output: Path) -> None:
    train(job_of(tmp_path / "net", output, steps=1), report=quiet)
    words = set(json.loads((tmp_path / "net" / "tokenizer.json").read_text())["model"]["vocab"])
    classes = json.loads((output / "vocabulary.json").read_text())["classes"]
    assert {word for name in classes for word in name.split()} <= words
    assert {"no", "objects", "ride"} <= words
    assert ("left" in words) == ("right" in words)


def test_the_same_job_gives_the_same_bytes_with_any_number_of_readers(tmp_path: Path, output: Path) -> None:
    train(job_of(tmp_path / "1", output), report=quiet)
    train(job_of(tmp_path / "2", output, runtime={"readers": 2}), report=quiet)
    train(job_of(tmp_path / "3", output, seed=1), report=quiet)
    assert written(tmp_path / "1") == written(tmp_path / "2")
    assert figures(tmp_path / "1") == figures(tmp_path / "2")
    assert (tmp_path / "1" / "model.safetensors").read_bytes() != (tmp_path / "3" / "model.safetensors").read_bytes()


def test_killed_the_same_command_goes_on_to_the_same_bytes(tmp_path: Path, output: Path) -> None:
    train(job_of(tmp_path / "whole", output), report=quiet)
    source = {"output": str(output), "learn": "human", "complete": True}
    document = {**SMALL, "sources": [source], "output": "parts", "runtime": {"readers": 1}}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(document))
    command = [sys.executable, "-m", "pipeline", "train", str(tmp_path / "train.yaml")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("step 5"):
                process.kill()
        assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "parts" / "model.safetensors").exists()
    lines: list[str] = []
    train(load_train_job(tmp_path / "train.yaml"), report=lines.append)
    assert lines[0] == f"{tmp_path}/parts: goes on after 4 of 6 steps"
    assert written(tmp_path / "whole") == written(tmp_path / "parts")
    assert figures(tmp_path / "whole") == figures(tmp_path / "parts")
    assert not (tmp_path / "parts" / "state").exists()


def test_a_finished_training_says_so_and_another_is_refused(tmp_path: Path, output: Path, held_out: Path) -> None:
    job = job_of(tmp_path / "net", output, steps=2)
    train(job, report=quiet)
    before = written(tmp_path / "net")
    (tmp_path / "net" / "state").mkdir()  # killed before it was removed
    lines: list[str] = []
    assert train(job, report=lines.append) is None
    assert lines == [f"{tmp_path}/net: this training is finished; give another output to train anew"]
    assert not (tmp_path / "net" / "state").exists()
    for settings, problem in (
        ({"steps": 3}, r"is of a training with training\.steps 2, now it is 3"),
        ({"labels": {"target": "hard"}}, r'batch\.labels\.target "soft", now it is "hard"'),
        ({"fusion": "after"}, r'network\.config\.encoder\.fusion_place "between", now it is "after"'),
    ):
        with pytest.raises(BadInputError, match=problem):
            train(job_of(tmp_path / "net", output, **{"steps": 2} | settings), report=quiet)
    with pytest.raises(BadInputError, match=r"is of a training with sources\.0\.job"):
        train(job_of(tmp_path / "net", held_out, steps=2), report=quiet)
    assert written(tmp_path / "net") == before
    # What changes nothing that is learned may change, also where the output lies.
    moved = shutil.copytree(output, tmp_path / "moved")
    same = job_of(tmp_path / "net", moved, steps=2, report_every=2, save_every=1, runtime={"readers": 2})
    assert train(same, report=quiet) is None


def test_the_best_state_on_the_validation_pictures_is_the_network(
    tmp_path: Path, output: Path, held_out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.2, 0.6, 0.4])
    kept: list[dict] = []

    def score(self, model) -> dict[str, float]:
        kept.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"score": next(scores), "mAP": 0.0}

    monkeypatch.setattr("stages.pretrain.training.validation.Validation.__call__", score)
    validation = {"output": str(held_out), "limit": 4}
    summary = train(job_of(tmp_path / "net", output, validation=validation), report=quiet)
    assert summary is not None
    assert (summary.step, summary.score) == (4, 0.6)
    weights = load_checkpoint(tmp_path / "net").model.state_dict()
    assert all(bool((weights[name] == value).all()) for name, value in kept[1].items())
    assert any(bool((weights[name] != value).any()) for name, value in kept[2].items())


def test_the_average_is_what_is_kept_unless_the_recipe_is_the_published_one(tmp_path: Path, output: Path) -> None:
    for name, settings in (("a", {}), ("b", {"average": 0.05}), ("c", {"recipe": "published"}), ("d", {"average": 0})):
        train(job_of(tmp_path / name, output, steps=2, **settings), report=quiet)
    details = {name: json.loads((tmp_path / name / "training.json").read_text()) for name in "abcd"}
    assert [details[name]["training"]["average"] for name in "abcd"] == [0.9997, 0.05, 0.0, 0.0]
    assert len({(tmp_path / name / "model.safetensors").read_bytes() for name in "abcd"}) == 4
    ours, published = details["a"], details["c"]
    assert ours["batch"]["labels"] == {
        "target": "soft", "threshold": 0.2, "absent": "unknown", "max_pairs": 100, "kept": "best",
        "no_interaction": False,
    }  # fmt: skip
    assert published["batch"]["labels"] == {
        "target": "hard", "threshold": 0.2, "absent": "negative", "max_pairs": 100, "kept": "first",
        "no_interaction": False,
    }  # fmt: skip
    assert [one["batch"]["unknown_pairs"] for one in (ours, published)] == [True, False]
    assert ours["training"]["unknown_weight"] == 0.5
    assert [one["training"]["schedule"] for one in (ours, published)] == ["cosine", "step"]
    assert [one["training"]["predicate_target"] for one in (ours, published)] == ["quality", "quality"]
    crops = [
        (one["batch"]["augment"]["keep_pairs"], one["batch"]["augment"]["min_visible"]) for one in (ours, published)
    ]
    assert crops == [(True, 0.5), (False, 0)]
    assert ours["batch"]["augment"]["short_sides"][-1] == 48  # of `short_side`


def test_a_network_can_be_trained_further_with_its_own_texts_and_pairs(tmp_path: Path, output: Path) -> None:
    train(job_of(tmp_path / "first", output, steps=1), report=quiet)
    further = {name: value for name, value in SMALL.items() if name not in {"num_pairs", "short_side"}}
    document = {**further, "sources": [{"output": str(output)}], "network": "first", "output": "second", "steps": 1}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(document))
    train(load_train_job(tmp_path / "train.yaml"), report=quiet)
    first, second = written(tmp_path / "first"), written(tmp_path / "second")
    assert first["tokenizer.json"] == second["tokenizer.json"]
    assert first["config.json"] == second["config.json"]
    assert first["model.safetensors"] != second["model.safetensors"]
    details = json.loads(second["training.json"])
    assert details["network"]["start"] == checkpoint_sha256(tmp_path / "first")
    assert (details["training"]["slow_rate"], details["training"]["predicate_target"]) == (0.1, "quality")


def test_fine_tuning_asks_for_all_texts_and_may_look_for_fewer_pairs(tmp_path: Path, output: Path) -> None:
    train(job_of(tmp_path / "first", output, steps=1), report=quiet)
    settings = {**SMALL, "num_pairs": 8, "short_side": 48, "steps": 2, "recipe": "finetune"}
    document = {**settings, "sources": [{"output": str(output)}], "network": "first", "output": "second"}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(document))
    job = load_train_job(tmp_path / "train.yaml")
    plan = plan_training(job, report=quiet)
    classes = json.loads((output / "vocabulary.json").read_text())["classes"]
    spoken = {
        relation.predicate for scene in committed_scenes(Folder(str(output))) for relation in scene.relations
        if relation.state == "asserted"
    }  # fmt: skip
    assert plan.texts is not None
    assert set(plan.texts.objects) >= set(classes)
    assert set(plan.texts.relations) == {text for said in spoken for text in (said, mirrored(said))}
    train(job, report=quiet)
    first, second = (load_checkpoint(tmp_path / name) for name in ("first", "second"))
    assert (first.config.num_pairs, second.config.num_pairs) == (12, 8)
    details = json.loads((tmp_path / "second" / "training.json").read_text())
    assert details["texts"] == "all"
    assert details["batch"]["augment"]["colours"] == 0.4
    assert details["batch"]["labels"]["target"] == "hard"
    assert [details["training"][key] for key in ("schedule", "average", "predicate_target")] == ["step", 0.0, "quality"]
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(document | {"num_pairs": 13, "output": "third"}))
    with pytest.raises(BadInputError, match="num_pairs is 13, but the network looks for 12; give at most so many"):
        plan_training(load_train_job(tmp_path / "train.yaml"), report=quiet)


def test_predicates_may_be_learned_wherever_the_boxes_are(tmp_path: Path, output: Path) -> None:
    """As published for V-COCO."""
    summary = train(job_of(tmp_path / "net", output, steps=2, recipe="finetune", predicate_target="hard"), report=quiet)
    assert summary is not None
    assert all(math.isfinite(line["predicate"]) for line in figures(tmp_path / "net"))


def test_training_begins_before_labelling_ends_and_gives_what_it_would_have_given_after(
    tmp_path: Path, output: Path
) -> None:
    growing = begun_copy(output, tmp_path / "growing", num_commits=2)
    commits = [path.name for path in sorted((output / "commits").iterdir())]
    settings = {"follow": True, "window_shards": 2}
    first_step, last_commit = threading.Event(), []

    def go_on() -> None:
        first_step.wait(60)
        for name in commits[2:]:
            time.sleep(0.1)
            shutil.copy(output / "commits" / name, growing / "commits" / f".{name}")
            (growing / "commits" / f".{name}").rename(growing / "commits" / name)
        last_commit.append(time.monotonic())

    def told(line: str) -> None:
        if line.startswith("step 1 "):
            assert not last_commit
            first_step.set()

    labelling = threading.Thread(target=go_on)
    labelling.start()
    # 8 steps of 4: all 24 scenes as they come, then 8 of the second epoch, which needs the seal.
    train(job_of(tmp_path / "live", {"output": growing, **settings}, steps=8), report=told)
    labelling.join()
    train(job_of(tmp_path / "after", {"output": output, **settings}, steps=8), report=quiet)
    assert written(tmp_path / "live") == written(tmp_path / "after")
    assert figures(tmp_path / "live") == figures(tmp_path / "after")


def test_a_followed_output_that_never_grows_is_told(tmp_path: Path, output: Path) -> None:
    growing = begun_copy(output, tmp_path / "growing", num_commits=1)
    source = {"output": growing, "follow": True, "window_shards": 2, "timeout_s": 0.3}
    with pytest.raises(UserError, match=r"no commit for 0\.3 s after 1 entries of its log"):
        train(job_of(tmp_path / "net", source), report=quiet)
    assert not (tmp_path / "net").exists()


def test_states_metrics_and_network_may_lie_in_an_object_store(tmp_path: Path, output: Path, s3_server) -> None:
    train(job_of(tmp_path / "local", output), report=quiet)

    def stop(line: str) -> None:
        if line.startswith("step 3"):
            raise KeyboardInterrupt

    url = f"s3://relmill/{tmp_path.name}"
    with pytest.raises(KeyboardInterrupt):
        train(job_of(url, output), report=stop)
    lines: list[str] = []
    train(job_of(url, output), report=lines.append)
    assert lines[0] == f"{url}: goes on after 2 of 6 steps"
    remote = Folder(url)
    for name, data in written(tmp_path / "local").items():
        assert remote.read(name) == data, name
    assert len(remote.read("metrics.jsonl").splitlines()) == 6
    assert not remote.exists("state/states.json")
    assert train(job_of(url, output), report=quiet) is None


# What is refused


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"stepz": 3}, r"train\.yaml: stepz: unknown key \(value 3\); remove it or see `relmill schema train`"),
        ({"steps": 0}, r"steps: Input should be greater than or equal to 1 \(found 0\)"),
        ({"sources": []}, "sources: .*at least 1 item"),
        ({"sources": [{"output": "out", "learn": "some"}]}, r"sources\.0\.learn: Input should be 'all', 'human'"),
        ({"network": "net", "fusion": "after"}, "fusion has no effect with network: net, which has its own; remove it"),
        (
            {"recipe": "finetune", "sources": [{"output": "out", "follow": True}]},
            r"texts: all needs finished outputs, but out is followed; give texts: sampled, or remove follow",
        ),
        ({"predicate_target": "hard"}, "predicate_target: hard learns predicates that are true or not; give labels"),
        ({"batch_size": 2, "runtime": {"workers": 3}}, "batch_size is 2, fewer pictures than the 3 workers"),
        ({"average": 1}, "average: Input should be less than 1"),
    ],
    ids=str,
)
def test_a_job_that_cannot_be_is_refused(tmp_path: Path, changes: dict, problem: str) -> None:
    (tmp_path / "train.yaml").write_text(
        yaml.safe_dump({"steps": 1, "sources": [{"output": "out"}], "output": "net"} | changes)
    )
    with pytest.raises(JobError, match=problem):
        load_train_job(tmp_path / "train.yaml")


def test_paths_are_meant_from_the_job_file_and_elements_of_lists_can_be_overridden(tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text(
        "{steps: 1, sources: [{output: a}, {output: s3://b/c}], validation: {output: v}, output: ../net, cache: d}"
    )
    job = load_train_job(tmp_path / "train.yaml", ["sources.0.weight=3", "runtime.workers=2", "sources.1.follow=true"])
    assert [source.output for source in job.sources] == [f"{tmp_path}/a", "s3://b/c"]
    assert job.validation is not None
    assert (job.validation.output, job.cache) == (f"{tmp_path}/v", f"{tmp_path}/d")
    assert (job.output, job.network) == (str(tmp_path.parent / "net"), "tiny")
    assert (job.sources[0].weight, job.sources[1].follow, job.runtime.workers) == (3, True, 2)
    with pytest.raises(JobError, match=r"--set sources\.2\.weight=3: 2 is no element of a list of 2; the first is 0"):
        load_train_job(tmp_path / "train.yaml", ["sources.2.weight=3"])


@pytest.fixture
def without_commits(tmp_path: Path, output: Path) -> Path:
    return begun_copy(output, tmp_path / "without_commits", num_commits=0)


def test_an_output_without_commits_is_refused(tmp_path: Path, without_commits: Path) -> None:
    with pytest.raises(
        BadInputError, match=r"without_commits: has no commits, so it has no scenes; run `relmill label`"
    ):
        train(job_of(tmp_path / "net", without_commits), report=quiet)
    with pytest.raises(BadInputError, match=r"no dataset\.json here; not an output folder"):
        train(job_of(tmp_path / "net", tmp_path / "nowhere"), report=quiet)
    assert not (tmp_path / "net").exists()


def test_sources_with_other_class_names_are_refused_unless_they_may_be_mixed(tmp_path: Path, output: Path) -> None:
    other = shutil.copytree(output, tmp_path / "other")
    document = json.loads((other / "dataset.json").read_text())
    (other / "dataset.json").write_text(json.dumps({**document, "vocabulary_sha256": "another"}))
    with pytest.raises(BadInputError, match=r"have different class names .* allow it with mixed_vocabularies"):
        train(job_of(tmp_path / "net", output, other), report=quiet)
    train(job_of(tmp_path / "net", output, other, mixed_vocabularies=True, steps=1), report=quiet)


def test_validation_pictures_of_which_nobody_said_anything_are_refused(tmp_path: Path, output: Path) -> None:
    boxes = tmp_path / "boxes"
    boxes.mkdir()
    (boxes / "pictures").mkdir()
    for scene in committed_scenes(Folder(str(output))):
        (boxes / "pictures" / "1.jpg").write_bytes(scene.image.data)
        size = {"width": scene.image.width, "height": scene.image.height}
        break
    (boxes / "boxes.json").write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "1.jpg", **size}],
                "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]}],
                "categories": [{"id": 1, "name": "dog"}],
            }
        )
    )
    dataset = {"format": "coco", "annotations": str(boxes / "boxes.json"), "images": str(boxes / "pictures")}
    from pipeline.label import label, prepare
    from schemas.job import build_job

    label(prepare(build_job({"dataset": dataset, "output": str(boxes / "out")})), quiet=True)
    with pytest.raises(BadInputError, match=r"no human relations in .*out; a network is measured by them"):
        train(job_of(tmp_path / "net", output, validation={"output": str(boxes / "out")}), report=quiet)
    growing = begun_copy(output, tmp_path / "growing", num_commits=2)
    with pytest.raises(BadInputError, match=r"is not complete, and has 8 scenes with human relations so far, of 500"):
        train(job_of(tmp_path / "net", output, validation={"output": str(growing)}), report=quiet)
    assert not (tmp_path / "net").exists()


def test_a_tagger_and_a_folder_without_a_network_are_refused(tmp_path: Path, output: Path) -> None:
    tagger = Path(__file__).resolve().parents[2] / "stages" / "tag" / "builtin_tagger"
    settings = {name: value for name, value in SMALL.items() if name != "num_pairs"}
    document = {**settings, "sources": [{"output": str(output)}], "output": "net"}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(BadInputError, match=r"builtin_tagger: is a Relation Tagger, which takes given pairs"):
        train(load_train_job(tmp_path / "train.yaml", [f"network={tagger}"]), report=quiet)
    with pytest.raises(BadInputError, match=r"nowhere/config.json: no such file"):
        train(load_train_job(tmp_path / "train.yaml", ["network=nowhere"]), report=quiet)
    assert not (tmp_path / "net").exists()


def test_a_text_that_is_too_long_is_told_before_the_training(tmp_path: Path, output: Path) -> None:
    long = shutil.copytree(output, tmp_path / "long")
    document = json.loads((long / "vocabulary.json").read_text())
    document["classes"]["dog " * 40] = []
    (long / "vocabulary.json").write_text(json.dumps(document))
    with pytest.raises(BadInputError, match=r"the text 'dog dog .* has 42 tokens, but the network takes 32"):
        train(job_of(tmp_path / "net", long), report=quiet)


def test_an_output_with_files_of_something_else_is_refused(tmp_path: Path, output: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "notes.txt").write_text("mine")
    with pytest.raises(BadInputError, match="net: has files of something else; give another output"):
        train(job_of(tmp_path / "net", output), report=quiet)
    with pytest.raises(BadInputError, match=r"notes\.txt: is a file; give a folder"):
        train(job_of(tmp_path / "net" / "notes.txt", output), report=quiet)
    (tmp_path / "net" / "training.json").write_text("{")
    with pytest.raises(BadInputError, match=r"training\.json: damaged"):
        train(job_of(tmp_path / "net", output), report=quiet)


def test_impossible_sizes_are_told(tmp_path: Path, output: Path) -> None:
    with pytest.raises(UserError, match="longest is 40; give at least 48, the largest of short_sides"):
        train(job_of(tmp_path / "net", output, augment={"longest": 40}), report=quiet)
