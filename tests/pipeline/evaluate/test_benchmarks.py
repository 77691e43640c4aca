"""`relmill evaluate hicodet | vcoco | openimages | sgg`: files in, the published figures out, faults told."""

import csv
import gzip
import json
import pickle
import re
from pathlib import Path

import pytest
from outputs_made import make_output, riding
from typer.testing import CliRunner

from pipeline.cli import app, main
from pipeline.evaluate.hicodet import evaluate_hicodet
from pipeline.evaluate.openimages import evaluate_openimages
from pipeline.evaluate.run import Files
from pipeline.evaluate.scene_graph import evaluate_scene_graph
from pipeline.evaluate.vcoco import VCocoFiles, evaluate_vcoco
from schemas import BadInputError, UserError
from stages.evaluate.hicodet_classes import hico_classes
from stages.ingest.class_lists import coco_objects

SPACE = hico_classes().space
PERSON_BOX, HORSE_BOX = [4.0, 2.0, 30.0, 40.0], [20.0, 16.0, 60.0, 46.0]


def golden(test_data: Path, name: str):
    path = test_data / "evaluation" / f"{name}_golden.json.gz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    with gzip.open(path) as file:
        return json.load(file)


def written(path: Path, document) -> str:
    path.write_text(json.dumps(document))
    return str(path)


def lines(path: Path, documents) -> str:
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return str(path)


def triplet_line(image: str, *, score: float | None = None, predicate: str = "ride", thing: str = "horse"):
    triplet = ["person", PERSON_BOX, predicate, thing, HORSE_BOX]
    return {"image": image, "triplets": [[*triplet, score] if score is not None else triplet]}


# The published figures, through the files that people have.


@pytest.fixture(scope="module")
def hico(test_data, tmp_path_factory):
    """The golden as a truth and as predictions in each layout."""
    document = golden(test_data, "hico")
    folder = tmp_path_factory.mktemp("hico")
    objects = [SPACE.objects.index(name.replace("_", " ")) for name in document["objects"]]
    verbs = [SPACE.predicates.index(name) for name in document["verbs"]]
    coco = list(coco_objects())

    def boxes(image):
        return [
            {"bbox": box, "category_id": coco[objects[label]]}
            for box, label in zip(image["boxes"], image["labels"], strict=True)
        ]

    def relations(image):
        for subject, object_, row in zip(image["sub_ids"], image["obj_ids"], image["verb_scores"], strict=True):
            for verb, score in row.items():
                yield {"subject_id": subject, "object_id": object_, "category_id": verbs[int(verb)] + 1, "score": score}

    names, truths, found = document["files"], document["gts"], document["preds"]
    truth = [
        {
            "file_name": name,
            "annotations": boxes(image),
            "hoi_annotation": [
                {"subject_id": s, "object_id": o, "category_id": verbs[v] + 1} for s, o, v in image["hois"]
            ],
        }
        for name, image in zip(names, truths, strict=True)
    ]
    listed = [
        {"file_name": name, "predictions": boxes(image), "hoi_prediction": list(relations(image))}
        for name, image in zip(names, found, strict=True)
    ]
    arrays = [
        {
            "file_name": name,
            **{key: image[key] for key in ("boxes", "sub_ids", "obj_ids")},
            "labels": [objects[label] for label in image["labels"]],
            "verb_scores": [{str(verbs[int(v)]): score for v, score in row.items()} for row in image["verb_scores"]],
        }
        for name, image in zip(names, found, strict=True)
    ]
    named = [
        {
            "image": name,
            "triplets": [
                [
                    SPACE.objects[objects[image["labels"][one["subject_id"]]]],
                    image["boxes"][one["subject_id"]],
                    SPACE.predicates[one["category_id"] - 1],
                    SPACE.objects[objects[image["labels"][one["object_id"]]]],
                    image["boxes"][one["object_id"]],
                    one["score"],
                ]
                for one in relations(image)
            ],
        }
        for name, image in zip(names, found, strict=True)
    ]
    files = {
        "truth": written(folder / "truth.json", truth),
        "hoi_list": written(folder / "list.json", listed),
        "arrays": written(folder / "arrays.json", arrays),
        "triplets": lines(folder / "triplets.jsonl", named),
    }
    return document["expected"], files


