"""Training samples from an output: our stream, webdataset on the same tars and litdata, side by side.

    python benchmarks/stream.py [--samples 20000] [--rounds 3] [--decode]

The samples are pictures of 320 x 320, JPEG of quality 85 and about 30 kB, some hundred different ones, each time with
another scene of about 2 kB of JSON, committed in shards of 1,000 by the code that writes real outputs. Each way goes
through all of them once in batches of 64, in a process of its own, with every file in the page cache; ways take turns
within a round. What counts is CPU time of that process and its workers, user and system, until the workers have ended.
Opening the output and reading its indexes is part of it. Two batches of another pass go before, uncounted: that is when
libraries import what they need late. (New workers import it anew, which counts.)

read(): every tar in blocks of 4 MiB. No reader of these files can do with less.
pread: picture and JSON of a sample by one `os.pread`, at offsets in memory, shuffled. The floor of random access, and
with crc32 of both, of random access that notices damage.
ours: `StreamLoader`, in the order of its seed, checksums compared, its state taken every hundred batches. A sample is
given as the piece of the shard that was read.
webdataset: `WebDataset` and `WebLoader`, in the order of the tars, or by its shuffle of shards and a buffer of 1,000.
litdata: the same samples in its own format, by its `optimize`, in order or by its shuffle; if it is installed.

Neither of the two compares checksums; webdataset cannot go on in the middle of an epoch.

With --decode (of 4,000 samples if not said otherwise) the same loaders, shuffled, make a uint8 tensor of each batch and
parse its JSON, in the workers if there are any. "scaled": pictures are decoded at the size of a network whose short
side is 160, which the JPEG decoder does by leaving out frequencies. The floor is PIL's decoder, fed from memory.
"""

import argparse
import importlib.util
import io
import json
import multiprocessing
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture

from schemas import Caption, Evidence, Image, Mention, Phrase, Provenance, Region, Relation, Scene, Vocabulary
from schemas.commit import DATASET_VERSION, Commit
from schemas.unit import Unit
from stages.pack import CommitLog, pack_unit, read_index
from stages.storage import Folder
from stages.stream import SceneStream, SourceConfig, StreamBatch, StreamConfig, StreamLoader

SIDE, NETWORK_SIDE = 320, 160
NUM_PICTURES = 300
SHARD = 1000
BATCH = 64
BATCHES_A_STATE = 100
BLOCK = 4 << 20
BUFFER = 1000
TARGET_US = 30
OUTPUT, LITDATA, OPTIMIZE = "output", "litdata", "optimize"

CLASSES = ("bicycle", "dog", "horse", "person", "umbrella")
PREDICATES = ("hold", "look at", "ride", "stand on", "walk next to")

Bytes = bytes | memoryview
Pair = tuple[Bytes, Bytes]
"""Picture and JSON of a sample."""
Size = tuple[int, int]
"""Samples of a batch, and bytes of their pictures and JSON, or of their pixels."""
Batches = Callable[[], Generator[Size]]
"""Goes through all samples once; this is what is timed."""


@dataclass(frozen=True)
class Way:
    """A way to go through all samples."""

    prepare: Callable[[Path], Batches]
    """Imports modules and loads what is not to be timed. Given the folder that has all files."""
    content: str | None = OUTPUT
    """Sub-folder of the files that it reads; None: none while it is timed."""
    yardstick: str = "ours"
    """The way of ours that is set in relation to it."""


# What all ways read.


