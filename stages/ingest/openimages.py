"""OpenImages: boxes and visual relationships, as CSV.

Boxes: `ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,...,IsGroupOf,...`. Relationships:
`ImageID,LabelName1,LabelName2,XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,YMin2,YMax2,RelationshipLabel`. Columns are found by
name, so the order may differ. Coordinates are fractions of the picture, which is `<ImageID>.jpg`.

Either file will do alone. The ends of a relationship are matched to boxes by label and coordinates; those without a
match become regions of their own. `is` states an attribute ("table is wooden") and no relation between two regions.
Group boxes (`IsGroupOf`) are dropped as crowds.
"""

import csv
from collections.abc import Iterator, Sequence
from typing import Any

from schemas import BadInputError, Box, Rejected, Scene, UserError
from stages.ingest.captions import caption_parts
from stages.ingest.coco import without_image
from stages.ingest.draft import Draft, finite
from stages.ingest.files import open_text
from stages.ingest.ids import image_id
from stages.ingest.spool import Part

_BOX, _RELATION, _CAPTION = range(3)

_BOX_COLUMNS = ("ImageID", "LabelName", "XMin", "YMin", "XMax", "YMax")
_ENDS = (("LabelName1", "XMin1", "YMin1", "XMax1", "YMax1"), ("LabelName2", "XMin2", "YMin2", "XMax2", "YMax2"))
_RELATION_COLUMNS = ("ImageID", "RelationshipLabel", *_ENDS[0], *_ENDS[1])
# The files print six decimals; two roundings of one number may differ in the last.
_DECIMALS = 5


