"""SQL of accounts, lots and the ledger: held, read and added to.

Whoever changes a member's points holds the account's row first, in the order of member ids, so that two desks take
turns and two batches can't wait for each other. Lots are read after that, in a statement of their own, which sees
what the other desk has just committed; in the same statement they would be those of before the wait.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row, scalar_row

from server.access.models import Scope
from server.membership.points.bookings import Booking, Lot, Movement
from server.membership.points.models import Entry, KeyTaken
from server.membership.points.purse import Purse
from server.storage.arrays import array
from server.storage.pool import Connection

_LOT: LiteralString = """
    SELECT lot_id, root_lot, member_id, earned_by, store_id, receipt_no, earned_at, available_at, expires_at, points,
           remaining, lapsed, is_pending
    FROM points_lot
"""
_ENTRY: LiteralString = """
    SELECT e.entry_id, e.member_id, e.kind, e.points, e.pending, e.balance, e.at, e.key, e.store_id, e.receipt_no,
           e.refers_to, e.actor, r.reason
    FROM points_entry e
    LEFT JOIN points_reason r USING (entry_id)
"""
#: Whether the member of the parameters is one that the scope may know of.
_SEEN: LiteralString = """
    EXISTS (
        SELECT FROM member seen
        WHERE seen.member_id = member_root(%(member_id)s) AND seen.erased_at IS NULL
          AND (%(scope)s::text[] IS NULL
               OR seen.home_store = ANY(%(scope)s)
               OR EXISTS (SELECT FROM receipt r
                          WHERE r.member_id IN (SELECT member_family(seen.member_id)) AND r.store_id = ANY(%(scope)s)))
    )
