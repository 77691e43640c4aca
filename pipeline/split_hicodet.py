"""`relmill split-hicodet`: HICO-DET's training annotations cut into zero-shot sets and few-shot subsets.

`stages.evaluate.hicodet_splits` says which relations and images go where; here files are read and written.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from pipeline.local_files import replacing
from schemas import BadInputError, StorageError
from stages.evaluate.detections import Ints
from stages.evaluate.hicodet_classes import PERSON, hico_classes
from stages.evaluate.hicodet_splits import (
    FEW_SHOT_PERCENT,
    ZERO_SHOT,
    TrainingImage,
    few_shot_names,
    hidden_in,
    num_instances,
    seen_relations,
)
from stages.ingest.class_lists import coco_objects, hico_verbs
from stages.ingest.draft import shown
from stages.ingest.json_objects import objects_of_lines, objects_of_list
from stages.ingest.json_stream import starts_with

LIST_LAYOUT = '[{"file_name": "...", "annotations": [...], "hoi_annotation": [...]}, ...]'
LINES_LAYOUT = 'one JSON object a line: {"image": "1.jpg", "triplets": [...]}'

_NAME_LISTS = {percent: f"few_shot_{percent}.txt" for percent in FEW_SHOT_PERCENT}
_CLASSES = "classes.csv"

CLASSES_HEAD = ("hoi_category_id", "object", "verb", "instances", "rare", *ZERO_SHOT)
"""Of `classes.csv`. Interactions count from 1, as in HICO's list; `rare` is that of the benchmark's table, whatever the
annotations; a split has 1 where its training set leaves the interaction out."""


@dataclass(frozen=True, slots=True)
class SplitFile:
    """One file of annotations that was written."""

    path: Path
    num_images: int
    num_relations: int


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """What was read and written, for the terminal."""

    annotations: Path
    output: Path
    seed: int
    num_images: int
    num_relations: int
    num_drawable: int
    """Images that a few-shot subset may draw: with a relation, and none broken."""
    num_broken: int
    """Images with a relation that points at a box that is not there."""
    num_foreign: int
    """Relations that are none of HICO's 600, the broken ones among them; no split hides them."""
    files: tuple[SplitFile, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.annotations}: {self.num_images} images, {self.num_drawable} of them to draw from, "
            f"{self.num_relations} relations; seed {self.seed}"
        ]
        if self.num_broken:
            lines.append(
                f"{self.num_broken} images have a relation to a box that is not there: kept in the zero-shot sets, "
                f"not drawn, as qpic's training leaves them out"
            )
        if self.num_foreign:
            lines.append(f"{self.num_foreign} relations are none of HICO's 600: no split hides them")
        lines += [f"{one.path}: {one.num_images} images, {one.num_relations} relations" for one in self.files]
        lines.append(f"{self.output}: {', '.join(_NAME_LISTS.values())}, {_CLASSES}")
        return "\n".join(lines)


def split_hicodet(annotations: Path, output: Path, *, seed: int = 0) -> SplitSummary:
    """Write the zero-shot sets and few-shot subsets of HICO-DET's training annotations.

    The files have the layout of the annotations, told by the first character: `[` the list of PPDM and qpic, `{`
    triplets, one image a line. Entries are written as they were read, members that we do not know included, but for
    the relations that a zero-shot set hides. In the list, the boxes of hidden relations stay, as in RLIPv2's files;
    a triplet goes with its boxes. Old files are replaced, each in one step. Equal annotations and seed give equal
    bytes. The file is read once for each set, so memory holds names and numbers only.

    qpic's list has relations that point at boxes which are not there. They are none of the 600 interactions: no set
    hides them and nothing counts them. Their images stay in the zero-shot sets, where qpic's and RLIPv2's training
    leave them out, and are not drawn, so that a subset has as many images in training as it says.

    Args:
        annotations: of the training set, plain or gzipped.
        output: a folder, made if it is missing. Into it go `<stem>_uc_rf`, `_uc_nf`, `_uo`, `_few_shot_1` and
            `_few_shot_10` with the layout's ending, `few_shot_1.txt` and `few_shot_10.txt` (file names, sorted),
            and `classes.csv`.
        seed: of the few-shot subsets, 0 or more.

    Raises:
        BadInputError: if the file is no such annotations; names the element and the field.
        UserError: if the images are too few for a few-shot subset.
        StorageError: if a file cannot be written.
    """
    if not annotations.is_file():
        raise BadInputError(f"{annotations}: no such file; give HICO-DET's training annotations")
    layout = _layout_of(annotations)
    images = _read_images(layout)
    if not any(image.takes_part for image in images):
        raise BadInputError(f"{annotations}: holds none of HICO-DET's 600 interactions; give its training annotations")
    subsets = {percent: few_shot_names(images, percent=percent, seed=seed) for percent in FEW_SHOT_PERCENT}
    stem = annotations.name.removesuffix(".gz").removesuffix(".json").removesuffix(".jsonl")
    written: list[SplitFile] = []
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, keep in _choices(images, subsets).items():
            written.append(_write_split(layout, keep, output / f"{stem}_{name}{layout.ending}"))
        for percent, names in subsets.items():
            with replacing(output / _NAME_LISTS[percent]) as file:
                file.writelines(f"{name}\n" for name in names)
        with replacing(output / _CLASSES) as file:
            csv.writer(file, lineterminator="\n").writerows(_class_rows(num_instances(images)))
    except OSError as error:
        raise StorageError(f"{output}: cannot be written: {error}; give another output folder") from error
    return SplitSummary(
        annotations=annotations,
        output=output,
        seed=seed,
        num_images=len(images),
        num_relations=sum(len(image.interactions) for image in images),
        num_drawable=sum(image.takes_part for image in images),
        num_broken=sum(image.broken for image in images),
        num_foreign=sum(image.interactions.count(None) for image in images),
        files=tuple(written),
    )


