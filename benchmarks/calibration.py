"""Are calibrated probabilities right on scenes that nothing was fitted on? ECE before and after, tagger and prior.

    python benchmarks/calibration.py [--count 600] [--captions builtin] [--json result.json]

Per backend: label `--count` procedural scenes, `relmill calibrate` on half of them by their human relations, label as
many other scenes (another seed) with `tag.calibration`, and measure these with `relmill evaluate labels`, on the score
and on the probability. What passes is an error of at most 0.05 in bins of equal width and of equal mass. Intervals are
of scenes drawn with replacement; they lean upwards, see `stages/evaluate/label_quality.py`.

The fit's own figures, on the pictures that each of its folds holds out, stand beside: they should foretell the others.
The networks must not have been trained on the scenes: their seeds are 1,000,003 and 1,000,004.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from pipeline.calibrate import CalibrationSummary, calibrate
from pipeline.evaluate.labels import evaluate_labels
from pipeline.label import label, prepare
from schemas.job import build_job
from stages.audit.calibration import CalibrationConfig
from stages.evaluate.label_score import LabelConventions, QualityRow

FITTED_ON, MEASURED_ON = 1_000_003, 1_000_004
WANTED = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=600, help="scenes measured, and twice those fitted on")
    parser.add_argument("--captions", default="builtin", help="builtin (the small BLIP), given, or another BLIP")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    print(f"captions: {options.captions}; fitted on {options.count // 2} scenes, measured on {options.count} others")
    results = []
    with tempfile.TemporaryDirectory(prefix="relmill-") as folder:
        for backend in ("relation_tagger", "prior"):
            results.append(_measured(backend, options.count, options.captions, Path(folder)))
            print(_text(results[-1]))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    worst = max(one[f"{name}_after"]["value"] for one in results for name in ("ece_width", "ece_mass"))
    print(f"worst error after: {worst:.3f}, {'within' if worst <= WANTED else 'above'} {WANTED}")


def _measured(backend: str, count: int, captions: str, folder: Path) -> dict[str, Any]:
    fitted = _labelled(folder / f"{backend}-fit", backend, captions, count=count // 2, seed=FITTED_ON)
    summary = calibrate([fitted], folder / f"{backend}.json", config=CalibrationConfig())
    measured = _labelled(
        folder / f"{backend}-held-out",
        backend,
        captions,
        count=count,
        seed=MEASURED_ON,
        calibration=str(summary.output),
    )
    before, after = (
        evaluate_labels(measured, conventions=LabelConventions(use=use), num_ap_resamples=1).score.overall
        for use in ("score", "probability")
    )
    return {
        "backend": backend,
        "num_fitted": summary.calibration.kinds["tagger"].num_labels,
        "num_measured": before.num_labels,
        "method": summary.calibration.kinds["tagger"].method,
        **_figures(before, "before"),
        **_figures(after, "after"),
        "foretold": _foretold(summary),
    }


def _labelled(
    output: Path, backend: str, captions: str, *, count: int, seed: int, calibration: str | None = None
) -> str:
    """The folder of a finished output of procedural scenes."""
    given = {"backend": "given"}
    blip = {"backend": "blip", "model": captions, "keep_given": False}
    document = {
        "dataset": {"format": "scenes", "count": count, "seed": seed},
        "caption": given if captions == "given" else blip,
        "tag": {"backend": backend, "calibration": calibration},
        "output": str(output),
    }
    result = label(prepare(build_job(document)), quiet=True)
    assert result.sealed, output
    return str(output)


def _figures(row: QualityRow, when: str) -> dict[str, Any]:
    found = {"ece_width": row.ece_width, "ece_mass": row.ece_mass, "brier": row.brier}
    return {f"{name}_{when}": {"value": one.value, "interval_95": one.interval} for name, one in found.items()}


def _foretold(summary: CalibrationSummary) -> dict[str, Any]:
    figures = summary.calibration.kinds["tagger"].figures["after"]
    return {name: figures[name] for name in ("ece_width", "ece_mass", "brier")}


def _text(result: dict[str, Any]) -> str:
    lines = [
        f"\n{result['backend']}: {result['method']}, fitted on {result['num_fitted']} labels, measured on "
        f"{result['num_measured']}",
        f"{'':12}{'score':26}{'probability':26}as the fit foretold",
    ]
    for name in ("ece_width", "ece_mass", "brier"):
        cells = [result[f"{name}_before"], result[f"{name}_after"], result["foretold"][name]]
        lines.append(f"{name:12}" + "".join(f"{_cell(cell):26}" for cell in cells).rstrip())
    return "\n".join(lines)


def _cell(figure: dict[str, Any]) -> str:
    if figure["interval_95"] is None:
        return f"{figure['value']:.3f}"
    low, high = figure["interval_95"]
    return f"{figure['value']:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