"""


class Numbers:
    """Numbers of lots or entries to be, fetched by the handful; asked for while an account is held, so they rise."""

    def __init__(self, conn: Connection, sequence: LiteralString, handful: int = 32) -> None:
        self._conn = conn
        self._sequence = sequence
        self._handful = handful
        self._ready: list[int] = []

    def __call__(self) -> int:
        """The next one."""
        if not self._ready:
            with self._conn.cursor(row_factory=scalar_row) as cursor:
                found = cursor.execute(
                    "SELECT nextval(%s::regclass) FROM generate_series(1, %s)", (self._sequence, self._handful)
                ).fetchall()
            self._ready = sorted(found, reverse=True)
        return self._ready.pop()


def hold(conn: Connection, member_ids: Iterable[UUID], *, many: int = 32) -> dict[UUID, Purse]:
    """Hold accounts until the transaction ends, opening those that are not there; without their lots.

    Args:
        many: how many entries are expected.
    """
    wanted = sorted(set(member_ids))
    conn.execute(
        """
        INSERT INTO points_account (member_id)
        SELECT member_id FROM unnest(%s::uuid[]) AS member_id ORDER BY member_id
        ON CONFLICT DO NOTHING
        """,
        (wanted,),
    )
    found = conn.execute(
        """
        SELECT member_id, balance, pending, owed
        FROM points_account
        WHERE member_id = ANY(%s)
        ORDER BY member_id
        FOR UPDATE
        """,
        (wanted,),
    ).fetchall()
    lots, entries = Numbers(conn, "points_lot_number", many), Numbers(conn, "points_entry_number", many)
    return {row[0]: Purse(row[0], row[1], row[2], row[3], [], lots, entries) for row in found}


def load_lots(
    conn: Connection, purses: Sequence[Purse], roots: Sequence[int] = (), lot_ids: Sequence[int] = ()
) -> None:
    """Put into held purses their lots that have something in them, those of some roots, and some by number.

    What is asked for by number or root may be another member's, from before a merge, and goes to every purse all the
    same; a purse never moves what another member has.
    """
    if not purses:
        return
    by_member = {purse.member_id: purse for purse in purses}
    with conn.cursor(row_factory=class_row(Lot)) as cursor:
        for lot in cursor.execute(
            _LOT + "WHERE member_id = ANY(%s) AND remaining > 0 ORDER BY lot_id", (list(by_member),)
        ).fetchall():
            by_member[lot.member_id].lots.append(lot)
        if not roots and not lot_ids:
            return
        more = cursor.execute(
            _LOT + "WHERE lot_id = ANY(%(ids)s) OR root_lot = ANY(%(roots)s) ORDER BY lot_id",
            {"ids": [*roots, *lot_ids], "roots": list(roots)},
        ).fetchall()
    for purse in purses:
        known = {lot.lot_id for lot in purse.lots}
        purse.lots += [lot for lot in more if lot.lot_id not in known]


def write(conn: Connection, purses: Iterable[Purse]) -> None:
    """Write down what happened to held purses.

    Raises:
        KeyTaken: a key was used before; the transaction has to be given up.
    """
    changed = [purse for purse in purses if purse.bookings]
    if not changed:
        return
    made = [lot for purse in changed for lot in purse.made]
    new = {lot.lot_id for lot in made}
    _insert_lots(conn, made)
    _update_lots(conn, [lot for purse in changed for lot in purse.touched.values() if lot.lot_id not in new])
    bookings = [booking for purse in changed for booking in purse.bookings]
    _insert_entries(conn, bookings)
    conn.execute(
        """
        UPDATE points_account AS a
        SET balance = n.balance, pending = n.pending, owed = n.owed, changed_at = n.at
        FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[])
             AS n (member_id, balance, pending, owed, at)
        WHERE a.member_id = n.member_id
        """,
        (
            array(each.member_id for each in changed),
            array(each.balance for each in changed),
            array(each.pending for each in changed),
            array(each.owed for each in changed),
            array(each.bookings[-1].at for each in changed),
        ),
    )


def _insert_lots(conn: Connection, lots: Sequence[Lot]) -> None:
    if not lots:
        return
    conn.execute(
        """
        INSERT INTO points_lot (lot_id, root_lot, member_id, earned_by, store_id, receipt_no, earned_at, available_at,
                                expires_at, points, remaining, lapsed, is_pending)
        SELECT *
        FROM unnest(%s::bigint[], %s::bigint[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::timestamptz[],
                    %s::timestamptz[], %s::timestamptz[], %s::bigint[], %s::bigint[], %s::bigint[], %s::boolean[])
        """,
        (
            array(lot.lot_id for lot in lots),
            array(lot.root_lot for lot in lots),
            array(lot.member_id for lot in lots),
            array(lot.earned_by for lot in lots),
            array(lot.store_id for lot in lots),
            array(lot.receipt_no for lot in lots),
            array(lot.earned_at for lot in lots),
            array(lot.available_at for lot in lots),
            array(lot.expires_at for lot in lots),
            array(lot.points for lot in lots),
            array(lot.remaining for lot in lots),
            array(lot.lapsed for lot in lots),
            array(lot.is_pending for lot in lots),
        ),
    )


def _update_lots(conn: Connection, lots: Sequence[Lot]) -> None:
    if not lots:
        return
    conn.execute(
        """
        UPDATE points_lot AS l
        SET remaining = n.remaining, lapsed = n.lapsed, is_pending = n.is_pending
        FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::boolean[])
             AS n (lot_id, remaining, lapsed, is_pending)
        WHERE l.lot_id = n.lot_id
        """,
        (
            array(lot.lot_id for lot in lots),
            array(lot.remaining for lot in lots),
            array(lot.lapsed for lot in lots),
            array(lot.is_pending for lot in lots),
        ),
    )


def _insert_entries(conn: Connection, bookings: Sequence[Booking]) -> None:
    inserted = conn.execute(
        """
        INSERT INTO points_entry (entry_id, member_id, kind, points, pending, balance, at, key, content, store_id,
                                  receipt_no, refers_to, actor)
        SELECT *
        FROM unnest(%s::bigint[], %s::uuid[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[],
                    %s::text[], %s::bytea[], %s::text[], %s::text[], %s::bigint[], %s::text[])
        ON CONFLICT (key) DO NOTHING
        """,
        (
            array(each.entry_id for each in bookings),
            array(each.member_id for each in bookings),
            array(each.kind for each in bookings),
            array(each.points for each in bookings),
            array(each.pending for each in bookings),
            array(each.balance for each in bookings),
            array(each.at for each in bookings),
            [each.key for each in bookings],
            [each.content for each in bookings],
            array(each.store_id for each in bookings),
            array(each.receipt_no for each in bookings),
            array(each.refers_to for each in bookings),
            [each.actor for each in bookings],
        ),
    ).rowcount
    if inserted != len(bookings):
        raise KeyTaken(next((each.key for each in bookings if each.content), bookings[0].key))
    _insert_movements(conn, [(each.entry_id, move) for each in bookings for move in each.movements])
    reasons = [(each.entry_id, each.reason) for each in bookings if each.reason is not None]
    if reasons:
        conn.execute(
            "INSERT INTO points_reason (entry_id, reason) SELECT * FROM unnest(%s::bigint[], %s::text[])",
            ([entry_id for entry_id, _ in reasons], [reason for _, reason in reasons]),
        )


def _insert_movements(conn: Connection, movements: Sequence[tuple[int, Movement]]) -> None:
    if not movements:
        return
    conn.execute(
        """
        INSERT INTO points_movement (entry_id, lot_id, points, pending, absorbed)
        SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
        """,
        (
            array(entry_id for entry_id, _ in movements),
            array(move.lot_id for _, move in movements),
            array(move.points for _, move in movements),
            array(move.pending for _, move in movements),
            array(move.absorbed for _, move in movements),
        ),
    )


# -- reading


def known_key(conn: Connection, key: str) -> tuple[Entry, bytes] | None:
    """What was done under a key, and the digest of what had been asked for."""
    found = entry_by(conn, "WHERE e.key = %s", key)
    if found is None:
        return None
    row = conn.execute("SELECT content FROM points_entry WHERE key = %s", (key,)).fetchone()
    assert row is not None, "entries are never deleted"  # noqa: S101
    return found, row[0]


def entry(conn: Connection, entry_id: int) -> Entry | None:
    """One entry, of any member: whoever asks has to be allowed that member."""
    return entry_by(conn, "WHERE e.entry_id = %s", entry_id)


def entry_by(conn: Connection, condition: LiteralString, value: object) -> Entry | None:
    """One entry by a condition with one parameter."""
    with conn.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(_ENTRY + condition, (value,)).fetchone()


def void_of(conn: Connection, entry_id: int) -> Entry | None:
    """The entry that took another back, if one did."""
    return entry_by(conn, "WHERE e.kind = 'void' AND e.refers_to = %s", entry_id)


def movements_of(conn: Connection, entry_id: int) -> list[Movement]:
    """Movements of an entry, by lot."""
    with conn.cursor(row_factory=class_row(Movement)) as cursor:
        return cursor.execute(
            "SELECT lot_id, points, pending, absorbed FROM points_movement WHERE entry_id = %s ORDER BY lot_id",
            (entry_id,),
        ).fetchall()


def entries(conn: Connection, scope: Scope, member_id: UUID, before: int | None, limit: int) -> list[Entry]:
    """A member's entries, newest first; those with numbers below `before`."""
    with conn.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(
            _ENTRY
            + "WHERE e.member_id = %(member_id)s AND (%(before)s::bigint IS NULL OR e.entry_id < %(before)s) AND "
            + _SEEN
            + "ORDER BY e.entry_id DESC LIMIT %(limit)s",
            {"member_id": member_id, "before": before, "limit": limit, "scope": scope.store_ids},
        ).fetchall()


def redeemed(conn: Connection, scope: Scope, member_id: UUID, since: datetime, limit: int) -> list[Entry]:
    """A member's redemptions in stores of the scope since a moment that nobody took back, newest first."""
    with conn.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(
            _ENTRY  # noqa: S608 - constants
            + """
            WHERE e.member_id IN (SELECT member_family(member_root(%(member_id)s))) AND e.kind = 'redeem'
              AND e.at >= %(since)s AND (%(scope)s::text[] IS NULL OR e.store_id = ANY(%(scope)s))
              AND NOT EXISTS (SELECT FROM points_entry v WHERE v.kind = 'void' AND v.refers_to = e.entry_id)
            ORDER BY e.entry_id DESC
            LIMIT %(limit)s
            """,
            {"member_id": member_id, "since": since, "limit": limit, "scope": scope.store_ids},
        ).fetchall()


def account(conn: Connection, member_id: UUID) -> Purse:
    """A member's purse as it stands, to look at and not to change: it can neither make lots nor entries.

    Whoever asks has to be allowed that member: see `visible`.
    """
    row = conn.execute(
        "SELECT balance, pending, owed FROM points_account WHERE member_id = %s", (member_id,)
    ).fetchone() or (0, 0, 0)
    counter: Callable[[], int] = iter(range(10**9)).__next__
    purse = Purse(member_id, row[0], row[1], row[2], [], counter, counter)
    load_lots(conn, [purse])
    return purse


def visible(conn: Connection, scope: Scope, member_id: UUID) -> UUID | None:
    """Whom an id means today, if the member has its home in a store of the scope or bought in one; None otherwise."""
    row = conn.execute(
        "SELECT member_root(%(member_id)s) WHERE " + _SEEN,
        {"member_id": member_id, "scope": scope.store_ids},
    ).fetchone()
    return None if row is None else row[0]


def root(conn: Connection, member_id: UUID) -> UUID:
    """Whom an id means today: itself, or whom it was merged into; itself where nobody knows it."""
    row = conn.execute("SELECT coalesce(member_root(%(id)s), %(id)s)", {"id": member_id}).fetchone()
    assert row is not None, "a SELECT without FROM gives a row"  # noqa: S101
    found: UUID = row[0]
    return found


def roots(conn: Connection, member_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """As `root`, of several."""
    rows = conn.execute(
        "SELECT id, coalesce(member_root(id), id) FROM unnest(%s::uuid[]) AS id", (sorted(set(member_ids)),)
    ).fetchall()
    return dict(rows)


def owners(conn: Connection, member_ids: Iterable[UUID]) -> set[UUID]:
    """Members for whom lots were first made that some members have now, and whom those are today."""
    rows = conn.execute(
        """
        SELECT DISTINCT earned_by, coalesce(member_root(earned_by), earned_by)
        FROM points_lot
        WHERE member_id = ANY(%s) AND remaining > 0
        """,
        (sorted(set(member_ids)),),
    ).fetchall()
    return {member for row in rows for member in row}


def store_of(conn: Connection, scope: Scope, store_id: str) -> tuple[str, str] | None:
    """A store's currency and country; None when it is not of the scope."""
    row = conn.execute(
        """
        SELECT currency, country FROM store
        WHERE store_id = %(store_id)s AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"store_id": store_id, "scope": scope.store_ids},
    ).fetchone()
    return None if row is None else (str(row[0]), str(row[1]))
