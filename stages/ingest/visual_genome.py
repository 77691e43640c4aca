"""Visual Genome: objects, relationships and image data, each one list with one element an image.

    objects.json        [{"image_id", "image_url", "objects": [{"object_id", "x", "y", "w", "h", "names": [...],
                          "merged_object_ids": [...]}]}]
    relationships.json  [{"image_id", "relationships": [{"predicate", "subject": {...}, "object": {...}}]}]
    image_data.json     [{"image_id", "url", "width", "height"}]

Version 1.0 says `id` for both ids, and `name` for `names` in relationships; all are read. The pictures are those of
`objects.json`. An object has its first name. An end of a relationship is found by its object id, also among the ids
that an object was merged from; if `objects.json` lacks it, the box in the relationship is taken. Coordinates are kept
as they are: they count from 0 (the published files hold zeros).
"""

from collections.abc import Iterator, Sequence
from typing import Any

from schemas import BadInputError, Rejected, Scene
from stages.ingest.captions import caption_parts
from stages.ingest.coco import one_image, without_image
from stages.ingest.draft import Draft, shown
from stages.ingest.ids import image_id
from stages.ingest.json_stream import json_array
from stages.ingest.spool import Part

_DATA, _OBJECTS, _RELATIONS, _CAPTION = range(4)


class VisualGenomeReader:
    """Reads `objects.json` and, if given, the other files and COCO captions by Visual Genome's image ids."""

    version = "visual_genome/1"
    boxes_are_fractions = False

    def __init__(
        self, annotations: str, relationships: str | None, image_data: str | None, captions: str | None
    ) -> None:
        given = {
            "annotations": annotations,
            "relationships": relationships,
            "image_data": image_data,
            "captions": captions,
        }
        self.files = {role: path for role, path in given.items() if path is not None}

    def parts(self) -> Iterator[Part]:
        """Image data, objects, relationships and captions, in file order."""
        for owner, entry, objects in _elements(self.files["annotations"], "objects"):
            body = [_name(entry.get("image_url")) or f"{owner}.jpg", [_fields(value) for value in objects]]
            yield Part(owner, _OBJECTS, body)
        if "relationships" in self.files:
            for owner, _, relationships in _elements(self.files["relationships"], "relationships"):
                yield Part(owner, _RELATIONS, [_statement(value) for value in relationships])
        if "image_data" in self.files:
            for owner, entry, _ in _elements(self.files["image_data"], None):
                yield Part(owner, _DATA, [_name(entry.get("url")), entry.get("width"), entry.get("height")])
        if "captions" in self.files:
            yield from caption_parts(self.files["captions"], kind=_CAPTION)

    def assemble(self, key: str, parts: Sequence[tuple[int, Any]]) -> Scene | Rejected | None:
        """The record of one image; None for image data without objects."""
        if all(kind == _DATA for kind, _ in parts):
            return None
        images = [body for kind, body in parts if kind == _OBJECTS]
        if not images:
            return without_image(key, parts)
        draft = Draft(key)
        data = [body for kind, body in parts if kind == _DATA]
        if (refusal := one_image(draft, images)) is not None or (refusal := one_image(draft, data or [0])) is not None:
            return refusal
        name, objects = images[0]
        regions: dict[str, int | None] = {}
        for values in objects:
            _add_object(draft, regions, values)
        for kind, body in parts:
            if kind == _RELATIONS:
                _add_relations(draft, regions, body)
            elif kind == _CAPTION:
                draft.caption(body)
        data_name, width, height = data[0] if data else (None, None, None)
        return draft.scene(draft.image(data_name or name, width, height))


def _elements(path: str, list_name: str | None) -> Iterator[tuple[str, dict[str, Any], list[Any]]]:
    """`(image id, element, its list)` of each element."""
    layout = f'[{{"image_id": 1, "{list_name}": [...]}}, ...]' if list_name else '[{"image_id": 1, "width": 800, ...}]'
    for index, entry in enumerate(json_array(path, layout=layout)):
        values = [] if list_name is None else entry.get(list_name) if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(values, list):
            raise BadInputError(f"{path}: element {index} is {shown(entry)}; expected {layout}")
        number = entry.get("image_id", entry.get("id"))
        yield image_id(number, "{}: element {}: `image_id`", path, index), entry, values


def _name(url: Any) -> str | None:
    """`VG_100K_2/1.jpg`: the two archives of pictures unpack into these folders."""
    return "/".join(url.split("/")[-2:]) if isinstance(url, str) and "/" in url else None


def _fields(value: Any) -> list[Any]:
    """`[object id, name, [x, y, w, h], ids merged into it]` of an object; None for what it lacks."""
    if not isinstance(value, dict):
        return [None, None, value, []]
    names = value.get("names")
    name = names[0] if isinstance(names, list) and names else value.get("name")
    merged = value.get("merged_object_ids")
    box = [value.get(key) for key in ("x", "y", "w", "h")]
    return [value.get("object_id", value.get("id")), name, box, merged if isinstance(merged, list) else []]


def _statement(value: Any) -> list[Any]:
    """`[predicate, subject, object]` of a relationship."""
    fields = value if isinstance(value, dict) else {}
    return [fields.get("predicate"), _fields(fields.get("subject")), _fields(fields.get("object"))]


def _add_object(draft: Draft, regions: dict[str, int | None], values: Sequence[Any]) -> int | None:
    number, name, box_values, merged = values
    if str(number) in regions and number is not None:
        draft.repair("duplicate-annotation-id", f"object {number} is there twice; the first is taken")
        return regions[str(number)]
    box = draft.box_xywh(box_values, what=f"object {number}")
    region = None if box is None else draft.region(name, box, source_id=number)
    for known in (number, *merged):
        if known is not None:
            regions.setdefault(str(known), region)
    return region


def _add_relations(draft: Draft, regions: dict[str, int | None], statements: Sequence[Any]) -> None:
    for predicate, *ends in statements:
        subject, object_ = (
            regions[str(end[0])] if str(end[0]) in regions else _add_object(draft, regions, end) for end in ends
        )
        draft.relation(subject, object_, predicate)
