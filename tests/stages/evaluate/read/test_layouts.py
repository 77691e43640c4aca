"""Each layout says the same of the same image, and what is wrong with a file is told by file, element and field."""

import contextlib
import gzip
import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import BadInputError, UserError
from stages.evaluate.detections import LabelSpace
from stages.evaluate.hicodet_classes import hico_classes
from stages.evaluate.read import (
    Notes,
    classes_of_truth,
    layout_of,
    read_classes,
    read_predictions,
    read_truths,
)

SPACE = hico_classes().space
PERSON, BICYCLE = 0, 1
RIDE, HOLD = (SPACE.predicates.index(name) for name in ("ride", "hold"))
BOXES = [[1.0, 2.0, 30.0, 60.0], [5.0, 20.0, 50.0, 70.0]]


def hoi_list(**changes):
    """One image with one prediction in PPDM's layout: COCO's ids, verbs from 1."""
    entry = {
        "file_name": "a/b.jpg",
        "predictions": [{"bbox": BOXES[0], "category_id": 1}, {"bbox": BOXES[1], "category_id": 2}],
        "hoi_prediction": [{"subject_id": 0, "object_id": 1, "category_id": RIDE + 1, "score": 0.75}],
    }
    return [{**entry, **changes}]


def arrays(**changes):
    scores = [0.0] * len(SPACE.predicates)
    scores[RIDE] = 0.75
    entry = {
        "image": "b.jpg",
        "boxes": BOXES,
        "labels": [PERSON, BICYCLE],
        "sub_ids": [0],
        "obj_ids": [1],
        "verb_scores": [scores],
    }
    return [{**entry, **changes}]


def triplets(*further, score=0.75):
    return {"image": "b.jpg", "triplets": [["person", BOXES[0], "ride", "bicycle", BOXES[1], score], *further]}


def coco(**changes):
    document = {
        "images": [{"id": 7, "file_name": "b.jpg"}],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "bicycle"}],
        "annotations": [
            {"id": 11, "image_id": 7, "category_id": 1, "bbox": [1, 2, 29, 58]},
            {"id": 12, "image_id": 7, "category_id": 2, "bbox": [5, 20, 45, 50]},
        ],
        "relations": [{"image_id": 7, "subject_id": 11, "object_id": 12, "predicate": "ride", "score": 0.75}],
    }
    return {**document, **changes}


def written(folder: Path, document, name: str = "predictions.json") -> str:
    path = folder / name
    path.write_text(json.dumps(document))
    return str(path)


def read(path: str, space: LabelSpace = SPACE):
    return list(read_predictions(path, space, Notes()))


@pytest.mark.parametrize(
    ("document", "layout"),
    [(hoi_list(), "hoi_list"), (arrays(), "arrays"), (triplets(), "triplets"), (coco(), "coco_relations")],
    ids=["hoi_list", "arrays", "triplets", "coco"],
)
def test_every_layout_says_the_same(tmp_path, document, layout):
    path = written(tmp_path, document)
    assert layout_of(path) == layout
    (found,) = read(path)
    assert found.image == "b"
    assert found.prediction.boxes.tolist() == BOXES
    assert found.prediction.labels.tolist() == [PERSON, BICYCLE]
    rows, scores = found.prediction.relations.tolist(), found.prediction.scores.tolist()
    scored = {tuple(row): score for row, score in zip(rows, scores, strict=True)}
    assert scored[0, 1, RIDE] == 0.75
    assert sum(scored.values()) == 0.75  # The array of all verbs has zeros for the others.


def test_a_gzipped_file_over_several_lines_is_read_too(tmp_path):
    path = tmp_path / "predictions.json.gz"
    with gzip.open(path, "wt") as file:
        json.dump(coco(), file, indent=1)
    assert read(str(path))[0].prediction.scores.tolist() == [0.75]


def test_scores_of_some_predicates_may_be_given_by_name_or_number(tmp_path):
    for key in ("ride", str(RIDE)):
        (found,) = read(written(tmp_path, arrays(verb_scores=[{key: 0.5}])))
        assert found.prediction.relations.tolist() == [[0, 1, RIDE]]
        assert found.prediction.scores.tolist() == [0.5]


def test_box_scores_multiply_into_the_triplets_score(tmp_path):
    (found,) = read(written(tmp_path, arrays(verb_scores=[{"ride": 0.5}], scores=[0.5, 0.8])))
    assert found.prediction.triplet_scores.tolist() == [pytest.approx(0.2)]


