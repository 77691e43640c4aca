"""All that a pre-training needs, found out before its first step; and the training itself."""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.network_start import (
    TINY,
    NetworkStart,
    check_lengths,
    random_start,
    trained_start,
    with_first_pairs,
)
from pipeline.training_files import STATE_FOLDER
from schemas import BadInputError, UserError
from schemas.job import TrainJob, TrainSource
from schemas.layer import layer_name
from stages.pack import Layers, read_dataset_file
from stages.pretrain import (
    NO_INTERACTION,
    AugmentConfig,
    BatchConfig,
    BatchMaker,
    BatchTexts,
    LabelConfig,
    PretrainBatch,
    SourceLabels,
    mirrored,
)
from stages.storage import Folder
from stages.stream import SceneStream, SourceConfig, StreamConfig, StreamLoader

if TYPE_CHECKING:
    import torch

    from stages.alif.config import PictureSize
    from stages.alif.text_encoder import Tokenize
    from stages.pretrain.training import PretrainConfig, Validation
    from stages.training import TrainingStates, WorkerGroup

_SCHEMA = "relmill.pretraining-job/1"

# Of the small network, which starts from nothing: with 1.41e-4 it would take several times as many steps.
_TINY_LEARNING_RATE = 1e-3
_NUM_PAIRS = 100  # published
_LONGEST_WARMUP = 200
_AVERAGE = 0.9997
_COLOURS = 0.4  # published, in fine-tuning

