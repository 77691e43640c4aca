"""A calibration: from a label's score to the probability that the label is right, and the file that holds it.

Here is only what labelling needs; it needs no scikit-learn. `stages/audit/calibration/` fits it.

    kind       where a label comes from (`tagger`, `caption`, ...): scores of different makers mean different things
    family     predicates that share a map; those of no family, also ones never seen, share the pooled map of their kind
    map        never falls as the score rises, and is never 0 or 1

The maps are evaluated from the rounded numbers that the file holds, so what was measured is what labels get.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from schemas import BadInputError
from stages.storage import Folder

VERSION: Final = "relmill.calibration/1"
DECIMALS: Final = 6
"""Of all numbers in the file, and of probabilities."""
LEAST: Final = 1e-4
"""No probability is nearer to 0 or 1, and no score counts as nearer: 1 has no logit, and nobody ever judges so many
labels that one wrong in 10,000 could be told from none."""

Floats = npt.NDArray[np.float64]
Method = Literal["logistic", "isotonic"]

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class LogisticMap:
    """1 / (1 + exp(-(intercept + slope * logit(score)))): Platt (1999) on the logit, so that (0, 1) changes nothing."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    intercept: float
    slope: float
    """At least 0."""
    form: Literal["logistic"] = "logistic"

    def __post_init__(self) -> None:
        if self.slope < 0:
            raise ValueError(f"slope is {self.slope}; probabilities would fall where scores rise")

    def __call__(self, scores: Floats) -> Floats:
        """(N,) probabilities of (N,) scores in [0, 1]."""
        return _inside(1 / (1 + np.exp(-np.clip(self.intercept + self.slope * logits(scores), -50, 50))))


@dataclass(frozen=True, slots=True)
class KnotMap:
    """Straight lines between knots, level before the first and after the last."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    scores: tuple[float, ...]
    """Rising, in [0, 1]; at least one."""
    probabilities: tuple[float, ...]
    """Never falling, in (0, 1); as many."""
    form: Literal["knots"] = "knots"

    def __post_init__(self) -> None:
        if not self.scores or len(self.scores) != len(self.probabilities):
            raise ValueError(
                f"{len(self.scores)} scores and {len(self.probabilities)} probabilities; give equally many"
            )
        if not (self.scores[0] >= 0 and self.scores[-1] <= 1 and all(a < b for a, b in pairwise(self.scores))):
            raise ValueError("scores of knots have to rise within [0, 1]")
        if not (self.probabilities[0] > 0 and self.probabilities[-1] < 1):
            raise ValueError("probabilities of knots have to be above 0 and below 1")
        if any(a > b for a, b in pairwise(self.probabilities)):
            raise ValueError("probabilities of knots fall where scores rise")

    def __call__(self, scores: Floats) -> Floats:
        """(N,) probabilities of (N,) scores in [0, 1]."""
        return _inside(np.interp(scores, self.scores, self.probabilities))


ScoreMap = Annotated[LogisticMap | KnotMap, Field(discriminator="form")]


@dataclass(frozen=True, slots=True)
class FamilyMap:
    """The map of a family, and what it was fitted on."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    predicates: tuple[str, ...]
    num_labels: int
    mean_score: float
    share_right: float
    map: ScoreMap


