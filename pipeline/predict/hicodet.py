"""RLIPv2's zero-shot row on HICO-DET ("NF": no fine-tuning), from predictions in a file."""

from pathlib import Path

from pipeline.evaluate.evaluation import Evaluation
from pipeline.evaluate.hicodet import evaluate_hicodet, interactions_only
from pipeline.evaluate.run import Files
from schemas import BadInputError
from stages.evaluate.hicodet_classes import hico_classes
from stages.evaluate.read import Notes, layout_of, read_truths

PAPER = "rlipv2"
"""The set of conventions that RLIPv2's figures were made with."""


def check_hicodet(annotations: str) -> None:
    """Refuse test annotations that could not be evaluated, before hours are spent on predictions for them.

    Raises:
        BadInputError: naming file, element and field.
    """
    truths = read_truths(annotations, hico_classes().space, Notes())
    known: set[str] = set()
    for read in interactions_only(truths, Notes(), layout_of(annotations) == "shards"):
        if read.image in known:
            raise BadInputError(f"{read.where}: image {read.image!r} stands in the ground truth a second time")
        known.add(read.image)


def evaluate_zero_shot(annotations: str, predictions: Path) -> Evaluation:
    """The figures under the conventions of RLIPv2, and under ours."""
    return evaluate_hicodet(Files(annotations, str(predictions)), split="nf", presets=(PAPER, "official", "corrected"))


def paper_row(evaluation: Evaluation) -> str:
    """What papers print, in the order of their columns."""
    figures = evaluation.scores[PAPER].figures
    row = "  ".join(
        f"{name} {'-' if (value := figures[figure]) is None else f'{100 * value:.2f}'}"
        for name, figure in (("rare", "mAP rare"), ("non-rare", "mAP non-rare"), ("full", "mAP"))
    )
    return f"HICO-DET zero-shot (NF), conventions {PAPER}:  {row}"
