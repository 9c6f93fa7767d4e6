"""Camera time of a day by quarter hour: what was due, what was watched, how much each door weighs. Pure.

What is due comes from the register of cameras, not from the cameras that report: without that, a camera that is dead
and a camera that was never there would look alike, and both like an empty shop.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from server.kpi.corrections.in_force import NOTHING, InForce
from server.stores.calendar import QUARTER

_MINUTE: Final = timedelta(minutes=1)
#: Weight of a door of average traffic; weights are whole hundredths so that weighted time adds up exactly.
EVEN_WEIGHT: Final = 100
#: No door weighs less than this: a quiet one that fails must still be seen to fail.
LEAST_WEIGHT: Final = 5
#: A door's own rate is trusted once it was watched for so long (seconds) in the history looked at.
TRUSTED_AFTER: Final = 4 * 3600


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """What a camera watched of a quarter hour.

    Attributes:
        minute_seconds: of each of its fifteen minutes; None where all of them are due, which most are.
        tenths: tenths of a second in all, read where `minute_seconds` is None.
    """

    store_id: str
    day: date
    camera_id: str
    quarter: datetime
    minute_seconds: Sequence[float] | None
    tenths: int = 0


@dataclass(frozen=True, slots=True)
class CameraRow:
    """A camera in the register, and what its lines look at."""

    store_id: str
    camera_id: str
    installed_at: datetime
    removed_at: datetime | None
    at_door: bool
    at_street: bool


@dataclass(frozen=True, slots=True)
class DoorHistory:
    """What a door camera saw over the weeks before: entries, and for how many seconds it looked."""

    store_id: str
    day: date
    camera_id: str
    entries: int
    seconds: float


@dataclass(slots=True)
class Watched:
    """Camera time of one quarter hour, weighted, in milliseconds.

    Attributes:
        missing: by camera, tenths of a second due and not watched, without weight.
    """

    cameras: int
    due: int
    observed: int
    missing: dict[str, int]

    def reaches(self, threshold: Decimal) -> bool:
        """Whether enough of what was due was watched."""
        return self.due > 0 and self.observed >= int(threshold * self.due)


@dataclass(frozen=True, slots=True)
class Watching:
    """What to look at.

    Attributes:
        over_by: minutes that end later are not due yet (UTC).
        weights: of cameras; one left out weighs `EVEN_WEIGHT`.
    """

    cameras: Sequence[CameraRow]
    coverage: Sequence[CoverageRow]
    over_by: datetime
    weights: Mapping[str, int]
    corrections: InForce = NOTHING


def watched(watching: Watching, opened: Sequence[datetime]) -> dict[datetime, Watched]:
    """Camera time of each open quarter hour; what a camera saw of an excluded line is taken as not seen."""
    found = {quarter: Watched(0, 0, 0, {}) for quarter in opened}
    if not watching.cameras:
        return found
    seen = {(row.camera_id, row.quarter): row for row in watching.coverage}
    excludes = bool(watching.corrections.excluded)
    for camera in watching.cameras:
        weight = watching.weights.get(camera.camera_id, EVEN_WEIGHT)
        for quarter, sums in found.items():
            if camera.installed_at >= quarter + QUARTER or (camera.removed_at and camera.removed_at <= quarter):
                continue
            sums.cameras += 1
            ends = min(watching.over_by, camera.removed_at) if camera.removed_at else watching.over_by
            first = max(0, -((quarter - camera.installed_at) // _MINUTE))
            last = min(15, (ends - quarter) // _MINUTE)
            if last <= first:
                continue
            # Milliseconds times weight over a hundred: tenths of a second times hundredths, in whole numbers.
            due, tenths = (last - first) * 600, 0
            row = seen.get((camera.camera_id, quarter))
            if row and not (excludes and watching.corrections.excludes_camera(camera.camera_id, quarter)):
                tenths = row.tenths if row.minute_seconds is None else _tenths(row.minute_seconds[first:last])
            sums.due += due * weight
            sums.observed += tenths * weight
            if tenths < due:
                sums.missing[camera.camera_id] = due - tenths
    return found


def _tenths(minute_seconds: Sequence[float]) -> int:
    return sum(round(min(60.0, seconds) * 10) for seconds in minute_seconds)


def door_weights(history: Iterable[DoorHistory]) -> dict[str, int]:
    """How much each door of one store counts in its coverage: its traffic per second watched, 100 on average.

    Per second watched, not in all: a camera that was blind for a month would otherwise weigh nothing, and its
    failure would vanish from the very number that is there to show it. A door watched too little to tell weighs
    as much as the average of the others.
    """
    doors = list(history)
    rates = {door.camera_id: door.entries / door.seconds for door in doors if door.seconds >= TRUSTED_AFTER}
    average = sum(rates.values()) / len(rates) if rates else 0.0
    if average <= 0:
        return {door.camera_id: EVEN_WEIGHT for door in doors}
    return {
        door.camera_id: max(LEAST_WEIGHT, round(EVEN_WEIGHT * rates.get(door.camera_id, average) / average))
        for door in doors
    }
