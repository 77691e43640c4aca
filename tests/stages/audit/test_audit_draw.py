"""Strata, allocation, chance, the condition, and what is drawn from small outputs."""

import json
from collections import Counter
from dataclasses import asdict, replace
from fractions import Fraction
from math import sqrt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from audit_drawn_made import output_of, relation, repeated
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import BadInputError, UserError
from schemas.audit import AuditItem, AuditSample, Stratum
from stages.audit import log_digest, read_item
from stages.audit.condition import COLUMNS, Condition
from stages.audit.draw import Plan, chosen, draw_sample
from stages.audit.qualifying import TENTHS
from stages.audit.strata import ALLOCATIONS, allocated, merged
from stages.pack import CommitLog
from stages.storage import Folder

SIZES = st.lists(st.one_of(st.integers(1, 5), st.integers(1, 10**8)), min_size=1, max_size=40)


def names_drawn(sample: AuditSample, items: list[AuditItem]) -> list[tuple[str, int]]:
    assert [item.number for item in items] == list(range(sample.num_items))
    return sorted((item.key, item.relation) for item in items)


def by_values(sample: AuditSample) -> dict[tuple[str, ...], Stratum]:
    return {tuple(stratum.values.values()): stratum for stratum in sample.strata}


# How many of which stratum.


def shared_out(sizes: list[int], num_drawn: int, allocation: str) -> tuple[list[int], list[int], list[int]]:
    """Where strata go, relations of each stratum of the sample, and how many are drawn of it."""
    goes_to = merged(sizes, num_drawn, allocation)
    totals = [sum(size for size, to in zip(sizes, goes_to, strict=True) if to == i) for i in range(max(goes_to) + 1)]
    return goes_to, totals, allocated(totals, num_drawn, allocation, with_rest=len(totals) < len(sizes))


@given(sizes=SIZES, num_drawn=st.integers(1, 500), allocation=st.sampled_from(ALLOCATIONS))
def test_numbers_add_up_within_their_bounds(sizes, num_drawn, allocation) -> None:
    _, totals, numbers = shared_out(sizes, num_drawn, allocation)
    assert sum(numbers) == min(num_drawn, sum(sizes))
    assert all(min(2, size, num_drawn) <= number <= size for number, size in zip(numbers, totals, strict=True))
    fair = min(num_drawn, sum(sizes))
    heavy = [size * fair > 2 * sum(sizes) * number for size, number in zip(totals, numbers, strict=True)]
    if allocation != "equal":
        assert not any(heavy)  # none stands for more than twice as many as without strata
    elif len(totals) < len(sizes):
        assert not heavy[-1]


