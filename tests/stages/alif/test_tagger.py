"""The Relation Tagger, against the outputs and the JSON of the published one; and what holds for ours."""

import json
from pathlib import Path

import pytest
import torch
from parity_made import converted_model, difference, fixtures, one_file, spec_values, tensors

from stages.alif.images import batch_images
from stages.alif.tagger import PairGroup, decode_pairs, repeated

LOGITS, BOXES = 2e-3, 1e-4


def test_the_published_tagger_writes_the_published_json(test_data: Path) -> None:
    for folder in fixtures(test_data, "F6_r_tagger/"):
        given, expected = tensors(folder / "inputs.safetensors"), tensors(folder / "outputs.safetensors")
        about = json.loads((folder / "inputs.json").read_text())
        record = json.loads((folder / "expected_annotations.json").read_text())[0]
        values = spec_values(one_file(folder, "*.spec.json"))
        model = converted_model(values)
        with torch.inference_mode():
            relations = published_tagging(model, given, about, expected)
        ids = [one["object_id"] for one in record["objects"]]
        wanted = [
            (one["predicate"], ids.index(one["subject_id"]), ids.index(one["object_id"]), one["confidence"])
            for one in record["relationships"]
        ]
        assert [one[:3] for one in relations] == [one[:3] for one in wanted]
        assert [one[3] for one in relations] == pytest.approx([one[3] for one in wanted], abs=1e-4)


def published_tagging(model, given, about, expected):
    """As the published script: so many groups a call, every pair against the texts of all groups of its call."""
    classes, rows = list(about["coco_id_to_name"].values()), about["text_row_order"]
    place_of = {int(number): place for place, number in enumerate(about["coco_id_to_name"])}
    labels = torch.tensor([place_of[number] for number in given["box_coco_ids"].tolist()])
    pixels, padding = batch_images([given["image"]])
    found = []
    groups, size = about["relation_candidates"], about["img_inference_batch"]
    for call, start in enumerate(range(0, len(groups), size)):
        part = groups[start : start + size]
        texts = list(dict.fromkeys(text for _, of_group in part for text in of_group))
        chosen = [rows.index(text) for text in (*classes, "no objects", *texts)]
        features = model.text_encoder(given["input_ids"][chosen], given["attention_mask"][chosen])
        encoded = repeated(model.encode(pixels, padding, features), torch.tensor([len(part)]))
        group = padded_group(part, given["boxes_cxcywh_norm"], labels)
        decoded = decode_pairs(model, encoded, group, num_objects=len(classes) + 1, num_relations=len(texts))
        logits = decoded.relation_logits[-1]
        for row, (pairs, _) in enumerate(part):
            used = slice(None, len(pairs))
            for name, ours, limit in (
                ("pred_verb_logits", logits, LOGITS),
                ("pred_sub_boxes", decoded.subject_boxes[-1], BOXES),
                ("pred_obj_boxes", decoded.object_boxes[-1], BOXES),
            ):
                assert difference(ours[row, used], expected[f"call{call}.{name}"][row, used]) <= limit, name
            scores = logits[row, used].sigmoid()
            for pair, text in (scores > about["relation_threshold"]).nonzero().tolist():
                found.append((texts[text], *pairs[pair], float(scores[pair, text])))
    return found


def padded_group(part, boxes, labels, num_slots=100):
    """The pairs of some groups, padded to the published number of slots."""
    ends = torch.zeros(len(part), num_slots, 2, dtype=torch.int64)
    padding = torch.ones(len(part), num_slots, dtype=torch.bool)
    for row, (pairs, _) in enumerate(part):
        ends[row, : len(pairs)] = torch.tensor(pairs)
        padding[row, : len(pairs)] = False
    subjects, objects = ends.unbind(-1)
    return PairGroup(boxes[subjects], boxes[objects], labels[subjects], labels[objects], padding)


@pytest.fixture(scope="module")
def tagger(tiny_tagger):
    _, model, _ = tiny_tagger
    return model


def scores(model, image, boxes, labels, pairs, texts, *, num_slots=None):
    """(pairs, texts) scores of one image; three object texts."""
    with torch.inference_mode():
        pixels, padding = batch_images([image], multiple_of=64)
        group = padded_group([(pairs, None)], boxes, labels, num_slots or len(pairs))
        encoded = model.encode(pixels, padding, texts)
        decoded = decode_pairs(model, encoded, group, num_objects=3, num_relations=len(texts) - 3)
        return decoded.relation_logits[-1, 0, : len(pairs)].sigmoid()


@pytest.fixture(scope="module")
def scene():
    torch.manual_seed(1)
    return torch.randn(3, 64, 96), torch.rand(4, 4) * 0.4 + 0.2, torch.tensor([0, 1, 0, 1]), torch.randn(7, 32)


def test_permuting_pairs_and_texts_permutes_the_scores(tagger, scene) -> None:
    image, boxes, labels, texts = scene
    pairs = [[0, 1], [2, 3], [0, 3], [1, 0]]
    once = scores(tagger, image, boxes, labels, pairs, texts)
    order, of_texts = [2, 0, 3, 1], [1, 3, 0, 2]
    mixed_texts = torch.cat((texts[:3], texts[3:][of_texts]))
    again = scores(tagger, image, boxes, labels, [pairs[i] for i in order], mixed_texts)
    assert difference(again, once[order][:, of_texts]) <= 1e-5


def test_permuting_regions_changes_nothing(tagger, scene) -> None:
    image, boxes, labels, texts = scene
    order = [3, 1, 0, 2]
    moved = [[order.index(a), order.index(b)] for a, b in ([0, 1], [2, 3])]
    once = scores(tagger, image, boxes, labels, [[0, 1], [2, 3]], texts)
    assert difference(scores(tagger, image, boxes[order], labels[order], moved, texts), once) <= 1e-6


def test_a_padded_pair_changes_nothing(tagger, scene) -> None:
    image, boxes, labels, texts = scene
    pairs = [[0, 1], [2, 3]]
    once = scores(tagger, image, boxes, labels, pairs, texts)
    assert difference(scores(tagger, image, boxes, labels, pairs, texts, num_slots=7), once) <= 1e-5


def test_five_hundred_pairs_are_scored_at_once(tagger, scene) -> None:
    image, boxes, labels, texts = scene
    assert scores(tagger, image, boxes, labels, [[0, 1]] * 500, texts).shape == (500, 4)
