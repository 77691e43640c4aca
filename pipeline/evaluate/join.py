"""Truth and prediction of each image brought together, and what is left over on either side."""

from collections.abc import Collection, Iterable
from typing import Protocol

from pipeline.evaluate.evaluation import Coverage
from schemas import BadInputError
from stages.evaluate.benchmark import BenchmarkScore
from stages.evaluate.detections import ImagePrediction, ImageTruth, nothing_predicted
from stages.evaluate.read import Notes, ReadPrediction, ReadTruth
from stages.ingest.keys import file_safe


class Evaluator(Protocol):
    """What every benchmark over relations between boxes offers."""

    def add(self, truth: ImageTruth, prediction: ImagePrediction) -> None:
        """Count an image."""

    def score(self) -> BenchmarkScore:
        """What all images gave."""


def evaluate_images(
    truths: Iterable[ReadTruth],
    predictions: Iterable[ReadPrediction],
    evaluators: Collection[Evaluator],
    *,
    files: tuple[str, str],
    notes: Notes,
    others_left_out: bool,
) -> Coverage:
    """Give every evaluator every image of the truth once, with what was predicted for it, or with nothing.

    The truth is held in memory, the predictions are not.

    Args:
        files: where truth and predictions come from, for messages.
        notes: of the readers; added to.
        others_left_out: predictions of images outside the truth are left out and noted; else they are an error.

    Raises:
        BadInputError: if an image is given twice, or is unknown, or there is none; names file and element.
    """
    held: dict[str, ImageTruth] = {}
    for read in truths:
        if read.image in held:
            raise BadInputError(f"{read.where}: image {read.image!r} stands in the ground truth a second time")
        held[read.image] = read.truth
    if not held:
        raise BadInputError(f"{files[0]}: holds no image")
    num_truths = sum(len(truth.relations) for truth in held.values())

    # Scenes are known by keys, in which characters that are not safe in file names are written otherwise.
    by_key = {file_safe(image): image for image in held}
    waiting = dict.fromkeys(held)
    num_predictions = 0
    for found in predictions:
        image = found.image if found.image in held else by_key.get(found.image)
        if image is None and others_left_out:
            notes["images left out, as the ground truth lacks them"] += 1
            continue
        if image is None:
            raise BadInputError(f"{found.where}: image {found.image!r} is not in the ground truth {files[0]}")
        if image not in waiting:
            raise BadInputError(f"{found.where}: image {image!r} has predictions already; give each image once")
        del waiting[image]
        num_predictions += len(found.prediction.relations)
        for evaluator in evaluators:
            try:
                evaluator.add(held[image], found.prediction)
            except ValueError as error:
                raise BadInputError(f"{found.where} ({image}): {error}") from error
    without = tuple(sorted(waiting))
    if len(without) == len(held):
        raise BadInputError(f"{files[1]}: has no prediction for any of the {len(held)} images of {files[0]}")
    for image in without:
        for evaluator in evaluators:
            evaluator.add(held[image], nothing_predicted())
    return Coverage(len(held), num_truths, num_predictions, without, dict(notes))
