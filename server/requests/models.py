"""What passes between the rules of asking boxes, their SQL and whoever asks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from wire.asking import Given

Kind = Literal["snapshot", "paths", "line_test"]
State = Literal["waiting", "answered", "failed"]


@dataclass(frozen=True, slots=True)
class AskedDevice:
    """A live box that may be asked; times in UTC.

    Attributes:
        open: requests it has not answered yet.
        online: whether its last word about itself was that it is.
        said_at: the box's own time of that word.
        heard_at: when it came.
    """

    device_id: str
    store_id: str
    open: int
    online: bool
    said_at: datetime | None
    heard_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """Something asked of a box; times in UTC.

    Attributes:
        camera_id: as it was asked for.
        asked_by: who, as in the audit trail.
        waits_until: nobody waits for an answer after that.
        keep_until: after that it is forgotten, the answer with it.
        given: what came of it; None while nothing has.
    """

    request_id: str
    device_id: str
    store_id: str
    camera_id: str
    kind: Kind
    asked_by: str
    asked_at: datetime
    waits_until: datetime
    keep_until: datetime
    answered_at: datetime | None
    given: Given | None
