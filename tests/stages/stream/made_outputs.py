"""Small outputs, written by the code that writes real ones."""

import json
from collections.abc import Sequence
from pathlib import Path

from schemas import Image, Region, Relation, Scene, Vocabulary
from schemas.commit import DATASET_VERSION, Commit
from schemas.unit import Unit
from stages.pack import CommitLog, pack_unit
from stages.storage import Folder
from stages.stream import SceneStream, SourceConfig, StreamBatch, StreamConfig, StreamLoader

REGIONS = (Region(0, "person", (0.0, 0.0, 4.0, 8.0)), Region(5, "horse", (1.0, 2.0, 9.0, 9.0)))


def scene(number: int, *, predicates: Sequence[str] = ("ride",), pixels: bool = True, prefix: str = "s") -> Scene:
    data = f"picture {number}".encode() * (number % 5 + 1) if pixels else None
    relations = tuple(Relation(0, 5, name, name, 0.5, "tagger") for name in predicates)
    return Scene(f"{prefix}-{number:05d}", Image(f"{number}.jpg", 10, 10, "jpg", data=data), REGIONS,
                 relations=relations)  # fmt: skip


class Output:
    """An output that grows by a shard at a time."""

    def __init__(self, path: Path, *, names: Sequence[str] = ("person", "horse"), prefix: str = "s") -> None:
        self.path = path
        self.prefix = prefix
        self.folder = Folder(str(path))
        self._last: Commit | None = None
        self.num_scenes = 0
        vocabulary = Vocabulary.of(names)
        document = {"schema": DATASET_VERSION, "job": prefix, "vocabulary_sha256": vocabulary.sha256}
        path.mkdir(parents=True)
        (path / "dataset.json").write_text(json.dumps(document))

    def add(self, size: int, **options) -> None:
        """Commit a shard of so many scenes; 0 gives a commit without a shard."""
        scenes = [scene(self.num_scenes + i, prefix=self.prefix, **options) for i in range(size)]
        self.num_scenes += size
        self.commit(scenes)

    def commit(self, scenes: Sequence[Scene]) -> None:
        number = 0 if self._last is None else self._last.number + 1
        unit = Unit(number, f"unit{number}", "records", 0, 0, len(scenes))
        self._last = CommitLog(self.folder).append(pack_unit(unit, scenes, self.folder), self._last)

    def seal(self) -> None:
        number = 0 if self._last is None else self._last.number + 1
        self._last = CommitLog(self.folder).append(Commit(number=number, unit="", sealed=True), self._last)


def finished(path: Path, sizes: Sequence[int], **options) -> str:
    output = Output(path, **options)
    for size in sizes:
        output.add(size)
    output.seal()
    return str(path)


def stream_of(*outputs: str, seed: int = 0, epochs: int | None = None, damaged="raise", **options) -> SceneStream:
    sources = tuple(SourceConfig(output=output, **options) for output in outputs)
    return SceneStream(StreamConfig(sources=sources, seed=seed, epochs=epochs, damaged=damaged))


def keys_of(batch: StreamBatch) -> tuple[int, list[tuple[int, str]]]:
    return batch.start, [(sample.position, sample.key) for sample in batch.own]


def read_all(stream: SceneStream, *, batch_size: int, num_ranks: int = 1, num_workers: int = 0, start: int = 0,
             stop: int | None = None, state: dict | None = None, states: list | None = None) -> list[str]:  # fmt: skip
    """Keys by position that all ranks of a layout read together, from `start`, up to `stop` batches."""
    found: dict[int, str] = {}
    for rank in range(num_ranks):
        loader = StreamLoader(stream, batch_size=batch_size, make=keys_of, rank=rank, num_ranks=num_ranks,
                              num_workers=num_workers)  # fmt: skip
        if state is not None:
            loader.load_state_dict(state)
        else:
            loader.position = start
        for done, (_, samples) in enumerate(loader, start=1):
            for position, key in samples:
                assert position not in found, "read twice"
                found[position] = key
            if done == stop:
                break
        if states is not None:
            states.append(loader.state_dict())
    positions = sorted(found)
    assert positions == list(range(positions[0], positions[0] + len(positions))) if positions else True
    return [found[position] for position in positions]
