"""Batches over HTTPS: the same rules as over MQTT, from boxes that prove who they are, and from nobody else."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
from anyio.from_thread import start_blocking_portal
from fastapi.testclient import TestClient
from pydantic import SecretStr
from starlette.types import Message

from server.app import create_app
from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.ingest.models import Incoming
from server.ingest.service import IngestService
from server.provisioning.authority import Authority
from server.provisioning.models import Endpoint
from server.provisioning.service import ProvisioningService
from server.services import Services, make_services
from server.settings import Settings
from server.storage.embedded import EmbeddedPostgres
from server.storage.pool import Database
from server.stores.models import NewStore
from tests.fixtures.broker import SERVER_PASSWORD, require_mosquitto
from tests.fixtures.processes import central_settings, is_up, parsed, running
from tests.fixtures.wait import wait_until
from tests.server.conftest import SYSTEM, TurnedClock
from tests.server.ingest.boxes import Box
from tests.server.ingest.devices import Sender, assert_roll_ups_equal_raw, crossing, rows, scalar
from wire import enrolment
from wire.enrolment import Enrolment
from wire.messages import MAX_PAYLOAD, Ack, BatchReply, Refusal, Rewind, Status, decode, encode

CN = "X-Client-CN"
Post = Callable[..., Any]
BATCHES = "/api/v1/batches"


def register(services: Services) -> str:
    """S01's camera, line and box door-1; the box's password."""
    services.stores.add_camera(SYSTEM, "S01", "S01-C1", lines=["S01-L1"])
    return services.stores.add_device(SYSTEM, "S01", "door-1").password


@pytest.fixture
def password(chain: Services) -> str:
    return register(chain)


@pytest.fixture
def post(client: TestClient, clock: TurnedClock, password: str) -> Post:
    def posted(batch: Incoming | bytes, auth: tuple[str, str] | None = None) -> Any:
        payload = batch if isinstance(batch, bytes) else batch.payload
        return client.post(BATCHES, content=payload, auth=auth or ("door-1", password))

    return posted


def replied(answer: Any) -> Ack | Rewind:
    assert answer.status_code == 200, answer.text
    return decode(answer.content, BatchReply).reply


def test_a_batch_is_committed_and_acked(chain: Services, clock: TurnedClock, post: Post) -> None:
    door = Sender()
    batch = door.batch([crossing(1, at=clock.now), crossing(2, at=clock.now)], sent_at=clock.now)
    assert replied(post(batch)) == replied(post(batch)) == Ack(epoch=door.epoch, seq=2)
    assert replied(post(door.batch([crossing(9)], sent_at=clock.now))) == Rewind(epoch=door.epoch, seq=3)
    assert scalar(chain.db, "SELECT count(*) FROM crossing") == 2
    assert_roll_ups_equal_raw(chain.db)


def test_the_answer_says_which_sending_it_answers(clock: TurnedClock, post: Post) -> None:
    nonce = "0123456789abcdef"
    payload = json.loads(Sender().batch([crossing(1)], sent_at=clock.now).payload)
    assert replied(post(json.dumps({**payload, "nonce": nonce}).encode())).nonce == nonce
    wrong = post(json.dumps({**payload, "nonce": nonce, "last_seq": 5}).encode()).json()["error"]
    assert wrong["detail"] == {"epoch": payload["epoch"], "first_seq": "1", "nonce": nonce}


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"device": "door-2"}, 422, "wrong_envelope"),
        ({"v": 2}, 422, "wrong_envelope"),
        ({"nonce": "x"}, 422, "wrong_envelope"),
        ({"records": []}, 422, "wrong_envelope"),
    ],
)
def test_what_is_refused_is_an_error_with_the_refusals_code(
    chain: Services,
    clock: TurnedClock,
    post: Post,
    change: dict[str, Any],
    status: int,
    code: str,
) -> None:
    payload = {**json.loads(Sender().batch([crossing(1)], sent_at=clock.now).payload), **change}
    answer = post(json.dumps(payload).encode())
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert scalar(chain.db, "SELECT count(*) FROM ingest_cursor") == 0


def test_a_batch_that_can_not_be_written_is_our_fault(
    chain: Services, clock: TurnedClock, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr("server.ingest.writing.append", broken)
    answer = post(Sender().batch([crossing(1)], sent_at=clock.now))
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "not_writable")


class TestWhoSends:
    """Nobody sends for another, and nobody's bytes are read before they said who they are."""

    def test_a_wrong_password_no_password_and_an_ended_box(
        self, chain: Services, clock: TurnedClock, client: TestClient, post: Post
    ) -> None:
        batch = Sender().batch([crossing(1)], sent_at=clock.now)
        for auth in (("door-1", "wrong"), ("door-9", "wrong"), ("door/1", "x"), ("door-1", "")):
            assert post(batch, auth=auth).status_code == 401
        for header in ("Basic", "Basic ?", "Bearer x", "Basic " + "/" * 20, "Basic ZG9vci0xOsOo/w=="):
            answer = client.post(BATCHES, content=batch.payload, headers={"Authorization": header})
            assert answer.status_code == 401, header
        assert client.post(BATCHES, content=batch.payload).status_code == 401
        chain.stores.revoke_device(SYSTEM, "door-1")
        assert post(batch).status_code == 401
        assert scalar(chain.db, "SELECT count(*) FROM ingest_cursor") == 0

    def test_a_person_is_no_box(self, sign_in: Callable[[str], TestClient], clock: TurnedClock) -> None:
        browser = sign_in("admin")
        answer = browser.post(BATCHES, content=Sender().batch([crossing(1)], sent_at=clock.now).payload)
        assert answer.status_code == 401

    @pytest.mark.parametrize("credentials", [None, b"Basic ZG9vci0xOndyb25n"])
    def test_a_strangers_body_is_not_read(self, chain: Services, password: str, credentials: bytes | None) -> None:
        sent: list[Message] = []

        async def receive() -> Message:
            raise AssertionError("the body was read before the sender was known")

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": BATCHES,
            "raw_path": BATCHES.encode(),
            "root_path": "",
            "query_string": b"",
            "client": ("192.0.2.1", 1),
            "server": ("127.0.0.1", 80),
            "headers": [(b"authorization", credentials)] if credentials else [],
        }
        # A browser test before this one leaves its event loop running in this thread.
        with start_blocking_portal() as portal:
            portal.call(create_app(chain), scope, receive, send)
        assert sent[0]["status"] == 401

    def test_a_certificates_name_is_believed_from_a_trusted_proxy_only(
        self, chain: Services, clock: TurnedClock, password: str
    ) -> None:
        batch = Sender().batch([crossing(1, at=clock.now)], sent_at=clock.now).payload

        def answered(settings: Settings, peer: str, *headers: tuple[str, str]) -> int:
            app = create_app(with_settings(chain, settings))
            with TestClient(app, client=(peer, 4711)) as proxy:
                return int(proxy.post(BATCHES, content=batch, headers=list(headers)).status_code)

        believing = chain.settings.model_copy(update={"device_name_header": CN, "trusted_proxies": "10.1.0.0/24"})
        assert answered(believing, "10.1.0.7", (CN, "door-1")) == 200
        assert answered(chain.settings, "10.1.0.7", (CN, "door-1")) == 401, "no header is set, none is believed"
        assert answered(believing, "10.2.0.7", (CN, "door-1")) == 401
        assert answered(believing, "10.1.0.7", (CN, "door-1"), (CN, "door-2")) == 401
        assert answered(believing, "10.1.0.7", (CN, "door/1")) == 401
        assert answered(believing, "10.1.0.7", (CN, "")) == 401, "no certificate was shown"
        # A name that is not the batch's, and one that is no box's.
        assert answered(believing, "10.1.0.7", (CN, "door-2")) == 422
        chain.stores.revoke_device(SYSTEM, "door-1")
        assert answered(believing, "10.1.0.7", (CN, "door-1")) == 403

    def test_a_certificate_that_is_not_on_record_is_refused_where_the_proxy_passes_it_on(
        self, chain: Services, clock: TurnedClock, authority: Authority
    ) -> None:
        chain.stores.add_camera(SYSTEM, "S01", "S01-C1", lines=["S01-L1"])
        boxes = ProvisioningService(chain.db, clock)
        files: dict[str, Enrolment] = {}

        def issue(name: str, make: Callable[..., Any], *where: str, **more: Any) -> str:
            def keep(content: bytes) -> Callable[[], None]:
                files[name] = enrolment.decode(content)
                return lambda: None

            at = Endpoint("mqtt.example.com", 8883)
            issued = make(SYSTEM, *where, authority=authority, endpoint=at, hand_over=keep, **more)
            return str(issued.fingerprint)

        first = issue("first", boxes.add_device, "S01", "door-1")
        other = issue("other", boxes.add_device, "S01", "door-2")
        batch = Sender().batch([crossing(1, at=clock.now)], sent_at=clock.now).payload
        cert = "X-Client-Certificate"
        settings = chain.settings.model_copy(
            update={"device_name_header": CN, "device_certificate_header": cert, "trusted_proxies": "10.1.0.0/24"}
        )

        def answered(*shown: str) -> int:
            with TestClient(create_app(with_settings(chain, settings)), client=("10.1.0.7", 4711)) as proxy:
                headers = [(CN, "door-1"), *((cert, each) for each in shown)]
                return int(proxy.post(BATCHES, content=batch, headers=headers).status_code)

        pem = quote(files["first"].certificate, safe="")
        colons = ":".join(first[place : place + 2] for place in range(0, 64, 2)).upper()
        for good in (first, colons, pem):
            assert answered(good) == 200, good
        for bad in ((), ("",), (other,), (first, first), ("0" * 64,), (quote(files["other"].certificate, safe=""),)):
            assert answered(*bad) == 401, bad
        assert answered(pem[:200]) == 401
        second = issue("second", boxes.rotate, "door-1", overlap=timedelta(0))
        assert answered(first) == 401, "it was ended, whatever list the proxy goes by"
        assert answered(second) == 200


