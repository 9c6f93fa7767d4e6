"""SQL of the floor of the raw rows, and of what is deleted below it."""

from datetime import datetime

from server.storage.pool import Connection


def floor(connection: Connection) -> datetime | None:
    """From when on (UTC) raw rows are whole; None: all that ever came are there."""
    row = connection.execute("SELECT floor FROM raw_retention").fetchone()
    return None if row is None else row[0]


def hold_floor(connection: Connection) -> datetime | None:
    """The same, and nobody raises it until the transaction ends."""
    row = connection.execute("SELECT floor FROM raw_retention FOR SHARE").fetchone()
    return None if row is None else row[0]


def raise_floor(connection: Connection, floor: datetime) -> None:
    """Say that raw rows before a moment may be gone; a floor that is higher already stays."""
    connection.execute("UPDATE raw_retention SET floor = greatest(floor, %s)", (floor,))


def cameras(connection: Connection) -> list[str]:
    """Every camera there ever was."""
    return [camera_id for (camera_id,) in connection.execute("SELECT camera_id FROM camera ORDER BY camera_id")]


def delete_crossings(connection: Connection, start: datetime, end: datetime, limit: int) -> int:
    """Delete some crossings of a stretch of time, found by the summary of their times; how many went."""
    return connection.execute(
        """
        DELETE FROM crossing
        WHERE ctid = ANY(ARRAY(SELECT ctid FROM crossing WHERE at >= %s AND at < %s LIMIT %s))
        """,
        (start, end, limit),
    ).rowcount


def delete_coverage(connection: Connection, camera_id: str, before: datetime, limit: int) -> int:
    """Delete some of a camera's minutes before a moment, found by its index; how many went."""
    return connection.execute(
        """
        DELETE FROM coverage
        WHERE ctid = ANY(ARRAY(SELECT ctid FROM coverage WHERE camera_id = %s AND minute < %s LIMIT %s))
        """,
        (camera_id, before, limit),
    ).rowcount
