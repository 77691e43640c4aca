"""The entity decoder: subjects and objects are found together, in pairs, and their boxes refined layer by layer.

Source: the parallel half of RLIP's ParSe; `TransformerDecoderHOI` and
`DABDeformableTransformerDecoderHOI` with `ParSe = True`. Written anew.

Shape letters: B images, P pairs, Q = 2P queries (P subjects, then P objects), L levels, K decoder layers, D width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stages.alif.decoder_layers import (
    DecoderConfig,
    DecoderLayer,
    VisionMemory,
    box_perceptrons,
    references_per_level,
    refine_boxes,
)
from stages.alif.queries import AnchorPosition, StartQueries


@dataclass(frozen=True)
class Entities:
    """What the entity decoder found, layer by layer."""

    states: Tensor
    """(K, B, 2P, D)."""
    boxes: Tensor
    """(K, B, 2P, 4) cx, cy, w, h in (0, 1), subjects first. Those of layer k are the references of layer k + 1."""


class EntityDecoder(nn.Module):  # type: ignore[misc]
    """K layers over subject and object queries in one self-attention; boxes by perceptrons of their own.

    The published model computes each box twice, as the next layer's reference and in its head; both are this one. The
    gradient of a box stops at its reference, as published: a layer learns its own step only.

    Args:
        config: the numbers.
        anchor_position: makes the positions from the references (ParSeDA); None if the queries bring them.
    """

    def __init__(self, config: DecoderConfig, anchor_position: AnchorPosition | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_layers))
        self.subject_boxes = box_perceptrons(config.width, config.num_layers, first_size=-2.0)
        self.object_boxes = box_perceptrons(config.width, config.num_layers, first_size=-2.0)
        self.anchor_position = anchor_position

    def forward(self, queries: StartQueries, memory: VisionMemory) -> Entities:
        """Decode all queries; with queries for P pairs, everything in the result counts 2P."""
        states, references = queries.content, queries.references
        padding = None if queries.padding is None else torch.cat((queries.padding, queries.padding), dim=1)
        all_states, all_boxes = [], []
        for number, layer in enumerate(self.layers):
            if self.anchor_position is None:
                position = queries.position
            else:
                position = self.anchor_position(references, memory.valid_ratios, states if number else None)
            places = references_per_level(references, memory.valid_ratios)
            states = layer(states, position, places, memory, padding)

            subjects, objects = states.chunk(2, dim=1)
            change = torch.cat((self.subject_boxes[number](subjects), self.object_boxes[number](objects)), dim=1)
            boxes = refine_boxes(change, references)
            references = boxes.detach()
            all_states.append(states)
            all_boxes.append(boxes)
        return Entities(states=torch.stack(all_states), boxes=torch.stack(all_boxes))
