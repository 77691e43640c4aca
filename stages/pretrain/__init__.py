"""Relational pre-training on a stream of labelled pictures.

The loop itself is in `stages.pretrain.training`, so that to import this is not to import PyTorch.
"""

from stages.pretrain.augment import (
    AugmentConfig,
    View,
    ViewLabels,
    apply_to_boxes,
    draw_view,
    labels_in_view,
    render,
    scaled_size,
)
from stages.pretrain.batches import BatchConfig, BatchMaker, BatchTexts, PretrainBatch
from stages.pretrain.labels import NO_INTERACTION, LabelConfig, LabelledPair, SceneLabels, SourceLabels, scene_labels
from stages.pretrain.mirror import mirrored

__all__ = [
    "NO_INTERACTION",
    "AugmentConfig",
    "BatchConfig",
    "BatchMaker",
    "BatchTexts",
    "LabelConfig",
    "LabelledPair",
    "PretrainBatch",
    "SceneLabels",
    "SourceLabels",
    "View",
    "ViewLabels",
    "apply_to_boxes",
    "draw_view",
    "labels_in_view",
    "mirrored",
    "render",
    "scaled_size",
    "scene_labels",
]
