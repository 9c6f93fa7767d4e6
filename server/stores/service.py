"""The rules of stores: who may set them up, what an id or a timezone may be, and what a change makes stale.

A change to a calendar or to opening hours changes numbers already answered; the days concerned are marked in the same
transaction, so that no report keeps an answer whose premises are gone.
"""

import hmac
from collections.abc import Sequence
from datetime import date, datetime
from hashlib import sha256
from secrets import token_urlsafe
from typing import get_args

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, InvalidInput, NotFound
from server.storage import dirty
from server.storage.moment import recalled, remembered
from server.storage.pool import Connection, Database
from server.stores import adding, checks, repository
from server.stores.calendar import ONE_DAY, DayRule, OpeningSpan, StoreCalendar
from server.stores.calendars import calendars_of
from server.stores.health import camera_health
from server.stores.models import (
    Camera,
    CameraHealth,
    Device,
    DeviceSecret,
    Line,
    LineKind,
    NewStore,
    Store,
)

_CalendarKey = tuple[object, Database, Scope, str]


class StoresService:
    """Stores and what belongs to them."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    # -- stores

    def add_store(self, scope: Scope, new: NewStore) -> Store:
        """Add a store with the first version of its calendar and its opening hours.

        Raises:
            Forbidden: unless admin or HQ asks.
            InvalidInput: naming the field.
            Conflict: when the id is taken.
        """
        scope.require_role("admin", "hq")
        with self._db.transaction() as conn:
            adding.insert(conn, scope, new, self._clock())
            return _found(repository.store(conn, scope, new.store_id), new.store_id)

    def stores(self, scope: Scope) -> list[Store]:
        """The stores of the scope, by id."""
        return list(remembered((StoresService.stores, self._db, scope), lambda: self._stores(scope)))

    def _stores(self, scope: Scope) -> list[Store]:
        with self._db.read() as conn:
            return repository.stores(conn, scope)

    def store(self, scope: Scope, store_id: str) -> Store:
        """One store.

        Raises:
            Forbidden: when it isn't the caller's.
            NotFound: when there is none.
        """
        scope.require(store_id)
        return remembered((StoresService.store, self._db, scope, store_id), lambda: self._store(scope, store_id))

    def _store(self, scope: Scope, store_id: str) -> Store:
        with self._db.read() as conn:
            return _found(repository.store(conn, scope, store_id), store_id)

    # -- calendar

    def calendar(self, scope: Scope, store_id: str) -> StoreCalendar:
        """The business days and opening hours of a store.

        Raises:
            Forbidden, NotFound: as `store`.
        """
        scope.require(store_id)
        found = self.calendars(scope, [store_id])
        if store_id not in found:
            raise no_store(store_id)
        return found[store_id]

    def calendars(self, scope: Scope, store_ids: Sequence[str] | None = None) -> dict[str, StoreCalendar]:
        """The calendars of all stores of the scope, or of some of them, by store."""
        if store_ids is None:
            with self._db.read() as conn:
                return calendars_of(conn, scope, None)
        keys: dict[_CalendarKey, str] = {
            (StoresService.calendars, self._db, scope, store_id): store_id for store_id in store_ids
        }

        def find(unknown: list[_CalendarKey]) -> dict[_CalendarKey, StoreCalendar]:
            with self._db.read() as conn:
                found = calendars_of(conn, scope, [keys[key] for key in unknown])
            return {key: found[keys[key]] for key in unknown if keys[key] in found}

        return {keys[key]: calendar for key, calendar in recalled(list(keys), find).items()}

    def todays(self, scope: Scope, at: datetime, store_ids: Sequence[str] | None = None) -> dict[str, date]:
        """The business day each store of the scope, or some of them, is in at an instant.

        Opening hours have no part in it and are not read: of a chain's calendars they are nearly all.
        """
        clocks = self.clocks(scope, store_ids)
        found = {clock: clock.day_of(at) for clock in set(clocks.values())}
        return {store_id: found[clock] for store_id, clock in clocks.items()}

    def clocks(self, scope: Scope, store_ids: Sequence[str] | None = None) -> dict[str, StoreCalendar]:
        """Calendars that know timezone and start of the business day and no opening hours: which day an instant is in.

        Stores that go by the same rules share one, so that what was asked of it need not be asked again.
        """
        wanted = None if store_ids is None else tuple(store_ids)
        rules = remembered((StoresService.clocks, self._db, scope, wanted), lambda: self._rules(scope, wanted))
        alike = {own: StoreCalendar(own) for own in set(map(tuple, rules.values()))}
        return {store_id: alike[tuple(own)] for store_id, own in rules.items()}

    def _rules(self, scope: Scope, store_ids: Sequence[str] | None) -> dict[str, list[DayRule]]:
        with self._db.read() as conn:
            return repository.rules(conn, scope, store_ids)

    def set_calendar(self, scope: Scope, store_id: str, rule: DayRule) -> None:
        """Change timezone and start of the business day from a day on; days computed since are computed anew."""
        scope.require_role("admin", "hq")
        StoreCalendar([rule])
        checks.check_day(rule.valid_from, "valid_from")
        with self._db.transaction() as conn:
            self._own(conn, scope, store_id)
            repository.put_rule(conn, store_id, rule)
            self._stale(conn, scope, store_id, rule.valid_from, "calendar")
            audit.record(
                conn,
                self._clock(),
                scope.actor,
                "store.calendar",
                subject=store_id,
                store_id=store_id,
                detail={"valid_from": rule.valid_from.isoformat(), "timezone": rule.timezone},
            )

    def set_hours(self, scope: Scope, store_id: str, valid_from: date, spans: Sequence[OpeningSpan]) -> None:
        """Set the whole week's opening hours from a day on; days computed since are computed anew.

        Raises:
            Forbidden: unless admin, HQ or the store's own manager asks.
            InvalidInput: times off the quarter hour, overlapping spans, or none at all.
        """
        scope.require_role("admin", "hq", "manager")
        checked = checks.checked_spans(spans)
        if not checked:
            raise InvalidInput("no opening hours are given", field="hours", remedy="give at least one span")
        checks.check_day(valid_from, "valid_from")
        with self._db.transaction() as conn:
            self._own(conn, scope, store_id)
            repository.replace_hours(conn, scope, store_id, valid_from, checked)
            self._stale(conn, scope, store_id, valid_from, "hours")
            audit.record(
                conn,
                self._clock(),
                scope.actor,
                "store.hours",
                subject=store_id,
                store_id=store_id,
                detail={"valid_from": valid_from.isoformat()},
            )

    # -- cameras and lines

    def add_camera(
        self,
        scope: Scope,
        store_id: str,
        camera_id: str,
        name: str = "",
        installed_at: datetime | None = None,
        lines: Sequence[str] = (),
    ) -> Camera:
        """Register a camera with its door lines, all of it or nothing.

        Args:
            installed_at: coverage is due from then on (aware; now when left out).
            lines: ids.
        """
        scope.require_role("admin", "hq")
        checks.check_id(camera_id, "camera_id")
        camera = Camera(camera_id, store_id, name.strip() or camera_id, installed_at or self._clock())
        checks.check_instant(camera.installed_at, "installed_at")
        with self._db.transaction() as conn:
            self._own(conn, scope, store_id)
            if not repository.insert_camera(conn, camera):
                raise Conflict(
                    f"there is a camera {camera_id!r} already", field="camera_id", remedy="choose another id"
                )
            for line_id in lines:
                self._insert_line(conn, camera, line_id)
            self._stale_since(conn, scope, store_id, camera.installed_at, "camera")
        return camera

    def cameras(self, scope: Scope, store_id: str) -> list[Camera]:
        """All cameras a store ever had, by id."""
        scope.require(store_id)
        with self._db.read() as conn:
            return repository.cameras(conn, scope, [store_id])

    def remove_camera(self, scope: Scope, camera_id: str, at: datetime | None = None) -> None:
        """Take a camera out of service; no coverage is due from then on, and its past stays."""
        scope.require_role("admin", "hq")
        removed_at = at or self._clock()
        checks.check_instant(removed_at, "at")
        with self._db.transaction() as conn:
            camera = repository.camera(conn, scope, camera_id)
            if camera is None or camera.removed_at is not None:
                raise NotFound(f"there is no camera {camera_id!r} in service", field="camera_id")
            if removed_at <= camera.installed_at:
                raise InvalidInput(
                    f"camera {camera_id!r} was installed at {camera.installed_at.isoformat()}, later than that",
                    field="at",
                    remedy="give a time after its installation",
                )
            repository.end_camera(conn, scope, camera_id, removed_at)
            self._stale_since(conn, scope, camera.store_id, removed_at, "camera")

    def add_line(self, scope: Scope, camera_id: str, line_id: str, name: str = "", kind: LineKind = "door") -> Line:
        """Add a counting line to a camera."""
        scope.require_role("admin", "hq")
        with self._db.transaction() as conn:
            camera = repository.camera(conn, scope, camera_id)
            if camera is None:
                raise NotFound(f"there is no camera {camera_id!r}", field="camera_id")
            line = self._insert_line(conn, camera, line_id, name, kind)
            # A line makes its camera one of a door or of the street, for as long as it has hung there.
            self._stale_since(conn, scope, camera.store_id, camera.installed_at, "line")
        return line

    def add_lines(
        self, scope: Scope, store_id: str, camera_id: str, line_ids: Sequence[str], kind: LineKind = "door"
    ) -> list[Line]:
        """Add counting lines to a camera of a store, all of them or none."""
        scope.require_role("admin", "hq")
        with self._db.transaction() as conn:
            self._own(conn, scope, store_id)
            camera = repository.camera(conn, scope, camera_id)
            if camera is None or camera.store_id != store_id:
                raise NotFound(f"there is no camera {camera_id!r} in store {store_id!r}", field="camera_id")
            lines = [self._insert_line(conn, camera, line_id, kind=kind) for line_id in line_ids]
            self._stale_since(conn, scope, store_id, camera.installed_at, "line")
        return lines

    def lines(self, scope: Scope, store_id: str) -> list[Line]:
        """A store's counting lines, by id."""
        scope.require(store_id)
        with self._db.read() as conn:
            return repository.lines(conn, scope, store_id)

    def camera_health(self, scope: Scope, store_id: str) -> list[CameraHealth]:
        """How each camera in service does now, with what to do about it in the reader's language."""
        return self.cameras_health(scope, [store_id])[store_id]

    def cameras_health(self, scope: Scope, store_ids: Sequence[str]) -> dict[str, list[CameraHealth]]:
        """The same of some stores, in their order.

        Raises:
            Forbidden: when one of them isn't the caller's.
        """
        for store_id in store_ids:
            scope.require(store_id)
        now = self._clock()
        with self._db.read() as conn:
            cameras = repository.cameras(conn, scope, store_ids)
            devices = repository.devices(conn, scope, store_ids)
        in_service = [each for each in cameras if each.removed_at is None or each.removed_at > now]
        live = [each for each in devices if each.revoked_at is None]
        return {
            store_id: camera_health(
                [each for each in in_service if each.store_id == store_id],
                [each for each in live if each.store_id == store_id],
                now,
                scope.locale,
            )
            for store_id in store_ids
        }

    # -- devices

    def add_device(self, scope: Scope, store_id: str, name: str) -> DeviceSecret:
        """Add a box and make its password, which is shown this once.

        Args:
            name: its broker user name, unique in the chain.
        """
        scope.require_role("admin")
        checks.check_device_name(name)
        password = token_urlsafe(32)
        now = self._clock()
        with self._db.transaction() as conn:
            self._own(conn, scope, store_id)
            if not repository.insert_device(conn, name, store_id, _hash(password), now):
                raise Conflict(f"there is a device {name!r} already", field="name", remedy="choose another name")
            audit.record(conn, now, scope.actor, "device.add", subject=name, store_id=store_id)
        return DeviceSecret(name, store_id, password)

    def devices(self, scope: Scope, store_id: str) -> list[Device]:
        """A store's boxes with their last word, revoked ones too."""
        scope.require(store_id)
        with self._db.read() as conn:
            return repository.devices(conn, scope, [store_id])

    def check_device(self, scope: Scope, name: str, password: str) -> bool:
        """Whether this is the password of a live box."""
        with self._db.read() as conn:
            stored = repository.live_device_secret(conn, scope, name)
        return hmac.compare_digest(stored or "", _hash(password)) and stored is not None

    def revoke_device(self, scope: Scope, name: str) -> None:
        """End a box: what it sends is refused from then on."""
        scope.require_role("admin")
        now = self._clock()
        with self._db.transaction() as conn:
            store_id = repository.revoke_device(conn, scope, name, now)
            if store_id is None:
                raise NotFound(f"there is no live device {name!r}", field="name")
            audit.record(conn, now, scope.actor, "device.revoke", subject=name, store_id=store_id)

    # -- inside

    def _own(self, conn: Connection, scope: Scope, store_id: str) -> None:
        scope.require(store_id)
        _found(repository.store(conn, scope, store_id), store_id)

    @staticmethod
    def _insert_line(conn: Connection, camera: Camera, line_id: str, name: str = "", kind: LineKind = "door") -> Line:
        checks.check_id(line_id, "line_id")
        checks.check_choice(kind, get_args(LineKind), "kind")
        line = Line(line_id, camera.camera_id, camera.store_id, name.strip() or line_id, kind)
        if not repository.insert_line(conn, line_id, camera, line.name, kind):
            raise Conflict(f"there is a line {line_id!r} already", field="line_id", remedy="choose another id")
        return line

    def _stale(self, conn: Connection, scope: Scope, store_id: str, first: date, reason: str) -> None:
        """Mark the days computed from `first` on, and the one before: it ends where `first` begins."""
        days = repository.computed_days(conn, scope, store_id, first - ONE_DAY)
        calendar = calendars_of(conn, scope, [store_id])[store_id]
        dirty.mark(conn, store_id, (calendar.bounds(day)[0] for day in days), reason)

    def _stale_since(self, conn: Connection, scope: Scope, store_id: str, at: datetime, reason: str) -> None:
        calendar = calendars_of(conn, scope, [store_id])[store_id]
        self._stale(conn, scope, store_id, calendar.day_of(at), reason)


def _hash(password: str) -> str:
    """Of a random 256-bit password: it can't be guessed, so a fast hash is enough."""
    return sha256(password.encode()).hexdigest()


def _found(store: Store | None, store_id: str) -> Store:
    if store is None:
        raise no_store(store_id)
    return store


def no_store(store_id: str) -> NotFound:
    """What to say of a store there is not."""
    return NotFound(f"there is no store {store_id!r}", field="store_id", remedy="add it, or check the id")
