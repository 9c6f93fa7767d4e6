"""The SQL of ingest. Every statement that locks rows does so in key order, or two workers would wait for each other.

The order of a transaction is fixed as well: cursors, then traffic, then coverage, then devices.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import msgspec
from psycopg.rows import class_row

from server.ingest import packing
from server.ingest.models import (
    STATES,
    CoverageKey,
    CoverageRow,
    Cursor,
    DeadLetterRow,
    Device,
    LostRow,
    Registry,
    TallyRow,
    Traffic,
    TrafficKey,
    Watched,
)
from server.ingest.outages import DeviceEvent, Heard
from server.ingest.twins import Lives
from server.storage.arrays import array
from server.storage.pool import Connection
from wire.messages import Status

_COPY_CROSSINGS: Final = f"COPY crossing ({', '.join(packing.COLUMNS)}) FROM STDIN (FORMAT BINARY)".encode()
_COVERAGE_TYPES: Final = (
    *("timestamptz", "text", "text", "numeric", "int4", "text", "bool", "text", "text", "int8", "timestamptz"),
)


def devices(connection: Connection, names: Collection[str]) -> dict[str, Device]:
    """The registered ones among `names`, revoked or not."""
    with connection.cursor(row_factory=class_row(Device)) as cursor:
        cursor.execute("SELECT device_id, revoked_at FROM device WHERE device_id = ANY(%s)", (list(names),))
        return {row.device_id: row for row in cursor}


def registry(connection: Connection, lines: Collection[str], cameras: Collection[str]) -> Registry:
    """The stores of those lines and cameras that exist."""
    found = Registry()
    if lines:
        rows = connection.execute("SELECT line_id, store_id FROM line WHERE line_id = ANY(%s)", (list(lines),))
        found.lines.update((str(line), str(store)) for line, store in rows)
    if cameras:
        rows = connection.execute("SELECT camera_id, store_id FROM camera WHERE camera_id = ANY(%s)", (list(cameras),))
        found.cameras.update((str(camera), str(store)) for camera, store in rows)
    return found


def prove_writable(connection: Connection, most_ms: int) -> None:
    """Do all that booking needs short of writing a row: locks, permissions, a transaction number, in so many ms."""
    give_up_after(connection, most_ms)
    connection.execute(
        # The tables alone: of a hypertable there may be more parts than there is room for locks.
        "LOCK TABLE ONLY ingest_cursor, ONLY crossing, ONLY coverage, ONLY tally, ONLY dead_letter, ONLY lost_range,"
        " ONLY traffic_15m, ONLY coverage_15m, ONLY dirty_mark IN ROW EXCLUSIVE MODE"
    )
    # Refused where a transaction may only read; and no number is given out by a database that has run out of them.
    connection.execute("UPDATE ingest_cursor SET seq = seq WHERE false")
    connection.execute("SELECT pg_current_xact_id()")


def give_up_after(connection: Connection, most_ms: int) -> None:
    """Have every statement of this transaction cut off after so many milliseconds."""
    connection.execute(b"SET LOCAL statement_timeout = %d" % most_ms)


def lock_cursors(connection: Connection, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], Cursor]:
    """Insert the cursors that are missing, then lock all, both in key order; of a box unknown or revoked there is none.

    A new epoch is bound to the store its box is in now.

    Args:
        connection: in a transaction; it holds the locks.
        wanted: devices and epochs.
    """
    rows = sorted(wanted)
    keys = (array(device_id for device_id, _ in rows), array(epoch for _, epoch in rows))
    with connection.cursor(row_factory=class_row(Cursor)) as cursor:
        with connection.pipeline():
            connection.execute(
                # Nearly all are there already, and to look is cheaper than to try.
                "INSERT INTO ingest_cursor (device_id, epoch, store_id)"
                " SELECT device_id, epoch, device.store_id"
                " FROM unnest(%s::text[], %s::text[]) AS wanted (device_id, epoch) JOIN device USING (device_id)"
                " WHERE revoked_at IS NULL AND NOT EXISTS (SELECT FROM ingest_cursor AS held"
                "   WHERE held.device_id = wanted.device_id AND held.epoch = wanted.epoch)"
                " ORDER BY device_id, epoch"
                " ON CONFLICT (device_id, epoch) DO NOTHING",
                keys,
            )
            cursor.execute(
                # One after the other, in the order of the first part: each is found by its key and locked.
                "SELECT held.device_id, held.epoch, held.store_id, held.seq, held.last_at, wanted.skew_ms"
                " FROM (SELECT device_id, epoch, device.skew_ms"
                "   FROM unnest(%s::text[], %s::text[]) AS wanted (device_id, epoch) JOIN device USING (device_id)"
                "   WHERE revoked_at IS NULL ORDER BY device_id, epoch) AS wanted"
                " CROSS JOIN LATERAL (SELECT * FROM ingest_cursor AS one"
                "   WHERE one.device_id = wanted.device_id AND one.epoch = wanted.epoch FOR UPDATE) AS held",
                keys,
            )
        return {(row.device_id, row.epoch): row for row in cursor}


def move_cursors(connection: Connection, cursors: Collection[Cursor], now: datetime) -> None:
    """Write how far each locked epoch is committed."""
    if not cursors:
        return
    connection.execute(
        "UPDATE ingest_cursor AS held SET seq = moved.seq, last_at = moved.last_at, updated_at = %s"
        " FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::timestamptz[])"
        " AS moved (device_id, epoch, seq, last_at)"
        " WHERE held.device_id = moved.device_id AND held.epoch = moved.epoch",
        (
            now,
            array(cursor.device_id for cursor in cursors),
            array(cursor.epoch for cursor in cursors),
            array(cursor.seq for cursor in cursors),
            array(cursor.last_at for cursor in cursors),
        ),
    )


def copy_crossings(connection: Connection, rows: Sequence[bytes]) -> None:
    """Append crossings, packed as `packing` packs them, by binary COPY."""
    if not rows:
        return
    with connection.cursor() as cursor, cursor.copy(_COPY_CROSSINGS) as copy:
        copy.write(b"".join((packing.SIGNATURE, *rows, packing.TRAILER)))


def copy_coverage(connection: Connection, rows: Sequence[CoverageRow]) -> None:
    """Append minutes watched by binary COPY."""
    if not rows:
        return
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY coverage (minute, store_id, camera_id, seconds, frames, state, undated, device_id, epoch, seq,"
            " received_at) FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        copy.set_types(_COVERAGE_TYPES)
        for row in rows:
            copy.write_row(row)


def insert_tallies(connection: Connection, rows: Sequence[TallyRow]) -> None:
    """Keep tallies whole."""
    if rows:
        connection.cursor().executemany(
            "INSERT INTO tally (received_at, store_id, device_id, epoch, from_seq, seq, payload)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            rows,
        )


def merge_tallies(connection: Connection, rows: Sequence[TallyRow]) -> None:
    """Add each tally's sums to the row of its numbers where there is one: a number stands in one row only."""
    for row in rows:
        _, _, device_id, epoch, _, seq, payload = row
        merged = connection.execute(
            "UPDATE tally SET payload = tally.payload || jsonb_build_object("
            " 'crossings', coalesce(tally.payload->'crossings', '[]') || coalesce(more.sums->'crossings', '[]'),"
            " 'coverage', coalesce(tally.payload->'coverage', '[]') || coalesce(more.sums->'coverage', '[]'))"
            " FROM (SELECT %s::jsonb AS sums) AS more WHERE device_id = %s AND epoch = %s AND seq = %s",
            (payload, device_id, epoch, seq),
        ).rowcount
        if not merged:
            insert_tallies(connection, [row])


