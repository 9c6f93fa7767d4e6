"""SQL of a made-up chain: its register by plain statements, everything else by binary COPY.

What the columns are is asked of the database and of the code that computes the facts, so that a fact added there is
filled here too (with zero until the generator learns of it) instead of breaking every benchmark.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from psycopg import sql
from psycopg.rows import class_row, scalar_row

from cli.bench.binary import SIGNATURE, TRAILER, Cells, Mask, block
from cli.bench.trade import REGIONS, Shops
from server.kpi.corrections.in_force import Audit
from server.storage import timescale
from server.storage.pool import Connection

#: What a chain is large in.
_LARGE: Final = ("store_day", "store_hour", "traffic_15m", "coverage_15m", "roster_shift", "crossing")


@dataclass(frozen=True, slots=True)
class ColumnType:
    """PostgreSQL's type of a column; `scale` is meant where it is numeric."""

    name: str
    type: str
    scale: int


def store_count(conn: Connection) -> int:
    """How many stores there are."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        found: int | None = cursor.execute("SELECT count(*) FROM store").fetchone()
    return found or 0


def audits(conn: Connection) -> dict[str, int]:
    """The number of each store's audit, where it has one."""
    found = conn.execute("SELECT store_id, correction_id FROM correction WHERE kind = 'accuracy'")
    return {store_id: int(number) for store_id, number in found}


def column_types(conn: Connection, table: str) -> dict[str, ColumnType]:
    """The columns of a table by name."""
    with conn.cursor(row_factory=class_row(ColumnType)) as cursor:
        found = cursor.execute(
            """
            SELECT attname AS name, format_type(atttypid, NULL) AS type, ((atttypmod - 4) & 65535) AS scale
            FROM pg_attribute
            WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
            """,
            (table,),
        ).fetchall()
    return {column.name: column for column in found}


