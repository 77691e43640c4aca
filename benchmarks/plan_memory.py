"""Time and memory of planning a large COCO file: `python benchmarks/plan_memory.py [IMAGES]` (default 2,000,000).

Writes a synthetic instances file of about 2 boxes an image to a temporary folder, and prints seconds and peak memory of
reading it (`read`, the physical limit), of parsing it with ijson and with ours (`parse`), of joining it into records
(`records`), and of all that `relmill plan` does (`plan`: records cut into units, compressed and written), the latter
two with the peak at a quarter, a half, three quarters and all of the records. Target for 2,000,000 images: under
3 minutes and under 2 GB.
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import ijson

from pipeline.plan import make_plan
from schemas.job import CocoDataset
from stages.ingest import open_dataset
from stages.ingest.json_stream import json_lists
from stages.storage import Folder

_LISTS = ("images", "annotations", "categories")


def main() -> None:
    if len(sys.argv) == 4 and sys.argv[1] == "plan":
        _measure_plan(Path(sys.argv[2]), int(sys.argv[3]))
        return
    if len(sys.argv) == 4:
        _measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
        return
    num_images = int(sys.argv[1]) if len(sys.argv) == 2 else 2_000_000
    with tempfile.TemporaryDirectory(prefix="relmill-bench-") as folder:
        path = Path(folder) / "instances.json"
        _write(path, num_images)
        print(f"{num_images:,} images, {path.stat().st_size / 1e6:,.0f} MB of JSON", flush=True)
        # Each in a process of its own, so that one's peak memory is not another's.
        for what in ("read", "ijson", "parse", "records", "plan"):
            subprocess.run([sys.executable, __file__, what, str(path), str(num_images)], check=True)


def _write(path: Path, num_images: int) -> None:
    rng = random.Random(0)
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"info": {"year": 2017}, "images": [')
        for i in range(num_images):
            # The ids in another order (7,919 is a prime): nothing may rest on files being sorted.
            number = i * 7_919 % num_images
            image = {"id": number, "width": 640, "height": 480, "file_name": f"{number:012d}.jpg", "license": 3}
            file.write((", " if i else "") + json.dumps(image))
        file.write('], "annotations": [')
        for i in range(2 * num_images):
            x, y, width, height = (round(rng.uniform(1, 300), 2) for _ in range(4))
            annotation = {
                "id": i,
                "image_id": rng.randrange(num_images),
                "category_id": 1 + i % 80,
                "bbox": [x, y, width, height],
                "area": round(width * height, 2),
                "iscrowd": 0,
                "segmentation": [[x, y, x + 50, y, x + 50, y + 50, x, y + 50]],
            }
            file.write((", " if i else "") + json.dumps(annotation))
        categories = [{"id": number, "name": f"class {number}"} for number in range(1, 81)]
        file.write(f'], "categories": {json.dumps(categories)}}}')


def _measure(what: str, path: Path, num_images: int) -> None:
    start, start_cpu = time.perf_counter(), time.process_time()
    peaks = []
    count = 0
    for count, _ in enumerate(_work(what, path), start=1):
        if what == "records" and count in {num_images // 4, num_images // 2, num_images}:
            peaks.append(_peak_mb())
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    rate = path.stat().st_size / seconds / 1e6
    memory = " / ".join(f"{peak:,.0f}" for peak in peaks or [_peak_mb()])
    print(
        f"{what:10} {seconds:7.1f} s (CPU {cpu:6.1f}) {rate:8.1f} MB/s   peak {memory} MB   {count:,} items", flush=True
    )


def _work(what: str, path: Path) -> Iterator[object]:
    if what == "read":
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                yield len(chunk)
    elif what == "ijson":
        for name in _LISTS:
            with open(path, "rb") as file:
                yield from ijson.items(file, f"{name}.item", use_float=True)
    elif what == "parse":
        yield from json_lists(str(path), set(_LISTS), layout="COCO")
    else:
        dataset = open_dataset(CocoDataset(format="coco", annotations=str(path), pixels=False), seed=0)
        yield from dataset.records()


def _measure_plan(path: Path, num_images: int) -> None:
    """The whole of `relmill plan`, with memory read on the way."""
    peaks: list[float] = []

    def progress(count: int) -> None:
        if count >= (len(peaks) + 1) * num_images // 4:
            peaks.append(_peak_mb())

    dataset = open_dataset(CocoDataset(format="coco", annotations=str(path), pixels=False), seed=0)
    start, start_cpu = time.perf_counter(), time.process_time()
    output = Folder(str(path.parent / "out"))
    plan = make_plan(output, dataset, job_digest="0" * 64, fingerprint="bench", unit_size=16, progress=progress)
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    memory = " / ".join(f"{peak:,.0f}" for peak in peaks)
    print(f"plan       {seconds:7.1f} s (CPU {cpu:6.1f})   peak {memory} MB   {len(plan.units):,} units", flush=True)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
