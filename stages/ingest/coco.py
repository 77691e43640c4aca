"""COCO instances, and the formats that share its layout (LVIS, Objects365).

    {"images": [{"id", "file_name", "width", "height"}],
     "annotations": [{"id", "image_id", "category_id", "bbox": [x, y, width, height], "iscrowd"}],
     "categories": [{"id", "name"}]}

The lists may stand in any order. Crowd annotations outline a group without telling its members apart, so no relation
can be said of them; they are dropped, as RLIPv2 does.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from schemas import BadInputError, Rejected, Scene
from stages.ingest.captions import caption_parts
from stages.ingest.draft import Draft, rejected, shown
from stages.ingest.ids import image_id
from stages.ingest.json_stream import json_lists
from stages.ingest.spool import Part

_IMAGE, _BOX, _CAPTION = range(3)

LAYOUT = 'COCO instances: {"images": [...], "annotations": [...], "categories": [...]}'


def coco_file_name(entry: dict[str, Any]) -> str | None:
    """Where a COCO picture lies in the image folder."""
    name = entry.get("file_name")
    return name if isinstance(name, str) else None


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
        self._file_name = file_name
        self._foreign_captions = foreign_captions
        self._categories: dict[Any, str] = {}

    def parts(self) -> Iterator[Part]:
        """Images, boxes and captions, in file order."""
        self._categories = {}
        yield from self._instances(self.files["annotations"])
        if "captions" in self.files:
            yield from caption_parts(self.files["captions"], kind=_CAPTION)

    def assemble(self, key: str, parts: Sequence[tuple[int, Any]]) -> Scene | Rejected | None:
        """The record of one image."""
        images = [body for kind, body in parts if kind == _IMAGE]
        if not images:
            if self._foreign_captions and all(kind == _CAPTION for kind, _ in parts):
                return None
            return rejected(key, "annotation-without-image", f"{len(parts)} annotations, but no such image")
        draft = Draft(key)
        if (refusal := one_image(draft, images)) is not None:
            return refusal
        name, width, height = images[0]
        if name is None:
            return rejected(key, "image-without-name", "its entry in `images` does not say which file it is")
        for number, body in unique_annotations(draft, [body for kind, body in parts if kind == _BOX]):
            self._add_box(draft, number, body)
        for kind, body in parts:
            if kind == _CAPTION:
                draft.caption(body)
        return draft.scene(draft.image(name, width, height))

    def _instances(self, path: str) -> Iterator[Part]:
        found = set()
        for name, index, entry in json_lists(path, {"images", "annotations", "categories"}, layout=LAYOUT):
            found.add(name)
            if index < 0:
                continue
            if not isinstance(entry, dict):
                raise BadInputError(f"{path}: {name}[{index}] is {shown(entry)}; expected {LAYOUT}")
            if name == "annotations":
                owner = image_id(entry.get("image_id"), where=f"{path}: annotations[{index}].image_id")
                body = [entry.get("id"), entry.get("category_id"), entry.get("bbox"), entry.get("iscrowd", 0)]
                yield Part(owner, _BOX, body)
            elif name == "images":
                owner = image_id(entry.get("id"), where=f"{path}: images[{index}].id")
                yield Part(owner, _IMAGE, [self._file_name(entry), entry.get("width"), entry.get("height")])
            else:
                self._add_category(f"{path}: categories[{index}]", entry)
        if missing := {"images", "annotations", "categories"} - found:
            raise BadInputError(f"{path}: has no list `{min(missing)}`; expected {LAYOUT}")

    def _add_category(self, where: str, entry: dict[str, Any]) -> None:
        number, name = entry.get("id"), entry.get("name")
        if not isinstance(number, int | str) or not isinstance(name, str):
            raise BadInputError(f"{where} is {shown(entry)}; expected {{'id': 1, 'name': 'person'}}")
        if self._categories.setdefault(number, name) != name:
            raise BadInputError(f"{where}: id {number} is both {self._categories[number]!r} and {name!r}")

    def _add_box(self, draft: Draft, number: Any, body: Sequence[Any]) -> None:
        category, values, is_crowd = body
        what = f"annotation {number}"
        if is_crowd:
            draft.repair("box-is-crowd", f"{what} outlines a group; box dropped")
            return
        name = self._categories.get(category) if isinstance(category, int | str) else None
        if name is None:
            draft.repair("unknown-category", f"{what}: category {category!r} is not in `categories`; box dropped")
            return
        box = draft.box_xywh(values, what=what)
        if box is not None:
            draft.region(name, box, source_id=number)


def one_image(draft: Draft, images: Sequence[Any]) -> Rejected | None:
    """An image that is entered twice is one image if the entries agree, and none if they do not."""
    if all(image == images[0] for image in images):
        if len(images) > 1:
            draft.repair("duplicate-image", f"entered {len(images)} times, always the same; taken once")
        return None
    other = next(image for image in images if image != images[0])
    return rejected(draft.key, "duplicate-image-id", f"one id for two images: {images[0]} and {other}")


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
