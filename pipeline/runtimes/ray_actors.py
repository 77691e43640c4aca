"""The Ray runtime: one pool of actors per stage, units passed between them as object references.

Plain actors rather than Ray Data, because

- the unit of failure must be the scene, not a block: one bad record may not drop or re-run its neighbours;
- one unit is one shard, so order, names and bytes do not depend on blocks, workers or time;
- shards have to be invisible until they are whole, so the sink is ours anyway;
- a resume needs no actor pool of its own, and no more CPUs than the run did.

The driver holds references and summaries only and reads no scene (Ray keeps objects below 100 kB beside the reference,
unopened; larger ones stay on the node that made them). Everything that fails is run again from the plan, so nothing
depends on an object that a lost node held.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import exceptions as ray_exceptions
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from pipeline.pack_worker import PackWorker
from pipeline.records import read_records
from pipeline.runner import patiently
from pipeline.runtimes.context import RunContext
from pipeline.runtimes.pools import PoolSize, pool_sizes
from pipeline.runtimes.ray_cluster import ray_cluster
from pipeline.worker import Piece, StageWorker
from schemas import Dead, InternalError, RelmillError, StorageError, TransientError, UserError
from schemas.commit import Commit
from schemas.unit import Unit

# One call runs while the next waits on the worker's own queue, so that a worker never idles for the driver.
_CALLS_PER_WORKER = 2
# Lost objects are the cluster's fault, not the unit's; this only keeps a broken cluster from looping for ever.
_MAX_LOSSES = 20
# Workers in a row that die while loading: the stage's fault if none ever loaded, else rather the cluster's.
_MAX_SETUP_DEATHS = 3
_MAX_SETUP_DEATHS_ONCE_LOADED = 20
_SETUP_TIMEOUT_S = 1800.0
_PLACEMENT_NOTICE_S = 30.0

_DEATH_ERRORS = (
    ray_exceptions.RayActorError,
    ray_exceptions.WorkerCrashedError,
    ray_exceptions.NodeDiedError,
    ray_exceptions.OutOfMemoryError,
)


def run_ray(context: RunContext, units: Iterable[Unit]) -> Iterator[Commit]:
    """Yield a commit draft per unit, in order. See `run_units`."""
    with ray_cluster(context.runtime.address):
        driver = _Driver(context)
        try:
            yield from driver.drafts(iter(units))
        finally:
            driver.close()


@dataclass(slots=True, eq=False)
class _Task:
    """A piece on its way through the pools, or a unit waiting to be packed."""

    piece: Piece
    pool: int = 0
    payloads: tuple[Any, ...] = ()
    deaths: int = 0
    losses: int = 0
    queued: float = field(default_factory=time.monotonic)


@dataclass(slots=True, eq=False)
class _Call:
    """A task handed to a worker."""

    task: _Task
    value: Any
    summary: Any


@dataclass(slots=True, eq=False)
class _Worker:
    """An actor and the calls it has, oldest first; only the oldest is being executed."""

    actor: Any
    setup: Any
    """Reference of the setup call; None once the worker is ready."""
    calls: deque[_Call] = field(default_factory=deque)
    since: float = field(default_factory=time.monotonic)
    """When the oldest call, or the setup, began."""


@dataclass(slots=True, eq=False)
class _Pool:
    name: str
    size: PoolSize
    workers: list[_Worker] = field(default_factory=list)
    queue: deque[_Task] = field(default_factory=deque)
    setup_deaths: int = 0
    loaded: bool = False
    """Whether any worker ever loaded the stage."""


@dataclass(slots=True, eq=False)
class _UnitState:
    """A unit under way: one part when it runs whole, one per record when it was split."""

    unit: Unit
    parts: list[Any]
    image_bytes: dict[int, int] = field(default_factory=dict)


class _Driver:
    """The loop: admit units, hand tasks to idle workers, collect results, replace what died."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._runtime = context.runtime
        names = [stage.name for stage in context.stages] + ["pack"]
        resources = ray.cluster_resources() if context.share is None else context.share.resources
        sizes = pool_sizes(names, self._runtime, resources, context.stages)
        self._pools = [_Pool(name, size) for name, size in zip(names, sizes, strict=True)]
        self._units: dict[int, _UnitState] = {}
        self._drafts: dict[int, Commit] = {}
        self._order: deque[int] = deque()
        num_workers = sum(pool.size.workers for pool in self._pools)
        # A window smaller than what the workers can hold would idle them.
        self._window = max(self._runtime.window_units, _CALLS_PER_WORKER * num_workers + 2)
        for index, pool in enumerate(self._pools):
            context.meter.stages[pool.name].workers = pool.size.workers
            for _ in range(pool.size.workers):
                pool.workers.append(self._start(index))

    def drafts(self, units: Iterator[Unit]) -> Iterator[Commit]:
        """Drafts of the units in their order."""
        exhausted = False
        while True:
            while not exhausted and not self._context.stop.draining and self._has_room():
                unit = next(units, None)
                if unit is None:
                    exhausted = True
                else:
                    self._admit(unit)
            while self._order and self._order[0] in self._drafts:
                yield self._drafts.pop(self._order.popleft())
            if not self._order and (exhausted or self._context.stop.draining):
                return
            self._context.meter.units_under_way = len(self._order)
            self._dispatch()
            self._collect()
            self._expire()
            self._notice_waiting()

    def close(self) -> None:
        """End all workers."""
        for pool in self._pools:
            for worker in pool.workers:
                ray.kill(worker.actor)

    # Admission

    def _has_room(self) -> bool:
        under_way = sum(sum(state.image_bytes.values()) for state in self._units.values())
        return len(self._order) < self._window and under_way < self._runtime.window_mb * 1_000_000

    def _admit(self, unit: Unit) -> None:
        self._units[unit.number] = _UnitState(unit, parts=[None])
        self._order.append(unit.number)
        self._pools[0].queue.append(_Task(Piece(unit)))

    # Hand out

    def _dispatch(self) -> None:
        for index, pool in enumerate(self._pools):
            ready = [worker for worker in pool.workers if worker.setup is None]
            while pool.queue and ready:
                worker = min(ready, key=lambda candidate: len(candidate.calls))
                if len(worker.calls) >= _CALLS_PER_WORKER:
                    break
                self._submit(index, worker, pool.queue.popleft())

    def _submit(self, index: int, worker: _Worker, task: _Task) -> None:
        if index < len(self._pools) - 1:
            value, summary = worker.actor.run.options(num_returns=2).remote(task.piece, *task.payloads)
        else:
            value, summary = worker.actor.pack.options(num_returns=2).remote(task.piece.unit, *task.payloads)
        if not worker.calls:
            worker.since = time.monotonic()
        worker.calls.append(_Call(task, value, summary))

    # Take in

    def _collect(self) -> None:
        waiting = {
            call.summary: (pool, worker) for pool in self._pools for worker in pool.workers for call in worker.calls
        }
        waiting |= {worker.setup: (pool, worker) for pool in self._pools for worker in pool.workers if worker.setup}
        ready, _ = ray.wait(list(waiting), num_returns=1, timeout=0.25)
        if ready:
            ready, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        for reference in ready:
            pool, worker = waiting[reference]
            if worker not in pool.workers:
                continue  # it died while an earlier answer of this round was handled; its calls run again
            if reference == worker.setup:
                self._take_setup(pool, worker)
            else:
                self._take_answer(pool, worker, next(call for call in worker.calls if call.summary == reference))

    def _take_setup(self, pool: _Pool, worker: _Worker) -> None:
        try:
            figures = self._context.meter.stages[pool.name]
            figures.setup_s = max(figures.setup_s, ray.get(worker.setup))
        except _DEATH_ERRORS as error:
            pool.setup_deaths += 1
            if pool.setup_deaths >= (_MAX_SETUP_DEATHS_ONCE_LOADED if pool.loaded else _MAX_SETUP_DEATHS):
                last_line = str(error).strip().rsplit("\n", 1)[-1]
                raise UserError(
                    f"stage {pool.name}: {pool.setup_deaths} workers in a row died while they loaded it: {last_line}"
                ) from error
            self._replace(pool, worker)
        except ray_exceptions.RayTaskError as error:
            raise _cause(error) from error
        else:
            pool.setup_deaths = 0
            pool.loaded = True
            worker.setup = None
            worker.since = time.monotonic()

    def _take_answer(self, pool: _Pool, worker: _Worker, call: _Call) -> None:
        try:
            summary = ray.get(call.summary)
        except _DEATH_ERRORS:
            self._bury(pool, worker, reason="worker-died")
            return
        except ray_exceptions.RayError as error:
            self._drop(worker, call)
            if not _is_loss(error):
                raise _cause(error) from error
            self._lost(call.task)
            return
        wait_s = time.monotonic() - call.task.queued - summary.busy_s
        self._context.meter.called(pool.name, summary, wait_s)
        self._drop(worker, call)
        if pool is self._pools[-1]:
            number = call.task.piece.unit.number
            self._drafts[number] = ray.get(call.value)
            del self._units[number]
            return
        state = self._units[call.task.piece.unit.number]
        state.image_bytes[call.task.piece.record or 0] = summary.image_bytes
        task = _Task(call.task.piece, call.task.pool + 1, (call.value,), call.task.deaths, call.task.losses)
        if task.pool < len(self._pools) - 1:
            self._pools[task.pool].queue.append(task)
        else:
            self._arrived(state, task.piece.record or 0, call.value)

    def _arrived(self, state: _UnitState, part: int, payload: Any) -> None:
        """A part went through all stages; with the last one the unit is packed."""
        state.parts[part] = payload
        if all(payload is not None for payload in state.parts):
            last = len(self._pools) - 1
            self._pools[last].queue.append(_Task(Piece(state.unit), last, tuple(state.parts)))

    @staticmethod
    def _drop(worker: _Worker, call: _Call) -> None:
        worker.calls.remove(call)
        worker.since = time.monotonic()

    # What goes wrong

    def _expire(self) -> None:
        now = time.monotonic()
        for pool in self._pools:
            for worker in list(pool.workers):
                if worker.setup is not None and now - worker.since > _SETUP_TIMEOUT_S and _is_placed(worker):
                    raise UserError(f"stage {pool.name}: a worker did not load within {_SETUP_TIMEOUT_S:g} s")
                if worker.calls and now - worker.since > self._runtime.timeout_s:
                    self._bury(pool, worker, reason="timeout")

    def _notice_waiting(self) -> None:
        """Tell the person in front of a run that stands still what it stands still for."""
        now, waiting = time.monotonic(), []
        for pool in self._pools:
            number = sum(bool(worker.setup) and now - worker.since > _PLACEMENT_NOTICE_S for worker in pool.workers)
            if number:
                waiting.append(
                    f"{number} of {pool.size.workers} {pool.name} ({pool.size.cpus:g} CPU, {pool.size.gpus:g} GPU)"
                )
        self._context.meter.notice = (
            "workers not ready, loading or waiting for a node: " + ", ".join(waiting) if waiting else ""
        )

    def _bury(self, pool: _Pool, worker: _Worker, *, reason: str) -> None:
        """A worker is gone: its oldest call is the suspect, the calls behind it only stood in line."""
        calls = list(worker.calls)
        self._replace(pool, worker)
        pool.queue.extendleft(call.task for call in reversed(calls[1:]))
        if calls:
            self._suspect(pool, calls[0].task, reason)

    def _replace(self, pool: _Pool, worker: _Worker) -> None:
        self._context.meter.stages[pool.name].deaths += 1
        ray.kill(worker.actor)
        pool.workers.remove(worker)
        pool.workers.append(self._start(self._pools.index(pool)))

    def _suspect(self, pool: _Pool, task: _Task, reason: str) -> None:
        task.deaths += 1
        unit, attempts = task.piece.unit, self._runtime.attempts
        alone = task.piece.record is not None or unit.num_records == 1
        # Deaths may be chance (preempted nodes), so a scene alone gets as many attempts as its unit had before.
        last_attempt = attempts if task.piece.record is not None else 2 * attempts
        if pool is self._pools[-1]:
            if task.deaths >= 2 * attempts:
                raise StorageError(f"unit {unit.number}: {task.deaths} workers died while packing it; see `ray status`")
            pool.queue.append(task)
        elif alone and (reason == "timeout" or task.deaths >= last_attempt):
            self._declare_dead(pool, task, reason)
        elif not alone and (reason == "timeout" or task.deaths >= attempts):
            self._split(unit)
        else:
            self._restart(task)

    def _lost(self, task: _Task) -> None:
        """An object of this task was lost with its node. Run the unit, or the record, again from the plan."""
        task.losses += 1
        if task.losses > _MAX_LOSSES:
            raise TransientError(
                f"unit {task.piece.unit.number}: its data was lost {task.losses} times; see `ray status`"
            )
        state = self._units[task.piece.unit.number]
        if task.pool < len(self._pools) - 1:
            self._restart(task)
            return
        whole = len(state.parts) == 1
        for part in range(len(state.parts)):
            state.parts[part] = None
            self._restart(_Task(Piece(state.unit, None if whole else part), losses=task.losses))

    def _restart(self, task: _Task) -> None:
        self._pools[0].queue.appendleft(_Task(task.piece, deaths=task.deaths, losses=task.losses))

    def _split(self, unit: Unit) -> None:
        """Run the records of a unit one by one, to find the one that ends workers."""
        state = self._units[unit.number]
        state.parts = [None] * unit.num_records
        state.image_bytes.clear()
        for record in reversed(range(unit.num_records)):
            self._pools[0].queue.appendleft(_Task(Piece(unit, record)))

    def _declare_dead(self, pool: _Pool, task: _Task, reason: str) -> None:
        unit, record = task.piece.unit, task.piece.record or 0
        key = patiently(lambda: read_records(self._context.folder, unit))[record].key
        detail = f"the worker of stage {pool.name} died while it had only this scene"
        if reason == "timeout":
            detail = (
                f"stage {pool.name} took longer than runtime.timeout_s = {self._runtime.timeout_s:g} s for this scene"
            )
        dead = Dead(key, pool.name, reason, detail, attempts=task.deaths)
        self._arrived(self._units[unit.number], record, ray.put([dead]))

    def _start(self, index: int) -> _Worker:
        pool, context = self._pools[index], self._context
        options = {
            "num_cpus": pool.size.cpus,
            "num_gpus": pool.size.gpus,
            "max_restarts": 0,
            "scheduling_strategy": "SPREAD"
            if context.share is None
            else PlacementGroupSchedulingStrategy(context.share.placement_group),
        }
        if index < len(self._pools) - 1:
            actor = (
                ray.remote(StageWorker)
                .options(**options)
                .remote(context.stages[index], context.folder, job_digest=context.job_digest)
            )
        else:
            actor = ray.remote(PackWorker).options(**options).remote(context.folder)
        return _Worker(actor, actor.setup.remote())


def _is_placed(worker: _Worker) -> bool:
    """Whether the cluster has found a place for the actor; one that waits for a node is not late."""
    from ray.util.state import get_actor

    state = get_actor(worker.actor._actor_id.hex())  # the only handle that Ray's state API takes
    return state is not None and state.state == "ALIVE"


def _is_loss(error: Exception) -> bool:
    cause = getattr(error, "cause", None)
    return isinstance(error, ray_exceptions.ObjectLostError) or isinstance(cause, ray_exceptions.ObjectLostError)


def _cause(error: Exception) -> Exception:
    """The error of ours that a Ray error carries; anything else is a bug that must be seen whole."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, RelmillError):
        return cause
    return InternalError(f"a worker failed outside any scene: {error}")
