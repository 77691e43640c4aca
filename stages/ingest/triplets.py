"""Triplets, one image a line: Relmill's own interchange layout.

    {"image": "1.jpg", "width": 640, "height": 480, "captions": ["..."],
     "triplets": [["person", [x1, y1, x2, y2], "ride", "horse", [x1, y1, x2, y2]], ...]}

`file_name` may stand for `image`, and `image_id`, if given, is the id; else the id is the name without its ending.
`width`, `height` and `captions` may be missing or null.
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from schemas import BadInputError, Rejected, Scene
from stages.ingest.captions import caption_parts
from stages.ingest.coco import one_image, without_image
from stages.ingest.draft import Draft, shown
from stages.ingest.ids import image_id
from stages.ingest.json_objects import objects_of_lines
from stages.ingest.merge import MergedRegions
from stages.ingest.predicates import canonical_predicate
from stages.ingest.spool import Part

_IMAGE, _CAPTION = range(2)

LAYOUT = 'one JSON object a line: {"image": "1.jpg", "width": 640, "height": 480, "triplets": [...]}'


class TripletsReader:
    """Reads one file of triplets and, if given, one COCO captions file."""

    version = "triplets/1"
    boxes_are_fractions = False

    def __init__(self, annotations: str, captions: str | None) -> None:
        self.files = {"annotations": annotations} | ({"captions": captions} if captions else {})

    def parts(self) -> Iterator[Part]:
        """Images with their triplets, and captions, in file order."""
        path = self.files["annotations"]
        for where, entry in objects_of_lines(path, layout=LAYOUT):
            yield self._image(where, entry)
        if "captions" in self.files:
            yield from caption_parts(self.files["captions"], kind=_CAPTION)

    def assemble(self, key: str, parts: Sequence[tuple[int, Any]]) -> Scene | Rejected | None:
        """The record of one image."""
        images = [body for kind, body in parts if kind == _IMAGE]
        if not images:
            return without_image(key, parts)
        draft = Draft(key)
        if (refusal := one_image(draft, images)) is not None:
            return refusal
        name, width, height, triplets, captions = images[0]
        regions = MergedRegions(draft)
        for index, triplet in enumerate(triplets):
            _add_triplet(draft, regions, index, triplet)
        regions.close()
        for caption in captions:
            draft.caption(caption)
        for kind, body in parts:
            if kind == _CAPTION:
                draft.caption(body)
        return draft.scene(draft.image(name, width, height))

    def _image(self, where: str, entry: dict[str, Any]) -> Part:
        name = entry.get("image", entry.get("file_name"))
        triplets, captions = entry.get("triplets"), entry.get("captions") or []
        if not isinstance(name, str) or not name:
            raise BadInputError(f"{where}: `image` is {shown(name)}, not a file name; expected {LAYOUT}")
        if not isinstance(triplets, list) or not isinstance(captions, list):
            raise BadInputError(f"{where}: `triplets` is {shown(triplets)}; expected {LAYOUT}")
        number = entry.get("image_id")
        owner = image_id(stem(name) if number is None else number, "{}: `image_id`", where)
        return Part(owner, _IMAGE, [name, entry.get("width"), entry.get("height"), triplets, captions])


def stem(name: str) -> str:
    """A file name without its ending, its folders kept: two pictures of one name in two folders are two."""
    return str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).stem else name


def _add_triplet(draft: Draft, regions: MergedRegions, index: int, triplet: Any) -> None:
    what = f"triplets[{index}]"
    if not isinstance(triplet, list) or len(triplet) != 5:
        draft.repair("triplet-malformed", f"{what} is {shown(triplet)}, not [subject, box, predicate, object, box]")
        return
    subject_name, subject_values, predicate, object_name, object_values = triplet
    subject = _add_end(draft, regions, f"{what}: subject", (subject_name, subject_values))
    if subject_values == object_values and isinstance(predicate, str) and canonical_predicate(predicate) == "be":
        # OpenImages writes "the table is wooden" as a triplet whose object has the subject's box.
        draft.attribute(predicate, object_name)
        return
    apart_from = () if subject is None else (subject,)
    object_ = _add_end(draft, regions, f"{what}: object", (object_name, object_values), apart_from=apart_from)
    draft.relation(subject, object_, predicate)


def _add_end(
    draft: Draft, regions: MergedRegions, what: str, end: tuple[Any, Any], *, apart_from: Collection[int] = ()
) -> int | None:
    name, values = end
    box = draft.box_xyxy(values, what=what)
    if box is None:
        return None
    if not isinstance(name, str):
        return draft.region(name, box)
    return regions.add(draft.text(name), box, apart_from=apart_from)