def make_picture(rng: np.random.Generator) -> bytes:
    """A JPEG of soft colours with grain, which makes it as long as a photograph of this size."""
    soft = Picture.fromarray(rng.integers(0, 256, (10, 10, 3), dtype=np.uint8))
    pixels = np.asarray(soft.resize((SIDE, SIDE), Picture.Resampling.BICUBIC), dtype=np.float64)
    grainy = pixels + rng.normal(0, rng.uniform(4, 12), (SIDE, SIDE, 1))
    file = io.BytesIO()
    Picture.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def make_scene(number: int, data: bytes, rng: random.Random) -> Scene:
    """A scene with seven regions, a caption and what was read in it."""
    corners = [sorted(round(rng.uniform(0, SIDE), 2) for _ in range(4)) for _ in range(7)]
    regions = tuple(Region(i, rng.choice(CLASSES), (a, b, c, d)) for i, (a, b, c, d) in enumerate(corners))
    predicate = rng.choice(PREDICATES)
    words = regions[0].name, predicate, regions[1].name
    text = f"a {words[0]} seems to {words[1]} a {words[2]} in front of a house"
    spans = [(start := text.index(word, at), start + len(word)) for at, word in zip((0, 10, 20), words, strict=True)]
    mention, evidence = Mention(0, 0, 1, predicate, spans[1]), Evidence(0, *spans)
    relations = (
        Relation(0, 1, predicate, predicate, round(rng.random(), 4), "caption", evidence=(evidence,)),
        Relation(2, 3, predicate, predicate, round(rng.random(), 4), "tagger", probability=round(rng.random(), 4)),
    )
    return Scene(
        f"bench-{number:08d}",
        Image(f"train/{number:012d}.jpg", SIDE, SIDE, "jpg", f"{rng.getrandbits(256):064x}", data),
        regions,
        (Caption(text, "blip", "nucleus", round(-rng.uniform(5, 20), 4)),),
        (Phrase(0, spans[0], words[0], regions=(0,)), Phrase(0, spans[2], words[2], regions=(1,))),
        (mention,),
        relations,
        Provenance(f"{rng.getrandbits(256):064x}", {"ingest": "coco/1", "caption": "blip/1", "parse": "builtin/1"}),
    )


def write_output(path: Path, num_samples: int) -> None:
    """A finished output of so many scenes."""
    path.mkdir()
    document = {"schema": DATASET_VERSION, "job": "bench", "vocabulary_sha256": Vocabulary.of(CLASSES).sha256}
    (path / "dataset.json").write_text(json.dumps(document))
    folder = Folder(str(path))
    log, last = CommitLog(folder), None
    pictures = [make_picture(np.random.default_rng(number)) for number in range(NUM_PICTURES)]
    rng = random.Random(0)
    starts = range(0, num_samples, SHARD)
    for number, start in enumerate(starts):
        members = range(start, min(start + SHARD, num_samples))
        scenes = [make_scene(member, pictures[member % NUM_PICTURES], rng) for member in members]
        unit = Unit(number, f"unit{number}", "records", 0, 0, len(scenes))
        last = log.append(pack_unit(unit, scenes, folder), last)
    log.append(Commit(number=len(starts), unit="", sealed=True), last)


@dataclass(frozen=True)
class Place:
    """Where a sample lies, and what it checks against."""

    tar: str
    start: int
    end: int
    image_length: int
    image_crc32: int
    json_start: int
    """From `start`."""
    json_crc32: int


def places(folder: Path) -> list[Place]:
    """Of all samples, in the order of the tars."""
    output = Folder(str(folder / OUTPUT))
    found = []
    for commit in CommitLog(output).entries():
        for row in read_index(output, commit):
            start = row["image_offset"]
            found.append(
                Place(
                    tar=str(folder / OUTPUT / row["shard"]),
                    start=start,
                    end=row["json_offset"] + row["json_length"],
                    image_length=row["image_length"],
                    image_crc32=row["image_crc32"],
                    json_start=row["json_offset"] - start,
                    json_crc32=row["json_crc32"],
                )
            )
    return found


def pairs_of_tar(tar: Path, rows: Iterable[Place]) -> Iterator[tuple[bytes, bytes]]:
    """Picture and JSON of the samples of a tar."""
    with tar.open("rb") as file:
        for row in rows:
            file.seek(row.start)
            content = file.read(row.end - row.start)
            yield content[: row.image_length], content[row.json_start :]


def write_litdata(folder: Path) -> None:
    """The same samples in litdata's format."""
    from litdata import optimize

    tars: dict[str, list[Place]] = {}
    for place in places(folder):
        tars.setdefault(place.tar, []).append(place)
    optimize(
        fn=litdata_samples,
        inputs=list(tars.items()),
        output_dir=str(folder / LITDATA),
        chunk_bytes="64MB",
        num_workers=1,
        keep_data_ordered=True,
        verbose=False,
    )


def litdata_samples(tar: tuple[str, list[Place]]) -> Iterator[dict[str, bytes]]:
    """What litdata is to write for a tar."""
    for picture, document in pairs_of_tar(Path(tar[0]), tar[1]):
        yield {"jpg": picture, "json": document}


# What is made of a batch, in the workers of every loader alike.


