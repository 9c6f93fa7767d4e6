"""Marks for hours whose joined facts must be computed anew.

Whoever writes facts appends marks in the same transaction; the job deletes just the marks it read. Appending instead of
flagging a row means that writers never wait for each other, and a mark made while the job runs is never lost.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from server.storage.arrays import array
from server.storage.pool import Connection


def mark(connection: Connection, store_id: str, hours: Iterable[datetime], reason: str) -> None:
    """Append one mark for each distinct hour.

    Args:
        connection: the transaction that writes the facts.
        store_id: whose.
        hours: any moments (aware) within the hours meant; rounded down to the UTC hour.
        reason: what changed, such as ``ingest`` or ``receipt``.
    """
    mark_all(connection, ((store_id, at) for at in hours), reason)


def mark_all(connection: Connection, pairs: Iterable[tuple[str, datetime]], reason: str) -> None:
    """Append marks for many stores in one statement.

    Args:
        connection: the transaction that writes the facts.
        pairs: store and any moment (aware) within the hour meant; rounded down to the UTC hour.
        reason: what changed.
    """
    distinct = sorted({(store_id, _hour(at)) for store_id, at in pairs})
    if distinct:
        connection.execute(
            "INSERT INTO dirty_mark (store_id, hour, reason)"
            " SELECT store_id, hour, %s FROM unnest(%s::text[], %s::timestamptz[]) AS marks (store_id, hour)",
            (reason, array(store_id for store_id, _ in distinct), array(hour for _, hour in distinct)),
        )


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
