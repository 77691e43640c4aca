"""Plots of a benchmark: the score of each class against how often the class occurs."""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.local_files import replace_bytes
from schemas import StorageError, UserError
from stages.evaluate.benchmark import BenchmarkScore

_FORMATS = {".png": "png", ".svg": "svg"}
# Versions and dates would change the bytes.
_NO_METADATA: Mapping[str, Mapping[str, None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}

_TRAINED = "training instances"
_FOUND = "true instances"

# 1280 pixels wide; a letter of 11 pt is then 15 pixels high.
_DPI = 100
_WIDTH_INCHES = 12.8
_PANEL_INCHES = 5.2
_HEAD_INCHES = 1.3
_LETTERS_A_LINE = 110
_MOST_ABREAST = 3
_NUM_ABREAST = {1: 1, 2: 2, 4: 2}
"""By number of panels; `_MOST_ABREAST` for any other."""

# Colours that stay apart for the colour-blind (Okabe and Ito 2008), each with a shape of its own for print in grey.
_MARKERS = (
    ("#0072B2", "o"),
    ("#D55E00", "^"),
    ("#009E73", "s"),
    ("#CC79A7", "D"),
    ("#E69F00", "v"),
    ("#56B4E9", "P"),
)

_MOST_BINS = 10
_FEWEST_CLASSES_A_BIN = 5
_MEANS_LABEL = "mean of bins with about equal numbers of classes"

# A logarithmic axis has no place for 0. It gets one here, left of 1, with a line between.
_ZERO_AT = 0.35
_ZERO_LINE_AT = 0.6

_MEANS = {"color": "black", "linewidth": 1.8, "marker": "o", "markersize": 6, "markerfacecolor": "white"}

_STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 11,
    "grid.alpha": 0.35,
    "legend.frameon": False,
    "svg.fonttype": "none",  # words stay words: they can be searched and read aloud
    "svg.hashsalt": "relmill",  # else ids are drawn by chance
    "text.parse_math": False,  # a `$` in a name is a `$`
}


@dataclass(frozen=True, slots=True)
class BinnedMeans:
    """Means over bins of classes of like frequency, rarest first; (K,) each."""

    frequencies: tuple[float, ...]
    """Geometric mean of the bin's counts: its middle on a logarithmic axis."""
    values: tuple[float, ...]
    sizes: tuple[int, ...]
    """Classes in each bin."""


def plot_scores(path: Path, columns: Mapping[str, BenchmarkScore], *, title: str) -> None:
    """Draw each class as a point, its score over its frequency, and the trend as a line of binned means.

    There is a panel for each measure and column. The frequency is the number of training instances if every class
    drawn knows it, else the number of true instances in the evaluated images. Classes without a score (nothing to
    find) are not drawn; the panel's heading says of how many classes those drawn are. Equal scores, in any order of
    the classes, give equal bytes under equal versions of matplotlib.

    Args:
        path: ends in `.png` (1280 pixels wide) or `.svg`; replaced in one step if it exists.
        columns: scores by what they are called in the table, such as the name of the conventions.
        title: of the whole picture.

    Raises:
        UserError: if the ending is another, matplotlib is missing, or no class has a score.
        StorageError: if the file cannot be written.
    """
    form = plot_format(path)
    scored = [row for score in columns.values() for row in score.classes if row.value is not None]
    if not scored:
        raise UserError(f"{path}: nothing to plot: no class has a score")
    by_train = all(row.num_train is not None for row in scored)
    panels = _panels(columns, by_train=by_train)
    data = _drawn(panels, title=title, frequency=_TRAINED if by_train else _FOUND, form=form)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(path, data)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error}; give another place for the plot") from error


def plot_format(path: Path) -> str:
    """What a plot of this name is written as: to be asked before anything is spent on what it shows.

    Raises:
        UserError: if the ending is none of a plot's, or matplotlib is missing.
    """
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise UserError(f"{path}: ends in {path.suffix!r}; plots are {' or '.join(_FORMATS)}")
    if find_spec("matplotlib") is None:
        raise UserError("plots need matplotlib, not installed here; run: pip install 'relmill[plot]'")
    return form


