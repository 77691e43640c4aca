"""`relmill evaluate hicodet`."""

from collections.abc import Iterator, Sequence
from typing import cast, get_args

from pipeline.evaluate.conventions import chosen_conventions
from pipeline.evaluate.evaluation import Evaluation
from pipeline.evaluate.run import Files, run_benchmark
from schemas import BadInputError, UserError
from stages.evaluate.detections import ImageTruth
from stages.evaluate.hicodet import PRESETS, HicoEvaluator, are_interactions
from stages.evaluate.hicodet_classes import Split, hico_classes
from stages.evaluate.read import Notes, ReadTruth


def evaluate_hicodet(
    files: Files, *, split: str = "full", presets: Sequence[str] = (), conventions: Sequence[str] = ()
) -> Evaluation:
    """Average precision of predicted human-object interactions.

    Args:
        files: test annotations and predictions.
        split: whose groups of classes are reported. `nf` also drops subjects that are no person before ranking.
        presets: sets of conventions to report, by name.
        conventions: `name=value`, applied to each of them.

    Raises:
        BadInputError: naming file, element and field.
        UserError: if a split, preset or convention is none of HICO-DET's.
    """
    if split not in get_args(Split):
        raise UserError(f"--split {split}: choose {', '.join(get_args(Split))}")
    chosen = ["subjects=person", *conventions] if split == "nf" else conventions
    columns = chosen_conventions("hicodet", PRESETS, presets, chosen)
    return run_benchmark(
        files,
        {name: HicoEvaluator(column, split=cast(Split, split)) for name, column in columns.items()},
        columns,
        benchmark="hicodet",
        title="HICO-DET",
        space=hico_classes().space,
        settings={"split": split},
        check=interactions_only,
    )


def interactions_only(truths: Iterator[ReadTruth], notes: Notes, leave_out: bool) -> Iterator[ReadTruth]:  # noqa: FBT001 - as `Check` has it
    """The truths, all of them among HICO's 600."""
    space = hico_classes().space
    for read in truths:
        truth = read.truth
        known = are_interactions(truth)
        if not known.all() and not leave_out:
            index = int((~known).argmax())
            subject, object_, predicate = truth.relations[index]
            triplet = (
                f"{space.objects[truth.labels[subject]]}, {space.predicates[predicate]}, "
                f"{space.objects[truth.labels[object_]]}"
            )
            raise BadInputError(
                f"{read.where} ({read.image}): relation {index} is ({triplet}); expected one of HICO-DET's 600 "
                "interactions of a person"
            )
        notes["true relations left out, as they are none of HICO-DET's 600"] += int((~known).sum())
        yield ReadTruth(read.where, read.image, ImageTruth(truth.boxes, truth.labels, truth.relations[known]))
