"""The SQL of dead letters as people work them off; ingest itself only adds them (`repository.insert_dead_letters`)."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from psycopg.rows import class_row

from server.access.models import Scope
from server.ingest.models import DeadLetter
from server.storage.pool import Connection

#: Put aside for the time they tell.
MISDATED: Final = ("future_dated", "past_dated")
_COLUMNS: Final = """
    dead_letter_id, device_id, epoch, seq, store_id, code, reason, payload, received_at, starts_at, ends_at, tries,
    retried_at, dropped_at, settled_by, drop_reason
"""


def letters(
    connection: Connection,
    scope: Scope,
    *,
    store_id: str | None,
    code: str | None,
    settled: bool,
    after: int,
    limit: int,
    payloads: bool,
) -> list[DeadLetter]:
    """Letters by id, beyond `after`; with `settled` also those booked or dropped, without `payloads` what was sent."""
    with connection.cursor(row_factory=class_row(DeadLetter)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_COLUMNS.replace("payload", "CASE WHEN %(payloads)s THEN payload ELSE '' END AS payload")}
            FROM dead_letter
            WHERE (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
              AND (%(store_id)s::text IS NULL OR store_id = %(store_id)s)
              AND (%(code)s::text IS NULL OR code = %(code)s)
              AND (%(settled)s OR (retried_at IS NULL AND dropped_at IS NULL))
              AND dead_letter_id > %(after)s
            ORDER BY dead_letter_id
            LIMIT %(limit)s
            """.encode(),  # noqa: S608 - column names of ours
            {
                "scope": scope.store_ids,
                "store_id": store_id,
                "code": code,
                "settled": settled,
                "after": after,
                "limit": limit,
                "payloads": payloads,
            },
        ).fetchall()


def open_letters_between(
    connection: Connection, scope: Scope, store_id: str, start: datetime, end: datetime
) -> Iterator[DeadLetter]:
    """Open letters of a store that speak of a time between `start` and `end`; one that tells no time, by its coming.

    One that was put aside for its time is looked for there and where it came: nobody asks for a day years ahead.

    A few at a time: each may hold as much as a batch may, and a box gone mad makes thousands.
    """
    with connection.cursor("open_letters", row_factory=class_row(DeadLetter)) as cursor:
        cursor.itersize = 10
        cursor.execute(
            f"""
            SELECT {_COLUMNS}
            FROM dead_letter
            WHERE store_id = %(store_id)s AND retried_at IS NULL AND dropped_at IS NULL
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
              AND (coalesce(starts_at, received_at) < %(end)s AND coalesce(ends_at, received_at) >= %(start)s
                   OR code = ANY(%(misdated)s) AND received_at >= %(start)s AND received_at < %(end)s)
            ORDER BY dead_letter_id
            """.encode(),  # noqa: S608 - column names of ours
            {
                "scope": scope.store_ids,
                "store_id": store_id,
                "start": start,
                "end": end,
                "misdated": list(MISDATED),
            },
        )
        yield from cursor


def lock_letter(connection: Connection, scope: Scope, dead_letter_id: int) -> DeadLetter | None:
    """One letter, held until the transaction's end: who else wants to settle it waits and sees what became of it."""
    with connection.cursor(row_factory=class_row(DeadLetter)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_COLUMNS}
            FROM dead_letter
            WHERE dead_letter_id = %(id)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            FOR UPDATE
            """.encode(),  # noqa: S608 - column names of ours
            {"id": dead_letter_id, "scope": scope.store_ids},
        ).fetchone()


def mark_booked(connection: Connection, dead_letter_id: int, at: datetime, actor: str) -> None:
    """End a letter whose record is booked."""
    connection.execute(
        "UPDATE dead_letter SET retried_at = %s, settled_by = %s, tries = tries + 1 WHERE dead_letter_id = %s",
        (at, actor, dead_letter_id),
    )


def note_failure(connection: Connection, dead_letter_id: int, code: str, reason: str) -> None:
    """Keep why a letter could not be booked this time either."""
    connection.execute(
        "UPDATE dead_letter SET code = %s, reason = %s, tries = tries + 1 WHERE dead_letter_id = %s",
        (code, reason, dead_letter_id),
    )


def mark_dropped(connection: Connection, dead_letter_id: int, at: datetime, actor: str, reason: str) -> None:
    """End a letter that will not be booked; its payload stays."""
    connection.execute(
        "UPDATE dead_letter SET dropped_at = %s, settled_by = %s, drop_reason = %s WHERE dead_letter_id = %s",
        (at, actor, reason, dead_letter_id),
    )
