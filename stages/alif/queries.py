"""What the decoders start from: learned queries (ParSeD), learned anchors (ParSeDA), or given pairs of boxes (tagger).

Source: RLIPv2, ParSeD, ParSeDA and the Relation Tagger; published as `query_embed` and friends in
`models/hoi.py`, `prepare_query` in `models/verb_tagger_helper.py`, and the heads of Liu et al., "DAB-DETR", in
`models/dab_deformable/deformable_transformer.py`. Written anew.

Shape letters: B images, P pairs, Q = 2P queries (P subjects, then P objects; slot i of either half is pair i), L
levels, O object texts, D width. Boxes are (cx, cy, w, h) as fractions of the image without its padding, never in half
precision. Masks are true on padding.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stages.alif.decoder_layers import Perceptron, at_least_float32, inverse_sigmoid, references_per_level

PUBLISHED_PAIRS = 100
"""Pairs that RLIPv2 decodes at once: 200 queries, half of them subjects."""

_TEMPERATURE = 10000.0
"""Of the sine of anchors; the published code has it as a constant, its option `pe_temperature` does not reach here."""


@dataclass(frozen=True)
class StartQueries:
    """Where decoding starts, made by one of the builders below."""

    content: Tensor
    """(B, 2P, D) first states."""
    position: Tensor | None
    """(B, 2P, D) what is added to the states when they look around; None if anchors say it anew in every layer."""
    references: Tensor
    """(B, 2P, 2) points or (B, 2P, 4) boxes, in [0, 1]."""
    verb_content: Tensor
    """(B, P, D) first states of the verb decoder, or the learned part of them."""
    verb_position: Tensor | None
    """(B, P, D) positions of the verb decoder; None if they come from anchors or from the entities' last states."""
    padding: Tensor | None
    """(B, P) bool, true on pairs that the others must not see; None if there are none."""


class ParsedQueries(nn.Module):  # type: ignore[misc]
    """Learned queries of ParSeD, the same for every image; references are read off their positions.

    Args:
        width: D.
        num_pairs: P.
        learned_verb_position: the verb decoder has positions of its own ('vanilla_MBF' of the published code) rather
            than the sum of the entities' last states ('vanilla').
    """

    positions_from_anchors = False

    def __init__(self, width: int, num_pairs: int = PUBLISHED_PAIRS, *, learned_verb_position: bool = True) -> None:
        super().__init__()
        # One table for three things, position, content and verb content side by side, as in the checkpoints.
        self.slots = nn.Embedding(2 * num_pairs, 3 * width)
        self.verb_position = nn.Embedding(num_pairs, width) if learned_verb_position else None
        self.start_points = StartPoints(width)

    def keep_first(self, num_pairs: int) -> None:
        """Forget all pairs but the first."""
        _keep_first_of_halves(self.slots, num_pairs)
        if self.verb_position is not None:
            _keep_rows(self.verb_position, torch.arange(num_pairs))

    def forward(self, batch_size: int) -> StartQueries:
        """The same queries for each of the B images; references are points."""
        position, content, verb_halves = self.slots.weight.chunk(3, dim=-1)
        position = position.expand(batch_size, -1, -1)
        return StartQueries(
            content=content.expand(batch_size, -1, -1),
            position=position,
            references=self.start_points(position),
            verb_content=_sum_of_halves(verb_halves).expand(batch_size, -1, -1),
            verb_position=None if self.verb_position is None else self.verb_position.weight.expand(batch_size, -1, -1),
            padding=None,
        )


