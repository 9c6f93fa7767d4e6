"""After three days without a line: how fast a box's backlog is in, and how late today's people are meanwhile.

A box's outbox is filled with 100,000 records dated over 72 hours, none of them sent; then the line is there. Until the
last of them is committed someone comes in every half second, and their lateness is measured from the outbox to the
database. Batching is the default. Broker, database and `doorline ingest` are real and in processes of their own.

Run `python -m bench.bench_drain` from the repository's root.
"""

import argparse
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Literal

import psycopg

from bench.central import central
from edge.clock import SystemClock
from edge.link.mqtt import MqttTransport
from edge.outbox import Outbox
from edge.settings import BrokerSettings
from edge.uplink import Uplink
from server.access.models import Scope
from server.services import make_services
from server.stores.models import NewStore
from tests.fixtures.processes import central_settings, parsed
from tests.fixtures.wait import wait_until
from wire.messages import Coverage, Crossing, Record

CAMERA, LINE = "S01-C1", "S01-L1"
#: Tracks of today's people begin here, to tell them from the backlog's.
TODAY = 10_000_000


def backlog(outbox: Outbox, number: int) -> None:
    """Three days of a busy door, the newest just now; a minute watched among every twenty-four records."""
    now = datetime.now(UTC)
    minute = (now - timedelta(hours=72)).replace(second=0, microsecond=0)
    for place in range(number):
        record: Record
        if place % 24 == 0:
            record = Coverage(seq=1, minute=minute, camera=CAMERA, seconds=60, frames=700)
            minute += timedelta(minutes=1)
        else:
            at = now - timedelta(hours=72) * (1 - place / number)
            direction: Literal["in", "out"] = "in" if place % 2 else "out"
            record = Crossing(
                seq=1, at=at, camera=CAMERA, line=LINE, direction=direction, track=place, confidence=0.9, group=place
            )
        outbox.append(record)
        if place % 5000 == 4999:
            outbox.flush()
    outbox.flush()


def today(outbox: Outbox, ended: threading.Event, came: dict[int, float]) -> None:
    """Someone comes in every half second."""
    track = TODAY
    while not ended.wait(0.5):
        track += 1
        came[track] = time.time()
        record = Crossing(seq=1, at=datetime.now(UTC), camera=CAMERA, line=LINE, direction="in", track=track)
        outbox.append(record)


def measure(number: int) -> None:
    with ExitStack() as stack:
        centre = stack.enter_context(central())
        broker = stack.enter_context(centre.broker())
        env = central_settings(centre.dsn, broker)
        admin = Scope.system("bench")
        with make_services(parsed(env)) as services:
            services.stores.add_store(admin, NewStore("S01", "S01", "UTC"))
            installed = datetime.now(UTC) - timedelta(days=4)
            services.stores.add_camera(admin, "S01", CAMERA, "door", installed_at=installed, lines=[LINE])
            password = services.stores.add_device(admin, "S01", "door-1").password
        broker.add_user("door-1", password)
        clock = SystemClock()
        outbox = Outbox(centre.folder / "outbox.db", clock)
        backlog(outbox, number)
        size = outbox.path.stat().st_size / 2**20
        stack.enter_context(centre.ingest(broker))
        uplink = Uplink(
            outbox,
            MqttTransport("door-1", BrokerSettings(host="127.0.0.1", port=broker.port, password=password)),
            clock,
            device="door-1",
        )
        connection = stack.enter_context(psycopg.connect(centre.dsn, autocommit=True))
        ended, came = threading.Event(), dict[int, float]()
        visitor = threading.Thread(target=today, args=(outbox, ended, came), daemon=True)
        outbox.start()
        stack.callback(outbox.close)
        stack.callback(uplink.stop)
        uplink.start()
        began, used = time.monotonic(), time.process_time()
        wait_until(lambda: uplink.connected, 60, "the line")
        visitor.start()

        def drained() -> bool:
            time.sleep(0.2)
            rows = "SELECT (SELECT count(*) FROM crossing WHERE track < %s) + (SELECT count(*) FROM coverage)"
            found = connection.execute(rows.encode(), (TODAY,)).fetchone()
            return found is not None and found[0] == number

        wait_until(drained, 600, "the backlog to be in")
        took, used = time.monotonic() - began, time.process_time() - used
        ended.set()
        visitor.join()
        late = "SELECT count(*) FROM crossing WHERE track > %s"

        def all_in() -> bool:
            found = connection.execute(late.encode(), (TODAY,)).fetchone()
            return found is not None and found[0] == len(came)

        wait_until(all_in, 60, "today's people")
        committed = connection.execute(
            b"SELECT track, extract(epoch FROM received_at)::float8 FROM crossing WHERE track > %s", (TODAY,)
        ).fetchall()
        lateness = [at - came[track] for track, at in committed]
        total = connection.execute(b"SELECT sum(count) FROM traffic_15m").fetchone()
        assert total is not None
        crossings = number - len(range(0, number, 24)) + len(came)
        assert total[0] == crossings, "the roll-up is not what was counted"
    print(
        f"{number:,} records of 72 h ({size:.0f} MB on the box) in {took:.1f} s; the box's processor {used:.1f} s;"
        f" {len(lateness)} of today meanwhile: median {median(lateness):.1f} s late, at most {max(lateness):.1f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=100_000, help="records in the backlog")
    measure(parser.parse_args().number)


if __name__ == "__main__":
    main()
