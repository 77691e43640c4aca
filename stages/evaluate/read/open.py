"""Which layout a file or folder has, told by its first characters, and its images as the evaluators take them."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from schemas import BadInputError, UserError
from stages.evaluate.detections import ImagePrediction, ImageTruth, LabelSpace
from stages.evaluate.read import arrays, coco_relations, hico_instances, hoi_list, shards, triplet_lines
from stages.evaluate.read.raw import Notes, RawImage, Reading, to_prediction, to_truth
from stages.ingest.draft import shown
from stages.ingest.files import open_input, open_text
from stages.ingest.json_stream import json_array, json_lists, starts_with
from stages.storage import Folder

Layout = Literal["hoi_list", "hico_instances", "arrays", "triplets", "coco_relations", "shards"]

_TOLD_BY: Mapping[Layout, set[str]] = {
    "hoi_list": {"hoi_annotation", "hoi_prediction"},
    "hico_instances": {"annotation", "filenames"},
    "arrays": {"boxes"},
    "triplets": {"triplets"},
    "coco_relations": {"images", "annotations", "relations"},
}

_EXPECTED = (
    "an output folder of relmill label, a list as PPDM and qpic write it, arrays, triplets or COCO with relations; "
    "the page `Evaluate` of the documentation shows each"
)


@dataclass(frozen=True, slots=True)
class ReadTruth:
    """One image of the ground truth."""

    where: str
    image: str
    truth: ImageTruth


@dataclass(frozen=True, slots=True)
class ReadPrediction:
    """One image of the predictions."""

    where: str
    image: str
    prediction: ImagePrediction


def layout_of(path: str) -> Layout:
    """The layout of a file (plain or gzipped, path or URL), or of an output folder.

    Raises:
        BadInputError: if there is nothing, or nothing we know.
    """
    if is_output_folder(path):
        return "shards"
    if "://" not in path and not Path(path).is_file():
        found = "no dataset.json here" if Path(path).is_dir() else "no such file or folder"
        raise BadInputError(f"{path}: {found}; expected {_EXPECTED}")
    first = _first_entry(path)
    for layout, keys in _TOLD_BY.items():
        if isinstance(first, dict) and keys & set(first):
            return layout
    raise BadInputError(f"{path}: its first entry is {shown(first)}; expected {_EXPECTED}")


def is_output_folder(path: str) -> bool:
    """Whether there is an output of `relmill label` at a path or URL."""
    return not path.endswith((".json", ".jsonl", ".gz", ".pkl")) and Folder(path).exists("dataset.json")


def is_lines(path: str) -> bool:
    """Whether a file begins as lines of JSON objects do; of any bytes."""
    with open_input(path) as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"


def must_exist(path: str, expected: str) -> None:
    """Refuse a path on this machine at which there is no file.

    Raises:
        BadInputError: that says what is expected there.
    """
    if "://" not in path and not Path(path).is_file():
        raise BadInputError(f"{path}: {'a folder' if Path(path).is_dir() else 'no such file'}; give {expected}")


def _first_entry(path: str) -> Any:
    """The first element of a list, the first of several lines, or the names of an object's lists."""
    if starts_with(path) == "[":
        return next(json_array(path, layout=""), None)
    with open_text(path) as lines:
        line = next((line for line in lines if line.strip()), "")
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        # An object over several lines: the first list in it that one of our layouts has.
        names = {name for keys in _TOLD_BY.values() for name in keys}
        first = next(json_lists(path, names, layout=_EXPECTED), None) if line.startswith("{") else None
        return line if first is None else {first[0]: []}


def read_truths(path: str, space: LabelSpace, notes: Notes) -> Iterator[ReadTruth]:
    """The images of a ground truth, in its order.

    Raises:
        BadInputError: naming file, element, field, value found and expected.
    """
    format_ = _FORMATS[layout_of(path)]
    reading = format_.reading(space)
    for raw in format_.truths(path):
        yield ReadTruth(raw.where, raw.image, to_truth(raw, reading, notes))


def read_predictions(path: str, space: LabelSpace, notes: Notes) -> Iterator[ReadPrediction]:
    """The images of a file of predictions, in its order.

    Raises:
        BadInputError: naming file, element, field, value found and expected.
    """
    format_ = _FORMATS[layout_of(path)]
    reading = format_.reading(space)
    for raw in format_.predictions(path, space):
        yield ReadPrediction(raw.where, raw.image, to_prediction(raw, reading, notes))


