"""SQL of a made-up chain: its register by plain statements, everything else by binary COPY.

What the columns are is asked of the database and of the code that computes the facts, so that a fact added there is
filled here too (with zero until the generator learns of it) instead of breaking every benchmark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from psycopg import sql
from psycopg.rows import class_row, scalar_row

from cli.bench.binary import SIGNATURE, TRAILER, Cells, block
from cli.bench.trade import REGIONS, Shops
from server.storage.arrays import array
from server.storage.pool import Connection


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
    conn: Connection, table: LiteralString, columns: Sequence[str], blocks: Sequence[tuple[int, list[Cells]]]
) -> None:
    """Append rows.

    Args:
        columns: by name, as in every block.
        blocks: how many rows, and their columns.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with conn.cursor() as cursor, cursor.copy(statement) as stream:
        stream.write(SIGNATURE)
        for rows, cells in blocks:
            if rows:
                stream.write(block(rows, cells))
        stream.write(TRAILER)


_REGISTER: Final[tuple[LiteralString, ...]] = (
    """
    INSERT INTO store (store_id, name, region, currency, created_at)
    SELECT id, 'Store ' || substr(id, 2), region, 'CNY', %(since)s
    FROM unnest(%(ids)s::text[], %(regions)s::text[]) AS s (id, region)
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
)


def register(conn: Connection, chain: Shops, since: datetime, hours_open: int) -> None:
    """Add the stores with all that stands in their register, as of a moment (UTC)."""
    ids = [name.decode() for name in chain.ids.tolist()]
    given = {
        "ids": array(ids),
        "regions": array(REGIONS[region][0] for region in chain.region),
        "zones": array(REGIONS[region][1] for region in chain.region),
        "opens": array(int(hour) for hour in chain.opens),
        "street": array(name for name, street in zip(ids, chain.street, strict=True) if street),
        "hours": hours_open,
        "since": since,
    }
    for statement in _REGISTER:
        conn.execute(statement, given)
