"""Simulated boxes and tills: what the demo makes up while it runs, in a process of its own that says so.

Three stores have no camera in the demo; their boxes are simulated, but what they count takes the real way: a real
outbox, a real uplink, the broker, ingest. The tills of all five are simulated as well: some of those who came in,
counted or made up, pay a little later, through the API with a till's key. A visit takes a minute here instead of
twenty, so that whoever watches sees it turn into a sale.
"""

import heapq
import logging
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx2
import msgspec
import numpy as np

from cli.demo import baskets, repository
from cli.demo.chain import STORES, TIMEZONE, DemoStore, by_id
from cli.demo.sold import Members
from cli.demo.story import Story
from edge.clock import Moment, SystemClock, moment
from edge.link.mqtt import MqttTransport
from edge.models import Crossing
from edge.outbox import Outbox
from edge.settings import BrokerSettings
from edge.uplink import Report, Uplink
from server.errors import Unavailable
from server.sales.models import ReceiptRow
from server.storage.pool import Database
from server.stores.calendar import DayRule, StoreCalendar, WeeklyHours
from server.stores.models import EVER
from wire.messages import CameraStatus

log = logging.getLogger("simulated")

_FPS: Final = 10
_TICK_S: Final = 1.0
_TILLS_EVERY_S: Final = 3.0
_VISIT_S: Final = (20.0, 110.0)


class Plan(msgspec.Struct):
    """What this process is told, in a file only its owner can read.

    Attributes:
        boxes: devices and the folders of their outboxes.
        tills: till keys by store.
    """

    dsn: str
    web: str
    broker: tuple[str, int]
    boxes: dict[str, str]
    passwords: dict[str, str]
    tills: dict[str, str]


@dataclass(slots=True)
class _Door:
    """One simulated door: who is inside, and when they leave (monotonic seconds)."""

    leaving: list[tuple[float, int]] = field(default_factory=list)
    tracks: int = 0


class SimulatedBox:
    """A box without a camera: it makes crossings up at the store's own rhythm and sends them like any other."""

    def __init__(self, store: DemoStore, folder: Path, broker: BrokerSettings) -> None:
        self._store = store
        self._calendar = StoreCalendar([DayRule(EVER, TIMEZONE)], [WeeklyHours(EVER, tuple(store.hours_open))])
        self._rng = np.random.default_rng()
        self._clock = SystemClock()
        folder.mkdir(parents=True, exist_ok=True)
        self._outbox = Outbox(folder / "outbox.sqlite", self._clock)
        self._uplink = Uplink(
            self._outbox,
            MqttTransport(store.device, broker),
            self._clock,
            device=store.device,
            flush_after_s=2.0,
            version="simulated",
            report=lambda: Report((CameraStatus(camera=store.camera, state="ok", fps=_FPS),)),
        )
        self._door = _Door()

    def run(self, stop: threading.Event) -> None:
        """Make people up until `stop` is set."""
        self._outbox.start()
        self._uplink.start()
        story = Story(datetime.now(UTC).date())
        self._people_inside(story)
        minute, since = _minute(datetime.now(UTC)), time.monotonic()
        while not stop.wait(_TICK_S):
            now = datetime.now(UTC)
            if self._calendar.is_open(now):
                people = self._rng.poisson(story.visitors_per_minute(self._store, now) * _TICK_S / 60)
                for _ in range(people):
                    self._enter()
            while self._door.leaving and self._door.leaving[0][0] <= time.monotonic():
                self._cross("out", heapq.heappop(self._door.leaving)[1])
            if _minute(now) > minute:
                self._watched(minute, min(60.0, time.monotonic() - since))
                minute, since = _minute(now), time.monotonic()
        self._outbox.flush()
        self._uplink.stop(2.0)
        self._outbox.close()

    def _people_inside(self, story: Story) -> None:
        now = datetime.now(UTC)
        if not self._calendar.is_open(now):
            return
        inside = self._rng.poisson(story.visitors_per_minute(self._store, now) * self._store.stay_minutes)
        for _ in range(inside):
            self._door.tracks += 1
            self._leave_later()

    def _enter(self) -> None:
        self._door.tracks += 1
        self._cross("in", self._door.tracks)
        self._leave_later()

    def _leave_later(self) -> None:
        stay = float(self._rng.exponential(self._store.stay_minutes * 60))
        heapq.heappush(self._door.leaving, (time.monotonic() + stay, self._door.tracks))

    def _cross(self, direction: str, track: int) -> None:
        crossing = Crossing(
            line_id=self._store.line,
            direction="in" if direction == "in" else "out",
            track_id=track,
            frame=0,
            time_s=0.0,
            confidence=0.9,
            group=track,
        )
        self._outbox.append_crossing(self._store.camera, crossing, moment(self._clock))

    def _watched(self, minute: datetime, seconds: float) -> None:
        self._outbox.append_coverage(
            self._store.camera,
            Moment(self._clock.uptime(), minute),
            seconds=seconds,
            frames=round(seconds * _FPS),
            state="ok",
        )


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


