"""Two boxes under one name are found out, and a box by itself never is."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.main import app
from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.ingest.service import IngestService
from server.ingest.twins import Lives, follow
from server.storage.pool import Database
from tests.edge.link.test_uplink import DEVICE, PASSWORD, Box
from tests.fixtures.broker import SERVER_PASSWORD, require_mosquitto
from tests.fixtures.wait import wait_until
from tests.server.ingest.devices import NOW, add_stores, scalar
from tests.server.ingest.test_publishing import working
from wire.messages import Status, encode

EPOCHS = st.integers(0, 40).map(lambda number: f"{number:032x}")


def told(epochs: list[str]) -> int:
    """How often two were found, of statuses a minute apart."""
    lives, found = Lives(), 0
    for minute, epoch in enumerate(epochs):
        lives, twins = follow(lives, epoch, NOW + timedelta(minutes=minute))
        found += twins
    return found


@given(st.lists(EPOCHS, unique=True), st.data())
def test_a_box_by_itself_is_never_taken_for_two(starts: list[str], data: st.DataObject) -> None:
    said = [epoch for epoch in starts for _ in range(data.draw(st.integers(1, 3)))]
    assert told(said) == 0


@given(st.lists(st.sampled_from(["a" * 32, "b" * 32]), min_size=3, max_size=30))
def test_two_that_alternate_are_found_each_time_one_comes_back(said: list[str]) -> None:
    changes = sum(one != other for one, other in pairwise(said))
    assert told(said) == max(0, changes - 1)


def test_a_status_that_was_long_under_way_is_no_second_box() -> None:
    lives, _ = follow(Lives(), "a" * 32, NOW)
    lives, _ = follow(lives, "b" * 32, NOW + timedelta(minutes=5))
    late, twins = follow(lives, "a" * 32, NOW + timedelta(minutes=4))
    assert (late, twins) == (lives, False)


def test_the_list_of_boxes_says_it_loudly(db: Database, db_dsn: str, tmp_path: Path) -> None:
    add_stores(db)
    service = IngestService(db)
    env = {"DOORLINE_DSN": db_dsn, "DOORLINE_PKI_DIR": str(tmp_path), "COLUMNS": "300", "TERM": "dumb"}
    began = datetime.now(UTC)

    def says(epoch: str, minute: int, *, device: str = "door-1") -> None:
        at = began + timedelta(minutes=minute)
        service.note_status(device, encode(Status(device=device, online=True, at=at, epoch=epoch * 32)), began)

    for minute, epoch in enumerate("aab"):
        says(epoch, minute)
    # The will of the one the broker threw off knows no epoch, and tells nothing.
    service.note_status("door-1", encode(Status(device="door-1", online=False)), began)
    assert scalar(db, "SELECT count(twin_at) FROM device") == 0
    says("a", 3)
    says("c", 3, device="door-2")
    listed = CliRunner().invoke(app, ["device", "list"], env=env)
    assert listed.exit_code == 0, listed.output
    assert listed.stdout.count("TWO BOXES sign in as this one") == 1
    assert "doorline device rotate" in listed.stdout


@pytest.mark.mosquitto
def test_a_copied_memory_card_is_found_while_each_throws_the_other_off_the_broker(db: Database, tmp_path: Path) -> None:
    """amqtt lets both stay, so that they are found a minute later."""
    require_mosquitto()
    add_stores(db)
    users = {SERVER_USER: SERVER_PASSWORD, DEVICE: PASSWORD}
    with EmbeddedBroker(tmp_path / "broker", users=users, kind="mosquitto") as broker, working(db, broker) as worker:
        wait_until(lambda: worker.ready, 20, "the worker")
        boxes = [Box(tmp_path / name, broker.port) for name in ("one", "two")]
        try:
            wait_until(lambda: scalar(db, "SELECT count(twin_at) FROM device WHERE device_id = 'door-1'"), 60, "it")
        finally:
            for box in boxes:
                box.stop()
