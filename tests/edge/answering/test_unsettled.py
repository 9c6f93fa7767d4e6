"""A picture taken before the scene is known: nobody is found in it yet, so all of it is as coarse as people are."""

import queue
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import cv2
import numpy as np
import pytest

from edge.answering.answerer import Answerer
from edge.answering.memory import SETTLES_S, Memory
from edge.clock import SystemClock
from edge.models import Detections, Frame
from edge.pipeline import Step
from edge.scene import door_line
from edge.settings import CameraSettings, LineSettings
from tests.fixtures.wait import wait_until
from wire.asking import AskSnapshot, Request, Snapshot, decode_answer
from wire.messages import CameraStatus, encode

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DOOR = door_line("oblique")
SETTINGS = CameraSettings(
    id="C1",
    source="scene:oblique",
    mounting="oblique",
    line=(LineSettings(id="L1", start=DOOR.start, end=DOOR.end, inside=DOOR.inside),),
)
NOBODY = Step(Detections(), Detections(), [], [])


class Camera:
    """One that is counted, whose pictures a test hands over; all the detail a picture can have is in them."""

    settings = SETTINGS
    status = CameraStatus(camera="C1", state="ok", fps=10)
    watching = True

    def __init__(self) -> None:
        self.memory = Memory()
        self._image = np.random.default_rng(1).integers(0, 256, (540, 960, 3), dtype=np.uint8)
        self._index = 0

    def sees(self, time_s: float) -> None:
        self._index += 1
        self.memory.saw(Frame(self._index, time_s, self._image), NOBODY, NOON)


class Asking:
    """Asks the box for pictures while the camera goes on seeing."""

    def __init__(self) -> None:
        self.camera = Camera()
        self._said: queue.Queue[bytes] = queue.Queue()
        self._asked = 0
        self.answerer = Answerer("door-1", {"C1": self.camera}, SystemClock(), lambda said, _: self._said.put(said))

    def picture(self, *times: float) -> Snapshot:
        """The answer to a request that came before the camera saw the last of `times`."""
        for time_s in times[:-1]:
            self.camera.sees(time_s)
        self._asked += 1
        ask = Request(device="door-1", id=f"{self._asked:032x}", within_s=30, ask=AskSnapshot(camera="C1"))
        self.answerer.offer(encode(ask))

        def answered() -> Snapshot | None:
            self.camera.sees(times[-1])
            if self._said.empty():
                return None
            given = decode_answer(self._said.get()).given
            assert isinstance(given, Snapshot)
            return given

        return wait_until(answered, 20, "a picture")


@pytest.fixture
def asking() -> Iterator[Asking]:
    before = set(threading.enumerate())
    found = Asking()
    found.answerer.start()
    yield found
    found.answerer.stop()
    wait_until(lambda: set(threading.enumerate()) <= before, what="the answering thread to end")


def spread(taken: Snapshot) -> float:
    """How much of the detail is left: of noise of one pixel, blocks of 5 leave a fifth of 74, of 22 next to nothing."""
    picture = cv2.imdecode(np.frombuffer(taken.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return float(picture.astype(np.float32).std())


def test_until_the_scene_is_known_all_of_the_picture_is_as_coarse_as_people_are_and_it_says_so(asking: Asking) -> None:
    """A detector that learns the scene takes its first picture for the empty one, whoever stands in it."""
    asking.camera.memory.begin(SETTINGS, 16 / 9)
    first = asking.picture(100.0)
    assert first.veiled
    assert spread(first) < 6
    assert asking.picture(100.0 + SETTLES_S - 0.1).veiled
    known = asking.picture(100.0 + SETTLES_S)
    assert not known.veiled
    assert spread(known) > 9
    # By other settings there is another pipeline, which has seen nothing yet.
    asking.camera.memory.begin(SETTINGS, 16 / 9)
    anew = asking.picture(100.0 + SETTLES_S + 1)
    assert anew.veiled
    assert spread(anew) < 6
    # A stream that begins anew is another scene for all we know.
    assert not asking.picture(100.0 + 3 * SETTLES_S).veiled
    assert asking.picture(1.0).veiled
