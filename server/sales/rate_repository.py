"""SQL of rates, and of sums of sales by them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from psycopg.rows import class_row

from server.access.models import Scope
from server.storage.pool import Connection


class RateLike(Protocol):
    """What one unit of a currency is worth from a day on."""

    @property
    def currency(self) -> str:
        """ISO 4217."""

    @property
    def valid_from(self) -> date:
        """First day."""

    @property
    def rate(self) -> Decimal:
        """In the reporting currency."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate as kept."""

    currency: str
    reporting: str
    valid_from: date
    rate: Decimal
    entered_by: str
    entered_at: datetime


@dataclass(frozen=True, slots=True)
class SalesSum:
    """What a store sold in one currency.

    Attributes:
        reporting: of those days that have a rate.
        missing_from: first day without a rate; None: each has one.
    """

    store_id: str
    currency: str
    receipts: int
    gross: Decimal
    refunds: Decimal
    net_of_tax: Decimal | None
    reporting: Decimal
    missing_from: date | None
    missing_to: date | None


def rates(conn: Connection, reporting: str, currency: str | None) -> list[Rate]:
    """Rates into a currency, by currency, the latest first."""
    with conn.cursor(row_factory=class_row(Rate)) as cursor:
        return cursor.execute(
            """
            SELECT currency, reporting, valid_from, rate, entered_by, entered_at
            FROM exchange_rate
            WHERE reporting = %(reporting)s AND (%(currency)s::text IS NULL OR currency = %(currency)s)
            ORDER BY currency, valid_from DESC
            """,
            {"reporting": reporting, "currency": currency},
        ).fetchall()


def put(
    conn: Connection, reporting: str, new: Sequence[RateLike], who: str, at: datetime
) -> dict[tuple[str, date], Decimal]:
    """Keep rates; returns those that were there before under the same currency and day."""
    keys = ([rate.currency for rate in new], [rate.valid_from for rate in new])
    before = conn.execute(
        """
        SELECT currency, valid_from, rate
        FROM exchange_rate
        JOIN unnest(%s::text[], %s::date[]) AS wanted (currency, valid_from) USING (currency, valid_from)
        WHERE reporting = %s
        FOR UPDATE
        """,
        (*keys, reporting),
    ).fetchall()
    conn.execute(
        """
        INSERT INTO exchange_rate (currency, valid_from, rate, reporting, entered_by, entered_at)
        SELECT r.*, %s, %s, %s FROM unnest(%s::text[], %s::date[], %s::numeric[]) AS r
        ON CONFLICT (currency, reporting, valid_from) DO UPDATE
        SET rate = excluded.rate, entered_by = excluded.entered_by, entered_at = excluded.entered_at
        WHERE exchange_rate.rate <> excluded.rate
        """,
        (reporting, who, at, *keys, [rate.rate for rate in new]),
    )
    return {(currency, valid_from): rate for currency, valid_from, rate in before}


def sums(
    conn: Connection,
    scope: Scope,
    reporting: str,
    day_from: date,
    day_to: date,
    store_ids: Sequence[str] | None,
    channel: str,
) -> list[SalesSum]:
    """What stores sold over business days, by store and currency.

    A day is the store's own, by the calendar that was valid on it; it has one rate, the latest that began on it or
    before. Receipts are found by store and time, a day wider than any timezone.
    """
    with conn.cursor(row_factory=class_row(SalesSum)) as cursor:
        return cursor.execute(
            """
            WITH sold AS (
                SELECT r.store_id, r.currency, local.day, r.kind, r.gross, r.net
                FROM receipt r
                JOIN LATERAL (
                    SELECT ((r.at AT TIME ZONE c.timezone) - c.day_starts)::date AS day
                    FROM store_calendar c
                    WHERE c.store_id = r.store_id
                      AND (c.valid_from <= ((r.at AT TIME ZONE c.timezone) - c.day_starts)::date
                           OR NOT EXISTS (SELECT FROM store_calendar e
                                          WHERE e.store_id = c.store_id AND e.valid_from < c.valid_from))
                    ORDER BY c.valid_from DESC
                    LIMIT 1
                ) AS local ON local.day BETWEEN %(day_from)s AND %(day_to)s
                WHERE r.at >= %(day_from)s::timestamp AT TIME ZONE 'UTC' - interval '2 days'
                  AND r.at < %(day_to)s::timestamp AT TIME ZONE 'UTC' + interval '3 days'
                  AND r.kind <> 'void' AND r.voided_at IS NULL
                  AND (%(channel)s = '' OR r.channel = %(channel)s)
                  AND (%(store_ids)s::text[] IS NULL OR r.store_id = ANY(%(store_ids)s))
                  AND (%(scope)s::text[] IS NULL OR r.store_id = ANY(%(scope)s))
            ),
            days AS (
                SELECT store_id, currency, day, count(*) AS receipts,
                       coalesce(sum(gross) FILTER (WHERE kind = 'sale'), 0) AS gross,
                       coalesce(sum(gross) FILTER (WHERE kind = 'refund'), 0) AS refunds,
                       CASE WHEN count(net) = count(*)
                            THEN sum(CASE kind WHEN 'sale' THEN net ELSE -net END) END AS net_of_tax
                FROM sold
                GROUP BY store_id, currency, day
            ),
            priced AS (
                SELECT d.*,
                       CASE WHEN d.currency = %(reporting)s THEN 1 ELSE (
                           SELECT x.rate
                           FROM exchange_rate x
                           WHERE x.currency = d.currency AND x.reporting = %(reporting)s AND x.valid_from <= d.day
                           ORDER BY x.valid_from DESC
                           LIMIT 1
                       ) END AS rate
                FROM days d
            )
            SELECT store_id, currency, sum(receipts)::int AS receipts, sum(gross) AS gross, sum(refunds) AS refunds,
                   CASE WHEN count(net_of_tax) = count(*) THEN sum(net_of_tax) END AS net_of_tax,
                   coalesce(sum((gross - refunds) * rate), 0) AS reporting,
                   min(day) FILTER (WHERE rate IS NULL) AS missing_from,
                   max(day) FILTER (WHERE rate IS NULL) AS missing_to
            FROM priced
            GROUP BY store_id, currency
            ORDER BY store_id, currency
            """,
            {
                "reporting": reporting,
                "day_from": day_from,
                "day_to": day_to,
                "store_ids": None if store_ids is None else list(store_ids),
                "channel": channel,
                "scope": scope.store_ids,
            },
        ).fetchall()
