"""The figures of a run as Prometheus metrics, served while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from pipeline.meter import Meter
from schemas import UserError


class _Collector:
    """Reads the meter when it is scraped; nothing is counted twice."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def collect(self) -> Iterator[Metric]:
        meter, totals = self._meter, self._meter.totals
        scenes = CounterMetricFamily(
            "relmill_scenes", "Committed scenes by outcome, earlier runs included", labels=["outcome"]
        )
        for outcome in ("written", "rejected", "dead"):
            scenes.add_metric([outcome], getattr(totals, outcome))
        yield scenes
        yield GaugeMetricFamily("relmill_scenes_planned", "Scenes in the plan", value=meter.num_records)
        yield CounterMetricFamily("relmill_relations", "Relations in committed scenes", value=totals.relations)
        yield GaugeMetricFamily(
            "relmill_units_under_way", "Units admitted and not yet committed", value=meter.units_under_way
        )
        yield GaugeMetricFamily(
            "relmill_images_per_second", "Committed scenes per second of this run", value=meter.images_per_s
        )
        yield from self._stages()

    def _stages(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {
            "scenes": CounterMetricFamily("relmill_stage_scenes", "Scenes a stage has seen", labels=["stage"]),
            "busy_s": CounterMetricFamily(
                "relmill_stage_busy_seconds", "Time inside a stage, over its workers", labels=["stage"]
            ),
            "wait_s": CounterMetricFamily(
                "relmill_stage_wait_seconds", "Time work lay waiting for a stage", labels=["stage"]
            ),
            "deaths": CounterMetricFamily(
                "relmill_stage_worker_deaths", "Workers that died or were ended", labels=["stage"]
            ),
            "workers": GaugeMetricFamily("relmill_stage_workers", "Workers of a stage", labels=["stage"]),
        }
        for name, figures in self._meter.stages.items():
            for field, family in families.items():
                family.add_metric([name], getattr(figures, field))
        yield from families.values()


@contextmanager
def serve_metrics(meter: Meter, port: int | None) -> Iterator[None]:
    """Serve metrics on 127.0.0.1 at `port` while the block runs; None serves nothing, 0 takes a free port.

    Raises:
        UserError: if the port is taken.
    """
    if port is None:
        yield
        return
    registry = CollectorRegistry()
    registry.register(_Collector(meter))
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        raise UserError(f"runtime.metrics_port {port}: {error}; choose another port, or 0 for a free one") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
