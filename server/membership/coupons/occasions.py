"""Coupons that are issued by rule: when something happens, and by night when a day comes round or a member stays away.

Everything here may run twice: what a coupon is issued for is its key, so a second run finds it issued. A definition
that asks consent is issued to those only who agreed to marketing; of all others the event that tells of a coupon says
by which ways its holder may be reached, and a chain that sends anything goes by that.
"""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from threading import Event as Flag
from typing import Final
from uuid import UUID

import structlog

from server import events
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.events.models import Event
from server.membership import consent_repository
from server.membership.coupons import occasion_repository, refunds, repository
from server.membership.coupons.issuing import WAYS, issue
from server.membership.coupons.models import Definition, UsedUp
from server.membership.crypto import MemberKeys, WrongKey
from server.settings import Settings
from server.storage.pool import Connection, Database

_log = structlog.get_logger(__name__)

#: When a night's coupons are issued (UTC): before the day begins in most of the chain's stores.
NIGHTLY_AT: Final = time(18, 15)
CONSUMER: Final = "coupons"
_RECEIPT: Final = "receipt.recorded"
KINDS: Final = (_RECEIPT, "member.enrolled", "tier.changed")
#: Changes of tier that a coupon for reaching one is for, where they go up.
_REACHED: Final = frozenset({"earned", "given", "merged"})
_BATCH: Final = 200
_NIGHTLY: Final = 2_000
#: A birthday that a night was missed for is made up for so many days later.
_LATE_DAYS: Final = 3
_SCOPE: Final = Scope.system("coupons")


def post(db: Database, clock: Clock = utc_now) -> int:
    """Act on what happened since the last call: welcome, tiers reached, sales given back; how many events."""
    taken = 0
    while True:
        with db.transaction() as conn:
            found = events.take(conn, CONSUMER, KINDS, _BATCH)
            # Of a thousand receipts a few had a coupon; the others need no look each.
            sales = {_sale(event) for event in found if event.kind == _RECEIPT}
            with_coupons = occasion_repository.with_coupons(conn, _SCOPE, sales) if sales else set()
            for event in found:
                if event.kind != _RECEIPT:
                    _act(conn, event, clock())
                elif _sale(event) in with_coupons:
                    refunds.settle(conn, *_sale(event), clock())
        taken += len(found)
        if len(found) < _BATCH:
            return taken


def _sale(event: Event) -> tuple[str, str]:
    """The sale that a receipt is, or is about: its store and number."""
    body = event.body
    return event.store_id or "", str(body.get("refers_to") or body.get("voids") or body["receipt_no"])


def _act(conn: Connection, event: Event, now: datetime) -> None:
    member = UUID(event.subject)
    if event.kind == "member.enrolled":
        for definition in repository.issued_on(conn, "welcome"):
            _issue(conn, definition, [(member, f"welcome:{member}")], now)
        return
    # Who falls to a tier, or has it again after a merge was undone, didn't reach it.
    tier, why = event.body.get("to"), event.body.get("why")
    if why not in _REACHED or not event.body.get("is_up", True):
        return
    for definition in repository.issued_on(conn, "tier_up"):
        if tier in (definition.tiers or ()):
            _issue(conn, definition, [(member, f"tier_up:{tier}:{member}")], now)


