"""The main job: plan, run what is not committed, commit in order, seal, report."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from pipeline.dataset_card import dataset_card
from pipeline.identity import job_settings, settings_digest
from pipeline.ledger import Ledger, check_dataset_file, write_dataset_file
from pipeline.meter import Meter
from pipeline.metrics import serve_metrics
from pipeline.plan import Plan, make_plan, open_plan
from pipeline.progress import Progress
from pipeline.report import write_report
from pipeline.runtimes import ClusterShare, RunContext, Stop, run_units
from pipeline.stage_list import build_stages
from schemas import RelmillError, StorageError
from schemas.commit import DATASET_VERSION, Counts
from schemas.job import Job
from schemas.unit import Unit
from stages.contract import Stage
from stages.ingest import Dataset, open_dataset
from stages.storage import Folder

# Below this many scenes a fraction of dead ones says nothing yet; the end of the run judges in any case.
_JUDGED_FROM = 100


class TooManyDeadError(RelmillError):
    """More scenes died than `runtime.max_dead_fraction` allows; what is committed stays, the run can be resumed."""


@dataclass(frozen=True)
class Prepared:
    """A job with its dataset, stages, output and plan, ready to run."""

    job: Job
    name: str
    """The dataset's name."""
    stages: Sequence[Stage]
    folder: Folder
    digest: str
    document: Mapping[str, Any]
    """What `dataset.json` says, or will say once labelling begins."""
    plan: Plan


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended."""

    totals: Counts
    """Of the whole output."""
    num_records: int
    committed_now: int
    """Records committed by this run."""
    interrupted: bool
    sealed: bool

    @property
    def complete(self) -> bool:
        """Whether every planned scene is accounted for."""
        return self.totals.planned == self.num_records


def prepare(
    job: Job,
    *,
    stages: Sequence[Stage] | None = None,
    dataset: Dataset | None = None,
    progress: Callable[[int], None] | None = None,
) -> Prepared:
    """Open the dataset and the output, and plan, or take up the plan that is there.

    Args:
        stages: the stages to run instead of the job's own; their identities are part of the job's digest.
        dataset: the dataset to label instead of the job's own.
        progress: told the number of records read while planning.

    Raises:
        UserError: if the job, the dataset or the output is not what it should be.
    """
    folder = Folder(job.output)
    folder.check_writable_log()
    dataset = dataset or open_dataset(job.dataset, seed=job.seed)
    stages = build_stages(job, dataset) if stages is None else stages
    settings = job_settings(job, dataset, stages)
    digest = settings_digest(settings)
    plan = open_plan(folder, digest)
    # An output that belongs to another job is refused before minutes of planning, not after.
    check_dataset_file(folder, job=digest, settings=settings)
    if plan is None:
        plan = make_plan(
            folder,
            dataset,
            job_digest=digest,
            fingerprint=settings["dataset"]["fingerprint"],
            unit_size=job.unit_size,
            progress=progress or (lambda _: None),
        )
    document = {
        "schema": DATASET_VERSION,
        "job": digest,
        "vocabulary_sha256": plan.summary.vocabulary_sha256,
        "num_records": plan.summary.num_records,
        "num_units": plan.summary.num_units,
        "settings": settings,
    }
    return Prepared(job, dataset.name, stages, folder, digest, document, plan)


def label(
    prepared: Prepared, *, seal: bool | None = None, quiet: bool = False, share: ClusterShare | None = None
) -> RunResult:
    """Label what is not committed yet.

    Args:
        prepared: the job.
        seal: close the log at the end. None: only if no scene is dead, so that `retry` can still add them.
        quiet: show no progress.
        share: the part of a Ray cluster to run on; by default all of it.

    Raises:
        TooManyDeadError: if more than `runtime.max_dead_fraction` of the scenes died.
        ConflictError: if another driver takes the output over.
        StorageError: if the output cannot be written.
    """
    # Only labelling binds an output to its job; planning and estimating leave room to change one's mind.
    write_dataset_file(prepared.folder, prepared.document)
    prepared.folder.create("vocabulary.json", prepared.plan.vocabulary.to_json())
    ledger = Ledger(prepared.folder)
    ledger.take_over()
    todo = prepared.plan.units[ledger.length :] if not ledger.sealed else []
    return run(prepared, ledger, todo, seal=seal, quiet=quiet, share=share)


def run(
    prepared: Prepared,
    ledger: Ledger,
    units: Sequence[Unit],
    *,
    seal: bool | None = None,
    quiet: bool = False,
    share: ClusterShare | None = None,
) -> RunResult:
    """Run units that come next in the log, commit them, and write what an output carries beside its shards."""
    job, plan, folder = prepared.job, prepared.plan, prepared.folder
    meter = Meter(
        stage_names=(*(stage.name for stage in prepared.stages), "pack"),
        num_records=plan.summary.num_records,
        done_before=ledger.totals.planned,
        totals=ledger.totals,
    )
    before = ledger.totals
    try:
        with ExitStack() as stack:
            stop = stack.enter_context(Stop())
            stack.enter_context(serve_metrics(meter, job.runtime.metrics_port))
            stack.enter_context(Progress(meter, quiet=quiet))
            context = RunContext(prepared.stages, folder, prepared.digest, job.runtime, meter, stop, share)
            for draft in run_units(context, units) if units else ():
                entry = ledger.commit(draft)
                meter.was_committed(entry.counts.planned, entry.totals)
                # Only what this run committed is judged on the way: a resume after mending the cause starts afresh.
                done, dead = entry.totals.planned - before.planned, entry.totals.dead - before.dead
                if done >= _JUDGED_FROM:
                    _check_dead(dead, done, job, entry.totals)
        complete = ledger.totals.planned == plan.summary.num_records
        if complete:
            folder.replace("dataset_card.md", dataset_card(prepared.name, plan.summary, ledger.totals).encode())
            _check_dead(ledger.totals.dead, ledger.totals.planned, job, ledger.totals)
            if not ledger.sealed and (seal or (seal is None and ledger.totals.dead == 0)):
                ledger.seal()
    except Exception:
        with suppress(StorageError):  # what stopped the run is the error to show
            write_report(folder, meter, sealed=ledger.sealed)
        raise
    # A run that found nothing to do keeps the report of the run that did it.
    if units or not folder.exists("report.json"):
        write_report(folder, meter, sealed=ledger.sealed)
    return RunResult(
        totals=ledger.totals,
        num_records=plan.summary.num_records,
        committed_now=ledger.totals.planned - before.planned,
        interrupted=stop.draining and not complete,
        sealed=ledger.sealed,
    )


def _check_dead(dead: int, done: int, job: Job, totals: Counts) -> None:
    if dead <= job.runtime.max_dead_fraction * done:
        return
    reasons = {reason: number for reason, number in totals.reasons.items() if reason.startswith("dead.")}
    raise TooManyDeadError(
        f"{dead} of {done} scenes died, more than runtime.max_dead_fraction = {job.runtime.max_dead_fraction:g} "
        f"allows: {json.dumps(reasons)}. Tracebacks are in dead/*.jsonl. Mend the cause, run the same command again, "
        f"then `relmill retry` for the dead scenes; or raise the fraction"
    )
