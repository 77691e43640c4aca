"""A sample as FiftyOne and Label Studio read it, checked against what their documentation says of the formats."""

import json
import math
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest
from audit_sample_made import judge, labelled_by_prior, sample_of_all
from outputs_made import make_output, picture, riding
from typer.testing import CliRunner

from pipeline.audit.export import export_sample
from pipeline.cli import app
from schemas import BadInputError, ConflictError, Image, Region, Relation, Scene, StorageError, UserError
from schemas.audit import JUDGEMENTS
from stages.audit.exports import PictureFiles
from stages.pack import committed_scenes
from stages.storage import Folder

# Fields of FiftyOne's Detection, which attributes become keyword arguments beside.
OWN_FIELDS = {
    "id",
    "tags",
    "attributes",
    "label",
    "bounding_box",
    "mask",
    "mask_path",
    "confidence",
    "index",
    "instance",
}
HOSTILE = 'a "man" & <b>x</b> ]]> $image \x01 {"a": 1}\n\u202e'


def read_fiftyone(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """File name to detections, read as strictly as FiftyOne's documentation of the layout allows.

    https://docs.voxel51.com/user_guide/import_datasets.html, section FiftyOneImageDetectionDataset.
    """
    document = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    assert set(document) == {"labels"}  # no `classes`: then each label is a name
    files = {path.stem: path for path in (folder / "data").iterdir()}
    assert len(files) == len(list((folder / "data").iterdir())), "two pictures with the same id"
    assert set(document["labels"]) == set(files)
    for detections in document["labels"].values():
        for detection in detections:
            assert set(detection) == {"label", "bounding_box", "confidence", "attributes"}
            assert isinstance(detection["label"], str)
            x, y, width, height = detection["bounding_box"]
            assert x >= 0
            assert y >= 0
            assert width > 0
            assert height > 0
            assert x + width <= 1 + 1e-9
            assert y + height <= 1 + 1e-9
            assert 0 <= detection["confidence"] <= 1
            for name, value in detection["attributes"].items():
                assert name.isidentifier()
                assert name not in OWN_FIELDS
                values = value if isinstance(value, list) else [value]
                assert all(isinstance(one, str | int | float) for one in values), name
    return {files[stem].name: detections for stem, detections in document["labels"].items()}


def read_label_studio(folder: Path) -> tuple[list[dict[str, Any]], ElementTree.Element]:
    """Tasks and configuration, read as strictly as Label Studio's documentation allows.

    https://labelstud.io/guide/task_format, https://labelstud.io/guide/predictions, https://labelstud.io/tags/relations
    """
    config = ElementTree.parse(folder / "config.xml").getroot()
    assert config.tag == "View"
    controls = {tag.get("name"): tag for tag in config if tag.get("toName")}
    (image,) = config.findall("Image")
    assert all(tag.get("toName") == image.get("name") for tag in controls.values())
    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    variables = {str(tag.get("value"))[1:] for tag in config if str(tag.get("value")).startswith("$")}
    ids: list[str] = []
    for task in tasks:
        assert variables <= set(task["data"])
        url = urlsplit(task["data"]["image"])
        assert (url.scheme, url.netloc, url.path) == ("", "", "/data/local-files/")
        (path,) = parse_qs(url.query)["d"]
        assert (folder / path).resolve().is_relative_to(folder.resolve() / "images")
        assert (folder / path).is_file()
        for prediction in task["predictions"]:
            assert set(prediction) <= {"model_version", "score", "result"}
            regions = [result for result in prediction["result"] if result["type"] == "rectanglelabels"]
            for result in prediction["result"]:
                check_result(result, controls, config, {region["id"] for region in regions})
            ids += [result["id"] for result in prediction["result"] if "id" in result]
    assert len(ids) == len(set(ids)), "ids of results must differ"
    return tasks, config


def check_result(result: dict[str, Any], controls: dict, config: ElementTree.Element, regions: set[str]) -> None:
    if result["type"] == "relation":
        assert set(result) == {"from_id", "to_id", "type", "direction", "labels"}
        assert {result["from_id"], result["to_id"]} <= regions
        assert result["direction"] in {"left", "right", "bi"}
        assert set(result["labels"]) <= {tag.get("value") for tag in config.iter("Relation")}
        return
    control = controls[result["from_name"]]
    assert (control.tag.lower(), control.get("toName")) == (result["type"], result["to_name"])
    value = result["value"]
    if result["type"] == "rectanglelabels":
        assert set(value["rectanglelabels"]) <= {tag.get("value") for tag in control.iter("Label")}
        assert result["original_width"] > 0
        assert result["original_height"] > 0
        for start, size in (("x", "width"), ("y", "height")):
            assert 0 <= value[start] < value[start] + value[size] <= 100 + 1e-6
    elif result["type"] == "choices":
        assert set(value["choices"]) <= {tag.get("value") for tag in control.iter("Choice")}
    else:
        assert result["type"] == "textarea"
        assert all(isinstance(text, str) for text in value["text"])


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Path:
    return labelled_by_prior(tmp_path_factory.mktemp("export") / "out")


@pytest.fixture
def sample(labelled: Path, tmp_path: Path) -> Path:
    """Of all labels, two auditors having judged some."""
    _, items = sample_of_all(labelled, tmp_path / "sample")
    judge(tmp_path / "sample", "ann", {0: "right", 1: "wrong", 2: "unsure"}, num_items=len(items), notes={1: "a <dog>"})
    judge(tmp_path / "sample", "bob", {0: "right", 1: "wrong box"}, num_items=len(items))
    return tmp_path / "sample"


def sample_of(scenes: list[Scene], folder: Path) -> Path:
    """A sample of all labels of these scenes."""
    make_output(folder / "out", [scenes])
    sample_of_all(folder / "out", folder / "sample")
    return folder / "sample"


def test_fiftyone_gets_every_item_as_two_boxes(sample: Path, labelled: Path, tmp_path: Path) -> None:
    done = export_sample(sample, tmp_path / "for51", to="fiftyone")
    read = read_fiftyone(tmp_path / "for51")
    items = [json.loads(line) for line in (sample / "items.jsonl").read_text().splitlines()]
    by_item = {
        (detection["attributes"]["item"], detection["attributes"]["role"]): (name, detection)
        for name, detections in read.items()
        for detection in detections
    }
    assert len(by_item) == 2 * len(items) == 2 * done.num_items
    assert done.num_pictures == len(read)
    for item in items:
        for role in ("subject", "object"):
            name, detection = by_item[item["number"], role]
            assert name == f"{item['key']}.jpg"
            assert (detection["label"], detection["confidence"]) == (item[role], item["score"])
            x, y, width, height = detection["bounding_box"]
            corners = (
                x * item["width"],
                y * item["height"],
                (x + width) * item["width"],
                (y + height) * item["height"],
            )
            assert all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(corners, item[f"{role}_box"], strict=True))
            attributes = detection["attributes"]
            assert attributes["triplet"] == f"{item['subject']} {item['predicate']} {item['object']}"
            assert attributes["region"] == item[f"{role}_id"]
            assert attributes["text"] in attributes["caption"]