@dataclass(frozen=True)
class KindCalibration:
    """The maps of one kind of labels, and what they were fitted on."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    method: Method
    strength: float | None
    """How strongly families were drawn to the pooled map: precision of a prior around its parameters, or (isotonic) the
    labels that it counts as. None: altogether, so no family has a map of its own."""
    num_labels: int
    num_scenes: int
    mean_score: float
    share_right: float
    pooled: ScoreMap
    families: dict[str, FamilyMap]
    figures: dict[str, Any] = field(default_factory=dict)
    """For people: how well it does on held-out scenes, before and after, and what else was tried."""

    def __post_init__(self) -> None:
        named = [predicate for family in self.families.values() for predicate in family.predicates]
        twice = sorted({predicate for predicate in named if named.count(predicate) > 1}) if named else []
        if twice:
            raise ValueError(f"predicate {twice[0]!r} is in two families")

    @cached_property
    def _maps(self) -> dict[str, ScoreMap]:
        return {predicate: family.map for family in self.families.values() for predicate in family.predicates}

    def probability(self, predicate: str, score: float) -> float:
        """Of a label of this kind, within [`LEAST`, 1 - `LEAST`], rounded to `DECIMALS`.

        Args:
            predicate: also one that was never seen.
            score: in [0, 1].
        """
        # Processors differ in the last bits of exp; rounded, nodes of different kinds write the same bytes.
        value = self._maps.get(predicate, self.pooled)(np.array([score], dtype=np.float64))[0]
        return round(float(value), DECIMALS)


@dataclass(frozen=True)
class Calibration:
    """A fitted calibration."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    kinds: dict[str, KindCalibration]
    """By `Relation.source`."""
    taggers: tuple[str, ...]
    """Whose scores it was fitted on: backend, version and model, as `tagger_model` has it. Empty: nobody knows."""
    fitted: dict[str, Any] = field(default_factory=dict)
    """For people: on what, and with which settings."""
    schema: str = VERSION

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ValueError("no kind of labels has a map")

    def to_json(self) -> bytes:
        """Canonical JSON: equal calibrations give equal bytes."""
        text = json.dumps(asdict(self), ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True)
        return text.encode() + b"\n"

    @property
    def sha256(self) -> str:
        """Hex digest of `to_json()`, its identity."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @classmethod
    def from_json(cls, text: bytes, *, name: str = "calibration") -> "Calibration":
        """Read what `to_json` wrote.

        Raises:
            BadInputError: naming the file, and what in it is wrong.
        """
        try:
            document = json.loads(text, parse_constant=_refuse_constant)
        except ValueError as error:
            raise BadInputError(
                f"{name}: not valid JSON ({error}); give a file that `relmill calibrate` wrote"
            ) from error
        version = document.get("schema") if isinstance(document, dict) else None
        if version != VERSION:
            raise BadInputError(
                f"{name}: calibration of version {version!r}, this relmill reads {VERSION!r}; fit it again: "
                f"relmill calibrate"
            )
        try:
            # Strict, but of JSON: whose lists are tuples here.
            found: Calibration = _adapter().validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file"
            raise BadInputError(
                f"{name}: damaged calibration: {place}: {first['msg']}; restore it, or fit it again: relmill calibrate"
            ) from error
        return found

    def of_tagger(self, identity: str) -> KindCalibration:
        """The part that calibrates the labels of a tagger.

        Args:
            identity: of the stage.

        Raises:
            BadInputError: if it was not fitted on such labels.
        """
        if "tagger" not in self.kinds:
            raise BadInputError(
                f"has no map of a tagger's labels, only of {', '.join(sorted(self.kinds))}; fit one on labels of a "
                f"tagger"
            )
        model = tagger_model(identity)
        if self.taggers and model not in self.taggers:
            raise BadInputError(
                f"was fitted on scores of {', '.join(self.taggers)}, which say nothing of those of {model}; fit one on "
                f"labels of this tagger"
            )
        return self.kinds["tagger"]


def tagger_model(identity: str) -> str:
    """What decides the meaning of a tagger's scores, of the stage's identity: backend, version and model."""
    return " ".join(identity.split(" ")[:2])


def load_calibration(path: str) -> Calibration:
    """The calibration named in a job, by the path or URL of its file.

    Raises:
        BadInputError: if there is no such file, or it is no calibration.
    """
    folder, slash, name = path.rpartition("/")
    try:
        text = Folder(folder or slash or ".").read(name)
    except FileNotFoundError as error:
        raise BadInputError(f"no file {path}; give a file that `relmill calibrate` wrote") from error
    except PermissionError as error:
        raise BadInputError(f"{path} may not be read: {error}") from error
    return Calibration.from_json(text, name=path)


def logits(scores: Floats) -> Floats:
    """(N,) log odds of (N,) scores in [0, 1]; those nearer to 0 or 1 than `LEAST` count as that near."""
    kept = np.clip(scores, LEAST, 1 - LEAST)
    odds: Floats = np.log(kept / (1 - kept))
    return odds


def _inside(probabilities: Floats) -> Floats:
    kept: Floats = np.clip(probabilities, LEAST, 1 - LEAST)
    return np.asarray(np.round(kept, DECIMALS), dtype=np.float64)


@cache
def _adapter() -> TypeAdapter[Calibration]:
    return TypeAdapter(Calibration)


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number")
