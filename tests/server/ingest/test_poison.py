"""A batch the database chokes on waits alone; a database that takes nothing is waited for, and nobody is blamed."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from server.errors import Unavailable
from server.ingest.broker import EmbeddedBroker
from server.ingest.intake import Limits
from server.ingest.models import Answer, Incoming
from server.ingest.poison import REST, Group, Suspects
from server.ingest.reading import Batch, read
from server.ingest.service import IngestService
from server.storage import embedded_place
from server.storage.embedded import EmbeddedPostgres
from server.storage.pool import Database
from tests.fixtures.wait import wait_until
from tests.server.ingest.boxes import Box, boxes, working
from tests.server.ingest.devices import (
    NOW,
    Sender,
    add_stores,
    assert_roll_ups_equal_raw,
    coverage,
    crossing,
    scalar,
    tell,
)
from wire.messages import Ack, CrossingSum, Refusal, Tally

__all__ = ["boxes"]

#: A crossing of this track is what the database chokes on.
POISON = 13


@contextmanager
def choking(db: Database, on_poison: str) -> Iterator[None]:
    """What the database does with a crossing of the track `POISON`, in PL/pgSQL."""
    with db.transaction() as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION choke() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF NEW.track = {POISON} THEN {on_poison} END IF; RETURN NEW; END $$".encode()
        )
        connection.execute("CREATE TRIGGER choke BEFORE INSERT ON crossing FOR EACH ROW EXECUTE FUNCTION choke()")
    yield
    with db.transaction() as connection:
        connection.execute("DROP TRIGGER choke ON crossing")


class Turned:
    """A clock that is turned by hand."""

    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def impatient(db_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database that gives each statement half a second."""
    monkeypatch.setattr("server.ingest.service._PATIENCE_S", 0.3)
    monkeypatch.setattr("server.ingest.poison._PROOF_MS", 300)
    with Database(db_dsn, size=2, statement_seconds=0.5) as db:
        add_stores(db)
        yield db


def test_a_batch_that_takes_too_long_waits_alone_and_is_taken_once_it_can_be(impatient: Database) -> None:
    clock = Turned()
    service = IngestService(impatient, clock)
    slow, others = Sender("door-2"), [Sender("door-1") for _ in range(4)]
    poison = slow.batch([crossing(1), crossing(2, track=POISON)])

    def asked(number: int) -> list[type]:
        group = [sender.batch([crossing(number)]) for sender in others]
        return [type(reply) for reply in tell(service, *group[:2], poison, *group[2:])]

    with choking(impatient, "PERFORM pg_sleep(60);"):
        assert asked(1) == [Ack, Ack, Refusal, Ack, Ack]
        assert asked(2) == [Ack, Ack, Refusal, Ack, Ack]
        clock.now = NOW + REST
        [refusal] = tell(service, poison)
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.epoch, refusal.first_seq) == ("not_writable", slow.epoch, 1)
        assert "took too long" in refusal.reason
        assert scalar(impatient, "SELECT count(*) FROM crossing WHERE device_id = 'door-2'") == 0
    # It rests again; nobody is asked meanwhile whether it could be written by now.
    assert asked(3) == [Ack, Ack, Refusal, Ack, Ack]
    clock.now += REST
    assert asked(4) == [Ack, Ack, Ack, Ack, Ack]
    assert tell(service, slow.batch([crossing(3)])) == [Ack(epoch=slow.epoch, seq=3)]
    assert scalar(impatient, "SELECT count(*) FROM crossing") == 19
    assert_roll_ups_equal_raw(impatient)


