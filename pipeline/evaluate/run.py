"""A benchmark over relations between boxes, from two files to its figures under one or more sets of conventions."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.evaluate.conventions import as_values
from pipeline.evaluate.evaluation import Evaluation, Input
from pipeline.evaluate.join import Evaluator, evaluate_images
from stages.evaluate.detections import LabelSpace
from stages.evaluate.read import (
    Notes,
    ReadTruth,
    classes_of_truth,
    layout_of,
    read_classes,
    read_predictions,
    read_truths,
)

Check = Callable[[Iterator[ReadTruth], Notes, bool], Iterator[ReadTruth]]
"""Truths as the benchmark can take them; the flag says whether others are left out and noted, or an error."""


@dataclass(frozen=True, slots=True)
class Files:
    """What is compared, in any layout of `stages.evaluate.read`."""

    ground_truth: str
    predictions: str


def run_benchmark(
    files: Files,
    evaluators: Mapping[str, Evaluator],
    conventions: Mapping[str, Any],
    *,
    benchmark: str,
    title: str,
    space: LabelSpace,
    settings: Mapping[str, str],
    check: Check | None = None,
) -> Evaluation:
    """Evaluate predictions against a ground truth.

    Args:
        evaluators: by column.
        conventions: by column, those of its evaluator.

    Raises:
        BadInputError: naming file, element and field.
    """
    notes = Notes()
    open_truth, open_predictions = (layout_of(path) == "shards" for path in (files.ground_truth, files.predictions))
    truths = read_truths(files.ground_truth, space, notes)
    coverage = evaluate_images(
        truths if check is None else check(truths, notes, open_truth),
        read_predictions(files.predictions, space, notes),
        list(evaluators.values()),
        files=(files.ground_truth, files.predictions),
        notes=notes,
        others_left_out=open_predictions,
    )
    return Evaluation(
        benchmark=benchmark,
        title=title,
        settings=settings,
        inputs={
            "ground truth": Input.of(files.ground_truth, is_folder=open_truth),
            "predictions": Input.of(files.predictions, is_folder=open_predictions),
        },
        coverage=coverage,
        conventions={name: as_values(chosen) for name, chosen in conventions.items()},
        scores={name: evaluator.score() for name, evaluator in evaluators.items()},
    )


def classes_for(classes: str | None, *truths: str) -> LabelSpace:
    """The classes of a file, or those that the ground truths name.

    Raises:
        BadInputError: if the file is none of classes.
        UserError: if there is none, and the truths number their classes.
    """
    if classes is not None:
        return read_classes(classes)
    spaces = [classes_of_truth(path) for path in truths]
    objects = {name for space in spaces for name in space.objects}
    predicates = {name for space in spaces for name in space.predicates}
    return LabelSpace(tuple(sorted(objects)), tuple(sorted(predicates)))
