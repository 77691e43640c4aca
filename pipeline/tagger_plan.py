"""All that a training of a Relation Tagger needs, found out before its first step; and the training itself."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from pipeline.network_start import TINY, NetworkStart, check_lengths, random_start, trained_start
from pipeline.training_files import STATE_FOLDER, picture_reader
from schemas import BadInputError, Scene, UserError
from schemas.job import DatasetJob, ScenesDataset, load_job
from stages.ingest import open_dataset
from stages.ingest.dataset import Dataset
from stages.storage import Folder

if TYPE_CHECKING:
    import torch

    from stages.alif.config import AlifConfig
    from stages.alif.model import AlifModel
    from stages.alif.text_encoder import Tokenize
    from stages.alif.training import LabelledPicture, TextCounts
    from stages.alif.training.batches import BatchConfig
    from stages.training import TrainingConfig, TrainingStates, WorkerGroup

_SCHEMA = "relmill.tagger-training/1"

# Of the small network, which starts from nothing; on procedural scenes its loss falls steadily with it, from 28 to 6 in
# 800 steps. Others are not tried out.
_TINY_LEARNING_RATE = 1e-3
_LEARNING_RATE = 1e-4
_LONGEST_WARMUP = 200


@dataclass(frozen=True, kw_only=True)
class TaggerSettings:
    """What a person decides about a training; told at `train_tagger`. Every worker plans from the same settings."""

    datasets: tuple[Path, ...]
    output: Path
    network: str
    steps: int
    batch_size: int
    seed: int
    learning_rate: float | None
    short_side: int | None
    save_every: int
    report_every: int
    assume_complete: bool
    num_threads: int


@dataclass(frozen=True, kw_only=True)
class TaggerPlan:
    """A training that could begin."""

    settings: TaggerSettings
    batch: "BatchConfig"
    training: "TrainingConfig"
    config: "AlifConfig"
    start: NetworkStart
    tokenize: "Tokenize"
    pictures: Sequence["LabelledPicture"]
    counts: "TextCounts"
    read_picture: Callable[["LabelledPicture"], Image.Image]
    negatives: frozenset[str]
    """Predicates of which somebody says that they do not hold somewhere."""
    num_rejected: int
    """Records that the datasets' readers refused."""
    details: dict[str, Any]
    """What makes it this training, plain JSON values: the same for any number of workers."""

    @property
    def states(self) -> "TrainingStates":
        """Those of the training."""
        from stages.alif.training import STATE_SCHEMA
        from stages.training import TrainingStates

        folder = Folder(str(self.settings.output / STATE_FOLDER))
        return TrainingStates(folder, self.details, schema=STATE_SCHEMA)

    def train(
        self,
        *,
        report: Callable[[str], None],
        group: "WorkerGroup | None" = None,
        device: "torch.device | None" = None,
    ) -> "AlifModel":
        """Train the network, going on from the newest state; see `stages.alif.training.train`."""
        from stages.alif.training import TaggerBatches, train
        from stages.training import WorkerGroup

        batches = TaggerBatches(
            self.pictures,
            self.read_picture,
            self.batch,
            seed=self.settings.seed,
            multiple_of=self.config.coarsest_stride,
            counts=self.counts,
        )
        return train(
            self.start.model,
            self.tokenize,
            batches,
            self.training,
            states=self.states,
            metrics=Folder(str(self.settings.output)),
            group=group or WorkerGroup(),
            device=device,
            report=report,
            num_threads=self.settings.num_threads,
        )

    def load_trained(self) -> "AlifModel":
        """The network of the newest state, in evaluation mode, on the CPU."""
        self.states.load_result(self.start.model)
        self.start.model.eval()
        return self.start.model


