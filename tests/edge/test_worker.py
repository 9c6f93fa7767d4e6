"""What a camera's worker says of itself."""

from pathlib import Path

from edge.clock import SystemClock
from edge.outbox import Outbox
from edge.settings import CameraSettings
from edge.worker import CameraWorker


def test_what_is_said_of_a_camera_fits_a_status_however_long_a_library_talks(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite", SystemClock())
    worker = CameraWorker(CameraSettings(id="C1", source="rtsp://127.0.0.1:9/door"), outbox, SystemClock())
    worker._become("offline", "no picture")
    assert worker.status.message == "no picture"
    worker._become("offline", "no picture: " + "b" * 5000)
    assert len(worker.status.message) == 1000
    assert worker.status.message.startswith("no picture: bbb")
    outbox.close()
