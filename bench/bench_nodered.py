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
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, Self

import psycopg

from bench.central import Central, Meter, Program, central
from bench.traffic import RECORDS, STORES, Boxes, fill, messages
from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.ingest.models import Incoming
from server.storage.pool import Database
from tests.fixtures.broker import SERVER_PASSWORD
from tests.fixtures.wait import wait_until
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


class Senders:
    """Sends batches, and with `again` what nobody acknowledged once more, as boxes do."""

    def __init__(self, broker: EmbeddedBroker, sent: Sequence[Incoming], *, again: bool) -> None:
        self._sent = sent
        self._again = again
        self._acked: set[str] = set()
        self._ended = threading.Event()
        self._boxes = Boxes(broker, lambda payload: self._acked.add(decode(payload, Ack).epoch))
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._boxes.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._ended.set()
        self._thread.join()
        self._boxes.__exit__(*error)

    def _run(self) -> None:
        left = list(self._sent)
        while left:
            for incoming in left:
                self._boxes.send(incoming)
            if not self._again or self._ended.wait(5):
                return
            left = [each for each in left if json.loads(each.payload)["epoch"] not in self._acked]


def node_red(installed: Path, centre: Central, broker: EmbeddedBroker, name: str) -> Program:
    """Node-RED with its flow, to be started."""
    folder = centre.folder / name
    folder.mkdir()
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
    secret = {"broker": {"user": SERVER_USER, "password": SERVER_PASSWORD}}
    (folder / "flows_cred.json").write_text(json.dumps(secret))
    modules = installed / "node_modules"
    pg, dsn = json.dumps(str(modules / "pg")), json.dumps(centre.dsn)
    (folder / "settings.js").write_text(
        "module.exports = {flowFile: 'flows.json', credentialSecret: false, httpAdminRoot: false, httpNodeRoot: false,"
        f" functionGlobalContext: {{pg: require({pg}), dsn: {dsn}}}}};\n"
    )
    words = ["node", str(modules / "node-red" / "red.js"), "-u", str(folder)]
    return Program(words, os.environ, folder, ready="Connected to broker")


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
    program: Program, broker: EmbeddedBroker, sink: Sink, meter: Meter, count: int, seed: int
) -> tuple[float, float]:
    """Rows a second by the clock, and by the processor time of the process and the database."""
    sink.clear()
    program.start()
    sent = list(islice(messages(seed), count))
    with meter.watching(program.pid) as spent_since, Senders(broker, sent, again=False):
        wait_until(lambda: sink.rows() >= count * RECORDS, 300, "every row")
        spent = spent_since()
    program.kill()
    return count * RECORDS / spent.clock, count * RECORDS / spent.processor


def kill(
    program: Program, broker: EmbeddedBroker, sink: Sink, count: int, seed: int, *, again: bool
) -> tuple[int, int]:
    """Kill it when a third of the rows are there, start it again: how many rows are lost, and how many doubled."""
    sink.clear()
    program.start()
    with Senders(broker, list(islice(messages(seed), count)), again=again):
        wait_until(lambda: sink.rows() >= count * RECORDS / 3, 300, "a third of the rows")
        program.kill()
        program.start()
        last, since = sink.rows(), time.monotonic()
        while time.monotonic() - since < 15 and last < count * RECORDS:
            time.sleep(0.2)
            now = sink.rows()
            if now != last:
                last, since = now, time.monotonic()
    program.kill()
    return sink.missing_and_doubled(count * RECORDS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("installed", type=Path, help="folder with node_modules/node-red and node_modules/pg")
    parser.add_argument("--messages", type=int, default=1000, help="messages of 50 records, each of another device")
    parser.add_argument("--rounds", type=int, default=3, help="turns each takes")
    asked = parser.parse_args()
    with ExitStack() as stack:
        centre = stack.enter_context(central())
        with Database(centre.dsn, 2) as db:
            fill(db)
        sink = Sink(stack.enter_context(psycopg.connect(centre.dsn, autocommit=True)))
        meter = Meter(centre.pid)
        found: dict[str, list[tuple[float, float]]] = {"doorline": [], "node-red": []}
        lost: dict[str, list[tuple[int, int]]] = {"doorline": [], "node-red": []}
        for turn in range(asked.rounds):
            for name in found:
                # A broker each time: what one left in its session must not reach the other.
                with ExitStack() as one:
                    broker = one.enter_context(centre.broker(f"broker-{name}-{turn}", kind="mosquitto"))
                    program = (
                        centre.ingest(broker, f"{name}-{turn}")
                        if name == "doorline"
                        else node_red(asked.installed.resolve(), centre, broker, f"{name}-{turn}")
                    )
                    one.callback(program.stop)
                    found[name].append(speed(program, broker, sink, meter, asked.messages, 2 * turn))
                    again = name == "doorline"
                    lost[name].append(kill(program, broker, sink, asked.messages, 2 * turn + 1, again=again))
    for name, rates in found.items():
        clock, processor = median(rate for rate, _ in rates), median(rate for _, rate in rates)
        print(
            f"{name:10} {clock:>9,.0f} rows/s by the clock, {processor:>9,.0f} by processor time;"
            f" by a kill (lost, doubled): {lost[name]} of {asked.messages * RECORDS:,}"
        )


if __name__ == "__main__":
    main()