def with_settings(services: Services, settings: Settings) -> Services:

    return replace(services, settings=settings)


def test_a_body_that_is_too_large_is_refused(client: TestClient, post: Post, password: str) -> None:
    announced, streamed = b" " * (MAX_PAYLOAD + 1), iter([b" " * MAX_PAYLOAD, b" "])
    for content in (announced, streamed):
        answer = client.post(BATCHES, content=content, auth=("door-1", password))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert post(b" " * MAX_PAYLOAD).json()["error"]["code"] == "wrong_envelope"


def test_what_ever_comes_is_answered_in_the_one_shape(post: Post) -> None:
    for payload in (b"", b"\xff\xfe", b"{", b"[" * 100_000, b'"\\ud800"', b"\0" * 50):
        answer = post(payload)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "wrong_envelope")


def test_a_status_is_kept(chain: Services, clock: TurnedClock, client: TestClient, password: str) -> None:
    auth = ("door-1", password)
    word = encode(Status(device="door-1", online=True, at=clock.now, pending=7))
    assert client.put("/api/v1/status", content=word, auth=auth).status_code == 204
    assert scalar(chain.db, "SELECT status->>'pending' FROM device") == "7"
    assert client.put("/api/v1/status", content=b"{}", auth=auth).status_code == 422
    assert client.put("/api/v1/status", content=word).status_code == 401


