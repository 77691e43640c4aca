"""LVIS: COCO's layout, pictures named by the URL they have at COCO."""

from typing import Any

from stages.ingest.coco import coco_file_name


def lvis_file_name(entry: dict[str, Any]) -> str | None:
    """`train2017/000000000165.jpg`: its validation set draws on both folders of COCO, and `coco_url` alone says which.

    LVIS v0.5 has a `file_name` as well, but that of COCO 2014.
    """
    url = entry.get("coco_url")
    return "/".join(url.split("/")[-2:]) if isinstance(url, str) else coco_file_name(entry)
