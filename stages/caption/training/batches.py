"""Batches of the captioner's training. Batch k is a function of the seed and of k, whoever makes it, and when.

Shape letters: B pictures, N captions of all of them, T tokens of the longest one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from schemas import BadInputError
from stages.caption.training.samples import CaptionedPicture
from stages.training import EndlessOrder, made_ahead

ReadPicture = Callable[[CaptionedPicture], Image.Image]
"""The pixels of a picture, RGB; a BadInputError if they cannot be had. Called from several threads."""

# First numbers of the seeds of what is drawn, so that no two draws are alike by accident.
_OF_ORDER, _OF_BATCH = 0, 1
# Of pictures that were read once, scaled down: 37,000 of 96 x 96 pixels.
_MOST_KEPT_BYTES = 2**30


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """What a batch consists of."""

    batch_size: int = 16
    """Pictures."""
    num_captions: int = 5
    """Most captions of a picture; of more, these are drawn anew each time."""
    mirrored: bool = False
    """Whether half of the pictures are mirrored. Only if no caption says left or right."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "num_captions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give a number of at least 1")


@dataclass(frozen=True)
class CaptionBatch:
    """Pictures and what is said of them. The captions of a picture are adjacent, in the order of the pictures."""

    keys: tuple[str, ...]
    """Of the pictures."""
    pixels: Tensor
    """(B, 3, S, S) float32, as the image processor of the captioner makes them."""
    tokens: Tensor
    """(N, T) int64: start, prompt, caption, end, padding."""
    num_captions: Tensor
    """(B,) int64, at least 1, with the sum N."""
    num_unreadable: int = 0
    """Pictures that were left out as they could not be read."""

    def to(self, device: torch.device) -> "CaptionBatch":
        """The same on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("pixels", "tokens", "num_captions")}
        return replace(self, **moved)


class CaptionBatches:
    """Makes batch number k of a training.

    Usage::

        batches = CaptionBatches(pictures, token_rows, read_picture, processor, BatchConfig(), seed=0)
        batches.make(0)
        for batch in batches.stream(500, 1000):  # the same as make(500), make(501), ...
            ...
    """

    def __init__(
        self,
        pictures: Sequence[CaptionedPicture],
        token_rows: Sequence[Sequence[Sequence[int]]],
        read_picture: ReadPicture,
        processor: Any,
        config: BatchConfig,
        *,
        seed: int,
    ) -> None:
        """
        Args:
            pictures: at least one.
            token_rows: of each picture the token ids of its captions, start and end included; 0 is padding.
            read_picture: gives the pixels.
            processor: the captioner's `BlipImageProcessorPil`.
            config: what a batch consists of.
            seed: of order, choice of captions and mirroring.
        """
        assert len(pictures) == len(token_rows), (len(pictures), len(token_rows))
        self._pictures = pictures
        self._token_rows = token_rows
        self._read_picture = read_picture
        self._processor = processor
        self._config = config
        self._seed = seed
        self._order = EndlessOrder(len(pictures), seed=(seed, _OF_ORDER))
        self._kept: dict[int, np.ndarray] = {}

    @property
    def num_pictures(self) -> int:
        """Pictures of an epoch."""
        return len(self._pictures)

    def make(self, number: int) -> CaptionBatch:
        """Batch `number`, from 0.

        Raises:
            BadInputError: if none of its pictures can be read; with the reason for the first.
        """
        return self._submit(number)()

    def stream(self, start: int, stop: int, *, num_threads: int = 1) -> Iterator[CaptionBatch]:
        """Batches `start` up to, but not including, `stop`; the next ones are made while one is in use."""
        return made_ahead(self._submit, range(start, stop), num_threads=num_threads)

    def _submit(self, number: int) -> Callable[[], CaptionBatch]:
        return partial(self._make, number, self._order.batch(number, self._config.batch_size))

    def _make(self, number: int, wanted: Sequence[int]) -> CaptionBatch:
        rng = np.random.default_rng([self._seed, _OF_BATCH, number])
        # Drawn for all of them, so that a picture that cannot be read does not change the others.
        mirrored = rng.random(len(wanted)) < (0.5 if self._config.mirrored else 0.0)
        rows = [self._choose(self._token_rows[place], rng) for place in wanted]
        read = self._read(wanted)
        arrays = [array[:, :, ::-1] if mirrored[slot] else array for slot, array in read.items()]
        tokens = [torch.tensor(row) for slot in read for row in rows[slot]]
        return CaptionBatch(
            keys=tuple(self._pictures[wanted[slot]].key for slot in read),
            pixels=self._processor(arrays, do_resize=False, return_tensors="pt").pixel_values,
            tokens=torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True),
            num_captions=torch.tensor([len(rows[slot]) for slot in read]),
            num_unreadable=len(wanted) - len(read),
        )

    def _choose(self, rows: Sequence[Sequence[int]], rng: np.random.Generator) -> list[Sequence[int]]:
        most = self._config.num_captions
        return [rows[place] for place in rng.permutation(len(rows))[:most]] if len(rows) > most else list(rows)

    def _read(self, wanted: Sequence[int]) -> dict[int, np.ndarray]:
        """Of the slots whose pictures can be read, the pixels scaled down: (3, S, S) uint8."""
        found = {}
        problem: BadInputError | None = None
        for slot, place in enumerate(wanted):
            try:
                found[slot] = self._scaled(place)
            except BadInputError as error:
                problem = problem or error
        if not found:
            raise BadInputError(f"not one picture of a batch can be read; the first: {problem}") from problem
        return found

    def _scaled(self, place: int) -> np.ndarray:
        """Read once and kept while there is room. Threads may read the same picture; they get the same."""
        if (kept := self._kept.get(place)) is not None:
            return kept
        picture = self._read_picture(self._pictures[place])
        found = self._processor(picture, do_rescale=False, do_normalize=False, return_tensors="np").pixel_values[0]
        array = np.asarray(found, dtype=np.uint8)
        if (len(self._kept) + 1) * array.nbytes <= _MOST_KEPT_BYTES:
            self._kept[place] = array
        return array
