"""From a crossing to the figure on the manager's page: how long it takes on a quiet system.

Everything real and in processes of its own (PostgreSQL, broker, `doorline ingest`, `doorline web`) but the camera: the
outbox and uplink here are given a crossing at a moment drawn at random, and a signed-in reader of the page's own stream
of server-sent events looks for the figure. Time runs from the moment the crossing is handed to the outbox until the
event that shows it is there.

Run `python -m bench.bench_latency` from the repository's root; five seconds of batching take ten minutes.
"""

import argparse
import json
import queue
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from statistics import median, quantiles

import httpx

from bench.central import central
from edge.clock import SystemClock, moment
from edge.link.mqtt import MqttTransport
from edge.models import Crossing
from edge.outbox import Outbox
from edge.settings import BrokerSettings
from edge.uplink import Uplink
from server.access.models import Scope
from server.services import make_services
from server.stores.models import NewStore, every_day
from tests.fixtures.processes import central_settings, is_up, parsed, running
from tests.fixtures.wait import wait_until

PASSWORD = "a long enough password"


def where_it_is_midday() -> str:
    """A timezone in which it is about noon now, so that the shop is open. (Its sign is the other way round.)"""
    now = datetime.now(UTC)
    ahead = round(12 - now.hour - now.minute / 60)
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


def seen(client: httpx.Client, url: str, found: "queue.SimpleQueue[tuple[int, float]]", ended: threading.Event) -> None:
    """Follow the page's stream; how many visitors each event shows, and when it came."""
    with client.stream("GET", url, timeout=60) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if ended.is_set():
                return
            if line.startswith("data:") and "figures" in line:
                view = json.loads(line.removeprefix("data:"))
                text = next(each["text"] for each in view["figures"] if each["name"] == "visitors")
                found.put((int(text) if text.isdecimal() else 0, time.monotonic()))


def delays(
    outbox: Outbox, clock: SystemClock, found: "queue.SimpleQueue[tuple[int, float]]", number: int
) -> Iterator[float]:
    draw = random.Random(1)
    for place in range(1, number + 1):
        time.sleep(draw.uniform(1.0, 2.5))
        began = time.monotonic()
        crossing = Crossing("S01-L1", "in", place, 0, 0.0, 0.9, place)
        outbox.append_crossing("S01-C1", crossing, moment(clock))
        while True:
            visitors, at = found.get(timeout=60)
            if visitors >= place:
                yield at - began
                break


def measure(flush_after_s: float, number: int) -> list[float]:
    with ExitStack() as stack:
        centre = stack.enter_context(central())
        broker = stack.enter_context(centre.broker())
        env = central_settings(centre.dsn, broker)
        base = f"http://127.0.0.1:{env['DOORLINE_WEB_PORT']}"
        admin = Scope.system("bench")
        with make_services(parsed(env)) as services:
            hours = every_day(clock_time(6), clock_time(18))
            services.stores.add_store(admin, NewStore("S01", "S01", timezone=where_it_is_midday(), hours=hours))
            installed = datetime.now(UTC) - timedelta(minutes=5)
            services.stores.add_camera(admin, "S01", "S01-C1", "door", installed_at=installed, lines=["S01-L1"])
            services.access.create_user(admin, "manager", PASSWORD, "manager", "manager", ["S01"], "en")
            password = services.stores.add_device(admin, "S01", "door-1").password
        broker.add_user("door-1", password)
        stack.enter_context(running(env, centre.folder, "web"))
        stack.enter_context(centre.ingest(broker))
        wait_until(lambda: is_up(base), 120, "the web server")
        client = stack.enter_context(httpx.Client(base_url=base, timeout=30))
        client.post("/api/v1/session", json={"username": "manager", "password": PASSWORD}).raise_for_status()
        found: queue.SimpleQueue[tuple[int, float]] = queue.SimpleQueue()
        ended = threading.Event()
        threading.Thread(target=seen, args=(client, "/stores/S01/live", found, ended), daemon=True).start()
        clock = SystemClock()
        # As `edge.agent` puts them together.
        outbox = Outbox(centre.folder / "outbox.db", clock, commit_every_s=min(1.0, flush_after_s))
        link = BrokerSettings(host="127.0.0.1", port=broker.port, password=password)
        uplink = Uplink(outbox, MqttTransport("door-1", link), clock, device="door-1", flush_after_s=flush_after_s)
        outbox.start()
        uplink.start()
        stack.callback(outbox.close)
        stack.callback(uplink.stop)
        wait_until(lambda: uplink.connected and found.qsize() > 0, 60, "the box and the page")
        taken = list(delays(outbox, clock, found, number))
        ended.set()
        return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=40, help="crossings for each setting")
    parser.add_argument("--flush-after", type=float, nargs="*", default=[5.0, 0.5], help="seconds of batching")
    asked = parser.parse_args()
    for flush_after_s in asked.flush_after:
        taken = measure(flush_after_s, asked.number)
        tenths = quantiles(taken, n=10)
        print(
            f"flush_after {flush_after_s:g} s: median {median(taken):.2f} s, nine of ten within {tenths[-1]:.2f} s,"
            f" longest {max(taken):.2f} s ({len(taken)} crossings)",
            flush=True,
        )


if __name__ == "__main__":
    main()
