"""What ingest does with batches, situation by situation."""

from datetime import timedelta
from pathlib import Path

import pytest

from server.ingest.service import IngestService
from server.storage.pool import Database
from tests.server.ingest.devices import (
    NOW,
    Sender,
    assert_roll_ups_equal_raw,
    coverage,
    crossing,
    rows,
    scalar,
    tell,
)
from wire.messages import Ack, Bounds, CoverageSum, CrossingSum, Rewind, Tally

ROOT = Path(__file__).resolve().parents[3]


def counts(db: Database) -> dict[tuple[str, str, str], int]:
    return {
        (line, direction, kind): count
        for line, direction, kind, count in rows(
            db, "SELECT line_id, direction, class, sum(count)::int FROM traffic_15m GROUP BY 1, 2, 3"
        )
    }


def test_a_batch_becomes_rows_roll_up_marks_and_an_ack(db: Database, service: IngestService) -> None:
    door = Sender()
    batch = door.batch(
        [
            crossing(1),
            crossing(2, direction="out", tags=("child", "cart"), confidence=0.5),
            crossing(3, tags=("child", "staff"), group=1),
            coverage(4, seconds=59.96),
            crossing(5, at=NOW + timedelta(minutes=1), group=5),
        ]
    )
    assert tell(service, batch) == [Ack(epoch=door.epoch, seq=5)]

    assert rows(db, "SELECT seq, direction, class, opens_group, tags, undated FROM crossing ORDER BY seq") == [
        (1, "in", "adult", True, [], False),
        (2, "out", "child", True, ["child", "cart"], False),
        (3, "in", "staff", False, ["child", "staff"], False),
        (5, "in", "adult", True, [], False),
    ]
    assert rows(db, "SELECT direction, class, count, groups FROM traffic_15m ORDER BY direction, class") == [
        ("in", "adult", 2, 2),
        ("in", "staff", 1, 0),
        ("out", "child", 1, 1),
    ]
    assert scalar(db, "SELECT seconds FROM coverage_15m") == 60
    assert rows(db, "SELECT DISTINCT store_id, hour, reason FROM dirty_mark") == [("S01", NOW, "ingest")]
    assert rows(db, "SELECT device_id, store_id, seq FROM ingest_cursor") == [("door-1", "S01", 5)]
    assert_roll_ups_equal_raw(db)


def test_a_batch_sent_twice_counts_once(db: Database, service: IngestService) -> None:
    door = Sender()
    batch = door.batch([crossing(1), crossing(2)])
    assert tell(service, batch) == tell(service, batch) == [Ack(epoch=door.epoch, seq=2)]
    assert tell(service, batch, batch) == [Ack(epoch=door.epoch, seq=2)] * 2
    assert scalar(db, "SELECT count(*) FROM crossing") == 2


def test_of_overlapping_batches_only_the_new_part_is_taken(db: Database, service: IngestService) -> None:
    door = Sender()
    tell(service, door.batch([crossing(1), crossing(2)]))
    assert tell(service, door.batch([crossing(2), crossing(3)])) == [Ack(epoch=door.epoch, seq=3)]
    assert rows(db, "SELECT seq FROM crossing ORDER BY seq") == [(1,), (2,), (3,)]


def test_an_ack_never_goes_back(service: IngestService) -> None:
    door = Sender()
    first = door.batch([crossing(1)])
    tell(service, first, door.batch([crossing(2)]))
    assert tell(service, first) == [Ack(epoch=door.epoch, seq=2)]


def test_batches_of_one_epoch_in_one_group_are_taken_in_order(db: Database, service: IngestService) -> None:
    door = Sender()
    later, earlier = door.batch([crossing(3), crossing(4)]), door.batch([crossing(1), crossing(2)])
    assert tell(service, later, earlier) == [Ack(epoch=door.epoch, seq=4), Ack(epoch=door.epoch, seq=2)]
    assert scalar(db, "SELECT count(*) FROM crossing") == 4


def test_a_hole_is_answered_by_a_rewind_and_nothing_is_taken(db: Database, service: IngestService) -> None:
    door = Sender()
    tell(service, door.batch([crossing(1)]))
    assert tell(service, door.batch([crossing(4)])) == [Rewind(epoch=door.epoch, seq=2)]
    assert scalar(db, "SELECT count(*) FROM crossing") == 1
    assert tell(service, door.batch([crossing(2), crossing(3), crossing(4)])) == [Ack(epoch=door.epoch, seq=4)]


