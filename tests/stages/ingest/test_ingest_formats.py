"""Every format in its published layout, in miniature: what comes out is worked out by hand."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import fsspec
import pytest
from pydantic import TypeAdapter

from schemas import Rejected, Scene, UserError, scene_from_json, scene_to_json
from schemas.job import DatasetJob
from stages.ingest import Dataset, open_dataset

CATEGORIES = [{"id": 1, "name": "person"}, {"id": 19, "name": "horse"}, {"id": 37, "name": "sports ball"}]


def opened(tmp_path: Path, files: dict[str, Any], **job: Any) -> Dataset:
    """The dataset of a job whose files, given by role, are written first; pixels are off unless asked for."""
    for role, content in files.items():
        path = tmp_path / role
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        job[role] = str(path)
    job.setdefault("pixels", False)
    return open_dataset(TypeAdapter(DatasetJob).validate_python(job), seed=0)


def scenes(dataset: Dataset) -> list[Scene]:
    records = list(dataset.records())
    assert all(isinstance(record, Scene) for record in records), records
    return [record for record in records if isinstance(record, Scene)]


def regions(scene: Scene) -> list[tuple[str, tuple[float, ...]]]:
    return [(region.name, region.box) for region in scene.regions]


def relations(scene: Scene) -> list[tuple[int, str, int]]:
    return [(relation.subject, relation.predicate, relation.object) for relation in scene.relations]


def repairs(scene: Scene) -> list[str]:
    return [repair.reason for repair in scene.provenance.repairs]


def coco(images: list[Any], annotations: list[Any], categories: list[Any] | None = None) -> dict[str, Any]:
    document = {"info": {"year": 2017, "note": {"a": []}}, "licenses": [{"id": 1}]}
    return document | {"images": images, "annotations": annotations, "categories": categories or CATEGORIES}


def box(number: int, image: int, category: int, bbox: list[float], **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": category, "bbox": bbox, "iscrowd": 0} | more


def image(number: int, **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": f"{number:012d}.jpg", "width": 640, "height": 480} | more


def caption(number: int, text: Any) -> dict[str, Any]:
    return {"id": 5, "image_id": number, "caption": text}


def test_coco_instances_and_captions(tmp_path: Path) -> None:
    files = {
        "annotations": coco(
            [image(9), image(10)],
            [box(1, 9, 19, [10, 20, 30, 40]), box(2, 10, 1, [0, 0, 5, 5], iscrowd=1), box(3, 9, 37, [1.5, 2, 3, 4])],
        ),
        "captions": {"annotations": [caption(9, " A horse \U0001f40e\nand a ball. "), caption(9, "A ball.")]},
    }
    first, second = scenes(opened(tmp_path, files, format="coco"))
    # Plain string order: "10" before "9".
    assert (first.key, second.key) == ("coco-10", "coco-9")
    assert (second.image.name, second.image.width, second.image.height) == ("000000000009.jpg", 640, 480)
    assert regions(second) == [("horse", (10, 20, 40, 60)), ("sports ball", (1.5, 2, 4.5, 6))]
    assert [region.source_id for region in second.regions] == ["1", "3"]
    assert [c.text for c in second.captions] == ["A horse \U0001f40e\nand a ball.", "A ball."]
    assert {c.source for c in second.captions} == {"given"}
    assert (regions(first), repairs(first)) == ([], ["box-is-crowd"])


def test_coco_lists_in_another_order_gzipped_behind_a_byte_order_mark(tmp_path: Path) -> None:
    document = coco([image(9)], [box(1, 9, 19, [10, 20, 30, 40])])
    reverse = dict(reversed(document.items()))
    plain = opened(tmp_path, {"annotations": document}, format="coco")
    path = tmp_path / "packed"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + json.dumps(reverse, indent=2).encode()))
    job = TypeAdapter(DatasetJob).validate_python({"format": "coco", "annotations": str(path), "pixels": False})
    assert list(open_dataset(job, seed=0).records()) == list(plain.records())


def test_lvis_takes_folder_from_url_and_names_without_underscores(tmp_path: Path) -> None:
    url = "http://images.cocodataset.org/val2017/000000397133.jpg"
    document = coco(
        [{"id": 397133, "coco_url": url, "width": 640, "height": 427, "neg_category_ids": []}],
        [{"id": 1, "image_id": 397133, "category_id": 3, "bbox": [1, 2, 3, 4], "segmentation": [[1, 2, 3, 4]]}],
        [{"id": 3, "name": "aerosol_can", "synonyms": ["spray_can"], "frequency": "c"}],
    )
    # The captions are COCO's, of which LVIS has a part.
    captions = {"annotations": [caption(397133, "A can."), caption(1, "Another picture.")]}
    (scene,) = scenes(opened(tmp_path, {"annotations": document, "captions": captions}, format="lvis"))
    assert (scene.key, scene.image.name) == ("lvis-397133", "val2017/000000397133.jpg")
    assert regions(scene) == [("aerosol can", (1, 2, 4, 6))]
    assert len(scene.captions) == 1


def test_objects365_names_pictures_by_patch(tmp_path: Path) -> None:
    name = "images/v1/patch8/objects365_v1_00420917.jpg"
    document = coco(
        [image(420917, file_name=name)], [box(1, 420917, 2, [1, 2, 3, 4])], [{"id": 2, "name": "Wild Bird "}]
    )
    (scene,) = scenes(opened(tmp_path, {"annotations": document}, format="objects365"))
    assert scene.image.name == "patch8/objects365_v1_00420917.jpg"
    assert regions(scene) == [("wild bird", (1, 2, 4, 6))]


@pytest.mark.parametrize("lies_at", ["patch8/a.jpg", "a.jpg"])
def test_objects365_pictures_may_lie_in_patches_or_flat(tmp_path: Path, lies_at: str) -> None:
    (tmp_path / "images" / "patch8").mkdir(parents=True)
    (tmp_path / "images" / lies_at).write_bytes(b"picture")
    document = coco([image(1, file_name="images/v2/patch8/a.jpg")], [])
    folder = str(tmp_path / "images")
    dataset = opened(tmp_path, {"annotations": document}, format="objects365", images=folder, pixels=True)
    assert dataset.images().read(scenes(dataset)[0].image.name) == b"picture"


HICO_QPIC = [
    {
        "file_name": "HICO_train2015_00000001.jpg",
        "img_id": 1,
        "annotations": [
            {"bbox": [207, 32, 426, 299], "category_id": 1},
            {"bbox": [58, 97, 571, 404], "category_id": 4},
            {"bbox": [208, 25, 443, 316], "category_id": 1},
            {"bbox": [58, 98, 578, 394], "category_id": 4},
            {"bbox": [10, 10, 60, 90], "category_id": 1},
            {"bbox": [300, 10, 400, 60], "category_id": 90},
        ],
        "hoi_annotation": [
            {"subject_id": 0, "object_id": 1, "category_id": 73, "hoi_category_id": 153},
            {"subject_id": 2, "object_id": 3, "category_id": 88, "hoi_category_id": 155},
            {"subject_id": 4, "object_id": 5, "category_id": 58, "hoi_category_id": 599},
        ],
    }
]
# The same picture: pairs instead of places, pixels counted from 1.
HICO_INSTANCES = {
    "annotation": [
        {
            "boxes_h": [[208, 33, 427, 300], [209, 26, 444, 317], [11, 11, 61, 91]],
            "boxes_o": [[59, 98, 572, 405], [59, 99, 579, 395], [301, 11, 401, 61]],
            "hoi": [152, 154, 598],
            "object": [1, 1, 2],
            "verb": [1, 2, 0],
        },
        {"boxes_h": [], "boxes_o": [], "hoi": [], "object": [], "verb": []},
    ],
    "correspondence": [[0, 4, 4]],
    "empty": [1],
    "filenames": ["HICO_train2015_00000001.jpg", "HICO_train2015_00000002.jpg"],
    "objects": ["person", "motorcycle", "toothbrush"],
    "size": [[640, 480], [480, 640]],
    "verbs": ["no_interaction", "race", "sit_on"],
    "rare": [8],
}


def test_hicodet_layouts_agree_and_merge_boxes_that_were_drawn_afresh(tmp_path: Path) -> None:
    (listed,) = scenes(opened(tmp_path, {"annotations": HICO_QPIC}, format="hicodet"))
    paired, empty = scenes(opened(tmp_path, {"annotations": HICO_INSTANCES}, format="hicodet"))
    assert regions(listed) == [
        ("person", (207, 32, 426, 299)),
        ("motorcycle", (58, 97, 571, 404)),
        ("person", (10, 10, 60, 90)),
        ("toothbrush", (300, 10, 400, 60)),
    ]
    assert relations(listed) == [(0, "race", 1), (0, "sit on", 1), (2, "interact with", 3)]
    assert [(r.state, r.source, r.score) for r in listed.relations] == [
        ("asserted", "human", 1.0),
        ("asserted", "human", 1.0),
        ("denied", "human", 1.0),
    ]
    assert listed.relations[1].text == "sit_on"
    assert repairs(listed) == ["boxes-merged"]
    assert (paired.key, regions(paired), paired.relations) == (listed.key, regions(listed), listed.relations)
    assert (paired.key, paired.image.width) == ("hicodet-HICO_train2015_00000001", 640)
    assert (empty.image.name, empty.image.height, empty.regions) == ("HICO_train2015_00000002.jpg", 640, ())


def test_two_people_who_overlap_and_hug_stay_two(tmp_path: Path) -> None:
    bodies = [[0, 0, 100, 100], [5, 0, 105, 100]]
    listed = [
        {
            "file_name": "a.jpg",
            "annotations": [{"bbox": body, "category_id": 1} for body in bodies],
            "hoi_annotation": [{"subject_id": 0, "object_id": 1, "category_id": 40}],
        }
    ]
    line = {"image": "a.jpg", "triplets": [["person", bodies[0], "hug", "person", bodies[1]]]}
    for content, format_ in ((listed, "hicodet"), (json.dumps(line), "triplets")):
        (scene,) = scenes(opened(tmp_path, {"annotations": content}, format=format_))
        assert relations(scene) == [(0, "hug", 1)]


VCOCO_IMAGE = "COCO_train2014_000000000165.jpg"
VCOCO_INSTANCES = coco(
    [image(165, file_name=VCOCO_IMAGE), image(166)],
    [box(7, 165, 1, [0, 0, 50, 90]), box(8, 165, 37, [60, 60, 10, 10]), box(9, 166, 1, [0, 0, 9, 9])],
)
VCOCO_VERBS = [
    {
        "action_name": "hit",
        "role_name": ["agent", "instr", "obj"],
        "include": [[], [], []],
        "image_id": [165, 165],
        "ann_id": [7, 8],
        "label": [1, 0],
        # All agents, then all instruments, then all objects.
        "role_object_id": [7, 8, 0, 0, 8, 0],
    },
    {
        "action_name": "stand",
        "role_name": ["agent"],
        "include": [[]],
        "image_id": [165, 165],
        "ann_id": [7, 8],
        "label": [1, 0],
        "role_object_id": [7, 8],
    },
]
VCOCO_QPIC = [
    {
        "file_name": VCOCO_IMAGE,
        "annotations": [{"category_id": 1, "bbox": [0, 0, 50, 90]}, {"category_id": 37, "bbox": [60, 60, 70, 70]}],
        "hoi_annotation": [
            {"subject_id": 0, "object_id": -1, "category_id": 6},
            {"subject_id": 0, "object_id": 1, "category_id": 7},
            {"subject_id": 0, "object_id": -1, "category_id": 1},
        ],
    }
]


def test_vcoco_layouts_agree(tmp_path: Path) -> None:
    captions = {"annotations": [caption(165, "A person hits a ball."), caption(999, "Another picture of COCO.")]}
    official = {"annotations": VCOCO_VERBS, "instances": VCOCO_INSTANCES, "captions": captions}
    listed = {"annotations": VCOCO_QPIC, "captions": captions}
    for files in (official, listed):
        (scene,) = scenes(opened(tmp_path, files, format="vcoco"))
        assert (scene.key, scene.image.name) == ("vcoco-165", VCOCO_IMAGE)
        assert regions(scene) == [("person", (0, 0, 50, 90)), ("sports ball", (60, 60, 70, 70))]
        assert relations(scene) == [(0, "hit", 1)]
        assert scene.relations[0].text == "hit obj"
        assert repairs(scene) == ["verb-without-object"]
        assert "hit instr, stand" in scene.provenance.repairs[0].detail
        assert [c.text for c in scene.captions] == ["A person hits a ball."]


def test_vcoco_official_layout_needs_instances(tmp_path: Path) -> None:
    dataset = opened(tmp_path, {"annotations": VCOCO_VERBS}, format="vcoco")
    with pytest.raises(UserError, match=r"dataset\.instances"):
        list(dataset.records())


OI_BOXES = """ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf
0a,xclick,/m/04yx4,1,0.1,0.5,0.2,0.9,0,0,0
0a,xclick,/m/018xm,1,0.6,0.7,0.6,0.7,0,0,1
0b,activemil,/m/04yx4,0.5,0.1,0.5,0.2,0.9,0,0,0
"""
OI_RELATIONS = """ImageID,LabelName1,LabelName2,XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,YMin2,YMax2,RelationshipLabel
0a,/m/04yx4,/m/0342h,0.100000,0.500000,0.200000,0.900000,0.3,0.4,0.3,0.5,holds
0a,/m/0342h,/m/083vt,0.3,0.4,0.3,0.5,0.3,0.4,0.3,0.5,is
0a,/m/04yx4,/m/018xm,0.100000,0.500000,0.200000,0.900000,0.6,0.7,0.6,0.7,hits
"""
OI_CLASSES = "LabelName,DisplayName\n/m/04yx4,Man\n/m/0342h,Guitar\n/m/018xm,Ball\n"


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    return str(tmp_path)


def test_openimages_boxes_and_relationships(tmp_path: Path, pictures: str) -> None:
    files = {"annotations": OI_BOXES, "relationships": OI_RELATIONS, "classes": OI_CLASSES}
    dataset = opened(tmp_path, files, format="openimages", images=pictures, pixels=True)
    assert dataset.boxes_are_fractions
    first, second = scenes(dataset)
    assert (first.key, first.image.name) == ("openimages-0a", "0a.jpg")
    assert regions(first) == [("man", (0.1, 0.2, 0.5, 0.9)), ("guitar", (0.3, 0.3, 0.4, 0.5))]
    assert relations(first) == [(0, "hold", 1)]
    assert repairs(first) == ["box-is-crowd", "attribute-not-relation", "relation-without-region"]
    assert second.regions[0].score == 0.5


def test_openimages_relationships_alone_bring_their_boxes(tmp_path: Path, pictures: str) -> None:
    files = {"relationships": OI_RELATIONS, "classes": OI_CLASSES}
    (scene,) = scenes(opened(tmp_path, files, format="openimages", images=pictures, pixels=True))
    assert [name for name, _ in regions(scene)] == ["man", "guitar", "ball"]
    assert relations(scene) == [(0, "hold", 1), (0, "hit", 2)]


@pytest.mark.parametrize(
    ("files", "job", "message"),
    [
        ({"relationships": OI_RELATIONS}, {"pixels": True, "images": "."}, r"dataset\.classes"),
        ({"annotations": OI_BOXES, "classes": OI_CLASSES}, {"pixels": False}, r"dataset\.pixels"),
        ({"annotations": OI_BOXES, "classes": OI_CLASSES}, {"pixels": True}, r"dataset\.images"),
        ({}, {"pixels": True, "images": "."}, r"dataset\.annotations"),
    ],
)
def test_openimages_settings_that_do_not_fit_are_refused(
    tmp_path: Path, files: dict[str, Any], job: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        list(opened(tmp_path, files, format="openimages", **job).records())


def vg_object(number: int, x: int, *names: str, **more: Any) -> dict[str, Any]:
    return {"object_id": number, "x": x, "y": 0, "w": 10, "h": 20, "names": list(names), "synsets": []} | more


VG_URL = "https://cs.stanford.edu/people/rak248/VG_100K_2/1.jpg"
VG_OBJECTS = [
    {
        "image_id": 1,
        "image_url": VG_URL,
        "objects": [vg_object(5, 0, "Man", "guy"), vg_object(6, 30, "shirt", merged_object_ids=[60])],
    },
    {"image_id": 2, "objects": []},
]
VG_RELATIONS = [
    {
        "image_id": 1,
        "relationships": [
            {"relationship_id": 1, "predicate": "WEARING", "subject": vg_object(5, 0), "object": vg_object(60, 30)},
            {
                "relationship_id": 2,
                "predicate": "standing on the",
                "subject": {"object_id": 5},
                "object": {"object_id": 77, "x": 0, "y": 30, "w": 90, "h": 9, "name": "street"},
            },
            {"relationship_id": 3, "predicate": "near", "subject": {"object_id": 5}, "object": {"object_id": 78}},
        ],
    }
]
VG_DATA = [{"image_id": number, "url": VG_URL, "width": 800, "height": 600} for number in (1, 3)]


def test_visual_genome_joins_objects_by_id(tmp_path: Path) -> None:
    files = {"annotations": VG_OBJECTS, "relationships": VG_RELATIONS, "image_data": VG_DATA}
    first, second = scenes(opened(tmp_path, files, format="visual_genome", name="vg"))
    assert (first.key, first.image.name, first.image.width) == ("vg-1", "VG_100K_2/1.jpg", 800)
    assert regions(first) == [("man", (0, 0, 10, 20)), ("shirt", (30, 0, 40, 20)), ("street", (0, 30, 90, 39))]
    assert relations(first) == [(0, "wear", 1), (0, "stand on", 2)]
    assert [r.text for r in first.relations] == ["WEARING", "standing on the"]
    assert repairs(first) == ["box-not-finite", "relation-without-region"]
    assert (second.image.name, second.image.width) == ("2.jpg", None)


def test_triplets_with_inline_captions(tmp_path: Path) -> None:
    man, bike = [0, 0, 10, 20], [5, 5, 30, 30]
    lines = [
        {
            "image": "b.jpg",
            "width": None,
            "height": None,
            "triplets": [["person", man, "ride instr", "bicycle", bike], ["Person", man, "look obj", "bicycle", bike]],
        },
        {"image_id": 7, "file_name": "7.jpg", "width": 64, "height": 48, "captions": ["A.", " "], "triplets": []},
        {"image": "sub/a.b.jpg", "triplets": [["Table", man, "is", "Wooden", man], ["a", man, "on", "a", man]]},
    ]
    text = "\n".join(json.dumps(line) for line in lines) + "\n\n"
    seven, b, sub = scenes(opened(tmp_path, {"annotations": text}, format="triplets"))
    assert [scene.key for scene in (seven, b, sub)] == ["triplets-7", "triplets-b", "triplets-sub-2Fa-2Eb"]
    assert relations(b) == [(0, "ride", 1), (0, "look at", 1)]
    assert regions(b) == [("person", (0, 0, 10, 20)), ("bicycle", (5, 5, 30, 30))]
    assert ([c.text for c in seven.captions], repairs(seven)) == (["A."], ["caption-empty"])
    assert (seven.image.name, seven.image.width) == ("7.jpg", 64)
    assert repairs(sub) == ["attribute-not-relation", "relation-to-itself"]


def test_files_and_pictures_may_be_remote() -> None:
    store = fsspec.filesystem("memory")
    document = json.dumps(coco([image(9, file_name="train/9.jpg")], [box(1, 9, 1, [1, 2, 3, 4])]))
    store.pipe_file("/ingest/instances.json.gz", gzip.compress(document.encode()))
    store.pipe_file("/ingest/images/train/9.jpg", b"picture")
    job = {"format": "coco", "annotations": "memory://ingest/instances.json.gz", "images": "memory://ingest/images/"}
    dataset = open_dataset(TypeAdapter(DatasetJob).validate_python(job), seed=0)
    (scene,) = scenes(dataset)
    assert dataset.images().read(scene.image.name) == b"picture"
    assert len(dataset.fingerprint()) == 64


def test_scenes_are_opened_by_the_same_door() -> None:
    job = TypeAdapter(DatasetJob).validate_python({"format": "scenes", "count": 3})
    records = list(open_dataset(job, seed=1).records())
    keys = [record.key for record in records]
    assert len(keys) == 3
    assert keys == sorted(keys)


@pytest.fixture(scope="session")
def coco_sample(test_data: Path) -> Dataset:
    folder = test_data / "coco_sample"
    job = {
        "format": "coco",
        "annotations": str(folder / "instances.json"),
        "captions": str(folder / "captions.json"),
        "images": str(folder / "images"),
    }
    return open_dataset(TypeAdapter(DatasetJob).validate_python(job), seed=0)


def test_real_coco_sample_loses_nothing(coco_sample: Dataset, test_data: Path) -> None:
    instances = json.loads((test_data / "coco_sample" / "instances.json").read_text())
    captions = json.loads((test_data / "coco_sample" / "captions.json").read_text())
    found = scenes(coco_sample)
    assert [scene.key for scene in found] == sorted(f"coco-{entry['id']}" for entry in instances["images"])
    dropped = Counter(reason for scene in found for reason in repairs(scene))
    assert sum(len(scene.regions) for scene in found) + sum(dropped.values()) == len(instances["annotations"])
    assert sum(len(scene.captions) for scene in found) == len(captions["annotations"])
    for scene in found:
        assert scene_from_json(scene_to_json(scene)) == scene
        assert coco_sample.images().read(scene.image.name)


@pytest.mark.parametrize("name", ["vcoco_trainval", "openimages_vrd_val", "vg_5", "captions_vcoco"])
def test_real_triplets_lose_nothing(test_data: Path, name: str) -> None:
    path = test_data / "relations" / f"{name}.jsonl.gz"
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    job = {"format": "triplets", "annotations": str(path), "pixels": False}
    found = scenes(open_dataset(TypeAdapter(DatasetJob).validate_python(job), seed=0))
    assert len(found) == len(lines)
    kept = sum(len(scene.relations) for scene in found)
    dropped = Counter(reason for scene in found for reason in repairs(scene) if reason != "boxes-merged")
    assert set(dropped) <= {"duplicate-relation", "attribute-not-relation", "relation-to-itself"}
    assert kept + sum(dropped.values()) == sum(len(line["triplets"]) for line in lines)
    for scene in found:
        ids = {region.id for region in scene.regions}
        assert all({r.subject, r.object} <= ids and r.subject != r.object for r in scene.relations)
    captions = [caption.strip() for line in lines for caption in line.get("captions", ())]
    assert Counter(c.text for scene in found for c in scene.captions) == Counter(captions)


def test_rejected_is_never_among_well_formed_records(coco_sample: Dataset) -> None:
    assert not [record for record in coco_sample.records() if isinstance(record, Rejected)]
