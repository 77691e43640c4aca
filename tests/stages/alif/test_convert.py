"""Published checkpoints become networks of ours: nothing guessed, nothing dropped silently, nothing run."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from parity_made import fixtures, one_file, spec_values
from torch import Tensor
from typer.testing import CliRunner

from pipeline.cli import app
from schemas import BadInputError, UserError
from stages.alif import convert, load_checkpoint, read_published
from stages.alif.build import build_model
from stages.alif.checkpoint import fill, save_checkpoint
from stages.alif.config import PUBLISHED, Repairs


@pytest.fixture(scope="module")
def tagger_values(test_data: Path) -> dict[str, Tensor]:
    return spec_values(one_file(fixtures(test_data, "F6_r_tagger/")[0], "*.spec.json"))


@pytest.fixture(scope="module")
def checkpoint(tagger_values, tmp_path_factory) -> Path:
    """As published: the state under `model`, beside other things, with a counter of older transformers."""
    path = tmp_path_factory.mktemp("published") / "tagger.pth"
    counter = {"transformer.text_encoder.embeddings.position_ids": torch.arange(514)[None]}
    torch.save({"model": tagger_values | counter, "epoch": 19, "lr": 1.41e-4}, path)
    return path


def test_what_a_network_is_is_read_off_its_tensors(test_data, tagger_values) -> None:
    found = {}
    for kind in ("pda", "pd"):
        values = spec_values(one_file(fixtures(test_data, f"F5_full_model/{kind}_")[0], "*.spec.json"))
        found[kind] = convert(values, where="x").config
    assert (found["pda"].decoding, found["pda"].encoder.feedforward_width, found["pda"].encoder.gate) == (
        "parseda", 2048, "scalar",
    )  # fmt: skip
    assert (found["pd"].decoding, found["pd"].encoder.feedforward_width, found["pd"].learned_verb_position) == (
        "parsed", 1024, True,
    )  # fmt: skip
    tagger = convert(tagger_values, where="x").config
    assert (tagger.decoding, tagger.encoder.gate, tagger.fused_verb_content) == ("pairs", "channel", False)
    assert tagger.repairs == Repairs()
    assert convert(tagger_values, where="x", published=True).config.repairs == PUBLISHED
    assert convert(tagger_values, where="x", gate="scalar").config.encoder.gate == "scalar"


def test_every_tensor_has_a_place_or_is_listed(tagger_values) -> None:
    converted = convert(tagger_values, where="x", published=True)
    fill(build_model(converted.config), converted.state, where="x")
    assert len(converted.state) + len(converted.unused) == len(tagger_values)
    no_effect = {"query_embed.weight"}
    second_names = {key for key in converted.unused if key.startswith(("transformer.ho_dec", "transformer.verb_dec"))}
    last_boxes = {key for key in converted.unused if key.startswith(("sub_bbox_embed.5.", "obj_bbox_embed.5."))}
    assert set(converted.unused) == no_effect | second_names | last_boxes


def test_the_repaired_tagger_shares_one_content_among_all_pairs(tagger_values) -> None:
    state = convert(tagger_values, where="x").state
    subjects, objects = tagger_values["transformer.verb_tgt.weight"].chunk(2)
    expected = (subjects + objects).mean(dim=0, keepdim=True)
    assert torch.equal(state["decoder.queries.verb_content.weight"], expected)


def test_the_command_writes_a_network_that_loads(checkpoint, tmp_path, tagger_values) -> None:
    result = CliRunner().invoke(app, ["convert-rlipv2", str(checkpoint), str(tmp_path / "out"), "--published"])
    assert result.exit_code == 0, result.output
    assert "Relation Tagger, resnet50, roberta with 2 layers, gate channel, as published" in result.output
    assert "not used: " in result.output
    config = (tmp_path / "out" / "config.json").read_text()
    assert '"tokenizer": "roberta-base"' in config
    first = (tmp_path / "out" / "model.safetensors").read_bytes()
    again = CliRunner().invoke(app, ["convert-rlipv2", str(checkpoint), str(tmp_path / "again"), "--published"])
    assert again.exit_code == 0
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == first


def test_a_checkpoint_of_another_architecture_is_refused_by_name(tagger_values, tmp_path) -> None:
    strange = {**tagger_values, "transformer.encoder.moe.0.weight": torch.zeros(1)}
    with pytest.raises(BadInputError, match=r"x: unknown tensors transformer\.encoder\.moe\.0\.weight"):
        convert(strange, where="x")
    with pytest.raises(BadInputError, match="its backbone is neither a ResNet-50 nor a Swin"):
        convert({"query_embed.weight": torch.zeros(2, 2)}, where="x")


def test_a_missing_tensor_is_refused_by_name(tagger_values) -> None:
    lacking = {key: value for key, value in tagger_values.items() if key != "bias_obj_a"}
    converted = convert(lacking, where="x")
    with pytest.raises(BadInputError, match=r"x: lacks decoder\.head\.entity_bias\."):
        fill(build_model(converted.config), converted.state, where="x")


def test_second_names_must_name_the_same_tensor(tagger_values) -> None:
    key = "transformer.verb_decoder.sub_bbox_embed.0.layers.0.bias"
    with pytest.raises(BadInputError, match=r"sub_bbox_embed\.0\.layers\.0\.bias differs from sub_bbox_embed\.3\."):
        convert({**tagger_values, key: tagger_values[key] + 1}, where="x")


class Harmful:
    def __reduce__(self):
        return os.system, ("touch /tmp/relmill-was-here",)


def test_a_checkpoint_that_would_run_something_is_refused(tmp_path) -> None:
    path = tmp_path / "harmful.pth"
    with open(path, "wb") as file:
        pickle.dump({"model": Harmful()}, file)
    with pytest.raises(BadInputError, match="cannot be read as a checkpoint"):
        read_published(path)
    torch.save({"model": Harmful()}, path)
    with pytest.raises(BadInputError, match="cannot be read as a checkpoint"):
        read_published(path)
    assert not Path("/tmp/relmill-was-here").exists()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"state": {}}, r"holds keys \['state'\]; expected"),
        ([1], "holds list; expected"),
        ({"model": [1]}, "holds keys"),
    ],
)
def test_a_file_of_another_layout_is_told(tmp_path, document, message) -> None:
    path = tmp_path / "other.pth"
    torch.save(document, path)
    with pytest.raises(BadInputError, match=message):
        read_published(path)


def test_a_truncated_file_is_told(checkpoint, tmp_path) -> None:
    path = tmp_path / "cut.pth"
    path.write_bytes(checkpoint.read_bytes()[:100_000])
    with pytest.raises(BadInputError, match=r"cut\.pth: cannot be read as a checkpoint"):
        read_published(path)
    with pytest.raises(BadInputError, match="no such file; give a checkpoint of RLIPv2"):
        read_published(tmp_path / "none.pth")


def test_a_gate_that_there_is_not_is_told(checkpoint, tmp_path) -> None:
    result = CliRunner().invoke(app, ["convert-rlipv2", str(checkpoint), str(tmp_path), "--gate", "wide"])
    assert isinstance(result.exception, UserError)
    assert "--gate wide: choose scalar or channel" in str(result.exception)


# Networks on disk; a tiny one, as the pieces are the same.


@pytest.fixture
def saved(tmp_path, tiny_tagger) -> Path:
    config, model, tokenizer = tiny_tagger
    folder = tmp_path / "network"
    save_checkpoint(folder, config, model.state_dict(), tokenizer="tokenizer.json")
    (folder / "tokenizer.json").write_text(tokenizer)
    return folder


def test_a_network_comes_back_from_its_folder(saved, tiny_tagger) -> None:
    config, model, _ = tiny_tagger
    loaded = load_checkpoint(saved)
    assert loaded.config == config
    assert not loaded.model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor), name
    ids, mask = loaded.tokenize(["horse", "a riding horse"])
    assert ids.shape == mask.shape
    assert mask.sum(dim=1).tolist() == [3, 5]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", None, r"config\.json: no such file; give the folder of a network"),
        ("config.json", b"{", r"config\.json: cannot be read"),
        ("config.json", b"{}", r"config\.json: schema is not 'relmill\.alif/1'"),
        ("model.safetensors", None, r"model\.safetensors: no such file"),
        ("model.safetensors", b"12345678", r"model\.safetensors: damaged or cut short"),
        ("tokenizer.json", b"{}", r"tokenizer\.json: missing or damaged"),
        ("tokenizer.json", None, r"tokenizer\.json: missing or damaged"),
    ],
)
def test_a_damaged_folder_says_which_file(saved, name, content, message) -> None:
    if content is None:
        (saved / name).unlink()
    else:
        (saved / name).write_bytes(content)
    with pytest.raises(BadInputError, match=message):
        load_checkpoint(saved)


def test_weights_of_another_configuration_are_refused_by_name(saved) -> None:
    text = (saved / "config.json").read_text().replace('"fused_verb_content": false', '"fused_verb_content": true')
    (saved / "config.json").write_text(text)
    with pytest.raises(BadInputError, match=r"model\.safetensors: lacks decoder\.fusion\."):
        load_checkpoint(saved)
