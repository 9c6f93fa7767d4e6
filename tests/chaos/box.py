"""A box as a process of its own: the real outbox and the real uplink, counting a known stream instead of a picture.

What is left out is what can't be repeated (a camera); what is at stake is all there. `python -m tests.chaos.box
SPEC.json` counts until it is killed. The number of the last record on disk is a mark in the very transaction that
keeps the record, so a new process goes on from there. A file says what the box is to do, another how it does; both lie
beside the disk that faults happen to, never on it.
"""

import logging
import os
import signal
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

import edge.clock
from edge.backoff import Backoff
from edge.clock import SystemClock, moment
from edge.link.fallback import FallbackTransport
from edge.link.https import HttpsTransport
from edge.link.mqtt import MqttTransport
from edge.link.transport import Transport
from edge.outbox import Outbox
from edge.settings import BrokerSettings, HttpsSettings
from edge.uplink import Uplink
from tests.chaos.stream import Stream

log = logging.getLogger("box")

#: Name of the mark that says how much of the stream is on disk.
MARK: Final = "stream"
_LOOK_S: Final = 0.05


class Spec(msgspec.Struct, frozen=True):
    """What a box is told at its start; `folder` is beside its disk, `outbox` on it, `after` is known to be on disk."""

    stream: Stream
    folder: str
    outbox: str
    boot_id: str
    after: int
    password: str
    broker_port: int
    https_url: str
    quota_bytes: int
    rate: float
    tail: int


class Orders(msgspec.Struct, frozen=True):
    """What a box is told while it runs.

    Attributes:
        wall_s: how far its wall clock is off (seconds).
        synchronised: whether network time has set it; until then it trusts no clock it has not trusted before.
        hold: count nobody.
        finish: count the rest, then look whether the server still has everything.
    """

    wall_s: float = 0.0
    synchronised: bool = True
    hold: bool = False
    finish: bool = False
    quota_bytes: int = 0


class State(msgspec.Struct, frozen=True):
    """How a box does."""

    pid: int = 0
    counted: int = 0
    pending: int = 0
    lost: int = 0
    problem: str = ""
    held: bool = False
    drained: bool = False


class Journal(Outbox):
    """Writes down every acknowledgement it is told of, before it acts on it."""

    journal: Path

    def acknowledge(self, epoch: str, seq: int) -> bool:
        """See `Outbox.acknowledge`."""
        with self.journal.open("a", encoding="ascii") as file:
            file.write(f"{epoch} {seq}\n")
        return super().acknowledge(epoch, seq)


class Box:
    """One box, from its start to its end."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.folder = Path(spec.folder)
        self.orders = Orders()
        self.read_orders()
        self.clock = SystemClock(
            clock_battery=False,
            wall=lambda: time.time() + self.orders.wall_s,
            synchronised=lambda: self.orders.synchronised,
        )
        self.clock.boot_id = spec.boot_id
        self.outbox = Journal(
            Path(spec.outbox), self.clock, commit_every_s=0.1, quota_bytes=spec.quota_bytes, max_batch=100
        )
        self.outbox.journal = self.folder / "acks"
        self.uplink = Uplink(
            self.outbox,
            self.transport(),
            self.clock,
            device=spec.stream.device,
            flush_after_s=0.2,
            max_batch=100,
            resend_after_s=1.0,
            backoff=Backoff(0.05, 0.5),
            refusal_backoff=Backoff(0.1, 0.5),
        )
        self.counted = max(spec.after, self.outbox.mark(MARK))
        self.drained = False

    def transport(self) -> Transport:
        name = self.spec.stream.device
        broker = BrokerSettings(
            host="127.0.0.1", port=self.spec.broker_port, password=self.spec.password, keepalive_s=5
        )
        mqtt = MqttTransport(name, broker)
        if not self.spec.https_url:
            return mqtt
        https = HttpsTransport(name, HttpsSettings(url=self.spec.https_url, timeout_s=5, proxy="none"), broker)
        probe = lambda: MqttTransport(name, broker, client_id=f"{name}-probe")  # noqa: E731
        return FallbackTransport(mqtt, https, probe, after_s=0.6, retry_s=1.0)

    def run(self, stop: threading.Event) -> None:
        self.outbox.start()
        self.uplink.start()
        due = 0.0
        while not stop.wait(_LOOK_S):
            self.read_orders()
            due = 0.0 if self.orders.hold else due + self.spec.rate * _LOOK_S
            whole = self.spec.stream.length - (0 if self.orders.finish else self.spec.tail)
            number = min(int(due), whole - self.counted)
            due -= int(due)
            for _ in range(number):
                self.count()
            self.write_state()
            if self.orders.finish and self.counted == self.spec.stream.length and not self.outbox.pending:
                if self.drained:
                    continue
                # A box looks so every hour; here the hour is over now.
                self.outbox.probe()
                self.drained = True
        self.uplink.stop()
        self.outbox.close()

    def count(self) -> None:
        record = self.spec.stream.record(self.counted + 1)
        at = record.minute if hasattr(record, "minute") else record.at
        undated = None if moment(self.clock).at is not None else self.uptime_at(at)
        self.counted += 1
        self.outbox.append(record, undated, {MARK: self.counted})

    def uptime_at(self, at: datetime) -> float:
        """The uptime at which a wall clock that is right would have shown `at`."""
        return self.clock.uptime() - (time.time() - at.timestamp())

    def read_orders(self) -> None:
        path = self.folder / "orders"
        if path.exists():
            self.orders = msgspec.json.decode(path.read_bytes(), type=Orders)
            if self.orders.quota_bytes and hasattr(self, "outbox"):
                self.outbox.set_quota(self.orders.quota_bytes)

    def write_state(self) -> None:
        pending = self.outbox.pending
        state = State(
            pid=os.getpid(),
            counted=self.counted,
            pending=pending,
            lost=self.outbox.lost,
            problem=self.outbox.problem,
            held=self.orders.hold,
            drained=self.drained and pending == 0,
        )
        draft = self.folder / "state.tmp"
        draft.write_bytes(msgspec.json.encode(state))
        draft.replace(self.folder / "state")


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    spec = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Spec)
    # Time passes faster here: a clock that was stepped is followed within a second.
    edge.clock.CHECK_EVERY_S = 0.3  # type: ignore[misc]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    Box(spec).run(stop)


if __name__ == "__main__":
    main()
