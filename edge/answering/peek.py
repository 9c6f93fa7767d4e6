"""Watches a camera that nothing is drawn for yet, for some minutes, because somebody is about to draw its first line.

Nobody counts such a camera, so nobody watches it; but its first line is drawn on a picture of it, over the paths of
those who walk there, and tried on them. Nothing of this is counted and none of it is coverage: a camera that is looked
at and counts nobody would read as an empty shop. The trap is a camera that has room for one reader: as soon as
anything is drawn for it, it is let go, for the one who counts.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from edge.answering.memory import Memory
from edge.camera import CameraError, open_source, redact
from edge.detectors import DetectorError, detector_for
from edge.geometry import LineError
from edge.pipeline import Pipeline, camera_pipeline
from edge.settings import CameraSettings

log = logging.getLogger(__name__)

#: So long after the last question (seconds).
LASTS_S: Final = 300.0
#: Pictures a second at most: enough to follow people, and cheap beside those who count.
_FPS: Final = 10.0
_READ_S: Final = 0.5
_SAME_SHAPE: Final = 0.01


class Peek:
    """One camera looked at for a while, by a thread of its own.

    Args:
        settings: of the camera as they are now; it is let go once they count anything.
        now: the time (UTC), None while the clock is not set.
        lasts_s: so long after the last `extend`.

    Attributes:
        memory: what it saw.
        problem: why no picture comes, for a person; empty when nothing is wrong or known.
    """

    def __init__(
        self, settings: Callable[[], CameraSettings], now: Callable[[], datetime | None], *, lasts_s: float = LASTS_S
    ) -> None:
        self.memory = Memory()
        self.problem = ""
        self._settings = settings
        self._now = now
        self._lasts_s = lasts_s
        self._stop = threading.Event()
        self.extend()
        self._thread = threading.Thread(target=self._run, name=f"peek-{settings().id}", daemon=True)
        self._thread.start()

    def extend(self) -> None:
        """Somebody asked again."""
        self._until = time.monotonic() + self._lasts_s

    def end(self) -> None:
        """Let go of the camera."""
        self._stop.set()

    @property
    def over(self) -> bool:
        """Whether it has let go."""
        return not self._thread.is_alive()

    def _goes_on(self) -> bool:
        return not self._stop.is_set() and time.monotonic() < self._until and not self._settings().counts

    def _run(self) -> None:
        settings = self._settings()
        log.info("%s: looked at, because somebody asks for it; nothing is counted", settings.id)
        try:
            self._watch(settings)
        except (CameraError, DetectorError, LineError) as error:
            self.problem = redact(str(error))
        except Exception as error:
            # Whoever asked is told; nothing else may suffer from it.
            log.exception("%s: can't be looked at", settings.id)
            self.problem = f"unexpected: {error!r}"
        log.info("%s: no longer looked at", settings.id)

    def _watch(self, settings: CameraSettings) -> None:
        fps = min(settings.target_fps or _FPS, _FPS)
        detector = detector_for(settings)
        view = msgspec.structs.replace(settings, target_fps=fps).view
        pipeline: Pipeline | None = None
        shape = 0.0
        with open_source(settings.source, loop=settings.loop, realtime=True, view=view) as source:
            while self._goes_on():
                frame = source.read(_READ_S)
                if frame is None:
                    self.problem = "the recording has ended" if source.ended else source.problem
                    if source.ended:
                        return
                    continue
                self.problem = ""
                if pipeline is None or abs(frame.aspect - shape) > _SAME_SHAPE:
                    pipeline, shape = camera_pipeline(detector, settings, frame.aspect), frame.aspect
                    self.memory.begin(settings, shape)
                self.memory.saw(frame, pipeline.step(frame), self._now())
