"""The zero-shot sets and few-shot subsets of HICO-DET's training annotations."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas import UserError
from stages.evaluate.hicodet_classes import hico_classes
from stages.evaluate.hicodet_splits import (
    FEW_SHOT_PERCENT,
    ZERO_SHOT,
    TrainingImage,
    few_shot_names,
    hidden_in,
    num_instances,
    seen_relations,
    shipped_few_shot_names,
)

NUMBERS = st.none() | st.integers(0, 599)
# Few verbs and objects among many images, as in HICO-DET: then a cover is small and a subset is not all cover.
COMMON = st.none() | st.integers(0, 9)


def images_of(numbers: st.SearchStrategy[int | None], *, least: int = 0) -> st.SearchStrategy[list[TrainingImage]]:
    image = st.builds(
        TrainingImage,
        name=st.text("abc", min_size=1, max_size=8),
        interactions=st.lists(numbers, max_size=4).map(tuple),
        broken=st.sampled_from([False, False, False, True]),
    )
    return st.lists(image, min_size=least, max_size=60, unique_by=lambda one: one.name)


def number_of(name: str) -> int:
    return next(number for number in range(600) if hico_classes().name(number) == name)


@pytest.mark.parametrize("split", ZERO_SHOT)
def test_a_zero_shot_set_leaves_out_its_unseen_interactions_and_nothing_else(split):
    image = TrainingImage("1.jpg", tuple(range(600)))
    assert set(seen_relations(image, split)) == set(range(600)) - hico_classes().unseen[split]


@given(st.lists(NUMBERS, max_size=20).map(tuple), st.sampled_from(ZERO_SHOT))
@settings(max_examples=50)
def test_what_stays_keeps_its_order_and_what_is_no_interaction_stays(numbers, split):
    places = seen_relations(TrainingImage("1.jpg", numbers), split)
    assert list(places) == sorted(set(places))
    assert all(place in places for place, number in enumerate(numbers) if number is None)
    assert all(hidden_in(numbers[place]) == () or split not in hidden_in(numbers[place]) for place in places)


def test_an_image_with_nothing_but_unseen_interactions_is_left_empty():
    unseen = min(hico_classes().unseen["uo"])
    assert seen_relations(TrainingImage("1.jpg", (unseen, unseen)), "uo") == ()


def test_unseen_objects_are_hidden_with_all_their_verbs():
    assert hidden_in(number_of("walk dog")) == ("uo",)
    assert hidden_in(number_of("board airplane")) == ()


@given(images_of(COMMON), st.integers(0, 3), st.integers(1, 100), st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_a_subset_does_not_depend_on_the_order_of_the_images(images, seed, percent, random):
    shuffled = random.sample(images, len(images))
    assert drawn_or_refused(shuffled, percent, seed) == drawn_or_refused(images, percent, seed)


@given(images_of(COMMON), st.integers(0, 3), st.integers(1, 100))
@settings(max_examples=100)
def test_a_subset_has_its_size_every_verb_and_object_and_only_whole_images_with_relations(images, seed, percent):
    usable = {image.name: image for image in images if image.takes_part}
    try:
        names = few_shot_names(images, percent=percent, seed=seed)
    except UserError:
        assume(False)
    assert abs(len(names) - percent / 100 * len(usable)) <= 0.5 + 1e-9
    assert list(names) == sorted(set(names))
    assert verbs_and_objects(usable[name] for name in names) == verbs_and_objects(usable.values())


@given(images_of(COMMON, least=10), st.integers(0, 3), st.integers(1, 100), st.integers(1, 100))
@settings(max_examples=40)
def test_the_smaller_subset_is_part_of_the_larger(images, seed, one, other):
    try:
        smaller, larger = (few_shot_names(images, percent=size, seed=seed) for size in sorted((one, other)))
    except UserError:
        assume(False)
    assert set(smaller) <= set(larger)


def test_a_hundred_percent_are_all_images_with_relations():
    images = [TrainingImage("b", (0,)), TrainingImage("a", (1, None)), TrainingImage("c", (None,))]
    assert few_shot_names(images, percent=100, seed=5) == ("a", "b")


def test_images_with_a_broken_relation_are_not_drawn():
    images = [TrainingImage("a", (0,)), TrainingImage("b", (0, None), broken=True)]
    assert few_shot_names(images, percent=100, seed=0) == ("a",)


def test_seeds_draw_differently():
    images = [TrainingImage(f"{number}.jpg", (0,)) for number in range(200)]
    assert len({few_shot_names(images, percent=10, seed=seed) for seed in range(5)}) == 5


def test_too_small_a_subset_says_how_many_images_it_takes():
    images = [TrainingImage(f"{number}.jpg", (number,)) for number in (0, 100, 200, 300)]
    with pytest.raises(UserError, match=r"25 % of 4 images with relations are 1, but with seed 0 it takes 4 to have"):
        few_shot_names(images, percent=25, seed=0)


@pytest.mark.parametrize(
    ("percent", "seed", "message"), [(0, 0, "percent is 0"), (101, 0, "101"), (1, -1, "seed is -1")]
)
def test_a_seed_or_percentage_out_of_range_is_refused(percent, seed, message):
    with pytest.raises(UserError, match=message):
        few_shot_names([], percent=percent, seed=seed)


@given(images_of(NUMBERS))
@settings(max_examples=30)
def test_instances_are_counted_by_relation_and_what_is_no_interaction_is_not(images):
    counts = num_instances(images)
    assert counts.shape == (600,)
    assert counts.sum() == sum(number is not None for image in images for number in image.interactions)
    doubled = [dataclasses.replace(image, interactions=image.interactions * 2) for image in images]
    np.testing.assert_array_equal(num_instances(doubled), 2 * counts)


def test_the_shipped_subsets_are_nested_sorted_and_a_tenth_of_each_other():
    small, large = (shipped_few_shot_names(percent) for percent in FEW_SHOT_PERCENT)
    assert set(small) < set(large)
    assert list(small) == sorted(set(small))
    assert list(large) == sorted(set(large))
    assert abs(len(large) - 10 * len(small)) <= 5


def verbs_and_objects(images) -> tuple[set[int], set[int]]:
    pairs = {hico_classes().interactions[i] for image in images for i in image.interactions if i is not None}
    return {verb for _, verb in pairs}, {object_ for object_, _ in pairs}


def drawn_or_refused(images: list[TrainingImage], percent: int, seed: int) -> tuple[str, ...] | str:
    try:
        return few_shot_names(images, percent=percent, seed=seed)
    except UserError as error:
        return str(error)
