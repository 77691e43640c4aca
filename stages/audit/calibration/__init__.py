"""Fits score to probability on what people say of labels; `stages/tag/calibration.py` holds what comes of it."""

from stages.audit.calibration.families import Families, read_families
from stages.audit.calibration.figures import Figures
from stages.audit.calibration.fit import CalibrationConfig, fit_calibration
from stages.audit.calibration.observations import (
    Observation,
    Truth,
    equalised,
    sample_observations,
    scene_observations,
)

__all__ = [
    "CalibrationConfig",
    "Families",
    "Figures",
    "Observation",
    "Truth",
    "equalised",
    "fit_calibration",
    "read_families",
    "sample_observations",
    "scene_observations",
]
