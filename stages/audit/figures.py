"""All figures of an audit as plain values: the content of `report.json`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from schemas.audit import JUDGEMENTS, AuditItem, AuditSample, Verdict
from stages.audit.agreement import Agreement, Kappa, agreements
from stages.audit.estimates import Share, precision, share, unjudged_strata
from stages.audit.judged import KINDS, Bools, Judged, judged_items, names_of, numbers_of
from stages.audit.reliability import Reliability, reliability, tenth_name, tenths
from stages.audit.thresholds import Cut, Thresholds, thresholds

FIGURES_VERSION = "relmill.audit-report/1"


def audit_figures(
    sample: AuditSample,
    items: Sequence[AuditItem],
    verdicts: Mapping[tuple[str, int], Verdict],
    *,
    wanted: float,
) -> dict[str, Any]:
    """What a sample says of its population, as far as it is judged. The output is not needed.

    Shares are in [0, 1]. A share is `{"value", "interval_95", "judged", "population"}`: the estimate, its 95 % interval
    (null below `FEWEST_FOR_INTERVAL` items), the judged items behind it, and how many relations of the population it
    speaks of, which is an estimate, too, where strata do not fix it.

    Args:
        items: of the sample, all.
        verdicts: of `latest`.
        wanted: precision in [0, 1] that a threshold is sought for.

    Raises:
        BadInputError: if a score is outside of [0, 1].
    """
    judged = judged_items(sample, items, verdicts)
    places, missing = unjudged_strata(judged)
    seen = {number for _, number in verdicts}
    return {
        "schema": FIGURES_VERSION,
        "sample": {
            "output": sample.output,
            "log_length": sample.log_length,
            "seed": sample.seed,
            "by": list(sample.by),
            "where": sample.where,
            "population": sample.population,
            "num_strata": len(sample.strata),
            "num_items": sample.num_items,
        },
        "progress": {
            "judged": len(judged.numbers),
            "unsure": judged.num_unsure,
            "unseen": sample.num_items - len(seen),
            "auditors": _progress(sample, verdicts),
        },
        "unjudged": {
            "share": missing,
            "strata": [
                {"values": sample.strata[place].values, "population": sample.strata[place].population}
                for place in places
            ],
        },
        "precision": _share(precision(judged)),
        "kinds": {kind: _share(share(judged, judged.kinds[:, place])) for place, kind in enumerate(KINDS)},
        "by": _domains(sample, items, judged),
        "agreement": [_agreement(pair) for pair in agreements(verdicts)],
        "reliability": {field: _reliability(reliability(judged, items, field)) for field in ("score", "probability")},
        "thresholds": _thresholds(thresholds(judged, items, wanted)),
    }


def _progress(sample: AuditSample, verdicts: Mapping[tuple[str, int], Verdict]) -> list[dict[str, Any]]:
    """What each auditor has done, by name; also those who are named and have not begun."""
    rows = []
    for auditor in sorted({*sample.auditors, *(name for name, _ in verdicts)}):
        said = [verdict.judgement for (name, _), verdict in verdicts.items() if name == auditor]
        known = not sample.auditors or auditor in sample.auditors
        rows.append(
            {
                "auditor": auditor,
                "judged": len(said),
                "of": len(sample.items_of(auditor)) if known else None,
                "judgements": {judgement: said.count(judgement) for judgement in JUDGEMENTS},
            }
        )
    return rows


def _domains(sample: AuditSample, items: Sequence[AuditItem], judged: Judged) -> dict[str, list[dict[str, Any]]]:
    """Precision of parts of the population: predicates and sources with the worst first, scores and strata in order."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for field in ("predicate", "source"):
        names = np.array(names_of(judged, items, field))
        rows = [{"name": name, **_precision(judged, names == name)} for name in sorted(set(names.tolist()))]
        tables[field] = sorted(rows, key=_badness)
    scores = numbers_of(judged, items, "score")
    bins = tenths(np.clip(scores, 0.0, 1.0))
    tables["score"] = [
        {"name": tenth_name(bin_), **_precision(judged, bins == bin_)} for bin_ in np.unique(bins).tolist()
    ]
    tables["stratum"] = [
        {"values": sample.strata[place].values, **_precision(judged, judged.strata == place)}
        for place in np.unique(judged.strata).tolist()
    ]
    return tables


def _badness(row: Mapping[str, Any]) -> tuple[bool, float, str]:
    """Those with an interval first: of a predicate that was judged once, 0 % or 100 % says little."""
    return row["interval_95"] is None, row["value"], row["name"]


def _precision(judged: Judged, among: Bools) -> dict[str, Any]:
    return _share(precision(judged, among))


def _share(found: Share) -> dict[str, Any]:
    return {**found.estimate.to_json(), "judged": found.num, "population": found.population}


def _agreement(pair: Agreement) -> dict[str, Any]:
    return {
        "auditors": list(pair.auditors),
        "right_or_not": _kappa(pair.right_or_not),
        "judgements": _kappa(pair.judgements),
    }


def _kappa(kappa: Kappa) -> dict[str, Any]:
    return {"kappa": kappa.value, "interval_95": kappa.interval, "items": kappa.num, "agreed": kappa.agreed}


def _reliability(found: Reliability | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "expected_calibration_error": found.expected_calibration_error,
        "brier_score": found.brier_score,
        "judged": found.num,
        "bins": [
            {"low": part.low, "high": part.high, "mean_score": part.mean_score, **_share(part.precision)}
            for part in found.bins
        ],
    }


def _thresholds(found: Thresholds) -> dict[str, Any]:
    return {
        "wanted": found.wanted,
        "surely": _cut(found.surely),
        "likely": _cut(found.likely),
        "curve": [_cut(cut) for cut in found.curve],
    }


def _cut(cut: Cut | None) -> dict[str, Any] | None:
    if cut is None:
        return None
    return {
        "threshold": cut.threshold,
        "precision": _share(cut.precision),
        "kept": cut.kept.estimate.to_json(),
        "right_kept": cut.right_kept,
    }
