"""Cohen's kappa equals scikit-learn's, and is None where it is not defined."""

import warnings

import numpy as np
import pytest
from audit_figures_made import said
from hypothesis import given
from hypothesis import strategies as st

from schemas.audit import JUDGEMENTS
from stages.audit.agreement import agreements, cohen_kappa

PAIRS = st.lists(st.tuples(st.sampled_from(JUDGEMENTS), st.sampled_from(JUDGEMENTS)), min_size=1, max_size=30)


def sklearn_kappa(pairs, labels):
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the audit extra")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it divides by zero where kappa is not defined
        return metrics.cohen_kappa_score(*zip(*pairs, strict=True), labels=list(labels))


@given(PAIRS)
def test_kappa_equals_that_of_scikit_learn(pairs):
    ours, theirs = cohen_kappa(pairs, JUDGEMENTS).value, sklearn_kappa(pairs, JUDGEMENTS)
    if ours is None:
        assert len({judgement for pair in pairs for judgement in pair}) == 1
        assert np.isnan(theirs)
    else:
        assert ours == pytest.approx(theirs, abs=1e-12)


def test_kappa_worked_out_by_hand():
    """Cohen's textbook table: both yes 20, both no 15, yes and no 5, no and yes 10; p_o 0.7, p_e 0.5."""
    pairs = [("True", "True")] * 20 + [("True", "False")] * 5 + [("False", "True")] * 10 + [("False", "False")] * 15
    found = cohen_kappa(pairs)
    assert (found.num, found.agreed) == (50, 35)
    assert found.value == pytest.approx(0.4)
    low, high = found.interval
    assert low == pytest.approx(0.14, abs=0.03)
    assert high == pytest.approx(0.63, abs=0.03)


def test_kappa_is_none_where_chance_alone_agrees():
    same = cohen_kappa([("True", "True")] * 8)
    assert (same.value, same.interval, same.num, same.agreed) == (None, None, 8, 8)
    assert cohen_kappa([]).value is None
    # Not the same thing: one always says yes, the other always no.
    assert cohen_kappa([("True", "False")] * 8).value == 0.0


def test_never_differing_is_not_certain():
    found = cohen_kappa([("True", "True")] * 10 + [("False", "False")] * 10)
    assert found.value == 1.0
    low, high = found.interval
    assert 0.5 < low < 0.8
    assert high == 1.0
    assert cohen_kappa([("True", "True"), ("False", "False")]).interval is None


def test_the_interval_covers_where_there_are_items_enough():
    draw = np.random.default_rng(3)
    table = np.array([[0.62, 0.08], [0.08, 0.22]])
    truth = (0.84 - (0.7**2 + 0.3**2)) / (1 - (0.7**2 + 0.3**2))
    names = [(a, b) for a in ("True", "False") for b in ("True", "False")]
    covered = []
    for counts in draw.multinomial(80, table.ravel(), 600):
        pairs = [name for name, count in zip(names, counts.tolist(), strict=True) for _ in range(count)]
        low, high = cohen_kappa(pairs).interval
        covered.append(low <= truth <= high)
    assert 0.93 <= np.mean(covered) <= 0.97


def test_agreement_is_of_the_items_that_both_judged():
    verdicts = said(
        cid={9: "right"},
        bob={0: "right", 1: "wrong box", 2: "unsure", 3: "wrong", 7: "right"},
        ann={0: "right", 1: "wrong", 2: "right", 3: "right", 8: "wrong"},
    )
    (found,) = agreements(verdicts)
    assert found.auditors == ("ann", "bob")
    # Wrong box and wrong are both not right; item 2 is left out of right or not.
    assert (found.right_or_not.num, found.right_or_not.agreed) == (3, 2)
    assert (found.judgements.num, found.judgements.agreed) == (4, 1)
    assert found.right_or_not.value == pytest.approx(0.4)
