"""What ingest does with batches, situation by situation."""

import ast
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from server.ingest import reading
from server.ingest.booking import PAST
from server.ingest.models import Incoming
from server.ingest.service import IngestService
from server.storage.pool import Database
from tests.server.ingest.devices import (
    NOW,
    Sender,
    add_stores,
    assert_roll_ups_equal_raw,
    coverage,
    crossing,
    rows,
    scalar,
    tell,
)
from wire.messages import Ack, Bounds, CoverageSum, CrossingSum, Refusal, RefusalCode, Rewind, Tally

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def service(db: Database) -> IngestService:
    add_stores(db)
    return IngestService(db, lambda: NOW)


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


class TestRefusals:
    """A batch refused leaves the cursor, names itself and says why."""

    @pytest.mark.parametrize("device", ["door-9", "door-2"])
    def test_unknown_and_revoked_devices(self, db: Database, service: IngestService, device: str) -> None:
        with db.transaction() as connection:
            connection.execute("UPDATE device SET revoked_at = now() WHERE device_id = 'door-2'")
        door = Sender(device)
        [reply] = tell(service, door.batch([crossing(1)]))
        assert isinstance(reply, Refusal)
        assert (reply.code, reply.epoch, reply.first_seq) == ("unknown_device", door.epoch, 1)
        assert device in reply.reason
        assert scalar(db, "SELECT count(*) FROM ingest_cursor") == 0

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"device": "door-2"}, "door-2"),
            ({"v": 2}, "v"),
            ({"epoch": "x"}, "epoch"),
            ({"sent_at": "yesterday"}, "sent_at"),
            ({"first_seq": 2}, "expected 2"),
            ({"last_seq": 7}, "last_seq 7"),
            ({"first_seq": 5, "last_seq": 4}, "before first_seq"),
            ({"oldest": 2}, "oldest"),
            ({"records": []}, "records"),
            ({"extra": 1}, "extra"),
        ],
    )
    def test_wrong_envelopes(self, db: Database, service: IngestService, change: dict[str, Any], said: str) -> None:
        payload = {**json.loads(Sender().batch([crossing(1), crossing(2)]).payload), **change}
        [reply] = tell(service, Incoming("door-1", json.dumps(payload).encode(), NOW))
        assert isinstance(reply, Refusal)
        assert reply.code == "wrong_envelope"
        assert said in reply.reason
        assert scalar(db, "SELECT count(*) FROM ingest_cursor") == 0

    @pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"{", b"[" * 100_000, b'"\\ud800"', b"\0" * 50])
    def test_payloads_that_are_no_json(self, service: IngestService, payload: bytes) -> None:
        [reply] = tell(service, Incoming("door-1", payload, NOW))
        assert isinstance(reply, Refusal)
        assert reply.code == "wrong_envelope"

    def test_a_payload_that_is_too_large(self, service: IngestService) -> None:
        [reply] = tell(service, Incoming("door-1", b" " * (4 * 1024 * 1024 + 1), NOW))
        assert isinstance(reply, Refusal)
        assert reply.code == "too_large"

    def test_a_refused_batch_does_not_hold_up_its_group(self, db: Database, service: IngestService) -> None:
        good = Sender()
        replies = tell(
            service, Incoming("door-1", b"?", NOW), good.batch([crossing(1)]), Sender("door-9").batch([crossing(1)])
        )
        assert [type(reply) for reply in replies] == [Refusal, Ack, Refusal]

    def test_a_batch_the_database_refuses_is_refused_alone(self, db: Database, service: IngestService) -> None:
        with db.transaction() as connection:
            connection.execute("ALTER TABLE crossing ADD CONSTRAINT c CHECK (track <> 13)")
        refused = Sender("door-2").batch([crossing(1, track=13)])
        good = [Sender().batch([crossing(1)]) for _ in range(5)]
        replies = tell(service, *good[:2], refused, *good[2:])
        assert [reply.code for reply in replies if isinstance(reply, Refusal)] == ["not_writable"]
        assert isinstance(replies[2], Refusal)
        assert counts(db) == {("S01-L1", "in", "adult"): 5}
        assert rows(db, "SELECT count(*) FROM ingest_cursor WHERE device_id = 'door-2'") == [(0,)]

    def test_what_passes_a_limit_of_the_database_is_no_reason_to_wait_for_it(
        self, db: Database, service: IngestService
    ) -> None:
        """Asked again it would fail again, for ever, and the whole group with it."""
        with db.transaction() as connection:
            connection.execute(
                "CREATE FUNCTION beyond() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.track = 13 THEN"
                " RAISE EXCEPTION USING ERRCODE = 'program_limit_exceeded', MESSAGE = 'beyond'; END IF;"
                " RETURN NEW; END $$"
            )
            connection.execute("CREATE TRIGGER b BEFORE INSERT ON crossing FOR EACH ROW EXECUTE FUNCTION beyond()")
        good = [Sender().batch([crossing(1)]) for _ in range(2)]
        replies = tell(service, good[0], Sender("door-2").batch([crossing(1, track=13)]), good[1])
        assert [type(reply) for reply in replies] == [Ack, Refusal, Ack]

    def test_a_payload_that_nobody_foresaw_is_refused_alone(
        self, db: Database, service: IngestService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read = reading.read

        def stumbling(incoming: Incoming) -> reading.Batch | Refusal:
            if b"poison" in incoming.payload:
                raise RuntimeError("nobody thought of this")
            return read(incoming)

        monkeypatch.setattr(reading, "read", stumbling)
        replies = tell(service, Incoming("door-1", b"poison", NOW), Sender().batch([crossing(1)]))
        assert isinstance(replies[0], Refusal)
        assert replies[0].code == "not_writable"
        assert isinstance(replies[1], Ack)
        assert counts(db) == {("S01-L1", "in", "adult"): 1}


def sent_codes() -> set[str]:
    """Every code that stands where a batch is refused: in ingest, and in the decoding of its envelope."""
    codes = set()
    for path in (*sorted((ROOT / "server" / "ingest").glob("*.py")), ROOT / "wire" / "messages.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef) or function.name in {"decode", "decode_record"}:
                continue  # what these raise is about other messages, and about single records
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name | ast.Attribute):
                    name = call.func.id if isinstance(call.func, ast.Name) else call.func.attr
                    values = {
                        "Refusal": [word.value for word in call.keywords if word.arg == "code"],
                        "refusal": call.args[1:2],
                        "WireError": call.args[:1],
                    }.get(name, [])
                    codes |= {value.value for value in values if isinstance(value, ast.Constant)}
    return {code for code in codes if isinstance(code, str)}


def test_the_contract_names_the_refusals_that_are_sent_and_no_others() -> None:
    named = set(get_args(RefusalCode))
    assert sent_codes() == named
    assert Refusal.__doc__
    assert set(re.findall(r"\b[a-z]+_[a-z]+\b(?= \()", Refusal.__doc__)) == named


def test_the_skew_of_a_devices_clock_is_recorded(db: Database, service: IngestService) -> None:
    batch = Sender().batch([crossing(1)])
    tell(service, Incoming("door-1", batch.payload, NOW - timedelta(seconds=90)))
    assert scalar(db, "SELECT skew_ms FROM device WHERE device_id = 'door-1'") == 90_000


def test_a_status_is_kept_unless_a_later_one_is_known(db: Database, service: IngestService) -> None:
    def word(pending: int) -> bytes:
        at = NOW.isoformat()
        said = {"v": 1, "device": "door-1", "online": True, "pending": pending, "problem": "a\0b", "at": at}
        return json.dumps(said).encode()

    service.note_status("door-1", word(5), NOW + timedelta(seconds=5))
    service.note_status("door-1", word(3), NOW + timedelta(seconds=3))
    service.note_status("door-1", word(9), NOW + timedelta(seconds=90), retained=True)
    service.note_status("door-2", word(1), NOW)
    assert rows(db, "SELECT status->'pending', status_at FROM device WHERE status IS NOT NULL") == [
        (5, NOW + timedelta(seconds=5))
    ]


def test_a_retained_status_from_before_our_time_is_dated_within_it(db: Database, service: IngestService) -> None:
    """A year that no page could show again would take the store's page down with it."""
    said = {"v": 1, "device": "door-1", "online": True, "at": "0001-01-01T00:00:00+14:00"}
    service.note_status("door-1", json.dumps(said).encode(), NOW, retained=True)
    assert rows(db, "SELECT status_at FROM device WHERE status IS NOT NULL") == [(PAST,)]
