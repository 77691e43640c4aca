"""Batches of the Relation Tagger's training. Batch k is a function of the seed and of k, whoever makes it, and when.

Shape letters: B images, P pairs of the image that has most, N pairs of one image, O object texts with "no objects",
R relation texts.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from schemas import BadInputError
from stages.alif.boxes import boxes_xyxy_to_cxcywh
from stages.alif.images import batch_images, resize_for_network
from stages.alif.matcher import PairTargets
from stages.alif.tagger import PairGroup
from stages.alif.training.noise import noisy_boxes, noisy_classes
from stages.alif.training.samples import (
    NO_OBJECTS,
    LabelledPicture,
    Pair,
    TextCounts,
    TextSampler,
    choose_pairs,
    choose_wordings,
)

ReadPicture = Callable[[LabelledPicture], Image.Image]
"""The pixels of a picture, RGB; a BadInputError if they cannot be had. Called from several threads."""

# First numbers of the seeds of what is drawn, so that no two draws are alike by accident.
_OF_ORDER, _OF_BATCH = 0, 1


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """What a batch consists of. The numbers of texts and the noise are the published ones."""

    batch_size: int = 8
    """Pictures."""
    short_side: int = 160
    """Pixels of the shorter side of a picture. The published tagger has 800."""
    longest: int = 256
    """Most pixels of the longer side. Published: 1333."""
    num_pairs: int = 100
    """Most pairs of a picture."""
    num_objects: int = 333
    """Most object texts, besides "no objects"."""
    num_relations: int = 167
    """Most relation texts."""
    label_noise: float = 0.2
    """Share of classes that the network is told wrongly."""
    box_noise: float = 0.4
    """How far boxes that the network is told are shifted and scaled; see `noisy_boxes`."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_noise"):
                if not 0 <= value < 1:
                    raise ValueError(f"{field.name} is {value}; give a number from 0 to below 1")
            elif value < 1:
                raise ValueError(f"{field.name} is {value}; give a number of at least 1")


@dataclass(frozen=True)
class TaggerBatch:
    """Pictures with pairs of regions, what the network is told about them, and what it is to answer."""

    keys: tuple[str, ...]
    """Of the pictures."""
    pixels: Tensor
    """(B, 3, H, W) normalised, zero on padding."""
    padding: Tensor
    """(B, H, W) bool, true on padding."""
    texts: tuple[str, ...]
    """O object texts, of which the last is "no objects", then R relation texts; all pictures share them."""
    num_objects: int
    """O"""
    told: PairGroup
    """The pairs, with noise; slots after an image's last pair are padding."""
    targets: tuple[PairTargets, ...]
    """For each image, without noise, in the order of the slots."""
    num_unreadable: int = 0
    """Pictures that were left out as they could not be read."""

    def to(self, device: torch.device) -> "TaggerBatch":
        """The same on a device."""

        def moved(tensors: Any) -> Any:
            values = {field.name: getattr(tensors, field.name) for field in fields(tensors)}
            return replace(tensors, **{name: v if v is None else v.to(device) for name, v in values.items()})

        return replace(
            self,
            pixels=self.pixels.to(device),
            padding=self.padding.to(device),
            told=moved(self.told),
            targets=tuple(moved(target) for target in self.targets),
        )


