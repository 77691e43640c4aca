"""Memory of a training's input over many samples: `python benchmarks/input_memory.py [--samples 100000] [--readers 2]`.

Writes an output of so many scenes (that of `benchmarks/stream.py`: pictures of 320 x 320, 32 kB a sample) to a
temporary folder, and goes through it once as `relmill train` does, with everything but the network: the order, the
checksums, pictures decoded, cropped and scaled, labels, texts, batches as tensors. Prints the memory of this process
and its readers (PSS: pages that they share are counted once) at each quarter, and what they have open. As yardstick,
the first of these figures: a twentieth of the way, when all windows and caches have filled. (Of what is left behind,
`torchinductor_*` is PyTorch's own cache.)
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import psutil
from stream import CLASSES, write_output

from pipeline.train_plan import plan_training
from schemas.job import TrainJob

BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--readers", type=int, default=2, help="processes that read ahead; 0: this one reads")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="relmill-bench-") as folder:
        write_output(Path(folder) / "output", options.samples)
        (Path(folder) / "output" / "vocabulary.json").write_text(json.dumps({"classes": CLASSES}))
        left = Path(folder) / "tmp"
        left.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(left)
        measure(Path(folder), options.samples, options.readers)
        files = [str(path.relative_to(left)) for path in left.rglob("*")]
        print(f"left behind: {len(psutil.Process().children())} processes, temporary files: {files or 'none'}")


def measure(folder: Path, num_samples: int, num_readers: int) -> None:
    job = TrainJob.model_validate(
        {
            "sources": [{"output": str(folder / "output")}],
            "steps": num_samples // BATCH,
            "batch_size": BATCH,
            "output": str(folder / "network"),
            "runtime": {"readers": num_readers},
        }
    )
    plan = plan_training(job, report=print)
    process = psutil.Process()
    due = [num_samples // 20, *(num_samples * quarter // 4 for quarter in (1, 2, 3, 4))]
    seen, start = 0, time.perf_counter()
    for batch in plan.loader():
        seen += batch.size
        while due and seen >= due[0] - BATCH:
            due.pop(0)
            processes = [process, *process.children(recursive=True)]
            memory_mb = sum(each.memory_full_info().pss for each in processes) / 1e6
            num_open = sum(each.num_fds() for each in processes)
            print(
                f"{seen:>9,} samples  {memory_mb:7.1f} MB  {num_open} open files and pipes  "
                f"{seen / (time.perf_counter() - start):5.0f} samples/s",
                flush=True,
            )
        if not due:
            break


if __name__ == "__main__":
    main()
