"""The files of a sample: `sample.json` and `items.jsonl`."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from schemas import BadInputError, ConflictError, StorageError
from schemas.audit import SAMPLE_VERSION, AuditItem, AuditSample
from stages.pack import CommitLog, LogDigest
from stages.storage import Folder

SAMPLE_FILE, ITEMS_FILE = "sample.json", "items.jsonl"


def write_sample(folder: Path, sample: AuditSample, items: Iterable[AuditItem]) -> None:
    """Write a sample into a folder that has none. `sample.json` is written last: where it is, the sample is whole.

    Raises:
        ConflictError: if there is one.
        StorageError: if it cannot be written.
    """
    files = Folder(str(folder))
    if (folder / SAMPLE_FILE).exists():
        raise ConflictError(f"{folder}: has a sample already, and maybe verdicts on it; give another folder")
    lines = [_line(asdict(item)) for item in items]
    assert len(lines) == sample.num_items, (len(lines), sample.num_items)
    try:
        files.replace(ITEMS_FILE, b"".join(lines))
        files.replace(SAMPLE_FILE, json.dumps(asdict(sample), indent=1).encode() + b"\n")
        files.remove_folder("tmp")
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error}") from error


def read_sample(folder: Path) -> tuple[AuditSample, tuple[AuditItem, ...]]:
    """A sample and its items, in the order in which they are judged.

    Raises:
        BadInputError: if there is none, or it is damaged or of another version; names the file.
    """
    path = folder / SAMPLE_FILE
    document = _json(path, _read(path))
    if not isinstance(document, dict) or document.get("schema") != SAMPLE_VERSION:
        found = document.get("schema") if isinstance(document, dict) else None
        raise BadInputError(f"{path}: schema is {found!r}; this relmill reads {SAMPLE_VERSION!r}")
    sample: AuditSample = _validated(path, AuditSample, document)
    path = folder / ITEMS_FILE
    items = tuple(
        _validated(f"{path}:{number}", AuditItem, _json(f"{path}:{number}", line))
        for number, line in enumerate(_read(path).splitlines(), 1)
    )
    if [item.number for item in items] != list(range(sample.num_items)):
        raise BadInputError(f"{path}: is not the {sample.num_items} items of this sample; restore it, or draw anew")
    if any(not 0 <= item.stratum < len(sample.strata) for item in items):
        raise BadInputError(f"{path}: an item is of a stratum that {SAMPLE_FILE} does not have; restore both")
    return sample, items


def log_digest(folder: Folder, length: int | None = None) -> tuple[int, str]:
    """How many entries the log of an output has, or `length` of them, and their digest; see `LogDigest`.

    Raises:
        BadInputError: if the log has fewer than `length`, or an entry is damaged.
    """
    digests = LogDigest()
    for entry in CommitLog(folder).entries():
        if digests.length == length:
            break
        digests.add(entry)
    found = digests.of(digests.length if length is None else length)
    if found is None:
        raise BadInputError(
            f"{folder}: its log has {digests.length} entries, fewer than the {length} that were there before"
        )
    return digests.length, found


def check_output(sample: AuditSample, folder: Folder) -> None:
    """Refuse an output that is not the one that a sample was drawn from; it may have grown since.

    Raises:
        BadInputError: saying so.
    """
    _, found = log_digest(folder, sample.log_length)
    if found != sample.log_sha256:
        raise BadInputError(f"{folder}: is not the output that the sample was drawn from; restore it, or draw anew")


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadInputError(f"{path}: no such file; draw a sample with `relmill audit sample`") from error
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error}") from error


def _json(where: object, data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise BadInputError(f"{where}: not valid JSON: {error}") from error


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _validated(where: object, kind: type, document: Any) -> Any:
    try:
        return _adapter(kind).validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BadInputError(f"{where}: {field}: {first['msg']} (found {first['input']!r}); restore it") from error
