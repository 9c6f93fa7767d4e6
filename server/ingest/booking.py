"""From records to rows and to what they add to the roll-ups. Pure: no clock, no database.

Roll-ups stay exact whatever the order of arrival because every addition here commutes: counts are sums, seconds
watched are capped sums of whole tenths, a state is the maximum of a rank. What would need rounding (a quarter hour's
seconds spread over its minutes) is spread the same way each time.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from server.ingest.models import (
    CoverageKey,
    CoverageRow,
    DeadLetterRow,
    Origin,
    Registry,
    TallyRow,
    Traffic,
    TrafficKey,
    Watched,
    class_of,
    worse,
)
from server.ingest.packing import Pack, Packer, micros
from server.ingest.reading import Numbered, PlainCrossing, Unreadable, printable
from wire.messages import Bounds, Coverage, CoverageSum, Crossing, CrossingSum, Record, Tally, encode

#: A record dated further ahead of the server than this is put aside.
FUTURE: Final = timedelta(minutes=5)
#: Doorline did not exist before; a box that says so has not found out the time and should have sent bounds.
PAST: Final = datetime(2020, 1, 1, tzinfo=UTC)
#: What comes later than this after its minute, comes late: numbers of its quarter hour were shown without it.
LATE_AFTER: Final = timedelta(minutes=15)
_MINUTE: Final = timedelta(minutes=1)
_QUARTER: Final = 900
#: More than so many people a second over one line one way are none: a roll-up that overflowed with them would refuse
#: what every other box of the store sends for that quarter hour.
_MOST_A_SECOND: Final = 100
#: Tenths of a second in a quarter hour.
_MOST_LATE: Final = 9000
#: Beyond it a time is kept as it was sent, and nowhere else: what the database holds must be readable again.
_LAST_YEAR: Final = 2100

T = TypeVar("T", CrossingSum, CoverageSum)


class BadRecord(Exception):
    """Why a record becomes a dead letter."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(slots=True)
class _Way:
    """One line crossed one way by people of one kind: what the crossings of a batch that do so have in common."""

    pack: Pack
    store_id: str
    line: str
    direction: str
    kind: str
    #: The quarter hour last added to, and its row of the roll-up; None, and no row of any, before the first.
    quarter: datetime | None
    traffic: Traffic


_Ways = dict[tuple[str, str, str, tuple[str, ...], bool], _Way]