def picture_names(path: str) -> Iterator[str]:
    """The names of the picture files that a ground truth of HICO-DET speaks of, in its order.

    Raises:
        BadInputError: if it is none in a layout that names them, or one has no name.
    """
    layout = layout_of(path)
    if layout == "hoi_list":
        names = ((f"element {i}: file_name", entry) for i, entry in hoi_list.file_names(path))
    elif layout == "hico_instances":
        names = ((f"filenames[{i}]", entry) for i, entry in hico_instances.file_names(path))
    else:
        raise BadInputError(
            f"{path}: layout {layout}; give test annotations of HICO-DET that name the pictures' files, as PPDM and "
            f"fredzzhang/hicodet write them"
        )
    for where, name in names:
        if not isinstance(name, str) or not name:
            raise BadInputError(f"{path}: {where} is {shown(name)}; expected the name of a picture's file")
        yield name


def classes_of_truth(path: str) -> LabelSpace:
    """The classes that a ground truth names, sorted: of its boxes, and of its relations.

    Raises:
        BadInputError: if it numbers its classes instead.
    """
    objects: set[str] = set()
    predicates: set[str] = set()
    for raw in _FORMATS[layout_of(path)].truths(path):
        for names, values in ((objects, raw.labels), (predicates, raw.predicates)):
            for value in values:
                if not isinstance(value, str):
                    raise UserError(f"{raw.where}: class {shown(value)} has no name; give the names with --classes")
                names.add(value)
    return LabelSpace(tuple(sorted(objects)), tuple(sorted(predicates)))


def read_classes(path: str) -> LabelSpace:
    """A file of classes: `{"objects": [names], "predicates": [names]}`, in the order of their numbers.

    An output of `relmill label` may stand for it; see `classes_of_output`.

    Raises:
        BadInputError: if it is none.
    """
    if is_output_folder(path):
        return shards.classes_of_output(path)
    must_exist(path, 'JSON {"objects": [names], "predicates": [names]}')
    with open_text(path) as file:
        try:
            document = json.load(file)
        except (ValueError, RecursionError) as error:
            raise BadInputError(f"{path}: not valid JSON ({error})") from error
    lists = [document.get(name) if isinstance(document, dict) else None for name in ("objects", "predicates")]
    for name, values in zip(("objects", "predicates"), lists, strict=True):
        if not isinstance(values, list) or not values or not all(isinstance(one, str) and one for one in values):
            raise BadInputError(f"{path}: {name} is {shown(values)}; expected a list of names")
        if len(set(values)) != len(values):
            raise BadInputError(f"{path}: {name} lists a name twice")
    return LabelSpace(tuple(lists[0] or ()), tuple(lists[1] or ()))


def _no_predictions(path: str) -> Iterator[RawImage]:
    raise BadInputError(f"{path}: a ground truth of HICO-DET, which holds no predictions; expected {_EXPECTED}")


@dataclass(frozen=True, slots=True)
class _Format:
    """How the files of a layout are read."""

    reading: Callable[[LabelSpace], Reading]
    truths: Callable[[str], Iterator[RawImage]]
    predictions: Callable[[str, LabelSpace], Iterator[RawImage]]


_FORMATS: Mapping[Layout, _Format] = {
    "hoi_list": _Format(
        hoi_list.hoi_list_reading,
        lambda path: hoi_list.read_hoi_list(path, layout=hoi_list.TRUTH),
        lambda path, _: hoi_list.read_hoi_list(path, layout=hoi_list.PREDICTIONS),
    ),
    "hico_instances": _Format(
        triplet_lines.triplets_reading,
        hico_instances.read_hico_instances,
        lambda path, _: _no_predictions(path),
    ),
    "arrays": _Format(
        arrays.arrays_reading,
        arrays.read_arrays_truth,
        lambda path, space: arrays.read_arrays(path, num_predicates=len(space.predicates)),
    ),
    "triplets": _Format(
        triplet_lines.triplets_reading,
        lambda path: triplet_lines.read_triplet_lines(path, layout=triplet_lines.TRUTH),
        lambda path, _: triplet_lines.read_triplet_lines(path, layout=triplet_lines.PREDICTIONS),
    ),
    "coco_relations": _Format(
        triplet_lines.triplets_reading,
        lambda path: coco_relations.read_coco_relations(path, scored=False),
        lambda path, _: coco_relations.read_coco_relations(path, scored=True),
    ),
    "shards": _Format(
        shards.shards_reading,
        lambda path: shards.read_shards(path, human=True),
        lambda path, _: shards.read_shards(path, human=False),
    ),
}
