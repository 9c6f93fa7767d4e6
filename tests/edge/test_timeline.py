"""Time on a box: anchors that steps can't move, streams tied to them, minutes through a clock that is set."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge.clock import SystemClock
from edge.models import Frame
from edge.outbox import Outbox
from edge.timeline import CoverageLog, LiveTimeline, RecordedTimeline
from tests.fixtures.edge_time import NOON, FakeClock
from wire.messages import Coverage

RNG = np.random.default_rng(1)


def frame(index: int, time_s: float) -> Frame:
    return Frame(index, time_s, RNG.integers(0, 255, (48, 64, 3), dtype=np.uint8))


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox.sqlite", FakeClock(), commit_every_s=3600)
    yield box
    box.close()


class Machine:
    """Wall clock and uptime in a test's hand."""

    def __init__(self, wall: datetime) -> None:
        self.wall = wall
        self.up = 50.0
        self.synchronised = False

    def clock(self, *, clock_battery: bool = True) -> SystemClock:
        return SystemClock(
            clock_battery=clock_battery,
            wall=lambda: self.wall.timestamp(),
            uptime=lambda: self.up,
            synchronised=lambda: self.synchronised,
        )

    def pass_(self, seconds: float, *, step: float = 0.0) -> None:
        self.up += seconds
        self.wall += timedelta(seconds=seconds + step)


class TestClock:
    def test_a_short_step_is_not_followed_and_a_lasting_one_is(self) -> None:
        machine = Machine(NOON)
        clock = machine.clock()
        zero = clock.zero()
        assert zero == NOON - timedelta(seconds=50)
        machine.pass_(11, step=-300)
        assert clock.zero() == zero
        machine.pass_(11, step=300)
        assert clock.zero() == zero
        machine.pass_(11, step=-300)
        assert clock.zero() == zero
        machine.pass_(11)
        assert clock.zero() == zero - timedelta(seconds=300)

    def test_a_clock_never_set_is_not_trusted(self) -> None:
        machine = Machine(NOON.replace(year=1970))
        clock = machine.clock()
        assert clock.zero() is None
        machine.wall = NOON
        assert clock.zero() == NOON - timedelta(seconds=50)

    def test_without_a_battery_network_time_must_have_spoken(self) -> None:
        machine = Machine(NOON)
        clock = machine.clock(clock_battery=False)
        assert clock.zero() is None
        machine.synchronised = True
        assert clock.zero() is not None

    def test_the_machines_own_clock(self) -> None:
        clock = SystemClock()
        assert clock.boot_id
        assert 0 < clock.uptime() <= clock.uptime()


class TestTimelines:
    def test_the_least_delayed_frame_ties_the_stream(self) -> None:
        clock = FakeClock()
        timeline = LiveTimeline(clock)
        clock.seconds = 110.4  # 0.4 s late on its way
        timeline.seen(frame(0, 0.0))
        clock.seconds = 111.1
        timeline.seen(frame(1, 1.0))
        assert timeline.at(1.0).uptime == pytest.approx(111.1)
        assert timeline.at(0.5).at == NOON + timedelta(seconds=10.6)

    def test_a_stream_that_paused_is_tied_anew(self) -> None:
        clock = FakeClock()
        timeline = LiveTimeline(clock)
        timeline.seen(frame(0, 0.0))
        clock.seconds += 60
        timeline.seen(frame(1, 1.0))
        assert timeline.at(1.0).uptime == pytest.approx(160.0)

    def test_a_recording_is_dated_by_its_start(self) -> None:
        timeline = RecordedTimeline(NOON, 10)
        timeline.seen(frame(0, 2.0))
        assert timeline.at(1.5).at == NOON + timedelta(seconds=1.5)
        assert timeline.now().at == NOON + timedelta(seconds=2.1)


def test_a_clock_set_in_between_loses_no_second_watched(outbox: Outbox) -> None:
    clock = FakeClock(trusted=False)
    timeline = LiveTimeline(clock)
    log = CoverageLog("C1", outbox, timeline)
    start = clock.seconds
    for step in range(1800):
        clock.seconds = start + step / 10
        clock.trusted = step >= 900
        picture = frame(step, step / 10)
        timeline.seen(picture)
        log.observe(picture, picture.time_s)
    log.finish()
    outbox._file._clock = clock
    outbox.flush()
    held = outbox.next_batch("live")
    assert held is not None
    minutes: dict[datetime, float] = {}
    for record in held.records:
        assert isinstance(record, Coverage)
        minutes[record.minute] = min(60.0, minutes.get(record.minute, 0.0) + record.seconds)
    assert set(minutes) <= {NOON + timedelta(minutes=place) for place in range(-1, 4)}
    assert sum(minutes.values()) == pytest.approx(180, abs=1.5)
