"""The figures of a training: a file of JSON lines, and a line of text for the terminal with each."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from schemas import StorageError


class TrainingLog:
    """Means over some steps.

    Usage::

        log = TrainingLog(Path("metrics.jsonl"), 50, print, shown={"loss": "loss {:.3f}"}, start=0)
        log.add(1, {"loss": 2.5, "gradient_norm": 0.1}, num_pictures=8)
    """

    def __init__(
        self, path: Path, every: int, report: Callable[[str], None], *, shown: Mapping[str, str], start: int
    ) -> None:
        """
        Args:
            path: of the JSON lines. Those of steps after `start` are dropped, as these steps are done again.
            every: steps of a line.
            report: gets the line of text.
            shown: which figures the line of text has, in order, with the format of each.
            start: steps done.

        Raises:
            StorageError: if the file cannot be written; also `add`.
        """
        self._path = path
        self._every = every
        self._report = report
        self._shown = shown
        self._sums: dict[str, float] = {}
        self._num_steps = self._num_pictures = self._num_unreadable = 0
        self._since = time.monotonic()
        self._write("".join(line for line in self._lines() if json.loads(line)["step"] <= start), mode="w")

    def add(self, step: int, values: Mapping[str, float], *, num_pictures: int, num_unreadable: int = 0) -> None:
        """Take the figures of one step, which is the `step`-th.

        Args:
            step: from 1.
            values: by name; the same names in every step.
            num_pictures: that the step learned from.
            num_unreadable: that it could not read.
        """
        self._sums = {name: self._sums.get(name, 0.0) + value for name, value in values.items()}
        self._num_steps += 1
        self._num_pictures += num_pictures
        self._num_unreadable += num_unreadable
        if step % self._every == 0:
            self._flush(step)

    def measured(self, step: int, values: Mapping[str, float]) -> None:
        """Take what was measured of the network after a step: a line of its own, at once."""
        self._write(json.dumps({"step": step, **values}) + "\n", mode="a")
        self._report("  ".join([f"step {step}", *(f"{name} {value:.4f}" for name, value in values.items())]))

    def _flush(self, step: int) -> None:
        means = {name: total / self._num_steps for name, total in self._sums.items()}
        seconds = time.monotonic() - self._since
        speed = {"steps_per_s": self._num_steps / seconds, "pictures_per_s": self._num_pictures / seconds}
        line = {"step": step, **means, **speed, "num_unreadable": self._num_unreadable}
        self._write(json.dumps(line) + "\n", mode="a")
        parts = [f"step {step}", *(form.format(means[name]) for name, form in self._shown.items())]
        parts.append(f"{speed['pictures_per_s']:.1f} pictures/s")
        if self._num_unreadable:
            parts.append(f"{self._num_unreadable} unreadable")
        self._report("  ".join(parts))
        self._sums = {}
        self._num_steps = self._num_pictures = self._num_unreadable = 0
        self._since = time.monotonic()

    def _lines(self) -> list[str]:
        if not self._path.is_file():
            return []
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [line for line in lines if line.endswith("}\n")]  # the last one may be cut short

    def _write(self, text: str, *, mode: str) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open(mode, encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise StorageError(f"{self._path}: cannot be written: {error}; free some space") from error