def test_names_are_found_however_their_words_are_parted(tmp_path):
    image = {"image": "b.jpg", "triplets": [["Person", BOXES[0], "SIT_ON", "dining_table", BOXES[1], 1]]}
    (found,) = read(written(tmp_path, image))
    assert found.prediction.relations[0, 2] == SPACE.predicates.index("sit_on")


def test_equal_boxes_of_triplets_are_one_box(tmp_path):
    path = written(tmp_path, triplets(["person", BOXES[0], "hold", "bicycle", BOXES[1], 0.5]))
    (found,) = read(path)
    assert len(found.prediction.boxes) == 2
    assert found.prediction.relations.tolist() == [[0, 1, RIDE], [0, 1, HOLD]]


def test_an_image_may_have_no_predictions(tmp_path):
    for document in (hoi_list(predictions=[], hoi_prediction=[]), {"image": "b.jpg", "triplets": []}):
        (found,) = read(written(tmp_path, document))
        assert found.prediction.relations.shape == (0, 3)


def test_the_truth_of_the_same_layouts(tmp_path):
    annotated = [
        {
            "file_name": "b.jpg",
            "annotations": [{"bbox": BOXES[0], "category_id": 1}, {"bbox": BOXES[1], "category_id": 2}],
            "hoi_annotation": [{"subject_id": 0, "object_id": 1, "category_id": RIDE + 1}],
        }
    ]
    listed = [{"file_name": "b.jpg", "boxes": BOXES, "labels": [0, 1], "hois": [[0, 1, RIDE]]}]
    lines = {"image": "b.jpg", "triplets": [["person", BOXES[0], "ride", "bicycle", BOXES[1]]]}
    unscored = coco()
    del unscored["relations"][0]["score"]
    for document in (annotated, listed, lines, unscored):
        (found,) = read_truths(written(tmp_path, document), SPACE, Notes())
        assert found.truth.boxes.tolist() == BOXES
        assert found.truth.relations.tolist() == [[0, 1, RIDE]]


def instances(**changes):
    """HICO-DET's truth as fredzzhang/hicodet has it: pixels count from 1."""
    document = {
        "annotation": [
            {"boxes_h": [[2, 3, 31, 61]] * 2, "boxes_o": [[6, 21, 51, 71]] * 2, "object": [1, 1], "verb": [0, 1]},
            {"boxes_h": [], "boxes_o": [], "object": [], "verb": []},
        ],
        "filenames": ["b.jpg", "c.jpg"],
        "objects": ["person", "bicycle"],
        "verbs": ["ride", "hold"],
        "empty": [1],
    }
    return {**document, **changes}


@pytest.mark.parametrize("indent", [None, 1])
def test_hico_instances_count_pixels_from_one(tmp_path, indent):
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(instances(), indent=indent))
    first, second = read_truths(str(path), SPACE, Notes())
    assert first.truth.boxes.tolist() == BOXES
    assert first.truth.relations.tolist() == [[0, 1, RIDE], [0, 1, HOLD]]
    assert (second.image, len(second.truth.boxes)) == ("c", 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"filenames": ["b.jpg"]}, "2 annotations and 1 filenames"),
        ({"objects": ["person"]}, r"annotation\[0\] \(b\): object\[0\] is 1; expected one of 80 names"),
        ({"verbs": ["ride", "levitate"]}, r"verb\[1\] is 'levitate'"),
        ({"annotation": [{"boxes_h": [[1, 2, 3, 4]]}, {}]}, r"annotation\[0\] is .* expected lists boxes_h, boxes_o"),
    ],
    ids=["filenames", "objects", "verbs", "columns"],
)
def test_a_fault_in_hico_instances_is_told(tmp_path, changes, message):
    path = written(tmp_path, instances(**changes))
    with pytest.raises(BadInputError, match=message):
        list(read_truths(path, SPACE, Notes()))


def test_a_truth_is_no_prediction(tmp_path):
    with pytest.raises(BadInputError, match="holds no predictions"):
        read(written(tmp_path, instances()))


def test_swapped_corners_in_a_truth_are_kept_and_noted(tmp_path):
    """The published evaluators take them as they are, so an error would keep their users out."""
    notes = Notes()
    swapped = {"image": "b.jpg", "triplets": [["person", [30, 2, 1, 60], "ride", "bicycle", BOXES[1]]]}
    (found,) = read_truths(written(tmp_path, swapped), SPACE, notes)
    assert found.truth.relations.tolist() == [[0, 1, RIDE]]
    assert [count for note, count in notes.items() if "swapped" in note] == [1]


