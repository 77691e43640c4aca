"""A sample for FiftyOne: `FiftyOneImageDetectionDataset`, a folder that it imports without any code of ours.

    data/<name>.<ending>    the pictures
    labels.json             {"labels": {<name>: [{"label", "bounding_box", "confidence", "attributes"}, ...]}}

Of the formats that FiftyOne imports, this one has class names as they are, a confidence, and attributes of any name for
each box, by its documentation. COCO's needs ids for classes and pictures and documents no attributes, and
`FiftyOneDataset` is a copy of FiftyOne's own database, whose layout changes with its version.

The layout: https://docs.voxel51.com/user_guide/import_datasets.html, section FiftyOneImageDetectionDataset. Boxes are
left, top, width and height as parts of the picture's size. Without the field `classes`, labels are class names.
"""

import json
from collections.abc import Sequence
from typing import Any

from stages.audit.exports.shown import ShownItem

PICTURE_FOLDER = "data"

_README = """\
# A sample of labels, for FiftyOne

{num_items} relations on {num_pictures} pictures. To look at them:

```python
import fiftyone as fo
from fiftyone import ViewField as F

dataset = fo.Dataset.from_dir(
    dataset_dir=".",  # this folder
    dataset_type=fo.types.FiftyOneImageDetectionDataset,
    label_field="relations",
)
session = fo.launch_app(dataset.filter_labels("relations", F("predicate") == "ride"))
session.wait()
```

Each relation is two boxes, `role` `subject` and `object`, with the same `item`, its number in the sample. `label` is
the class of the box and `confidence` the score of the relation. Each box also has `triplet`, `predicate`, `text` (the
caption's own words), `caption`, `source`, `probability` where there is one, `key` and `relation` (for `relmill trace`),
`region`, `weight` (relations that this one stands for) and what people said: `verdict` (`disagreed` where they differ,
empty where nobody judged), `verdicts` and `notes`. A box that is in several relations is there several times.
"""


def fiftyone_files(shown: Sequence[ShownItem]) -> dict[str, str]:
    """Name to text of each file besides the pictures, which go into `data`."""
    labels: dict[str, list[dict[str, Any]]] = {}
    for one in sorted(shown, key=lambda one: one.item.number):
        stem = one.picture.rpartition(".")[0]
        labels.setdefault(stem, []).extend(_detection(one, role) for role in ("subject", "object"))
    readme = _README.format(num_items=len(shown), num_pictures=len(labels))
    return {"labels.json": json.dumps({"labels": labels}, indent=1, allow_nan=False) + "\n", "README.md": readme}


def _detection(shown: ShownItem, role: str) -> dict[str, Any]:
    """A box. Names of attributes must be none of FiftyOne's own fields (`id`, `tags`, `index`, `mask`, ...)."""
    item, subject = shown.item, role == "subject"
    attributes: dict[str, Any] = {
        "item": item.number,
        "role": role,
        "triplet": shown.triplet,
        "predicate": item.predicate,
        "text": item.text,
        "caption": shown.caption,
        "source": item.source,
        "key": item.key,
        "relation": item.relation,
        "region": item.subject_id if subject else item.object_id,
        "weight": float(shown.weight),
        "verdict": shown.verdict,
        "verdicts": [f"{verdict.auditor}: {verdict.judgement}" for verdict in shown.verdicts],
        "notes": [f"{verdict.auditor}: {verdict.note}" for verdict in shown.verdicts if verdict.note],
    }
    if item.probability is not None:
        attributes["probability"] = item.probability
    return {
        "label": item.subject if subject else item.object,
        "bounding_box": list(shown.relative_xywh(item.subject_box if subject else item.object_box)),
        "confidence": item.score,
        "attributes": attributes,
    }
