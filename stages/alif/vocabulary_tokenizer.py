"""A tokenizer of whole words, for networks that are trained from nothing on a known set of texts.

Special tokens have the numbers that RoBERTa gives them: `<s>` 0, `<pad>` 1, `</s>` 2, `<unk>` 3.
"""

from collections.abc import Mapping

from stages.training import frequent_words

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
"""By their ids."""


def vocabulary_tokenizer(texts: Mapping[str, int], *, max_words: int = 4096) -> str:
    """The content of a `tokenizer.json` that knows the words of some texts. Equal counts give equal content.

    Texts are lower-cased and cut at spaces and around punctuation; `<s>` and `</s>` stand around them. A word that is
    not known becomes `<unk>`.

    Args:
        texts: how often each text occurs.
        max_words: the most frequent words are kept, of equally frequent ones the first in the alphabet.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    splitter = pre_tokenizers.BertPreTokenizer()
    words = frequent_words(texts, normalizer=normalizer, splitter=splitter, max_words=max_words)
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*SPECIAL_TOKENS, *words]))}

    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106 - no password
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])]
    )
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    content: str = tokenizer.to_str(pretty=True)
    return content + "\n"


def vocabulary_size(tokenizer_json: str) -> int:
    """How many ids a tokenizer of `vocabulary_tokenizer` has."""
    from tokenizers import Tokenizer

    size: int = Tokenizer.from_str(tokenizer_json).get_vocab_size()
    return size
