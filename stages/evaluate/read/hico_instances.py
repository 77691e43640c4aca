"""HICO-DET's ground truth in the instance layout of fredzzhang/hicodet, which UPT, PViC and their kin evaluate on.

    {"annotation": [{"boxes_h": [[x1, y1, x2, y2]], "boxes_o": [...], "object": [...], "verb": [...]}],
     "filenames": [...], "objects": [names], "verbs": [names], ...}

The lists run in parallel; `object` and `verb` are places in `objects` and `verbs`. Boxes count pixels from 1, as MATLAB
does: subtracting 1 gives the numbers of the PPDM/qpic files. The names stand behind the annotations that need them, so
the file is held in memory.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from schemas import BadInputError
from stages.evaluate.read.boxes_once import BoxesOnce
from stages.evaluate.read.raw import RawImage
from stages.evaluate.read.where import image_name
from stages.ingest.draft import finite, shown
from stages.ingest.json_stream import json_lists

LAYOUT = '{"annotation": [...], "filenames": [...], "objects": [...], "verbs": [...]}'

_COLUMNS = ("boxes_h", "boxes_o", "object", "verb")


def read_hico_instances(path: str) -> Iterator[RawImage]:
    """The images of a file, in its order; those without boxes, too.

    Raises:
        BadInputError: if a list is missing or of another length; names file, entry and field.
    """
    lists: dict[str, list[Any]] = {}
    for name, index, entry in json_lists(path, {"annotation", "filenames", "objects", "verbs"}, layout=LAYOUT):
        lists.setdefault(name, []).extend([entry] if index >= 0 else [])
    for name in ("annotation", "filenames", "objects", "verbs"):
        if name not in lists:
            raise BadInputError(f"{path}: has no list `{name}`; expected {LAYOUT}")
    if len(lists["annotation"]) != len(lists["filenames"]):
        raise BadInputError(
            f"{path}: {len(lists['annotation'])} annotations and {len(lists['filenames'])} filenames; expected as "
            "many of each"
        )
    for index, (entry, name) in enumerate(zip(lists["annotation"], lists["filenames"], strict=True)):
        where = f"{path}: annotation[{index}]"
        columns = _columns(where, entry)
        boxes = BoxesOnce()
        for row, (human, thing, object_) in enumerate(zip(*columns[:3], strict=True)):
            boxes.add(
                ("person", _from_zero(human), f"boxes_h[{row}]", f"boxes_h[{row}]"),
                (_named(lists["objects"], object_), _from_zero(thing), f"object[{row}]", f"boxes_o[{row}]"),
            )
        yield RawImage(
            where,
            image_name(where, f"filenames[{index}]", name),
            boxes.fields(predicate=lambda i: f"verb[{i}]", score=lambda i: f"verb[{i}]"),
            boxes=boxes.boxes,
            labels=boxes.names,
            subjects=boxes.subjects,
            objects=boxes.objects,
            predicates=[_named(lists["verbs"], verb) for verb in columns[3]],
        )


def file_names(path: str) -> Iterator[tuple[int, Any]]:
    """Place and value of each of `filenames`, unchecked."""
    for _, index, name in json_lists(path, {"filenames"}, layout=LAYOUT):
        if index >= 0:
            yield index, name


def _columns(where: str, entry: Any) -> list[Sequence[Any]]:
    values = [entry.get(name) if isinstance(entry, dict) else None for name in _COLUMNS]
    columns: list[Sequence[Any]] = [value for value in values if isinstance(value, list)]
    if len(columns) != len(values) or len({len(column) for column in columns}) != 1:
        raise BadInputError(f"{where} is {shown(entry)}; expected lists {', '.join(_COLUMNS)}, equally long")
    return columns


def _from_zero(box: Any) -> Any:
    """Corners that count from 1, counted from 0; what is no number stays, for the checks."""
    if not isinstance(box, list):
        return box
    return [value if (number := finite(value)) is None else number - 1 for value in box]


def _named(names: Sequence[Any], place: Any) -> Any:
    return names[place] if type(place) is int and 0 <= place < len(names) else place
