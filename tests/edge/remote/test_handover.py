"""Other settings that come at the very moment at which a camera takes some over."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from edge.clock import SystemClock
from edge.models import Crossing
from edge.outbox import Outbox
from edge.scene import door_line
from edge.settings import CameraSettings, LineSettings
from edge.timeline import LiveTimeline
from edge.worker import CameraWorker

DOOR = door_line("overhead")
LINE = LineSettings(id="L1", start=DOOR.start, end=DOOR.end, inside=DOOR.inside)
FIRST = CameraSettings(id="C1", source="rtsp://127.0.0.1:9/door", line=(LINE,))
SECOND, THIRD = (msgspec.structs.replace(FIRST, target_fps=fps) for fps in (4.0, 5.0))


class Finishing:
    """What was followed ends, and meanwhile something else happens."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile

    def finish(self) -> list[Crossing]:
        self._meanwhile()
        return []


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = Outbox(tmp_path / "outbox.sqlite", SystemClock())
    yield made
    made.close()


def test_settings_that_come_while_others_are_taken_over_are_not_lost(outbox: Outbox) -> None:
    """As when a revision fails on another camera, and all go back, just as this one begins with it."""
    worker = CameraWorker(FIRST, outbox, SystemClock())
    worker._tie(LiveTimeline(SystemClock()))
    worker.reconfigure(SECOND)
    worker._pipeline = Finishing(lambda: worker.reconfigure(THIRD))  # type: ignore[assignment]
    worker._take_over()
    worker._take_over()  # should only one of them have been taken over so far
    assert worker._settings == worker.settings == THIRD
