"""`relmill evaluate vcoco`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, get_args

from pipeline.evaluate.conventions import as_values, chosen_conventions
from pipeline.evaluate.evaluation import Coverage, Evaluation, Input
from schemas import BadInputError, UserError
from stages.evaluate.read import Notes, is_lines, is_output_folder, must_exist
from stages.evaluate.vcoco import PRESETS, VCocoEvaluator, VCocoPrediction
from stages.evaluate.vcoco_predictions import NanScores, read_vcoco_predictions
from stages.evaluate.vcoco_shards import read_vcoco_shards, read_vcoco_triplets
from stages.evaluate.vcoco_truth import read_vcoco_truth


@dataclass(frozen=True, slots=True)
class VCocoFiles:
    """What is compared: the official files of the truth, and predictions as JSON, pickle, triplets or output folder."""

    ground_truth: str
    """The verb file of a split."""
    instances: str
    """COCO's instances."""
    predictions: str
    ids: str | None = None
    """The images of the split; None takes those of the verb file."""


def evaluate_vcoco(
    files: VCocoFiles,
    *,
    nan_scores: str = "error",
    presets: Sequence[str] = (),
    conventions: Sequence[str] = (),
) -> Evaluation:
    """Average precision of roles in both scenarios, and of agents.

    Args:
        files: truth and predictions.
        nan_scores: a score that is not a number is an `error`, or none is predicted there: `skip`.
        presets: sets of conventions to report, by name.
        conventions: `name=value`, applied to each of them.

    Raises:
        BadInputError: naming file, element and field.
        UserError: if a preset or convention is none of V-COCO's.
    """
    if nan_scores not in get_args(NanScores):
        raise UserError(f"--nan-scores {nan_scores}: choose {' or '.join(get_args(NanScores))}")
    columns = chosen_conventions("vcoco", PRESETS, presets, conventions)
    inputs = {"ground truth": files.ground_truth, "instances": files.instances, "predictions": files.predictions}
    inputs |= {} if files.ids is None else {"ids": files.ids}
    is_output = is_output_folder(files.predictions)
    for role, path in inputs.items():
        if role != "predictions" or not is_output:
            must_exist(path, f"the file of V-COCO's {role}")
    truth = read_vcoco_truth(files.ground_truth, files.instances, files.ids)
    evaluators = {name: VCocoEvaluator(truth.actions, column) for name, column in columns.items()}

    waiting = dict.fromkeys(truth.images)
    num_predictions, notes = 0, Notes()
    if is_output:
        predictions = read_vcoco_shards(files.predictions, truth, notes)
    elif is_lines(files.predictions):
        predictions = read_vcoco_triplets(files.predictions, truth, notes)
    else:
        predictions = read_vcoco_predictions(files.predictions, truth, nan_scores=cast(NanScores, nan_scores))
    for image, prediction in predictions:
        if image not in waiting:
            raise BadInputError(f"{files.predictions}: image {image} has predictions already; give each image once")
        del waiting[image]
        num_predictions += len(prediction.people)
        for evaluator in evaluators.values():
            evaluator.add(truth.images[image], prediction)
    if len(waiting) == len(truth.images):
        raise BadInputError(f"{files.predictions}: has no prediction for any of the {len(waiting)} images of the truth")
    for image in waiting:
        for evaluator in evaluators.values():
            evaluator.add(truth.images[image], VCocoPrediction.nobody(truth.actions))
    return Evaluation(
        benchmark="vcoco",
        title="V-COCO",
        settings={},
        inputs={role: Input.of(path, is_folder=is_output and role == "predictions") for role, path in inputs.items()},
        coverage=Coverage(
            num_images=len(truth.images),
            num_truths=sum(len(image.people) for image in truth.images.values()),
            num_predictions=num_predictions,
            without_prediction=tuple(str(image) for image in waiting),
            notes=dict(notes),
            counted=("people", "predicted people"),
        ),
        conventions={name: as_values(column) for name, column in columns.items()},
        scores={name: evaluator.score() for name, evaluator in evaluators.items()},
    )
