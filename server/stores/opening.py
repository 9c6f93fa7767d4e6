"""The days on which a store's weekday does not say when it opens: exceptions by date, and public holidays.

Both change what was answered already, as opening hours do, so days computed before are marked in the transaction that
keeps them. A date is one of the wall calendar; its hours can reach into the business day before and after it.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import get_args

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput, NotFound
from server.storage import dirty
from server.storage.pool import Connection, Database
from server.stores import checks, opening_repository, repository
from server.stores.calendar import ONE_DAY, OpeningSpan, StoreCalendar
from server.stores.models import OpeningException
from server.stores.opening_repository import ExceptionRow, HolidayRow, own_words
from server.stores.public_holidays import DayKind, Holiday, Language, known
from server.stores.service import StoresService

#: Holidays of more days than this are not listed at once.
_MOST_DAYS = 1100


class OpeningService:
    """Exceptions and public holidays."""

    def __init__(self, db: Database, stores: StoresService, clock: Clock = utc_now) -> None:
        self._db = db
        self._stores = stores
        self._clock = clock

    # -- exceptions

    def set_exception(
        self, scope: Scope, store_id: str, day: date, spans: Sequence[OpeningSpan], reason: str = ""
    ) -> None:
        """Set when a store opens on one date of the wall calendar, whatever its weekday says.

        Args:
            spans: of that date (their weekday is not looked at); none means closed.

        Raises:
            Forbidden: unless admin, HQ or the store's own manager asks.
            NotFound: no such store.
            InvalidInput: times off the quarter hour, or two spans that begin together.
        """
        scope.require_role("admin", "hq", "manager")
        checks.check_day(day, "day")
        own = checks.checked_spans([OpeningSpan(day.weekday(), span.opens, span.closes) for span in spans])
        calendar = self._stores.calendar(scope, store_id)
        StoreCalendar.check_spans(own)
        now = self._clock()
        row = ExceptionRow(
            store_id, day, [each.opens for each in own], [each.closes for each in own], reason.strip(), scope.actor, now
        )
        with self._db.transaction() as conn:
            opening_repository.put_exception(conn, row)
            _mark(conn, scope, {store_id: calendar}, day, "hours")
            audit.record(
                conn,
                now,
                scope.actor,
                "store.exception",
                subject=store_id,
                store_id=store_id,
                detail={"day": day.isoformat(), "hours": _told(own), "reason": reason.strip()},
            )

    def clear_exception(self, scope: Scope, store_id: str, day: date) -> None:
        """Leave a date to its weekday again.

        Raises:
            Forbidden: as `set_exception`.
            NotFound: no such store, or no exception on that date.
        """
        scope.require_role("admin", "hq", "manager")
        calendar = self._stores.calendar(scope, store_id)
        now = self._clock()
        with self._db.transaction() as conn:
            if not opening_repository.delete_exception(conn, scope, store_id, day):
                raise NotFound(f"store {store_id!r} has no exception on {day}", field="day", remedy="see the list")
            _mark(conn, scope, {store_id: calendar}, day, "hours")
            audit.record(
                conn,
                now,
                scope.actor,
                "store.exception",
                subject=store_id,
                store_id=store_id,
                detail={"day": day.isoformat(), "hours": "as the weekday's"},
            )

    def exceptions(self, scope: Scope, store_id: str, day_from: date, day_to: date) -> list[OpeningException]:
        """A store's exceptions on some dates, in order.

        Raises:
            Forbidden: when the store isn't the caller's.
        """
        scope.require(store_id)
        with self._db.read() as conn:
            rows = opening_repository.exceptions(conn, scope, [store_id], (day_from, day_to))
        return [
            OpeningException(row.store_id, row.day, tuple(zip(row.opens, row.closes, strict=True)), row.reason)
            for row in rows
        ]

    # -- holidays

    def holidays(
        self,
        scope: Scope,
        country: str,
        subdivision: str,
        day_from: date,
        day_to: date,
        language: Language = "en",
    ) -> list[Holiday]:
        """The days of a country, or of a part of it, that are not as their weekday says; in order.

        Args:
            language: of the names the libraries give; the chain's own stand as they were written.

        Raises:
            InvalidInput: a country of the wrong form, days the wrong way round or too many.
        """
        scope.require_role("admin", "hq", "region", "manager", "desk")
        checks.check_place(country, subdivision)
        if not 0 <= (day_to - day_from).days < _MOST_DAYS:
            raise InvalidInput(
                f"from {day_from} to {day_to} is too long, or the wrong way round",
                field="to",
                remedy=f"ask for at most {_MOST_DAYS} days",
            )
        found: dict[date, Holiday] = {}
        for year in range(day_from.year, day_to.year + 1):
            found |= known(country, subdivision, year, language)
        with self._db.read() as conn:
            found |= own_words(opening_repository.holidays(conn, [country]), country, subdivision)
        return [found[day] for day in sorted(found) if day_from <= day <= day_to]

    def set_holiday(
        self, scope: Scope, country: str, subdivision: str, day: date, kind: DayKind, name: str = ""
    ) -> None:
        """Say what a day is in a country, or in a part of it, whatever the libraries say.

        Raises:
            Forbidden: unless admin or HQ asks, for the whole chain.
            InvalidInput: a country or a kind that is none.
        """
        checks.check_choice(kind, get_args(DayKind), "kind")
        self._change_holiday(scope, HolidayRow(country, subdivision, day, kind, name.strip()))

    def clear_holiday(self, scope: Scope, country: str, subdivision: str, day: date) -> None:
        """Leave a day to the libraries again.

        Raises:
            Forbidden, InvalidInput: as `set_holiday`.
            NotFound: the chain says nothing of that day.
        """
        self._change_holiday(scope, HolidayRow(country, subdivision, day, "ordinary", ""), clear=True)

    def _change_holiday(self, scope: Scope, row: HolidayRow, *, clear: bool = False) -> None:
        scope.require_role("admin", "hq")
        scope.require_whole_chain()
        checks.check_place(row.country, row.subdivision)
        checks.check_day(row.day, "day")
        now = self._clock()
        with self._db.transaction() as conn:
            if not clear:
                opening_repository.put_holiday(conn, row, scope.actor, now)
            elif not opening_repository.delete_holiday(conn, row.country, row.subdivision, row.day):
                raise NotFound(f"nothing of our own is said of {row.day}", field="day", remedy="see the list")
            concerned = opening_repository.stores_in(conn, scope, row.country, row.subdivision)
            if concerned:
                _mark(conn, scope, self._stores.calendars(scope, concerned), row.day, "holiday")
            audit.record(
                conn,
                now,
                scope.actor,
                "holiday.clear" if clear else "holiday.set",
                subject=row.day.isoformat(),
                detail={"country": row.country, "subdivision": row.subdivision, "kind": row.kind, "name": row.name},
            )


def _mark(conn: Connection, scope: Scope, calendars: Mapping[str, StoreCalendar], day: date, reason: str) -> None:
    """Mark the business days a wall date can reach into, where they were computed before."""
    for store_id, calendar in calendars.items():
        near = {day - ONE_DAY, day, day + ONE_DAY}
        computed = set(repository.computed_days(conn, scope, store_id, day - ONE_DAY))
        dirty.mark(conn, store_id, (calendar.bounds(each)[0] for each in sorted(near & computed)), reason)


def _told(spans: Sequence[OpeningSpan]) -> str:
    return ", ".join(f"{span.opens:%H:%M}-{span.closes:%H:%M}" for span in spans) or "closed"
