"""Pre-training a network on outputs of `relmill label`: what `relmill train` does."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.train_plan import TrainPlan, plan_training
from pipeline.training_files import DETAILS_FILE, SCRATCH_FOLDER, WEIGHTS_FILE
from pipeline.training_workers import Workers
from schemas import BadInputError
from schemas.job import TrainJob
from stages.optional import require_torch
from stages.storage import Folder

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class TrainSummary:
    """What was trained, for the terminal."""

    output: str
    sha256: str
    """Of the network's files, and so its identity."""
    num_parameters: int
    step: int
    """After which the network was as it was kept."""
    score: float | None
    """Its mean average precision on the validation pictures; None without."""

    def __str__(self) -> str:
        measured = "" if self.score is None else f", mAP {self.score:.4f}, the best"
        return (
            f"{self.output}: {self.num_parameters} parameters, sha256 {self.sha256}; the network after {self.step} "
            f"steps{measured}"
        )


def train(
    job: TrainJob, *, report: Callable[[str], None] = print, num_workers: Callable[[], int] | None = None
) -> TrainSummary | None:
    """Pre-train a network. Interrupted, killed or failed, the same call goes on where it stood.

    Equal jobs on equal outputs give the same bytes on one CPU thread, also with stops between.

    Args:
        job: with resolved paths.
        report: gets lines of text for a person.
        num_workers: asked now and then how many workers of a cluster there should be; with another answer than before
            all stop at their next state, and so many go on. By default always those of the job.

    Returns:
        What was trained; None if it was finished before.

    Raises:
        UserError: if a setting is impossible, the loss is no finite number, a followed output has no commit for too
            long, or the cluster is too small.
        BadInputError: if there is nothing to learn from, or the output has files of something else.
        StorageError: if something cannot be written.
    """
    require_torch("train")
    from stages.training import check_same_training

    output = Folder(job.output)
    begun = _begun(output)
    plan = plan_training(job, report=report, begun=begun)
    if begun is not None:
        check_same_training(begun, plan.details, where=job.output)
    if output.exists(WEIGHTS_FILE):
        plan.states.remove()  # if the last call was stopped just before that
        report(f"{job.output}: this training is finished; give another output to train anew")
        return None
    if done := plan.states.steps_done():
        report(f"{job.output}: goes on after {done} of {job.steps} steps")
    _write(output, DETAILS_FILE, json.dumps(plan.details, indent=1) + "\n")
    if plan.start.tokenizer_json is not None:
        _write(output, plan.start.tokenizer, plan.start.tokenizer_json)
    _learn(plan, report=report, num_workers=num_workers or (lambda: job.runtime.workers))
    return _finish(plan)


def _begun(output: Folder) -> dict[str, Any] | None:
    """The settings of the training that was begun in an output; None if it is empty."""
    path = output.path(DETAILS_FILE)
    try:
        document = json.loads(output.read(DETAILS_FILE))
    except FileNotFoundError:
        if output.is_local and output.local_path("").is_file():
            raise BadInputError(f"{output}: is a file; give a folder") from None
        if output.names(""):
            raise BadInputError(f"{output}: has files of something else; give another output") from None
        return None
    except ValueError as error:
        raise BadInputError(f"{path}: damaged ({error}); remove {output} and train anew") from error
    if not isinstance(document, dict):
        raise BadInputError(f"{path}: is of no training; give another output")
    return document


def _learn(plan: TrainPlan, *, report: Callable[[str], None], num_workers: Callable[[], int]) -> None:
    """Train up to the last state, in this process or by the workers of a cluster."""
    while plan.states.steps_done() < plan.job.steps:
        runtime = plan.job.runtime
        workers = Workers(
            number=num_workers(), gpus_per_worker=runtime.gpus_per_worker, address=runtime.address, of_job=True
        )
        if workers.are_here:
            plan.train(report=report)
            return
        before = plan.states.steps_done()

        def others_wanted(now: int = workers.number) -> bool:
            return num_workers() != now

        _learn_on_cluster(plan, workers, report=report, stopping=others_wanted)
        if plan.states.steps_done() == before:
            plan.states.check_finished(plan.job.steps)  # tells that nothing of theirs arrived here


def _learn_on_cluster(
    plan: TrainPlan, workers: Workers, *, report: Callable[[str], None], stopping: Callable[[], bool]
) -> None:
    job = plan.job
    work = partial(_work, job, plan.details)
    output = Folder(job.output)
    if output.is_local:
        workers.train(work, scratch=output.local_path(SCRATCH_FOLDER), report=report, stopping=stopping)
    else:
        with tempfile.TemporaryDirectory(prefix="relmill-") as folder:
            workers.train(work, scratch=Path(folder), report=report, stopping=stopping)


def _work(
    job: TrainJob,
    details: Mapping[str, Any],
    device: "torch.device",
    report: Callable[[str], None],
    stopping: Callable[[], bool],
) -> None:
    """What each worker of a cluster does."""
    from stages.training import WorkerGroup

    plan = plan_training(job, report=lambda _: None, begun=details)
    if plan.details != details:
        raise BadInputError(
            f"{job.output}: a worker finds other outputs, or another network, than this machine; give all workers the "
            f"same files"
        )
    plan.train(report=report, group=WorkerGroup.current(), device=device, stopping=stopping)


def _finish(plan: TrainPlan) -> TrainSummary:
    """Write the network that the training came to, and say what it is."""
    from stages.alif.checkpoint import checkpoint_sha256, save_checkpoint

    output, start = Folder(plan.job.output), plan.start
    state = plan.states.load_result(start.model)
    assert state is not None, "a training ends with a state"
    with tempfile.TemporaryDirectory(prefix="relmill-") as folder:
        # Weights are written last: where they are, the training is finished.
        place = output.local_path("") if output.is_local else Path(folder)
        if not output.is_local and start.tokenizer_json is not None:
            (place / start.tokenizer).write_text(start.tokenizer_json, encoding="utf-8")
        save_checkpoint(place, start.config, start.model.cpu().state_dict(), tokenizer=start.tokenizer)
        if not output.is_local:
            output.replace("config.json", (place / "config.json").read_bytes())
            output.publish(place / WEIGHTS_FILE, WEIGHTS_FILE)
        sha256 = checkpoint_sha256(place)
    plan.states.remove()
    return TrainSummary(
        output=plan.job.output,
        sha256=sha256,
        num_parameters=sum(parameter.numel() for parameter in start.model.parameters()),
        step=state.step,
        score=state.score,
    )


def _write(output: Folder, name: str, text: str) -> None:
    output.replace(name, text.encode())
    output.remove_folder("tmp")