@pytest.mark.parametrize("layout", ["hoi_list", "arrays", "triplets"])
def test_hicodets_published_figures_come_out_of_each_layout(hico, layout):
    expected, files = hico
    result = evaluate_hicodet(Files(files["truth"], files[layout]))
    assert dict(result.scores["official"].figures) == pytest.approx(expected, abs=1e-9)
    assert result.coverage.without_prediction == ()


def test_openimages_published_figures_come_out_of_its_files(test_data, tmp_path):
    document = golden(test_data, "oi")
    files, classes = scene_graph_files(document, tmp_path)
    result = evaluate_openimages(files, classes=classes)
    figures, expected = result.scores["official"].figures, document["expected"]
    for name in ("R@50", "wmAP_rel", "wmAP_phr", "score_wtd"):
        assert round(100 * figures[name], 2) == expected[name], name
    for measure, key in (("AP relation", "rel_ap"), ("AP phrase", "phr_ap")):
        found = {
            row.name: round(100 * row.value, 2) for row in result.scores["official"].classes if row.measure == measure
        }
        assert found == expected[key]


def test_scene_graph_recall_comes_out_of_the_same_files(test_data, tmp_path):
    files, classes = scene_graph_files(golden(test_data, "oi"), tmp_path)
    expected = golden(test_data, "sgg")["expected"]
    figures = evaluate_scene_graph(files, classes=classes).scores["official"].figures
    for name, value in expected["graph_constraint"].items():
        assert figures[name] == pytest.approx(value, abs=1e-9)
    for name, value in expected["no_graph_constraint"].items():
        assert figures[f"{name} no constraint"] == pytest.approx(value, abs=1e-9)


def scene_graph_files(document, folder: Path) -> tuple[Files, str]:
    truths, predictions = [], []
    for image in document["images"]:
        boxes = [box for row in image["gt"] for box in (row[0], row[2])]
        labels = [label for row in image["gt"] for label in (row[1], row[3])]
        relations = [[2 * i, 2 * i + 1, row[4]] for i, row in enumerate(image["gt"])]
        truths.append({"image": image["image"], "boxes": boxes, "labels": labels, "relations": relations})
        found = image["pred"]
        predictions.append(
            {
                "image": image["image"],
                "boxes": [box for row in found for box in (row[0], row[2])],
                "labels": [label for row in found for label in (row[1], row[3])],
                "scores": [score for row in found for score in row[4:6]],
                "sub_ids": list(range(0, 2 * len(found), 2)),
                "obj_ids": list(range(1, 2 * len(found), 2)),
                "verb_scores": [row[6] for row in found],
            }
        )
    classes = {"objects": document["objects"], "predicates": document["relations"]}
    files = Files(lines(folder / "truth.jsonl", truths), lines(folder / "predictions.jsonl", predictions))
    return files, written(folder / "classes.json", classes)


@pytest.fixture(scope="module")
def vcoco(test_data, tmp_path_factory):
    document = golden(test_data, "vcoco")
    folder = tmp_path_factory.mktemp("vcoco")
    (folder / "split.ids").write_text("".join(f"{image}\n" for image in document["ids"]))
    with open(folder / "detections.pkl", "wb") as file:
        pickle.dump(document["detections"], file)
    paths = {name: written(folder / f"{name}.json", document[name]) for name in ("vcoco", "instances", "detections")}
    return document, paths, folder


