"""What a network says of pairs, and which triplets of it are kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from detector_made import WORDS, save_tiny_detector
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from schemas import BadInputError, UserError
from stages.alif.checkpoint import Checkpoint, load_checkpoint
from stages.alif.detector import DetectedPairs, PairDetector, best_triplets
from stages.threads import one_thread

NAMES, PREDICATES = ("person", "horse", "dog"), ("ride", "hold", "near", "sit on")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Checkpoint:
    return load_checkpoint(save_tiny_detector(tmp_path_factory.mktemp("detector") / "network"))


@pytest.fixture(autouse=True)
def alone():
    with one_thread():
        yield


def detector(checkpoint: Checkpoint, objects=NAMES, predicates=PREDICATES, **options) -> PairDetector:
    return PairDetector(
        checkpoint.model, checkpoint.tokenize, objects=objects, predicates=predicates, **{"multiple_of": 16} | options
    )


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def parts(pairs: DetectedPairs) -> list[np.ndarray]:
    return [pairs.subject_boxes_xyxy_px, pairs.object_boxes_xyxy_px, pairs.subject_scores, pairs.object_scores,
            pairs.predicate_scores]  # fmt: skip


# The network


def test_answers_are_probabilities_and_boxes_lie_in_the_picture(checkpoint):
    (found,) = detector(checkpoint).detect([picture(120, 80)], short_side=64, longest=107)
    for boxes in (found.subject_boxes_xyxy_px, found.object_boxes_xyxy_px):
        assert boxes.shape == (12, 4)
        assert (boxes[:, :2] <= boxes[:, 2:]).all()
        assert (boxes >= 0).all()
        assert (boxes <= [120, 80, 120, 80]).all()
    for scores in (found.subject_scores, found.object_scores):
        assert scores.shape == (12, 3)
        assert (scores.sum(1) < 1).all()  # the rest is that there is nothing
    assert found.predicate_scores.shape == (12, 4)
    assert ((found.predicate_scores > 0) & (found.predicate_scores < 1)).all()
    assert detector(checkpoint).detect([], short_side=64, longest=107) == []


def test_a_picture_alone_is_answered_as_in_a_batch(checkpoint):
    pictures = [picture(120, 80), picture(80, 120, 1), picture(64, 64, 2)]
    ask = detector(checkpoint)
    together = ask.detect(pictures, short_side=64, longest=107)
    for one, found in zip(pictures, together, strict=True):
        (alone,) = ask.detect([one], short_side=64, longest=107)
        for expected, part in zip(parts(alone), parts(found), strict=True):
            np.testing.assert_allclose(part, expected, rtol=1e-3, atol=1e-4)


def test_texts_in_another_order_are_answered_in_that_order(checkpoint):
    objects, predicates = [2, 0, 1], [3, 1, 0, 2]
    (first,) = detector(checkpoint).detect([picture(96, 64)], short_side=64, longest=107)
    (second,) = detector(
        checkpoint, [NAMES[i] for i in objects], [PREDICATES[i] for i in predicates]
    ).detect([picture(96, 64)], short_side=64, longest=107)  # fmt: skip
    expected = parts(replace(
        first, subject_scores=first.subject_scores[:, objects], object_scores=first.object_scores[:, objects],
        predicate_scores=first.predicate_scores[:, predicates],
    ))  # fmt: skip
    for one, other in zip(parts(second), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    assert abs(first.predicate_scores[:, predicates] - first.predicate_scores).max() > 1e-3  # they are told apart


def test_half_precision_says_about_the_same(checkpoint):
    views = [picture(96, 64)]
    (exact,) = detector(checkpoint).detect(views, short_side=64, longest=107)
    (half,) = detector(checkpoint, bfloat16=True).detect(views, short_side=64, longest=107)
    assert 0 < np.median(abs(half.predicate_scores - exact.predicate_scores)) < 0.05


@pytest.mark.parametrize(("objects", "predicates"), [((), PREDICATES), (NAMES, ()), (("dog", "dog"), PREDICATES)])
def test_no_text_and_one_text_twice_are_refused(checkpoint, objects, predicates):
    with pytest.raises(UserError, match="give at least one, and each once"):
        detector(checkpoint, objects, predicates)


def test_a_text_that_is_too_long_is_refused(checkpoint):
    with pytest.raises(BadInputError, match=r"the text 'sit sit .*has 11 tokens, but the text encoder takes 8"):
        detector(checkpoint, predicates=("ride", " ".join(["sit"] * 9)))


def test_the_network_of_these_tests_knows_the_words_they_ask_about():
    assert {word for text in (*NAMES, *PREDICATES) for word in text.split()} <= set(WORDS)
    assert torch.get_num_threads() == 1


# The best triplets


def made(subjects, objects, predicates) -> DetectedPairs:
    boxes = np.zeros((len(predicates), 4))
    return DetectedPairs(boxes, boxes, *(np.array(part, dtype=np.float64) for part in (subjects, objects, predicates)))


# Two names and two predicates; products are exact in binary.
SMALL = made(
    subjects=[[0.5, 0.25], [0.125, 0.5], [0.5, 0.25]],
    objects=[[0.25, 0.5], [1.0, 0.0], [0.5, 0.25]],
    predicates=[[0.5, 1.0], [0.25, 1.0], [0.5, 0.5]],
)


def rows(found) -> list[tuple]:
    columns = (found.pairs, found.subjects, found.predicates, found.objects, found.scores)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_triplets_come_by_the_product_of_their_parts_and_equal_ones_as_they_stand():
    assert rows(best_triplets(SMALL, most=9)) == [
        (1, 1, 1, 0, 0.5),
        (0, 0, 1, 1, 0.25),
        (0, 0, 0, 1, 0.125), (1, 1, 0, 0, 0.125), (2, 0, 0, 0, 0.125), (2, 0, 1, 0, 0.125),
    ]  # fmt: skip
    assert rows(best_triplets(SMALL, most=4)) == rows(best_triplets(SMALL, most=9))[:4]


def test_hico_counts_people_and_not_how_sure_they_are():
    assert rows(best_triplets(SMALL, most=9, subject=0, count_subject=False)) == [
        (0, 0, 1, 1, 0.5), (0, 0, 0, 1, 0.25), (2, 0, 0, 0, 0.25), (2, 0, 1, 0, 0.25),
    ]  # fmt: skip


def test_what_cannot_be_and_what_is_too_unsure_is_left_out():
    possible = np.array([[True, False], [False, True]])
    assert rows(best_triplets(SMALL, most=9, possible=possible)) == [
        (0, 0, 1, 1, 0.25), (1, 1, 0, 0, 0.125), (2, 0, 0, 0, 0.125),
    ]  # fmt: skip
    assert rows(best_triplets(SMALL, most=9, min_score=0.25)) == [(1, 1, 1, 0, 0.5), (0, 0, 1, 1, 0.25)]


def test_a_picture_without_such_pairs_has_no_triplet():
    nobody = made(subjects=[[0.1, 0.2]], objects=[[0.1, 0.2]], predicates=[[0.5, 0.5]])
    assert rows(best_triplets(nobody, most=5, subject=0)) == []


@st.composite
def answers(draw: st.DrawFn) -> DetectedPairs:
    """Up to five pairs, three names and three predicates, with few distinct scores, so that many are equal."""
    pairs, names, predicates = (draw(st.integers(1, most)) for most in (5, 3, 3))

    def table(columns: int) -> list[list[float]]:
        row = st.lists(st.integers(0, 4).map(lambda n: n / 4), min_size=columns, max_size=columns)
        return draw(st.lists(row, min_size=pairs, max_size=pairs))

    return made(table(names), table(names), table(predicates))


@settings(max_examples=60)
@given(answers(), st.integers(1, 12), st.booleans(), st.booleans(), st.data())
def test_the_best_are_those_of_a_plain_loop(pairs, most, people_only, count_subject, data):
    num_names, num_predicates = pairs.object_scores.shape[1], pairs.predicate_scores.shape[1]
    cells = data.draw(st.lists(st.booleans(), min_size=9, max_size=9))
    possible = np.array(cells).reshape(3, 3)[:num_names, :num_predicates]
    expected = []
    for pair in range(len(pairs.predicate_scores)):
        subject, object_ = (int(scores[pair].argmax()) for scores in (pairs.subject_scores, pairs.object_scores))
        for predicate in range(num_predicates):
            score = pairs.object_scores[pair, object_] * pairs.predicate_scores[pair, predicate]
            score *= pairs.subject_scores[pair, subject] if count_subject else 1
            if possible[object_, predicate] and (not people_only or subject == 0):
                expected.append((pair, subject, predicate, object_, score))
    expected.sort(key=lambda row: -row[4])  # a stable sort
    options = {"subject": 0 if people_only else None, "count_subject": count_subject, "possible": possible}
    assert rows(best_triplets(pairs, most=most, **options)) == expected[:most]
