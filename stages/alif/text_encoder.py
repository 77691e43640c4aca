"""Texts to vectors: each label or predicate is a sentence of its own, and its pooled vector is one token for ALIF.

Shapes: T texts, N tokens of the longest text, E width of the encoder. RLIPV2 section "Text"; `ParSetransformer.forward`
and `engine.evaluate_hoi_with_text` of the published code.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from schemas import BadInputError

Tokenize = Callable[[list[str]], tuple[Tensor, Tensor]]
"""Texts to (token ids (T, N), attention mask (T, N), 1 on tokens and 0 on padding), with the tokens that begin and end
a sentence, and nothing cut off."""


@dataclass(frozen=True)
class TextEncoderConfig:
    """The numbers of a RoBERTa or BERT encoder; as they stand, those of roberta-base, which RLIPv2 uses."""

    kind: Literal["roberta", "bert"] = "roberta"
    vocab_size: int = 50265
    num_layers: int = 12
    width: int = 768
    num_heads: int = 12
    feedforward_width: int = 3072
    num_positions: int = 514
    """Rows of the position table. RoBERTa uses none up to and including `pad_id`, so it takes 512 tokens."""
    num_token_types: int = 1
    pad_id: int = 1
    norm_eps: float = 1e-5
    dropout: float = 0.1

    @property
    def max_tokens(self) -> int:
        """The longest text that the encoder takes, with the tokens that begin and end it."""
        return self.num_positions - (self.pad_id + 1 if self.kind == "roberta" else 0)


BERT_BASE = TextEncoderConfig(
    kind="bert", vocab_size=30522, num_positions=512, num_token_types=2, pad_id=0, norm_eps=1e-12
)
"""bert-base-uncased, which the published code can use, too."""


class TextEncoder(nn.Module):  # type: ignore[misc]
    """A RoBERTa or BERT of the transformers library, for its pooled vector.

    Attention is computed step by step ("eager"), as when the published models were trained; fused attention rounds
    otherwise, by 1e-4 in the logits of the whole network.
    """

    def __init__(self, config: TextEncoderConfig) -> None:
        """Random weights; the caller loads others."""
        super().__init__()
        import transformers

        self.max_tokens = config.max_tokens
        self.width = config.width
        common: dict[str, Any] = {
            "vocab_size": config.vocab_size,
            "num_hidden_layers": config.num_layers,
            "hidden_size": config.width,
            "num_attention_heads": config.num_heads,
            "intermediate_size": config.feedforward_width,
            "max_position_embeddings": config.num_positions,
            "type_vocab_size": config.num_token_types,
            "layer_norm_eps": config.norm_eps,
            "pad_token_id": config.pad_id,
            "hidden_dropout_prob": config.dropout,
            "attention_probs_dropout_prob": config.dropout,
            "attn_implementation": "eager",
        }
        self.model: Any
        if config.kind == "roberta":
            self.model = transformers.RobertaModel(transformers.RobertaConfig(**common))
        else:
            self.model = transformers.BertModel(transformers.BertConfig(**common))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode.

        Args:
            input_ids: (T, N) int64, N at most `max_tokens`.
            attention_mask: (T, N), 1 or true on tokens, 0 or false on padding: the convention of tokenizers, the
                opposite of our masks.

        Returns:
            (T, E) in (-1, 1): the first token of the last layer through a linear layer and tanh (`pooler_output`).
            A row depends on its own text alone.
        """
        return self.model(input_ids=input_ids, attention_mask=attention_mask).pooler_output


def check_num_tokens(texts: Sequence[str], attention_mask: Tensor, max_tokens: int) -> None:
    """Refuse texts that are longer than a network takes.

    Args:
        texts: T of them.
        attention_mask: (T, N) of their tokens; see `Tokenize`.
        max_tokens: see `TextEncoder`.

    Raises:
        BadInputError: naming the longest text.
    """
    num_tokens = attention_mask.sum(-1)
    if len(texts) and int(num_tokens.max()) > max_tokens:
        longest = int(num_tokens.argmax())
        raise BadInputError(
            f"the text {texts[longest][:80]!r} has {int(num_tokens[longest])} tokens, but the network takes "
            f"{max_tokens}; shorten it in the dataset, or train another network"
        )


