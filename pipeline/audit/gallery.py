"""The relations that auditors found not right, each with its picture, its caption and what was said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.audit.pair_picture import PairPicture, pair_picture
from schemas import RelmillError, Scene
from schemas.audit import AuditItem, AuditSample, Verdict
from stages.audit import check_output, read_item
from stages.audit.evidence import Segment, evidence_segments
from stages.storage import Folder

_MOST_CAPTIONS = 3


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """A relation that at least one auditor found not right."""

    item: AuditItem
    verdicts: Sequence[Verdict]
    """By auditor, `unsure` among them."""
    num_wrong: int
    """Auditors who say anything but `right` and `unsure`."""
    num_sure: int
    picture: PairPicture | None
    captions: Sequence[Sequence[Segment]]
    """Of each piece of evidence the caption around it."""
    num_captions: int
    """Captions of evidence that are not shown."""
    problem: str
    """Why there is no picture or caption; empty if there is no reason to tell."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """What is shown of the errors, and what could not be."""

    items: Sequence[GalleryItem]
    num_hidden: int
    """Errors beyond those that were asked for."""
    problem: str
    """Why nothing could be read of the output; empty if it could."""


def collect_gallery(
    sample: AuditSample,
    items: Sequence[AuditItem],
    verdicts: Mapping[tuple[str, int], Verdict],
    *,
    output: str,
    most: int,
) -> Gallery:
    """Those that most of their auditors find wrong first, then in the order of the sample.

    An output that is gone or another one costs the pictures and captions, and a damaged scene its own.

    Args:
        verdicts: of `latest`.
        output: folder or URL of the output.
        most: items shown.
    """
    errors = _errors(verdicts)
    problem, folder = "", None
    if errors and most:
        try:
            folder = Folder(output)
            check_output(sample, folder)
        except RelmillError as error:
            problem, folder = str(error), None
    shown = [_item(folder, items[number], errors[number]) for number in list(errors)[:most]]
    return Gallery(shown, max(0, len(errors) - most), problem)


def _errors(verdicts: Mapping[tuple[str, int], Verdict]) -> dict[int, list[Verdict]]:
    """Verdicts of each item that somebody finds not right, in the order of the gallery."""
    by_item: dict[int, list[Verdict]] = {}
    for _, verdict in sorted(verdicts.items()):
        by_item.setdefault(verdict.item, []).append(verdict)
    found = {number: said for number, said in by_item.items() if _num_wrong(said)}

    def place(number: int) -> tuple[float, int, int]:
        said = found[number]
        return -_num_wrong(said) / _num_sure(said), -_num_wrong(said), number

    return {number: found[number] for number in sorted(found, key=place)}


def _num_sure(said: Sequence[Verdict]) -> int:
    return sum(verdict.judgement != "unsure" for verdict in said)


def _num_wrong(said: Sequence[Verdict]) -> int:
    return sum(verdict.judgement not in {"right", "unsure"} for verdict in said)


def _item(folder: Folder | None, item: AuditItem, said: Sequence[Verdict]) -> GalleryItem:
    picture, segments, problem = None, [], ""
    if folder is not None:
        try:
            scene = read_item(folder, item)
            segments = _segments(scene, item)
            picture = pair_picture(scene, item)
        except RelmillError as error:
            problem = str(error)
    return GalleryItem(
        item=item,
        verdicts=said,
        num_wrong=_num_wrong(said),
        num_sure=_num_sure(said),
        picture=picture,
        captions=segments[:_MOST_CAPTIONS],
        num_captions=max(0, len(segments) - _MOST_CAPTIONS),
        problem=problem,
    )


def _segments(scene: Scene, item: AuditItem) -> list[list[Segment]]:
    evidence = scene.relations[item.relation].evidence
    return [segments for one in evidence if (segments := evidence_segments(scene, one))]
