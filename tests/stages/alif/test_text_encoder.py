"""Text vectors: the published numbers, each text on its own, and a memory that changes nothing but the time."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from parity_made import _weight_recipe, difference, fixtures, load, tensors
from torch import Tensor, nn

from schemas import BadInputError
from stages.alif.published_backbone import NAMES
from stages.alif.text_encoder import BERT_BASE, TextEncoder, TextEncoderConfig, TextFeatures

TINY = TextEncoderConfig(vocab_size=64, num_layers=2, width=32, num_heads=4, feedforward_width=48, num_positions=12)


def published_values(test_data: Path, folder: Path) -> dict[str, Tensor]:
    spec = json.loads((folder / "weights.spec.json").read_text(encoding="utf-8"))
    keys = {key: shape for key, shape in spec["keys"].items() if key.startswith("transformer.text_encoder.")}
    expanded = _weight_recipe(test_data / "parity").expand({"salt": spec["salt"], "keys": keys})
    return {key: torch.from_numpy(value) for key, value in expanded.items()}


def test_pooled_vectors_are_the_published_ones(test_data):
    # The text encoder of the fixtures: that of roberta-base with 2 layers and 200 pieces.
    encoder = TextEncoder(TextEncoderConfig(vocab_size=200, num_layers=2))
    model = nn.ModuleDict({"text_encoder": encoder})
    for folder in fixtures(test_data, "F5_full_model"):
        given, expected = tensors(folder / "inputs.safetensors"), tensors(folder / "outputs.safetensors")
        load(model.float(), published_values(test_data, folder), NAMES)
        with torch.inference_mode():
            pooled = encoder(given["input_ids"], given["attention_mask"])
            assert difference(pooled, expected["mid.text_pooler"]) < 3e-5, folder
            exact = model.double()["text_encoder"](given["input_ids"], given["attention_mask"])
            assert difference(exact, expected["mid.text_pooler"]) < 3e-5, folder


def test_the_eps_is_in_the_configuration():
    """No tensor shows it: with 1e-12 logits move by 3e-4, less than the tolerance."""
    with torch.device("meta"):
        roberta, bert = TextEncoder(TextEncoderConfig()), TextEncoder(BERT_BASE)
    for encoder, eps in ((roberta, 1e-5), (bert, 1e-12)):
        norms = [module for module in encoder.modules() if isinstance(module, nn.LayerNorm)]
        assert len(norms) == 1 + 2 * 12
        assert {norm.eps for norm in norms} == {eps}
        assert encoder.model.config._attn_implementation == "eager"
        assert encoder.max_tokens == 512


def made(config: TextEncoderConfig = TINY) -> TextEncoder:
    torch.manual_seed(1)
    return TextEncoder(config).eval()


def tokenize(texts: list[str]) -> tuple[Tensor, Tensor]:
    """`<s> letters </s>`, one token a letter, padded with 1."""
    rows = [[0, *(3 + ord(letter) % 60 for letter in text), 2] for text in texts]
    longest = max(len(row) for row in rows)
    ids = torch.tensor([row + [1] * (longest - len(row)) for row in rows])
    return ids, (ids != 1).long()


class Counted:
    """The tokenizer above; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        self.asked.append(texts)
        return tokenize(texts)


@pytest.mark.parametrize("kind", ["roberta", "bert"])
def test_padding_changes_nothing(kind):
    encoder = made(TextEncoderConfig(**{**vars(TINY), "kind": kind, "pad_id": 1 if kind == "roberta" else 0}))
    ids, mask = tokenize(["cat", "riding"])
    with torch.inference_mode():
        torch.testing.assert_close(encoder(ids, mask)[:1], encoder(*tokenize(["cat"])), atol=1e-6, rtol=0)
        torch.testing.assert_close(encoder(ids, mask.bool()), encoder(ids, mask), atol=0, rtol=0)


def test_vectors_come_in_the_order_of_the_request():
    encoder = made()
    features = TextFeatures(encoder, tokenize, num_rows=2)
    texts = ["cat", "riding", "no", "dog", "cat", "horse", "on"]
    with torch.inference_mode():
        plain = encoder(*tokenize(texts))
    result = features(texts)
    torch.testing.assert_close(result, plain, atol=1e-6, rtol=0)
    torch.testing.assert_close(features(texts[::-1]), result.flip(0), atol=0, rtol=0)
    assert not result.requires_grad


