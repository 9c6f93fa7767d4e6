"""The rules of boxes' certificates: who is given one, how one follows another, and how one ends.

What the database says is the truth, and the broker's revocation list is made of it: a list can be made again at any
time, and a box that was ended is refused by ingest before any list was written. The trap is the order of things that
can't be one transaction: the file with the key is handed over before the commit, so that there is no box whose key
nobody has; a commit that fails takes the file back.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, InvalidInput, NotFound
from server.provisioning import repository
from server.provisioning.authority import DEVICE_LIFE, Authority, Ended, Issued
from server.provisioning.models import DeviceCertificate, Endpoint, EnrolledDevice, Provisioned, Revoked
from server.storage.pool import Connection, Database
from server.stores import checks
from server.stores import repository as stores
from server.stores.health import CLOCK_OFF_MS
from wire.enrolment import Enrolment, encode

#: How long an old certificate goes on beside a new one that was not seen yet.
OVERLAP: Final = timedelta(days=30)
LONGEST_LIFE: Final = timedelta(days=20 * 365)


#: Puts an enrolment file's content, durably, where it is carried from; returns what takes it away again.
HandOver = Callable[[bytes], Callable[[], None]]


def newest_of(certificates: Sequence[DeviceCertificate]) -> str:
    """The fingerprint of the newest of a box's certificates, which come newest first; empty for none."""
    return certificates[0].fingerprint if certificates else ""


