"""What a source of frames is, and the kind that is read in step with its reader.

A recording must give every frame in order, or a count can't be repeated; a live source must give only its newest (see
`live`). Both look the same from outside, so that the pipeline can be proved on recordings and run on cameras.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Protocol, Self

from edge.cameras.view import Cadence, View, shaped
from edge.models import Frame

if TYPE_CHECKING:
    import cv2.typing

SourceState = Literal["ok", "offline", "stalled"]

#: Taken where a header gives no believable rate (frames a second).
FALLBACK_FPS: Final = 25.0
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
#: Many cameras take the password in the path or the query: /user=admin&password=..., ?pwd=...
_NAMED_SECRET: Final = re.compile(r"(?i)((?:password|passwd|passwort|pass|pwd|token|secret)=)[^&;:/?#\s\"']+")
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

    def skip_to(self, time_s: float) -> None:  # noqa: B027 - only a recording can
        """Begin at this moment (seconds from the beginning) instead; before the first read. A camera can't."""

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Whether no further frame will come: the recording is over, or the source was closed."""

    @property
    def state(self) -> SourceState:
        """`ok`, `offline` (no connection) or `stalled` (connected, but nothing arrives)."""
        return "ok"

    @property
    def problem(self) -> str:
        """What is wrong, for a person; empty when nothing is, or nothing is known yet."""
        return ""

    @property
    def message(self) -> str:
        """The same, with what is done about it meanwhile."""
        return self.problem

    @property
    def refused(self) -> bool:
        """Whether what is wrong is the user name or the password."""
        return False

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


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture that was reached but need not be made: choosing costs less than converting.

    Attributes:
        time_s: seconds since the beginning of the play.
        take: gives the picture as its decoder does, or None if it can't; to be called before the next shot.
    """

    time_s: float
    take: "Callable[[], cv2.typing.MatLike | None]"


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

    def play(self) -> Iterator[Shot]:
        """Each picture from the beginning, in order of time."""


class Recording(VideoSource):
    """A reel read in step with its reader: each frame, in order, as fast as it is asked for."""

    def __init__(self, reel: Reel, *, loop: bool = False, view: View | None = None) -> None:
        self._reel, self._loop, self._view = reel, loop, view or View()
        self.fps, self.size = reel.fps, self._view.size(reel.size)
        self.frame_count = None if loop else reel.frame_count
        self._begin_s = 0.0
        self._frames: Generator[Frame] | None = None
        self._ended = False

    def skip_to(self, time_s: float) -> None:
        """Begin there; what lies before is decoded, but nothing is made of it."""
        self._begin_s = time_s

    def read(self, timeout_s: float | None = None) -> Frame | None:  # noqa: ARG002 - a file never keeps one waiting
        """The next frame; None when the recording is over."""
        if self._frames is None:
            self._frames = chosen(self._reel, loop=self._loop, view=self._view, begin_s=self._begin_s)
        frame = None if self._ended else next(self._frames, None)
        self._ended = frame is None
        return frame

    @property
    def ended(self) -> bool:
        """Whether the recording is over."""
        return self._ended

    def close(self) -> None:
        """Read no more."""
        self._ended = True
        if self._frames is not None:
            self._frames.close()


def chosen(reel: Reel, *, loop: bool, view: View, begin_s: float = 0.0) -> Generator[Frame]:
    """The wanted pictures of a reel from `begin_s` on, numbered from 0 among all it has; with `loop` for ever."""
    cadence = Cadence(view.target_fps, reel.fps)
    index, begun = 0, 0.0
    while True:
        before, time_s = index, begun
        for shot in reel.play():
            time_s = begun + shot.time_s
            if time_s >= begin_s and cadence.takes(time_s):
                picture = shot.take()
                if picture is not None:
                    yield Frame(index, time_s, shaped(picture, view))
            index += 1
        if not loop or index == before:
            return
        begun = time_s + 1.0 / reel.fps


def believable_fps(stated: float) -> float:
    """The stated rate if a camera could have it, else `FALLBACK_FPS` (headers say 0, 1000 or 90000)."""
    low, high = _BELIEVABLE_FPS
    return stated if math.isfinite(stated) and low <= stated <= high else FALLBACK_FPS


def redact(text: str) -> str:
    """A text without the passwords of addresses in it, fit for a log or a screen."""
    return _ADDRESS.sub(lambda found: _without_password(found[0]), text)


def _without_password(address: str) -> str:
    return _NAMED_SECRET.sub(r"\1***", _without_user_info(address))


def _without_user_info(address: str) -> str:
    scheme, _, rest = address.partition("://")
    host = rest.partition("/")[0]
    if "@" in host:
        who = host.rpartition("@")[0]
        where = rest[len(who) + 1 :]
    elif "@" in rest and ":" in host and not host.rpartition(":")[2].isdecimal():
        # A password with a slash, which should have been written %2F.
        who = rest.rpartition("@")[0]
        where = rest[len(who) + 1 :]
    else:
        return address
    user, colon, _ = who.partition(":")
    return f"{scheme}://{user}{':***' if colon else ''}@{where}"
