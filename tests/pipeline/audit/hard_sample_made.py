"""A sample that is hard to look at: boxes of 4 px, a dark picture, boxes on top of each other, 40 of them, a caption of
60 words, right-to-left text, and text that would be a program if it were not set as text."""

import io
import json
import random
from pathlib import Path

from audit_sample_made import sample_of_all
from PIL import Image as Picture
from PIL import ImageDraw

from schemas import Caption, Evidence, Image, Mention, Phrase, Provenance, Region, Relation, Scene
from schemas.commit import DATASET_VERSION
from schemas.unit import Unit
from stages.pack import CommitLog, pack_unit
from stages.storage import Folder

LONG = (
    "a tall man in a worn brown leather jacket rides a small white horse along the muddy path beside the river while "
    "two children with red umbrellas and a dog that has lost its ball watch him from under the old stone bridge where "
    "last summer the travelling circus had put up its blue tents and its lanterns and many people danced until morning"
)
HOSTILE = "<script>document.title = 'taken'</script><img src=/nothing onerror=alert(1)>"
ARABIC = f"رجل يركب حصانا أبيض قرب النهر {HOSTILE}"
STAGES = {"caption": "blip/2 base@82a3776 beam", "parse": "builtin/3 7f1c09ab", "tag": "prior/2 builtin 1d9e33c0"}


def hard_sample(folder: Path) -> Path:
    """Make an output and a sample of all that is in it; its items are in no order."""
    scenes = [
        _scene("small", (640, 480), [("bird", 100, 60, 104, 64), ("kite", 560, 400, 565, 404),
                                     ("person", 300, 200, 380, 420)], "fly above"),
        _scene("dark", (640, 480), [("man", 200, 120, 330, 440), ("bicycle", 180, 260, 420, 470)], "ride", light=0.08),
        _scene("inside", (640, 300), [("letter", 200, 100, 260, 160), ("paper", 0, 0, 640, 300)], "on"),
        _scene("same", (500, 375), [("woman", 0, 0, 500, 375), ("dress", 0, 0, 500, 375)], "wear"),
        _scene("overlap", (375, 500), [("man with a very long class name indeed", 100, 100, 300, 400),
                                       ("shirt", 101, 101, 299, 399)], "wear"),
        _scene("forty", (640, 480), _many(40), "next to"),
        _scene("tiny", (40, 30), [("ball", 5, 5, 12, 12), ("bat", 15, 3, 34, 25)], "hit"),
        _scene("wide", (2000, 200), [("car", 5, 20, 300, 180), ("truck", 1500, 10, 1990, 190)], "follow"),
        _spoken("long", LONG, "a tall man", "rides", "a small white horse", "ride", more=4),
        _spoken("arabic", ARABIC, "رجل", "يركب", "حصانا أبيض", "يركب", name=f"حصان {HOSTILE}"),
    ]  # fmt: skip
    (folder / "out").mkdir(parents=True)
    (folder / "out" / "dataset.json").write_text(json.dumps({"schema": DATASET_VERSION, "job": "hard"}))
    target = Folder(str(folder / "out"))
    CommitLog(target).append(pack_unit(Unit(0, "unit0", "records", 0, 0, len(scenes)), scenes, target), None)
    sample_of_all(folder / "out", folder / "sample")
    return folder / "sample"


def _scene(key: str, size: tuple[int, int], boxes: list, predicate: str, *, light: float = 1.0, **fields) -> Scene:
    regions = tuple(Region(i, name, tuple(map(float, box))) for i, (name, *box) in enumerate(boxes))
    data = _picture(size, regions, light)
    relations = fields.pop("relations", (Relation(0, 1, predicate, predicate, 0.41, "tagger"),))
    return Scene(f"hard-{key}", Image(f"{key}.jpg", *size, "jpg", data=data), regions, relations=relations,
                 provenance=Provenance("ab" * 32, STAGES), **fields)  # fmt: skip


def _spoken(key: str, text: str, subject: str, words: str, object_: str, predicate: str, *, name: str = "horse",
            more: int = 0) -> Scene:  # fmt: skip
    """A scene whose relation rests on a caption; with `more` other horses that it may mean."""
    spans = [(text.index(part), text.index(part) + len(part)) for part in (subject, words, object_)]
    boxes = [("person", 60, 80, 200, 380), (name, 90, 180, 330, 410)]
    boxes += [("horse", 340 + 50 * i, 150 + 20 * i, 450 + 50 * i, 280 + 20 * i) for i in range(more)]
    phrases = (Phrase(0, spans[0], subject, regions=(0,)),
               Phrase(0, spans[2], object_, regions=tuple(range(1, 2 + more))))  # fmt: skip
    evidence = Evidence(0, *spans)
    relation = Relation(0, 1, predicate, words, 0.71, "caption", 0.66, evidence=(evidence,),
                        verifier_scores={"grounding": 0.81})  # fmt: skip
    return _scene(
        key, (640, 427), boxes, predicate, relations=(relation,), captions=(Caption(text, "blip", "beam", -48.2),),
        phrases=phrases, mentions=(Mention(0, 0, 1, predicate, spans[1]),),
    )  # fmt: skip


def _many(count: int) -> list:
    draw, found = random.Random(4), []
    for _ in range(count):
        width, height = draw.randint(20, 120), draw.randint(20, 140)
        x, y = draw.randint(0, 640 - width), draw.randint(0, 480 - height)
        found.append((draw.choice(["person", "cup", "chair", "bottle", "dining table"]), x, y, x + width, y + height))
    return found


def _picture(size: tuple[int, int], regions: tuple[Region, ...], light: float) -> bytes:
    """Sky, ground, and something round in each box."""
    width, height = size
    picture = Picture.new("RGB", size)
    draw = ImageDraw.Draw(picture)
    for y in range(height):
        sky = y < 0.6 * height
        draw.line(
            [(0, y), (width, y)], fill=(150 + y * 60 // height, 190, 235) if sky else (130, 150 - y * 40 // height, 90)
        )
    for region in sorted(regions, key=lambda region: region.box[1] - region.box[3]):
        hue = random.Random(region.name + str(region.id))
        x1, y1, x2, y2 = region.box
        draw.ellipse((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), fill=tuple(hue.randint(60, 230) for _ in range(3)))
    target = io.BytesIO()
    picture.point(lambda value: int(value * light)).save(target, "JPEG", quality=90)
    return target.getvalue()
