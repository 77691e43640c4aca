"""Pack against plain `tarfile` on the same bytes, side by side in one process.

    python benchmarks/pack_rate.py [--scenes 2000] [--picture-kb 120] [--rounds 5]

Pack writes the tar with offsets, reads it back and checks it, digests it, writes the Parquet index, syncs and links.
`tarfile` only writes the members. Both are given the same pictures and JSON. The physical limit is the disk: a bare
write of the same number of bytes, synced.
"""

import argparse
import io
import os
import statistics
import tarfile
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from schemas import Caption, Image, Region, Relation, Scene, scene_to_json
from schemas.unit import Unit
from stages.pack import pack_unit
from stages.storage import Folder


def make_scenes(number: int, size: int) -> list[Scene]:
    regions = tuple(Region(i, "person", (float(i), 0.0, i + 10.0, 20.0)) for i in range(8))
    relations = tuple(Relation(i, i + 1, "next to", "next to", 0.5, "tagger") for i in range(4))
    captions = tuple(Caption("a person stands next to another person", "given") for _ in range(5))
    base = Scene("bench-0", Image("x.jpg", 640, 480, "jpg"), regions, captions, relations=relations)
    return [
        replace(base, key=f"bench-{i:07d}", image=replace(base.image, data=os.urandom(size))) for i in range(number)
    ]


def with_pack(scenes: list[Scene], folder: Path, unit_size: int) -> None:
    output = Folder(str(folder))
    for number, start in enumerate(range(0, len(scenes), unit_size)):
        part = scenes[start : start + unit_size]
        pack_unit(Unit(number, "u", "", 0, 0, len(part)), part, output)


def with_tarfile(scenes: list[Scene], folder: Path, unit_size: int) -> None:
    for number, start in enumerate(range(0, len(scenes), unit_size)):
        with tarfile.open(folder / f"{number}.tar", "w") as tar:
            for scene in scenes[start : start + unit_size]:
                for name, data in ((f"{scene.key}.jpg", scene.image.data), (f"{scene.key}.json", scene_to_json(scene))):
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))


def bare(scenes: list[Scene], folder: Path, unit_size: int) -> None:
    for number, start in enumerate(range(0, len(scenes), unit_size)):
        with open(folder / str(number), "wb") as file:
            for scene in scenes[start : start + unit_size]:
                file.write(scene.image.data)
            file.flush()
            os.fsync(file.fileno())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scenes", type=int, default=1024)
    parser.add_argument("--picture-kb", type=int, default=120)
    parser.add_argument("--unit-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    scenes = make_scenes(arguments.scenes, arguments.picture_kb * 1000)
    ways = {"pack": with_pack, "tarfile": with_tarfile, "bare write + fsync": bare}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                way(scenes, Path(folder), arguments.unit_size)
                rates[name].append(len(scenes) / (time.perf_counter() - start))
    for name, values in rates.items():
        median = statistics.median(values)
        print(f"{name:20} {median:9.0f} records/s  {median * arguments.picture_kb / 1000:8.0f} MB/s  "
              f"(of {len(values)}: {min(values):.0f} to {max(values):.0f})")  # fmt: skip
    ratios = [a / b for a, b in zip(rates["pack"], rates["tarfile"], strict=True)]
    spread = f"(of {len(ratios)}: {min(ratios):.2f} to {max(ratios):.2f})"
    print(f"{'pack / tarfile':20} {statistics.median(ratios):9.2f}  {spread}")


if __name__ == "__main__":
    main()
