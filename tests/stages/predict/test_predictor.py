"""A network with a question: what is asked, how pictures share batches, and what its answers become."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detector_made import save_tiny_detector
from PIL import Image as Pictures

torch = pytest.importorskip("torch", reason="needs the libraries of networks: pip install -e '.[blip]'")
pytest.importorskip("transformers", reason="needs the libraries of networks: pip install -e '.[blip]'")

from schemas import BadInputError, Image, OutOfMemoryError, UserError  # noqa: E402
from stages.evaluate.detections import LabelSpace, image_prediction  # noqa: E402
from stages.evaluate.hicodet_classes import hico_classes  # noqa: E402
from stages.evaluate.read import Notes, read_predictions  # noqa: E402
from stages.predict import (  # noqa: E402
    Predictor,
    Question,
    check_layout,
    hicodet_question,
    known_part,
    open_detector,
    prediction_text,
    question_of,
    scene_graph,
    vcoco_question,
)

CPU = torch.device("cpu")
ASKED = question_of(["person", "horse", "dog"], ["ride", "hold", "sit_on"], where="test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return save_tiny_detector(tmp_path_factory.mktemp("predictor") / "network")


def predictor(folder: Path, question: Question = ASKED, **options) -> Predictor:
    return Predictor(open_detector(folder), question, device=CPU, **options)


def encoded(width: int, height: int, seed: int = 0) -> bytes:
    data = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Pictures.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


SIZES = ((120, 80), (80, 120), (64, 64), (120, 80), (300, 40))


def as_rows(prediction, space=ASKED.space) -> list[tuple]:
    return [
        (space.objects[prediction.labels[s]], space.predicates[p], space.objects[prediction.labels[o]])
        for s, o, p in prediction.relations.tolist()
    ]


# What is asked


def test_names_are_asked_about_as_words():
    asked = question_of(["Hot_Dog", " tv  set"], ["sitting_on"], where="x")
    assert asked.space == LabelSpace(("hot dog", "tv set"), ("sitting on",))
    with pytest.raises(BadInputError, match=r"x: predicates: 'sit_on' is there twice"):
        question_of(["a"], ["Sit on", "sit_on"], where="x")
    with pytest.raises(BadInputError, match=r"x: has no predicates; say what to look for"):
        question_of(["a"], [], where="x")


def test_hicodet_is_asked_as_published():
    asked = hicodet_question()
    assert (len(asked.space.objects), len(asked.space.predicates), int(asked.possible.sum())) == (80, 117, 600)
    assert (asked.subject, asked.count_subject) == ("person", False)
    horse, ride, sit_on = (
        texts.index(text)
        for texts, text in (
            (asked.space.objects, "horse"), (asked.space.predicates, "ride"), (asked.space.predicates, "sit on"),
        )
    )  # fmt: skip
    assert asked.possible[horse, ride]
    assert not asked.possible[horse, sit_on]


def test_vcoco_is_asked_what_its_roles_mean():
    asked = vcoco_question()
    assert (len(asked.space.objects), len(asked.space.predicates)) == (80, 25)  # 29 actions and roles, 4 without a role
    assert {"sit on", "cut with", "cut", "look at"} < set(asked.space.predicates)
    assert "stand" not in asked.space.predicates


def test_words_that_were_never_learned_are_not_asked(folder):
    checkpoint = open_detector(folder)
    part, unknown = known_part(hicodet_question(), checkpoint)
    assert set(part.space.objects) == {"person", "bench", "dog", "horse", "cup"}
    assert set(part.space.predicates) == {"hold", "ride", "sit on", "watch"}
    assert len(unknown) == 75 + 113
    classes = hico_classes()
    for i, name in enumerate(part.space.objects):
        for j, verb in enumerate(part.space.predicates):
            object_, predicate = (
                classes.space.objects.index(name),
                classes.space.predicates.index(verb.replace(" ", "_")),
            )
            assert part.possible[i, j] == (classes.table[object_, predicate] >= 0)
    assert known_part(ASKED, checkpoint) == (ASKED, ())
    assert known_part(hicodet_question(), replace(checkpoint, unknown_token=None))[1] == ()
    with pytest.raises(BadInputError, match="the network never learned words of zebra, so there is nothing left"):
        known_part(question_of(["zebra"], ["ride"], where="x"), checkpoint)
    with pytest.raises(BadInputError, match="nothing left to ask"):
        known_part(replace(question_of(["dog", "zebra"], ["ride"], where="x"), subject="zebra"), checkpoint)


# The network


def test_a_tagger_is_refused_with_the_cure(tmp_path):
    tagger = save_tiny_detector(tmp_path / "tagger", decoding="pairs")
    with pytest.raises(BadInputError, match=r"tagger: holds a Relation Tagger, .*give a network that looks for pairs"):
        open_detector(tagger)
    with pytest.raises(BadInputError, match="no such file; give the folder of a network"):
        open_detector(tmp_path / "nowhere")


def test_the_size_of_a_batch_changes_no_figure(folder):
    by_size = []
    for batch_size in (1, 2, 8):
        asked = predictor(folder, batch_size=batch_size, most=1000)
        by_size.append(asked.predict([asked.view(encoded(*size, seed)) for seed, size in enumerate(SIZES)]))
    for alone, *others in zip(*by_size, strict=True):
        assert len(alone.scores) == 36
        for other in others:
            np.testing.assert_allclose(other.scores, alone.scores, rtol=1e-3, atol=1e-6)
            np.testing.assert_allclose(np.sort(other.boxes, axis=0), np.sort(alone.boxes, axis=0), atol=0.03)
            assert sorted(as_rows(other)) == sorted(as_rows(alone))


def test_the_same_pictures_give_the_same_numbers(folder):
    def run():
        asked = predictor(folder)
        return asked.predict([asked.view(encoded(*size, seed)) for seed, size in enumerate(SIZES)])

    for first, second in zip(run(), run(), strict=True):
        np.testing.assert_array_equal(first.boxes, second.boxes)
        np.testing.assert_array_equal(first.scores, second.scores)


def test_a_network_that_padding_disturbs_sees_equal_sizes_together(tmp_path, monkeypatch):
    from stages.alif.config import PUBLISHED
    from stages.alif.detector import PairDetector

    batches = []
    detect = PairDetector.detect_resized
    monkeypatch.setattr(
        PairDetector, "detect_resized", lambda self, images, sizes: batches.append(sizes) or detect(self, images, sizes)
    )
    asked = predictor(save_tiny_detector(tmp_path / "published", repairs=PUBLISHED))
    views = [asked.view(encoded(*size)) for size in ((120, 80), (126, 80), (240, 160))]
    asked.predict(views)
    assert sorted(batches) == [[(120, 80), (240, 160)], [(126, 80)]]


def test_pictures_that_do_not_fit_together_are_looked_at_apart(folder, monkeypatch):
    from stages.alif.detector import PairDetector

    detect, sizes = PairDetector.detect_resized, []

    def small_memory(self, images, of):
        sizes.append(len(images))
        if len(images) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return detect(self, images, of)

    monkeypatch.setattr(PairDetector, "detect_resized", small_memory)
    room = 2
    asked = predictor(folder)
    views = [asked.view(encoded(120, 80, seed)) for seed in range(5)]
    assert len(asked.predict(views)) == 5
    assert sizes == [5, 3, 2, 2, 1]
    room = 0
    with pytest.raises(OutOfMemoryError, match="a picture, scaled to 96x64 pixels, does not fit"):
        predictor(folder).predict(views[:1])


def test_learned_queries_answer_as_learned_anchors_do(tmp_path):
    asked = predictor(save_tiny_detector(tmp_path / "parsed", decoding="parsed"), most=1000)
    (found,) = asked.predict([asked.view(encoded(120, 80))])
    assert len(found.scores) == 36


def test_an_answer_that_is_no_number_is_refused(folder):
    asked = predictor(folder)
    with torch.no_grad():
        asked._detector._model.decoder.head.relation_bias.fill_(float("nan"))
    with pytest.raises(BadInputError, match="what the network says is no number"):
        asked.predict([asked.view(encoded(64, 64))])


def test_a_pair_has_its_two_boxes_once_however_much_holds_of_it(folder):
    asked = predictor(folder, most=30)
    (found,) = asked.predict([asked.view(encoded(120, 80))])
    assert found.relations.shape == (30, 3)
    assert (np.diff(found.scores) <= 0).all()
    subjects = found.relations[:, 0]
    assert (subjects % 2 == 0).all()
    np.testing.assert_array_equal(found.relations[:, 1], subjects + 1)
    assert set(subjects.tolist()) == set(range(0, len(found.boxes), 2))
    assert len(np.unique(found.relations, axis=0)) == 30
    np.testing.assert_array_equal(found.triplet_scores, found.scores)


def test_only_the_subject_asked_for_and_what_can_be(folder):
    can_be = np.zeros((3, 3), dtype=np.bool_)
    can_be[1, 0] = can_be[2, 0] = True
    asked = predictor(folder, replace(ASKED, subject="horse", possible=can_be), most=1000)
    every = predictor(folder, most=1000)
    views = [every.view(encoded(*size, seed)) for seed, size in enumerate(SIZES)]
    some = [row for one in asked.predict(views) for row in as_rows(one)]
    assert sorted(some) == sorted(
        row for one in every.predict(views) for row in as_rows(one)
        if row[0] == "horse" and row[1] == "ride" and row[2] != "person"
    )  # fmt: skip
    assert some


# Layouts


PREDICTION = image_prediction(
    [[1.001, 2, 30.5, 40], [5, 20.126, 60, 50], [0, 0, 3, 3], [1, 1, 2, 2]], [0, 1, 0, 2],
    relations=[(0, 1, 0), (0, 1, 2), (2, 3, 1)], scores=[0.123456789, 0.1, 1e-9],
)  # fmt: skip


def test_triplets_are_read_back(tmp_path):
    text = prediction_text("triplets", "a/ä.jpg", PREDICTION, ASKED.space)
    assert json.loads(text)["triplets"][0] == [
        "person",
        [1, 2, 30.5, 40],
        "ride",
        "horse",
        [5, 20.13, 60, 50],
        0.1234568,
    ]
    path = tmp_path / "p.jsonl"
    path.write_text(text + "\n", encoding="utf-8")
    (read,) = read_predictions(str(path), ASKED.space, Notes())
    assert read.image == "ä"
    np.testing.assert_array_equal(read.prediction.relations, PREDICTION.relations)
    np.testing.assert_array_equal(read.prediction.labels, PREDICTION.labels)
    np.testing.assert_allclose(read.prediction.boxes, PREDICTION.boxes, atol=0.005)
    np.testing.assert_allclose(read.prediction.scores, PREDICTION.scores, rtol=1e-6)


def test_hicos_list_is_read_back_by_number(tmp_path):
    space = hicodet_question().space
    numbers = [space.objects.index(name) for name in ("person", "horse", "person", "dog")]
    verbs = [space.predicates.index(verb) for verb in ("ride", "sit on", "hold")]
    given = replace(PREDICTION, labels=np.array(numbers), relations=np.array([(0, 1, verbs[0]), (2, 3, verbs[2])]),
                    scores=np.array([0.5, 0.25]))  # fmt: skip
    path = tmp_path / "p.json"
    path.write_text(f"[{prediction_text('hoi_list', 'HICO_1.jpg', given, space)}]")
    (element,) = json.loads(path.read_text())
    assert element["hoi_prediction"][0] == {"subject_id": 0, "object_id": 1, "category_id": 77, "score": 0.5}
    assert [one["category_id"] for one in element["predictions"]] == [1, 19, 1, 18]  # COCO's ids
    (read,) = read_predictions(str(path), hico_classes().space, Notes())
    np.testing.assert_array_equal(read.prediction.relations, given.relations)
    np.testing.assert_array_equal(read.prediction.labels, given.labels)


def test_a_layout_of_numbers_needs_hicos_classes():
    check_layout("hoi_list", hicodet_question().space)
    check_layout("triplets", LabelSpace(("anything",), ("whatever",)))
    with pytest.raises(UserError, match="--format hoi_list numbers HICO-DET's classes, and 'whatever' is none"):
        check_layout("hoi_list", LabelSpace(("person",), ("whatever",)))


# The scene graph


def graph(boxes, labels, relations, scores, most=10):
    space = LabelSpace(("person", "horse"), ("ride", "hold"))
    return scene_graph(
        "p", Image("p.jpg", 100, 100), image_prediction(boxes, labels, relations, scores), space, most=most
    )


def said(scene) -> list[tuple]:
    return [(one.subject, one.predicate, one.object, one.score) for one in scene.relations]


def test_a_thing_that_several_pairs_found_is_one():
    boxes = [[0, 0, 40, 80], [50, 0, 90, 80], [1, 0, 41, 80], [50, 50, 90, 99], [0, 1, 40, 80], [51, 0, 90, 80]]
    scene = graph(boxes, [0, 1, 0, 1, 0, 1], [(4, 5, 0), (0, 1, 0), (2, 3, 1)], [0.4, 0.9, 0.5])
    assert [(region.name, region.box) for region in scene.regions] == [
        ("person", (0, 0, 40, 80)), ("horse", (50, 0, 90, 80)), ("horse", (50, 50, 90, 99)),
    ]  # fmt: skip
    assert said(scene) == [(0, "ride", 1, 0.9), (0, "hold", 2, 0.5)]


def test_equal_boxes_of_two_names_are_two_things():
    box = [0, 0, 40, 80]
    assert len(graph([box, box], [0, 1], [(0, 1, 0)], [0.5]).regions) == 2


def test_the_ends_of_a_pair_are_never_one_thing():
    boxes = [[0, 0, 40, 80], [1, 0, 41, 80], [1, 0, 41, 80], [0, 0, 40, 80]]
    scene = graph(boxes, [0, 0, 0, 0], [(0, 1, 0), (0, 1, 1), (2, 3, 0)], [0.9, 0.8, 0.7])
    assert said(scene) == [(0, "ride", 1, 0.9), (0, "hold", 1, 0.8), (1, "ride", 0, 0.7)]


def test_a_graph_has_as_many_triplets_as_wanted_and_no_thing_beyond():
    boxes = [[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9], [60, 0, 69, 9]]
    scene = graph(boxes, [0, 1, 0, 1], [(0, 1, 0), (2, 3, 0)], [0.2, 0.3], most=1)
    assert said(scene) == [(0, "ride", 1, 0.3)]
    assert [region.box[0] for region in scene.regions] == [40, 60]
    assert graph([], [], [], []).regions == ()