@pytest.mark.parametrize("name", ["detections.json", "detections.pkl"])
def test_vcocos_published_figures_come_out_of_its_files(vcoco, name):
    document, paths, folder = vcoco
    files = VCocoFiles(paths["vcoco"], paths["instances"], str(folder / name), str(folder / "split.ids"))
    result = evaluate_vcoco(files)
    figures, expected = result.scores["official"].figures, document["expected"]
    assert round(100 * figures["AP role scenario 1"], 2) == expected["scenario_1"]["mean"]
    assert round(100 * figures["AP role scenario 2"], 2) == expected["scenario_2"]["mean"]
    assert round(100 * figures["AP agent"], 2) == expected["agent"]["mean"]
    predicted = {str(one["image_id"]) for one in document["detections"]}
    assert set(result.coverage.without_prediction) == {str(image) for image in document["ids"]} - predicted


# Images that do not fit together.


def test_an_image_without_predictions_counts_as_nothing_found_and_is_reported(tmp_path):
    truth = lines(tmp_path / "truth.jsonl", [triplet_line("1.jpg"), triplet_line("2.jpg")])
    predictions = lines(tmp_path / "predictions.jsonl", [triplet_line("1.jpg", score=0.9)])
    result = evaluate_hicodet(Files(truth, predictions))
    assert result.coverage.without_prediction == ("2",)
    assert "1 images without predictions, counted as nothing found: 2" in result.to_text()
    # Recall 1/2 is six of the eleven points.
    assert result.scores["official"].figures["mAP"] == pytest.approx(6 / 11)


def test_an_unknown_image_is_told_by_file_and_line(tmp_path):
    truth = lines(tmp_path / "truth.jsonl", [triplet_line("1.jpg")])
    predictions = lines(
        tmp_path / "predictions.jsonl", [triplet_line("1.jpg", score=1), triplet_line("9.jpg", score=1)]
    )
    with pytest.raises(
        BadInputError, match=r"predictions\.jsonl: line 2: image '9' is not in the ground truth .*truth"
    ):
        evaluate_hicodet(Files(truth, predictions))


def test_an_image_is_given_once_on_either_side(tmp_path):
    once = lines(tmp_path / "once.jsonl", [triplet_line("1.jpg")])
    twice = lines(tmp_path / "twice.jsonl", [triplet_line("1.jpg")] * 2)
    found = lines(tmp_path / "found.jsonl", [triplet_line("1.jpg", score=1)] * 2)
    with pytest.raises(
        BadInputError, match=r"twice\.jsonl: line 2: image '1' stands in the ground truth a second time"
    ):
        evaluate_hicodet(Files(twice, found))
    with pytest.raises(BadInputError, match=r"found\.jsonl: line 2: image '1' has predictions already"):
        evaluate_hicodet(Files(once, found))


def test_predictions_without_any_image_of_the_truth_are_refused(tmp_path):
    truth, nothing = lines(tmp_path / "truth.jsonl", [triplet_line("1.jpg")]), written(tmp_path / "empty.json", [])
    with pytest.raises(BadInputError, match="expected an output folder"):
        evaluate_hicodet(Files(truth, nothing))


def test_a_truth_that_is_no_interaction_of_hicodet_is_told(tmp_path):
    eaten = lines(tmp_path / "truth.jsonl", [triplet_line("1.jpg", predicate="eat", thing="bicycle")])
    with pytest.raises(BadInputError, match=r"line 1 \(1\): relation 0 is \(person, eat, bicycle\); expected one of"):
        evaluate_hicodet(Files(eaten, eaten))


def test_predcls_needs_the_boxes_of_the_truth(tmp_path):
    truth = lines(tmp_path / "truth.jsonl", [triplet_line("1.jpg")])
    further = triplet_line("1.jpg", score=0.9)
    further["triplets"].append(["person", [0, 0, 5, 5], "ride", "horse", HORSE_BOX, 0.5])
    predictions = lines(tmp_path / "predictions.jsonl", [further])
    with pytest.raises(BadInputError, match=r"line 1 \(1\): mode predcls: the prediction has 3 boxes and the truth 2"):
        evaluate_scene_graph(Files(truth, predictions), mode="predcls")


# Relmill's own outputs.