def test_while_the_database_is_away_boxes_are_told_to_come_again(
    own_postgres: EmbeddedPostgres, settings: Settings, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.storage.pool.CONNECT_SECONDS", 1)
    door = Sender()
    batches = [door.batch([crossing(seq, at=clock.now)], sent_at=clock.now).payload for seq in range(1, 4)]
    with make_services(settings.model_copy(update={"dsn": SecretStr(own_postgres.dsn)}), clock) as services:
        services.stores.add_store(SYSTEM, NewStore("S01", "S01"))
        auth = ("door-1", register(services))
        with TestClient(create_app(services), raise_server_exceptions=False) as box:
            assert box.post(BATCHES, content=batches[0], auth=auth).status_code == 200
            own_postgres.stop()
            answer = box.post(BATCHES, content=batches[1], auth=auth)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            own_postgres.start()
            wait_until(lambda: box.post(BATCHES, content=batches[1], auth=auth).status_code == 200, 30, "an answer")
            assert replied(box.post(BATCHES, content=batches[2], auth=auth)) == Ack(epoch=door.epoch, seq=3)
        assert scalar(services.db, "SELECT count(*) FROM crossing") == 3


def test_many_copies_of_one_batch_at_once_are_booked_once(chain: Services, clock: TurnedClock, post: Post) -> None:
    """Half of them by the route, half by the service of a worker beside it."""
    beside = IngestService(chain.db, clock)
    doors = [Sender() for _ in range(5)]
    batches = [
        door.batch(
            [crossing(seq, at=clock.now - timedelta(minutes=seq)) for seq in range(start, start + 5)],
            sent_at=clock.now,
        )
        for door in doors
        for start in (1, 6, 11)
    ]
    together = threading.Barrier(8)

    def work(number: int) -> None:
        together.wait(20)
        for batch in batches:
            for _ in range(20):
                reply = replied(post(batch)) if number % 2 else beside.take([batch])[0].reply
                assert not isinstance(reply, Refusal)
                if isinstance(reply, Ack):
                    break

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    booked = rows(chain.db, "SELECT epoch, count(*), count(DISTINCT seq) FROM crossing GROUP BY 1")
    assert sorted(booked) == sorted((door.epoch, 15, 15) for door in doors)
    assert_roll_ups_equal_raw(chain.db)


@pytest.mark.mosquitto
def test_copies_over_mqtt_and_https_race_between_real_processes(
    db: Database, settings: Settings, tmp_path: Path
) -> None:
    require_mosquitto()
    users = {SERVER_USER: SERVER_PASSWORD, "door-1": "secret of door-1"}
    with (
        EmbeddedBroker(tmp_path / "broker", users=users, kind="mosquitto") as broker,
        make_services(settings) as services,
    ):
        services.stores.add_store(SYSTEM, NewStore("S01", "S01"))
        password = register(services)
        env = {**central_settings(db.dsn, broker), "DOORLINE_DEVICE_NAME_HEADER": CN}
        base = f"http://127.0.0.1:{parsed(env).web_port}"
        with running(env, tmp_path, "web"), running(env, tmp_path, "ingest"):
            wait_until(lambda: is_up(base), 60, "the web process")
            box = Box(broker, "door-1")
            doors = [Sender() for _ in range(30)]
            now = services.clock()
            batches = [
                door.batch([crossing(seq, at=now - timedelta(seconds=seq)) for seq in range(1, 41)], sent_at=now)
                for door in doors
            ]
            try:
                # The worker listens: what is published now is not lost on the way.
                box.send_until_acked(Sender().batch([crossing(1, at=now)], sent_at=now), 1)

                def by_https(batch: Incoming) -> Ack | Rewind:
                    with httpx.Client(base_url=base, auth=("door-1", password), timeout=60) as line:
                        return replied(line.post(BATCHES, content=batch.payload))

                with ThreadPoolExecutor(4) as pool:
                    for batch in batches:
                        box.send(batch)
                    posted = list(pool.map(by_https, reversed(batches)))
                # By a proxy on this machine, for a box elsewhere.
                named = {CN: "door-1", "X-Forwarded-For": "203.0.113.9"}
                assert replied(httpx.post(base + BATCHES, content=batches[0].payload, headers=named)).seq == 40
                acked = {door.epoch for door in doors}
                wait_until(lambda: acked <= {each.epoch for each in box.heard}, 60, "an ack of each over MQTT")
            finally:
                box.close()
        assert [reply.seq for reply in posted] == [40] * len(doors)
        booked = rows(
            db,
            "SELECT epoch, count(*), count(DISTINCT seq) FROM crossing WHERE epoch = ANY(%s) GROUP BY 1",
            list(acked),
        )
        assert sorted(booked) == sorted((epoch, 40, 40) for epoch in acked)
        assert_roll_ups_equal_raw(db)


def test_the_description_shows_the_wires_own_bounds(services: Services) -> None:
    described = create_app(services).openapi()["paths"][BATCHES]["post"]
    batch = described["requestBody"]["content"]["application/json"]["schema"]
    assert set(batch["required"]) >= {"device", "epoch", "first_seq", "last_seq", "oldest", "sent_at", "records"}
    assert batch["properties"]["first_seq"]["minimum"] == 1
    reply = described["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(reply["properties"]) == set(msgspec.structs.asdict(BatchReply(reply=Ack(epoch="0" * 32, seq=0))))
