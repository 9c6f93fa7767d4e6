"""What desks, tills and HQ ask of points: a balance, its history, a redemption, taking one back, the rules.

Each thing asked for has an idempotency key: the same key with the same content has the same answer, however often a
desk whose network broke asks again; with other content it is a conflict. The key is looked for after the account is
held, or two askings sent at once would both find it unused.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Final, Protocol
from uuid import UUID

from server import events
from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, InvalidInput, NotFound
from server.events import NewEvent
from server.membership import rulebook
from server.membership.models import MemberRef
from server.membership.points import receipt_repository, repository
from server.membership.points.bookings import Booking, Why
from server.membership.points.models import (
    Entry,
    Expiring,
    KeyTaken,
    Money,
    PointsBalance,
    Redemption,
    SavedRules,
)
from server.membership.points.purse import Purse
from server.membership.points.rules import Rules, in_force, read, written
from server.membership.rulebook_repository import RulesRow
from server.storage.pool import Connection, Database

READERS: Final[tuple[Role, ...]] = ("desk", "manager", "region", "hq", "admin")
SPENDERS: Final[tuple[Role, ...]] = ("desk", "till", "manager", "hq", "admin")
RULERS: Final[tuple[Role, ...]] = ("hq", "admin")
_MOST_EXPIRING: Final = 12
#: The most that one redemption or adjustment may move.
MOST_POINTS: Final = 10**9


class Members(Protocol):
    """What knows whom a card, a phone number or an id means."""

    def resolve(self, conn: Connection, refs: Sequence[tuple[MemberRef, str]]) -> dict[MemberRef, UUID]:
        """Members by reference, each with the country its phone number is of; the unknown ones are left out."""


class PointsService:
    """Points of members."""

    def __init__(self, db: Database, members: Members, clock: Clock = utc_now) -> None:
        self._db = db
        self._members = members
        self._clock = clock

    # -- looking

    def balance(self, scope: Scope, member_id: UUID) -> PointsBalance:
        """What a member of one's own stores has now.

        Raises:
            NotFound: there is no such member in the caller's stores.
        """
        scope.require_role(*READERS)
        with self._db.read() as conn:
            return _balance(repository.account(conn, seen(conn, scope, member_id)), self._clock())

    def balance_at_till(self, scope: Scope, store_id: str, member: MemberRef) -> PointsBalance:
        """What a member of any store has, who shows a card or gives a whole phone number in one of the caller's stores.

        Raises:
            Forbidden: the store isn't the caller's.
            NotFound: nobody goes by that card or number.
        """
        scope.require_role(*SPENDERS)
        with self._db.read() as conn:
            member_id, _ = self._shown(conn, scope, store_id, member)
            return _balance(repository.account(conn, member_id), self._clock())

    def entries(self, scope: Scope, member_id: UUID, before: int | None = None, limit: int = 50) -> list[Entry]:
        """The ledger of a member of one's own stores, newest first.

        Args:
            before: only entries with lower numbers: the last one seen, to read on.
        """
        scope.require_role(*READERS)
        with self._db.read() as conn:
            return repository.entries(conn, scope, seen(conn, scope, member_id), before, limit)

    def redeemed(self, scope: Scope, member_id: UUID, since: datetime, limit: int = 20) -> list[Entry]:
        """A member's redemptions in the caller's stores since a moment that nobody took back, newest first."""
        scope.require_role(*READERS)
        with self._db.read() as conn:
            return repository.redeemed(conn, scope, member_id, since, limit)

    # -- spending

    def redeem(
        self,
        scope: Scope,
        store_id: str,
        member: MemberRef,
        points: int,
        key: str,
        receipt_no: str | None = None,
    ) -> Redemption:
        """Spend points of a member who shows a card, gives a whole number, or is of the caller's stores (by id).

        Args:
            points: more than none; at least the rules' `least`, and a multiple of their `step`.
            key: idempotency key, of the caller's making.
            receipt_no: what they were spent on, if the till knows.

        Raises:
            NotEnough: another desk was quicker, perhaps.
            KeyTaken: the key was used for something else.
            InvalidInput, NotFound, Forbidden: for the points, the member, the store.
        """
        scope.require_role(*SPENDERS)
        check_key(key)
        _check_points(points)
        now = self._clock()
        with self._db.transaction() as conn:
            member_id, currency = self._shown(conn, scope, store_id, member)
            # By what was shown, where that is no phone number: whom it means today may change when members are parted.
            content = digest("redeem", member.card or member.id or member_id, store_id, points, receipt_no)
            purse = repository.hold(conn, [member_id])[member_id]
            rules = rules_at(conn, now)
            known = answered(conn, key, content)
            if known is None:
                _check_step(points, rules)
                repository.load_lots(conn, [purse])
                purse.settle(now)
                why = Why("redeem", asked(key), now, scope.actor, content, store_id, receipt_no)
                known = self._book(conn, scope, purse, purse.spend(why, points), "points.redeemed")
            return Redemption(known, _worth(rules_at(conn, known.at), currency, -known.points))

    def void(self, scope: Scope, entry_id: int, key: str, reason: str) -> Entry:
        """Take a redemption back: the points return to the lots they came from.

        Args:
            reason: why, in words.

        Raises:
            NotFound: there is no such redemption in the caller's stores.
            Conflict: it was taken back already, under another key.
            KeyTaken: the key was used for something else.
        """
        scope.require_role(*SPENDERS)
        check_key(key)
        reason = check_reason(reason)
        now = self._clock()
        content = digest("void", entry_id, reason)
        with self._db.transaction() as conn:
            redemption = repository.entry(conn, entry_id)
            if redemption is None or redemption.kind != "redeem" or not scope.allows(redemption.store_id or ""):
                raise NotFound(
                    f"there is no redemption {entry_id} in your stores",
                    field="entry_id",
                    remedy="give the number that the redemption was answered with",
                )
            member_id = repository.root(conn, redemption.member_id)
            purse = repository.hold(conn, [member_id])[member_id]
            known = answered(conn, key, content)
            if known is not None:
                return known
            before = repository.void_of(conn, entry_id)
            if before is not None:
                raise Conflict(
                    f"redemption {entry_id} was taken back on {before.at:%Y-%m-%d %H:%M} UTC",
                    field="entry_id",
                    remedy="nothing more is to be done",
                    detail={"entry_id": str(before.entry_id)},
                )
            moved = repository.movements_of(conn, entry_id)
            repository.load_lots(conn, [purse], lot_ids=[each.lot_id for each in moved])
            purse.settle(now)
            why = Why(
                "void",
                asked(key),
                now,
                scope.actor,
                content,
                redemption.store_id,
                redemption.receipt_no,
                entry_id,
                reason,
            )
            booking = purse.give_back(why, moved, now, rules_at(conn, now).given_back_until(now))
            return self._book(conn, scope, purse, booking, "points.voided")

    # -- rules

    def rules(self, scope: Scope) -> tuple[SavedRules | None, Rules]:
        """The rules in force, and who saved them; None and rules by which nothing is earned where nobody did."""
        scope.require_role(*READERS)
        now = self._clock()
        with self._db.read() as conn:
            versions = receipt_repository.rules_versions(conn)
            version, rules = in_force(versions, now)
            row = next((row for row in receipt_repository.rules_rows(conn) if row.version == version), None)
        return (None if row is None else _saved(row)), rules

    def rules_history(self, scope: Scope) -> list[tuple[SavedRules, Rules]]:
        """All versions, newest first, those to come too."""
        scope.require_role(*RULERS)
        with self._db.read() as conn:
            return [(_saved(row), read(row.body)) for row in receipt_repository.rules_rows(conn)]

    def save_rules(self, scope: Scope, rules: Rules, reason: str, valid_from: datetime | None = None) -> SavedRules:
        """Keep a new version; receipts from `valid_from` on earn by it, earlier ones as before.

        Args:
            valid_from: aware; now if left out, and never in the past: what was earned stays earned.

        Raises:
            Forbidden: unless HQ or an admin asks, for the whole chain.
            InvalidInput: for a rule that can't be, or a time in the past.
            Conflict: somebody else saved one at this moment.
        """
        scope.require_role(*RULERS)
        scope.require_whole_chain()
        reason = check_reason(reason)
        row = rulebook.save(self._db, scope, "points_rules", written(rules), reason, self._clock(), valid_from)
        return _saved(row)

    # -- inside

    def _shown(self, conn: Connection, scope: Scope, store_id: str, member: MemberRef) -> tuple[UUID, str]:
        """Who is at the desk, and the store's currency. By id alone a member must be of the caller's own stores."""
        scope.require(store_id)
        store = repository.store_of(conn, scope, store_id)
        if store is None:
            raise NotFound(f"there is no store {store_id!r}", field="store_id", remedy="check the id")
        currency, country = store
        found = self._members.resolve(conn, [(member, country)]).get(member)
        if found is None:
            raise NotFound(
                "no member goes by this card, number or id", field="member", remedy="read the card again, or enrol"
            )
        if member.card is None and member.phone is None:
            return seen(conn, scope, found), currency
        return repository.root(conn, found), currency

    def _book(self, conn: Connection, scope: Scope, purse: Purse, booking: Booking, kind: str) -> Entry:
        repository.write(conn, [purse])
        audit.record(
            conn,
            booking.at,
            scope.actor,
            kind,
            subject=str(purse.member_id),
            store_id=booking.store_id,
            detail={"entry_id": booking.entry_id, "points": booking.points},
        )
        tell(conn, booking, kind)
        return written_entry(conn, booking)


def tell(conn: Connection, booking: Booking, kind: str) -> None:
    """Record the event of a booking that somebody asked for."""
    body = {"entry_id": booking.entry_id, "points": booking.points, "balance": booking.balance}
    events.record(conn, NewEvent(kind, booking.store_id, str(booking.member_id), body))


def written_entry(conn: Connection, booking: Booking) -> Entry:
    """A booking as it now stands in the ledger."""
    entry = repository.entry(conn, booking.entry_id)
    assert entry is not None, "written above in the same transaction"  # noqa: S101
    return entry


def seen(conn: Connection, scope: Scope, member_id: UUID) -> UUID:
    """Whom an id means today, if it is a member the scope may know of.

    Raises:
        NotFound: otherwise; it isn't said whether there is one elsewhere.
    """
    found = repository.visible(conn, scope, member_id)
    if found is None:
        raise NotFound(
            f"there is no member {member_id} in your stores",
            field="member_id",
            remedy="search by the whole phone number or the card",
        )
    return found


def answered(conn: Connection, key: str, content: bytes) -> Entry | None:
    """What was answered under a key before.

    Raises:
        KeyTaken: to something else.
    """
    known = repository.known_key(conn, asked(key))
    if known is None:
        return None
    entry, was = known
    if was != content:
        raise KeyTaken(key)
    return entry


def rules_at(conn: Connection, at: datetime) -> Rules:
    """The rules in force at a moment."""
    return in_force(receipt_repository.rules_versions(conn), at)[1]


def asked(key: str) -> str:
    """A caller's key as it stands in the ledger, apart from those that we make."""
    return f"ask:{key}"


