"""The whole box through what happens to cameras and boxes in shops: streams that die, power that goes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.agent import Agent
from edge.camera import open_source
from edge.models import Crossing
from edge.outbox import Outbox
from edge.resume import Resumed
from edge.scene import door_line
from edge.settings import CameraSettings, LineSettings
from server.ingest.broker import EmbeddedBroker
from tests.edge.test_agent import (
    FAST,
    SCENE,
    STARTS_AT,
    camera,
    counted_alone,
    coverage,
    crossings,
    load,
    peer,
    run,
)
from tests.fixtures.edge_peer import Peer
from tests.fixtures.edge_time import FakeClock
from tests.fixtures.encoding import encode
from tests.fixtures.rtsp import RtspServer
from tests.fixtures.wait import wait_until

__all__ = ["peer"]

BUSY = "scene:overhead?seed=3&rate=60&light=steady&size=192x144&fps=8"
LONG = SCENE.replace("seconds=40", "seconds=160")


@contextmanager
def running(agent: Agent) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=agent.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)


def is_now(peer: Peer, state: str) -> bool:
    return peer.status is not None and [each.state for each in peer.status.cameras] == [state]


def test_an_rtsp_camera_is_counted_before_and_after_its_server_dies_and_the_gap_is_told(
    tmp_path: Path, any_broker: EmbeddedBroker, peer: Peer
) -> None:
    with RtspServer(source=BUSY, credentials="door:s3cret-word") as server:
        agent = Agent(load(tmp_path, any_broker.port, camera(1, server.address(), starts_at=None)), backoff=FAST)
        begun = time.monotonic()
        with running(agent):
            wait_until(lambda: crossings(peer), 60, "a crossing")
            server.kill()
            dead = time.monotonic()
            killed_at = datetime.now(UTC)
            wait_until(lambda: is_now(peer, "offline"), 30, "the camera to be offline")
            assert peer.status is not None
            assert "s3cret-word" not in str(peer.status)
            assert "door:***@" in peer.status.cameras[0].message
            wait_until(lambda: time.monotonic() - dead > 4, what="an outage that shows in minutes")
            server.start()
            wait_until(lambda: is_now(peer, "ok"), 30, "the camera to be back")
            back = time.monotonic()
            wait_until(lambda: max(each.at for each in crossings(peer)) > killed_at, 60, "a crossing after the outage")
        ended = time.monotonic()
    # The last minute waits on the disk until a box runs again.
    run(Agent(load(tmp_path, any_broker.port, camera(2, SCENE.replace("seconds=40", "seconds=2"))), backoff=FAST))
    held = sum(each.seconds for each in coverage(peer) if each.camera == "C1")
    assert held < ended - begun - (back - dead) + 2.0
    assert held > (ended - begun - (back - dead)) - 8.0
    assert not [
        each
        for each in crossings(peer)
        if killed_at + timedelta(seconds=1) < each.at < killed_at + timedelta(seconds=4)
    ]


def test_a_camera_that_falls_silent_is_stalled_and_no_zero(
    tmp_path: Path, any_broker: EmbeddedBroker, peer: Peer
) -> None:
    with RtspServer(source=BUSY) as server:
        agent = Agent(load(tmp_path, any_broker.port, camera(1, server.address(), starts_at=None)), backoff=FAST)
        with running(agent):
            wait_until(lambda: is_now(peer, "ok"), 60, "the camera")
            server.freeze()
            wait_until(lambda: is_now(peer, "stalled"), 30, "the stall")
            server.thaw()
            wait_until(lambda: is_now(peer, "ok"), 60, "the camera to be back")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nearly three minutes of a scene as a file: rendering takes longer than counting."""
    path = tmp_path_factory.mktemp("film") / "long.mkv"
    with open_source(LONG) as source:
        encode((frame.image for frame in source), path, fps=8, crf="12")
    return path


def wait_for_minutes(peer: Peer, number: int) -> None:
    wait_until(lambda: len(coverage(peer)) >= number, 60, f"minute {number}")