@given(sizes=SIZES, num_drawn=st.integers(1, 100), allocation=st.sampled_from(ALLOCATIONS))
def test_the_smallest_are_merged_and_no_more_than_need_be(sizes, num_drawn, allocation) -> None:
    def need(size: int, *, rest: bool = False) -> int:
        half = -(-num_drawn * size // (2 * sum(sizes))) if rest or allocation != "equal" else 0
        return min(size, num_drawn, max(2, half))

    goes_to = merged(sizes, num_drawn, allocation)
    if num_drawn >= sum(sizes) or sum(map(need, sizes)) <= num_drawn:
        assert goes_to == list(range(len(sizes)))
        return
    rest = [place for place, to in enumerate(goes_to) if to == max(goes_to)]
    kept = [place for place in range(len(sizes)) if place not in rest]
    if len(sizes) == 1:
        return
    assert [goes_to[place] for place in kept] == list(range(len(kept)))  # in their order
    ranks = {place: (-size, place) for place, size in enumerate(sizes)}
    assert all(ranks[place] < ranks[other] for place in kept for other in rest)
    largest = min(rest, key=ranks.__getitem__)
    others = sum(sizes[place] for place in rest if place != largest)
    with_one_more = sum(need(sizes[place]) for place in [*kept, largest]) + need(others, rest=True)
    assert len(rest) == 2 or with_one_more > num_drawn


def test_equal_ones_are_merged_from_the_end() -> None:
    assert merged([3, 3, 3, 3], 6, "sqrt") == [0, 1, 2, 2]
    assert merged([1, 9, 1, 9, 1], 7, "sqrt") == [0, 1, 2, 3, 4]  # 1 + 2 + 1 + 2 + 1
    assert merged([1, 9, 1, 9, 1], 6, "sqrt") == [2, 0, 2, 1, 2]
    assert merged([3, 3, 3, 3], 3, "sqrt") == [0, 0, 0, 0]
    assert merged([7], 1, "sqrt") == [0]


def test_allocations_by_hand() -> None:
    assert allocated([100, 400, 900], 60, "sqrt") == [10, 20, 30]
    assert allocated([100, 300], 8, "proportional") == [2, 6]
    assert allocated([1, 2, 1000], 10, "proportional") == [1, 2, 7]  # each two, or all that it has
    assert allocated([5, 100, 100], 40, "equal") == [5, 18, 17]  # never more than there are; ties go to the first
    assert allocated([100, 10**8], 100, "sqrt") == [2, 98]
    assert allocated([10**6] * 20 + [10**8], 100, "sqrt") == [3] * 18 + [2, 2, 42]  # half of its share
    assert allocated([5, 1], 6, "sqrt") == allocated([5, 1], 99, "equal") == [5, 1]
    with pytest.raises(UserError, match="allocation 'neyman': give one of sqrt, proportional, equal"):
        allocated([5], 2, "neyman")


@given(sizes=st.lists(st.integers(2000, 10**8), min_size=2, max_size=20), num_drawn=st.integers(100, 500))
def test_numbers_are_within_one_of_what_the_weights_demand(sizes, num_drawn) -> None:
    numbers = allocated(sizes, num_drawn, "sqrt")
    must = [max(2, -(-num_drawn * size // (2 * sum(sizes)))) for size in sizes]
    free = [place for place, number in enumerate(numbers) if number > must[place]]  # others have what they must
    weights = [sqrt(sizes[place]) for place in free]
    drawn = sum(numbers[place] for place in free)
    for place, weight in zip(free, weights, strict=True):
        assert abs(numbers[place] - drawn * weight / sum(weights)) < 1 + len(free) / 2


@given(sizes=SIZES, num_drawn=st.integers(50, 300), allocation=st.sampled_from(ALLOCATIONS))
def test_one_more_in_all_takes_none_away(sizes, num_drawn, allocation) -> None:
    if any(merged(sizes, number, allocation) != list(range(len(sizes))) for number in (num_drawn, num_drawn + 1)):
        return
    fewer, more = (allocated(sizes, number, allocation) for number in (num_drawn, num_drawn + 1))
    assert all(few <= many for few, many in zip(fewer, more, strict=True))


# Chance.


@given(size=st.integers(1, 10**12), share=st.floats(0, 1), seed=st.integers(0, 2**64 - 1))
def test_chosen_numbers_are_different_and_below(size, share, seed) -> None:
    number = min(size, int(200 * share))
    found = chosen(number, size, seed)
    assert len(set(found)) == number
    assert found == sorted(found)
    assert all(0 <= value < size for value in found)
    assert found == chosen(number, size, seed)


@pytest.mark.parametrize(("number", "size"), [(1, 5), (2, 5), (4, 5), (3, 6)])
def test_every_set_is_as_likely(number, size) -> None:
    sets = Counter(tuple(chosen(number, size, seed, 1)) for seed in range(3000))
    num_sets = {(1, 5): 5, (2, 5): 10, (4, 5): 5, (3, 6): 20}[number, size]
    assert len(sets) == num_sets
    expected = 3000 / num_sets
    chi_square = sum((found - expected) ** 2 / expected for found in sets.values())
    assert chi_square < {5: 18.5, 10: 27.9, 20: 43.8}[num_sets]  # 99.9 % of all by chance; the seeds are fixed


def test_choices_are_pinned() -> None:
    """Samples are drawn again from their seed, so these may change only with the version of samples."""
    assert chosen(5, 10**8, 7, 1, 0) == [22053329, 38979648, 45958838, 53530726, 58544335]


# What is drawn from an output.

COUNTS = {("ride", 0.15, "tagger"): 40, ("ride", 0.95, "tagger"): 11, ("hold", 0.55, "caption"): 5,
          ("hold", 1.0, "tagger"): 1, ("wear", 0.0, "geometry"): 2}  # fmt: skip


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Folder:
    """59 relations that qualify in several shards, and four that do not."""
    units = repeated(COUNTS)
    units.insert(1, [])
    units.append([[relation("ride", 1.0, "human"), relation("ride", 0.5, state="denied")], [],
                  [relation("ride", 1.0, "human", state="denied"), relation("fly", 1.0, "human")]])  # fmt: skip
    return output_of(tmp_path_factory.mktemp("drawn") / "out", units, pixels=True)


@settings(max_examples=20)
@given(
    counts=st.dictionaries(
        st.tuples(st.sampled_from(["ride", "hold", "sit on", "ride,"]), st.sampled_from([0.0, 0.31, 0.3, 1.0]),
                  st.sampled_from(["tagger", "caption"])),
        st.integers(1, 9), min_size=1, max_size=8),
    num_drawn=st.integers(1, 40), by=st.permutations(["predicate", "score", "source"]), num_by=st.integers(0, 3),
    allocation=st.sampled_from(ALLOCATIONS),
)  # fmt: skip
def test_a_sample_is_of_its_population(tmp_path_factory, counts, num_drawn, by, num_by, allocation) -> None:
    folder = output_of(tmp_path_factory.mktemp("any") / "out", repeated(counts, a_scene=2, a_unit=5))
    sample, items, num_merged = draw_sample(folder, Plan(num_drawn, tuple(by[:num_by]), seed=3, allocation=allocation))
    total = sum(counts.values())
    assert sample.population == total == sum(stratum.population for stratum in sample.strata)
    assert sample.num_items == len(items) == min(num_drawn, total) == sum(stratum.drawn for stratum in sample.strata)
    assert Counter(item.stratum for item in items) == {i: s.drawn for i, s in enumerate(sample.strata)}
    assert len(set(names_drawn(sample, items))) == len(items)
    assert sum(Fraction(s.population, s.drawn) * s.drawn for s in sample.strata) == total

    cells = Counter()
    for (predicate, score, source), number in counts.items():
        told = {"predicate": predicate, "score": TENTHS[min(9, int(score * 10))], "source": source}
        cells[tuple(told[name] for name in by[:num_by])] += number
    own = {values: s.population for values, s in by_values(sample).items() if values or not num_by}
    assert own.items() <= cells.items()
    assert num_merged == (len(cells) - len(own) if len(own) < len(cells) else 0)
    for item in items:
        told = {"predicate": item.predicate, "score": TENTHS[min(9, int(item.score * 10))], "source": item.source}
        values = sample.strata[item.stratum].values
        if values or not num_by:
            assert list(values.items()) == [(name, told[name]) for name in by[:num_by]]
        else:  # the rest: what has no stratum of its own
            assert tuple(told[name] for name in by[:num_by]) not in own


def test_strata_are_in_the_order_of_their_values_and_the_rest_is_last(output) -> None:
    sample, items, num_merged = draw_sample(output, Plan(7, seed=1))
    assert sample.strata == (
        Stratum({"predicate": "ride", "score": "0.1-0.2", "source": "tagger"}, 40, 3),
        Stratum({"predicate": "ride", "score": "0.9-1.0", "source": "tagger"}, 11, 2),
        Stratum({}, 8, 2),
    )
    assert num_merged == 3
    assert {item.predicate for item in items if item.stratum == 2} <= {"hold", "wear"}


def test_all_of_the_rest_can_be_drawn(output) -> None:
    drawn = set()
    for seed in range(20):
        _, items, _ = draw_sample(output, Plan(7, seed=seed), num_threads=1)
        drawn |= {(item.key, item.relation, item.predicate) for item in items if item.stratum == 2}
    assert Counter(predicate for *_, predicate in drawn) == {"hold": 6, "wear": 2}


def test_all_is_drawn_if_there_is_no_more(output) -> None:
    sample, items, num_merged = draw_sample(output, Plan(1000))
    assert (sample.population, len(items), num_merged) == (59, 59, 0)
    assert {tuple(s.values.values()): (s.population, s.weight) for s in sample.strata} == {
        (name, TENTHS[min(9, int(score * 10))], source): (number, 1.0)
        for (name, score, source), number in COUNTS.items()
    }  # fmt: skip
    assert len(set(names_drawn(sample, items))) == 59
    assert {item.source for item in items} == {"tagger", "caption", "geometry"}  # nothing of people


def test_without_dimensions_it_is_a_simple_random_sample(output) -> None:
    sample, items, _ = draw_sample(output, Plan(10, by=()))
    assert sample.strata == (Stratum({}, 59, 10),)
    assert len(items) == 10


def test_the_other_dimensions(output) -> None:
    sample, _, _ = draw_sample(output, Plan(59, by=("dataset", "object", "subject")))
    assert sample.strata == (Stratum({"dataset": "s", "object": "horse", "subject": "person"}, 59, 59),)


def test_the_number_of_threads_changes_nothing_and_the_seed_everything(output) -> None:
    def told(seed: int, num_threads: int | None) -> str:
        sample, items, _ = draw_sample(output, Plan(20, seed=seed), num_threads=num_threads)
        return json.dumps([asdict(sample), [asdict(item) for item in items]])

    assert told(5, 1) == told(5, 3) == told(5, None)
    first, second = (draw_sample(output, Plan(20, seed=seed)) for seed in (5, 6))
    assert names_drawn(*first[:2]) != names_drawn(*second[:2])
    assert replace(first[0], seed=6) == second[0]  # the same strata


def test_relations_of_a_stratum_are_drawn_equally_often(output) -> None:
    times, firsts = Counter(), Counter()
    for seed in range(50):
        sample, items, _ = draw_sample(output, Plan(20, by=("predicate",), seed=seed), num_threads=1)
        times.update((item.stratum, item.key, item.relation) for item in items)
        firsts.update([items[0].stratum])
    assert len(times) == 59  # every one can be drawn
    chi_square, spread = 0.0, 0
    for place, stratum in enumerate(sample.strata):
        chance = stratum.drawn / stratum.population
        found = [number for (of, *_), number in times.items() if of == place]
        assert len(found) == stratum.population
        if chance < 1:
            chi_square += sum((number - 50 * chance) ** 2 / (50 * chance * (1 - chance)) for number in found)
            spread += len(found) - 1
    assert spread > 40
    assert chi_square < spread + 4 * sqrt(2 * spread)
    assert all(firsts[place] for place in range(len(sample.strata)))  # the order is over all strata


def test_items_point_to_the_bytes_of_their_scenes(output) -> None:
    sample, items, _ = draw_sample(output, Plan(1000))
    assert (sample.log_length, sample.log_sha256) == log_digest(output)
    for item in items:
        scene = read_item(Folder(sample.output), item)  # compares the crc32 of both members
        found = scene.relations[item.relation]
        regions = {region.id: region for region in scene.regions}
        assert scene.image.data is not None
        assert (scene.key, scene.image.width, scene.image.height) == (item.key, item.width, item.height)
        assert (found.predicate, found.text, found.score, found.probability, found.source) == (
            item.predicate, item.text, item.score, item.probability, item.source)  # fmt: skip
        for id_, name, box in (
            (found.subject, item.subject, item.subject_box),
            (found.object, item.object, item.object_box),
        ):
            assert (regions[id_].name, regions[id_].box) == (name, box)
        assert (item.subject_id, item.object_id) == (found.subject, found.object)


def test_an_output_without_pictures_has_none(tmp_path) -> None:
    _, (item,), _ = draw_sample(output_of(tmp_path / "out", [[[relation()]]]), Plan(1))
    assert item.image is None


def test_an_output_may_grow(tmp_path) -> None:
    folder = output_of(tmp_path / "out", [[[relation()] * 3]], sealed=False)
    before, _, _ = draw_sample(folder, Plan(9))
    output_of(tmp_path / "out", [[[relation()] * 4]], prefix="t")
    after, _, _ = draw_sample(folder, Plan(9))
    assert (before.log_length, before.population) == (1, 3)
    assert (after.log_length, after.population) == (3, 7)
    assert log_digest(folder, 1) == (1, before.log_sha256)


# The condition.


def test_a_condition_chooses(output) -> None:
    def found(where: str) -> int:
        return draw_sample(output, Plan(5, where=where), num_threads=1)[0].population

    assert found("predicate = 'ride' and score < 0.4") == 40
    assert found("PREDICATE in ('hold', 'wear') -- a comment") == 8
    assert found("state = 'denied' and source = 'human'") == 1
    assert found("source = 'human'") == 2  # asserted, unless it speaks of the state
    assert found("state in ('asserted', 'denied')") == 60  # not of people, unless it speaks of the source
    assert found("subject = 'person' and object like 'h%' and text is not null and probability is null") == 59
    assert found("subject_width = 4 and subject_height = 8 and object_width * object_height > 55.9") == 59
    assert (
        found("key >= 's-004' and dataset = 's'") == draw_sample(output, Plan(5, where="key >= 's-004'"))[0].population
    )
    assert found("true") == 59


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("1=1) union select (1", "syntax error"),
        ("1=1 union select true", "more than one condition"),
        ("true) and (true", "syntax error"),
        ("true; drop table relations", "syntax error"),
        ("true;", "more than one condition"),
        ("true FROM relations; select true", "more than one condition"),
        ("true, false", "more than one condition"),
        ("distinct true", "more than one condition"),
        ("true as everything", "more than one condition"),
        ("true limit 1", "syntax error"),
        ("?", "more than one condition"),
        ("true /*", "unterminated"),
        ("read_csv('/etc/passwd')", r"read_csv\(\) does not follow from one relation"),
        ("'x' in (select * from read_csv('/etc/passwd'))", "subquery has no place"),
        ("exists (from 'index/*.parquet')", "subquery has no place"),
        ("'x' = (select content from read_text('/etc/passwd'))", "subquery has no place"),
        ("getenv('HOME') = '/root'", "getenv"),
        ("current_setting('threads') = '1'", r"current_setting\(\) does not follow"),
        ("random() < 0.5", r"random\(\) does not follow"),
        ("main.random() < 0.5", r"random\(\) does not follow"),
        ("now() > '2020-01-01'", r"now\(\) does not follow"),
        ("pg_sleep(9) is null", r"pg_sleep\(\) does not follow"),
        ("count(*) > 1", "does not follow|star"),
        ("row_number() over () < 3", "window has no place"),
        ("columns(*) is null", "star has no place"),
        ("list_filter([1], lambda x: x > 0) = [1]", "lambda has no place"),
        ('predicate = "ride"', "no column 'ride'; texts stand in single quotes"),
        ("relations.score > 0", "no column 'relations.score'"),
        ("scor < 0.4", "no column 'scor'"),
        ("items is null", "no column 'items'"),
        ("score", "of type DOUBLE"),
        ("'yes'", "of type VARCHAR"),
        ("null", "and no condition"),
        ("", "no condition|without selection list"),
        ("nosuch(score) > 1", "nosuch"),
        ("true\0", "none of them the character 0"),
        ("(" * 4000 + "true" + ")" * 4000, "depth"),
        ("true or " * 2000 + "true", "give at most"),
    ],
    ids=lambda value: value[:30],
)
def test_what_is_no_condition_is_refused(where, what) -> None:
    with pytest.raises(UserError, match=what) as told:
        Condition(where)
    assert "\n" not in str(told.value)
    assert "predicate, score, probability, source, state" in str(told.value)


def test_a_condition_that_fails_on_a_value_is_refused(output) -> None:
    with pytest.raises(UserError, match=r"Could not convert string .* Give one condition on predicate"):
        draw_sample(output, Plan(5, where="cast(text as integer) = 1"))


def test_the_database_behind_a_condition_reaches_nothing(tmp_path) -> None:
    """Should something get past the parse."""
    import duckdb

    (tmp_path / "secret.csv").write_text("a,b")
    table = pa.table({"score": [0.1]})
    condition = Condition("true")
    for text in (
        f"exists (from read_csv('{tmp_path / 'secret.csv'}'))",
        f"exists (from read_text('{tmp_path / 'secret.csv'}'))",
        f"exists (from '{tmp_path / 'secret.csv'}')",
        "exists (from table)",  # a variable of this test
        "exists (from elsewhere)",
    ):
        condition.text = text
        with pytest.raises(UserError):
            condition.rows(table)
    connection = condition._connection()
    for query in ("SET enable_external_access = true", "INSTALL httpfs", "LOAD httpfs",
                  f"COPY (SELECT 1) TO '{tmp_path}/x'",
                  f"ATTACH '{tmp_path}/y.db'", "SET lock_configuration = false"):  # fmt: skip
        with pytest.raises(duckdb.Error):
            connection.execute(query)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_columns_are_what_the_message_says() -> None:
    assert Condition(" and ".join(f"{name} is not null" for name in COLUMNS)).columns == COLUMNS.keys()


# Bad input.


def test_what_makes_no_sense_is_refused() -> None:
    for options, what in (
        ({"num_drawn": 0}, "n is 0; give the number of relations to draw"),
        ({"by": ("predicate", "size")}, "no dimension 'size'; choose from predicate, score, source, subject"),
        ({"by": ("score", "score")}, "a dimension is given twice"),
        ({"allocation": "best"}, "allocation 'best'"),
        ({"auditors": ("../ana",)}, "auditor '../ana'"),
        ({"auditors": ("ana", "ana")}, "a name is given twice"),
        ({"overlap": 1.5}, "overlap is 1.5"),
    ):
        with pytest.raises(UserError, match=what):
            Plan(**{"num_drawn": 5, **options})


def test_an_output_with_nothing_to_draw_is_refused(tmp_path) -> None:
    with pytest.raises(BadInputError, match=r"no dataset\.json here"):
        draw_sample(Folder(str(tmp_path / "nothing")), Plan(5))
    with pytest.raises(BadInputError, match="nothing was committed yet"):
        draw_sample(output_of(tmp_path / "new", [], sealed=False), Plan(5))
    for name, units in (
        ("sealed", []),
        ("empty", [[]]),
        ("bare", [[[], []]]),
        ("people", [[[relation(source="human")]]]),
    ):
        with pytest.raises(UserError, match="there is nothing to draw"):
            draw_sample(output_of(tmp_path / name, units), Plan(5))
    folder = output_of(tmp_path / "some", [[[relation()]]])
    with pytest.raises(UserError, match=r"none of 1 relations is where 'score > 2'"):
        draw_sample(folder, Plan(5, where="score > 2"))


def test_an_index_that_was_not_committed_is_refused(tmp_path) -> None:
    folder = output_of(tmp_path / "out", [[[relation()] * 3], [[relation("hold")] * 2]])
    name = CommitLog(folder).read(0).index.name
    path = folder.local_path(name)
    good = path.read_bytes()

    path.unlink()
    with pytest.raises(BadInputError, match=f"{name}: named by a commit, but missing"):
        draw_sample(folder, Plan(5))
    path.write_bytes(good[:-1])
    with pytest.raises(BadInputError, match=f"bytes {len(good) - 1}, its commit says {len(good)}"):
        draw_sample(folder, Plan(5))
    path.write_bytes(b"x" * len(good))
    with pytest.raises(BadInputError, match="damaged, or cannot be read"):
        draw_sample(folder, Plan(5))
    at = good.index(b"hold") if b"hold" in good else good.index(b"ride")
    path.write_bytes(good[:at] + b"RIDE" + good[at + 4 :])  # of equal length, and it can be read
    with pytest.raises(BadInputError, match=r"sha256|damaged"):
        draw_sample(folder, Plan(5))
    path.write_bytes(good)
    assert draw_sample(folder, Plan(5))[0].population == 5


def test_an_index_with_other_relations_is_refused(tmp_path) -> None:
    folder = output_of(tmp_path / "out", [[[relation()] * 3, [relation()]]])
    path = folder.local_path(CommitLog(folder).read(0).index.name)
    commit = tmp_path / "out" / "commits" / "00000000.json"

    def rewrite(table: pa.Table) -> None:
        pq.write_table(table, path)
        document = json.loads(commit.read_text())
        document["index"]["bytes"] = path.stat().st_size
        commit.write_text(json.dumps(document))

    table = pq.read_table(path)
    rewrite(table.replace_schema_metadata({"schema": "relmill.index/2"}))
    with pytest.raises(BadInputError, match=r"schema is relmill\.index/2; this relmill reads relmill\.index/1"):
        draw_sample(folder, Plan(5))
    rewrite(table.slice(0, 1))
    with pytest.raises(BadInputError, match="1 scenes, its commit says 2"):
        draw_sample(folder, Plan(5))
    rewrite(table.take(pa.array([0, 0])))
    with pytest.raises(BadInputError, match="6 relations, its commit says 4"):
        draw_sample(folder, Plan(5))
    rewrite(table)  # counts agree, so this is found where it matters
    with pytest.raises(BadInputError, match="sha256"):
        draw_sample(folder, Plan(5))


def test_an_output_on_another_store_is_drawn_from_alike(output, tmp_path) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    here = Path(output.local_path(""))
    store.put(f"{here}/", "/drawn-out/", recursive=True)
    remote, remote_items, _ = draw_sample(Folder("memory://drawn-out"), Plan(20, seed=4))
    local, items, _ = draw_sample(output, Plan(20, seed=4))
    assert remote_items == items
    assert replace(remote, output=local.output) == local