def test_a_text_is_encoded_once():
    counted = Counted()
    features = TextFeatures(made(), counted)
    features(["cat", "dog", "cat"])
    features(["dog", "horse"])
    features(["horse", "cat"])
    assert counted.asked == [["cat", "dog"], ["horse"]]
    assert len(features) == 3


def test_a_vector_does_not_depend_on_the_texts_beside_it():
    encoder = made()
    alone = TextFeatures(encoder, tokenize, num_rows=4)(["cat"])
    beside = TextFeatures(encoder, tokenize, num_rows=4)(["riding", "dog", "cow", "cat", "sit", "on"])[3:4]
    torch.testing.assert_close(alone, beside, atol=1e-7, rtol=0)


def test_the_memory_is_bounded_and_forgets_what_was_unused_for_longest():
    counted = Counted()
    features = TextFeatures(made(), counted, capacity=2)
    everything = features(["a", "b", "c"])
    assert len(features) == 2
    features(["b"])  # now "c" was unused for longest
    features(["d"])
    assert counted.asked == [["a", "b", "c"], ["d"]]
    torch.testing.assert_close(features(["b"]), everything[1:2], atol=0, rtol=0)
    features(["c"])
    assert counted.asked == [["a", "b", "c"], ["d"], ["c"]]


def changed_in_place(encoder: TextEncoder) -> None:
    with torch.no_grad():
        encoder.model.pooler.dense.bias.add_(1.0)


def loaded(encoder: TextEncoder) -> None:
    encoder.load_state_dict({name: tensor * 0.5 for name, tensor in encoder.state_dict().items()})


def trained(encoder: TextEncoder) -> None:
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.1)
    encoder(*tokenize(["cat"])).sum().backward()
    optimizer.step()


@pytest.mark.parametrize("change", [changed_in_place, loaded, trained])
def test_new_weights_give_new_vectors(change: Callable[[TextEncoder], None]):
    encoder = made()
    features = TextFeatures(encoder, tokenize)
    before = features(["cat"])
    change(encoder)
    after = features(["cat"])
    assert (before - after).abs().max() > 1e-3
    torch.testing.assert_close(after, TextFeatures(encoder, tokenize)(["cat"]), atol=0, rtol=0)


def test_clear_forgets():
    counted = Counted()
    features = TextFeatures(made(), counted)
    features(["cat"])
    features.clear()
    assert len(features) == 0
    features(["cat"])
    assert counted.asked == [["cat"], ["cat"]]


def test_no_texts_give_no_rows():
    assert TextFeatures(made(), tokenize)([]).shape == (0, 32)


def test_a_text_may_have_as_many_tokens_as_the_encoder_takes_and_no_more():
    features = TextFeatures(made(), tokenize)
    assert features(["x" * 8]).shape == (1, 32)  # 12 positions, of which RoBERTa leaves 2; 2 tokens begin and end
    with pytest.raises(BadInputError, match=r"'xxxxxxxxx' has 11 tokens, but the text encoder takes 10 at most"):
        features(["cat", "x" * 9])
    assert len(features) == 1


def test_a_text_without_tokens_is_refused():
    features = TextFeatures(made(), lambda texts: (torch.ones(1, 2).long(), torch.zeros(1, 2).long()))
    with pytest.raises(BadInputError, match="'' has no tokens"):
        features([""])


def test_an_encoder_in_training_is_refused():
    with pytest.raises(ValueError, match="training mode"):
        TextFeatures(made().train(), tokenize)(["cat"])


def test_a_memory_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        TextFeatures(made(), tokenize, capacity=0)


def test_what_is_kept_in_inference_mode_can_be_used_in_training():
    features = TextFeatures(made(), tokenize)
    with torch.inference_mode():
        features(["cat"])
    weight = torch.ones(32, requires_grad=True)
    (features(["cat"]) * weight).sum().backward()
    assert weight.grad is not None


def test_weights_made_in_inference_mode_can_be_used():
    with torch.inference_mode():
        encoder = made()
    assert TextFeatures(encoder, tokenize)(["cat"]).shape == (1, 32)
