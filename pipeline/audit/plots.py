"""The plots of the audit's report: SVG to be put into a page, which it needs nothing else for.

Every text on them is ours or a number. Shapes differ as well as colours, and lines lie on white, so that they can be
read in print, and by who does not see colours. They are drawn for 400 px of width, and can be read at 320.
"""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

_WIDTH, _HEIGHT = 400, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 14, 44
_INK, _QUIET, _GRID, _ACCENT, _SECOND, _BAND = "#212529", "#5f6770", "#dfe3e8", "#2457a6", "#946200", "#c9d8ef"
_FONT = 'font-family="system-ui, sans-serif" font-size="13"'


def reliability_plot(bins: Sequence[dict[str, Any]], *, what: str) -> Markup:
    """Mean score of each bin against its precision, with intervals; below, what share of the population it holds.

    Args:
        bins: of `figures["reliability"][what]`.
        what: `score` or `probability`.
    """
    parts = [_frame(f"mean {what} of the bin", "precision")]
    whole = sum(part["population"] for part in bins)
    for part in bins:
        height = 0.18 * part["population"] / whole if whole else 0.0
        x1, x2 = _x(part["low"]) + 2, _x(part["high"]) - 2
        parts.append(
            f'<rect x="{x1:.1f}" y="{_y(height):.1f}" width="{x2 - x1:.1f}" height="{_y(0) - _y(height):.1f}" '
            f'fill="{_GRID}"/>'
        )
    parts.append(_line((0, 0), (1, 1), _QUIET, dash="5 4"))
    for part in bins:
        x = part["mean_score"]
        if part["interval_95"]:
            low, high = part["interval_95"]
            parts += [_line((x, low), (x, high), _ACCENT, width=2), _cap(x, low), _cap(x, high)]
        # Hollow where too few items were judged for an interval.
        fill = _ACCENT if part["interval_95"] else "#fff"
        parts.append(
            f'<circle cx="{_x(x):.1f}" cy="{_y(part["value"]):.1f}" r="5" fill="{fill}" stroke="{_ACCENT}" '
            f'stroke-width="2"/>'
        )
    rows = "; ".join(f"{what} {part['mean_score']:.2f}: precision {part['value']:.2f}" for part in bins)
    return _svg(parts, f"Reliability diagram. {rows}.")


def threshold_plot(thresholds: dict[str, Any]) -> Markup:
    """Precision of what stays above a score, with its band, and the share of relations that stays.

    Where too few judged items stay for an interval, precision is not drawn: it would jump between 0 and 1.

    Args:
        thresholds: of the figures.
    """
    curve, wanted = thresholds["curve"], thresholds["wanted"]
    parts = [_frame("lowest score that stays", "share")]
    banded = [cut for cut in curve if cut["precision"]["interval_95"]]
    if banded:
        upper = [(cut["threshold"], cut["precision"]["interval_95"][1]) for cut in banded]
        lower = [(cut["threshold"], cut["precision"]["interval_95"][0]) for cut in reversed(banded)]
        parts.append(f'<polygon points="{_points(upper + lower)}" fill="{_BAND}"/>')
    parts.append(_line((0, wanted), (1, wanted), _QUIET, dash="5 4"))
    kept = [(cut["threshold"], cut["kept"]["value"]) for cut in curve]
    precise = [(cut["threshold"], cut["precision"]["value"]) for cut in banded]
    parts.append(_polyline(kept, _SECOND, dash="2 3"))
    parts.append(_polyline(precise, _ACCENT))
    for name in ("likely", "surely"):
        cut = thresholds[name]
        if cut is not None:
            x, y = _x(cut["threshold"]), _y(cut["precision"]["value"])
            fill = _ACCENT if name == "surely" else "#fff"
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5" fill="{fill}" stroke="{_ACCENT}" stroke-width="2"/>'
            )
    ends = "".join(
        f" From score {cut['threshold']:.2f} on: precision {cut['precision']['value']:.2f}, "
        f"{cut['kept']['value']:.2f} of relations stay."
        for cut in [*curve[:1], *curve[1:][-1:]]
    )
    return _svg(parts, f"Precision and share kept by score threshold; wanted precision {wanted:.2f}.{ends}")


def interval_bar(value: float | None, interval: Sequence[float] | None) -> Markup:
    """A share and its interval on a line from 0 to 1, for a row of a table whose figures say the same."""
    parts = ['<rect x="0" y="5" width="120" height="6" rx="3" fill="#e8ebef"/>']
    if interval is not None:
        low, high = interval
        parts.append(
            f'<rect x="{120 * low:.1f}" y="3" width="{max(1.0, 120 * (high - low)):.1f}" height="10" rx="2" '
            f'fill="#9db9e0"/>'
        )
    if value is not None:
        parts.append(f'<rect x="{min(117.0, 120 * value):.1f}" y="0" width="3" height="16" fill="{_ACCENT}"/>')
    return Markup(  # noqa: S704 - numbers and our own words
        f'<svg class="bar" viewBox="0 0 120 16" width="120" height="16" aria-hidden="true">{"".join(parts)}</svg>'
    )


def _frame(x_title: str, y_title: str) -> str:
    """Grid, ticks and titles of a unit square."""
    parts = []
    for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        parts.append(_line((0, tick), (1, tick), _GRID))
        parts.append(_text(_LEFT - 7, _y(tick) + 4, f"{tick:.1f}", anchor="end"))
        parts.append(_text(_x(tick), _HEIGHT - _BOTTOM + 18, f"{tick:.1f}", anchor="middle"))
    parts.append(_line((0, 0), (1, 0), _QUIET))
    parts.append(_text((_x(0) + _x(1)) / 2, _HEIGHT - 8, x_title, anchor="middle"))
    middle = (_y(0) + _y(1)) / 2
    parts.append(f'<g transform="rotate(-90 12 {middle:.0f})">{_text(12, middle, y_title, anchor="middle")}</g>')
    return "".join(parts)


def _x(value: float) -> float:
    return _LEFT + value * (_WIDTH - _LEFT - _RIGHT)


def _y(value: float) -> float:
    return _HEIGHT - _BOTTOM - value * (_HEIGHT - _TOP - _BOTTOM)


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)


def _line(
    start: tuple[float, float], end: tuple[float, float], colour: str, *, width: float = 1, dash: str = ""
) -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{_x(start[0]):.1f}" y1="{_y(start[1]):.1f}" x2="{_x(end[0]):.1f}" y2="{_y(end[1]):.1f}" '
        f'stroke="{colour}" stroke-width="{width}"{dashes}/>'
    )


def _cap(x: float, y: float) -> str:
    """The end of an interval."""
    return (
        f'<line x1="{_x(x) - 4:.1f}" y1="{_y(y):.1f}" x2="{_x(x) + 4:.1f}" y2="{_y(y):.1f}" stroke="{_ACCENT}" '
        f'stroke-width="2"/>'
    )


def _polyline(points: Sequence[tuple[float, float]], colour: str, *, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{_points(points)}" fill="none" stroke="{colour}" stroke-width="2.5"{dashes}/>'


def _text(x: float, y: float, text: str, *, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_INK}" {_FONT}>{text}</text>'


def _svg(parts: Sequence[str], description: str) -> Markup:
    return Markup(  # noqa: S704 - numbers and our own words
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{description}">'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>{"".join(parts)}</svg>'
    )
