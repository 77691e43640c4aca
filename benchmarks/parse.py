"""Captions a second of `relmill parse` on one core and two, and the memory of a million captions.

    python benchmarks/parse.py --data DATA [--runs 5] [--captions 20000] [--model builtin] [--json result.json]
    python benchmarks/parse.py --data DATA --million [1000000]

DATA holds `relations/captions_vcoco.jsonl.gz`, COCO captions, of which each is taken once. On one core, in turn, the
median of the runs: what `CaptionParser` does; the same pipeline and extraction with the matrix products that thinc
brings along, in batches, and with a call a caption, as a program around spaCy is usually written; and the floor under
them all, tokenizer and word vectors alone. Then the command itself with 1 and 2 processes on more captions, made by
joining the first half of one to the second half of another, less the time that it takes for a single caption.

`--million` instead reads the memory of this process before and after each quarter of so many made captions.
"""

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from pipeline.load_parser import load_parser
from pipeline.parse_lines import CHUNK_LINES
from stages.parse.conventions import BUILTIN_FOLDER

if TYPE_CHECKING:
    from spacy.language import Language

    from stages.parse.parser import CaptionParser

OURS, FLOOR = "parse + extract, ours", "floor: tokenizer + tok2vec"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--captions", type=int, default=20_000, help="made captions for the command")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--million", type=int, nargs="?", const=1_000_000, metavar="COUNT")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    captions = coco_captions(arguments.data)
    if arguments.million is not None:
        result = memory(captions, arguments.million, arguments.model)
    else:
        one_core = rates(captions, arguments.runs, arguments.model)
        result = {"one_core": one_core, "command": command(captions, arguments.captions, arguments.model)}
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def coco_captions(data: Path) -> list[str]:
    """The distinct captions, in the order of the file, white space put right."""
    with gzip.open(data / "relations/captions_vcoco.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [" ".join(text.split()) for line in lines for text in json.loads(line)["captions"]]
    return list(dict.fromkeys(texts))


def made_captions(captions: Sequence[str]) -> Iterator[str]:
    """First half of one, second half of another: the captions themselves, then almost as many again as pairs exist."""
    words = [caption.split() for caption in captions]
    for shift in range(len(words)):
        for index, first in enumerate(words):
            second = words[(index + shift) % len(words)]
            yield " ".join([*first[: (len(first) + 1) // 2], *second[(len(second) + 1) // 2 :]])


def rates(captions: Sequence[str], num_runs: int, model: str) -> dict[str, Any]:
    """Captions a second of each way, the ways in turn so that a change of the machine's pace meets all."""
    ways = one_core_ways(captions, model)
    walls: dict[str, list[float]] = {name: [] for name in ways}
    cpus: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()  # warm
    for _ in range(num_runs):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            way()
            walls[name].append(time.perf_counter() - wall)
            cpus[name].append(time.process_time() - cpu)
    result = {
        name: {
            "captions_per_s": round(len(captions) / statistics.median(walls[name]), 1),
            "captions_per_cpu_s": round(len(captions) / statistics.median(cpus[name]), 1),
        }
        for name in ways
    }
    print(f"{len(captions):,} distinct COCO captions, one core, median of {num_runs} runs")
    print(f"{'':32}{'captions/s':>12}{'per CPU-s':>12}{'ours is':>10}")
    ours = result[OURS]["captions_per_cpu_s"]
    for name, row in result.items():
        ratio = f"{ours / row['captions_per_cpu_s']:.2f} x"
        print(f"{name:32}{row['captions_per_s']:12,.0f}{row['captions_per_cpu_s']:12,.0f}{ratio:>10}", flush=True)
    return result


def one_core_ways(captions: Sequence[str], model: str) -> dict[str, Callable[[], object]]:
    """What is compared; each reads all captions once."""
    ours, stock = load_parser(model), load_parser(model)
    from stages.parse.parser import BATCH
    from stages.parse.row_ops import one_blas_thread

    stock._model = replace(stock._model, nlp=stock_pipeline(model))
    docs = [ours.doc(caption) for caption in captions]

    def one_by_one() -> None:
        for caption in captions:
            stock._read(stock.doc(caption))

    def extraction() -> None:
        for doc in docs:
            ours._read(doc)

    ways: dict[str, Callable[[], object]] = {
        OURS: lambda: ours.parse(captions),
        "batches, stock products": lambda: stock.parse(captions),
        "one by one, stock products": one_by_one,
        "extraction alone": extraction,
    }
    nlp = ours._model.nlp
    if "tok2vec" in nlp.pipe_names:

        def floor() -> None:
            with one_blas_thread(), nlp.select_pipes(enable=["tok2vec"]), nlp.memory_zone():
                for _ in nlp.pipe(captions, batch_size=BATCH):
                    pass

        ways[FLOOR] = floor
    return ways


def stock_pipeline(model: str) -> "Language":
    """The pipeline as spaCy loads it when nobody chooses its products."""
    import spacy

    return spacy.load(BUILTIN_FOLDER if model == "builtin" else model)


def command(captions: Sequence[str], num_captions: int, model: str) -> dict[str, Any]:
    """`relmill parse --jobs` 1 and 2: seconds for one caption, and captions a second beyond that."""
    texts = list(islice(made_captions(captions), num_captions))
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="relmill-bench-") as folder:
        one, all_ = Path(folder) / "one.txt", Path(folder) / "all.txt"
        one.write_text(texts[0] + "\n", encoding="utf-8")
        all_.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        print(f"\nrelmill parse, {len(texts):,} made captions")
        for jobs in (1, 2):
            start_s = min(seconds_of(one, jobs, model) for _ in range(3))
            rate = (len(texts) - 1) / (seconds_of(all_, jobs, model) - start_s)
            result[str(jobs)] = {"start_s": round(start_s, 2), "captions_per_s": round(rate, 1)}
            ratio = rate / result["1"]["captions_per_s"]
            print(
                f"--jobs {jobs}  {rate:8,.0f} captions/s  {ratio:.2f} x  after {start_s:.1f} s of loading", flush=True
            )
    return result


def seconds_of(path: Path, jobs: int, model: str) -> float:
    start = time.perf_counter()
    arguments = [sys.executable, "-m", "pipeline", "parse", str(path), "--jobs", str(jobs), "--model", model]
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[1])
    return time.perf_counter() - start


def memory(captions: Sequence[str], num_captions: int, model: str) -> dict[str, Any]:
    """Resident memory at the quarters of so many captions, parsed in the chunks of the command."""
    parser = load_parser(model)
    texts = islice(made_captions(captions), num_captions)
    # The first chunk makes what stays: buffers of the products, tables of the rules.
    num_parsed = parse_chunk(parser, texts)
    megabytes = [resident_mb()]
    num_relations = 0
    start = time.perf_counter()
    while chunk := list(islice(texts, CHUNK_LINES)):
        num_relations += sum(len(parse.relations) for parse in parser.parse(chunk))
        num_parsed += len(chunk)
        while num_parsed >= len(megabytes) * num_captions / 4 and len(megabytes) < 5:
            megabytes.append(resident_mb())
            print(f"{num_parsed:10,} captions  {megabytes[-1]:8.1f} MB resident", flush=True)
    seconds = time.perf_counter() - start
    rate = num_parsed / seconds
    print(f"{megabytes[0]:.1f} MB after the first {CHUNK_LINES}; {rate:,.0f} captions/s, {num_relations:,} relations")
    return {"captions": num_parsed, "resident_mb": megabytes, "seconds": round(seconds, 1)}


def parse_chunk(parser: "CaptionParser", texts: Iterator[str]) -> int:
    """Parse one chunk; how many captions it had."""
    return len(parser.parse(islice(texts, CHUNK_LINES)))


def resident_mb() -> float:
    return round(psutil.Process().memory_info().rss / 1e6, 1)


if __name__ == "__main__":
    main()
