"""The gap ledger: of every camera and quarter hour that was due, how much was measured, and why the rest was not. Pure.

Zero and "not looking" look alike in a sum, so what was due comes from opening hours and the register of cameras, never
from the cameras that report. Every due second is in exactly one of four columns: measured, late (measured too, but
numbers were shown without it), imputed (not seen, but the same quarter hour of other weeks tells what to expect)
and missing. Imputed people are estimates that stand apart; no KPI adds them in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from server.stores.calendar import QUARTER

#: A minute is due once it has been over for so long: a box sends each only when it is complete. As for KPIs.
UPLOAD_LAG: Final = timedelta(seconds=90)
#: The same quarter hour of so many weeks before tells what to expect, if it was watched in `LEAST_WEEKS` of them for
#: `WATCHED_ENOUGH` tenths of a second.
WEEKS: Final = (1, 2, 3, 4)
LEAST_WEEKS: Final = 2
WATCHED_ENOUGH: Final = 7200
_MINUTE: Final = timedelta(minutes=1)

Reason = Literal[
    "camera_offline",
    "camera_frozen",
    "camera_stalled",
    "camera_covered",
    "camera_dark",
    "dead_letter",
    "lost",
    "box_offline",
    "never_reported",
    "not_reported",
    "backlog",
]
#: Every reason, in the order in which they are given, and what it means.
REASONS: Final[dict[Reason, str]] = {
    "camera_offline": "the camera gave no picture",
    "camera_frozen": "the picture stood still",
    "camera_stalled": "the box could not keep up",
    "camera_covered": "the lens was covered",
    "camera_dark": "the picture was dark",
    "dead_letter": "records were put aside; see `doorline ingest dead list`",
    "lost": "records are gone for good",
    "box_offline": "the box was not connected; what it counted may still come, or came late",
    "never_reported": "no box has ever reported this camera",
    "not_reported": "the box was connected and said nothing of this camera",
    "backlog": "it came late, though the box was connected",
}


@dataclass(frozen=True, slots=True)
class Reporter:
    """A box that reported a camera minute by minute, and the first and the last minute (UTC) that are looked at."""

    device_id: str
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class RegisteredCamera:
    """A camera in the register.

    Attributes:
        reporters: boxes that reported it, for boxes are replaced, too; empty where none did, or nobody knows any more.
        has_reported: whether any box ever said anything of it; in sums alone, too.
    """

    camera_id: str
    installed_at: datetime
    removed_at: datetime | None
    has_reported: bool
    reporters: Sequence[Reporter] = ()

    def boxes_at(self, quarter: datetime) -> frozenset[str] | None:
        """Whose it was to report it then: who did, else who last had; None where any box may have been."""
        if not self.reporters:
            return None
        end = quarter + QUARTER
        there = [each for each in self.reporters if each.first < end and each.last >= quarter]
        if not any(each.first <= quarter for each in there):
            before = [each for each in self.reporters if each.last < quarter]
            there += [max(before, key=lambda each: each.last)] if before else []
        return frozenset(each.device_id for each in there or [min(self.reporters, key=lambda each: each.first)])


@dataclass(frozen=True, slots=True)
class WatchedQuarter:
    """Seconds watched in each minute of a camera's quarter hour, how many of them came late, and the worst state."""

    camera_id: str
    quarter: datetime
    minute_seconds: Sequence[float]
    late_seconds: float
    state: str


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which a box was not heard (UTC)."""

    device_id: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class LostRecords:
    """Records that exist nowhere any more, in numbers.

    Attributes:
        epoch, from_seq, to_seq: which; None where the box only says how many (its disk took nothing, or failed).
        records: how many. Negative where a box found again what it had given up.
        starts_at, ends_at: between when they lay (UTC); the start is None where nothing came before.
        noticed_at: when the server learnt of it.
    """

    device_id: str
    epoch: str | None
    from_seq: int | None
    to_seq: int | None
    records: int
    starts_at: datetime | None
    ends_at: datetime
    noticed_at: datetime


@dataclass(frozen=True, slots=True)
class PastQuarter:
    """What a camera saw in a quarter hour of another week: people in and out, and tenths of a second watched."""

    entered: int
    left: int
    tenths: int


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a ledger is made of.

    Attributes:
        quarters: UTC starts of the quarter hours in which the store was open.
        as_of: now (UTC); what is not over by then is not due.
        same_times: for a quarter hour, the same one of other weeks on the store's clock.
        past: what is known of those, by camera and quarter.
        letters: open dead letters by camera and quarter.
    """

    quarters: Sequence[datetime]
    as_of: datetime
    cameras: Sequence[RegisteredCamera]
    watched: Iterable[WatchedQuarter]
    outages: Sequence[Outage] = ()
    lost: Sequence[LostRecords] = ()
    letters: Mapping[tuple[str, datetime], int] = field(default_factory=dict)
    same_times: Mapping[datetime, Sequence[datetime]] = field(default_factory=dict)
    past: Mapping[tuple[str, datetime], PastQuarter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One camera, one quarter hour. Seconds, to a tenth: `due` is the sum of the four that follow it.

    Attributes:
        quarter: its start (UTC).
        reasons: why not all of it was measured in time; see `REASONS`. With dead letters also where it was.
        dead_letters: records put aside, not settled yet.
        estimated_in, estimated_out: people expected within the imputed seconds; counted nowhere.
    """

    camera_id: str
    quarter: datetime
    due: float
    measured: float
    late: float
    imputed: float
    missing: float
    reasons: tuple[Reason, ...] = ()
    dead_letters: int = 0
    estimated_in: float = 0.0
    estimated_out: float = 0.0

    @property
    def is_gap(self) -> bool:
        """Whether there is anything to explain."""
        return self.measured < self.due or self.dead_letters > 0


@dataclass(frozen=True, slots=True)
class Gap:
    """Quarter hours of one camera that follow one another and have the same reasons, summed."""

    camera_id: str
    start: datetime
    end: datetime
    due: float
    late: float
    imputed: float
    missing: float
    reasons: tuple[Reason, ...]
    dead_letters: int


def ledger(inputs: Inputs) -> list[LedgerRow]:
    """Every due camera and quarter hour, by camera, then time."""
    watched = {(row.camera_id, row.quarter): row for row in inputs.watched}
    rows: list[LedgerRow] = []
    for camera in inputs.cameras:
        of_boxes: dict[frozenset[str] | None, tuple[list[Outage], list[LostRecords]]] = {}
        for quarter in inputs.quarters:
            minutes = _due_minutes(camera, quarter, inputs.as_of)
            letters = inputs.letters.get((camera.camera_id, quarter), 0)
            if minutes or letters:
                seen = watched.get((camera.camera_id, quarter))
                boxes = camera.boxes_at(quarter)
                if boxes not in of_boxes:
                    of_boxes[boxes] = _of(boxes, inputs)
                outages, lost = of_boxes[boxes]
                rows.append(_row(inputs, camera, quarter, minutes, seen, letters, outages, lost))
    return rows


def gaps(rows: Iterable[LedgerRow]) -> list[Gap]:
    """What is to be explained, quarter hours that follow one another taken together."""
    found: list[Gap] = []
    for row in rows:
        if not row.is_gap:
            continue
        last = found[-1] if found else None
        own = Gap(
            row.camera_id,
            row.quarter,
            row.quarter + QUARTER,
            row.due,
            row.late,
            row.imputed,
            row.missing,
            row.reasons,
            row.dead_letters,
        )
        if last and (last.camera_id, last.end, last.reasons) == (own.camera_id, own.start, own.reasons):
            found[-1] = _joined(last, own)
        else:
            found.append(own)
    return found


def outages_of(
    history: Iterable[tuple[str, datetime, bool]], silent_since: Mapping[str, datetime], as_of: datetime
) -> list[Outage]:
    """When boxes were not heard.

    Args:
        history: device, time and whether it is connected from then on; by device, in order of time.
        silent_since: boxes that nobody has heard of for a while, and when they last said something.
        as_of: now (UTC): what has not ended ends here.
    """
    found: list[Outage] = []
    gone: dict[str, datetime] = {}
    for device_id, at, online in history:
        if not online:
            gone.setdefault(device_id, at)
        elif (since := gone.pop(device_id, None)) is not None:
            found.append(Outage(device_id, since, at))
    for device_id, since in silent_since.items():
        gone.setdefault(device_id, since)
    return found + [Outage(device_id, since, as_of) for device_id, since in gone.items() if since < as_of]


def _of(boxes: frozenset[str] | None, inputs: Inputs) -> tuple[list[Outage], list[LostRecords]]:
    """What is known of these boxes, or of all."""
    return (
        [each for each in inputs.outages if boxes is None or each.device_id in boxes],
        [each for each in inputs.lost if each.records > 0 and (boxes is None or each.device_id in boxes)],
    )


def _due_minutes(camera: RegisteredCamera, quarter: datetime, as_of: datetime) -> range:
    """The minutes of a quarter hour that are due, as for KPIs: whole ones, since it hung, until it was taken down."""
    over_by = as_of - UPLOAD_LAG
    ends = min(over_by, camera.removed_at) if camera.removed_at else over_by
    first = max(0, -((quarter - camera.installed_at) // _MINUTE))
    return range(first, max(first, min(15, (ends - quarter) // _MINUTE)))


def _row(
    inputs: Inputs,
    camera: RegisteredCamera,
    quarter: datetime,
    minutes: Sequence[int],
    seen: WatchedQuarter | None,
    letters: int,
    outages: Sequence[Outage],
    lost: Sequence[LostRecords],
) -> LedgerRow:
    due = 600 * len(minutes)
    watched = sum(_tenths(min(60.0, seen.minute_seconds[minute])) for minute in minutes) if seen else 0
    late = min(watched, _tenths(seen.late_seconds)) if seen else 0
    unseen = due - watched
    expected = _expected(inputs, camera.camera_id, quarter, unseen)
    imputed = unseen if expected else 0
    entered, left = expected or (0.0, 0.0)
    return LedgerRow(
        camera.camera_id,
        quarter,
        due / 10,
        (watched - late) / 10,
        late / 10,
        imputed / 10,
        (unseen - imputed) / 10,
        _reasons(camera, quarter, seen, unseen, late, letters, outages, lost),
        letters,
        entered,
        left,
    )


def _expected(inputs: Inputs, camera_id: str, quarter: datetime, unseen: int) -> tuple[float, float] | None:
    """People in and out to expect in so many tenths of a second not seen; None where other weeks can't tell."""
    if not unseen:
        return None
    weeks = [inputs.past.get((camera_id, at)) for at in inputs.same_times.get(quarter, ())]
    told = [week for week in weeks if week is not None and week.tenths >= WATCHED_ENOUGH]
    if len(told) < LEAST_WEEKS:
        return None
    share = unseen / sum(week.tenths for week in told)
    return round(share * sum(week.entered for week in told), 1), round(share * sum(week.left for week in told), 1)


def _reasons(
    camera: RegisteredCamera,
    quarter: datetime,
    seen: WatchedQuarter | None,
    unseen: int,
    late: int,
    letters: int,
    outages: Sequence[Outage],
    lost: Sequence[LostRecords],
) -> tuple[Reason, ...]:
    end = quarter + QUARTER
    found: set[Reason] = set()
    if letters:
        found.add("dead_letter")
    if unseen or late:
        if any(each.start < end and each.end > quarter for each in outages):
            found.add("box_offline")
        elif late:
            found.add("backlog")
    if unseen:
        found |= _said_by_the_box(seen)
        if any((each.starts_at is None or each.starts_at < end) and each.ends_at > quarter for each in lost):
            found.add("lost")
        if not camera.has_reported:
            # Said beside whatever befell the store's boxes, which may explain nothing of it.
            found.add("never_reported")
        elif not found - {"backlog"}:
            found.add("not_reported")
    return tuple(reason for reason in REASONS if reason in found)


def _said_by_the_box(seen: WatchedQuarter | None) -> set[Reason]:
    return set() if seen is None else {reason for reason in REASONS if reason == f"camera_{seen.state}"}


def _tenths(seconds: float) -> int:
    return round(seconds * 10)


def _joined(one: Gap, other: Gap) -> Gap:
    return Gap(
        one.camera_id,
        one.start,
        other.end,
        round(one.due + other.due, 1),
        round(one.late + other.late, 1),
        round(one.imputed + other.imputed, 1),
        round(one.missing + other.missing, 1),
        one.reasons,
        one.dead_letters + other.dead_letters,
    )