def test_a_hole_the_device_cannot_fill_is_booked_as_lost_and_passed(db: Database, service: IngestService) -> None:
    door = Sender()
    tell(service, door.batch([crossing(1)]))
    assert tell(service, door.batch([crossing(4)], oldest=4)) == [Ack(epoch=door.epoch, seq=4)]
    assert rows(db, "SELECT device_id, store_id, from_seq, to_seq, noticed_at FROM lost_range") == [
        ("door-1", "S01", 2, 3, NOW)
    ]
    assert rows(db, "SELECT seq FROM crossing ORDER BY seq") == [(1,), (4,)]


def test_a_hole_that_can_be_filled_in_part_is_lost_in_part(db: Database, service: IngestService) -> None:
    door = Sender()
    assert tell(service, door.batch([crossing(9)], oldest=5)) == [Rewind(epoch=door.epoch, seq=5)]
    assert rows(db, "SELECT from_seq, to_seq FROM lost_range") == [(1, 4)]
    again = door.batch([crossing(seq) for seq in range(5, 10)], oldest=5)
    assert tell(service, again) == [Ack(epoch=door.epoch, seq=9)]
    assert rows(db, "SELECT from_seq, to_seq FROM lost_range") == [(1, 4)]


def test_an_epoch_keeps_the_store_it_began_in(db: Database, service: IngestService) -> None:
    door = Sender()
    tell(service, door.batch([crossing(1)]))
    with db.transaction() as connection:
        connection.execute("UPDATE device SET store_id = 'S02' WHERE device_id = 'door-1'")
    tell(service, door.batch([crossing(2)]))
    after_move = Sender()
    tell(service, after_move.batch([crossing(1, line="S02-L1", camera="S02-C1")]))
    assert rows(db, "SELECT store_id, count(*) FROM crossing GROUP BY 1 ORDER BY 1") == [("S01", 2), ("S02", 1)]


def test_undated_records_are_booked_at_the_earliest_they_can_be(db: Database, service: IngestService) -> None:
    bounds = Bounds(earliest=NOW - timedelta(hours=3, seconds=5), latest=NOW)
    tell(
        service,
        Sender().batch(
            [
                crossing(1, at=NOW - timedelta(hours=1), bounds=bounds),
                coverage(2, minute=NOW - timedelta(hours=1), bounds=bounds),
            ]
        ),
    )
    assert rows(db, "SELECT at, undated FROM crossing") == [(bounds.earliest, True)]
    assert rows(db, "SELECT minute, undated FROM coverage") == [(NOW - timedelta(hours=3, minutes=1), True)]
    assert_roll_ups_equal_raw(db)


def test_coverage_of_a_minute_adds_up_and_is_capped(db: Database, service: IngestService) -> None:
    one, other = Sender("door-1"), Sender("door-2")
    minute = NOW + timedelta(minutes=3)
    tell(service, one.batch([coverage(1, minute=minute, seconds=40.3), coverage(2, minute=minute, seconds=1.2)]))
    assert scalar(db, "SELECT minute_seconds[4] FROM coverage_15m") == pytest.approx(41.5)
    tell(service, other.batch([coverage(1, minute=minute, seconds=30, state="frozen")]))
    tell(service, one.batch([coverage(3, minute=minute, seconds=5, state="dark")]))
    assert rows(db, "SELECT minute_seconds[4], seconds, state FROM coverage_15m") == [(60, 60, "frozen")]
    assert_roll_ups_equal_raw(db)


def test_a_tally_is_booked_and_stands_for_its_numbers(db: Database, service: IngestService) -> None:
    door = Sender()
    quarter = NOW - timedelta(minutes=45)
    tally = Tally(
        from_seq=2,
        seq=50,
        crossings=(
            CrossingSum(
                line="S01-L1", camera="S01-C1", direction="in", start=NOW, span=60, count=3, groups=2, tags=("staff",)
            ),
            CrossingSum(line="S01-L1", camera="S01-C1", direction="in", start=quarter, span=900, count=40, groups=30),
        ),
        coverage=(
            CoverageSum(camera="S01-C1", start=NOW, span=60, seconds=12.5, frames=100),
            CoverageSum(camera="S01-C1", start=quarter, span=900, seconds=100, frames=1000, state="covered"),
        ),
    )
    assert tell(service, door.batch([crossing(1), tally, crossing(51)])) == [Ack(epoch=door.epoch, seq=51)]
    assert counts(db) == {("S01-L1", "in", "staff"): 3, ("S01-L1", "in", "adult"): 42}
    assert rows(db, "SELECT from_seq, seq FROM tally") == [(2, 50)]
    assert rows(db, "SELECT seconds, state FROM coverage_15m ORDER BY quarter") == [
        (100, "covered"),
        (pytest.approx(12.5), "ok"),
    ]
    assert_roll_ups_equal_raw(db)
