"""One day of one store with all that goes wrong in a year, and its gap ledger worked out by hand, to the tenth.

S01 is open from ten to ten. Its door's camera C1 is watched by box door-1, and from twenty past five by door-2, which
replaced it. C2 was never connected. C3 hung from one on.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from server.ingest.gaps import LedgerRow
from server.ingest.ledger import Ledger, Sums
from server.ingest.models import Incoming
from server.services import Services
from tests.server.conftest import SYSTEM, TurnedClock
from tests.server.ingest.devices import Sender, coverage, crossing, tell
from wire.messages import Ack, CoverageSum, Record, Status, Tally, encode, first_seq

DAY = date(2026, 11, 20)
#: Ten in Shanghai.
TEN = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)


def at(clock: str, day: int = 0) -> datetime:
    """A time of the day in the shop, such as 17:20:30."""
    hour, minute, *second = (int(part) for part in clock.split(":"))
    return TEN + timedelta(days=day, hours=hour - 10, minutes=minute, seconds=second[0] if second else 0)


class Box:
    """A box that numbers what it sends."""

    def __init__(self, services: Services, name: str) -> None:
        self.services = services
        self.sender = Sender(name)
        self.next = 1

    def send(self, records: Sequence[Record], received: datetime, *, oldest: int = 1) -> None:
        sent = self.sender.batch(records, oldest=oldest, sent_at=received)
        [reply] = tell(self.services.ingest, Incoming(self.sender.device, sent.payload, received))
        assert reply == Ack(epoch=self.sender.epoch, seq=records[-1].seq), first_seq(records[0])
        self.next = records[-1].seq + 1

    def watch(
        self,
        start: str,
        stop: str,
        *,
        received: datetime | None = None,
        seconds: float = 60,
        state: str = "ok",
        camera: str = "S01-C1",
        oldest: int = 1,
    ) -> None:
        """Minutes from `start` until before `stop`, sent every ten of them, unless all were received at once later."""
        first, number = at(start), round((at(stop) - at(start)) / timedelta(minutes=1))
        step = number if received else 10
        for begin in range(0, number, step):
            some = range(begin, min(number, begin + step))
            records = [
                coverage(
                    self.next + index - begin, first + timedelta(minutes=index), seconds, state=state, camera=camera
                )
                for index in some
            ]
            self.send(records, received or first + timedelta(minutes=some[-1] + 1, seconds=2), oldest=oldest)

    def beat(self, start: str, stop: str, *, lost: int = 0) -> None:
        """Its word every five minutes, as boxes repeat it; the last at `stop`."""
        when = at(start)
        while when < at(stop):
            self.say(when, lost=lost)
            when += timedelta(minutes=5)
        self.say(at(stop), lost=lost)

    def say(self, when: datetime, *, lost: int = 0, will: bool = False) -> None:
        """Its word about itself; or the broker's, that it is gone."""
        word = Status(device=self.sender.device, online=not will, at=None if will else when, lost=lost)
        self.services.ingest.note_status(self.sender.device, encode(word), when)


@pytest.fixture
def told(chain: Services, clock: TurnedClock) -> Ledger:
    """The ledger of that day, looked at on the morning after."""
    ago = TEN - timedelta(days=60)
    chain.stores.add_camera(SYSTEM, "S01", "S01-C1", installed_at=ago, lines=["S01-L1"])
    chain.stores.add_camera(SYSTEM, "S01", "S01-C2", installed_at=ago, lines=["S01-L2"])
    chain.stores.add_camera(SYSTEM, "S01", "S01-C3", installed_at=at("13:00:30"), lines=["S01-L3"])
    for name in ("door-1", "door-2"):
        chain.stores.add_device(SYSTEM, "S01", name)
    one, two = Box(chain, "door-1"), Box(chain, "door-2")

    one.beat("09:50", "11:06")
    one.watch("10:00", "11:07")
    # The line is down from 11:07 to 11:52; the box goes on and sends all of it when the line is back.
    one.say(at("11:07:45"), will=True)
    one.beat("11:52:10", "16:00:05")
    one.watch("11:07", "11:52", received=at("11:52:12"))
    one.watch("11:52", "13:01")
    # C3 hangs from half a minute past one on, and is seen for eight minutes.
    one.watch("13:01", "13:09", camera="S01-C3")
    one.watch("13:01", "14:00")
    # Somebody turned the lights off for twenty minutes.
    one.watch("14:00", "14:20", seconds=0, state="dark")
    one.watch("14:20", "14:45")
    one.watch("14:45", "14:46", seconds=37.4, state="offline")
    one.watch("14:46", "15:33")
    # A line nobody registered.
    one.send([crossing(one.next, at("15:33:10"), line="NEW")], at("15:33:12"))
    one.watch("15:33", "16:00")
    # The disk takes nothing for 25 minutes: 25 minutes and 12 crossings are gone, and the box says so.
    for when, lost in (("16:05:05", 7), ("16:10:05", 15), ("16:15:05", 22), ("16:20:05", 30)):
        one.say(at(when), lost=lost)
    one.beat("16:25:30", "16:59:40", lost=37)
    one.watch("16:25", "17:00")
    # Its line dies without a word, and five minutes later the box, too. A new one comes at 17:20:30.
    two.beat("17:20:30", "22:00")
    two.watch("17:20", "17:21", seconds=29.5)
    two.watch("17:21", "18:00")
    # From six on 45 minutes and 3 crossings rot on its card: numbers that exist nowhere.
    two.next += 48
    two.watch("18:45", "18:55", oldest=two.next)
    two.watch("18:55", "19:00")
    # Half an hour comes as sums, two hours later, though the box was there.
    sums = tuple(
        CoverageSum(camera="S01-C1", start=at(start), span=900, seconds=seconds, frames=1)
        for start, seconds in (("19:00", 870), ("19:15", 900))
    )
    two.watch("19:30", "20:00")
    # A restart: two records for one minute add up, and never to more than the minute.
    two.watch("20:00", "20:01", seconds=20)
    two.watch("20:00", "20:02", seconds=40)
    two.watch("20:01", "20:02", seconds=45)
    two.watch("20:02", "21:00")
    two.send([Tally(from_seq=two.next, seq=two.next + 29, coverage=sums)], at("21:00:30"))
    two.watch("21:00", "22:00")
    # The first box is found the next morning, with the last five minutes it had seen.
    one.say(at("10:00", day=1), lost=37)
    one.watch("17:00", "17:05", received=at("10:00:01", day=1))
    two.say(at("10:29", day=1))
    clock.now = at("10:30", day=1)
    return chain.gaps.ledger(SYSTEM, "S01", DAY, DAY)


