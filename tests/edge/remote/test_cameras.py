"""What cameras do while a box is told how to count: who has no line waits for one, and who is opened anew says so."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edge.agent import Agent
from edge.camera import VideoSource
from edge.clock import SystemClock
from edge.models import Frame
from edge.outbox import Outbox
from edge.scene import door_line
from edge.settings import CameraSettings, LineSettings
from edge.worker import CameraWorker, open_camera
from server.ingest.broker import EmbeddedBroker
from tests.edge.test_agent import DEVICE, FAST, SCENE, camera, crossings, load, peer
from tests.edge.test_agent_streams import BUSY, running
from tests.fixtures.edge_peer import Peer
from tests.fixtures.rtsp import RtspServer
from tests.fixtures.wait import wait_until
from wire.config import CameraConfig, Config, LineConfig
from wire.messages import Coverage

__all__ = ["peer"]

DOOR = door_line("overhead")


def states(peer: Peer) -> dict[str, str]:
    status = peer.status
    return {} if status is None else {each.camera: each.state for each in status.cameras}


def report(peer: Peer) -> tuple[int, str] | None:
    status = peer.status
    return None if status is None or status.config is None else (status.config.revision, status.config.state)


def minutes(outbox: Outbox) -> Iterator[Coverage]:
    """What was watched, as it stands on the disk."""
    outbox.flush()
    held = outbox.next_batch("live")
    assert held is not None
    return (each for each in held.records if isinstance(each, Coverage))


def test_a_camera_without_a_line_waits_for_one_from_the_centre_and_the_others_count(
    tmp_path: Path, any_broker: EmbeddedBroker, peer: Peer
) -> None:
    undrawn = camera(1, BUSY, starts_at=None).split("[[camera.line]]")[0]
    agent = Agent(load(tmp_path, any_broker.port, undrawn, camera(2, SCENE)), backoff=FAST)
    line = LineConfig(id="L1", start=DOOR.start, end=DOOR.end, inside=DOOR.inside)
    with running(agent):
        wait_until(agent.workers[1].ended.is_set, 60, "the other camera's recording to end")
        wait_until(lambda: agent.outbox.pending == 0 and crossings(peer), what="its crossings")
        assert {each.camera for each in crossings(peer)} == {"C2"}
        assert peer.status is not None
        assert "camera C1: camera.line: no line is given. Add a [[camera.line]]" in peer.status.problem
        assert states(peer)["C1"] == "offline"
        drawn = CameraConfig(id="C1", mounting="overhead", line=(line,))
        peer.configure(Config(device=DEVICE, revision=1, camera=(drawn,)))
        wait_until(lambda: report(peer) == (1, "applied"), 60, "the line to be taken")
        wait_until(lambda: {each.camera for each in crossings(peer)} == {"C1", "C2"}, 60, "someone to cross it")
        # To go back to a file that draws nothing would be to count nobody: said, and not done.
        peer.configure(Config(device=DEVICE, revision=2))
        wait_until(lambda: report(peer) == (2, "failed"), 60, "that to be tried")
        wait_until(lambda: states(peer)["C1"] == "ok", 60, "the camera to be back")
        assert peer.status.config is not None
        assert "no line is given" in peer.status.config.reason


def test_while_a_camera_is_opened_anew_for_other_settings_nobody_looks(tmp_path: Path) -> None:
    """However soon it is back: between two pictures of one stream so short a gap would be none."""
    read: list[list[float]] = []

    def open_with(wanted: CameraSettings) -> VideoSource:
        found = open_camera(wanted)
        reading, moments = found.read, list[float]()
        read.append(moments)

        def noting(timeout_s: float | None = None) -> Frame | None:
            frame = reading(timeout_s)
            if frame is not None:
                moments.append(time.monotonic())
            return frame

        found.read = noting  # type: ignore[method-assign]
        return found

    with RtspServer(source=BUSY) as server:
        line = LineSettings(id="L1", start=DOOR.start, end=DOOR.end, inside=DOOR.inside)
        settings = CameraSettings(id="C1", source=server.address(), mounting="overhead", line=(line,))
        outbox = Outbox(tmp_path / "outbox.sqlite", SystemClock(), commit_every_s=3600)
        worker = CameraWorker(settings, outbox, SystemClock(), open_with=open_with)
        worker.start()
        wait_until(lambda: read and len(read[0]) > 20, 60, "pictures")
        worker.reconfigure(msgspec.structs.replace(settings, target_fps=4))
        wait_until(lambda: len(read) > 1 and len(read[1]) > 12, 60, "pictures by other settings")
        worker.stop()
        worker.join(10)
    found = list(minutes(outbox))
    outbox.close()
    watched = sum(each.seconds for each in found)
    looked = sum(moments[-1] - moments[0] for moments in read)
    assert looked - 1.0 < watched < looked + 0.6, (watched, looked)