class TextFeatures:
    """An encoder with a memory: a text is encoded once, for however many images. For inference, not for training.

    Usage::

        features = TextFeatures(encoder, tokenize)
        features(["person", "horse", "riding"])  # (3, E), in this order
        features(["riding", "person"])  # (2, E), nothing is computed

    Texts of one length in tokens are computed together, in as many rows as `num_rows` says, empty rows filled up. So
    nothing is computed for padding, and the vector of a text does not depend on the texts beside it: libraries choose
    their arithmetic by shape.

    The memory is dropped when the weights of the encoder have moved or changed. Writing through `.data` goes
    unnoticed; call `clear` then.
    """

    def __init__(self, encoder: TextEncoder, tokenize: Tokenize, *, capacity: int = 8192, num_rows: int = 32) -> None:
        """
        Args:
            encoder: in evaluation mode whenever texts are encoded.
            tokenize: see `Tokenize`.
            capacity: vectors kept at most, at least 1; those unused for longest go first. 8192 of width 768 are 25 MB.
            num_rows: texts that are computed at a time, at least 1.

        Raises:
            ValueError: if `capacity` or `num_rows` is below 1.
        """
        if capacity < 1 or num_rows < 1:
            raise ValueError(f"capacity is {capacity} and num_rows is {num_rows}; both must be at least 1")
        self._encoder = encoder
        self._tokenize = tokenize
        self._capacity = capacity
        self._num_rows = num_rows
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._weights: list[tuple[int, int]] = []

    def __len__(self) -> int:
        """How many texts are kept now."""
        return len(self._kept)

    def clear(self) -> None:
        """Forget all vectors."""
        self._kept.clear()

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """The vectors of texts.

        Args:
            texts: any number, with or without repetition.

        Returns:
            (T, E) without gradient, on the device of the encoder: one row a text, same order; equal texts have equal
            rows.

        Raises:
            BadInputError: if a text has no token, or more than the encoder takes.
            ValueError: if the encoder is in training mode, where dropout would be kept along.
        """
        if self._encoder.training:
            raise ValueError("the text encoder is in training mode; call eval() on it before features are kept")
        weights = self._weights_now()
        if weights != self._weights:
            self.clear()
            self._weights = weights

        wanted = dict.fromkeys(texts)
        found = {text: self._kept[text] for text in wanted if text in self._kept}
        found |= self._encode([text for text in wanted if text not in found])
        for text in wanted:
            self._kept[text] = found[text]
            self._kept.move_to_end(text)
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)

        if not texts:
            parameter = next(self._encoder.parameters())
            return parameter.new_empty(0, self._encoder.width).detach()
        return torch.stack([found[text] for text in texts])

    def _encode(self, texts: list[str]) -> dict[str, Tensor]:
        if not texts:
            return {}
        by_length: dict[int, list[tuple[str, Tensor]]] = {}
        input_ids, attention_mask = self._tokenize(texts)
        for text, ids, mask in zip(texts, input_ids, attention_mask, strict=True):
            tokens = ids[mask.bool()]
            self._check_length(text, len(tokens))
            by_length.setdefault(len(tokens), []).append((text, tokens))

        vectors: dict[str, Tensor] = {}
        for group in by_length.values():
            for start in range(0, len(group), self._num_rows):
                some = group[start : start + self._num_rows]
                rows = self._encode_rows(torch.stack([tokens for _, tokens in some]))
                vectors |= {text: row for (text, _), row in zip(some, rows, strict=True)}
        return vectors

    def _encode_rows(self, input_ids: Tensor) -> list[Tensor]:
        """Vectors of (T, N) ids without padding, T at most `num_rows`."""
        num_texts = len(input_ids)
        filled = torch.cat([input_ids, input_ids[:1].expand(self._num_rows - num_texts, -1)])
        filled = filled.to(next(self._encoder.parameters()).device)
        # Vectors made in inference mode could not be used in training later, and they are kept.
        with torch.inference_mode(mode=False), torch.no_grad():
            encoded = self._encoder(filled, torch.ones_like(filled))
            # Copies: a view of one row would keep all rows in memory.
            return [row.clone() for row in encoded[:num_texts]]

    def _check_length(self, text: str, num_tokens: int) -> None:
        shown = text if len(text) <= 80 else f"{text[:80]}..."
        if num_tokens == 0:
            raise BadInputError(f"the text {shown!r} has no tokens; give a label or predicate with letters in it")
        if num_tokens > self._encoder.max_tokens:
            raise BadInputError(
                f"the text {shown!r} has {num_tokens} tokens, but the text encoder takes {self._encoder.max_tokens} "
                f"at most; give a shorter label or predicate"
            )

    def _weights_now(self) -> list[tuple[int, int]]:
        """Where each weight lies and how often it was written to: changes when the weights do."""
        return [
            (parameter.data_ptr(), 0 if parameter.is_inference() else parameter._version)
            for parameter in self._encoder.parameters()
        ]
