"""Progress for a person: a live table on a terminal, a line every ten seconds elsewhere."""

import sys
import threading

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from pipeline.meter import Meter
from stages.duration import duration

_LINE_EVERY_S = 10.0


class Progress:
    """Shows a meter on stderr; results go to stdout."""

    def __init__(self, meter: Meter, *, quiet: bool = False) -> None:
        self._meter = meter
        self._quiet = quiet
        console = Console(stderr=True)
        self._live = (
            Live(get_renderable=self._render, console=console, refresh_per_second=4, transient=True)
            if console.is_terminal and not quiet
            else None
        )
        self._over = threading.Event()
        self._printer = threading.Thread(target=self._print_lines, daemon=True)

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        elif not self._quiet:
            self._printer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        if self._live:
            self._live.stop()

    def _print_lines(self) -> None:
        # A thread, so that a run that stands still says so too.
        while not self._over.wait(_LINE_EVERY_S):
            print(self._line(), file=sys.stderr, flush=True)  # noqa: T201 - this is the terminal's face

    def _line(self) -> str:
        meter, totals = self._meter, self._meter.totals
        return (
            f"{totals.planned}/{meter.num_records} scenes  {meter.images_per_s:.1f}/s  ETA {duration(meter.eta_s)}  "
            f"{totals.relations} relations  {totals.rejected} rejected  {totals.dead} dead"
            + (f"  ({meter.notice})" if meter.notice else "")
        )

    def _render(self) -> RenderableType:
        meter = self._meter
        table = Table(
            "stage", "workers", "scenes", "scenes/s busy", "busy", "wait/call", "deaths", box=None, pad_edge=False
        )
        for name, figures in meter.stages.items():
            speed = figures.scenes / figures.busy_s if figures.busy_s else 0.0
            wait = figures.wait_s / figures.calls if figures.calls else 0.0
            table.add_row(
                name,
                str(figures.workers),
                str(figures.scenes),
                f"{speed:.1f}",
                f"{meter.busy_fraction(name):.0%}",
                f"{wait:.2f} s",
                str(figures.deaths),
            )
        bar = ProgressBar(total=max(1, meter.num_records), completed=meter.totals.planned, width=60)
        return Group(bar, self._line(), table)
