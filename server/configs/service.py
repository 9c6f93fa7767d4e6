"""The rules of what boxes are to do: who may set it, what number it gets, who is told.

A revision is never changed and its number never used twice, not even by a database that came back from a backup: a box
that knows a later one than we do has had it from us, so the next number is above that too. The box decides whether it
works; what it says is kept beside the revision.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import structlog

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.configs import checking, repository
from server.configs.models import Revision, Standing
from server.errors import Conflict, InvalidInput, NotFound
from server.storage.pool import Connection, Database
from server.stores import repository as stores
from wire.config import CameraConfig, Config, ConfigReport

_log = structlog.get_logger(__name__)

_LAST: Final = 2**31 - 1
_LONGEST_NOTE: Final = 200


class ConfigService:
    """Boxes' desired configuration."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    # -- for people ------------------------------------------------------------------------------------------------

    def put(self, scope: Scope, device: str, text: str, note: str = "") -> Revision:
        """Make the cameras of a file what a box is to have.

        Args:
            device: a live box.
            text: TOML, in the shape of `edge.toml`'s `[[camera]]` sections.
            note: why, for those who look later.

        Raises:
            Forbidden: unless an admin asks.
            InvalidInput: naming the key that is wrong.
            NotFound: no such live box.
            Conflict: it is to have just that already, and did not fail with it.
        """
        return self._put(scope, device, checking.parse(text), note)

    def clear(self, scope: Scope, device: str, note: str = "") -> Revision:
        """Give a box back to its own `edge.toml`; a revision like any other.

        Raises:
            as `put`.
        """
        return self._put(scope, device, (), note)

    def check(self, scope: Scope, device: str, text: str) -> tuple[CameraConfig, ...]:
        """What `put` would take, without taking it.

        Raises:
            as `put`.
        """
        scope.require_role("admin")
        cameras = checking.parse(text)
        with self._db.transaction() as conn:
            self._check(conn, scope, device, cameras)
        return cameras

    def history(self, scope: Scope, device: str, limit: int = 20) -> list[Revision]:
        """What a box was to have, newest first.

        Raises:
            Forbidden: unless an admin asks.
            NotFound: no such box.
        """
        scope.require_role("admin")
        with self._db.read() as conn:
            self._must_exist(conn, scope, device)
            return repository.revisions(conn, scope, device, limit)

    def revision(self, scope: Scope, device: str, number: int | None = None) -> Revision | None:
        """One revision, or the newest; None where nothing was ever set.

        Raises:
            Forbidden: unless an admin asks.
            NotFound: no such box, or no such revision.
        """
        scope.require_role("admin")
        with self._db.read() as conn:
            self._must_exist(conn, scope, device)
            if number is None:
                return next(iter(repository.revisions(conn, scope, device, 1)), None)
            found = repository.revision(conn, scope, device, number)
        if found is None:
            raise NotFound(
                f"{device!r} never had a revision {number}",
                field="revision",
                remedy="see doorline device config history",
            )
        return found

    def standings(self, scope: Scope, devices: Sequence[str] | None = None) -> dict[str, Standing]:
        """How boxes stand to their configuration, by name."""
        with self._db.read() as conn:
            return {each.device_id: each for each in repository.standings(conn, scope, devices)}

    # -- for boxes -------------------------------------------------------------------------------------------------

    def newer(self, device: str, than: int) -> Config | None:
        """What a box is to have, if that is newer than what it knows.

        Raises:
            Unavailable: the database is away.
        """
        with self._db.read() as conn:
            return repository.newest_of(conn, device, than)

    def unsaid(self, said: Mapping[str, int]) -> list[Config]:
        """What live boxes are to have, of those of whom something else was said last.

        Args:
            said: the revision that was published last, by box.

        Raises:
            Unavailable: the database is away.
        """
        with self._db.read() as conn:
            due = [name for name, revision in sorted(repository.newest(conn).items()) if said.get(name) != revision]
            found = [repository.newest_of(conn, name, 0) for name in due]
        return [each for each in found if each is not None]

    # -- inside ----------------------------------------------------------------------------------------------------

    def _put(self, scope: Scope, device: str, cameras: tuple[CameraConfig, ...], note: str) -> Revision:
        scope.require_role("admin")
        if len(note) > _LONGEST_NOTE or not note.isprintable():
            raise InvalidInput(
                f"a note has at most {_LONGEST_NOTE} characters, on one line", field="note", remedy="shorten it"
            )
        now = self._clock()
        with self._db.transaction() as conn:
            locked = self._check(conn, scope, device, cameras)
            before = next(iter(repository.revisions(conn, scope, device, 1)), None)
            _check_change(device, before, cameras)
            number = 1 + max(0 if before is None else before.revision, locked.known)
            if number > _LAST:
                raise Conflict(
                    f"{device!r} says it knows revision {locked.known}, and there is none above it",
                    remedy="make the box anew (doorline device revoke, device add)",
                )
            repository.insert(conn, Config(device=device, revision=number, camera=cameras), scope.actor, note, now)
            detail: dict[str, object] = {"revision": number, "cameras": [camera.id for camera in cameras]}
            audit.record(
                conn, now, scope.actor, "device.config", subject=device, store_id=locked.store_id, detail=detail
            )
        return Revision(device, number, cameras, scope.actor, note, now, None, "", None)

    def _check(
        self, conn: Connection, scope: Scope, device: str, cameras: Sequence[CameraConfig]
    ) -> repository.LockedDevice:
        locked = repository.lock_device(conn, scope, device)
        if locked is None:
            raise NotFound(f"there is no live device {device!r}", field="name", remedy="see doorline device list")
        checking.check_register(
            cameras,
            stores.cameras(conn, scope, [locked.store_id]),
            stores.lines(conn, scope, locked.store_id),
            locked.store_id,
        )
        return locked

    def _must_exist(self, conn: Connection, scope: Scope, device: str) -> None:
        if not repository.standings(conn, scope, [device]):
            raise NotFound(f"there is no device {device!r}", field="name", remedy="see doorline device list")


def note_report(conn: Connection, device: str, used: int, report: ConfigReport | None, at: datetime) -> None:
    """Keep what a box says of its configuration, in the transaction that keeps its status."""
    if repository.note_report(conn, device, used, report, at) and report is not None:
        say = _log.warning if report.state == "failed" else _log.info
        say("configuration of a box", device=device, revision=report.revision, state=report.state, reason=report.reason)


def _check_change(device: str, before: Revision | None, cameras: tuple[CameraConfig, ...]) -> None:
    if before is None and not cameras:
        raise Conflict(f"nothing was ever set for {device!r}; it goes by its own edge.toml")
    if before is not None and before.camera == cameras and before.state != "failed":
        raise Conflict(f"{device!r} is to have just that already (revision {before.revision}); nothing was changed")
