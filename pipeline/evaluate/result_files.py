"""The files that a result is written to, refused before anything is spent on what goes into them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline.evaluate.plot import plot_format, plot_scores
from pipeline.local_files import replacing
from schemas import UserError
from stages.evaluate.benchmark import BenchmarkScore


class WithFigures(Protocol):
    """A result with figures: every one."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""


class WithRows(Protocol):
    """A result with a row for each class or group."""

    def to_csv(self) -> str:
        """The rows, with their head."""


class WithScores(Protocol):
    """A result that can be drawn."""

    @property
    def title(self) -> str:
        """Of the picture."""

    @property
    def scores(self) -> Mapping[str, BenchmarkScore]:
        """By column."""


@dataclass(frozen=True, slots=True)
class ResultFiles:
    """Where to write; None is nowhere.

    Raises:
        UserError: if a folder is missing, or a plot cannot be drawn.
    """

    json: Path | None = None
    csv: Path | None = None
    plot: Path | None = None

    def __post_init__(self) -> None:
        for path in (self.json, self.csv, self.plot):
            if path is not None and not path.parent.is_dir():
                raise UserError(f"{path}: there is no folder {path.parent}; make it, or give another file")
        if self.plot is not None:
            plot_format(self.plot)

    def write_figures(self, result: WithFigures) -> None:
        """Write the JSON file.

        Raises:
            UserError: if it cannot be written.
        """
        if self.json is not None:
            write_text(self.json, json.dumps(result.to_json(), indent=1) + "\n")

    def write_rows(self, result: WithRows) -> None:
        """Write the CSV file.

        Raises:
            UserError: if it cannot be written.
        """
        if self.csv is not None:
            write_text(self.csv, result.to_csv())

    def draw(self, result: WithScores) -> None:
        """Draw the plot.

        Raises:
            UserError: if no class has a score.
            StorageError: if it cannot be written.
        """
        if self.plot is not None:
            plot_scores(self.plot, result.scores, title=result.title)


def write_text(path: Path, text: str) -> None:
    """Write a file, in one step.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        with replacing(path) as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}; give a file in another folder") from error
