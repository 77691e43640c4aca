"""The training of the tagger: what a batch says, and that the loop is exact."""

import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from schemas import BadInputError, Caption, Evidence, Image, Region, Relation, Scene, UserError
from stages.alif.backbone import BackboneConfig
from stages.alif.build import build_model
from stages.alif.checkpoint import open_tokenizer
from stages.alif.config import AlifConfig
from stages.alif.decoder_layers import DecoderConfig
from stages.alif.encoder import EncoderConfig
from stages.alif.label_sequence import TextSampler
from stages.alif.losses import LossConfig, TaggerLoss
from stages.alif.text_encoder import TextEncoderConfig
from stages.alif.tiny import tiny_config
from stages.alif.training import (
    STATE_SCHEMA,
    BatchConfig,
    TaggerBatches,
    TextCounts,
    TrainingConfig,
    all_labelled,
    labelled_picture,
    train,
)
from stages.alif.training.noise import noisy_boxes, noisy_classes
from stages.alif.training.samples import choose_pairs
from stages.alif.training.train import tagger_predictions
from stages.alif.vocabulary_tokenizer import vocabulary_size, vocabulary_tokenizer
from stages.storage import Folder
from stages.training import TrainingStates


def relation(subject, predicate, object_, text=None, **more):
    return Relation(subject, object_, predicate, text or predicate, 1.0, more.pop("source", "human"), **more)


def scene(key, names, *relations, captions=()):
    regions = tuple(Region(10 + i, name, (10 * i, 10, 10 * i + 20, 40)) for i, name in enumerate(names))
    return Scene(f"s-{key}", Image(f"{key}.png", 100, 50), regions, captions, relations=relations)


def labelled(*scenes, complete=False):
    found = [labelled_picture(one, source=0, boxes_are_fractions=False) for one in scenes]
    found = [one for one in found if one is not None]
    return all_labelled(found) if complete else found


RIDER = scene(1, ["person", "horse", "hat"], relation(10, "ride", 11), relation(10, "wear", 12, state="denied"))
OWNER = scene(2, ["person", "dog"], relation(10, "walk", 11), relation(10, "hold", 11))


def blank(_picture):
    return Pillow.new("RGB", (100, 50), "grey")


def made(pictures, *, seed=0, **settings):
    config = BatchConfig(**{"short_side": 32, "longest": 64, "batch_size": len(pictures)} | settings)
    return TaggerBatches(pictures, blank, config, seed=seed, multiple_of=16)


# What is learned from


def test_only_what_people_said_between_two_regions_is_learned() -> None:
    machine = scene(3, ["person", "dog"], relation(10, "walk", 11, source="caption"), relation(10, "hold", 10))
    assert labelled(machine) == []
    (picture,) = labelled(RIDER)
    assert picture.asserted == {(0, 1): {"ride"}}
    assert picture.denied == {(0, 2): {"wear"}}
    assert picture.labelled_pairs == [(0, 1), (0, 2)]


def test_asserted_wins_over_denied() -> None:
    (picture,) = labelled(scene(1, ["a", "b"], relation(10, "on", 11), relation(10, "on", 11, state="denied")))
    assert picture.asserted == {(0, 1): {"on"}}
    assert picture.denied == {(0, 1): set()}


def test_a_predicate_is_learned_in_the_words_that_captions_use() -> None:
    caption = Caption("A horse Ridden  by a man", "given")
    told = relation(10, "ride", 11, "riding", evidence=(Evidence(0, (18, 24), (8, 18), (0, 7)),))
    (picture,) = labelled(scene(1, ["person", "horse"], told, captions=(caption,)))
    assert picture.wordings == (("ride", "riding"), ("ride", "ridden by"))


def test_words_of_two_predicates_belong_to_neither() -> None:
    pictures = labelled(
        scene(1, ["a", "b"], relation(10, "sit on", 11, "sits"), relation(10, "sit on", 11, "sits on")),
        scene(2, ["a", "b"], relation(10, "sit under", 11, "sits"), relation(10, "rest on", 11, "sit on")),
    )
    wordings = TextCounts.of(pictures).wordings
    assert wordings == {"rest on": {"rest on": 1}, "sit on": {"sits on": 1}, "sit under": {"sit under": 1}}


# A batch


