"""A small output of procedural pictures, and a small network to train on it."""

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from schemas import Scene
from schemas.commit import DATASET_VERSION, Commit
from schemas.job import ScenesDataset, ScreenJob
from schemas.unit import Unit
from stages.alif.build import build_model
from stages.alif.checkpoint import open_tokenizer
from stages.alif.config import AlifConfig
from stages.alif.model import AlifModel
from stages.alif.tiny import tiny_config
from stages.alif.vocabulary_tokenizer import vocabulary_size, vocabulary_tokenizer
from stages.ingest import open_dataset
from stages.pack import CommitLog, pack_unit
from stages.pretrain import AugmentConfig, BatchConfig, BatchMaker, PretrainBatch, SourceLabels
from stages.screen import Screen
from stages.storage import Folder
from stages.stream import SceneStream, SourceConfig, StreamConfig, StreamLoader

AUGMENT = AugmentConfig(short_sides=(48, 64), longest=96, crop_short_sides=(64,), crop_size=(48, 64))
COMPLETE = SourceLabels(learn="human", complete=True)


def scenes(count: int, *, seed: int = 5) -> list[Scene]:
    """Procedural pictures with everything that holds on them."""
    dataset = open_dataset(ScenesDataset(format="scenes", count=count), seed=seed)
    screen = Screen(dataset.images(), ScreenJob(), boxes_are_fractions=dataset.boxes_are_fractions)
    screen.setup()
    outcomes = screen.process([record for record in dataset.records() if isinstance(record, Scene)])
    found = [outcome for outcome in outcomes if isinstance(outcome, Scene)]
    assert len(found) == count
    return found


def write_output(path: Path, packed: Sequence[Scene], *, shard_size: int = 8, seal: bool = True) -> str:
    path.mkdir(parents=True)
    (path / "dataset.json").write_text(json.dumps({"schema": DATASET_VERSION, "job": "x", "vocabulary_sha256": "v"}))
    folder, last = Folder(str(path)), None
    log = CommitLog(folder)
    for number, start in enumerate(range(0, len(packed), shard_size)):
        part = packed[start : start + shard_size]
        unit = Unit(number, f"unit{number}", "records", 0, 0, len(part))
        last = log.append(pack_unit(unit, part, folder), last)
    if seal and last is not None:
        log.append(Commit(number=last.number + 1, unit="", sealed=True), last)
    return str(path)


def stream_of(output: str, **options) -> SceneStream:
    return SceneStream(StreamConfig(sources=(SourceConfig(output=output, **options),)))


def loader_of(
    stream: SceneStream, *, batch_size: int = 4, seed: int = 0, config: BatchConfig | None = None,
    sources: Sequence[SourceLabels] = (COMPLETE,), **layout,
) -> StreamLoader[PretrainBatch]:  # fmt: skip
    make = BatchMaker(config or BatchConfig(augment=AUGMENT), seed=seed, multiple_of=16, sources=sources)
    return StreamLoader(stream, batch_size=batch_size, make=make, whole_batch=True, **layout)


class Network:
    """A very small network with the words of an output."""

    def __init__(self, stream: SceneStream) -> None:
        texts = stream.texts(0, 4)
        content = vocabulary_tokenizer(Counter(texts.names) + Counter(texts.predicates) + Counter(["no objects"]))
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "tokenizer.json").write_text(content)
            self.tokenize = open_tokenizer(Path(folder), "tokenizer.json")
        self.config: AlifConfig = replace(tiny_config(vocabulary_size(content)), decoding="parseda", num_pairs=12)

    def build(self, seed: int = 0) -> AlifModel:
        torch.manual_seed(seed)
        return build_model(self.config)
