"""The schema `bi` is what its page says, says what the API says, and leads to no person."""

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg import conninfo, sql

from server.services import Services
from server.storage import bi
from server.storage.migrate import migrate
from server.storage.pool import Database
from tests.fixtures.postgres import Server, create_database, drop_database
from tests.server.conftest import SYSTEM
from tests.server.ingest.devices import rows, scalar
from tests.server.kpi.chain import Chain, by_hand

MONDAY = date(2026, 11, 16)
Columns = dict[str, list[tuple[str, str]]]
_VIEWS = (
    "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL)"
    " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
    " WHERE c.relnamespace = 'bi'::regnamespace AND a.attnum > 0 ORDER BY c.relname, a.attnum"
)


def promised(repository_root: Path) -> Columns:
    """View to its columns and their types, in order, as the page has them."""
    text = (repository_root / "docs" / "bi.md").read_text(encoding="utf-8")
    found: Columns = {}
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        name = re.match(r"`bi\.(\w+)`", part)
        assert name, part[:50]
        found[name[1]] = re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", part, re.MULTILINE)
    return found


def test_every_column_is_as_promised(db: Database, repository_root: Path) -> None:
    held: Columns = {}
    for view, column, kind in rows(db, _VIEWS):
        held.setdefault(view, []).append((column, kind))
    assert held == promised(repository_root)


def test_the_page_says_of_every_column_what_it_is(repository_root: Path) -> None:
    text = (repository_root / "docs" / "bi.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]*) \| ([^|]+) \|$", text, re.MULTILINE)
    assert len(lines) == sum(map(len, promised(repository_root).values()))
    for column, kind, unit, words in lines:
        assert words.strip(), column
        if kind.startswith(("timestamp", "time ")):
            assert unit.strip(), f"{column} has no timezone"
        if kind in {"numeric", "integer", "bigint"} and column != "mark_id":
            assert unit.strip(), f"{column} has no unit"


@pytest.fixture
def shops(db: Database) -> Chain:
    shops = Chain(db)
    by_hand(shops)
    shops.store("K01", timezone="Asia/Kathmandu", region="west", currency="NPR")
    shops.watch("K01", "2026-11-16 10:00", "2026-11-16 11:00")
    shops.cross("K01", "2026-11-16 10:40", 4, groups=2)
    shops.sell("K01", "2026-11-16 10:45", "12.30")
    shops.kpi.recompute("S01", MONDAY)
    shops.kpi.recompute("K01", MONDAY)
    shops.forget_marks()
    return shops


@pytest.fixture
def reader(db: Database, shops: Chain) -> Iterator[psycopg.Connection[Any]]:
    """A connection that is in the readers' role and nothing else."""
    with psycopg.connect(db.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(bi.READERS)))
        yield connection


@pytest.mark.parametrize("store", ["S01", "K01"])
def test_a_day_reads_as_the_api_tells_it(shops: Chain, reader: psycopg.Connection[Any], store: str) -> None:
    columns = [
        "conversion",
        "net_sales",
        "gross_sales",
        "refunds",
        "atv",
        "visitors",
        "entries",
        "exits",
        "transactions",
    ]
    told = shops.kpi.report(SYSTEM, kpis=columns, day_from=MONDAY, day_to=MONDAY, store_ids=[store]).total
    for view, column in (("store_days", "day"), ("store_hours", "day")):
        names = ", ".join(columns) if view == "store_days" else "sum(visitors), sum(net_sales), sum(transactions)"
        query = f"SELECT {names} FROM bi.{view} WHERE store_id = %s AND {column} = %s"
        read = reader.execute(query.encode(), (store, MONDAY)).fetchone()
        wanted = columns if view == "store_days" else ["visitors", "net_sales", "transactions"]
        assert read is not None
        assert dict(zip(wanted, read, strict=True)) == {name: told.values[name].value for name in wanted}
    covered = reader.execute("SELECT coverage FROM bi.store_days WHERE store_id = %s", (store,)).fetchone()
    assert covered is not None
    assert float(covered[0]) == pytest.approx(told.coverage, abs=1e-6)
    # Half of K01's day was not watched: its conversion is withheld here too.
    assert (told.values["conversion"].value is None) == (store == "K01")


def test_an_hour_stands_on_the_clock_at_the_wall(reader: psycopg.Connection[Any]) -> None:
    read = reader.execute(
        "SELECT hour, hour_local FROM bi.store_hours WHERE store_id = 'K01' AND entries > 0"
    ).fetchall()
    assert read == [(datetime(2026, 11, 16, 4, 15, tzinfo=UTC), datetime(2026, 11, 16, 10))]  # noqa: DTZ001 - a wall's
    assert reader.execute(
        "SELECT count(*) FROM bi.store_hours WHERE extract(hour FROM hour_local) <> local_hour"
    ).fetchone() == (0,)


