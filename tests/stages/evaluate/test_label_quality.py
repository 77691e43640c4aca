"""Labels against human relations: figures worked out by hand, the laws they obey, and intervals that hold the truth."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import BadInputError, Image, Region, Relation, Scene, UserError
from stages.evaluate import FalsePositives, LabelScore
from stages.evaluate.average_precision import precision_recall
from stages.evaluate.benchmark import with_choices
from stages.evaluate.label_quality import LabelQuality
from stages.evaluate.label_score import SOURCES, Bootstrap, LabelConventions, QualityScore

FEW = Bootstrap(num_resamples=20, num_ap_resamples=10)
SPOKEN = LabelConventions(truth="spoken_pairs")


def said(subject, predicate, object_, score=1.0, source="tagger", **more) -> Relation:
    return Relation(subject, object_, predicate, predicate, score, source, **more)


def human(subject, predicate, object_) -> Relation:
    return said(subject, predicate, object_, source="human")


def denied(subject, predicate, object_) -> Relation:
    return said(subject, predicate, object_, source="human", state="denied")


def scene(key: str, *relations: Relation, regions: Sequence[Region] = ()) -> Scene:
    """Five people side by side, unless regions are given."""
    row = regions or [Region(i, "person", (20.0 * i, 0.0, 20.0 * i + 10, 10.0)) for i in range(5)]
    return Scene(key, Image(f"{key}.jpg", 100, 100), tuple(row), relations=relations)


def measured(scenes: Iterable[Scene], conventions=None, bootstrap=FEW) -> QualityScore:
    quality = LabelQuality(conventions)
    for one in scenes:
        quality.add(one)
    return quality.score(bootstrap)


def matched(pairs: Iterable[tuple[Scene, Scene]], conventions=None) -> QualityScore:
    quality = LabelQuality(conventions)
    for labels, truth in pairs:
        quality.add_matched(labels, truth)
    return quality.score(FEW)


BY_HAND = (
    scene(
        "a",
        human(0, "ride", 1),
        human(0, "wear", 2),
        denied(3, "ride", 1),
        said(0, "ride", 1, 0.9),  # right
        said(0, "hold", 2, 0.5, "caption"),  # right regions, other predicate
        said(3, "ride", 1, 0.4),  # denied by a human
        said(1, "ride", 0, 0.2),  # the other way round: nobody said anything of that pair
    ),
    scene("b", human(0, "ride", 1), said(0, "ride", 1, 0.3, "caption")),
    scene("c", said(0, "ride", 1, 0.7)),  # nobody looked
)


# Figures


def test_figures_worked_out_by_hand():
    score = measured(BY_HAND)
    row = score.overall
    assert (score.num_scenes, score.num_left_out) == (2, 1)
    assert (row.num_labels, row.num_human, row.num_matched, row.num_silent) == (5, 3, 2, 1)
    assert score.false_positives == FalsePositives(denied=1, other_predicate=1, silent_pair=1)
    assert score.num_repeated == 0
    assert row.precision == row.precision_closed
    assert row.precision_closed.value == pytest.approx(2 / 5)
    assert row.precision_spoken_pairs.value == pytest.approx(2 / 4)
    assert row.recall.value == pytest.approx(2 / 3)
    assert row.f1.value == pytest.approx(4 / 8)
    # By falling score: hit, miss, miss, hit, miss; a third of the recall at precision 1 and at 1/2.
    assert row.ap.value == pytest.approx((1 + 1 / 2) / 3)
    assert row.brier.value == pytest.approx((0.1**2 + 0.5**2 + 0.4**2 + 0.2**2 + 0.7**2) / 5)
    # Five labels in five bins.
    assert row.ece_width.value == pytest.approx((0.1 + 0.5 + 0.4 + 0.2 + 0.7) / 5)
    assert row.ece_mass.value == row.ece_width.value
    assert sum(one.num for one in row.reliability_width) == 5


def test_rows_by_predicate_and_by_source_worked_out_by_hand():
    score = measured(BY_HAND)
    counts = {row.name: (row.num_labels, row.num_human, row.num_matched) for row in score.by_predicate}
    assert list(counts.items()) == [("ride", (4, 2, 2)), ("wear", (0, 1, 0)), ("hold", (1, 0, 0))]
    counts = {row.name: (row.num_labels, row.num_human, row.num_matched) for row in score.by_source}
    assert list(counts.items()) == [("caption", (2, 3, 1)), ("tagger", (3, 3, 1))]
    ride, wear, hold = score.by_predicate
    assert ride.ap.value == pytest.approx((1 + 2 / 3) / 2)
    assert (wear.precision.value, wear.recall.value, wear.ap.value, wear.ece_width.value) == (None, 0, 0, None)
    assert (hold.precision.value, hold.recall.value, hold.ap.value) == (0, None, None)
    assert [row.num_scenes for row in score.rows] == [2, 2, 2, 2, 1, 1]


def test_where_only_spoken_pairs_count_a_label_on_silent_regions_is_no_label():
    row = measured(BY_HAND, SPOKEN).overall
    assert (row.num_labels, row.num_silent) == (4, 1)
    assert row.precision == row.precision_spoken_pairs
    assert row.recall.value == pytest.approx(2 / 3)
    assert row.f1.value == pytest.approx(4 / 7)
    # The silent one had the lowest score of all, so the ranking is the same.
    assert row.ap.value == pytest.approx((1 + 1 / 2) / 3)
    assert row.brier.value == pytest.approx((0.1**2 + 0.5**2 + 0.4**2 + 0.7**2) / 4)


def test_counts_are_those_of_the_run_report():
    score, report = measured(BY_HAND), LabelScore()
    for one in BY_HAND:
        report.add(one)
    assert score.false_positives == report.false_positives
    assert score.overall.precision.value == report.triplets.precision
    assert score.overall.recall.value == report.triplets.recall
    assert {row.name: row.recall.value for row in score.by_predicate} == {
        name: agreement.recall for name, agreement in report.by_predicate().items()
    }


def test_a_triplet_of_two_sources_counts_once_with_its_best_score_and_once_in_each():
    both = scene("a", human(0, "ride", 1), said(0, "ride", 1, 0.6, "caption"), said(0, "ride", 1, 0.8))
    score = measured([both])
    assert (score.overall.num_labels, score.overall.num_matched) == (1, 1)
    assert score.overall.brier.value == pytest.approx(0.2**2)
    assert [(row.name, row.num_labels, row.num_matched) for row in score.by_source] == [
        ("caption", 1, 1),
        ("tagger", 1, 1),
    ]
    assert score.by_source[0].brier.value == pytest.approx(0.4**2)


def test_a_label_that_is_denied_by_its_source_is_no_label():
    assert measured([scene("a", human(0, "ride", 1), said(0, "ride", 1, state="denied"))]).overall.num_labels == 0


def test_probabilities_are_used_on_request_and_scores_where_there_are_none():
    one = scene(
        "a", human(0, "ride", 1), said(0, "ride", 1, 0.2, probability=0.9), said(0, "hold", 1, 0.5, source="caption")
    )
    assert measured([one]).overall.ap.value == pytest.approx(1 / 2)
    score = measured([one], LabelConventions(use="probability"))
    assert score.overall.ap.value == 1
    assert score.overall.brier.value == pytest.approx((0.1**2 + 0.5**2) / 2)
    assert (score.num_without_probability, measured([one]).num_without_probability) == (1, 0)


def test_equal_scores_are_one_step_of_the_ranking():
    ranked = [human(0, "ride", 1), said(0, "ride", 1, 0.5), said(1, "ride", 0, 0.5), said(2, "ride", 1, 0.5)]
    assert measured([scene("a", *ranked)]).overall.ap.value == pytest.approx(1 / 3)


def test_without_scenes_there_are_no_figures():
    score = measured([scene("a", said(0, "ride", 1))])
    assert (score.num_scenes, score.num_left_out) == (0, 1)
    assert all(estimate.value is estimate.interval is None for estimate in score.overall.estimates().values())
    assert score.by_predicate == score.by_source == ()


# Regions that have to be matched

MAN = Region(7, "person", (0.0, 0.0, 10.0, 10.0))
HORSE = Region(8, "horse", (20.0, 0.0, 30.0, 10.0))
TRUTH = scene("a", human(7, "ride", 8), regions=[MAN, HORSE])


def found(man: Region, horse: Region, *relations: Relation) -> Scene:
    return scene("a", *(relations or [said(1, "ride", 2)]), regions=[replace(man, id=1), replace(horse, id=2)])


def test_regions_match_by_name_and_half_the_overlap():
    assert matched([(found(MAN, HORSE), TRUTH)]).overall.num_matched == 1
    # Half-open boxes: 10 x 5 of 10 x 10 pixels are exactly half.
    half = replace(MAN, box=(0.0, 0.0, 10.0, 5.0))
    assert matched([(found(half, HORSE), TRUTH)]).overall.num_matched == 1
    assert matched([(found(half, HORSE), TRUTH)], LabelConventions(iou_threshold=0.51)).overall.num_matched == 0
    assert matched([(found(replace(MAN, box=(0.0, 0.0, 10.0, 4.9)), HORSE), TRUTH)]).overall.num_matched == 0
    score = matched([(found(replace(MAN, name="man"), HORSE), TRUTH)])
    assert score.overall.num_matched == 0
    assert score.false_positives == FalsePositives(denied=0, other_predicate=0, silent_pair=1)


def test_each_human_triplet_is_found_once_by_the_best_score():
    near = replace(MAN, id=3, box=(1.0, 0.0, 10.0, 10.0))
    labels = scene(
        "a", said(1, "ride", 2, 0.4), said(3, "ride", 2, 0.8), regions=[replace(MAN, id=1), replace(HORSE, id=2), near]
    )
    score = matched([(labels, TRUTH)])
    assert (score.overall.num_labels, score.overall.num_matched, score.num_repeated) == (2, 1, 1)
    # The better one is the hit, though the other fits better.
    assert score.overall.brier.value == pytest.approx((0.2**2 + 0.4**2) / 2)
    assert score.overall.ap.value == 1
    # Each source is asked by itself what it found.
    sources = replace(labels, relations=(replace(labels.relations[0], source="caption"), labels.relations[1]))
    assert [row.num_matched for row in matched([(sources, TRUTH)]).by_source] == [1, 1]


def test_a_label_falls_back_to_another_human_triplet_that_is_free():
    twin = replace(MAN, id=9, box=(0.0, 0.0, 10.0, 9.0))
    truth = scene("a", human(7, "ride", 8), human(9, "ride", 8), regions=[MAN, HORSE, twin])
    near = replace(MAN, id=3, box=(0.0, 0.0, 10.0, 9.8))
    labels = scene(
        "a", said(1, "ride", 2, 0.8), said(3, "ride", 2, 0.4), regions=[replace(MAN, id=1), replace(HORSE, id=2), near]
    )
    assert matched([(labels, truth)]).overall.num_matched == 2


def test_what_a_wrong_label_is_where_regions_are_matched():
    truth = scene("a", human(7, "ride", 8), denied(8, "chase", 7), regions=[MAN, HORSE])
    labels = found(MAN, HORSE, said(1, "hold", 2), said(2, "chase", 1), said(2, "carry", 1))
    score = matched([(labels, truth)])
    assert score.false_positives == FalsePositives(denied=1, other_predicate=1, silent_pair=1)
    assert (score.overall.num_labels, score.overall.num_matched) == (3, 0)


def test_human_relations_of_the_labelled_scene_count_for_nothing_beside_another_truth():
    labels = found(MAN, HORSE, human(1, "hold", 2), said(1, "ride", 2))
    truth = replace(TRUTH, relations=(*TRUTH.relations, said(7, "lead", 8)))
    row = matched([(labels, truth)]).overall
    assert (row.num_labels, row.num_human, row.num_matched) == (1, 1, 1)


# Laws

triplets = st.tuples(st.integers(0, 3), st.sampled_from(["ride", "hold"]), st.integers(0, 3))
sources = st.sampled_from(["human", *SOURCES])
relations = st.builds(
    lambda triplet, source, score, state: said(*triplet, score, source, state=state),
    triplets,
    sources,
    st.sampled_from([i / 16 for i in range(17)]),
    st.sampled_from(["asserted", "asserted", "asserted", "denied"]),
)
scenes = st.lists(st.lists(relations, max_size=8), min_size=1, max_size=5)


def built(many: Sequence[Sequence[Relation]]) -> list[Scene]:
    return [scene(f"made-{i}", *one) for i, one in enumerate(many)]


@settings(max_examples=40)
@given(scenes, st.randoms(use_true_random=False), st.sampled_from([None, SPOKEN]))
def test_no_order_of_scenes_relations_or_regions_changes_anything(many, random, conventions):
    expected = measured(built(many), conventions)
    expected_matched = matched([(one, one) for one in built(many)], conventions)
    shuffled = built([random.sample(one, len(one)) for one in many])
    random.shuffle(shuffled)
    assert measured(shuffled, conventions).to_json() == expected.to_json()
    shuffled = [replace(one, regions=tuple(random.sample(one.regions, len(one.regions)))) for one in shuffled]
    assert matched([(one, one) for one in shuffled], conventions).to_json() == expected_matched.to_json()
    # The regions lie apart, so that matching them by boxes or by ids is the same.
    assert expected_matched == expected


@settings(max_examples=40)
@given(scenes)
def test_labels_that_repeat_the_humans_are_perfect(many):
    perfect = [
        [
            relation
            for one in asserted
            if one.source == "human" and one.state == "asserted"
            for relation in (one, replace(one, source="caption"), replace(one, source="geometry"))
        ]
        for asserted in many
    ]
    for score in (measured(built(perfect)), matched([(one, one) for one in built(perfect)])):
        for row in score.rows:
            values = (row.precision.value, row.recall.value, row.f1.value, row.ap.value)
            assert values == (1, 1, 1, 1) or (not score.num_scenes and set(values) == {None})


@settings(max_examples=40)
@given(scenes, st.data())
def test_duplicates_count_once(many, data):
    expected = measured(built(many)).to_json()
    index = data.draw(st.integers(0, len(many) - 1))
    if many[index]:
        many[index].append(data.draw(st.sampled_from(many[index])))
    assert measured(built(many)).to_json() == expected


@settings(max_examples=40)
@given(scenes)
def test_a_scaling_of_scores_that_keeps_their_order_leaves_the_ranking_as_it_is(many):
    def ranking(score: QualityScore) -> list[Any]:
        return [(row.precision, row.recall, row.f1, row.ap) for row in score.rows]

    squared = [[replace(one, score=one.score**2 / 2) for one in asserted] for asserted in many]
    assert ranking(measured(built(squared))) == ranking(measured(built(many)))


@settings(max_examples=40)
@given(scenes, st.integers(0, 16), st.sampled_from([None, SPOKEN]))
def test_a_false_positive_more_never_raises_precision_or_average_precision(many, score, conventions):
    def figures(many: Sequence[Sequence[Relation]]) -> tuple[float, float]:
        row = measured(built(many), conventions).overall
        return row.precision.value or 0.0, row.ap.value or 0.0

    wrong = said(0, "swallow", 1, score / 16)
    more = [[*many[0], wrong], *many[1:]]
    assert np.all(np.array(figures(more)) <= np.array(figures(many)))


@settings(max_examples=40)
@given(scenes, st.sampled_from([None, SPOKEN]))
def test_rows_add_up_and_intervals_hold_their_figures(many, conventions):
    score = measured(built(many), conventions)
    for name in ("num_labels", "num_human", "num_matched", "num_silent"):
        assert sum(getattr(row, name) for row in score.by_predicate) == getattr(score.overall, name)
    wrong = score.false_positives
    counted = score.overall.num_labels - score.overall.num_matched
    silent = wrong.silent_pair if conventions is None else 0
    assert wrong.denied + wrong.other_predicate + score.num_repeated + silent == counted
    for row in score.rows:
        assert (row.precision_closed.value or 0) <= (row.precision_spoken_pairs.value or 0)
        for estimate in row.estimates().values():
            if estimate.interval is not None:
                assert 0 <= estimate.interval[0] <= estimate.value <= estimate.interval[1] <= 1


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=30), st.integers(0, 5))
def test_the_average_precision_of_all_labels_is_that_of_the_benchmarks(labels, num_missed):
    ranked = [
        relation
        for i, (score, hit) in enumerate(labels)
        for relation in [said(i, "ride", 99, score / 8), *([human(i, "ride", 99)] if hit else [])]
    ]
    missed = [human(i, "ride", 98) for i in range(num_missed)]
    scores, hits = (np.array(column) for column in zip(*labels, strict=True))
    num_human = int(hits.sum()) + num_missed
    value = measured([scene("a", *ranked, *missed)]).overall.ap.value
    if num_human:
        curve = precision_recall(scores / 8, hits, num_human, ties="together")
        assert value == curve.average_precision("all_points")


# Intervals


def simulated(random: np.random.Generator, *, num_scenes: int, precision: float = 0.7) -> list[Scene]:
    """Scenes whose labels are right together more often than by chance: 0.7 of all are, in the long run."""
    made = []
    for i in range(num_scenes):
        rate = random.beta(4 * precision, 4 * (1 - precision))
        hits = random.random(random.integers(1, 8)) < rate
        labels = [said(k, "ride", 90, float(random.random())) for k in range(len(hits))]
        asserted = [human(int(k), "ride", 90) for k in np.flatnonzero(hits)]
        made.append(scene(f"s-{i:03d}", human(99, "wear", 98), *labels, *asserted))
    return made


def test_the_interval_covers_the_precision_that_labels_were_made_with():
    random = np.random.default_rng(1)
    covered = 0
    for seed in range(200):
        estimate = measured(
            simulated(random, num_scenes=60), bootstrap=Bootstrap(num_resamples=300, num_ap_resamples=1, seed=seed)
        ).overall.precision
        assert estimate.interval is not None
        covered += estimate.interval[0] <= 0.7 <= estimate.interval[1]
    assert 0.88 <= covered / 200 <= 0.99


def test_resampled_scenes_are_scored_as_a_data_set_of_their_own():
    """The weighted sums of a resample against the figures of the scenes that it drew, each as often as it was drawn."""
    # With denials, so that not every label on spoken pairs is right.
    random = np.random.default_rng(2)
    made = [replace(one, relations=(*one.relations, denied(0, "ride", 90))) for one in simulated(random, num_scenes=12)]
    drawn = np.random.default_rng(5).integers(len(made), size=(40, len(made)))
    # Not `ece_mass`: its bins are those of the data, not of the resample.
    names = ("precision_closed", "precision_spoken_pairs", "recall", "f1", "ap", "ece_width", "brier")
    figures = []
    for rows in drawn:
        estimates = measured([replace(made[i], key=f"{n}") for n, i in enumerate(rows)]).overall.estimates()
        figures.append([estimates[name].value for name in names])
    low, high = np.quantile(np.array(figures), (0.025, 0.975), axis=0)
    estimates = measured(made, bootstrap=Bootstrap(num_resamples=40, num_ap_resamples=40, seed=5)).overall.estimates()
    assert np.array([estimates[name].interval for name in names]) == pytest.approx(np.stack([low, high], axis=1))


def test_intervals_are_a_function_of_the_seed():
    made = simulated(np.random.default_rng(3), num_scenes=20)
    first, again, other = (measured(made, bootstrap=replace(FEW, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first.overall.precision != other.overall.precision
    # Drawing fewer for the average precision changes no other interval.
    fewer = measured(made, bootstrap=replace(FEW, seed=1, num_ap_resamples=5)).overall
    assert fewer.recall == first.overall.recall
    assert fewer.ap.interval != first.overall.ap.interval


def test_where_all_scenes_agree_wilsons_interval_over_scenes_is_given():
    both = (human(0, "ride", 1), human(0, "hold", 1), said(0, "ride", 1), said(0, "hold", 1))
    row = measured(scene(f"{i}", *both) for i in range(10)).overall
    # That of 10 of 10, see `test_labels.py`: ten scenes, not twenty labels.
    assert row.precision.interval == pytest.approx((0.7225, 1.0), abs=5e-5)
    assert row.recall.interval == row.precision.interval
    assert row.ap.interval is row.f1.interval is None


def test_one_scene_has_no_intervals_but_wilsons():
    row = measured(BY_HAND[:1]).overall
    assert row.precision.interval is row.recall.interval is row.ap.interval is row.ece_mass.interval is None
    assert row.precision.value == 0.25


# The rest


@pytest.mark.parametrize("score", [-0.5, 1.5, float("nan")])
def test_a_score_that_is_no_share_is_named(score):
    bad = scene("a-1", human(0, "ride", 1), said(2, "ride", 1, score))
    with pytest.raises(BadInputError, match=r"a-1: the score of tagger relation 2 'ride' 1 is .*expected a number in"):
        LabelQuality().add(bad)
    probable = scene("a-1", said(2, "ride", 1, 0.5, probability=score))
    with pytest.raises(BadInputError, match=r"a-1: the probability of tagger relation 2 'ride' 1 is .*expected a"):
        LabelQuality(LabelConventions(use="probability")).add(probable)


def test_a_scene_that_comes_twice_is_named():
    with pytest.raises(BadInputError, match="scene 'b' is there twice"):
        measured([BY_HAND[1], BY_HAND[0], BY_HAND[1]])


def test_a_relation_of_a_region_that_is_not_there_is_named():
    with pytest.raises(BadInputError, match="a: a relation names region 9, which the scene does not have"):
        matched([(found(MAN, HORSE, said(1, "ride", 9)), TRUTH)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LabelConventions(num_bins=0), "num_bins is 0"),
        (lambda: LabelConventions(iou_threshold=0.0), "iou_threshold is 0.0"),
        (lambda: LabelConventions(iou_threshold=1.1), "iou_threshold is 1.1"),
        (lambda: Bootstrap(num_resamples=0), "num_resamples is 0"),
        (lambda: Bootstrap(num_ap_resamples=0), "num_ap_resamples is 0"),
        (lambda: Bootstrap(seed=-1), "seed is -1"),
    ],
)
def test_settings_out_of_range_are_refused_when_they_are_made(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_conventions_are_chosen_as_those_of_the_benchmarks():
    chosen = with_choices(LabelConventions(), {"truth": "spoken_pairs", "num_bins": "15"}, benchmark="labels")
    assert chosen == LabelConventions(truth="spoken_pairs", num_bins=15)
    with pytest.raises(UserError, match="labels: truth is 'open'; choose closed or spoken_pairs"):
        with_choices(LabelConventions(), {"truth": "open"}, benchmark="labels")


def test_every_source_of_labels_has_its_place():
    assert {*SOURCES, "human"} == set(get_args(get_type_hints(Relation)["source"]))


def test_the_json_holds_every_row_and_is_strict():
    document = json.loads(json.dumps(measured(BY_HAND).to_json(), allow_nan=False))
    assert document["overall"]["precision"]["value"] == pytest.approx(0.4)
    assert [row["name"] for row in document["by_predicate"]] == ["ride", "wear", "hold"]
    assert [row["name"] for row in document["by_source"]] == ["caption", "tagger"]
    assert document["conventions"]["truth"] == "closed"
    assert document["bootstrap"] == {"num_resamples": 20, "num_ap_resamples": 10, "seed": 0}
    assert document["false_positives"] == {"denied": 1, "other_predicate": 1, "silent_pair": 1, "repeated": 0}
