"""Where auditors sit: a sample with its output, what each of them has said, and how far they are."""

import io
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from schemas import BadInputError, RelmillError, Scene, UserError
from schemas.audit import JUDGEMENTS, MOST_NOTE, AuditItem, Judgement, Verdict
from stages.audit import VerdictLog, check_output, latest, read_item, read_sample, trace_of
from stages.audit.apply import sample_sha256
from stages.audit.estimates import precision, unjudged_strata
from stages.audit.judged import judged_items
from stages.picture import FORMATS, decode_rgb, open_picture
from stages.storage import Folder

MEDIA_TYPES = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "bmp": "image/bmp",
}
"""What a picture is sent as, by its format; the others, which browsers do not show, are sent as PNG."""


class Desk:
    """A sample that is being judged. May be called from several threads; what is said is written one after another."""

    def __init__(self, folder: Path, *, auditor: str | None = None) -> None:
        """
        Args:
            folder: of the sample.
            auditor: who judges; None lets each say who they are.

        Raises:
            BadInputError: if there is no such sample, or its output is gone or is another one.
            UserError: if the auditor is none of the sample's.
        """
        self.sample, self.items = read_sample(folder)
        self.auditor = auditor
        if auditor is None and len(self.sample.auditors) == 1:
            self.auditor = self.sample.auditors[0]
        if self.auditor is not None:
            self.sample.items_of(self.auditor)
        self.output = Folder(self.sample.output)
        check_output(self.sample, self.output)
        self._folder = folder
        self._logs: dict[str, VerdictLog] = {}
        self._saying = threading.Lock()
        # A page that was loaded from another sample on the same port must not judge this one's items.
        self.digest = sample_sha256(folder)[:16]

    def facts(self) -> dict[str, Any]:
        """What the page must know before anybody sits down."""
        return {
            "sample": self.digest,
            "folder": str(self._folder),
            "output": self.sample.output,
            "num_items": self.sample.num_items,
            "auditor": self.auditor,
            "auditors": list(self.sample.auditors),
            "judgements": list(JUDGEMENTS),
            "most_note": MOST_NOTE,
        }

    def enter(self, auditor: str) -> dict[str, Any]:
        """Sit down: what the auditor is to judge, in order, and what they said so far, the last word last.

        Raises:
            UserError: if somebody else judges here, or the name is none.
            ConflictError: if the auditor sits at another desk.
            BadInputError: if the file of their verdicts is damaged.
            StorageError: if it cannot be written.
        """
        with self._saying:
            log, items = self._log(auditor), self._items_of(auditor)
            return {
                "auditor": auditor,
                "items": items,
                "verdicts": [_plain(verdict) for verdict in latest(log.verdicts).values()],
                "progress": self._progress(log, items),
            }

    def judge(self, sample: str, auditor: str, item: int, judgement: Judgement | None, note: str) -> dict[str, Any]:
        """Write down a verdict; once this returns, it is on the disk.

        Args:
            sample: `digest` of the sample that the auditor looked at.
            judgement: None takes back what was said before.

        Raises:
            UserError: if the item is not theirs to judge, or of another sample.
            StorageError: if it cannot be written; then it is as if nothing had been said.
        """
        if sample != self.digest:
            raise UserError("the page shows another sample than is served now; load it anew")
        with self._saying:
            items = self._items_of(auditor)
            if item not in items:
                raise UserError(f"item {item} is not for {auditor} to judge")
            log = self._log(auditor)
            verdict = log.append(item, judgement, note)
            return {"verdict": _plain(verdict), "progress": self._progress(log, items)}

    def item(self, number: int) -> dict[str, Any]:
        """An item with its trace, for the page. If its scene cannot be read, `problem` says why, and the trace is None.

        Raises:
            KeyError: if the sample has no such item.
        """
        item = self._item(number)
        document = asdict(item) | {"regions": [], "trace": None, "problem": ""}
        try:
            scene = read_item(self.output, item, pixels=False)
            document["trace"] = trace_of(scene, item.relation).to_json()
            document["regions"] = [asdict(region) for region in scene.regions]
        except RelmillError as error:
            document["problem"] = str(error)
        return document

    def picture(self, number: int) -> tuple[bytes, str]:
        """The picture of an item as it was stored, and its media type, told from the bytes alone.

        Raises:
            KeyError: if the sample has no such item.
            BadInputError: if there is no picture, or it cannot be shown.
        """
        item = self._item(number)
        if item.image is None:
            raise BadInputError("this output has no pictures: it was labelled with --no-pixels")
        scene = read_item(self.output, item)
        assert scene.image.data is not None, item.key
        kind = MEDIA_TYPES.get(_format(scene))
        return (scene.image.data, kind) if kind else (_as_png(scene), MEDIA_TYPES["png"])

    def close(self) -> None:
        """Let others open the verdicts."""
        with self._saying:
            for log in self._logs.values():
                log.close()
            self._logs.clear()

    def _item(self, number: int) -> AuditItem:
        if not 0 <= number < len(self.items):
            raise KeyError(number)
        return self.items[number]

    def _items_of(self, auditor: str) -> list[int]:
        if self.auditor is not None and auditor != self.auditor:
            raise UserError(f"only {self.auditor} judges here; start without --auditor to let {auditor} in")
        return self.sample.items_of(auditor)

    def _log(self, auditor: str) -> VerdictLog:
        self._items_of(auditor)
        if auditor not in self._logs:
            self._logs[auditor] = VerdictLog(self._folder, auditor, num_items=self.sample.num_items)
        return self._logs[auditor]

    def _progress(self, log: VerdictLog, items: list[int]) -> dict[str, Any]:
        """How much of their part an auditor has judged, and the precision that follows from it."""
        said = latest(log.verdicts)
        judged = judged_items(self.sample, self.items, said)
        return {
            "judged": len({number for _, number in said} & set(items)),
            "of": len(items),
            "precision": precision(judged).estimate.to_json() if len(judged.numbers) else None,
            "unseen": unjudged_strata(judged)[1],
        }


def _plain(verdict: Verdict) -> dict[str, Any]:
    return {"item": verdict.item, "judgement": verdict.judgement, "note": verdict.note}


def _format(scene: Scene) -> str:
    """File ending of the format that the bytes are in."""
    assert scene.image.data is not None
    try:
        with open_picture(scene.image.data) as picture:
            return FORMATS[picture.format or ""]
    except Exception as error:
        raise BadInputError(f"{scene.key}: its picture cannot be read: {error}") from error


def _as_png(scene: Scene) -> bytes:
    assert scene.image.data is not None
    try:
        target = io.BytesIO()
        decode_rgb(scene.image.data).save(target, "PNG")
    except Exception as error:
        raise BadInputError(f"{scene.key}: its picture cannot be decoded: {error}") from error
    return target.getvalue()
