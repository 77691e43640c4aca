"""V-COCO: the official verb file with COCO instances, or the PPDM/qpic list.

Official: `[{"action_name", "role_name": ["agent", "obj", "instr"], "image_id": [N], "ann_id": [N], "label": [N],
"role_object_id": [3 N]}]`, one element a verb. `role_object_id` holds the annotation ids of all agents, then those of
all objects, then those of all instruments; 0 is none. The pictures are those the verb file names, out of COCO's.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from schemas import BadInputError, Rejected, Scene, UserError
from stages.ingest.captions import caption_parts
from stages.ingest.class_lists import vcoco_verbs
from stages.ingest.coco import CAPTION, FURTHER, Instances
from stages.ingest.draft import Draft, shown
from stages.ingest.hoi_list import HoiListReader, verbs_without_object
from stages.ingest.ids import image_id
from stages.ingest.json_stream import json_array
from stages.ingest.spool import Part
from stages.ingest.triplets import stem

_MEMBER, _VERB = FURTHER, FURTHER + 1
_COLUMNS = ("image_id", "ann_id", "label", "role_object_id")

LAYOUT = (
    'V-COCO: [{"action_name": "hold", "role_name": ["agent", "obj"], "image_id": [...], "ann_id": [...], '
    '"label": [...], "role_object_id": [...]}, ...]'
)


def coco_image_id(name: str) -> str:
    """`COCO_train2014_000000000165.jpg` and `000000000165.jpg` are COCO's image 165; other names are their own id."""
    number = re.search(r"(?:^|_)(\d{12})$", stem(name).rsplit("/", 1)[-1])
    return stem(name) if number is None else str(int(number.group(1)))


class VCocoReader:
    """Reads V-COCO in either layout, told apart by the first element of the file.

    Captions may be COCO's: those of pictures outside V-COCO are passed over.
    """

    version = "vcoco/1"
    boxes_are_fractions = False

    def __init__(self, annotations: str, instances: str | None, captions: str | None) -> None:
        given = {"annotations": annotations, "instances": instances, "captions": captions}
        self.files = {role: path for role, path in given.items() if path is not None}
        self._list = HoiListReader(
            annotations,
            captions,
            version=self.version,
            verbs=vcoco_verbs(),
            name_to_id=coco_image_id,
            redrawn_boxes=False,
            foreign_captions=True,
        )
        self._layout: HoiListReader | _Official = self._list

    def parts(self) -> Iterator[Part]:
        """Images, boxes, verbs and captions, in file order.

        Raises:
            UserError: if the official layout comes without instances.
        """
        first = next(json_array(self.files["annotations"], layout=LAYOUT), None)
        is_list = isinstance(first, dict) and "hoi_annotation" in first
        self._layout = self._list if is_list else _Official(self.files)
        yield from self._layout.parts()

    def assemble(self, key: str, parts: Sequence[tuple[int, Any]]) -> Scene | Rejected | None:
        """The record of one image; None for images of COCO that are none of V-COCO."""
        return self._layout.assemble(key, parts)


class _Official:
    """The verb file with COCO instances."""

    def __init__(self, files: Mapping[str, str]) -> None:
        if "instances" not in files:
            raise UserError(
                "dataset.instances: missing; this V-COCO file names boxes by their ids in COCO's instances, "
                "give that file"
            )
        self._files = files
        self._instances = Instances(files["instances"])

    def parts(self) -> Iterator[Part]:
        yield from self._instances.parts()
        yield from self._verbs(self._files["annotations"])
        if "captions" in self._files:
            yield from caption_parts(self._files["captions"], kind=CAPTION)

    def assemble(self, key: str, parts: Sequence[tuple[int, Any]]) -> Scene | Rejected | None:
        if not any(kind == _MEMBER for kind, _ in parts):
            return None
        opened = self._instances.open(key, parts)
        if isinstance(opened, Rejected):
            return opened
        _add_relations(opened.draft, opened.regions, [body for kind, body in parts if kind == _VERB])
        for kind, body in parts:
            if kind == CAPTION:
                opened.draft.caption(body)
        return opened.draft.scene(opened.image)

    def _verbs(self, path: str) -> Iterator[Part]:
        members = set()
        for index, action in enumerate(json_array(path, layout=LAYOUT)):
            name, roles, columns = _action(f"{path}: element {index}", action)
            images, agents, labels, fillers = columns
            for row, (image, agent, label) in enumerate(zip(images, agents, labels, strict=True)):
                owner = image_id(image, "{}: element {}: image_id[{}]", path, index, row)
                if owner not in members:
                    # All 10,346 pictures of V-COCO fit in memory.
                    members.add(owner)
                    yield Part(owner, _MEMBER, None)
                if label == 1:
                    chosen = [fillers[place * len(images) + row] for place in range(1, len(roles))]
                    yield Part(owner, _VERB, [name, agent, roles[1:], chosen])


def _action(where: str, action: Any) -> tuple[str, list[str], list[list[Any]]]:
    """Name, roles (the agent first) and columns of a verb."""
    fields = action if isinstance(action, dict) else {}
    name, roles = fields.get("action_name"), fields.get("role_name")
    columns = [fields.get(key) for key in _COLUMNS]
    lists = [column for column in columns if isinstance(column, list)]
    if isinstance(name, str) and isinstance(roles, list) and roles and len(lists) == len(_COLUMNS):
        rows = len(lists[0])
        if [len(column) for column in lists] == [rows, rows, rows, rows * len(roles)]:
            return name, [str(role) for role in roles], lists
    raise BadInputError(f"{where} is {shown(action)}; expected {LAYOUT}")


def _add_relations(draft: Draft, regions: dict[Any, int], verbs: Sequence[Any]) -> None:
    without_object = []
    for name, agent, roles, chosen in verbs:
        if not roles:
            without_object.append(name)
        for role, filler in zip(roles, chosen, strict=True):
            if filler:
                draft.relation(regions.get(agent), regions.get(filler), f"{name} {role}")
            else:
                without_object.append(f"{name} {role}")
    verbs_without_object(draft, without_object)
