"""`relmill evaluate sgg`."""

from collections.abc import Sequence

from pipeline.evaluate.conventions import chosen_conventions
from pipeline.evaluate.evaluation import Evaluation
from pipeline.evaluate.run import Files, classes_for, run_benchmark
from stages.evaluate.detections import LabelSpace
from stages.evaluate.read import Notes, read_truths
from stages.evaluate.scene_graph import PRESETS, SceneGraphEvaluator


def evaluate_scene_graph(
    files: Files,
    *,
    mode: str = "sgdet",
    training: str | None = None,
    classes: str | None = None,
    presets: Sequence[str] = (),
    conventions: Sequence[str] = (),
) -> Evaluation:
    """Recall, mean recall and zero-shot recall of predicted scene graphs, with and without graph constraint.

    Args:
        files: ground truth and predictions.
        mode: what the model was told: `sgdet`, `sgcls`, `predcls` or `phrdet`.
        training: annotations of the training set, in any layout of a ground truth; without them no zero-shot recall.
        classes: file of class names; None takes those of the ground truth and of the training annotations.
        presets: sets of conventions to report, by name.
        conventions: `name=value`, applied to each of them.

    Raises:
        BadInputError: naming file, element and field.
        UserError: if a mode, preset or convention is none of the benchmark's.
    """
    columns = chosen_conventions("sgg", PRESETS, presets, [f"mode={mode}", *conventions])
    space = classes_for(classes, files.ground_truth, *([] if training is None else [training]))
    seen = None if training is None else _triplets(training, space)
    evaluators = {name: SceneGraphEvaluator(space, column, train_triplets=seen) for name, column in columns.items()}
    settings = {"mode": mode}
    if seen is not None:
        settings["seen in training"] = f"{len(seen)} triplet classes of {training}"
    return run_benchmark(
        files, evaluators, columns, benchmark="sgg", title="Scene graphs", space=space, settings=settings
    )


def _triplets(path: str, space: LabelSpace) -> set[tuple[int, int, int]]:
    """Subject, predicate and object class of every relation of some annotations."""
    triplets: set[tuple[int, int, int]] = set()
    for read in read_truths(path, space, Notes()):
        subject, object_, predicate = read.truth.relations.T
        labels = read.truth.labels
        triplets.update(zip(labels[subject].tolist(), predicate.tolist(), labels[object_].tolist(), strict=True))
    return triplets
