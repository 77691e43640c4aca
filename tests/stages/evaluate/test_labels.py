from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import Image, Region, Relation, Scene
from stages.evaluate import Agreement, FalsePositives, LabelScore, wilson_interval

Source = Literal["tagger", "caption", "human"]


def said(subject: int, predicate: str, object_: int, source: Source = "tagger", score: float = 1.0) -> Relation:
    return Relation(subject, object_, predicate, predicate, score, source)


def denied(subject: int, predicate: str, object_: int) -> Relation:
    return Relation(subject, object_, predicate, predicate, 1.0, "human", state="denied")


def scene(*relations: Relation) -> Scene:
    regions = tuple(Region(i, "person", (0.0, 0.0, 9.0, 9.0)) for i in range(5))
    return Scene("a-1", Image("a.jpg", 10, 10), regions, relations=relations)


def scored(*scenes: Scene) -> LabelScore:
    score = LabelScore()
    for one in scenes:
        score.add(one)
    return score


def test_counts_worked_out_by_hand() -> None:
    score = scored(
        scene(
            said(0, "ride", 1, "human"),
            said(0, "wear", 2, "human"),
            denied(3, "ride", 1),
            said(0, "ride", 1, score=0.9),  # right
            said(0, "hold", 2, score=0.5),  # right regions, other predicate
            said(3, "ride", 1, score=0.4),  # denied by a human
            said(1, "ride", 0, score=0.2),  # the other way round: nobody said anything of that pair
        ),
        scene(said(0, "ride", 1, "human")),  # nothing labelled
    )
    assert (score.num_scenes, score.num_left_out) == (2, 0)
    assert score.triplets == Agreement(labelled=4, human=3, matched=1)
    assert score.pairs == Agreement(labelled=4, human=3, matched=2)
    assert score.false_positives == FalsePositives(denied=1, other_predicate=1, silent_pair=1)
    assert list(score.by_predicate().items()) == [
        ("ride", Agreement(3, 2, 1)),
        ("wear", Agreement(0, 1, 0)),
        ("hold", Agreement(1, 0, 0)),
    ]
    assert score.triplets.precision == 0.25
    assert score.triplets.recall == pytest.approx(1 / 3)
    assert score.triplets.f1 == pytest.approx(2 / 7)


def test_scenes_without_human_assertions_are_left_out_and_counted() -> None:
    score = scored(scene(said(0, "ride", 1)), scene(), scene(denied(0, "ride", 1), said(0, "ride", 1)))
    assert (score.num_scenes, score.num_left_out) == (0, 3)
    assert score.triplets == Agreement(0, 0, 0)
    assert score.triplets.precision is score.triplets.recall is score.triplets.f1 is None


def test_a_triplet_from_two_sources_counts_once_with_its_best_score() -> None:
    score = scored(
        scene(said(0, "ride", 1, "human"), said(0, "ride", 1, "caption", 0.35), said(0, "ride", 1, score=0.75))
    )
    assert score.triplets == Agreement(1, 1, 1)
    kept = {threshold: value.labelled for threshold, value in score.by_threshold().items()}
    assert kept[0.7] == 1
    assert kept[0.8] == 0


def test_a_denied_label_is_no_label() -> None:
    no = Relation(0, 1, "ride", "ride", 0.9, "tagger", state="denied")
    assert scored(scene(said(0, "ride", 1, "human"), no)).triplets == Agreement(0, 1, 0)


def test_thresholds_keep_scores_that_equal_them() -> None:
    score = LabelScore(thresholds=(0.5, 0.25))
    score.add(scene(said(0, "ride", 1, "human"), said(0, "ride", 1, score=0.5), said(0, "hold", 1, score=0.25)))
    assert score.by_threshold() == {0.25: Agreement(2, 1, 1), 0.5: Agreement(1, 1, 1)}


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_interval_against_published_values(hits: int, trials: int, low: float, high: float) -> None:
    """81 of 263 is the worked example of Newcombe 1998 (Statistics in Medicine 17, 857-872, table I, method 3)."""
    assert wilson_interval(hits, trials) == pytest.approx((low, high), abs=5e-5)


def test_no_interval_without_trials() -> None:
    assert wilson_interval(0, 0) is None


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_stays_a_proportion(case: tuple[int, int]) -> None:
    hits, trials = case
    interval = wilson_interval(hits, trials)
    assert interval is not None
    assert 0.0 <= interval[0] <= hits / trials <= interval[1] <= 1.0


relations = st.lists(
    st.builds(
        said,
        st.integers(0, 3),
        st.sampled_from(["ride", "hold"]),
        st.integers(0, 3),
        st.sampled_from(["tagger", "caption", "human"]),
        st.floats(0, 1),
    ),
    max_size=12,
)


@given(st.lists(relations, max_size=6), st.randoms(use_true_random=False))
def test_figures_add_up_and_no_order_matters(scenes: list[list[Relation]], random: "object") -> None:
    score = scored(*(scene(*one) for one in scenes))
    shuffled = [one[:] for one in scenes]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for one in shuffled:
        random.shuffle(one)  # type: ignore[attr-defined]
    assert scored(*(scene(*one) for one in shuffled)).to_dict() == score.to_dict()

    total, false = score.triplets, score.false_positives
    assert score.num_scenes + score.num_left_out == len(scenes)
    assert false.denied + false.other_predicate + false.silent_pair == total.labelled - total.matched
    parts = score.by_predicate().values()
    assert sum(part.labelled for part in parts) == total.labelled
    assert sum(part.matched for part in parts) == total.matched
    assert score.by_threshold()[0.0] == total
    labelled = [value.labelled for value in score.by_threshold().values()]
    assert labelled == sorted(labelled, reverse=True)
