"""The training of the Relation Tagger on human relations."""

from stages.alif.training.batches import BatchConfig, ReadPicture, TaggerBatch, TaggerBatches
from stages.alif.training.samples import (
    LabelledPicture,
    TextCounts,
    all_labelled,
    labelled_picture,
    predicates_of,
)
from stages.alif.training.train import STATE_SCHEMA, train
from stages.training import TrainingConfig

__all__ = [
    "STATE_SCHEMA",
    "BatchConfig",
    "LabelledPicture",
    "ReadPicture",
    "TaggerBatch",
    "TaggerBatches",
    "TextCounts",
    "TrainingConfig",
    "all_labelled",
    "labelled_picture",
    "predicates_of",
    "train",
]