class Booking:
    """What one transaction will write.

    Args:
        registry: has every line and camera that exists among those the records name.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        #: The quarter hour last booked into: most records follow one another within one.
        self._quarter, self._quarter_micros = PAST, micros(PAST)
        #: Packed, see `packing`.
        self.crossings: list[bytes] = []
        self.coverage: list[CoverageRow] = []
        self.tallies: list[TallyRow] = []
        self.dead_letters: list[DeadLetterRow] = []
        self.traffic: dict[TrafficKey, Traffic] = {}
        self.watched: dict[CoverageKey, Watched] = {}

    def book(self, records: Iterable[Numbered], origin: Origin) -> None:
        """Take the records of one origin in, or put them aside as dead letters."""
        packer, ways = Packer(origin), _Ways()
        for numbered in records:
            record = numbered.record
            try:
                if type(record) is PlainCrossing or isinstance(record, Crossing):
                    self._crossing(record, origin, packer, ways)
                else:
                    self._book(numbered, origin)
            except BadRecord as bad:
                self.put_aside(numbered, origin, bad.code, str(bad))

    def put_aside(self, numbered: Numbered, origin: Origin, code: str, reason: str) -> None:
        """Make a dead letter of a record: kept with what was sent, for a person to look at."""
        self.dead_letters.append(
            (
                origin.device_id,
                origin.epoch,
                numbered.last,
                origin.store_id,
                code,
                printable(reason),
                numbered.sent.decode("utf-8", "backslashreplace").replace("\0", "\\0"),
                origin.received_at,
                *told_time(numbered.record),
            )
        )

    def touched(self) -> set[tuple[str, datetime]]:
        """Store and quarter hour of everything booked."""
        return {(key[0], key[1]) for key in self.traffic} | {(key[0], key[1]) for key in self.watched}

    def _book(self, numbered: Numbered, origin: Origin) -> None:
        match numbered.record:
            case Unreadable(reason=reason):
                raise BadRecord("bad_record", reason)
            case Coverage() as coverage:
                self._coverage(coverage, origin)
            case Tally() as tally:
                self._tally(numbered, tally, origin)

    def _crossing(self, crossing: Crossing, origin: Origin, packer: Packer, ways: _Ways) -> None:
        """The one that matters for speed: ten thousands of these come for one of the others."""
        at, is_dated = crossing.at, crossing.bounds is None
        key = (crossing.line, crossing.camera, crossing.direction, crossing.tags, is_dated)
        way = ways.get(key)
        if way is None:
            way = ways[key] = self._way(crossing, origin, packer)
        if not is_dated or at.tzinfo is not UTC or not PAST <= at <= origin.received_at:
            at = _dated(at, crossing.bounds, origin)
        since = at - self._quarter
        if since.days or since.seconds >= _QUARTER:
            self._quarter = quarter_of(at)
            self._quarter_micros = micros(self._quarter)
            since = at - self._quarter
        opens_group = crossing.opens_group
        stamp = self._quarter_micros + since.seconds * 1_000_000 + since.microseconds
        self.crossings.append(way.pack(stamp, crossing.seq, opens_group, crossing.track, crossing.confidence))
        if way.quarter is not self._quarter:
            way.quarter = self._quarter
            found = (way.store_id, self._quarter, way.line, way.direction, way.kind)
            way.traffic = self.traffic.setdefault(found, Traffic())
        way.traffic.count += 1
        way.traffic.groups += opens_group

    def _way(self, crossing: Crossing, origin: Origin, packer: Packer) -> _Way:
        self._check_line(crossing.line, origin.store_id)
        self._check_camera(crossing.camera, origin.store_id)
        kind = class_of(crossing.tags)
        pack = packer.way(
            crossing.camera, crossing.line, crossing.direction, kind, crossing.tags, crossing.bounds is not None
        )
        return _Way(pack, origin.store_id, crossing.line, crossing.direction, kind, None, Traffic())

    def _coverage(self, coverage: Coverage, origin: Origin) -> None:
        self._check_camera(coverage.camera, origin.store_id)
        minute = _dated(coverage.minute, coverage.bounds, origin)
        if coverage.bounds is not None:
            minute = minute.replace(second=0, microsecond=0)
        _check_aligned(minute, 60)
        tenths = round(coverage.seconds * 10)
        self.coverage.append(
            (
                minute,
                origin.store_id,
                coverage.camera,
                Decimal(tenths) / 10,
                coverage.frames,
                coverage.state,
                coverage.bounds is not None,
                origin.device_id,
                origin.epoch,
                coverage.seq,
                origin.received_at,
            )
        )
        late = coverage.bounds is not None or _is_late(minute + _MINUTE, origin)
        self._add_watched(origin.store_id, coverage.camera, minute, [tenths], coverage.state, late=late)

    def _tally(self, numbered: Numbered, tally: Tally, origin: Origin) -> None:
        """Book the sums that can be booked; the others together are one dead letter, which stands for all its numbers.

        A box folds all its lines into one tally: one line that nobody registered must not cost the others.
        """
        crossings, crossings_left, why = _sorted_out(tally.crossings, lambda part: self._check_crossings(part, origin))
        coverage, coverage_left, also = _sorted_out(tally.coverage, lambda part: self._check_coverage(part, origin))
        reasons = [*why, *also]
        if reasons:
            left = msgspec.structs.replace(tally, crossings=crossings_left, coverage=coverage_left)
            rest = Numbered(numbered.first, numbered.last, left, encode(left))
            more = f" (and {len(reasons) - 1} more sums)" if len(reasons) > 1 else ""
            self.put_aside(rest, origin, reasons[0].code, f"{reasons[0]}{more}")
            if not crossings and not coverage:
                return
        booked = msgspec.structs.replace(
            tally, crossings=tuple(part for part, _ in crossings), coverage=tuple(part for part, _ in coverage)
        )
        number = (origin.device_id, origin.epoch, tally.from_seq, tally.seq)
        self.tallies.append((origin.received_at, origin.store_id, *number, encode(booked).decode()))
        for sums, start in crossings:
            key = (origin.store_id, quarter_of(start), sums.line, sums.direction, class_of(sums.tags))
            self._add_traffic(key, sums.count, sums.groups)
        for seconds, start in coverage:
            spread = _spread(round(seconds.seconds * 10), seconds.span // 60)
            late = _is_late(start + timedelta(seconds=seconds.span), origin)
            self._add_watched(origin.store_id, seconds.camera, start, spread, seconds.state, late=late)

    def _check_crossings(self, sums: CrossingSum, origin: Origin) -> datetime:
        self._check_line(sums.line, origin.store_id)
        self._check_camera(sums.camera, origin.store_id)
        if sums.groups > sums.count:
            raise BadRecord("bad_record", f"{sums.groups} groups among {sums.count} crossings")
        if sums.count > _MOST_A_SECOND * sums.span:
            raise BadRecord("bad_record", f"{sums.count} crossings of one line within {sums.span} s")
        return _started(sums, origin)

    def _check_coverage(self, sums: CoverageSum, origin: Origin) -> datetime:
        self._check_camera(sums.camera, origin.store_id)
        if sums.seconds > sums.span:
            raise BadRecord("bad_record", f"{sums.seconds} seconds watched within {sums.span}")
        return _started(sums, origin)

    def _check_line(self, line: str, store_id: str) -> None:
        _check_owner("line", line, self._registry.lines.get(line), store_id)

    def _check_camera(self, camera: str, store_id: str) -> None:
        _check_owner("camera", camera, self._registry.cameras.get(camera), store_id)

    def _add_traffic(self, key: TrafficKey, count: int, groups: int) -> None:
        traffic = self.traffic.setdefault(key, Traffic())
        traffic.count += count
        traffic.groups += groups

    def _add_watched(
        self, store_id: str, camera: str, start: datetime, tenths: list[int], state: str, *, late: bool
    ) -> None:
        quarter = quarter_of(start)
        watched = self.watched.setdefault((store_id, quarter, camera), Watched())
        if late:
            watched.late = min(_MOST_LATE, watched.late + sum(tenths))
        first = (start - quarter) // _MINUTE
        for minute, more in enumerate(tenths, start=first):
            watched.tenths[minute] = min(600, watched.tenths[minute] + more)
        watched.state = worse(watched.state, state)


def _sorted_out(
    parts: Sequence[T], check: Callable[[T], datetime]
) -> tuple[list[tuple[T, datetime]], tuple[T, ...], list[BadRecord]]:
    """The parts that can be booked, each with its start, those that can't, and why not."""
    good: list[tuple[T, datetime]] = []
    left: list[T] = []
    reasons: list[BadRecord] = []
    for part in parts:
        try:
            good.append((part, check(part)))
        except BadRecord as bad:
            left.append(part)
            reasons.append(bad)
    return good, tuple(left), reasons


