"""What `LabelQuality` takes and gives. The definitions behind the figures are in `label_quality.py`."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from schemas import UserError
from stages.evaluate.calibration import Bin
from stages.evaluate.estimate import Estimate
from stages.evaluate.labels import FalsePositives

Truth = Literal["closed", "spoken_pairs"]
"""What no human asserted is wrong, or is wrong only between regions that humans related."""

ScoreUse = Literal["score", "probability"]
"""What labels are ranked and calibrated by. A label without a probability goes by its score, and is counted."""

Group = Literal["overall", "source", "predicate"]

SOURCES = ("caption", "tagger", "geometry", "derived")
"""Where labels come from, in the order of the rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelConventions:
    """What two evaluations of the same labels could do differently."""

    truth: Truth = "closed"
    use: ScoreUse = "score"
    iou_threshold: float = 0.5
    """Both boxes overlap by at least this, where regions are matched."""
    num_bins: int = 10
    """Of the reliability tables and calibration errors."""

    def __post_init__(self) -> None:
        if self.num_bins < 1:
            raise UserError(f"num_bins is {self.num_bins}; give a positive number")
        if not 0 < self.iou_threshold <= 1:
            raise UserError(f"iou_threshold is {self.iou_threshold}; give a number above 0, at most 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """How the intervals are made: by drawing as many scenes as there are, with replacement, again and again."""

    num_resamples: int = 1000
    num_ap_resamples: int = 200
    """For the average precision, which walks through all labels anew for each. They are the first of the same
    resamples."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("num_resamples", 1), ("num_ap_resamples", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}; give {least} or more")


@dataclass(frozen=True, slots=True)
class QualityRow:
    """Figures of all labels, of one source's or of one predicate's."""

    group: Group
    name: str
    """The source or predicate; empty overall."""
    num_scenes: int
    """Measured scenes with such a label or human triplet. Intervals of a row with few say little."""
    num_labels: int
    """Labels that `truth` counts."""
    num_silent: int
    """Labels on two regions between which no human asserted anything, and which no human denied."""
    num_human: int
    """Human triplets to be found; for a source all of them."""
    num_matched: int
    precision: Estimate
    """Of the labels that `truth` counts."""
    precision_closed: Estimate
    precision_spoken_pairs: Estimate
    recall: Estimate
    f1: Estimate
    ap: Estimate
    """Area under the precision envelope, labels ranked by score, equal scores one step; not a mean over predicates."""
    ece_width: Estimate
    ece_mass: Estimate
    brier: Estimate
    reliability_width: tuple[Bin, ...]
    reliability_mass: tuple[Bin, ...]

    def estimates(self) -> dict[str, Estimate]:
        """Every figure that has an interval, by name."""
        return {name: getattr(self, name) for name in _FIGURES}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "group": self.group,
            "name": self.name,
            **{name: getattr(self, name) for name in COUNTS},
            **{name: estimate.to_json() for name, estimate in self.estimates().items()},
            "reliability_width": [one.to_json() for one in self.reliability_width],
            "reliability_mass": [one.to_json() for one in self.reliability_mass],
        }


COUNTS = ("num_scenes", "num_labels", "num_silent", "num_human", "num_matched")
"""The counts of a `QualityRow`."""

_FIGURES = (
    "precision",
    "precision_closed",
    "precision_spoken_pairs",
    "recall",
    "f1",
    "ap",
    "ece_width",
    "ece_mass",
    "brier",
)


@dataclass(frozen=True, slots=True)
class QualityScore:
    """Everything that labels scored, with what it takes to measure it again."""

    conventions: LabelConventions
    bootstrap: Bootstrap
    num_scenes: int
    """Scenes measured."""
    num_left_out: int
    """Scenes without a human assertion."""
    num_without_probability: int
    """Labels of measured scenes that went by their score for want of a probability; 0 if `use` is `score`."""
    false_positives: FalsePositives
    num_repeated: int
    """Labels that fit a human triplet which a better label had found. With `false_positives`: all that are no hits."""
    overall: QualityRow
    by_source: tuple[QualityRow, ...]
    """Sources that labelled anything, in the order of `SOURCES`."""
    by_predicate: tuple[QualityRow, ...]
    """Most frequent among humans first, then among labels, then by name."""

    @property
    def rows(self) -> tuple[QualityRow, ...]:
        """All rows: overall, sources, predicates."""
        return (self.overall, *self.by_source, *self.by_predicate)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        wrong = self.false_positives
        return {
            "conventions": asdict(self.conventions),
            "bootstrap": asdict(self.bootstrap),
            "num_scenes": self.num_scenes,
            "num_left_out": self.num_left_out,
            "num_without_probability": self.num_without_probability,
            "false_positives": {
                "denied": wrong.denied,
                "other_predicate": wrong.other_predicate,
                "silent_pair": wrong.silent_pair,
                "repeated": self.num_repeated,
            },
            "overall": self.overall.to_json(),
            "by_source": [row.to_json() for row in self.by_source],
            "by_predicate": [row.to_json() for row in self.by_predicate],
        }
