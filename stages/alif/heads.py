"""From states to scores, and the whole of decoding in one module.

Source: the heads of `RLIP_ParSeD` and `RLIP_ParSeDA` in `models/hoi.py` ("Version 5"), and the
second half of the transformers' `forward`. Written anew.

Shape letters: B images, S pixels of all levels, L levels, P pairs, K decoder layers, T = O + R texts (objects, of which
the last says "no objects"; then relations), D width. Boxes are (cx, cy, w, h) as fractions of the image without its
padding. Masks are true on padding.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.alif.decoder_layers import DecoderConfig, VisionMemory
from stages.alif.deformable_attention import MapShapes
from stages.alif.entity_decoder import EntityDecoder
from stages.alif.queries import AnchorPosition, AnchorQueries, PairQueries, ParsedQueries, StartQueries
from stages.alif.verb_decoder import MultiBranchFusion, VerbDecoder

PRIOR_LOGIT = -math.log(99.0)
"""Added to every score: until something is learned, a text fits with probability 0.01 ("Focal Loss", 4.1)."""


class ClassificationHead(nn.Module):  # type: ignore[misc]
    """Scores states against texts: (state + a) . W(text / (2 |text|)) - log 99.

    W is the same for entities and relations, a is learned for each of the two. Published as `projection_text`,
    `bias_obj_a`, `bias_pred_a`.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.text_projection = nn.Linear(width, width)
        self.entity_bias = nn.Parameter(torch.zeros(width))
        self.relation_bias = nn.Parameter(torch.zeros(width))

    def forward(
        self, entity_states: Tensor, verb_states: Tensor, text_states: Tensor, num_objects: int
    ) -> tuple[Tensor, Tensor]:
        """Score each decoder layer against the language state of the same number.

        Args:
            entity_states: (K, B, 2P, D).
            verb_states: (K, B, P, D).
            text_states: (K, T, B, D), after the resizer; the first `num_objects` texts are objects.
            num_objects: O.

        Returns:
            Logits (K, B, 2P, O) for a softmax, and (K, B, P, R) for a sigmoid.
        """
        texts = self.text_projection(functional.normalize(text_states, dim=-1) / 2).transpose(1, 2)  # (K, B, T, D)
        objects, relations = texts[:, :, :num_objects], texts[:, :, num_objects:]
        entity_logits = (entity_states + self.entity_bias) @ objects.transpose(-1, -2) + PRIOR_LOGIT
        relation_logits = (verb_states + self.relation_bias) @ relations.transpose(-1, -2) + PRIOR_LOGIT
        return entity_logits, relation_logits


@dataclass(frozen=True)
class Decoded:
    """What the decoders say, layer by layer; the last layer (`[-1]`) is the answer, the others are for training.

    Row p of every tensor is pair p. Rows of padded pairs mean nothing.
    """

    subject_logits: Tensor
    """(K, B, P, O), for a softmax."""
    object_logits: Tensor
    """(K, B, P, O), for a softmax."""
    relation_logits: Tensor
    """(K, B, P, R), for a sigmoid each."""
    subject_boxes: Tensor
    """(K, B, P, 4) cx, cy, w, h in (0, 1). Without their gradient they are the next layer's references."""
    object_boxes: Tensor
    """(K, B, P, 4)."""
    entity_states: Tensor
    """(K, B, 2P, D), subjects first."""
    verb_states: Tensor
    """(K, B, P, D)."""
    start_references: Tensor
    """(B, 2P, 2) points or (B, 2P, 4) boxes that the first layer began with, subjects first."""


