"""Scoring pairs as the published script does, and as the tag stage does, side by side: same network, same images.

    python benchmarks/tagger.py [--images 4] [--short-side 320] [--regions 20] [--texts 30] [--rounds 3]

The network is the Relation Tagger with a ResNet-50 and a RoBERTa-base, random weights, faults repaired. An image has
`--regions` boxes, all ordered pairs of which are asked about, against `--texts` relation texts; both ways score every
pair against every text, within rounding alike, which is checked.

published: all 80 class names and the texts are encoded anew for every image; the image is repeated, and encoded, once
for each group of 100 pairs; images one by one; deformable attention by `grid_sample`, as the published code does on a
CPU.
published, our op: the same with our deformable attention (`stages/alif/row_sampling.py`).
ours: the tag stage's `TaggerNetwork`. Texts are encoded once and kept; the class names are those of the image's
regions; images of similar size share a batch, and each is encoded once, whatever the number of its pairs.
ours, bfloat16: with `precision: bfloat16`, for CPUs that multiply such numbers fast (AMX).

All compute on one thread, the first three in float32. In a job ours is asked less: only the texts of a pair's own
classes. Texts are new in the first round and known in the others. The floor is what nobody can leave out while every
image is looked at: backbone and encoder, once an image.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import permutations
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from stages.alif import AlifModel, PairGroup, build_model, decode_pairs, published_config
from stages.alif.checkpoint import Checkpoint
from stages.alif.config import PictureSize, Repairs
from stages.alif.deformable_attention import MultiScaleDeformableAttention, Sampler, sample, sample_maps
from stages.alif.images import batch_images
from stages.tag.tagger_network import PictureQuestion, TaggerNetwork, class_numbers

CLASSES = tuple(f"class {number}" for number in range(80))
GROUP = 100
PARTS = ("text_encoder", "backbone", "encoder", "decoder")


class Clock:
    """Seconds that each part of a network computes, by hooks on it."""

    def __init__(self, model: AlifModel) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        for name in PARTS:
            part: nn.Module = getattr(model, name)
            part.register_forward_pre_hook(self._start(name))
            part.register_forward_hook(self._stop(name))

    def _start(self, name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            self.seconds[name] -= time.perf_counter()

        return hook

    def _stop(self, name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            self.seconds[name] += time.perf_counter()

        return hook


def tokenize(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Made-up token ids, a word a token: the tokenizer is not what is measured."""
    rows = [[0, *(5 + sum(map(ord, word)) % 50_000 for word in text.split()), 2] for text in texts]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [1] * (longest - len(row)) for row in rows])
    return ids, (ids != 1).long()


