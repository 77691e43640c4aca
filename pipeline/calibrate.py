"""Fitting a calibration: what `relmill calibrate` does."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from pipeline.evaluate.label_outputs import Output
from pipeline.local_files import replace_bytes
from schemas import BadInputError, RelmillError, StorageError, UserError
from stages.audit import latest, log_digest, read_sample, read_verdicts
from stages.audit.calibration import (
    CalibrationConfig,
    Observation,
    Truth,
    equalised,
    fit_calibration,
    sample_observations,
    scene_observations,
)
from stages.audit.sample_files import SAMPLE_FILE
from stages.optional import require_audit
from stages.pack import read_dataset_file
from stages.storage import Folder
from stages.tag.calibration import Calibration, KindCalibration, tagger_model

_FIGURES = {
    "ece_width": "calibration error, equal width",
    "ece_mass": "calibration error, equal mass",
    "brier": "Brier score",
    "log_loss": "log-loss",
}


@dataclass(frozen=True, slots=True)
class CalibrationSummary:
    """What was fitted, for the terminal."""

    output: Path
    num_bytes: int
    calibration: Calibration
    too_few: dict[str, int]
    """Kinds of labels that could not be calibrated, with how many there are."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: the file, and where it is."""
        document: dict[str, Any] = json.loads(self.calibration.to_json())
        return {"output": str(self.output), "sha256": self.calibration.sha256, "too_few": self.too_few, **document}

    def __str__(self) -> str:
        lines = [f"{self.output}: {self.num_bytes} bytes, sha256 {self.calibration.sha256}"]
        known = ", ".join(self.calibration.taggers) or "unknown; `label` cannot tell whether its tagger is the same"
        lines.append(f"scores of {known}")
        for name, kind in sorted(self.calibration.kinds.items()):
            lines += _lines(name, kind)
        lines += [
            f"{name}: {number} labels are too few to fit anything" for name, number in sorted(self.too_few.items())
        ]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Source:
    """What one source holds."""

    observations: list[Observation]
    document: dict[str, Any]
    """What to remember of it. No path: where things lie is not what they are."""
    tagger: str | None


def calibrate(
    sources: Sequence[str], output: Path, *, config: CalibrationConfig, truth: Truth = "closed"
) -> CalibrationSummary:
    """Fit a calibration on some sources and write it to `output`, over an old file if there is one.

    Equal sources in any order give equal bytes.

    Args:
        sources: folders of audit samples with verdicts, and outputs (path or URL) whose scenes have human relations.
        config: how it is fitted.
        truth: what a label of an output is that no human asserted.

    Raises:
        BadInputError: if a source is neither, or damaged, or nobody judged labels enough.
        UserError: if a setting is impossible, scikit-learn is missing, or a source is given twice.
        StorageError: if the file cannot be written.
        TransientError: if the store failed.
    """
    require_audit("relmill calibrate", "sklearn")
    if truth not in get_args(Truth):
        raise UserError(f"--truth {truth}: give one of {', '.join(get_args(Truth))}")
    found = [_sample(Path(url)) if _is_sample(url) else _output(url, truth) for url in sources]
    digests = [json.dumps(source.document, sort_keys=True) for source in found]
    for place, digest in enumerate(digests):
        if digest in digests[:place]:
            raise UserError(f"{sources[place]}: is the same as {sources[digests.index(digest)]}; give each source once")
    taggers = sorted({source.tagger for source in found if source.tagger is not None})
    if len(taggers) > 1:
        raise BadInputError(
            f"the sources have scores of several taggers, {' and '.join(taggers)}, which mean different things; fit a "
            f"calibration for each"
        )
    calibration, too_few = fit_calibration(
        [one for source in found for one in equalised(source.observations)],
        config,
        taggers=taggers,
        sources=[json.loads(digest) for digest in sorted(digests)],
        settings=_settings(config),
    )
    text = calibration.to_json()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(output, text)
    except OSError as error:
        raise StorageError(f"{output}: cannot be written: {error}; give another --output") from error
    return CalibrationSummary(output, len(text), calibration, too_few)


