"""The loop of pre-training. To import this is to import PyTorch."""

from stages.pretrain.training.average import MovingAverage
from stages.pretrain.training.config import Precision, PretrainConfig
from stages.pretrain.training.train import STATE_SCHEMA, Score, pair_predictions, train
from stages.pretrain.training.validation import Validation

__all__ = [
    "STATE_SCHEMA",
    "MovingAverage",
    "Precision",
    "PretrainConfig",
    "Score",
    "Validation",
    "pair_predictions",
    "train",
]
