"""From pictures to scored triplets; pictures of similar size share a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from schemas import BadInputError, OutOfMemoryError
from stages.evaluate.detections import ImagePrediction
from stages.picture import decode_rgb
from stages.predict.question import Question
from stages.threads import repeatable_arithmetic

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from stages.alif.checkpoint import Checkpoint
    from stages.alif.detector import DetectedPairs, DetectedTriplets


Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """A picture as the network takes it."""

    pixels: "Tensor"
    """(3, H, W) float32, scaled and normalised."""
    width: int
    """Pixels of the picture itself."""
    height: int


def check_detector(folder: Path) -> None:
    """Refuse what is no network that finds related pairs, without reading its weights.

    Raises:
        BadInputError: if it is no network, or a Relation Tagger, which cannot find pairs.
    """
    from stages.alif.checkpoint import checkpoint_config

    if checkpoint_config(folder).decoding == "pairs":
        raise BadInputError(
            f"{folder}: holds a Relation Tagger, which takes given pairs (decoding pairs); give a network that looks "
            f"for pairs itself (decoding parsed or parseda), pre-trained or converted from one of RLIPv2's"
        )


def open_detector(folder: Path) -> "Checkpoint":
    """Load a network that finds related pairs, on the CPU.

    Raises:
        BadInputError: as `check_detector`; also if its files are damaged.
        UserError: if its tokenizer cannot be had.
    """
    from stages.alif.checkpoint import load_checkpoint

    check_detector(folder)
    return load_checkpoint(folder)


class Predictor:
    """A network with a question, on its device.

    A batch's shape changes what is said of a picture in the last digits at most. Where padding would change more
    (Swin, and networks whose faults with padding were not mended, see `Repairs` of `stages/alif/config.py`) only
    pictures of equal size share a batch.

    Args:
        checkpoint: of `open_detector`.
        question: what is asked of every picture.
        device: to compute on.
        precision: `bfloat16` for products in half precision; boxes, texts and scores stay in float32.
        batch_size: pictures of a batch at most; fewer after running out of memory.
        most: triplets of a picture at most.
        min_score: triplets below are left out.

    Raises:
        BadInputError: if a text of the question is too long for the network.
    """

    def __init__(
        self,
        checkpoint: "Checkpoint",
        question: Question,
        *,
        device: "torch.device",
        precision: Precision = "float32",
        batch_size: int = 8,
        most: int = 100,
        min_score: float = 0.0,
    ) -> None:
        from stages.alif.detector import PairDetector

        config = checkpoint.config
        repairs = config.repairs
        mended = repairs.backbone_padding and repairs.fusion_masks and repairs.anchor_position
        self._pads = mended and not config.backbone.kind.startswith("swin")
        self._size = config.picture
        self._device = device
        self._batch_size = batch_size
        self._question = question
        self._subject = None if question.subject is None else question.space.objects.index(question.subject)
        self._most = most
        self._min_score = min_score
        with repeatable_arithmetic(device):
            self._detector = PairDetector(
                checkpoint.model.to(device),
                checkpoint.tokenize,
                objects=question.space.objects,
                predicates=question.space.predicates,
                # Only padded to a multiple of it do a picture's maps have the same size in every batch.
                multiple_of=config.coarsest_stride if self._pads else 1,
                bfloat16=precision == "bfloat16",
            )

    def view(self, data: bytes) -> View:
        """Decode and scale a picture; from any thread.

        Raises:
            OSError: if it is none; decoders may raise other errors, too.
        """
        from stages.alif.images import resize_for_network

        picture = decode_rgb(data)
        pixels = resize_for_network(picture, short_side=self._size.short_side, longest=self._size.longest)
        return View(pixels, picture.width, picture.height)

    def predict(self, views: Sequence[View]) -> list[ImagePrediction]:
        """The best triplets of each picture, best first. Boxes are in its pixels, each pair's two once.

        A relation's score is that of the triplet; those of boxes are 1.

        Raises:
            BadInputError: if what the network says is no number.
            OutOfMemoryError: if one picture alone does not fit.
        """
        from stages.alif.images import MOST_WASTE, similar_sizes

        answers: dict[int, ImagePrediction] = {}
        sizes = [(int(view.pixels.shape[1]), int(view.pixels.shape[2])) for view in views]
        with repeatable_arithmetic(self._device):
            for batch in similar_sizes(sizes, most=self._batch_size, waste=MOST_WASTE if self._pads else 1.0):
                found = self._detect([views[number] for number in batch])
                answers |= zip(batch, map(self._answer, found), strict=True)
        return [answers[number] for number in range(len(views))]

    def _detect(self, views: Sequence[View]) -> "list[DetectedPairs]":
        """What the network says, in as few batches as fit into memory."""
        import torch

        found: list[DetectedPairs] = []
        while len(found) < len(views):
            some = views[len(found) : len(found) + self._batch_size]
            try:
                found += self._detector.detect_resized(
                    [view.pixels for view in some], [(view.width, view.height) for view in some]
                )
            except torch.OutOfMemoryError as error:
                if len(some) == 1:
                    size = "x".join(map(str, some[0].pixels.shape[:0:-1]))
                    raise OutOfMemoryError(
                        f"a picture, scaled to {size} pixels, does not fit into the GPU's memory; free some of it, or "
                        f"lower picture.short_side and picture.longest in the network's config.json"
                    ) from error
                self._batch_size = (len(some) + 1) // 2
        return found

    def _answer(self, pairs: "DetectedPairs") -> ImagePrediction:
        from stages.alif.detector import best_triplets

        parts = (pairs.subject_scores, pairs.object_scores, pairs.predicate_scores,
                 pairs.subject_boxes_xyxy_px, pairs.object_boxes_xyxy_px)  # fmt: skip
        if not all(np.isfinite(part).all() for part in parts):
            raise BadInputError(
                "what the network says is no number; its weights are damaged, or too large for bfloat16: take float32"
            )
        best = best_triplets(
            pairs,
            most=self._most,
            subject=self._subject,
            count_subject=self._question.count_subject,
            possible=self._question.possible,
            min_score=self._min_score,
        )
        return triplets_as_prediction(pairs, best)


def triplets_as_prediction(pairs: "DetectedPairs", triplets: "DetectedTriplets") -> ImagePrediction:
    """Triplets as an evaluator takes them: the two boxes of each pair once, in the order of its best triplet."""
    order = list(dict.fromkeys(triplets.pairs.tolist()))
    place = {pair: 2 * i for i, pair in enumerate(order)}
    boxes = np.stack([pairs.subject_boxes_xyxy_px[order], pairs.object_boxes_xyxy_px[order]], axis=1).reshape(-1, 4)
    labels = np.zeros(len(boxes), dtype=np.int64)
    subjects = np.array([place[pair] for pair in triplets.pairs.tolist()], dtype=np.int64)
    labels[subjects], labels[subjects + 1] = triplets.subjects, triplets.objects
    relations = np.stack([subjects, subjects + 1, triplets.predicates], axis=1)
    return ImagePrediction(boxes, labels, np.ones(len(boxes)), relations, triplets.scores)
