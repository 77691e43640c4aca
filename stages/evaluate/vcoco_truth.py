"""The truth of V-COCO, in the three files of the official evaluator.

They are the verb file of a split (`vcoco_test.json`), COCO's instances, and the list of the split's images
(`vcoco_test.ids`, one id a line).
"""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from schemas import BadInputError
from stages.evaluate.detections import Bools, Floats, Ints
from stages.evaluate.vcoco import Action, VCocoImageTruth, most_roles
from stages.ingest.coco import LAYOUT as INSTANCES_LAYOUT
from stages.ingest.draft import finite
from stages.ingest.files import open_text
from stages.ingest.json_stream import json_array, json_lists
from stages.ingest.vcoco import LAYOUT as VERBS_LAYOUT


@dataclass(frozen=True, slots=True)
class VCocoTruth:
    """A split of V-COCO."""

    actions: tuple[Action, ...]
    images: Mapping[int, VCocoImageTruth]
    """By COCO's image id, in the order of the list of ids."""


def read_vcoco_truth(vcoco: str, instances: str, ids: str | None) -> VCocoTruth:
    """The people of a split and what they do.

    As in the official evaluator, a box ends at `x + max(0, width - 1)`, is cut off at the image's last pixel, and is
    left out if nothing is left of it or its annotation has no area; crowds are people whose actions nobody annotated.

    Args:
        vcoco: the verb file.
        instances: COCO's instances, which may hold more images.
        ids: the images of the split; without it they are those of the verb file.

    Raises:
        BadInputError: if a file is not what it should be, or names what another does not have.
        TransientError: if the store failed.
    """
    verbs = _verbs(vcoco)
    images = _image_ids(ids, vcoco, verbs[0])
    deeds = _Deeds(vcoco, verbs, _Instances(instances, images), images)
    return VCocoTruth(tuple(verb.action for verb in verbs), {image: deeds.truth(image) for image in images})


def whole_number(value: Any) -> int | None:
    """A whole number that 64 bits hold, or None. 17.0 is one, True is none."""
    if isinstance(value, np.ndarray | np.generic) and value.size == 1:
        value = value.item()
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and abs(value) < 1 << 63 else None


def shown(value: Any) -> str:
    """A value found in a file, short enough for a message; unlike `repr`, quick also for what is nested."""
    return reprlib.repr(value)[:80]


@dataclass(frozen=True, slots=True)
class _Verb:
    """An element of the verb file."""

    action: Action
    images: Ints
    """(N,)"""
    people: Ints
    """(N,) annotation ids"""
    does: Bools
    """(N,)"""
    others: Ints
    """(roles, N) annotation ids; 0 where there is none."""


def _verbs(path: str) -> list[_Verb]:
    verbs = [
        _verb(f"{path}: element {index}", entry) for index, entry in enumerate(json_array(path, layout=VERBS_LAYOUT))
    ]
    if not verbs:
        raise BadInputError(f"{path}: an empty list; expected {VERBS_LAYOUT}")
    names: set[str] = set()
    everyone = np.unique(verbs[0].people)
    for index, verb in enumerate(verbs):
        where = f"{path}: element {index} ({verb.action.name})"
        if verb.action.name in names:
            raise BadInputError(f"{where}: there is an action of this name before it; expected each once")
        names.add(verb.action.name)
        # The official evaluator takes the people of the first action for those whose actions are known.
        if other := sorted(set(verb.people.tolist()) - set(everyone.tolist())):
            raise BadInputError(f"{where}: ann_id {other[0]} is not among those of element 0; expected the same people")
        doing, counts = np.unique(verb.people[verb.does], return_counts=True)
        if np.any(counts > 1):
            raise BadInputError(f"{where}: ann_id {doing[counts > 1][0]} has label 1 twice; expected each person once")
    return verbs


