"""The verb decoder: one query a pair, between the subject and the object that the entity decoder found.

Source: the sequential half of RLIP's ParSe; `TransformerDecoderHOI` and
`DABDeformableTransformerDecoderHOI` with `ParSe = False`, `MultiBranchFusion` of Zhang et al., "Spatially Conditioned
Graphs". Written anew.

Shape letters: B images, P pairs, L levels, K decoder layers, D width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.alif.decoder_layers import (
    DecoderConfig,
    DecoderLayer,
    VisionMemory,
    box_perceptrons,
    references_per_level,
    refine_boxes,
)
from stages.alif.queries import AnchorPosition


class VerbDecoder(nn.Module):  # type: ignore[misc]
    """K layers over one query a pair; where they look is the mean of the two boxes, size included.

    The boxes are refined further on the way, by perceptrons of this decoder, but only to look there: they are not
    given out, and no gradient reaches these perceptrons. They keep the values they were loaded with, so they are
    frozen. After the last layer there is nothing left to refine; what the published model stores for it is dropped.

    Args:
        config: the numbers.
        anchor_position: makes the positions from the references (ParSeDA); None if they are given.
    """

    def __init__(self, config: DecoderConfig, anchor_position: AnchorPosition | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_layers))
        self.subject_boxes = box_perceptrons(config.width, config.num_layers - 1).requires_grad_(requires_grad=False)
        self.object_boxes = box_perceptrons(config.width, config.num_layers - 1).requires_grad_(requires_grad=False)
        self.anchor_position = anchor_position

    def forward(
        self,
        content: Tensor,
        position: Tensor | None,
        boxes: Tensor,
        memory: VisionMemory,
        padding: Tensor | None = None,
    ) -> Tensor:
        """Decode the relation of each pair.

        Args:
            content: (B, P, D) first states.
            position: (B, P, D); unused if anchors give the positions.
            boxes: (B, 2P, 4) of the subjects, then of the objects, cx, cy, w, h in [0, 1], without gradient.
            memory: what to look at.
            padding: (B, P) bool, true on pairs that the others must not see.

        Returns:
            (K, B, P, D) states after each layer.
        """
        states = content
        all_states = []
        for number, layer in enumerate(self.layers):
            subject_boxes, object_boxes = boxes.chunk(2, dim=1)
            references = 0.5 * (subject_boxes + object_boxes)
            if self.anchor_position is not None:
                position = self.anchor_position(references, memory.valid_ratios, states if number else None)
            places = references_per_level(references, memory.valid_ratios)
            states = layer(states, position, places, memory, padding)
            all_states.append(states)
            if number < len(self.subject_boxes):
                with torch.no_grad():
                    change = torch.cat((self.subject_boxes[number](states), self.object_boxes[number](states)), dim=1)
                    boxes = refine_boxes(change, boxes)
        return torch.stack(all_states)


class MultiBranchFusion(nn.Module):  # type: ignore[misc]
    """One state from two, by products: ReLU(sum over branches of C_k ReLU(A_k subject * B_k object)).

    The verb target 'MBF' of the published code. Each branch is of width D / branches.

    Args:
        width: D.
        num_branches: how many; must divide the width. 16 in RLIPv2.
    """

    def __init__(self, width: int, num_branches: int = 16) -> None:
        if width % num_branches:
            raise ValueError(f"width is {width}, num_branches {num_branches}; give a number that divides the width")
        super().__init__()
        narrow = width // num_branches
        self.from_subject = nn.ModuleList(nn.Linear(width, narrow) for _ in range(num_branches))
        self.from_object = nn.ModuleList(nn.Linear(width, narrow) for _ in range(num_branches))
        self.to_pair = nn.ModuleList(nn.Linear(narrow, width) for _ in range(num_branches))

    def forward(self, subjects: Tensor, objects: Tensor) -> Tensor:
        """(..., D) and (..., D) to (..., D)."""
        # Branches side by side are one matrix, and the sum over them is part of its product: 3 products, not 48.
        products = _side_by_side(self.from_subject, subjects) * _side_by_side(self.from_object, objects)
        weight = torch.cat([linear.weight for linear in self.to_pair], dim=1)
        biases = torch.stack([linear.bias for linear in self.to_pair])
        # A product, as after `biases.sum(0)` the gradients of all would be one piece of memory, and what scales
        # gradients in place (`clip_grad_norm_`) would scale it once for each of them.
        bias = biases.new_ones(len(biases)) @ biases
        return functional.relu(functional.linear(functional.relu(products), weight, bias))


def _side_by_side(linears: nn.ModuleList, values: Tensor) -> Tensor:
    """All linear layers on the same values, results joined."""
    weight = torch.cat([linear.weight for linear in linears])
    bias = torch.cat([linear.bias for linear in linears])
    return functional.linear(values, weight, bias)
