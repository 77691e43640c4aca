"""Every fault of annotation files ends in its place: a repair, a rejected record, or an error that says where."""

import gzip
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from schemas import BadInputError, Rejected, Scene, UserError, scene_to_json
from schemas.job import DatasetJob
from stages.ingest import Dataset, open_dataset

GOOD = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0}
IMAGE = {"id": 1, "file_name": "1.jpg", "width": 640, "height": 480}
CATEGORIES = [{"id": 1, "name": "person"}, {"id": 2, "name": "  "}]


def write_coco(tmp_path: Path, **lists: Any) -> Path:
    path = tmp_path / "instances.json"
    document = {"images": [IMAGE], "annotations": [GOOD], "categories": CATEGORIES} | lists
    path.write_text(json.dumps(document))
    return path


def opened(annotations: Path, **job: Any) -> Dataset:
    fields = {"format": "coco", "annotations": str(annotations), "pixels": False} | job
    return open_dataset(TypeAdapter(DatasetJob).validate_python(fields), seed=0)


def read(annotations: Path, **job: Any) -> list[Scene | Rejected]:
    return list(opened(annotations, **job).records())


def repairs(record: Scene | Rejected) -> list[str]:
    assert isinstance(record, Scene), record
    # What was mended can be written: no NaN, no half surrogate pair is left.
    scene_to_json(record)
    assert all(repair.stage == "ingest" and repair.detail for repair in record.provenance.repairs)
    return [repair.reason for repair in record.provenance.repairs]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"bbox": [math.nan, 0, 5, 5]}, "box-not-finite"),
        ({"bbox": [0, 0, math.inf, 5]}, "box-not-finite"),
        ({"bbox": [0, 0, "5", 5]}, "box-not-finite"),
        ({"bbox": [0, 0, None, 5]}, "box-not-finite"),
        ({"bbox": [0, 0, True, 5]}, "box-not-finite"),
        ({"bbox": [0, 0, 5]}, "box-not-finite"),
        ({"bbox": {"x": 1}}, "box-not-finite"),
        ({"bbox": None}, "box-not-finite"),
        ({"bbox": [1e308, 0, 1e308, 5]}, "box-not-finite"),
        ({"bbox": [10**400, 0, 5, 5]}, "box-not-finite"),
        ({"bbox": [0, 0, -1, 5]}, "box-negative-size"),
        ({"bbox": [0, 0, 0, 5]}, "box-zero-area"),
        ({"bbox": [1e9, 0, 1e-9, 5]}, "box-zero-area"),
        ({"iscrowd": 1}, "box-is-crowd"),
        ({"category_id": 99}, "unknown-category"),
        ({"category_id": None}, "unknown-category"),
        ({"category_id": [1]}, "unknown-category"),
        ({"category_id": 2}, "unknown-category"),
    ],
)
def test_faulty_box_is_dropped_and_the_good_one_kept(tmp_path: Path, fault: dict[str, Any], reason: str) -> None:
    (record,) = read(write_coco(tmp_path, annotations=[GOOD | {"id": 2} | fault, GOOD]))
    assert repairs(record) == [reason]
    assert isinstance(record, Scene)
    assert [region.source_id for region in record.regions] == ["1"]


def test_image_entered_twice_alike_is_one_record(tmp_path: Path) -> None:
    (record,) = read(write_coco(tmp_path, images=[IMAGE, IMAGE, IMAGE | {"license": 3}]))
    assert repairs(record) == ["duplicate-image"]


def test_two_images_of_one_id_are_rejected_and_their_neighbour_is_not(tmp_path: Path) -> None:
    images = [IMAGE, IMAGE | {"file_name": "other.jpg"}, IMAGE | {"id": 2}]
    rejected, kept = read(write_coco(tmp_path, images=images))
    assert isinstance(rejected, Rejected)
    assert (rejected.key, rejected.stage, rejected.reason) == ("coco-1", "ingest", "duplicate-image-id")
    assert "other.jpg" in rejected.detail
    assert repairs(kept) == []


