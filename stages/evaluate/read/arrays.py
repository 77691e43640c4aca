"""Predictions as networks put them out, and truths to go with them: parallel lists, one element an image.

    predictions  {"image", "boxes": [[x1, y1, x2, y2]], "labels": [...], "scores": [...],
                  "sub_ids": [...], "obj_ids": [...], "verb_scores": [[...]]}
    truth        {"image", "boxes": [[x1, y1, x2, y2]], "labels": [...], "relations": [[subject, object, predicate]]}

These are the dictionaries that qpic and RLIPv2 hand to their evaluators, as JSON: `sub_ids` and `obj_ids` are places in
`boxes`, a row of `verb_scores` holds the scores of all predicates of a pair, or is an object `{predicate: score}` of
those that are predictions. `scores` of the boxes may be missing: then those of the predicates say it all, as in qpic.
`file_name` or `image_id` may stand for `image`, `hois` for `relations`. Labels and predicates are numbers from 0 in
the order of the benchmark's classes, or names. The file is one list, or one object a line.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from schemas import BadInputError
from stages.evaluate.detections import Floats, Ints, LabelSpace
from stages.evaluate.read.codes import Codes
from stages.evaluate.read.raw import Fields, RawImage, Reading, as_numbers
from stages.evaluate.read.where import image_name
from stages.ingest.draft import shown
from stages.ingest.json_objects import objects_of_lines, objects_of_list
from stages.ingest.json_stream import starts_with

TRUTH = '{"image", "boxes": [...], "labels": [...], "relations": [[subject, object, predicate], ...]}'
PREDICTIONS = '{"image", "boxes": [...], "labels": [...], "sub_ids": [...], "obj_ids": [...], "verb_scores": [...]}'

_NAMES = ("image", "file_name", "image_id")


def arrays_reading(space: LabelSpace) -> Reading:
    """Classes by their place in the space, or by name."""
    return Reading(
        Codes(space.objects, {i: i for i in range(len(space.objects))}, canonical=False, predicates=False),
        Codes(space.predicates, {i: i for i in range(len(space.predicates))}, canonical=False, predicates=True),
        leave_out_unknown=False,
    )


def read_arrays_truth(path: str) -> Iterator[RawImage]:
    """The true relations of each image, in the order of the file.

    Raises:
        BadInputError: if an element is of another layout; names file, element and field.
    """
    for where, entry in elements(path, TRUTH):
        relations = entry.get("relations", entry.get("hois"))
        rows = _list(where, "relations", relations, TRUTH)
        for index, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != 3:
                raise BadInputError(
                    f"{where}: relations[{index}] is {shown(row)}; expected [subject, object, predicate]"
                )
        yield RawImage(
            where,
            image_of(where, entry),
            _TRUTH_FIELDS,
            boxes=_list(where, "boxes", entry.get("boxes"), TRUTH),
            labels=_list(where, "labels", entry.get("labels"), TRUTH),
            subjects=[row[0] for row in rows],
            objects=[row[1] for row in rows],
            predicates=[row[2] for row in rows],
        )


def read_arrays(path: str, *, num_predicates: int) -> Iterator[RawImage]:
    """The predictions of each image, in the order of the file.

    Raises:
        BadInputError: if an element is of another layout; names file, element and field.
    """
    for where, entry in elements(path, PREDICTIONS):
        lists = {
            key: _list(where, key, entry.get(key), PREDICTIONS)
            for key in ("boxes", "labels", "sub_ids", "obj_ids", "verb_scores")
        }
        pairs = len(lists["verb_scores"])
        for key in ("sub_ids", "obj_ids"):
            if len(lists[key]) != pairs:
                raise BadInputError(
                    f"{where}: {key} has {len(lists[key])} entries, verb_scores {pairs}; expected as many of each"
                )
        counts, predicates, scores = _predicate_scores(where, lists["verb_scores"], num_predicates)
        pair_of = np.repeat(np.arange(pairs), counts)
        yield RawImage(
            where,
            image_of(where, entry),
            _fields(pair_of, predicates),
            boxes=lists["boxes"],
            labels=lists["labels"],
            subjects=_repeated(lists["sub_ids"], pair_of),
            objects=_repeated(lists["obj_ids"], pair_of),
            predicates=predicates,
            scores=scores,
            box_scores=None if entry.get("scores") is None else _list(where, "scores", entry["scores"], PREDICTIONS),
        )


def elements(path: str, layout: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and object of each image: of a JSON list, or of JSON lines.

    Raises:
        BadInputError: if it is neither, or an element is no object.
    """
    if starts_with(path) == "[":
        return objects_of_list(path, layout=f"[{layout}, ...]")
    return objects_of_lines(path, layout=layout)


def image_of(where: str, entry: dict[str, Any]) -> str:
    """The id of an element's image, under any of the names that it may have."""
    key = next((key for key in _NAMES if key in entry), "image")
    return image_name(where, key, entry.get(key))


def _list(where: str, field: str, value: Any, layout: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadInputError(f"{where}: {field} is {shown(value)}; expected a list, as in {layout}")
    return value


def _predicate_scores(
    where: str, rows: list[Any], num_predicates: int
) -> tuple[list[int], Sequence[Any] | Ints, Sequence[Any] | Floats]:
    """How many predicates each pair has, which, and their scores, one after another."""
    if all(isinstance(row, dict) for row in rows):
        keys = chain.from_iterable(rows)
        predicates = [int(key) if key.isdecimal() else key for key in keys]
        return [len(row) for row in rows], predicates, list(chain.from_iterable(row.values() for row in rows))
    for index, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != num_predicates:
            found = f"a list of {len(row)}" if isinstance(row, list) else shown(row)
            raise BadInputError(
                f"{where}: verb_scores[{index}] is {found}; expected a list of {num_predicates} scores, one for each "
                "predicate, or an object {predicate: score}, and the same for every pair"
            )
    every = np.tile(np.arange(num_predicates), len(rows))
    numbers = as_numbers(rows)
    scores = list(chain.from_iterable(rows)) if numbers is None else numbers.reshape(-1)
    return [num_predicates] * len(rows), every, scores


def _repeated(values: list[Any], pair_of: Ints) -> Sequence[Any] | Ints:
    """Each pair's end for each of its predicates; anything but small whole numbers is left for the check."""
    if all(type(value) is int and abs(value) < 2**31 for value in values):
        return np.asarray(values, dtype=np.int64)[pair_of]
    return [values[pair] for pair in pair_of]


def _fields(pair_of: Ints, predicates: Sequence[Any] | Ints) -> Fields:
    return Fields(
        box=lambda i: f"boxes[{i}]",
        label=lambda i: f"labels[{i}]",
        subject=lambda i: f"sub_ids[{pair_of[i]}]",
        object=lambda i: f"obj_ids[{pair_of[i]}]",
        predicate=lambda i: f"a key of verb_scores[{pair_of[i]}]",
        score=lambda i: f"verb_scores[{pair_of[i]}][{predicates[i]}]" if len(pair_of) else "verb_scores",
        box_score=lambda i: f"scores[{i}]",
    )


_TRUTH_FIELDS = Fields(
    box=lambda i: f"boxes[{i}]",
    label=lambda i: f"labels[{i}]",
    subject=lambda i: f"relations[{i}][0]",
    object=lambda i: f"relations[{i}][1]",
    predicate=lambda i: f"relations[{i}][2]",
    score=lambda i: f"relations[{i}]",
    box_score=lambda i: f"scores[{i}]",
)
