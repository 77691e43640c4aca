import copy
import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas import BadInputError
from stages.evaluate.vcoco import Action, VCocoPrediction
from stages.evaluate.vcoco_predictions import read_vcoco_predictions
from stages.evaluate.vcoco_truth import VCocoTruth, read_vcoco_truth

# Image 5: person 50 hits ball 52 with nothing, person 51 walks, crowd 53 is unannotated; 54 and 55 are left out.
# Image 7: person 70 does nothing. Image 9 is not of V-COCO.
VERBS: list[dict[str, Any]] = [
    {
        "action_name": "hit",
        "role_name": ["agent", "instr", "obj"],
        "image_id": [5, 5, 7],
        "ann_id": [50, 51, 70],
        "label": [1, 0, 0],
        "role_object_id": [50, 51, 70, 0, 0, 0, 52, 0, 0],
    },
    {
        "action_name": "walk",
        "role_name": ["agent"],
        "image_id": [5, 5, 7],
        "ann_id": [50, 51, 70],
        "label": [0, 1, 0],
        "role_object_id": [50, 51, 70],
    },
]
INSTANCES: dict[str, Any] = {
    "annotations": [
        {"id": 53, "image_id": 5, "category_id": 1, "bbox": [0, 0, 100, 50], "area": 900.5, "iscrowd": 1},
        {"id": 50, "image_id": 5, "category_id": 1, "bbox": [10, 10.5, 20, 30], "area": 500, "iscrowd": 0},
        {"id": 51, "image_id": 5, "category_id": 1, "bbox": [-5, 40, 30, 100], "area": 500, "iscrowd": 0},
        {"id": 52, "image_id": 5, "category_id": 37, "bbox": [30, 30, 4, 4], "area": 12, "iscrowd": 0},
        {"id": 54, "image_id": 5, "category_id": 1, "bbox": [3, 3, 1, 9], "area": 9, "iscrowd": 0},
        {"id": 55, "image_id": 5, "category_id": 1, "bbox": [3, 3, 9, 9], "area": 0, "iscrowd": 0},
        {"id": 70, "image_id": 7, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 0},
        {"id": 90, "image_id": 9, "category_id": "odd", "bbox": None},
    ],
    "images": [
        {"id": 5, "width": 100, "height": 80},
        {"id": 7, "width": 10, "height": 10},
        {"id": 9, "width": 10, "height": 10},
    ],
    "categories": [{"id": 37, "name": "sports ball"}, {"id": 1, "name": "person"}],
}
PREDICTION: dict[str, Any] = {
    "image_id": 5,
    "person_box": [10, 10, 29, 39],
    "hit_agent": 0.5,
    "hit_instr": [0, 0, 0, 0, 0.25],
    "hit_obj": [30, 30, 33, 33, 0.75],
    "walk_agent": 1,
}
REMOVED = object()

ACTIONS = (Action("hit", ("instr", "obj")), Action("walk", ()))


def truth_of(folder: Path, *, verbs: Any = VERBS, instances: Any = INSTANCES, ids: str | None = None) -> VCocoTruth:
    (folder / "verbs.json").write_text(json.dumps(verbs))
    (folder / "instances.json").write_text(json.dumps(instances))
    if ids is not None:
        (folder / "split.ids").write_text(ids)
    chosen = None if ids is None else str(folder / "split.ids")
    return read_vcoco_truth(str(folder / "verbs.json"), str(folder / "instances.json"), chosen)


def predictions_of(folder: Path, entries: Any, **options: Any) -> dict[int, VCocoPrediction]:
    path = folder / "detections.json"
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return dict(read_vcoco_predictions(str(path), truth_of(folder), **options))


def changed(base: Any, **fields: Any) -> Any:
    return {key: value for key, value in (base | fields).items() if value is not REMOVED}


def test_truth_is_read_as_the_official_evaluator_has_it(tmp_path: Path) -> None:
    truth = truth_of(tmp_path)
    assert truth.actions == ACTIONS
    assert list(truth.images) == [5, 7]
    people = truth.images[5]
    # The end is start + size - 1, within the picture; the crowd and who is unannotated stay, in the file's order.
    assert people.people.tolist() == [[0, 0, 99, 49], [10, 10.5, 29, 39.5], [0, 40, 24, 79]]
    assert people.labels.tolist() == [[-1, -1], [1, 0], [0, 1]]
    assert np.argwhere(~np.isnan(people.role_boxes[..., 0])).tolist() == [[1, 0, 1]]
    assert people.role_boxes[1, 0, 1].tolist() == [30, 30, 33, 33]
    assert truth.images[7].labels.tolist() == [[0, 0]]


