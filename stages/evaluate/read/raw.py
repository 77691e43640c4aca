"""An image as a file has it, before anything was checked; and the checks, the same for every layout.

A layout says under which field each value stood, so that a fault found here is told where the user will find it.
The checks are made on whole arrays; only when one fails are the values looked at one by one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas import BadInputError
from stages.evaluate.detections import Floats, ImagePrediction, ImageTruth, Ints
from stages.evaluate.read.codes import Codes
from stages.ingest.draft import finite, shown

Notes = Counter[str]
"""What was left out or kept as it was, and how often; the caller tells the user."""

Field = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Fields:
    """Where the i-th of each kind of value stood in the image's element."""

    box: Field
    label: Field
    subject: Field
    object: Field
    predicate: Field
    score: Field
    box_score: Field


@dataclass(frozen=True, slots=True)
class RawImage:
    """Lists as they were in the file. `subjects` and `objects` are places in `boxes`."""

    where: str
    """File and element, for messages."""
    image: str
    """Id: the name of the picture's file without folder and ending, or the dataset's own id."""
    fields: Fields
    boxes: Sequence[Any]
    labels: Sequence[Any]
    subjects: Sequence[Any] | Ints
    objects: Sequence[Any] | Ints
    predicates: Sequence[Any] | Ints
    scores: Sequence[Any] | Floats = ()
    box_scores: Sequence[Any] | None = None

    def fail(self, field: str, found: object, expected: str) -> BadInputError:
        """The error of a value that is not what it should be."""
        return BadInputError(f"{self.where} ({self.image}): {field} is {shown(found)}; expected {expected}")


@dataclass(frozen=True, slots=True)
class Reading:
    """How the classes of a file are read."""

    objects: Codes
    predicates: Codes
    leave_out_unknown: bool
    """Relations of classes that the benchmark lacks are left out and noted; else they are an error."""


def to_truth(raw: RawImage, reading: Reading, notes: Notes) -> ImageTruth:
    """The truth of an image.

    Raises:
        BadInputError: naming file, element, field, value found and expected.
    """
    boxes = _boxes(raw)
    notes["true boxes with swapped corners, which nothing can match"] += int(_swapped(boxes).sum())
    labels, relations, known = _classes(raw, reading, notes)
    return ImageTruth(boxes, labels, relations[known])


def to_prediction(raw: RawImage, reading: Reading, notes: Notes) -> ImagePrediction:
    """The prediction of an image.

    Raises:
        BadInputError: as `to_truth`; also for a score that is no finite number, and for swapped corners.
    """
    boxes = _boxes(raw)
    for index in np.flatnonzero(_swapped(boxes)).tolist():
        raise raw.fail(raw.fields.box(index), raw.boxes[index], "[x1, y1, x2, y2] with x1 <= x2 and y1 <= y2")
    labels, relations, known = _classes(raw, reading, notes)
    scores = _numbers(raw, raw.scores, len(relations), raw.fields.score, "a finite number")
    if raw.box_scores is None:
        box_scores = np.ones(len(boxes))
    else:
        box_scores = _numbers(raw, raw.box_scores, len(boxes), raw.fields.box_score, "a number from 0 to 1")
        for index in np.flatnonzero((box_scores < 0) | (box_scores > 1)).tolist():
            raise raw.fail(raw.fields.box_score(index), raw.box_scores[index], "a number from 0 to 1")
    return ImagePrediction(boxes, labels, box_scores, relations[known], scores[known])


def _swapped(boxes: Floats) -> Any:
    return (boxes[:, 2] < boxes[:, 0]) | (boxes[:, 3] < boxes[:, 1])


