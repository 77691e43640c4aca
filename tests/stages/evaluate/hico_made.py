"""Small images of HICO-DET for tests: what is true, and predictions made from it."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from stages.evaluate.detections import ImagePrediction, ImageTruth, image_prediction, image_truth
from stages.evaluate.hicodet_classes import hico_classes

SPACE = hico_classes().space
PERSON, BICYCLE, HORSE = (SPACE.objects.index(name) for name in ("person", "bicycle", "horse"))
RIDE, HOLD, WALK, FEED = (SPACE.predicates.index(name) for name in ("ride", "hold", "walk", "feed"))
# Interactions of bicycle and horse that HICO-DET has.
INTERACTIONS = ((BICYCLE, RIDE), (BICYCLE, HOLD), (BICYCLE, WALK), (HORSE, RIDE), (HORSE, FEED), (HORSE, WALK))


@dataclass(frozen=True, slots=True)
class Interaction:
    """A person at a place, a thing beside it, and a verb. Places are far enough apart that no boxes overlap."""

    place: int
    object: int
    verb: int

    @property
    def boxes(self) -> list[list[float]]:
        left = 100.0 * self.place
        return [[left, 0.0, left + 40, 80.0], [left + 42, 0.0, left + 90, 80.0]]


@st.composite
def truths(draw: st.DrawFn) -> ImageTruth:
    """An image with one to four interactions, each of another pair of boxes."""
    chosen = draw(st.lists(st.sampled_from(INTERACTIONS), min_size=1, max_size=4))
    return truth_of([Interaction(place, object_, verb) for place, (object_, verb) in enumerate(chosen)])


def truth_of(interactions: list[Interaction]) -> ImageTruth:
    boxes = [box for one in interactions for box in one.boxes]
    labels = [label for one in interactions for label in (PERSON, one.object)]
    return image_truth(boxes, labels, [(2 * i, 2 * i + 1, one.verb) for i, one in enumerate(interactions)])


def perfect(truth: ImageTruth, *, score: float = 0.9) -> ImagePrediction:
    """A prediction that says what is true and nothing else."""
    relations = np.unique(truth.relations, axis=0)
    return ImagePrediction(
        truth.boxes, truth.labels, np.ones(len(truth.boxes)), relations, np.full(len(relations), score)
    )


@st.composite
def predictions(draw: st.DrawFn) -> ImagePrediction:
    """Up to six interactions at the places of `truths`, some of them moved too far; scores with few distinct values."""
    boxes, labels, relations, scores = [], [], [], []
    for number in range(draw(st.integers(0, 6))):
        object_, verb = draw(st.sampled_from(INTERACTIONS))
        shift = draw(st.sampled_from((0.0, 3.0, 30.0)))
        for box, label in zip(
            Interaction(draw(st.integers(0, 4)), object_, verb).boxes, (PERSON, object_), strict=True
        ):
            boxes.append([box[0] + shift, box[1], box[2] + shift, box[3]])
            labels.append(label)
        relations.append((2 * number, 2 * number + 1, verb))
        scores.append(draw(st.integers(0, 20)) / 20)
    return image_prediction(boxes, labels, relations, scores)


def shuffled(prediction: ImagePrediction, order: np.random.Generator) -> ImagePrediction:
    """The same statements in another order."""
    rows = order.permutation(len(prediction.relations))
    return ImagePrediction(
        prediction.boxes, prediction.labels, prediction.box_scores, prediction.relations[rows], prediction.scores[rows]
    )


def together(first: ImagePrediction, second: ImagePrediction) -> ImagePrediction:
    """What two predictions say of the same image."""
    moved = second.relations + np.array([len(first.boxes), len(first.boxes), 0])
    return ImagePrediction(
        *(
            np.concatenate(pair)
            for pair in (
                (first.boxes, second.boxes),
                (first.labels, second.labels),
                (first.box_scores, second.box_scores),
                (first.relations, moved),
                (first.scores, second.scores),
            )
        )
    )