def test_only_the_answer_that_stands_is_read(shops: Chain, reader: psycopg.Connection[Any]) -> None:
    shops.cross("S01", "2026-11-16 10:06", 2)
    assert shops.kpi.recompute("S01", MONDAY)
    read = reader.execute("SELECT entries FROM bi.store_days WHERE store_id = 'S01'").fetchall()
    assert len(read) == 1


def test_readers_reach_the_views_and_nothing_else(db: Database, reader: psycopg.Connection[Any]) -> None:
    views = [view for (view,) in rows(db, "SELECT relname::text FROM pg_class WHERE relnamespace = 'bi'::regnamespace")]
    assert len(views) > 10
    for view in views:
        reader.execute(sql.SQL("SELECT * FROM bi.{}").format(sql.Identifier(view)))
        for verb in ("DELETE FROM bi.{}", "INSERT INTO bi.{} DEFAULT VALUES"):
            # Views that add up take nothing from anybody.
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)):
                reader.execute(sql.SQL(verb).format(sql.Identifier(view)))
    tables = rows(
        db,
        "SELECT oid, relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p', 'v', 'm', 'f') AND oid NOT IN"
        " (SELECT objid FROM pg_depend WHERE deptype = 'e' AND classid = 'pg_class'::regclass)",
    )
    assert len(tables) > 40
    for oid, name in tables:
        allowed = reader.execute("SELECT has_any_column_privilege(%s::oid, 'SELECT')", (oid,)).fetchone()
        assert allowed == (False,), name
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("CREATE TABLE public.mine (x integer)")


def test_nothing_in_it_leads_to_a_person(chain: Services) -> None:
    """Every value of every view, beside all that names a member, a cashier or a user."""
    shops = Chain(chain.db)
    shops.zones["S01"] = ZoneInfo("Asia/Shanghai")
    number = shops.sell("S01", "2026-11-16 11:00", "99.00", member=uuid.UUID("8c1d6c1e-7a55-4a55-9c41-6f1e0a3a9d11"))
    with chain.db.transaction() as connection:
        connection.execute("UPDATE receipt SET cashier = 'cashier-wang', tender = 'card-4242'")
        connection.execute(
            "INSERT INTO member (member_id, card_no, home_store, key_id, name_enc, phone_enc, enrolled_by, enrolled_at)"
            " VALUES ('8c1d6c1e-7a55-4a55-9c41-6f1e0a3a9d11', 'VIP-777', 'S01', 'k', '\\xdeadbeef', '\\xfeedface',"
            " 'clerk-li', '2026-11-16 03:00Z')"
        )
        connection.execute(
            "INSERT INTO member_token VALUES ('phone', '\\xabad1dea', '8c1d6c1e-7a55-4a55-9c41-6f1e0a3a9d11')"
        )
    said = ""
    with chain.db.read() as connection:
        for (view,) in connection.execute(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'bi'::regnamespace"
        ).fetchall():
            found = connection.execute(
                sql.SQL("SELECT v::text FROM bi.{} AS v").format(sql.Identifier(view))
            ).fetchall()
            said += "".join(text for (text,) in found)
    assert number in said
    assert "S01,2026-11-16,member,1" in said
    for secret in (
        "8c1d6c1e",
        "VIP-777",
        "deadbeef",
        "feedface",
        "abad1dea",
        "cashier-wang",
        "4242",
        "clerk-li",
        "陈店长",
    ):
        assert secret not in said
    used = rows(
        chain.db,
        "SELECT table_name::text, column_name::text FROM information_schema.view_column_usage WHERE view_schema = 'bi'"
        " AND table_name = 'member' OR table_name ~ '^(member_|app_user|user|session|api_key|audit)'",
    )
    assert {column for table, column in used if table == "member"} <= {
        "home_store",
        "tier",
        "enrolled_at",
        "erased_at",
        "merged_into",
    }
    assert {table for table, _ in used} <= {"member"}


def test_an_owner_who_may_make_no_roles_migrates_all_the_same(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, readers = f"owner_{uuid.uuid4().hex[:8]}", f"readers_{uuid.uuid4().hex[:8]}"
    monkeypatch.setattr(bi, "READERS", readers)
    admin = postgres.dsn_of("postgres")
    create_database(postgres, owner)
    try:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(sql.Identifier(owner)))
            connection.execute(sql.SQL("ALTER DATABASE {0} OWNER TO {0}").format(sql.Identifier(owner)))
            dsn = conninfo.make_conninfo(postgres.dsn_of(owner), user=owner, password="x")
            assert migrate(dsn)
            granted = "SELECT has_schema_privilege(%s, 'bi', 'USAGE')"
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(readers)))
            with psycopg.connect(dsn) as own:
                assert own.execute(granted, (readers,)).fetchone() == (False,)
            assert migrate(dsn) == []
            with psycopg.connect(dsn) as own:
                assert own.execute(granted, (readers,)).fetchone() == (True,)
    finally:
        drop_database(postgres, owner)
        with psycopg.connect(admin, autocommit=True) as connection:
            for role in (owner, readers):
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def test_the_role_is_made_where_it_may_be(db: Database) -> None:
    assert scalar(db, "SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", bi.READERS) is False
