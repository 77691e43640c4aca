"""The vocabulary of a captioner that is trained from nothing: the words of its training captions.

Whole words as BERT's tokenizer cuts them, and single letters and digits, of which a word that is not known is spelled.
"""

import string
from collections.abc import Mapping
from typing import Any

import transformers
from tokenizers import normalizers, pre_tokenizers

from stages.training import frequent_words

PAD, UNKNOWN, END, START = "[PAD]", "[UNK]", "[SEP]", "[DEC]"
SPECIAL_TOKENS = (PAD, UNKNOWN, "[CLS]", END, "[MASK]", START, "[ENC]")
"""By their ids. BLIP's decoder starts with `[DEC]` and ends with `[SEP]`; `[ENC]` is of its other networks."""

_LETTERS = string.ascii_lowercase + string.digits


def caption_vocabulary(texts: Mapping[str, int], *, max_words: int = 4096) -> dict[str, int]:
    """The id of each token. Equal counts give equal vocabularies.

    Args:
        texts: how often each text occurs.
        max_words: the most frequent words are kept, of equally frequent ones the first in the alphabet.
    """
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    words = frequent_words(texts, normalizer=normalizer, splitter=splitter, max_words=max_words)
    spelling = [*_LETTERS, *(f"##{letter}" for letter in _LETTERS)]
    tokens = dict.fromkeys([*SPECIAL_TOKENS, *spelling, *words])
    return {token: number for number, token in enumerate(tokens)}


def caption_tokenizer(vocabulary: Mapping[str, int]) -> Any:
    """A `transformers.BertTokenizer` of a vocabulary that `caption_vocabulary` made."""
    return transformers.BertTokenizer(dict(vocabulary), additional_special_tokens=[START, "[ENC]"])