def test_while_it_rests_nothing_is_tried(impatient: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a box that sends it again every few seconds would take all the time there is."""
    service = IngestService(impatient, lambda: NOW)
    poison = Sender().batch([crossing(1, track=POISON)])
    with choking(impatient, "PERFORM pg_sleep(60);"):
        tell(service, poison)

        def never(*_: object) -> None:
            raise AssertionError("tried")

        monkeypatch.setattr(service, "_commit", never)
        assert isinstance(tell(service, poison)[0], Refusal)


def test_what_needs_more_memory_or_locks_than_there_are_is_refused_alone(db: Database) -> None:
    """Late records of many years touch as many parts of a hypertable, each of which wants a lock."""
    add_stores(db)
    service = IngestService(db, lambda: NOW)
    with choking(db, "RAISE EXCEPTION USING ERRCODE = 'out_of_memory', MESSAGE = 'out of shared memory';"):
        replies = tell(
            service,
            Sender().batch([crossing(1)]),
            Sender("door-2").batch([crossing(1, track=POISON)]),
            Sender().batch([crossing(1)]),
        )
    assert [type(reply) for reply in replies] == [Ack, Refusal, Ack]
    assert isinstance(replies[1], Refusal)
    assert "OutOfMemory" in replies[1].reason


def test_a_full_disk_is_waited_for(db: Database) -> None:
    add_stores(db)
    with choking(db, "RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = 'No space left on device';"):
        batch = Sender().batch([crossing(1, track=POISON)])
        with pytest.raises(Unavailable, match="No space left"):
            IngestService(db, lambda: NOW).take([batch])


def test_while_a_table_is_locked_nobody_is_refused(impatient: Database) -> None:
    """It is being rebuilt, say: each batch fails, and none is to blame."""
    service = IngestService(impatient, lambda: NOW)
    batches = [Sender().batch([coverage(1)]), Sender("door-2").batch([coverage(1)])]
    with psycopg.connect(impatient.dsn) as other:
        other.execute("LOCK TABLE coverage IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Unavailable, match="statement timeout"):
            service.take(batches)
    assert [type(reply) for reply in tell(service, *batches)] == [Ack, Ack]


def test_where_the_schema_is_of_another_version_nobody_is_refused(db: Database) -> None:
    add_stores(db)
    service = IngestService(db, lambda: NOW)
    batches = [Sender().batch([crossing(1)]), Sender("door-2").batch([crossing(1)])]
    with psycopg.connect(db.dsn, autocommit=True) as other:
        other.execute("ALTER TABLE crossing RENAME TO of_another_version")
        with pytest.raises(Unavailable, match=r"takes nothing from anybody.*crossing"):
            service.take(batches)
        other.execute("ALTER TABLE of_another_version RENAME TO crossing")
    assert [type(reply) for reply in tell(service, *batches)] == [Ack, Ack]


def test_a_database_that_may_only_be_read_is_waited_for(db: Database) -> None:
    """As after a failover to a standby."""
    add_stores(db)
    name = scalar(db, "SELECT quote_ident(current_database())")
    with db.transaction() as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    with Database(db.dsn, size=1) as reading_only:
        service = IngestService(reading_only, lambda: NOW)
        with pytest.raises(Unavailable, match="read-only"):
            service.take([Sender().batch([crossing(1)])])


def test_a_database_that_has_run_out_of_transaction_numbers_is_waited_for(own_postgres: EmbeddedPostgres) -> None:
    """Its words for it (SQLSTATE 54000) are those for a row that is too large, which would be the batch's fault."""
    with Database(own_postgres.dsn, size=1) as db:
        add_stores(db)
        cluster = Path(scalar(db, "SHOW data_directory"))
        oldest = scalar(db, "SELECT min(datfrozenxid::text::bigint) FROM pg_database")
    use_up_transaction_numbers(own_postgres, cluster, oldest)
    with Database(own_postgres.dsn, size=1) as db:
        with pytest.raises(Unavailable, match="transaction"):
            IngestService(db, lambda: NOW).take([Sender().batch([crossing(1)])])
        assert scalar(db, "SELECT count(*) FROM crossing") == 0


def use_up_transaction_numbers(server: EmbeddedPostgres, cluster: Path, oldest: int) -> None:
    """Set the next number so close behind the oldest one that none is given out any more; nothing frees any."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET autovacuum = off")
    server.stop()
    nearly = oldest + 2**31 - 3_000_000 + 1000
    # Numbers it never gave out have no state on disk yet.
    states = cluster / "pg_xact" / f"{nearly // (8192 * 4 * 32):04X}"
    states.write_bytes(bytes(8192 * 32))
    owner = cluster.stat()
    os.chown(states, owner.st_uid, owner.st_gid)
    # As whom the server runs: root may not.
    who: dict[str, Any] = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    tool = embedded_place.choose(server.data_dir).binaries / "pg_resetwal"
    subprocess.run([tool, "-x", str(nearly), cluster], check=True, capture_output=True, cwd="/", **who)
    server.start()


def test_sums_that_nobody_can_have_counted_are_put_aside(db: Database) -> None:
    """Added up they would overflow the roll-up, and what every other box sends for that quarter hour with it."""
    add_stores(db)
    service = IngestService(db, lambda: NOW)
    mad, well = Sender("door-1"), Sender("door-2")
    sums = CrossingSum(line="S01-L1", camera="S01-C1", direction="in", start=NOW, span=60, count=2**31 - 1)
    most = CrossingSum(line="S01-L1", camera="S01-C1", direction="in", start=NOW, span=60, count=6000)
    assert tell(service, mad.batch([Tally(from_seq=1, seq=9, crossings=(sums, most))])) == [Ack(epoch=mad.epoch, seq=9)]
    assert scalar(db, "SELECT code FROM dead_letter") == "bad_record"
    assert tell(service, well.batch([crossing(1)])) == [Ack(epoch=well.epoch, seq=1)]
    assert scalar(db, "SELECT sum(count) FROM traffic_15m") == 6001


class Fragile(IngestService):
    """A database that goes down whenever it is given a certain batch, and is back at once."""

    def __init__(self, db: Database, poison: Incoming) -> None:
        super().__init__(db, lambda: NOW)
        self.poison = poison.payload
        self.went_down = 0

    def take(self, incoming: Sequence[Incoming]) -> list[Answer]:
        if any(each.payload == self.poison for each in incoming):
            self.went_down += 1
            raise Unavailable("the database can't be used now: server closed the connection unexpectedly")
        return super().take(incoming)


def test_a_batch_at_which_the_database_goes_down_does_not_take_the_others_along(
    db: Database, broker: EmbeddedBroker, boxes: dict[str, Box], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.ingest.worker._MOST_BACK_OFF", 0.05)
    add_stores(db)
    poison = Sender("door-2").batch([crossing(1, track=POISON)])
    service, senders = Fragile(db, poison), [Sender() for _ in range(6)]
    with working(db, broker, Limits(linger_s=0.3), service=service) as worker:
        for sender in senders[:3]:
            boxes["door-1"].send(sender.batch([crossing(1)]))
        boxes["door-2"].send(poison)
        for sender in senders[3:]:
            boxes["door-1"].send(sender.batch([crossing(1)]))
        wait_until(lambda: len(boxes["door-1"].heard) == 6, 30, "the others' acks")
        wait_until(lambda: worker.counters.let_go, 30, "the poison to be let go")
        boxes["door-1"].send_until_acked(senders[0].batch([crossing(2)]), 2)
    assert service.went_down >= 3
    assert boxes["door-2"].heard == []
    assert scalar(db, "SELECT count(*) FROM crossing WHERE device_id = 'door-1'") == 7
    assert_roll_ups_equal_raw(db)


# -- who is tried when -------------------------------------------------------------------------------------------------


def placed(*incoming: Incoming) -> Group:
    found: Group = []
    for index, one in enumerate(incoming):
        batch = read(one)
        assert isinstance(batch, Batch)
        found.append((index, batch))
    return found


def test_of_many_suspects_one_is_tried_at_a_time_and_most_of_the_time_none() -> None:
    suspects = Suspects()
    group = placed(*(Sender(f"door-{number}").batch([crossing(1)]) for number in range(5)))
    assert suspects.sort_out(group, NOW) == (group, None, [])
    for _, batch in group[1:]:
        suspects.note(batch, NOW, timedelta(seconds=5))
    assert suspects.sort_out(group, NOW) == (group[:1], None, group[1:])
    later = NOW + REST
    assert suspects.sort_out(group, later) == (group[:1], group[1], group[2:])
    suspects.note(group[1][1], later, timedelta(seconds=30))
    assert suspects.sort_out(group, later + timedelta(seconds=119)) == (group[:1], None, group[1:])
    assert suspects.sort_out(group, later + timedelta(seconds=120)) == (group[:1], group[2], [group[1], *group[3:]])
    suspects.clear(group[2][1])
    assert suspects.sort_out(group[2:3], later) == (group[2:3], None, [])
    assert suspects.sort_out(group, later + timedelta(days=1)) == (group, None, [])


def test_another_epoch_of_the_same_box_is_not_suspected() -> None:
    suspects = Suspects()
    one, other = placed(Sender("door-1").batch([crossing(1)]), Sender("door-1").batch([crossing(1)]))
    suspects.note(one[1], NOW, timedelta(seconds=1))
    assert suspects.sort_out([one, other], NOW) == ([other], None, [one])
