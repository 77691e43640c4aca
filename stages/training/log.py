"""The figures of a training: a file of JSON lines, curves for TensorBoard, and a line of text for the terminal."""

import importlib.util
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from schemas import StorageError
from stages.duration import duration
from stages.storage import Folder

METRICS_FILE, CURVES_FOLDER = "metrics.jsonl", "tensorboard"


class TrainingLog:
    """Means over some steps, as `metrics.jsonl`, and as event files in `tensorboard/` if they are wanted.

    Usage::

        log = TrainingLog(Folder("out"), 50, print, shown={"loss": "loss {:.3f}"}, start=0, steps=1000)
        log.add(1, {"loss": 2.5, "gradient_norm": 0.1}, num_pictures=8)
    """

    def __init__(
        self,
        folder: Folder,
        every: int,
        report: Callable[[str], None],
        *,
        shown: Mapping[str, str],
        start: int,
        steps: int,
        curves: bool = False,
    ) -> None:
        """
        Args:
            folder: of the files. Lines of steps after `start` are dropped, as these steps are done again.
            every: steps of a line.
            report: gets the line of text.
            shown: which figures the line of text has, in order, with the format of each.
            start: steps done.
            steps: to do, all in all.
            curves: whether TensorBoard's event files are wanted. Without TensorBoard, or in an object store, a line of
                text says that there are none.

        Raises:
            StorageError: if a file cannot be written; also the other methods.
        """
        self._every = every
        self._report = report
        self._shown = shown
        self._start, self._steps = start, steps
        self._sums: dict[str, float] = {}
        self._num_steps = self._num_pictures = self._num_unreadable = 0
        self._began = self._since = self._last = time.monotonic()
        self._lines = _Lines(folder, start)
        self._curves = _open_curves(folder, start, report) if curves else None

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
        self._last = time.monotonic()
        if step % self._every == 0:
            self._flush(step)

    def measured(self, step: int, values: Mapping[str, float]) -> None:
        """Take what was measured of the network after the last step: a line of its own, at once."""
        self._since += time.monotonic() - self._last  # no step was done meanwhile
        self._write(step, values, group="validation")
        self._report("  ".join([f"step {step}", *(f"{name} {value:.4f}" for name, value in values.items())]))

    def close(self) -> None:
        """Close the files. What was added is in them before, too."""
        if self._curves is not None:
            self._curves.close()

    def _flush(self, step: int) -> None:
        now = self._last
        means = {name: total / self._num_steps for name, total in self._sums.items()}
        seconds = now - self._since
        speed = {"steps_per_s": self._num_steps / seconds, "pictures_per_s": self._num_pictures / seconds}
        self._write(step, {**means, **speed, "num_unreadable": self._num_unreadable}, group="training")
        parts = [f"step {step} of {self._steps}", *(form.format(means[name]) for name, form in self._shown.items())]
        parts.append(f"{speed['pictures_per_s']:.1f} pictures/s")
        if self._num_unreadable:
            parts.append(f"{self._num_unreadable} unreadable")
        # Of all steps since the start: states and validation take their time, too, but not in every line.
        left_s = (self._steps - step) * (now - self._began) / (step - self._start)
        self._report("  ".join([*parts, f"ETA {duration(left_s)}"]))
        self._sums = {}
        self._num_steps = self._num_pictures = self._num_unreadable = 0
        self._since = now

    def _write(self, step: int, values: Mapping[str, float], *, group: str) -> None:
        self._lines.append({"step": step, **values})
        if self._curves is not None:
            for name, value in values.items():
                self._curves.add_scalar(f"{group}/{name}", value, step)
            self._curves.flush()


class _Lines:
    """The file of JSON lines. An object store cannot append, so there it is written anew with each line."""

    def __init__(self, folder: Folder, start: int) -> None:
        self._folder = folder
        self._kept = "".join(line for line in self._found() if json.loads(line)["step"] <= start)
        self._begin()

    def append(self, values: Mapping[str, float]) -> None:
        line = json.dumps(values) + "\n"
        if not self._folder.is_local:
            self._kept += line
            self._folder.replace(METRICS_FILE, self._kept.encode())
            return
        with _writing(self._folder.local_path(METRICS_FILE)) as path, path.open("a", encoding="utf-8") as file:
            file.write(line)

    def _begin(self) -> None:
        if not self._folder.is_local:
            self._folder.replace(METRICS_FILE, self._kept.encode())
            return
        with _writing(self._folder.local_path(METRICS_FILE)) as path:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{METRICS_FILE}.part")
            partial.write_text(self._kept, encoding="utf-8")
            partial.replace(path)

    def _found(self) -> list[str]:
        try:
            text = self._folder.read(METRICS_FILE).decode("utf-8", errors="replace")
        except FileNotFoundError:
            return []
        # The last one may be cut short.
        return [line for line in text.splitlines(keepends=True) if line.endswith("}\n")]


def _open_curves(folder: Folder, start: int, report: Callable[[str], None]) -> Any:
    """A `SummaryWriter`; None, and a line that says why, if there can be none."""
    if not folder.is_local:
        report(f"no TensorBoard curves: {folder} is no local folder; the figures are in {METRICS_FILE}")
        return None
    if importlib.util.find_spec("tensorboard") is None:
        report(
            f"no TensorBoard curves: TensorBoard is not installed here (pip install 'relmill[train]'); the figures are "
            f"in {METRICS_FILE}"
        )
        return None
    from torch.utils.tensorboard import SummaryWriter

    # What an earlier start said of the steps that are done again, TensorBoard then hides.
    with _writing(folder.local_path(CURVES_FOLDER)) as path:
        return SummaryWriter(str(path), purge_step=start + 1)


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    try:
        yield path
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error}; free some space") from error
