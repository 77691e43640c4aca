"""HICO-DET as PPDM, qpic and their kin write it: one list, one element an image.

    truth        {"file_name", "annotations": [{"bbox", "category_id"}],
                  "hoi_annotation": [{"subject_id", "object_id", "category_id"}]}
    predictions  {"file_name", "predictions": [{"bbox", "category_id"}],
                  "hoi_prediction": [{"subject_id", "object_id", "category_id", "score"}]}

Boxes are corners; `category_id` of a box is COCO's id (1 to 90), of an interaction HICO's verb (1 to 117).
"""

from collections.abc import Iterator, Sequence
from typing import Any

from schemas import BadInputError
from stages.evaluate.detections import LabelSpace
from stages.evaluate.read.codes import Codes
from stages.evaluate.read.raw import Fields, RawImage, Reading
from stages.evaluate.read.where import image_name
from stages.ingest.class_lists import coco_objects, hico_verbs
from stages.ingest.draft import shown
from stages.ingest.json_objects import objects_of_list

TRUTH = '[{"file_name", "annotations": [...], "hoi_annotation": [...]}, ...]'
PREDICTIONS = '[{"file_name", "predictions": [...], "hoi_prediction": [...]}, ...]'

_KEYS = {TRUTH: ("annotations", "hoi_annotation"), PREDICTIONS: ("predictions", "hoi_prediction")}


def hoi_list_reading(space: LabelSpace) -> Reading:
    """Classes by the numbers of this layout, or by name."""
    objects = {number: place for place, number in enumerate(coco_objects())}
    verbs = {number: place for place, number in enumerate(hico_verbs())}
    return Reading(
        Codes(space.objects, objects, canonical=False, predicates=False),
        Codes(space.predicates, verbs, canonical=False, predicates=True),
        leave_out_unknown=False,
    )


def read_hoi_list(path: str, *, layout: str) -> Iterator[RawImage]:
    """The images of a file, in its order. `layout` is `TRUTH` or `PREDICTIONS`.

    Raises:
        BadInputError: if an element is of another layout; names file, element and field.
    """
    boxes_key, relations_key = _KEYS[layout]
    fields = _fields(boxes_key, relations_key)
    for where, entry in objects_of_list(path, layout=layout):
        lists = [entry.get(key) for key in (boxes_key, relations_key)]
        if not all(isinstance(value, list) for value in lists):
            raise BadInputError(f"{where} is {shown(entry)}; expected {layout}")
        boxes, relations = (
            _objects(where, key, value) for key, value in zip((boxes_key, relations_key), lists, strict=True)
        )
        yield RawImage(
            where,
            image_name(where, "file_name", entry.get("file_name")),
            fields,
            boxes=[box.get("bbox") for box in boxes],
            labels=[box.get("category_id") for box in boxes],
            subjects=[one.get("subject_id") for one in relations],
            objects=[one.get("object_id") for one in relations],
            predicates=[one.get("category_id") for one in relations],
            scores=[one.get("score") for one in relations] if layout == PREDICTIONS else (),
        )


def file_names(path: str) -> Iterator[tuple[int, Any]]:
    """Place and `file_name` of each element, unchecked."""
    for index, (_, entry) in enumerate(objects_of_list(path, layout=TRUTH)):
        yield index, entry.get("file_name")


def _objects(where: str, key: str, values: Any) -> Sequence[dict[str, Any]]:
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            raise BadInputError(f"{where}: {key}[{index}] is {shown(value)}; expected an object")
    return values  # type: ignore[no-any-return]


def _fields(boxes: str, relations: str) -> Fields:
    return Fields(
        box=lambda i: f"{boxes}[{i}].bbox",
        label=lambda i: f"{boxes}[{i}].category_id",
        subject=lambda i: f"{relations}[{i}].subject_id",
        object=lambda i: f"{relations}[{i}].object_id",
        predicate=lambda i: f"{relations}[{i}].category_id",
        score=lambda i: f"{relations}[{i}].score",
        box_score=lambda i: f"{boxes}[{i}].score",
    )
