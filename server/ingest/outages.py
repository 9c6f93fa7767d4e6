"""When a box was not heard, and what it says it lost: told from its statuses, one after the other. Pure.

The trap is the last will. It is written before anything went wrong, so it knows of no loss and no time; taken for a
status like any other it would say that what was lost has been found again.
"""

from dataclasses import dataclass
from datetime import datetime

from server.stores.health import SILENT_AFTER
from wire.messages import Status


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of a box before its next status.

    Attributes:
        status_at: when its last one came, None before the first.
        online, lost: as of its last event; None before the first.
    """

    device_id: str
    store_id: str
    status_at: datetime | None
    online: bool | None
    lost: int | None


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """A box comes, goes, or says that it lost records."""

    device_id: str
    store_id: str
    at: datetime
    online: bool
    lost: int


def events(heard: Heard, status: Status, at: datetime) -> list[DeviceEvent]:
    """What a status adds to a box's history.

    Args:
        heard: what is known before it.
        status: what it says now.
        at: when that came (UTC), not before `heard.status_at`.
    """
    found: list[DeviceEvent] = []
    online, lost = heard.online, heard.lost or 0
    if online and heard.status_at is not None and at - heard.status_at > SILENT_AFTER:
        # Nobody said that it went; but nobody heard it either.
        found.append(DeviceEvent(heard.device_id, heard.store_id, heard.status_at, online=False, lost=lost))
        online = False
    said = lost if status.at is None else status.lost
    if online and said != lost and heard.status_at is not None:
        # Up to that word nothing more was lost. (A box that is gone was last heard by its will, which can't know.)
        found.append(DeviceEvent(heard.device_id, heard.store_id, heard.status_at, online=True, lost=lost))
    if online != status.online or said != lost:
        found.append(DeviceEvent(heard.device_id, heard.store_id, at, online=status.online, lost=said))
    return found