def binned_means(points: Sequence[tuple[int, float]]) -> BinnedMeans:
    """Means over bins of about equal numbers of classes; classes of equal count share a bin.

    Args:
        points: count (at least 1) and score of each class, in any order.
    """
    if not points:
        return BinnedMeans((), (), ())
    counts, values = np.array(sorted(points), dtype=np.float64).T
    num_bins = min(_MOST_BINS, max(1, len(points) // _FEWEST_CLASSES_A_BIN))
    # A class goes where the middle of all of its count falls: a bin may come out larger, or be empty.
    _, place, num_equal = np.unique(counts, return_inverse=True, return_counts=True)
    middle = np.cumsum(num_equal) - num_equal / 2
    bin_of = (middle * num_bins / len(points)).astype(np.int64)[place]
    sizes = np.bincount(bin_of)
    used = sizes > 0
    frequencies = np.exp(np.bincount(bin_of, np.log(counts))[used] / sizes[used])
    means = np.bincount(bin_of, values)[used] / sizes[used]
    return BinnedMeans(tuple(frequencies.tolist()), tuple(means.tolist()), tuple(sizes[used].tolist()))


@dataclass(frozen=True, slots=True)
class _Point:
    group: str
    count: int
    value: float


@dataclass(frozen=True, slots=True)
class _Panel:
    measure: str
    column: str
    num_classes: int
    points: tuple[_Point, ...]
    """The classes with a score, sorted by name, which says what is drawn on top."""

    def heading(self, letters: int) -> str:
        """Lines of at most so many letters."""
        drawn = len(self.points)
        share = f"{drawn}" if drawn == self.num_classes else f"{drawn} of {self.num_classes}"
        what = ", ".join(filter(None, [self.column, self.measure]))
        return f"{textwrap.fill(what, letters)}\n{share} classes"


def _panels(columns: Mapping[str, BenchmarkScore], *, by_train: bool) -> list[_Panel]:
    """Measure by measure, and of each measure column by column."""
    panels = []
    for measure in dict.fromkeys(row.measure for score in columns.values() for row in score.classes):
        for column, score in columns.items():
            rows = [row for row in score.classes if row.measure == measure]
            points = [
                _Point(row.group, (row.num_train or 0) if by_train else row.num_truths, row.value)
                for row in sorted(rows, key=lambda row: (row.name, row.group))
                if row.value is not None
            ]
            panels.append(_Panel(measure, column, len(rows), tuple(points)))
    return panels


def _drawn(panels: Sequence[_Panel], *, title: str, frequency: str, form: str) -> bytes:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    data = io.BytesIO()
    with matplotlib.rc_context():
        # A matplotlibrc of the user's would change the bytes.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        _draw_figure(figure, panels, title=title, frequency=frequency)
        figure.savefig(data, format=form, metadata=_NO_METADATA[form])
    return data.getvalue()


def _draw_figure(figure: Any, panels: Sequence[_Panel], *, title: str, frequency: str) -> None:
    abreast = _NUM_ABREAST.get(len(panels), _MOST_ABREAST)
    num_rows = math.ceil(len(panels) / abreast)
    letters = _LETTERS_A_LINE // abreast
    figure.set_size_inches(_WIDTH_INCHES, _HEAD_INCHES + num_rows * _PANEL_INCHES)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    figure.suptitle(textwrap.fill(title, _LETTERS_A_LINE), fontsize=14, fontweight="bold")
    groups = sorted({point.group for panel in panels for point in panel.points})
    styles = {group: _MARKERS[place % len(_MARKERS)] for place, group in enumerate(groups)}
    top = max(point.value for panel in panels for point in panel.points) or 1.0
    counts = [point.count for panel in panels for point in panel.points]

    legend: dict[str, Any] = {}
    for place, panel in enumerate(panels):
        axes = figure.add_subplot(num_rows, abreast, place + 1)
        legend |= _draw_points(axes, panel, styles)
        axes.set_title(panel.heading(letters), fontsize=12)
        axes.set_xlabel(textwrap.fill(f"{frequency} of a class (number, log scale)", letters))
        axes.set_ylabel(f"{panel.measure} of a class (0 to 1)")
        axes.set_ylim(-0.03 * top, 1.05 * top)
        _number_frequencies(axes, counts)
    names = list(legend)
    figure.legend(legend.values(), names, loc="outside lower center", ncols=min(len(names), 5), markerscale=1.5)


def _draw_points(axes: Any, panel: _Panel, styles: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Draw the classes and their trend; returns what to say of them in the legend."""
    legend = {}
    for group, (colour, shape) in styles.items():
        found = [point for point in panel.points if point.group == group]
        xs = [point.count or _ZERO_AT for point in found]
        ys = [point.value for point in found]
        marks = axes.scatter(xs, ys, s=26, c=colour, marker=shape, alpha=0.6, linewidths=0)
        legend[group or "a class"] = marks
    means = binned_means([(point.count, point.value) for point in panel.points if point.count > 0])
    (line,) = axes.plot(means.frequencies, means.values, **_MEANS)
    if means.sizes:
        legend[_MEANS_LABEL] = line
    else:
        axes.text(0.5, 0.5, "no class has a score", transform=axes.transAxes, ha="center")
    return legend


def _number_frequencies(axes: Any, counts: Sequence[int]) -> None:
    """A logarithmic axis from 1 on, with a place for 0 if any class is there."""
    from matplotlib.ticker import FixedLocator, NullFormatter

    decades = [10**power for power in range(len(str(max(counts))) + 1)]
    any_zero = min(counts) == 0
    axes.set_xscale("log")
    axes.set_xlim(_ZERO_AT / 1.3 if any_zero else 0.8, 1.3 * max(*counts, 2))
    axes.xaxis.set_major_locator(FixedLocator([*([_ZERO_AT] if any_zero else []), *decades]))
    axes.xaxis.set_major_formatter(lambda value, _: "0" if value < 1 else f"{value:,.0f}")
    axes.xaxis.set_minor_locator(FixedLocator([step * decade for decade in decades for step in range(2, 10)]))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if any_zero:
        axes.axvline(_ZERO_LINE_AT, color="grey", linewidth=1, linestyle=":")
