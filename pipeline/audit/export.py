"""`relmill audit export`: a sample as a folder that another tool imports."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas import ConflictError, StorageError, UserError
from schemas.audit import AuditItem, AuditSample, Verdict
from stages.audit import check_output, latest, read_item, read_sample, read_verdicts
from stages.audit.exports import PictureFiles, ShownItem, fiftyone_files, label_studio_files, shown_item
from stages.audit.exports.fiftyone import PICTURE_FOLDER as FIFTYONE_PICTURES
from stages.audit.exports.label_studio import PICTURE_FOLDER as LABEL_STUDIO_PICTURES
from stages.storage import Folder

TOOLS: dict[str, tuple[str, Callable[[Sequence[ShownItem]], dict[str, str]]]] = {
    "fiftyone": (FIFTYONE_PICTURES, fiftyone_files),
    "label-studio": (LABEL_STUDIO_PICTURES, label_studio_files),
}
"""Tool to the folder of its pictures, and what writes its other files."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What came of an export."""

    folder: Path
    num_items: int
    num_pictures: int
    num_verdicts: int
    num_without_picture: int
    """Items left out, as the output has no picture of their scene."""

    def __str__(self) -> str:
        said = f", {self.num_verdicts} verdicts" if self.num_verdicts else ""
        left = f"\n{self.num_without_picture} items left out: the output has no picture of theirs"
        return f"{self.folder}: {self.num_items} items on {self.num_pictures} pictures{said}; see its README.md" + (
            left if self.num_without_picture else ""
        )


def export_sample(sample_folder: Path, folder: Path, *, to: str, output: str | None = None) -> Exported:
    """Write a sample, with its pictures and the verdicts so far, into a new folder for another tool.

    Either all of the folder is there afterwards, or none of it.

    Args:
        sample_folder: of the sample.
        folder: to make; it may be there if it is empty.
        to: one of `TOOLS`.
        output: folder or URL of the output, if it lies elsewhere than when the sample was drawn.

    Raises:
        UserError: if there is no such tool, or the output has no pictures at all.
        ConflictError: if the folder has files already.
        BadInputError: if the sample or its output is damaged, or not what it was.
        StorageError: if it cannot be written.
    """
    if to not in TOOLS:
        raise UserError(f"--to {to!r}: give one of {', '.join(TOOLS)}")
    sample, items = read_sample(sample_folder)
    verdicts = latest(read_verdicts(sample_folder, num_items=sample.num_items))
    with_picture = [item for item in items if item.image is not None]
    if items and not with_picture:
        raise UserError(
            f"{sample.output}: has no pictures (it was made without pixels), and {to} shows nothing without them; "
            f"label again with pixels, or judge with `relmill audit serve`"
        )
    source = Folder(output or sample.output)
    check_output(sample, source)
    pictures, files = TOOLS[to]
    try:
        _refuse_taken(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        # In a folder beside it: what a full disk or a damaged shard leaves half is never taken for an export.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            made = Path(scratch) / "made"
            (made / pictures).mkdir(parents=True)
            shown, written = _write_pictures(sample, with_picture, verdicts, source, made / pictures)
            for name, text in files(shown).items():
                (made / name).write_text(text, encoding="utf-8", newline="\n")
            _move(made, folder)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error}; free space, or give another folder") from error
    return Exported(
        folder=folder,
        num_items=len(shown),
        num_pictures=len(written),
        num_verdicts=sum(len(one.verdicts) for one in shown),
        num_without_picture=len(items) - len(shown),
    )


def _write_pictures(
    sample: AuditSample,
    items: Sequence[AuditItem],
    verdicts: Mapping[tuple[str, int], Verdict],
    output: Folder,
    folder: Path,
) -> tuple[list[ShownItem], PictureFiles]:
    """What is shown of each item, its picture being written; one picture is in memory at a time."""
    written = PictureFiles(folder)
    shown = []
    for item in items:
        scene = read_item(output, item)
        picture = written.of(item.key) or written.write(scene)
        shown.append(shown_item(sample, item, scene, picture, verdicts))
    return shown, written


def _refuse_taken(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise ConflictError(f"{folder}: is there already, and is no empty folder; give another")


def _move(made: Path, folder: Path) -> None:
    _refuse_taken(folder)
    if folder.is_dir():
        folder.rmdir()
    shutil.move(made, folder)
