"""`relmill estimate`: label a few units for real, throw the result away, and project what the whole job takes."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from scipy import stats

from pipeline.label import Prepared
from pipeline.meter import Meter
from pipeline.runtimes import RunContext, Stop, run_units
from schemas.unit import Unit
from stages.contract import wants_gpu
from stages.storage import Folder


@dataclass(frozen=True, slots=True)
class Projection:
    """Worker-seconds a stage needs for the whole job, with a 95 % interval (Student's t over the sampled units)."""

    stage: str
    wants_gpu: bool
    per_scene_s: float
    total_s: float
    low_s: float
    high_s: float
    setup_s: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job will take."""

    num_records: int
    num_units: int
    sampled_units: int
    sampled_records: int
    stages: tuple[Projection, ...]
    bytes_per_record: float
    """Shard bytes a record."""

    @property
    def gpu_hours(self) -> tuple[float, float, float]:
        """Projected GPU-hours with the interval's ends, for one whole GPU a worker."""
        return self._hours(gpu=True)

    @property
    def cpu_hours(self) -> tuple[float, float, float]:
        """Projected worker-hours of the stages that run on CPUs."""
        return self._hours(gpu=False)

    @property
    def slowest(self) -> Projection:
        """The stage that decides the time: its seconds over its workers is the wall clock of a well-fed pipeline."""
        return max(self.stages, key=lambda stage: stage.total_s)

    def _hours(self, *, gpu: bool) -> tuple[float, float, float]:
        chosen = [stage for stage in self.stages if stage.wants_gpu == gpu]
        totals = (sum(s.total_s for s in chosen), sum(s.low_s for s in chosen), sum(s.high_s for s in chosen))
        return totals[0] / 3600, totals[1] / 3600, totals[2] / 3600


def estimate(prepared: Prepared, *, num_units: int = 3) -> Estimate:
    """Label `num_units` units, spread over the plan by the job's seed, in this process, into a temporary folder.

    One process measures a stage's own cost: on a cluster, divide by the workers of its pool.
    """
    units = prepared.plan.units
    chosen = sorted(Random(prepared.job.seed).sample(range(len(units)), min(num_units, len(units))))
    names = (*(stage.name for stage in prepared.stages), "pack")
    meter = Meter(stage_names=names, num_records=prepared.plan.summary.num_records)
    samples: dict[str, list[float]] = {name: [] for name in names}
    sizes, num_bytes = [], 0
    with tempfile.TemporaryDirectory(prefix="relmill-estimate-") as scratch, Stop() as stop:
        folder = Folder(scratch)
        copies = [_copy(prepared.folder, folder, units[number]) for number in chosen]
        runtime = prepared.job.runtime.model_copy(update={"kind": "inline"})
        context = RunContext(prepared.stages, folder, prepared.digest, runtime, meter, stop)
        before = dict.fromkeys(names, 0.0)
        for unit, draft in zip(copies, run_units(context, copies), strict=False):
            for name in names:
                busy = meter.stages[name].busy_s
                samples[name].append((busy - before[name]) / unit.num_records)
                before[name] = busy
            sizes.append(unit.num_records)
            num_bytes += draft.shard.bytes if draft.shard else 0
    gpu_stages = {stage.name for stage in prepared.stages if wants_gpu(stage)}
    projections = tuple(_project(name, samples[name], meter, wants_gpu=name in gpu_stages) for name in names)
    sampled = sum(sizes)
    return Estimate(
        prepared.plan.summary.num_records, len(units), len(sizes), sampled, projections, num_bytes / max(1, sampled)
    )


def _copy(source: Folder, target: Folder, unit: Unit) -> Unit:
    """A unit whose records lie in the scratch folder, so that nothing touches the real output."""
    name = f"records-{unit.number}.jsonl.gz"
    target.create(name, source.read(unit.file, unit.offset, unit.offset + unit.length))
    return replace(unit, file=name, offset=0)


def _project(name: str, per_scene_s: Sequence[float], meter: Meter, *, wants_gpu: bool) -> Projection:
    n = len(per_scene_s)
    mean = sum(per_scene_s) / n if n else 0.0
    half = math.inf
    if n > 1:
        variance = sum((value - mean) ** 2 for value in per_scene_s) / (n - 1)
        half = float(stats.t.ppf(0.975, n - 1)) * math.sqrt(variance / n)
    total = meter.num_records
    return Projection(
        stage=name,
        wants_gpu=wants_gpu,
        per_scene_s=mean,
        total_s=mean * total,
        low_s=max(0.0, mean - half) * total,
        high_s=(mean + half) * total,
        setup_s=meter.stages[name].setup_s,
    )
