"""A scene while it is being put together from the parts of its dataset; every part that is not kept leaves a repair."""

import math
from typing import Any

from schemas import Box, Caption, Image, Provenance, Region, Rejected, Relation, Repair, Scene
from schemas.vocabulary import canonical_name
from stages.ingest.predicates import canonical_predicate, states_denial

STAGE = "ingest"

# A caption is a sentence. Beyond this length it is some other text, and as parse time grows faster than length, one of
# 10,000 characters would stall a parser for everyone.
LONGEST_CAPTION = 2000


def rejected(key: str, reason: str, detail: str) -> Rejected:
    """The picture is refused here, before anything was spent on it."""
    return Rejected(key, STAGE, reason, detail)


class Draft:
    """Collects regions, relations and captions of one picture. Region ids count up from 0 in the order of adding."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.regions: list[Region] = []
        self._relations: dict[tuple[int, int, str], Relation] = {}
        self._captions: list[Caption] = []
        self._repairs: list[Repair] = []

    def repair(self, reason: str, detail: str) -> None:
        """Note that something was dropped or mended."""
        self._repairs.append(Repair(STAGE, reason, detail))

    def region(self, name: object, box: Box, *, source_id: object = None, score: float = 1.0) -> int | None:
        """Add a region; its id, or None (and a repair) if the class has no name."""
        if not isinstance(name, str) or not (canonical := canonical_name(self.text(name))):
            self.repair("unknown-category", f"annotation {source_id}: its class is called {name!r}; box dropped")
            return None
        region_id = len(self.regions)
        self.regions.append(
            Region(region_id, canonical, box, score=score, source_id=None if source_id is None else str(source_id))
        )
        return region_id

    def box_xywh(self, values: object, *, what: str) -> Box | None:
        """Corners of a `[x, y, width, height]` box, or None (and a repair) if that is no box."""
        numbers = self._numbers(values, what)
        if numbers is None:
            return None
        x, y, width, height = numbers
        if width < 0 or height < 0:
            self.repair("box-negative-size", f"{what}: width {width:g}, height {height:g}; box dropped")
            return None
        return self._corners((x, y, x + width, y + height), what)

    def box_xyxy(self, values: object, *, what: str) -> Box | None:
        """A `[x1, y1, x2, y2]` box, or None (and a repair) if that is no box."""
        numbers = self._numbers(values, what)
        if numbers is None:
            return None
        x1, y1, x2, y2 = numbers
        if x2 < x1 or y2 < y1:
            self.repair("box-negative-size", f"{what}: corners {list(numbers)} are in the wrong order; box dropped")
            return None
        return self._corners(numbers, what)

    def relation(self, subject: int | None, object_: int | None, predicate: object) -> None:
        """Add a human relation. An end that is None, the same region twice, or no predicate drops it with a repair."""
        text = self.text(predicate) if isinstance(predicate, str) else ""
        if not (canonical := canonical_predicate(text)):
            self.repair("relation-without-predicate", f"predicate is {predicate!r}; relation dropped")
            return
        if subject is None or object_ is None:
            end = "subject" if subject is None else "object"
            self.repair("relation-without-region", f"{text!r}: its {end} is no region here; relation dropped")
            return
        if subject == object_:
            self.repair("relation-to-itself", f"{text!r}: subject and object are region {subject}; relation dropped")
            return
        triplet = (subject, object_, canonical)
        if triplet in self._relations:
            self.repair("duplicate-relation", f"{text!r} between regions {subject} and {object_} is there already")
            return
        self._relations[triplet] = Relation(
            subject=subject,
            object=object_,
            predicate=canonical,
            text=text,
            score=1.0,
            source="human",
            state="denied" if states_denial(text) else "asserted",
        )

    def attribute(self, predicate: str, attribute: object) -> None:
        """Note that a statement about one region was made as a relation, and is none."""
        self.repair("attribute-not-relation", f"{predicate!r} {shown(attribute)} is about one region; not kept")

    def caption(self, value: object) -> None:
        """Add a caption that came with the dataset, as it is but for outer white space."""
        text = self.text(value).strip() if isinstance(value, str) else ""
        if not text:
            self.repair("caption-empty", f"caption is {value!r}; dropped")
        elif len(text) > LONGEST_CAPTION:
            detail = f"{len(text)} characters, more than {LONGEST_CAPTION}: {text[:40]!r}...; dropped"
            self.repair("caption-too-long", detail)
        else:
            self._captions.append(Caption(text, "given"))

    def text(self, raw: str) -> str:
        """Text that UTF-8 can hold: half surrogate pairs, which JSON may escape, become U+FFFD, with a repair."""
        if raw.isascii():
            return raw
        clean = raw.encode("utf-16-le", errors="surrogatepass").decode("utf-16-le", errors="replace")
        if clean != raw:
            self.repair("text-not-unicode", f"half a surrogate pair in {clean[:40]!r}; replaced by U+FFFD")
        return clean

    def image(self, name: str, width: object, height: object) -> Image:
        """The picture; a size that is no size counts as not given."""
        if width is None and height is None:
            return Image(self.text(name))
        size = [_pixels(value) for value in (width, height)]
        if None in size:
            self.repair("image-size-invalid", f"the annotations say {width!r} x {height!r}; taken as unknown")
            return Image(self.text(name))
        return Image(self.text(name), width=size[0], height=size[1])

    def scene(self, image: Image) -> Scene:
        """The finished scene."""
        return Scene(
            self.key,
            image,
            regions=tuple(self.regions),
            captions=tuple(self._captions),
            relations=tuple(self._relations.values()),
            provenance=Provenance(repairs=tuple(self._repairs)) if self._repairs else _NO_REPAIRS,
        )

    def _numbers(self, values: object, what: str) -> tuple[float, float, float, float] | None:
        if isinstance(values, list) and len(values) == 4:
            a, b, c, d = map(finite, values)
            if a is not None and b is not None and c is not None and d is not None:
                return a, b, c, d
        self.repair("box-not-finite", f"{what}: box is {shown(values)}, not 4 finite numbers; box dropped")
        return None

    def _corners(self, box: Box, what: str) -> Box | None:
        if not math.isfinite(box[2]) or not math.isfinite(box[3]):
            self.repair("box-not-finite", f"{what}: corners {list(box)} are not finite; box dropped")
            return None
        if box[2] <= box[0] or box[3] <= box[1]:
            self.repair("box-zero-area", f"{what}: corners {list(box)} enclose nothing; box dropped")
            return None
        return box


_NO_REPAIRS = Provenance()


def shown(value: object) -> str:
    """A value found in a file, short enough for a message."""
    return repr(value)[:80]


def finite(value: Any) -> float | None:
    """A JSON number as float; None if it is no number, NaN, or beyond what a float holds."""
    if type(value) is not float and type(value) is not int:
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _pixels(value: Any) -> int | None:
    number = finite(value)
    return int(number) if number is not None and number >= 1 and number == int(number) else None
