"""Marks for hours whose joined facts must be computed anew.

Whoever writes facts appends marks in the same transaction; the job deletes just the marks it read. Appending instead of
flagging a row means that writers never wait for each other, and a mark made while the job runs is never lost.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from server.storage.pool import Connection


def mark(connection: Connection, store_id: str, hours: Iterable[datetime], reason: str) -> None:
    """Append one mark for each distinct hour.

    Args:
        connection: the transaction that writes the facts.
        store_id: whose.
        hours: any moments (aware) within the hours meant; rounded down to the UTC hour.
        reason: what changed, such as ``ingest`` or ``receipt``.
    """
    distinct = sorted({at.astimezone(UTC).replace(minute=0, second=0, microsecond=0) for at in hours})
    if distinct:
        connection.execute(
            "INSERT INTO dirty_mark (store_id, hour, reason)"
            " SELECT %s, hour, %s FROM unnest(%s::timestamptz[]) AS hour",
            (store_id, reason, distinct),
        )
