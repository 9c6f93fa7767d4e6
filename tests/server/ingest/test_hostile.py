"""Boxes that mean harm, or have gone mad: they speak for nobody else, and nothing they say costs more than its size.

Every way to pose as another is tried on the broker as deployed with the worker behind it, so that what the broker
should stop and what the server should stop are seen stopped, each by the one that has to.
"""

import json
import os
import signal
import subprocess
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from server.ingest import reading
from server.ingest.broker import EmbeddedBroker
from server.ingest.models import Incoming
from server.ingest.reading import Batch
from server.ingest.service import IngestService
from server.ingest.worker import IngestWorker
from server.provisioning.door import Credentials
from server.storage.pool import Database
from tests.fixtures.listening import listening
from tests.fixtures.mosquitto import DeployedBroker
from tests.fixtures.processes import central_settings, command, environment
from tests.fixtures.wait import wait_until
from tests.server.ingest.boxes import Box
from tests.server.ingest.devices import NOW, Sender, add_stores, coverage, crossing, rows, scalar
from wire.messages import MAX_PAYLOAD, Ack, Refusal, Reply, Rewind, Status, Tally, decode, decode_envelope, encode
from wire.topics import Channel, topic

_REPLIES: dict[Channel, type[Reply]] = {Channel.ACK: Ack, Channel.REWIND: Rewind, Channel.REFUSAL: Refusal}


# -- posing as another -------------------------------------------------------------------------------------------------