def add_traffic(connection: Connection, traffic: dict[TrafficKey, Traffic]) -> None:
    """Add to the roll-up of crossings, in key order.

    As one JSON text: psycopg makes an array element by element in Python, which cost more than the upsert itself.
    """
    if not traffic:
        return
    added = [(*key, traffic[key].count, traffic[key].groups) for key in sorted(traffic)]
    connection.execute(
        "INSERT INTO traffic_15m AS held (store_id, quarter, line_id, direction, class, count, groups)"
        " SELECT one->>0, (one->>1)::timestamptz, one->>2, one->>3, one->>4, (one->>5)::integer, (one->>6)::integer"
        " FROM jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS added (one, place)"
        " ORDER BY place"
        " ON CONFLICT (store_id, quarter, line_id, direction, class)"
        " DO UPDATE SET count = held.count + EXCLUDED.count, groups = held.groups + EXCLUDED.groups",
        (msgspec.json.encode(added).decode(),),
    )


def add_coverage(connection: Connection, watched: dict[CoverageKey, Watched]) -> None:
    """Add to the roll-up of coverage, in key order; each minute is capped at 60 seconds."""
    if not watched:
        return
    keys = sorted(watched)
    connection.execute(
        "INSERT INTO coverage_15m AS held (store_id, quarter, camera_id, minute_seconds, seconds, state, late_seconds)"
        " SELECT store_id, quarter, camera_id, minutes::numeric(4, 1)[], seconds, state, late"
        " FROM unnest(%s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::numeric[], %s::text[], %s::numeric[])"
        " AS added (store_id, quarter, camera_id, minutes, seconds, state, late)"
        " ORDER BY store_id, quarter, camera_id"
        " ON CONFLICT (store_id, quarter, camera_id) DO UPDATE SET (minute_seconds, seconds) = ("
        "   SELECT array_agg(LEAST(60, before + more) ORDER BY minute), sum(LEAST(60, before + more))"
        "   FROM unnest(held.minute_seconds, EXCLUDED.minute_seconds) WITH ORDINALITY AS sums (before, more, minute)),"
        " state = (%s::text[])[GREATEST(array_position(%s::text[], held.state),"
        " array_position(%s::text[], EXCLUDED.state))],"
        " late_seconds = LEAST(900, held.late_seconds + EXCLUDED.late_seconds)",
        (
            *(array(key[column] for key in keys) for column in range(3)),
            array(array(tenths / 10 for tenths in watched[key].tenths) for key in keys),
            array(sum(watched[key].tenths) / 10 for key in keys),
            array(watched[key].state for key in keys),
            array(watched[key].late / 10 for key in keys),
            *([list(STATES)] * 3),
        ),
    )


