"""Scores of caption graphs: worked out by hand, and the laws they obey."""

import random
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import BadInputError
from stages.evaluate.estimate import Estimate
from stages.evaluate.graphs import SceneGraph, TupleScore, as_compared, largest_matching, score_graphs, spice
from stages.evaluate.synonyms import share_synset
from stages.evaluate.synonyms.build import build_synonyms, words_of_captions

MAN_RIDES = ("man", "ride", "horse")
BROWN = ("horse", "is", "brown")


def graph(*tuples: tuple[str, ...]) -> SceneGraph:
    return SceneGraph.of(tuples)


def counts(score: TupleScore) -> tuple[int, int, int]:
    return score.predicted, score.gold, score.matched


# Graphs


def test_words_are_compared_as_singular_in_lower_case_with_single_spaces():
    assert graph(("Two  Boys", "Sit ON", "benches")) == graph(("two boy", "sit on", "bench"))
    assert as_compared(" Tennis  Rackets ") == "tennis racket"


def test_a_graph_keeps_things_attributes_and_relations_apart():
    one = graph(MAN_RIDES, BROWN, ("pole",))
    assert one.relations == {MAN_RIDES}
    assert one.attributes == {("horse", "brown")}
    assert one.things == {("man",), ("horse",), ("pole",)}
    assert one.pairs == {("man", "horse")}


def test_a_lone_thing_of_which_something_is_said_adds_nothing():
    assert graph(("horse",), BROWN) == graph(BROWN)
    assert graph(("poles",)) == graph(("pole",)) != graph()


def test_a_tuple_said_twice_counts_once():
    assert graph(MAN_RIDES, MAN_RIDES) == graph(MAN_RIDES)
    assert counts(score_graphs([(graph(MAN_RIDES, ("men", "ride", "horses")), graph(MAN_RIDES))]).relations) == (
        1,
        1,
        1,
    )


def test_the_graph_by_heads_calls_things_by_their_last_word():
    one = graph(("tennis player", "stand on", "tennis court"), ("tennis court", "is", "blue"), ("score board",))
    assert one.by_heads() == graph(("player", "stand on", "court"), ("court", "is", "blue"), ("board",))


# Metrics, by hand


def test_two_captions_worked_out_by_hand():
    score = score_graphs(
        [
            # Right but for the colour.
            (graph(MAN_RIDES, BROWN), graph(MAN_RIDES, ("horse", "is", "white"))),
            # The preposition is missing, the noun called otherwise, and one relation is not found.
            (
                graph(("boy", "sit", "park bench")),
                graph(("boy", "sit on", "bench"), ("boy", "hold", "dog")),
            ),
        ]
    )
    assert score.num_captions == 2
    assert counts(score.relations) == (2, 3, 1)
    assert counts(score.relations_lenient) == (2, 3, 2)
    assert counts(score.pairs) == (2, 3, 2)
    assert counts(score.attributes) == (1, 1, 0)
    assert score.relations.precision.value == 1 / 2
    assert score.relations.recall.value == pytest.approx(1 / 3)
    assert score.relations.f1.value == pytest.approx(2 / 5)
    assert score.set_match.value == 0
    # First: man, horse and the relation of 4 and 4 tuples: 3/4. Second: boy, of 3 and 5: 2/8.
    assert score.spice_exact.value == pytest.approx((3 / 4 + 1 / 4) / 2)


def test_set_match_is_the_share_of_captions_whose_whole_graph_is_right():
    right, wrong = (graph(BROWN, MAN_RIDES), graph(MAN_RIDES, BROWN)), (graph(MAN_RIDES), graph(MAN_RIDES, BROWN))
    assert score_graphs([right, wrong, wrong, wrong]).set_match.value == 1 / 4


def test_a_lone_thing_is_a_graph_to_match():
    assert score_graphs([(graph(("pole",)), graph(("poles",)))]).set_match.value == 1
    assert score_graphs([(graph(("pole",), ("sky",)), graph(("pole",)))]).set_match.value == 0
    assert spice(graph(("pole",), ("sky",)), graph(("pole",))) == pytest.approx(2 / 3)


def test_spice_takes_synonyms_and_may_be_told_not_to():
    read, gold = graph(("couch", "is", "big")), graph(("sofa", "is", "large"))
    assert spice(read, gold) == 1
    assert spice(read, gold, synonyms=False) == 0


@pytest.mark.parametrize(
    ("read", "gold", "same"),
    [
        ("carry", "hold", True),
        ("carry out", "hold up", False),
        ("shine on", "reflect on", True),
        ("shine on", "reflect in", False),
        ("near", "approach", False),  # verbs that share a synset, but "near" is a preposition here
        ("on", "in", False),
    ],
)
def test_relations_are_synonymous_if_their_verbs_are_and_the_rest_is_equal(read, gold, same):
    both_things = 2
    matched = both_things + same
    assert spice(graph(("man", read, "pole")), graph(("man", gold, "pole"))) == pytest.approx(2 * matched / 6)