def test_annotations_and_captions_of_a_missing_image_are_rejected_once(tmp_path: Path) -> None:
    captions = tmp_path / "captions.json"
    captions.write_text(
        json.dumps({"annotations": [{"image_id": 7, "caption": "A."}, {"image_id": 8, "caption": "B."}]})
    )
    path = write_coco(tmp_path, annotations=[GOOD, GOOD | {"image_id": 7}, GOOD | {"image_id": 7, "id": 3}])
    records = read(path, captions=str(captions))
    assert [(record.key, getattr(record, "reason", None)) for record in records] == [
        ("coco-1", None),
        ("coco-7", "annotation-without-image"),
        ("coco-8", "annotation-without-image"),
    ]


def test_image_without_a_name_is_rejected(tmp_path: Path) -> None:
    (record,) = read(write_coco(tmp_path, images=[{"id": 1, "width": 5, "height": 5}]))
    assert isinstance(record, Rejected)
    assert record.reason == "image-without-name"


@pytest.mark.parametrize(
    "size", [{"width": 0}, {"width": math.nan}, {"height": "480"}, {"height": -3}, {"height": 4.5}]
)
def test_size_that_is_none_counts_as_unknown(tmp_path: Path, size: dict[str, Any]) -> None:
    (record,) = read(write_coco(tmp_path, images=[IMAGE | size]))
    assert repairs(record) == ["image-size-invalid"]
    assert isinstance(record, Scene)
    assert (record.image.width, record.image.height) == (None, None)


def test_same_annotation_twice_is_one_box(tmp_path: Path) -> None:
    (record,) = read(write_coco(tmp_path, annotations=[GOOD, GOOD]))
    assert repairs(record) == ["duplicate-annotation-id"]
    assert isinstance(record, Scene)
    assert len(record.regions) == 1


def test_two_annotations_of_one_id_are_both_kept(tmp_path: Path) -> None:
    (record,) = read(write_coco(tmp_path, annotations=[GOOD, GOOD | {"bbox": [5, 5, 5, 5]}]))
    assert repairs(record) == ["duplicate-annotation-id"]
    assert isinstance(record, Scene)
    assert [(region.id, region.source_id) for region in record.regions] == [(0, "1"), (1, "1")]


@pytest.mark.parametrize(
    ("text", "kept", "reasons"),
    [
        ("A man. ", "A man.", []),
        ("", None, ["caption-empty"]),
        (" \n\t", None, ["caption-empty"]),
        (None, None, ["caption-empty"]),
        (3, None, ["caption-empty"]),
        ("word " * 2000, None, ["caption-too-long"]),
        ("x" * 2000, "x" * 2000, []),
        ("A \U0001f468\u200d\U0001f469 couple\non a bench", "A \U0001f468\u200d\U0001f469 couple\non a bench", []),
        ("half \ud83d pair", "half \ufffd pair", ["text-not-unicode"]),
        ("nul \x00 inside", "nul \x00 inside", []),
    ],
)  # fmt: skip
def test_captions_are_kept_as_they_are_or_dropped_with_a_reason(
    tmp_path: Path, text: Any, kept: str | None, reasons: list[str]
) -> None:
    captions = tmp_path / "captions.json"
    captions.write_text(json.dumps({"annotations": [{"image_id": 1, "caption": text}]}))
    (record,) = read(write_coco(tmp_path), captions=str(captions))
    assert repairs(record) == reasons
    assert isinstance(record, Scene)
    assert [caption.text for caption in record.captions] == ([] if kept is None else [kept])


