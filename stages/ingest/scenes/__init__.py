"""Scenes: procedural pictures of people and things whose relations are true by construction."""

from stages.ingest.scenes.dataset import GENERATOR_VERSION, SceneDataset, SceneImages, open_scenes

__all__ = ["GENERATOR_VERSION", "SceneDataset", "SceneImages", "open_scenes"]
