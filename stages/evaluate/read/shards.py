"""Relmill's own outputs: human relations as truth, labels as predictions; from indexes, and layers over them."""

import json
from collections.abc import Iterator
from typing import Any

from schemas import BadInputError
from schemas.vocabulary import canonical_name
from stages.evaluate.detections import LabelSpace
from stages.evaluate.read.codes import Codes
from stages.evaluate.read.raw import Fields, RawImage, Reading
from stages.pack import CommitLog, Layers, read_dataset_file, read_index
from stages.storage import Folder


def shards_reading(space: LabelSpace) -> Reading:
    """Classes by Relmill's names. Labels have an open vocabulary, so those that the benchmark lacks are left out."""
    return Reading(
        Codes(space.objects, {}, canonical=True, predicates=False),
        Codes(space.predicates, {}, canonical=True, predicates=True),
        leave_out_unknown=True,
    )


def read_shards(url: str, *, human: bool) -> Iterator[RawImage]:
    """The committed scenes of an output, in log order: their asserted relations, and the boxes these stand on.

    The image id is the scene's key without the dataset's name. A triplet of several sources counts once, with its
    best score. Human relations are as people left them: with what layers say.

    Args:
        human: human relations, the truth; else all others.

    Raises:
        BadInputError: if it is no output folder, holds no commit, or has damaged layers.
    """
    folder = Folder(url)
    prefix, layers = key_prefix(folder), Layers.of(folder)
    commits = 0
    for commit in CommitLog(folder).entries():
        commits += 1
        for row in read_index(folder, commit):
            said = layers.applied_row(row)["relations"]
            relations = [one for one in said if one["state"] == "asserted" and (one["source"] == "human") == human]
            yield _raw(url, row["key"].removeprefix(prefix), relations)
    if not commits:
        raise _nothing_committed(url)


def key_prefix(folder: Folder) -> str:
    """What stands before the image id in the keys of an output's scenes.

    Raises:
        BadInputError: if it is no output folder.
    """
    return f"{read_dataset_file(folder)['settings']['dataset']['name']}-"


def classes_of_output(url: str) -> LabelSpace:
    """The names of an output's vocabulary, and the predicates of its human relations; if it has none, of its labels.

    Raises:
        BadInputError: if it is no output folder, or holds no commit or no vocabulary.
    """
    folder = Folder(url)
    read_dataset_file(folder)
    try:
        names = sorted(json.loads(folder.read("vocabulary.json"))["classes"])
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        path = folder.path("vocabulary.json")
        raise BadInputError(f"{path}: missing or damaged; run `relmill label` again") from error
    said: dict[bool, set[str]] = {True: set(), False: set()}
    layers, commits = Layers.of(folder), 0
    for commit in CommitLog(folder).entries():
        commits += 1
        for row in read_index(folder, commit):
            for one in layers.applied_row(row)["relations"]:
                if one["state"] == "asserted":
                    said[one["source"] == "human"].add(one["predicate"])
    if not commits:
        raise _nothing_committed(url)
    return LabelSpace(tuple(map(canonical_name, names)), tuple(sorted(said[True] or said[False])))


def _nothing_committed(url: str) -> BadInputError:
    return BadInputError(f"{url}: nothing is committed yet; run `relmill label`")


def _raw(url: str, image: str, relations: list[dict[str, Any]]) -> RawImage:
    places: dict[int, int] = {}
    boxes: list[Any] = []
    labels: list[str] = []
    best: dict[tuple[int, int, str], float] = {}
    for relation in relations:
        ends = []
        for end in ("subject", "object"):
            place = places.setdefault(relation[f"{end}_id"], len(boxes))
            if place == len(boxes):
                boxes.append(list(relation[f"{end}_box"]))
                labels.append(relation[end])
            ends.append(place)
        triplet = (ends[0], ends[1], relation["predicate"])
        best[triplet] = max(relation["score"], best.get(triplet, 0.0))
    return RawImage(
        f"{url}: scene",
        image,
        _FIELDS,
        boxes=boxes,
        labels=labels,
        subjects=[subject for subject, _, _ in best],
        objects=[object_ for _, object_, _ in best],
        predicates=[predicate for _, _, predicate in best],
        scores=list(best.values()),
    )


_FIELDS = Fields(
    box=lambda i: f"box {i}",
    label=lambda i: f"name of region {i}",
    subject=lambda i: f"subject of relation {i}",
    object=lambda i: f"object of relation {i}",
    predicate=lambda i: f"predicate of relation {i}",
    score=lambda i: f"score of relation {i}",
    box_score=lambda i: f"score of region {i}",
)
