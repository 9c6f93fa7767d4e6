"""What was counted, as records of the contract: everything but their numbers, which are given on the way to the disk.

Where the date is not known yet a placeholder stands in its place, and the uptime goes beside the record. The trap is a
value the contract has no place for: it would be found out by the server, which puts the count aside.
"""

from typing import Final

from edge import models
from edge.clock import Moment
from edge.outbox.dating import placeholder
from wire.messages import CameraState, Coverage, Crossing, Tag

_TAGS: Final[dict[str, Tag]] = {"staff": "staff", "child": "child", "cart": "cart"}


def crossing_record(camera: str, crossing: models.Crossing, when: Moment) -> Crossing:
    """One crossing seen by `camera`."""
    return Crossing(
        seq=1,
        at=when.at or placeholder(when.uptime),
        camera=camera,
        line=crossing.line_id,
        direction=crossing.direction,
        track=crossing.track_id,
        confidence=round(min(max(crossing.confidence, 0.0), 1.0), 3),
        group=crossing.group,
        tags=tuple(sorted({_TAGS[tag] for tag in crossing.tags if tag in _TAGS})),
    )


def coverage_record(camera: str, minute: Moment, *, seconds: float, frames: int, state: CameraState) -> Coverage:
    """What was watched of `camera` in the minute that began at `minute`."""
    return Coverage(
        seq=1,
        minute=minute.at or placeholder(minute.uptime),
        camera=camera,
        seconds=round(min(max(seconds, 0.0), 60.0), 1),
        frames=frames,
        state=state,
    )