@dataclass(frozen=True)
class Kept:
    """Leaves samples as the bytes that they are."""

    def of_stream(self, batch: StreamBatch) -> list[tuple[bytes, int, int]]:
        return [(sample.content, sample.image_length, sample.json_start) for sample in batch.own]

    def of_dicts(self, samples: Sequence[dict[str, Any]]) -> list[Pair]:
        return [(sample["jpg"], sample["json"]) for sample in samples]

    def size(self, made: list[Pair] | list[tuple[bytes, int, int]]) -> Size:
        num_bytes = 0
        for sample in made:
            if len(sample) == 2:
                num_bytes += len(sample[0]) + len(sample[1])
            else:
                content, image_length, json_start = sample
                num_bytes += image_length + len(content) - json_start
        return len(made), num_bytes


@dataclass(frozen=True)
class Decoded:
    """Decodes pictures and parses JSON."""

    side: int | None = None
    """Pictures are decoded at the least size that has this short side; None: at their own."""

    def of_stream(self, batch: StreamBatch) -> tuple[Any, list[Any]]:
        return self._batch([(sample.image or b"", sample.json) for sample in batch.own])

    def of_dicts(self, samples: Sequence[dict[str, Any]]) -> tuple[Any, list[Any]]:
        return self._batch([(sample["jpg"], sample["json"]) for sample in samples])

    def size(self, made: tuple[Any, list[Any]]) -> Size:
        pixels, documents = made
        return len(documents), pixels.nbytes

    def picture(self, data: Bytes) -> Picture.Image:
        picture = Picture.open(io.BytesIO(data))
        if self.side is not None:
            picture.draft("RGB", (self.side, self.side))
        picture.load()
        assert picture.mode == "RGB"
        return picture

    def _batch(self, pairs: Sequence[Pair]) -> tuple[Any, list[Any]]:
        import torch

        pictures = [np.asarray(self.picture(picture)) for picture, _ in pairs]
        pixels = torch.empty((len(pictures), *pictures[0].shape), dtype=torch.uint8)
        np.stack(pictures, out=pixels.numpy())
        return pixels, [json.loads(bytes(document)) for _, document in pairs]


Making = Kept | Decoded


# Floors.


def read_blocks(folder: Path) -> Batches:
    log = CommitLog(Folder(str(folder / OUTPUT)))
    tars = [(folder / OUTPUT / entry.shard.name, entry.counts.written) for entry in log.entries() if entry.shard]

    def run() -> Generator[Size]:
        for tar, num_samples in tars:
            descriptor = os.open(tar, os.O_RDONLY)
            while os.read(descriptor, BLOCK):
                pass
            os.close(descriptor)
            yield num_samples, 0

    return run


def read_by_index(folder: Path, *, check: bool) -> Batches:
    samples = places(folder)
    random.Random(0).shuffle(samples)
    opened = {tar: os.open(tar, os.O_RDONLY) for tar in {sample.tar for sample in samples}}

    def read(sample: Place) -> bytes:
        content = os.pread(opened[sample.tar], sample.end - sample.start, sample.start)
        if check:
            view = memoryview(content)
            assert zlib.crc32(view[: sample.image_length]) == sample.image_crc32
            assert zlib.crc32(view[sample.json_start :]) == sample.json_crc32
        return content

    def run() -> Generator[Size]:
        for start in range(0, len(samples), BATCH):
            part = samples[start : start + BATCH]
            contents = [read(sample) for sample in part]
            gaps = sum(sample.json_start - sample.image_length for sample in part)
            yield len(contents), sum(map(len, contents)) - gaps

    return run


def from_memory(folder: Path, *, do: Callable[[Pair], object]) -> Batches:
    """What it costs to do something with samples that are in memory."""
    samples = places(folder)
    first = [sample for sample in samples if sample.tar == samples[0].tar]
    pairs = list(pairs_of_tar(Path(first[0].tar), first))

    def run() -> Generator[Size]:
        for number in range(len(samples)):
            do(pairs[number % len(pairs)])
            yield 1, 0

    return run


# Loaders.


def ours(folder: Path, *, making: Making, num_workers: int) -> Batches:
    limit_torch()

    def run() -> Generator[Size]:
        stream = SceneStream(StreamConfig(sources=(SourceConfig(output=str(folder / OUTPUT)),), epochs=1))
        loader = StreamLoader(stream, batch_size=BATCH, make=making.of_stream, num_workers=num_workers)
        for number, made in enumerate(loader, start=1):
            if number % BATCHES_A_STATE == 0:
                assert loader.state_dict()["position"] == number * BATCH
            yield making.size(made)

    return run


