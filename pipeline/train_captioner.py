"""Training a captioner: what `relmill train-captioner` does."""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.training_files import (
    DETAILS_FILE,
    STATE_FOLDER,
    WEIGHTS_FILE,
    check_training_output,
    picture_reader,
    write_training_file,
)
from schemas import BadInputError, Scene, UserError
from schemas.job import load_job
from stages.ingest import open_dataset
from stages.ingest.dataset import Dataset
from stages.optional import require_torch
from stages.storage import Folder

if TYPE_CHECKING:
    from stages.caption.training import CaptionedPicture

_SCHEMA = "relmill.captioner-training/1"
_LONGEST_WARMUP = 100


@dataclass(frozen=True, slots=True)
class CaptionerSummary:
    """What was trained, for the terminal and for a model card."""

    output: Path
    sha256: str
    """Of the captioner's files, as the backend `blip` names it in its identity."""
    num_parameters: int
    num_bytes: int
    """Of the weights."""
    num_pictures: int
    num_captions: int
    num_tokens: int
    """Of the vocabulary."""
    num_too_long: int
    """Captions that were left out: the network has no place for so many tokens."""
    num_rejected: int
    """Records that the datasets' readers refused."""

    def __str__(self) -> str:
        lines = [
            f"{self.output}: {self.num_parameters} parameters, {self.num_bytes} bytes, sha256 {self.sha256}",
            f"{self.num_pictures} pictures with {self.num_captions} captions, {self.num_tokens} tokens; "
            f"{self.num_rejected} records refused",
        ]
        if self.num_too_long:
            lines.append(f"{self.num_too_long} captions left out: too long for the network")
        return "\n".join(lines)