def with_score(value):
    document = arrays()
    document[0]["verb_scores"][0][3] = value
    return document


NAN = math.nan
RELATION = hoi_list()[0]["hoi_prediction"][0]
BICYCLE_BOX = {"bbox": BOXES[1], "category_id": 2}
FIRST, SECOND = coco()["annotations"]
FAULTS = {
    "score-nan": (hoi_list(hoi_prediction=[dict(RELATION, score=NAN)]),
                  r"element 0 \(b\): hoi_prediction\[0\]\.score is nan"),
    "score-text": (hoi_list(hoi_prediction=[dict(RELATION, score="0.5")]),
                   r"hoi_prediction\[0\]\.score is '0\.5'"),
    "score-missing": (hoi_list(hoi_prediction=[{"subject_id": 0, "object_id": 1, "category_id": 1}]),
                      r"hoi_prediction\[0\]\.score is None"),
    "score-infinite": (triplets(score=math.inf), r"line 1 \(b\): triplets\[0\]\[5\] is inf"),
    "score-in-an-array": (with_score(NAN), r"verb_scores\[0\]\[3\] is nan"),
    "score-null-in-an-array": (with_score(None), r"verb_scores\[0\]\[3\] is None"),
    "score-of-an-annotation": (coco(relations=[dict(coco()["relations"][0], score=None)]),
                               r"images\[0\] \(b\): relations\[0\]\.score is None"),
    "corners-swapped": (hoi_list(predictions=[{"bbox": [30, 2, 1, 60], "category_id": 1}, BICYCLE_BOX]),
                        r"predictions\[0\]\.bbox is \[30, 2, 1, 60\]; expected \[x1, y1, x2, y2\] with x1 <= x2"),
    "corners-swapped-in-an-array": (arrays(boxes=[BOXES[0], [5, 70, 50, 20]]), r"boxes\[1\] is \[5, 70, 50, 20\]"),
    "width-negative": (coco(annotations=[dict(FIRST, bbox=[5, 5, -3, 4]), SECOND]),
                       r"bbox of annotations\[0\], as corners, is \[5, 5, 2, 9\]"),
    "box-of-three": (arrays(boxes=[BOXES[0], [1, 2, 3]]), r"boxes\[1\] is \[1, 2, 3\]; expected four finite numbers"),
    "box-nan": (arrays(boxes=[BOXES[0], [1, 2, NAN, 4]]), r"boxes\[1\] is \[1, 2, nan, 4\]"),
    "class-unknown": (triplets(["person", BOXES[0], "ride", "unicorn", BOXES[1], 1]),
                      r"triplets\[1\]\[3\] is 'unicorn'; expected one of 80 names \(person, bicycle"),
    "predicate-unknown": (triplets(["person", BOXES[0], "levitate", "bicycle", BOXES[1], 1]),
                          r"triplets\[1\]\[2\] is 'levitate'; expected one of 117 names"),
    "class-number-unknown": (hoi_list(predictions=[{"bbox": BOXES[0], "category_id": 12}, BICYCLE_BOX]),
                             r"predictions\[0\]\.category_id is 12; expected 1 to 90 or one of"),
    "verb-number-unknown": (hoi_list(hoi_prediction=[dict(RELATION, category_id=0)]),
                            r"hoi_prediction\[0\]\.category_id is 0; expected 1 to 117"),
    "label-out-of-range": (arrays(labels=[0, 80]), r"labels\[1\] is 80; expected 0 to 79"),
    "category-unknown": (coco(categories=[{"id": 1, "name": "person"}]),
                         r"category_id of annotations\[1\] is 'category 2'"),
    "place-out-of-range": (hoi_list(hoi_prediction=[dict(RELATION, object_id=2)]),
                           r"hoi_prediction\[0\]\.object_id is 2; expected the place of one of 2 boxes, 0 to 1"),
    "place-negative": (arrays(sub_ids=[-1]), r"sub_ids\[0\] is -1"),
    "place-true": (hoi_list(hoi_prediction=[dict(RELATION, object_id=True)]), r"object_id is True"),
    "annotation-unknown": (coco(relations=[dict(coco()["relations"][0], object_id=99)]),
                           r"relations\[0\]\.object_id is 'annotation 99'"),
    "image-of-annotation-unknown": (coco(annotations=[dict(FIRST, image_id=8)]), r"annotations\[0\]: image_id is 8"),
    "labels-too-few": (arrays(labels=[0]), r"labels\[0\] is 'one of 1'; expected one of 2"),
    "pairs-uneven": (arrays(obj_ids=[1, 1]), r"obj_ids has 2 entries, verb_scores 1"),
    "scores-too-few": (arrays(verb_scores=[[0.5, 0.5]]), r"verb_scores\[0\] is a list of 2; expected a list of 117"),
    "list-missing": (coco(relations=None), r"`relations` is not a list"),
    "key-missing": ([{"file_name": "b.jpg", "boxes": BOXES}], r"element 0: labels is None; expected a list"),
    "no-file-name": (hoi_list(file_name=None), r"element 0: file_name is None"),
    "triplet-short": ({"image": "b.jpg", "triplets": [["person", BOXES[0], "ride"]]}, r"triplets\[0\] is \['person'"),
    "relation-no-object": (hoi_list(hoi_prediction=[3]), r"hoi_prediction\[0\] is 3; expected an object"),
    "layout-unknown": ([{"a": 1}], r"its first entry is \{'a': 1\}; expected an output folder"),
}  # fmt: skip


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_fault_is_told_by_file_element_and_field(tmp_path, fault):
    document, message = FAULTS[fault]
    path = written(tmp_path, document)
    with pytest.raises(BadInputError, match=re.escape(path) + ".*" + message):
        read(path)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from([[], {}, [[]], [None], {"a": 1}, [1, 2], [1, 2, 3, 4], [[1, 2, 3, 4]], "ride", "person", -1]),
)


