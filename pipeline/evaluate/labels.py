"""`relmill evaluate labels`: the labels of an output against relations that people wrote down."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.evaluate.evaluation import table_lines
from pipeline.evaluate.label_outputs import HumanRelations, Output
from pipeline.report.sample import is_label
from schemas import BadInputError, Image, Scene
from stages.evaluate.calibration import Bin
from stages.evaluate.estimate import Estimate
from stages.evaluate.label_quality import LabelQuality
from stages.evaluate.label_score import COUNTS, Bootstrap, LabelConventions, QualityRow, QualityScore

_MOST_PREDICATES = 20


@dataclass(frozen=True, slots=True)
class LabelsEvaluation:
    """How good the labels of an output are, with all it takes to measure it again."""

    predictions: str
    predictions_job: str
    """Digest of the job that made the output."""
    predictions_sealed: bool
    """Whether the output was finished; otherwise more scenes may come."""
    ground_truth: str | None
    """None if the human relations are those of the labelled scenes themselves, on the same regions."""
    ground_truth_job: str | None
    num_unknown: int
    """Labelled scenes whose key the truth does not have. They are not measured."""
    num_unlabelled: int
    """Scenes of the truth with human relations that the output does not have: measured, as nothing found."""
    layers: dict[str, int]
    """What people said of the truth since it was made: `layers`, `scenes`, `asserted`, `denied`."""
    score: QualityScore

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "predictions": self.predictions,
            "predictions_job": self.predictions_job,
            "predictions_sealed": self.predictions_sealed,
            "ground_truth": self.ground_truth,
            "ground_truth_job": self.ground_truth_job,
            "num_unknown": self.num_unknown,
            "num_unlabelled": self.num_unlabelled,
            "layers": self.layers,
            **self.score.to_json(),
        }

    def csv_rows(self) -> list[tuple[str | int | float | None, ...]]:
        """A row for overall, each source and each predicate; the first is the head. None is an empty cell."""
        names = tuple(self.score.overall.estimates())
        head = [cell for name in names for cell in (name, f"{name}_low", f"{name}_high")]
        rows: list[tuple[str | int | float | None, ...]] = [("group", "name", *COUNTS, *head)]
        for row in self.score.rows:
            cells: list[float | None] = []
            for estimate in row.estimates().values():
                cells += [estimate.value, *(estimate.interval or (None, None))]
            rows.append((row.group, row.name, *(getattr(row, name) for name in COUNTS), *cells))
        return rows

    def to_csv(self) -> str:
        """`csv_rows` as the text of a file."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(self.csv_rows())
        return text.getvalue()

    def to_text(self) -> str:
        """Tables for a terminal: percentages, each with its 95 % interval."""
        predicates = self.score.by_predicate
        shown = predicates[:_MOST_PREDICATES]
        which = f"predicate, {len(shown)} of {len(predicates)}" if len(shown) < len(predicates) else "predicate"
        parts = [
            self._head(),
            table_lines(_overall(self.score)),
            table_lines(_rates("source", self.score.by_source)),
            table_lines(_rates(which, shown)),
            table_lines(_reliability(self.score.overall.reliability_width)),
        ]
        return "\n\n".join("\n".join(part) for part in parts)

    def _head(self) -> list[str]:
        score, row = self.score, self.score.overall
        chosen, drawn = score.conventions, score.bootstrap
        truth = "its own human relations, on the same regions"
        if self.ground_truth is not None:
            truth = f"{self.ground_truth}, regions matched by name and IoU of at least {chosen.iou_threshold:g}"
        if self.layers["layers"]:
            said = self.layers
            truth += f"; people since assert {said['asserted']} more, or again, and deny {said['denied']}"
        wrong = score.false_positives
        lines = [
            f"labels     {self.predictions}{'' if self.predictions_sealed else ' (not sealed: more may come)'}",
            f"truth      {truth}",
            f"scenes     {score.num_scenes} measured, {score.num_left_out} left out: no human relations",
        ]
        if self.ground_truth is not None:
            lines.append(
                f"           {self.num_unknown} only in the labels, left out; {self.num_unlabelled} only in the truth, "
                "counted as nothing found"
            )
        lines += [
            f"found      {row.num_matched} of {row.num_human} human relations, by {row.num_labels} labels",
            f"wrong      {wrong.denied} denied by a human, {wrong.other_predicate} with another human predicate, "
            f"{score.num_repeated} found before,",
            f"           {wrong.silent_pair} on regions that no human related: "
            + ("counted as wrong" if chosen.truth == "closed" else "not counted as labels"),
            f"ranked by  {chosen.use}"
            + (f"; {score.num_without_probability} go by their score" if score.num_without_probability else ""),
            f"intervals  95 %, of {drawn.num_resamples} resamples of scenes, {drawn.num_ap_resamples} for AP",
        ]
        return lines


