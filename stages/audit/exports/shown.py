"""An item of a sample as other tools show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas import Box, Scene
from schemas.audit import AuditItem, AuditSample, Verdict
from stages.audit.exports.pictures import picture_size
from stages.audit.trace import trace_of


@dataclass(frozen=True, slots=True)
class ShownItem:
    """An item with its picture's file and with all that people and captions say of it."""

    item: AuditItem
    picture: str
    """Name of the file, without a folder."""
    width: int
    """Of the picture, in pixels."""
    height: int
    caption: str
    """The caption that the relation rests on, or a sentence that says that there is none."""
    weight: float
    """Relations of the population that it stands for."""
    verdicts: tuple[Verdict, ...]
    """What each auditor says now, by name; nothing that was taken back."""

    @property
    def triplet(self) -> str:
        """`person ride horse`."""
        return f"{self.item.subject} {self.item.predicate} {self.item.object}"

    @property
    def verdict(self) -> str:
        """What all who judged it say; `disagreed` if they differ, empty if nobody did."""
        said = {verdict.judgement for verdict in self.verdicts}
        return "disagreed" if len(said) > 1 else next((str(judgement) for judgement in said), "")

    def relative_xywh(self, box: Box) -> tuple[float, float, float, float]:
        """Left, top, width and height of a box as parts of the picture's, inside [0, 1]."""
        x1, x2 = (min(max(x / self.width, 0.0), 1.0) for x in (box[0], box[2]))
        y1, y2 = (min(max(y / self.height, 0.0), 1.0) for y in (box[1], box[3]))
        return x1, y1, x2 - x1, y2 - y1


def shown_item(
    sample: AuditSample,
    item: AuditItem,
    scene: Scene,
    picture: str,
    verdicts: Mapping[tuple[str, int], Verdict],
) -> ShownItem:
    """Bring together what is shown of an item.

    Args:
        scene: that the item was drawn from.
        picture: name of its file.
        verdicts: of `latest`.

    Raises:
        BadInputError: if the size of its picture cannot be found out.
    """
    trace = trace_of(scene, item.relation)
    width, height = picture_size(scene)
    return ShownItem(
        item=item,
        picture=picture,
        width=width,
        height=height,
        caption=trace.evidence[0].text if trace.evidence else trace.origin,
        weight=sample.strata[item.stratum].weight,
        verdicts=_of_item(item.number, verdicts),
    )


def _of_item(number: int, verdicts: Mapping[tuple[str, int], Verdict]) -> tuple[Verdict, ...]:
    found: Sequence[Verdict] = [verdict for (_, item), verdict in sorted(verdicts.items()) if item == number]
    return tuple(found)