def places(value, path=()):
    """The path to everything in a document."""
    yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value[:3]):
            yield from places(part, (*path, index))


def changed(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([hoi_list, arrays, triplets, coco]), st.data())
def test_whatever_stands_in_a_file_is_read_or_told(tmp_path, make, data):
    document = make()
    path = data.draw(st.sampled_from(sorted(places(document), key=str)))
    file = written(tmp_path, changed(document, path, data.draw(ODD)))
    for read_it in (read_predictions, read_truths):
        with contextlib.suppress(BadInputError):
            for one in read_it(file, SPACE, Notes()):
                found = one.prediction if read_it is read_predictions else one.truth
                assert found.relations.shape[1] == 3
                assert found.labels.shape == (len(found.boxes),)


def test_a_file_cut_short_says_so(tmp_path):
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(hoi_list())[:-10])
    with pytest.raises(BadInputError, match=r"predictions\.json"):
        read(str(path))


def test_no_file_says_what_could_be_there(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(BadInputError, match=r"expected an output folder of relmill label, a list"):
            layout_of(str(path))


def test_classes_come_from_a_file_or_from_the_truths_names(tmp_path):
    truth = {"image": "b.jpg", "triplets": [["man", BOXES[0], "on", "horse", BOXES[1]]]}
    space = LabelSpace(("horse", "man"), ("on",))
    assert classes_of_truth(written(tmp_path, truth)) == space
    assert read_classes(written(tmp_path, {"objects": ["horse", "man"], "predicates": ["on"]})) == space


@pytest.mark.parametrize("document", [[], {}, {"objects": ["a"]}, {"objects": ["a", "a"], "predicates": ["b"]},
                                      {"objects": [1], "predicates": ["b"]}])  # fmt: skip
def test_a_file_of_classes_has_two_lists_of_names(tmp_path, document):
    with pytest.raises(BadInputError, match=r"classes\.json"):
        read_classes(written(tmp_path, document, "classes.json"))


def test_numbered_classes_need_names(tmp_path):
    path = written(tmp_path, [{"image": "b.jpg", "boxes": BOXES, "labels": [0, 1], "relations": [[0, 1, 0]]}])
    with pytest.raises(UserError, match="--classes"):
        classes_of_truth(path)


def test_a_name_of_relmills_own_finds_the_one_class_that_it_can_mean(tmp_path):
    space = LabelSpace(("person", "horse"), ("wearing", "wears", "riding"))
    riding = {"image": "b.jpg", "triplets": [["person", BOXES[0], "ride", "horse", BOXES[1], 1]]}
    (found,) = read(written(tmp_path, riding), space)
    assert found.prediction.relations.tolist() == [[0, 1, 2]]
    wearing = {"image": "b.jpg", "triplets": [["person", BOXES[0], "wear", "horse", BOXES[1], 1]]}
    with pytest.raises(BadInputError, match="'wear'"):
        read(written(tmp_path, wearing), space)
