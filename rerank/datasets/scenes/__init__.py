"""The embedded default data set: scenes that the program draws, as many as asked for."""

from rerank.datasets.scenes.scene_source import list_scenes, scenes_splits

__all__ = ["list_scenes", "scenes_splits"]
