"""`relmill audit sample` on a synthetic output: seconds, CPU time and peak memory, beside reading the columns alone.

    python benchmarks/audit_sample.py [--relations 10000000] [--per-file 50000] [--drawn 400] [--where ...] [--keep DIR]

The output has a log and index files, written by pyarrow with the schema of real ones, and no shards: sampling reads
none. 40 predicates by Zipf's law, 80 classes, three sources, 3 % denied, 8 relations a scene, scores, probabilities
and boxes of their own. The relations of a few dozen files are different ones; the others repeat them under keys of
their own, or making 10^8 would take longer than all else. Everything was written just before, so what fits is in the
page cache.

A process draws, another one is the floor: it opens the same files and reads the same columns by pyarrow, with as many
threads, and does nothing with them. A third one reads the whole index, which no way of sampling would have to. Memory
is the process's largest resident set, libraries and all.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.commit import DATASET_VERSION, Commit, Counts, FileEntry, commit_name
from schemas.shard import INDEX_SCHEMA, RELATION_TYPE

NUM_PREDICATES, NUM_CLASSES, NUM_REGIONS = 40, 80, 12
RELATIONS_A_SCENE = 8
SOURCES = ("caption", "geometry", "tagger")
NUM_BLOCKS = 24
SEED = 7
FLOOR_FIELDS = ("predicate", "score", "source", "state")


def relations_of(rng: np.random.Generator, number: int) -> pa.StructArray:
    """(number,) relations."""
    chances = 1 / np.arange(1, NUM_PREDICATES + 1)
    predicates = pa.array([f"predicate {i}" for i in range(NUM_PREDICATES)])
    classes = pa.array([f"class {i}" for i in range(NUM_CLASSES)])
    predicate = predicates.take(pa.array(rng.choice(NUM_PREDICATES, number, p=chances / chances.sum())))

    def boxes() -> pa.FixedSizeListArray:
        corners = np.round(rng.uniform(0, 320, (number, 4)), 2)
        corners[:, 2:] += corners[:, :2]
        return pa.FixedSizeListArray.from_arrays(pa.array(corners.ravel()), 4)

    scores = np.round(rng.beta(2, 2, number), 4)
    columns = {
        "subject_id": pa.array(rng.integers(0, NUM_REGIONS, number)),
        "subject": classes.take(pa.array(rng.integers(0, NUM_CLASSES, number))),
        "subject_box": boxes(),
        "predicate": predicate,
        "object_id": pa.array(rng.integers(0, NUM_REGIONS, number)),
        "object": classes.take(pa.array(rng.integers(0, NUM_CLASSES, number))),
        "object_box": boxes(),
        "text": predicate,
        "score": pa.array(scores),
        "probability": pa.array(scores**1.3),
        "source": pa.array(SOURCES).take(pa.array(rng.choice(len(SOURCES), number, p=[0.3, 0.2, 0.5]))),
        "state": pa.array(["asserted", "denied"]).take(pa.array(rng.choice(2, number, p=[0.97, 0.03]))),
    }
    return pa.StructArray.from_arrays([columns[field.name] for field in RELATION_TYPE], fields=list(RELATION_TYPE))


def make_output(folder: Path, num_relations: int, per_file: int) -> int:
    """Write index files and a sealed log; bytes of the index."""
    for name in ("index", "commits"):
        (folder / name).mkdir(parents=True)
    (folder / "dataset.json").write_text(json.dumps({"schema": DATASET_VERSION, "job": "bench"}))
    num_files = -(-num_relations // per_file)
    rng = np.random.default_rng(SEED)
    blocks = [relations_of(rng, per_file) for _ in range(min(NUM_BLOCKS, num_files))]

    def write(number: int) -> Commit:
        relations = blocks[number % len(blocks)].slice(0, min(per_file, num_relations - number * per_file))
        num_scenes = -(-len(relations) // RELATIONS_A_SCENE)
        scenes = np.arange(num_scenes)
        ends = np.minimum(np.arange(num_scenes + 1) * RELATIONS_A_SCENE, len(relations))
        stem = f"{number:08d}-bench"
        whole = {
            "key": [f"bench-{number:06d}{i:06d}" for i in scenes],
            "shard": [f"shards/{stem}.tar"] * num_scenes,
            "image_offset": scenes * 34_304 + 512,
            "image_length": np.full(num_scenes, 30_000),
            "image_crc32": scenes,
            "json_offset": scenes * 34_304 + 31_232,
            "json_length": np.full(num_scenes, 2_500),
            "json_crc32": scenes,
            "width": np.full(num_scenes, 640),
            "height": np.full(num_scenes, 480),
            "num_regions": np.full(num_scenes, NUM_REGIONS),
            "num_captions": np.full(num_scenes, 5),
            "num_relations": np.diff(ends),
        }
        columns = [pa.array(values, INDEX_SCHEMA.field(name).type) for name, values in whole.items()]
        columns.append(pa.ListArray.from_arrays(pa.array(ends, pa.int32()), relations))
        path = folder / "index" / f"{stem}.parquet"
        table = pa.Table.from_arrays(columns, schema=INDEX_SCHEMA)
        pq.write_table(table, path, compression="zstd", store_schema=True)  # as `stages.pack.index` does
        data = path.read_bytes()
        index = FileEntry(f"index/{stem}.parquet", len(data), hashlib.sha256(data).hexdigest())
        shard = FileEntry(f"shards/{stem}.tar", 34_304 * num_scenes, hashlib.sha256(stem.encode()).hexdigest())
        counts = Counts(planned=num_scenes, written=num_scenes, relations=len(relations))
        return Commit(number, f"unit{number}", shard, index, counts=counts)

    last, num_bytes = None, 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for commit in pool.map(write, range(num_files)):
            last = commit.follows(last)
            (folder / commit_name(last.number)).write_bytes(last.to_json())
            num_bytes += commit.index.bytes if commit.index else 0
            if commit.number % 200 == 199:
                print(f"  made {commit.number + 1} of {num_files} index files", file=sys.stderr, flush=True)
    seal = Commit(0, "", sealed=True).follows(last)
    (folder / commit_name(seal.number)).write_bytes(seal.to_json())
    return num_bytes


def draw(output: Path, drawn: int, where: str | None) -> None:
    """What is measured."""
    from pipeline.audit.sample import sample

    with tempfile.TemporaryDirectory() as folder:
        summary = sample(str(output), Path(folder) / "sample", num_drawn=drawn, where=where, seed=SEED)
        print(f"{summary.sample.population} relations, {summary.sample.num_items} drawn", file=sys.stderr)


def floor(output: Path, fields: Sequence[str] | None) -> None:
    """Read these fields of all relations, or everything, and do nothing."""

    def read(path: Path) -> int:
        names = None if fields is None else [f"relations.list.element.{name}" for name in fields]
        texts = [f"relations.list.element.{name}" for name in ("predicate", "source", "state")]
        return int(pq.ParquetFile(path, read_dictionary=texts).read(names, use_threads=False).num_rows)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sum(pool.map(read, sorted((output / "index").iterdir())))


def ways() -> Iterator[tuple[str, str]]:
    """What the processes do, one after the other."""
    yield "make", "making the output"
    yield "draw", "relmill audit sample"
    yield "floor", "pyarrow, the columns that are needed"
    yield "all", "pyarrow, all columns"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--relations", type=int, default=10_000_000)
    parser.add_argument("--per-file", type=int, default=50_000)
    parser.add_argument("--drawn", type=int, default=400)
    parser.add_argument("--where")
    parser.add_argument("--keep", type=Path, help="Make the output here, and leave it; one that is there is taken.")
    parser.add_argument("--do", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.do:
        begun = time.monotonic()
        if options.do == "make":
            num_bytes = make_output(options.keep, options.relations, options.per_file)
            print(f"{options.relations} relations, {num_bytes / 1e9:.2f} GB of index", file=sys.stderr)
        elif options.do == "draw":
            draw(options.keep, options.drawn, options.where)
        else:
            floor(options.keep, FLOOR_FIELDS if options.do == "floor" else None)
        used = resource.getrusage(resource.RUSAGE_SELF)
        wall, cpu = time.monotonic() - begun, used.ru_utime + used.ru_stime
        print(json.dumps([wall, cpu, used.ru_maxrss / 1024]))
        return

    folder = options.keep or Path(tempfile.mkdtemp(prefix="relmill-bench-"))
    output = folder / "output"
    try:
        for way, name in ways():
            if way == "make" and output.exists():
                continue
            arguments = [sys.executable, __file__, "--do", way, "--keep", str(output), "--drawn", str(options.drawn)]
            arguments += ["--relations", str(options.relations), "--per-file", str(options.per_file)]
            arguments += ["--where", options.where] if options.where else []
            # The largest resident set of a process counts from that of its parent, so this one stays small.
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
            result = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, env=environment)
            wall, cpu, memory = json.loads(result.stdout.splitlines()[-1])
            print(f"{name:40} {wall:7.2f} s  CPU {cpu:7.2f} s  peak memory {memory:6.0f} MB", flush=True)
    finally:
        if not options.keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
