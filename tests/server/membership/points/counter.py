"""A till and its members, as points see them: events of receipts told straight to the outbox, and a few members."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from uuid import UUID, uuid4

from server import events
from server.events import NewEvent
from server.membership.models import MemberRef
from server.membership.points.bookings import OWED
from server.membership.points.posting import CONSUMER, Standings, no_tiers, post
from server.membership.points.reports import PointsReports
from server.membership.points.rules import Rules, written
from server.membership.points.service import PointsService
from server.membership.rulebook_repository import RulesRow, insert_rules
from server.storage.pool import Connection, Database
from tests.fixtures.wait import wait_until
from tests.server.conftest import SYSTEM, TurnedClock

_numbers = count(1)
#: SKU, group, amount.
Item = tuple[str, str, str]


def add_member(db: Database, store_id: str = "S01") -> UUID:
    """A member without a name: points don't need one."""
    member_id = uuid4()
    with db.transaction() as conn:
        conn.execute(
            """
            INSERT INTO member (member_id, card_no, home_store, key_id, enrolled_by, enrolled_at)
            VALUES (%s, %s, %s, 'k', 'tests', '2025-01-01Z')
            """,
            (member_id, f"C{next(_numbers):08d}", store_id),
        )
    return member_id


def card_of(db: Database, member_id: UUID) -> str:
    """A member's card number."""
    with db.read() as conn:
        row = conn.execute("SELECT card_no FROM member WHERE member_id = %s", (member_id,)).fetchone()
    assert row is not None
    return str(row[0])


class Till:
    """Tells of receipts, and has them posted."""

    def __init__(self, db: Database, clock: TurnedClock, standings: Standings = no_tiers) -> None:
        self.db = db
        self.clock = clock
        self.standings = standings

    def tell(
        self,
        number: str,
        member: UUID | None,
        gross: str,
        *,
        kind: str = "sale",
        refers_to: str | None = None,
        items: Sequence[Item] = (),
        at: datetime | None = None,
        store: str = "S01",
        event: str = "receipt.recorded",
        currency: str = "CNY",
        net: str | None = None,
    ) -> None:
        """Record the event of a receipt; nothing is posted yet."""
        body = {
            "receipt_no": number,
            "kind": kind,
            "channel": "till",
            "at": (at or self.clock.now).isoformat(),
            "currency": currency,
            "gross": gross,
            "net": net,
            "refers_to": refers_to,
            "member_id": None if member is None else str(member),
            "lines": [
                {"line_no": place, "sku": sku, "group": group, "quantity": "1", "amount": amount, "cost": None}
                for place, (sku, group, amount) in enumerate(items, start=1)
            ],
        }
        self._record(NewEvent(event, store, f"{store}/{number}", body))

    def happened(self, kind: str, **body: UUID) -> None:
        """Record an event of members."""
        subject = str(body.get("kept") or body["member"])
        self._record(NewEvent(kind, None, subject, {key: str(value) for key, value in body.items()}))

    def merge(self, kept: UUID, gone: UUID) -> None:
        """Merge two members as membership does, and tell."""
        with self.db.transaction() as conn:
            conn.execute("UPDATE member SET merged_into = %s WHERE member_id = %s", (kept, gone))
        self.happened("member.merged", kept=kept, gone=gone)

    def part(self, kept: UUID, gone: UUID) -> None:
        """Undo a merge."""
        with self.db.transaction() as conn:
            conn.execute("UPDATE member SET merged_into = NULL WHERE member_id = %s", (gone,))
        self.happened("member.unmerged", kept=kept, gone=gone)

    def post(self) -> None:
        """Post all there is.

        Events wait for every transaction of the server that was under way when they were told, the database's own
        housekeeping included: so nothing to take doesn't mean yet that nothing is left.
        """
        wait_until(self._is_posted, 60, "all events to be posted")

    def _is_posted(self) -> bool:
        while post(self.db, self.standings, self.clock):
            pass
        with self.db.read() as conn:
            return all(lag.oldest is None for lag in events.lags(conn) if lag.consumer == CONSUMER)

    def sell(self, number: str, member: UUID, gross: str, **more: object) -> None:
        """Tell of a sale and post it."""
        self.tell(number, member, gross, **more)  # type: ignore[arg-type]
        self.post()

    def refund(self, number: str, sale: str, gross: str, items: Sequence[Item] = ()) -> None:
        """Tell of a refund and post it."""
        self.tell(number, None, gross, kind="refund", refers_to=sale, items=items)
        self.post()

    def void(self, number: str, receipt: str) -> None:
        """Tell of a void and post it."""
        self.tell(number, None, "0", kind="void", refers_to=receipt)
        self.post()

    def _record(self, event: NewEvent) -> None:
        with self.db.transaction() as conn:
            events.record(conn, event)


class CardBook:
    """Whom a card or an id means, in the tables alone: what membership knows besides has tests of its own."""

    def resolve(self, conn: Connection, refs: Sequence[tuple[MemberRef, str]]) -> dict[MemberRef, UUID]:
        found: dict[MemberRef, UUID] = {}
        for ref, _ in refs:
            row = conn.execute(
                "SELECT member_id FROM member WHERE card_no = %s OR member_id::text = %s", (ref.card, ref.id)
            ).fetchone()
            if row is not None:
                found[ref] = row[0]
        return found


def add_stores(db: Database) -> None:
    """Two stores in yuan and one in euros."""
    with db.transaction() as conn:
        conn.execute(
            """
            INSERT INTO store (store_id, name, country, currency)
            VALUES ('S01', 'one', 'CN', 'CNY'), ('S02', 'two', 'CN', 'CNY'), ('B01', 'three', 'DE', 'EUR')
            """
        )


def points_of(db: Database, clock: TurnedClock) -> PointsService:
    """The service over a turned clock."""
    return PointsService(db, CardBook(), clock)


def rule(db: Database, clock: TurnedClock, rules: Rules) -> None:
    """Let rules hold from long ago: for tests, whose receipts are older than they."""
    with db.transaction() as conn:
        row = conn.execute("SELECT count(*) FROM points_rules").fetchone()
        number = 1 + (row[0] if row else 0)
        then = clock.now - timedelta(days=4000 - number)
        assert insert_rules(conn, "points_rules", RulesRow(number, then, written(rules), "tests", then, "tests"))


def assert_proved(db: Database) -> None:
    """Balances, ledger and lots agree, and nothing is where it can't be."""
    assert PointsReports(db).check(SYSTEM) == []
    with db.read() as conn:
        below = conn.execute(
            """
            SELECT a.member_id FROM points_account a WHERE balance < 0 AND NOT EXISTS (
                SELECT FROM points_movement m JOIN points_entry e USING (entry_id)
                WHERE e.kind IN ('reverse', 'merge') AND m.lot_id = %s AND e.member_id = a.member_id)
            """,
            (OWED,),
        ).fetchall()
    assert below == [], "a balance is below zero that no refund took there"


CNY = Rules(rates={"CNY": Decimal(1)}, value={"CNY": Decimal("0.01")})
