"""How many workers each stage gets, and what each reserves on the cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas import UserError
from schemas.job import RuntimeJob
from schemas.job.job import PoolJob
from stages.contract import Stage, wants_gpu

# Shares of the cluster's CPUs that the CPU stages' pools get by default: decoding, parsing and scoring dominate.
_CPU_SHARES = {"screen": 0.25, "parse": 0.35, "tag": 0.25, "pack": 0.15}

# Packing waits for the disk to sync more than it computes; a second worker keeps the disk busy.
_LEAST = {"pack": 2}


@dataclass(frozen=True, slots=True)
class PoolSize:
    """A pool as it will be started."""

    workers: int
    cpus: float
    gpus: float


def pool_sizes(
    names: Sequence[str], runtime: RuntimeJob, resources: Mapping[str, float], stages: Sequence[Stage]
) -> list[PoolSize]:
    """Sizes of the pools, in order. What the job does not say is derived from the cluster as it stands.

    Raises:
        UserError: if the cluster cannot hold what the job asks for.
    """
    gpu_stages = {stage.name for stage in stages if wants_gpu(stage)}
    num_cpus, num_gpus = resources.get("CPU", 1.0), resources.get("GPU", 0.0)
    pools: Mapping[str, PoolJob] = {str(name): pool for name, pool in runtime.pools.items()}
    workers, gpus = {}, {}
    for name in names:
        pool = pools.get(name, PoolJob())
        gpus[name] = pool.gpus if pool.gpus is not None else float(name in gpu_stages and num_gpus > 0)
        share = num_gpus / gpus[name] if gpus[name] else num_cpus * _CPU_SHARES.get(name, 0.0)
        workers[name] = pool.workers or max(_LEAST.get(name, 1), int(share))
    # Half of an equal share: a cluster that loses half its nodes can still place every worker.
    cpus = int(50 * min(1.0, num_cpus / sum(workers.values()))) / 100
    sizes = []
    for name in names:
        pool = pools.get(name, PoolJob())
        sizes.append(PoolSize(workers[name], pool.cpus if pool.cpus is not None else cpus, gpus[name]))
    for kind, available, needed in (
        ("CPU", num_cpus, sum(size.workers * size.cpus for size in sizes)),
        ("GPU", num_gpus, sum(size.workers * size.gpus for size in sizes)),
    ):
        if needed > available + 1e-6:
            raise UserError(
                f"runtime.pools: the workers reserve {needed:g} {kind}s, the cluster has {available:g}; "
                f"lower workers or {kind.lower()}s"
            )
    return sizes
