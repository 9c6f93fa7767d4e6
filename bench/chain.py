"""A made-up chain's raw rows asked with plain SQL, and its boxes at work: what a bench of reading stands beside."""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg

from server.ingest.models import Incoming
from server.ingest.service import IngestService
from server.storage.pool import Database
from wire.messages import Crossing, encode, make_batch

#: Rows a second that the boxes send: twenty times a thousand stores' busiest hour.
ROWS_A_SECOND = 1000
#: Batches in a transaction, and records in a batch.
BATCHES, RECORDS = 10, 10


class Raw:
    """Plain SQL over crossings and receipts. Every store's day begins at four on its own clock.

    Args:
        last: the last day asked for.
    """

    def __init__(self, connection: psycopg.Connection[Any], last: date) -> None:
        self._connection = connection
        self._last = last

    def table(self, days: int) -> dict[tuple[str, int], tuple[int, int, Decimal]]:
        """Visitors, transactions and gross sales by store: of so many days (0), and of as many before (1)."""
        rows = self._connection.execute(
            """
            WITH bounds AS (
                SELECT store_id, period,
                       ((%(last)s::date - (period + 1) * %(days)s + 1) + time '04:00') AT TIME ZONE timezone AS starts,
                       ((%(last)s::date - period * %(days)s + 1) + time '04:00') AT TIME ZONE timezone AS ends
                FROM store_calendar, generate_series(0, 1) AS period
            ),
            came AS (
                SELECT b.store_id, b.period, count(*) AS visitors
                FROM crossing c
                JOIN line l ON l.line_id = c.line_id AND l.kind = 'door'
                JOIN bounds b ON b.store_id = c.store_id AND c.at >= b.starts AND c.at < b.ends
                WHERE c.direction = 'in' AND c.class <> 'staff'
                  AND c.at >= (SELECT min(starts) FROM bounds) AND c.at < (SELECT max(ends) FROM bounds)
                GROUP BY b.store_id, b.period
            ),
            sold AS (
                SELECT b.store_id, b.period, count(*) AS transactions, sum(r.gross) AS gross
                FROM receipt r
                JOIN bounds b ON b.store_id = r.store_id AND r.at >= b.starts AND r.at < b.ends
                WHERE r.kind = 'sale' AND r.channel = 'till' AND r.voided_at IS NULL
                GROUP BY b.store_id, b.period
            )
            SELECT store_id, period, coalesce(visitors, 0), coalesce(transactions, 0), coalesce(gross, 0)
            FROM bounds
            LEFT JOIN came USING (store_id, period)
            LEFT JOIN sold USING (store_id, period)
            """,
            {"last": self._last, "days": days},
        ).fetchall()
        return {(store_id, period): (came, sold, gross) for store_id, period, came, sold, gross in rows}

    def quarters(self, store: str) -> list[tuple[Any, ...]]:
        """A store's last day by quarter hour."""
        return self._connection.execute(
            """
            WITH bounds AS (
                SELECT store_id, (%(last)s::date + time '04:00') AT TIME ZONE timezone AS starts,
                       (%(last)s::date + 1 + time '04:00') AT TIME ZONE timezone AS ends
                FROM store_calendar
                WHERE store_id = %(store)s
            )
            SELECT date_bin('15 minutes', c.at, '2000-01-01Z') AS quarter, count(*), NULL
            FROM crossing c
            JOIN bounds b ON b.store_id = c.store_id AND c.at >= b.starts AND c.at < b.ends
            JOIN line l ON l.line_id = c.line_id AND l.kind = 'door'
            WHERE c.direction = 'in' AND c.class <> 'staff'
            GROUP BY 1
            UNION ALL
            SELECT date_bin('15 minutes', r.at, '2000-01-01Z'), NULL, count(*)
            FROM receipt r
            JOIN bounds b ON b.store_id = r.store_id AND r.at >= b.starts AND r.at < b.ends
            WHERE r.kind = 'sale' AND r.channel = 'till' AND r.voided_at IS NULL
            GROUP BY 1
            """,
            {"last": self._last, "store": store},
        ).fetchall()

    def heat_map(self, store: str, days: int) -> list[tuple[Any, ...]]:
        """Visitors of a store by weekday and hour of its clock."""
        return self._connection.execute(
            """
            SELECT extract(isodow FROM c.at AT TIME ZONE timezone - interval '4 hours'),
                   extract(hour FROM c.at AT TIME ZONE timezone), count(*)
            FROM crossing c
            JOIN store_calendar USING (store_id)
            JOIN line l ON l.line_id = c.line_id AND l.kind = 'door'
            WHERE c.store_id = %(store)s AND c.direction = 'in' AND c.class <> 'staff'
              AND c.at >= (%(last)s::date - %(days)s + 1 + time '04:00') AT TIME ZONE timezone
              AND c.at < (%(last)s::date + 1 + time '04:00') AT TIME ZONE timezone
            GROUP BY 1, 2
            """,
            {"last": self._last, "days": days, "store": store},
        ).fetchall()


def feed(dsn: str, stores: Sequence[str], stop: threading.Event) -> dict[str, float]:
    """Book what the stores' boxes send, at a steady pace, until told to stop; how much it was."""
    stream = _batches(stores)
    began, taken = time.monotonic(), 0
    with Database(dsn, 2) as db:
        service = IngestService(db)
        while not stop.wait(max(0.0, began + taken / ROWS_A_SECOND - time.monotonic())):
            service.take([next(stream) for _ in range(BATCHES)])
            taken += BATCHES * RECORDS
    return {"rows": taken, "rows_a_second": round(taken / (time.monotonic() - began), 1)}


def _batches(stores: Sequence[str]) -> Iterator[Incoming]:
    """Of one box after the other, without end."""
    draw = random.Random(1)
    epochs = {store: f"{draw.getrandbits(128):032x}" for store in stores}
    first = 1
    while True:
        for store in stores:
            now = datetime.now(UTC)
            records = [
                Crossing(
                    seq=first + place,
                    at=now - timedelta(seconds=RECORDS - place),
                    camera=f"{store}-C1",
                    line=f"{store}-L1",
                    direction="in" if draw.random() < 0.5 else "out",
                    track=draw.randrange(10**6),
                    confidence=0.9,
                )
                for place in range(RECORDS)
            ]
            device = f"box-{store}"
            made = make_batch(
                device=device, epoch=epochs[store], oldest=1, sent_at=now, records=records, nonce="0" * 16
            )
            yield Incoming(device, encode(made), now)
        first += RECORDS
