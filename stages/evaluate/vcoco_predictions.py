"""Predictions of V-COCO as its evaluator takes them, as JSON or as the pickle that is usually published.

The file is a list with a dict for each predicted person:

    [{"image_id": 165, "person_box": [x1, y1, x2, y2],
      "hold_agent": score, "hold_obj": [x1, y1, x2, y2, score], "walk_agent": score, ...}, ...]

with a field for every action and role of the verb file. A role's box of zeros, null or NaN says that nothing plays it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NoReturn

import numpy as np

from schemas import BadInputError
from stages.evaluate.allowed_pickle import load_pickle
from stages.evaluate.detections import Bools, Floats
from stages.evaluate.vcoco import Action, VCocoPrediction, most_roles
from stages.evaluate.vcoco_truth import VCocoTruth, shown, whole_number
from stages.ingest.draft import finite
from stages.ingest.files import open_input
from stages.ingest.json_stream import json_array

LAYOUT = (
    'V-COCO predictions: [{"image_id": 165, "person_box": [x1, y1, x2, y2], "hold_agent": score, '
    '"hold_obj": [x1, y1, x2, y2, score], ...}, ...]'
)

NanScores = Literal["error", "skip"]
"""A score that is not a number: a mistake, or no prediction for that action or role, as in the official code."""

# No picture is this large, and with more the areas no longer fit into float32, which the official evaluator uses.
_MOST_PIXELS = 1e9
_LARGEST_SCORE = float(np.finfo(np.float32).max)


def read_vcoco_predictions(
    path: str, truth: VCocoTruth, *, nan_scores: NanScores = "error"
) -> Iterator[tuple[int, VCocoPrediction]]:
    """Image ids with all that is predicted for the image, in the order in which the file comes to them.

    The file need not be sorted by image, so all of it is held in memory: 1.4 KB a person as JSON, several times as much
    as a pickle. Images without predictions are not among the results. Fields beyond those of `LAYOUT` are passed over.

    Raises:
        BadInputError: if the file is not what it should be; names element and field.
        TransientError: if the store failed.
    """
    fields = _Fields(path, truth.actions)
    found: dict[int, list[tuple[int, Floats]]] = {}
    for index, entry in enumerate(_elements(path)):
        where = f"{path}: element {index}"
        if not isinstance(entry, dict):
            raise BadInputError(f"{where} is {shown(entry)}; expected {LAYOUT}")
        image = whole_number(entry.get("image_id"))
        if image is None or image not in truth.images:
            what = "is missing" if "image_id" not in entry else f"is {shown(entry['image_id'])}"
            raise BadInputError(
                f"{where}: image_id {what}; expected one of the {len(truth.images)} images of the truth"
            )
        found.setdefault(image, []).append((index, fields.numbers(where, entry)))
    for image in list(found):
        rows = found.pop(image)
        yield image, fields.prediction([index for index, _ in rows], np.stack([row for _, row in rows]), nan_scores)


def _elements(path: str) -> Iterator[Any]:
    with open_input(path) as file:
        head = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:1] in {b"\x80", b"(", b"]"}:  # how pickles start: protocol 2 and later, protocol 0, and 1
        value = load_pickle(path)
        if not isinstance(value, list | tuple):
            raise BadInputError(f"{path}: a pickle of {shown(value)}; expected {LAYOUT}")
        return iter(value)
    return json_array(path, layout=f"{LAYOUT}, or a pickle of the same")


class _Fields:
    """The fields of a prediction, as numbers in a row: box, scores of the agents, box and score of each role."""

    def __init__(self, path: str, actions: Sequence[Action]) -> None:
        self._path = path
        self._num_actions, self._num_places = len(actions), most_roles(actions)
        self._columns = [(number, place) for number, action in enumerate(actions) for place in range(len(action.roles))]
        self._agents = [f"{action.name}_agent" for action in actions]
        self._roles = [f"{actions[number].name}_{actions[number].roles[place]}" for number, place in self._columns]
        self._lengths = {"person_box": 4} | dict.fromkeys(self._agents, 1) | dict.fromkeys(self._roles, 5)
        self._role_names = {"agent", *(role for action in actions for role in action.roles)}
        self._others = {"image_id"}

    def numbers(self, where: str, entry: dict[Any, Any]) -> Floats:
        """(4 + A + 5 C,) what the element says; null is not a number, what no float holds is infinite."""
        for other in entry.keys() - self._lengths.keys() - self._others:
            # A misspelt action must not pass for a field that is none of ours.
            if isinstance(other, str) and other.rpartition("_")[2] in self._role_names:
                raise BadInputError(
                    f"{where}: unknown field {shown(other)}; the actions' are {', '.join(self._lengths)}"
                )
            self._others.add(other)
        values: list[Any] = []
        for name, length in self._lengths.items():
            values += _field(where, entry, name, length)
        try:
            return np.array(values, dtype=np.float64)
        except OverflowError:
            return np.array([value if finite(value) is not None else np.inf for value in values], dtype=np.float64)

    def prediction(self, elements: Sequence[int], rows: Floats, nan_scores: NanScores) -> VCocoPrediction:
        """All the people of an image, each number looked at."""
        people, agents = rows[:, :4], rows[:, 4 : 4 + self._num_actions]
        roles = rows[:, 4 + self._num_actions :].reshape(len(rows), -1, 5)
        for names, bad in (
            (["person_box"], ~_is_box(people)[:, None]),
            (self._agents, _bad_scores(agents, nan_scores)),
            (self._roles, _bad_scores(roles[..., 4], nan_scores)),
            (self._roles, ~_is_box(roles[..., :4]) & ~np.all(np.isnan(roles[..., :4]), axis=-1)),
        ):
            if np.any(bad):
                row, column = np.argwhere(bad)[0]
                self._refuse(elements[row], names[column], rows[row])
        placed = np.full((len(rows), self._num_actions, self._num_places, 5), np.nan)
        for column, (number, place) in enumerate(self._columns):
            placed[:, number, place] = roles[:, column]
        return VCocoPrediction(people.copy(), agents.copy(), placed)

    def _refuse(self, element: int, name: str, row: Floats) -> NoReturn:
        starts = np.cumsum([0, *self._lengths.values()])[list(self._lengths).index(name)]
        found = row[starts : starts + self._lengths[name]].tolist()
        expected = {
            1: "a finite number",
            4: "[x1, y1, x2, y2] in pixels, finite, with x1 <= x2 and y1 <= y2",
            5: "[x1, y1, x2, y2, score], finite, with x1 <= x2 and y1 <= y2; without a box, four zeros or nulls",
        }[self._lengths[name]]
        shown = found[0] if len(found) == 1 else found
        raise BadInputError(f"{self._path}: element {element}: {name} is {shown}; expected {expected}")


def _field(where: str, entry: dict[Any, Any], name: str, length: int) -> Sequence[Any]:
    """The field's numbers, null for what is not a number."""
    expected = {1: "a number", 4: "[x1, y1, x2, y2]", 5: "[x1, y1, x2, y2, score]"}
    if name not in entry:
        raise BadInputError(f"{where}: {name} is missing; expected {expected[length]}")
    value = entry[name]
    if isinstance(value, np.ndarray | np.generic):
        # Published pickles hold boxes and scores as arrays of one row or one number.
        value = value.reshape(-1).tolist()
        value = value[0] if length == 1 and len(value) == 1 else value
    numbers = [value] if length == 1 else value
    if not isinstance(numbers, list | tuple) or len(numbers) != length or not _NUMBERS.issuperset(map(type, numbers)):
        raise BadInputError(f"{where}: {name} is {shown(value)}; expected {expected[length]}")
    return numbers


_NUMBERS = frozenset({float, int, type(None)})


def _is_box(boxes: Floats) -> Bools:
    """(..., 4) to (...): corners in order and of a size that a picture can have."""
    usable = np.all(np.abs(boxes) <= _MOST_PIXELS, axis=-1)
    return np.asarray(usable & np.all(boxes[..., :2] <= boxes[..., 2:], axis=-1), dtype=np.bool_)


def _bad_scores(scores: Floats, nan_scores: NanScores) -> Bools:
    bad = np.abs(scores) > _LARGEST_SCORE
    return bad | np.isnan(scores) if nan_scores == "error" else bad
