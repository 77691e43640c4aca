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

from schemas import BadInputError, UserError
from stages.alif.boxes import boxes_cxcywh_to_xyxy
from stages.alif.images import batch_images, resize_for_network
from stages.alif.label_sequence import NO_OBJECTS
from stages.alif.model import AlifModel
from stages.alif.text_encoder import Tokenize

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
            bfloat16: take the network's products in half precision.

        Raises:
            UserError: if there is no name or no predicate, or one twice.
            BadInputError: if a text is too long for the network.
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
        input_ids, mask = tokenize([*objects, NO_OBJECTS, *predicates])
        longest = int(mask.sum(-1).max())
        if longest > model.text_encoder.max_tokens:
            text = [*objects, NO_OBJECTS, *predicates][int(mask.sum(-1).argmax())]
            raise BadInputError(
                f"the text {text[:80]!r} has {longest} tokens, but the network takes {model.text_encoder.max_tokens}"
            )
        with torch.no_grad(), self._autocast():
            self._features = model.text_encoder(input_ids.to(self._device), mask.to(self._device))

    def detect(self, pictures: Sequence[Image.Image], *, short_side: int, longest: int) -> list[DetectedPairs]:
        """What the network says of each picture, in order.

        Args:
            pictures: RGB; none is fine.
            short_side: pixels of the shorter side for the network; see `network_size`.
            longest: most pixels of the longer side.
        """
        if not pictures:
            return []
        images = [resize_for_network(picture, short_side=short_side, longest=longest) for picture in pictures]
        pixels, padding = batch_images(images, multiple_of=self._multiple_of)
        with torch.no_grad(), self._autocast():
            encoded = self._model.encode(pixels.to(self._device), padding.to(self._device), self._features)
            decoded = self._model.decode(
                encoded,
                self._model.decoder.queries(len(pictures)),
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
        sizes = [np.array(picture.size * 2, dtype=np.float64) for picture in pictures]
        return [
            DetectedPairs(boxes[0][row] * size, boxes[1][row] * size, classes[0][row], classes[1][row], predicates[row])
            for row, size in enumerate(sizes)
        ]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bfloat16)


def best_triplets(
    pairs: DetectedPairs, *, most: int, subject: int | None = None, count_subject: bool = True
) -> DetectedTriplets:
    """The triplets with the highest product of probabilities; each pair has one name for each end, its likeliest.

    Args:
        pairs: of one picture.
        most: triplets that are kept.
        subject: keep only pairs whose likeliest subject is this name: HICO-DET and V-COCO ask for people.
        count_subject: whether the subject's probability is a factor. RLIPv2 leaves it out for HICO-DET (`hoi.py`), as
            it does not tell pairs of people apart.
    """
    subjects, objects = pairs.subject_scores.argmax(1), pairs.object_scores.argmax(1)
    certainty = pairs.object_scores.max(1)
    if count_subject:
        certainty = certainty * pairs.subject_scores.max(1)
    scores = pairs.predicate_scores * certainty[:, None]
    if subject is not None:
        scores = scores[subjects == subject]
        kept = np.flatnonzero(subjects == subject)
    else:
        kept = np.arange(len(subjects))
    # Equal scores keep their order, so that the same picture gives the same file.
    best = np.argsort(-scores, axis=None, kind="stable")[:most]
    rows, predicates = np.divmod(best, pairs.predicate_scores.shape[1])
    chosen = kept[rows]
    return DetectedTriplets(chosen, subjects[chosen], predicates, objects[chosen], scores.reshape(-1)[best])


def _numbers(tensor: Tensor) -> Floats:
    numbers: Floats = tensor.cpu().numpy().astype(np.float64)
    return numbers