def digest(*content: object) -> bytes:
    """What was asked for, in short: the same for the same."""
    return sha256("\x1f".join("" if each is None else str(each) for each in content).encode()).digest()


def check_key(key: str) -> None:
    """Refuse a key that is likely to be somebody else's, too.

    Raises:
        InvalidInput: unless it has 8 to 100 printable characters.
    """
    if not 8 <= len(key) <= 100 or not key.isprintable():
        raise InvalidInput(
            "the idempotency key has to have 8 to 100 printable characters",
            field="key",
            remedy="make a random one, such as a UUID, for each thing you ask for, and keep it for asking again",
        )


def check_reason(reason: str) -> str:
    """The reason without blanks around it.

    Raises:
        InvalidInput: there is none, or it is endless.
    """
    reason = reason.strip()
    if not 1 <= len(reason) <= 500:
        raise InvalidInput("a reason is needed, in 500 characters at the most", field="reason", remedy="say why")
    return reason


def _check_points(points: int) -> None:
    if not 1 <= points <= MOST_POINTS:
        raise InvalidInput(f"{points} points can't be spent", field="points", remedy="give a number above 0")


def _check_step(points: int, rules: Rules) -> None:
    if points < rules.least or points % rules.step:
        raise InvalidInput(
            f"{points} points can't be spent: at least {rules.least}, in steps of {rules.step}",
            field="points",
            remedy=f"spend {max(rules.least, points - points % rules.step)}",
        )


def _balance(purse: Purse, now: datetime) -> PointsBalance:
    purse.settle(now)
    dates: dict[datetime, int] = {}
    for lot in purse.lots:
        if lot.remaining and not lot.is_pending and lot.expires_at is not None:
            dates[lot.expires_at] = dates.get(lot.expires_at, 0) + lot.remaining
    expiring = [Expiring(at, dates[at]) for at in sorted(dates)[:_MOST_EXPIRING]]
    return PointsBalance(purse.member_id, purse.balance, purse.pending, expiring)


def _worth(rules: Rules, currency: str, points: int) -> Money | None:
    value = rules.value.get(currency)
    return None if value is None else Money(currency, (value * points).quantize(Decimal("0.01")))


def _saved(row: RulesRow) -> SavedRules:
    return SavedRules(row.version, row.valid_from, row.made_by, row.made_at, row.reason)