def _is_late(end: datetime, origin: Origin) -> bool:
    return origin.received_at - end > LATE_AFTER


def told_time(record: Record | Unreadable) -> tuple[datetime | None, datetime | None]:
    """From when to when (UTC) a record speaks, however wrong it is; None where that can't be told, or kept."""
    spans: list[tuple[datetime, timedelta]] = []
    match record:
        case Crossing(bounds=Bounds() as bounds) | Coverage(bounds=Bounds() as bounds):
            spans = [(bounds.earliest, timedelta(0)), (bounds.latest, timedelta(0))]
        case Crossing(at=at) | Coverage(minute=at):
            spans = [(at, timedelta(0))]
        case Tally(crossings=crossings, coverage=coverage):
            spans = [(sums.start, timedelta(seconds=sums.span)) for sums in crossings]
            spans += [(seconds.start, timedelta(seconds=seconds.span)) for seconds in coverage]
    told = [(at.astimezone(UTC), span) for at, span in spans if PAST.year < at.year < _LAST_YEAR]
    if not told:
        return None, None
    return min(at for at, _ in told), max(at + span for at, span in told)


def _check_owner(what: str, name: str, owner: str | None, store_id: str) -> None:
    if owner is None:
        raise BadRecord(f"unknown_{what}", f"{what} {name} is not registered")
    if owner != store_id:
        raise BadRecord("wrong_store", f"{what} {name} belongs to store {owner}, not to {store_id}")


def quarter_of(at: datetime) -> datetime:
    """Start of the UTC quarter hour `at` (UTC) lies in."""
    return at.replace(minute=at.minute - at.minute % 15, second=0, microsecond=0)


def _dated(at: datetime, bounds: Bounds | None, origin: Origin) -> datetime:
    """When to book a record (UTC): its own time, or the earliest it can have been."""
    try:
        booked = (at if bounds is None else bounds.earliest).astimezone(UTC)
        latest = booked if bounds is None else bounds.latest.astimezone(UTC)
    except OverflowError as error:
        raise BadRecord("bad_record", "a time outside the calendar") from error
    if latest < booked:
        raise BadRecord("bad_record", f"bounds end ({latest.isoformat()}) before they begin")
    if booked > origin.received_at + FUTURE:
        raise BadRecord("future_dated", f"dated {booked.isoformat()}, received {origin.received_at.isoformat()}")
    if booked < PAST:
        raise BadRecord("past_dated", f"dated {booked.isoformat()}, before {PAST.date().isoformat()}")
    return booked


def _started(sums: CrossingSum | CoverageSum, origin: Origin) -> datetime:
    """When the span of some sums began (UTC)."""
    start = _dated(sums.start, None, origin)
    _check_aligned(start, sums.span)
    return start


def _check_aligned(start: datetime, span: int) -> None:
    if start.second or start.microsecond or (span == _QUARTER and start.minute % 15):
        raise BadRecord("bad_record", f"{start.isoformat()} is not the start of a span of {span} s")


def _spread(tenths: int, minutes: int) -> list[int]:
    """Divide over the minutes as evenly as whole tenths allow, the remainder to the first ones."""
    share, rest = divmod(tenths, minutes)
    return [share + (minute < rest) for minute in range(minutes)]