class CouponPosting:
    """`post`, as a job."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def run(self, _stop: Flag) -> str | None:
        """Act on what happened since the last run; what was done."""
        taken = post(self._db, self._clock)
        return f"{taken} events" if taken else None


class CouponNights:
    """What is done once a night.

    Args:
        keys: to read birthdays with; None: none are read.
    """

    def __init__(self, db: Database, keys: MemberKeys | None, clock: Clock = utc_now) -> None:
        self._db = db
        self._keys = keys
        self._clock = clock

    @classmethod
    def of(cls, settings: Settings, db: Database) -> "CouponNights":
        """With the keys of the settings, where there are any."""
        secret = settings.secret_key.get_secret_value()
        old = settings.old_secret_keys.get_secret_value()
        return cls(db, MemberKeys.from_base64(secret, old) if secret else None)

    def run(self, stop: Flag) -> str | None:
        """End coupons whose time is over, then issue for birthdays and to who stayed away; what was done."""
        expired, issued = self._expire(stop), 0
        with self._db.read() as conn:
            birthdays = repository.issued_on(conn, "birthday")
            away = repository.issued_on(conn, "win_back")
        if birthdays and self._keys is None:
            _log.warning("no coupons for birthdays: without DOORLINE_SECRET_KEY they can't be read")
        elif birthdays and self._keys is not None:
            issued += self._birthdays(birthdays, self._keys, stop)
        for definition in away:
            issued += self._win_back(definition, stop)
        return f"{issued} coupons issued, {expired} expired" if issued or expired else None

    def _expire(self, stop: Flag) -> int:
        done, last = 0, _NIGHTLY
        while last == _NIGHTLY and not stop.is_set():
            with self._db.transaction() as conn:
                last = repository.expire(conn, _SCOPE, self._clock(), _NIGHTLY)
            done += last
        return done

    def _birthdays(self, definitions: Sequence[Definition], keys: MemberKeys, stop: Flag) -> int:
        issued, after, found = 0, None, _NIGHTLY
        while found == _NIGHTLY and not stop.is_set():
            now = self._clock()
            with self._db.transaction() as conn:
                rows = occasion_repository.born(conn, _SCOPE, after, now, _NIGHTLY)
                days: dict[UUID, tuple[date, date]] = {}
                for row in rows:
                    try:
                        text = keys.decrypt(row.member_id, "birthday", row.birthday_enc, row.key_id)
                    except WrongKey:
                        continue  # the log says so; others have birthdays, too
                    days[row.member_id] = (date.fromisoformat(text), row.today)
                for definition in definitions:
                    due = [
                        (member, f"birthday:{year}:{member}")
                        for member, (birthday, today) in days.items()
                        if (year := due_year(birthday, today, definition.days or 0)) is not None
                    ]
                    issued += _issue(conn, definition, due, now)
            found, after = len(rows), rows[-1].member_id if rows else None
        return issued

    def _win_back(self, definition: Definition, stop: Flag) -> int:
        issued, after = 0, None
        while not stop.is_set():
            now = self._clock()
            before = now - timedelta(days=definition.days or 0)
            with self._db.transaction() as conn:
                rows, after = occasion_repository.missed(
                    conn, _SCOPE, definition.definition_id, before, after, _NIGHTLY
                )
                due = [(row.member_id, f"win_back:{row.last_seen.isoformat()}:{row.member_id}") for row in rows]
                issued += _issue(conn, definition, due, now)
            if after is None:
                break
        return issued


def due_year(birthday: date, today: date, days_before: int) -> int | None:
    """The year of the birthday whose coupon is due today: from so many days before it to a few after; None: not now.

    Who was born on 29 February has a birthday on the 28th in other years.
    """
    for year in (today.year - 1, today.year, today.year + 1):
        try:
            day = birthday.replace(year=year)
        except ValueError:
            day = date(year, 2, 28)
        if -_LATE_DAYS <= (day - today).days <= days_before:
            return year
    return None


def _issue(conn: Connection, definition: Definition, due: Sequence[tuple[UUID, str]], now: datetime) -> int:
    """A coupon of a definition to each who may have one; how many are new. Those who had theirs don't lose it."""
    people = occasion_repository.roots(conn, _SCOPE, [member for member, _ in due]) if due else {}
    allowed = set(people.values())
    if definition.asks_consent and allowed:
        asked = sorted(allowed)
        allowed = {who for who, _ in consent_repository.reachable(conn, _SCOPE, asked, "marketing", WAYS)}
    issued = 0
    for member, key in due:
        person = people.get(member)
        if person is None or person not in allowed:
            continue
        try:
            _, is_new = issue(conn, _SCOPE, definition.definition_id, person, key, now)
        except UsedUp as error:
            _log.info("no coupon", definition=definition.definition_id, reason=error.message)
            continue
        issued += is_new
    return issued
