"""What `relmill evaluate` returns for a benchmark: figures under one or more sets of conventions, and what was read."""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.evaluate.benchmark import BenchmarkScore
from stages.ingest.files import content_sha256

_SHOWN = 5
_CLASS_COLUMNS = (
    "conventions", "measure", "class", "group", "value", "max_recall", "num_truths", "num_predictions", "num_train",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Input:
    """A file or an output folder that was read."""

    path: str
    sha256: str | None
    """Of a file's bytes; None for a folder, whose log names the digests of its files."""

    @classmethod
    def of(cls, path: str, *, is_folder: bool) -> "Input":
        """The input at a path."""
        return cls(path, None if is_folder else content_sha256(path))


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which images were evaluated, and what of the inputs does not count."""

    num_images: int
    """Of the ground truth; all of them are evaluated."""
    num_truths: int
    num_predictions: int
    without_prediction: tuple[str, ...]
    """Images of the ground truth of which the predictions say nothing: they count as found nothing."""
    notes: Mapping[str, int]
    """What was left out or kept as it was, and how often."""
    counted: tuple[str, str] = ("true relations", "predictions")
    """What the numbers of truths and predictions count."""

    def lines(self) -> list[str]:
        """For people."""
        missing = len(self.without_prediction)
        lines = [
            f"{self.num_images} images with {self.num_truths} {self.counted[0]}; "
            f"{self.num_images - missing} images with {self.num_predictions} {self.counted[1]}"
        ]
        if missing:
            some = ", ".join(self.without_prediction[:_SHOWN]) + (", ..." if missing > _SHOWN else "")
            lines.append(f"{missing} images without predictions, counted as nothing found: {some}")
        notes = [(text, count) for text, count in self.notes.items() if count]
        unknown = [(text, count) for text, count in notes if text.startswith("unknown class")]
        lines += [f"{count} {text}" for text, count in notes if not text.startswith("unknown class")]
        if unknown:
            most = sorted(unknown, key=lambda note: (-note[1], note[0]))[:_SHOWN]
            names = ", ".join(f"{text.removeprefix('unknown class: ')} ({count})" for text, count in most)
            lines.append(f"{len(unknown)} classes are none of the benchmark's, most often {names}")
        return lines


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A benchmark's figures, with all it takes to get them again."""

    benchmark: str
    title: str
    settings: Mapping[str, str]
    inputs: Mapping[str, Input]
    coverage: Coverage
    conventions: Mapping[str, Mapping[str, Any]]
    """By column, the choices made."""
    scores: Mapping[str, BenchmarkScore]
    """By column."""

    def to_text(self) -> str:
        """A table for a terminal: percentages, a column for each set of conventions, and what the columns differ in."""
        inputs = [[role, value.path] for role, value in self.inputs.items()]
        settings = [[name, value] for name, value in self.settings.items()]
        first = next(iter(self.scores.values()))
        known = sum(row.value is not None for row in first.classes)
        head = [
            f"{self.title}, in percent",
            *table_lines([*inputs, *settings]),
            *self.coverage.lines(),
            f"{known} of {len(first.classes)} classes have something to find",
        ]
        names = list(self.scores)
        figures = [
            [figure, *(_percent(score.figures.get(figure)) for score in self.scores.values())]
            for figure in first.figures
        ]
        differing = [
            [name, *(_plain(chosen[name]) for chosen in self.conventions.values())]
            for name in next(iter(self.conventions.values()))
            if len({repr(chosen[name]) for chosen in self.conventions.values()}) > 1
        ]
        tail = ["", *table_lines([["conventions that differ", *[""] * len(names)], *differing])] if differing else []
        return "\n".join([*head, "", *table_lines([["", *names], *figures], right=True), *tail])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "benchmark": self.benchmark,
            "settings": dict(self.settings),
            "inputs": {role: dataclasses.asdict(value) for role, value in self.inputs.items()},
            "coverage": {
                "images": self.coverage.num_images,
                "truths": self.coverage.num_truths,
                "predictions": self.coverage.num_predictions,
                "images_without_prediction": list(self.coverage.without_prediction),
                "notes": {text: count for text, count in self.coverage.notes.items() if count},
            },
            "results": {
                name: {"conventions": dict(self.conventions[name]), **score.to_json()}
                for name, score in self.scores.items()
            },
        }

    def to_csv(self) -> str:
        """A row for each column, measure and class."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_CLASS_COLUMNS)
        for name, score in self.scores.items():
            for row in score.classes:
                values = (row.value, row.max_recall, row.num_truths, row.num_predictions, row.num_train)
                writer.writerow([name, row.measure, row.name, row.group, *("" if v is None else v for v in values)])
        return text.getvalue()


def table_lines(rows: Sequence[Sequence[str]], *, right: bool = False) -> list[str]:
    """Rows of equally many cells as lines; with `right`, all columns but the first are flush right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return [
        "  ".join(
            cell.rjust(width) if right and column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"
