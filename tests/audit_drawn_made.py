"""Outputs whose relations a test says, written by the code that writes real ones."""

import json
from collections.abc import Sequence
from pathlib import Path

from schemas import Image, Region, Relation, Scene, Vocabulary
from schemas.commit import DATASET_VERSION, Commit
from schemas.unit import Unit
from stages.pack import CommitLog, pack_unit
from stages.storage import Folder

REGIONS = (
    Region(0, "person", (0.0, 0.0, 4.0, 8.0)),
    Region(5, "horse", (1.0, 2.0, 9.0, 9.0)),
    Region(7, "hat", (1.0, 0.0, 3.0, 1.5)),
)


def relation(predicate: str = "ride", score: float = 0.55, source: str = "tagger", **options) -> Relation:
    """A relation between the person and the horse, or what `options` say."""
    fields = {"subject": 0, "object": 5, "text": predicate, **options}
    return Relation(predicate=predicate, score=score, source=source, **fields)


def output_of(
    path: Path, units: Sequence[Sequence[Sequence[Relation]]], *, sealed: bool = True, pixels: bool = False, prefix="s"
) -> Folder:
    """An output with a shard for each unit, which is scenes, which are relations; an empty unit has no shard."""
    path.mkdir(parents=True, exist_ok=True)
    folder, log = Folder(str(path)), CommitLog(Folder(str(path)))
    vocabulary = Vocabulary.of(sorted({region.name for region in REGIONS}))
    document = {"schema": DATASET_VERSION, "job": "made", "vocabulary_sha256": vocabulary.sha256}
    (path / "dataset.json").write_text(json.dumps(document))
    last = log.last()
    for scenes in units:
        number = 0 if last is None else last.number + 1
        made = [
            Scene(f"{prefix}-{number:03d}{place:03d}",
                  Image(f"{number}-{place}.jpg", 10, 12, "jpg", data=b"picture" * (place + 1) if pixels else None),
                  REGIONS, relations=tuple(relations))
            for place, relations in enumerate(scenes)
        ]  # fmt: skip
        unit = Unit(number, f"unit{number}", "records", 0, 0, len(made))
        last = log.append(pack_unit(unit, made, folder), last)
    if sealed:
        log.append(Commit(number=0, unit="", sealed=True), last)
    return folder


def repeated(counts: dict[tuple[str, float, str], int], *, a_scene: int = 3, a_unit: int = 4) -> list:
    """Units with so many relations of each predicate, score and source, dealt out in turns."""
    left, dealt = dict(counts), []
    while any(left.values()):
        for what, number in left.items():
            if number:
                left[what] -= 1
                dealt.append(relation(*what))
    scenes = [dealt[i : i + a_scene] for i in range(0, len(dealt), a_scene)]
    return [scenes[i : i + a_unit] for i in range(0, len(scenes), a_unit)]
