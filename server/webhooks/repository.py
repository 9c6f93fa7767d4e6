"""SQL of subscriptions and deliveries. They are the whole chain's: whoever may ask for them sees every store."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from server.storage.arrays import array
from server.storage.pool import Connection
from server.webhooks.models import Delivery, DeliveryState, Due, Target, Webhook

_WEBHOOK = """
    SELECT w.webhook_id, w.url, w.kinds, w.store_ids, w.note, w.made_by, w.made_at, w.failures, w.failing_since,
           w.retry_at, w.paused_at, w.paused_why,
           (SELECT count(*) FROM webhook_delivery d
            WHERE d.webhook_id = w.webhook_id AND d.state = 'waiting') AS waiting
    FROM webhook w
    WHERE w.ended_at IS NULL
"""
_DELIVERY = """
    SELECT delivery_id, webhook_id, event_id, kind, store_id, subject, state, attempts, due_at, told_at, status, reason,
           made_at
    FROM webhook_delivery
"""


def insert(conn: Connection, webhook: Webhook, secret_enc: bytes) -> None:
    """Keep a subscription."""
    conn.execute(
        """
        INSERT INTO webhook (webhook_id, url, kinds, store_ids, secret_enc, note, made_by, made_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            webhook.webhook_id,
            webhook.url,
            webhook.kinds,
            webhook.store_ids,
            secret_enc,
            webhook.note,
            webhook.made_by,
            webhook.made_at,
        ),
    )


def webhooks(conn: Connection) -> list[Webhook]:
    """Subscriptions that have not ended, the oldest first."""
    with conn.cursor(row_factory=class_row(Webhook)) as cursor:
        return cursor.execute(_WEBHOOK + " ORDER BY w.made_at, w.webhook_id").fetchall()


def webhook(conn: Connection, webhook_id: UUID) -> Webhook | None:
    """One that has not ended."""
    with conn.cursor(row_factory=class_row(Webhook)) as cursor:
        return cursor.execute(_WEBHOOK + " AND w.webhook_id = %s", (webhook_id,)).fetchone()


def end(conn: Connection, webhook_id: UUID, at: datetime) -> None:
    """End a subscription, and what still waits for it."""
    conn.execute("UPDATE webhook SET ended_at = %s WHERE webhook_id = %s", (at, webhook_id))
    conn.execute("DELETE FROM webhook_delivery WHERE webhook_id = %s AND state = 'waiting'", (webhook_id,))


def pause(conn: Connection, webhook_id: UUID, why: str, at: datetime) -> bool:
    """Tell a subscriber nothing more until it is resumed; False when that is so already."""
    return (
        conn.execute(
            "UPDATE webhook SET paused_at = %s, paused_why = %s WHERE webhook_id = %s AND paused_at IS NULL",
            (at, why, webhook_id),
        ).rowcount
        == 1
    )


def resume(conn: Connection, webhook_id: UUID, at: datetime) -> None:
    """Tell a subscriber again, from what waits on."""
    conn.execute(
        """
        UPDATE webhook
        SET paused_at = NULL, paused_why = '', failures = 0, failing_since = NULL, retry_at = NULL
        WHERE webhook_id = %s
        """,
        (webhook_id,),
    )
    conn.execute(
        "UPDATE webhook_delivery SET due_at = %s WHERE webhook_id = %s AND state = 'waiting'", (at, webhook_id)
    )


def insert_deliveries(
    conn: Connection, rows: Sequence[tuple[UUID, int, str, str | None, str, bytes]], at: datetime
) -> None:
    """Note what is to be delivered: subscription, event id, kind, store, subject and body of each."""
    conn.execute(
        """
        INSERT INTO webhook_delivery (webhook_id, event_id, kind, store_id, subject, payload, state, due_at, made_at)
        SELECT d.*, 'waiting', %(at)s, %(at)s
        FROM unnest(%(webhooks)s::uuid[], %(events)s::bigint[], %(kinds)s::text[], %(stores)s::text[],
                    %(subjects)s::text[], %(payloads)s::bytea[]) AS d
        ON CONFLICT (webhook_id, event_id) DO NOTHING
        """,
        {
            "at": at,
            "webhooks": array(row[0] for row in rows),
            "events": array(row[1] for row in rows),
            "kinds": array(row[2] for row in rows),
            "stores": array(row[3] for row in rows),
            "subjects": array(row[4] for row in rows),
            "payloads": array(f"\\x{row[5].hex()}" for row in rows),
        },
    )


