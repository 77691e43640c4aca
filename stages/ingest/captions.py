"""Captions in the COCO layout, which any format may be given beside its annotations."""

from collections.abc import Iterator

from schemas import BadInputError
from stages.ingest.ids import image_id
from stages.ingest.json_stream import json_lists
from stages.ingest.spool import Part

LAYOUT = 'COCO captions: {"annotations": [{"image_id": 1, "caption": "..."}, ...]}'


def caption_parts(path: str, *, kind: int) -> Iterator[Part]:
    """One part per caption, its body the text as found.

    Raises:
        BadInputError: if the file is missing, damaged or of another layout.
    """
    found = False
    for _, index, entry in json_lists(path, {"annotations"}, layout=LAYOUT):
        found = True
        if index < 0:
            continue
        if not isinstance(entry, dict) or "caption" not in entry:
            raise BadInputError(f"{path}: annotations[{index}] has no `caption`; expected {LAYOUT}")
        owner = image_id(entry.get("image_id"), "{}: annotations[{}].image_id", path, index)
        yield Part(owner, kind, entry["caption"])
    if not found:
        raise BadInputError(f"{path}: has no list `annotations`; expected {LAYOUT}")
