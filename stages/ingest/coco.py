"""COCO instances, and the formats that share its layout (LVIS, Objects365).

    {"images": [{"id", "file_name", "width", "height"}],
     "annotations": [{"id", "image_id", "category_id", "bbox": [x, y, width, height], "iscrowd"}],
     "categories": [{"id", "name"}]}

The lists may stand in any order. Crowd annotations outline a group without telling its members apart, so no relation
can be said of them; they are dropped, as RLIPv2 does.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from schemas import BadInputError, Image, Rejected, Scene
from stages.ingest.captions import caption_parts
from stages.ingest.draft import Draft, rejected, shown
from stages.ingest.ids import image_id
from stages.ingest.json_stream import json_lists
from stages.ingest.spool import Part

IMAGE, BOX, CAPTION, FURTHER = range(4)
"""Kinds of parts; a format that joins more files to COCO instances numbers its own from `FURTHER`."""

LAYOUT = 'COCO instances: {"images": [...], "annotations": [...], "categories": [...]}'


def coco_file_name(entry: dict[str, Any]) -> str | None:
    """Where a COCO picture lies in the image folder."""
    name = entry.get("file_name")
    return name if isinstance(name, str) else None


class Opened(NamedTuple):
    """An image with its boxes, to which relations and captions may be added."""

    draft: Draft
    image: Image
    regions: dict[Any, int]
    """Annotation id to region id."""


class Instances:
    """An instances file: its parts, and what the parts of one image amount to."""

    def __init__(self, path: str, *, file_name: Callable[[dict[str, Any]], str | None] = coco_file_name) -> None:
        self.path = path
        self._file_name = file_name
        self._categories: dict[int | str, str] = {}

    def parts(self) -> Iterator[Part]:
        """Images and boxes, in file order; notes the categories on the way."""
        self._categories = {}
        found = set()
        for name, index, entry in json_lists(self.path, {"images", "annotations", "categories"}, layout=LAYOUT):
            found.add(name)
            if index < 0:
                continue
            if not isinstance(entry, dict):
                raise BadInputError(f"{self.path}: {name}[{index}] is {shown(entry)}; expected {LAYOUT}")
            if name == "annotations":
                owner = image_id(entry.get("image_id"), "{}: annotations[{}].image_id", self.path, index)
                body = [entry.get("id"), entry.get("category_id"), entry.get("bbox"), entry.get("iscrowd", 0)]
                yield Part(owner, BOX, body)
            elif name == "images":
                owner = image_id(entry.get("id"), "{}: images[{}].id", self.path, index)
                yield Part(owner, IMAGE, [self._file_name(entry), entry.get("width"), entry.get("height")])
            else:
                self._add_category(f"{self.path}: categories[{index}]", entry)
        if missing := {"images", "annotations", "categories"} - found:
            raise BadInputError(f"{self.path}: has no list `{min(missing)}`; expected {LAYOUT}")

    def open(self, key: str, parts: Sequence[tuple[int, Any]]) -> Opened | Rejected:
        """An image and its boxes from the parts about it; parts of other kinds are left to the caller."""
        images = [body for kind, body in parts if kind == IMAGE]
        if not images:
            return without_image(key, parts)
        draft = Draft(key)
        if (refusal := one_image(draft, images)) is not None:
            return refusal
        name, width, height = images[0]
        if name is None:
            return rejected(key, "image-without-name", "its entry in `images` does not say which file it is")
        regions: dict[Any, int] = {}
        for number, body in unique_annotations(draft, [body for kind, body in parts if kind == BOX]):
            region = self._add_box(draft, number, body)
            if region is not None:
                regions.setdefault(number, region)
        return Opened(draft, draft.image(name, width, height), regions)

    def _add_category(self, where: str, entry: dict[str, Any]) -> None:
        number, name = entry.get("id"), entry.get("name")
        if not isinstance(number, int | str) or not isinstance(name, str):
            raise BadInputError(f"{where} is {shown(entry)}; expected {{'id': 1, 'name': 'person'}}")
        if self._categories.setdefault(number, name) != name:
            raise BadInputError(f"{where}: id {number} is both {self._categories[number]!r} and {name!r}")

    def _add_box(self, draft: Draft, number: Any, body: Sequence[Any]) -> int | None:
        category, values, is_crowd = body
        what = f"annotation {number}"
        if is_crowd:
            draft.repair("box-is-crowd", f"{what} outlines a group; box dropped")
            return None
        name = self._categories.get(category) if isinstance(category, int | str) else None
        if name is None:
            draft.repair("unknown-category", f"{what}: category {category!r} is not in `categories`; box dropped")
            return None
        box = draft.box_xywh(values, what=what)
        return None if box is None else draft.region(name, box, source_id=number)


class CocoReader:
    """Reads one instances file and, if given, one captions file.

    Args:
        file_name: where a picture lies, from its entry in `images`; None if the entry does not say.
        foreign_captions: the captions file may speak of pictures outside this dataset (LVIS uses COCO's, of which it
            annotates a part); otherwise such captions are rejected as `annotation-without-image`.
    """

    boxes_are_fractions = False

    def __init__(
        self,
        annotations: str,
        captions: str | None,
        *,
        version: str = "coco/1",
        file_name: Callable[[dict[str, Any]], str | None] = coco_file_name,
        foreign_captions: bool = False,
    ) -> None:
        self.version = version
        self.files = {"annotations": annotations} | ({"captions": captions} if captions else {})
        self._instances = Instances(annotations, file_name=file_name)
        self._foreign_captions = foreign_captions

    def parts(self) -> Iterator[Part]:
        """Images, boxes and captions, in file order."""
        yield from self._instances.parts()
        if "captions" in self.files:
            yield from caption_parts(self.files["captions"], kind=CAPTION)

    def assemble(self, key: str, parts: Sequence[tuple[int, Any]]) -> Scene | Rejected | None:
        """The record of one image."""
        if self._foreign_captions and all(kind == CAPTION for kind, _ in parts):
            return None
        opened = self._instances.open(key, parts)
        if isinstance(opened, Rejected):
            return opened
        for kind, body in parts:
            if kind == CAPTION:
                opened.draft.caption(body)
        return opened.draft.scene(opened.image)


def without_image(key: str, parts: Sequence[Any]) -> Rejected:
    """Annotations or captions were given for an image that the dataset does not have."""
    return rejected(key, "annotation-without-image", f"{len(parts)} annotations or captions, but no such image")


def one_image(draft: Draft, images: Sequence[Any]) -> Rejected | None:
    """An image that is entered twice is one image if the entries agree, and none if they do not."""
    if len(images) == 1:
        return None
    # As text, because NaN is not equal to itself.
    other = next((image for image in images if repr(image) != repr(images[0])), None)
    if other is not None:
        detail = f"one id for two images: {shown(images[0])} and {shown(other)}"
        return rejected(draft.key, "duplicate-image-id", detail)
    draft.repair("duplicate-image", f"entered {len(images)} times, always the same; taken once")
    return None


def unique_annotations(draft: Draft, bodies: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, Sequence[Any]]]:
    """`(annotation id, rest)` of each: identical ones once, different ones under one id all, with a repair."""
    seen: dict[Any, list[Sequence[Any]]] = {}
    for number, *rest in bodies:
        if number is None or not isinstance(number, int | str):
            yield None, rest
            continue
        earlier = seen.setdefault(number, [])
        # As text, because NaN is not equal to itself.
        if any(repr(rest) == repr(other) for other in earlier):
            draft.repair("duplicate-annotation-id", f"annotation {number} is there twice, the same; taken once")
            continue
        if earlier:
            draft.repair("duplicate-annotation-id", f"annotation {number} names different boxes; all are kept")
        earlier.append(rest)
        yield number, rest
