"""Beside Node-RED: the same messages into the same tables, rows a second, and what a kill costs.

Node-RED is what many would take for this: an MQTT node, a function node that gathers rows and writes a thousand at a
time together with the roll-up, both with the settings that lose least (QoS 1, a session that is kept). It is not part
of this project; install it anywhere and say where:

    npm install --prefix /tmp/nodered node-red pg
    python -m bench.bench_nodered /tmp/nodered

Both take turns. What was published is sent once more when nobody answers, as a box does, to the one that answers.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from statistics import median

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bench.bench_ingest import PASSWORD, RECORDS, ROOT, STORES, Meter, fill, messages, processor_of
from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.ingest.models import Incoming
from server.storage.embedded import EmbeddedPostgres
from server.storage.migrate import migrate
from server.storage.pool import Database
from wire import topics
from wire.messages import Ack, decode
from wire.topics import Channel

FUNCTION = """
const rows = context.get('rows') || [];
const batch = JSON.parse(msg.payload);
const store = 'S' + (Number(batch.device.slice(4)) % %STORES%);
for (const one of batch.records) {
    const tags = one.tags || [];
    rows.push([one.at, store, one.camera, one.line, one.direction, tags.includes('child') ? 'child' : 'adult',
        one.track, one.confidence, '{' + tags.join(',') + '}', batch.device, batch.epoch, one.seq]);
}
context.set('rows', rows);
let pool = context.get('pool');
if (!pool) {
    pool = new (global.get('pg').Pool)({connectionString: global.get('dsn'), max: 2});
    context.set('pool', pool);
}
async function write(some) {
    const columns = Array.from({length: 12}, (_, column) => some.map(row => row[column]));
    const sums = new Map();
    for (const row of some) {
        const key = JSON.stringify([row[1], new Date(Math.floor(Date.parse(row[0]) / 900000) * 900000).toISOString(),
            row[3], row[4], row[5]]);
        sums.set(key, (sums.get(key) || 0) + 1);
    }
    const keys = [...sums.keys()].sort().map(key => [...JSON.parse(key), sums.get(key)]);
    const parts = Array.from({length: 6}, (_, column) => keys.map(key => key[column]));
    const client = await pool.connect();
    try {
        await client.query('BEGIN');
        await client.query(`INSERT INTO crossing (at, store_id, camera_id, line_id, direction, class, opens_group,
            track, confidence, tags, undated, device_id, epoch, seq, received_at)
            SELECT at, s, c, l, d, k, true, t, f, g::text[], false, b, e, n, now()
            FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int8[],
            $8::float4[], $9::text[], $10::text[], $11::text[], $12::int8[]) AS r (at, s, c, l, d, k, t, f, g, b, e, n)
            `, columns);
        await client.query(`INSERT INTO traffic_15m AS held
            (store_id, quarter, line_id, direction, class, count, groups)
            SELECT s, q, l, d, k, n, n FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[],
            $6::int[]) AS r (s, q, l, d, k, n)
            ON CONFLICT (store_id, quarter, line_id, direction, class)
            DO UPDATE SET count = held.count + EXCLUDED.count, groups = held.groups + EXCLUDED.groups`, parts);
        await client.query('COMMIT');
    } catch (error) {
        await client.query('ROLLBACK');
        node.error(error);
    } finally {
        client.release();
    }
}
while (rows.length >= 1000) await write(rows.splice(0, 1000));
clearTimeout(context.get('timer'));
context.set('timer', setTimeout(() => { if (rows.length) write(rows.splice(0)); }, 200));
return null;
"""


class Boxes:
    """Publishes batches; with `again` it sends again what nobody acknowledged, as boxes do."""

    def __init__(self, broker: EmbeddedBroker, sent: Sequence[Incoming], *, again: bool) -> None:
        self._sent = sent
        self._again = again
        self._acked: set[str] = set()
        self._ended = threading.Event()
        self._ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="boxes", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(SERVER_USER, PASSWORD)
        self._client.max_inflight_messages_set(2000)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{topics.ROOT}/+/ack", qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._hear
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        assert self._ready.wait(20)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        self._acked.add(f"{decode(bytes(message.payload), Ack).epoch}")

    def _run(self) -> None:
        left = list(self._sent)
        while left:
            for incoming in left:
                self._client.publish(topics.topic(incoming.device, Channel.BATCH), incoming.payload, qos=1)
            if not self._again or self._ended.wait(5):
                return
            left = [each for each in left if json.loads(each.payload)["epoch"] not in self._acked]


@contextmanager
def node_red(installed: Path, folder: Path, dsn: str, broker: EmbeddedBroker) -> Iterator[Callable[[], int]]:
    """Gives what starts it, which gives its process id."""
    flow = [
        {"id": "tab", "type": "tab", "label": "doorline"},
        {
            "id": "broker",
            "type": "mqtt-broker",
            "broker": broker.host,
            "port": str(broker.port),
            "clientid": "node-red",
            "protocolVersion": "5",
            "cleansession": False,
            "sessionExpiry": "3600",
            "autoConnect": True,
            "usetls": False,
            "keepalive": "60",
        },
        {
            "id": "in",
            "type": "mqtt in",
            "z": "tab",
            "topic": topics.pattern(Channel.BATCH),
            "qos": "1",
            "datatype": "utf8",
            "broker": "broker",
            "nl": False,
            "rap": True,
            "rh": 0,
            "wires": [["batch"]],
        },
        {
            "id": "batch",
            "type": "function",
            "z": "tab",
            "outputs": 0,
            "wires": [],
            "timeout": 0,
            "func": FUNCTION.replace("%STORES%", str(STORES)),
            "initialize": "",
            "finalize": "",
            "libs": [],
        },
    ]
    (folder / "flows.json").write_text(json.dumps(flow))
    secret = {"broker": {"user": SERVER_USER, "password": PASSWORD}}
    (folder / "flows_cred.json").write_text(json.dumps(secret))
    modules = installed / "node_modules"
    (folder / "settings.js").write_text(
        "module.exports = {flowFile: 'flows.json', credentialSecret: false, httpAdminRoot: false, httpNodeRoot: false,"
        f" functionGlobalContext: {{pg: require({json.dumps(str(modules / 'pg'))}), dsn: {json.dumps(dsn)}}}}};\n"
    )
    log = folder / "node-red.log"
    running: list[subprocess.Popen[bytes]] = []

    def start() -> int:
        said = log.read_text().count("Connected to broker") if log.exists() else 0
        with log.open("ab") as output:
            command = ["node", str(modules / "node-red" / "red.js"), "-u", str(folder)]
            running.append(subprocess.Popen(command, stdout=output, stderr=output, cwd=folder))
        wait(lambda: log.read_text().count("Connected to broker") > said, 120, f"Node-RED\n{log.read_text()}")
        return running[-1].pid

    try:
        yield start
    finally:
        for process in running:
            process.kill()
            process.wait()


@contextmanager
def doorline(folder: Path, dsn: str, broker: EmbeddedBroker) -> Iterator[Callable[[], int]]:
    """The same of `doorline ingest`."""
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DOORLINE_DSN": dsn,
        "DOORLINE_BROKER_PORT": str(broker.port),
        "DOORLINE_BROKER_USERNAME": SERVER_USER,
        "DOORLINE_BROKER_PASSWORD": PASSWORD,
        "DOORLINE_BROKER_PROTOCOL": "5",
    }
    log = folder / "ingest.log"
    running: list[subprocess.Popen[bytes]] = []

    def start() -> int:
        said = log.read_text().count("listening for batches") if log.exists() else 0
        with log.open("ab") as output:
            command = [sys.executable, "-m", "cli.main", "ingest"]
            running.append(subprocess.Popen(command, env=env, stdout=output, stderr=output, cwd=folder))
        wait(lambda: log.read_text().count("listening for batches") > said, 120, "doorline ingest")
        return running[-1].pid

    try:
        yield start
    finally:
        for process in running:
            process.kill()
            process.wait()


def wait(condition: Callable[[], bool], seconds: float, what: str) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            raise SystemExit(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.02)


class Sink:
    """The database both write to, one after the other."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def clear(self) -> None:
        for table in ("crossing", "traffic_15m", "ingest_cursor", "dirty_mark"):
            self._connection.execute(f"TRUNCATE {table}".encode())

    def missing_and_doubled(self, wanted: int) -> tuple[int, int]:
        found = self._connection.execute(
            b"SELECT count(*), count(DISTINCT (device_id, epoch, seq)) FROM crossing"
        ).fetchone()
        assert found is not None
        return wanted - int(found[1]), int(found[0]) - int(found[1])

    def rows(self) -> int:
        found = self._connection.execute(b"SELECT count(*) FROM crossing").fetchone()
        assert found is not None
        return int(found[0])