@dataclass
class Guest:
    """A client of the boxes' listener with a certificate, and how it was answered."""

    client: mqtt.Client
    heard: list[tuple[Channel, Any]] = field(default_factory=list)
    answers: dict[int, str] = field(default_factory=dict)
    granted: list[str] = field(default_factory=list)
    connected: threading.Event = field(default_factory=threading.Event)

    def publish(self, name: str, payload: bytes) -> str:
        mid = self.client.publish(name, payload, qos=1).mid
        wait_until(lambda: mid in self.answers, what=f"an answer to the publish on {name}")
        return self.answers[mid]

    def hear(self, name: str) -> None:
        before = len(self.granted)
        self.client.subscribe(name, qos=1)
        wait_until(lambda: len(self.granted) > before, what="an answer to the subscription")

    def take(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        channel = Channel(message.topic.rsplit("/", 1)[1])
        self.heard.append((channel, decode(bytes(message.payload), _REPLIES[channel])))


@pytest.fixture
def guest(deployed: DeployedBroker) -> Iterator[Callable[..., Guest]]:
    """Connects with a certificate; by another name besides, if one is given."""
    made: list[Guest] = []

    def connect(who: Credentials, *, calls_itself: str = "") -> Guest:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        client.tls_set_context(who.context())
        if calls_itself:
            client.username_pw_set(calls_itself, "guessed")
        found = Guest(client)
        client.on_connect = lambda *_: found.connected.set()
        client.on_message = found.take
        client.on_publish = lambda _c, _u, mid, code, _p: found.answers.update({mid: str(code)})
        client.on_subscribe = lambda _c, _u, _mid, codes, _p: found.granted.append(str(codes[0]))
        client.connect("localhost", deployed.port)
        client.loop_start()
        made.append(found)
        assert found.connected.wait(10)
        return found

    yield connect
    for each in made:
        each.client.disconnect()
        each.client.loop_stop()


@pytest.fixture
def worker(db: Database, deployed: DeployedBroker) -> Iterator[IngestWorker]:
    add_stores(db)
    made = IngestWorker(IngestService(db, lambda: NOW), deployed.server_address, clock=lambda: NOW)
    with listening(made):
        yield made


# paho leaves the socket of a failed handshake to the garbage collector, which warns.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.mosquitto
def test_a_box_is_nobody_else_whatever_it_shows_says_or_names(
    db: Database, deployed: DeployedBroker, worker: IngestWorker, guest: Callable[..., Guest]
) -> None:
    of_2 = deployed.credentials(deployed.issue("door-2"))
    victim, thief = Sender("door-1"), Sender("door-2")
    own = guest(deployed.credentials(deployed.issue("door-1")))
    own.hear(topic("door-1", Channel.ACK))
    # Another's certificate: who shows it is door-2 to the broker, whatever it calls itself.
    posing = guest(of_2, calls_itself="door-1")
    for channel in _REPLIES:
        posing.hear(topic("door-2", channel))
    # Another's topic: the broker lets it neither speak nor listen there.
    assert posing.publish(topic("door-1", Channel.BATCH), victim.batch([crossing(1)]).payload) == "Not authorized"
    lying = guest(of_2, calls_itself="door-1")
    assert (
        lying.publish(topic("door-1", Channel.STATUS), encode(Status(device="door-1", online=False)))
        == "Not authorized"
    )
    # On its own topic in another's name: the broker can't know, the server does.
    reader = guest(of_2)
    for channel in _REPLIES:
        reader.hear(topic("door-2", channel))
    reader.hear(topic("door-1", Channel.ACK))
    assert reader.publish(topic("door-2", Channel.BATCH), victim.batch([crossing(1)]).payload) == "Success"
    wait_until(lambda: Channel.REFUSAL in [channel for channel, _ in reader.heard], what="a refusal")
    assert [said.code for channel, said in reader.heard if channel is Channel.REFUSAL] == ["wrong_envelope"]
    reader.publish(topic("door-2", Channel.STATUS), encode(Status(device="door-1", online=False, problem="forged")))
    # In its own name with another store's line: put aside, never counted for that store.
    reader.publish(topic("door-2", Channel.BATCH), thief.batch([crossing(1, line="S02-L1"), crossing(2)]).payload)
    # And what is right passes.
    own.publish(topic("door-1", Channel.BATCH), victim.batch([crossing(1)]).payload)
    wait_until(lambda: bool(own.heard), what="the victim's ack")
    wait_until(lambda: Channel.ACK in [channel for channel, _ in reader.heard], what="the thief's own ack")

    assert rows(db, "SELECT device_id, store_id, seq FROM crossing ORDER BY 1") == [
        ("door-1", "S01", 1),
        ("door-2", "S01", 2),
    ]
    assert rows(db, "SELECT device_id, code FROM dead_letter") == [("door-2", "wrong_store")]
    assert scalar(db, "SELECT count(*) FROM traffic_15m WHERE store_id = 'S02'") == 0
    assert scalar(db, "SELECT count(*) FROM device WHERE status IS NOT NULL") == 0
    assert [said for _, said in own.heard] == [Ack(epoch=victim.epoch, seq=1)]
    assert all(said.epoch == thief.epoch for channel, said in reader.heard if channel is Channel.ACK)


# -- payloads ----------------------------------------------------------------------------------------------------------


def _grown(head: bytes, unit: bytes, tail: bytes, size: int) -> bytes:
    number = (size - len(head) - len(tail)) // (len(unit) + 1)
    return head + b",".join([unit] * number) + tail


def hostile(size: int) -> dict[str, bytes]:
    """Payloads of about `size` bytes that mean harm, in door-1's name."""
    head = Sender("door-1").batch([crossing(1)]).payload.partition(b'"records":[')[0] + b'"records":['
    one = encode(crossing(1))
    tally = encode(Tally(from_seq=1, seq=1))[:-1]
    return {
        "numbers for records": _grown(head, b"0", b"]}", size),
        "empty records": _grown(head, b"{}", b"]}", size),
        "deep": head + b"[" * size,
        "deep and closed": head + b"[" * (size // 2) + b"]" * (size // 2) + b"]}",
        "deep objects": head + b'{"a":' * (size // 5),
        "a number without end": head + b'{"type":"crossing","seq":' + b"9" * size + b"}]}",
        "a text without end": head + b'{"type":"crossing","seq":1,"at":"' + b"\\u0041" * (size // 6) + b'"}]}',
        "tags without end": _grown(head + one[:-1] + b',"tags":[', b'"cart"', b"]}]}", size),
        "sums without end": _grown(
            head + tally + b',"crossings":[',
            b'{"line":"S01-L1","camera":"S01-C1","direction":"in","start":"2026-11-21T09:00:00Z","span":60,"count":1}',
            b"]}]}",
            size,
        ),
        "one key again and again": head + b"{" + b",".join([b'"seq":1'] * (size // 8)) + b"}]}",
        "nothing but NUL": bytes(size),
        "UTF-16": (head + one + b"]}").decode().encode("utf-16"),
        "UTF-32": (head + one + b"]}").decode().encode("utf-32"),
        "a byte order mark": b"\xef\xbb\xbf" + head + one + b"]}",
        "Latin-1": head + one.replace(b"S01-C1", "Straße".encode("latin-1")) + b"]}",
        "GBK": head + one.replace(b"S01-C1", "静安店".encode("gbk")) + b"]}",
        "overlong UTF-8": head + one.replace(b"S01-C1", b"\xc0\xaf") + b"]}",
        "half a character": head + one.replace(b"S01-C1", b"\\ud83d") + b"]}",
        "no number": head + one.replace(b'"seq":1', b'"seq":NaN') + b"]}",
        "infinity": head + one.replace(b'"seq":1', b'"seq":1e999999') + b"]}",
    }


KINDS = sorted(hostile(1000))


@pytest.mark.parametrize("kind", KINDS)
def test_reading_takes_no_more_memory_than_a_known_multiple_of_the_payload(kind: str) -> None:
    payload = hostile(256 * 1024)[kind]
    reading.read(Incoming("door-1", payload, NOW))  # what is made once is made before
    tracemalloc.start()
    try:
        found = reading.read(Incoming("door-1", payload, NOW))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * len(payload) + 1024 * 1024
    assert isinstance(found, Refusal | Batch)


def test_what_takes_many_times_its_size_is_read_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads of the web server are posted to at once."""
    busy = threading.Semaphore(1)
    read = decode_envelope

    def alone(payload: bytes) -> Any:
        assert busy.acquire(blocking=False), "two at once"
        try:
            return read(payload)
        finally:
            busy.release()

    monkeypatch.setattr(reading, "decode_envelope", alone)
    payload = hostile(512 * 1024)["empty records"]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(reading.read, [Incoming("door-1", payload, NOW)] * 8))
    assert all(isinstance(each, Refusal) for each in found)


GOOD = (
    Sender("door-1").batch([crossing(1), coverage(2), Tally(from_seq=3, seq=9), crossing(10, tags=("child",))]).payload
)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A good batch's bytes after some accidents."""
    payload = bytearray(GOOD)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(payload)))
        match draw(st.sampled_from(["flip", "cut", "drop", "insert", "repeat", "move"])):
            case "flip" if place < len(payload):
                payload[place] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del payload[place:]
            case "drop":
                del payload[place : place + draw(st.integers(1, 40))]
            case "insert":
                payload[place:place] = draw(st.binary(min_size=1, max_size=8) | st.sampled_from([b"null", b"[[", b'"']))
            case "repeat":
                piece = bytes(payload[place : place + draw(st.integers(1, 60))])
                payload[place:place] = piece * draw(st.integers(1, 50))
            case _:
                piece = bytes(payload[place : place + 30])
                del payload[place : place + 30]
                to = draw(st.integers(0, len(payload)))
                payload[to:to] = piece
    return bytes(payload)


@given(broken())
@example(GOOD)
@example(GOOD.replace(b'"seq":10', b'"seq":"10"'))
@example(GOOD.replace(b'"camera":"S01-C1"', b'"camera":"a:b","camera":"S01-C1"', 1))
def test_a_batch_after_accidents_is_refused_or_every_number_of_it_is_accounted_for(payload: bytes) -> None:
    found = reading.read(Incoming("door-1", payload, NOW))
    if isinstance(found, Refusal):
        assert found.reason
        assert decode(encode(found), Refusal) == found
        return
    expected = found.envelope.first_seq
    for numbered in found.records:
        assert numbered.first == expected <= numbered.last
        assert numbered.sent
        expected = numbered.last + 1
    assert expected == found.envelope.last_seq + 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="a process's memory is read from /proc")
def test_a_worker_outlives_whatever_a_box_says_and_its_memory_is_bounded(
    db: Database, db_dsn: str, any_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    add_stores(db)
    for name in ("door-1", "door-2"):
        any_broker.add_user(name, f"secret of {name}")
    env = {**central_settings(db_dsn, any_broker), "DOORLINE_BROKER_PROTOCOL": any_broker.protocol}
    log = tmp_path / "ingest.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command("ingest"), env=environment(env), stdout=output, stderr=output, cwd=tmp_path)
    mad, well = Box(any_broker, "door-1"), Box(any_broker, "door-2")
    try:
        wait_until(lambda: b"listening" in log.read_bytes(), 60, "the worker to listen")
        sender = Sender("door-2")
        well.send(sender.batch([crossing(1)]))
        wait_until(lambda: well.acked() == 1, 20, "an ack before")
        before = _resident_mb(process.pid)
        payloads = [*hostile(MAX_PAYLOAD - 1000).values(), b" " * (MAX_PAYLOAD + 1)]
        for payload in payloads:
            mad.say(Channel.BATCH, payload)
            mad.say(Channel.STATUS, payload)
        well.send(sender.batch([crossing(1), crossing(2)]))
        wait_until(lambda: well.acked() == 2, 120, "an ack among them")
        wait_until(lambda: len(mad.heard) >= len(payloads), 120, "a word on each")
        assert process.poll() is None
        # The queue may hold 64 MB and one payload at a time takes thirty times its size.
        assert _peak_mb(process.pid) - before < 64 + 30 * MAX_PAYLOAD / 2**20 + 100
        assert scalar(db, "SELECT count(*) FROM crossing WHERE device_id = 'door-1'") == 0
    finally:
        mad.close()
        well.close()
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _peak_mb(pid: int) -> float:
    told = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in told.splitlines() if line.startswith("VmHWM")) / 1024


def test_the_payloads_are_what_they_say() -> None:
    """Each is read as far as its harm begins: none is refused for something else first."""
    good = json.loads(GOOD)
    assert good["device"] == "door-1"
    codes = {}
    for kind, payload in hostile(20_000).items():
        found = reading.read(Incoming("door-1", payload, NOW))
        codes[kind] = found.code if isinstance(found, Refusal) else "read"
    assert set(codes.values()) == {"wrong_envelope", "read"}
    assert codes["sums without end"] == "read"