class _HoiList:
    """One JSON list, as PPDM, qpic and RLIPv2 have it. Written one element a line."""

    ending = ".json"
    relations = "hoi_annotation"

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Where each image stands, for messages, and its entry, in file order."""
        return objects_of_list(str(self._path), layout=LIST_LAYOUT)

    def image(self, where: str, entry: dict[str, Any]) -> TrainingImage:
        """What the splits need to know of it."""
        name = _file_name(where, "file_name", entry)
        things = _list(where, "annotations", entry, layout=LIST_LAYOUT)
        found = [
            _interaction_in_list(where, f"hoi_annotation[{place}]", relation, things)
            for place, relation in enumerate(_list(where, self.relations, entry, layout=LIST_LAYOUT))
        ]
        numbers = tuple(None if number == _BROKEN else number for number in found)
        return TrainingImage(name, numbers, broken=_BROKEN in found)

    def write(self, file: TextIO, entries: Iterable[dict[str, Any]]) -> None:
        """Write the entries of a file."""
        before = "["
        for entry in entries:
            file.write(f"{before}\n{json.dumps(entry)}")
            before = ","
        file.write("[]\n" if before == "[" else "\n]\n")


class _Triplets:
    """JSON lines with names in place of numbers, Relmill's interchange layout. HICO's `sit_on` may be `sit on`."""

    ending = ".jsonl"
    relations = "triplets"

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """As `_HoiList.entries`."""
        return objects_of_lines(str(self._path), layout=LINES_LAYOUT)

    def image(self, where: str, entry: dict[str, Any]) -> TrainingImage:
        """As `_HoiList.image`."""
        name = _file_name(where, "image" if "image" in entry else "file_name", entry)
        triplets = _list(where, self.relations, entry, layout=LINES_LAYOUT)
        numbers = (_interaction_in_triplet(f"{where}: `triplets[{i}]", triplet) for i, triplet in enumerate(triplets))
        return TrainingImage(name, tuple(numbers))

    def write(self, file: TextIO, entries: Iterable[dict[str, Any]]) -> None:
        """As `_HoiList.write`."""
        file.writelines(f"{json.dumps(entry)}\n" for entry in entries)


_Layout = _HoiList | _Triplets
_BROKEN = -1


def _layout_of(path: Path) -> _Layout:
    match starts_with(str(path)):
        case "[":
            return _HoiList(path)
        case "{":
            return _Triplets(path)
        case first:
            raise BadInputError(
                f"{path}: starts with {first!r}; expected HICO-DET's training annotations, {LIST_LAYOUT} or "
                f"{LINES_LAYOUT}"
            )


def _read_images(layout: _Layout) -> list[TrainingImage]:
    """In file order; their names are unlike."""
    images = []
    places: dict[str, str] = {}
    for where, entry in layout.entries():
        image = layout.image(where, entry)
        if image.name in places:
            raise BadInputError(f"{where}: {image.name!r} has been at {places[image.name]}; expected an image once")
        places[image.name] = where
        images.append(image)
    return images


def _interaction_in_list(where: str, what: str, relation: Any, things: list[Any]) -> int | None:
    """Number of the interaction, None if it is none of the 600, `_BROKEN` if an end is not there."""
    if not isinstance(relation, dict):
        raise BadInputError(f"{where}: `{what}` is {shown(relation)}; expected an object")
    verb = relation.get("category_id")
    if type(verb) is not int or verb not in hico_verbs():
        raise BadInputError(
            f"{where}: `{what}.category_id` is {shown(verb)}; expected a verb, 1 to {len(hico_verbs())}"
        )
    names = []
    for end in ("subject_id", "object_id"):
        place = relation.get(end)
        if type(place) is not int:
            raise BadInputError(f"{where}: `{what}.{end}` is {shown(place)}; expected a place in `annotations`")
        if not 0 <= place < len(things):
            return _BROKEN
        category = things[place].get("category_id") if isinstance(things[place], dict) else None
        if type(category) is not int or category not in coco_objects():
            field = f"annotations[{place}].category_id"
            raise BadInputError(f"{where}: `{field}` is {shown(category)}; expected the id of one of COCO's 80 objects")
        names.append(coco_objects()[category])
    return _number(names[0], hico_verbs()[verb], names[1])


def _interaction_in_triplet(what: str, triplet: Any) -> int | None:
    if not isinstance(triplet, list) or len(triplet) != 5:
        raise BadInputError(f"{what}` is {shown(triplet)}; expected [subject, box, predicate, object, box]")
    subject, _, predicate, object_, _ = triplet
    objects, verbs = _known_names()
    for place, name, known, kind in (
        (0, subject, objects, "COCO's 80 objects"),
        (2, predicate, verbs, "HICO-DET's 117 verbs"),
        (3, object_, objects, "COCO's 80 objects"),
    ):
        if not isinstance(name, str) or _spelled(name) not in known:
            raise BadInputError(f"{what}[{place}]` is {shown(name)}; expected one of {kind}")
    return _number(subject, predicate, object_)


def _number(subject: str, verb: str, object_: str) -> int | None:
    """The interaction's number from 0, None if it is none of the 600."""
    return _numbers().get((_spelled(verb), _spelled(object_))) if subject == PERSON else None


