"""A database on a server that has TimescaleDB, where there is one."""

import os
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import conninfo, sql

from tests.fixtures.skips import skip_or_fail


@pytest.fixture
def timescale_dsn() -> Iterator[str]:
    """An empty database on a server that has the extension."""
    given = os.environ.get("DOORLINE_TIMESCALE_DSN", "")
    if not given:
        skip_or_fail(
            "TimescaleDB", "set DOORLINE_TIMESCALE_DSN to a server that has it, as a user who may add databases"
        )
    name = sql.Identifier(f"doorline_test_{uuid.uuid4().hex[:12]}")
    with psycopg.connect(given, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        yield conninfo.make_conninfo(given, dbname=name.as_string().strip('"'))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