class RelationDecoder(nn.Module):  # type: ignore[misc]
    """Entity decoder, verb decoder and classification head: ParSeD, ParSeDA or the tagger, by the queries given.

    Usage::

        config = DecoderConfig(feedforward_width=1024, dropout=0.1)
        parsed = RelationDecoder(config, ParsedQueries(256), fusion=MultiBranchFusion(256))
        parseda = RelationDecoder(DecoderConfig(), AnchorQueries(256), fusion=MultiBranchFusion(256))
        tagger = RelationDecoder(config, PairQueries(256))
        queries = parsed.queries(batch_size)
        decoded = parsed(
            memory, padding, shapes, valid_ratios, text_states, num_objects=81, num_relations=117, queries=queries
        )

    How the verb decoder starts follows from the parts. Content: the learned one, plus the fusion of the pair's last
    states if there is a fusion (the published 'vanilla_MBF'; without it 'vanilla'). Position: from the anchors if the
    queries have some, else the learned one if the queries have some, else the sum of the pair's last states.

    Args:
        config: the numbers of both decoders.
        queries: builds what decoding starts from; kept as `queries`, for the caller to use.
        fusion: see above.
        published: positions from anchors follow the padding, see `AnchorPosition`. Without anchors it changes nothing.
    """

    def __init__(
        self,
        config: DecoderConfig,
        queries: ParsedQueries | AnchorQueries | PairQueries,
        *,
        fusion: MultiBranchFusion | None = None,
        published: bool = False,
    ) -> None:
        super().__init__()
        self.num_layers = config.num_layers
        self.queries = queries

        def anchor_position() -> AnchorPosition | None:
            return AnchorPosition(config.width, published=published) if queries.positions_from_anchors else None

        self.entity_decoder = EntityDecoder(config, anchor_position())
        self.fusion = fusion
        self.verb_decoder = VerbDecoder(config, anchor_position())
        self.head = ClassificationHead(config.width)

    def forward(
        self,
        memory: Tensor,
        padding: Tensor | None,
        shapes: MapShapes,
        valid_ratios: Tensor,
        text_states: Tensor,
        *,
        num_objects: int,
        num_relations: int,
        queries: StartQueries,
        memory_rows: Tensor | None = None,
    ) -> Decoded:
        """Decode pairs and score them against the texts.

        Args:
            memory: (B, S, D) from the encoder, or (M, S, D) with `memory_rows`.
            padding: (B, S) or (M, S) bool, true on padding; None if there is none.
            shapes: height and width of each level.
            valid_ratios: (B, L, 2) which share of each map's width and height is image.
            text_states: (K, T, B, D) language states after the resizer; state k is compared with decoder layer k.
            num_objects: O, with "no objects".
            num_relations: R.
            queries: from `self.queries`.
            memory_rows: (B,) int64, which row of the memory each row of queries looks at; None if each has its own.

        Raises:
            ValueError: if there is not one language state a layer, or not O + R texts.
        """
        if text_states.shape[:2] != (self.num_layers, num_objects + num_relations):
            raise ValueError(
                f"text states are {tuple(text_states.shape)}; give {self.num_layers} states, one a decoder layer, of "
                f"{num_objects} object and {num_relations} relation texts"
            )
        seen = VisionMemory(memory, padding, shapes, valid_ratios, memory_rows)
        entities = self.entity_decoder(queries, seen)

        content, position = self._verb_start(queries, entities.states[-1])
        verb_states = self.verb_decoder(content, position, entities.boxes[-1].detach(), seen, queries.padding)

        entity_logits, relation_logits = self.head(entities.states, verb_states, text_states, num_objects)
        subject_logits, object_logits = entity_logits.chunk(2, dim=2)
        subject_boxes, object_boxes = entities.boxes.chunk(2, dim=2)
        return Decoded(
            subject_logits=subject_logits,
            object_logits=object_logits,
            relation_logits=relation_logits,
            subject_boxes=subject_boxes,
            object_boxes=object_boxes,
            entity_states=entities.states,
            verb_states=verb_states,
            start_references=queries.references,
        )

    def _verb_start(self, queries: StartQueries, last_states: Tensor) -> tuple[Tensor, Tensor]:
        """Content and position (B, P, D) of the verb decoder, from the last entity states (B, 2P, D)."""
        subjects, objects = last_states.chunk(2, dim=1)
        content = queries.verb_content
        if self.fusion is not None:
            content = content + self.fusion(subjects, objects)
        position = queries.verb_position
        if position is None:  # the decoder makes its own if there are anchors
            position = subjects + objects
        return content, position
