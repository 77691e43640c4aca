"""Backend `blip`: whose caption it is, what it scored, and that nothing but the scene decides it."""

import io
import pickle
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Picture

from schemas import Caption, Evidence, Image, JobError, Region, Rejected, Relation, Scene, UserError
from schemas.job import BlipCaptions, build_job
from stages.caption import open_captioner
from stages.contract import Stage

torch = pytest.importorskip("torch", reason="needs the blip extra: pip install -e '.[blip]'")
transformers = pytest.importorskip("transformers", reason="needs the blip extra: pip install -e '.[blip]'")

NUM_SCENES = 7


def make_scene(number: int, **changes: Any) -> Scene:
    """A scene with a picture of its own: random blocks of colour."""
    blocks = Picture.frombytes("RGB", (4, 4), random.Random(number).randbytes(48))
    buffer = io.BytesIO()
    blocks.resize((48, 40), Picture.Resampling.NEAREST).save(buffer, "PNG")
    return Scene(f"test-{number}", Image(f"{number}.png", 48, 40, data=buffer.getvalue()), **changes)


SCENES = [make_scene(number) for number in range(NUM_SCENES)]


def make_stage(model: Path, *, seed: int = 0, **settings: Any) -> Stage:
    settings = {"per_image": 3, "batch_size": 4, **settings}
    stage = open_captioner(BlipCaptions(backend="blip", model=str(model), **settings), seed=seed)
    stage.setup()
    return stage


def captions_of(stage: Stage, scenes: list[Scene], *, at_once: int = 100) -> dict[str, tuple[Caption, ...]]:
    outcomes = [one for i in range(0, len(scenes), at_once) for one in stage.process(scenes[i : i + at_once])]
    assert [one.key for one in outcomes] == [scene.key for scene in scenes]
    assert all(isinstance(one, Scene) for one in outcomes)
    return {one.key: one.captions for one in outcomes if isinstance(one, Scene)}


@contextmanager
def vision_calls() -> Iterator[list[int]]:
    """Numbers of pictures that went through the vision tower, one entry a call."""
    calls: list[int] = []

    def count(module: Any, inputs: Any, output: Any) -> None:
        if type(module).__name__ == "BlipVisionModel":
            calls.append(len(output.last_hidden_state))

    handle = torch.nn.modules.module.register_module_forward_hook(count)
    yield calls
    handle.remove()


@pytest.mark.parametrize("decoding", ["nucleus", "beam"])
def test_a_caption_belongs_to_its_picture_whatever_the_neighbours(tiny_blip: Path, decoding: str) -> None:
    stage = make_stage(tiny_blip, decoding=decoding)
    expected = captions_of(stage, SCENES, at_once=1)
    assert len({captions[0].text for captions in expected.values()}) > 3  # else a mix-up would go unseen
    shuffled = [SCENES[i] for i in (4, 0, 6, 2, 5, 1, 3)]
    for scenes in (SCENES, SCENES[::-1], shuffled):
        for at_once in (2, 3, 4, 7):  # 7 scenes: each cut but the last leaves a partial batch
            assert captions_of(stage, scenes, at_once=at_once) == expected


def test_another_worker_says_the_same(tiny_blip: Path) -> None:
    assert captions_of(make_stage(tiny_blip), SCENES) == captions_of(make_stage(tiny_blip), SCENES)


def test_the_seed_and_the_key_decide_the_samples(tiny_blip: Path) -> None:
    stage = make_stage(tiny_blip)
    first = captions_of(stage, SCENES)
    assert captions_of(make_stage(tiny_blip, seed=1), SCENES) != first
    twin = Scene("test-twin", SCENES[0].image)
    assert captions_of(stage, [twin])["test-twin"] != first["test-0"]


def test_beam_search_ignores_the_seed(tiny_blip: Path) -> None:
    one, two = (make_stage(tiny_blip, seed=seed, decoding="beam") for seed in (0, 1))
    assert captions_of(one, SCENES) == captions_of(two, SCENES)