def test_relation_of_a_dropped_box_is_dropped_too(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good, flat = [0, 0, 9, 9], [5, 5, 5, 9]
    triplets = [["person", good, "ride", "horse", flat], ["person", flat, "ride", "horse", good], ["person", good]]
    triplets += [["person", good, None, "horse", good], [None, good, "ride", "horse", good]]
    path.write_text(json.dumps({"image": "a.jpg", "triplets": triplets}))
    (record,) = read(path, format="triplets")
    assert isinstance(record, Scene)
    assert repairs(record) == [
        "box-zero-area",
        "relation-without-region",
        "box-zero-area",
        "relation-without-region",
        "triplet-malformed",
        "relation-without-predicate",
        "unknown-category",
        "relation-without-region",
    ]
    assert record.relations == ()


TEXT = json.dumps({"images": [IMAGE], "annotations": [GOOD], "categories": CATEGORIES})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with ''"),
        (b"<html>not found</html>", "starts with '<'"),
        (TEXT[:60].encode(), "ends"),
        (TEXT[:-1].encode(), "cut short"),
        (TEXT.encode() + b"x", "more text behind the end"),
        (TEXT.replace('"annotations"', '"objects"').encode(), "no list `annotations`"),
        (TEXT.replace('"annotations": [', '"annotations": 5, "x": [').encode(), "`annotations` is not a list"),
        (TEXT.replace('"image_id": 1', '"image": 1').encode(), r"annotations\[0\].image_id is None"),
        (TEXT.replace('"image_id": 1', '"image_id": 1.5').encode(), r"annotations\[0\].image_id is 1.5"),
        (TEXT.replace('"id": 1, "file_name"', '"id": [], "file_name"').encode(), r"images\[0\].id is \[\]"),
        (TEXT.replace('{"id": 1, "image_id"', '[], {"id": 1, "image_id"').encode(), r"annotations\[0\] is \[\]"),
        (TEXT.replace('"name": "person"', '"name": 5').encode(), r"categories\[0\]"),
        (TEXT.replace('"id": 2, "name"', '"id": 1, "name"').encode(), "id 1 is both 'person' and"),
        (TEXT.replace('"id": 2', '"id": tru').encode(), "not JSON|not valid JSON"),
        (b"[1, 2]", r"starts with '\['"),
        (b"\xff\xfe" + TEXT.encode("utf-16-le"), "not UTF-8"),
        (gzip.compress(TEXT.encode())[:-10], "damaged gzip"),
        (b"\x1f\x8b" + b"garbage" * 5, "damaged gzip"),
        (b'{"a": ' + b"[" * 100_000, "not valid JSON"),
    ],
)  # fmt: skip
def test_damaged_or_other_file_is_named_with_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "instances.json"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("format_", ["coco", "lvis", "objects365", "hicodet", "vcoco", "visual_genome", "triplets"])
def test_every_format_says_which_file_is_missing_or_of_another_kind(tmp_path: Path, format_: str) -> None:
    with pytest.raises(BadInputError, match=r"gone\.json: no such file"):
        read(tmp_path / "gone.json", format=format_)
    with pytest.raises(BadInputError, match="is a folder"):
        read(tmp_path, format=format_)
    for content in ('{"a": 1}', "[3]", '"text"', "a,b\n1,2\n"):
        other = tmp_path / "other.json"
        other.write_text(content)
        with pytest.raises(UserError, match=r"other\.json|dataset\.instances"):
            read(other, format=format_)