def test_a_batch_says_what_holds_what_does_not_and_what_nobody_knows() -> None:
    batch = made(labelled(RIDER, OWNER), num_relations=1).make(0)
    assert batch.texts[: batch.num_objects] == ("dog", "hat", "horse", "person", "no objects")
    relations = batch.texts[batch.num_objects :]
    assert relations == ("hold", "ride", "walk", "wear")
    target = batch.targets[batch.keys.index("s-1")]
    classes = [batch.texts[i] for i in target.subject_labels], [batch.texts[i] for i in target.object_labels]
    known = {}
    for row, (subject, object_) in enumerate(zip(*classes, strict=True)):
        for column, text in enumerate(relations):
            if not target.unknown_predicates[row, column]:
                known[subject, text, object_] = float(target.predicate_labels[row, column])
    assert known == {("person", "ride", "horse"): 1.0, ("person", "wear", "hat"): 0.0}
    assert len(target) == 6  # all ordered pairs of three regions


def test_in_a_complete_dataset_absent_means_false_for_its_own_predicates_only() -> None:
    (complete,), (other,) = labelled(OWNER, complete=True), labelled(RIDER)
    batch = made([complete, other]).make(0)
    target = batch.targets[batch.keys.index("s-2")]
    columns = {text: i for i, text in enumerate(batch.texts[batch.num_objects :])}
    assert not target.unknown_predicates[:, [columns["hold"], columns["walk"]]].any()
    assert target.unknown_predicates[:, [columns["ride"], columns["wear"]]].all()
    assert sorted(target.predicate_labels[:, columns["walk"]].tolist()) == [0.0, 1.0]


def test_targets_are_clean_and_boxes_are_fractions_of_the_picture() -> None:
    batch = made(labelled(OWNER)).make(0)
    (target,) = batch.targets
    found = {tuple(round(x, 4) for x in box) for box in target.subject_boxes_cxcywh.tolist()}
    assert found == {(0.1, 0.5, 0.2, 0.6), (0.2, 0.5, 0.2, 0.6)}
    assert not torch.equal(batch.told.subject_boxes[0], target.subject_boxes_cxcywh)
    silent = made(labelled(OWNER), label_noise=0.0, box_noise=0.0).make(0)
    assert torch.equal(silent.told.subject_boxes[0], silent.targets[0].subject_boxes_cxcywh)
    assert torch.equal(silent.told.object_classes[0], silent.targets[0].object_labels)


def test_boxes_given_as_fractions_are_taken_as_they_are() -> None:
    one = scene(1, ["a", "b"], relation(10, "on", 11))
    regions = (Region(10, "a", (0.0, 0.0, 0.5, 1.0)), Region(11, "b", (0.5, 0.0, 1.0, 1.0)))
    picture = labelled_picture(
        Scene(one.key, one.image, regions, relations=one.relations), source=0, boxes_are_fractions=True
    )
    target = made([picture]).make(0).targets[0]
    assert sorted(target.subject_boxes_cxcywh.tolist()) == [[0.25, 0.5, 0.5, 1.0], [0.75, 0.5, 0.5, 1.0]]


def test_every_sampled_text_comes_once_and_after_its_frequency() -> None:
    sampler = TextSampler({"a": 1, "b": 1000, "c": 1, "d": 1000, "e": 5}, 3, always_full=False)
    drawn = [sampler.draw(["e"], np.random.default_rng(i)) for i in range(300)]
    assert all("e" in texts and len(set(texts)) == len(texts) <= 3 and texts == sorted(texts) for texts in drawn)
    assert {len(texts) for texts in drawn} == {1, 2, 3}
    assert sum("b" in texts for texts in drawn) > 10 * sum("a" in texts for texts in drawn)
    assert sampler.draw("abcde", np.random.default_rng(0)) == list("abcde")


def test_the_slot_of_a_pair_does_not_tell_whether_it_is_related() -> None:
    (picture,) = labelled(scene(1, ["a", "b", "c", "d"], relation(10, "on", 11), relation(12, "on", 13)))
    rng = np.random.default_rng(0)
    slots = np.zeros(12)
    for _ in range(1200):
        pairs = choose_pairs(picture, 100, rng)
        assert len(set(pairs)) == 12
        slots[[pairs.index(pair) for pair in picture.labelled_pairs]] += 1
    assert abs(slots - 200).max() < 60  # 200 expected in each of 12 slots, deviation 13