def _verb(where: str, entry: Any) -> _Verb:
    if not isinstance(entry, dict):
        raise BadInputError(f"{where} is {shown(entry)}; expected {VERBS_LAYOUT}")
    name, roles = entry.get("action_name"), entry.get("role_name")
    if not isinstance(name, str) or not name:
        raise BadInputError(f"{where}: action_name is {shown(name)}; expected a name such as 'hold'")
    if not isinstance(roles, list) or roles[:1] != ["agent"] or not all(isinstance(role, str) for role in roles):
        raise BadInputError(f"{where}: role_name is {shown(roles)}; expected a list such as ['agent', 'obj']")
    if len(set(roles)) < len(roles):
        raise BadInputError(f"{where}: role_name is {shown(roles)}; expected each role once")
    people = _column(where, entry, "ann_id", None)
    images = _column(where, entry, "image_id", len(people))
    labels = _column(where, entry, "label", len(people))
    if odd := sorted(set(labels.tolist()) - {0, 1}):
        row = labels.tolist().index(odd[0])
        raise BadInputError(f"{where}: label[{row}] is {odd[0]}; expected 0 or 1")
    agents, *others = _column(where, entry, "role_object_id", len(people) * len(roles)).reshape(len(roles), -1)
    if np.any(wrong := (agents != people) & (labels == 1)):
        row = int(np.flatnonzero(wrong)[0])
        raise BadInputError(
            f"{where}: role_object_id[{row}] is {agents[row]}; expected the agent itself, ann_id[{row}] {people[row]}"
        )
    return _Verb(
        Action(name, tuple(roles[1:])),
        images,
        people,
        labels == 1,
        np.array(others, dtype=np.int64).reshape(-1, len(people)),
    )


def _column(where: str, entry: dict[str, Any], name: str, length: int | None) -> Ints:
    values = entry.get(name)
    if not isinstance(values, list):
        raise BadInputError(f"{where}: {name} is {shown(values)}; expected a list of whole numbers")
    if length is not None and len(values) != length:
        raise BadInputError(
            f"{where}: {name} has {len(values)} numbers; expected {length}, as ann_id and role_name say"
        )
    numbers = [whole_number(value) for value in values]
    if None in numbers:
        row = numbers.index(None)
        raise BadInputError(f"{where}: {name}[{row}] is {shown(values[row])}; expected a whole number")
    return np.array(numbers, dtype=np.int64)


def _image_ids(ids: str | None, vcoco: str, verb: _Verb) -> list[int]:
    """The images of the split, each once."""
    known = dict.fromkeys(verb.images.tolist())
    if ids is None:
        return list(known)
    chosen: dict[int, None] = {}
    with open_text(ids) as file:
        for number, line in enumerate(file, start=1):
            text = line.strip()
            if not text:
                continue
            image = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
            if image is None:
                raise BadInputError(f"{ids}: line {number} is {shown(text)}; expected an image id")
            if image not in known:
                raise BadInputError(f"{ids}: line {number}: image {image} is not in {vcoco}; are they of one split?")
            chosen[image] = None
    return list(chosen)


class _Annotation(NamedTuple):
    """A person or thing of COCO."""

    category: int
    box_xywh: Sequence[float]
    counts: bool
    """Not marked as ignored, and with an area."""


