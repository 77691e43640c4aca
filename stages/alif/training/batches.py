"""Batches of the Relation Tagger's training. Batch k is a function of the seed and of k, whoever makes it, and when.

Of several workers each makes its share of the same batch. All of them draw for all of its pictures, so that what is
drawn does not depend on who can read what; pixels are read, and labels made, for a worker's own pictures alone.

Shape letters: B images, P pairs of the image that has most, N pairs of one image, O object texts with "no objects",
R relation texts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from schemas import BadInputError
from stages.alif.boxes import boxes_xyxy_to_cxcywh
from stages.alif.images import batch_images, resize_for_network
from stages.alif.label_sequence import NO_OBJECTS, TextSampler
from stages.alif.matcher import PairTargets
from stages.alif.tagger import PairGroup
from stages.alif.training.noise import noisy_boxes, noisy_classes
from stages.alif.training.samples import (
    LabelledPicture,
    Pair,
    TextCounts,
    choose_pairs,
    choose_wordings,
)
from stages.training import EndlessOrder, WorkerGroup, made_ahead

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
    problem: str | None = None
    """Why the first of them could not."""

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
        self._objects = TextSampler(counts.objects, config.num_objects, always_full=False)
        self._predicates = TextSampler(counts.predicates, config.num_relations, always_full=False)
        self._wordings = counts.wordings
        self._order = EndlessOrder(len(pictures), seed=(seed, _OF_ORDER))

    def pictures_of(self, number: int) -> list[LabelledPicture]:
        """The pictures of batch `number`, from 0."""
        return [self._pictures[place] for place in self._order.batch(number, self._config.batch_size)]

    def make(self, number: int, group: WorkerGroup = WorkerGroup()) -> TaggerBatch:  # noqa: B008 - it is frozen
        """A worker's share of batch `number`, from 0; it has no pictures if none of them can be read."""
        return self._submit(group, number)()

    def stream(
        self,
        start: int,
        stop: int,
        group: WorkerGroup = WorkerGroup(),  # noqa: B008 - it is frozen
        *,
        num_threads: int = 1,
    ) -> Iterator[TaggerBatch]:
        """Batches `start` up to, but not including, `stop`; the next ones are made while one is in use."""
        return made_ahead(partial(self._submit, group), range(start, stop), num_threads=num_threads)

    def _submit(self, group: WorkerGroup, number: int) -> Callable[[], TaggerBatch]:
        return partial(self._make, number, self.pictures_of(number), group)

    def _make(self, number: int, wanted: Sequence[LabelledPicture], group: WorkerGroup) -> TaggerBatch:
        drawn = self._draw(number, wanted)
        own = group.share(range(len(wanted)))
        images, sizes, problem = self._read({place: wanted[place] for place in own})
        labels = {place: self._label(wanted[place], size, drawn, drawn.pairs[place]) for place, size in sizes.items()}
        pixels, padding = self._padded(list(images.values()))
        return TaggerBatch(
            keys=tuple(wanted[place].key for place in images),
            pixels=pixels,
            padding=padding,
            texts=(*drawn.objects, NO_OBJECTS, *drawn.wordings),
            num_objects=len(drawn.objects) + 1,
            told=self._tell(labels, drawn),
            targets=tuple(labels.values()),
            num_unreadable=len(own) - len(images),
            problem=problem,
        )

    def _draw(self, number: int, pictures: Sequence[LabelledPicture]) -> "_Drawn":
        """All that chance decides about a batch."""
        rng = np.random.default_rng([self._seed, _OF_BATCH, number])
        objects = self._objects.draw((name for picture in pictures for name in picture.names), rng)
        predicates = self._predicates.draw((text for picture in pictures for text in _needed(picture)), rng)
        pairs = [choose_pairs(picture, self._config.num_pairs, rng) for picture in pictures]
        wordings = choose_wordings(predicates, self._wordings, rng)
        return _Drawn(objects, predicates, wordings, pairs, rng)

    def _read(
        self, wanted: Mapping[int, LabelledPicture]
    ) -> tuple[dict[int, Tensor], dict[int, tuple[int, int]], str | None]:
        """Of those that can be read, the pixels for the network and the width and height of the original.

        And why the first of the others cannot be read.
        """
        images, sizes, problem = {}, {}, None
        for place, picture in wanted.items():
            try:
                original = self._read_picture(picture)
            except BadInputError as error:
                problem = problem or str(error)
                continue
            images[place] = resize_for_network(
                original, short_side=self._config.short_side, longest=self._config.longest
            )
            sizes[place] = original.size
        return images, sizes, problem

    def _padded(self, images: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pixels and padding of a batch; of no pictures, too."""
        if images:
            return batch_images(images, multiple_of=self._multiple_of)
        side = self._multiple_of
        return torch.zeros(0, 3, side, side), torch.zeros(0, side, side, dtype=torch.bool)

    @staticmethod
    def _label(picture: LabelledPicture, size: tuple[int, int], drawn: "_Drawn", pairs: Sequence[Pair]) -> PairTargets:
        """What is to be answered about some pairs of a picture, in the order of its slots."""
        boxes = torch.tensor(picture.boxes_xyxy, dtype=torch.float64)
        if not picture.boxes_are_fractions:
            boxes = boxes / torch.tensor(size * 2)
        boxes = boxes_xyxy_to_cxcywh(boxes.clamp(0, 1)).float()
        object_places = {text: place for place, text in enumerate(drawn.objects)}
        classes = torch.tensor([object_places[name] for name in picture.names])

        places = {text: place for place, text in enumerate(drawn.predicates)}
        holds = torch.zeros(len(pairs), len(places))
        unknown = torch.tensor([text not in picture.absent_is_false for text in places]).repeat(len(pairs), 1)
        for row, pair in enumerate(pairs):
            yes = [places[text] for text in picture.asserted.get(pair, ())]
            no = [places[text] for text in picture.denied.get(pair, ())]
            holds[row, yes] = 1
            unknown[row, yes + no] = False

        subjects, others = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).unbind(-1)
        return PairTargets(classes[subjects], classes[others], holds, boxes[subjects], boxes[others], unknown)

    def _tell(self, labels: Mapping[int, PairTargets], drawn: "_Drawn") -> PairGroup:
        """What the network is told: the pairs with noise, padded to the same number.

        Noise is drawn for all pictures of the batch; those without labels are left out afterwards.
        """
        num_pictures, most = len(drawn.pairs), max(len(pairs) for pairs in drawn.pairs)
        boxes = torch.zeros(2, num_pictures, most, 4)
        classes = torch.zeros(2, num_pictures, most, dtype=torch.int64)
        padding = torch.ones(num_pictures, most, dtype=torch.bool)
        for row, label in labels.items():
            used = slice(None, len(label))
            boxes[:, row, used] = torch.stack((label.subject_boxes_cxcywh, label.object_boxes_cxcywh))
            classes[:, row, used] = torch.stack((label.subject_labels, label.object_labels))
            padding[row, used] = False
        boxes = noisy_boxes(boxes, self._config.box_noise, drawn.rng)
        classes = noisy_classes(classes, len(drawn.objects), self._config.label_noise, drawn.rng)
        rows = list(labels)
        return PairGroup(boxes[0, rows], boxes[1, rows], classes[0, rows], classes[1, rows], padding[rows])


@dataclass(frozen=True)
class _Drawn:
    """What chance decides about a batch, whoever makes it."""

    objects: Sequence[str]
    predicates: Sequence[str]
    wordings: Sequence[str]
    """Of the predicates."""
    pairs: Sequence[Sequence[Pair]]
    """Of each picture, in the order of its slots."""
    rng: np.random.Generator
    """As it stands then, for the noise."""


def _needed(picture: LabelledPicture) -> Iterator[str]:
    """Every predicate that the picture asserts or denies."""
    for said in (picture.asserted, picture.denied):
        for predicates in said.values():
            yield from predicates
