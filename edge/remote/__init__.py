"""What the centre sets of this box's counting: kept on disk, laid over `edge.toml`, tried, and gone back from."""

from edge.remote.kept import Kept, load, place
from edge.remote.overlay import in_use
from edge.remote.steering import Standing, Steering

__all__ = ["Kept", "Standing", "Steering", "in_use", "load", "place"]
