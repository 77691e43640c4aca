"""Triplets of an output of `relmill label`, or of a file, as predictions of V-COCO: what each person does to what.

A label `ride` of a person and a horse is the person's action `ride` with the horse as `instr`, as `stages.ingest` names
V-COCO's roles. Of several labels of a person for one role the best counts; what no label says is not predicted, neither
the role nor the action. Actions without a role (`stand`, `walk`) are no relations, so no label states them.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from schemas import BadInputError
from schemas.vocabulary import canonical_name
from stages.evaluate.detections import LabelSpace
from stages.evaluate.read import triplet_lines
from stages.evaluate.read.raw import RawImage, to_prediction
from stages.evaluate.read.shards import read_shards
from stages.evaluate.vcoco import Action, VCocoPrediction, most_roles
from stages.evaluate.vcoco_truth import VCocoTruth
from stages.ingest.predicates import canonical_predicate

_PERSON = "person"
_LAST_NUMBER = re.compile(r"(?:^|_)([0-9]{1,18})$")


def read_vcoco_shards(url: str, truth: VCocoTruth, notes: Counter[str]) -> Iterator[tuple[int, VCocoPrediction]]:
    """Image ids with what is labelled on the image, in the order of the output's log.

    Args:
        notes: labels and scenes that V-COCO has no place for are counted here.

    Raises:
        BadInputError: if it is no output folder, or holds no commit.
    """
    columns = _columns(truth.actions)
    for raw in read_shards(url, human=False):
        image = int(raw.image) if raw.image.isascii() and raw.image.isdigit() else None
        if image is None or image not in truth.images:
            notes["images left out, as the ground truth lacks them"] += 1
            continue
        yield image, _prediction(raw, truth.actions, columns, notes)


def read_vcoco_triplets(path: str, truth: VCocoTruth, notes: Counter[str]) -> Iterator[tuple[int, VCocoPrediction]]:
    """Image ids with what a file of triplets predicts of the image, in its order.

    An image's id is the number at the end of its name: 139 of `COCO_val2014_000000000139.jpg`.

    Args:
        notes: triplets that V-COCO has no place for are counted here.

    Raises:
        BadInputError: if a line is of another layout, or of an image that the truth lacks; names file, line and field.
    """
    columns = _columns(truth.actions)
    for raw in triplet_lines.read_triplet_lines(path, layout=triplet_lines.PREDICTIONS):
        number = _LAST_NUMBER.search(raw.image)
        image = int(number[1]) if number else None
        if image is None or image not in truth.images:
            raise BadInputError(f"{raw.where}: image {raw.image!r} is none of the {len(truth.images)} of the truth")
        yield image, _prediction(_checked(raw), truth.actions, columns, notes)


def _checked(raw: RawImage) -> RawImage:
    """The image with Relmill's names, once all values are what they should be."""
    texts = [list(dict.fromkeys(one for one in some if isinstance(one, str))) for some in (raw.labels, raw.predicates)]
    to_prediction(raw, triplet_lines.triplets_reading(LabelSpace(tuple(texts[0]), tuple(texts[1]))), Counter())
    return replace(
        raw,
        labels=[canonical_name(name) for name in raw.labels],
        predicates=[canonical_predicate(predicate) for predicate in raw.predicates],
    )


def _columns(actions: Sequence[Action]) -> dict[str, tuple[int, int]]:
    """By canonical predicate the action, and the place of the role among the action's."""
    return {
        canonical_predicate(f"{action.name} {role}"): (number, place)
        for number, action in enumerate(actions)
        for place, role in enumerate(action.roles)
    }


def _prediction(
    raw: RawImage, actions: Sequence[Action], columns: dict[str, tuple[int, int]], notes: Counter[str]
) -> VCocoPrediction:
    people = sorted({subject for subject in raw.subjects if raw.labels[subject] == _PERSON})
    place_of = {person: place for place, person in enumerate(people)}
    agents = np.full((len(people), len(actions)), np.nan)
    roles = np.full((len(people), len(actions), most_roles(actions), 5), np.nan)
    labels = zip(raw.subjects, raw.objects, raw.predicates, raw.scores, strict=True)
    for subject, object_, predicate, score in sorted(labels, key=lambda label: float(label[3])):
        if subject not in place_of or predicate not in columns:
            notes["labels left out, as they are no action of a person with a role"] += 1
            continue
        # From the weakest to the best, so that what remains is the best.
        person, (action, role) = place_of[subject], columns[predicate]
        agents[person, action] = score
        roles[person, action, role] = [*raw.boxes[object_], score]
    boxes = np.array([raw.boxes[person] for person in people], dtype=np.float64).reshape(-1, 4)
    return VCocoPrediction(boxes, agents, roles)
