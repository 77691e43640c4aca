"""Predictions of a picture as one scene graph: what several pairs found again and again is one thing."""

import numpy as np

from schemas import Image, Region, Relation, Scene
from stages.evaluate.boxes import iou_matrix
from stages.evaluate.detections import Floats, ImagePrediction, LabelSpace

_SAME_THING = 0.7
"""Boxes of one name that overlap more are one thing; RLIPv2's evaluator suppresses pairs above it (`hico_eval.py`)."""


def scene_graph(key: str, image: Image, prediction: ImagePrediction, space: LabelSpace, *, most: int) -> Scene:
    """The scene that a network sees: regions numbered in the order in which its best triplets speak of them.

    A network answers with many pairs, and the same person is in several, each time with a box of its own. Here, best
    triplet first, an end whose box overlaps that of an earlier thing of its name is that thing; the two ends of a
    triplet are never one. A triplet that then says the same of the same things is left out.

    Args:
        key: of the scene.
        image: that the prediction is of.
        prediction: of `Predictor`.
        space: what its numbers mean.
        most: triplets of the graph at most.
    """
    things = _Things(prediction)
    relations: dict[tuple[int, str, int], float] = {}
    for row in np.argsort(-prediction.scores, kind="stable").tolist():
        if len(relations) == most:
            break
        subject, object_, predicate = prediction.relations[row].tolist()
        start, end = things.ends(subject, object_)
        relations.setdefault((start, space.predicates[predicate], end), float(prediction.scores[row]))
    return Scene(
        key=key,
        image=image,
        regions=tuple(
            Region(i, space.objects[prediction.labels[box]], _box(prediction.boxes[box]), source="grounded")
            for i, box in enumerate(things.boxes)
        ),
        relations=tuple(
            Relation(start, end, predicate, predicate, score, "tagger")
            for (start, predicate, end), score in relations.items()
        ),
    )


class _Things:
    """The things that boxes of a prediction are of, numbered as they come."""

    def __init__(self, prediction: ImagePrediction) -> None:
        self._prediction = prediction
        self.boxes: list[int] = []
        """Where the first box of each thing stands in the prediction."""
        self._known: dict[tuple[int, int], tuple[int, int]] = {}

    def ends(self, subject: int, object_: int) -> tuple[int, int]:
        """The two things of a pair of boxes, which never are one."""
        if (subject, object_) not in self._known:
            start = self._thing(subject, apart_from=-1)
            self._known[subject, object_] = start, self._thing(object_, apart_from=start)
        return self._known[subject, object_]

    def _thing(self, box: int, *, apart_from: int) -> int:
        labels, boxes = self._prediction.labels, self._prediction.boxes
        same = [i for i, other in enumerate(self.boxes) if i != apart_from and labels[other] == labels[box]]
        if same:
            overlaps = iou_matrix(boxes[box][None], boxes[[self.boxes[i] for i in same]], edges="half_open")[0]
            if overlaps.max() > _SAME_THING:
                return same[int(overlaps.argmax())]
        self.boxes.append(box)
        return len(self.boxes) - 1


def _box(box: Floats) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box.tolist()
    return x1, y1, x2, y2
