"""What a scene teaches."""

from dataclasses import replace

import pytest

from schemas import Image, Region, Relation, Scene
from stages.pretrain import LabelConfig, SourceLabels, scene_labels

REGIONS = tuple(Region(10 + i, name, (i, 0.0, i + 1.0, 5.0)) for i, name in enumerate(["man", "horse", "dog", "hat"]))


def relation(subject: int, predicate: str, object_: int, score: float = 0.5, **options) -> Relation:
    return Relation(10 + subject, 10 + object_, predicate, predicate, score, options.pop("source", "tagger"), **options)


def scene(*relations: Relation) -> Scene:
    return Scene("x-1", Image("x.jpg", 8, 6, "jpg"), REGIONS, relations=relations)


def labels(*relations: Relation, learn="all", **config):
    return scene_labels(scene(*relations), LabelConfig(**config), SourceLabels(learn=learn))


def test_a_soft_target_is_the_calibrated_probability_or_else_the_score():
    found = labels(
        relation(0, "ride", 1, 0.6, probability=0.9),
        relation(0, "hold", 1, 0.3),
        relation(0, "wear", 3, source="human"),
    )
    assert [(pair.subject, pair.object, dict(pair.holds)) for pair in found.pairs] == [
        (0, 3, {"wear": 1.0}),
        (0, 1, {"ride": 0.9, "hold": 0.3}),
    ]


def test_the_published_target_is_one_from_a_confidence_of_a_fifth_on():
    relations = [relation(0, "ride", 1, 0.2), relation(0, "hold", 1, 0.19), relation(2, "near", 1, 0.9)]
    found = scene_labels(scene(*relations), LabelConfig.published(), SourceLabels())
    assert [(pair.subject, dict(pair.holds)) for pair in found.pairs] == [(0, {"ride": 1.0}), (2, {"near": 1.0})]
    assert found.complete, "what is not said is false"


def test_the_best_pairs_are_kept_and_the_others_are_not_denied():
    relations = [relation(0, "ride", 1, 0.2), relation(2, "near", 1, 0.9), relation(0, "wear", 3, 0.4)]
    assert [pair.subject for pair in labels(*relations, max_pairs=2, kept="first").pairs] == [0, 2]
    found = labels(*relations, max_pairs=2)
    assert [(pair.subject, pair.object) for pair in found.pairs] == [(2, 1), (0, 3)]
    assert found.left_out == {(0, 1)}


def test_a_denial_overrules_the_tagger_and_is_kept():
    found = labels(relation(0, "ride", 1, 0.9), relation(0, "ride", 1, state="denied", source="human"),
                   relation(0, "feed", 1, 0.3), relation(2, "chase", 3, state="denied"))  # fmt: skip
    (pair,) = found.pairs
    assert dict(pair.holds) == {"feed": 0.3}
    assert pair.denied == {"ride"}
    assert found.judged == {(0, 1), (2, 3)}
    assert found.mentioned == {"ride", "feed"}


def test_that_people_see_no_interaction_may_be_learned_as_a_predicate():
    relations = [
        relation(0, "interact with", 1, state="denied", source="human"),
        relation(0, "wear", 3, source="human"),
        relation(2, "interact with", 3, state="denied"),
        relation(0, "chase", 2, state="denied", source="human"),
    ]
    assert {name for pair in labels(*relations).pairs for name in pair.holds} == {"wear"}
    found = labels(*relations, no_interaction=True)
    assert {(pair.subject, pair.object): dict(pair.holds) for pair in found.pairs} == {
        (0, 1): {"no interaction": 1.0}, (0, 3): {"wear": 1.0},
    }  # fmt: skip
    assert found.mentioned == {"no interaction", "wear"}
    assert found.judged == {(0, 1), (0, 3), (2, 3), (0, 2)}
    assert {name for pair in found.pairs for name in pair.denied} == set()


def test_a_relation_under_the_threshold_is_neither_true_nor_false():
    found = labels(relation(0, "ride", 1, 0.19), relation(0, "hold", 3, 0.5))
    assert [pair.object for pair in found.pairs] == [3]
    assert "ride" in found.mentioned, "so it may hold"
    assert not found.complete


def test_the_threshold_is_of_what_is_learned_and_of_hard_targets_of_the_score():
    relations = [relation(0, "ride", 1, 0.6, probability=0.1), relation(0, "hold", 3, 0.1, probability=0.6)]
    assert [dict(pair.holds) for pair in labels(*relations).pairs] == [{"hold": 0.6}]
    assert [dict(pair.holds) for pair in labels(*relations, target="hard").pairs] == [{"ride": 1.0}]


@pytest.mark.parametrize(("learn", "expected"), [("all", {"ride", "wear"}), ("human", {"wear"}), ("pseudo", {"ride"})])
def test_a_source_says_whose_relations_are_learned(learn, expected):
    found = labels(relation(0, "ride", 1), relation(0, "wear", 3, source="human"), learn=learn)
    assert {name for pair in found.pairs for name in pair.holds} == expected
    assert found.mentioned == expected


def test_a_relation_of_a_region_with_itself_and_a_scene_without_any_are_fine():
    found = labels(relation(0, "hold", 0))
    assert found.pairs == ()
    assert found.pair_places.shape == (0, 2)
    empty = replace(scene(), regions=())
    assert scene_labels(empty, LabelConfig(), SourceLabels()).boxes_xyxy_px.shape == (0, 4)


@pytest.mark.parametrize(
    "options", [{"target": "sharp"}, {"threshold": 2}, {"absent": "no"}, {"kept": "all"}, {"max_pairs": 0}], ids=str
)
def test_settings_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        LabelConfig(**options)


def test_people_outweigh_a_verifier_but_nobody_else_does():
    ride = relation(0, "ride", 1, 0.4)
    doubt = relation(0, "ride", 1, state="denied", source="tagger")
    vouch = relation(0, "ride", 1, source="human")
    assert labels(ride, doubt).pairs == ()
    assert labels(ride, doubt, vouch).pairs[0].holds == {"ride": 1.0}
    assert labels(ride, doubt, vouch).pairs[0].denied == frozenset()
    assert labels(ride, vouch, relation(0, "ride", 1, state="denied", source="human")).pairs == ()
    assert labels(doubt).judged == {(0, 1)}


def test_where_people_see_no_interaction_a_tagger_that_saw_one_is_not_believed():
    seen = relation(0, "interact with", 1, 0.9)
    denied = relation(0, "interact with", 1, state="denied", source="human")
    (pair,) = labels(seen, denied, no_interaction=True).pairs
    assert pair.holds == {"no interaction": 1.0}
