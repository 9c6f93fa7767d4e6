"""A row for every table of the schema, as it stood after any of its migrations.

Values follow from a column's name and type, so that a table nobody has thought of here is filled all the same; what a
table's own rules ask for stands in `ASKED`. Together the rows are one store whose door saw two people and whose till
rang up one receipt, so that after an upgrade there is something to answer from.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime
from typing import Any, Final

import psycopg
from psycopg import sql

#: Noon of a Monday in Shanghai; the store is open.
NOON: Final = datetime(2026, 11, 16, 4, tzinfo=UTC)
DAY: Final = date(2026, 11, 16)

_BY_NAME: Final[dict[str, Any]] = {
    "store_id": "S01",
    "camera_id": "S01-C1",
    "line_id": "S01-L1",
    "device_id": "door-1",
    "timezone": "Asia/Shanghai",
    "receipt_no": "R1",
    "direction": "in",
    "class": "adult",
    "state": "ok",
    "day": DAY,
}
_BY_TYPE: Final[dict[str, Any]] = {
    "boolean": False,
    "bytea": b"\x01",
    "date": DAY,
    "double precision": 1,
    "bigint": 1,
    "integer": 1,
    "jsonb": "{}",
    "numeric": 1,
    "real": 1,
    "smallint": 1,
    "text": "x",
    "text[]": [],
    "time without time zone": "09:00",
    "time without time zone[]": [],
    "timestamp with time zone": NOON,
    "uuid": "8c1d6c1e-7a55-4a55-9c41-6f1e0a3a9d11",
}
ASKED: Final[dict[str, dict[str, Any]]] = {
    "api_key": {"role": "hq"},
    "app_user": {"role": "admin", "locale": "zh"},
    "coverage": {"minute": NOON, "seconds": 60},
    "coverage_15m": {"quarter": NOON, "minute_seconds": [60] + [0] * 14, "seconds": 60},
    "correction": {"kind": "staff_rate", "day_from": DAY, "value": 2},
    "crossing": {"at": NOON, "opens_group": True},
    "event": {"kind": "receipt.recorded"},
    "check_in": {"how": "card"},
    "desk_item": {"kind": "enrolment"},
    "member_value": {"stage": "active"},
    "saved_view": {"address": "/hq"},
    "serving_cost": {"occasion": "sale"},
    "device_certificate": {
        "fingerprint": "a" * 64,
        "authority": "b" * 40,
        "serial": "c",
        "not_after": NOON.replace(year=2030),
    },
    "device_request": {"kind": "snapshot"},
    "fact": {"kind": "event"},
    "holiday": {"country": "CN", "kind": "holiday", "day": DAY.replace(month=1)},
    "member": {"home_store": "S01"},
    "consent_wording": {"purpose": "membership", "locale": "zh"},
    "member_attachment": {"audience": "store"},
    "member_consent": {"purpose": "membership"},
    "member_field": {"field": "size", "kind": "text"},
    "member_note": {"audience": "store"},
    "member_phone": {"why": "changed"},
    "member_rule": {"rule": "inactive", "days": 365},
    "member_token": {"kind": "phone"},
    "opening_exception": {"day": DAY.replace(month=1)},
    "opening_hours": {"opens": "09:00", "closes": "22:00", "weekday": 0, "valid_from": date(2000, 1, 1)},
    "points_entry": {"kind": "earn"},
    "points_receipt": {"kind": "sale"},
    "receipt": {"kind": "sale", "channel": "till", "at": NOON, "currency": "CNY", "gross": 80, "units": 1},
    "exchange_rate": {"reporting": "y"},
    "sales_import": {"state": "done"},
    "member_import": {"state": "done"},
    "webhook_delivery": {"state": "waiting"},
    "roster_shift": {"ends_at": NOON.replace(hour=6)},
    "store_calendar": {"valid_from": date(2000, 1, 1)},
    "store_day": {"open_quarters": 52},
    "store_hour": {"hour": NOON, "local_hour": 12},
    "store_hour_past": {"hour": NOON.replace(hour=3), "local_hour": 11, "since_version": 1, "until_version": 2},
    "tally": {
        "payload": '{"type": "tally", "from_seq": 1, "seq": 1, "crossings": [{"line": "S01-L1", "camera": "S01-C1",'
        ' "direction": "in", "start": "2026-11-16T04:00:00Z", "span": 900, "count": 1, "groups": 1}], "coverage": []}'
    },
    "tier_change": {"to_tier": "y", "why": "earned"},
    "traffic_15m": {"quarter": NOON, "count": 2, "groups": 2},
    "camera": {"installed_at": NOON.replace(month=1)},
    "value_setting": {"currency": "CNY", "spend_order": "proportional", "bonus_borne_by": "seller"},
    "value_bonus_rule": {"currency": "CNY"},
    "value_card": {"currency": "CNY"},
    "value_holder": {"why": "registered"},
    "value_posting": {
        "kind": "top_up",
        "card_id": "8c1d6c1e-7a55-4a55-9c41-6f1e0a3a9d11",
        "currency": "CNY",
        "bonus_borne_by": "seller",
    },
    "value_account": {"kind": "principal", "currency": "CNY", "lot_id": 1},
    # Of nothing: the entries of a posting sum to zero.
    "value_entry": {"amount": 0},
    "coupon_definition": {
        "kind": "amount",
        "currency": "CNY",
        "stacking": "any",
        "on_refund": "restore",
        "valid_until": NOON.replace(year=2030),
    },
    "coupon_redemption": {"currency": "CNY"},
}

_TABLES: Final = """
    SELECT relname::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'schema_migration'
    ORDER BY oid
"""
_COLUMNS: Final = """
    SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attnotnull AND attidentity = ''
      AND (NOT atthasdef OR atttypid = 'uuid'::regtype)
"""


def fill(connection: psycopg.Connection[Any], only: Collection[str] | None = None) -> None:
    """Put a row into every table that has none; or of those, into these only.

    Raises:
        AssertionError: a table's rules ask for more than is known here.
    """
    for table in tables(connection):
        if only is not None and table not in only:
            continue
        name = sql.Identifier(table)
        if connection.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(name)).fetchone() is not None:
            continue
        columns = connection.execute(_COLUMNS, (table,)).fetchall()
        row = {column: _BY_NAME.get(column, _BY_TYPE.get(kind)) for column, kind in columns} | ASKED.get(table, {})
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            name,
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)),
        )
        try:
            connection.execute(statement, list(row.values()))
        except psycopg.Error as error:
            raise AssertionError(f"{table}: {error}; say in `ASKED` what a row of it looks like") from error


def tables(connection: psycopg.Connection[Any]) -> list[str]:
    """Every table of ours, in the order in which they were made."""
    return [table for (table,) in connection.execute(_TABLES)]
