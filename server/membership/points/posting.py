"""What receipts and members' events do to points, exactly once and in any order.

A refund may come before its sale, a void before either, and whose a receipt is may be said days later. So nothing is
booked from an event itself. An event makes us remember a receipt; then what stands of the sale it is about is worked
out anew from all that is remembered of it, and what the ledger lacks of that is booked. Whatever the order, the end
is the same, and an event that comes twice finds nothing lacking.

The cursor, what is remembered and what is booked are one transaction.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from threading import Event as Flag
from typing import Final
from uuid import UUID

from server import events
from server.clock import Clock, utc_now
from server.events import Event, NewEvent
from server.membership.points import earning, receipt_repository, repository
from server.membership.points.bookings import Lot, Why
from server.membership.points.earning import Bought, Line, Standing
from server.membership.points.models import EntryKind
from server.membership.points.purse import Purse
from server.membership.points.receipt_repository import Kept, Key, Told
from server.membership.points.rules import NO_RULES, Rules, in_force
from server.storage.pool import Connection, Database

CONSUMER: Final = "points"
RECEIPTS: Final = ("receipt.recorded", "receipt.member_attached")
MEMBERS: Final = ("member.merged", "member.unmerged", "member.erased")
#: Who stands in the ledger for what follows from receipts.
ACTOR: Final = "receipts"

#: Tier and multiplier of members, each at a moment; what knows tiers gives it.
Standings = Callable[[Connection, Sequence[tuple[UUID, datetime]]], Sequence[Standing]]


def no_tiers(_conn: Connection, wanted: Sequence[tuple[UUID, datetime]]) -> Sequence[Standing]:
    """Everybody earns alike."""
    return [Standing()] * len(wanted)


def post(db: Database, standings: Standings = no_tiers, clock: Clock = utc_now, limit: int = 500) -> int:
    """Take the next events and book what follows from them; how many there were.

    Raises:
        Unavailable: the database is away; nothing was taken.
    """
    with db.transaction() as conn:
        taken = events.take(conn, CONSUMER, [*RECEIPTS, *MEMBERS], limit)
        for is_receipt, some in groupby(taken, lambda event: event.kind in RECEIPTS):
            if is_receipt:
                _Receipts(conn, standings, clock()).post([_told(event) for event in some])
            else:
                for event in some:
                    _follow(conn, event, clock())
    return len(taken)


def _told(event: Event) -> Told:
    body = event.body
    store_id, _, number = event.subject.partition("/")
    return Told(
        store_id=event.store_id or store_id,
        receipt_no=number,
        kind=body["kind"],
        channel=body["channel"],
        at=datetime.fromisoformat(body["at"]),
        currency=body["currency"],
        gross=Decimal(body["gross"]),
        net=None if body.get("net") is None else Decimal(body["net"]),
        refers_to=body.get("refers_to"),
        member_id=UUID(body["member_id"]) if body.get("member_id") else None,
        lines=tuple(
            Line(line["sku"], line.get("group") or "", Decimal(line["amount"])) for line in body.get("lines", ())
        ),
    )


@dataclass(slots=True)
class _Change:
    """What the ledger lacks of a receipt."""

    receipt: Kept
    rules: Rules
    earned: int
    standing: int


@dataclass(slots=True)
class _Receipts:
    """One batch of receipts on their way into the ledger."""

    conn: Connection
    standings: Standings
    now: datetime
    known: dict[Key, Kept] = field(default_factory=dict)
    refunds: dict[Key, list[Kept]] = field(default_factory=lambda: defaultdict(list))

    def post(self, told: Sequence[Told]) -> None:
        """Remember them, and book what is lacking of whatever they are about."""
        told = [each for each in told if _matters(each)]
        if not told:
            return
        receipt_repository.remember(self.conn, told)
        heads = self._heads(told)
        changes = self._changes(heads)
        self._book(changes)
        receipt_repository.update(self.conn, list(self.known.values()))
        _tell(self.conn, {each.holder for each in heads if each.holder is not None})

    def _heads(self, told: Sequence[Told]) -> list[Kept]:
        """Sales the receipts are about, and refunds that are about none; with all that is known of each."""
        keys = {(each.store_id, each.receipt_no) for each in told}
        keys |= {(each.store_id, each.refers_to) for each in told if each.refers_to is not None}
        found = receipt_repository.by_keys(self.conn, list(keys))
        # A void may be of a refund, and that of a sale that is not among these yet.
        further = {(each.store_id, each.refers_to) for each in found.values() if each.refers_to is not None}
        found |= receipt_repository.by_keys(self.conn, [key for key in further if key not in found])
        about = receipt_repository.about(self.conn, list(found))
        about |= receipt_repository.about(self.conn, [key for key in about if key not in found])
        self.known = found | about
        voided = {(each.store_id, each.refers_to) for each in self.known.values() if each.kind == "void"}
        for each in self.known.values():
            each.is_voided = each.key in voided
            if each.kind == "refund" and each.refers_to is not None and not each.is_voided:
                self.refunds[each.store_id, each.refers_to].append(each)
        return [
            each
            for each in self.known.values()
            if each.kind == "sale" or (each.kind == "refund" and each.refers_to is None)
        ]

    def _changes(self, heads: Iterable[Kept]) -> list[_Change]:
        held = sorted((each for each in heads if each.holder is not None), key=lambda each: (each.at, each.key))
        versions = receipt_repository.rules_versions(self.conn)
        by_version = {version: rules for _, version, rules in versions}
        first = [each for each in held if each.multiplier is None]
        wanted = [(each.holder, each.at) for each in first if each.holder is not None]
        for each, standing in zip(first, self.standings(self.conn, wanted), strict=True):
            each.tier, each.multiplier = standing.tier, standing.multiplier
            each.rules_version, _ = in_force(versions, each.at)
        changes = []
        for each in held:
            by = by_version.get(each.rules_version or 0, NO_RULES)
            each.kept = self._money(each)
            change = _Change(each, by, *self._points(each, by))
            if change.standing != each.standing or (change.earned and not each.earned):
                changes.append(change)
        return changes

    def _money(self, head: Kept) -> Decimal:
        if head.is_voided:
            return Decimal(0)
        if head.kind == "refund":
            return -head.gross
        return earning.kept(_bought(head), map(_bought, self.refunds[head.key]))

    def _points(self, head: Kept, rules: Rules) -> tuple[int, int]:
        """Points that it earned, and those that stand."""
        standing = Standing(head.tier or "", head.multiplier or Decimal(1))
        if head.kind == "refund":
            return 0, 0 if head.is_voided else -earning.lost_unlinked(_bought(head), rules, standing)
        if head.is_voided:
            return head.earned, 0
        earned = earning.earned(_bought(head), rules, standing)
        refunds = [_bought(each) for each in self.refunds[head.key]]
        return earned, earning.left(_bought(head), refunds, rules, standing) if refunds else earned

    def _book(self, changes: Sequence[_Change]) -> None:
        holders = {each.receipt.holder for each in changes if each.receipt.holder is not None}
        if not holders:
            return
        purses = repository.hold(self.conn, holders, many=min(1000, 2 * len(changes)))
        # Whoever only earns, and owes nothing, needs none of the lots there are.
        returning = [each for each in changes if each.standing < max(each.receipt.standing, each.earned)]
        needy = {each.receipt.holder for each in returning} | {key for key, purse in purses.items() if purse.owed}
        loaded = [purse for key, purse in purses.items() if key in needy]
        repository.load_lots(
            self.conn, loaded, roots=[each.receipt.lot_id for each in returning if each.receipt.lot_id is not None]
        )
        for purse in loaded:
            purse.settle(self.now)
        for change in changes:
            if change.receipt.holder is not None:
                self._book_one(purses[change.receipt.holder], change)
        repository.write(self.conn, purses.values())

    def _book_one(self, purse: Purse, change: _Change) -> None:
        receipt = change.receipt
        if change.earned and not receipt.earned:
            lot = self._lot(purse, change, None)
            purse.add(self._why("earn", receipt), change.earned, lot)
            receipt.lot_id, receipt.earned, receipt.standing = lot.lot_id, change.earned, change.earned
        lacking = change.standing - receipt.standing
        if lacking < 0:
            roots = [] if receipt.lot_id is None else [receipt.lot_id]
            purse.take_back(self._why("reverse", receipt), -lacking, roots)
        elif lacking > 0:
            # A refund was voided: what it took comes back, to expire when it would have.
            purse.add(self._why("restore", receipt), lacking, self._lot(purse, change, receipt.lot_id))
        receipt.standing = change.standing

    def _lot(self, purse: Purse, change: _Change, root: int | None) -> Lot:
        receipt, rules = change.receipt, change.rules
        return purse.new_lot(
            receipt.at,
            rules.available_at(receipt.at),
            rules.expires_at(receipt.at),
            now=self.now,
            root=root,
            earned_by=receipt.member_id,
            store_id=receipt.store_id,
            receipt_no=receipt.receipt_no,
        )

    def _why(self, kind: EntryKind, receipt: Kept) -> Why:
        receipt.bookings += 1
        key = f"receipt:{receipt.store_id}/{receipt.receipt_no}:{receipt.bookings}"
        return Why(kind, key, self.now, ACTOR, store_id=receipt.store_id, receipt_no=receipt.receipt_no)


def _matters(told: Told) -> bool:
    """Nobody's sale earns nothing; its refunds and voids are remembered, since it may become somebody's."""
    return told.member_id is not None or told.refers_to is not None


def _bought(kept: Kept) -> Bought:
    return Bought(kept.store_id, kept.channel, kept.at, kept.currency, kept.gross, kept.net, kept.lines)


def _tell(conn: Connection, members: Collection[UUID]) -> None:
    """Say whose purchases changed: one event for all of a batch, which is what tiers follow."""
    if members:
        body = {"members": [str(member) for member in sorted(members)]}
        events.record(conn, NewEvent("points.posted", None, "batch", body))


# -- members


def _follow(conn: Connection, event: Event, now: datetime) -> None:
    if event.kind == "member.erased":
        _forfeit(conn, UUID(event.subject), event, now)
    else:
        _move(conn, event, now)


def _move(conn: Connection, event: Event, now: datetime) -> None:
    """Put everything where it belongs as members stand now: a lot is with whoever its first member is today.

    So a merge moves lots on and a parting moves back what is left of them (what was spent stays spent), and when merges
    were done and undone again before we came to them, the end is the same.
    """
    kept, gone = UUID(event.body["kept"]), UUID(event.body["gone"])
    concerned = {kept, gone, *repository.roots(conn, [kept, gone]).values()}
    concerned |= set(repository.owners(conn, concerned))
    roots = repository.roots(conn, concerned)
    purses = repository.hold(conn, concerned)
    repository.load_lots(conn, list(purses.values()))
    for purse in purses.values():
        purse.settle(now)
    for member_id in sorted(concerned):
        source = purses[member_id]
        lots: dict[UUID, list[Lot]] = defaultdict(list)
        for lot in source.lots:
            target = roots.get(lot.earned_by, member_id)
            if lot.remaining and target != member_id:
                lots[target].append(lot)
        owed = dict.fromkeys([roots[member_id]], source.owed) if roots[member_id] != member_id else {}
        if event.kind == "member.unmerged" and member_id == roots[kept] != roots[gone] == gone:
            owed[gone] = min(source.owed, max(0, receipt_repository.owed_moved(conn, gone)))
        for target in sorted({*lots, *owed}):
            if lots[target] or owed.get(target):
                key = f"event:{event.event_id}:{member_id}:{target}"
                source.hand_over(
                    purses[target],
                    lots[target],
                    owed.get(target, 0),
                    Why("merge", f"{key}:from", now, ACTOR),
                    Why("merge", f"{key}:to", now, ACTOR),
                )
    receipt_repository.move(conn, concerned)
    repository.write(conn, purses.values())
    _tell(conn, concerned)


def _forfeit(conn: Connection, member_id: UUID, event: Event, now: datetime) -> None:
    """What an erased member had is given up: nobody can ever spend it, and the chain doesn't owe it any more."""
    told = {UUID(each) for each in event.body.get("members", ())}
    for each in sorted({member_id, *told, *receipt_repository.family(conn, member_id)}):
        purse = repository.hold(conn, [each])[each]
        repository.load_lots(conn, [purse])
        purse.settle(now)
        if purse.balance or purse.pending:
            purse.empty(Why("forfeit", f"event:{event.event_id}:{each}", now, ACTOR))
        repository.write(conn, [purse])
        receipt_repository.release(conn, each)


class Posting:
    """Posts what receipts and members' events ask for, as often as the jobs come by.

    Args:
        standings: tier and multiplier of members at a moment.
    """

    def __init__(self, db: Database, standings: Standings = no_tiers, clock: Clock = utc_now) -> None:
        self._db = db
        self._standings = standings
        self._clock = clock

    def run(self, stop: Flag) -> str | None:
        """Post until nothing is left or told to stop; what was done, None if nothing."""
        posted = 0
        while not stop.is_set() and (some := post(self._db, self._standings, self._clock)):
            posted += some
        return f"{posted} events posted" if posted else None