def test_an_output_is_judged_by_the_human_relations_in_it(tmp_path):
    output = str(make_output(tmp_path / "out", [[riding("made-1"), riding("made-2", human="feed")]]))
    result = evaluate_hicodet(Files(output, output))
    values = {row.name: (row.value, row.num_truths) for row in result.scores["official"].classes if row.num_truths}
    # Both scenes are labelled `ride`, one of them rightly; of equal scores neither is first.
    assert values == {"ride horse": (pytest.approx(0.5), 1), "feed horse": (0.0, 1)}


def test_an_output_is_judged_by_a_file_of_the_same_images(tmp_path):
    output = str(make_output(tmp_path / "out", [[riding("made-1"), riding("made-2"), riding("made-3", human=None)]]))
    truth = lines(tmp_path / "truth.jsonl", [triplet_line("1.jpg"), triplet_line("2.jpg")])
    for result in (
        evaluate_hicodet(Files(truth, output)),
        evaluate_scene_graph(Files(truth, output)),
        evaluate_openimages(Files(truth, output)),
    ):
        assert result.coverage.notes["images left out, as the ground truth lacks them"] == 1
        assert next(iter(result.scores["official"].figures.values())) == pytest.approx(1)


def test_an_output_is_judged_on_vcoco_by_the_official_files(tmp_path):
    """Of two people who ride, one is labelled; the other image of the split has no label."""
    ride = {"action_name": "ride", "role_name": ["agent", "instr"], "image_id": [1, 2], "ann_id": [11, 21],
            "label": [1, 1], "role_object_id": [11, 21, 12, 22]}  # fmt: skip
    stand = {"action_name": "stand", "role_name": ["agent"], "image_id": [1, 2], "ann_id": [11, 21], "label": [1, 0],
             "role_object_id": [11, 21]}  # fmt: skip
    boxes = {11: (4, 2, 27, 39), 12: (20, 16, 41, 31)}  # COCO's boxes end a pixel early: x + width - 1
    instances = {
        "images": [{"id": image, "width": 64, "height": 48, "file_name": f"{image}.jpg"} for image in (1, 2)],
        "categories": [{"id": 1, "name": "person"}, {"id": 19, "name": "horse"}],
        "annotations": [
            {"id": 10 * image + part, "image_id": image, "category_id": category, "bbox": boxes[10 + part], "area": 9,
             "iscrowd": 0}
            for image in (1, 2)
            for part, category in ((1, 1), (2, 19))
        ],
    }  # fmt: skip
    output = make_output(tmp_path / "out", [[riding("made-1"), riding("made-9")]])
    files = VCocoFiles(
        written(tmp_path / "vcoco.json", [ride, stand]), written(tmp_path / "instances.json", instances), str(output)
    )
    result = evaluate_vcoco(files)
    values = {(row.name, row.measure): row.value for row in result.scores["official"].classes}
    assert values["ride instr", "AP role scenario 1"] == values["ride", "AP agent"] == 0.5
    assert values["stand", "AP agent"] == 0
    assert result.coverage.without_prediction == ("2",)
    assert result.coverage.notes["images left out, as the ground truth lacks them"] == 1


def test_labels_outside_the_benchmarks_classes_are_left_out_and_reported(tmp_path):
    output = str(make_output(tmp_path / "out", [[riding("made-1")]]))
    truth = lines(tmp_path / "truth.jsonl", [triplet_line("1.jpg", predicate="feed")])
    text = evaluate_scene_graph(Files(truth, output)).to_text()
    assert "1 relations left out" in text
    assert "1 classes are none of the benchmark's, most often ride (1)" in text


# The command.


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def small(tmp_path) -> tuple[str, ...]:
    truth = lines(tmp_path / "truth.jsonl", [triplet_line("1.jpg"), triplet_line("2.jpg", predicate="feed")])
    predictions = lines(
        tmp_path / "predictions.jsonl", [triplet_line("1.jpg", score=0.9), triplet_line("2.jpg", score=0.8)]
    )
    return "--ground-truth", truth, "--predictions", predictions


