"""A small network of random weights that finds pairs: ParSeDA in every part, for pictures of 64 pixels."""

from collections.abc import Iterable
from pathlib import Path

WORDS = ("bench", "cup", "dog", "horse", "person", "hold", "near", "on", "ride", "sit", "watch")


def save_tiny_detector(folder: Path, words: Iterable[str] = WORDS, **changes) -> Path:
    """Write the network, and give its folder back; `changes` are of its `AlifConfig`."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    from stages.alif.backbone import BackboneConfig
    from stages.alif.build import build_model
    from stages.alif.checkpoint import save_checkpoint
    from stages.alif.config import AlifConfig, PictureSize
    from stages.alif.decoder_layers import DecoderConfig
    from stages.alif.encoder import EncoderConfig
    from stages.alif.text_encoder import TextEncoderConfig

    known = dict.fromkeys(("<s>", "<pad>", "</s>", "<unk>", "no", "objects", *words))
    vocabulary = {word: i for i, word in enumerate(known)}
    settings = {
        "backbone": BackboneConfig(kind="tiny", tiny_width=8),
        "text": TextEncoderConfig(
            vocab_size=len(vocabulary), width=32, num_layers=1, num_heads=2, feedforward_width=32, num_positions=10
        ),
        "encoder": EncoderConfig(
            width=32, num_levels=2, num_layers=2, num_heads=2, num_points=2, feedforward_width=32, fusion_interval=1,
            fusion_width=32, fusion_heads=2, language_width=32, language_heads=2, language_feedforward_width=32,
        ),
        "decoder": DecoderConfig(
            width=32, num_heads=2, num_levels=2, num_points=2, num_layers=2, feedforward_width=32
        ),
        "decoding": "parseda",
        "num_pairs": 12,
        "picture": PictureSize(short_side=64, longest=107),
    }  # fmt: skip
    config = AlifConfig(**settings | changes)
    with torch.random.fork_rng():
        torch.manual_seed(6)
        model = build_model(config).eval()
        for parameter in (
            model.parameters()
        ):  # far from where a training starts, so that answers differ; of this seed with every name
            parameter.data += 0.2 * torch.randn_like(parameter)
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    save_checkpoint(folder, config, model.state_dict(), tokenizer="tokenizer.json")
    return folder