class ProvisioningService:
    """Boxes and their certificates."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def add_device(
        self,
        scope: Scope,
        store_id: str,
        name: str,
        *,
        authority: Authority,
        endpoint: Endpoint,
        hand_over: HandOver,
        life: timedelta = DEVICE_LIFE,
    ) -> Provisioned:
        """Add a box and give it its first certificate.

        Args:
            name: unique in the chain; its certificate's common name and its broker user name.
            authority: signs.
            endpoint: where the box will find the broker.
            hand_over: takes the one file to carry to the box.
            life: of the certificate, and no longer than the authority's.

        Raises:
            Forbidden: unless an admin asks.
            InvalidInput: a name that can't be one.
            NotFound: no such store.
            Conflict: the name is taken, be it by a box that was ended.
        """
        scope.require_role("admin")
        checks.check_device_name(name)
        _check_life(life)
        now = self._clock()
        scope.require(store_id)
        issued = authority.issue_client(name, now, life)

        def note(conn: Connection) -> Provisioned:
            if stores.store(conn, scope, store_id) is None:
                raise _no_store(store_id)
            if not stores.insert_device(conn, name, store_id, "", now):
                raise Conflict(
                    f"there is a device {name!r} already",
                    field="name",
                    remedy="choose another name; a new certificate for a box that is there is made by `device rotate`",
                )
            return self._note(
                conn, scope, "device.add", Provisioned(name, store_id, issued.fingerprint, issued.not_after)
            )

        return self._issue(note, issued, name, now, authority, endpoint, hand_over)

    def rotate(
        self,
        scope: Scope,
        name: str,
        *,
        authority: Authority,
        endpoint: Endpoint,
        hand_over: HandOver,
        life: timedelta = DEVICE_LIFE,
        overlap: timedelta = OVERLAP,
        after: str | None = None,
    ) -> Provisioned:
        """Give a box a new certificate; the old ones are taken until it was seen, at the longest for `overlap`.

        Without overlap (0) the old ones end now: for a key that got into other hands. A box that was ended is a live
        one again, with this certificate alone: what it counted since waits on it, and nobody else could send it.

        Args:
            after: fingerprint of the newest one when somebody decided on this, empty for none; None: not asked. The
                same form sent twice would leave a certificate nobody has, good until it runs out.

        Raises:
            Forbidden, InvalidInput: as `add_device`.
            NotFound: no such box.
            Conflict: there is a newer one than `after`.
        """
        scope.require_role("admin")
        _check_life(life)
        if overlap < timedelta(0):
            raise InvalidInput("an overlap can't be negative", field="overlap", remedy="use 0 or more days")
        now = self._clock()
        issued = authority.issue_client(name, now, life)

        def note(conn: Connection) -> Provisioned:
            store_id = repository.lock_live_device(conn, scope, name)
            taken_back = store_id is None
            if store_id is None:
                store_id = repository.take_back(conn, scope, name)
            if store_id is None:
                raise _no_device(name)
            if after is not None and after != newest_of(repository.live_certificates(conn, scope, [name])):
                raise Conflict(f"{name!r} was given another certificate meanwhile", remedy="look at it, decide again")
            if taken_back:
                repository.end_all(conn, scope, name, "revoked", now)
                audit.record(conn, now, scope.actor, "device.reinstate", subject=name, store_id=store_id)
            if overlap:
                until = now + overlap if repository.overlap(conn, scope, name, now + overlap) else None
            else:
                repository.end_all(conn, scope, name, "superseded", now)
                until = None
            made = Provisioned(name, store_id, issued.fingerprint, issued.not_after, until, taken_back)
            return self._note(conn, scope, "device.rotate", made)

        return self._issue(note, issued, name, now, authority, endpoint, hand_over)

    def move(self, scope: Scope, name: str, store_id: str) -> str:
        """Put a live box into another store, from its next start on.

        An epoch stays with the store it was first heard in. One the server never heard of is taken for the new store's,
        and its records become dead letters, for their lines are the old one's: so let a box send everything first.

        Returns:
            the store it stood in.

        Raises:
            Forbidden: unless an admin asks.
            NotFound: no such live box, or store.
            Conflict: it stands there already.
        """
        scope.require_role("admin")
        scope.require(store_id)
        now = self._clock()
        with self._db.transaction() as conn:
            before = repository.lock_live_device(conn, scope, name)
            if before is None:
                raise _no_device(name, "live ")
            if stores.store(conn, scope, store_id) is None:
                raise _no_store(store_id)
            if not repository.move_device(conn, scope, name, store_id):
                raise Conflict(f"{name!r} stands in {store_id!r} already", field="store_id")
            detail: dict[str, object] = {"from": before}
            audit.record(conn, now, scope.actor, "device.move", subject=name, store_id=store_id, detail=detail)
        return before

    def revoke(self, scope: Scope, name: str) -> Revoked:
        """End a box and all its certificates: ingest refuses it from now on, the broker once it has the new list.

        To end it again changes nothing.

        Raises:
            Forbidden: unless an admin asks.
            NotFound: no such box.
        """
        scope.require_role("admin")
        now = self._clock()
        with self._db.transaction() as conn:
            store_id = stores.revoke_device(conn, scope, name, now)
            if store_id is None and not repository.is_ended(conn, scope, name):
                raise _no_device(name)
            ended = repository.end_all(conn, scope, name, "revoked", now)
            if store_id is not None:
                audit.record(conn, now, scope.actor, "device.revoke", subject=name, store_id=store_id)
        return Revoked(store_id is not None, len(ended))

    def settle(self, scope: Scope) -> list[DeviceCertificate]:
        """End what was superseded long enough or whose successor was seen, and what ended boxes had; returns it."""
        scope.require_role("admin")
        now = self._clock()
        with self._db.transaction() as conn:
            ended = repository.end_due(conn, scope, now)
            for each in ended:
                detail: dict[str, object] = {"fingerprint": each.fingerprint}
                audit.record(conn, now, scope.actor, "device.supersede", subject=each.device_id, detail=detail)
        return ended

    def ended(self, scope: Scope, authority: Authority) -> list[Ended]:
        """What the authority's revocation list must name."""
        scope.require_role("admin")
        scope.require_whole_chain()
        with self._db.read() as conn:
            return repository.ended(conn, authority.key_id, self._clock())

    def devices(self, scope: Scope, store_id: str | None = None) -> list[EnrolledDevice]:
        """Boxes with the certificates that are taken of them, of one store or of all."""
        if store_id is not None:
            scope.require(store_id)
        with self._db.read() as conn:
            rows = repository.devices(conn, scope, store_id)
            live = repository.live_certificates(conn, scope, [row.device_id for row in rows])
        certificates: dict[str, list[DeviceCertificate]] = {}
        for each in live:
            certificates.setdefault(each.device_id, []).append(each)
        return [
            EnrolledDevice(
                row.device_id,
                row.store_id,
                row.revoked_at,
                row.online,
                row.status_at,
                row.has_password,
                row.twin_at,
                tuple(certificates.get(row.device_id, ())),
                row.skew_ms if abs(row.skew_ms or 0) > CLOCK_OFF_MS else None,
                row.version,
                row.pending,
                row.lost,
                row.problem,
                tuple(row.cameras),
            )
            for row in rows
        ]

    def takes(self, name: str, fingerprint: str) -> bool:
        """Whether a certificate is one that this live box was given and that was not ended.

        Raises:
            Unavailable: the database is away.
        """
        with self._db.read() as conn:
            return repository.is_taken(conn, name, fingerprint)

    def _issue(
        self,
        note: Callable[[Connection], Provisioned],
        issued: Issued,
        name: str,
        now: datetime,
        authority: Authority,
        endpoint: Endpoint,
        hand_over: HandOver,
    ) -> Provisioned:
        take_back: Callable[[], None] | None = None
        try:
            with self._db.transaction() as conn:
                made = note(conn)
                repository.insert_certificate(conn, name, authority.key_id, issued, now)
                take_back = hand_over(
                    encode(
                        Enrolment(
                            device=name,
                            store=made.store_id,
                            host=endpoint.host,
                            port=endpoint.port,
                            issued_at=now,
                            not_after=issued.not_after,
                            authority=authority.certificate.decode(),
                            certificate=issued.certificate.decode(),
                            key=issued.key.decode(),
                        )
                    )
                )
        except BaseException:
            if take_back is not None:
                take_back()
            raise
        return made

    def _note(self, conn: Connection, scope: Scope, action: str, made: Provisioned) -> Provisioned:
        detail: dict[str, object] = {"fingerprint": made.fingerprint, "not_after": made.not_after.isoformat()}
        audit.record(
            conn, self._clock(), scope.actor, action, subject=made.device_id, store_id=made.store_id, detail=detail
        )
        return made


def _no_device(name: str, kind: str = "") -> NotFound:
    return NotFound(f"there is no {kind}device {name!r}", field="name", remedy="see: doorline device list")


def _no_store(store_id: str) -> NotFound:
    return NotFound(
        f"there is no store {store_id!r}",
        field="store_id",
        remedy=f"check the id, or add it: doorline store add {store_id} --name NAME",
    )


def _check_life(life: timedelta) -> None:
    if not timedelta(days=1) <= life <= LONGEST_LIFE:
        raise InvalidInput(
            f"a certificate can't be good for {life.days} days",
            field="days",
            remedy=f"use 1 to {LONGEST_LIFE.days} days",
        )