@pytest.mark.parametrize("benchmark", ["hicodet", "openimages", "sgg"])
def test_the_command_prints_a_table_and_writes_json_csv_and_a_plot(small, tmp_path, benchmark):
    pytest.importorskip("matplotlib", reason="needs the plot extra")
    out = {ending: tmp_path / f"out.{ending}" for ending in ("json", "csv", "svg")}
    result = run("evaluate", benchmark, *small, "--json", out["json"], "--csv", out["csv"], "--plot", out["svg"])
    assert result.exit_code == 0, result.output
    assert "2 images with 2 true relations; 2 images with 2 predictions" in result.output
    document = json.loads(out["json"].read_text())
    assert document["benchmark"] == benchmark
    assert set(document["results"]) == {"official", "corrected"}
    assert re.fullmatch("[0-9a-f]{64}", document["inputs"]["predictions"]["sha256"])
    rows = list(csv.DictReader(out["csv"].open()))
    assert {row["conventions"] for row in rows} == {"official", "corrected"}
    assert len(rows) == sum(len(part["classes"]) for part in document["results"].values())
    assert out["svg"].read_text().rstrip().endswith("</svg>")


def test_the_command_writes_the_same_bytes_again(small, tmp_path):
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    for path in (first, second):
        assert run("evaluate", "hicodet", *small, "--json", path).exit_code == 0
    assert first.read_bytes() == second.read_bytes()


def test_conventions_are_chosen_by_name(small):
    result = run("evaluate", "hicodet", *small, "--preset", "rlipv2", "--convention", "ap=all_points", "--split", "nf")
    assert result.exit_code == 0, result.output
    assert "rlipv2" in result.output
    assert "official" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--preset", "mine"), "--preset mine: hicodet has official, corrected, rlipv2"),
        (("--convention", "ap"), "give name=value, such as ap=all_points"),
        (("--convention", "app=all_points"), "hicodet: no convention 'app'; there are ap, iou_threshold"),
        (("--convention", "ap=12_point"), "hicodet: ap is '12_point'; choose 11_point or all_points"),
        (("--convention", "iou_threshold=nan"), "hicodet: iou_threshold is 'nan'; give a number, 0 or more"),
        (("--convention", "max_triplets=1.5"), "hicodet: max_triplets is '1.5'; give a whole number, 0 or more"),
        (("--split", "rare"), "--split rare: choose full, nf, uc_rf, uc_nf, uo"),
    ],
)
def test_a_choice_that_there_is_not_says_which_there_are(small, arguments, message):
    result = run("evaluate", "hicodet", *small, *arguments)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)


def test_a_fault_is_a_message_and_status_2(small, tmp_path, monkeypatch, capsys):
    bad = lines(tmp_path / "bad.jsonl", [triplet_line("1.jpg", score=float("nan"))])
    arguments = ["relmill", "evaluate", "hicodet", *small[:2], "--predictions", bad]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    assert capsys.readouterr().err == (f"relmill: {bad}: line 1 (1): triplets[0][5] is nan; expected a finite number\n")


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("--csv", "none/out.csv", "there is no folder"),
        ("--json", "none/out.json", "there is no folder"),
        ("--plot", "out.gif", "ends in '.gif'; plots are .png or .svg"),
    ],
)
def test_a_result_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path, option, name, message):
    nothing = ("--ground-truth", tmp_path / "none.json", "--predictions", tmp_path / "none.json")
    result = run("evaluate", "hicodet", *nothing, option, tmp_path / name)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)


def test_a_file_where_an_output_folder_is_wanted_is_told(small):
    result = run("evaluate", "labels", "--predictions", small[1])
    assert isinstance(result.exception, BadInputError)
    assert "no dataset.json here" in str(result.exception)


def test_the_labels_of_an_output_are_judged_and_written(tmp_path):
    output = make_output(tmp_path / "out", [[riding("made-1"), riding("made-2", human="feed")]])
    result = run(
        "evaluate", "labels", "--predictions", output, "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv"
    )
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "a.json").read_text())["overall"]["precision"]["value"] == 0.5
    assert (tmp_path / "a.csv").read_text().startswith("group,name,")
