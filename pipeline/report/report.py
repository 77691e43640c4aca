"""The report of a run: `report.json` for programs, `report.html` for people. Each run replaces both."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pipeline.meter import Meter
from pipeline.report.page import choose_examples, render_page
from pipeline.report.sample import Sample, is_label, row_relations, sample_output
from schemas import RelmillError
from stages.evaluate import LabelScore
from stages.pack import read_dataset_file
from stages.storage import Folder

REPORT_VERSION = "relmill.report/1"

_SAMPLE_SCENES = 2000
_BINS = 10
_MOST_PREDICATES = 50
_MOST_PROBLEMS = 50


def write_report(folder: Folder, meter: Meter, *, sealed: bool) -> None:
    """Write `report.json` and `report.html` of a run that ended, however it ended.

    The figures of the run are the meter's. What is said of labels comes from a sample of at most 2,000 committed
    scenes, evenly spread and seeded by the job's digest; an output of any size takes seconds. Damage that the sample
    meets becomes a line under `problems`.

    Raises:
        StorageError: if the output cannot be written.
    """
    problems: list[str] = []
    try:
        job = str(read_dataset_file(folder)["job"])
    except (RelmillError, PermissionError) as error:
        job = ""
        problems.append(str(error))
    sample = sample_output(folder, seed=job, num_scenes=_SAMPLE_SCENES)
    examples, example_problems = choose_examples(folder, sample, seed=job)
    problems += [*sample.problems, *example_problems]
    document = {
        "schema": REPORT_VERSION,
        "job": job,
        **_state(meter, sealed=sealed),
        "run": _run(meter),
        **_labels(sample),
        "examples": [example.key for example in examples],
        "problems": list(dict.fromkeys(problems))[:_MOST_PROBLEMS],
    }
    folder.replace("report.json", json.dumps(document, indent=1, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    folder.replace("report.html", render_page(folder.url, document, sample, examples))


def _state(meter: Meter, *, sealed: bool) -> dict[str, Any]:
    totals = meter.totals
    complete = totals.planned == meter.num_records
    return {
        "state": "sealed" if sealed else "complete" if complete else "unfinished",
        "num_records": meter.num_records,
        "totals": asdict(totals),
        "balanced": totals.balanced(),
    }


def _run(meter: Meter) -> dict[str, Any]:
    return {
        "elapsed_s": round(meter.elapsed_s, 3),
        "committed": meter.committed,
        "done_before": meter.done_before,
        "images_per_s": round(meter.images_per_s, 3),
        "stages": [
            {
                "stage": name,
                "workers": figures.workers,
                "scenes": figures.scenes,
                "calls": figures.calls,
                "busy_s": round(figures.busy_s, 3),
                "busy_fraction": round(meter.busy_fraction(name), 4),
                "wait_s": round(figures.wait_s, 3),
                "setup_s": round(figures.setup_s, 3),
                "deaths": figures.deaths,
            }
            for name, figures in meter.stages.items()
        ],
    }


def _labels(sample: Sample) -> dict[str, Any]:
    """What the sample says of labels; `score` is None if no sampled scene has human relations."""
    score = LabelScore()
    predicates, sources, humans = Counter[str](), Counter[str](), Counter[str]()
    bins: dict[str, list[int]] = {}
    with_labels = 0
    for row in sample.rows:
        relations = row_relations(row)
        score.add_relations(relations)
        labelled = [relation for relation in relations if is_label(relation)]
        with_labels += bool(labelled)
        predicates.update(relation.predicate for relation in labelled)
        humans.update(r.predicate for r in relations if r.source == "human" and r.state == "asserted")
        sources.update(relation.source for relation in relations if relation.state == "asserted")
        for relation in labelled:
            counts = bins.setdefault(relation.source, [0] * _BINS)
            counts[min(_BINS - 1, max(0, int(relation.score * _BINS)))] += 1
    top = _by_count(predicates)[:_MOST_PREDICATES]
    return {
        "sample": {
            "scenes": len(sample.rows),
            "scenes_with_labels": with_labels,
            "units": sample.num_units,
            "units_committed": sample.num_units_committed,
        },
        "score": score.to_dict() if score.num_scenes else None,
        "predicates": [{"predicate": name, "labelled": n, "human": humans[name]} for name, n in top],
        "num_predicates": len(predicates),
        "sources": dict(_by_count(sources)),
        "score_histogram": {
            "edges": [round(i / _BINS, 6) for i in range(_BINS + 1)],
            "counts": {source: bins[source] for source in sorted(bins)},
        },
    }


def _by_count(counts: Counter[str]) -> Sequence[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
