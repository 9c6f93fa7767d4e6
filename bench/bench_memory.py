"""Whether a worker's memory stays flat: `doorline ingest` under a steady load from a thousand devices for ten minutes.

What grows by a little an hour is found by nobody's test and ends every process some night. The memory of the process
is read every few seconds; a straight line is laid through all but the first tenth, in which caches and pools fill.

Run `python -m bench.bench_memory --seconds 600` from the repository's root, in the background.
"""

import argparse
import shutil
import tempfile
import threading
import time
from pathlib import Path
from statistics import linear_regression

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bench.bench_ingest import PASSWORD, RECORDS, fill, messages, resident_mb, workers
from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.storage.embedded import EmbeddedPostgres
from server.storage.migrate import migrate
from server.storage.pool import Database
from wire import topics
from wire.topics import Channel

#: Most messages not yet acknowledged by the server: beyond it the load waits, as boxes do.
_MOST_OPEN = 200


class Load:
    """Publishes so many messages a second while the server keeps up, and counts the acks."""

    def __init__(self, broker: EmbeddedBroker, a_second: float) -> None:
        self.sent = self.acked = 0
        self._every_s = 1 / a_second
        self._ended = threading.Event()
        self._ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="load", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(SERVER_USER, PASSWORD)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{topics.ROOT}/+/ack", qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._hear
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        assert self._ready.wait(20)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, *_: object) -> None:
        self.acked += 1

    def _run(self) -> None:
        due = time.monotonic()
        for incoming in messages(11):
            due = max(due + self._every_s, time.monotonic() - 1)
            while self.sent - self.acked > _MOST_OPEN and not self._ended.wait(0.01):
                pass
            if self._ended.wait(max(0.0, due - time.monotonic())):
                return
            self._client.publish(topics.topic(incoming.device, Channel.BATCH), incoming.payload, qos=1)
            self.sent += 1


def measure(seconds: float, a_second: float) -> None:
    folder = Path(tempfile.mkdtemp(prefix="doorline-bench-"))
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / "postgres")
    try:
        migrate(postgres.start().dsn)
        with Database(postgres.dsn, 2) as db:
            fill(db)
        with (
            EmbeddedBroker(folder / "broker", users={SERVER_USER: PASSWORD}) as broker,
            workers(postgres.dsn, broker, 1) as pids,
        ):
            load = Load(broker, a_second)
            began = time.monotonic()
            seen: list[tuple[float, float]] = []
            while (passed := time.monotonic() - began) < seconds:
                seen.append((passed, resident_mb(pids[0])))
                time.sleep(min(5.0, seconds / 100))
            load.close()
        kept = [each for each in seen if each[0] > seconds / 10]
        slope, _ = linear_regression([at for at, _ in kept], [memory for _, memory in kept])
        print(
            f"{load.acked * RECORDS:,} rows in {seconds:.0f} s: {kept[0][1]:.1f} MB after a tenth of the time,"
            f" {kept[-1][1]:.1f} MB at the end, at most {max(memory for _, memory in kept):.1f} MB;"
            f" {slope * 600:+.2f} MB in ten minutes; each tenth: "
            + " ".join(f"{seen[place * len(seen) // 10][1]:.1f}" for place in range(10))
        )
    finally:
        postgres.remove()
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long")
    parser.add_argument("--a-second", type=float, default=40.0, help="messages of 50 records a second at most")
    asked = parser.parse_args()
    measure(asked.seconds, asked.a_second)


if __name__ == "__main__":
    main()
