"""The Relation Tagger as a function from pictures, boxes and texts to scores.

Shapes: B pictures of a batch, N boxes, P pairs and R texts of one picture, G groups of pairs, T texts of a batch's row.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from stages.tag.pair_texts import Refusal
from stages.threads import repeatable_arithmetic

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor

    from stages.alif.checkpoint import Checkpoint
    from stages.alif.config import PictureSize
    from stages.alif.model import Encoded
    from stages.alif.tagger import PairGroup

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

_NO_OBJECTS = "no objects"
"""The text of whatever has no class, last among the object texts; RLIPv2 was trained with it."""
_TEXTS_REMEMBERED = 8192


@dataclass(frozen=True)
class PictureQuestion:
    """One picture, with what is asked about it: each of P pairs against each of R texts; neither may be none."""

    pixels: "Tensor"
    """(3, H, W), of `TaggerNetwork.pixels`."""
    boxes_cxcywh: Floats
    """(N, 4) as fractions of the picture."""
    box_classes: Numbers
    """(N,) indexes into `classes`."""
    classes: tuple[str, ...]
    """Names of the classes in the picture, each once."""
    pairs: Numbers
    """(P, 2) indexes of boxes, subject and object."""
    texts: tuple[str, ...]
    """R, each once."""


class TaggerNetwork:
    """A loaded Relation Tagger, on its device.

    A picture is encoded once with all its texts, whatever the number of its pairs. Pictures of similar size share a
    batch, padded with masks, so what is said of one depends on the others in the last digits at most.

    Where padding would change answers there is none. Swin, and a backbone whose fault was not mended, get pictures of
    equal size only; a network whose fusion does not mask gets one picture at a time, because texts are padded, too
    (`Repairs` of `stages/alif/config.py`).

    Args:
        checkpoint: a network that decodes pairs.
        device: to compute on.
        picture: what pictures are scaled to.
        precision: `bfloat16` for products in half precision; boxes, texts and scores stay in float32.
        pairs_per_group: P of one group at most. The pairs of a picture are cut into even groups, in their order.
        most_pictures: B at most, and at most so many groups are decoded together; fewer after running out of memory.
        compiled: compile the parts of the network when they are first used.
    """

    def __init__(
        self,
        checkpoint: "Checkpoint",
        *,
        device: "torch.device",
        picture: "PictureSize",
        precision: Literal["float32", "bfloat16"],
        pairs_per_group: int,
        most_pictures: int,
        compiled: bool = False,
    ) -> None:
        from stages.alif.text_encoder import TextFeatures

        config = checkpoint.config
        self._pads = config.repairs.backbone_padding and not config.backbone.kind.startswith("swin")
        # Only padded to a multiple of it do a picture's maps have the same size in every batch.
        self._multiple_of = config.coarsest_stride if self._pads else 1
        self._device = device
        self._size = picture
        self._precision = precision
        self._pairs_per_group = pairs_per_group
        self._most_groups = most_pictures
        self._most_pictures = most_pictures if config.repairs.fusion_masks else 1
        self._model = checkpoint.model.to(device).eval()
        self._tokenize = checkpoint.tokenize
        self._text_features = TextFeatures(self._model.text_encoder, checkpoint.tokenize, capacity=_TEXTS_REMEMBERED)
        self._unknown_token = checkpoint.unknown_token
        self.refusal: Callable[[str], Refusal | None] = lru_cache(maxsize=_TEXTS_REMEMBERED)(self._refusal)
        """Why the network cannot be asked about a text; None if it can."""
        if compiled:
            for part in (self._model.backbone, self._model.encoder, self._model.decoder):
                part.compile(dynamic=True)

    def pixels(self, picture: "Image") -> "Tensor":
        """An RGB picture as the network takes it: (3, H, W) float32, scaled and normalised, on the CPU."""
        from stages.alif.images import resize_for_network

        return resize_for_network(picture, short_side=self._size.short_side, longest=self._size.longest)

    def score(self, questions: Sequence[PictureQuestion]) -> list[Floats]:
        """How well each text fits each pair: (P, R) in (0, 1) for each question, in their order."""
        import torch

        from stages.alif.images import MOST_WASTE, similar_sizes

        answers: dict[int, Floats] = {}
        sizes = [(int(one.pixels.shape[1]), int(one.pixels.shape[2])) for one in questions]
        with torch.inference_mode(), repeatable_arithmetic(self._device):
            for batch in similar_sizes(sizes, most=self._most_pictures, waste=MOST_WASTE if self._pads else 1.0):
                found = self._score_batch([questions[number] for number in batch])
                answers |= zip(batch, found, strict=True)
        return [answers[number] for number in range(len(questions))]

    def _score_batch(self, questions: Sequence[PictureQuestion]) -> list[Floats]:
        import torch

        from stages.alif.images import batch_images
        from stages.alif.tagger import decode_pairs

        pixels, padding = batch_images([one.pixels for one in questions], multiple_of=self._multiple_of)
        num_objects = max(len(one.classes) for one in questions) + 1
        num_relations = max(len(one.texts) for one in questions)
        features, text_padding = self._texts(questions, num_objects, num_relations)
        scores = [np.zeros((len(one.pairs), len(one.texts))) for one in questions]
        rows = self._group_rows(questions)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._precision == "bfloat16"):
            encoded = self._model.encode(pixels.to(self._device), padding.to(self._device), features, text_padding)
            while rows:
                # Groups rather than pictures are what memory must hold here; a picture of many pairs takes several.
                some = rows[: self._most_groups]
                try:
                    decoded = decode_pairs(
                        self._model,
                        self._one_a_row(encoded, some, len(questions)),
                        self._group(questions, some),
                        num_objects=num_objects,
                        num_relations=num_relations,
                    )
                except torch.OutOfMemoryError:
                    # The runtime halves the pictures, which is no help where one picture has many groups.
                    if len(some) == 1:
                        raise
                    self._most_groups = (len(some) + 1) // 2
                    continue
                found = decoded.relation_logits[-1].float().sigmoid().cpu().numpy()
                for (number, start, end), of_row in zip(some, found, strict=True):
                    scores[number][start:end] = of_row[: end - start, : len(questions[number].texts)]
                rows = rows[len(some) :]
        return scores

    def _texts(
        self, questions: Sequence[PictureQuestion], num_objects: int, num_relations: int
    ) -> tuple["Tensor", "Tensor"]:
        """Features (B, T, E) of each picture's classes, "no objects" and texts, and where there is none (B, T)."""
        import torch

        rows = [
            [
                *one.classes, *[None] * (num_objects - 1 - len(one.classes)), _NO_OBJECTS,
                *one.texts, *[None] * (num_relations - len(one.texts)),
            ]
            for one in questions
        ]  # fmt: skip
        distinct = sorted({text for row in rows for text in row if text is not None})
        number = {text: i for i, text in enumerate(distinct)}
        # Any text may stand where there is none; the mask hides it.
        chosen = torch.tensor([[number[text] if text is not None else 0 for text in row] for row in rows])
        absent = torch.tensor([[text is None for text in row] for row in rows])
        return self._text_features(distinct)[chosen.to(self._device)], absent.to(self._device)

    def _group_rows(self, questions: Sequence[PictureQuestion]) -> list[tuple[int, int, int]]:
        """The groups of all pictures as (question, first pair, end)."""
        return [
            (number, start, end)
            for number, one in enumerate(questions)
            for start, end in even_groups(len(one.pairs), most=self._pairs_per_group)
        ]

    def _one_a_row(self, encoded: "Encoded", rows: Sequence[tuple[int, int, int]], num_pictures: int) -> "Encoded":
        import torch

        from stages.alif.tagger import repeated

        numbers = [number for number, _, _ in rows]
        if numbers == list(range(num_pictures)):
            return encoded
        return repeated(encoded, torch.bincount(torch.tensor(numbers), minlength=num_pictures).to(self._device))

    def _group(self, questions: Sequence[PictureQuestion], rows: Sequence[tuple[int, int, int]]) -> "PairGroup":
        import torch

        from stages.alif.tagger import PairGroup

        size = max(end - start for _, start, end in rows)
        boxes = np.full((2, len(rows), size, 4), 0.5, dtype=np.float32)
        classes = np.zeros((2, len(rows), size), dtype=np.int64)
        padding = np.ones((len(rows), size), dtype=np.bool_)
        for row, (number, start, end) in enumerate(rows):
            one = questions[number]
            ends = one.pairs[start:end].T  # (2, P) subjects, then objects
            boxes[:, row, : end - start] = one.boxes_cxcywh[ends]
            classes[:, row, : end - start] = one.box_classes[ends]
            padding[row, : end - start] = False
        boxes_here, classes_here, padding_here = (
            torch.from_numpy(array).to(self._device) for array in (boxes, classes, padding)
        )
        return PairGroup(boxes_here[0], boxes_here[1], classes_here[0], classes_here[1], padding_here)

    def _refusal(self, text: str) -> Refusal | None:
        tokens, mask = self._tokenize([text])
        if not 0 < int(mask.sum()) <= self._model.text_encoder.max_tokens:
            return "text-too-long"
        # To a tokenizer of whole words all words that it has not learned are one.
        return "text-unknown" if (tokens == self._unknown_token).any() else None


def even_groups(count: int, *, most: int) -> list[tuple[int, int]]:
    """`count` things in as few groups of at most `most` as will do, none more than one larger than another.

    Returns:
        First and end of each; none if there is nothing.
    """
    number = -(-count // most)
    cuts = [count * i // number for i in range(number + 1)] if number else []
    return list(itertools.pairwise(cuts))


def class_numbers(names: Sequence[str]) -> tuple[tuple[str, ...], Numbers]:
    """The distinct names, sorted, and the place of each name among them."""
    classes = tuple(sorted(set(names)))
    place = {name: i for i, name in enumerate(classes)}
    return classes, np.array([place[name] for name in names], dtype=np.int64)