def test_pictures_are_the_original_bytes(sample: Path, labelled: Path, tmp_path: Path) -> None:
    export_sample(sample, tmp_path / "for51", to="fiftyone")
    export_sample(sample, tmp_path / "studio", to="label-studio")
    originals = {scene.key: scene.image.data for scene in committed_scenes(Folder(str(labelled)))}
    for folder in (tmp_path / "for51" / "data", tmp_path / "studio" / "images"):
        assert {path.stem: path.read_bytes() for path in folder.iterdir()}.items() <= originals.items()


def test_fiftyone_gets_the_verdicts(sample: Path, tmp_path: Path) -> None:
    assert export_sample(sample, tmp_path / "for51", to="fiftyone").num_verdicts == 5
    found = {
        detection["attributes"]["item"]: detection["attributes"]
        for detections in read_fiftyone(tmp_path / "for51").values()
        for detection in detections
    }
    assert [found[item]["verdict"] for item in range(4)] == ["right", "disagreed", "unsure", ""]
    assert found[1]["verdicts"] == ["ann: wrong", "bob: wrong box"]
    assert found[1]["notes"] == ["ann: a <dog>"]


def test_label_studio_gets_a_task_for_every_item(sample: Path, tmp_path: Path) -> None:
    export_sample(sample, tmp_path / "studio", to="label-studio")
    tasks, config = read_label_studio(tmp_path / "studio")
    items = [json.loads(line) for line in (sample / "items.jsonl").read_text().splitlines()]
    assert [task["data"]["item"] for task in tasks] == [item["number"] for item in items]
    for task, item in zip(tasks, items, strict=True):
        subject, object_, relation = task["predictions"][0]["result"]
        assert (relation["from_id"], relation["to_id"]) == (subject["id"], object_["id"])
        assert (relation["labels"], relation["direction"]) == ([item["predicate"]], "right")
        for result, role in ((subject, "subject"), (object_, "object")):
            value = result["value"]
            assert value["rectanglelabels"] == [item[role]]
            left, top = value["x"] / 100 * item["width"], value["y"] / 100 * item["height"]
            assert math.isclose(left, item[f"{role}_box"][0], abs_tol=1e-6)
            assert math.isclose(top, item[f"{role}_box"][1], abs_tol=1e-6)
        assert task["predictions"][0]["score"] == item["score"]
    assert [tag.get("value") for tag in config.iter("Choice")] == list(JUDGEMENTS)


