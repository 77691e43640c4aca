"""HICO-DET's test set at full size, synthetic: the evaluator, its growth, and the published algorithm as a plain loop.

    python benchmarks/evaluate_hicodet.py [--images 9658] [--pairs 100] [--loop-images 60] [--growth] [--file]

Every image has a few true interactions and `--pairs` predicted pairs, each with a score for all 117 verbs, as qpic's
network puts them out. The loop follows the published evaluator step by step, with dictionaries and lists; it is run on
the first `--loop-images` images, on which both must give the same figure, and its time is proportional to their number.
`--growth` measures 1, 2 and 4 times as many images, each in a process of its own. `--file` writes the predictions as
JSON (about 1 GB at full size) and runs `relmill evaluate hicodet` on it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stages.evaluate.detections import ImagePrediction, ImageTruth, image_truth
from stages.evaluate.hicodet import HicoEvaluator
from stages.evaluate.hicodet_classes import hico_classes

CLASSES = hico_classes()
NUM_VERBS = len(CLASSES.space.predicates)


def made_images(number: int, pairs: int, *, seed: int = 0) -> Iterator[tuple[ImageTruth, ImagePrediction]]:
    """Truth and prediction of each image; the same for the same seed, and the first ones for a smaller number."""
    weights = np.array(CLASSES.num_train, dtype=float)
    weights /= weights.sum()
    for index in range(number):
        rng = np.random.default_rng((seed, index))
        chosen = [CLASSES.interactions[i] for i in rng.choice(len(weights), size=rng.integers(1, 7), p=weights)]
        labels = [label for object_, _ in chosen for label in (CLASSES.person, object_)]
        corners = rng.uniform(0, 400, (len(labels), 2))
        boxes = np.round(np.hstack((corners, corners + rng.uniform(40, 200, (len(labels), 2)))), 1)
        truth = image_truth(boxes.tolist(), labels, [(2 * i, 2 * i + 1, verb) for i, (_, verb) in enumerate(chosen)])

        of = rng.integers(0, len(chosen), pairs)
        ends = np.stack((2 * of, 2 * of + 1), axis=1).reshape(-1)
        found = np.round(np.sort((boxes[ends] + rng.normal(0, 12, (2 * pairs, 4))).reshape(-1, 2, 2), axis=1), 1)
        names = np.array(labels)[ends]
        wrong = rng.random(2 * pairs) < 0.2
        wrong[::2] = False
        names[wrong] = rng.integers(0, 80, int(wrong.sum()))
        scores = np.round(rng.beta(0.3, 3.0, (pairs, NUM_VERBS)), 4)
        scores[np.arange(pairs), truth.relations[of, 2]] = np.round(rng.beta(2.0, 2.0, pairs), 4)
        pair = np.repeat(np.arange(pairs), NUM_VERBS)
        relations = np.stack((2 * pair, 2 * pair + 1, np.tile(np.arange(NUM_VERBS), pairs)), axis=1)
        yield (
            truth,
            ImagePrediction(found.reshape(-1, 4), names, np.ones(2 * pairs), relations, scores.reshape(-1)),
        )


def vectorised(number: int, pairs: int) -> tuple[float, float | None]:
    """Seconds in the evaluator alone, and its mAP."""
    evaluator, seconds = HicoEvaluator(), 0.0
    for truth, prediction in made_images(number, pairs):
        start = time.perf_counter()
        evaluator.add(truth, prediction)
        seconds += time.perf_counter() - start
    start = time.perf_counter()
    score = evaluator.score()
    return seconds + time.perf_counter() - start, score.figures["mAP"]


class PlainLoop:
    """The published algorithm: every box with every box, every prediction with every truth, one by one.

    With `suppress`, as RLIPv2 has it: of two triplets of a class whose boxes overlap, the weaker goes.
    """

    def __init__(self, *, suppress: bool = False) -> None:
        self.suppress = suppress
        self.found: dict[tuple[int, int], list[tuple[float, bool]]] = defaultdict(list)
        self.positives: dict[tuple[int, int], int] = defaultdict(int)

    def add(self, truth: ImageTruth, prediction: ImagePrediction) -> None:
        true_boxes, boxes = truth.boxes.tolist(), prediction.boxes.tolist()
        true_labels, labels = truth.labels.tolist(), prediction.labels.tolist()
        ranked: list[dict[str, Any]] = []
        for (subject, object_, verb), score in zip(
            prediction.relations.tolist(), prediction.scores.tolist(), strict=True
        ):
            allowed = CLASSES.table[labels[object_], verb] >= 0
            ranked.append({"subject": subject, "object": object_, "verb": verb, "score": score if allowed else 0.0})
        ranked.sort(key=lambda one: one["score"], reverse=True)
        ranked = ranked[:100]
        if self.suppress:
            ranked = suppressed(ranked, boxes, labels)
        overlaps: dict[int, dict[int, float]] = {}
        for i, box in enumerate(boxes):
            for j, true_box in enumerate(true_boxes):
                overlap = iou(box, true_box) if labels[i] == true_labels[j] else 0.0
                if overlap >= 0.5:
                    overlaps.setdefault(i, {})[j] = overlap
        truths = truth.relations.tolist()
        for _, object_, verb in truths:
            self.positives[true_labels[object_], verb] += 1
        taken = [False] * len(truths)
        for one in ranked:
            best, target = 0.0, -1
            for number, (subject, object_, verb) in enumerate(truths):
                near_subject = overlaps.get(one["subject"], {})
                near_object = overlaps.get(one["object"], {})
                if verb == one["verb"] and subject in near_subject and object_ in near_object:
                    least = min(near_subject[subject], near_object[object_])
                    if least > best:
                        best, target = least, number
            if labels[one["subject"]] != CLASSES.person:
                continue
            hit = target >= 0 and not taken[target]
            if hit:
                taken[target] = True
            self.found[labels[one["object"]], one["verb"]].append((one["score"], hit))

    def mean_average_precision(self) -> float:
        values = []
        for triplet, positives in self.positives.items():
            hits, precision, recall = 0, [], []
            for seen, (_, hit) in enumerate(sorted(self.found[triplet], key=lambda row: -row[0]), start=1):
                hits += hit
                precision.append(hits / seen)
                recall.append(hits / positives)
            area = 0.0
            for least in np.arange(0.0, 1.1, 0.1):
                area += max((p for p, r in zip(precision, recall, strict=True) if r >= least), default=0.0) / 11
            values.append(area)
        return sum(values) / len(values)


def suppressed(ranked: list[dict[str, Any]], boxes: list[list[float]], labels: list[int]) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for one in ranked:
        of_class = [labels[one["subject"]], labels[one["object"]], one["verb"]]
        for other in kept:
            if [labels[other["subject"]], labels[other["object"]], other["verb"]] == of_class:
                subjects = iou(boxes[one["subject"]], boxes[other["subject"]], touching=True)
                objects = iou(boxes[one["object"]], boxes[other["object"]], touching=True)
                if subjects * objects**0.5 > 0.7:
                    break
        else:
            kept.append(one)
    return kept


def iou(first: list[float], second: list[float], *, touching: bool = False) -> float:
    left, top = max(first[0], second[0]), max(first[1], second[1])
    right, bottom = min(first[2], second[2]), min(first[3], second[3])
    if not touching and (left >= right or top >= bottom):
        return 0.0
    shared = max(right - left + 1, 0) * max(bottom - top + 1, 0)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (first, second)]
    return shared / (sum(areas) - shared)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(arguments: argparse.Namespace) -> None:
    images = list(made_images(arguments.loop_images, arguments.pairs))
    loop, evaluator = PlainLoop(), HicoEvaluator()
    start = time.perf_counter()
    for truth, prediction in images:
        loop.add(truth, prediction)
    figure = loop.mean_average_precision()
    of_loop = time.perf_counter() - start
    start = time.perf_counter()
    for truth, prediction in images:
        evaluator.add(truth, prediction)
    score = evaluator.score()
    ours = time.perf_counter() - start
    # Scores of four digits tie; the loop takes ties in the order of the file, so the figures agree nearly.
    print(
        f"{arguments.loop_images} images: loop {of_loop:.2f} s (mAP {figure:.4f}), ours {ours:.3f} s "
        f"(mAP {score.figures['mAP']:.4f}): {of_loop / ours:.0f} times as fast"
    )


def from_file(arguments: argparse.Namespace) -> None:
    names = CLASSES.space
    with tempfile.TemporaryDirectory() as folder:
        true_path, path = Path(folder) / "truth.jsonl", Path(folder) / "predictions.jsonl"
        with true_path.open("w") as true_file, path.open("w") as file:
            for index, (truth, prediction) in enumerate(made_images(arguments.images, arguments.pairs)):
                true_file.write(json.dumps({
                    "image": f"{index}.jpg", "boxes": truth.boxes.tolist(), "labels": truth.labels.tolist(),
                    "relations": truth.relations.tolist(),
                }) + "\n")  # fmt: skip
                file.write(json.dumps({
                    "image": f"{index}.jpg", "boxes": prediction.boxes.tolist(), "labels": prediction.labels.tolist(),
                    "sub_ids": list(range(0, 2 * arguments.pairs, 2)),
                    "obj_ids": list(range(1, 2 * arguments.pairs, 2)),
                    "verb_scores": prediction.scores.reshape(-1, len(names.predicates)).tolist(),
                }) + "\n")  # fmt: skip
        size = path.stat().st_size
        start = time.perf_counter()
        with path.open("rb") as file:
            for line in file:
                json.loads(line)
        parse = time.perf_counter() - start
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "pipeline", "evaluate", "hicodet", "--preset", "official",
             "--ground-truth", true_path, "--predictions", path],
            check=True,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"relmill evaluate hicodet on a file of {size / 1e6:.0f} MB: {seconds:.1f} s, peak {peak:.0f} MB; "
        f"parsing the JSON alone {parse:.1f} s"
    )


def growth(arguments: argparse.Namespace) -> None:
    first = 0.0
    for times in (1, 2, 4):
        command = [sys.executable, __file__, "--images", str(times * arguments.images), "--pairs", str(arguments.pairs),
                   "--loop-images", "0"]  # fmt: skip
        result = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
        line = json.loads(result.stdout.splitlines()[-1])
        first = first or line["seconds"]
        print(
            f"{times}x: {line['images']} images in {line['seconds']:.1f} s ({line['seconds'] / first:.2f} times), "
            f"peak {line['peak_mb']:.0f} MB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=9658)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--loop-images", type=int, default=60)
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--file", action="store_true")
    arguments = parser.parse_args()
    if arguments.growth:
        growth(arguments)
    elif arguments.file:
        from_file(arguments)
    else:
        if arguments.loop_images:
            compare(arguments)
        seconds, _ = vectorised(arguments.images, arguments.pairs)
        scores = arguments.images * arguments.pairs * NUM_VERBS
        if arguments.loop_images:
            print(f"{scores / 1e6:.0f} million scores are {8 * scores / 1e9:.1f} GB: read once, that is the limit")
        print(json.dumps({"images": arguments.images, "seconds": round(seconds, 2), "peak_mb": round(peak_mb())}))


if __name__ == "__main__":
    main()