def webdataset(folder: Path, *, making: Making, num_workers: int, shuffle: bool) -> Batches:
    limit_torch()
    from webdataset import WebDataset, WebLoader

    tars = sorted(map(str, (folder / OUTPUT / "shards").glob("*.tar")))

    def run() -> Generator[Size]:
        dataset = WebDataset(tars, shardshuffle=len(tars) if shuffle else False)
        if shuffle:
            dataset = dataset.shuffle(BUFFER)
        loader = WebLoader(dataset, batch_size=BATCH, collate_fn=making.of_dicts, num_workers=num_workers)
        for made in loader:
            yield making.size(made)

    return run


def litdata(folder: Path, *, making: Making, num_workers: int, shuffle: bool) -> Batches:
    limit_torch()
    from litdata import StreamingDataLoader, StreamingDataset

    # It asks the package index for newer versions of itself when it is made.
    dataset = StreamingDataset(str(folder / LITDATA), shuffle=shuffle, drop_last=False)

    def run() -> Generator[Size]:
        loader = StreamingDataLoader(dataset, batch_size=BATCH, collate_fn=making.of_dicts, num_workers=num_workers)
        for made in loader:
            yield making.size(made)

    return run


def limit_torch() -> None:
    import torch
    import torch.utils.data

    torch.set_num_threads(1)


def ways_to_read() -> dict[str, Way]:
    ways = {
        "read() of whole tars": Way(read_blocks),
        "pread": Way(partial(read_by_index, check=False)),
        "pread, crc32": Way(partial(read_by_index, check=True)),
    }
    for workers, more in ((0, ""), (2, ", 2 workers")):
        options = {"making": Kept(), "num_workers": workers}
        ways[f"ours{more}"] = Way(partial(ours, **options), yardstick=f"ours{more}")
        for name, prepare, content in (("webdataset", webdataset, OUTPUT), ("litdata", litdata, LITDATA)):
            for order, shuffle in (("", False), (", shuffled", True)):
                ways[f"{name}{order}{more}"] = Way(
                    partial(prepare, **options, shuffle=shuffle), content=content, yardstick=f"ours{more}"
                )
    return ways


def ways_to_decode() -> dict[str, Way]:
    whole, scaled = Decoded(), Decoded(NETWORK_SIDE)
    ways = {
        "PIL alone": Way(partial(from_memory, do=lambda pair: whole.picture(pair[0])), content=None),
        "PIL alone, scaled": Way(partial(from_memory, do=lambda pair: scaled.picture(pair[0])), content=None),
        "json.loads alone": Way(partial(from_memory, do=lambda pair: json.loads(pair[1])), content=None),
    }
    for workers, more in ((0, ""), (2, ", 2 workers")):
        options = {"making": whole, "num_workers": workers}
        yardstick = f"ours{more}"
        ways[f"ours{more}"] = Way(partial(ours, **options), yardstick=yardstick)
        ways[f"ours, scaled{more}"] = Way(partial(ours, making=scaled, num_workers=workers), yardstick=yardstick)
        ways[f"webdataset{more}"] = Way(partial(webdataset, **options, shuffle=True), yardstick=yardstick)
        ways[f"litdata{more}"] = Way(partial(litdata, **options, shuffle=True), content=LITDATA, yardstick=yardstick)
    return ways


# Measuring: each way in a process of its own.


@dataclass(frozen=True)
class Measured:
    """What a way took for all samples."""

    num_samples: int
    num_bytes: int
    cpu_us: float
    """A sample, of the process and its workers."""
    main_us: float
    """A sample, of the process alone."""
    rate: float
    """Samples a second."""


def measure(way: Way, folder: Path) -> Measured:
    """Go through all samples in this process."""
    batches = way.prepare(folder)
    for path in (folder / way.content).rglob("*") if way.content else ():
        if path.is_file():
            path.read_bytes()
    for _ in islice(pass_before := batches(), 2):
        pass
    pass_before.close()
    num_samples = num_bytes = 0
    main_before, all_before, start = *cpu_s(), time.perf_counter()
    for more_samples, more_bytes in batches():
        num_samples += more_samples
        num_bytes += more_bytes
    seconds = time.perf_counter() - start
    assert not multiprocessing.active_children()  # the time of workers that still run is not counted
    main_after, all_after = cpu_s()
    return Measured(
        num_samples=num_samples,
        num_bytes=num_bytes,
        cpu_us=1e6 * (all_after - all_before) / num_samples,
        main_us=1e6 * (main_after - main_before) / num_samples,
        rate=num_samples / seconds,
    )


