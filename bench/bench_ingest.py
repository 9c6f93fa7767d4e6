"""What exactly-once costs: rows a second from batches to commit, as a share of plain binary COPY of the same rows.

Beside the same rows copied into a table without index, a thousand a transaction, with nothing else done: the writer
alone (booked rows to commit: cursors, rows, roll-up, marks), with booking before it, the service (payloads to commit)
and the whole way (published to mosquitto, 50 records a message from a thousand devices, one or more worker processes).
All take turns, so that whatever else the machine does burdens all; processor time of client and database together is
shown beside the clock's, because it stays comparable on a machine that others use.

Run `python -m bench.bench_ingest` from the repository's root.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TypeVar

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from server.ingest import reading
from server.ingest.booking import Booking
from server.ingest.broker import SERVER_USER, EmbeddedBroker, find_mosquitto
from server.ingest.models import CrossingRow, Cursor, Incoming, Origin, Registry, class_of
from server.ingest.reading import Batch
from server.ingest.registry import RegistryCache
from server.ingest.service import IngestService, _Transaction
from server.storage.embedded import EmbeddedPostgres
from server.storage.migrate import migrate
from server.storage.pool import Database
from wire import topics
from wire.messages import Ack, Crossing, encode, make_batch
from wire.topics import Channel

ROOT = Path(__file__).resolve().parents[1]
PASSWORD = "bench-password"
DEVICES, STORES, RECORDS = 1000, 200, 50
#: Messages in a transaction of a thousand rows.
GROUP = 1000 // RECORDS
TICKS = os.sysconf("SC_CLK_TCK")
COLUMNS = (
    "at, store_id, camera_id, line_id, direction, class, opens_group, track, confidence, tags, undated, device_id,"
    " epoch, seq, received_at"
)
TYPES = (
    *("timestamptz", "text", "text", "text", "text", "text", "bool", "int8", "float4", "text[]", "bool"),
    *("text", "text", "int8", "timestamptz"),
)


T = TypeVar("T")


@dataclass
class Spent:
    """What some rows cost (seconds)."""

    clock: float
    processor: float


class Meter:
    """Processor time of this process and of a database's."""

    def __init__(self, postmaster: int) -> None:
        self._postmaster = postmaster

    def database(self) -> float:
        total = 0
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            try:
                fields = (folder / "stat").read_text().rpartition(") ")[2].split()
            except OSError:
                continue
            if int(folder.name) == self._postmaster or int(fields[1]) == self._postmaster:
                total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def spent(self, work: Callable[[T], object], items: Sequence[T]) -> Spent:
        """What doing this to each of them costs."""
        ours, theirs, began = time.process_time(), self.database(), time.perf_counter()
        for item in items:
            work(item)
        clock = time.perf_counter() - began
        return Spent(clock, time.process_time() - ours + self.database() - theirs)


def fill(db: Database) -> None:
    """Stores, cameras, lines and devices; and a table without index for plain rows."""
    with db.transaction() as connection:
        numbers = f"generate_series(0, {STORES - 1}) AS n"
        connection.execute(f"INSERT INTO store (store_id, name) SELECT 'S' || n, 'x' FROM {numbers}".encode())
        connection.execute(
            "INSERT INTO camera (camera_id, store_id, name, installed_at)"
            f" SELECT 'S' || n || '-C1', 'S' || n, 'x', '2026-01-01' FROM {numbers}".encode()
        )
        connection.execute(
            "INSERT INTO line (line_id, camera_id, store_id, name)"
            f" SELECT 'S' || n || '-L1', 'S' || n || '-C1', 'S' || n, 'x' FROM {numbers}".encode()
        )
        connection.execute(
            f"INSERT INTO device (device_id, store_id) SELECT 'box-' || n, 'S' || n % {STORES}"
            f" FROM generate_series(0, {DEVICES - 1}) AS n".encode()
        )
        connection.execute("CREATE TABLE plain (LIKE crossing)")


def messages(seed: int) -> Iterator[Incoming]:
    """Batches of all devices in turn, without end: each device's epoch goes on from where it was."""
    draw = random.Random(seed)
    epochs = [f"{draw.getrandbits(128):032x}" for _ in range(DEVICES)]
    now = datetime.now(UTC)
    first = 1
    while True:
        for device in range(DEVICES):
            store = f"S{device % STORES}"
            records = [
                Crossing(
                    seq=first + number,
                    at=now - timedelta(seconds=60 - number),
                    camera=f"{store}-C1",
                    line=f"{store}-L1",
                    direction="in" if draw.random() < 0.5 else "out",
                    track=draw.randrange(10**6),
                    confidence=round(draw.random(), 3),
                    tags=("child",) if draw.random() < 0.1 else (),
                )
                for number in range(RECORDS)
            ]
            made = make_batch(
                device=f"box-{device}", epoch=epochs[device], oldest=1, sent_at=now, records=records, nonce="0" * 16
            )
            yield Incoming(f"box-{device}", encode(made), now)
        first += RECORDS