def insert_dead_letters(connection: Connection, rows: Sequence[DeadLetterRow]) -> None:
    """Put bad records aside, with what was sent."""
    if rows:
        connection.cursor().executemany(
            "INSERT INTO dead_letter"
            " (device_id, epoch, seq, store_id, code, reason, payload, received_at, starts_at, ends_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )


def insert_lost(connection: Connection, rows: Sequence[LostRow]) -> None:
    """Book sequence numbers that exist nowhere any more."""
    if rows:
        connection.cursor().executemany(
            "INSERT INTO lost_range"
            " (device_id, epoch, store_id, from_seq, to_seq, noticed_at, starts_at, ends_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )


def set_skews(connection: Connection, skews: dict[str, int]) -> None:
    """Write how far devices' clocks are off, locking them in order."""
    if not skews:
        return
    names = sorted(skews)
    connection.execute("SELECT FROM device WHERE device_id = ANY(%s) ORDER BY device_id FOR NO KEY UPDATE", (names,))
    connection.execute(
        "UPDATE device SET skew_ms = measured.skew_ms FROM unnest(%s::text[], %s::integer[])"
        " AS measured (device_id, skew_ms) WHERE device.device_id = measured.device_id",
        (array(names), array(skews[name] for name in names)),
    )


def last_taken(connection: Connection, device_id: str, before: datetime) -> datetime | None:
    """The time of the last record taken of a device in any epoch up to `before`; if none, when it was registered."""
    row = connection.execute(
        "SELECT coalesce("
        " (SELECT max(last_at) FROM ingest_cursor WHERE device_id = %(device)s AND last_at <= %(before)s),"
        " (SELECT created_at FROM device WHERE device_id = %(device)s AND created_at <= %(before)s))",
        {"device": device_id, "before": before},
    ).fetchone()
    return None if row is None else row[0]


def lock_heard(connection: Connection, device_id: str) -> Heard | None:
    """What is known of a box before its next status, held until the transaction's end; None for one we don't know."""
    with connection.cursor(row_factory=class_row(Heard)) as cursor:
        return cursor.execute(
            "SELECT device.device_id, device.store_id, device.status_at, last.online, last.lost FROM device"
            " LEFT JOIN LATERAL (SELECT online, lost FROM device_event"
            "   WHERE device_event.device_id = device.device_id"
            "   ORDER BY at DESC, event_id DESC LIMIT 1) AS last ON true"
            " WHERE device.device_id = %s FOR NO KEY UPDATE OF device",
            (device_id,),
        ).fetchone()


def set_status(connection: Connection, status: Status, at: datetime) -> None:
    """Keep a device's word about itself."""
    connection.execute(
        "UPDATE device SET status = %s::jsonb, status_at = %s WHERE device_id = %s",
        (msgspec.json.encode(status).decode(), at, status.device),
    )


def lives(connection: Connection, device_id: str) -> Lives:
    """What is known of a box's live epochs; its row is held."""
    with connection.cursor(row_factory=class_row(Lives)) as cursor:
        found = cursor.execute(
            "SELECT live_epochs AS epochs, live_at AS at FROM device WHERE device_id = %s", (device_id,)
        ).fetchone()
    return found or Lives()


def set_lives(connection: Connection, device_id: str, lives: Lives, twin_at: datetime | None) -> None:
    """Keep a box's live epochs, and when two were heard under its name."""
    connection.execute(
        "UPDATE device SET live_epochs = %s, live_at = %s, twin_at = coalesce(%s, twin_at) WHERE device_id = %s",
        (list(lives.epochs), lives.at, twin_at, device_id),
    )


def insert_events(connection: Connection, events: Sequence[DeviceEvent]) -> None:
    """Add to boxes' histories."""
    for event in events:
        connection.execute(
            "INSERT INTO device_event (device_id, store_id, at, online, lost) VALUES (%s, %s, %s, %s, %s)",
            (event.device_id, event.store_id, event.at, event.online, event.lost),
        )
