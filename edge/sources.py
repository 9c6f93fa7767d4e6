"""What a source of frames is, and the kind that is read in step with its reader.

A recording must give every frame in order, or a count can't be repeated; a live source must give only its newest (see
`edge.live`). Both look the same from outside, so that the pipeline can be proved on recordings and run on cameras.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self, cast
from urllib.parse import urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.models import Frame

Image = NDArray[np.uint8]
SourceState = Literal["ok", "offline", "stalled"]

#: Taken where a header gives no believable rate (frames a second).
FALLBACK_FPS: Final = 25.0
_BELIEVABLE_FPS: Final = (1.0, 240.0)


class CameraError(Exception):
    """A source can't be used as given; the text says why and what to do."""


class VideoSource(ABC):
    """Frames, one after another.

    Attributes:
        fps: frames a second; `FALLBACK_FPS` where the source states none that can be believed.
        frame_count: how many frames a recording claims to hold; headers are wrong at times, so it serves for
            progress only. None where it is unknown or endless.
        size: width and height in pixels; (0, 0) for a live camera that has not answered yet.
    """

    fps: float
    frame_count: int | None
    size: tuple[int, int]

    @abstractmethod
    def read(self, timeout_s: float | None = None) -> Frame | None:
        """The next frame (of a live source the newest not yet given), waiting for it up to `timeout_s`.

        None means that none came in time, or, if `ended` is true, that none will.
        """

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Whether no further frame will come: the recording is over, or the source was closed."""

    @property
    def state(self) -> SourceState:
        """`ok`, `offline` (no connection) or `stalled` (connected, but nothing arrives)."""
        return "ok"

    @property
    def message(self) -> str:
        """What is wrong, for a person; empty when nothing is."""
        return ""

    @abstractmethod
    def close(self) -> None:
        """Let go of device, file and thread. May be called twice, and from another thread than the reader's."""

    def __iter__(self) -> Iterator[Frame]:
        while True:
            frame = self.read()
            if frame is not None:
                yield frame
            elif self.ended:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Reel(Protocol):
    """Something that can be played from its beginning, again and again: a file or a rendered scene."""

    @property
    def fps(self) -> float:
        """Frames a second."""

    @property
    def frame_count(self) -> int | None:
        """How many frames one play is said to have; None if endless or unknown."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""

    def play(self) -> Iterator[Image]:
        """Frames from the beginning, BGR uint8, shape (height, width, 3)."""


class Recording(VideoSource):
    """A reel read in step with its reader: each frame, in order, as fast as it is asked for."""

    def __init__(self, reel: Reel, *, loop: bool = False) -> None:
        self.fps, self.size = reel.fps, reel.size
        self.frame_count = None if loop else reel.frame_count
        self._frames = numbered(reel, loop=loop)
        self._ended = False

    def read(self, timeout_s: float | None = None) -> Frame | None:  # noqa: ARG002 - a file never keeps one waiting
        """The next frame; None when the recording is over."""
        frame = None if self._ended else next(self._frames, None)
        self._ended = frame is None
        return frame

    @property
    def ended(self) -> bool:
        """Whether the recording is over."""
        return self._ended

    def close(self) -> None:
        """Read no more; the file is let go of with the frames' generator."""
        self._ended = True


def numbered(reel: Reel, *, loop: bool) -> Generator[Frame]:
    """The images of a reel, numbered from 0 and timed by its rate; with `loop` again and again."""
    index = 0
    while True:
        before = index
        for image in reel.play():
            yield Frame(index, index / reel.fps, image)
            index += 1
        if not loop or index == before:
            return


def believable_fps(stated: float) -> float:
    """The stated rate if a camera could have it, else `FALLBACK_FPS` (headers say 0, 1000 or 90000)."""
    low, high = _BELIEVABLE_FPS
    return stated if math.isfinite(stated) and low <= stated <= high else FALLBACK_FPS


def as_image(array: "cv2.typing.MatLike | None") -> Image:
    """OpenCV's picture as BGR, uint8, shape (height, width, 3); some USB cameras give grey."""
    image = cast("NDArray[Any]", array)
    if image.ndim == 2 or image.shape[2] == 1:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return np.asarray(image, np.uint8)


def redact(address: str) -> str:
    """An address without the password in it, fit for a log or a screen."""
    parts = urlsplit(address)
    if parts.password is None:
        return address
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username}:***@{host}").geturl()