def _settings(config: CalibrationConfig) -> dict[str, Any]:
    settings = asdict(config)
    settings["families"] = config.families if isinstance(config.families, str) else dict(config.families)
    return settings


# Sources


def _is_sample(url: str) -> bool:
    return "://" not in url and (Path(url) / SAMPLE_FILE).is_file()


def _sample(folder: Path) -> _Source:
    sample, items = read_sample(folder)
    verdicts = read_verdicts(folder, num_items=sample.num_items)
    now = latest(verdicts)
    said = [[auditor, number, verdict.judgement] for (auditor, number), verdict in sorted(now.items())]
    content = json.dumps([asdict(sample), [asdict(item) for item in items], said], sort_keys=True)
    try:
        observations = sample_observations(sample, items, verdicts)
    except BadInputError as error:
        raise BadInputError(f"{folder}: {error}") from error
    document = {
        "kind": "sample",
        "sha256": hashlib.sha256(content.encode()).hexdigest(),
        "log_sha256": sample.log_sha256,
        "auditors": sorted({auditor for auditor, _ in now}),
        "num_labels": len(observations),
    }
    return _Source(observations, document, _tagger_of_sample(sample.output))


def _tagger_of_sample(output: str) -> str | None:
    """None if the output is out of reach: people may judge where the shards are not."""
    try:
        return _tagger(Folder(output))
    except (RelmillError, OSError):
        return None


def _output(url: str, truth: Truth) -> _Source:
    try:
        output = Output(url)
    except BadInputError as error:
        raise BadInputError(
            f"{error}; and no {SAMPLE_FILE} either: give audit samples, or outputs with human relations"
        ) from error
    observations: list[Observation] = []
    keys: set[str] = set()
    for place, scene in output.scenes():
        if scene.key in keys:
            raise BadInputError(f"{place}: scene {scene.key!r} is there twice; keys are unique within an output")
        keys.add(scene.key)
        try:
            observations += scene_observations(scene, truth)
        except BadInputError as error:
            raise BadInputError(f"{place}: {error}") from error
    if not observations:
        raise BadInputError(
            f"{url}: no human relations in any scene with pseudo-labels; give an output of a dataset that has some, or "
            f"have people judge a sample: relmill audit"
        )
    folder = Folder(url)
    document = {
        "kind": "output",
        "log_sha256": log_digest(folder)[1],
        "layers_sha256": output.layers.sha256 if output.layers.number else None,
        "truth": truth,
        "num_labels": len(observations),
    }
    return _Source(observations, document, _tagger(folder))


def _tagger(folder: Folder) -> str | None:
    stages = read_dataset_file(folder).get("settings", {}).get("stages", {})
    identity = stages.get("tag") if isinstance(stages, dict) else None
    return tagger_model(identity) if isinstance(identity, str) else None


# Text


def _lines(name: str, kind: KindCalibration) -> list[str]:
    of_families = f", {len(kind.families)} families with maps of their own" if kind.families else ", one map for all"
    lines = [
        "",
        f"{name}: {kind.num_labels} labels in {kind.num_scenes} scenes, mean score {kind.mean_score:.3f}, "
        f"{kind.share_right:.3f} right",
        f"{kind.method}{of_families}" + ("" if kind.strength is None else f", drawn to all by {kind.strength:g}"),
    ]
    best: dict[str, float] = {}
    for one in kind.figures["tried"]:
        best[one["method"]] = min(one["log_loss"], best.get(one["method"], one["log_loss"]))
    if len(best) > 1:
        lines.append("log-loss of " + ", ".join(f"{method} {loss:.4f}" for method, loss in best.items()))
    lines.append(f"{'on pictures held out':32}{'score':26}probability")
    for figure, title in _FIGURES.items():
        cells = [_cell(kind.figures[when][figure]) for when in ("before", "after")]
        lines.append(f"{title:32}{cells[0]:26}{cells[1]}")
    return lines


def _cell(figure: dict[str, Any]) -> str:
    text = f"{figure['value']:.3f}"
    if figure["interval_95"] is None:
        return text
    low, high = figure["interval_95"]
    return f"{text} ({low:.3f} to {high:.3f})"
