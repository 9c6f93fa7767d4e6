"""The gap ledger of a store over business days, put together from what ingest keeps.

Reads many small tables in one read-only transaction, so that a batch committed meanwhile is in all of it or in none.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput
from server.ingest import gap_repository, letter_repository
from server.ingest.booking import quarter_of
from server.ingest.gap_repository import EventRow
from server.ingest.gaps import WEEKS, Inputs, LedgerRow, LostRecords, PastQuarter, ledger, outages_of
from server.ingest.models import DeadLetter
from server.storage.pool import Connection, Database
from server.stores.calendar import ONE_DAY, StoreCalendar
from server.stores.health import SILENT_AFTER
from server.stores.service import StoresService
from wire.messages import Coverage, Crossing, Tally, WireError, decode_record

#: Most business days in one ledger.
MOST_DAYS: Final = 62


@dataclass(frozen=True, slots=True)
class Sums:
    """Seconds of one camera, or of all: `due` is the sum of the others."""

    due: float
    measured: float
    late: float
    imputed: float
    missing: float


@dataclass(frozen=True, slots=True)
class CameraSums:
    """One camera over all the days."""

    camera_id: str
    seconds: Sums


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was due of a store's cameras, what was measured, and why the rest was not.

    Attributes:
        day_from, day_to: business days, both included.
        as_of: up to when (UTC).
        lost: records that are gone for good and may have lain in these days, to the number.
        dead_letters: records put aside that may still be booked.
    """

    store_id: str
    day_from: date
    day_to: date
    timezone: str
    as_of: datetime
    total: Sums
    cameras: tuple[CameraSums, ...]
    quarters: tuple[LedgerRow, ...]
    lost: tuple[LostRecords, ...]
    dead_letters: int


class GapLedger:
    """Answers what was watched, and what was not and why.

    Args:
        clock: what time it is (aware, UTC).
    """

    def __init__(self, db: Database, stores: StoresService, clock: Clock = utc_now) -> None:
        self._db = db
        self._stores = stores
        self._clock = clock

    def ledger(self, scope: Scope, store_id: str, day_from: date, day_to: date) -> Ledger:
        """The ledger of one store over business days, both ends included.

        Raises:
            Forbidden: a store that isn't the caller's.
            NotFound: no such store.
            InvalidInput: the days are in the wrong order, or too many.
        """
        if day_to < day_from:
            raise InvalidInput(f"the last day {day_to} lies before the first", field="to", remedy="swap them")
        if (day_to - day_from).days >= MOST_DAYS:
            raise InvalidInput(
                f"{(day_to - day_from).days + 1} days are asked for", field="to", remedy=f"ask for {MOST_DAYS} at most"
            )
        calendar = self._stores.calendar(scope, store_id)
        days = [day_from + number * ONE_DAY for number in range((day_to - day_from).days + 1)]
        quarters = [quarter for day in days for quarter in calendar.open_quarters(day)]
        start, end = calendar.bounds(day_from)[0], calendar.bounds(day_to)[1]
        as_of = self._clock()
        with self._db.read() as connection:
            inputs, letters = self._inputs(connection, scope, store_id, calendar, quarters, start, end, as_of)
        rows = ledger(inputs)
        return Ledger(
            store_id=store_id,
            day_from=day_from,
            day_to=day_to,
            timezone=str(calendar.zone_on(day_to)),
            as_of=as_of,
            total=_sums(rows),
            cameras=tuple(
                CameraSums(camera.camera_id, _sums(row for row in rows if row.camera_id == camera.camera_id))
                for camera in inputs.cameras
            ),
            quarters=tuple(rows),
            lost=tuple(inputs.lost),
            dead_letters=letters,
        )

    @staticmethod
    def _inputs(
        connection: Connection,
        scope: Scope,
        store_id: str,
        calendar: StoreCalendar,
        quarters: Sequence[datetime],
        start: datetime,
        end: datetime,
        as_of: datetime,
    ) -> tuple[Inputs, int]:
        same_times = {at: [calendar.same_time(at, -7 * week) for week in WEEKS] for at in quarters if at < as_of}
        events = gap_repository.events(connection, scope, store_id, start, end)
        silent = {
            device_id: heard
            for device_id, heard in gap_repository.last_heard(connection, scope, store_id)
            if as_of - heard > SILENT_AFTER
        }
        letters, spoken_of = 0, Counter[tuple[str, datetime]]()
        for letter in letter_repository.open_letters_between(connection, scope, store_id, start, end):
            letters += 1
            spoken_of.update(_places(letter))
        inputs = Inputs(
            quarters=quarters,
            as_of=as_of,
            cameras=gap_repository.cameras(connection, scope, store_id, start, end),
            watched=gap_repository.watched(connection, scope, store_id, start, end),
            outages=outages_of(((event.device_id, event.at, event.online) for event in events), silent, as_of),
            lost=[*gap_repository.lost(connection, scope, store_id, start, end), *_lost_at_boxes(events, start)],
            letters=spoken_of,
            same_times=same_times,
            past=_past(connection, scope, store_id, same_times),
        )
        return inputs, letters


def _past(
    connection: Connection, scope: Scope, store_id: str, same_times: dict[datetime, list[datetime]]
) -> dict[tuple[str, datetime], PastQuarter]:
    wanted = sorted({at for others in same_times.values() for at in others})
    return {
        (row.camera_id, row.quarter): PastQuarter(row.entered, row.left, round(row.seconds * 10))
        for row in gap_repository.past(connection, scope, store_id, wanted)
    }


def _lost_at_boxes(events: Sequence[EventRow], start: datetime) -> Iterable[LostRecords]:
    """What boxes say they lost, from one event to the next; a count that falls is something found again."""
    for event in events:
        records = event.lost - (event.lost_before or 0)
        if records and event.at >= start:
            yield LostRecords(event.device_id, None, None, None, records, event.before_at, event.at, event.at)


def _places(letter: DeadLetter) -> set[tuple[str, datetime]]:
    """The cameras and quarter hours a letter speaks of; where it can't be read, of none that can be told."""
    try:
        record = decode_record(letter.payload.encode())
    except WireError:
        return set()
    if letter.starts_at is None or letter.ends_at is None:
        return set()
    match record:
        case Crossing(camera=camera) | Coverage(camera=camera):
            return {(camera, quarter_of(letter.starts_at))}
        case Tally(crossings=crossings, coverage=coverage):
            spans = [(sums.camera, sums.start) for sums in crossings]
            spans += [(seconds.camera, seconds.start) for seconds in coverage]
            # What lies outside is dated beyond the calendar.
            inside = ((camera, at) for camera, at in spans if letter.starts_at <= at <= letter.ends_at)
            return {(camera, quarter_of(at.astimezone(UTC))) for camera, at in inside}


def _sums(rows: Iterable[LedgerRow]) -> Sums:
    tenths: dict[str, int] = defaultdict(int)
    for row in rows:
        for name in ("due", "measured", "late", "imputed", "missing"):
            tenths[name] += round(getattr(row, name) * 10)
    return Sums(*(tenths[name] / 10 for name in ("due", "measured", "late", "imputed", "missing")))
