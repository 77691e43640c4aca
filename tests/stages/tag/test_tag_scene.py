"""From captions to relations between boxes drawn by hand."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import BadInputError, Box, Caption, Image, Region, Relation, Scene
from schemas.job import ParseJob, PriorTagger
from stages.parse import open_parser
from stages.tag import load_prior, open_tagger, tag_scene

PRIOR = load_prior("builtin")
RIDER, HORSE = (100.0, 50.0, 160.0, 200.0), (60.0, 120.0, 220.0, 300.0)
WALKER, FAR_HORSE = (400.0, 100.0, 450.0, 280.0), (500.0, 130.0, 640.0, 300.0)


def scene(captions: list[str], *boxes: tuple[str, Box], relations: tuple[Relation, ...] = ()) -> Scene:
    regions = tuple(Region(i, name, box) for i, (name, box) in enumerate(boxes))
    texts = tuple(Caption(text, "given") for text in captions)
    bare = Scene(key="t-1", image=Image("1.jpg"), regions=regions, captions=texts, relations=relations)
    (parsed,) = open_parser(ParseJob()).process([bare])
    assert isinstance(parsed, Scene)
    return parsed


def found(scene_: Scene) -> list[tuple[int, str, int]]:
    tagged = tag_scene(scene_, PRIOR)
    return [(r.subject, r.predicate, r.object) for r in tagged.relations if r.source == "tagger"]


CROWD = (("person", WALKER), ("person", RIDER), ("horse", HORSE), ("horse", FAR_HORSE))


def test_of_two_persons_and_two_horses_the_rider_and_the_ridden_are_meant() -> None:
    assert found(scene(["a man riding a horse"], *CROWD)) == [(1, "ride", 2)]


def test_each_of_several_riders_gets_one_horse() -> None:
    boxes = (("person", RIDER), ("person", (540.0, 40.0, 600.0, 200.0)), ("horse", FAR_HORSE), ("horse", HORSE))
    assert found(scene(["two men riding horses"], *boxes)) == [(0, "ride", 3), (1, "ride", 2)]


def test_plural_keeps_no_pair_that_looks_unrelated() -> None:
    assert found(scene(["people riding horses"], *CROWD)) == [(1, "ride", 2)]


def test_several_subjects_share_one_object() -> None:
    bench = (80.0, 160.0, 300.0, 300.0)
    boxes = (("person", (100.0, 60.0, 160.0, 280.0)), ("person", (200.0, 60.0, 260.0, 280.0)), ("bench", bench))
    assert found(scene(["two women sitting on a bench"], *boxes)) == [(0, "sit on", 2), (1, "sit on", 2)]


def test_a_phrase_means_one_region_in_all_relations_of_the_caption() -> None:
    cup = (150.0, 90.0, 165.0, 110.0)
    boxes = (*CROWD, ("cup", cup), ("cup", (440.0, 180.0, 455.0, 200.0)))
    relations = found(scene(["a man riding a horse and holding a cup"], *boxes))
    assert relations == [(1, "ride", 2), (1, "hold", 4)]


def test_two_people_introduced_by_one_caption_are_two() -> None:
    dog = (455.0, 230.0, 520.0, 290.0)
    relations = found(scene(["a man riding a horse and a man walking a dog"], *CROWD, ("dog", dog)))
    assert relations == [(0, "walk", 4), (1, "ride", 2)]


def test_a_handbag_is_no_person_and_a_carpet_no_car() -> None:
    assert found(scene(["a handbag on a carpet"], ("person", RIDER), ("car", HORSE))) == []


def test_a_mention_without_a_region_gives_no_relation() -> None:
    assert found(scene(["a man riding a horse"], ("person", RIDER), ("cup", HORSE))) == []
    assert found(scene(["a man riding a horse"])) == []


def test_a_region_is_never_related_to_itself() -> None:
    assert found(scene(["a man next to a woman"], ("person", RIDER))) == []
    assert found(scene(["people next to people", "a man next to a woman"], ("person", RIDER), ("person", WALKER))) != []


def test_more_people_in_the_caption_than_boxes_costs_no_other_relation() -> None:
    text = "a man riding a horse next to a woman"
    assert found(scene([text], ("person", RIDER), ("horse", HORSE))) == [(0, "ride", 1)]


def test_a_general_word_means_the_class_that_does_such_things() -> None:
    boxes = (("person", RIDER), ("bicycle", HORSE), ("motorcycle", FAR_HORSE))
    assert found(scene(["a man riding a bike"], *boxes)) == [(0, "ride", 1)]


def test_relations_keep_the_words_they_rest_on() -> None:
    texts = ["A horse ridden by a man.", "a man is riding a horse", "a man riding a horse"]
    (relation,) = tag_scene(scene(texts, *CROWD), PRIOR).relations
    words = [
        tuple(texts[e.caption][slice(*span)] for span in (e.subject, e.predicate, e.object)) for e in relation.evidence
    ]
    assert words == [("a man", "ridden by", "A horse"), ("a man", "riding", "a horse"), ("a man", "riding", "a horse")]
    assert [e.caption for e in relation.evidence] == [0, 1, 2]
    assert relation.text in {"ridden by", "riding"}
    assert 0 < relation.score <= 1


def test_rivals_lower_the_score() -> None:
    alone = tag_scene(scene(["a man riding a horse"], ("person", RIDER), ("horse", HORSE)), PRIOR).relations[0]
    among = tag_scene(scene(["a man riding a horse"], *CROWD), PRIOR).relations[0]
    assert 0.5 < among.score < alone.score


def test_phrases_know_the_regions_they_may_denote() -> None:
    tagged = tag_scene(scene(["a man riding a horse on a hill"], *CROWD), PRIOR)
    assert [phrase.regions for phrase in tagged.phrases] == [(0, 1), (2, 3), ()]


def test_human_relations_stay_in_front_and_what_they_deny_is_not_said() -> None:
    human = (
        Relation(1, 2, "sit on", "sit on", 1.0, "human"),
        Relation(1, 2, "ride", "no", 1.0, "human", state="denied"),
    )
    before = scene(["a man riding a horse", "a man near a horse"], *CROWD, relations=human)
    after = tag_scene(before, PRIOR)
    assert after.relations[:2] == human
    assert [(r.predicate, r.source) for r in after.relations[2:]] == [("near", "tagger")]
    assert tag_scene(after, PRIOR) == after


def test_min_score_cuts() -> None:
    (relation,) = tag_scene(scene(["a man riding a horse"], *CROWD), PRIOR).relations
    assert tag_scene(scene(["a man riding a horse"], *CROWD), PRIOR, min_score=relation.score).relations == (relation,)
    assert tag_scene(scene(["a man riding a horse"], *CROWD), PRIOR, min_score=relation.score + 1e-9).relations == ()


TEXTS = ["a man riding a horse", "two people riding horses", "a woman next to a horse and a man holding a cup"]


@settings(max_examples=10)
@given(st.permutations(range(5)), st.permutations(range(3)))
def test_order_of_regions_and_captions_changes_nothing_but_order(regions: list[int], captions: list[int]) -> None:
    boxes = (*CROWD, ("cup", (150.0, 90.0, 165.0, 110.0)))
    plain = tag_scene(scene(TEXTS, *boxes), PRIOR)
    other = scene([TEXTS[i] for i in captions], *boxes)
    mixed = tag_scene(replace(other, regions=tuple(other.regions[i] for i in regions)), PRIOR)
    assert [(r.subject, r.predicate, r.object, r.score) for r in mixed.relations] == [
        (r.subject, r.predicate, r.object, r.score) for r in plain.relations
    ]
    for one, same in zip(plain.relations, mixed.relations, strict=True):
        assert {TEXTS[e.caption] for e in one.evidence} == {TEXTS[captions[e.caption]] for e in same.evidence}


def test_many_candidates_are_resolved_in_bounded_work() -> None:
    boxes = [("person", (20.0 * i, 50.0, 20.0 * i + 15, 120.0)) for i in range(60)]
    things = [(name, (20.0 * i, 90.0, 20.0 * i + 12, 100.0)) for i, name in enumerate(["cup", "dog", "ball"] * 10)]
    text = "a man holding a cup and a ball, a woman with a dog and a cup, and a boy kicking a ball"
    assert len(found(scene([text], *boxes, *things))) >= 4


def test_open_tagger_names_the_prior_it_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    tagger = open_tagger(PriorTagger())
    assert tagger.name == "tag"
    assert PRIOR.sha256[:12] in tagger.identity
    tagger.setup()
    one = scene(["a man riding a horse"], *CROWD)
    assert list(tagger.process([one])) == [tag_scene(one, PRIOR)]


def test_a_prior_changed_under_the_job_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("prior") / "prior.json"
    path.write_bytes(PRIOR.to_json())
    tagger = open_tagger(PriorTagger(prior=str(path)))
    path.write_bytes(PRIOR.to_json().replace(b'"num_scenes": ', b'"num_scenes": 1'))
    with pytest.raises(BadInputError, match="changed since the job began"):
        tagger.setup()