class TaggerBatches:
    """Makes batch number k of a training.

    Every epoch is a new random order of all pictures; batches run on across its end, so that all are of one size.

    Usage::

        batches = TaggerBatches(pictures, read_picture, BatchConfig(), seed=0, multiple_of=32)
        batches.make(0)
        for batch in batches.stream(500, 1000):  # the same as make(500), make(501), ...
            ...
    """

    def __init__(
        self,
        pictures: Sequence[LabelledPicture],
        read_picture: ReadPicture,
        config: BatchConfig,
        *,
        seed: int,
        multiple_of: int,
        counts: TextCounts | None = None,
    ) -> None:
        """
        Args:
            pictures: at least one.
            read_picture: gives the pixels.
            config: what a batch consists of.
            seed: of order, texts, pairs and noise.
            multiple_of: height and width of a batch are rounded up to a multiple of this; see `batch_images`.
            counts: of the texts; by default counted over `pictures`.
        """
        assert pictures, "no pictures to train on"
        counts = counts or TextCounts.of(pictures)
        self._pictures = pictures
        self._read_picture = read_picture
        self._config = config
        self._seed = seed
        self._multiple_of = multiple_of
        self._objects = TextSampler(counts.objects, config.num_objects)
        self._predicates = TextSampler(counts.predicates, config.num_relations)
        self._wordings = counts.wordings
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, dtype=np.int64))

    def pictures_of(self, number: int) -> list[LabelledPicture]:
        """The pictures of batch `number`, from 0."""
        first = number * self._config.batch_size
        return [self._pictures[self._place(position)] for position in range(first, first + self._config.batch_size)]

    def make(self, number: int) -> TaggerBatch:
        """Batch `number`, from 0.

        Raises:
            BadInputError: if none of its pictures can be read; with the reason for the first.
        """
        return self._make(number, self.pictures_of(number))

    def stream(self, start: int, stop: int, *, num_threads: int = 1) -> Iterator[TaggerBatch]:
        """Batches `start` up to, but not including, `stop`; the next ones are made while one is in use."""
        numbers = iter(range(start, stop))
        pending: deque[Future[TaggerBatch]] = deque()
        with ThreadPoolExecutor(max_workers=num_threads, thread_name_prefix="batches") as pool:
            try:
                while True:
                    while len(pending) <= num_threads and (number := next(numbers, None)) is not None:
                        pending.append(pool.submit(self._make, number, self.pictures_of(number)))
                    if not pending:
                        return
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()

    def _place(self, position: int) -> int:
        """Which picture is the `position`-th of the whole training."""
        epoch, place = divmod(position, len(self._pictures))
        if self._order[0] != epoch:
            rng = np.random.default_rng([self._seed, _OF_ORDER, epoch])
            self._order = epoch, rng.permutation(len(self._pictures))
        return int(self._order[1][place])

    def _make(self, number: int, wanted: Sequence[LabelledPicture]) -> TaggerBatch:
        rng = np.random.default_rng([self._seed, _OF_BATCH, number])
        pictures, images, sizes = self._read(wanted)
        objects = self._objects.draw((name for picture in pictures for name in picture.names), rng)
        predicates = self._predicates.draw((text for picture in pictures for text in _needed(picture)), rng)
        labels = [self._label(p, size, objects, predicates, rng) for p, size in zip(pictures, sizes, strict=True)]
        pixels, padding = batch_images(images, multiple_of=self._multiple_of)
        return TaggerBatch(
            keys=tuple(picture.key for picture in pictures),
            pixels=pixels,
            padding=padding,
            texts=(*objects, NO_OBJECTS, *choose_wordings(predicates, self._wordings, rng)),
            num_objects=len(objects) + 1,
            told=self._tell(labels, len(objects), rng),
            targets=tuple(labels),
            num_unreadable=len(wanted) - len(pictures),
        )

    def _read(self, wanted: Sequence[LabelledPicture]) -> tuple[list[LabelledPicture], list[Tensor], list[Pair]]:
        """Those that can be read, their pixels for the network, and the width and height of the original."""
        pictures, images, sizes = [], [], []
        problem: BadInputError | None = None
        for picture in wanted:
            try:
                original = self._read_picture(picture)
            except BadInputError as error:
                problem = problem or error
                continue
            pictures.append(picture)
            images.append(
                resize_for_network(original, short_side=self._config.short_side, longest=self._config.longest)
            )
            sizes.append(original.size)
        if not pictures:
            raise BadInputError(f"not one picture of a batch can be read; the first: {problem}") from problem
        return pictures, images, sizes

    def _label(
        self,
        picture: LabelledPicture,
        size: tuple[int, int],
        objects: Sequence[str],
        predicates: Sequence[str],
        rng: np.random.Generator,
    ) -> PairTargets:
        """What is to be answered about some pairs of a picture, in the order of its slots."""
        pairs = choose_pairs(picture, self._config.num_pairs, rng)
        boxes = torch.tensor(picture.boxes_xyxy, dtype=torch.float64)
        if not picture.boxes_are_fractions:
            boxes = boxes / torch.tensor(size * 2)
        boxes = boxes_xyxy_to_cxcywh(boxes.clamp(0, 1)).float()
        object_places = {text: place for place, text in enumerate(objects)}
        classes = torch.tensor([object_places[name] for name in picture.names])

        places = {text: place for place, text in enumerate(predicates)}
        holds = torch.zeros(len(pairs), len(predicates))
        unknown = torch.tensor([text not in picture.absent_is_false for text in predicates]).repeat(len(pairs), 1)
        for row, pair in enumerate(pairs):
            yes = [places[text] for text in picture.asserted.get(pair, ())]
            no = [places[text] for text in picture.denied.get(pair, ())]
            holds[row, yes] = 1
            unknown[row, yes + no] = False

        subjects, others = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).unbind(-1)
        return PairTargets(classes[subjects], classes[others], holds, boxes[subjects], boxes[others], unknown)

    def _tell(self, labels: Sequence[PairTargets], num_classes: int, rng: np.random.Generator) -> PairGroup:
        """What the network is told: the pairs with noise, padded to the same number."""
        most = max(len(label) for label in labels)
        boxes = torch.zeros(2, len(labels), most, 4)
        classes = torch.zeros(2, len(labels), most, dtype=torch.int64)
        padding = torch.ones(len(labels), most, dtype=torch.bool)
        for row, label in enumerate(labels):
            used = slice(None, len(label))
            boxes[:, row, used] = torch.stack((label.subject_boxes_cxcywh, label.object_boxes_cxcywh))
            classes[:, row, used] = torch.stack((label.subject_labels, label.object_labels))
            padding[row, used] = False
        boxes = noisy_boxes(boxes, self._config.box_noise, rng)
        classes = noisy_classes(classes, num_classes, self._config.label_noise, rng)
        return PairGroup(boxes[0], boxes[1], classes[0], classes[1], padding)


def _needed(picture: LabelledPicture) -> Iterator[str]:
    """Every predicate that the picture asserts or denies."""
    for said in (picture.asserted, picture.denied):
        for predicates in said.values():
            yield from predicates
