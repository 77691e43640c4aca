"""A pre-trained network asked about pictures: predictions for `relmill evaluate`, tables and drawings for people."""

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from pipeline.evaluate.evaluation import Evaluation
from pipeline.predict.answers import Answer, Unread, answers
from pipeline.predict.hicodet import check_hicodet, evaluate_zero_shot, paper_row
from pipeline.predict.pictures import Pictures, dataset_pictures, given_pictures, hicodet_pictures
from pipeline.predict.prediction_file import prediction_file
from pipeline.predict.settings import BENCHMARKS, PredictSettings
from pipeline.predict.show import Drawings, triplet_table
from schemas import BadInputError, Image, Scene
from stages.evaluate.detections import LabelSpace
from stages.evaluate.read import read_classes
from stages.optional import require_torch
from stages.predict import (
    Layout,
    Precision,
    Predictor,
    Question,
    check_detector,
    check_layout,
    hicodet_question,
    known_part,
    open_detector,
    prediction_text,
    question_of,
    scene_graph,
)

_WINDOW_BATCHES = 4
"""Pictures of so many batches are looked at together, to put those of similar size into one."""
_REPORTED = 500
"""Pictures between two lines that say how far it is."""
_NAMED = 5


@dataclass(kw_only=True)
class PredictSummary:
    """What came of it."""

    output: Path | None
    num_names: int
    num_predicates: int
    unknown: tuple[str, ...]
    """Texts that were not asked, as the network never learned their words."""
    num_pictures: int = 0
    """That the network saw."""
    num_triplets: int = 0
    unread: list[Unread] = field(default_factory=list)
    """Pictures that could not be read."""
    evaluation: Evaluation | None = None
    """Of the zero-shot run on HICO-DET."""

    def __str__(self) -> str:
        lines = [] if self.evaluation is None else [self.evaluation.to_text(), "", paper_row(self.evaluation), ""]
        where = "" if self.output is None else f"{self.output}: "
        lines.append(
            f"{where}{self.num_pictures} pictures, {self.num_triplets} triplets; asked about {self.num_names} names "
            f"and {self.num_predicates} predicates"
        )
        if self.unread:
            lines.append(f"{len(self.unread)} pictures could not be read: {_some([one.name for one in self.unread])}")
        return "\n".join(lines)


def predict(
    settings: PredictSettings, *, say: Callable[[str], None] = print, report: Callable[[str], None] = print
) -> PredictSummary:
    """Ask a network about pictures. On a CPU the same network, pictures and settings give the same bytes.

    Args:
        settings: what, and of what.
        say: gets a table for each of `settings.pictures`.
        report: gets a line for each picture that cannot be read, on what is not asked, and on how far it is.

    Raises:
        UserError: if a library is missing, or a layout has no place for what is asked.
        BadInputError: if the network, the classes or the annotations are not what they should be, or not one picture
            can be read.
        OutOfMemoryError: if a picture does not fit into the GPU's memory.
        TransientError: if a store failed.
        StorageError: if something cannot be written. Of the file of predictions nothing is left after an error.
    """
    require_torch("predict")
    check_detector(settings.checkpoint)
    pictures = _pictures(settings)
    predictor, space, unknown = _predictor(settings, pictures)
    summary = PredictSummary(
        output=settings.output, num_names=len(space.objects), num_predicates=len(space.predicates), unknown=unknown
    )
    if unknown:
        report(f"{len(unknown)} texts are not asked, as the network never learned their words: {_some(unknown)}")

    with contextlib.ExitStack() as stack:
        file = settings.output
        if file is None and settings.hicodet is not None:
            file = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relmill-"))) / "predictions"
        _predict_all(settings, pictures, predictor, space=space, file=file, summary=summary, say=say, report=report)
        if settings.hicodet is not None and file is not None:
            summary.evaluation = evaluate_zero_shot(settings.hicodet, file)
    return summary


def _pictures(settings: PredictSettings) -> Pictures:
    if settings.dataset is not None:
        return dataset_pictures(settings.dataset)
    if settings.hicodet is not None and settings.images is not None:
        check_hicodet(settings.hicodet)
        return hicodet_pictures(settings.hicodet, settings.images)
    return given_pictures(settings.pictures)


def _predictor(settings: PredictSettings, pictures: Pictures) -> tuple[Predictor, LabelSpace, tuple[str, ...]]:
    """Who answers, what is asked, and what is not."""
    import torch

    checkpoint = open_detector(settings.checkpoint)
    question, unknown = known_part(_question(settings, pictures), checkpoint)
    check_layout(cast(Layout, settings.layout), question.space)
    predictor = Predictor(
        checkpoint,
        question,
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
        precision=cast(Precision, settings.precision),
        batch_size=settings.batch_size,
        most=settings.most,
        min_score=settings.min_score,
    )
    return predictor, question.space, unknown


def _question(settings: PredictSettings, pictures: Pictures) -> Question:
    if settings.hicodet is not None:
        return hicodet_question()
    if settings.benchmark is not None:
        return BENCHMARKS[settings.benchmark]()
    if settings.classes is not None:
        space, where = read_classes(settings.classes), settings.classes
    else:
        space, where = pictures.classes(), pictures.where
    return question_of(space.objects, space.predicates, where=where)


def _predict_all(
    settings: PredictSettings,
    pictures: Pictures,
    predictor: Predictor,
    *,
    space: LabelSpace,
    file: Path | None,
    summary: PredictSummary,
    say: Callable[[str], None],
    report: Callable[[str], None],
) -> None:
    """Every picture once, in the order of its source; the summary is filled in."""
    layout = cast(Layout, settings.layout)
    drawings = None if settings.draw is None else Drawings(settings.draw)
    window = settings.batch_size * _WINDOW_BATCHES
    with contextlib.ExitStack() as stack:
        write = None if file is None else stack.enter_context(prediction_file(file, layout))
        found = answers(predictor, pictures.each(), window=window, keep_data=drawings is not None)
        for one in stack.enter_context(contextlib.closing(found)):
            if isinstance(one, Unread):
                summary.unread.append(one)
                report(f"{one.name}: cannot be read: {one.problem}")
                continue
            if write is not None:
                write(prediction_text(layout, one.name, one.prediction, space))
            if drawings is not None or settings.pictures:
                scene = _scene(one, space, most=settings.show)
                if settings.pictures:
                    say(triplet_table(scene) + "\n")
                if drawings is not None:
                    drawings.draw(scene)
            summary.num_pictures += 1
            summary.num_triplets += len(one.prediction.relations)
            if summary.num_pictures % _REPORTED == 0:
                report(f"{summary.num_pictures} pictures")
        if not summary.num_pictures:
            if not summary.unread:
                raise BadInputError(f"{pictures.where}: has no picture; give one that has")
            first = summary.unread[0]
            raise BadInputError(
                f"not one of {len(summary.unread)} pictures can be read; the first: {first.name}: {first.problem}"
            )


def _scene(answer: Answer, space: LabelSpace, *, most: int) -> Scene:
    image = Image(answer.name, answer.width, answer.height, data=answer.data)
    return scene_graph(answer.name, image, answer.prediction, space, most=most)


def _some(texts: Sequence[str]) -> str:
    return ", ".join(texts[:_NAMED]) + (", ..." if len(texts) > _NAMED else "")
