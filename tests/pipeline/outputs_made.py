"""Outputs made for tests of what reads them: real shards, index and log, from literal scenes."""

import io
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from PIL import Image as Pictures

from pipeline.meter import Meter
from schemas import Caption, Dead, Evidence, Image, Outcome, Provenance, Region, Rejected, Relation, Scene
from schemas.commit import DATASET_VERSION, Commit
from schemas.unit import Unit
from stages.pack import CommitLog, pack_unit
from stages.storage import Folder


def picture(number: int = 0) -> bytes:
    """A small PNG; another number is another picture."""
    buffer = io.BytesIO()
    Pictures.new("RGB", (64, 48), (number % 256, 120, 200)).save(buffer, "PNG")
    return buffer.getvalue()


def riding(
    key: str, *, score: float = 0.83, human: str | None = "ride", caption: str = "a man riding a horse"
) -> Scene:
    """Two regions; the caption's words say that the man rides; a human says `human` of the two, or nothing."""
    data = picture(len(key))
    evidence = Evidence(0, (0, 5), (6, 12), (13, 20))
    relations = (Relation(3, 5, "ride", "riding", score, "tagger", evidence=(evidence,)),)
    if human:
        relations += (Relation(3, 5, human, human, 1.0, "human"),)
    return Scene(
        key=key,
        image=Image(f"{key}.png", 64, 48, "png", sha256(data).hexdigest(), data),
        regions=(Region(3, "person", (4.0, 2.0, 30.0, 40.0)), Region(5, "horse", (20.0, 16.0, 60.0, 46.0))),
        captions=(Caption(caption, "given"),),
        relations=relations,
        provenance=Provenance(job="made", stages={"tag": "prior/1"}),
    )


def make_output(folder: Path, units: Sequence[Sequence[Outcome]], *, seal: bool = True) -> Folder:
    """An output folder that holds these units, in this order."""
    output = Folder(str(folder))
    settings = {"dataset": {"name": "made"}}
    document = {"schema": DATASET_VERSION, "job": "0123456789abcdef" * 4, "settings": settings}
    output.create("dataset.json", json.dumps(document).encode())
    log, last = CommitLog(output), None
    for number, outcomes in enumerate(units):
        unit = Unit(number, f"unit-{number}", "plan/records", 0, 0, len(outcomes))
        last = log.append(pack_unit(unit, outcomes, output), last)
    if seal:
        log.append(Commit(number=len(units), unit="", sealed=True), last)
    return output


def meter_of(folder: Folder, *, num_records: int | None = None) -> Meter:
    """The meter of a run that made this output in one go."""
    last = CommitLog(folder).last()
    assert last is not None
    meter = Meter(("screen", "tag", "pack"), num_records=num_records or last.totals.planned)
    meter.was_committed(last.totals.planned, last.totals)
    return meter


def rejected(key: str) -> Rejected:
    return Rejected(key, "screen", "image-truncated", "48 of 64 rows <b>there</b>")


def dead(key: str) -> Dead:
    return Dead(key, "tag", "exception", "ValueError: boom", "Traceback ...")
