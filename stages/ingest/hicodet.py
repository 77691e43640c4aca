"""HICO-DET in the instance layout of fredzzhang/hicodet; the PPDM/qpic layout is in `hoi_list`.

    {"annotation": [{"boxes_h": [[x1, y1, x2, y2]], "boxes_o": [...], "object": [...], "verb": [...]}],
     "filenames": [...], "size": [[width, height]], "objects": [names], "verbs": [names], "empty": [...], ...}

The first three lists run in parallel; images in `empty` have no boxes, and are records without regions. Boxes in this
file count pixels from 1, as MATLAB does: subtracting 1 gives the numbers of the PPDM/qpic files, and the same scenes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from schemas import BadInputError, Rejected, Scene
from stages.ingest.captions import caption_parts
from stages.ingest.class_lists import hico_verbs
from stages.ingest.coco import one_image, without_image
from stages.ingest.draft import Draft, finite, shown
from stages.ingest.hoi_list import HoiListReader
from stages.ingest.ids import image_id
from stages.ingest.json_stream import json_lists, starts_with
from stages.ingest.merge import MergedRegions
from stages.ingest.spool import Part
from stages.ingest.triplets import stem

_IMAGE, _CAPTION = range(2)

LAYOUT = (
    '{"annotation": [...], "filenames": [...], "size": [...], "objects": [...], "verbs": [...]}, '
    "or a list as PPDM writes it"
)


class HicoDetReader:
    """Reads HICO-DET in either layout, told apart by the first character of the file.

    Captions, if given, are joined by the file name without its ending.
    """

    version = "hicodet/1"
    boxes_are_fractions = False

    def __init__(self, annotations: str, captions: str | None) -> None:
        self.files = {"annotations": annotations} | ({"captions": captions} if captions else {})
        self._list = HoiListReader(
            annotations,
            captions,
            version=self.version,
            verbs=hico_verbs(),
            name_to_id=stem,
            redrawn_boxes=True,
            foreign_captions=False,
        )
        self._layout: HoiListReader | _Instances = self._list

    def parts(self) -> Iterator[Part]:
        """Images with all that is said of them, and captions, in file order."""
        is_list = starts_with(self.files["annotations"]) == "["
        self._layout = self._list if is_list else _Instances(self.files["annotations"], self.files.get("captions"))
        yield from self._layout.parts()

    def assemble(self, key: str, parts: Sequence[tuple[int, Any]]) -> Scene | Rejected | None:
        """The record of one image."""
        return self._layout.assemble(key, parts)


class _Instances:
    """The layout of fredzzhang/hicodet."""

    def __init__(self, annotations: str, captions: str | None) -> None:
        self._path, self._captions = annotations, captions
        self._names: dict[str, list[Any]] = {}

    def parts(self) -> Iterator[Part]:
        # The names stand behind the annotations that need them, so the file is read twice; they are 47,776 in all.
        lists: dict[str, list[Any]] = {}
        for name, index, entry in json_lists(self._path, {"filenames", "size", "objects", "verbs"}, layout=LAYOUT):
            lists.setdefault(name, []).extend([entry] if index >= 0 else [])
        for name in ("filenames", "objects", "size", "verbs"):
            if name not in lists:
                raise BadInputError(f"{self._path}: has no list `{name}`; expected {LAYOUT}")
        self._names = lists
        yield from self._images(self._path)
        if self._captions is not None:
            yield from caption_parts(self._captions, kind=_CAPTION)

    def assemble(self, key: str, parts: Sequence[tuple[int, Any]]) -> Scene | Rejected | None:
        images = [body for kind, body in parts if kind == _IMAGE]
        if not images:
            return without_image(key, parts)
        draft = Draft(key)
        if (refusal := one_image(draft, images)) is not None:
            return refusal
        name, size, annotation = images[0]
        self._add_pairs(draft, annotation)
        for kind, body in parts:
            if kind == _CAPTION:
                draft.caption(body)
        width, height = size if isinstance(size, list) and len(size) == 2 else (size, size)
        return draft.scene(draft.image(name, width, height))

    def _images(self, path: str) -> Iterator[Part]:
        names, sizes = self._names["filenames"], self._names["size"]
        count = 0
        for _, index, entry in json_lists(path, {"annotation"}, layout=LAYOUT):
            if index < 0:
                continue
            count += 1
            keys = ("boxes_h", "boxes_o", "object", "verb")
            columns = [entry.get(key) if isinstance(entry, dict) else None for key in keys]
            lengths = {len(column) if isinstance(column, list) else None for column in columns}
            if None in lengths or len(lengths) != 1:
                raise BadInputError(f"{path}: annotation[{index}] is {shown(entry)}; expected {keys}, equally long")
            if index < min(len(names), len(sizes)):
                name = names[index]
                owner = image_id(stem(name) if isinstance(name, str) else None, "{}: filenames[{}]", path, index)
                yield Part(owner, _IMAGE, [name, sizes[index], columns])
        if not count == len(names) == len(sizes):
            raise BadInputError(
                f"{path}: {count} annotations, {len(names)} filenames and {len(sizes)} sizes; expected as many of each"
            )

    def _add_pairs(self, draft: Draft, columns: Sequence[Sequence[Any]]) -> None:
        merged = MergedRegions(draft)
        for index, (human, thing, object_, verb) in enumerate(zip(*columns, strict=True)):
            subject_box = draft.box_xyxy(_from_zero(human), what=f"boxes_h[{index}]")
            object_box = draft.box_xyxy(_from_zero(thing), what=f"boxes_o[{index}]")
            object_name = _at(self._names["objects"], object_)
            subject = None if subject_box is None else merged.add("person", subject_box)
            place: int | None = None
            if object_name is None:
                draft.repair("unknown-category", f"object[{index}] is {object_!r}, which `objects` does not list")
            elif object_box is not None:
                place = merged.add(object_name, object_box, apart_from=() if subject is None else (subject,))
            draft.relation(subject, place, _at(self._names["verbs"], verb))
        merged.close()


def _from_zero(values: Any) -> Any:
    if not isinstance(values, list):
        return values
    return [value if (number := finite(value)) is None else number - 1 for value in values]


def _at(names: Sequence[Any], index: Any) -> str | None:
    name = names[index] if type(index) is int and 0 <= index < len(names) else None
    return name if isinstance(name, str) else None