def test_label_studio_gets_the_verdicts(sample: Path, tmp_path: Path) -> None:
    export_sample(sample, tmp_path / "studio", to="label-studio")
    tasks, _ = read_label_studio(tmp_path / "studio")
    versions = [[prediction["model_version"] for prediction in task["predictions"]] for task in tasks[:4]]
    assert versions[1:] == [
        ["relmill tagger", "auditor ann", "auditor bob"],
        ["relmill tagger", "auditor ann"],
        ["relmill tagger"],
    ]
    said = [result["value"] for result in tasks[1]["predictions"][1]["result"] if "value" in result]
    assert said[-2:] == [{"choices": ["wrong"]}, {"text": ["a <dog>"]}]


def test_names_and_captions_may_hold_anything(tmp_path: Path) -> None:
    scene = riding("made-00", caption="a man riding a horse " + HOSTILE)
    regions = (Region(3, HOSTILE, (4.0, 2.0, 30.0, 40.0)), Region(5, "$image", (20.0, 16.0, 60.0, 46.0)))
    relations = (*scene.relations, Relation(3, 5, HOSTILE, HOSTILE, 0.5, "tagger"))
    sample = sample_of([replace(scene, regions=regions, relations=relations)], tmp_path)
    export_sample(sample, tmp_path / "studio", to="label-studio")
    export_sample(sample, tmp_path / "for51", to="fiftyone")
    tasks, config = read_label_studio(tmp_path / "studio")
    assert len(tasks) == 2
    assert {task["data"]["caption"] for task in tasks} == {
        "a man riding a horse " + HOSTILE,
        "The tagger gave these two regions words that a caption says of others; no caption says it of these.",
    }
    values = [str(tag.get("value")) for name in ("Label", "Relation") for tag in config.iter(name)]
    assert not any("$" in value for value in values), "Label Studio would take it for a variable"
    assert 'a "man" & <b>x</b> ]]> \uff04image \ufffd {"a": 1} \u202e' in values
    (detections,) = read_fiftyone(tmp_path / "for51").values()
    assert {detection["label"] for detection in detections} == {HOSTILE, "$image"}


@pytest.mark.parametrize("key", ["../../etc/passwd", "a/b", ".hidden", "a.b", "x" * 300, "naïve", "con\x00", "-rf"])
def test_file_names_are_safe_whatever_the_key(tmp_path: Path, key: str) -> None:
    scene = Scene(key, Image("1.png", 64, 48, "png", data=picture()))
    files = PictureFiles(tmp_path)
    name = files.write(scene)
    assert name == f"scene-{sha256(key.encode()).hexdigest()[:32]}.png"
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert files.of(key) == name


def test_keys_that_differ_in_case_only_get_different_names(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path)
    names = [files.write(Scene(key, Image("1.png", data=picture()))) for key in ("Made-1", "made-1")]
    assert names[0] == "Made-1.png"
    assert len({name.casefold() for name in names}) == 2


