"""The job file: everything that decides what is labelled, how, and where it goes."""

from typing import Literal

from pydantic import Field

from schemas.job.dataset import DatasetJob, JobPart
from schemas.job.stages import CaptionJob, GivenCaptions, ParseJob, PriorTagger, ScreenJob, TagJob

StageName = Literal["screen", "caption", "parse", "tag", "pack"]


class PoolJob(JobPart):
    """Size of one stage's worker pool on Ray."""

    workers: int | None = Field(default=None, ge=1)
    """Number of workers. Left out: in proportion to the cluster's CPUs, or one per GPU; at least 1."""
    cpus: float | None = Field(default=None, ge=0)
    """Logical CPUs a worker reserves. Left out: half of an equal share, so that all still fit on half the nodes."""
    gpus: float | None = Field(default=None, ge=0)
    """GPUs a worker reserves, fractions allowed. Left out: 1 for a stage that wants one, if there are any."""


class RuntimeJob(JobPart):
    """How the job is run. Nothing here changes a byte of the output, so nothing here is part of the job's identity."""

    kind: Literal["inline", "ray"] = "inline"
    """`inline` runs in this process, one unit at a time; `ray` on a local or existing cluster."""
    address: str | None = None
    """Ray cluster to join (`auto`, `ray://...`); a local one is started if left out."""
    pools: dict[StageName, PoolJob] = Field(default_factory=dict)
    """Worker pools by stage."""
    window_units: int = Field(default=32, ge=1)
    """Most units under way at once."""
    window_mb: int = Field(default=2048, ge=1)
    """Most encoded picture bytes under way at once, in MB (10^6)."""
    attempts: int = Field(default=3, ge=1)
    """Worker deaths a unit survives before it is run scene by scene, and then each scene before it is dead."""
    timeout_s: float = Field(default=600.0, gt=0)
    """Longest time one stage may take for one unit before its worker is ended."""
    max_dead_fraction: float = Field(default=0.01, ge=0, le=1)
    """Share of dead scenes at which the run stops with an error. Judged once 100 scenes are done, and at the end."""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """Serve Prometheus metrics on 127.0.0.1 at this port while the job runs."""


class Job(JobPart):
    """A labelling job."""

    dataset: DatasetJob
    screen: ScreenJob = ScreenJob()
    caption: CaptionJob = GivenCaptions(backend="given")
    parse: ParseJob = ParseJob()
    tag: TagJob = PriorTagger()
    output: str
    """Folder of the shards: local path or `s3://` URL. Relative paths resolve against the job file."""
    unit_size: int = Field(default=16, ge=1, le=100_000)
    """Scenes per unit, and so per shard."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything random: sampling of captions, procedural pictures."""
    runtime: RuntimeJob = RuntimeJob()