class _Instances:
    """The annotations of some images in COCO's instances."""

    def __init__(self, path: str, images: Sequence[int]) -> None:
        self._path = path
        self._sizes: dict[int, Floats] = {}
        self._annotations: dict[int, dict[int, _Annotation]] = {image: {} for image in images}
        self._people: set[int] = set()
        add = {"images": self._add_size, "annotations": self._add_annotation, "categories": self._add_category}
        for name, index, entry in json_lists(path, add, layout=INSTANCES_LAYOUT):
            if index < 0:
                continue
            if not isinstance(entry, dict):
                raise BadInputError(f"{path}: {name}[{index}] is {shown(entry)}; expected {INSTANCES_LAYOUT}")
            add[name](f"{path}: {name}[{index}]", entry)
        if not self._people:
            raise BadInputError(f"{path}: no category is called 'person'; expected {INSTANCES_LAYOUT}")

    def boxes_and_people(self, image: int) -> tuple[dict[int, Floats], list[int]]:
        """Corners of what counts in the image, by annotation id in the order of the file; which of it are people."""
        if image not in self._sizes:
            raise BadInputError(f"{self._path}: image {image} is not in `images`; are these the instances of V-COCO?")
        last_pixel = np.tile(self._sizes[image] - 1.0, 2)
        boxes: dict[int, Floats] = {}
        for number, annotation in self._annotations[image].items():
            x, y, width, height = annotation.box_xywh
            box = np.clip([x, y, x + max(0.0, width - 1.0), y + max(0.0, height - 1.0)], 0.0, last_pixel)
            if annotation.counts and box[2] > box[0] and box[3] > box[1]:
                boxes[number] = box
        return boxes, [number for number in boxes if self._annotations[image][number].category in self._people]

    def has(self, image: int, number: int) -> bool:
        """Whether the image has this annotation, counted or not."""
        return number in self._annotations[image]

    def _add_size(self, where: str, entry: dict[str, Any]) -> None:
        image = whole_number(entry.get("id"))
        if image not in self._annotations:
            return
        size = np.array([finite(entry.get("width")) or 0.0, finite(entry.get("height")) or 0.0])
        if np.any(size < 1):
            found = f"{shown(entry.get('width'))} x {shown(entry.get('height'))}"
            raise BadInputError(f"{where}: width and height are {found}; expected pixels, 1 or more")
        self._sizes[image] = size

    def _add_annotation(self, where: str, entry: dict[str, Any]) -> None:
        image = whole_number(entry.get("image_id"))
        if image not in self._annotations:
            return
        number, area, box = whole_number(entry.get("id")), finite(entry.get("area")), entry.get("bbox")
        if number is None or number in self._annotations[image]:
            expected = "expected a whole number" if number is None else "there is one before it; expected each once"
            raise BadInputError(f"{where}: id is {shown(entry.get('id'))}; {expected}")
        category = whole_number(entry.get("category_id"))
        if category is None:
            raise BadInputError(f"{where}: category_id is {shown(entry.get('category_id'))}; expected a whole number")
        if area is None:
            raise BadInputError(f"{where}: area is {shown(entry.get('area'))}; expected a number")
        numbers = [finite(value) for value in box] if isinstance(box, list) else []
        box_xywh = [number for number in numbers if number is not None]
        if len(numbers) != 4 or len(box_xywh) != 4:
            raise BadInputError(f"{where}: bbox is {shown(box)}; expected [x, y, width, height]")
        counts = area > 0 and entry.get("ignore") != 1
        self._annotations[image][number] = _Annotation(category, box_xywh, counts)

    def _add_category(self, where: str, entry: dict[str, Any]) -> None:
        number = whole_number(entry.get("id"))
        if number is None:
            raise BadInputError(f"{where}: id is {shown(entry.get('id'))}; expected a whole number")
        if entry.get("name") == "person":
            self._people.add(number)


class _Deeds:
    """What the verb file says of each person."""

    def __init__(self, path: str, verbs: Sequence[_Verb], instances: _Instances, images: Sequence[int]) -> None:
        self._path, self._verbs, self._instances = path, verbs, instances
        self._known: set[int] = set()
        wanted = set(images)
        for row, (image, person) in enumerate(zip(verbs[0].images.tolist(), verbs[0].people.tolist(), strict=True)):
            if image in wanted and not instances.has(image, person):
                raise BadInputError(
                    f"{path}: element 0: ann_id[{row}] is {person}, which is no annotation of image {image} in the "
                    "instances; are these the instances of V-COCO?"
                )
            self._known.add(person)
        self._of: dict[int, list[tuple[int, int]]] = {}
        for number, verb in enumerate(verbs):
            for row in np.flatnonzero(verb.does).tolist():
                self._of.setdefault(int(verb.people[row]), []).append((number, row))

    def truth(self, image: int) -> VCocoImageTruth:
        """The people of an image and what they do."""
        boxes, people = self._instances.boxes_and_people(image)
        actions = [verb.action for verb in self._verbs]
        labels = np.full((len(people), len(actions)), -1, dtype=np.int64)
        role_boxes = np.full((len(people), len(actions), most_roles(actions), 4), np.nan)
        for place, person in enumerate(people):
            if person not in self._known:
                continue
            labels[place] = 0
            for number, row in self._of.get(person, []):
                labels[place, number] = 1
                for role, other in enumerate(self._verbs[number].others[:, row].tolist()):
                    if other:
                        role_boxes[place, number, role] = self._box(boxes, image, number, row, role)
        return VCocoImageTruth(np.array([boxes[person] for person in people]).reshape(-1, 4), labels, role_boxes)

    def _box(self, boxes: Mapping[int, Floats], image: int, number: int, row: int, role: int) -> Floats:
        verb = self._verbs[number]
        other, place = int(verb.others[role, row]), (role + 1) * len(verb.people) + row
        if other not in boxes:
            raise BadInputError(
                f"{self._path}: element {number} ({verb.action.name}): role_object_id[{place}] is {other}, which is no "
                f"annotation of image {image} with a box in the instances"
            )
        return boxes[other]