def targets(conn: Connection, at: datetime) -> list[Target]:
    """Subscribers that have something due."""
    with conn.cursor(row_factory=class_row(Target)) as cursor:
        return cursor.execute(
            """
            SELECT w.webhook_id, w.url, w.secret_enc, w.failures
            FROM webhook w
            WHERE w.ended_at IS NULL AND w.paused_at IS NULL AND (w.retry_at IS NULL OR w.retry_at <= %(at)s)
              AND EXISTS (SELECT FROM webhook_delivery d
                          WHERE d.webhook_id = w.webhook_id AND d.state = 'waiting' AND d.due_at <= %(at)s)
            ORDER BY w.webhook_id
            """,
            {"at": at},
        ).fetchall()


def due(conn: Connection, webhook_id: UUID, at: datetime, limit: int) -> list[Due]:
    """What is due to a subscriber, in order; what failed before comes after what was never tried."""
    with conn.cursor(row_factory=class_row(Due)) as cursor:
        return cursor.execute(
            """
            SELECT delivery_id, event_id, kind, payload, attempts
            FROM webhook_delivery
            WHERE webhook_id = %s AND state = 'waiting' AND due_at <= %s
            ORDER BY attempts, delivery_id
            LIMIT %s
            """,
            (webhook_id, at, limit),
        ).fetchall()


def note_attempt(
    conn: Connection,
    delivery_id: int,
    state: DeliveryState,
    status: int | None,
    reason: str,
    due_at: datetime,
    at: datetime,
) -> None:
    """Note how an attempt ended."""
    conn.execute(
        """
        UPDATE webhook_delivery
        SET state = %s, attempts = attempts + 1, status = %s, reason = %s, due_at = %s, told_at = %s
        WHERE delivery_id = %s
        """,
        (state, status, reason, due_at, at, delivery_id),
    )


def note_success(conn: Connection, webhook_id: UUID) -> None:
    """Note that a subscriber answers."""
    conn.execute(
        """
        UPDATE webhook SET failures = 0, failing_since = NULL, retry_at = NULL
        WHERE webhook_id = %s AND failures > 0
        """,
        (webhook_id,),
    )


def note_failure(conn: Connection, webhook_id: UUID, retry_at: datetime, at: datetime) -> None:
    """Note that a subscriber does not answer, and when to try again."""
    conn.execute(
        """
        UPDATE webhook
        SET failures = failures + 1, failing_since = coalesce(failing_since, %s), retry_at = %s
        WHERE webhook_id = %s
        """,
        (at, retry_at, webhook_id),
    )


def deliveries(conn: Connection, webhook_id: UUID, state: str | None, before: int | None, limit: int) -> list[Delivery]:
    """Deliveries of a subscription, the latest first."""
    with conn.cursor(row_factory=class_row(Delivery)) as cursor:
        return cursor.execute(
            _DELIVERY
            + """
            WHERE webhook_id = %(webhook_id)s AND (%(state)s::text IS NULL OR state = %(state)s)
              AND (%(before)s::bigint IS NULL OR delivery_id < %(before)s)
            ORDER BY delivery_id DESC
            LIMIT %(limit)s
            """,
            {"webhook_id": webhook_id, "state": state, "before": before, "limit": limit},
        ).fetchall()


def send_again(conn: Connection, webhook_id: UUID, delivery_id: int, at: datetime) -> bool:
    """Let a delivery wait again from now on, whatever became of it; False when there is none."""
    return (
        conn.execute(
            """
            UPDATE webhook_delivery SET state = 'waiting', attempts = 0, due_at = %s
            WHERE webhook_id = %s AND delivery_id = %s
            """,
            (at, webhook_id, delivery_id),
        ).rowcount
        == 1
    )


def give_up_old(conn: Connection, before: datetime, reason: str) -> int:
    """Give up what has waited since before a moment, for a subscriber nobody resumes; how many."""
    return conn.execute(
        "UPDATE webhook_delivery SET state = 'given_up', reason = %s WHERE state = 'waiting' AND made_at < %s",
        (reason, before),
    ).rowcount


def purge(conn: Connection, before: datetime, limit: int) -> int:
    """Delete some deliveries that ended, and were made before a moment; how many."""
    return conn.execute(
        """
        DELETE FROM webhook_delivery
        WHERE delivery_id IN (SELECT delivery_id FROM webhook_delivery
                              WHERE state <> 'waiting' AND made_at < %s ORDER BY made_at LIMIT %s)
        """,
        (before, limit),
    ).rowcount
