"""Answers what the centre asks of this box: once, in time, or not at all.

A thread of its own: a picture has to be waited for and a line tried takes its time, and neither may hold up the thread
that delivers counts. So the delivering thread only hands over what came. Nothing asked or answered touches the disk; a
box that starts anew has forgotten all of it. The trap: a request that is delivered twice, by a broker or by somebody
who recorded it, would be a second picture nobody asked for.
"""

import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import msgspec

from edge.answering.memory import Memory, Recent
from edge.answering.peek import Peek
from edge.answering.snapshot import EVERYWHERE, snapshot
from edge.answering.walked import paths, try_line
from edge.clock import Clock, moment
from edge.config import check_drawn_line
from edge.geometry import LineError
from edge.settings import CameraSettings, ConfigError, LineSettings
from wire.asking import (
    Answer,
    AskLineTest,
    AskPaths,
    AskSnapshot,
    Given,
    Request,
    Snapshot,
    Unable,
    UnableCode,
    decode_request,
)
from wire.config import MAX_REASON
from wire.messages import CameraStatus, encode

log = logging.getLogger(__name__)
T = TypeVar("T")

#: Requests that wait for their turn, at most; whoever asks for more is told to come again.
_MOST_WAITING: Final = 4
#: Requests known by their number, at most; the oldest are forgotten first, long after they expired.
_MOST_KNOWN: Final = 256
#: Cameras that nobody counts looked at side by side, at most.
_MOST_PEEKS: Final = 2
#: How often it is looked whether there is anything to answer with (seconds).
_LOOK_S: Final = 0.25