def as_published(model: AlifModel, questions: Sequence[PictureQuestion], sampler: Sampler) -> list[np.ndarray]:
    """Scores (P, R) of each question."""
    found = []
    with torch.inference_mode(), sampling_by(sampler, model):
        for one in questions:
            words = [*CLASSES, "no objects"]
            features = model.text_encoder(*tokenize([*words, *one.texts]))
            groups = -(-len(one.pairs) // GROUP)
            slots = np.zeros((groups * GROUP, 2), dtype=np.int64)
            slots[: len(one.pairs)] = one.pairs
            boxes = torch.tensor(one.boxes_cxcywh[slots], dtype=torch.float32).view(groups, GROUP, 2, 4)
            numbers = np.array([CLASSES.index(name) for name in one.classes])[one.box_classes]
            classes = torch.tensor(numbers[slots]).view(groups, GROUP, 2)
            padding = (torch.arange(groups * GROUP) >= len(one.pairs)).view(groups, GROUP)
            pixels, pixel_padding = batch_images([one.pixels], multiple_of=64)
            encoded = model.encode(pixels.expand(groups, -1, -1, -1), pixel_padding.expand(groups, -1, -1), features)
            decoded = decode_pairs(
                model,
                encoded,
                PairGroup(boxes[:, :, 0], boxes[:, :, 1], classes[..., 0], classes[..., 1], padding),
                num_objects=len(words),
                num_relations=len(one.texts),
            )
            scores = decoded.relation_logits[-1].sigmoid().flatten(0, 1)
            found.append(scores[: len(one.pairs)].numpy())
    return found


@contextmanager
def sampling_by(sampler: Sampler, model: AlifModel) -> Iterator[None]:
    """Let deformable attention read its points in one way."""
    attentions = [module for module in model.modules() if isinstance(module, MultiScaleDeformableAttention)]
    before = [attention.sampler for attention in attentions]
    for attention in attentions:
        attention.sampler = sampler
    yield
    for attention, own in zip(attentions, before, strict=True):
        attention.sampler = own


def make_question(rng: np.random.Generator, *, side: int, regions: int, texts: int) -> PictureQuestion:
    """Noise as a picture. Its regions are of six classes at most, as 20 regions of COCO are."""
    known = rng.choice(len(CLASSES), size=6, replace=False)
    classes, box_classes = class_numbers([CLASSES[number] for number in rng.choice(known, size=regions)])
    return PictureQuestion(
        pixels=torch.from_numpy(rng.standard_normal((3, side, side * 4 // 3), dtype=np.float32)),
        boxes_cxcywh=rng.uniform(0.2, 0.5, (regions, 4)),
        box_classes=box_classes,
        classes=classes,
        pairs=np.array(list(permutations(range(regions), 2)), dtype=np.int64),
        texts=tuple(f"relation {number}" for number in range(texts)),
    )


def print_reading(side: int, num_images: int, *, repeats: int = 10) -> None:
    """Time what our deformable attention replaces, for one encoder layer."""
    width = side * 4 // 3
    shapes = [(-(-side // stride), -(-width // stride)) for stride in (8, 16, 32, 64)]
    num_pixels = sum(height * width for height, width in shapes)
    values, locations = torch.randn(num_images, num_pixels, 8, 32), torch.rand(num_images, num_pixels, 8, 4, 4, 2)
    weights = torch.rand(num_images, num_pixels, 8, 16).softmax(dim=-1).unflatten(-1, (4, 4))
    seconds: dict[Sampler, list[float]] = {sample_maps: [], sample: []}
    with torch.inference_mode():
        for _ in range(repeats):
            for sampler, times in seconds.items():
                start = time.perf_counter()
                sampler(values, shapes, locations, weights)
                times.append(time.perf_counter() - start)
    maps, ours = (statistics.median(times) for times in seconds.values())
    print(
        f"reading the points of an encoder layer: grid_sample {1000 * maps:.0f} ms, ours {1000 * ours:.0f} ms, "
        f"ratio {maps / ours:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--short-side", type=int, default=320)
    parser.add_argument("--regions", type=int, default=20)
    parser.add_argument("--texts", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    # Ours batches pictures and texts only where masks mask.
    config = replace(published_config("tagger-resnet50"), repairs=Repairs())
    model = build_model(config).eval()
    clock = Clock(model)
    side = options.short_side
    rng = np.random.default_rng(0)
    questions = [
        make_question(rng, side=side, regions=options.regions, texts=options.texts) for _ in range(options.images)
    ]

    def network(precision: Literal["float32", "bfloat16"]) -> TaggerNetwork:
        return TaggerNetwork(
            Checkpoint(config, model, tokenize),
            device=torch.device("cpu"),
            picture=PictureSize(short_side=side, longest=side * 5 // 3),
            precision=precision,
            pairs_per_group=GROUP,
            most_pictures=8,
        )

    exact, half = network("float32"), network("bfloat16")
    ways: dict[str, Callable[[], list[np.ndarray]]] = {
        "published": lambda: as_published(model, questions, sample_maps),
        "published, our op": lambda: as_published(model, questions, sample),
        "ours": lambda: exact.score(questions),
        "ours, bfloat16": lambda: half.score(questions),
    }
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    found: dict[str, list[np.ndarray]] = {}
    for _ in range(options.rounds):
        for name, way in ways.items():
            clock.seconds |= dict.fromkeys(PARTS, 0.0)
            start = time.perf_counter()
            found[name] = way()
            clock.seconds["all"] = time.perf_counter() - start
            seconds[name].append(dict(clock.seconds))
    print(
        f"{options.images} images of {side} x {side * 4 // 3}, {len(questions[0].pairs)} pairs, {options.texts} texts"
    )
    print("s an image                all" + "".join(f"{name:>14}" for name in PARTS) + "          rest")
    for name, rounds in seconds.items():
        mean = {part: statistics.median(one[part] for one in rounds) / options.images for part in ("all", *PARTS)}
        rest = mean["all"] - sum(mean[part] for part in PARTS)
        print(f"{name:18}{mean['all']:11.2f}" + "".join(f"{mean[part]:14.3f}" for part in PARTS) + f"{rest:14.3f}")
    print_reading(side, options.images)
    for name in ("ours", "ours, bfloat16"):
        for other in ("published", "published, our op"):
            ratios = [one["all"] / mine["all"] for one, mine in zip(seconds[other], seconds[name], strict=True)]
            print(
                f"{other} / {name}: {statistics.median(ratios):.2f} "
                f"(rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)})"
            )
        # The groups differ, and pairs see the others of their group: the scores are near, not equal.
        difference = max(float(np.abs(a - b).max()) for a, b in zip(found["published"], found[name], strict=True))
        floor = [one["all"] / (one["backbone"] + one["encoder"]) for one in seconds[name]]
        print(f"{name} over its floor: {statistics.median(floor):.2f}; scores differ by at most {difference:.1e}")


if __name__ == "__main__":
    main()