def speed(
    start: Callable[[], int], broker: EmbeddedBroker, sink: Sink, meter: Meter, count: int, seed: int
) -> tuple[float, float]:
    """Rows a second by the clock, and by the processor time of the process and the database."""
    sink.clear()
    pid = start()
    boxes = Boxes(broker, list(islice(messages(seed), count)), again=False)
    used, database, began = processor_of(pid), meter.database(), time.perf_counter()
    boxes.start()
    wait(lambda: sink.rows() >= count * RECORDS, 300, "every row")
    clock = time.perf_counter() - began
    processor = processor_of(pid) - used + meter.database() - database
    boxes.close()
    os.kill(pid, signal.SIGKILL)
    return count * RECORDS / clock, count * RECORDS / processor


def kill(
    start: Callable[[], int], broker: EmbeddedBroker, sink: Sink, count: int, seed: int, *, again: bool
) -> tuple[int, int]:
    """Kill it when a third of the rows are there, start it again: how many rows are lost, and how many doubled."""
    sink.clear()
    pid = start()
    boxes = Boxes(broker, list(islice(messages(seed), count)), again=again)
    boxes.start()
    wait(lambda: sink.rows() >= count * RECORDS / 3, 300, "a third of the rows")
    os.kill(pid, signal.SIGKILL)
    pid = start()
    last, since = sink.rows(), time.monotonic()
    while time.monotonic() - since < 15 and last < count * RECORDS:
        time.sleep(0.2)
        now = sink.rows()
        if now != last:
            last, since = now, time.monotonic()
    boxes.close()
    os.kill(pid, signal.SIGKILL)
    return sink.missing_and_doubled(count * RECORDS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("installed", type=Path, help="folder with node_modules/node-red and node_modules/pg")
    parser.add_argument("--messages", type=int, default=1000, help="messages of 50 records, each of another device")
    parser.add_argument("--rounds", type=int, default=3, help="turns each takes")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="doorline-bench-"))
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / "postgres")
    try:
        migrate(postgres.start().dsn)
        with Database(postgres.dsn, 2) as db:
            fill(db)
        assert postgres.pid is not None
        with ExitStack() as stack:
            connection = stack.enter_context(psycopg.connect(postgres.dsn, autocommit=True))
            sink, meter = Sink(connection), Meter(postgres.pid)
            found: dict[str, list[tuple[float, float]]] = {"doorline": [], "node-red": []}
            lost: dict[str, list[tuple[int, int]]] = {"doorline": [], "node-red": []}
            for turn in range(asked.rounds):
                for name in found:
                    with ExitStack() as one:
                        # A broker each time: what one left in its session must not reach the other.
                        place = folder / f"{name}-{turn}"
                        place.mkdir()
                        users = {SERVER_USER: PASSWORD}
                        broker = one.enter_context(EmbeddedBroker(place / "broker", users=users, kind="mosquitto"))
                        start = one.enter_context(
                            doorline(place, postgres.dsn, broker)
                            if name == "doorline"
                            else node_red(asked.installed.resolve(), place, postgres.dsn, broker)
                        )
                        found[name].append(speed(start, broker, sink, meter, asked.messages, 2 * turn))
                        lost[name].append(
                            kill(start, broker, sink, asked.messages, 2 * turn + 1, again=name == "doorline")
                        )
        for name, rates in found.items():
            clock, processor = median(rate for rate, _ in rates), median(rate for _, rate in rates)
            print(
                f"{name:10} {clock:>9,.0f} rows/s by the clock, {processor:>9,.0f} by processor time;"
                f" by a kill (lost, doubled): {lost[name]} of {asked.messages * RECORDS:,}"
            )
    finally:
        postgres.remove()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
