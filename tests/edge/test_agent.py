"""The whole box: cameras in, acknowledged records out, with a real broker and real pictures."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import pytest

from edge import config as configuration
from edge.agent import Agent
from edge.camera import open_source
from edge.cameras.sources import Recording, VideoSource
from edge.detectors import make_detector
from edge.models import Frame, Line, Mounting
from edge.pipeline import make_pipeline
from edge.scene import door_line
from edge.settings import CameraSettings, EdgeConfig
from edge.uplink import Backoff
from edge.worker import open_camera
from server.ingest.broker import EmbeddedBroker
from tests.fixtures.edge_peer import Peer
from tests.fixtures.wait import wait_until
from wire import messages

DEVICE, PASSWORD = "door-1", "device-password"
STARTS_AT = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)
SCENE = "scene:overhead?seed=3&rate=20&seconds=40&light=steady&size=192x144&fps=8"
FAST = Backoff(0.05, 0.2)


def camera(number: int, source: str, *, starts_at: datetime | None = STARTS_AT, line: str = "") -> str:
    dated = f"starts_at = {starts_at.isoformat()}" if starts_at else ""
    door = door_line("overhead")
    drawn = line or f"start = {list(door.start)}\nend = {list(door.end)}\ninside = {list(door.inside)}"
    return dedent(
        f"""
        [[camera]]
        id = "C{number}"
        source = "{source}"
        mounting = "{"oblique" if line else "overhead"}"
        {dated}
        [[camera.line]]
        id = "L{number}"
        """
    ) + dedent(drawn)


def toml(port: int, *cameras: str) -> str:
    return (
        dedent(
            f"""
            [device]
            name = "{DEVICE}"
            [broker]
            host = "127.0.0.1"
            port = {port}
            password = "{PASSWORD}"
            [outbox]
            path = "outbox.sqlite"
            commit_every_s = 0.1
            flush_after_s = 0.2
            resend_after_s = 2.0
            """
        )
        + "\n".join(cameras)
        + "\n"
    )


@pytest.fixture
def peer(any_broker: EmbeddedBroker) -> Iterator[Peer]:
    any_broker.add_user(DEVICE, PASSWORD)
    with Peer(any_broker.host, any_broker.port) as found:
        yield found


def load(tmp_path: Path, port: int, *cameras: str) -> EdgeConfig:
    path = tmp_path / "edge.toml"
    path.write_text(toml(port, *cameras), encoding="utf-8")
    path.chmod(0o600)
    return configuration.load(path)


def run(agent: Agent, timeout: float = 60.0) -> None:
    """Until everything is counted and acknowledged."""
    stop = threading.Event()
    guard = threading.Timer(timeout, stop.set)
    guard.start()
    try:
        agent.run(stop, until_drained=True)
    finally:
        guard.cancel()
    assert not stop.is_set(), f"not drained within {timeout:g} s"


def crossings(peer: Peer) -> list[messages.Crossing]:
    return [each for each in peer.committed.values() if isinstance(each, messages.Crossing)]


def coverage(peer: Peer) -> list[messages.Coverage]:
    return [each for each in peer.committed.values() if isinstance(each, messages.Coverage)]


def counted_alone(source: str, line: Line, mounting: Mounting) -> list[tuple[str, datetime]]:
    """Direction and date of each crossing, with no agent about."""
    found = []
    with open_source(source) as frames:
        pipeline = None
        for frame in frames:
            if pipeline is None:
                detector = make_detector("motion", mounting=mounting)
                pipeline = make_pipeline(detector, [line], mounting=mounting, aspect=frame.aspect)
            found += pipeline.step(frame).crossings
        assert pipeline is not None
        found += pipeline.finish()
    return sorted((each.direction, STARTS_AT + timedelta(seconds=each.time_s)) for each in found)


@pytest.fixture(scope="module")
def scene_alone() -> list[tuple[str, datetime]]:
    return counted_alone(SCENE, door_line("overhead"), "overhead")


def test_a_recording_is_counted_dated_and_acknowledged(
    tmp_path: Path, any_broker: EmbeddedBroker, peer: Peer, scene_alone: list[tuple[str, datetime]]
) -> None:
    agent = Agent(load(tmp_path, any_broker.port, camera(1, SCENE)), backoff=FAST)
    run(agent)
    assert len(scene_alone) >= 5
    assert sorted((each.direction, each.at) for each in crossings(peer)) == scene_alone
    [minute] = coverage(peer)
    assert minute.minute == STARTS_AT
    assert minute.seconds == pytest.approx(40, abs=1)
    assert peer.status is not None
    assert not peer.status.online
    assert peer.status.pending == 0


def test_a_camera_that_is_not_there_leaves_the_others_alone(
    tmp_path: Path, any_broker: EmbeddedBroker, peer: Peer
) -> None:
    config = load(tmp_path, any_broker.port, camera(1, "/nowhere/door.mp4", starts_at=None), camera(2, SCENE))
    agent = Agent(config, backoff=FAST)
    stop = threading.Event()
    thread = threading.Thread(target=agent.run, args=(stop,))
    thread.start()
    try:
        wait_until(agent.workers[1].ended.is_set, 30, "the good camera's recording to end")
        wait_until(lambda: agent.outbox.pending == 0 and crossings(peer), what="its crossings")
        status = wait_until(lambda: peer.status, what="a status")
        assert status is not None
        assert "no file" in status.problem
        assert [each.state for each in status.cameras if each.camera == "C1"] == ["offline"]
    finally:
        stop.set()
        thread.join(10)
    assert {each.camera for each in crossings(peer)} == {"C2"}


class Failing(Recording):
    """A recording whose decoder fails once in the middle."""

    failures = 1

    def read(self, timeout_s: float | None = None) -> Frame | None:
        frame = super().read(timeout_s)
        if frame is not None and frame.index == 150 and Failing.failures:
            Failing.failures -= 1
            raise RuntimeError("the decoder gave up")
        return frame


def test_a_recording_that_fails_goes_on_where_it_was(
    tmp_path: Path,
    any_broker: EmbeddedBroker,
    peer: Peer,
    caplog: pytest.LogCaptureFixture,
    scene_alone: list[tuple[str, datetime]],
) -> None:
    opened = []

    def open_with(settings: CameraSettings) -> VideoSource:
        source = open_camera(settings)
        source.__class__ = Failing
        opened.append(source)
        return source

    agent = Agent(load(tmp_path, any_broker.port, camera(1, SCENE)), backoff=FAST, open_with=open_with)
    run(agent)
    assert len(opened) == 2
    assert "the decoder gave up" in caplog.text
    times = sorted(each.at for each in crossings(peer))
    # Nobody who crossed before the failure is counted again.
    before = [at for _, at in scene_alone if at < STARTS_AT + timedelta(seconds=15)]
    assert [at for at in times if at < STARTS_AT + timedelta(seconds=15)] == sorted(before)


def test_a_stop_takes_less_than_five_seconds_and_says_good_bye(
    tmp_path: Path, any_broker: EmbeddedBroker, peer: Peer
) -> None:
    endless = SCENE.replace("&seconds=40", "")
    agent = Agent(load(tmp_path, any_broker.port, camera(1, endless, starts_at=None)), backoff=FAST)
    stop = threading.Event()
    thread = threading.Thread(target=agent.run, args=(stop,))
    thread.start()
    wait_until(lambda: peer.status and any(each.state == "ok" for each in peer.status.cameras), 30, "a good camera")
    begun = time.monotonic()
    stop.set()
    thread.join(10)
    assert time.monotonic() - begun < 5
    wait_until(lambda: peer.status and not peer.status.online, what="the good-bye")
    assert agent.outbox.lost == 0


def test_crossings_of_a_live_camera_are_dated_now(tmp_path: Path, any_broker: EmbeddedBroker, peer: Peer) -> None:
    endless = SCENE.replace("&seconds=40", "").replace("rate=20", "rate=60")
    agent = Agent(load(tmp_path, any_broker.port, camera(1, endless, starts_at=None)), backoff=FAST)
    stop = threading.Event()
    begun = datetime.now(UTC)
    thread = threading.Thread(target=agent.run, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: crossings(peer), 60, "a crossing")
    finally:
        stop.set()
        thread.join(10)
    assert all(begun < each.at < datetime.now(UTC) for each in crossings(peer))


class TestCommand:
    def test_run_ends_on_sigterm_and_leaves_everything_on_disk(
        self, tmp_path: Path, any_broker: EmbeddedBroker, peer: Peer, repository_root: Path
    ) -> None:
        load(tmp_path, any_broker.port, camera(1, SCENE.replace("&seconds=40", ""), starts_at=None))
        log = tmp_path / "log"
        with log.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "edge", "run", str(tmp_path / "edge.toml")],
                cwd=repository_root,
                stderr=stream,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        try:
            wait_until(lambda: peer.status and peer.status.online, 30, "the box to come online")
            wait_until(lambda: "watching" in log.read_text(), 30, "the camera")
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.wait(10)
        assert "connected" in log.read_text()
        assert "stopped" in log.read_text()

    def check(self, tmp_path: Path, root: Path) -> tuple[int, str]:
        ran = subprocess.run(
            [sys.executable, "-m", "cli.main", "edge", "check", str(tmp_path / "edge.toml")],
            cwd=root,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return ran.returncode, ran.stdout + ran.stderr

    def test_check_finds_nothing_wrong_with_a_good_box(
        self, tmp_path: Path, any_broker: EmbeddedBroker, peer: Peer, repository_root: Path
    ) -> None:
        load(tmp_path, any_broker.port, camera(1, SCENE))
        code, said = self.check(tmp_path, repository_root)
        assert code == 0, said
        assert "signed in" in said
        assert "camera C1: 192x144" in said
        # A look must not be taken for the box itself coming and going.
        assert peer.statuses == []

    def test_check_says_what_to_mend(self, tmp_path: Path, any_broker: EmbeddedBroker, repository_root: Path) -> None:
        load(tmp_path, any_broker.port, camera(1, "/nowhere/door.mp4"))
        code, said = self.check(tmp_path, repository_root)
        assert code == 1
        assert "no file /nowhere/door.mp4" in said
        assert "refused us" in said
        assert "2 to mend" in said

    def test_check_of_a_bad_file_names_the_key(self, tmp_path: Path, repository_root: Path) -> None:
        (tmp_path / "edge.toml").write_text("[device]\nnaem = 'x'\n")
        code, said = self.check(tmp_path, repository_root)
        assert code == 1
        assert "device.naem" in said


@pytest.fixture(autouse=True)
def _said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
