"""What the runtimes cost: no-op stages over records without pictures, inline and on a local Ray cluster.

    python benchmarks/runtime_overhead.py [--records 4000] [--unit-size 16] [--stages 4] [--json FILE]

Prints for Ray the fixed seconds on top of `ray.init` (a job of one record, from starting its workers to its commit,
the least of three), and per runtime the milliseconds a record beyond that; planning and report are not counted. The
physical limit beside it is the file system: files of the same bytes, written, synced and linked by a bare loop.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import ray

from pipeline.label import Prepared, prepare
from pipeline.ledger import Ledger
from pipeline.meter import Meter
from pipeline.runtimes import RunContext, run_units
from schemas import Image, Rejected, Scene
from schemas.job import build_job
from stages.pack import CommitLog


class Nothing:
    """A stage that returns what it is given."""

    identity = "nothing/1"
    batch_size = 64

    def __init__(self, name: str) -> None:
        self.name = name

    def setup(self) -> None:
        pass

    def process(self, scenes: Sequence[Scene]) -> Sequence[Scene | Rejected]:
        return scenes


class Blank:
    """A dataset of scenes with nothing in them."""

    name = "blank"
    boxes_are_fractions = False

    def __init__(self, number: int) -> None:
        self.number = number

    def fingerprint(self) -> str:
        return sha256(str(self.number).encode()).hexdigest()

    def records(self) -> Iterator[Scene | Rejected]:
        return (Scene(f"blank-{i:08d}", Image(f"{i}.jpg", 640, 480)) for i in range(self.number))

    def images(self) -> None:
        return None


def prepared(folder: str, kind: str, records: int, unit_size: int, num_stages: int) -> Prepared:
    job = build_job(
        {
            "dataset": {"format": "scenes", "pixels": False},
            "output": folder,
            "unit_size": unit_size,
            "runtime": {"kind": kind},
        }
    )
    stages = [Nothing(name) for name in ("screen", "caption", "parse", "tag")[:num_stages]]
    return prepare(job, stages=stages, dataset=Blank(records))


def timed(kind: str, records: int, unit_size: int, num_stages: int) -> tuple[float, float]:
    """Seconds of the run, and of a bare loop that writes the same files as durably."""
    with tempfile.TemporaryDirectory() as folder:
        job = prepared(f"{folder}/out", kind, records, unit_size, num_stages)
        ledger = Ledger(job.folder)
        ledger.take_over()
        meter = Meter((*(stage.name for stage in job.stages), "pack"), records)
        context = RunContext(job.stages, job.folder, job.digest, job.job.runtime, meter)
        start = time.perf_counter()
        for draft in run_units(context, job.plan.units):
            ledger.commit(draft)
        seconds = time.perf_counter() - start
        assert ledger.totals.written == records
        return seconds, bare_loop(Path(folder), job)


def bare_loop(folder: Path, job: Prepared) -> float:
    """Write, sync and link what the run published: what the file system takes for it at the least."""
    contents = []
    for entry in CommitLog(job.folder).entries():
        contents += [job.folder.read(file.name) for file in (entry.shard, entry.index) if file]
        contents.append(entry.to_json())
    target = folder / "bare"
    target.mkdir()
    directory = os.open(target, os.O_RDONLY)
    start = time.perf_counter()
    for number, content in enumerate(contents):
        with open(target / "tmp", "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(target / "tmp", target / str(number))
        (target / "tmp").unlink()
        os.fsync(directory)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, default=4000)
    parser.add_argument("--unit-size", type=int, default=16)
    parser.add_argument("--stages", type=int, default=4)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    figures: dict[str, float] = {}
    start = time.perf_counter()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="error")
    figures["ray_init_s"] = time.perf_counter() - start
    figures["ray_fixed_s"] = min(timed("ray", 1, 1, arguments.stages)[0] for _ in range(3))
    for kind in ("inline", "ray"):
        seconds, bare = timed(kind, arguments.records, arguments.unit_size, arguments.stages)
        seconds -= figures["ray_fixed_s"] if kind == "ray" else 0.0
        figures[f"{kind}_ms_a_record"] = 1000 * seconds / arguments.records
        figures[f"{kind}_over_bare_files"] = seconds / bare
        figures["bare_files_ms_a_record"] = 1000 * bare / arguments.records
    ray.shutdown()
    for name, value in figures.items():
        print(f"{name:28} {value:8.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({**vars(arguments), "json": None, **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
