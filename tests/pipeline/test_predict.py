"""`relmill predict`: pictures, datasets, outputs and HICO-DET in; predictions, tables, drawings and figures out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from detector_made import save_tiny_detector
from outputs_made import make_output, riding
from PIL import Image as Pictures
from typer.testing import CliRunner

pytest.importorskip("torch", reason="needs the libraries of networks: pip install -e '.[blip]'")
pytest.importorskip("transformers", reason="needs the libraries of networks: pip install -e '.[blip]'")

from pipeline.cli import app, main
from pipeline.evaluate.hicodet import evaluate_hicodet
from pipeline.evaluate.openimages import evaluate_openimages
from pipeline.evaluate.run import Files
from pipeline.evaluate.scene_graph import evaluate_scene_graph
from pipeline.evaluate.vcoco import VCocoFiles, evaluate_vcoco
from pipeline.predict import PredictSettings, predict
from schemas import BadInputError, StorageError, UserError
from stages.evaluate.read import read_classes
from stages.ingest.class_lists import coco_objects, hico_verbs
from stages.pack import CommitLog


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    return save_tiny_detector(tmp_path_factory.mktemp("predict") / "network")


@pytest.fixture
def pictures(tmp_path) -> list[str]:
    """Three pictures of two shapes."""
    (tmp_path / "pictures").mkdir()
    for number, size in enumerate(((96, 64), (64, 96), (96, 70))):
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
        Pictures.fromarray(pixels).save(tmp_path / "pictures" / f"{number}.png")
    return sorted(map(str, (tmp_path / "pictures").iterdir()))


@pytest.fixture
def classes(tmp_path) -> str:
    path = tmp_path / "classes.json"
    path.write_text(json.dumps({"objects": ["Person", "horse", "dog"], "predicates": ["ride", "sit_on"]}))
    return str(path)


def run(*arguments):
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def quiet(_line: str) -> None:
    """Nobody reads it."""


def lines(path) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def ask(network, **settings):
    return predict(PredictSettings(checkpoint=network, **settings), say=quiet, report=quiet)


# Single pictures


def test_pictures_are_told_drawn_and_written(network, pictures, classes, tmp_path):
    result = run(network, *pictures, "--classes", classes, "--draw", tmp_path / "drawn", "--output",
                 tmp_path / "p.jsonl", "--show", 3)  # fmt: skip
    assert result.exit_code == 0, result.output
    blocks = result.stdout.split("\n\n")
    assert blocks[0].splitlines()[0] == f"{pictures[0]}  64 x 96"
    assert blocks[0].splitlines()[1].split()[:4] == ["score", "subject", "predicate", "object"]
    assert len(blocks[0].splitlines()) == 3 + 3
    assert "3 pictures, 72 triplets; asked about 3 names and 2 predicates" in result.stdout
    written = lines(tmp_path / "p.jsonl")
    assert [line["image"] for line in written] == pictures
    for line in written:
        scores = [triplet[5] for triplet in line["triplets"]]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == 24
        assert {triplet[0] for triplet in line["triplets"]} <= {"person", "horse", "dog"}
        assert {triplet[2] for triplet in line["triplets"]} == {"ride", "sit on"}
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == [f"{i}.graph.png" for i in range(3)]
    with Pictures.open(tmp_path / "drawn" / "0.graph.png") as drawn:
        assert drawn.height == 1024
        assert drawn.width > 64 * 1024 // 96


def test_the_same_pictures_give_the_same_bytes(network, pictures, classes, tmp_path):
    for name in ("1", "2"):
        ask(network, pictures=tuple(pictures), classes=classes, output=tmp_path / name)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_two_pictures_of_one_name_are_drawn_apart_and_none_over_a_picture(network, pictures, classes, tmp_path):
    before = Path(pictures[0]).read_bytes()
    ask(network, pictures=(pictures[0], pictures[0]), classes=classes, draw=tmp_path / "pictures")
    first, second = ((tmp_path / "pictures" / f"0.graph{which}.png").read_bytes() for which in ("", "-2"))
    assert first == second
    assert Path(pictures[0]).read_bytes() == before


def test_the_size_of_a_batch_changes_no_figure(network, pictures, classes, tmp_path):
    for batch_size in (1, 8):
        ask(
            network, pictures=tuple(pictures), classes=classes, output=tmp_path / str(batch_size), batch_size=batch_size
        )
    for alone, together in zip(lines(tmp_path / "1"), lines(tmp_path / "8"), strict=True):
        first, second = ([triplet[5] for triplet in line["triplets"]] for line in (alone, together))
        assert first == pytest.approx(second, abs=1e-4, rel=1e-3)


def test_many_pictures_come_in_their_order(network, pictures, classes, tmp_path):
    many = tuple(pictures[i % 3] for i in range(9))  # three windows of four
    ask(network, pictures=many, classes=classes, output=tmp_path / "p.jsonl", batch_size=1)
    written = lines(tmp_path / "p.jsonl")
    assert [line["image"] for line in written] == list(many)
    assert written[0] == written[3] == written[6] != written[1]


def test_a_bad_picture_is_named_counted_and_left_out(network, pictures, classes, tmp_path):
    text, cut = tmp_path / "text.jpg", tmp_path / "cut.png"
    text.write_text("no picture")
    cut.write_bytes(Path(pictures[0]).read_bytes()[:3000])
    bad = [str(text), str(tmp_path / "nowhere.jpg"), str(tmp_path / "pictures"), str(cut)]
    result = run(network, *bad, pictures[0], "--classes", classes, "--output", tmp_path / "p.jsonl")
    assert result.exit_code == 0
    assert [line["image"] for line in lines(tmp_path / "p.jsonl")] == [pictures[0]]
    told = result.stderr.splitlines()
    assert told[0].startswith(f"{text}: cannot be read: no picture, or damaged from the start; expected JPEG")
    assert told[1] == f"{bad[1]}: cannot be read: no such file"
    assert told[2] == f"{bad[2]}: cannot be read: a folder; give the pictures in it"
    assert told[3].startswith(f"{cut}: cannot be read: OSError: ")
    assert f"4 pictures could not be read: {', '.join(bad)}" in result.stdout


def test_not_one_picture_is_an_error_and_leaves_no_file(network, classes, tmp_path):
    with pytest.raises(BadInputError, match=r"not one of 2 pictures can be read; the first: a\.jpg: no such file"):
        ask(network, pictures=("a.jpg", "b.jpg"), classes=classes, output=tmp_path / "p.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["classes.json"]


def test_scores_below_are_left_out(network, pictures, classes, tmp_path):
    ask(network, pictures=(pictures[0],), classes=classes, output=tmp_path / "all.jsonl")
    scores = [triplet[5] for triplet in lines(tmp_path / "all.jsonl")[0]["triplets"]]
    ask(
        network,
        pictures=(pictures[0],),
        classes=classes,
        output=tmp_path / "some.jsonl",
        min_score=scores[3] * 0.999,
        most=9,
    )
    assert lines(tmp_path / "some.jsonl")[0]["triplets"] == lines(tmp_path / "all.jsonl")[0]["triplets"][:4]


def test_a_name_that_would_steer_a_terminal_is_escaped(network, pictures, classes, tmp_path):
    evil = tmp_path / "\x1b[31mred.png"
    shutil.copy(pictures[0], evil)
    result = run(network, evil, "--classes", classes)
    assert "\x1b" not in result.stdout
    assert "\\x1b[31mred.png" in result.stdout


# What cannot be


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give one of them, and only one"),
        ({"pictures": ("a",), "dataset": "b"}, "give one of them, and only one"),
        ({"pictures": ("a",)}, "say what to look for: --classes"),
        ({"pictures": ("a",), "classes": "c", "benchmark": "hicodet"}, "leave one out"),
        ({"pictures": ("a",), "benchmark": "vg"}, "--benchmark vg: choose hicodet or vcoco"),
        ({"dataset": "a"}, "--output FILE or --draw FOLDER"),
        ({"hicodet": "a"}, "--hicodet and --images go together"),
        ({"pictures": ("a",), "classes": "c", "images": "b"}, "--hicodet and --images go together"),
        ({"hicodet": "a", "images": "b", "classes": "c"}, "HICO-DET's own classes"),
        ({"hicodet": "a", "images": "b", "layout": "csv"}, "--format csv: choose triplets or hoi_list"),
        ({"hicodet": "a", "images": "b", "precision": "int8"}, "--precision int8: choose float32 or bfloat16"),
        ({"hicodet": "a", "images": "b", "batch_size": 0}, "batch_size is 0; give a number of at least 1"),
        ({"hicodet": "a", "images": "b", "output": Path("nowhere/p")}, "there is no folder nowhere"),
    ],
)
def test_settings_that_do_not_fit_are_told_before_anything_is_read(settings, message):
    with pytest.raises(UserError, match=message):
        PredictSettings(checkpoint=Path("nowhere"), **settings)


def test_a_tagger_and_no_network_are_refused(tmp_path, pictures, classes, monkeypatch, capsys):
    tagger = save_tiny_detector(tmp_path / "tagger", decoding="pairs")
    for folder, problem in ((tagger, "holds a Relation Tagger"), (tmp_path / "none", "give the folder of a network")):
        monkeypatch.setattr("sys.argv", ["relmill", "predict", str(folder), pictures[0], "--classes", classes])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        assert problem in capsys.readouterr().err


def test_classes_that_cannot_be_asked_are_told(network, pictures, tmp_path):
    path = tmp_path / "c.json"
    for content, problem in (
        ({"objects": [], "predicates": ["ride"]}, r"c\.json: objects is \[\]; expected a list of names"),
        ({"objects": ["dog", "Dog"], "predicates": ["ride"]}, r"c\.json: names of objects: 'Dog' is there twice"),
        ({"objects": ["dog"], "predicates": ["sit " * 9]}, "has 11 tokens, but the text encoder takes 8"),
        ({"objects": ["zebra"], "predicates": ["ride"]}, "never learned words of zebra"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(BadInputError, match=problem):
            ask(network, pictures=(pictures[0],), classes=str(path))
    path.write_text(json.dumps({"objects": ["dog"], "predicates": ["near"]}))
    with pytest.raises(UserError, match="--format hoi_list numbers HICO-DET's classes, and 'near' is none"):
        ask(network, pictures=(pictures[0],), classes=str(path), layout="hoi_list", output=tmp_path / "x.json")


def test_a_file_that_cannot_be_written_is_told(network, pictures, classes, tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageError, match="taken: cannot be written: Is a directory; give another --output"):
        ask(network, pictures=(pictures[0],), classes=classes, output=tmp_path / "taken")
    with pytest.raises(StorageError, match=r"classes\.json: cannot be written: .*give another --draw"):
        ask(network, pictures=(pictures[0],), classes=classes, draw=tmp_path / "classes.json")


# Datasets and outputs


def test_a_dataset_is_asked_about_its_own_names_and_predicates(tmp_path):
    (tmp_path / "scenes.yaml").write_text("dataset: {format: scenes, count: 3, seed: 3}\n")
    words = ["person", "ball", "hat", "kick", "wear", "next", "to", "look", "at"]
    network = save_tiny_detector(tmp_path / "network", words)
    summary = ask(network, dataset=str(tmp_path / "scenes.yaml"), output=tmp_path / "p.jsonl")
    assert (summary.num_pictures, summary.unread) == (3, [])
    assert [line["image"] for line in lines(tmp_path / "p.jsonl")] == [f"{i:08d}.jpg" for i in range(3)]
    asked = {text for line in lines(tmp_path / "p.jsonl") for triplet in line["triplets"] for text in triplet[0:4:2]}
    assert asked <= {"person", "ball", "hat", "kick", "wear", "next to", "look at"}
    assert summary.unknown


def test_a_record_that_its_reader_refused_is_named(network, tmp_path, classes, pictures):
    triplet = ["person", [1, 1, 30, 40], "ride", "horse", [2, 10, 40, 47]]
    records = [
        {"image": name, "width": width, "height": 96, "triplets": [triplet]}
        for name, width in (("0.png", 64), ("0.png", 65), ("1.png", 96))
    ]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (tmp_path / "t.yaml").write_text("dataset: {format: triplets, annotations: t.jsonl, images: pictures}\n")
    summary = ask(network, dataset=str(tmp_path / "t.yaml"), output=tmp_path / "p.jsonl")
    assert [line["image"] for line in lines(tmp_path / "p.jsonl")] == ["1.png"]
    assert [(one.name, one.problem.split(":")[0]) for one in summary.unread] == [("triplets-0", "duplicate-image-id")]


def with_vocabulary(folder: Path, *names: str) -> str:
    (folder / "vocabulary.json").write_text(json.dumps({"classes": {name: [] for name in names}}))
    return str(folder)


def test_predictions_on_an_output_join_with_its_human_relations(network, tmp_path):
    make_output(tmp_path / "out", [[riding("made-1")], [riding("made-a-2Eb"), riding("made-3", human=None)]])
    output = with_vocabulary(tmp_path / "out", "horse", "person", "dog")
    assert read_classes(output).objects == ("dog", "horse", "person")
    assert read_classes(output).predicates == ("ride",)
    summary = ask(network, dataset=output, output=tmp_path / "p.jsonl")
    assert (summary.num_pictures, summary.num_names, summary.num_predicates) == (3, 3, 1)
    assert [line["image"] for line in lines(tmp_path / "p.jsonl")] == ["1", "a-2Eb", "3"]
    files = Files(output, str(tmp_path / "p.jsonl"))
    for result in (evaluate_scene_graph(files, classes=output), evaluate_openimages(files, classes=output)):
        assert result.coverage.without_prediction == ()
        assert result.coverage.num_images == 3


def test_the_predicates_of_an_output_without_human_relations_are_its_labels(tmp_path):
    make_output(tmp_path / "out", [[riding("made-1", human=None)]])
    assert read_classes(with_vocabulary(tmp_path / "out", "horse")).predicates == ("ride",)
    (tmp_path / "out" / "vocabulary.json").write_text("[]")
    with pytest.raises(BadInputError, match=r"vocabulary\.json: missing or damaged"):
        read_classes(str(tmp_path / "out"))


def test_a_damaged_scene_of_an_output_is_named(network, tmp_path):
    folder = make_output(tmp_path / "out", [[riding("made-1"), riding("made-22")]])
    output = with_vocabulary(tmp_path / "out", "horse", "person")
    commit = CommitLog(folder).read(0)
    shard = tmp_path / "out" / commit.shard.name
    data = bytearray(shard.read_bytes())
    data[600] ^= 0xFF  # in the first picture, which begins behind the header of 512 bytes
    shard.write_bytes(data)
    summary = ask(network, dataset=output, output=tmp_path / "p.jsonl")
    assert [line["image"] for line in lines(tmp_path / "p.jsonl")] == ["22"]
    assert "crc32" in summary.unread[0].problem


def test_what_is_no_dataset_is_told(network, tmp_path):
    with pytest.raises(BadInputError, match="give a YAML file with a `dataset:` part, or an output"):
        ask(network, dataset=str(tmp_path), output=tmp_path / "p.jsonl")
    (tmp_path / "none.yaml").write_text("dataset: {format: scenes, count: 0}\n")
    with pytest.raises(UserError):
        ask(network, dataset=str(tmp_path / "none.yaml"), output=tmp_path / "p.jsonl")


# HICO-DET and V-COCO


@pytest.fixture
def truth(network, pictures, tmp_path) -> Path:
    """Test annotations in which the network's third and tenth triplet of each picture are true, and one it misses."""
    ask(network, pictures=tuple(pictures), benchmark="hicodet", output=tmp_path / "seen.jsonl")
    coco = {name: number for number, name in coco_objects().items()}
    verbs = {verb.replace("_", " "): number for number, verb in hico_verbs().items()}
    images = []
    for line in lines(tmp_path / "seen.jsonl"):
        chosen = [*line["triplets"][2:10:7], ["person", [0, 0, 5, 5], "ride", "horse", [1, 1, 9, 9], 0]]
        images.append(
            {
                "file_name": Path(line["image"]).name,
                "annotations": [
                    {"bbox": triplet[i + 1], "category_id": coco[triplet[i]]} for triplet in chosen for i in (0, 3)
                ],
                "hoi_annotation": [
                    {"subject_id": 2 * i, "object_id": 2 * i + 1, "category_id": verbs[triplet[2]]}
                    for i, triplet in enumerate(chosen)
                ],
            }
        )
    path = tmp_path / "test_hico.json"
    path.write_text(json.dumps(images))
    return path