def plan_tagger(settings: TaggerSettings) -> TaggerPlan:
    """Read the datasets and make the network. Nothing is written.

    Equal settings and equal files give equal plans, also on another machine.

    Raises:
        UserError: if a setting is impossible; as the datasets raise it.
        BadInputError: if there is nothing to learn from, or the network is none.
    """
    from stages.alif.checkpoint import checkpoint_sha256
    from stages.alif.config import PictureSize
    from stages.alif.training import BatchConfig, TextCounts, TrainingConfig

    network, seed = settings.network, settings.seed
    is_tiny = network == TINY
    default_rate = _TINY_LEARNING_RATE if is_tiny else _LEARNING_RATE
    side = settings.short_side
    try:
        of_batch = BatchConfig(batch_size=settings.batch_size)
        size = None if side is None else PictureSize(short_side=side, longest=side * 5 // 3)
        of_training = TrainingConfig(
            steps=settings.steps,
            seed=seed,
            learning_rate=default_rate if settings.learning_rate is None else settings.learning_rate,
            warmup_steps=min(_LONGEST_WARMUP, settings.steps // 10),
            save_every=settings.save_every,
            report_every=settings.report_every,
        )
    except ValueError as error:
        raise UserError(str(error)) from error

    jobs = [load_job(path, ["output=unused"]).dataset for path in settings.datasets]
    opened = [open_dataset(job, seed=seed) for job in jobs]
    pictures, num_rejected = _labelled(jobs, opened, assume_complete=settings.assume_complete)
    counts = TextCounts.of(pictures)
    negatives = _predicates_with_negatives(pictures)
    if not negatives:
        raise BadInputError(
            f"nothing in {', '.join(dataset.name for dataset in opened)} says that a relation does not hold, so every "
            f"score would become 1; add a dataset that denies relations, or take what is not listed as denied "
            f"(assume_complete)"
        )

    start = _start(network, counts, seed=seed)
    config = start.config if size is None else replace(start.config, picture=size)
    of_batch = replace(of_batch, short_side=config.picture.short_side, longest=config.picture.longest)
    tokenize = start.tokenize()
    check_lengths(counts.all(), tokenize, start.model.text_encoder.max_tokens)
    return TaggerPlan(
        settings=settings,
        batch=of_batch,
        training=of_training,
        config=config,
        start=start,
        tokenize=tokenize,
        pictures=pictures,
        counts=counts,
        read_picture=picture_reader(opened),
        negatives=negatives,
        num_rejected=num_rejected,
        details={
            "schema": _SCHEMA,
            "network": TINY if is_tiny else checkpoint_sha256(Path(network)),
            "datasets": [{"name": dataset.name, "fingerprint": dataset.fingerprint()} for dataset in opened],
            "assume_complete": settings.assume_complete,
            "batch": dataclasses.asdict(of_batch),
            # How often something is saved or reported changes nothing else.
            "training": {
                name: value for name, value in dataclasses.asdict(of_training).items() if not name.endswith("_every")
            },
        },
    )


def _start(network: str, counts: "TextCounts", *, seed: int) -> NetworkStart:
    """The small network with random start values, or one that was trained before."""
    from stages.alif.tiny import tiny_config
    from stages.alif.vocabulary_tokenizer import vocabulary_size, vocabulary_tokenizer

    if network == TINY:
        made = vocabulary_tokenizer(counts.all())
        return random_start(tiny_config(vocabulary_size(made)), made, seed=seed)
    start = trained_start(Path(network))
    if start.config.decoding != "pairs":
        raise BadInputError(
            f"{network}: is a network that looks for pairs itself ({start.config.decoding}); give a tagger"
        )
    return start


def _labelled(
    jobs: Sequence[DatasetJob], opened: Sequence[Dataset], *, assume_complete: bool
) -> tuple[list["LabelledPicture"], int]:
    """Pictures with human relations, of all datasets, and how many records were refused."""
    from stages.alif.training import all_labelled, labelled_picture

    pictures: list[LabelledPicture] = []
    num_rejected = 0
    for number, (job, dataset) in enumerate(zip(jobs, opened, strict=True)):
        found = []
        for record in dataset.records():
            if not isinstance(record, Scene):
                num_rejected += 1
                continue
            one = labelled_picture(record, source=number, boxes_are_fractions=dataset.boxes_are_fractions)
            found += [] if one is None else [one]
        # The generator of scenes lists all that it has drawn.
        pictures += all_labelled(found) if assume_complete or isinstance(job, ScenesDataset) else found
    if not pictures:
        raise BadInputError(
            f"no human relations in {', '.join(dataset.name for dataset in opened) or 'no dataset'}; a tagger learns "
            f"from them. Give a dataset with some: hicodet, vcoco, triplets, scenes, or openimages or visual_genome "
            f"with their relationships"
        )
    return pictures, num_rejected


def _predicates_with_negatives(pictures: Sequence["LabelledPicture"]) -> frozenset[str]:
    """Predicates of which somebody says that they do not hold somewhere."""
    found: set[str] = set()
    for picture in pictures:
        found |= picture.absent_is_false
        for predicates in picture.denied.values():
            found |= predicates
    return frozenset(found)