class OpenImagesReader:
    """Reads boxes, relationships or both, with the names of the classes.

    Raises:
        UserError: if neither file is given.
    """

    version = "openimages/1"
    boxes_are_fractions = True

    def __init__(
        self, annotations: str | None, relationships: str | None, classes: str | None, captions: str | None
    ) -> None:
        if annotations is None and relationships is None:
            raise UserError("dataset.annotations: missing; give `annotations` (boxes), `relationships`, or both")
        given = {
            "annotations": annotations,
            "relationships": relationships,
            "classes": classes,
            "captions": captions,
        }
        self.files = {role: path for role, path in given.items() if path is not None}
        self._names: dict[str, str] | None = None

    def parts(self) -> Iterator[Part]:
        """Boxes, relationships and captions, in file order."""
        self._names = _class_names(self.files["classes"]) if "classes" in self.files else None
        if "annotations" in self.files:
            yield from self._boxes(self.files["annotations"])
        if "relationships" in self.files:
            yield from self._relationships(self.files["relationships"])
        if "captions" in self.files:
            yield from caption_parts(self.files["captions"], kind=_CAPTION)

    def assemble(self, key: str, parts: Sequence[tuple[int, Any]]) -> Scene | Rejected | None:
        """The record of one image, its boxes still fractions."""
        if all(kind == _CAPTION for kind, _ in parts):
            return without_image(key, parts)
        draft = Draft(key)
        # A box that was dropped is there as None: a relation with it has no region.
        regions: dict[tuple[str, Box], int | None] = {}
        name = ""
        for kind, body in parts:
            if kind == _BOX:
                name, *box = body
                self._add_box(draft, regions, box)
            elif kind == _RELATION:
                name, predicate, ends = body
                self._add_relation(draft, regions, predicate, ends)
            else:
                draft.caption(body)
        return draft.scene(draft.image(f"{name}.jpg", None, None))

    def _boxes(self, path: str) -> Iterator[Part]:
        for where, row in _rows(path, _BOX_COLUMNS):
            owner = image_id(row["ImageID"], "{}: ImageID", where)
            self._check_label(where, row["LabelName"])
            values = [_number(row[column]) for column in _BOX_COLUMNS[2:]]
            confidence, is_group = _number(row.get("Confidence", "1")), row.get("IsGroupOf", "0") == "1"
            yield Part(owner, _BOX, [owner, row["LabelName"], values, confidence, is_group])

    def _relationships(self, path: str) -> Iterator[Part]:
        for where, row in _rows(path, _RELATION_COLUMNS):
            owner = image_id(row["ImageID"], "{}: ImageID", where)
            self._check_label(where, row["LabelName1"])
            ends = [[row[label], [_number(row[column]) for column in columns]] for label, *columns in _ENDS]
            yield Part(owner, _RELATION, [owner, row["RelationshipLabel"], ends])

    def _check_label(self, where: str, label: str) -> None:
        if self._names is None and label.startswith(("/m/", "/g/", "/t/")):
            raise BadInputError(
                f"{where}: label {label!r} is a machine id; give its names as dataset.classes "
                f"(class-descriptions-boxable.csv)"
            )

    def _add_box(self, draft: Draft, regions: dict[tuple[str, Box], int | None], row: Sequence[Any]) -> int | None:
        label, values, confidence, is_group = row
        box = draft.box_xyxy(values, what=f"box of {label}")
        if box is None:
            return None
        place = label, _rounded(box)
        if is_group:
            draft.repair("box-is-crowd", f"box of {label} outlines a group; box dropped")
            regions[place] = None
        elif self._names is not None and label not in self._names:
            draft.repair("unknown-category", f"label {label!r} is not in dataset.classes; box dropped")
            regions[place] = None
        else:
            name = label if self._names is None else self._names[label]
            score = min(1.0, max(0.0, finite(confidence) or 0.0))
            regions[place] = draft.region(name, box, score=score)
        return regions[place]

    def _add_relation(
        self, draft: Draft, regions: dict[tuple[str, Box], int | None], predicate: str, ends: Sequence[Any]
    ) -> None:
        is_attribute = predicate == "is"
        found: list[int | None] = []
        for label, values in ends[:1] if is_attribute else ends:
            numbers = [finite(value) for value in values]
            place = (label, _rounded(numbers)) if None not in numbers else None
            if place is not None and place in regions:
                found.append(regions[place])
            else:
                found.append(self._add_box(draft, regions, [label, values, 1.0, False]))
        if is_attribute:
            label = ends[1][0]
            draft.attribute("is", (self._names or {}).get(label, label))
        else:
            draft.relation(found[0], found[1], predicate)


def _rows(path: str, needed: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """`(where, column to value)` of each row."""
    with open_text(path) as file:
        reader = csv.reader(file)
        try:
            header = next(reader, [])
            if missing := [column for column in needed if column not in header]:
                raise BadInputError(f"{path}: has no column {missing[0]!r}; found {','.join(header)[:200]!r}")
            for row in reader:
                if len(row) != len(header):
                    raise BadInputError(
                        f"{path}: line {reader.line_num}: {len(row)} values for {len(header)} columns; "
                        f"the file may be cut short, fetch it again"
                    )
                yield f"{path}: line {reader.line_num}", dict(zip(header, row, strict=True))
        except csv.Error as error:
            raise BadInputError(f"{path}: line {reader.line_num}: not valid CSV ({error})") from error


def _class_names(path: str) -> dict[str, str]:
    """Machine id to name; older files have no header, newer ones `LabelName,DisplayName` or `id,name`."""
    names: dict[str, str] = {}
    with open_text(path) as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if len(row) != 2:
                raise BadInputError(f"{path}: line {number} is {','.join(row)[:80]!r}; expected `/m/04yx4,Man`")
            names[row[0]] = row[1]
    return names


def _number(text: str) -> float | str:
    """A number, NaN included; what is none stays as it is, for the message."""
    try:
        return float(text)
    except ValueError:
        return text


def _rounded(values: Sequence[Any]) -> Box:
    a, b, c, d = (round(value, _DECIMALS) for value in values)
    return a, b, c, d
