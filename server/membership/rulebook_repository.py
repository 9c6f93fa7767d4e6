"""SQL of rules that HQ writes in versions, of points and of tiers alike: kept for ever, never changed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg import sql
from psycopg.rows import class_row

from server.storage.pool import Connection

#: Where versions are kept.
Book = Literal["points_rules", "tier_rules"]


@dataclass(frozen=True, slots=True)
class RulesRow:
    """A version of the rules as kept."""

    version: int
    valid_from: datetime
    body: str
    made_by: str
    made_at: datetime
    reason: str


def rules_rows(conn: Connection, book: Book) -> list[RulesRow]:
    """All versions, newest first."""
    with conn.cursor(row_factory=class_row(RulesRow)) as cursor:
        return cursor.execute(
            sql.SQL(
                "SELECT version, valid_from, body::text AS body, made_by, made_at, reason FROM {} ORDER BY version DESC"
            ).format(sql.Identifier(book))
        ).fetchall()


def insert_rules(conn: Connection, book: Book, row: RulesRow) -> bool:
    """Keep a version; False when another came first."""
    done = conn.execute(
        sql.SQL(
            """
            INSERT INTO {} (version, valid_from, body, reason, made_by, made_at)
            VALUES (%s, %s, %s::jsonb, %s, %s, %s)
            ON CONFLICT DO NOTHING
            """
        ).format(sql.Identifier(book)),
        (row.version, row.valid_from, row.body, row.reason, row.made_by, row.made_at),
    )
    return done.rowcount == 1
