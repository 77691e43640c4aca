"""A sample for Label Studio: a task for each relation, with its boxes drawn and what people said so far.

    images/<name>.<ending>  the pictures, served by Label Studio's local files
    tasks.json              `data` and `predictions` of each task
    config.xml              the labelling configuration: boxes, the relation between them, a verdict, a note

After Label Studio's documentation:
- tasks, predictions and their results: https://labelstud.io/guide/task_format, https://labelstud.io/guide/predictions
- boxes in percent of the picture: https://labelstud.io/tags/rectanglelabels
- relations: https://labelstud.io/tags/relations; as a result, `{from_id, to_id, type, direction, labels}` is what
  `RelationStore.serialize` of label-studio `web/libs/editor/src/stores/RelationStore.js` writes and reads
- `/data/local-files/?d=`: https://labelstud.io/guide/storage and `label_studio/io_storages/localfiles/README.md`. The
  path is relative to the document root, and the folder of the file must be a source storage of the project.

One task is one relation, not one picture: Label Studio keeps a single relation between two boxes, and drops others.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from schemas.audit import JUDGEMENTS, Verdict
from stages.audit.exports.shown import ShownItem

PICTURE_FOLDER = "images"

# Characters that XML 1.0 cannot hold, not even escaped (section 2.2 of the recommendation).
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_README = """\
# A sample of labels, for Label Studio

{num_items} tasks, each one relation: its two boxes, an arrow from subject to object, and a verdict to choose.

1. Let Label Studio serve the pictures of this folder; it must be told before it starts:

   ```sh
   export LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true
   export LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT="$PWD"    # this folder
   label-studio start
   ```

2. Create a project. Under Settings, Labeling Interface, Code: paste `config.xml`.
3. Under Settings, Cloud Storage, Add Source Storage, Local Files: as absolute local path give the folder `images` in
   this folder. Save it, but do not sync: that would make a task of every picture.
4. Import `tasks.json`. To see the boxes while judging: Settings, Annotation, use predictions to prelabel tasks, and
   choose the version that begins with `relmill`.

What auditors said so far are predictions, too, with the version `auditor NAME`. `data` has the number of the item, and
`key` and `relation` for `relmill trace`. In names, `$` is written as its full-width form, as Label Studio takes what
begins with it for a variable.
"""


def label_studio_files(shown: Sequence[ShownItem]) -> dict[str, str]:
    """Name to text of each file besides the pictures, which go into `images`."""
    ordered = sorted(shown, key=lambda one: one.item.number)
    return {
        "tasks.json": json.dumps([_task(one) for one in ordered], indent=1, allow_nan=False) + "\n",
        "config.xml": _config(ordered),
        "README.md": _README.format(num_items=len(ordered)),
    }


def _config(shown: Sequence[ShownItem]) -> str:
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Header", value="$triplet")
    ElementTree.SubElement(view, "Text", name="caption", value="$caption", valueType="text")
    ElementTree.SubElement(view, "Image", name="image", value="$image", zoom="true", zoomControl="true")
    boxes = ElementTree.SubElement(view, "RectangleLabels", name="box", toName="image")
    _values(boxes, "Label", (name for one in shown for name in (one.item.subject, one.item.object)))
    relations = ElementTree.SubElement(view, "Relations")
    _values(relations, "Relation", (one.item.predicate for one in shown))
    verdict = ElementTree.SubElement(
        view, "Choices", name="verdict", toName="image", choice="single-radio", showInline="true"
    )
    for judgement in JUDGEMENTS:
        ElementTree.SubElement(verdict, "Choice", value=judgement)
    ElementTree.SubElement(view, "TextArea", name="note", toName="image", placeholder="note", maxSubmissions="1")
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _values(parent: ElementTree.Element, tag: str, names: Iterable[str]) -> None:
    for value in sorted({_value(name) for name in names}):
        ElementTree.SubElement(parent, tag, value=value)


def _value(name: str) -> str:
    """A name as a value of the configuration, where `$word` would be a variable and XML has no control characters."""
    return " ".join(_NOT_IN_XML.sub("\ufffd", name).replace("$", "\uff04").split()) or "\ufffd"


def _task(shown: ShownItem) -> dict[str, Any]:
    item = shown.item
    data: dict[str, Any] = {
        "image": f"/data/local-files/?d={quote(f'{PICTURE_FOLDER}/{shown.picture}')}",
        "triplet": shown.triplet,
        "caption": shown.caption,
        "item": item.number,
        "key": item.key,
        "relation": item.relation,
        "text": item.text,
        "score": item.score,
        "probability": item.probability,
        "source": item.source,
        "weight": float(shown.weight),
        "verdict": shown.verdict,
    }
    label = {
        "model_version": f"relmill {item.source}",
        "score": item.score,
        "result": _relation(shown, f"{item.number}-label"),
    }
    return {"data": data, "predictions": [label, *(_verdict(shown, verdict) for verdict in shown.verdicts)]}


def _relation(shown: ShownItem, name: str) -> list[dict[str, Any]]:
    """Two boxes and the arrow between them. Ids of results must differ in all of an import."""
    item = shown.item
    return [
        _box(shown, f"{name}-subject", item.subject, item.subject_box),
        _box(shown, f"{name}-object", item.object, item.object_box),
        {
            "from_id": f"{name}-subject",
            "to_id": f"{name}-object",
            "type": "relation",
            "direction": "right",
            "labels": [_value(item.predicate)],
        },
    ]


def _box(shown: ShownItem, name: str, label: str, box: tuple[float, float, float, float]) -> dict[str, Any]:
    x, y, width, height = (100 * part for part in shown.relative_xywh(box))
    return {
        "id": name,
        "type": "rectanglelabels",
        "from_name": "box",
        "to_name": "image",
        "original_width": shown.width,
        "original_height": shown.height,
        "image_rotation": 0,
        "value": {
            "x": x,
            "y": y,
            "width": width,
            "height": height,
            "rotation": 0,
            "rectanglelabels": [_value(label)],
        },
    }


def _verdict(shown: ShownItem, verdict: Verdict) -> dict[str, Any]:
    name = f"{shown.item.number}-{verdict.auditor}"
    place = {"from_name": "verdict", "to_name": "image", "type": "choices"}
    result = [
        *_relation(shown, name),
        {"id": f"{name}-verdict", **place, "value": {"choices": [verdict.judgement]}},
    ]
    if verdict.note:
        place = {"from_name": "note", "to_name": "image", "type": "textarea"}
        result.append({"id": f"{name}-note", **place, "value": {"text": [verdict.note]}})
    return {"model_version": f"auditor {verdict.auditor}", "result": result}
