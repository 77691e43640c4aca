"""Predictions as text, in layouts that `stages.evaluate.read` reads back.

Numbers are written shorter than they are computed: boxes to a hundredth of a pixel, scores to seven digits, which is
all that float32 has. What is evaluated is what was written.
"""

import json
from functools import cache
from typing import Any, Literal

from schemas import UserError
from schemas.vocabulary import canonical_name
from stages.evaluate.detections import ImagePrediction, LabelSpace
from stages.ingest.class_lists import coco_objects, hico_verbs

Layout = Literal["triplets", "hoi_list"]
"""`triplets`: an object a line, by name. `hoi_list`: the list that PPDM and qpic write for HICO-DET, by number."""


def check_layout(layout: Layout, space: LabelSpace) -> None:
    """Refuse a layout that has no numbers for some of the texts.

    Raises:
        UserError: naming one.
    """
    if layout == "hoi_list":
        objects, verbs = _hico_numbers()
        strange = [text for text in space.objects if text not in objects]
        strange += [text for text in space.predicates if text not in verbs]
        if strange:
            raise UserError(
                f"--format hoi_list numbers HICO-DET's classes, and {strange[0]!r} is none; take --format triplets, or "
                f"ask about --benchmark hicodet"
            )


def prediction_text(layout: Layout, image: str, prediction: ImagePrediction, space: LabelSpace) -> str:
    """What was predicted for a picture: the object of a line, or an element of the list.

    Args:
        layout: one that `check_layout` let pass.
        image: name of the picture's file, or its id.
        prediction: labels and predicates are places in `space`.
    """
    element = _hoi_list if layout == "hoi_list" else _triplets
    return json.dumps(element(image, prediction, space), separators=(",", ":"), allow_nan=False)


def _triplets(image: str, prediction: ImagePrediction, space: LabelSpace) -> dict[str, Any]:
    boxes = _boxes(prediction)
    names = [space.objects[label] for label in prediction.labels.tolist()]
    return {
        "image": image,
        "triplets": [
            [names[subject], boxes[subject], space.predicates[predicate], names[object_], boxes[object_], _score(score)]
            for (subject, object_, predicate), score in _relations(prediction)
        ],
    }


def _hoi_list(image: str, prediction: ImagePrediction, space: LabelSpace) -> dict[str, Any]:
    objects, verbs = _hico_numbers()
    return {
        "file_name": image,
        "predictions": [
            {"bbox": box, "category_id": objects[space.objects[label]]}
            for box, label in zip(_boxes(prediction), prediction.labels.tolist(), strict=True)
        ],
        "hoi_prediction": [
            {
                "subject_id": subject,
                "object_id": object_,
                "category_id": verbs[space.predicates[predicate]],
                "score": _score(score),
            }
            for (subject, object_, predicate), score in _relations(prediction)
        ],
    }


def _relations(prediction: ImagePrediction) -> Any:
    return zip(prediction.relations.tolist(), prediction.scores.tolist(), strict=True)


def _boxes(prediction: ImagePrediction) -> list[list[float]]:
    boxes: list[list[float]] = prediction.boxes.round(2).tolist()
    return boxes


def _score(score: float) -> float:
    return float(f"{score:.7g}")


@cache
def _hico_numbers() -> tuple[dict[str, int], dict[str, int]]:
    """COCO's id of each name, HICO's number of each verb."""
    objects = {canonical_name(name): number for number, name in coco_objects().items()}
    return objects, {canonical_name(verb): number for number, verb in hico_verbs().items()}
