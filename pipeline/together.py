"""Labelling and training at the same time, on one Ray cluster: what `relmill run` does.

Both are what they are alone: the labelling commits shards, the training follows the log. So each may fail, be killed or
be stopped without harm to the other, and the same command goes on with both.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.label import Prepared, RunResult, label, prepare
from pipeline.train import TrainSummary, train
from pipeline.training_files import DETAILS_FILE
from schemas import JobError, UserError
from schemas.job import RunJob, TrainJob, load_job, load_train_job
from stages.pack import CommitLog
from stages.storage import Folder

EVENTS_FILE = "run.jsonl"
"""In the training's output: what happened when, a JSON line each."""

_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class TogetherResult:
    """How both ended."""

    labelled: RunResult
    trained: TrainSummary | None
    """None if the training was finished before, or was stopped with the labelling."""


def run_together(job: RunJob, *, report: Callable[[str], None], quiet: bool = False) -> TogetherResult:
    """Label, and train on what is labelled while the labelling goes on.

    Args:
        job: with resolved paths.
        report: gets lines of text of the training, and of what begins and ends.
        quiet: show no progress of the labelling.

    Raises:
        UserError: if a job file is wrong, the training does not follow the labelling, or the cluster is too small.
        RelmillError: what ended the labelling or the training; of both, what ended the labelling. The other one goes on
            to its end first, unless it waits for the one that failed.
    """
    from pipeline.runtimes.ray_cluster import ray_cluster
    from pipeline.runtimes.ray_shares import divided_cluster

    labelling = load_job(job.label, ["runtime.kind=ray"])
    training = _training(job, labelling.output)
    prepared = prepare(labelling)
    events = _Events(Folder(training.output), report)
    gpus = training.runtime.gpus_per_worker
    with ray_cluster(job.address, setting="address"):
        gpus = _gpus(training) if gpus is None else gpus
        training = _on_this_cluster(training, gpus)
        with divided_cluster(num_workers=training.runtime.workers, gpus_per_worker=gpus) as cluster:
            trainer = _Trainer(job, training, prepared, events, start=cluster.start_trainer)
            trainer.start()
            events.tell("labelling begins")
            try:
                labelled = label(prepared, quiet=quiet, share=cluster.labellers)
            except BaseException:
                events.tell("labelling failed")
                trainer.give_up()
                raise
            cluster.end_labelling()
            if labelled.interrupted:
                events.tell("labelling stopped")
                trainer.give_up()
                return TogetherResult(labelled, None)
            events.tell("labelling ends; its part of the cluster is free")
            trainer.has_the_cluster()
            return TogetherResult(labelled, trainer.result())


class _Events:
    """What happens when: for a person, and as lines of JSON in the training's output, once it has begun."""

    def __init__(self, output: Folder, report: Callable[[str], None]) -> None:
        self._output = output
        self.report = report
        try:
            self._lines = output.read(EVENTS_FILE).decode("utf-8")
        except FileNotFoundError:
            self._lines = ""

    def tell(self, event: str) -> None:
        """Now."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.report(f"{now}  {event}")
        self._lines += json.dumps({"time": now, "event": event}) + "\n"
        if self._output.exists(DETAILS_FILE):  # before, a file of ours would make it an output of something else
            self._output.replace(EVENTS_FILE, self._lines.encode())
            self._output.remove_folder("tmp")


class _Trainer:
    """The training, in a thread of its own: the main thread has the labelling, which hears Ctrl-C."""

    def __init__(
        self, job: RunJob, training: TrainJob, prepared: Prepared, events: _Events, *, start: Callable[[], None]
    ) -> None:
        self._job = job
        self._training = training
        self._log = CommitLog(prepared.folder)
        self._events = events
        self._start = start
        self._given_up = threading.Event()
        self._alone = threading.Event()
        self._summary: TrainSummary | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def has_the_cluster(self) -> None:
        """Say that the labelling has ended."""
        self._alone.set()

    def give_up(self) -> None:
        """Wait for it no longer. Its last state stays, and it ends with this process."""
        self._given_up.set()

    def result(self) -> TrainSummary | None:
        """Wait until it has ended.

        Raises:
            RelmillError: what ended it.
        """
        while self._thread.is_alive():
            self._thread.join(_POLL_S)  # with a time-out, so that Ctrl-C is heard
        if self._failure is not None:
            raise self._failure
        return self._summary

    def _run(self) -> None:
        try:
            while self._log.read(self._job.start_after - 1) is None:
                if self._given_up.wait(_POLL_S):
                    return
            self._start()
            self._events.tell(f"training begins, after {self._log.length()} commits")
            self._summary = train(self._training, report=self._report, num_workers=self._num_workers)
            self._events.tell("training ends")
        except BaseException as error:  # noqa: BLE001 - raised again by the other thread
            self._failure = error
            self._events.tell(f"training failed: {error}")

    def _report(self, line: str) -> None:
        if not self._given_up.is_set():
            self._events.report(line)

    def _num_workers(self) -> int:
        """How many the training should have now."""
        after = self._job.workers_after
        return self._training.runtime.workers if after is None or not self._alone.is_set() else after


def _training(job: RunJob, labelled: str) -> TrainJob:
    """The job of the training, which must follow the labelling.

    Raises:
        JobError: if it does not.
    """
    training = load_train_job(job.train)
    followed = [source.output for source in training.sources if source.follow]
    if labelled not in followed:
        raise JobError(
            f"{job.train}: none of its sources follows {labelled}, the output of {job.label} (followed: "
            f"{', '.join(followed) or 'none'}); give a source with that output and `follow: true`"
        )
    return training


def _gpus(training: TrainJob) -> float:
    """GPUs of each worker where the job does not say: one if there is one more for the labellers."""
    import ray

    has = float(ray.cluster_resources().get("GPU", 0.0))
    if not has:
        return 0.0
    if has <= training.runtime.workers:
        raise UserError(
            f"the cluster has {has:g} GPUs for {training.runtime.workers} workers of the training and the labelling; "
            f"give the training `runtime.gpus_per_worker` below 1, or 0, and the labelling `runtime.pools`"
        )
    return 1.0


def _on_this_cluster(training: TrainJob, gpus_per_worker: float) -> TrainJob:
    """The job with its workers on the cluster that this process has joined, also a single one."""
    runtime = training.runtime.model_copy(update={"address": "auto", "gpus_per_worker": gpus_per_worker})
    return training.model_copy(update={"runtime": runtime})