# The pattern in which sources are mixed repeats after so many samples, so each source has one among them.
_ALL_SOURCES = 10_000


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """A pre-training that could begin."""

    job: TrainJob
    start: NetworkStart
    tokenize: "Tokenize"
    stream: SceneStream
    sources: tuple[SourceLabels, ...]
    texts: BatchTexts | None
    """What every batch is asked about; None if each has texts of its own."""
    batch: BatchConfig
    training: "PretrainConfig"
    validation: "Validation | None"
    details: dict[str, Any]
    """What makes it this training, plain JSON values: the same for any number of workers, wherever files lie."""

    @property
    def states(self) -> "TrainingStates":
        """Those of the training."""
        from stages.pretrain.training import STATE_SCHEMA
        from stages.training import TrainingStates

        folder = Folder(f"{self.job.output}/{STATE_FOLDER}")
        return TrainingStates(folder, self.details, schema=STATE_SCHEMA, keep_last=self.training.keep_last)

    def loader(self, *, rank: int = 0, num_ranks: int = 1) -> StreamLoader[PretrainBatch]:
        """What feeds a worker of the training."""
        return StreamLoader(
            self.stream,
            batch_size=self.job.batch_size,
            make=BatchMaker(
                self.batch,
                seed=self.job.seed,
                multiple_of=self.start.config.coarsest_stride,
                sources=self.sources,
                texts=self.texts,
            ),
            rank=rank,
            num_ranks=num_ranks,
            num_workers=self.job.runtime.readers,
            whole_batch=True,
        )

    def train(
        self,
        *,
        report: Callable[[str], None],
        group: "WorkerGroup | None" = None,
        device: "torch.device | None" = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train the network up to its last state, going on from the newest; see `stages.pretrain.training.train`."""
        from stages.pretrain.training import train
        from stages.training import WorkerGroup

        group = group or WorkerGroup()
        train(
            self.start.model,
            self.tokenize,
            self.loader(rank=group.rank, num_ranks=group.size),
            self.training,
            states=self.states,
            metrics=Folder(self.job.output),
            group=group,
            device=device,
            report=report,
            score=self.validation,
            curves=True,
            stopping=stopping,
        )


def plan_training(job: TrainJob, *, report: Callable[[str], None], begun: Mapping[str, Any] | None = None) -> TrainPlan:
    """Open the outputs and make the network. Nothing is written.

    Equal jobs and equal files give equal plans, also on another machine. Of a followed output its first window is
    waited for. What people said of an output since it was labelled is read as far as it was said when the training
    began: a layer that comes later is for another training.

    Args:
        job: with resolved paths.
        report: gets a line for each output that is followed, and for each that has layers that are not read.
        begun: `TrainPlan.details` of the training that this is to be; None if it begins now.

    Raises:
        UserError: if a setting is impossible, or a followed output has no commit for too long.
        BadInputError: if an output is none, is empty or not complete, has nothing to learn from, or other layers than
            when the training began, or if the network is none that looks for pairs itself.
    """
    trained = None if job.network == TINY else _trained_start(job)
    try:
        size = _picture_size(job, trained)
        batch, training = _batch_config(job, size), _training_config(job, trained)
    except ValueError as error:
        raise UserError(str(error)) from error

    for source in job.sources:
        if source.follow:
            report(f"{source.output}: followed; its first {source.window_shards} shards are waited for")
    read_then = _read_then(job, begun)
    stream = SceneStream(_stream_config(job, [then.number for then in read_then.sources])).open()
    for number, then in enumerate(read_then.sources):
        if then.number is not None:
            stream.check_layers(number, then.number, then.sha256)
    _tell_newer_layers(job, read_then, report)
    texts = _known_texts(job, stream)
    asked = _all_texts(job, stream) if job.asks_all else None
    if asked is not None:
        texts.update((*asked.objects, *asked.relations))
    start = trained or _tiny_start(job, texts)
    start = replace(start, config=replace(start.config, picture=size))
    tokenize = start.tokenize()
    check_lengths(texts, tokenize, start.model.text_encoder.max_tokens)
    validation = _validation(job, start, tokenize, layers=read_then.validation.number)
    return TrainPlan(
        job=job,
        start=start,
        tokenize=tokenize,
        stream=stream,
        sources=tuple(SourceLabels(learn=source.learn, complete=source.complete) for source in job.sources),
        texts=asked,
        batch=batch,
        training=training,
        validation=validation,
        details={
            "schema": _SCHEMA,
            "network": _network_identity(job, start),
            "sources": [
                _source_identity(source, layers) for source, layers in zip(job.sources, stream.layers(), strict=True)
            ],
            "validation": _validation_identity(job, validation),
            "batch_size": job.batch_size,
            "batch": dataclasses.asdict(batch),
            "texts": "all" if job.asks_all else "sampled",
            # How often something is saved or reported changes nothing else.
            "training": {
                name: value
                for name, value in dataclasses.asdict(training).items()
                if not name.endswith("_every") and name != "keep_last"
            },
        },
    )


@dataclass(frozen=True, slots=True)
class _LayersRead:
    """Which layers of an output a training began with. Of one that begins now nothing is known, so it takes all."""

    number: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class _ReadThen:
    """Of all outputs of a training."""

    sources: tuple[_LayersRead, ...]
    validation: _LayersRead


def _read_then(job: TrainJob, begun: Mapping[str, Any] | None) -> _ReadThen:
    """What a begun training read of outputs that still seem to be its own; if they are not, others tell."""
    sources = (begun or {}).get("sources")
    if not isinstance(sources, list) or len(sources) != len(job.sources):
        sources = [None] * len(job.sources)
    return _ReadThen(tuple(map(_layers_read, sources)), _layers_read((begun or {}).get("validation")))


def _layers_read(identity: object) -> _LayersRead:
    if not isinstance(identity, Mapping):
        return _LayersRead()
    layers = identity.get("layers", {"number": 0})
    if not isinstance(layers, Mapping) or type(layers.get("number")) is not int:
        return _LayersRead()
    return _LayersRead(layers["number"], layers.get("sha256"))


def _tell_newer_layers(job: TrainJob, then: _ReadThen, report: Callable[[str], None]) -> None:
    outputs = [(source.output, read) for source, read in zip(job.sources, then.sources, strict=True)]
    if job.validation is not None:
        outputs.append((job.validation.output, then.validation))
    for output, read in outputs:
        if read.number is not None and Folder(output).exists(layer_name(read.number)):
            report(
                f"{output}: people have said more since this training began, which it does not read; to learn from "
                f"that, train anew with another output"
            )


def _layers_identity(layers: Layers) -> dict[str, Any]:
    """Nothing where there are none, as in trainings of before there were any."""
    return {"layers": {"number": layers.number, "sha256": layers.sha256}} if layers.number else {}


def _stream_config(job: TrainJob, layers: Sequence[int | None]) -> StreamConfig:
    return StreamConfig(
        sources=tuple(
            SourceConfig(
                output=source.output,
                weight=source.weight,
                follow=source.follow,
                timeout_s=source.timeout_s,
                window_shards=source.window_shards,
                balance=source.balance,
                layers=number,
            )
            for source, number in zip(job.sources, layers, strict=True)
        ),
        seed=job.seed,
        damaged=job.damaged,
        mixed_vocabularies=job.mixed_vocabularies,
        cache=None if job.cache is None else Path(job.cache),
        cache_bytes=int(job.cache_gb * 1e9),
    )


def _known_texts(job: TrainJob, stream: SceneStream) -> Counter[str]:
    """What the network will be asked about, as far as it is known at the start, and how often it is said.

    The class names of each output and what the scenes of its first window speak of, in a mirror, too. So it is the same
    whether or not an output that is followed has grown meanwhile.
    """
    from stages.alif.label_sequence import NO_OBJECTS

    near = stream.texts(0, _ALL_SOURCES)
    if not near.predicates:
        raise BadInputError(
            f"no relations in the first shards of {', '.join(source.output for source in job.sources)}; a network "
            f"learns from them. Look with `relmill inspect` at what was labelled"
        )
    counts = Counter(near.names) + Counter(near.predicates)
    for source in job.sources:
        counts.update(_class_names(Folder(source.output)))
    for text, number in list(counts.items()):
        if (other := mirrored(text)) != text:
            counts[other] += number
    if job.labels.no_interaction:
        counts[NO_INTERACTION] += 1
    counts[NO_OBJECTS] += 1
    return counts


def _all_texts(job: TrainJob, stream: SceneStream) -> BatchTexts:
    """All class names of the outputs, and all predicates that anybody asserts there; in a mirror, too."""
    said = stream.all_texts()
    not_said = [NO_INTERACTION] if job.labels.no_interaction else []
    names = {*said.names, *(name for source in job.sources for name in _class_names(Folder(source.output)))}
    return BatchTexts(
        objects=tuple(sorted(names | set(map(mirrored, names)))),
        relations=tuple(sorted({*said.predicates, *map(mirrored, said.predicates), *not_said})),
    )


def _class_names(folder: Folder) -> list[str]:
    path = folder.path("vocabulary.json")
    try:
        return list(json.loads(folder.read("vocabulary.json"))["classes"])
    except FileNotFoundError as error:
        raise BadInputError(
            f"{path}: no such file; restore it, or run `relmill label` again, which writes it"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInputError(f"{path}: damaged ({error!r}); restore it") from error


def _trained_start(job: TrainJob) -> NetworkStart:
    """A network that is trained further."""
    start = trained_start(Path(job.network))
    if start.config.decoding == "pairs":
        raise BadInputError(
            f"{job.network}: is a Relation Tagger, which takes given pairs (decoding pairs); give a network that looks "
            f"for pairs itself (parsed or parseda)"
        )
    return start if job.num_pairs is None else with_first_pairs(start, job.num_pairs)


def _tiny_start(job: TrainJob, texts: Mapping[str, int]) -> NetworkStart:
    """The small network, which knows the words of some texts."""
    from stages.alif.checkpoint import TOKENIZER_FILE
    from stages.alif.tiny import tiny_config
    from stages.alif.vocabulary_tokenizer import vocabulary_size, vocabulary_tokenizer

    try:  # what the training began with
        made = Folder(job.output).read(TOKENIZER_FILE).decode("utf-8")
    except FileNotFoundError:
        made = vocabulary_tokenizer(texts)
    config = tiny_config(vocabulary_size(made))
    config = replace(
        config,
        decoding="parseda",
        encoder=replace(config.encoder, fusion_place=job.fusion or config.encoder.fusion_place),
        num_pairs=job.num_pairs or _NUM_PAIRS,
    )
    return random_start(config, made, seed=job.seed)


def _picture_size(job: TrainJob, trained: NetworkStart | None) -> "PictureSize":
    """What pictures are scaled to: as the job says, else as the network says."""
    from stages.alif.config import PictureSize
    from stages.alif.tiny import tiny_config
    from stages.alif.vocabulary_tokenizer import SPECIAL_TOKENS

    if job.short_side is not None:
        return PictureSize(short_side=job.short_side, longest=job.short_side * 5 // 3)
    # Its words are not known yet, and change nothing here.
    return (trained.config if trained else tiny_config(len(SPECIAL_TOKENS))).picture


def _batch_config(job: TrainJob, size: "PictureSize") -> BatchConfig:
    published = job.recipe != "relmill"
    augment, labels = AugmentConfig.of_size(size.short_side, size.longest), LabelConfig()
    if published:
        crops = AugmentConfig.published()
        augment = replace(augment, keep_pairs=crops.keep_pairs, min_visible=crops.min_visible)
        augment = replace(augment, colours=_COLOURS if job.recipe == "finetune" else 0.0)
        labels = LabelConfig.published()
    unknown_pairs = job.labels.unknown_pairs
    return BatchConfig(
        augment=replace(augment, **job.augment.model_dump(exclude_none=True)),
        labels=replace(labels, **job.labels.model_dump(exclude_none=True, exclude={"unknown_pairs", "unknown_weight"})),
        num_objects=job.num_objects,
        num_relations=job.num_relations,
        unknown_pairs=not published if unknown_pairs is None else unknown_pairs,
    )


def _training_config(job: TrainJob, trained: NetworkStart | None) -> "PretrainConfig":
    from stages.pretrain.training import PretrainConfig

    defaults: dict[str, Any] = {
        "average": _AVERAGE,
        "schedule": "cosine",
        "warmup_steps": min(_LONGEST_WARMUP, job.steps // 10),
    }
    if job.recipe != "relmill":
        defaults = {"average": 0.0, "schedule": "step", "warmup_steps": 0}
    if job.recipe == "finetune":
        defaults |= {"predicate_target": "quality"}
    if job.network == TINY:
        defaults |= {"learning_rate": _TINY_LEARNING_RATE, "slow_rate": 1.0}
    if trained is None or trained.config.backbone.kind == "tiny":
        # Features of a text encoder that never read anything say nothing of what texts mean. What is alike for it is
        # learned as equal, and so becomes more alike: of 8 pictures learned by heart mAP is 0.19 so, else 0.95.
        defaults |= {"predicate_target": "quality"}
    given = {field.name: getattr(job, field.name, None) for field in dataclasses.fields(PretrainConfig)}
    given["unknown_weight"] = job.labels.unknown_weight
    return PretrainConfig(**defaults | {name: value for name, value in given.items() if value is not None})


def _validation(job: TrainJob, start: NetworkStart, tokenize: "Tokenize", *, layers: int | None) -> "Validation | None":
    from stages.pretrain.training import Validation

    if job.validation is None:
        return None
    validation = Validation(
        job.validation.output,
        start.config,
        tokenize,
        limit=job.validation.limit,
        batch_size=job.validation.batch_size,
        bfloat16=job.precision == "bfloat16",
        layers=layers,
    )
    check_lengths(validation.texts, tokenize, start.model.text_encoder.max_tokens)
    return validation


def _network_identity(job: TrainJob, start: NetworkStart) -> dict[str, Any]:
    from stages.alif.checkpoint import checkpoint_sha256

    content = start.tokenizer_json
    return {
        "start": TINY if job.network == TINY else checkpoint_sha256(Path(job.network)),
        "tokenizer": start.tokenizer if content is None else hashlib.sha256(content.encode()).hexdigest(),
        "config": start.config.to_json(),
    }


def _source_identity(source: TrainSource, layers: Layers) -> dict[str, Any]:
    """Where it lies, and how long it is waited for, changes nothing that is learned."""
    settings: dict[str, Any] = source.model_dump(exclude={"output", "timeout_s"})
    return {"job": read_dataset_file(Folder(source.output))["job"], **settings, **_layers_identity(layers)}


def _validation_identity(job: TrainJob, validation: "Validation | None") -> dict[str, Any] | None:
    # The best state is one of those that are saved.
    if validation is None:
        return None
    return {"sha256": validation.sha256, "save_every": job.save_every, **_layers_identity(validation.layers)}