#: What of C1 is not measured in time: late, missing, why, dead letters.
GAPS: dict[str, tuple[float, float, tuple[str, ...], int]] = {
    # 11:07 to 11:36: what was over more than 15 minutes when it came at 11:52:12.
    "11:00": (480, 0, ("box_offline",), 0),
    "11:15": (900, 0, ("box_offline",), 0),
    "11:30": (420, 0, ("box_offline",), 0),
    "14:00": (0, 900, ("camera_dark",), 0),
    "14:15": (0, 300, ("camera_dark",), 0),
    "14:45": (0, 22.6, ("camera_offline",), 0),
    "15:30": (0, 0, ("dead_letter",), 1),
    "16:00": (0, 900, ("lost",), 0),
    "16:15": (0, 600, ("lost",), 0),
    "17:00": (300, 600, ("box_offline",), 0),
    "17:15": (0, 330.5, ("box_offline",), 0),
    "18:00": (0, 900, ("lost",), 0),
    "18:15": (0, 900, ("lost",), 0),
    "18:30": (0, 900, ("lost",), 0),
    "19:00": (870, 30, ("not_reported", "backlog"), 0),
    "19:15": (900, 0, ("backlog",), 0),
}


def of(told: Ledger, camera: str) -> dict[str, LedgerRow]:
    """A camera's rows by the time in the shop."""
    shop = timedelta(hours=8)
    return {f"{row.quarter + shop:%H:%M}": row for row in told.quarters if row.camera_id == camera}


def test_every_quarter_hour_is_as_worked_out_by_hand(told: Ledger) -> None:
    rows = of(told, "S01-C1")
    assert len(rows) == 48
    found = {time: (row.late, row.missing, row.reasons, row.dead_letters) for time, row in rows.items() if row.is_gap}
    assert found == GAPS
    for time, row in rows.items():
        late, missing, _, _ = GAPS.get(time, (0, 0, (), 0))
        assert (row.due, row.imputed) == (900, 0)
        assert row.measured == round(900 - late - missing, 1), time


def test_the_sums_are_those_of_the_hand(told: Ledger) -> None:
    late = 480 + 900 + 420 + 300 + 870 + 900
    missing = 900 + 300 + 22.6 + 900 + 600 + 600 + 330.5 + 3 * 900 + 30
    sums = {camera.camera_id: camera.seconds for camera in told.cameras}
    assert sums["S01-C1"] == Sums(43200, round(43200 - late - missing, 1), late, 0, missing)
    assert sums["S01-C2"] == Sums(43200, 0, 0, 0, 43200)
    assert sums["S01-C3"].due == 12 * 3600 - 3 * 3600 - 60


def test_a_camera_nobody_connected_and_one_that_hung_late(told: Ledger) -> None:
    assert all("never_reported" in row.reasons for row in of(told, "S01-C2").values())
    first = of(told, "S01-C3")["13:00"]
    # From one minute past on; 13:09 to 13:14 never came.
    assert (first.due, first.measured, first.missing, first.reasons) == (840, 480, 360, ("not_reported",))


def test_what_is_lost_stands_there_to_the_number_and_when_it_may_have_lain(told: Ledger) -> None:
    assert [(lost.device_id, lost.records, lost.starts_at, lost.ends_at) for lost in told.lost] == [
        ("door-2", 48, at("17:59"), at("18:45")),
        ("door-1", 7, at("16:00:05"), at("16:05:05")),
        ("door-1", 8, at("16:05:05"), at("16:10:05")),
        ("door-1", 7, at("16:10:05"), at("16:15:05")),
        ("door-1", 8, at("16:15:05"), at("16:20:05")),
        ("door-1", 7, at("16:20:05"), at("16:25:30")),
    ]
    assert told.dead_letters == 1