class AnchorQueries(nn.Module):  # type: ignore[misc]
    """Learned queries of ParSeDA: a content and a box each; positions follow from the boxes, layer by layer.

    Args:
        width: D.
        num_pairs: P.
    """

    positions_from_anchors = True

    def __init__(self, width: int, num_pairs: int = PUBLISHED_PAIRS) -> None:
        super().__init__()
        self.content = nn.Embedding(2 * num_pairs, width)
        self.verb_content = nn.Embedding(2 * num_pairs, width)
        self.anchors = nn.Embedding(2 * num_pairs, 4)  # before the sigmoid

    def keep_first(self, num_pairs: int) -> None:
        """Forget all pairs but the first."""
        for table in (self.content, self.verb_content, self.anchors):
            _keep_first_of_halves(table, num_pairs)

    def forward(self, batch_size: int) -> StartQueries:
        """The same queries for each of the B images; references are boxes."""
        return StartQueries(
            content=self.content.weight.expand(batch_size, -1, -1),
            position=None,
            references=at_least_float32(self.anchors.weight).sigmoid().expand(batch_size, -1, -1),
            verb_content=_sum_of_halves(self.verb_content.weight).expand(batch_size, -1, -1),
            verb_position=None,
            padding=None,
        )


class PairQueries(nn.Module):  # type: ignore[misc]
    """Queries of the Relation Tagger: pairs of boxes with known classes.

    A box is told by its four numbers (position) and by the text feature of its class (content). It is not the
    reference: where the decoder looks first is read off the position, and the box is decoded anew.

    Any number of pairs may be asked for at once. Published, the verb decoder's content is learned for each of 100
    slots; as annotated pairs always stood first in training, the slot tells whether a pair has a relation, and the
    order of pairs changes the answer. Ours is one content for all pairs: `verb_content` then has a single row. Made
    from published weights it is the mean over the slots (`share_slots` in `published_decoder`).

    Args:
        width: D.
        learned_verb_position: as in `ParsedQueries`; the published Swin taggers have it, the ResNet-50 tagger has not.
        published: learn a content (and verb position) for each slot, as the published tagger does. There are then
            `PUBLISHED_PAIRS` slots, and at most as many pairs.
    """

    positions_from_anchors = False

    def __init__(self, width: int, *, learned_verb_position: bool = False, published: bool = False) -> None:
        super().__init__()
        self.published = published
        self.box_projection = nn.Linear(4, width)
        self.start_points = StartPoints(width)
        # Published: one row for the subject and one for the object of each slot; they are only ever added.
        self.verb_content = nn.Embedding(2 * PUBLISHED_PAIRS if published else 1, width)
        num_positions = PUBLISHED_PAIRS if published else 1
        self.verb_position = nn.Embedding(num_positions, width) if learned_verb_position else None

    def forward(
        self,
        subject_boxes: Tensor,
        object_boxes: Tensor,
        subject_classes: Tensor,
        object_classes: Tensor,
        *,
        padding: Tensor,
        class_features: Tensor,
    ) -> StartQueries:
        """Queries for the given pairs; those of padding are zero, and what is decoded from them means nothing.

        Args:
            subject_boxes: (B, P, 4), cx, cy, w, h in [0, 1].
            object_boxes: (B, P, 4).
            subject_classes: (B, P) int64, which of the O object texts names the subject; on padding any valid number.
            object_classes: (B, P) int64.
            padding: (B, P) bool, true where there is no pair.
            class_features: (B, O, D) the last language state of the object texts, after the resizer. No gradient goes
                back there.

        Raises:
            ValueError: if there are more pairs than slots.
        """
        batch, pairs = padding.shape
        if self.published and pairs > PUBLISHED_PAIRS:
            raise ValueError(f"{pairs} pairs for {PUBLISHED_PAIRS} slots; ask in groups, or build with published=False")
        absent = torch.cat((padding, padding), dim=1)[..., None]  # (B, 2P, 1)
        boxes = torch.cat((subject_boxes, object_boxes), dim=1)
        numbers = inverse_sigmoid(boxes).to(self.box_projection.weight.dtype)
        position = self.box_projection(numbers).masked_fill(absent, 0.0)
        classes = torch.cat((subject_classes, object_classes), dim=1)
        # Blocked as published ("detach"): the texts are not to be bent towards being easy to recognise again.
        content = torch.take_along_dim(class_features.detach(), classes[..., None], dim=1).masked_fill(absent, 0.0)
        return StartQueries(
            content=content,
            position=position,
            references=self.start_points(position),
            verb_content=self._verb_content(pairs).expand(batch, pairs, -1),
            verb_position=None
            if self.verb_position is None
            else self.verb_position.weight[:pairs].expand(batch, pairs, -1),
            # An image without any pair keeps its slots in sight of one another: in some kernels of attention a softmax
            # over nothing is not a number, and in training that would spread to all weights. Without any slot there
            # is nothing to hide, and PyTorch's attention cannot reshape an empty mask.
            padding=padding & ~padding.all(dim=1, keepdim=True) if pairs else None,
        )

    def _verb_content(self, pairs: int) -> Tensor:
        """(1, D), or (P, D) as published."""
        if not self.published:
            return self.verb_content.weight
        return _sum_of_halves(self.verb_content.weight)[:pairs]


