"""Reports are read from the read replica where one is given, and from the database itself while it is away."""

from collections.abc import Iterator
from datetime import date

import pytest
from psycopg import conninfo
from pydantic import SecretStr

from server.errors import Unavailable
from server.services import make_services
from server.settings import Settings
from server.storage import pool
from server.storage.pool import Database, Replica
from tests.fixtures.postgres import Server, create_database, drop_database
from tests.server.kpi.chain import SYSTEM, Chain

MONDAY = date(2026, 11, 16)


@pytest.fixture
def replica(postgres: Server, template_database: str, db_dsn: str) -> Iterator[Database]:
    """Another database than the test's own: what is read in it tells that it was asked."""
    name = f"replica_of_{_name(db_dsn)}"
    create_database(postgres, name, template=template_database)
    with Database(postgres.dsn_of(name), size=2) as database:
        yield database
    drop_database(postgres, name)


def _name(dsn: str) -> str:
    return str(conninfo.conninfo_to_dict(dsn)["dbname"])


def _counted(db: Database, entries: int) -> Chain:
    shops = Chain(db)
    shops.store("S01")
    shops.watch("S01", "2026-11-16 10:00", "2026-11-16 12:00")
    shops.cross("S01", "2026-11-16 10:00", entries)
    shops.kpi.recompute("S01", MONDAY)
    shops.forget_marks()
    return shops


def test_reports_are_read_from_the_replica_and_what_must_be_of_now_is_not(
    db: Database, replica: Database, settings: Settings
) -> None:
    shops, _ = _counted(db, 3), _counted(replica, 5)
    own = settings.model_copy(update={"read_dsn": SecretStr(replica.dsn)})
    with make_services(own, shops.clock) as services:
        asked = services.kpi.report(SYSTEM, kpis=["entries"], day_from=MONDAY, day_to=MONDAY)
        assert asked.total.values["entries"].value == 5
        recent = services.kpi.recent(SYSTEM, kpis=["entries"], days=30, back=1)
        assert recent.total.values["entries"].value == 5
        # A page that shows today, and whatever is decided by, asks the database that is written to.
        assert services.kpi.day(SYSTEM, "S01", MONDAY).facts.entries == 3
    with make_services(settings, shops.clock) as services:
        assert services.reading is services.db
        asked = services.kpi.report(SYSTEM, kpis=["entries"], day_from=MONDAY, day_to=MONDAY)
        assert asked.total.values["entries"].value == 3


def test_while_the_replica_is_away_the_database_itself_is_asked(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 1)
    with Database("postgresql://nobody@127.0.0.1:1/nothing", size=1) as gone:
        reading = Replica(gone, db)
        for _ in range(2):
            with reading.read() as connection:
                assert connection.info.dbname == _name(db.dsn)


def test_a_replica_lost_on_the_way_is_said_to_be_and_nothing_is_answered_twice(db: Database, replica: Database) -> None:
    begun = 0
    with pytest.raises(Unavailable), Replica(replica, db).read() as connection:  # noqa: PT012
        begun += 1
        with db.transaction() as other:
            other.execute("SELECT pg_terminate_backend(%s, 20000)", (connection.info.backend_pid,))
        connection.execute("SELECT 1")
    assert begun == 1