def _boxes(raw: RawImage) -> Floats:
    if isinstance(raw.boxes, list | tuple | np.ndarray):
        numbers = as_numbers(raw.boxes)
        if numbers is not None and numbers.size == 0 == len(raw.boxes):
            return np.zeros((0, 4))
        if numbers is not None and numbers.ndim == 2 and numbers.shape[1] == 4:
            return numbers
    for index, box in enumerate(raw.boxes):
        if not isinstance(box, list | tuple) or len(box) != 4 or any(finite(value) is None for value in box):
            raise raw.fail(raw.fields.box(index), box, "four finite numbers [x1, y1, x2, y2]")
    return np.asarray(raw.boxes, dtype=np.float64).reshape(-1, 4)


def _classes(raw: RawImage, reading: Reading, notes: Notes) -> tuple[Ints, Ints, Any]:
    """Labels (-1 for a class that the benchmark lacks), relations, and which of them the benchmark knows."""
    if len(raw.labels) != len(raw.boxes):
        raise raw.fail(raw.fields.label(0), f"one of {len(raw.labels)}", f"one of {len(raw.boxes)}, one for each box")
    unknown = notes if reading.leave_out_unknown else None
    labels = _coded(raw, raw.labels, raw.fields.label, reading.objects, unknown)
    columns = [
        _places(raw, raw.subjects, raw.fields.subject),
        _places(raw, raw.objects, raw.fields.object),
        _coded(raw, raw.predicates, raw.fields.predicate, reading.predicates, unknown),
    ]
    relations = np.stack(columns, axis=1)
    known = (relations[:, 2] >= 0) & (labels[relations[:, 0]] >= 0) & (labels[relations[:, 1]] >= 0)
    notes["relations left out"] += int((~known).sum())
    return labels, relations, known


def _coded(raw: RawImage, values: Sequence[Any] | Ints, field: Field, codes: Codes, unknown: Notes | None) -> Ints:
    """Class numbers. A name that is none is -1 and noted in `unknown`, or an error if there is no `unknown`."""
    if isinstance(values, np.ndarray):
        return values.astype(np.int64)
    try:
        return np.array([codes[value] for value in values], dtype=np.int64)
    except (KeyError, TypeError):
        return np.array([_code(raw, field(i), value, codes, unknown) for i, value in enumerate(values)], dtype=np.int64)


def _code(raw: RawImage, field: str, value: Any, codes: Codes, unknown: Notes | None) -> int:
    try:
        return codes[value]
    except (KeyError, TypeError):
        if unknown is None or not isinstance(value, str):
            raise raw.fail(field, value, codes.expected) from None
    unknown[f"unknown class: {value}"] += 1
    return -1


def _places(raw: RawImage, values: Sequence[Any] | Ints, field: Field) -> Ints:
    """Indices of boxes."""
    limit = len(raw.boxes)
    if isinstance(values, np.ndarray) and (len(values) == 0 or (values.min() >= 0 and values.max() < limit)):
        return values.astype(np.int64)
    for index, value in enumerate(values.tolist() if isinstance(values, np.ndarray) else values):
        if type(value) is not int or not 0 <= value < limit:
            there = (
                f"the place of one of {limit} boxes, 0 to {limit - 1}" if limit else "no relation, as there is no box"
            )
            raise raw.fail(field(index), value, there)
    return np.asarray(values, dtype=np.int64).reshape(-1)


def _numbers(raw: RawImage, values: Sequence[Any] | Floats, count: int, field: Field, expected: str) -> Floats:
    numbers = as_numbers(values)
    if numbers is None or numbers.ndim != 1:
        for index, value in enumerate(values):
            if finite(value) is None:
                raise raw.fail(field(index), value, expected)
        numbers = np.asarray(values, dtype=np.float64).reshape(-1)
    if len(numbers) != count:
        raise raw.fail(field(0), f"one of {len(numbers)}", f"one of {count}")
    return numbers


def as_numbers(values: Iterable[Any]) -> Floats | None:
    """A float array if every value is a finite number, else None: the caller looks for the fault."""
    try:
        numbers = np.asarray(values)
    except (ValueError, OverflowError):
        return None
    if numbers.size and numbers.dtype.kind not in "iuf":
        return None
    numbers = numbers.astype(np.float64)
    return numbers if bool(np.isfinite(numbers).all()) else None