def copy(
    conn: Connection,
    table: LiteralString,
    columns: Sequence[str],
    blocks: Sequence[tuple[int, list[Cells]]],
    *,
    frozen: bool,
) -> None:
    """Append rows.

    Args:
        columns: by name, as in every block.
        blocks: how many rows, and their columns.
        frozen: whether the table is one of `in_bulk`.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY, FREEZE {})").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Literal(frozen)
    )
    with conn.cursor() as cursor, cursor.copy(statement) as stream:
        stream.write(SIGNATURE)
        for rows, cells in blocks:
            if rows:
                stream.write(block(rows, cells))
        stream.write(TRAILER)


@contextmanager
def in_bulk(conn: Connection) -> Iterator[frozenset[str]]:
    """Have the large tables, which are empty, take their rows without their indexes, and make these afterwards.

    A hundred million rows go into an order of stores at a third of the price when they are sorted once. A table that
    was emptied in the same transaction needs no log where the server keeps none for copies, and its rows can be
    written as ones that everybody sees, so that no vacuum writes them once more. Hypertables are left as they are:
    their indexes are their chunks'.

    Args:
        conn: in the transaction that writes the rows.

    Returns:
        Which tables may be written so.
    """
    conn.execute("SET LOCAL maintenance_work_mem = '512MB'")
    tables = [table for table in _LARGE if not timescale.is_hypertable(conn, table)]
    with conn.cursor(row_factory=class_row(_Dropped)) as cursor:
        found = cursor.execute(
            """
            SELECT i.indrelid::regclass::text AS on_table, x.relname AS name, c.conname IS NOT NULL AS is_key,
                   coalesce(pg_get_constraintdef(c.oid), pg_get_indexdef(i.indexrelid)) AS made_by
            FROM pg_index i
            JOIN pg_class x ON x.oid = i.indexrelid
            LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u')
            WHERE i.indrelid = ANY(%s::text[]::regclass[])
            """,
            (tables,),
        ).fetchall()
    for table in tables:
        conn.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(table)))
    for each in found:
        conn.execute(
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}" if each.is_key else "DROP INDEX {1}").format(
                sql.Identifier(each.on_table), sql.Identifier(each.name)
            )
        )
    yield frozenset(tables)
    for each in found:
        conn.execute(each.statement)


@dataclass(frozen=True, slots=True)
class _Dropped:
    """An index that is made again."""

    on_table: str
    name: str
    is_key: bool
    made_by: str

    @property
    def statement(self) -> sql.Composed:
        """What makes it."""
        # As the database itself wrote it down.
        made_by = sql.SQL(self.made_by)
        if not self.is_key:
            return sql.Composed([made_by])
        return sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
            sql.Identifier(self.on_table), sql.Identifier(self.name), made_by
        )


_REGISTER: Final[tuple[LiteralString, ...]] = (
    """
    INSERT INTO store (store_id, name, currency, created_at)
    SELECT id, 'Store ' || substr(id, 2), 'CNY', %(since)s
    FROM unnest(%(ids)s::text[]) AS s (id)
    """,
    """
    INSERT INTO store_label (store_id, valid_from, region)
    SELECT id, '2000-01-01', region FROM unnest(%(ids)s::text[], %(regions)s::text[]) AS s (id, region)
    """,
    """
    INSERT INTO store_calendar (store_id, valid_from, timezone)
    SELECT id, '2000-01-01', zone FROM unnest(%(ids)s::text[], %(zones)s::text[]) AS s (id, zone)
    """,
    """
    INSERT INTO opening_hours (store_id, valid_from, weekday, opens, closes)
    SELECT id, '2000-01-01', weekday, make_time(hour, 0, 0), make_time(hour + %(hours)s, 0, 0)
    FROM unnest(%(ids)s::text[], %(opens)s::int[]) AS s (id, hour), generate_series(0, 6) AS weekday
    """,
    """
    INSERT INTO camera (camera_id, store_id, name, installed_at)
    SELECT id || '-C1', id, 'Door', %(since)s FROM unnest(%(ids)s::text[]) AS id
    UNION ALL
    SELECT id || '-C2', id, 'Street', %(since)s FROM unnest(%(street)s::text[]) AS id
    """,
    """
    INSERT INTO line (line_id, camera_id, store_id, name, kind)
    SELECT id || '-L1', id || '-C1', id, 'Door', 'door' FROM unnest(%(ids)s::text[]) AS id
    UNION ALL
    SELECT id || '-L2', id || '-C2', id, 'Street', 'street' FROM unnest(%(street)s::text[]) AS id
    """,
    """
    INSERT INTO device (device_id, store_id, created_at)
    SELECT 'box-' || id, id, %(since)s FROM unnest(%(ids)s::text[]) AS id
    """,
    """
    INSERT INTO kpi_setting (store_id, key, valid_from, value, changed_by, changed_at)
    SELECT id, 'takes_check_ins', '2000-01-01', 1, 'bench', %(since)s FROM unnest(%(checks_in)s::text[]) AS id
    """,
    """
    INSERT INTO correction (store_id, kind, line_id, day_from, value, counted, missed, invented, reason, made_by,
                            made_at)
    SELECT id, 'accuracy', id || '-L1', '2000-01-01', %(factor)s, %(counted)s, %(missed)s, %(invented)s, 'Hand count',
           'bench', %(since)s
    FROM unnest(%(audited)s::text[]) AS id
    """,
)


def register(conn: Connection, chain: Shops, since: datetime, hours_open: int, audit: Audit) -> None:
    """Add the stores with all that stands in their register, as of a moment (UTC).

    Args:
        audit: of the doors that were audited.
    """
    ids = [name.decode() for name in chain.ids.tolist()]

    def those(mask: Mask) -> list[str]:
        return [name for name, is_one in zip(ids, mask, strict=True) if is_one]

    given = {
        "ids": ids,
        "regions": [REGIONS[region][0] for region in chain.region],
        "zones": [REGIONS[region][1] for region in chain.region],
        "opens": [int(hour) for hour in chain.opens],
        "street": those(chain.street),
        "checks_in": those(chain.checks_in),
        "audited": those(chain.audited),
        "factor": audit.factor,
        "counted": audit.counted,
        "missed": audit.missed,
        "invented": audit.invented,
        "hours": hours_open,
        "since": since,
    }
    for statement in _REGISTER:
        conn.execute(statement, given)
