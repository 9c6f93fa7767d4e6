"""What passes between the rules of boxes' configuration, their SQL and whoever asks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from wire.config import CameraConfig

ConfigState = Literal["trying", "applied", "failed"]


@dataclass(frozen=True, slots=True)
class Revision:
    """One configuration that a box was to have; times in UTC.

    Attributes:
        camera: the cameras it sets; none gives the whole box back to its own file.
        author: who set it.
        note: why, in the author's words.
        state: what the box said became of it; None until it said anything.
        reason: why it failed, or what is waited for.
        reported_at: when the box said so, by the server's clock.
    """

    device_id: str
    revision: int
    camera: tuple[CameraConfig, ...]
    author: str
    note: str
    created_at: datetime
    state: ConfigState | None
    reason: str
    reported_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a box stands to its configuration.

    Attributes:
        desired: the newest revision set for it; 0 where there is none.
        state, reason: what the box said became of that one.
        used: the revision it says it counts by; 0 is its own file alone.
        known: the newest it says it knows of.
    """

    device_id: str
    desired: int
    state: ConfigState | None
    reason: str
    used: int
    known: int
