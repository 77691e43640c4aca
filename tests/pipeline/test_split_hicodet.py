"""HICO-DET's training annotations cut into files."""

import csv
import gzip
import json
from importlib.resources import files
from pathlib import Path

import pytest

from pipeline.split_hicodet import split_hicodet
from schemas import BadInputError, StorageError, UserError
from stages.evaluate.hicodet_classes import hico_classes
from stages.evaluate.hicodet_splits import FEW_SHOT_PERCENT, ZERO_SHOT
from stages.ingest.class_lists import coco_objects, hico_verbs

PERSON, BOX = 1, [1, 2, 30.5, 40]
COCO_ID = {name: number for number, name in coco_objects().items()}
VERB_ID = {name: number for number, name in hico_verbs().items()}
SETS = (*ZERO_SHOT, "few_shot_1", "few_shot_10")


def element(name: str, *pairs: tuple[str, str]) -> dict:
    """An element of the list: a person and a thing of its own for each (verb, object)."""
    things = [name for _, name in pairs]
    return {
        "file_name": name,
        "img_id": 7,
        "annotations": [{"bbox": BOX, "category_id": PERSON}]
        + [{"bbox": BOX, "category_id": COCO_ID[thing], "note": "kept"} for thing in things],
        "hoi_annotation": [
            {"subject_id": 0, "object_id": place, "category_id": VERB_ID[verb], "hoi_category_id": 1}
            for place, (verb, _) in enumerate(pairs, start=1)
        ],
    }


def line(name: str, *pairs: tuple[str, str]) -> dict:
    """The same image as triplets."""
    triplets = [["person", BOX, verb.replace("_", " "), thing, BOX] for verb, thing in pairs]
    return {"dataset": "hico-det", "image": name, "width": None, "triplets": triplets}


def pairs_of(number: int) -> list[tuple[str, str]]:
    return [[], [("walk", "dog"), ("pet", "cat")], [("sit_on", "bench")]][number % 3]


def number_of(name: str) -> int:
    return next(number for number in range(600) if hico_classes().name(number) == name)


NUM_IMAGES = 420
NAMES = [f"HICO_train2015_{number:08}.jpg" for number in range(NUM_IMAGES)]


def write_list(path: Path, elements: list) -> Path:
    path.write_text(json.dumps(elements))
    return path


def write_lines(path: Path, lines: list) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return path


@pytest.fixture
def as_list(tmp_path: Path) -> Path:
    return write_list(tmp_path / "trainval_hico.json", [element(n, *pairs_of(i)) for i, n in enumerate(NAMES)])


@pytest.fixture
def as_lines(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "hico.jsonl", [line(n, *pairs_of(i)) for i, n in enumerate(NAMES)])


def read_list(path: Path) -> list:
    return json.loads(path.read_text())


def read_lines(path: Path) -> list:
    return [json.loads(one) for one in path.read_text().splitlines()]


def test_the_list_layout_stays_and_only_hidden_relations_go(as_list, tmp_path):
    split_hicodet(as_list, tmp_path / "out")
    before, after = read_list(as_list), read_list(tmp_path / "out" / "trainval_hico_uo.json")
    assert [one["file_name"] for one in after] == NAMES
    for old, new in zip(before, after, strict=True):
        assert {**new, "hoi_annotation": None} == {**old, "hoi_annotation": None}
        assert list(new) == list(old)
        dogs = [
            one
            for one in old["hoi_annotation"]
            if old["annotations"][one["object_id"]]["category_id"] == COCO_ID["dog"]
        ]
        assert new["hoi_annotation"] == [one for one in old["hoi_annotation"] if one not in dogs]


def test_the_triplets_layout_stays_and_only_hidden_triplets_go(as_lines, tmp_path):
    split_hicodet(as_lines, tmp_path / "out")
    before, after = read_lines(as_lines), read_lines(tmp_path / "out" / "hico_uo.jsonl")
    assert after == [{**old, "triplets": [one for one in old["triplets"] if one[3] != "dog"]} for old in before]
    assert any(old != new for old, new in zip(before, after, strict=True))


def test_few_shot_files_hold_the_named_images_whole(as_list, tmp_path):
    split_hicodet(as_list, tmp_path / "out", seed=3)
    entries = {one["file_name"]: one for one in read_list(as_list)}
    for percent in FEW_SHOT_PERCENT:
        names = (tmp_path / "out" / f"few_shot_{percent}.txt").read_text().splitlines()
        drawn = read_list(tmp_path / "out" / f"trainval_hico_few_shot_{percent}.json")
        assert sorted(one["file_name"] for one in drawn) == names
        assert all(one == entries[one["file_name"]] for one in drawn)
        assert all(one["hoi_annotation"] for one in drawn)