def test_labelled_pairs_come_before_others_where_there_is_no_room_for_all() -> None:
    (picture,) = labelled(scene(1, list("abcd"), relation(10, "on", 11), relation(12, "on", 13)))
    rng = np.random.default_rng(0)
    assert all(set(choose_pairs(picture, 3, rng)) >= {(0, 1), (2, 3)} for _ in range(20))
    assert {choose_pairs(picture, 1, rng)[0] for _ in range(50)} == {(0, 1), (2, 3)}


def test_unknown_entries_add_no_loss() -> None:
    """Whatever the network says of them."""
    batch = made(labelled(RIDER, OWNER)).make(0)
    torch.manual_seed(0)
    model, tokenize = small(labelled(RIDER, OWNER))
    with torch.no_grad():
        layers = tagger_predictions(model, tokenize, batch)
        loss = TaggerLoss(LossConfig(predicate_target="hard"))
        once = loss(layers, batch.targets).total
        for layer in layers:
            for image, target in enumerate(batch.targets):
                layer.predicate_logits[image, : len(target)][target.unknown_predicates] = 5.0
        assert float(loss(layers, batch.targets).total) == float(once)


# Noise


def test_noise_is_as_wide_as_published() -> None:
    boxes = torch.tensor([0.5, 0.5, 0.2, 0.1]).expand(20_000, 4)
    noisy = noisy_boxes(boxes, 0.4, np.random.default_rng(0))
    low, high = noisy.amin(0), noisy.amax(0)
    assert torch.allclose(low, torch.tensor([0.46, 0.48, 0.12, 0.06]), atol=1e-3)
    assert torch.allclose(high, torch.tensor([0.54, 0.52, 0.28, 0.14]), atol=1e-3)
    assert torch.equal(noisy_boxes(boxes, 0.0, np.random.default_rng(0)), boxes)
    assert noisy_boxes(torch.tensor([[0.99, 0.0, 1.0, 1.0]] * 50), 0.4, np.random.default_rng(0)).amax() <= 1


def test_wrong_classes_are_drawn_from_all_classes() -> None:
    classes = torch.full((20_000,), 3)
    noisy = noisy_classes(classes, 10, 0.2, np.random.default_rng(0))
    assert set(noisy.tolist()) == set(range(10))
    assert float((noisy != 3).float().mean()) == pytest.approx(0.2 * 0.9, abs=0.01)
    assert torch.equal(noisy_classes(classes, 10, 0.0, np.random.default_rng(0)), classes)


# Order


def test_batches_depend_on_seed_and_number_alone() -> None:
    pictures = labelled(*(scene(i, ["a", "b", "c"], relation(10, "on", 11)) for i in range(7)))
    batches = made(pictures, batch_size=3)
    alone = [made(pictures, batch_size=3).make(number) for number in range(2, 6)]
    for ours, other in zip(batches.stream(2, 6, num_threads=3), alone, strict=True):
        assert (ours.keys, ours.texts) == (other.keys, other.texts)
        assert torch.equal(ours.told.subject_boxes, other.told.subject_boxes)
        assert torch.equal(ours.targets[0].predicate_labels, other.targets[0].predicate_labels)
    assert made(pictures, batch_size=3, seed=1).make(2).keys != alone[0].keys