def cpu_s() -> tuple[float, float]:
    """CPU seconds of this process, and of it with its children that have ended."""
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    main = own.ru_utime + own.ru_stime
    return main, main + others.ru_utime + others.ru_stime


def in_new_process(task: str, folder: Path, *, decode: bool) -> str:
    """What this script says last, called for one task. Whatever it or a library leaves behind lies in the folder."""
    command = [sys.executable, __file__, "--task", task, "--folder", str(folder), *(["--decode"] if decode else [])]
    scratch = folder / "tmp"
    scratch.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(scratch), "LITDATA_CACHE_DIR": str(scratch)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{task} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.splitlines()[-1] if done.stdout else ""


def run_task(task: str, folder: Path, *, decode: bool) -> None:
    """What a new process does."""
    if task == OPTIMIZE:
        write_litdata(folder)
    else:
        way = (ways_to_decode() if decode else ways_to_read())[task]
        print(json.dumps(vars(measure(way, folder))))


def reason_without_litdata(folder: Path) -> str | None:
    """Write litdata's files; or why there are none."""
    if importlib.util.find_spec("litdata") is None:
        return "it is not installed; pip install litdata"
    in_new_process(OPTIMIZE, folder, decode=False)
    return None


def check_same_samples(results: dict[str, list[Measured]], num_samples: int, *, decode: bool) -> None:
    """Every way has to have seen all samples, and the same number of bytes."""
    for name, rounds in results.items():
        assert all(one.num_samples == num_samples for one in rounds), f"{name}: {rounds}"
    seen = {one.num_bytes for rounds in results.values() for one in rounds} - {0}
    expected = {num_samples * side * side * 3 for side in (SIDE, NETWORK_SIDE)}
    assert seen == expected if decode else len(seen) == 1, seen


def print_table(ways: dict[str, Way], results: dict[str, list[Measured]]) -> None:
    print(f"{'':28}{'CPU us a sample':>24}{'of it, main process':>22}{'samples/s':>26}{'CPU time over ours':>24}")
    for name, rounds in results.items():
        cpu, main, rate = ([getattr(one, what) for one in rounds] for what in ("cpu_us", "main_us", "rate"))
        mine = results[ways[name].yardstick]
        ratios = [one.cpu_us / other.cpu_us for one, other in zip(rounds, mine, strict=True)]
        print(
            f"{name:28}{spread(cpu, 1):>24}{statistics.median(main):22,.1f}{spread(rate, 0):>26}"
            f"{'' if rounds is mine else spread(ratios, 2):>24}"
        )


def spread(values: Sequence[float], digits: int) -> str:
    """Median and range."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, help="20,000, or 4,000 with --decode")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--decode", action="store_true", help="decode pictures and parse JSON")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task is not None:
        run_task(options.task, options.folder, decode=options.decode)
        return
    num_samples = options.samples or (4000 if options.decode else 20_000)
    if num_samples <= SHARD:
        parser.error(f"--samples is {num_samples}; two workers need more than one shard of {SHARD:,}")
    ways = ways_to_decode() if options.decode else ways_to_read()
    with tempfile.TemporaryDirectory(prefix="relmill-stream-") as scratch:
        folder = Path(scratch)
        write_output(folder / OUTPUT, num_samples)
        if reason := reason_without_litdata(folder):
            print(f"litdata left out: {reason}")
            ways = {name: way for name, way in ways.items() if way.content != LITDATA}
        results: dict[str, list[Measured]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, rounds in results.items():
                rounds.append(Measured(**json.loads(in_new_process(name, folder, decode=options.decode))))
    check_same_samples(results, num_samples, decode=options.decode)
    print(f"{num_samples:,} samples, batches of {BATCH}, median of {options.rounds} rounds and range")
    print_table(ways, results)
    if not options.decode:
        found = statistics.median(one.cpu_us for one in results["ours"])
        verdict = "met" if found <= TARGET_US else f"missed by {found - TARGET_US:.1f}"
        print(f"ours, ordered and checked: {found:.1f} us a sample; the target of {TARGET_US} us is {verdict}")


if __name__ == "__main__":
    main()
