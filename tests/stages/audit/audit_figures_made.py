"""Samples without an output, for the statistics of an audit."""

from collections.abc import Sequence

import numpy as np

from schemas.audit import AuditItem, AuditSample, Place, Stratum, Verdict
from stages.audit.judged import Judged


def item(number: int, stratum: int = 0, **fields) -> AuditItem:
    given = {"predicate": "ride", "score": 0.5, "probability": None, "source": "tagger", **fields}
    return AuditItem(
        number=number, stratum=stratum, key=f"s-{number}", relation=0, shard="shards/a.tar", image=None,
        scene=Place(0, 1, 0), width=10, height=10, subject_id=0, subject="person", subject_box=(0.0, 0.0, 4.0, 8.0),
        object_id=5, object="horse", object_box=(1.0, 2.0, 9.0, 9.0), text="rides", **given,
    )  # fmt: skip


def sample(strata: Sequence[tuple[int, int]], **fields) -> AuditSample:
    """Of strata given as (population, drawn)."""
    made = tuple(Stratum({"predicate": f"p{i}"}, population, drawn) for i, (population, drawn) in enumerate(strata))
    return AuditSample(
        output="out", log_length=1, log_sha256="0" * 64, seed=0, by=("predicate",), where=None,
        population=sum(population for population, _ in strata), strata=made,
        num_items=sum(drawn for _, drawn in strata), **fields,
    )  # fmt: skip


def said(**of_auditors) -> dict[tuple[str, int], Verdict]:
    """Verdicts: `said(ann={0: "right", 3: "wrong"})`."""
    return {
        (auditor, number): Verdict(number, auditor, judgement)
        for auditor, judgements in of_auditors.items()
        for number, judgement in judgements.items()
    }


def judged(right: Sequence[float], strata: Sequence[int], population: Sequence[int]) -> Judged:
    """Items that are right in such a share, and wrong else."""
    share = np.array(right, dtype=np.float64)
    kinds = np.stack([share, 1 - share, 0 * share, 0 * share], axis=1)
    return Judged(np.arange(len(share)), np.array(strata), kinds, np.array(population), 0)