def test_every_epoch_has_each_picture_once() -> None:
    pictures = labelled(*(scene(i, ["a", "b"], relation(10, "on", 11)) for i in range(7)))
    batches = made(pictures, batch_size=3)
    keys = [picture.key for number in range(7) for picture in batches.pictures_of(number)]
    epochs = [keys[start : start + 7] for start in (0, 7, 14)]
    assert all(len(set(epoch)) == 7 for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_a_picture_that_cannot_be_read_is_left_out_and_counted() -> None:
    def read(picture):
        if picture.key == "s-1":
            raise BadInputError("s-1: cut short")
        return blank(picture)

    pictures = labelled(RIDER, OWNER)
    batch = TaggerBatches(pictures, read, BatchConfig(batch_size=2), seed=0, multiple_of=16).make(0)
    assert (batch.keys, batch.num_unreadable) == (("s-2",), 1)
    # What is drawn for the other one does not depend on it.
    whole = TaggerBatches(pictures, blank, BatchConfig(batch_size=2), seed=0, multiple_of=16).make(0)
    place = whole.keys.index("s-2")
    assert whole.texts == batch.texts
    assert torch.equal(whole.told.subject_boxes[place], batch.told.subject_boxes[0])
    assert torch.equal(whole.targets[place].predicate_labels, batch.targets[0].predicate_labels)


def test_a_batch_of_which_nothing_can_be_read_stops_the_training(tmp_path: Path) -> None:
    def read(_picture):
        raise BadInputError("s-1: cut short")

    model, tokenize = small(PICTURES)
    batches = TaggerBatches(PICTURES, read, BatchConfig(batch_size=2), seed=0, multiple_of=16)
    with pytest.raises(BadInputError, match="not one picture of a batch can be read; the first: s-1: cut short"):
        train(
            model, tokenize, batches, TrainingConfig(steps=1), states=states_of(tmp_path),
            metrics=Folder(str(tmp_path)), device=torch.device("cpu"),
        )  # fmt: skip


# The network and its tokenizer


def test_the_tiny_network_is_small_and_pads_to_its_coarsest_map() -> None:
    model = build_model(tiny_config(2000))
    assert 4 * sum(parameter.numel() for parameter in model.parameters()) < 6e6
    assert tiny_config(2000).repairs.shared_slots  # nothing is learned of a slot
    assert tiny_config(2000).coarsest_stride == 16


def test_the_tokenizer_knows_whole_words_and_numbers_as_roberta(tmp_path: Path) -> None:
    content = vocabulary_tokenizer({"sit on": 2, "T-shirt": 1, "no objects": 1})
    assert content == vocabulary_tokenizer({"no objects": 1, "T-shirt": 1, "sit on": 2})
    (tmp_path / "tokenizer.json").write_text(content)
    ids, mask = open_tokenizer(tmp_path, "tokenizer.json")(["Sit on", "t-shirt", "on skis"])
    assert mask.sum(1).tolist() == [4, 5, 4]
    assert ids[:, 0].tolist() == [0] * 3
    assert ids[0, 3:].tolist() == [2, 1]  # the end, and padding up to the longest
    assert ids[2, 2] == 3  # nobody has heard of skis
    assert 3 < ids.max() < vocabulary_size(content)


def test_the_rarest_words_are_left_out_of_a_full_tokenizer() -> None:
    assert '"on"' not in (small := vocabulary_tokenizer({"sit on": 1, "sit by": 1, "sit at": 1}, max_words=3))
    assert vocabulary_size(small) == 4 + 3


# The loop

SMALL = {
    "backbone": BackboneConfig(kind="tiny", tiny_width=8),
    "encoder": EncoderConfig(
        width=32, num_levels=2, num_layers=1, num_heads=2, num_points=2, feedforward_width=32, fusion_interval=1,
        fusion_width=32, fusion_heads=2, language_width=32, language_heads=2, language_feedforward_width=32,
    ),
    "decoder": DecoderConfig(
        width=32, num_heads=2, num_levels=2, num_points=2, num_layers=1, feedforward_width=32, dropout=0.1
    ),
    "decoding": "pairs",
}  # fmt: skip


def small(pictures):
    """A network with dropout, smaller than tiny, and its tokenizer."""
    content = vocabulary_tokenizer(TextCounts.of(pictures).all())
    text = TextEncoderConfig(
        vocab_size=vocabulary_size(content), width=32, num_layers=1, num_heads=2, feedforward_width=32
    )
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / "tokenizer.json").write_text(content)
        tokenize = open_tokenizer(Path(temporary), "tokenizer.json")
    torch.manual_seed(0)
    return build_model(AlifConfig(text=text, **SMALL)), tokenize