class StartPoints(nn.Module):  # type: ignore[misc]
    """Where a query looks first, read off its position; one linear map for subjects, one for objects.

    Published as `reference_points_sub` and `reference_points_obj`.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.subject = nn.Linear(width, 2)
        self.object = nn.Linear(width, 2)
        for linear in (self.subject, self.object):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, position: Tensor) -> Tensor:
        """(B, 2P, D) to points x, y (B, 2P, 2) in (0, 1)."""
        subjects, objects = position.chunk(2, dim=1)
        return at_least_float32(torch.cat((self.subject(subjects), self.object(objects)), dim=1)).sigmoid()


class AnchorPosition(nn.Module):  # type: ignore[misc]
    """Positions of queries that have boxes for references (DAB-DETR, section 4.2).

    Each of the two decoders has its own, one for all its layers.

    Args:
        width: D.
        published: take the sine of the box in units of the largest padded map rather than of the image, as published.
            The answer for an image then depends on how much it is padded, thus on the images beside it.
    """

    def __init__(self, width: int, *, published: bool = False) -> None:
        super().__init__()
        self.published = published
        self.width = width
        self.from_sine = Perceptron((2 * width, width, width))
        self.content_scale = Perceptron((width, width, width))
        for layer in (*self.from_sine.layers, *self.content_scale.layers):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, boxes: Tensor, valid_ratios: Tensor, states: Tensor | None) -> Tensor:
        """Positions for one layer.

        Args:
            boxes: (B, Q, 4) references of the layer.
            valid_ratios: (B, L, 2), level 0 is the largest map.
            states: (B, Q, D) that scale the positions; None in the first layer, where nothing is known yet.

        Returns:
            (B, Q, D).
        """
        if self.published:
            boxes = references_per_level(boxes, valid_ratios[:, :1])[:, :, 0]
        sine = sine_of_boxes(boxes, self.width // 2)
        position = self.from_sine(sine.to(self.from_sine.layers[0].weight.dtype))
        return position if states is None else self.content_scale(states) * position


def sine_of_boxes(boxes: Tensor, num_features: int) -> Tensor:
    """Sines and cosines of each of the four numbers, in the order y, x, w, h.

    Args:
        boxes: (..., 4) cx, cy, w, h in [0, 1].
        num_features: for each number, even; sine and cosine of the same wave stand side by side.

    Returns:
        (..., 4 * num_features).
    """
    waves = torch.arange(num_features // 2, dtype=boxes.dtype, device=boxes.device)
    wavelengths = _TEMPERATURE ** (2 * waves / num_features)
    x, y, width, height = boxes.unbind(dim=-1)
    angles = 2 * math.pi * torch.stack((y, x, width, height), dim=-1)[..., None] / wavelengths
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-3)


def _sum_of_halves(weight: Tensor) -> Tensor:
    """(2P, D) rows of subjects, then of objects, to (P, D) rows of pairs."""
    subjects, objects = weight.chunk(2)
    return subjects + objects


def _keep_first_of_halves(table: nn.Embedding, num_pairs: int) -> None:
    """Of (2P, D) rows of subjects, then of objects, the first of each."""
    first = torch.arange(num_pairs)
    _keep_rows(table, torch.cat([first, first + table.num_embeddings // 2]))


def _keep_rows(table: nn.Embedding, rows: Tensor) -> None:
    table.weight = nn.Parameter(table.weight.detach()[rows.to(table.weight.device)].clone())
    table.num_embeddings = len(rows)