def test_one_command_gives_the_papers_row(network, truth, tmp_path):
    folder = tmp_path / "pictures"
    result = run(network, "--hicodet", truth, "--images", folder, "--output", tmp_path / "p.jsonl", "--json",
                 tmp_path / "figures.json")  # fmt: skip
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    again = evaluate_hicodet(
        Files(str(truth), str(tmp_path / "p.jsonl")), split="nf", presets=("rlipv2", "official", "corrected")
    )
    assert {name: column["figures"] for name, column in figures["results"].items()} == {
        name: dict(score.figures) for name, score in again.scores.items()
    }
    full = again.scores["rlipv2"].figures["mAP"]
    assert 0 < full < 1
    assert f"full {100 * full:.2f}" in result.stdout
    assert "HICO-DET zero-shot (NF), conventions rlipv2:  rare " in result.stdout
    assert again.coverage.without_prediction == ()
    # The same from the list of numbers, and without a file.
    listed = ask(network, hicodet=str(truth), images=str(folder), layout="hoi_list", output=tmp_path / "p.json")
    alone = ask(network, hicodet=str(truth), images=str(folder))
    for summary in (listed, alone):
        assert dict(summary.evaluation.scores["rlipv2"].figures) == dict(again.scores["rlipv2"].figures)
    assert alone.output is None