@pytest.mark.parametrize(
    ("format_", "document", "message"),
    [
        ("hicodet", [{"file_name": "", "annotations": [], "hoi_annotation": []}], "element 0: `file_name` is ''"),
        ("hicodet", [{"file_name": "a.jpg", "annotations": []}], "element 0 is .*; expected"),
        (
            "hicodet",
            {"annotation": [], "filenames": ["a.jpg"], "size": [[1, 1]], "objects": [], "verbs": []},
            "0 annotations, 1 filenames and 1 sizes",
        ),
        (
            "hicodet",
            {"annotation": [{"boxes_h": []}], "filenames": ["a"], "size": [1], "objects": [], "verbs": []},
            r"annotation\[0\] is .*equally long",
        ),
        ("visual_genome", [{"image_id": 1}], "element 0 is .*objects"),
        ("visual_genome", [{"objects": []}], "element 0: `image_id` is None"),
    ],
)
def test_element_without_what_it_needs_is_named(tmp_path: Path, format_: str, document: Any, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    with pytest.raises(BadInputError, match=message):
        read(path, format=format_)


def test_vcoco_columns_of_unequal_length_are_refused(tmp_path: Path) -> None:
    verbs = tmp_path / "verbs.json"
    roles = {"action_name": "hold", "role_name": ["agent", "obj"], "image_id": [1], "ann_id": [1], "label": [1]}
    verbs.write_text(json.dumps([roles | {"role_object_id": [1, 0, 0]}]))
    with pytest.raises(BadInputError, match=r"verbs\.json: element 0 is .*role_object_id"):
        read(verbs, format="vcoco", instances=str(write_coco(tmp_path)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ImageID,LabelName\n", "no column 'XMin'"),
        ("", "no column 'ImageID'"),
        ("ImageID,LabelName,XMin,XMax,YMin,YMax\n1,Man,0,1\n", "line 2: 4 values for 6 columns"),
        ("ImageID,LabelName,XMin,XMax,YMin,YMax\n,Man,0,1,0,1\n", "line 2: ImageID is ''"),
        ("ImageID,LabelName,XMin,XMax,YMin,YMax\n1,/m/04yx4,0,1,0,1\n", "line 2.*dataset.classes"),
    ],
)
def test_damaged_csv_is_named_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(content)
    with pytest.raises(BadInputError, match=message):
        read(path, format="openimages", pixels=True, images=str(tmp_path))


def test_csv_numbers_that_are_none_cost_their_box(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text("ImageID,LabelName,XMin,XMax,YMin,YMax\n1,Man,nan,1,0,1\n1,Man,0,x,0,1\n1,Man,0,1,0,1\n")
    (record,) = read(path, format="openimages", pixels=True, images=str(tmp_path))
    assert repairs(record) == ["box-not-finite", "box-not-finite"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = write_coco(tmp_path)
    path.chmod(0)
    with pytest.raises(BadInputError, match="no permission"):
        read(path)


def test_fingerprint_is_of_contents_and_options_not_of_places(tmp_path: Path) -> None:
    path = write_coco(tmp_path)
    moved = tmp_path / "moved.json"
    moved.write_bytes(path.read_bytes())
    changed = tmp_path / "changed.json"
    changed.write_bytes(path.read_bytes() + b" ")
    same = opened(path).fingerprint()
    assert len(same) == 64
    assert opened(moved).fingerprint() == same
    others = [opened(changed), opened(path, limit=5), opened(path, name="other"), opened(path, format="lvis")]
    others.append(opened(path, captions=str(path)))
    assert len({same, *(other.fingerprint() for other in others)}) == 6


def test_limit_takes_the_first_by_key(tmp_path: Path) -> None:
    path = write_coco(tmp_path, images=[IMAGE | {"id": number} for number in (30, 4, 200, 1)])
    assert [record.key for record in read(path)] == ["coco-1", "coco-200", "coco-30", "coco-4"]
    assert [record.key for record in read(path, limit=2)] == ["coco-1", "coco-200"]


def test_records_do_not_depend_on_how_the_reader_left_off(tmp_path: Path) -> None:
    path = write_coco(tmp_path, images=[IMAGE | {"id": number} for number in range(5)])
    dataset = opened(path)
    iterator = dataset.records()
    next(iterator)
    del iterator
    assert list(dataset.records()) == list(dataset.records())


def test_pictures_need_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.images"):
        opened(write_coco(tmp_path), pixels=True)
    with pytest.raises(UserError, match=r"dataset\.images"):
        opened(write_coco(tmp_path)).images()
