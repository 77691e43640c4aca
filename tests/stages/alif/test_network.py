"""The complete networks, against the outputs of the published ones; and what holds for any of them."""

import dataclasses
from pathlib import Path

import pytest
import torch
from parity_made import converted_model, difference, fixtures, one_file, spec_values, tensors
from torch import Tensor

from schemas import BadInputError
from stages.alif.backbone import BackboneConfig
from stages.alif.build import build_model
from stages.alif.config import AlifConfig, published_config
from stages.alif.decoder_layers import DecoderConfig
from stages.alif.encoder import EncoderConfig
from stages.alif.images import batch_images
from stages.alif.model import AlifModel
from stages.alif.text_encoder import TextEncoderConfig

LOGITS, BOXES = 2e-3, 1e-4


@pytest.mark.parametrize("kind", ["pd", "pda"])
def test_the_published_outputs_come_out(test_data: Path, kind: str) -> None:
    for folder in fixtures(test_data, f"F5_full_model/{kind}_"):
        given, expected = tensors(folder / "inputs.safetensors"), tensors(folder / "outputs.safetensors")
        values = spec_values(one_file(folder, "*.spec.json"))
        model = converted_model(values)
        for run in ("eval", "train", "evalfixedmask"):
            for fusion in model.encoder.fusions:  # one model for all runs: a hundred million values take a while
                fusion.published = run != "evalfixedmask"
            for key, found in outputs(model, given, expected, train=run == "train").items():
                limit = LOGITS if key.endswith("logits") else BOXES
                assert difference(found, expected[f"{run}.{key}"]) <= limit, f"{folder.name}: {run}.{key}"


def outputs(model, given: dict[str, Tensor], expected: dict[str, Tensor], *, train: bool) -> dict[str, Tensor]:
    images = [given[key] for key in sorted(key for key in given if key.startswith("image"))]
    num_objects, num_relations = given["num_object_and_relation_texts"].tolist()
    text_padding = expected["mid.train.text_attention_mask"].T if train else None
    with torch.inference_mode():
        pixels, padding = batch_images(images)
        features = model.text_encoder(given["input_ids"], given["attention_mask"])
        encoded = model.encode(pixels, padding, features, text_padding)
        queries = model.decoder.queries(len(images))
        decoded = model.decode(encoded, queries, num_objects=num_objects, num_relations=num_relations)
    layers = {"aux0.": 0, "aux1.": 1, "": 2}
    parts = {
        "pred_sub_logits": decoded.subject_logits,
        "pred_obj_logits": decoded.object_logits,
        "pred_verb_logits": decoded.relation_logits,
        "pred_sub_boxes": decoded.subject_boxes,
        "pred_obj_boxes": decoded.object_boxes,
    }
    return {prefix + name: part[layer] for prefix, layer in layers.items() for name, part in parts.items()}


TINY = AlifConfig(
    backbone=BackboneConfig(kind="tiny", tiny_width=8),
    text=TextEncoderConfig(vocab_size=50, width=32, num_layers=1, num_heads=2, feedforward_width=32),
    encoder=EncoderConfig(
        width=32, num_levels=2, num_layers=2, num_heads=2, num_points=2, feedforward_width=32, fusion_interval=1,
        fusion_width=32, fusion_heads=2, language_width=32, language_heads=2, language_feedforward_width=32,
    ),
    decoder=DecoderConfig(width=32, num_heads=2, num_levels=2, num_points=2, num_layers=2, feedforward_width=32),
    num_pairs=4,
)  # fmt: skip


@pytest.mark.parametrize("decoding", ["parsed", "parseda"])
def test_an_image_has_the_same_answer_beside_any_other(decoding: str) -> None:
    torch.manual_seed(0)
    model = build_model(dataclasses.replace(TINY, decoding=decoding)).eval()
    images = [torch.randn(3, 64, 96), torch.randn(3, 96, 64), torch.randn(3, 33, 50)]
    texts = torch.randn(5, 32)

    def answer(chosen):
        with torch.inference_mode():
            pixels, padding = batch_images(chosen, multiple_of=64)
            encoded = model.encode(pixels, padding, texts)
            return model.decode(encoded, model.decoder.queries(len(chosen)), num_objects=3, num_relations=2)

    together = answer(images)
    for number, image in enumerate(images):
        alone = answer([image])
        assert difference(alone.relation_logits[:, 0], together.relation_logits[:, number]) <= 1e-4
        assert difference(alone.subject_boxes[:, 0], together.subject_boxes[:, number]) <= 1e-4


def after_a_backward_pass() -> AlifModel:
    torch.manual_seed(0)
    model = build_model(TINY).train()
    for parameter in model.parameters():  # box perceptrons begin with zeros, behind which nothing would move yet
        parameter.data += 0.02 * torch.randn_like(parameter)
    pixels, padding = batch_images([torch.randn(3, 64, 96), torch.randn(3, 96, 64)])
    ids = torch.tensor([[0, 5, 2], [0, 6, 2], [0, 7, 2]])
    encoded = model.encode(pixels, padding, model.text_encoder(ids, torch.ones_like(ids)))
    decoded = model.decode(encoded, model.decoder.queries(2), num_objects=2, num_relations=1)
    parts = (decoded.subject_logits, decoded.object_logits, decoded.relation_logits, decoded.subject_boxes,
             decoded.object_boxes)  # fmt: skip
    sum(part.square().sum() for part in parts).backward()
    return model


def test_every_parameter_that_learns_gets_a_gradient() -> None:
    unmoved = [
        name
        for name, parameter in after_a_backward_pass().named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not bool(parameter.grad.any()))
    ]
    # Positions of words and of sentences beyond those that are read.
    assert not [name for name in unmoved if "embeddings" not in name], unmoved


def test_a_gradient_that_is_scaled_scales_no_other() -> None:
    """`clip_grad_norm_` works in place; gradients in one piece of memory would be scaled once for each of them."""
    gradients = {n: p.grad for n, p in after_a_backward_pass().named_parameters() if p.grad is not None}
    before = {name: gradient.clone() for name, gradient in gradients.items()}
    for gradient in gradients.values():
        gradient.mul_(2)
    assert not [name for name, gradient in gradients.items() if not torch.equal(gradient, 2 * before[name])]


@pytest.mark.parametrize("name", ["parseda-resnet50", "parsed-swin_t", "tagger-resnet50"])
def test_a_configuration_comes_back_from_json(name: str) -> None:
    config = published_config(name)
    assert AlifConfig.from_json(config.to_json(), where="config.json") == config


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"widht": 3}, "config.json: unknown key 'widht'; there are backbone"),
        ({"encoder": {"num_layers": 5}}, r"config\.json\.encoder: num_layers is 5, fusion_interval 2"),
        ({"encoder": 3}, r"config\.json\.encoder is 3; expected an object"),
        ({"encoder": {"width": 128}}, "encoder and decoder differ: width 128 and 256"),
    ],
)
def test_a_configuration_that_cannot_be_is_told(document: dict[str, object], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        AlifConfig.from_json(document, where="config.json")


def test_a_network_that_was_not_published_is_told() -> None:
    for name in ("parseda", "parseda-tiny", "tagger-vgg"):
        with pytest.raises(BadInputError, match="give parseda, parsed or tagger"):
            published_config(name)
