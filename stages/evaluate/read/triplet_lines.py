"""Triplets, one image a line: Relmill's interchange layout, for predictions with a score behind each triplet.

    truth        {"image": "1.jpg", "triplets": [["person", [x1, y1, x2, y2], "ride", "horse", [x1, y1, x2, y2]], ...]}
    predictions  {"image": "1.jpg", "triplets": [["person", [x1, y1, x2, y2], "ride", "horse", [x1, y1, x2, y2], 0.9]]}

Equal names with equal boxes are one box. `file_name` or `image_id` may stand for `image`.
"""

from collections.abc import Iterator

from schemas import BadInputError
from stages.evaluate.detections import LabelSpace
from stages.evaluate.read.arrays import elements, image_of
from stages.evaluate.read.boxes_once import BoxesOnce
from stages.evaluate.read.codes import Codes
from stages.evaluate.read.raw import RawImage, Reading
from stages.ingest.draft import shown

TRUTH = '{"image": "1.jpg", "triplets": [[subject, box, predicate, object, box], ...]}'
PREDICTIONS = '{"image": "1.jpg", "triplets": [[subject, box, predicate, object, box, score], ...]}'


def triplets_reading(space: LabelSpace) -> Reading:
    """Classes by name, as the benchmark or as Relmill writes it."""
    return Reading(
        Codes(space.objects, {}, canonical=True, predicates=False),
        Codes(space.predicates, {}, canonical=True, predicates=True),
        leave_out_unknown=False,
    )


def read_triplet_lines(path: str, *, layout: str) -> Iterator[RawImage]:
    """The images of a file, in its order. `layout` is `TRUTH` or `PREDICTIONS`.

    Raises:
        BadInputError: if a line is of another layout; names file, line and field.
    """
    length = 5 if layout == TRUTH else 6
    for where, entry in elements(path, layout):
        triplets = entry.get("triplets")
        if not isinstance(triplets, list):
            raise BadInputError(f"{where}: triplets is {shown(triplets)}; expected a list, as in {layout}")
        boxes = BoxesOnce()
        for index, triplet in enumerate(triplets):
            if not isinstance(triplet, list) or len(triplet) != length:
                raise BadInputError(f"{where}: triplets[{index}] is {shown(triplet)}; expected it as in {layout}")
            boxes.add(
                (triplet[0], triplet[1], f"triplets[{index}][0]", f"triplets[{index}][1]"),
                (triplet[3], triplet[4], f"triplets[{index}][3]", f"triplets[{index}][4]"),
            )
        yield RawImage(
            where,
            image_of(where, entry),
            boxes.fields(predicate=lambda i: f"triplets[{i}][2]", score=lambda i: f"triplets[{i}][5]"),
            boxes=boxes.boxes,
            labels=boxes.names,
            subjects=boxes.subjects,
            objects=boxes.objects,
            predicates=[triplet[2] for triplet in triplets],
            scores=[triplet[5] for triplet in triplets] if layout == PREDICTIONS else (),
        )
