"""Whole batches that are refused: the cursor stays, and the contract names every code."""

import ast
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from server.ingest import reading
from server.ingest.models import Incoming
from server.ingest.service import IngestService
from server.storage.pool import Database
from tests.server.ingest.devices import (
    NOW,
    Sender,
    crossing,
    rows,
    scalar,
    tell,
)
from wire.messages import Ack, Refusal, RefusalCode

ROOT = Path(__file__).resolve().parents[3]


def counts(db: Database) -> dict[tuple[str, str, str], int]:
    return {
        (line, direction, kind): count
        for line, direction, kind, count in rows(
            db, "SELECT line_id, direction, class, sum(count)::int FROM traffic_15m GROUP BY 1, 2, 3"
        )
    }


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