def test_a_list_of_ids_chooses_and_orders_the_images(tmp_path: Path) -> None:
    assert list(truth_of(tmp_path, ids="7\n\n5\n7\n").images) == [7, 5]
    assert list(truth_of(tmp_path, ids="5").images) == [5]


def edited(*edits: tuple[Any, ...]) -> Callable[[], dict[str, Any]]:
    """`truth_of` keywords with some values replaced: (path of keys, value)."""

    def build() -> dict[str, Any]:
        files: dict[str, Any] = {"verbs": copy.deepcopy(VERBS), "instances": copy.deepcopy(INSTANCES), "ids": None}
        for *keys, last, value in edits:
            place = files
            for key in keys:
                place = place[key]
            if value is REMOVED:
                del place[last]
            else:
                place[last] = value
        return files

    return build


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (edited(("verbs", {"a": 1})), "not with a list"),
        (edited(("verbs", [])), "empty list"),
        (edited(("verbs", 1, 7)), "verbs.json: element 1 is 7"),
        (edited(("verbs", 1, "action_name", None)), "element 1: action_name is None"),
        (edited(("verbs", 1, "action_name", "hit")), r"element 1 \(hit\): there is an action of this name"),
        (edited(("verbs", 0, "role_name", ["instr", "agent", "obj"])), "element 0: role_name is"),
        (edited(("verbs", 0, "role_name", ["agent", "obj", "obj"])), "expected each role once"),
        (edited(("verbs", 0, "ann_id", REMOVED)), "element 0: ann_id is None"),
        (edited(("verbs", 0, "label", [1, 0])), "element 0: label has 2 numbers; expected 3"),
        (edited(("verbs", 0, "label", 1, "x")), r"element 0: label\[1\] is 'x'"),
        (edited(("verbs", 0, "label", 1, 2)), r"element 0: label\[1\] is 2; expected 0 or 1"),
        (edited(("verbs", 0, "image_id", 2, True)), r"element 0: image_id\[2\] is True"),
        (edited(("verbs", 0, "role_object_id", 0, 51)), r"element 0: role_object_id\[0\] is 51; .*ann_id\[0\] 50"),
        (edited(("verbs", 0, "role_object_id", 6, 70)), r"element 0 \(hit\): role_object_id\[6\] is 70.* image 5"),
        (edited(("verbs", 0, "role_object_id", 6, 54)), r"element 0 \(hit\): role_object_id\[6\] is 54"),
        (edited(("verbs", 1, "ann_id", 0, 99)), r"element 1 \(walk\): ann_id 99 is not among those of element 0"),
        (
            edited(("verbs", 1, "ann_id", 0, 51), ("verbs", 1, "role_object_id", 0, 51), ("verbs", 1, "label", 0, 1)),
            r"element 1 \(walk\): ann_id 51 has label 1 twice",
        ),
        (edited(("verbs", 0, "image_id", 2, 5)), r"element 0: ann_id\[2\] is 70, which is no annotation of image 5"),
        (edited(("instances", [])), "not with an object"),
        (edited(("instances", "images", REMOVED)), "image 5 is not in `images`"),
        (edited(("instances", "images", 0, 3)), r"images\[0\] is 3"),
        (edited(("instances", "images", 0, "width", None)), r"images\[0\]: width and height are None x 80"),
        (edited(("instances", "annotations", 1, "id", None)), r"annotations\[1\]: id is None"),
        (edited(("instances", "annotations", 2, "id", 50)), r"annotations\[2\]: id is 50; there is one before it"),
        (edited(("instances", "annotations", 1, "category_id", [1])), r"annotations\[1\]: category_id is \[1\]"),
        (edited(("instances", "annotations", 1, "area", "9")), r"annotations\[1\]: area is '9'"),
        (edited(("instances", "annotations", 1, "bbox", [1, 2, 3])), r"annotations\[1\]: bbox is \[1, 2, 3\]"),
        (edited(("instances", "annotations", 1, "bbox", 0, float("nan"))), r"annotations\[1\]: bbox is \[nan"),
        (edited(("instances", "categories", 1, "name", "human")), "no category is called 'person'"),
        (edited(("instances", "categories", 1, "id", None)), r"categories\[1\]: id is None"),
        (edited(("ids", "5\nseven\n")), "split.ids: line 2 is 'seven'"),
        (edited(("ids", "5\n9\n")), "split.ids: line 2: image 9 is not in .*verbs.json"),
    ],
)
def test_malformed_truth_is_refused_by_file_and_place(
    tmp_path: Path, files: Callable[[], dict[str, Any]], message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        truth_of(tmp_path, **files())


def test_predictions_are_grouped_by_image_wherever_they_stand(tmp_path: Path) -> None:
    entries = [PREDICTION, changed(PREDICTION, image_id=7, hit_agent=0.0), changed(PREDICTION, hit_agent=0.25)]
    found = predictions_of(tmp_path, entries)
    assert list(found) == [5, 7]
    assert found[5].people.tolist() == [[10, 10, 29, 39]] * 2
    assert found[5].agent_scores.tolist() == [[0.5, 1.0], [0.25, 1.0]]
    assert found[5].roles[0, 0].tolist() == [[0, 0, 0, 0, 0.25], [30, 30, 33, 33, 0.75]]
    assert np.isnan(found[5].roles[:, 1]).all()
    assert found[7].agent_scores.tolist() == [[0.0, 1.0]]


def test_an_image_without_predictions_is_no_error(tmp_path: Path) -> None:
    assert predictions_of(tmp_path, []) == {}


@pytest.mark.parametrize("box", [[0, 0, 0, 0], [None] * 4, [float("nan")] * 4])
def test_zeros_null_and_nan_say_that_nothing_plays_the_role(tmp_path: Path, box: list[float]) -> None:
    role = predictions_of(tmp_path, [changed(PREDICTION, hit_obj=[*box, 0.5])])[5].roles[0, 0, 1]
    assert np.isnan(role[:4]).all() or not role[:4].any()
    assert role[4] == 0.5


def test_fields_that_are_nobodys_are_passed_over(tmp_path: Path) -> None:
    assert list(predictions_of(tmp_path, [changed(PREDICTION, note="x", hit=[1, 2], object_class=3)])) == [5]


def test_gzip_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    truth = truth_of(tmp_path)
    text = b"\xef\xbb\xbf \n" + json.dumps([PREDICTION]).encode()
    for name, data in (("a.json", text), ("a.json.gz", gzip.compress(text))):
        (tmp_path / name).write_bytes(data)
        assert list(dict(read_vcoco_predictions(str(tmp_path / name), truth))) == [5]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_published_pickle_says_the_same(tmp_path: Path, protocol: int) -> None:
    entries = [PREDICTION, changed(PREDICTION, image_id=7, hit_obj=[np.nan] * 4 + [0.5])]
    arrays = [
        {key: np.array(value, dtype=np.float64) if isinstance(value, list) else value for key, value in entry.items()}
        | {"image_id": np.int64(entry["image_id"]), "hit_agent": np.float32(0.5), "walk_agent": np.array([1.0])}
        for entry in entries
    ]
    expected = predictions_of(tmp_path, entries)
    for number, pickled in enumerate((entries, arrays, tuple(entries))):
        path = tmp_path / f"{number}.pkl"
        path.write_bytes(pickle.dumps(pickled, protocol))
        found = dict(read_vcoco_predictions(str(path), truth_of(tmp_path)))
        assert list(found) == list(expected)
        for image, one in found.items():
            np.testing.assert_array_equal(one.people, expected[image].people)
            np.testing.assert_array_equal(one.agent_scores, expected[image].agent_scores)
            np.testing.assert_array_equal(one.roles, expected[image].roles)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_id": REMOVED}, "image_id is missing"),
        ({"image_id": 9}, "image_id is 9; expected one of the 2 images"),
        ({"image_id": "5"}, "image_id is '5'"),
        ({"image_id": [5]}, r"image_id is \[5\]"),
        ({"person_box": REMOVED}, "person_box is missing"),
        ({"person_box": [1, 2, 3]}, r"person_box is \[1, 2, 3\]; expected \[x1, y1, x2, y2\]"),
        ({"person_box": {"x": 1}}, r"person_box is \{'x': 1\}"),
        ({"person_box": [29, 10, 10, 39]}, r"person_box is \[29.0, 10.0, 10.0, 39.0\]; expected .* x1 <= x2"),
        ({"person_box": [1, 2, 3, float("nan")]}, "person_box is .*nan"),
        ({"person_box": [None] * 4}, "person_box is .*nan"),
        ({"person_box": [0, 0, 1, 1e30]}, "person_box is .*1e[+]30"),
        ({"person_box": [0, 0, 1, 10**400]}, "person_box is .*inf"),
        ({"hit_agent": REMOVED}, "hit_agent is missing; expected a number"),
        ({"hit_agent": "0.5"}, "hit_agent is '0.5'; expected a number"),
        ({"hit_agent": True}, "hit_agent is True"),
        ({"hit_agent": [0.5]}, r"hit_agent is \[0.5\]"),
        ({"hit_agent": None}, "hit_agent is nan; expected a finite number"),
        ({"walk_agent": float("nan")}, "walk_agent is nan; expected a finite number"),
        ({"walk_agent": float("-inf")}, "walk_agent is -inf"),
        ({"walk_agent": 1e39}, "walk_agent is 1e[+]39"),
        ({"hit_obj": REMOVED}, "hit_obj is missing; expected .x1, y1, x2, y2, score"),
        ({"hit_obj": None}, "hit_obj is None"),
        ({"hit_obj": [1, 2, 3, 4]}, r"hit_obj is \[1, 2, 3, 4\]; expected .x1, y1, x2, y2, score"),
        ({"hit_obj": [[1, 2, 3, 4], 0.5]}, "hit_obj is"),
        ({"hit_obj": [1, 2, "3", 4, 0.5]}, "hit_obj is"),
        ({"hit_obj": [1, 2, 3, 4, float("inf")]}, "hit_obj is .*inf"),
        ({"hit_obj": [1, 2, 3, 4, None]}, "hit_obj is .*nan"),
        ({"hit_obj": [1, 2, None, 4, 0.5]}, "hit_obj is .*nan.* four zeros or nulls"),
        ({"hit_obj": [3, 2, 1, 4, 0.5]}, "hit_obj is .*x1 <= x2"),
        ({"walk_obj": [0, 0, 0, 0, 0.5]}, "unknown field 'walk_obj'.* hit_obj"),
        ({"fly_agent": 0.5}, "unknown field 'fly_agent'"),
    ],
)
def test_malformed_predictions_are_refused_by_element_and_field(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    entries = [PREDICTION, PREDICTION, changed(PREDICTION, **fields)]
    with pytest.raises(BadInputError, match=f"detections.json: element 2: {message}"):
        predictions_of(tmp_path, entries)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected V-COCO predictions"),
        ("{}", "not with a list"),
        ("[1]", "element 0 is 1"),
        ('[{"image_id": 5', "ends inside a value"),
        ("image 5: nobody", "expected V-COCO predictions"),
        ("\x7f\x80", "detections.json"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        predictions_of(tmp_path, text)


def test_a_pickle_of_something_else_is_refused(tmp_path: Path) -> None:
    truth = truth_of(tmp_path)
    for value, message in (({"a": 1}, "a pickle of"), ([1], "element 0 is 1"), ([Path("x")], "refused")):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(value))
        with pytest.raises(BadInputError, match=message):
            list(read_vcoco_predictions(str(tmp_path / "a.pkl"), truth))


def test_scores_that_are_not_a_number_are_kept_where_the_official_reading_is_asked_for(tmp_path: Path) -> None:
    entry = changed(PREDICTION, hit_agent=float("nan"), hit_obj=[1, 2, 3, 4, None])
    found = predictions_of(tmp_path, [entry], nan_scores="skip")[5]
    assert np.isnan([found.agent_scores[0, 0], found.roles[0, 0, 1, 4]]).all()
    with pytest.raises(BadInputError, match="hit_agent is inf"):
        predictions_of(tmp_path, [changed(entry, hit_agent=float("inf"))], nan_scores="skip")
