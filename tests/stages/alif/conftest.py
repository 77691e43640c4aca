"""A tiny tagger that tests of the network share."""

import pytest
import torch

from stages.alif.backbone import BackboneConfig
from stages.alif.build import build_model
from stages.alif.config import AlifConfig
from stages.alif.decoder_layers import DecoderConfig
from stages.alif.encoder import EncoderConfig
from stages.alif.model import AlifModel
from stages.alif.text_encoder import TextEncoderConfig

WORDS = ("<s>", "<pad>", "</s>", "<unk>", "a", "person", "horse", "riding", "holding")


@pytest.fixture(scope="session")
def tiny_tagger() -> tuple[AlifConfig, AlifModel, str]:
    """Configuration, network of random weights in evaluation mode, and the text of a tokenizer file."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    config = AlifConfig(
        backbone=BackboneConfig(kind="tiny", tiny_width=8),
        text=TextEncoderConfig(vocab_size=len(WORDS), width=32, num_layers=1, num_heads=2, feedforward_width=32),
        encoder=EncoderConfig(
            width=32, num_levels=2, num_layers=2, num_heads=2, num_points=2, feedforward_width=32, fusion_interval=1,
            fusion_width=32, fusion_heads=2, language_width=32, language_heads=2, language_feedforward_width=32,
        ),
        decoder=DecoderConfig(width=32, num_heads=2, num_levels=2, num_points=2, num_layers=2, feedforward_width=32),
        decoding="pairs",
        fused_verb_content=False,
    )  # fmt: skip
    torch.manual_seed(0)
    model = build_model(config).eval()
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return config, model, tokenizer.to_str()
