"""`relmill audit sample`: draw relations of an output for people to judge."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pipeline.inspect.inspection import clean
from schemas import ConflictError
from schemas.audit import AuditSample, Dimension
from stages.audit import write_sample
from stages.audit.draw import Plan, draw_sample
from stages.audit.sample_files import SAMPLE_FILE
from stages.audit.strata import Allocation
from stages.audit.verdict_log import VERDICT_FOLDER
from stages.storage import Folder

_MOST_STRATA = 24
_REST = "all others"


@dataclass(frozen=True, slots=True)
class SampleSummary:
    """A sample that was drawn and written."""

    folder: Path
    sample: AuditSample
    num_merged: int
    """Strata of the population that were too rare to have their own, and are one together."""

    def to_text(self) -> str:
        """What was drawn from what, the largest strata, and what to do next."""
        sample = self.sample
        which = "asserted relations that are not of people" if sample.where is None else f"where {clean(sample.where)}"
        lines = [
            f"output      {clean(sample.output)}, {sample.log_length} entries of its log",
            f"population  {sample.population} relations  ({which})",
            f"drawn       {sample.num_items} in {len(sample.strata)} strata, seed {sample.seed}",
        ]
        if self.num_merged:
            lines.append(
                f"merged      {self.num_merged} strata of {len(sample.strata) - 1 + self.num_merged} are too rare to "
                f"have their own, and are one together"
            )
        if sample.auditors:
            told = ", ".join(f"{name} {len(sample.items_of(name))}" for name in sample.auditors)
            lines.append(f"auditors    {told} items; {sample.overlap:.0%} are judged by all")
        return "\n".join([*lines, "", *self._table(), "", f"next: relmill audit serve {self.folder}"])

    def _table(self) -> list[str]:
        """The strata by how many were drawn, aligned."""
        by = self.sample.by
        strata = sorted(self.sample.strata, key=lambda stratum: -stratum.population)
        rows = [[*by, "population", "drawn", "each stands for"]]
        for stratum in strata[:_MOST_STRATA]:
            values = [clean(stratum.values[name]) for name in by] if stratum.values else [_REST, *[""] * (len(by) - 1)]
            rows.append([*values[: len(by)], str(stratum.population), str(stratum.drawn), f"{stratum.weight:.1f}"])
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
        lines = [
            "  ".join(
                cell.ljust(width) if place < len(by) else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        more = len(strata) - _MOST_STRATA
        return [*lines, f"and {more} more; all are in {self.folder / SAMPLE_FILE}"] if more > 0 else lines


def sample(
    output: str,
    folder: Path,
    *,
    num_drawn: int = 400,
    by: str = "predicate,score,source",
    where: str | None = None,
    seed: int = 0,
    allocation: str = "sqrt",
    auditors: tuple[str, ...] = (),
    overlap: float = 1.0,
    num_threads: int | None = None,
) -> SampleSummary:
    """Draw a sample of an output (path or URL) and write it into a folder that has none.

    Args:
        by: names of dimensions between commas; none at all gives a simple random sample.
        num_threads: index files read side by side. It does not change the sample.

    Raises:
        ConflictError: if the folder has a sample, or verdicts on one.
        UserError: if something that is asked for makes no sense, or no relation qualifies.
        BadInputError: if it is no output, or damaged.
        StorageError: if the sample cannot be written.
        TransientError: if the store cannot be reached.
    """
    dimensions = tuple(cast(Dimension, name.strip()) for name in by.split(",") if name.strip())
    plan = Plan(num_drawn, dimensions, where, seed, cast(Allocation, allocation), auditors, overlap)
    for name in (SAMPLE_FILE, VERDICT_FOLDER):  # found out before minutes are spent
        if (folder / name).exists():
            raise ConflictError(
                f"{folder / name}: is of a sample that was drawn already, and maybe judged; give another folder"
            )
    drawn, items, num_merged = draw_sample(Folder(output), plan, num_threads=num_threads)
    write_sample(folder, drawn, items)
    return SampleSummary(folder, drawn, num_merged)
