"""A box that is steered: its file, what the centre wants of it, and cameras that do as a test says."""

from dataclasses import dataclass, field
from pathlib import Path

from edge.config import parse
from edge.remote.steering import Steering
from edge.remote.trial import PICTURES, Proof
from edge.settings import CameraSettings, EdgeConfig
from tests.fixtures.edge_time import FakeClock
from wire.config import CameraConfig, Config, LineConfig
from wire.messages import encode

FILE = """
[device]
name = "door-1"
[broker]
host = "127.0.0.1"
[outbox]
path = "{path}"
[[camera]]
id = "C1"
source = "rtsp://user:secret@192.0.2.10/stream"
model = "people.onnx"
threads = 2
target_fps = 25
[[camera.line]]
id = "L1"
start = [0.1, 0.5]
end = [0.9, 0.5]
inside = [0.5, 0.9]
[[camera]]
id = "C2"
source = 0
[[camera.line]]
id = "L2"
start = [0.1, 0.5]
end = [0.9, 0.5]
inside = [0.5, 0.9]
"""


def box(tmp_path: Path) -> EdgeConfig:
    return parse(FILE.format(path=tmp_path / "outbox.sqlite"))


def desired(revision: int, *cameras: str, fps: float = 12.0, **more: object) -> Config:
    made = tuple(
        CameraConfig(
            id=name,
            target_fps=fps,
            line=(LineConfig(id=f"L{name[1:]}", start=(0.2, 0.6), end=(0.8, 0.6), inside=(0.5, 0.9)),),
            **more,  # type: ignore[arg-type]
        )
        for name in cameras
    )
    return Config(device="door-1", revision=revision, camera=made)


@dataclass
class FakeCamera:
    """A camera that does as a test says."""

    settings: CameraSettings
    proof: Proof = field(default_factory=Proof)
    watching: bool = True

    def reconfigure(self, settings: CameraSettings) -> None:
        self.settings, self.proof = settings, Proof()


class Box:
    """An agent's part of it: steering over cameras, which ends as suddenly as a test wants."""

    def __init__(self, config: EdgeConfig, *, watching: bool = True, verify_s: float = 60.0) -> None:
        self.steering = Steering(config, FakeClock(), verify_s=verify_s)
        self.cameras = {each.id: FakeCamera(each, watching=watching) for each in self.steering.cameras}
        self.steering.bind(self.cameras)

    def hear(self, config: Config) -> None:
        self.steering.offer(encode(config))
        self.steering.step()

    def see(self, *names: str) -> None:
        for name in names or self.cameras:
            self.cameras[name].proof.pictures = PICTURES
        self.steering.step()

    @property
    def state(self) -> tuple[int, int, str]:
        """Revision in use, newest known, and what became of that."""
        standing = self.steering.standing
        return standing.used, standing.known, "" if standing.report is None else standing.report.state

    @property
    def reason(self) -> str:
        report = self.steering.standing.report
        return "" if report is None else report.reason

    @property
    def fps(self) -> dict[str, float]:
        return {name: each.settings.target_fps for name, each in self.cameras.items()}
