"""COCO with relations: boxes as in COCO's instances, and one more list that relates them.

    {"images": [{"id", "file_name"}], "categories": [{"id", "name"}],
     "annotations": [{"id", "image_id", "category_id", "bbox": [x, y, width, height], "score"}],
     "relations": [{"image_id", "subject_id", "object_id", "predicate", "score"}]}

`subject_id` and `object_id` are ids of annotations, `predicate` is a name; the scores are the predictions'. That of an
annotation may be missing. The lists may stand in any order, so the file is held in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas import BadInputError
from stages.evaluate.read.raw import Fields, RawImage
from stages.evaluate.read.where import image_name
from stages.ingest.draft import finite, shown
from stages.ingest.json_stream import json_lists

LAYOUT = '{"images": [...], "categories": [...], "annotations": [...], "relations": [...]}'

_LISTS = ("images", "categories", "annotations", "relations")


@dataclass(slots=True)
class _Image:
    name: str
    index: int
    boxes: list[tuple[int, Any]] = field(default_factory=list)
    """Place in `annotations`, and the annotation."""
    relations: list[tuple[int, Any]] = field(default_factory=list)


def read_coco_relations(path: str, *, scored: bool) -> Iterator[RawImage]:
    """The images of a file, in the order of `images`.

    Args:
        scored: whether relations have scores: predictions do.

    Raises:
        BadInputError: if a list is missing, or an entry refers to nothing; names file, entry and field.
    """
    lists: dict[str, list[Any]] = {}
    for name, index, entry in json_lists(path, set(_LISTS), layout=LAYOUT):
        entries = lists.setdefault(name, [])
        if index >= 0:
            if not isinstance(entry, dict):
                raise BadInputError(f"{path}: {name}[{index}] is {shown(entry)}; expected an object, as in {LAYOUT}")
            entries.append(entry)
    for name in _LISTS:
        if name not in lists:
            raise BadInputError(f"{path}: has no list `{name}`; expected {LAYOUT}")

    images: dict[Any, _Image] = {}
    for index, entry in enumerate(lists["images"]):
        where = f"{path}: images[{index}]"
        identity = _identity(where, "id", entry.get("id"))
        images[identity] = _Image(image_name(where, "file_name", entry.get("file_name", identity)), index)
    names = {
        _identity(f"{path}: categories[{i}]", "id", c.get("id")): c.get("name")
        for i, c in enumerate(lists["categories"])
    }
    for name in ("annotations", "relations"):
        for index, entry in enumerate(lists[name]):
            image = images.get(_identity(f"{path}: {name}[{index}]", "image_id", entry.get("image_id")))
            if image is None:
                found = shown(entry.get("image_id"))
                raise BadInputError(f"{path}: {name}[{index}]: image_id is {found}; expected an id of `images`")
            (image.boxes if name == "annotations" else image.relations).append((index, entry))
    for image in images.values():
        yield _raw(path, image, names, scored=scored)


def _raw(path: str, image: _Image, names: dict[Any, Any], *, scored: bool) -> RawImage:
    places = {
        _identity(f"{path}: annotations[{index}]", "id", entry.get("id")): place
        for place, (index, entry) in enumerate(image.boxes)
    }
    box_scores = [entry.get("score") for _, entry in image.boxes]
    return RawImage(
        f"{path}: images[{image.index}]",
        image.name,
        _fields([index for index, _ in image.boxes], [index for index, _ in image.relations]),
        boxes=[_corners(entry.get("bbox")) for _, entry in image.boxes],
        labels=[_known(names, entry.get("category_id"), "category") for _, entry in image.boxes],
        subjects=[_known(places, entry.get("subject_id"), "annotation") for _, entry in image.relations],
        objects=[_known(places, entry.get("object_id"), "annotation") for _, entry in image.relations],
        predicates=[entry.get("predicate") for _, entry in image.relations],
        scores=[entry.get("score") for _, entry in image.relations] if scored else (),
        box_scores=box_scores if scored and any(score is not None for score in box_scores) else None,
    )


def _corners(box: Any) -> Any:
    """`[x, y, width, height]` as corners; anything else as it is, for the checks."""
    if not isinstance(box, list) or len(box) != 4 or any(finite(value) is None for value in box):
        return box
    x, y, width, height = box
    return [x, y, x + width, y + height]


def _known(table: dict[Any, Any], identity: Any, what: str) -> Any:
    """What an id stands for, or a text that the checks will find wrong."""
    return table[identity] if isinstance(identity, int | str) and identity in table else f"{what} {identity!r}"


def _identity(where: str, name: str, value: Any) -> Any:
    if not isinstance(value, int | str) or isinstance(value, bool):
        raise BadInputError(f"{where}: {name} is {shown(value)}; expected a number or a string")
    return value


def _fields(boxes: list[int], relations: list[int]) -> Fields:
    return Fields(
        box=lambda i: f"bbox of annotations[{boxes[i]}], as corners,",
        label=lambda i: f"category_id of annotations[{boxes[i]}]",
        subject=lambda i: f"relations[{relations[i]}].subject_id",
        object=lambda i: f"relations[{relations[i]}].object_id",
        predicate=lambda i: f"relations[{relations[i]}].predicate",
        score=lambda i: f"relations[{relations[i]}].score",
        box_score=lambda i: f"annotations[{boxes[i]}].score",
    )
