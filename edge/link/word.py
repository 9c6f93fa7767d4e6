"""The box's word about itself: what its status says, and when it is time to say it.

Said at once when a person would want to know, and every minute; never because a number of frames moved, or a thousand
boxes would talk of nothing but themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge.clock import Clock, moment
from edge.outbox import Outbox
from wire.config import ConfigReport
from wire.messages import CameraStatus, Status

_EVERY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Report:
    """What the agent adds to the status: cameras, what is wrong, and how it stands to what the centre set."""

    cameras: tuple[CameraStatus, ...] = ()
    problem: str = ""
    config_used: int = 0
    config: ConfigReport | None = None


class Word:
    """Makes the status and remembers what was said last. One thread's."""

    def __init__(self, device: str, version: str, outbox: Outbox, clock: Clock, report: Callable[[], Report]) -> None:
        self._device = device
        self._version = version
        self._outbox = outbox
        self._clock = clock
        self._report = report
        self._said: object = None
        self._due_at = 0.0

    def will(self) -> Status:
        """What is to be said of us if we vanish."""
        return Status(device=self._device, online=False, version=self._version, problem="connection lost")

    def now(self, *, online: bool, problem: str, certificate: str) -> Status:
        """The status as of now."""
        report = self._report()
        return Status(
            device=self._device,
            online=online,
            at=moment(self._clock).at,
            version=self._version,
            epoch=self._outbox.epoch,
            config_revision=report.config_used,
            pending=self._outbox.pending,
            lost=self._outbox.lost,
            problem="; ".join(each for each in (report.problem, self._outbox.problem, problem) if each),
            certificate=certificate,
            cameras=report.cameras,
            config=report.config,
        )

    def due(self, status: Status, now: float) -> bool:
        """Whether it is time to say it (`now` monotonic)."""
        return _told(status) != self._said or now >= self._due_at

    def said(self, status: Status, now: float) -> None:
        """It was said."""
        self._said, self._due_at = _told(status), now + _EVERY_S

    def forget(self) -> None:
        """Who listens now was told nothing."""
        self._said = None


def _told(status: Status) -> object:
    """What a person would want to know at once."""
    cameras = [(each.camera, each.state, each.message) for each in status.cameras]
    return status.epoch, status.lost, status.problem, status.certificate, cameras, status.config_revision, status.config
