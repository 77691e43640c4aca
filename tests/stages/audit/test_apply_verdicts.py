"""From verdicts to statements: majorities, ties, changed minds, and what was said before."""

from dataclasses import replace
from itertools import permutations

import pytest

from schemas.audit import AuditItem, Place, Verdict
from schemas.layer import Statement
from stages.audit.apply import changes, decisions, layer_of
from stages.pack import Layers


def item(number: int, *, key: str = "s-1", predicate: str = "ride", object_: int = 2) -> AuditItem:
    return AuditItem(
        number=number, stratum=0, key=key, relation=number, shard="shards/a.tar", image=None, scene=Place(0, 9, 77),
        width=10, height=10, subject_id=1, subject="person", subject_box=(0, 0, 4, 8), predicate=predicate,
        object_id=object_, object="horse", object_box=(1, 2, 9, 9), text=f"{predicate} text", score=0.5,
        probability=None, source="tagger",
    )  # fmt: skip


ITEMS = [item(0), item(1, predicate="lead"), item(2, key="s-2"), item(3, key="s-2", object_=5)]


def said(*lines: tuple[str, int, str | None]) -> list[Verdict]:
    return [Verdict(number, auditor, judgement) for auditor, number, judgement in lines]


def outcomes(*lines: tuple[str, int, str | None], items=ITEMS) -> dict[int, str]:
    return {one.item.number: one.outcome for one in decisions(items, said(*lines))}


@pytest.mark.parametrize(
    ("judgement", "outcome"),
    [
        ("right", "asserted"), ("wrong", "denied"), ("wrong predicate", "denied"), ("wrong box", "denied"),
        ("unsure", "unsure"), (None, "taken back"),
    ],
)  # fmt: skip
def test_what_each_verdict_becomes(judgement, outcome):
    assert outcomes(("ann", 2, judgement)) == {2: outcome}


@pytest.mark.parametrize(
    ("judgements", "outcome"),
    [
        (("right", "right", "wrong"), "asserted"),
        (("right", "wrong box", "wrong"), "denied"),
        (("right", "wrong", "unsure"), "tie"),
        (("right", "unsure", "unsure"), "asserted"),
        (("unsure", "unsure", "unsure"), "unsure"),
        (("wrong", "wrong predicate", None), "denied"),
    ],
)
def test_the_majority_of_those_who_are_sure_counts_in_whatever_order(judgements, outcome):
    for order in permutations(judgements):
        lines = [(name, 0, judgement) for name, judgement in zip(("ann", "bob", "eve"), order, strict=True)]
        assert outcomes(*lines) == {0: outcome}
        assert outcomes(*reversed(lines)) == {0: outcome}


def test_the_statement_names_those_who_say_so():
    (found,) = decisions(ITEMS, said(("bob", 0, "wrong"), ("eve", 0, "right"), ("ann", 0, "wrong box")))
    assert found.statement == Statement(1, 2, "ride", "ride text", "denied", ("ann", "bob"))
    assert found.votes == (("ann", "denied"), ("bob", "denied"), ("eve", "asserted"))
    (tie,) = decisions(ITEMS, said(("bob", 0, "wrong"), ("eve", 0, "right")))
    assert tie.statement is None


def test_the_last_verdict_of_an_auditor_counts():
    assert outcomes(("ann", 0, "right"), ("ann", 0, "wrong")) == {0: "denied"}
    assert outcomes(("ann", 0, "right"), ("ann", 0, None), ("ann", 0, "right")) == {0: "asserted"}


def test_items_on_one_relation_are_one_and_an_auditor_has_one_vote():
    items = [item(0), item(1), item(2, key="s-2")]
    assert outcomes(("ann", 0, "right"), ("ann", 1, "right"), ("bob", 1, "wrong"), items=items) == {0: "tie"}
    assert outcomes(("ann", 0, "right"), ("ann", 1, "wrong"), items=items) == {0: "tie"}
    assert outcomes(("ann", 0, "right"), ("ann", 1, "wrong"), ("bob", 1, "wrong"), items=items) == {0: "denied"}


