"""Backend `relation_tagger`: which pair is asked what, and that nothing but the scene decides the answer."""

import io
import json
import pickle
import random
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from schemas import BadInputError, Caption, Image, Mention, Phrase, Region, Rejected, Relation, Scene, UserError
from schemas.job import RelationTagger
from stages.contract import Stage
from stages.tag import open_tagger
from stages.tag.candidates import with_candidates
from stages.tag.pair_texts import pair_texts
from stages.tag.tagger_network import even_groups

torch = pytest.importorskip("torch", reason="needs the libraries of networks: pip install -e '.[blip]'")
pytest.importorskip("transformers", reason="needs the libraries of networks: pip install -e '.[blip]'")

CLASSES = ("bench", "cup", "dog", "horse", "person")
WORDS = (*CLASSES, "no", "objects", "riding", "near", "next", "to", "holding", "on", "watching", "sits", "very")
BATCHED = 1e-4
"""What a score may differ by when other scenes share its batch."""


# A network and scenes, small and made up


def save_tiny_tagger(folder: Path, **changes: Any) -> None:
    """A Relation Tagger of random weights, far from zero so that answers differ, and the words above."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    from stages.alif.backbone import BackboneConfig
    from stages.alif.build import build_model
    from stages.alif.checkpoint import save_checkpoint
    from stages.alif.config import AlifConfig, PictureSize
    from stages.alif.decoder_layers import DecoderConfig
    from stages.alif.encoder import EncoderConfig
    from stages.alif.text_encoder import TextEncoderConfig

    vocabulary = {word: i for i, word in enumerate(("<s>", "<pad>", "</s>", "<unk>", *WORDS))}
    settings: dict[str, Any] = {
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
        "decoding": "pairs",
        "picture": PictureSize(short_side=96, longest=160),
        **changes,
    }  # fmt: skip
    config = AlifConfig(**settings)
    with torch.random.fork_rng():
        torch.manual_seed(11)  # with this one scores lie around 0.3 and differ by 0.3
        model = build_model(config)
        for parameter in model.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
        model.text_encoder.model.embeddings.word_embeddings.weight.data *= 20
        model.text_encoder.model.pooler.dense.weight.data *= 20
        model.decoder.head.text_projection.weight.data *= 30
    save_checkpoint(folder, config, model.state_dict(), tokenizer="tokenizer.json")
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tagger") / "tagger"
    save_tiny_tagger(folder)
    return folder


def open_stage(model: Path, **settings: Any) -> Stage:
    settings = {"min_score": 0.0, **settings}
    return open_tagger(RelationTagger(backend="relation_tagger", model=str(model), **settings))


def make_stage(model: Path, **settings: Any) -> Stage:
    stage = open_stage(model, **settings)
    stage.setup()
    return stage


def picture_bytes(number: int, width: int, height: int) -> bytes:
    blocks = Picture.frombytes("RGB", (4, 4), random.Random(number).randbytes(48))
    buffer = io.BytesIO()
    blocks.resize((width, height), Picture.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def make_scene(number: int, names: str, *stated: str, size: tuple[int, int] = (120, 80), **changes: Any) -> Scene:
    """A scene of random boxes, with one caption for each `subject / words / object`.

    Args:
        names: classes of the regions, in the order of their ids.
    """
    dice = random.Random(number)
    regions = []
    for i, name in enumerate(names.split()):
        x, y = dice.uniform(0, size[0] / 2), dice.uniform(0, size[1] / 2)
        box = (x, y, x + dice.uniform(8, size[0] / 2), y + dice.uniform(8, size[1] / 2))
        regions.append(Region(i, name, box))
    captions, phrases, mentions = [], [], []
    for i, one in enumerate(stated):
        subject, words, object_ = one.split(" / ")
        captions.append(Caption(f"{subject} {words} {object_}", "given"))
        first, last = (0, len(subject)), (len(subject) + len(words) + 2, len(captions[-1].text))
        phrases += [Phrase(i, first, subject), Phrase(i, last, object_)]
        predicate = words.lower().removesuffix("ing")
        mentions.append(Mention(i, 2 * i, 2 * i + 1, predicate, (len(subject) + 1, len(subject) + 1 + len(words))))
    image = Image(f"{number}.png", *size, data=picture_bytes(number, *size))
    made = Scene(f"test-{number}", image, tuple(regions), tuple(captions), tuple(phrases), tuple(mentions))
    return replace(made, **changes)


RIDE, HOLD = "a person / riding / a horse", "a person / holding / a cup"
SCENES = [
    make_scene(0, "person horse", RIDE),
    make_scene(1, "person person horse horse cup", RIDE, HOLD, size=(90, 150)),
    make_scene(2, "person dog bench", "a dog / on / a bench", "a person / near / a dog", "a person / next to / a dog"),
    make_scene(3, "person person person person", "a person / watching / a person", size=(160, 100)),
    make_scene(4, "cup bench", "a cup / on / a bench", size=(64, 64)),
    make_scene(5, "person horse dog cup bench person", RIDE, HOLD, "a person / near / a bench", size=(150, 90)),
    make_scene(6, "person horse", "a dog / near / a cup"),  # nothing to ask
    make_scene(7, "horse person horse", RIDE, size=(100, 160)),
]


def relations(scene: Any) -> dict[tuple[int, str, int], float]:
    assert isinstance(scene, Scene)
    return {(r.subject, r.predicate, r.object): r.score for r in scene.relations if r.source == "tagger"}


def tag(stage: Stage, scenes: list[Scene], *, at_once: int = 100) -> list[Any]:
    outcomes = [one for i in range(0, len(scenes), at_once) for one in stage.process(scenes[i : i + at_once])]
    assert [one.key for one in outcomes] == [scene.key for scene in scenes]
    return outcomes


@contextmanager
def calls_of(name: str) -> Iterator[list[int]]:
    """How many rows went through a module of this class, one entry a call."""
    calls: list[int] = []

    def count(module: Any, inputs: Any, output: Any) -> None:
        if type(module).__name__ == name:
            calls.append(len(inputs[0]) if isinstance(inputs[0], torch.Tensor) else len(inputs[0].content))

    handle = torch.nn.modules.module.register_module_forward_hook(count)
    try:
        yield calls
    finally:
        handle.remove()


# Who is asked what


def test_a_pair_is_asked_what_a_caption_says_of_its_classes(tagger: Path) -> None:
    (outcome,) = tag(make_stage(tagger), [SCENES[5]])
    pairs = {(s, o, predicate) for s, predicate, o in relations(outcome)}
    assert pairs == {
        (0, 1, "rid"), (5, 1, "rid"), (0, 3, "hold"), (5, 3, "hold"), (0, 4, "near"), (5, 4, "near"),
    }  # fmt: skip


def test_the_union_asks_every_pair_everything_and_keeps_evidence_of_its_own_only(tagger: Path) -> None:
    (outcome,) = tag(make_stage(tagger, scope="image_union"), [SCENES[5]])
    pairs = [(0, 1), (0, 3), (0, 4), (5, 1), (5, 3), (5, 4)]
    assert list(relations(outcome)) == [(s, p, o) for s, o in pairs for p in ("hold", "near", "rid")]
    with_evidence = [(r.subject, r.object, r.predicate) for r in outcome.relations if r.evidence]
    assert with_evidence == [
        (0, 1, "rid"), (0, 3, "hold"), (0, 4, "near"), (5, 1, "rid"), (5, 3, "hold"), (5, 4, "near"),
    ]  # fmt: skip
    (own,) = tag(make_stage(tagger), [SCENES[5]])
    assert relations(own).items() <= relations(outcome).items()


def test_a_score_is_the_networks_for_this_pair_and_this_text(tagger: Path) -> None:
    """Computed again, pair and text looked up by hand, with the parts of the network."""
    from stages.alif.checkpoint import load_checkpoint
    from stages.alif.images import batch_images, resize_for_network
    from stages.alif.tagger import PairGroup, decode_pairs

    loaded, scene = load_checkpoint(tagger), SCENES[2]
    texts = ["bench", "dog", "person", "no objects", "near", "next to", "on"]
    ends = [(0, 1), (1, 2)]  # person and dog; dog and bench
    width, height = scene.image.width, scene.image.height
    x1, y1, x2, y2 = torch.tensor([region.box for region in scene.regions]).unbind(-1)
    boxes = torch.stack([(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height], -1)
    labels = torch.tensor([2, 1, 0])
    picture = Picture.open(io.BytesIO(scene.image.data))
    with torch.inference_mode():
        pixels, padding = batch_images([resize_for_network(picture, short_side=96, longest=160)], multiple_of=64)
        encoded = loaded.model.encode(pixels, padding, loaded.model.text_encoder(*loaded.tokenize(texts)))
        s, o = torch.tensor(ends).unbind(-1)
        group = PairGroup(boxes[s][None], boxes[o][None], labels[s][None], labels[o][None], torch.zeros(1, 2).bool())
        logits = decode_pairs(loaded.model, encoded, group, num_objects=4, num_relations=3).relation_logits[-1, 0]
    expected = logits.sigmoid()
    (outcome,) = tag(make_stage(tagger), [scene])
    assert relations(outcome) == {
        (0, "near", 1): pytest.approx(float(expected[0, 0]), abs=1e-5),
        (0, "next to", 1): pytest.approx(float(expected[0, 1]), abs=1e-5),
        (1, "on", 2): pytest.approx(float(expected[1, 2]), abs=1e-5),
    }
    assert expected.std() > 0.02  # else a mix-up would go unseen


def test_relations_come_by_pair_and_predicate_with_the_words_they_rest_on(tagger: Path) -> None:
    scene = make_scene(0, "person horse", RIDE, "a person / Riding / a horse", "a person / near / a horse")
    (outcome,) = tag(make_stage(tagger), [scene])
    near, ride = outcome.relations
    assert (near.predicate, ride.predicate) == ("near", "rid")
    assert [evidence.caption for evidence in ride.evidence] == [0, 1]
    assert ride.text == "riding"
    assert ride.score == round(ride.score, 6)
    assert 0 < ride.score < 1
    assert [phrase.regions for phrase in outcome.phrases] == [(0,), (1,)] * 3


def test_the_best_of_several_texts_of_a_predicate_counts(tagger: Path) -> None:
    scene = make_scene(0, "person horse", "a person / on / a horse", "a person / sits on / a horse")
    scene = replace(scene, mentions=tuple(replace(mention, predicate="sit on") for mention in scene.mentions))
    apart = replace(scene, mentions=(replace(scene.mentions[0], predicate="on"), scene.mentions[1]))
    stage = make_stage(tagger)
    merged, split = (tag(stage, [one])[0] for one in (scene, apart))
    by_text = {relation.text: relation.score for relation in split.relations}
    assert set(by_text) == {"on", "sits on"}
    assert [(r.text, r.score) for r in merged.relations] == [max(by_text.items(), key=lambda item: item[1])]
    assert len(merged.relations[0].evidence) == 2


def test_what_is_below_the_least_score_is_left_out(tagger: Path) -> None:
    everything = relations(tag(make_stage(tagger, scope="image_union"), [SCENES[5]])[0])
    middle = sorted(everything.values())[len(everything) // 2]
    some = relations(tag(make_stage(tagger, scope="image_union", min_score=middle), [SCENES[5]])[0])
    assert some == {key: score for key, score in everything.items() if score >= middle}
    assert 0 < len(some) < len(everything)


def test_human_relations_stay_in_front_and_what_they_deny_is_not_said(tagger: Path) -> None:
    human = (Relation(0, 1, "near", "no", 1.0, "human", state="denied"), Relation(1, 0, "carry", "x", 1.0, "human"))
    scene = replace(SCENES[2], relations=human)
    stage = make_stage(tagger)
    (outcome,) = tag(stage, [scene])
    assert outcome.relations[:2] == human
    assert set(relations(outcome)) == {(0, "next to", 1), (1, "on", 2)}
    assert tag(stage, [outcome]) == [outcome]


def test_a_region_is_not_paired_with_itself_and_texts_are_lower_case_words() -> None:
    scene = make_scene(0, "person person", "a person / Next  To / a person")
    asked = pair_texts(scene, with_candidates(scene), refusal=lambda text: None)
    assert asked.pairs == ((0, 1), (1, 0))
    assert asked.texts == ("next to",)


# Nothing but the scene decides


@pytest.mark.parametrize("at_once", [1, 3, 8])
def test_batched_equals_single(tagger: Path, at_once: int) -> None:
    alone = make_stage(tagger, batch_size=1)
    stage = make_stage(tagger, batch_size=8, pairs_per_group=5)
    expected = [relations(one) for one in tag(make_stage(tagger, batch_size=1, pairs_per_group=5), SCENES, at_once=1)]
    assert [len(one) for one in expected] == [1, 6, 3, 12, 1, 6, 0, 2]
    shuffled = [SCENES[i] for i in (4, 0, 6, 2, 5, 1, 3, 7)]
    for scenes in (SCENES, shuffled):
        found = {one.key: relations(one) for one in tag(stage, scenes, at_once=at_once)}
        for scene, own in zip(SCENES, expected, strict=True):
            assert found[scene.key] == pytest.approx(own, abs=BATCHED)
    scores = [score for one in tag(alone, SCENES) for score in relations(one).values()]
    assert np.std(scores) > 0.2  # else a mix-up would go unseen


def test_one_picture_a_batch_is_the_same_to_the_byte_whatever_the_neighbours(tagger: Path) -> None:
    stage = make_stage(tagger, batch_size=1)
    assert tag(make_stage(tagger, batch_size=1), SCENES, at_once=1) == tag(stage, SCENES[::-1], at_once=3)[::-1]


def test_pictures_that_share_a_batch_are_computed_together(tagger: Path) -> None:
    same_size = [replace(SCENES[0], key=f"test-{i}") for i in range(4)]
    with calls_of("AlifEncoder") as calls:
        tag(make_stage(tagger, batch_size=4), same_size)
    assert calls == [4]


def test_a_picture_is_encoded_once_however_many_its_pairs(tagger: Path) -> None:
    stage = make_stage(tagger, pairs_per_group=2, batch_size=3)
    with calls_of("AlifEncoder") as encoded, calls_of("EntityDecoder") as decoded:
        tag(stage, [SCENES[3]])  # 12 pairs
    assert encoded == [1]
    assert decoded == [3, 3]  # groups, so many at a time as pictures fit


def test_a_group_sees_its_own_pairs_only(tagger: Path) -> None:
    """With groups of one, a pair is told what it is told alone: without the mentions of the others."""
    stage = make_stage(tagger, pairs_per_group=1)
    together = relations(tag(stage, [SCENES[7]])[0])
    boxes = SCENES[7].regions
    # The other horse stays as a region, and its class as a text, but nothing is asked of it.
    one = replace(SCENES[7], regions=(boxes[0], boxes[1], replace(boxes[2], name="person")))
    assert together[1, "rid", 0] == pytest.approx(relations(tag(stage, [one])[0])[1, "rid", 0], abs=1e-5)
    seeing = relations(tag(make_stage(tagger), [SCENES[7]])[0])
    assert seeing[1, "rid", 0] != pytest.approx(together[1, "rid", 0], abs=1e-5)


def test_the_order_of_regions_captions_and_mentions_changes_nothing(tagger: Path) -> None:
    scene, stage = SCENES[5], make_stage(tagger)
    mixed = make_scene(5, "person horse dog cup bench person", "a person / near / a bench", HOLD, RIDE, size=(150, 90))
    mixed = replace(mixed, regions=mixed.regions[::-1], mentions=mixed.mentions[::-1])
    assert relations(tag(stage, [mixed])[0]) == relations(tag(stage, [scene])[0])


def test_another_worker_says_the_same(tagger: Path) -> None:
    stage = open_stage(tagger)
    there = pickle.loads(pickle.dumps(stage))
    there.setup()
    assert tag(there, SCENES) == tag(make_stage(tagger), SCENES)


def test_a_text_is_encoded_once_for_all_pictures(tagger: Path) -> None:
    stage = make_stage(tagger)
    with calls_of("TextEncoder") as first:
        once = tag(stage, SCENES)
    assert first
    with calls_of("TextEncoder") as again:
        assert tag(stage, SCENES) == once
    assert again == []


def test_where_padding_would_change_answers_there_is_none(tagger: Path, tmp_path: Path) -> None:
    from stages.alif.config import PUBLISHED, Repairs

    unpadded = Repairs(backbone_padding=False)
    same_size = [replace(SCENES[0], key=f"test-{i}") for i in range(3)]
    for name, repairs, calls_expected in (("backbone", unpadded, [1, 3]), ("all", PUBLISHED, [1, 1, 1, 1])):
        save_tiny_tagger(tmp_path / name, repairs=repairs)
        stage = make_stage(tmp_path / name, batch_size=8)
        with calls_of("AlifEncoder") as calls:
            found = tag(stage, [*same_size, SCENES[1]])
        assert sorted(calls) == calls_expected
        alone = tag(make_stage(tmp_path / name, batch_size=1), [*same_size, SCENES[1]], at_once=1)
        for one, other in zip(found, alone, strict=True):
            assert relations(one) == pytest.approx(relations(other), abs=1e-5)


def test_half_precision_is_close(tagger: Path) -> None:
    exact = tag(make_stage(tagger), SCENES)
    for one, other in zip(tag(make_stage(tagger, precision="bfloat16"), SCENES), exact, strict=True):
        assert relations(one) == pytest.approx(relations(other), abs=0.2)


def test_out_of_memory_passes_through_and_the_halves_say_the_same(tagger: Path) -> None:
    same_size = [replace(SCENES[i % 2 * 2], key=f"test-{i}") for i in range(4)]
    expected = tag(make_stage(tagger), same_size)
    stage = make_stage(tagger)

    def too_small_a_card(module: Any, inputs: Any) -> None:
        if type(module).__name__ == "Backbone" and len(inputs[0]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    handle = torch.nn.modules.module.register_module_forward_pre_hook(too_small_a_card)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            stage.process(same_size)
        halved = tag(stage, same_size, at_once=2)
    finally:
        handle.remove()
    for one, other in zip(halved, expected, strict=True):
        assert relations(one) == pytest.approx(relations(other), abs=BATCHED)


def test_groups_that_do_not_fit_are_decoded_in_fewer_at_a_time(tagger: Path) -> None:
    """A picture cannot be halved; its groups can."""
    stage = make_stage(tagger, pairs_per_group=2)
    expected = tag(stage, [SCENES[3]])  # 12 pairs
    rows: list[int] = []

    def too_small_a_card(module: Any, inputs: Any) -> None:
        if type(module).__name__ == "EntityDecoder":
            rows.append(len(inputs[0].content))
            if rows[-1] > limit:
                raise torch.OutOfMemoryError("CUDA out of memory")

    handle = torch.nn.modules.module.register_module_forward_pre_hook(too_small_a_card)
    try:
        limit = 2
        (halved,) = tag(stage, [SCENES[3]])
        assert rows == [6, 3, 2, 2, 2]
        assert relations(halved) == pytest.approx(relations(expected[0]), abs=BATCHED)
        limit = 0
        with pytest.raises(torch.OutOfMemoryError):
            stage.process([SCENES[3]])
    finally:
        handle.remove()


def test_the_number_of_threads_is_left_as_it_was(tagger: Path) -> None:
    before = torch.get_num_threads()
    tag(make_stage(tagger), SCENES[:1])
    assert torch.get_num_threads() == before


def test_groups_are_even() -> None:
    assert even_groups(0, most=100) == []
    assert even_groups(100, most=100) == [(0, 100)]
    assert even_groups(101, most=100) == [(0, 50), (50, 101)]


# Scenes that cannot be asked


def test_a_scene_without_pixels_is_rejected_alone(tagger: Path) -> None:
    stage = make_stage(tagger)
    blind = replace(SCENES[0], key="test-blind", image=Image("blind.png"))
    first, second, third = tag(stage, [SCENES[0], blind, SCENES[1]])
    assert isinstance(second, Rejected)
    assert (second.key, second.stage, second.reason) == ("test-blind", "tag", "no-pixels")
    assert [first, third] == tag(stage, SCENES[:2])


@pytest.mark.parametrize(
    "scene",
    [
        make_scene(9, "", RIDE),
        make_scene(9, "person horse"),
        make_scene(9, "person", "a person / near / a person"),
        make_scene(9, "person cup", RIDE),
    ],
)
def test_a_scene_with_nothing_to_ask_goes_on_with_its_candidates(tagger: Path, scene: Scene) -> None:
    with calls_of("AlifEncoder") as calls:
        assert tag(make_stage(tagger), [scene]) == [replace(scene, phrases=with_candidates(scene))]
    assert calls == []


def test_a_text_that_is_too_long_is_dropped_alone_and_told(tagger: Path) -> None:
    long = "very " * 7 + "near"  # the encoder takes eight tokens, two of which are <s> and </s>
    scene = make_scene(2, "person dog bench", "a dog / on / a bench", f"a person / {long} / a dog")
    stage = make_stage(tagger)
    (outcome,) = tag(stage, [scene])
    assert set(relations(outcome)) == {(1, "on", 2)}
    (repair,) = outcome.provenance.repairs
    assert (repair.stage, repair.reason) == ("tag", "text-too-long")
    assert long in repair.detail
    assert tag(stage, [outcome]) == [outcome]


def test_a_class_name_that_is_too_long_is_no_end_of_a_pair(tagger: Path) -> None:
    scene = make_scene(2, "person dog bench", "a person / near / a dog", "a dog / on / a bench")
    name = "very " * 7 + "bench"
    scene = replace(scene, regions=(*scene.regions[:2], replace(scene.regions[2], name=name)))
    scene = replace(scene, captions=(scene.captions[0], Caption(f"a dog on a {name}", "given")))
    scene = replace(scene, phrases=(*scene.phrases[:3], replace(scene.phrases[3], span=(9, 11 + len(name)))))
    (outcome,) = tag(make_stage(tagger), [scene])
    assert outcome.phrases[3].regions == (2,)
    assert set(relations(outcome)) == {(0, "near", 1)}
    assert [repair.reason for repair in outcome.provenance.repairs] == ["text-too-long"]


def test_what_the_network_never_learned_is_not_asked_and_told(tagger: Path) -> None:
    scene = make_scene(
        2, "person dog giraffe", "a dog / near / a person", "a person / painting / a dog", "a dog / near / a giraffe"
    )
    (outcome,) = tag(make_stage(tagger), [scene])
    assert set(relations(outcome)) == {(1, "near", 0)}
    assert [(repair.reason, repair.detail.split("'")[1]) for repair in outcome.provenance.repairs] == [
        ("text-unknown", "giraffe"),
        ("text-unknown", "painting"),
    ]


def test_words_that_the_network_never_learned_are_asked_as_their_predicate(tagger: Path) -> None:
    scene = make_scene(2, "person dog", "a dog / near / a person", "a dog / yonder near / a person")
    scene = replace(scene, mentions=(scene.mentions[0], replace(scene.mentions[1], predicate="near")))
    (outcome,) = tag(make_stage(tagger), [scene])
    (relation,) = outcome.relations
    assert (relation.predicate, relation.text, len(relation.evidence)) == ("near", "near", 2)
    assert not outcome.provenance.repairs


def test_five_hundred_regions_are_scored_group_by_group(tagger: Path) -> None:
    names = " ".join(["person"] * 12 + ["horse"] * 488)
    scene = make_scene(1, names, RIDE, size=(64, 64))
    with calls_of("AlifEncoder") as encoded, calls_of("EntityDecoder") as decoded:
        (outcome,) = tag(make_stage(tagger, batch_size=4), [scene])
    assert len(relations(outcome)) == 12 * 488
    assert encoded == [1]
    assert sum(decoded) == 59  # groups of 100 pairs at most
    assert max(decoded) == 4  # and memory for so many, whatever the number of regions


# What it is, and what is refused


def test_the_identity_follows_the_files_and_settings_not_the_place(tagger: Path, tmp_path: Path) -> None:
    from stages.alif.checkpoint import checkpoint_sha256

    moved = shutil.copytree(tagger, tmp_path / "moved")
    identity = open_stage(moved).identity
    assert identity == open_stage(tagger).identity
    assert identity.startswith(f"tag/relation_tagger/1 sha256:{checkpoint_sha256(tagger)} own_texts ")
    others = [
        {"scope": "image_union"}, {"min_score": 0.1}, {"pairs_per_group": 7}, {"short_side": 64}, {"longest": 150},
        {"precision": "bfloat16"}, {"batch_size": 3}, {"compile": True},
    ]  # fmt: skip
    assert len({identity, *(open_stage(tagger, **other).identity for other in others)}) == 9
    (moved / "tokenizer.json").write_text((moved / "tokenizer.json").read_text() + " ")
    assert open_stage(moved).identity != identity


def test_a_network_that_changed_since_the_plan_is_refused(tagger: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tagger, tmp_path / "model")
    stage = open_stage(folder)
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    with pytest.raises(BadInputError, match=r"tag\.model: the files in .*model changed since the job began"):
        stage.setup()


def test_what_is_no_relation_tagger_is_refused(tagger: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"tag\.model: .*config\.json: no such file"):
        open_stage(tmp_path / "nowhere")
    save_tiny_tagger(tmp_path / "parseda", decoding="parseda")
    with pytest.raises(BadInputError, match=r"tag\.model: .* looks for pairs itself \(decoding parseda\)"):
        open_stage(tmp_path / "parseda")
    other = shutil.copytree(tagger, tmp_path / "other")
    document = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**document, "schema": "another/1"}))
    with pytest.raises(BadInputError, match="give the folder of a network"):
        open_stage(other)
    document["network"]["text"]["vocab_size"] = 10**13
    (other / "config.json").write_text(json.dumps(document))
    with pytest.raises(BadInputError, match=r"config\.json: no network of these sizes can be made \(.*memory"):
        make_stage(other)
    short = shutil.copytree(tagger, tmp_path / "short")
    (short / "model.safetensors").write_bytes((tagger / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(BadInputError, match=r"tag\.model: .*model\.safetensors: damaged or cut short"):
        open_stage(short)


def test_pictures_have_the_size_of_the_training_unless_the_job_says_otherwise(tagger: Path) -> None:
    def scores(**settings: Any) -> list[float]:
        (outcome,) = tag(make_stage(tagger, **settings), SCENES[:1])
        return [relation.score for relation in outcome.relations]

    assert scores() == scores(short_side=96, longest=160)
    assert scores() != scores(short_side=64)
    with pytest.raises(UserError, match=r"tag\.short_side is 200, longest 160; give 1 <= short_side <= longest"):
        make_stage(tagger, short_side=200)


def test_more_pairs_than_the_published_slots_are_refused(tmp_path: Path) -> None:
    from stages.alif.config import PUBLISHED

    save_tiny_tagger(tmp_path / "published", repairs=PUBLISHED)
    make_stage(tmp_path / "published", pairs_per_group=100)
    with pytest.raises(UserError, match=r"tag\.pairs_per_group is 101"):
        make_stage(tmp_path / "published", pairs_per_group=101)


@pytest.mark.parametrize("module", ["torch", "transformers"])
def test_missing_libraries_name_the_install_command(monkeypatch: pytest.MonkeyPatch, tagger: Path, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"relation_tagger needs {module}.*pip install 'relmill\[blip\]'"):
        open_stage(tagger)


# A whole job


def test_a_job_labels_with_it(tagger: Path, tmp_path: Path) -> None:
    from pipeline.label import label, prepare
    from schemas.job import build_job
    from stages.pack import committed_scenes
    from stages.storage import Folder

    shutil.copytree(tagger, tmp_path / "tagger")
    document = {
        "dataset": {"format": "scenes", "count": 6},
        "tag": {"backend": "relation_tagger", "model": "tagger", "min_score": 0},
        "output": "out",
        "unit_size": 4,
    }
    assert label(prepare(build_job(document, base=tmp_path)), quiet=True).sealed
    scenes = list(committed_scenes(Folder(str(tmp_path / "out"))))
    assert len(scenes) == 6
    assert any(relations(scene) for scene in scenes)
    for scene in scenes:
        assert re.match(r"tag/relation_tagger/1 sha256:[0-9a-f]{64} own_texts ", scene.provenance.stages["tag"])
