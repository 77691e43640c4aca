"""Classes that annotation files name by number only: those of HICO-DET and V-COCO in the PPDM/qpic layout."""

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def _lists() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        files("stages.ingest").joinpath("class_lists.json").read_text(encoding="utf-8")
    )
    return document


def hico_verbs() -> dict[int, str]:
    """HICO-DET's 117 verbs by category id, from 1."""
    return dict(enumerate(_lists()["hico_verbs"], start=1))


def vcoco_verbs() -> dict[int, str]:
    """V-COCO's 29 pairs of verb and role by category id, from 0: `hold obj`, or `stand`, which has no role."""
    return {number: re.sub("_(obj|instr)$", r" \1", name) for number, name in enumerate(_lists()["vcoco_verbs"])}


def coco_objects() -> dict[int, str]:
    """COCO's 80 object classes by category id."""
    return {int(number): name for number, name in _lists()["coco_objects"].items()}
