"""Batches of pre-training: the same whoever makes them, and true to their scenes."""

import gc
from dataclasses import fields, replace

import numpy as np
import psutil
import pytest
import torch
from pretrain_made import AUGMENT, loader_of, scenes, stream_of, write_output

from schemas import Relation
from stages.pretrain import AugmentConfig, BatchConfig, BatchMaker, BatchTexts, LabelConfig, SourceLabels, mirrored
from stages.stream import StreamLoader

PSEUDO = SourceLabels(learn="pseudo")
STILL = AugmentConfig.none(64, 96)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Scenes by key, and their output."""
    packed = scenes(20)
    # The tagger knows a third of what people know, and is not sure.
    packed = [
        replace(scene, relations=(*scene.relations, *(
            replace(relation, source="tagger", score=0.25 + 0.5 * (number % 2)) for number, relation in
            enumerate(one for one in scene.relations if one.state == "asserted") if number % 3 == 0
        )))
        for scene in packed
    ]  # fmt: skip
    return {scene.key: scene for scene in packed}, write_output(tmp_path_factory.mktemp("batches") / "out", packed)


def first(loader, number):
    found = []
    for batch in loader:
        found.append(batch)
        if len(found) == number:
            return found
    return found


def same(one, other):
    assert one.keys == other.keys
    assert one.texts == other.texts
    assert torch.equal(one.pixels, other.pixels)
    assert (one.unknown is None) == (other.unknown is None)
    for mine, theirs in zip((*one.targets, *(one.unknown or ())), (*other.targets, *(other.unknown or ())),
                            strict=True):  # fmt: skip
        for each in fields(mine):
            expected, found = getattr(mine, each.name), getattr(theirs, each.name)
            assert (expected is None) == (found is None)
            assert expected is None or (torch.equal(expected, found) and expected.dtype == found.dtype)


def test_a_batch_is_a_function_of_seed_and_place(made):
    _, output = made
    for workers in (0, 2):
        for one, other in zip(first(loader_of(stream_of(output)), 6),
                              first(loader_of(stream_of(output), num_workers=workers), 6), strict=True):  # fmt: skip
            same(one, other)
    others = first(loader_of(stream_of(output), seed=1), 6)
    assert any(one.pixels.shape != other.pixels.shape or not torch.equal(one.pixels, other.pixels)
               for one, other in zip(first(loader_of(stream_of(output)), 6), others, strict=True))  # fmt: skip


@pytest.mark.parametrize("unknown_pairs", [True, False])
def test_batches_of_other_processes_are_the_same_and_take_few_open_files(made, unknown_pairs):
    """Shared, every one of the hundreds of small tensors of a batch takes one, and a thousand is a common limit."""
    _, output = made
    config = BatchConfig(augment=AUGMENT, unknown_pairs=unknown_pairs)
    here = first(loader_of(stream_of(output), batch_size=20, config=config), 3)
    batches = iter(loader_of(stream_of(output), batch_size=20, config=config, num_workers=1))
    gc.collect()
    process, kept = psutil.Process(), [next(batches)]
    before = process.num_fds()
    kept += [next(batches), next(batches)]
    assert process.num_fds() - before <= 8  # of two batches
    batches.close()
    for one, other in zip(here, kept, strict=True):
        same(one, other)


def test_the_parts_of_ranks_are_the_batch(made):
    _, output = made
    (whole,) = first(loader_of(stream_of(output), batch_size=5), 1)
    parts = [first(loader_of(stream_of(output), batch_size=5, rank=rank, num_ranks=3), 1)[0] for rank in range(3)]
    assert tuple(key for part in parts for key in part.keys) == whole.keys
    targets = [target for part in parts for target in part.targets]
    for part in parts:
        assert (part.texts, part.num_objects, part.size) == (whole.texts, whole.num_objects, 5)
    for mine, theirs in zip(targets, whole.targets, strict=True):
        assert torch.equal(mine.predicate_labels, theirs.predicate_labels)
        assert torch.equal(mine.object_boxes_cxcywh, theirs.object_boxes_cxcywh)


def test_targets_say_what_the_scene_says(made):
    """Without augmentation each labelled pair is there with its names, boxes and predicates."""
    known, output = made
    config = BatchConfig(augment=STILL)
    for batch in first(loader_of(stream_of(output), config=config), 5):
        objects, relations = batch.texts[: batch.num_objects], batch.texts[batch.num_objects :]
        assert objects[-1] == "no objects"
        assert len(set(objects)) == len(objects)
        assert len(set(relations)) == len(relations)
        for key, target in zip(batch.keys, batch.targets, strict=True):
            scene = known[key]
            regions = {region.id: region for region in scene.regions}
            expected: dict = {}
            for one in scene.relations:
                if one.source == "human" and one.state == "asserted" and one.subject != one.object:
                    expected.setdefault((one.subject, one.object), set()).add(one.predicate)
            assert len(target) == len(expected)
            found = {}
            scale = np.array([scene.image.width, scene.image.height] * 2)
            for row in range(len(target)):
                ids = []
                for box, label in ((target.subject_boxes_cxcywh[row], target.subject_labels[row]),
                                   (target.object_boxes_cxcywh[row], target.object_labels[row])):  # fmt: skip
                    centre, size = box[:2].numpy(), box[2:].numpy()
                    corners = np.concatenate([centre - size / 2, centre + size / 2]) * scale
                    (region,) = [
                        one for one in regions.values()
                        if np.allclose(np.clip(one.box, 0, np.array(scale)), corners, atol=1e-3)
                    ]  # fmt: skip
                    assert objects[label] == region.name
                    ids.append(region.id)
                held = target.predicate_labels[row]
                found[tuple(ids)] = {relations[place] for place in torch.nonzero(held).flatten().tolist()}
                assert set(held.tolist()) <= {0.0, 1.0}
            assert found == expected
            assert not target.unknown_predicates.any(), "the annotators left nothing out"


def test_pseudo_labels_leave_unknown_what_nobody_judged(made):
    known, output = made
    config = BatchConfig(augment=STILL, labels=LabelConfig())
    soft, open_entries = set(), 0
    for batch in first(loader_of(stream_of(output), config=config, sources=[PSEUDO]), 5):
        relations = batch.texts[batch.num_objects :]
        for key, target, unknown in zip(batch.keys, batch.targets, batch.unknown, strict=True):
            said = {one.predicate for one in known[key].relations if one.source == "tagger"}
            assert {relations[i] for i in torch.nonzero(unknown.predicates).flatten()} == said
            for row in range(len(target)):
                held = {relations[i] for i in torch.nonzero(target.predicate_labels[row]).flatten()}
                open_ = {relations[i] for i in torch.nonzero(target.unknown_predicates[row]).flatten()}
                assert open_ == said - held, "said of another pair of the picture"
                open_entries += len(open_)
                soft |= set(target.predicate_labels[row].tolist())
            size = len(unknown.boxes_cxcywh)
            assert not unknown.unknown.diagonal().any()
            assert int(unknown.unknown.sum()) == size * (size - 1) - len(target)
    assert soft == {0.0, 0.25, 0.75}
    assert open_entries


def test_the_published_recipe_knows_everything(made):
    _, output = made
    config = BatchConfig(augment=STILL, labels=LabelConfig.published(), unknown_pairs=False)
    for batch in first(loader_of(stream_of(output), config=config, sources=[PSEUDO]), 3):
        assert batch.unknown is None
        for target in batch.targets:
            assert not target.unknown_predicates.any()
            assert set(target.predicate_labels.unique().tolist()) <= {0.0, 1.0}


def test_a_mirrored_picture_has_mirrored_predicates(tmp_path):
    (scene,) = scenes(1)
    a, b = scene.regions[:2]
    left = Relation(a.id, b.id, "to the left of", "to the left of", 1.0, "human")
    output = write_output(tmp_path / "out", [replace(scene, relations=(left,))] * 1)
    seen = set()
    for batch in first(
        loader_of(stream_of(output), batch_size=1, config=BatchConfig(augment=replace(STILL, flip=0.5))), 12
    ):
        (target,) = batch.targets
        relations = batch.texts[batch.num_objects :]
        (text,) = [relations[i] for i in torch.nonzero(target.predicate_labels[0]).flatten()]
        # Where the subject's centre was left of the object's it is right of it in the mirror.
        was_left = a.box[0] + a.box[2] < b.box[0] + b.box[2]
        is_left = bool(target.subject_boxes_cxcywh[0, 0] < target.object_boxes_cxcywh[0, 0])
        assert text == ("to the left of" if is_left == was_left else mirrored("to the left of"))
        seen.add(text)
    assert seen == {"to the left of", "to the right of"}


def test_the_label_sequence_is_filled_up_with_what_is_spoken_of_nearby(made):
    _, output = made
    everything = stream_of(output).texts(0, 4)
    few = BatchConfig(augment=AUGMENT, num_objects=6, num_relations=5)
    for batch in first(loader_of(stream_of(output), batch_size=1, config=few), 10):
        assert batch.num_objects >= 7
        assert len(batch.texts) - batch.num_objects >= 5
    for batch in first(loader_of(stream_of(output), batch_size=1), 3):
        assert set(batch.texts) >= {*everything.names, *everything.predicates}, "there is room for all"


def test_all_batches_may_be_asked_about_the_same_texts(made):
    _, output = made
    texts = BatchTexts(objects=("never seen", "person"), relations=("adore", "ride"))
    make = BatchMaker(BatchConfig(augment=AUGMENT), seed=0, multiple_of=16, sources=[SourceLabels()], texts=texts)
    needed = loader_of(stream_of(output), config=BatchConfig(augment=AUGMENT, num_objects=1, num_relations=1),
                       sources=[SourceLabels()])  # fmt: skip
    loader = StreamLoader(stream_of(output), batch_size=4, make=make, whole_batch=True)
    for batch, least in zip(first(loader, 3), first(needed, 3), strict=True):
        objects, relations = batch.texts[: batch.num_objects - 1], batch.texts[batch.num_objects :]
        assert set(objects) == {*texts.objects, *least.texts[: least.num_objects - 1]}
        assert set(relations) == {*texts.relations, *least.texts[least.num_objects :]}
        assert [list(objects), list(relations)] == [sorted(objects), sorted(relations)]


def test_an_output_without_pictures_is_told(tmp_path):
    (scene,) = scenes(1)
    output = write_output(tmp_path / "out", [replace(scene, image=replace(scene.image, data=None))])
    (batch,) = first(loader_of(stream_of(output), batch_size=1), 1)
    assert batch.keys == ()
    assert "has no pictures" in batch.problem


def test_a_picture_that_cannot_be_decoded_is_left_out_and_counted(tmp_path):
    good, bad = scenes(2)
    bad = replace(bad, image=replace(bad.image, data=bad.image.data[:200]))
    output = write_output(tmp_path / "out", [good, bad])
    (batch,) = first(loader_of(stream_of(output), batch_size=2), 1)
    assert batch.keys == (good.key,)
    assert batch.num_unreadable == 1
    assert batch.problem.startswith(bad.key)
