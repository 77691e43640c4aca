"""`relmill audit report`: what auditors found, as a page that opens anywhere and as figures for other programs."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from pipeline.audit.gallery import Gallery, collect_gallery
from pipeline.audit.pair_picture import PairPicture
from pipeline.audit.plots import interval_bar, reliability_plot, threshold_plot
from schemas import BadInputError, StorageError, UserError
from schemas.audit import JUDGEMENTS
from stages.audit import audit_figures, latest, read_sample, read_verdicts
from stages.audit.estimates import FEWEST_FOR_INTERVAL
from stages.storage import Folder

PAGE, FIGURES = "report.html", "report.json"
_MOST_ROWS = 25
"""Predicates shown at once; the others can be unfolded."""
_NAME_HEIGHT = 0.1
"""Of a name beside its box, in parts of the picture's height."""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """A report that was written."""

    folder: Path
    figures: dict[str, Any]
    """Content of `report.json`; see `audit_figures`."""
    problem: str
    """Why it has no pictures; empty if it has."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return self.figures

    def to_text(self) -> str:
        """The main figures, for a terminal."""
        return "\n".join([*_main_lines(self.figures), *self._closing_lines()])

    def _closing_lines(self) -> list[str]:
        lines = [f"no pictures: {self.problem}"] if self.problem else []
        return [*lines, f"report: {self.folder / PAGE}"]


def write_audit_report(
    folder: Path, *, wanted: float = 0.9, most_errors: int = 60, output: str | None = None
) -> AuditReport:
    """Write `report.html` and `report.json` into a sample's folder, from what has been judged so far.

    Args:
        folder: of the sample.
        wanted: precision in (0, 1) that a score threshold is sought for.
        most_errors: relations in the gallery of errors.
        output: folder or URL of the output, if it lies elsewhere than when the sample was drawn.

    Raises:
        UserError: if `wanted` is no share, or nobody has judged anything.
        BadInputError: if the sample or its verdicts are damaged.
        StorageError: if the report cannot be written.
    """
    if not 0 < wanted < 1:
        raise UserError(f"--precision {wanted}: give a share between 0 and 1, such as 0.9")
    sample, items = read_sample(folder)
    verdicts = latest(read_verdicts(folder, num_items=sample.num_items))
    if not verdicts:
        raise UserError(f"{folder}: nobody has judged anything yet; run `relmill audit serve {folder}` first")
    try:
        figures = audit_figures(sample, items, verdicts, wanted=wanted)
    except BadInputError as error:
        raise BadInputError(f"{folder}: {error}") from error
    where = sample.output if output is None else output
    gallery = collect_gallery(sample, items, verdicts, output=where, most=most_errors)
    page = _page(folder, where, figures, gallery)
    target = Folder(str(folder))
    try:
        target.replace(FIGURES, json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        target.replace(PAGE, page)
        target.remove_folder("tmp")
    except OSError as error:
        raise StorageError(f"{folder}: the report cannot be written: {error}") from error
    return AuditReport(folder, figures, gallery.problem)


def _page(folder: Path, output: str, figures: dict[str, Any], gallery: Gallery) -> bytes:
    """The page. Everything in it that others wrote is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=percent, interval=interval, number=number, shell=shlex.quote, values=values)
    environment.globals.update(bar=interval_bar, place=_place)
    template = environment.from_string(files("pipeline.audit").joinpath("report.html.j2").read_text(encoding="utf-8"))
    reliability = figures["reliability"]
    page = template.render(
        folder=str(folder),
        output=output,
        figures=figures,
        gallery=gallery,
        judgements=JUDGEMENTS,
        fewest=FEWEST_FOR_INTERVAL,
        most_rows=_MOST_ROWS,
        reliability_plots={
            what: reliability_plot(reliability[what]["bins"], what=what) for what in reliability if reliability[what]
        },
        threshold_plot=threshold_plot(figures["thresholds"]) if figures["thresholds"]["curve"] else "",
    )
    return page.encode("utf-8", errors="replace")


