"""Rendered people walking through a door, with the exact truth known: a camera for machines that have none."""

from edge.scene.spec import SceneError, SceneSpec, door_line, parse
from edge.scene.stage import Appearance, Scene, TrueCrossing, open_scene

__all__ = ["Appearance", "Scene", "SceneError", "SceneSpec", "TrueCrossing", "door_line", "open_scene", "parse"]