def test_a_box_that_loses_its_power_in_the_middle_of_a_recording_counts_nobody_twice(
    tmp_path: Path,
    any_broker: EmbeddedBroker,
    peer: Peer,
    repository_root: Path,
    film: Path,
) -> None:
    alone = counted_alone(str(film), door_line("overhead"), "overhead")
    load(tmp_path, any_broker.port, camera(1, str(film)))
    command = [sys.executable, "-m", "cli.main", "edge", "run", str(tmp_path / "edge.toml"), "--until-drained"]
    for kills in (1, 2):
        process = subprocess.Popen(command, cwd=repository_root, env={**os.environ}, stderr=subprocess.DEVNULL)
        try:
            wait_for_minutes(peer, kills)
            assert process.poll() is None, "it was done before it could be killed"
        finally:
            process.kill()
            process.wait(10)
    subprocess.run(command, cwd=repository_root, check=True, timeout=120, stderr=subprocess.DEVNULL)
    found = sorted((each.direction, each.at) for each in crossings(peer))
    # Where it begins anew the background is learnt anew, and how large people are: a moment may differ by some frames,
    # and a pair that touches may be one or two; a minute counted twice would be a dozen too many.
    missing = []
    for direction, due in alone:
        near = [each for each in found if each[0] == direction and abs(each[1] - due) < timedelta(seconds=1)]
        found.remove(near[0]) if near else missing.append((direction, due))
    assert len(found) + len(missing) <= 1, (found, missing)
    minutes: dict[datetime, float] = {}
    for each in coverage(peer):
        minutes[each.minute] = minutes.get(each.minute, 0.0) + each.seconds
    assert minutes == {
        STARTS_AT + timedelta(minutes=place): pytest.approx(seconds, abs=1)
        for place, seconds in enumerate((60, 60, 40))
    }


def test_a_recording_that_was_counted_is_not_counted_again(
    tmp_path: Path, any_broker: EmbeddedBroker, peer: Peer
) -> None:
    config = load(tmp_path, any_broker.port, camera(1, SCENE))
    run(Agent(config, backoff=FAST))
    once = dict(peer.committed)
    assert once
    run(Agent(config, backoff=FAST))
    assert peer.committed == once


class TestResumed:
    """The mark and what is known of the last stretch, without cameras."""

    SETTINGS = CameraSettings(
        id="C1", source="a.mp4", line=(LineSettings(id="L1", start=(0, 0), end=(1, 1), inside=(0, 1)),)
    )

    @pytest.fixture
    def outbox(self, tmp_path: Path) -> Iterator[Outbox]:
        box = Outbox(tmp_path / "outbox.sqlite", FakeClock(), commit_every_s=3600)
        yield box
        box.close()

    def crossing(self, time_s: float, direction: str = "in") -> Crossing:
        return Crossing("L1", "in" if direction == "in" else "out", 1, int(time_s * 10), time_s, 0.9, 1)

    def test_a_new_recording_begins_at_its_beginning_and_all_is_news(self, outbox: Outbox) -> None:
        resumed = Resumed(self.SETTINGS, STARTS_AT, outbox)
        assert (resumed.upto_s, resumed.look_from_s) == (0.0, 0.0)
        found = [self.crossing(1.0), self.crossing(1.2)]
        assert list(resumed.news(found)) == found

    def test_what_is_on_disk_is_no_news_and_each_record_stands_for_one(self, outbox: Outbox) -> None:
        from edge.clock import Moment

        key = Resumed(self.SETTINGS, STARTS_AT, outbox).key
        for time_s in (20.0, 63.0, 63.4):
            outbox.append_crossing("C1", self.crossing(time_s), Moment(0, STARTS_AT + timedelta(seconds=time_s)))
        minute = Moment(0, STARTS_AT)
        outbox.append_coverage("C1", minute, seconds=60, frames=600, state="ok", marks={key: 60_000_000})
        outbox.flush()
        resumed = Resumed(self.SETTINGS, STARTS_AT, outbox)
        assert resumed.upto_s == 60.0
        assert resumed.look_from_s == 35.0
        again = [self.crossing(20.1), self.crossing(57.0), self.crossing(63.2), self.crossing(63.3, "out")]
        again += [self.crossing(63.5), self.crossing(63.6), self.crossing(70.0)]
        assert [(each.time_s, each.direction) for each in resumed.news(again)] == [
            (57.0, "in"),
            (63.3, "out"),
            (63.6, "in"),
            (70.0, "in"),
        ]

    def test_another_start_or_source_is_another_recording(self, outbox: Outbox) -> None:
        other = CameraSettings(id="C1", source="b.mp4", line=self.SETTINGS.line)
        keys = {
            Resumed(self.SETTINGS, STARTS_AT, outbox).key,
            Resumed(self.SETTINGS, STARTS_AT + timedelta(days=1), outbox).key,
            Resumed(other, STARTS_AT, outbox).key,
        }
        assert len(keys) == 3
