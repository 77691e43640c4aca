"""A dataset and stages made for tests: small, real implementations of the contracts, with faults on demand.

A module of its own, not a conftest, because Ray workers import it by name.
"""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from schemas import Caption, Image, Region, Rejected, Relation, Scene, TransientError, scene_to_json

HERE = Path(__file__).parent


def scenes(number: int) -> list[Scene]:
    """Scenes `made-000` and up, each with two regions and no picture."""
    regions = (Region(0, "person", (1.0, 2.0, 30.0, 40.0)), Region(1, "horse", (5.0, 20.0, 60.0, 50.0)))
    return [Scene(key=f"made-{i:03d}", image=Image(f"{i}.jpg", 64, 64), regions=regions) for i in range(number)]


@dataclass(frozen=True)
class ListDataset:
    """A dataset given as a list."""

    items: Sequence[Scene | Rejected]
    name: str = "made"
    boxes_are_fractions: bool = False

    def fingerprint(self) -> str:
        texts = [item.key.encode() if isinstance(item, Rejected) else scene_to_json(item) for item in self.items]
        return sha256(b"\n".join(texts)).hexdigest()

    def records(self) -> Iterator[Scene | Rejected]:
        return iter(sorted(self.items, key=lambda item: item.key))

    def images(self) -> None:
        return None


class Relate:
    """Says that the person rides the horse; a stage that always works."""

    name = "tag"
    identity = "relate/1"
    batch_size = 4

    def setup(self) -> None:
        pass

    def process(self, batch: Sequence[Scene]) -> list[Scene | Rejected]:
        relation = Relation(0, 1, "ride", "riding", 0.5, "tagger")
        return [replace(scene, relations=(relation,), captions=(Caption("a man", "given"),)) for scene in batch]


class Fault(Relate):
    """`Relate`, but `on` happens to the scenes in `keys`: raise, reject, kill, hang, memory, transient, shuffle."""

    name = "caption"
    identity = "fault/1"

    def __init__(self, on: str, keys: Sequence[str], *, flag: Path | None = None) -> None:
        self.on = on
        self.keys = set(keys)
        self.flag = flag

    def process(self, batch: Sequence[Scene]) -> list[Scene | Rejected]:
        hit = [scene.key for scene in batch if scene.key in self.keys]
        mended = self.flag is not None and self.flag.exists()
        if hit and not mended:
            if self.on == "raise":
                raise ValueError(f"cannot read {hit[0]}")
            if self.on == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.on == "hang":
                time.sleep(3600)
            if self.on == "memory":
                raise MemoryError("no room")
            if self.on == "transient":
                assert self.flag is not None
                self.flag.touch()
                raise TransientError("the store hiccuped")
            if self.on == "lose":
                return list(super().process(batch))[1:]
            if self.on == "reject":
                done = super().process(batch)
                return [Rejected(s.key, self.name, "refused", "told to") if s.key in hit else s for s in done]
        return super().process(batch)


class NeedsSmallBatches(Relate):
    """Runs out of memory on more than two scenes at once, and writes down the batches it managed."""

    batch_size = 8
    identity = "small/1"

    def __init__(self, log: Path) -> None:
        self.log = log

    def process(self, batch: Sequence[Scene]) -> list[Scene | Rejected]:
        with self.log.open("a") as file:
            file.write(f"{len(batch)}\n")
        if len(batch) > 2:
            raise MemoryError("no room")
        return super().process(batch)


class Slow(Relate):
    """Takes a while for every scene."""

    name = "parse"
    identity = "slow/1"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def process(self, batch: Sequence[Scene]) -> list[Scene | Rejected]:
        time.sleep(self.seconds * len(batch))
        return super().process(batch)


def files_of(folder: Path) -> dict[str, bytes]:
    """Name to content of everything in an output that the job alone decides."""
    kept = ("dataset.json", "vocabulary.json", "dataset_card.md", "shards/", "index/", "commits/", "dead/")
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]
    return {name: (folder / name).read_bytes() for name in names if name.startswith(kept)}
