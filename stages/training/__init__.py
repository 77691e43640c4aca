"""What every training of a network needs, whichever network it is: settings, figures, states, and several workers.

Its modules use PyTorch, so to import this is to import PyTorch: others do it where they use it.
"""

from stages.training.config import Schedule, TrainingConfig, seed_of_step
from stages.training.finite import check_finite
from stages.training.group import WorkerGroup
from stages.training.log import TrainingLog
from stages.training.states import SavedState, TrainingStates, check_same_training
from stages.training.step import RATE_FACTOR, apply_gradients
from stages.training.stream import EndlessOrder, made_ahead
from stages.training.words import frequent_words

__all__ = [
    "RATE_FACTOR",
    "EndlessOrder",
    "SavedState",
    "Schedule",
    "TrainingConfig",
    "TrainingLog",
    "TrainingStates",
    "WorkerGroup",
    "apply_gradients",
    "check_finite",
    "check_same_training",
    "frequent_words",
    "made_ahead",
    "seed_of_step",
]