@pytest.mark.parametrize("decoding", ["nucleus", "beam"])
def test_the_vision_tower_runs_once_a_picture(tiny_blip: Path, decoding: str) -> None:
    stage = make_stage(tiny_blip, decoding=decoding, per_image=5)
    with vision_calls() as calls:
        captions_of(stage, SCENES[:4])
    assert calls == [4]


@pytest.mark.parametrize("decoding", ["nucleus", "beam"])
def test_the_log_probability_is_the_models_own(tiny_blip: Path, decoding: str) -> None:
    """Summed again token by token, without cache, batch or search, from the network as transformers loads it."""
    model = transformers.BlipForConditionalGeneration.from_pretrained(tiny_blip, use_safetensors=True).eval()
    tokenizer = transformers.BertTokenizer.from_pretrained(tiny_blip)
    processor = transformers.BlipImageProcessorPil.from_pretrained(tiny_blip)
    prompt = tokenizer.convert_tokens_to_ids(["[DEC]", "a", "picture", "of"])
    end, max_length = tokenizer.convert_tokens_to_ids("[SEP]"), 12
    captions = captions_of(make_stage(tiny_blip, decoding=decoding, max_length=max_length), SCENES)
    for scene in SCENES:
        assert scene.image.data is not None
        pixels = processor(Picture.open(io.BytesIO(scene.image.data)), return_tensors="pt").pixel_values
        for caption in captions[scene.key]:
            tokens = [*prompt, *tokenizer(caption.text, add_special_tokens=False).input_ids]
            tokens += [end] if len(tokens) < max_length else []
            total = 0.0
            for i in range(len(prompt), len(tokens)):
                with torch.no_grad():
                    logits = model(pixels, input_ids=torch.tensor([tokens[:i]])).logits[0, -1]
                total += float(logits.log_softmax(-1)[tokens[i]])
            assert caption.log_probability == pytest.approx(total, abs=1e-3)


@pytest.mark.parametrize("decoding", ["nucleus", "beam"])
def test_captions_are_distinct_and_most_probable_first(tiny_blip: Path, decoding: str) -> None:
    for captions in captions_of(make_stage(tiny_blip, decoding=decoding, per_image=8), SCENES).values():
        assert 1 <= len(captions) <= 8
        assert len({caption.text for caption in captions}) == len(captions)
        scores = [caption.log_probability for caption in captions]
        assert scores == sorted(scores, key=lambda score: -(score or 0))
        for caption in captions:
            assert caption.text
            assert caption.text == caption.text.strip()
            assert not caption.text.startswith("a picture of")
            assert (caption.source, caption.decoding) == ("blip", decoding)


def test_samples_that_read_the_same_are_merged(tiny_blip: Path) -> None:
    # A nucleus this small holds one token, so all samples are the same.
    for captions in captions_of(make_stage(tiny_blip, top_p=0.01), SCENES).values():
        assert len(captions) == 1


def test_beam_search_gives_as_many_captions_as_asked(tiny_blip: Path) -> None:
    stage = make_stage(tiny_blip, decoding="beam", per_image=4, num_beams=2)
    assert all(len(captions) == 4 for captions in captions_of(stage, SCENES).values())


def test_lengths_count_the_prompt(tiny_blip: Path) -> None:
    stage = make_stage(tiny_blip, per_image=8, min_length=7, max_length=9)
    for captions in captions_of(stage, SCENES).values():
        # Start token and prompt take four of them.
        assert all(3 <= len(caption.text.split()) <= 5 for caption in captions)


def test_a_picture_that_blip_says_nothing_of_goes_on_and_says_so(tiny_blip: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_blip, tmp_path / "mute")
    model = transformers.BlipForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        model.text_decoder.cls.predictions.bias[3] = 1e4  # [SEP]: every caption ends at once
    model.save_pretrained(folder)
    (outcome,) = make_stage(folder, min_length=1).process(SCENES[:1])
    assert isinstance(outcome, Scene)
    assert outcome.captions == ()
    assert [(repair.stage, repair.reason) for repair in outcome.provenance.repairs] == [("caption", "no-caption")]


