"""SQL of cards, their numbers and holders, and of the rules of stored value; `ledger_repository` has the postings.

A card is good in every store of its currency, and its number is as good as the card. So whoever is shown the number may
do there what a holder may; by its id a card is found only where it was opened or its holder is known, as an id is told
to whoever looks somebody up. `card` is the one way in: what else is asked for by a card's id comes after it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from psycopg.rows import class_row, scalar_row

from server.access.models import Role, Scope
from server.membership.seen_repository import FAMILY_IS_KNOWN, family
from server.membership.stored_value.models import BonusRule, CardRow, CardState, NewBonusRule, ValueSettings
from server.storage.pool import Connection

#: Who may serve the holder of a card. A till's key may, in its own stores.
SERVERS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager", "desk", "till")

_CARD: LiteralString = """
    SELECT c.card_id, n.card_no, c.member_id, c.currency, c.store_id, c.state, c.state_why, c.opened_by, c.opened_at,
           h.home_store
    FROM value_card c
    LEFT JOIN value_number n ON n.card_id = c.card_id AND n.ended_at IS NULL
    LEFT JOIN member h ON h.member_id = member_root(c.member_id)
"""


def store_currency(conn: Connection, scope: Scope, store_id: str) -> str | None:
    """The currency of a store of the scope."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT currency
            FROM store
            WHERE store_id = %(store_id)s AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"store_id": store_id, "scope": scope.store_ids},
        ).fetchone()


def live_numbers(conn: Connection, scope: Scope, members: Sequence[UUID]) -> int:
    """How many numbers of cards of some members work, who are being erased."""
    scope.require_role(*SERVERS)
    row = conn.execute(
        """
        SELECT count(*)
        FROM value_number n
        JOIN value_card c USING (card_id)
        WHERE c.member_id = ANY(%s) AND n.ended_at IS NULL
        """,
        (list(members),),
    ).fetchone()
    return 0 if row is None else int(row[0])


def cards_of(conn: Connection, scope: Scope, members: Sequence[UUID]) -> list[CardRow]:
    """The cards of just these members, whom the caller was let see."""
    scope.require_role(*SERVERS)
    with conn.cursor(row_factory=class_row(CardRow)) as cursor:
        return cursor.execute(
            _CARD + " WHERE c.member_id = ANY(%s) ORDER BY c.opened_at, c.card_id", (list(members),)
        ).fetchall()


def insert_card(
    conn: Connection, member_id: UUID | None, currency: str, store_id: str, key: str, actor: str, at: datetime
) -> UUID | None:
    """Open a card; None when the key stands for one already."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            INSERT INTO value_card (member_id, currency, store_id, idempotency_key, opened_by, opened_at)
            VALUES (%s, %s, %s, %s, %s, %s)
            ON CONFLICT (store_id, idempotency_key) DO NOTHING
            RETURNING card_id
            """,
            (member_id, currency, store_id, key, actor, at),
        ).fetchone()


def opened_by_key(conn: Connection, scope: Scope, store_id: str, key: str) -> CardRow | None:
    """The card that was opened under an idempotency key of a store of the scope."""
    with conn.cursor(row_factory=class_row(CardRow)) as cursor:
        return cursor.execute(
            _CARD
            + """
            WHERE c.store_id = %(store_id)s AND c.idempotency_key = %(key)s
              AND (%(scope)s::text[] IS NULL OR c.store_id = ANY(%(scope)s))
            """,
            {"store_id": store_id, "key": key, "scope": scope.store_ids},
        ).fetchone()


def insert_number(conn: Connection, card_no: str, card_id: UUID, actor: str, at: datetime) -> bool:
    """Give a card a number; False when another card has it, or had."""
    return (
        conn.execute(
            """
            INSERT INTO value_number (card_no, card_id, issued_by, issued_at)
            VALUES (%s, %s, %s, %s)
            ON CONFLICT (card_no) DO NOTHING
            """,
            (card_no, card_id, actor, at),
        ).rowcount
        == 1
    )


