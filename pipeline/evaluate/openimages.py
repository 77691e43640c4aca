"""`relmill evaluate openimages`."""

from collections.abc import Sequence

from pipeline.evaluate.conventions import chosen_conventions
from pipeline.evaluate.evaluation import Evaluation
from pipeline.evaluate.run import Files, classes_for, run_benchmark
from schemas import UserError
from stages.evaluate import openimages, openimages_triplets

DEFINITIONS = ("predicate", "triplet")


def evaluate_openimages(
    files: Files,
    *,
    definition: str = "predicate",
    classes: str | None = None,
    presets: Sequence[str] = (),
    conventions: Sequence[str] = (),
) -> Evaluation:
    """Recall and weighted average precision of predicted relations and phrases.

    Args:
        files: ground truth and predictions.
        definition: of what AP is: of a predicate, or of a triplet class as RLIPv2 has it.
        classes: file of class names; None takes those of the ground truth.
        presets: sets of conventions to report, by name.
        conventions: `name=value`, applied to each of them.

    Raises:
        BadInputError: naming file, element and field.
        UserError: if a definition, preset or convention is none of the benchmark's.
    """
    if definition not in DEFINITIONS:
        raise UserError(f"--definition {definition}: choose {' or '.join(DEFINITIONS)}")
    space = classes_for(classes, files.ground_truth)
    settings = {"AP of each": "predicate" if definition == "predicate" else "triplet class, as RLIPv2 has it"}
    if definition == "predicate":
        columns = chosen_conventions("openimages", openimages.PRESETS, presets, conventions)
        return run_benchmark(
            files,
            {name: openimages.OpenImagesEvaluator(space, column) for name, column in columns.items()},
            columns,
            benchmark="openimages",
            title="OpenImages visual relationships",
            space=space,
            settings=settings,
        )
    triplet_columns = chosen_conventions("openimages", openimages_triplets.PRESETS, presets, conventions)
    return run_benchmark(
        files,
        {name: openimages_triplets.TripletEvaluator(space, column) for name, column in triplet_columns.items()},
        triplet_columns,
        benchmark="openimages_triplets",
        title="OpenImages visual relationships",
        space=space,
        settings=settings,
    )