def test_a_tuple_is_matched_once():
    """Sofa and couch are two things; the one divan cannot be both."""
    assert spice(graph(("couch",), ("sofa",)), graph(("sofa",))) == pytest.approx(2 / 3)


def test_spice_finds_the_largest_matching_whatever_stands_first():
    # `a` fits both, `b` only the first: taken greedily, `b` may be left over.
    fits = {("a", "x"), ("a", "y"), ("b", "x")}
    for left in permutations([("a",), ("b",)]):
        for right in permutations([("x",), ("y",)]):
            assert largest_matching(left, right, lambda one, other: (one[0], other[0]) in fits) == 2


def test_a_lenient_relation_is_matched_once_too():
    gold = graph(("man", "sit on", "bench"))
    score = score_graphs([(graph(("man", "sit in", "bench"), ("man", "on", "park bench")), gold)])
    assert counts(score.relations_lenient) == (2, 1, 1)


def test_relations_only_compares_heads_and_leaves_out_whole_graphs():
    read, gold = graph(("tennis player", "hold", "racket"), BROWN), graph(("player", "hold", "tennis racket"))
    score = score_graphs([(read, gold)], relations_only=True)
    assert counts(score.relations) == counts(score.pairs) == (1, 1, 1)
    assert score.set_match is score.spice is score.spice_exact is score.attributes is None
    assert [row[0] for row in score.rows()] == ["metric", "relations", "relations, lenient", "pairs"]


def test_where_nothing_is_read_precision_is_unknown_and_recall_is_nought():
    score = score_graphs([(graph(), graph(MAN_RIDES))])
    assert score.relations.precision == Estimate(None, None)
    assert score.relations.recall.value == score.relations.f1.value == 0
    assert score.attributes.f1 == Estimate(None, None)
    assert score.spice.value == 0


def test_no_captions_have_no_score():
    score = score_graphs([])
    assert score.num_captions == 0
    assert score.set_match == score.spice == score.relations.f1 == Estimate(None, None)


def test_two_empty_graphs_are_equal():
    score = score_graphs([(graph(), graph())])
    assert score.set_match.value == score.spice.value == score.spice_exact.value == 1


def test_the_table_says_percent_with_interval_and_counts():
    rows = score_graphs([(graph(MAN_RIDES), graph(MAN_RIDES))]).rows()
    assert rows[0] == ("metric", "precision", "recall", "score", "n")
    assert rows[1] == ("Set Match", "", "", "100.0 (100.0 to 100.0)", "1 captions")
    assert rows[4] == ("relations", *["100.0 (100.0 to 100.0)"] * 3, "1 read, 1 gold")
    assert rows[7] == ("attributes", "-", "-", "-", "0 read, 0 gold")


def test_the_interval_of_half_the_captions_right_is_that_of_the_binomial():
    """100 captions, 50 right: the quantiles of the bootstrap are near 0.5 -+ 1.96 * 0.05."""
    right, wrong = (graph(BROWN), graph(BROWN)), (graph(), graph(BROWN))
    low, high = score_graphs([right, wrong] * 50, num_resamples=4000).set_match.interval
    assert low == pytest.approx(0.402, abs=0.02)
    assert high == pytest.approx(0.598, abs=0.02)


def test_a_bootstrap_needs_a_resample():
    with pytest.raises(ValueError, match="num_resamples is 0"):
        score_graphs([], num_resamples=0)


# Laws

words = st.sampled_from(["man", "dog", "sofa", "couch", "hat", "park bench", "bench"])
relations = st.sampled_from(["on", "sit on", "hold", "carry", "near"])
values = st.sampled_from(["brown", "2", "large", "big"])
tuples = st.one_of(st.tuples(words, relations, words), st.tuples(words, st.just("is"), values), st.tuples(words))
graphs = st.lists(tuples, max_size=6).map(lambda found: graph(*found))
pairs = st.lists(st.tuples(graphs, graphs), min_size=1, max_size=6)


def scored(data: list[tuple[SceneGraph, SceneGraph]], seed: int = 0):
    return score_graphs(data, num_resamples=50, seed=seed)


@given(st.lists(graphs, min_size=1, max_size=6))
def test_a_perfect_reading_scores_one(golds):
    score = scored([(gold, gold) for gold in golds])
    assert score.set_match.value == score.spice.value == score.spice_exact.value == 1
    for one in (score.relations, score.relations_lenient, score.pairs, score.attributes):
        assert one.precision.value in {None, 1.0}
        assert one.recall.value in {None, 1.0}
        assert one.f1.value in {None, 1.0}


@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_the_captions_changes_no_score(data, chance: random.Random):
    shuffled = list(data)
    chance.shuffle(shuffled)
    one, other = scored(data), scored(shuffled)
    assert one.set_match.value == other.set_match.value
    assert one.spice.value == pytest.approx(other.spice.value)
    for name in ("relations", "relations_lenient", "pairs", "attributes"):
        assert counts(getattr(one, name)) == counts(getattr(other, name))


