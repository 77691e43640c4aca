"""What a person wants to know of which pictures, refused before anything is spent if it does not fit together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from schemas import UserError
from stages.predict import Layout, Precision, Question, hicodet_question, vcoco_question

BENCHMARKS: Mapping[str, Callable[[], Question]] = {"hicodet": hicodet_question, "vcoco": vcoco_question}


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    """Pictures come from exactly one of `pictures`, `dataset` and `hicodet`.

    Raises:
        UserError: if a setting is impossible, or two do not fit together.
    """

    checkpoint: Path
    """Folder of a network that finds related pairs."""
    pictures: tuple[str, ...] = ()
    """Files or URLs; what is seen on them is told in a table each."""
    dataset: str | None = None
    """YAML file with a `dataset:` part, or an output of `relmill label`."""
    hicodet: str | None = None
    """Test annotations of HICO-DET: the zero-shot run, evaluated at the end."""
    images: str | None = None
    """Folder of the pictures of `hicodet`."""
    classes: str | None = None
    """What to ask about: a JSON file, or an output. None: what `benchmark` has, else what the dataset itself names."""
    benchmark: str | None = None
    """One of `BENCHMARKS`."""
    output: Path | None = None
    """File for the predictions."""
    layout: str = "triplets"
    """Of that file; see `stages.predict.Layout`."""
    draw: Path | None = None
    """Folder for a drawing of each picture; made if need be."""
    show: int = 10
    """Triplets of a picture in its table and its drawing."""
    most: int = 100
    """Triplets of a picture in the file. The evaluators look at no more."""
    min_score: float = 0.0
    """Triplets below are left out everywhere."""
    batch_size: int = 8
    """Pictures that the network looks at together, if they are of similar size."""
    precision: str = "float32"

    def __post_init__(self) -> None:
        self._check_sources()
        self._check_question()
        for name, value, choices in (
            ("--benchmark", self.benchmark or "hicodet", tuple(BENCHMARKS)),
            ("--format", self.layout, get_args(Layout)),
            ("--precision", self.precision, get_args(Precision)),
        ):
            if value not in choices:
                raise UserError(f"{name} {value}: choose {' or '.join(choices)}")
        for name, number in (("show", self.show), ("most", self.most), ("batch_size", self.batch_size)):
            if number < 1:
                raise UserError(f"{name} is {number}; give a number of at least 1")

    def _check_sources(self) -> None:
        if sum([bool(self.pictures), self.dataset is not None, self.hicodet is not None]) != 1:
            raise UserError("predict looks at pictures, a --dataset or --hicodet; give one of them, and only one")
        if (self.hicodet is None) != (self.images is None):
            raise UserError("--hicodet and --images go together: test annotations, and the folder of their pictures")
        if self.dataset is not None and self.output is None and self.draw is None:
            raise UserError("--dataset: say where predictions go, with --output FILE or --draw FOLDER")
        if self.output is not None and not self.output.parent.is_dir():
            raise UserError(f"{self.output}: there is no folder {self.output.parent}; make it, or give another file")

    def _check_question(self) -> None:
        if self.classes is not None and self.benchmark is not None:
            raise UserError("--classes and --benchmark both say what to ask about; leave one out")
        if self.hicodet is not None and (self.classes is not None or self.benchmark not in (None, "hicodet")):
            raise UserError("--hicodet asks about HICO-DET's own classes; leave out --classes and --benchmark")
        if self.pictures and self.classes is None and self.benchmark is None:
            raise UserError(
                'say what to look for: --classes with JSON {"objects": [names], "predicates": [names]} or an output of '
                f"`relmill label`, or --benchmark {' or '.join(BENCHMARKS)}"
            )
