"""SQL of the settings that KPIs are made with, as they were set one after the other."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from psycopg.rows import class_row

from server.access.models import Scope
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class SettingVersion:
    """A setting from a business day on.

    Attributes:
        store_id: whose it is; '' is the chain's default.
    """

    store_id: str
    key: str
    valid_from: date
    value: Decimal
    changed_by: str
    changed_at: datetime


def versions(conn: Connection, scope: Scope) -> list[SettingVersion]:
    """Every version of the chain's settings and of those of the scope's stores, the latest first."""
    with conn.cursor(row_factory=class_row(SettingVersion)) as cursor:
        return cursor.execute(
            """
            SELECT store_id, key, valid_from, value, changed_by, changed_at
            FROM kpi_setting
            WHERE store_id = '' OR %(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s)
            ORDER BY key, store_id, valid_from DESC
            """,
            {"scope": scope.store_ids},
        ).fetchall()
