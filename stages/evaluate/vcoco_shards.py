"""An output of `relmill label` as predictions of V-COCO: each person that a label is about, with what it does to what.

A label `ride` of a person and a horse is the person's action `ride` with the horse as `instr`, as `stages.ingest` names
V-COCO's roles. Of several labels of a person for one role the best counts; what no label says is not predicted, neither
the role nor the action. Actions without a role (`stand`, `walk`) are no relations, so no label states them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from stages.evaluate.read.raw import RawImage
from stages.evaluate.read.shards import read_shards
from stages.evaluate.vcoco import Action, VCocoPrediction, most_roles
from stages.evaluate.vcoco_truth import VCocoTruth
from stages.ingest.predicates import canonical_predicate

_PERSON = "person"


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