def test_a_picture_of_unknown_size_or_ending_is_looked_at(tmp_path: Path) -> None:
    scene = riding("made-00")
    sample = sample_of([replace(scene, image=replace(scene.image, width=None, height=None, format=None))], tmp_path)
    export_sample(sample, tmp_path / "for51", to="fiftyone")
    ((name, detections),) = read_fiftyone(tmp_path / "for51").items()
    assert name == "made-00.png"
    assert detections[0]["bounding_box"] == pytest.approx([4 / 64, 2 / 48, 26 / 64, 38 / 48])


def test_an_output_without_pictures_is_refused(tmp_path: Path) -> None:
    scene = riding("made-00")
    sample = sample_of([replace(scene, image=replace(scene.image, data=None))], tmp_path)
    with pytest.raises(UserError, match="has no pictures"):
        export_sample(sample, tmp_path / "for51", to="fiftyone")
    assert not (tmp_path / "for51").exists()


def test_items_whose_picture_is_missing_are_left_out_and_told(tmp_path: Path) -> None:
    bare = riding("made-01")
    sample = sample_of([riding("made-00"), replace(bare, image=replace(bare.image, data=None))], tmp_path)
    done = export_sample(sample, tmp_path / "studio", to="label-studio")
    assert (done.num_items, done.num_without_picture) == (1, 1)
    assert "1 items left out: the output has no picture of theirs" in str(done)
    assert len(read_label_studio(tmp_path / "studio")[0]) == 1


def test_a_folder_with_files_is_refused_and_left_alone(sample: Path, tmp_path: Path) -> None:
    target = tmp_path / "taken"
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    with pytest.raises(ConflictError, match="is there already, and is no empty folder"):
        export_sample(sample, target, to="fiftyone")
    assert [path.name for path in target.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_taken(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    export_sample(sample, tmp_path / "empty", to="fiftyone")
    assert {path.name for path in (tmp_path / "empty").iterdir()} == {"data", "labels.json", "README.md"}


def test_what_fails_leaves_nothing_behind(sample: Path, labelled: Path, tmp_path: Path, monkeypatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(StorageError, match="No space left"):
        export_sample(sample, tmp_path / "for51", to="fiftyone")
    assert sorted(tmp_path.iterdir()) == before


def test_another_output_than_the_sample_s_is_refused(tmp_path: Path) -> None:
    sample = sample_of([riding("made-00")], tmp_path)
    (tmp_path / "out" / "commits" / "00000001.json").unlink()
    with pytest.raises(BadInputError, match="its log has 1 entries, fewer than the 2"):
        export_sample(sample, tmp_path / "for51", to="fiftyone")


def test_an_output_that_moved_is_found(tmp_path: Path) -> None:
    sample = sample_of([riding("made-00")], tmp_path)
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    with pytest.raises(BadInputError):
        export_sample(sample, tmp_path / "x", to="fiftyone")
    arguments = ["audit", "export", sample, tmp_path / "x", "--to", "fiftyone", "--output", moved]
    assert CliRunner().invoke(app, [str(argument) for argument in arguments]).exit_code == 0
    assert len(read_fiftyone(tmp_path / "x")) == 1


def test_an_unknown_tool_is_refused(sample: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give one of fiftyone, label-studio"):
        export_sample(sample, tmp_path / "x", to="cvat")


def test_the_command_says_what_it_wrote(sample: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["audit", "export", str(sample), str(tmp_path / "x"), "--to", "label-studio"])
    assert result.exit_code == 0, result.output
    assert "5 verdicts; see its README.md" in result.output
    assert "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT" in (tmp_path / "x" / "README.md").read_text()


def test_the_same_sample_gives_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    for to, names in (("fiftyone", ["labels.json", "README.md"]), ("label-studio", ["tasks.json", "config.xml"])):
        for time in ("one", "two"):
            export_sample(sample, tmp_path / f"{to}-{time}", to=to)
        for name in names:
            one, two = ((tmp_path / f"{to}-{time}" / name).read_bytes() for time in ("one", "two"))
            assert one == two
