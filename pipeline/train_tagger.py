"""Training a Relation Tagger: what `relmill train-tagger` does."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.network_start import TINY
from pipeline.tagger_plan import TaggerPlan, TaggerSettings, plan_tagger
from pipeline.training_files import (
    DETAILS_FILE,
    SCRATCH_FOLDER,
    WEIGHTS_FILE,
    check_training_output,
    write_training_file,
)
from pipeline.training_workers import Workers
from schemas import BadInputError
from stages.optional import require_torch

if TYPE_CHECKING:
    import torch

    from stages.alif.model import AlifModel


@dataclass(frozen=True, slots=True)
class TaggerSummary:
    """What was trained, for the terminal and for a model card."""

    output: Path
    sha256: str
    """Of the network's files, and so its identity."""
    num_parameters: int
    num_bytes: int
    """Of the weights."""
    num_pictures: int
    num_objects: int
    """Different region names."""
    num_predicates: int
    num_without_negatives: int
    """Predicates that no annotator denies: the network cannot learn when they do not hold."""
    num_rejected: int
    """Records that the datasets' readers refused."""

    def __str__(self) -> str:
        lines = [
            f"{self.output}: {self.num_parameters} parameters, {self.num_bytes} bytes, sha256 {self.sha256}",
            f"{self.num_pictures} pictures with relations, {self.num_objects} object names, {self.num_predicates} "
            f"predicates; {self.num_rejected} records refused",
        ]
        if self.num_without_negatives:
            lines.append(
                f"{self.num_without_negatives} predicates are never denied, so their scores say nothing; add a dataset "
                f"that denies them, or take what is not listed as denied"
            )
        return "\n".join(lines)


def train_tagger(
    datasets: Sequence[Path],
    output: Path,
    *,
    network: str = TINY,
    steps: int = 5000,
    batch_size: int = 8,
    seed: int = 0,
    learning_rate: float | None = None,
    short_side: int | None = None,
    save_every: int = 500,
    report_every: int = 50,
    assume_complete: bool = False,
    resume: bool = False,
    num_threads: int = 1,
    num_workers: int = 1,
    gpus_per_worker: float | None = None,
    address: str | None = None,
    report: Callable[[str], None] = print,
) -> TaggerSummary:
    """Train a Relation Tagger on the human relations of some datasets.

    Same datasets, settings and seed give the same bytes on one CPU thread.

    Args:
        datasets: YAML files, each with a `dataset:` part like a job's, with pictures.
        output: folder of the network, readable by `load_checkpoint`, with `training.json` (all settings) and
            `metrics.jsonl`; while the training lasts also its state.
        network: `tiny`, or a folder with a tagger to go on training from.
        steps: of the optimizer.
        batch_size: pictures of a step, of all workers together.
        seed: of all chance, also of procedural pictures where a dataset does not give its own.
        learning_rate: by default 1e-3 for `tiny`, else 1e-4.
        short_side: pixels of the shorter side of a picture, the longer side has 5/3 of this at most; by default what
            the network's configuration says, 160 for `tiny`. It is written into the new configuration.
        save_every: steps between two states that a training can be resumed from.
        report_every: steps between two lines of figures.
        assume_complete: a predicate of a dataset that is not listed for a pair does not hold, as published. By default
            it is unknown, and only what a dataset denies is learned as false; procedural scenes list everything.
        resume: go on with the training that was begun in `output`; if there is none, begin. The number of workers may
            be another.
        num_threads: threads that read pictures, of each worker.
        num_workers: that share each batch. More than one are run by Ray Train; see `train_with_ray`. Datasets and
            output must lie at the same paths for all of them.
        gpus_per_worker: by default 1 if the cluster has so many, else 0.
        address: of a Ray cluster to train on, with one worker, too; by default a local one is started for several.
        report: gets a line of text every `report_every` steps.

    Raises:
        UserError: as the datasets raise it, if the loss is no finite number, or if the cluster is too small.
        BadInputError: if `output` has files and `resume` is false, if there is nothing to learn from, or if the
            training begun in `output` is another one.
        StorageError: if something cannot be written.
    """
    require_torch("train-tagger")
    workers = Workers(number=num_workers, gpus_per_worker=gpus_per_worker, address=address)
    workers.check(batch_size)
    check_training_output(output, resume=resume)
    plan = plan_tagger(
        TaggerSettings(
            datasets=tuple(datasets),
            output=output,
            network=network,
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            learning_rate=learning_rate,
            short_side=short_side,
            save_every=save_every,
            report_every=report_every,
            assume_complete=assume_complete,
            num_threads=num_threads,
        )
    )
    plan.states.saved()  # refuses another training, before anything is written over
    write_training_file(output / DETAILS_FILE, json.dumps(plan.details, indent=1) + "\n")
    if plan.start.tokenizer_json is not None:
        write_training_file(output / "tokenizer.json", plan.start.tokenizer_json)

    if workers.are_here:
        model = plan.train(report=report)
    else:
        _train_with_ray(plan, workers, report=report)
        model = _trained(plan)
    return _finish(plan, model)


def _train_with_ray(plan: TaggerPlan, workers: Workers, *, report: Callable[[str], None]) -> None:
    """Have the workers of a cluster train, up to the last state."""
    if plan.states.steps_done() == plan.settings.steps:
        return  # all that is missing is what comes after
    settings = plan.settings
    # Workers may stand in other folders.
    absolute = replace(
        settings,
        datasets=tuple(path.absolute() for path in settings.datasets),
        output=settings.output.absolute(),
        network=settings.network if settings.network == TINY else str(Path(settings.network).absolute()),
    )
    learn = partial(_learn, absolute, plan.details)
    workers.train(learn, scratch=settings.output / SCRATCH_FOLDER, report=report)


def _learn(
    settings: TaggerSettings,
    details: Mapping[str, Any],
    device: "torch.device",
    report: Callable[[str], None],
    _stopping: Callable[[], bool],
) -> None:
    """What each worker of a cluster does."""
    from stages.training import WorkerGroup

    plan = plan_tagger(settings)
    if plan.details != details:
        raise BadInputError(
            f"{', '.join(map(str, settings.datasets))}: a worker finds other files than this machine; give all "
            f"workers the same datasets and network"
        )
    plan.train(report=report, group=WorkerGroup.current(), device=device)


def _trained(plan: TaggerPlan) -> "AlifModel":
    """The network that other processes trained, from its last state."""
    plan.states.check_finished(plan.settings.steps)
    return plan.load_trained()


def _finish(plan: TaggerPlan, model: "AlifModel") -> TaggerSummary:
    """Write the network, and say what it is."""
    from stages.alif.checkpoint import checkpoint_sha256, save_checkpoint

    output = plan.settings.output
    save_checkpoint(output, plan.config, model.state_dict(), tokenizer=plan.start.tokenizer)
    plan.states.remove()
    return TaggerSummary(
        output=output,
        sha256=checkpoint_sha256(output),
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        num_bytes=(output / WEIGHTS_FILE).stat().st_size,
        num_pictures=len(plan.pictures),
        num_objects=len(plan.counts.objects),
        num_predicates=len(plan.counts.predicates),
        num_without_negatives=len(plan.counts.predicates.keys() - plan.negatives),
        num_rejected=plan.num_rejected,
    )
