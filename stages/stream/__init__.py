"""Training samples from committed shards, in an order that can be told beforehand, also while labelling goes on."""

from stages.stream.dataset import Damaged, SceneStream, StreamConfig
from stages.stream.loader import StreamBatch, StreamLoader, Tail, dead_readers_told
from stages.stream.sample import Sample
from stages.stream.source import SourceConfig
from stages.stream.texts import NearbyTexts

__all__ = [
    "Damaged",
    "NearbyTexts",
    "Sample",
    "SceneStream",
    "SourceConfig",
    "StreamBatch",
    "StreamConfig",
    "StreamLoader",
    "Tail",
    "dead_readers_told",
]