def train_captioner(
    datasets: Sequence[Path],
    output: Path,
    *,
    steps: int = 7000,
    batch_size: int = 16,
    seed: int = 0,
    learning_rate: float = 2e-3,
    image_size: int = 96,
    save_every: int = 500,
    report_every: int = 50,
    resume: bool = False,
    num_threads: int = 1,
    report: Callable[[str], None] = print,
) -> CaptionerSummary:
    """Train a small BLIP captioner on the captions of some datasets, from nothing.

    Same datasets, settings and seed give the same bytes on one CPU thread.

    Args:
        datasets: YAML files, each with a `dataset:` part like a job's, with pictures.
        output: folder of the captioner, for `caption.model` of the backend `blip`, with `training.json` (all settings)
            and `metrics.jsonl`; while the training lasts also its state.
        steps: of the optimizer.
        batch_size: pictures of a step.
        seed: of all chance, also of procedural pictures where a dataset does not give its own.
        learning_rate: after the warm-up.
        image_size: pixels of a side of what the network sees, a multiple of 12.
        save_every: steps between two states that a training can be resumed from.
        report_every: steps between two lines of figures.
        resume: go on with the training that was begun in `output`; if there is none, begin.
        num_threads: threads that read pictures.
        report: gets a line of text every `report_every` steps.

    Raises:
        UserError: as the datasets raise it, for impossible settings, or if the loss is no finite number.
        BadInputError: if `output` has files and `resume` is false, if there is nothing to learn from, or if the
            training begun in `output` is another one.
        StorageError: if something cannot be written.
    """
    check_training_output(output, resume=resume)
    require_torch("train-captioner")
    import torch

    from stages.caption.model_files import folder_digest
    from stages.caption.training import (
        PATCH,
        PROMPT,
        STATE_SCHEMA,
        BatchConfig,
        CaptionBatches,
        CaptionTrainingConfig,
        caption_tokenizer,
        caption_vocabulary,
        image_processor,
        names_sides,
        save_captioner,
        tiny_captioner,
        train,
    )
    from stages.training import TrainingStates

    if image_size < 2 * PATCH or image_size % PATCH:
        raise UserError(f"image_size is {image_size}; give a multiple of {PATCH}, at least {2 * PATCH}")

    opened = [open_dataset(load_job(path, ["output=unused"]).dataset, seed=seed) for path in datasets]
    pictures, num_rejected = _captioned(opened, prompt=PROMPT)
    try:
        of_batch = BatchConfig(batch_size=batch_size, mirrored=not any(map(names_sides, pictures)))
        of_training = CaptionTrainingConfig(
            steps=steps,
            seed=seed,
            learning_rate=learning_rate,
            warmup_steps=min(_LONGEST_WARMUP, steps // 10),
            save_every=save_every,
            report_every=report_every,
        )
    except ValueError as error:
        raise UserError(str(error)) from error

    details = {
        "schema": _SCHEMA,
        "datasets": [{"name": dataset.name, "fingerprint": dataset.fingerprint()} for dataset in opened],
        "prompt": PROMPT,
        "image_size": image_size,
        "batch": dataclasses.asdict(of_batch),
        # How often something is saved or reported changes nothing else.
        "training": {
            name: value for name, value in dataclasses.asdict(of_training).items() if not name.endswith("_every")
        },
    }
    states = TrainingStates(Folder(str(output / STATE_FOLDER)), details, schema=STATE_SCHEMA)
    states.saved()  # refuses another training, before anything is written over

    said = Counter(caption for picture in pictures for caption in picture.captions)
    vocabulary = caption_vocabulary({**said, PROMPT: said.total()})
    tokenizer, processor = caption_tokenizer(vocabulary), image_processor(image_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        captioner = tiny_captioner(vocabulary, image_size=image_size)
    pictures, token_rows, num_too_long = _tokenized(pictures, tokenizer, captioner.config.text_config, prompt=PROMPT)
    write_training_file(output / DETAILS_FILE, json.dumps(details, indent=1) + "\n")

    train(
        captioner,
        CaptionBatches(pictures, token_rows, picture_reader(opened), processor, of_batch, seed=seed),
        of_training,
        prompt_length=1 + len(_ids(tokenizer, PROMPT)),
        states=states,
        metrics=Folder(str(output)),
        report=report,
        num_threads=num_threads,
    )
    save_captioner(output, captioner, tokenizer, processor)
    states.remove()
    return CaptionerSummary(
        output=output,
        sha256=folder_digest(str(output)),
        num_parameters=sum(parameter.numel() for parameter in captioner.parameters()),
        num_bytes=(output / WEIGHTS_FILE).stat().st_size,
        num_pictures=len(pictures),
        num_captions=sum(map(len, token_rows)),
        num_tokens=len(vocabulary),
        num_too_long=num_too_long,
        num_rejected=num_rejected,
    )


def _captioned(opened: Sequence[Dataset], *, prompt: str) -> tuple[list["CaptionedPicture"], int]:
    """Pictures with captions, of all datasets, and how many records were refused."""
    from stages.caption.training import captioned_picture

    pictures: list[CaptionedPicture] = []
    num_rejected = 0
    for number, dataset in enumerate(opened):
        for record in dataset.records():
            if not isinstance(record, Scene):
                num_rejected += 1
                continue
            one = captioned_picture(record, source=number, prompt=prompt)
            pictures += [] if one is None else [one]
    if not pictures:
        raise BadInputError(
            f"no captions in {', '.join(dataset.name for dataset in opened) or 'no dataset'}; a captioner learns from "
            f"them. Give a dataset with some: coco with its captions, or scenes"
        )
    return pictures, num_rejected


def _tokenized(
    pictures: Sequence["CaptionedPicture"], tokenizer: Any, text: Any, *, prompt: str
) -> tuple[list["CaptionedPicture"], list[list[list[int]]], int]:
    """Pictures with a caption that is short enough, the tokens of each caption, and how many captions are too long.

    A caption's tokens are start, prompt, words and end. The end has no position: it is only answered, never read.
    """
    start = [text.bos_token_id, *_ids(tokenizer, prompt)]
    kept: list[CaptionedPicture] = []
    token_rows: list[list[list[int]]] = []
    num_too_long = 0
    for picture in pictures:
        rows = [[*start, *ids, text.sep_token_id] for ids in _ids(tokenizer, list(picture.captions))]
        short = [row for row in rows if len(row) <= text.max_position_embeddings + 1]
        num_too_long += len(rows) - len(short)
        if short:
            kept.append(picture)
            token_rows.append(short)
    if not kept:
        raise BadInputError(
            f"every caption is too long: the network takes {text.max_position_embeddings - len(start)} tokens after "
            f"the prompt; shorten them in the dataset"
        )
    return kept, token_rows, num_too_long


def _ids(tokenizer: Any, text: Any) -> Any:
    """Token ids of a text, or of each of several."""
    return tokenizer(text, add_special_tokens=False).input_ids
