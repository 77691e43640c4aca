"""The question of the pre-trained network: which pairs are on a picture, and which of these predicates hold of them?

RLIPv2, "inference": all names and predicates are asked about at once, as one label sequence. Nothing is learned for
them beforehand, so a network answers for any (zero-shot, "NF").

Shape letters: B images, Q pairs that the network looks for, O object names, R predicates, K triplets that are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from schemas import UserError
from stages.alif.boxes import boxes_cxcywh_to_xyxy
from stages.alif.images import batch_images, resize_for_network
from stages.alif.label_sequence import NO_OBJECTS
from stages.alif.model import AlifModel
from stages.alif.text_encoder import TextFeatures, Tokenize

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, slots=True)
class DetectedPairs:
    """All that the network says of one picture."""

    subject_boxes_xyxy_px: Floats
    """(Q, 4) in pixels of the picture, within it."""
    object_boxes_xyxy_px: Floats
    """(Q, 4)"""
    subject_scores: Floats
    """(Q, O) probability of each name; what is left to 1 is that there is none."""
    object_scores: Floats
    """(Q, O)"""
    predicate_scores: Floats
    """(Q, R) each between 0 and 1 by itself."""


@dataclass(frozen=True, eq=False, slots=True)
class DetectedTriplets:
    """The best triplets of a picture, best first."""

    pairs: Ints
    """(K,) which of the Q pairs."""
    subjects: Ints
    """(K,) which of the O names."""
    predicates: Ints
    """(K,) which of the R predicates."""
    objects: Ints
    """(K,)"""
    scores: Floats
    """(K,)"""


class PairDetector:
    """A network with the texts that it is asked about.

    Usage::

        detector = PairDetector(checkpoint.model, checkpoint.tokenize, objects=names, predicates=predicates)
        detector.detect([picture], short_side=800, longest=1333)[0].subject_boxes_xyxy_px
    """

    def __init__(
        self,
        model: AlifModel,
        tokenize: Tokenize,
        *,
        objects: Sequence[str],
        predicates: Sequence[str],
        multiple_of: int,
        bfloat16: bool = False,
    ) -> None:
        """
        Args:
            model: built with `decoding="parseda"` or `"parsed"`, in evaluation mode, on its device.
            tokenize: its tokenizer.
            objects: names, each once; "no objects" is added.
            predicates: each once.
            multiple_of: what the sides of a batch are rounded up to; see `AlifConfig.coarsest_stride`.
            bfloat16: take the network's products in half precision; texts stay in float32.

        Raises:
            UserError: if there is no name or no predicate, or one twice.
            BadInputError: if a text is too long for the network, or is of no words.
        """
        for what, texts in (("names", objects), ("predicates", predicates)):
            if not texts or len(set(texts)) < len(texts):
                raise UserError(f"{len(texts)} {what}, {len(set(texts))} different; give at least one, and each once")
        self._model = model
        self._num_objects = len(objects) + 1
        self._num_relations = len(predicates)
        self._multiple_of = multiple_of
        self._device = next(model.parameters()).device
        self._bfloat16 = bfloat16
        # Each text by itself, so that its vector does not depend on those beside it.
        self._features = TextFeatures(model.text_encoder, tokenize)([*objects, NO_OBJECTS, *predicates])

    def detect(self, pictures: Sequence[Image.Image], *, short_side: int, longest: int) -> list[DetectedPairs]:
        """What the network says of each picture, in order.

        Args:
            pictures: RGB; none is fine.
            short_side: pixels of the shorter side for the network; see `network_size`.
            longest: most pixels of the longer side.
        """
        images = [resize_for_network(picture, short_side=short_side, longest=longest) for picture in pictures]
        return self.detect_resized(images, [picture.size for picture in pictures])

    def detect_resized(self, images: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> list[DetectedPairs]:
        """What the network says of pictures that were resized already, in order.

        Args:
            images: (3, H, W) of `resize_for_network`; one batch, padded to the largest.
            sizes: (width, height) of each picture before that, in whose pixels boxes are told.
        """
        if not images:
            return []
        pixels, padding = batch_images(images, multiple_of=self._multiple_of)
        with torch.no_grad(), self._autocast():
            encoded = self._model.encode(pixels.to(self._device), padding.to(self._device), self._features)
            decoded = self._model.decode(
                encoded,
                self._model.decoder.queries(len(images)),
                num_objects=self._num_objects,
                num_relations=self._num_relations,
            )
        classes = [
            _numbers(logits[-1].float().softmax(-1)[..., :-1])
            for logits in (decoded.subject_logits, decoded.object_logits)
        ]
        predicates = _numbers(decoded.relation_logits[-1].float().sigmoid())
        boxes = [
            _numbers(boxes_cxcywh_to_xyxy(boxes[-1].float()).clamp(0, 1))
            for boxes in (decoded.subject_boxes, decoded.object_boxes)
        ]
        corners = [np.array([*size, *size], dtype=np.float64) for size in sizes]
        return [
            DetectedPairs(boxes[0][row] * far, boxes[1][row] * far, classes[0][row], classes[1][row], predicates[row])
            for row, far in enumerate(corners)
        ]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bfloat16)


def best_triplets(
    pairs: DetectedPairs,
    *,
    most: int,
    subject: int | None = None,
    count_subject: bool = True,
    possible: Bools | None = None,
    min_score: float = 0.0,
) -> DetectedTriplets:
    """The triplets with the highest product of probabilities; each pair has one name for each end, its likeliest.

    Of equal scores the earlier pair comes first, then the earlier predicate, so that a picture always gives the same.

    Args:
        pairs: of one picture.
        most: triplets that are kept.
        subject: keep only pairs whose likeliest subject is this name: HICO-DET and V-COCO ask for people.
        count_subject: whether the subject's probability is a factor. RLIPv2 leaves it out for HICO-DET (`hoi.py`), as
            it does not tell pairs of people apart.
        possible: (O, R) which predicates are kept for which object; None keeps all.
        min_score: triplets below are left out.
    """
    subjects, objects = pairs.subject_scores.argmax(1), pairs.object_scores.argmax(1)
    certainty = pairs.object_scores.max(1)
    if count_subject:
        certainty = certainty * pairs.subject_scores.max(1)
    scores = pairs.predicate_scores * certainty[:, None]
    kept = scores >= min_score
    if subject is not None:
        kept &= (subjects == subject)[:, None]
    if possible is not None:
        kept &= possible[objects]
    rows, predicates = np.nonzero(kept)
    best = np.argsort(-scores[rows, predicates], kind="stable")[:most]
    rows, predicates = rows[best], predicates[best]
    return DetectedTriplets(rows, subjects[rows], predicates, objects[rows], scores[rows, predicates])


def _numbers(tensor: Tensor) -> Floats:
    numbers: Floats = tensor.cpu().numpy().astype(np.float64)
    return numbers
