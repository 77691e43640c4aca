"""How units are run: in this process, or by Ray actors. Both yield the same drafts in the same order."""

from collections.abc import Iterable, Iterator

from pipeline.runtimes.context import ClusterShare, RunContext, Stop
from pipeline.runtimes.inline import run_inline
from schemas.commit import Commit
from schemas.unit import Unit

__all__ = ["ClusterShare", "RunContext", "Stop", "run_units"]


def run_units(context: RunContext, units: Iterable[Unit]) -> Iterator[Commit]:
    """Run units with the job's runtime and yield a commit draft for each, in the order given.

    The files that a draft names are published; it is the caller who commits. Ends early, between units, once
    `context.stop` drains.
    """
    if context.runtime.kind == "inline":
        yield from run_inline(context, units)
        return
    from pipeline.runtimes.ray_actors import run_ray

    yield from run_ray(context, units)
