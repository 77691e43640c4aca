"""Shards, their index, the commit log, and the layers over them."""

from stages.pack.commit_log import CommitLog, LogDigest
from stages.pack.layers import Layers, append_layer, with_statements
from stages.pack.pack import pack_unit
from stages.pack.reader import committed_scenes, dead_letters, read_dataset_file, read_index, read_scene

__all__ = [
    "CommitLog",
    "Layers",
    "LogDigest",
    "append_layer",
    "committed_scenes",
    "dead_letters",
    "pack_unit",
    "read_dataset_file",
    "read_index",
    "read_scene",
    "with_statements",
]