def test_given_captions_can_be_dropped_and_with_them_what_points_to_them(tiny_blip: Path) -> None:
    given = Caption("a man rides a horse", "given")
    regions = (Region(0, "person", (0, 0, 5, 5)), Region(1, "horse", (2, 2, 9, 9)))
    human = Relation(0, 1, "ride", "rides", 1.0, "human", evidence=(Evidence(0, (0, 5), (6, 11), (12, 19)),))
    scene = make_scene(0, captions=(given,), regions=regions, relations=(human,))
    stage = make_stage(tiny_blip, keep_given=False)
    (outcome,) = stage.process([scene])
    assert outcome.relations == (replace(human, evidence=()),)
    assert outcome.captions == make_stage(tiny_blip).process([make_scene(0)])[0].captions
    assert stage.identity == f"{make_stage(tiny_blip).identity} given=dropped"


def test_given_captions_stay_in_front(tiny_blip: Path) -> None:
    given = Caption("a man rides a horse", "given")
    captions = captions_of(make_stage(tiny_blip), [make_scene(0, captions=(given,))])["test-0"]
    assert captions[0] == given
    assert captions[1:] == captions_of(make_stage(tiny_blip), SCENES)["test-0"]


def test_a_scene_without_pixels_is_rejected_alone(tiny_blip: Path) -> None:
    stage = make_stage(tiny_blip)
    blind = Scene("test-blind", Image("blind.jpg"))
    first, second, third = stage.process([SCENES[0], blind, SCENES[1]])
    assert isinstance(second, Rejected)
    assert (second.key, second.stage, second.reason) == ("test-blind", "caption", "no-pixels")
    assert [first, third] == list(stage.process(SCENES[:2]))


def test_out_of_memory_passes_through_and_the_halves_say_the_same(tiny_blip: Path) -> None:
    expected = captions_of(make_stage(tiny_blip), SCENES[:4])
    stage = make_stage(tiny_blip)

    def too_small_a_card(module: Any, inputs: Any) -> None:
        if type(module).__name__ == "BlipTextLMHeadModel" and torch.is_inference_mode_enabled() and card["rows"] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    def note_rows(module: Any, inputs: Any, output: Any) -> None:
        if type(module).__name__ == "BlipVisionModel":
            card["rows"] = len(output.last_hidden_state)

    card = {"rows": 0}
    hooks = torch.nn.modules.module
    handles = [hooks.register_module_forward_pre_hook(too_small_a_card), hooks.register_module_forward_hook(note_rows)]
    try:
        with pytest.raises(torch.OutOfMemoryError):
            stage.process(SCENES[:4])
        halved = captions_of(stage, SCENES[:4], at_once=2)
    finally:
        for handle in handles:
            handle.remove()
    assert card["rows"] == 2
    for key, captions in expected.items():
        assert [caption.text for caption in halved[key]] == [caption.text for caption in captions]
        assert [c.log_probability for c in halved[key]] == pytest.approx(
            [c.log_probability for c in captions], abs=1e-3
        )


def test_half_precision_runs(tiny_blip: Path) -> None:
    from stages.caption.blip_model import BlipModel

    job = BlipCaptions(backend="blip", model=str(tiny_blip), decoding="beam", per_image=2)
    model = BlipModel(job, device=torch.device("cpu"), dtype=torch.bfloat16)
    picture = Picture.open(io.BytesIO(SCENES[0].image.data or b""))
    ((first, second),) = model.caption([model.pixels(picture)], [], num_rows=2)
    assert first[0]
    assert second[1] < 0


# What it is, and what is refused


