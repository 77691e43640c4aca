"""The part of a picture that a relation is about, small enough to be put into a page."""

import base64
import io
from dataclasses import dataclass

from PIL import Image

from schemas import BadInputError, Box, Scene
from schemas.audit import AuditItem
from stages.picture import decode_rgb

_ROOM = 0.3
"""Around both boxes, in parts of the longer side of what they span: one sees where they are, and what else is there."""
_LEAST_SIDE_PX = 200
"""Of the cut, where the picture has as much: a box of ten pixels alone would be a smear."""
_MOST_SIDE_PX = 480
_LEAST_BOX_PX = 12
"""Of the cut: smaller boxes are drawn so large, or their own lines would hide what is in them."""
_QUALITY = 80


@dataclass(frozen=True, slots=True)
class PairPicture:
    """A cut out picture as a data URI, and where the boxes are in it."""

    uri: str
    width: int
    """Pixels of the cut, as it was shrunk."""
    height: int
    subject: Box
    """In these pixels, inside the picture."""
    object: Box


def pair_picture(scene: Scene, item: AuditItem) -> PairPicture | None:
    """Cut subject and object out of a scene's picture; None if it has none.

    Raises:
        BadInputError: if the picture cannot be decoded; names the scene.
    """
    if scene.image.data is None:
        return None
    try:
        picture = decode_rgb(scene.image.data)
    except Exception as error:
        raise BadInputError(f"{scene.key}: its picture cannot be decoded: {error}") from error
    size = picture.size
    boxes = [_inside(box, size) for box in (item.subject_box, item.object_box)]
    left, top, right, bottom = _cut(boxes, size)
    scale = min(1.0, _MOST_SIDE_PX / max(right - left, bottom - top))
    width, height = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    small = picture.crop((left, top, right, bottom)).resize((width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    subject, object_ = (
        _drawn(((x1 - left) * scale, (y1 - top) * scale, (x2 - left) * scale, (y2 - top) * scale), (width, height))
        for x1, y1, x2, y2 in boxes
    )
    uri = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return PairPicture(uri, width, height, subject, object_)


def _inside(box: Box, size: tuple[int, int]) -> Box:
    """The box in the right order and inside the picture, whatever the record says."""
    x1, x2 = sorted(min(max(x, 0.0), float(size[0])) for x in (box[0], box[2]))
    y1, y2 = sorted(min(max(y, 0.0), float(size[1])) for y in (box[1], box[3]))
    return x1, y1, x2, y2


def _cut(boxes: list[Box], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """What both boxes span, with room."""
    spans = [(min(box[i] for box in boxes), max(box[i + 2] for box in boxes)) for i in (0, 1)]
    room = _ROOM * max(high - low for low, high in spans)
    (left, right), (top, bottom) = (_widened(*span, room, most) for span, most in zip(spans, size, strict=True))
    return left, top, right, bottom


def _widened(low: float, high: float, room: float, most: int) -> tuple[int, int]:
    """A stretch with room on both sides and at least `_LEAST_SIDE_PX` long, moved to lie in `[0, most]`."""
    length = min(float(most), max(high - low + 2 * room, _LEAST_SIDE_PX))
    start = min(max((low + high - length) / 2, 0.0), most - length)
    return int(start), min(most, int(start + length + 0.999))


def _drawn(box: Box, size: tuple[int, int]) -> Box:
    """The box, or one around it that is large enough to be seen."""
    x1, y1, x2, y2 = box
    (x1, x2), (y1, y2) = (_grown(low, high, most) for low, high, most in ((x1, x2, size[0]), (y1, y2, size[1])))
    return x1, y1, x2, y2


def _grown(low: float, high: float, most: int) -> tuple[float, float]:
    length = min(float(most), max(high - low, _LEAST_BOX_PX))
    start = min(max((low + high - length) / 2, 0.0), most - length)
    return start, start + length
