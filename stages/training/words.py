"""The vocabulary of a network that is trained from nothing: the words of its training data."""

from collections import Counter
from collections.abc import Mapping
from typing import Any


def frequent_words(texts: Mapping[str, int], *, normalizer: Any, splitter: Any, max_words: int) -> list[str]:
    """The words of some texts, in alphabetical order.

    Args:
        texts: how often each text occurs.
        normalizer: of the library tokenizers; applied to whole texts.
        splitter: of the library tokenizers, a pre-tokenizer: what it cuts a text into are words.
        max_words: the most frequent words are kept, of equally frequent ones the first in the alphabet.
    """
    counts: Counter[str] = Counter()
    for text, number in texts.items():
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)):
            counts[word] += number
    return sorted(sorted(counts, key=lambda word: (-counts[word], word))[:max_words])