def evaluate_labels(
    predictions: str,
    ground_truth: str | None = None,
    *,
    conventions: LabelConventions | None = None,
    num_resamples: int = 1000,
    num_ap_resamples: int = 200,
    seed: int = 0,
) -> LabelsEvaluation:
    """Measure the labels of an output folder against human relations. Reads the indexes only, no shard.

    Args:
        predictions: path or URL of the output whose labels are measured.
        ground_truth: output folder with human relations of scenes of the same keys, on regions of its own; its human
            relations are held in memory, about 80 bytes each. None: the human relations are in `predictions`.
        conventions: what counts as right; the defaults of `LabelConventions` if left out.
        num_resamples: bootstrap resamples of the intervals.
        num_ap_resamples: those of the average precision.
        seed: of the bootstrap.

    Raises:
        BadInputError: if a folder is no output or is damaged, or if no scene of both has human relations.
        UserError: if an argument is out of range, or a folder may not be read.
        TransientError: if the store failed.
    """
    quality = LabelQuality(conventions)
    bootstrap = Bootstrap(num_resamples=num_resamples, num_ap_resamples=num_ap_resamples, seed=seed)
    output = Output(predictions)
    truth = None if ground_truth is None else HumanRelations(Output(ground_truth))
    num_shared = num_unknown = num_unlabelled = 0
    for place, scene in output.scenes():
        try:
            if truth is None:
                quality.add(scene)
            elif (asserted := truth.find(scene.key)) is not None:
                num_shared += 1
                quality.add_matched(scene, asserted)
            else:
                num_unknown += any(is_label(relation) for relation in scene.relations)
        except BadInputError as error:
            raise BadInputError(f"{place}: {error}") from error
    if truth is not None and not num_shared:
        raise BadInputError(
            f"{predictions} and {ground_truth} have no scene in common; scenes are known by their keys, "
            f"`<dataset>-<image id>`, so the dataset has to bear the same name in both"
        )
    for asserted in () if truth is None else truth.unfound():
        num_unlabelled += 1
        quality.add_matched(Scene(asserted.key, Image("")), asserted)
    if not quality.num_scenes:
        raise BadInputError(
            f"{ground_truth or predictions}: no human relations of any scene of {predictions}; "
            f"give an output of the same scenes that has some as ground truth"
        )
    try:
        score = quality.score(bootstrap)
    except BadInputError as error:
        raise BadInputError(f"{predictions}: {error}") from error
    return LabelsEvaluation(
        predictions=predictions,
        predictions_job=output.job,
        predictions_sealed=output.sealed,
        ground_truth=ground_truth,
        ground_truth_job=truth.job if truth else None,
        num_unknown=num_unknown,
        num_unlabelled=num_unlabelled,
        layers=(truth.layers if truth else output.layers).counts(),
        score=score,
    )


# Tables


def _overall(score: QualityScore) -> list[tuple[str, ...]]:
    titles = {
        "precision_closed": "precision, closed",
        "precision_spoken_pairs": "precision, spoken pairs",
        "recall": "recall",
        "f1": "F1",
        "ap": "AP",
        "ece_width": "calibration error, equal width",
        "ece_mass": "calibration error, equal mass",
        "brier": "Brier score",
    }
    estimates = score.overall.estimates()
    return [("overall", "percent"), *((title, estimates[name].to_text()) for name, title in titles.items())]


def _rates(title: str, rows: Sequence[QualityRow]) -> list[tuple[str, ...]]:
    table: list[tuple[str, ...]] = [(title, "labels", "human", "precision", "recall", "AP", "ECE")]
    for row in rows:
        rates = (one.to_text() for one in (row.precision, row.recall, row.ap, row.ece_width))
        table.append((row.name, str(row.num_labels), str(row.num_human), *rates))
    return table


def _reliability(bins: Sequence[Bin]) -> list[tuple[str, ...]]:
    table: list[tuple[str, ...]] = [("score", "labels", "mean score", "right")]
    for one in bins:
        shares = (Estimate(value, None).to_text() for value in (one.mean_score, one.hit_rate))
        table.append((f"{one.low:.2f} to {one.high:.2f}", str(one.num), *shares))
    return table