def end_number(conn: Connection, scope: Scope, card_id: UUID, at: datetime) -> None:
    """The number of a card, which is held, works no more."""
    scope.require_role(*SERVERS)
    conn.execute("UPDATE value_number SET ended_at = %s WHERE card_id = %s AND ended_at IS NULL", (at, card_id))


def card(
    conn: Connection, scope: Scope, card_id: UUID, *, shown: str | None = None, posting_id: int | None = None
) -> CardRow | None:
    """A card by its id: one that was opened in a store of the scope, or whose holder is known there.

    Args:
        shown: the whole number, which lets it be found anywhere.
        posting_id: of a posting on it, which lets it be found where that was made.
    """
    with conn.cursor(row_factory=class_row(CardRow)) as cursor:
        return cursor.execute(
            _CARD  # noqa: S608 - constants
            + """
            WHERE c.card_id = %(card_id)s
              AND (n.card_no = %(shown)s
                   OR c.store_id = ANY(%(scope)s)
                   OR EXISTS (SELECT FROM value_posting p
                              WHERE p.posting_id = %(posting_id)s AND p.card_id = c.card_id
                                AND p.store_id = ANY(%(scope)s))
                   OR EXISTS (SELECT FROM (SELECT ARRAY(SELECT member_family(h.member_id)) AS ids) family
                              WHERE """
            + FAMILY_IS_KNOWN
            + "))",
            {"card_id": card_id, "shown": shown, "posting_id": posting_id, "scope": scope.store_ids},
        ).fetchone()


def lock_card(
    conn: Connection, scope: Scope, card_id: UUID, *, shown: str | None = None, posting_id: int | None = None
) -> CardRow | None:
    """A card as `card` finds it, held until the transaction ends: everything that moves its money begins here."""
    if conn.execute("SELECT FROM value_card WHERE card_id = %s FOR UPDATE", (card_id,)).fetchone() is None:
        return None
    return card(conn, scope, card_id, shown=shown, posting_id=posting_id)


def card_of_number(conn: Connection, scope: Scope, card_no: str) -> CardRow | None:
    """The card whose whole number this is now: of any store, as it is shown."""
    scope.require_role(*SERVERS)
    with conn.cursor(row_factory=class_row(CardRow)) as cursor:
        return cursor.execute(_CARD + " WHERE n.card_no = %s", (card_no,)).fetchone()


def card_of_ended_number(conn: Connection, scope: Scope, card_no: str) -> UUID | None:
    """Whose number this was until it was replaced: whoever shows it has a card that was reported lost."""
    scope.require_role(*SERVERS)
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            "SELECT card_id FROM value_number WHERE card_no = %s AND ended_at IS NOT NULL", (card_no,)
        ).fetchone()


def number_of(conn: Connection, scope: Scope, card_id: UUID) -> str | None:
    """A card's number, for the last digits on a receipt; None once the card is closed."""
    scope.require_role(*SERVERS)
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            "SELECT card_no FROM value_number WHERE card_id = %s AND ended_at IS NULL", (card_id,)
        ).fetchone()


def cards_of_member(conn: Connection, scope: Scope, member_id: UUID, shown: str | None = None) -> list[CardRow] | None:
    """The cards of a member and of all who were merged into it, oldest first; None of whom the scope may not know.

    Args:
        shown: the number of the member's own card, where somebody shows it at the counter now.
    """
    members = family(conn, scope, member_id, shown)
    return cards_of(conn, scope, members) if members else None


def set_state(conn: Connection, scope: Scope, card_id: UUID, state: CardState, why: str) -> None:
    """Freeze, thaw or close a card, which is held."""
    scope.require_role(*SERVERS)
    conn.execute("UPDATE value_card SET state = %s, state_why = %s WHERE card_id = %s", (state, why, card_id))


