"""Ground truths and predictions in the layouts that people have them in, checked, one image at a time."""

from stages.evaluate.read.open import (
    Layout,
    ReadPrediction,
    ReadTruth,
    classes_of_truth,
    is_lines,
    is_output_folder,
    layout_of,
    must_exist,
    picture_names,
    read_classes,
    read_predictions,
    read_truths,
)
from stages.evaluate.read.raw import Notes

__all__ = [
    "Layout",
    "Notes",
    "ReadPrediction",
    "ReadTruth",
    "classes_of_truth",
    "is_lines",
    "is_output_folder",
    "layout_of",
    "must_exist",
    "picture_names",
    "read_classes",
    "read_predictions",
    "read_truths",
]
