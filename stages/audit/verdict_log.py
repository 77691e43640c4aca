"""What auditors said, one file each, appended to and synced before anybody is told that it is kept."""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from schemas import BadInputError, ConflictError, StorageError, UserError
from schemas.audit import JUDGEMENTS, MOST_NOTE, Judgement, Verdict, check_auditor

VERDICT_FOLDER = "verdicts"

_VERDICT = TypeAdapter(Verdict)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class VerdictLog:
    """The verdicts of one auditor on a sample, kept open by one process.

    What `append` returned from is on the disk. A line that a killed process left half is cut off when the log is opened
    again; it was never confirmed.
    """

    def __init__(self, sample: Path, auditor: str, *, num_items: int, now: Callable[[], str] = _now) -> None:
        """
        Args:
            sample: folder of the sample.
            auditor: whose verdicts.
            num_items: of the sample.
            now: the time that is written into verdicts.

        Raises:
            UserError: if the name is none.
            ConflictError: if another process has it open.
            BadInputError: if the file is damaged.
            StorageError: if it cannot be written.
        """
        check_auditor(auditor)
        self.auditor = auditor
        self._num_items = num_items
        self._now = now
        self.path = sample / VERDICT_FOLDER / f"{auditor}.jsonl"
        try:
            self.path.parent.mkdir(exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(f"{self.path}: cannot be written: {error}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise ConflictError(
                f"{self.path}: another `relmill audit serve` has it open; use that, or end it"
            ) from error
        data = self.path.read_bytes()
        self._end = data.rfind(b"\n") + 1
        self.verdicts = _parsed(self.path, data[: self._end], num_items)
        os.ftruncate(self._file, self._end)

    def append(self, item: int, judgement: Judgement | None, note: str = "") -> Verdict:
        """Write down a verdict; None takes back what was said before.

        Raises:
            UserError: if there is no such item or judgement, or the note is too long.
            StorageError: if it cannot be written; then it is as if nothing had been said.
        """
        if not 0 <= item < self._num_items:
            raise UserError(f"item {item}: the sample has the items 0 to {self._num_items - 1}")
        if judgement is not None and judgement not in JUDGEMENTS:
            raise UserError(f"judgement {judgement!r}: give one of {', '.join(JUDGEMENTS)}")
        if len(note) > MOST_NOTE:
            raise UserError(f"the note has {len(note)} characters; give at most {MOST_NOTE}")
        verdict = Verdict(item, self.auditor, judgement, note, self._now())
        line = json.dumps(asdict(verdict), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            written = os.pwrite(self._file, line, self._end)
            if written != len(line):
                raise OSError(f"only {written} of {len(line)} bytes were taken")
            os.fsync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):  # cut off when it is opened again
                os.ftruncate(self._file, self._end)
            raise StorageError(f"{self.path}: the verdict is not kept: {error}; free space and say it again") from error
        self._end += len(line)
        self.verdicts.append(verdict)
        return verdict

    def close(self) -> None:
        """Let others open it."""
        os.close(self._file)


def read_verdicts(sample: Path, *, num_items: int) -> list[Verdict]:
    """All verdicts on a sample, auditor by auditor; also while they are being made.

    Raises:
        BadInputError: if a file is damaged, or the name of none is that of an auditor.
    """
    folder = sample / VERDICT_FOLDER
    found: list[Verdict] = []
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else []:
        try:
            check_auditor(path.stem)
            data = path.read_bytes()
        except UserError as error:
            raise BadInputError(f"{path}: {error}") from error
        except OSError as error:
            raise BadInputError(f"{path}: cannot be read: {error}") from error
        verdicts = _parsed(path, data[: data.rfind(b"\n") + 1], num_items)
        if any(verdict.auditor != path.stem for verdict in verdicts):
            raise BadInputError(f"{path}: has verdicts of somebody else; give each auditor a file")
        found += verdicts
    return found


def latest(verdicts: Sequence[Verdict]) -> dict[tuple[str, int], Verdict]:
    """Auditor and item to what the auditor says of it now; without what was taken back."""
    found: dict[tuple[str, int], Verdict] = {}
    for verdict in verdicts:
        found.pop((verdict.auditor, verdict.item), None)
        if verdict.judgement is not None:
            found[verdict.auditor, verdict.item] = verdict
    return found


def _parsed(path: Path, data: bytes, num_items: int) -> list[Verdict]:
    verdicts = []
    for number, line in enumerate(data.splitlines(), 1):
        try:
            verdict = _VERDICT.validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "the line"
            raise BadInputError(
                f"{path}:{number}: {field}: {first['msg']}; restore the file, or remove the line"
            ) from error
        if not 0 <= verdict.item < num_items or verdict.v != 1:
            raise BadInputError(
                f"{path}:{number}: item {verdict.item}, version {verdict.v}; the sample has {num_items} items, and "
                f"this relmill reads version 1"
            )
        verdicts.append(verdict)
    return verdicts
