"""The pictures that a network is shown, wherever they lie; each is read when its turn comes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from PIL import UnidentifiedImageError

from schemas import BadInputError, Rejected, UserError
from schemas.job import DatasetJob, load_job
from schemas.vocabulary import canonical_name
from stages.evaluate.detections import LabelSpace
from stages.evaluate.read import is_output_folder, picture_names
from stages.evaluate.read.shards import classes_of_output, key_prefix
from stages.ingest import FolderImages, open_dataset
from stages.ingest.dataset import Dataset
from stages.pack import CommitLog, read_index, read_scene
from stages.picture import FORMATS
from stages.storage import Folder


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that has not been read yet."""

    name: str
    """What predictions call it: a file name, or the id of a scene."""
    read: Callable[[], bytes]
    """Its encoded bytes; raises whatever stands in the way."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """What a source offers."""

    each: Callable[[], Iterator[Picture]]
    where: str
    """For messages."""
    classes: Callable[[], LabelSpace] = lambda: LabelSpace((), ())
    """Names and predicates that are used of these pictures."""


def given_pictures(paths: Sequence[str]) -> Pictures:
    """Files or URLs, each by its name."""
    return Pictures(lambda: (Picture(path, partial(_read_file, path)) for path in paths), paths[0])


def dataset_pictures(target: str) -> Pictures:
    """Those of a dataset, described by the `dataset:` part of a YAML file, or of an output of `relmill label`.

    Raises:
        JobError: if the YAML file is none, or describes no dataset.
        BadInputError: if there is neither.
        UserError: if the dataset names no folder of pictures.
    """
    if target.endswith((".yaml", ".yml")):
        job = load_job(target, ["output=unused"])
        return _of_dataset(target, job.dataset, seed=job.seed)
    if not is_output_folder(target):
        raise BadInputError(
            f"{target}: no dataset.json here; give a YAML file with a `dataset:` part, or an output of `relmill label`"
        )
    return Pictures(partial(_of_output, Folder(target)), target, partial(classes_of_output, target))


def hicodet_pictures(annotations: str, images: str) -> Pictures:
    """Those that test annotations of HICO-DET name, in a folder.

    Raises:
        BadInputError: if the annotations name no files.
    """
    names = list(picture_names(annotations))
    source = FolderImages(images)
    return Pictures(lambda: (Picture(name, partial(source.read, name)) for name in names), annotations)


def problem_of(error: Exception) -> str:
    """Why a picture cannot be shown, in a line."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "a folder; give the pictures in it"
    if isinstance(error, UnidentifiedImageError):
        return f"no picture, or damaged from the start; expected {', '.join(FORMATS)}"
    if isinstance(error, UserError):
        return str(error)
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _of_dataset(target: str, job: DatasetJob, *, seed: int) -> Pictures:
    dataset = open_dataset(job, seed=seed)
    source = dataset.images()

    def each() -> Iterator[Picture]:
        for record in dataset.records():
            if isinstance(record, Rejected):
                yield Picture(record.key, partial(_refuse, f"{record.reason}: {record.detail}"))
            else:
                yield Picture(record.image.name, partial(source.read, record.image.name))

    return Pictures(each, target, partial(_classes_of_dataset, dataset))


def _classes_of_dataset(dataset: Dataset) -> LabelSpace:
    """The names of all its regions, and the predicates that people assert."""
    names: set[str] = set()
    predicates: set[str] = set()
    for record in dataset.records():
        if not isinstance(record, Rejected):
            names.update(canonical_name(region.name) for region in record.regions)
            predicates.update(relation.predicate for relation in record.relations if relation.state == "asserted")
    return LabelSpace(tuple(sorted(names)), tuple(sorted(predicates)))


def _of_output(folder: Folder) -> Iterator[Picture]:
    """The committed scenes, by their ids: keys without the dataset's name, as `relmill evaluate` knows them."""
    prefix = key_prefix(folder)
    for commit in CommitLog(folder).entries():
        for row in read_index(folder, commit):
            yield Picture(row["key"].removeprefix(prefix), partial(_read_scene, folder, row))


def _read_scene(folder: Folder, row: dict[str, Any]) -> bytes:
    data = read_scene(folder, row).image.data
    if data is None:
        raise BadInputError("the output was made without pictures (dataset.pixels: false)")
    return data


def _read_file(path: str) -> bytes:
    if "://" not in path:
        return Path(path).read_bytes()
    folder, _, name = path.rpartition("/")
    return Folder(folder).read(name)


def _refuse(problem: str) -> NoReturn:
    raise BadInputError(problem)