@pytest.fixture(autouse=True)
def one_thread():
    """The order of sums, and so the last bit, depends on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


PICTURES = labelled(*(scene(i, ["a", "b", "c"], relation(10, "on", 11)) for i in range(5)), complete=True)


def states_of(folder, **identity):
    return TrainingStates(Folder(str(folder / "state")), identity, schema=STATE_SCHEMA)


def run(folder, *, stop=None, pictures=PICTURES, **settings):
    """Train for 5 steps; with `stop`, fail when step number `stop` is to be made."""

    def read(picture):
        nonlocal reads
        reads += 1
        if stop is not None and reads > 2 * stop:
            raise KeyboardInterrupt
        return blank(picture)

    reads = 0
    model, tokenize = small(pictures)
    batches = TaggerBatches(
        pictures, read, BatchConfig(batch_size=2, short_side=32, longest=64), seed=0, multiple_of=16
    )
    config = TrainingConfig(**{"steps": 5, "save_every": 2, "report_every": 1, "learning_rate": 1e-3} | settings)
    lines = []
    train(
        model, tokenize, batches, config, states=states_of(folder, steps=config.steps), metrics=Folder(str(folder)),
        report=lines.append, device=torch.device("cpu"),
    )  # fmt: skip
    return model.state_dict(), lines


def test_stopped_and_resumed_is_the_same_as_uninterrupted(tmp_path: Path) -> None:
    whole, lines = run(tmp_path / "whole")
    assert len(lines) == 5
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", stop=3)
    state = tmp_path / "parts" / "state"
    assert [path.name for path in state.glob("step-*")] == ["step-00000002"]
    resumed, lines = run(tmp_path / "parts")
    assert len(lines) == 3
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5]
    assert [path.name for path in state.glob("step-*")] == ["step-00000005"]


def test_the_callers_random_numbers_are_left_alone(tmp_path: Path) -> None:
    model, tokenize = small(PICTURES)
    before = torch.get_rng_state()
    train(
        model, tokenize, made(PICTURES), TrainingConfig(steps=1), states=states_of(tmp_path),
        metrics=Folder(str(tmp_path)), device=torch.device("cpu"),
    )  # fmt: skip
    assert torch.equal(torch.get_rng_state(), before)


def test_the_state_of_another_training_is_refused(tmp_path: Path) -> None:
    run(tmp_path, steps=1)
    with pytest.raises(BadInputError, match="is of a training with steps 1, now it is 2"):
        run(tmp_path, steps=2)


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    run(tmp_path, steps=1)
    for name in ("step-00000001/model.safetensors", "step-00000001/optimizer.safetensors", "states.json"):
        path = tmp_path / "state" / name
        whole = path.read_bytes()
        path.write_text("{")
        with pytest.raises(BadInputError, match=rf"{name}: damaged"):
            run(tmp_path, steps=1)
        path.write_bytes(whole)
    document = json.loads(whole)
    for missing in ("states", "identity"):
        path.write_text(json.dumps({key: value for key, value in document.items() if key != missing}))
        with pytest.raises(BadInputError, match=r"states\.json: damaged"):
            run(tmp_path, steps=1)
    path.write_bytes(whole)
    run(tmp_path, steps=1)


def test_a_loss_that_is_no_number_stops_before_the_weights_change(tmp_path: Path) -> None:
    model, tokenize = small(PICTURES)
    with torch.no_grad():
        model.decoder.head.relation_bias[0] = math.nan
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match="the loss is nan at step 1, and no weight was changed"):
        train(
            model, tokenize, made(PICTURES), TrainingConfig(steps=3), states=states_of(tmp_path),
            metrics=Folder(str(tmp_path)), device=torch.device("cpu"),
        )  # fmt: skip
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if name != "decoder.head.relation_bias")
    assert not (tmp_path / "state").exists()


def test_the_learning_rate_rises_then_falls() -> None:
    cosine = TrainingConfig(steps=110, warmup_steps=10, learning_rate=1.0)
    rates = [cosine.learning_rate_at(step) for step in range(110)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[10] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert rates[109] < 0.001
    step = TrainingConfig(steps=20, schedule="step", learning_rate=1.0)
    assert [step.learning_rate_at(i) for i in (0, 14, 15, 19)] == [1.0, 1.0, 0.1, 0.1]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"warmup_steps": -1}, "warmup_steps is -1"),
        ({"schedule": "flat"}, "schedule is 'flat'"),
    ],
)
def test_impossible_settings_are_refused(settings, problem) -> None:
    with pytest.raises(ValueError, match=problem):
        TrainingConfig(**{"steps": 1} | settings)


@pytest.mark.parametrize(
    ("settings", "problem"), [({"batch_size": 0}, "batch_size"), ({"box_noise": 1.0}, "box_noise")]
)
def test_impossible_batches_are_refused(settings, problem) -> None:
    with pytest.raises(ValueError, match=problem):
        BatchConfig(**settings)