def set_holder(
    conn: Connection, scope: Scope, card: CardRow, to_member: UUID, why: str, reason: str, at: datetime
) -> None:
    """Make a card, which is held, somebody's, and keep whose it was."""
    scope.require_role(*SERVERS)
    conn.execute("UPDATE value_card SET member_id = %s WHERE card_id = %s", (to_member, card.card_id))
    conn.execute(
        """
        INSERT INTO value_holder (card_id, from_member, to_member, why, reason, at, actor)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (card.card_id, card.member_id, to_member, why, reason, at, scope.actor),
    )


# -- rules


def setting(conn: Connection, currency: str) -> ValueSettings:
    """The rules of a currency: those set, or the defaults."""
    with conn.cursor(row_factory=class_row(ValueSettings)) as cursor:
        found = cursor.execute(
            """
            SELECT currency, cap_registered, cap_unregistered, cap_counts_bonus, spend_order, cooling_off_days,
                   late_fee_percent, bonus_borne_by
            FROM value_setting
            WHERE currency = %s
            """,
            (currency,),
        ).fetchone()
    return found or ValueSettings.default(currency)


def put_setting(conn: Connection, new: ValueSettings, actor: str, at: datetime) -> None:
    """Set the rules of a currency."""
    conn.execute(
        """
        INSERT INTO value_setting (currency, cap_registered, cap_unregistered, cap_counts_bonus, spend_order,
                                   cooling_off_days, late_fee_percent, bonus_borne_by, set_by, set_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (currency) DO UPDATE
        SET cap_registered = excluded.cap_registered, cap_unregistered = excluded.cap_unregistered,
            cap_counts_bonus = excluded.cap_counts_bonus, spend_order = excluded.spend_order,
            cooling_off_days = excluded.cooling_off_days, late_fee_percent = excluded.late_fee_percent,
            bonus_borne_by = excluded.bonus_borne_by, set_by = excluded.set_by, set_at = excluded.set_at
        """,
        (
            new.currency,
            new.cap_registered,
            new.cap_unregistered,
            new.cap_counts_bonus,
            new.spend_order,
            new.cooling_off_days,
            new.late_fee_percent,
            new.bonus_borne_by,
            actor,
            at,
        ),
    )


def insert_bonus_rule(conn: Connection, new: NewBonusRule, valid_from: datetime, actor: str, at: datetime) -> BonusRule:
    """Add a rule for what top-ups bring on top."""
    with conn.cursor(row_factory=class_row(BonusRule)) as cursor:
        made = cursor.execute(
            """
            INSERT INTO value_bonus_rule (currency, from_amount, amount, percent, store_ids, valid_from, valid_until,
                                          made_by, made_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            RETURNING rule_id, currency, from_amount, amount, percent, store_ids, valid_from, valid_until, made_by,
                      made_at, ended_at
            """,
            (
                new.currency,
                new.from_amount,
                new.amount,
                new.percent,
                None if new.store_ids is None else list(new.store_ids),
                valid_from,
                new.valid_until,
                actor,
                at,
            ),
        ).fetchone()
    assert made is not None, "RETURNING answers with the row"  # noqa: S101
    return made


def end_bonus_rule(conn: Connection, rule_id: int, at: datetime) -> bool:
    """End a rule; False when there is none, or it has ended."""
    ended = conn.execute(
        "UPDATE value_bonus_rule SET ended_at = %s WHERE rule_id = %s AND ended_at IS NULL", (at, rule_id)
    )
    return ended.rowcount == 1


def bonus_rules(conn: Connection, currency: str | None = None) -> list[BonusRule]:
    """The rules that were not ended, of a currency or of all."""
    with conn.cursor(row_factory=class_row(BonusRule)) as cursor:
        return cursor.execute(
            """
            SELECT rule_id, currency, from_amount, amount, percent, store_ids, valid_from, valid_until, made_by,
                   made_at, ended_at
            FROM value_bonus_rule
            WHERE ended_at IS NULL AND (%(currency)s::text IS NULL OR currency = %(currency)s)
            ORDER BY currency, from_amount, rule_id
            """,
            {"currency": currency},
        ).fetchall()