class Watched(Protocol):
    """A camera as far as it can be asked about."""

    @property
    def settings(self) -> CameraSettings: ...  # noqa: D102
    @property
    def memory(self) -> Memory: ...  # noqa: D102
    @property
    def status(self) -> CameraStatus: ...  # noqa: D102
    @property
    def watching(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request and until when somebody waits for its answer (monotonic)."""

    request: Request
    until: float


class _UnableError(Exception):
    """What was asked can't be given."""

    def __init__(self, code: UnableCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Answerer:
    """One box's. `start` once, `stop` once.

    Args:
        device: our name.
        cameras: by id.
        clock: dates what is seen of a camera that nobody counts yet.
        send: takes an answer's payload and until when (monotonic) somebody waits for it; must not block.
    """

    def __init__(
        self, device: str, cameras: Mapping[str, Watched], clock: Clock, send: Callable[[bytes, float], None]
    ) -> None:
        self._device = device
        self._cameras = cameras
        self._clock = clock
        self._peeks: dict[str, Peek] = {}
        self._send = send
        self._asked: queue.Queue[_Asked | None] = queue.Queue(_MOST_WAITING + 1)
        self._known: OrderedDict[str, None] = OrderedDict()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="answers", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer nothing more; a camera that is being looked at is not waited for."""
        self._stopping.set()
        for peek in list(self._peeks.values()):
            peek.end()
        if not self._asked.full():
            self._asked.put(None)

    def offer(self, payload: bytes) -> None:
        """Take what came on the topic of requests. Never blocks; one thread's.

        Raises:
            WireError: it is no request.
        """
        now = time.monotonic()
        request = decode_request(payload)
        if request.device != self._device:
            log.warning("asked something that is meant for %s; not answered", request.device)
            return
        if request.id in self._known:
            log.warning("asked the same again (%s); not answered", request.id)
            return
        self._known[request.id] = None
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        asked = _Asked(request, now + request.within_s)
        if self._asked.qsize() >= _MOST_WAITING:
            self._answer(asked, Unable(code="busy", reason=f"{_MOST_WAITING} requests wait already; ask again later"))
            return
        self._asked.put(asked)

    def _run(self) -> None:
        while not self._stopping.is_set() and (asked := self._asked.get()) is not None:
            if time.monotonic() < asked.until:
                self._answer(asked, self._given(asked))

    def _answer(self, asked: _Asked, given: Given) -> None:
        if self._stopping.is_set() or time.monotonic() >= asked.until:
            log.info("nobody waits any more for what was asked (%s)", asked.request.id)
            return
        log.info("answering what was asked: %s of camera %s", _kind(asked.request), asked.request.ask.camera)
        self._send(encode(Answer(device=self._device, id=asked.request.id, given=given)), asked.until)

    def _given(self, asked: _Asked) -> Given:
        try:
            return self._find(asked)
        except _UnableError as error:
            return Unable(code=error.code, reason=_short(str(error)))
        except Exception as error:
            # The thread must outlive whatever a request brings; who asked is told, and the log has it.
            log.exception("can't answer what was asked")
            return Unable(code="failed", reason=_short(f"unexpected: {error!r}; the box's log says more"))

    def _find(self, asked: _Asked) -> Given:
        ask = asked.request.ask
        camera = self._cameras.get(ask.camera)
        if camera is None:
            there = ", ".join(sorted(self._cameras)) or "none"
            raise _UnableError("unknown_camera", f"this box has no camera {ask.camera}; it has: {there}")
        match ask:
            case AskSnapshot():
                return self._snapshot(camera, ask, asked.until)
            case AskPaths():
                return paths(ask.camera, self._recent(camera, ask.seconds, asked.until))
            case AskLineTest():
                line = _line(ask)
                try:
                    return try_line(ask.camera, self._recent(camera, ask.seconds, asked.until), line)
                except LineError as error:
                    raise _UnableError("bad_line", str(error)) from error

    def _watching(self, camera: Watched) -> tuple[Memory, Callable[[], str]]:
        """What a camera is remembered by, and what tells why it gives nothing.

        One that nothing is drawn for is watched by nobody: it is looked at from here on, for some minutes.
        """
        settings = camera.settings
        if settings.counts:
            return camera.memory, lambda: _why_none(camera)
        self._peeks = {name: each for name, each in self._peeks.items() if not each.over}
        peek = self._peeks.get(settings.id)
        if peek is None:
            if len(self._peeks) >= _MOST_PEEKS:
                there = " and ".join(sorted(self._peeks))
                raise _UnableError("busy", f"cameras {there} are looked at already; ask again in some minutes")
            peek = Peek(lambda: camera.settings, lambda: moment(self._clock).at)
            self._peeks[settings.id] = peek
        peek.extend()
        return peek.memory, lambda: peek.problem

    def _recent(self, camera: Watched, seconds: float, until: float) -> Recent:
        memory, why_none = self._watching(camera)

        def look() -> Recent | None:
            found = memory.recent(seconds)
            if found is None and memory.picture(_LOOK_S) is not None:
                found = memory.recent(seconds)
            return found

        found = _patiently(look, why_none, until)
        if found is None:
            raise _no_picture(camera, why_none)
        return found

    def _snapshot(self, camera: Watched, ask: AskSnapshot, until: float) -> Snapshot:
        memory, why_none = self._watching(camera)
        taken = _patiently(lambda: memory.picture(_LOOK_S), why_none, until)
        if taken is None:
            raise _no_picture(camera, why_none)
        people = taken.people if taken.is_certain else EVERYWHERE
        jpeg, (width, height) = snapshot(taken.image, people, ask.width)
        return Snapshot(
            camera=ask.camera,
            at=taken.at,
            width=width,
            height=height,
            people=taken.found,
            jpeg=jpeg,
            veiled=not taken.is_certain,
        )


def _patiently(look: Callable[[], T | None], why_none: Callable[[], str], until: float) -> T | None:
    """What `look` finds, as soon as it finds anything; None once it is known why it finds nothing, or time is up."""
    while (found := look()) is None and not why_none() and time.monotonic() + _LOOK_S < until:
        pass
    return found


def _no_picture(camera: Watched, why_none: Callable[[], str]) -> _UnableError:
    reason = why_none() or "none came in time"
    return _UnableError("no_picture", f"camera {camera.settings.id} gives no pictures: {reason}")


def _line(ask: AskLineTest) -> LineSettings:
    try:
        line = msgspec.convert(msgspec.to_builtins(ask.line), LineSettings)
        check_drawn_line(line, f"line {ask.line.id}")
    except (ConfigError, msgspec.ValidationError) as error:
        raise _UnableError("bad_line", str(error)) from error
    return line


def _why_none(camera: Watched) -> str:
    """Why a camera that is counted gives no pictures now; empty where it does."""
    return "" if camera.watching else camera.status.message or camera.status.state


def _kind(request: Request) -> str:
    return str(request.ask.__struct_config__.tag)


def _short(reason: str) -> str:
    return reason if len(reason) <= MAX_REASON else f"{reason[: MAX_REASON - 1]}…"