@cache
def _numbers() -> Mapping[tuple[str, str], int]:
    space = hico_classes().space
    pairs = hico_classes().interactions
    return {(_spelled(space.predicates[verb]), space.objects[thing]): i for i, (thing, verb) in enumerate(pairs)}


@cache
def _known_names() -> tuple[frozenset[str], frozenset[str]]:
    space = hico_classes().space
    return frozenset(space.objects), frozenset(map(_spelled, space.predicates))


def _spelled(name: str) -> str:
    """A name with spaces, as in COCO's objects; HICO's own lists have underscores."""
    return name.replace("_", " ")


def _list(where: str, field: str, entry: Mapping[str, Any], *, layout: str) -> list[Any]:
    value = entry.get(field)
    if not isinstance(value, list):
        raise BadInputError(f"{where}: `{field}` is {shown(value)}; expected a list, as in {layout}")
    return value


def _file_name(where: str, field: str, entry: Mapping[str, Any]) -> str:
    name = entry.get(field)
    # A line end in it would make two names of it in the list of names.
    if not isinstance(name, str) or not name or not name.isprintable():
        raise BadInputError(f"{where}: `{field}` is {shown(name)}; expected a file name")
    return name


# For each image in file order, the places of the relations that a file keeps; None leaves the image out.
_Keep = Sequence[Sequence[int] | None]


def _choices(images: Sequence[TrainingImage], subsets: Mapping[int, Iterable[str]]) -> dict[str, _Keep]:
    """By the end of the file's name, what it keeps."""
    chosen: dict[str, _Keep] = {split: [seen_relations(image, split) for image in images] for split in ZERO_SHOT}
    for percent, names in subsets.items():
        drawn = frozenset(names)
        chosen[f"few_shot_{percent}"] = [
            range(len(image.interactions)) if image.name in drawn else None for image in images
        ]
    return chosen


def _write_split(layout: _Layout, keep: _Keep, path: Path) -> SplitFile:
    def kept() -> Iterator[dict[str, Any]]:
        for (_, entry), places in zip(layout.entries(), keep, strict=True):
            if places is not None:
                relations = entry[layout.relations]
                yield {**entry, layout.relations: [relations[place] for place in places]}

    with replacing(path) as file:
        layout.write(file, kept())
    stays = [places for places in keep if places is not None]
    return SplitFile(path, num_images=len(stays), num_relations=sum(map(len, stays)))


def _class_rows(counts: Ints) -> Iterator[Sequence[object]]:
    classes = hico_classes()
    yield CLASSES_HEAD
    for number, (object_, verb) in enumerate(classes.interactions):
        rare = classes.groups("full")[number] == "rare"
        hidden = hidden_in(number)
        yield (
            number + 1,
            classes.space.objects[object_],
            classes.space.predicates[verb],
            int(counts[number]),
            int(rare),
            *(int(split in hidden) for split in ZERO_SHOT),
        )
