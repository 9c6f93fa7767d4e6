"""A box as a process of its own, told over a real broker what to do: no count lost, and the power gone meanwhile."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import pytest

from edge.cameras.sources import VideoSource
from edge.clock import SystemClock
from edge.models import Frame
from edge.outbox import Outbox
from edge.remote import kept as keeping
from edge.scene import door_line
from edge.settings import CameraSettings, CountingSettings, LineSettings
from edge.worker import CameraWorker, open_camera
from server.ingest.broker import EmbeddedBroker
from server.services import Services
from tests.edge.link.site import SYSTEM, password, services, stack, web
from tests.edge.test_agent import DEVICE, PASSWORD, SCENE, STARTS_AT, camera, counted_alone, toml
from tests.fixtures.edge_peer import Peer
from tests.fixtures.wait import wait_until
from wire.config import CameraConfig, Config, CountingConfig, LineConfig

__all__ = ["password", "services", "stack"]

LIVE = "scene:overhead?seed=3&rate=30&light=steady&size=192x144&fps=8"
DOOR = door_line("overhead")
LINE = LineConfig(id="L1", start=DOOR.start, end=DOOR.end, inside=DOOR.inside)


# -- one camera


@pytest.mark.parametrize(
    ("change", "anew"), [({"counting": CountingSettings(group_s=2.5)}, False), ({"gate": False}, True)]
)
def test_whoever_is_in_the_door_when_settings_change_is_counted_once(
    tmp_path: Path, change: dict[str, object], anew: bool
) -> None:
    """What is drawn is changed without losing a picture; for all else the recording is opened anew, further on."""
    source = SCENE.replace("seconds=40", "seconds=160")
    settings = CameraSettings(
        id="C1",
        source=source,
        mounting="overhead",
        starts_at=STARTS_AT,
        line=(LineSettings(id="L1", start=DOOR.start, end=DOOR.end, inside=DOOR.inside),),
    )
    outbox = Outbox(tmp_path / "outbox.sqlite", SystemClock(), commit_every_s=0)
    opened: list[CameraSettings] = []
    pictures = 0

    def open_with(wanted: CameraSettings) -> VideoSource:
        opened.append(wanted)
        found = open_camera(wanted)
        read = found.read

        def counting(timeout_s: float | None = None) -> Frame | None:
            nonlocal pictures
            pictures += 1
            if pictures in (300, 700):  # people are in the door at either
                worker.reconfigure(msgspec.structs.replace(settings, **(change if pictures == 300 else {})))
            return read(timeout_s)

        found.read = counting  # type: ignore[method-assign]
        return found

    worker = CameraWorker(settings, outbox, SystemClock(), open_with=open_with)
    worker.start()
    wait_until(worker.ended.is_set, 120, "the recording to end")
    worker.join(10)
    outbox.flush()
    found = sorted((each.direction, each.at) for each in outbox.crossings("C1", STARTS_AT))
    alone = counted_alone(source, DOOR, "overhead")
    outbox.close()
    assert len(opened) == (3 if anew else 1)
    assert worker.settings == settings
    assert worker.proof.over
    if anew:
        # Who finds people begins anew, with an empty memory of the background; nobody is counted twice.
        assert len(alone) - 3 <= len(found) <= len(alone)
    else:
        assert found == alone


# -- a whole box


@contextmanager
def agent(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The box as a process, which ends without any good-bye."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "edge", "run", str(folder / "edge.toml")], stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


@dataclass
class Site:
    """The folder of a box, and its peer."""

    folder: Path
    peer: Peer

    @property
    def kept(self) -> keeping.Kept:
        return keeping.load(keeping.place(str(self.folder / "outbox.sqlite")), DEVICE)[0]

    def running(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        return agent(self.folder)

    def said(self, revision: int, state: str) -> bool:
        status = self.peer.status
        return (
            status is not None
            and status.config is not None
            and (status.config.revision, status.config.state) == (revision, state)
        )

    def wait_said(self, revision: int, state: str) -> None:
        wait_until(lambda: self.said(revision, state), 90, f"revision {revision} {state}: {self.log}")

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()[-2000:]


@pytest.fixture
def site(tmp_path: Path, any_broker: EmbeddedBroker) -> Iterator[Site]:
    any_broker.add_user(DEVICE, PASSWORD)
    path = tmp_path / "edge.toml"
    path.write_text(toml(any_broker.port, camera(1, LIVE, starts_at=None)), encoding="utf-8")
    path.chmod(0o600)
    with Peer(any_broker.host, any_broker.port) as peer:
        yield Site(tmp_path, peer)


def config(revision: int, *, detector: str = "motion", group_s: float = 1.5) -> Config:
    made = CameraConfig(
        id="C1",
        mounting="overhead",
        detector=detector,  # type: ignore[arg-type]
        line=(LINE,),
        counting=CountingConfig(group_s=group_s),
    )
    return Config(device=DEVICE, revision=revision, camera=(made,))


def no_record_differs(peer: Peer) -> None:
    """Nothing came under a number that stood for something else."""
    assert peer.contradictions == []
    seqs: dict[str, list[int]] = {}
    for epoch, seq in peer.committed:
        seqs.setdefault(epoch, []).append(seq)
    assert all(sorted(found) == list(range(1, len(found) + 1)) for found in seqs.values())


def test_a_box_takes_what_it_is_told_goes_back_when_it_fails_and_says_both(site: Site) -> None:
    site.peer.configure(config(1))
    with site.running():
        site.wait_said(1, "applied")
        assert site.peer.status is not None
        assert site.peer.status.config_revision == 1
        before = len(site.peer.tracks)
        site.peer.configure(config(2, detector="onnx"))
        site.wait_said(2, "failed")
        status = site.peer.status
        assert status.config_revision == 1
        assert status.config is not None
        assert "C1" in status.config.reason
        assert "model" in status.config.reason
        wait_until(lambda: site.peer.status and site.peer.status.cameras[0].state == "ok", 30, "the camera to be back")
        wait_until(lambda: len(site.peer.tracks) > before, 60, "it to count again")
        wait_until(lambda: site.peer.batches[-1].config_revision == 2, 30, "batches to say what is known")
    with site.running():
        site.wait_said(2, "failed")  # it comes again, retained, and is not tried again
        wait_until(lambda: "not newer" in site.log or site.peer.status is not None, what="the retained one")
        assert site.kept.trying is None
        site.peer.configure(config(3))
        site.wait_said(3, "applied")
    no_record_differs(site.peer)


def test_a_box_killed_at_every_step_of_it_ends_where_it_should(site: Site) -> None:
    """Killed as soon as the file says that it tries, and as soon as it says that it applied, before it is reported."""
    for revision, seen in ((1, "trying"), (2, "applied"), (3, "trying"), (4, "applied")):
        site.peer.configure(config(revision, group_s=1.0 + revision / 10))
        with site.running() as process:
            wait_until(partial(stands, site, seen, revision), 90, f"revision {revision} to be {seen}")
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        assert getattr(site.kept, seen).revision == revision
    with site.running():
        site.wait_said(4, "applied")
        assert site.kept.applied == config(4, group_s=1.4)
        assert site.kept.trying is None
    no_record_differs(site.peer)


def stands(site: Site, where: str, revision: int) -> bool:
    found = getattr(site.kept, where)
    return found is not None and found.revision == revision


def has_written(site: Site, lines: int) -> bool:
    return site.log.count("\n") >= lines


def test_killed_at_random_it_never_ends_by_something_that_was_not_shown_to_work(site: Site) -> None:
    """Whatever moment the power goes at: by how many lines the box has written to its log."""
    for revision, lines in ((1, 3), (2, 5), (3, 7), (4, 9), (5, 4)):
        site.peer.configure(config(revision, detector="onnx" if revision % 2 else "motion"))
        (site.folder / "log").write_text("")
        with site.running():
            wait_until(partial(has_written, site, lines), 90, f"{lines} lines")
        assert site.kept.used in (0, 2, 4)
    with site.running():
        site.wait_said(5, "failed")
        assert site.kept.used in (0, 2, 4)
    no_record_differs(site.peer)


def test_a_box_that_comes_over_https_is_told_and_tells(
    tmp_path: Path, services: Services, password: str, stack: ExitStack
) -> None:
    port = stack.enter_context(web(services))
    text = toml(1, camera(1, LIVE, starts_at=None)).replace(PASSWORD, password)
    text = text.replace("C1", "S01-C1").replace("L1", "S01-L1")
    path = tmp_path / "edge.toml"
    path.write_text(text + f'[https]\nurl = "http://127.0.0.1:{port}"\nuse = "always"\nproxy = "none"\n')
    path.chmod(0o600)
    wanted = f"""
        [[camera]]
        id = "S01-C1"
        mounting = "overhead"
        [[camera.line]]
        id = "S01-L1"
        start = {list(DOOR.start)}
        end = {list(DOOR.end)}
        inside = {list(DOOR.inside)}
        settle = "on_exit"
        """
    services.configs.put(SYSTEM, DEVICE, wanted)

    def stands() -> tuple[int, int, str | None]:
        found = services.configs.standings(SYSTEM, [DEVICE])[DEVICE]
        return found.used, found.known, found.state

    with agent(tmp_path):
        wait_until(lambda: stands() == (1, 1, "applied"), 120, "the first")
        services.configs.put(SYSTEM, DEVICE, wanted.replace('"overhead"', '"overhead"\ndetector = "onnx"'))
        wait_until(lambda: stands() == (1, 2, "failed"), 180, "the second")


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    wait_until(lambda: threading.active_count() <= before + 2, 20, "threads to end")
