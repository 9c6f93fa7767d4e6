"""A fact is named once: the tables and `Facts` can't drift apart."""

import pytest

from server.kpi.models import FACT_NAMES
from server.storage.pool import Database

#: What a row says besides its facts.
KEYS = {
    "store_day": {"store_id", "day", "version", "computed_at", "superseded_at", "provisional"},
    "store_hour": {"store_id", "hour", "day", "local_hour", "since_version"},
    "store_day_beside": {"store_id", "day", "shift", "computed_at"},
    "store_hour_past": {"store_id", "hour", "day", "local_hour", "since_version", "until_version"},
}
NOT_ADDITIVE = {"occupancy", "occupancy_peak", "drift"}


@pytest.mark.parametrize("table", list(KEYS))
def test_the_columns_of_a_row_are_the_facts(db: Database, table: str) -> None:
    with db.read() as conn:
        rows = conn.execute(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = %s AND is_nullable = 'NO'"
            " UNION SELECT 'superseded_at', '' WHERE %s = 'store_day'",
            (table, table),
        ).fetchall()
        errors = conn.execute(
            "SELECT data_type FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
            " AND column_name = 'audit_errors'",
            (table,),
        ).fetchone()
    columns = {name for name, _ in rows}
    assert errors == ("jsonb",)
    assert columns == KEYS[table] | NOT_ADDITIVE | set(FACT_NAMES)


def test_a_week_has_a_sum_of_every_fact(db: Database) -> None:
    with db.read() as conn:
        columns = conn.execute(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = 'store_week' AND is_nullable = 'NO'"
        ).fetchall()
    assert {name for (name,) in columns} == {"week", "days", "store_id"} | set(FACT_NAMES)