def _main_lines(figures: Mapping[str, Any]) -> list[str]:
    progress, whole = figures["progress"], figures["precision"]
    lines = [
        f"judged       {progress['judged']} of {figures['sample']['num_items']} items by "
        f"{len(progress['auditors'])} auditor(s); {progress['unsure']} unsure",
        f"precision    {_estimate(whole)} of {number(whole['population'])} relations",
    ]
    if figures["unjudged"]["share"]:
        lines.append(
            f"             {percent(figures['unjudged']['share'])} of the population is in strata of which nothing is "
            f"judged yet"
        )
    kinds = [f"{kind} {percent(found['value'])}" for kind, found in figures["kinds"].items() if kind != "right"]
    lines.append(f"errors       {', '.join(kinds)}")
    worst = [row for row in figures["by"]["predicate"] if row["interval_95"] is not None][:3]
    lines += [f"{'worst' if i == 0 else '':12} {row['name']}  {_estimate(row)}" for i, row in enumerate(worst)]
    for pair in figures["agreement"]:
        kappa = pair["right_or_not"]
        value = "not defined" if kappa["kappa"] is None else f"{kappa['kappa']:.2f}"
        bounds = "" if kappa["interval_95"] is None else " ({:.2f} to {:.2f})".format(*kappa["interval_95"])
        lines.append(f"kappa        {value}{bounds}  {' and '.join(pair['auditors'])}, {kappa['items']} items")
    return [*lines, _threshold_line(figures["thresholds"])]


def _threshold_line(thresholds: Mapping[str, Any]) -> str:
    wanted, cut = percent(thresholds["wanted"]), thresholds["surely"]
    if cut is None:
        return f"threshold    none is surely at least {wanted} precise"
    return (
        f"threshold    {cut['threshold']:.3f}: at least {wanted} precise; {percent(cut['kept']['value'])} of relations "
        f"stay"
    )


def _estimate(found: Mapping[str, Any]) -> str:
    bounds = interval(found["interval_95"])
    return percent(found["value"]) + (f" ({bounds})" if bounds else "")


def percent(share: float | None) -> str:
    """`83.1 %`, or a dash for nothing."""
    return "–" if share is None else f"{100 * share:.1f} %"


def interval(bounds: Sequence[float] | None) -> str:
    """`78.0 to 87.2`, in percent; empty for nothing."""
    return "" if bounds is None else f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}"


def number(value: float) -> str:
    """A whole number, thousands apart by a thin space, as read in every language."""
    return f"{round(value):,}".replace(",", "\u2009")


def values(stratum: Mapping[str, str]) -> str:
    """A stratum in words."""
    return ", ".join(f"{name}: {value}" for name, value in stratum.items()) or "all that is too rare for its own"


def _place(picture: PairPicture, role: str) -> str:
    """CSS that puts a name beside its box: the subject's above and the object's below, if there is room."""
    x1, y1, x2, y2 = picture.subject if role == "subject" else picture.object
    above, below = y1 / picture.height > _NAME_HEIGHT, y2 / picture.height < 1 - _NAME_HEIGHT
    on_top, under = f"bottom:{100 - 100 * y1 / picture.height:.1f}%", f"top:{100 * y2 / picture.height:.1f}%"
    if role == "subject":
        inside = f"top:{100 * y1 / picture.height:.1f}%"
        upright = on_top if above else under if below else inside
    else:
        inside = f"bottom:{100 - 100 * y2 / picture.height:.1f}%"
        upright = under if below else on_top if above else inside
    # Names grow towards the middle of the picture, so that they are not cut off at its edge.
    if (x1 + x2) / 2 < picture.width / 2:
        return f"{upright};left:{100 * x1 / picture.width:.1f}%"
    return f"{upright};right:{100 - 100 * x2 / picture.width:.1f}%"
