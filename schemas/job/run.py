"""The file of `relmill run`: which labelling and which training share a cluster."""

from pydantic import Field

from schemas.job.dataset import JobPart


class RunJob(JobPart):
    """A labelling and a training that begins before the labelling has ended."""

    label: str
    """Job file of the labelling. Relative paths resolve against this file."""
    train: str
    """Job file of the training. One of its sources is the labelling's output, with `follow: true`."""
    start_after: int = Field(default=1, ge=1)
    """Commits of the labelling after which the training is started. It takes its first step when the first window of
    each followed source is committed."""
    workers_after: int | None = Field(default=None, ge=1)
    """Workers of the training once labelling has ended and its part of the cluster is free. Left out: as before."""
    address: str | None = None
    """Ray cluster to join (`auto`, `ray://...`); a local one is started if left out."""