class Output:
    """The layers of an output to which decisions are applied."""

    def __init__(self) -> None:
        self.layers = []

    def apply(self, *lines: tuple[str, int, str | None], sample: str = "a"):
        layers, decided = Layers("out", self.layers), decisions(ITEMS, said(*lines))
        found = changes(layers, sample, decided)
        if found.written:
            self.layers.append(layer_of(layers, found, decided, sample=sample, log_length=1, log_sha256="f" * 64))
        return found.num_asserted, found.num_denied, found.num_withdrawn, found.num_unchanged

    def states(self, key: str = "s-1") -> dict[str, str]:
        return {one.predicate: one.state for one in Layers("out", self.layers).said_of(key, 77)}


def test_the_same_verdicts_again_write_nothing():
    output = Output()
    lines = [("ann", 0, "right"), ("ann", 1, "wrong"), ("ann", 2, "unsure")]
    assert output.apply(*lines) == (1, 1, 0, 0)
    assert output.apply(*lines) == (0, 0, 0, 2)
    assert output.apply(*lines, ("bob", 0, "right")) == (0, 0, 0, 2), "who agrees later adds nothing"
    assert len(output.layers) == 1
    assert output.layers[0].auditors == ("ann",)
    assert output.layers[0].scenes.keys() == {"s-1"}
    assert output.layers[0].scenes["s-1"].json_crc32 == 77
    assert [one.predicate for one in output.layers[0].scenes["s-1"].statements] == ["lead", "ride"]


def test_only_what_is_new_or_changed_is_written():
    output = Output()
    output.apply(("ann", 0, "right"), ("ann", 1, "right"))
    assert output.apply(("ann", 0, "right"), ("ann", 1, "right"), ("ann", 1, "wrong"), ("ann", 2, "right")) == (
        1,
        1,
        0,
        1,
    )
    assert output.layers[1].scenes.keys() == {"s-1", "s-2"}
    assert [one.predicate for one in output.layers[1].scenes["s-1"].statements] == ["lead"]
    assert output.states() == {"ride": "asserted", "lead": "denied"}


@pytest.mark.parametrize("then", [("ann", 0, None), ("ann", 0, "unsure"), ("bob", 0, "wrong")])
def test_what_is_taken_back_doubted_or_disputed_is_withdrawn_once(then):
    output = Output()
    output.apply(("ann", 0, "right"), ("ann", 1, "right"))
    now = [("ann", 0, "right"), ("ann", 1, "right"), then]
    assert output.apply(*now) == (0, 0, 1, 1)
    assert output.states() == {"lead": "asserted"}
    assert output.apply(*now) == (0, 0, 0, 1)
    assert output.apply(*now, ("ann", 0, "wrong"), ("bob", 0, "wrong")) == (0, 1, 0, 1)
    assert output.states() == {"lead": "asserted", "ride": "denied"}


def test_copies_of_a_sample_that_are_applied_one_by_one_do_not_withdraw_each_others_words():
    output = Output()
    output.apply(("ann", 0, "right"))
    assert output.apply(("bob", 0, "unsure"), ("bob", 1, "wrong")) == (0, 1, 0, 0)
    assert output.states() == {"ride": "asserted", "lead": "denied"}
    assert output.apply(("bob", 0, "wrong"), ("bob", 1, "wrong")) == (0, 1, 0, 1), "the later word counts"
    assert output.states() == {"ride": "denied", "lead": "denied"}


def test_another_sample_has_its_own_word():
    output = Output()
    output.apply(("ann", 0, "right"))
    assert output.apply(("bob", 0, "right"), sample="b") == (1, 0, 0, 0)
    assert output.apply(("bob", 0, "right"), ("bob", 0, None), sample="b") == (0, 0, 1, 0)
    assert output.states() == {"ride": "asserted"}


def test_equal_verdicts_give_equal_bytes_whoever_is_asked_first():
    lines = said(("ann", 0, "right"), ("bob", 0, "right"), ("ann", 3, "wrong"), ("bob", 2, "right"))
    found = set()
    for order in permutations(lines):
        layers, decided = Layers("out"), decisions(ITEMS, order)
        layer = layer_of(layers, changes(layers, "a", decided), decided, sample="a", log_length=1, log_sha256="f")
        found.add(layer.to_json())
    assert len(found) == 1
    assert replace(layer, sample="b").sha256 != layer.sha256