def test_the_identity_follows_the_files_not_the_place(tiny_blip: Path, tmp_path: Path) -> None:
    def identity(folder: Path, **settings: Any) -> str:
        return open_captioner(BlipCaptions(backend="blip", model=str(folder), **settings), seed=0).identity

    moved = shutil.copytree(tiny_blip, tmp_path / "moved")
    assert identity(moved) == identity(tiny_blip)
    assert str(tmp_path) not in identity(moved)
    (moved / "README.md").write_text("a word about it")
    assert identity(moved) == identity(tiny_blip)
    assert identity(moved, top_p=0.8) != identity(moved)
    (moved / "config.json").write_text((moved / "config.json").read_text() + " ")
    assert identity(moved) != identity(tiny_blip)


def test_a_hub_model_is_named_with_its_revision_and_not_loaded() -> None:
    job = BlipCaptions(backend="blip", model="some/model", revision="0123abc", decoding="beam", per_image=1)
    assert open_captioner(job, seed=0).identity.startswith("blip/1 some/model@0123abc beam per_image=1 ")


def test_the_stage_travels_to_a_worker_by_pickle(tiny_blip: Path) -> None:
    stage = open_captioner(BlipCaptions(backend="blip", model=str(tiny_blip), per_image=3, batch_size=4), seed=0)
    there = pickle.loads(pickle.dumps(stage))
    there.setup()
    assert captions_of(there, SCENES[:2]) == captions_of(make_stage(tiny_blip), SCENES[:2])


def test_pickled_weights_are_refused_before_anything_is_spent(tiny_blip: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_blip, tmp_path / "old")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"caption\.model: .*old holds only pytorch_model\.bin"):
        open_captioner(BlipCaptions(backend="blip", model=str(folder)), seed=0)


def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"caption\.model: .* has no config\.json"):
        open_captioner(BlipCaptions(backend="blip", model=str(tmp_path)), seed=0)


def test_a_folder_of_another_kind_of_model_is_refused(tiny_blip: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_blip, tmp_path / "bert")
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    transformers.BertModel(config).save_pretrained(folder)
    stage = open_captioner(BlipCaptions(backend="blip", model=str(folder)), seed=0)
    with pytest.raises(UserError, match=r"caption\.model: .*bert"):
        stage.setup()


def test_damaged_weights_are_a_users_fault(tiny_blip: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_blip, tmp_path / "torn")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    stage = open_captioner(BlipCaptions(backend="blip", model=str(folder)), seed=0)
    with pytest.raises(UserError, match=r"caption\.model: cannot load .*torn"):
        stage.setup()


def test_a_folder_that_changed_since_the_plan_is_refused(tiny_blip: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_blip, tmp_path / "model")
    stage = open_captioner(BlipCaptions(backend="blip", model=str(folder)), seed=0)
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    with pytest.raises(UserError, match=r"caption\.model: the files in .* have sha256"):
        stage.setup()


def test_a_name_that_cannot_be_reached_says_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    stage = open_captioner(BlipCaptions(backend="blip", model="nobody/no-such-model"), seed=0)
    with pytest.raises(UserError, match=r"caption\.model: cannot load 'nobody/no-such-model' .*local folder"):
        stage.setup()


@pytest.mark.parametrize("module", ["torch", "transformers"])
def test_a_missing_extra_names_the_install_command(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"{module}.*pip install 'relmill\[blip\]'"):
        open_captioner(BlipCaptions(backend="blip"), seed=0)


def test_no_room_behind_the_prompt_is_refused(tiny_blip: Path) -> None:
    with pytest.raises(UserError, match=r"caption\.max_length is 4, but the prompt 'a picture of' takes 4 tokens"):
        make_stage(tiny_blip, min_length=1, max_length=4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decoding": "beam", "top_p": 0.5}, "top_p has no effect with decoding: beam"),
        ({"decoding": "nucleus", "num_beams": 5}, "num_beams has no effect with decoding: nucleus"),
        ({"min_length": 30}, "min_length 30 is above max_length 20"),
    ],
)
def test_settings_that_contradict_are_refused_by_the_job_file(settings: dict[str, Any], message: str) -> None:
    document = {
        "dataset": {"format": "scenes"},
        "caption": {"backend": "blip", **settings},
        "output": "out",
    }
    with pytest.raises(JobError, match=message):
        build_job(document)
