"""A proof by breaking is worth what its judge is: one who never finds fault proves nothing."""

import base64
import sqlite3
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace as changed
from pydantic import SecretStr

from server.access.models import Scope
from server.ingest.models import Incoming
from server.ingest.service import IngestService
from server.services import Services, make_services
from server.settings import Settings
from server.stores.models import NewStore
from tests.chaos.disk import LoopDisk, mounts_here
from tests.chaos.stream import Stream, camera_of, lines_of
from tests.chaos.verdict import Counted, verdict
from tests.fixtures.skips import skip_or_fail
from wire.messages import encode, make_batch

LENGTH = 120
_LOST = (
    "INSERT INTO lost_range (device_id, epoch, store_id, from_seq, to_seq, noticed_at, ends_at)"
    " SELECT device_id, epoch, store_id, 5, 6, now(), now() FROM ingest_cursor"
)


@pytest.fixture
def services(db_dsn: str) -> Iterator[Services]:
    secret = SecretStr(base64.b64encode(bytes(range(32))).decode())
    with make_services(Settings(dsn=SecretStr(db_dsn), secret_key=secret, _env_file=None)) as made:  # type: ignore[call-arg]
        yield made


@pytest.fixture
def counted(services: Services) -> Counted:
    """A box that counted, and whose records were all taken."""
    base = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)
    stream, scope, epoch = Stream(5, "door-0", ((1, "S01"),), base, LENGTH), Scope.system("tests"), uuid.uuid4().hex
    services.stores.add_store(scope, NewStore("S01", "S01", "UTC"))
    camera = camera_of("S01", "door-0")
    services.stores.add_camera(scope, "S01", camera, camera, installed_at=base - timedelta(days=1))
    for line in lines_of("S01", "door-0"):
        services.stores.add_line(scope, camera, line, line)
    services.stores.add_device(scope, "S01", "door-0")
    records = [changed(stream.record(number), seq=number) for number in range(1, LENGTH + 1)]
    now = datetime.now(UTC)
    batch = make_batch(device="door-0", epoch=epoch, oldest=1, sent_at=now, records=records)
    IngestService(services.db).take([Incoming("door-0", encode(batch), now)])
    return Counted(stream, frozenset(), 0, {epoch: LENGTH}, True)


def test_what_is_right_is_found_right(services: Services, counted: Counted) -> None:
    assert verdict(services, [counted], []) == []


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("DELETE FROM crossing WHERE seq = 3", "without a trace"),
        ("DELETE FROM coverage WHERE seq = 11", "fewer than were counted"),
        ("INSERT INTO crossing SELECT * FROM crossing WHERE seq = 3", "there twice"),
        ("UPDATE crossing SET at = at + interval '1 minute' WHERE seq = 3", "more than was counted"),
        ("UPDATE crossing SET direction = CASE direction WHEN 'in' THEN 'out' ELSE 'in' END WHERE seq = 3", "fewer"),
        ("UPDATE crossing SET line_id = 'S01-door-0-L9' WHERE seq = 3", "more than was counted"),
        ("UPDATE traffic_15m SET count = count + 1", "roll-ups"),
        ("UPDATE coverage_15m SET seconds = seconds - 1", "roll-ups"),
        ("UPDATE ingest_cursor SET seq = seq - 1", "acknowledged to"),
        ("DELETE FROM dead_letter", "without a trace"),
        ("DELETE FROM dirty_mark", "compute anew"),
        (_LOST, "said to be lost"),
    ],
)
def test_what_is_wrong_is_found(services: Services, counted: Counted, harm: str, said: str) -> None:
    with services.db.transaction() as connection:
        assert connection.execute(harm.encode()).rowcount
    assert any(said in each for each in verdict(services, [counted], []))


def test_a_loss_that_nobody_states_is_found(services: Services, counted: Counted) -> None:
    longer = changed(counted, stream=changed(counted.stream, length=LENGTH + 2))
    assert any("lost by the ledger 0" in each for each in verdict(services, [longer], []))


def test_a_loss_that_did_not_happen_is_found(services: Services, counted: Counted) -> None:
    assert any("damaged file" in each for each in verdict(services, [changed(counted, said_lost=1)], []))


def test_two_contents_of_one_number_are_found(services: Services, counted: Counted) -> None:
    assert verdict(services, [counted], [("door-0", "e", 1)])


def test_the_stream_is_the_same_for_whoever_counts_it(counted: Counted) -> None:
    stream = msgspec.json.decode(msgspec.json.encode(counted.stream), type=Stream)
    moved = stream.moved(61, "S02")
    for number in range(1, LENGTH + 1):
        assert stream.record(number) == counted.stream.record(number)
        assert (moved.record(number) == stream.record(number)) == (number < 61)


def test_a_power_cut_takes_what_was_never_flushed_and_nothing_else(tmp_path: Path) -> None:
    if not mounts_here(tmp_path):
        skip_or_fail("file systems of one's own", "run as root where loop devices are")
    disk = LoopDisk(tmp_path / "disk")
    try:
        with sqlite3.connect(disk.outbox) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("CREATE TABLE kept (number INTEGER)")
            db.execute("INSERT INTO kept VALUES (7)")
            db.commit()
            db.execute("PRAGMA synchronous = OFF")
            db.execute("INSERT INTO kept VALUES (8)")
            db.commit()
        db.close()
        (disk.outbox.parent / "never flushed").write_bytes(b"gone")
        disk.power_cut()
        with sqlite3.connect(disk.outbox) as after:
            assert after.execute("SELECT number FROM kept").fetchall() == [(7,)]
        after.close()
        assert not (disk.outbox.parent / "never flushed").exists()
    finally:
        disk.close()