def test_both_layouts_give_the_same_names_and_counts(as_list, as_lines, tmp_path):
    split_hicodet(as_list, tmp_path / "one")
    split_hicodet(as_lines, tmp_path / "two")
    for name in ("few_shot_1.txt", "few_shot_10.txt", "classes.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_order_of_the_file_does_not_change_what_is_drawn_and_a_seed_does(as_list, tmp_path):
    turned = write_list(tmp_path / "turned.json", read_list(as_list)[::-1])
    outputs = [("a", as_list, 0), ("b", turned, 0), ("c", as_list, 1)]
    for output, path, seed in outputs:
        split_hicodet(path, tmp_path / output, seed=seed)
    first, second, other = ((tmp_path / output / "few_shot_10.txt").read_bytes() for output, _, _ in outputs)
    assert first == second != other


def test_equal_input_gives_equal_bytes_from_gzip_too_and_over_old_files(as_list, tmp_path):
    zipped = tmp_path / "trainval_hico.json.gz"
    zipped.write_bytes(gzip.compress(as_list.read_bytes()))
    split_hicodet(as_list, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    split_hicodet(zipped, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert set(before) == {
        *(f"trainval_hico_{name}.json" for name in SETS),
        "few_shot_1.txt",
        "few_shot_10.txt",
        "classes.csv",
    }


def test_the_classes_file_says_of_each_interaction_how_often_and_where_it_is_hidden(as_list, tmp_path):
    split_hicodet(as_list, tmp_path / "out")
    with (tmp_path / "out" / "classes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    classes = hico_classes()
    assert [int(row["hoi_category_id"]) for row in rows] == list(range(1, 601))
    for number, row in enumerate(rows):
        assert f"{row['verb']} {row['object']}" == classes.name(number)
        assert {split for split in ZERO_SHOT if row[split] == "1"} == {
            s for s in ZERO_SHOT if number in classes.unseen[s]
        }
        assert row["rare"] == ("1" if classes.groups("full")[number] == "rare" else "0")
    instances = {f"{row['verb']} {row['object']}": int(row["instances"]) for row in rows}
    third = NUM_IMAGES // 3
    assert (instances["walk dog"], instances["pet cat"], instances["sit_on bench"]) == (third, third, third)
    assert sum(instances.values()) == 3 * third


def test_the_summary_says_what_was_read_and_written(as_list, tmp_path):
    summary = split_hicodet(as_list, tmp_path / "out")
    third = NUM_IMAGES // 3
    assert (summary.num_images, summary.num_drawable, summary.num_relations) == (NUM_IMAGES, 2 * third, 3 * third)
    assert (summary.num_broken, summary.num_foreign) == (0, 0)
    assert [one.num_images for one in summary.files] == [NUM_IMAGES] * 3 + [3, 28]
    unseen = hico_classes().unseen
    used = [number_of("walk dog"), number_of("pet cat"), number_of("sit_on bench")]
    seen = [sum(number not in unseen[split] for number in used) for split in ZERO_SHOT]
    assert [one.num_relations for one in summary.files[:3]] == [third * count for count in seen]
    assert all(str(one.path) in str(summary) for one in summary.files)
    assert "not there" not in str(summary)


def test_a_relation_to_a_box_that_is_not_there_is_kept_and_its_image_not_drawn(tmp_path):
    broken = element("broken.jpg", ("walk", "dog"), ("pet", "cat"))
    broken["hoi_annotation"][0]["object_id"] = 9
    path = write_list(tmp_path / "a.json", [broken, *(element(name, ("pet", "cat")) for name in NAMES)])
    summary = split_hicodet(path, tmp_path / "out")
    assert (summary.num_broken, summary.num_foreign, summary.num_drawable) == (1, 1, NUM_IMAGES)
    assert "1 images have a relation to a box that is not there" in str(summary)
    assert read_list(tmp_path / "out" / "a_uo.json")[0] == broken
    assert all(
        one["file_name"] != "broken.jpg"
        for percent in FEW_SHOT_PERCENT
        for one in read_list(tmp_path / "out" / f"a_few_shot_{percent}.json")
    )


def test_a_relation_that_is_none_of_the_600_stays_everywhere(tmp_path):
    lines = [line(name, ("eat", "dog"), ("walk", "dog")) for name in NAMES]
    summary = split_hicodet(write_lines(tmp_path / "a.jsonl", lines), tmp_path / "out")
    assert summary.num_foreign == NUM_IMAGES
    assert {one["triplets"][0][2] for one in read_lines(tmp_path / "out" / "a_uo.jsonl")} == {"eat"}
    assert {len(one["triplets"]) for one in read_lines(tmp_path / "out" / "a_uo.jsonl")} == {1}


def spoiled(*path: object, value: object) -> dict:
    """An element with one value replaced."""
    entry = element("1.jpg", ("pet", "cat"))
    place = entry
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return entry


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("text", r"element 1 is 'text'; expected \[\{"),
        (spoiled("file_name", value=3), r"element 1: `file_name` is 3"),
        (spoiled("file_name", value="a\nb"), r"element 1: `file_name` is 'a\\nb'"),
        (spoiled("annotations", value=None), r"element 1: `annotations` is None; expected a list"),
        (spoiled("hoi_annotation", value={}), r"element 1: `hoi_annotation` is \{\}; expected a list"),
        (spoiled("hoi_annotation", 0, value=[]), r"element 1: `hoi_annotation\[0\]` is \[\]"),
        (spoiled("hoi_annotation", 0, "category_id", value=118), r"category_id` is 118; expected a verb, 1 to 117"),
        (spoiled("hoi_annotation", 0, "category_id", value=True), r"category_id` is True"),
        (spoiled("hoi_annotation", 0, "object_id", value="1"), r"`hoi_annotation\[0\].object_id` is '1'"),
        (spoiled("annotations", 1, "category_id", value=12), r"`annotations\[1\].category_id` is 12; .*COCO"),
        (spoiled("annotations", 0, value=None), r"`annotations\[0\].category_id` is None"),
        (element("0.jpg"), r"element 1: '0.jpg' has been at .*element 0"),
    ],
)
def test_a_bad_element_is_named_with_field_and_value(tmp_path, entry, message):
    path = write_list(tmp_path / "a.json", [element("0.jpg", ("pet", "cat")), entry])
    with pytest.raises(BadInputError, match=message) as error:
        split_hicodet(path, tmp_path / "out")
    assert str(path) in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"line 1: not valid JSON"),
        ('{"image": "1.jpg"}', r"line 1: `triplets` is None; expected a list, as in one JSON object a line"),
        ('{"triplets": []}', r"line 1: `file_name` is None"),
        ('{"image": "", "triplets": []}', r"line 1: `image` is ''"),
        ('{"image": "1.jpg", "triplets": [["person", [], "pet", "cat"]]}', r"`triplets\[0\]` is \['person'"),
        (
            '{"image": "1.jpg", "triplets": [["person", [], "hold obj", "cat", []]]}',
            r"\[0\]\[2\]` is 'hold obj'; .*117",
        ),
        ('{"image": "1.jpg", "triplets": [["person", [], "pet", "tiger", []]]}', r"\[0\]\[3\]` is 'tiger'; .*80"),
        ('{"image": "1.jpg", "triplets": [[null, [], "pet", "cat", []]]}', r"\[0\]\[0\]` is None"),
        ('{"image": "1.jpg", "triplets": []}\n\n[1]', r"line 3 is \[1\]"),
        ('{"image": "1.jpg", "triplets": []}', r"holds none of HICO-DET's 600 interactions"),
        ("[]", r"holds none of HICO-DET's 600 interactions"),
        ('[{"file_name": ', r"fetch it again"),
        ("file_name,verb", r"starts with 'f'; expected HICO-DET's training annotations"),
        ("", r"starts with ''; expected"),
    ],
)
def test_a_bad_file_is_refused_with_place_and_value(tmp_path, text, message):
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(BadInputError, match=message):
        split_hicodet(path, tmp_path / "out")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="no such file"):
        split_hicodet(tmp_path / "a.json", tmp_path / "out")