@given(st.lists(tuples, max_size=6), graphs, st.randoms(use_true_random=False))
def test_the_order_and_number_of_equal_tuples_changes_nothing(found, gold, chance: random.Random):
    shuffled = [*found, *found]
    chance.shuffle(shuffled)
    assert scored([(graph(*found), gold)]) == scored([(graph(*shuffled), gold)])


@given(graphs, graphs)
def test_a_wrong_tuple_more_never_raises_precision(read, gold):
    more = SceneGraph.of([*read.tuples, ("kite", "over", "sea"), ("kite", "is", "torn")])
    before, after = scored([(read, gold)]), scored([(more, gold)])
    for name in ("relations", "relations_lenient", "pairs", "attributes"):
        was, now = getattr(before, name), getattr(after, name)
        assert now.matched == was.matched
        assert now.precision.value <= (was.precision.value if was.precision.value is not None else 1)
    assert after.spice.value <= before.spice.value


@given(pairs)
def test_reading_and_gold_exchanged_exchange_precision_and_recall(data):
    one, other = scored(data), scored([(gold, read) for read, gold in data])
    for name in ("relations", "relations_lenient", "pairs", "attributes"):
        assert getattr(one, name).precision == getattr(other, name).recall
        assert getattr(one, name).f1 == getattr(other, name).f1
    assert one.spice.value == pytest.approx(other.spice.value)


@given(pairs)
def test_synonyms_and_leniency_only_add(data):
    score = scored(data)
    assert score.spice.value >= score.spice_exact.value
    assert score.relations_lenient.matched >= score.relations.matched


@given(pairs, st.integers(0, 5))
def test_an_interval_holds_its_figure_and_comes_again_with_its_seed(data, seed):
    score = scored(data, seed)
    assert score == scored(data, seed)
    estimates = [score.set_match, score.spice, score.relations.precision, score.relations.f1, score.pairs.recall]
    for estimate in estimates:
        if estimate.interval is not None:
            low, high = estimate.interval
            assert 0 <= low <= estimate.value <= high <= 1 + 1e-12


# Synonyms


@pytest.mark.parametrize(
    ("a", "b"), [("couch", "sofa"), ("tv", "television"), ("bike", "bicycle"), ("2", "two"), ("any", "any")]
)
def test_words_that_share_a_synset(a, b):
    assert share_synset(a, b)
    assert share_synset(b, a)


@pytest.mark.parametrize(("a", "b"), [("cat", "dog"), ("man", "woman"), ("no such word", "nor this")])
def test_words_that_do_not(a, b):
    assert not share_synset(a, b)


def test_a_part_of_speech_may_be_asked_for():
    assert share_synset("jump", "leap", part_of_speech="verb")
    assert not share_synset("couch", "sofa", part_of_speech="verb")


DATA_NOUN = """\
  1 This is the licence.
00000001 06 n 02 couch 0 sofa 0 000 | a seat
00000002 06 n 03 hot_dog 0 Frank 0 wiener 0 000 | a sausage
00000003 06 n 02 seat 0 bottom 0 000 | no second word of it is asked for
"""


def wordnet(folder: Path) -> Path:
    (folder / "data.noun").write_text(DATA_NOUN)
    (folder / "data.verb").write_text("00000004 29 v 02 take_hold 0 grip 0 001 @ 1 v 0000 01 + 02 00 | hold fast\n")
    (folder / "data.adj").write_text("00000005 00 s 02 plentiful(p) 0 galore(ip) 0 000 | much\n")
    return folder


def test_the_excerpt_holds_the_shared_synsets_of_the_words(tmp_path):
    words = ["wiener", "hot dog", "frank", "couch", "sofa", "seat", "grip", "galore", "plentiful"]
    data = build_synonyms(wordnet(tmp_path), words)
    assert data == build_synonyms(tmp_path, reversed(words))
    assert data.decode().split("\n", maxsplit=1)[1] == (
        '"noun":{\n"couch":[0],\n"frank":[1],\n"hot dog":[1],\n"sofa":[0],\n"wiener":[1]\n},\n'
        '"verb":{\n\n},\n'
        '"adjective":{\n"galore":[2],\n"plentiful":[2]\n}}\n'
    )


def test_the_words_of_captions_are_those_in_a_row_also_without_endings():
    words = words_of_captions(["Riding hot dogs."])
    assert words >= {"riding", "ride", "rid", "hot", "dog", "dogs", "hot dog", "hot dogs", "riding hot dog"}
    assert "hot riding" not in words


def test_a_folder_that_is_no_wordnet_is_named(tmp_path):
    with pytest.raises(BadInputError, match=r"data\.noun: cannot be read"):
        build_synonyms(tmp_path, ["a"])
    wordnet(tmp_path).joinpath("data.verb").write_text("what is this\n")
    with pytest.raises(BadInputError, match=r"data\.verb: line 1 is 'what is this'"):
        build_synonyms(tmp_path, ["a"])
