"""Single records that can't be taken: put aside while their neighbours are booked."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from server.ingest.models import Incoming
from server.ingest.service import IngestService
from server.storage.pool import Database
from tests.server.ingest.devices import (
    NOW,
    Sender,
    crossing,
    rows,
    tell,
)
from wire.messages import Ack, CrossingSum, Tally

ROOT = Path(__file__).resolve().parents[3]


def counts(db: Database) -> dict[tuple[str, str, str], int]:
    return {
        (line, direction, kind): count
        for line, direction, kind, count in rows(
            db, "SELECT line_id, direction, class, sum(count)::int FROM traffic_15m GROUP BY 1, 2, 3"
        )
    }


def test_a_tally_over_numbers_already_booked_is_put_aside(db: Database, service: IngestService) -> None:
    door = Sender()
    tell(service, door.batch([crossing(1), crossing(2)]))
    sums = CrossingSum(line="S01-L1", camera="S01-C1", direction="in", start=NOW, span=60, count=3)
    assert tell(service, door.batch([Tally(from_seq=2, seq=4, crossings=(sums,))])) == [Ack(epoch=door.epoch, seq=4)]
    assert rows(db, "SELECT seq, code FROM dead_letter") == [(4, "overlap")]
    assert counts(db) == {("S01-L1", "in", "adult"): 2}


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"at": (NOW + timedelta(minutes=6)).isoformat()}, "future_dated"),
        ({"at": "1970-01-01T00:00:07Z"}, "past_dated"),
        ({"at": "2026-11-21T10:00:00"}, "bad_record"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "bad_record"),
        ({"line": "S01-L9"}, "unknown_line"),
        ({"camera": "S01-C9"}, "unknown_camera"),
        ({"line": "S02-L1"}, "wrong_store"),
        ({"camera": "S02-C1"}, "wrong_store"),
        ({"direction": "up"}, "bad_record"),
        ({"nul\0field": 1}, "bad_record"),
        ({"type": "teleport"}, "bad_record"),
        ({"track": -1}, "bad_record"),
        ({"bounds": {"earliest": NOW.isoformat(), "latest": (NOW - timedelta(hours=1)).isoformat()}}, "bad_record"),
        ({"bounds": {"earliest": "2030-01-01T00:00:00Z", "latest": "2031-01-01T00:00:00Z"}}, "future_dated"),
    ],
)
def test_a_bad_record_is_put_aside_and_its_neighbours_are_taken(
    db: Database, service: IngestService, record: dict[str, Any], code: str
) -> None:
    door = Sender()
    good = door.batch([crossing(seq) for seq in (1, 2, 3)])
    payload = json.loads(good.payload)
    payload["records"][1].update(record)
    batch = Incoming(good.device, json.dumps(payload).encode(), NOW)
    assert tell(service, batch) == [Ack(epoch=door.epoch, seq=3)]
    assert tell(service, batch) == [Ack(epoch=door.epoch, seq=3)]
    assert rows(db, "SELECT seq FROM crossing ORDER BY seq") == [(1,), (3,)]
    [(device, store, seq, found, reason, kept)] = rows(
        db, "SELECT device_id, store_id, seq, code, reason, payload FROM dead_letter"
    )
    assert (device, store, seq, found) == ("door-1", "S01", 2, code)
    assert reason
    assert json.loads(kept) == payload["records"][1]


@pytest.mark.parametrize("bad", [b"17", b"null", b'{"type":"crossing"}', b'{"seq":true}', b"[[[[]]]]"])
def test_a_record_without_a_number_takes_the_place_it_stands_in(
    db: Database, service: IngestService, bad: bytes
) -> None:
    door = Sender()
    good = door.batch([crossing(seq) for seq in (1, 2, 3)])
    payload = json.loads(good.payload)
    payload["records"][1] = json.loads(bad)
    assert tell(service, Incoming("door-1", json.dumps(payload).encode(), NOW)) == [Ack(epoch=door.epoch, seq=3)]
    assert rows(db, "SELECT seq FROM dead_letter") == [(2,)]


def test_a_tally_that_cannot_be_read_takes_all_its_numbers_along(db: Database, service: IngestService) -> None:
    door = Sender()
    good = door.batch([crossing(1), Tally(from_seq=2, seq=9), crossing(10), Tally(from_seq=11, seq=20)])
    payload = json.loads(good.payload)
    payload["records"][1]["from_seq"] = "two"
    payload["records"][3] = "?"
    assert tell(service, Incoming("door-1", json.dumps(payload).encode(), NOW)) == [Ack(epoch=door.epoch, seq=20)]
    assert rows(db, "SELECT seq FROM dead_letter ORDER BY seq") == [(9,), (20,)]


def test_a_tally_that_lies_about_its_end_is_put_aside_like_any_other(db: Database, service: IngestService) -> None:
    door = Sender()
    payload = json.loads(door.batch([crossing(1), Tally(from_seq=2, seq=9), crossing(10)]).payload)
    payload["records"][1].update({"seq": 10**9, "crossings": "?"})
    assert tell(service, Incoming("door-1", json.dumps(payload).encode(), NOW)) == [Ack(epoch=door.epoch, seq=10)]
    assert rows(db, "SELECT seq FROM dead_letter ORDER BY seq") == [(9,)]


def test_a_line_registered_a_moment_ago_is_known(db: Database, service: IngestService) -> None:
    door = Sender()
    tell(service, door.batch([crossing(1)]))
    with db.transaction() as connection:
        connection.execute("INSERT INTO line (line_id, camera_id, store_id, name) VALUES ('NEW', 'S01-C1', 'S01', '')")
    tell(service, door.batch([crossing(2, line="NEW")]))
    assert counts(db) == {("S01-L1", "in", "adult"): 1, ("NEW", "in", "adult"): 1}