def booked(group: Sequence[Incoming]) -> Booking:
    """What a group becomes."""
    registry = Registry(
        {f"S{number}-L1": f"S{number}" for number in range(STORES)},
        {f"S{number}-C1": f"S{number}" for number in range(STORES)},
    )
    booking = Booking(registry)
    for incoming in group:
        batch = read(incoming)
        store = f"S{int(incoming.device.removeprefix('box-')) % STORES}"
        origin = Origin(store, incoming.device, batch.envelope.epoch, incoming.received_at)
        for numbered in batch.records:
            booking.book(numbered, origin)
    return booking


def plain_rows(group: Sequence[Incoming]) -> list[CrossingRow]:
    """The same rows as the driver takes them."""
    found: list[CrossingRow] = []
    for incoming in group:
        batch = read(incoming)
        store = f"S{int(incoming.device.removeprefix('box-')) % STORES}"
        for numbered in batch.records:
            one = numbered.record
            assert isinstance(one, Crossing)
            tags: list[str] = [*one.tags]
            found.append(
                (
                    *(one.at, store, one.camera, one.line, one.direction, class_of(one.tags), one.opens_group),
                    *(one.track, one.confidence, tags, False, incoming.device, batch.envelope.epoch),
                    *(one.seq, incoming.received_at),
                )
            )
    return found


def read(incoming: Incoming) -> Batch:
    found = reading.read(incoming)
    assert isinstance(found, Batch)
    return found


def copy_plain(connection: psycopg.Connection, rows: Sequence[CrossingRow]) -> None:
    with (
        connection.transaction(),
        connection.cursor() as cursor,
        cursor.copy(f"COPY plain ({COLUMNS}) FROM STDIN (FORMAT BINARY)".encode()) as copy,
    ):
        copy.set_types(TYPES)
        for row in rows:
            copy.write_row(row)


class Booked(_Transaction):
    """A transaction whose records were booked beforehand: what is left is what the database is asked for."""

    booking: Booking

    def _apply(self, batch: Batch, cursor: Cursor, booking: Booking) -> Ack:  # noqa: ARG002
        cursor.seq = batch.envelope.last_seq
        self._moved[cursor.device_id, cursor.epoch] = cursor
        return Ack(epoch=cursor.epoch, seq=cursor.seq)

    def _write(self, booking: Booking) -> None:  # noqa: ARG002
        super()._write(self.booking)


def write_alone(db: Database, cache: RegistryCache, work: tuple[Sequence[Batch], Booking]) -> None:
    """Booked rows to commit: cursors, rows, roll-up, marks."""
    group, booking = work
    with db.transaction() as connection:
        transaction = Booked(connection, cache, group[0].incoming.received_at)
        transaction.booking = booking
        transaction.take(list(enumerate(group)))


def write_decoded(db: Database, cache: RegistryCache, group: Sequence[Batch]) -> None:
    """Decoded batches to commit."""
    with db.transaction() as connection:
        _Transaction(connection, cache, group[0].incoming.received_at).take(list(enumerate(group)))


def beside_plain(db: Database, meter: Meter, rounds: int, at_once: int) -> None:
    """Writer and service, taking turns with plain COPY."""
    service, cache = IngestService(db), RegistryCache()
    stream = messages(1)
    spent: dict[str, list[Spent]] = {}
    with psycopg.connect(db.dsn, autocommit=True) as connection:
        for number in range(rounds + 1):
            groups = [list(islice(stream, GROUP)) for _ in range(3 * at_once)]
            mine, decoded, its = groups[:at_once], groups[at_once : 2 * at_once], groups[2 * at_once :]
            bookings = [booked(group) for group in mine]
            rows = [plain_rows(group) for group in mine]
            work = [([read(each) for each in group], book) for group, book in zip(mine, bookings, strict=True)]
            batches = [[read(each) for each in group] for group in decoded]
            found = {
                "plain COPY": meter.spent(partial(copy_plain, connection), rows),
                "writer alone": meter.spent(partial(write_alone, db, cache), work),
                "booking and writer": meter.spent(partial(write_decoded, db, cache), batches),
                "service, from payloads": meter.spent(service.take, its),
            }
            if number:  # the first round warms up
                for way, cost in found.items():
                    spent.setdefault(way, []).append(cost)
    report(spent, at_once * GROUP * RECORDS)


def report(spent: dict[str, list[Spent]], rows: int) -> None:
    plain = spent["plain COPY"]
    for way, costs in spent.items():
        rate = rows / median(cost.clock for cost in costs)
        clock = median(base.clock / cost.clock for base, cost in zip(plain, costs, strict=True))
        processor = sum(base.processor for base in plain) / sum(cost.processor for cost in costs)
        print(f"{way:34} {rate:>10,.0f} rows/s   share: clock {clock:.2f}, processor {processor:.2f}")


