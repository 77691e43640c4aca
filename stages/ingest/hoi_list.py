"""The layout of PPDM, qpic and their kin for HICO-DET and V-COCO: one list, one element an image.

    [{"file_name", "annotations": [{"bbox": [x1, y1, x2, y2], "category_id"}],
      "hoi_annotation": [{"subject_id", "object_id", "category_id"}]}]

`subject_id` and `object_id` are places in `annotations`; an `object_id` of -1 says that the verb has no object, as in
V-COCO.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from schemas import BadInputError, Rejected, Scene
from stages.ingest.captions import caption_parts
from stages.ingest.class_lists import coco_objects
from stages.ingest.coco import one_image, without_image
from stages.ingest.draft import Draft, shown
from stages.ingest.ids import image_id
from stages.ingest.json_stream import json_array
from stages.ingest.merge import MergedRegions
from stages.ingest.spool import Part

_IMAGE, _CAPTION = range(2)
_NO_OBJECT = -1

LAYOUT = '[{"file_name": "...", "annotations": [...], "hoi_annotation": [...]}, ...]'


class HoiListReader:
    """Reads one such list and, if given, one COCO captions file.

    Args:
        verbs: category id to verb.
        name_to_id: image id from file name.
        redrawn_boxes: a thing may have a box for each of its relations (HICO-DET); such boxes are merged.
        foreign_captions: see `CocoReader`.
    """

    boxes_are_fractions = False

    def __init__(
        self,
        annotations: str,
        captions: str | None,
        *,
        version: str,
        verbs: Mapping[int, str],
        name_to_id: Callable[[str], str],
        redrawn_boxes: bool,
        foreign_captions: bool,
    ) -> None:
        self.version = version
        self.files = {"annotations": annotations} | ({"captions": captions} if captions else {})
        self._verbs, self._name_to_id = verbs, name_to_id
        self._redrawn_boxes, self._foreign_captions = redrawn_boxes, foreign_captions

    def parts(self) -> Iterator[Part]:
        """Images with all that is said of them, and captions, in file order."""
        path = self.files["annotations"]
        for index, entry in enumerate(json_array(path, layout=LAYOUT)):
            lists = [entry.get(key) if isinstance(entry, dict) else None for key in ("annotations", "hoi_annotation")]
            if not all(isinstance(value, list) for value in lists) or not isinstance(entry.get("file_name"), str):
                raise BadInputError(f"{path}: element {index} is {shown(entry)}; expected {LAYOUT}")
            name = entry["file_name"]
            owner = image_id(self._name_to_id(name), "{}: element {}: `file_name`", path, index)
            yield Part(owner, _IMAGE, [name, *lists])
        if "captions" in self.files:
            yield from caption_parts(self.files["captions"], kind=_CAPTION)

    def assemble(self, key: str, parts: Sequence[tuple[int, Any]]) -> Scene | Rejected | None:
        """The record of one image."""
        images = [body for kind, body in parts if kind == _IMAGE]
        if not images:
            return None if self._foreign_captions else without_image(key, parts)
        draft = Draft(key)
        if (refusal := one_image(draft, images)) is not None:
            return refusal
        name, annotations, interactions = images[0]
        regions = self._add_regions(draft, annotations, _pairs(interactions))
        self._add_relations(draft, regions, interactions)
        for kind, body in parts:
            if kind == _CAPTION:
                draft.caption(body)
        return draft.scene(draft.image(name, None, None))

    def _add_regions(self, draft: Draft, annotations: Sequence[Any], pairs: Mapping[Any, set[Any]]) -> list[int | None]:
        """Region id by place in `annotations`; None where there is no usable box."""
        merged = MergedRegions(draft)
        regions: list[int | None] = []
        for index, entry in enumerate(annotations):
            fields = entry if isinstance(entry, dict) else {}
            category = fields.get("category_id")
            box = draft.box_xyxy(fields.get("bbox"), what=f"annotations[{index}]")
            name = coco_objects().get(category) if type(category) is int else None
            if box is None:
                regions.append(None)
            elif name is None:
                draft.repair("unknown-category", f"annotations[{index}]: category {category!r} is none of COCO's 80")
                regions.append(None)
            elif self._redrawn_boxes:
                partners = {place for other in pairs.get(index, ()) if (place := _at(regions, other)) is not None}
                regions.append(merged.add(name, box, apart_from=partners, source_id=index))
            else:
                regions.append(draft.region(name, box, source_id=index))
        merged.close()
        return regions

    def _add_relations(self, draft: Draft, regions: Sequence[int | None], interactions: Sequence[Any]) -> None:
        without_object = []
        for index, entry in enumerate(interactions):
            fields = entry if isinstance(entry, dict) else {}
            category = fields.get("category_id")
            verb = self._verbs.get(category) if type(category) is int else None
            if verb is None:
                draft.repair("unknown-category", f"hoi_annotation[{index}]: verb {category!r} is none of the dataset's")
            elif fields.get("object_id") == _NO_OBJECT:
                without_object.append(verb)
            else:
                ends = [_at(regions, fields.get(end)) for end in ("subject_id", "object_id")]
                draft.relation(ends[0], ends[1], verb)
        verbs_without_object(draft, without_object)


def verbs_without_object(draft: Draft, verbs: Sequence[str]) -> None:
    """Note verbs that are said of a person alone (`stand`), or whose object cannot be seen: no relations."""
    if verbs:
        draft.repair("verb-without-object", f"not kept, as they relate no two regions: {', '.join(sorted(verbs))}")


def _pairs(interactions: Sequence[Any]) -> dict[Any, set[Any]]:
    """Place in `annotations` to the places that a relation connects it with."""
    pairs: dict[Any, set[Any]] = {}
    for entry in interactions:
        ends = [entry.get(end) for end in ("subject_id", "object_id")] if isinstance(entry, dict) else [None]
        if all(type(end) is int for end in ends):
            pairs.setdefault(ends[0], set()).add(ends[1])
            pairs.setdefault(ends[1], set()).add(ends[0])
    return pairs


def _at(regions: Sequence[int | None], place: Any) -> int | None:
    return regions[place] if type(place) is int and 0 <= place < len(regions) else None