def test_people_only_and_only_what_hico_has(network, truth, pictures, tmp_path):
    for line in lines(tmp_path / "seen.jsonl"):
        for subject, _, verb, object_, *_ in line["triplets"]:
            assert subject == "person"
            assert (object_, verb) != ("horse", "sit on")


def test_annotations_that_cannot_be_evaluated_are_told_before_a_picture_is_read(network, truth, tmp_path):
    document = json.loads(truth.read_text())
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps([document[0], document[0]]))
    with pytest.raises(BadInputError, match="image '0' stands in the ground truth a second time"):
        ask(network, hicodet=str(path), images=str(tmp_path / "nowhere"))
    document[0]["hoi_annotation"][0]["category_id"] = 1  # nobody adjusts it
    path.write_text(json.dumps(document))
    with pytest.raises(BadInputError, match="expected one of HICO-DET's 600 interactions"):
        ask(network, hicodet=str(path), images=str(tmp_path / "nowhere"))
    path.write_text(json.dumps({"image": "1.jpg", "triplets": []}))
    with pytest.raises(BadInputError, match="layout triplets; give test annotations of HICO-DET that name"):
        ask(network, hicodet=str(path), images=str(tmp_path / "nowhere"))


def test_missing_pictures_count_as_nothing_found(network, truth, tmp_path):
    (tmp_path / "pictures" / "1.png").unlink()
    summary = ask(network, hicodet=str(truth), images=str(tmp_path / "pictures"))
    assert [(one.name, one.problem) for one in summary.unread] == [("1.png", "no such file")]
    assert summary.evaluation.coverage.without_prediction == ("1",)
    with pytest.raises(BadInputError, match="not one of 3 pictures can be read"):
        ask(network, hicodet=str(truth), images=str(tmp_path / "nowhere"))