@contextmanager
def workers(dsn: str, broker: EmbeddedBroker, number: int) -> Iterator[list[int]]:
    """Worker processes, listening."""
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DOORLINE_DSN": dsn,
        "DOORLINE_BROKER_HOST": broker.host,
        "DOORLINE_BROKER_PORT": str(broker.port),
        "DOORLINE_BROKER_USERNAME": SERVER_USER,
        "DOORLINE_BROKER_PASSWORD": PASSWORD,
        "DOORLINE_BROKER_PROTOCOL": "5",
    }
    command = [sys.executable, "-m", "cli.main", "ingest"]
    with tempfile.TemporaryDirectory() as folder:
        logs = [(Path(folder) / f"{each}.log").open("w+") for each in range(number)]
        running = [subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=folder) for log in logs]
        try:
            give_up = time.monotonic() + 60
            while not all("listening for batches" in Path(log.name).read_text() for log in logs):
                if time.monotonic() > give_up or any(process.poll() is not None for process in running):
                    raise SystemExit(
                        "a worker did not start:\n" + "\n".join(Path(log.name).read_text() for log in logs)
                    )
                time.sleep(0.05)
            yield [process.pid for process in running]
        finally:
            for process in running:
                process.send_signal(signal.SIGTERM)
            for process in running:
                process.wait(30)
            for log in logs:
                log.close()


def publish(broker: EmbeddedBroker, sent: Sequence[Incoming], acked: threading.Event) -> threading.Thread:
    """Publish everything and hear every ack, from a thread; `acked` is set with the last."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bench", protocol=MQTTProtocolVersion.MQTTv5)
    client.username_pw_set(SERVER_USER, PASSWORD)
    client.max_inflight_messages_set(2000)
    heard = 0
    ready = threading.Event()

    def hear(*_: object) -> None:
        nonlocal heard
        heard += 1
        if heard == len(sent):
            acked.set()

    client.on_message = hear
    client.on_subscribe = lambda *_: ready.set()
    client.on_connect = lambda own, *_: own.subscribe(f"{topics.ROOT}/+/ack", qos=1)
    client.connect(broker.host, broker.port)
    client.loop_start()
    assert ready.wait(20)

    def run() -> None:
        for incoming in sent:
            client.publish(topics.topic(incoming.device, Channel.BATCH), incoming.payload, qos=1)
        acked.wait(600)
        client.disconnect()
        client.loop_stop()

    return threading.Thread(target=run, daemon=True)


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def from_the_broker(db: Database, meter: Meter, number: int, count: int) -> None:
    """The whole way, beside plain COPY of the same number of rows before and after."""
    if find_mosquitto() is None:
        print("from the broker: mosquitto is not installed, left out")
        return
    stream = messages(7 + number)
    sent = list(islice(stream, count))
    plain = [plain_rows(sent[start : start + GROUP]) for start in range(0, min(count, 40 * GROUP), GROUP)]
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedBroker(folder, users={SERVER_USER: PASSWORD}, kind="mosquitto") as broker,
        workers(db.dsn, broker, number) as pids,
        psycopg.connect(db.dsn, autocommit=True) as connection,
    ):

        def copy() -> Spent:
            return meter.spent(partial(copy_plain, connection), plain)

        before = copy()
        acked = threading.Event()
        publisher = publish(broker, sent, acked)
        memory, used, database = sum(map(resident_mb, pids)), sum(map(processor_of, pids)), meter.database()
        began = time.perf_counter()
        publisher.start()
        if not acked.wait(600):
            raise SystemExit("not everything was acknowledged")
        clock = time.perf_counter() - began
        processor = sum(map(processor_of, pids)) - used + meter.database() - database
        grown = sum(map(resident_mb, pids)) - memory
        publisher.join(30)
        after = copy()
    rows = count * RECORDS
    copied = sum(len(each) for each in plain)
    rate, base = rows / clock, copied * 2 / (before.clock + after.clock)
    share = (before.processor + after.processor) / (2 * copied) / (processor / rows)
    name = f"from the broker, {number} worker{'s' * (number > 1)}"
    print(f"{name:34} {rate:>10,.0f} rows/s   share: clock {rate / base:.2f}, processor {share:.2f}; +{grown:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="turns that plain COPY, writer and service take")
    parser.add_argument("--at-once", type=int, default=5, help="transactions of 1,000 rows in a turn")
    parser.add_argument("--messages", type=int, default=2000, help="messages of 50 records through the broker")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="worker processes, one run each")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="doorline-bench-"))
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / "postgres")
    try:
        migrate(postgres.start().dsn)
        with Database(postgres.dsn, 2) as db:
            fill(db)
            assert postgres.pid is not None
            meter = Meter(postgres.pid)
            beside_plain(db, meter, asked.rounds, asked.at_once)
            for number in asked.workers:
                from_the_broker(db, meter, number, asked.messages)
    finally:
        postgres.remove()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
