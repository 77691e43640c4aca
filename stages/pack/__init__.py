"""Shards, their index, and the commit log."""

from stages.pack.commit_log import CommitLog
from stages.pack.pack import pack_unit
from stages.pack.reader import committed_scenes, dead_letters, read_dataset_file, read_index, read_scene

__all__ = [
    "CommitLog",
    "committed_scenes",
    "dead_letters",
    "pack_unit",
    "read_dataset_file",
    "read_index",
    "read_scene",
]