def test_real_pictures_give_a_row(network, test_data, tmp_path):
    """On thirteen pictures of COCO the row of a network that has learned nothing is there, and repeats."""
    sample = test_data / "coco_sample"
    images = [
        {
            "file_name": image["file_name"],
            "annotations": [
                {"bbox": triplet[f"{end}_box"], "category_id": category}
                for triplet in image["triplets"]
                if triplet["subject"] == "person" and triplet["object"] == "horse"
                for end, category in (("subject", 1), ("object", 19))
            ],
            "hoi_annotation": [],
        }
        for image in json.loads((sample / "vcoco_relations.json").read_text())
    ]
    for image in images:
        image["hoi_annotation"] = [
            {"subject_id": i, "object_id": i + 1, "category_id": 77} for i in range(0, len(image["annotations"]), 2)
        ]
    (tmp_path / "test.json").write_text(json.dumps(images))
    for name in ("1.jsonl", "2.jsonl"):
        summary = ask(
            network, hicodet=str(tmp_path / "test.json"), images=str(sample / "images"), output=tmp_path / name
        )
        assert summary.num_pictures == len(images) == 13
        assert summary.evaluation.scores["rlipv2"].figures["mAP"] is not None
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()


def test_vcoco_is_judged_from_the_triplets(network, pictures, tmp_path):
    """The network's best `ride` is true of the first picture; the other two hold nothing."""
    for number, path in enumerate(pictures):
        shutil.copy(path, tmp_path / f"COCO_val2014_{number + 1:012d}.png")
    asked = tuple(str(tmp_path / f"COCO_val2014_{number:012d}.png") for number in (1, 2))
    ask(network, pictures=asked, benchmark="vcoco", output=tmp_path / "p.jsonl")
    triplets = lines(tmp_path / "p.jsonl")[0]["triplets"]
    best = next(triplet for triplet in triplets if triplet[2] == "ride")
    boxes = {11: best[1], 12: best[4], 21: [0, 0, 9, 9]}
    ride = {"action_name": "ride", "role_name": ["agent", "instr"], "image_id": [1, 2], "ann_id": [11, 21],
            "label": [1, 0], "role_object_id": [11, 21, 12, 0]}  # fmt: skip
    documents = {
        "vcoco.json": [ride],
        "instances.json": {
            "images": [{"id": i, "width": 64, "height": 96} for i in (1, 2)],
            "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "thing"}],
            "annotations": [
                {"id": number, "image_id": number // 10, "category_id": 1 + (number % 10 == 2), "area": 9, "iscrowd": 0,
                 "bbox": [box[0], box[1], box[2] - box[0] + 1, box[3] - box[1] + 1]}
                for number, box in boxes.items()
            ],
        },
    }  # fmt: skip
    for name, document in documents.items():
        (tmp_path / name).write_text(json.dumps(document))
    files = VCocoFiles(
        str(tmp_path / "vcoco.json"), str(tmp_path / "instances.json"), predictions=str(tmp_path / "p.jsonl")
    )
    result = evaluate_vcoco(files)
    values = {(row.name, row.measure): row.value for row in result.scores["official"].classes}
    assert values["ride instr", "AP role scenario 1"] > 0
    assert result.coverage.without_prediction == ()
    line = lines(tmp_path / "p.jsonl")[0]
    for wrong, problem in (
        ({**line, "image": "x.png"}, "line 1: image 'x' is none of the 2 of the truth"),
        ({**line, "triplets": [[*best[:5], "much"]]}, r"triplets\[0\]\[5\] is 'much'; expected a finite number"),
    ):
        (tmp_path / "p.jsonl").write_text(json.dumps(wrong) + "\n")
        with pytest.raises(BadInputError, match=problem):
            evaluate_vcoco(files)
