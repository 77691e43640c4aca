"""Objects365 v2: COCO's layout, pictures in numbered folders."""

from typing import Any

from stages.ingest.coco import coco_file_name


def objects365_file_name(entry: dict[str, Any]) -> str | None:
    """`patch8/objects365_v1_00420917.jpg`.

    The annotations say `images/v1/patch8/...` (or `v2`), but what is downloaded and unpacked begins at `patch8`.
    """
    name = coco_file_name(entry)
    return None if name is None else "/".join(name.split("/")[-2:])
