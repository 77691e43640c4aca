"""A BLIP small enough to run in milliseconds: random weights, a vocabulary of 40 words, pictures of 32 x 32 pixels."""

from pathlib import Path

import pytest

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]"]
WORDS = ["a", "picture", "of", *(f"word{i}" for i in range(40))]


def save_tiny_blip(folder: Path) -> None:
    """Write a folder as `save_pretrained` writes it."""
    torch = pytest.importorskip("torch", reason="needs the blip extra: pip install -e '.[blip]'")
    transformers = pytest.importorskip("transformers", reason="needs the blip extra: pip install -e '.[blip]'")

    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS]), encoding="utf-8")
    # Weights spread wide, so that pictures and samples get different captions.
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {
        "vocab_size": len(SPECIAL) + len(WORDS),
        "max_position_embeddings": 32,
        "initializer_range": 0.4,
        "pad_token_id": SPECIAL.index("[PAD]"),
        "bos_token_id": SPECIAL.index("[DEC]"),
        "eos_token_id": SPECIAL.index("[SEP]"),
        "sep_token_id": SPECIAL.index("[SEP]"),
    }
    vision = {"image_size": 32, "patch_size": 16, "initializer_range": 0.4}
    config = transformers.BlipConfig(text_config={**size, **text}, vision_config={**size, **vision})
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = transformers.BlipForConditionalGeneration(config)
    with torch.no_grad():
        # Special tokens vanish from a decoded text; without them, texts and token sequences are one to one.
        for token in ("[PAD]", "[UNK]", "[CLS]", "[MASK]", "[DEC]"):
            model.text_decoder.cls.predictions.bias[SPECIAL.index(token)] = -1e4
    model.save_pretrained(folder)
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    transformers.BlipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