class SimulatedTills:
    """The tills of all stores: some of those who came in pay a little later."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rng = np.random.default_rng()
        self._queue: list[tuple[float, int, str]] = []
        self._number = 0
        self._story = Story(datetime.now(UTC).date())

    def run(self, stop: threading.Event) -> None:
        """Ring up until `stop` is set; a server that is away for a moment is tried again."""
        with Database(self._plan.dsn, 1) as db, httpx2.Client(base_url=self._plan.web, timeout=20) as web:
            with db.read() as conn:
                members = {store.store_id: Members() for store in STORES}
                for store_id, known in members.items():
                    for row in repository.members_of(conn, store_id):
                        known.add(row.enrolled_at, row.member_id)
            since = datetime.now(UTC)
            while not stop.wait(_TILLS_EVERY_S):
                try:
                    since = self._look(db, since)
                    while self._queue and self._queue[0][0] <= time.monotonic():
                        _, number, store_id = self._queue[0]
                        self._ring_up(web, by_id(store_id), number, members[store_id])
                        heapq.heappop(self._queue)
                except (httpx2.HTTPError, Unavailable) as error:
                    log.warning("tills wait: %s", error)

    def _look(self, db: Database, since: datetime) -> datetime:
        """See who came in, and decide who will pay; when the last of them was heard of."""
        with db.read() as conn:
            arrived = repository.arrivals(conn, since)
        for arrival in arrived:
            since = max(since, arrival.received_at)
            store = by_id(arrival.store_id)
            day = (arrival.received_at + timedelta(hours=4)).date()
            if self._rng.random() < self._story.conversion(store, day):
                self._number += 1
                due = time.monotonic() + float(self._rng.uniform(*_VISIT_S))
                heapq.heappush(self._queue, (due, self._number, arrival.store_id))
        return since

    def _ring_up(self, web: httpx2.Client, store: DemoStore, number: int, members: Members) -> None:
        now = datetime.now(UTC)
        made = baskets.sale(
            self._rng.random(baskets.DICE).tolist(),
            store_id=store.store_id,
            receipt_no=f"L{now:%y%m%d%H%M%S}-{number}",
            at=now,
        )
        member = members.someone(self._rng.random(), now)
        answer = web.post(
            "/api/v1/receipts",
            content=msgspec.json.encode({"receipts": [as_till(made, member if self._member(store) else None)]}),
            headers={"Authorization": f"Bearer {self._plan.tills[store.store_id]}", "Content-Type": "application/json"},
        )
        if answer.is_error:
            log.warning("a receipt was refused: %s", answer.text[:300])

    def _member(self, store: DemoStore) -> bool:
        return bool(self._rng.random() < store.member_share)


def as_till(row: ReceiptRow, member: object | None) -> dict[str, object]:
    """The receipt as a till would send it."""
    sent: dict[str, object] = {
        "store_id": row.store_id,
        "receipt_no": row.receipt_no,
        "at": row.at,
        "cashier": row.cashier,
        "tender": row.tender,
        "lines": [
            {
                "sku": line.sku,
                "description": line.description,
                "quantity": line.quantity,
                "unit_price": line.unit_price,
                "discount": line.discount,
                "cost": line.cost,
            }
            for line in row.lines
        ],
    }
    if member is not None:
        sent["member"] = {"id": str(member)}
    return sent


def main(plan_file: Path) -> None:
    """Run boxes and tills until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    plan = msgspec.json.decode(plan_file.read_bytes(), type=Plan)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    host, port = plan.broker
    parts: list[SimulatedBox | SimulatedTills] = [SimulatedTills(plan)]
    for store in STORES:
        if store.device in plan.boxes:
            broker = BrokerSettings(host=host, port=port, password=plan.passwords[store.device])
            parts.append(SimulatedBox(store, Path(plan.boxes[store.device]), broker))
    failed: list[BaseException] = []
    threads = [threading.Thread(target=_guarded, args=(part, stop, failed), daemon=True) for part in parts]
    for thread in threads:
        thread.start()
    log.info("simulated boxes: %s; simulated tills: %s", ", ".join(plan.boxes), ", ".join(plan.tills))
    stop.wait()
    for thread in threads:
        thread.join(5)
    if failed:
        sys.exit(1)


def _guarded(part: SimulatedBox | SimulatedTills, stop: threading.Event, failed: list[BaseException]) -> None:
    """A part that fails takes the process with it, so that the demo sees it and starts it again."""
    try:
        part.run(stop)
    except Exception as error:
        log.exception("%s failed", type(part).__name__)
        failed.append(error)
        stop.set()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
