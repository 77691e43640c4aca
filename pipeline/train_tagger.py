"""Training a Relation Tagger: what `relmill train-tagger` does."""

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from pipeline.local_files import replace_bytes
from schemas import BadInputError, Scene, StorageError, TransientError, UserError
from schemas.job import DatasetJob, ScenesDataset, load_job
from stages.ingest import open_dataset
from stages.ingest.dataset import Dataset
from stages.picture import decode_rgb

if TYPE_CHECKING:
    from stages.alif.config import AlifConfig
    from stages.alif.model import AlifModel
    from stages.alif.text_encoder import Tokenize
    from stages.alif.training import LabelledPicture, TextCounts

TINY = "tiny"
"""The name of the small network, trained from nothing."""

DETAILS_FILE, METRICS_FILE = "training.json", "metrics.jsonl"
_STATE_FOLDER = "state"
_SCHEMA = "relmill.tagger-training/1"

# Of the small network, which starts from nothing; on procedural scenes its loss falls steadily with it, from 28 to 6 in
# 800 steps. Others are not tried out.
_TINY_LEARNING_RATE = 1e-3
_LEARNING_RATE = 1e-4
_LONGEST_WARMUP = 200


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
        batch_size: pictures of a step.
        seed: of all chance, also of procedural pictures where a dataset does not give its own.
        learning_rate: by default 1e-3 for `tiny`, else 1e-4.
        short_side: pixels of the shorter side of a picture, the longer side has 5/3 of this at most; by default what
            the network's configuration says, 160 for `tiny`. It is written into the new configuration.
        save_every: steps between two states that a training can be resumed from.
        report_every: steps between two lines of figures.
        assume_complete: a predicate of a dataset that is not listed for a pair does not hold, as published. By default
            it is unknown, and only what a dataset denies is learned as false; procedural scenes list everything.
        resume: go on with the training that was begun in `output`; if there is none, begin.
        num_threads: threads that read pictures.
        report: gets a line of text every `report_every` steps.

    Raises:
        UserError: as the datasets raise it, or if the loss is no finite number.
        BadInputError: if `output` has files and `resume` is false, if there is nothing to learn from, or if the
            training begun in `output` is another one.
        StorageError: if something cannot be written.
    """
    _check_output(output, resume=resume)

    import torch

    from stages.alif.checkpoint import TOKENIZER_FILE, checkpoint_sha256, save_checkpoint
    from stages.alif.config import PictureSize
    from stages.alif.training import (
        BatchConfig,
        TaggerBatches,
        TextCounts,
        TrainingConfig,
        check_state,
        train,
    )

    is_tiny = network == TINY
    try:
        of_batch = BatchConfig(batch_size=batch_size)
        size = None if short_side is None else PictureSize(short_side=short_side, longest=short_side * 5 // 3)
        of_training = TrainingConfig(
            steps=steps,
            seed=seed,
            learning_rate=_default_rate(network) if learning_rate is None else learning_rate,
            warmup_steps=min(_LONGEST_WARMUP, steps // 10),
            save_every=save_every,
            report_every=report_every,
        )
    except ValueError as error:
        raise UserError(str(error)) from error

    jobs = [load_job(path, ["output=unused"]).dataset for path in datasets]
    opened = [open_dataset(job, seed=seed) for job in jobs]
    pictures, num_rejected = _labelled(jobs, opened, assume_complete=assume_complete)
    counts = TextCounts.of(pictures)
    negatives = _predicates_with_negatives(pictures)
    if not negatives:
        raise BadInputError(
            f"nothing in {', '.join(dataset.name for dataset in opened)} says that a relation does not hold, so every "
            f"score would become 1; add a dataset that denies relations, or take what is not listed as denied "
            f"(assume_complete)"
        )

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        start = _start(network, counts)
    config = start.config if size is None else replace(start.config, picture=size)
    of_batch = replace(of_batch, short_side=config.picture.short_side, longest=config.picture.longest)
    details = {
        "schema": _SCHEMA,
        "network": TINY if is_tiny else checkpoint_sha256(Path(network)),
        "datasets": [{"name": dataset.name, "fingerprint": dataset.fingerprint()} for dataset in opened],
        "assume_complete": assume_complete,
        "batch": dataclasses.asdict(of_batch),
        # How often something is saved or reported changes nothing else.
        "training": {
            name: value for name, value in dataclasses.asdict(of_training).items() if not name.endswith("_every")
        },
    }
    state = output / _STATE_FOLDER
    check_state(state, details)  # before anything is written over
    tokenize = _tokenize(start)
    _check_lengths(counts, tokenize, start.model.text_encoder.max_tokens)
    _write(output / DETAILS_FILE, json.dumps(details, indent=1) + "\n")
    if start.tokenizer_json is not None:
        _write(output / TOKENIZER_FILE, start.tokenizer_json)

    model = train(
        start.model,
        tokenize,
        TaggerBatches(
            pictures, _reader(opened), of_batch, seed=seed, multiple_of=config.coarsest_stride, counts=counts
        ),
        of_training,
        state=state,
        identity=details,
        metrics=output / METRICS_FILE,
        report=report,
        num_threads=num_threads,
    )
    save_checkpoint(output, config, model.state_dict(), tokenizer=start.tokenizer)
    shutil.rmtree(state, ignore_errors=True)
    return TaggerSummary(
        output=output,
        sha256=checkpoint_sha256(output),
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        num_bytes=(output / "model.safetensors").stat().st_size,
        num_pictures=len(pictures),
        num_objects=len(counts.objects),
        num_predicates=len(counts.predicates),
        num_without_negatives=len(counts.predicates.keys() - negatives),
        num_rejected=num_rejected,
    )


def _default_rate(network: str) -> float:
    return _TINY_LEARNING_RATE if network == TINY else _LEARNING_RATE


@dataclass(frozen=True)
class _Start:
    """A network before the training."""

    config: "AlifConfig"
    model: "AlifModel"
    tokenizer: str
    """Its name on the hub, or `tokenizer.json`."""
    tokenizer_json: str | None
    """The content of `tokenizer.json`."""


def _start(network: str, counts: "TextCounts") -> _Start:
    """The small network with random start values, or one that was trained before."""
    from stages.alif.build import build_model
    from stages.alif.checkpoint import TOKENIZER_FILE, load_checkpoint
    from stages.alif.tiny import tiny_config
    from stages.alif.vocabulary_tokenizer import vocabulary_size, vocabulary_tokenizer

    if network == TINY:
        made = vocabulary_tokenizer(counts.all())
        config = tiny_config(vocabulary_size(made))
        return _Start(config, build_model(config), TOKENIZER_FILE, made)
    folder = Path(network)
    checkpoint = load_checkpoint(folder)
    if checkpoint.config.decoding != "pairs":
        raise BadInputError(
            f"{folder}: is a network that looks for pairs itself ({checkpoint.config.decoding}); give a tagger"
        )
    name = json.loads((folder / "config.json").read_text(encoding="utf-8"))["tokenizer"]
    content = (folder / TOKENIZER_FILE).read_text(encoding="utf-8") if name == TOKENIZER_FILE else None
    return _Start(checkpoint.config, checkpoint.model, name, content)


def _tokenize(start: _Start) -> "Tokenize":
    """The tokenizer of a network that is not written yet."""
    from stages.alif.checkpoint import TOKENIZER_FILE, open_tokenizer

    with tempfile.TemporaryDirectory() as folder:
        if start.tokenizer_json is not None:
            (Path(folder) / TOKENIZER_FILE).write_text(start.tokenizer_json, encoding="utf-8")
        return open_tokenizer(Path(folder), start.tokenizer)


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


def _reader(opened: Sequence[Dataset]) -> Callable[["LabelledPicture"], Image.Image]:
    """Reads pictures of several datasets."""
    sources = [dataset.images() for dataset in opened]

    def read(picture: "LabelledPicture") -> Image.Image:
        try:
            return decode_rgb(sources[picture.source].read(picture.image_name))
        except (MemoryError, TransientError):
            raise
        except Exception as error:  # decoders raise whatever they stumble over
            raise BadInputError(f"{picture.key}: {type(error).__name__}: {error}") from error

    return read


def _check_lengths(counts: "TextCounts", tokenize: "Tokenize", max_tokens: int) -> None:
    """No text may be longer than the text encoder can take; better now than in the thousandth step."""
    for text in counts.all():
        num_tokens = int(tokenize([text])[1].sum())
        if num_tokens > max_tokens:
            raise BadInputError(
                f"the text {text[:80]!r} has {num_tokens} tokens, but the network takes {max_tokens}; shorten it in "
                f"the dataset, or train another network"
            )


def _check_output(output: Path, *, resume: bool) -> None:
    if not resume and output.is_dir() and any(output.iterdir()):
        raise BadInputError(f"{output}: has files already; resume its training, give another --output, or remove it")
    if output.is_file():
        raise BadInputError(f"{output}: is a file; give a folder")
    if resume and (output / "model.safetensors").is_file():
        raise BadInputError(f"{output}: its training is finished; give the folder as network to train it further")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(path, text.encode())
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error}; give another --output") from error