def test_too_few_images_for_a_subset_are_refused_before_anything_is_written(tmp_path):
    path = write_list(tmp_path / "a.json", [element("1.jpg", ("pet", "cat"))])
    with pytest.raises(UserError, match="it takes 1 to have every verb and object"):
        split_hicodet(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_a_folder_is_a_storage_error(as_list):
    with pytest.raises(StorageError, match="give another output folder"):
        split_hicodet(as_list, as_list)


def test_the_shipped_subsets_are_drawn_anew_byte_for_byte(test_data, tmp_path):
    summary = split_hicodet(test_data / "relations" / "hicodet_train.jsonl.gz", tmp_path)
    for percent in FEW_SHOT_PERCENT:
        shipped = files("stages.evaluate.splits").joinpath(f"hicodet_few_shot_{percent}.txt").read_bytes()
        assert (tmp_path / f"few_shot_{percent}.txt").read_bytes() == shipped
    # These annotations are those that the benchmark's classes were counted on.
    with (tmp_path / "classes.csv").open(newline="") as file:
        assert tuple(int(row["instances"]) for row in csv.DictReader(file)) == hico_classes().num_train
    hidden = {split: sum(hico_classes().num_train[i] for i in hico_classes().unseen[split]) for split in ZERO_SHOT}
    assert [summary.num_relations - one.num_relations for one in summary.files[:3]] == list(hidden.values())
