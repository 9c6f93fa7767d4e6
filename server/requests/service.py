"""The rules of asking a box: who may, how many at once, how long the answer is kept, and what is on record.

Who asks waits in no request of the web server: what is asked gets a number, a thread of ours passes it on and waits for
the one answer, and the number shows what came of it, whichever process is asked. The traps: a picture of a shop that
outlives its use, so all of it is deleted after minutes; and a box that can't be asked (it speaks over HTTPS, where the
server can't speak first), which must not look like one that is broken.
"""

import secrets
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import NotFound, TooManyRequests, Unavailable
from server.requests import repository
from server.requests.exchange import Heard
from server.requests.models import AskedDevice, DeviceRequest, Kind, State
from server.storage.pool import Connection, Database
from server.stores.health import SILENT_AFTER
from wire.asking import (
    Ask,
    AskLineTest,
    AskPaths,
    AskSnapshot,
    Given,
    LineTest,
    Paths,
    Request,
    Snapshot,
    Unable,
)

_log = structlog.get_logger(__name__)

#: So long a box has for its answer (seconds): a camera that nobody watches yet has to be opened first.
WITHIN_S: Final = 15.0
#: What passing it on takes at most beyond that; after it, nothing comes any more.
_SPARE: Final = timedelta(seconds=25)
#: A picture of a shop is kept for so long.
KEEP: Final = timedelta(minutes=5)
#: Requests under way at once: of one process, and of one box.
MOST_UNDER_WAY: Final = 8
MOST_OF_A_BOX: Final = 3

#: How every JPEG begins.
_JPEG: Final = b"\xff\xd8\xff"
_KINDS: Final[Mapping[type[Ask], Kind]] = {
    AskSnapshot: "snapshot",
    AskPaths: "paths",
    AskLineTest: "line_test",
}


class Asks(Protocol):
    """The way to a box: see `server.requests.exchange.Exchange`."""

    def ask(self, request: Request, stop: threading.Event) -> Heard:
        """Ask and wait."""
        ...


class RequestService:
    """Passes questions on to boxes and keeps their answers for minutes.

    Args:
        db: the database.
        exchange: the way to boxes.
        clock: what time it is.
        within_s: so long a box has for its answer.
    """

    def __init__(self, db: Database, exchange: Asks, clock: Clock = utc_now, *, within_s: float = WITHIN_S) -> None:
        self._db = db
        self._exchange = exchange
        self._clock = clock
        self._within_s = within_s
        self._stop = threading.Event()
        self._room = threading.BoundedSemaphore(MOST_UNDER_WAY)
        self._threads = ThreadPoolExecutor(MOST_UNDER_WAY, thread_name_prefix="asking")

    def close(self) -> None:
        """Wait for no answer any more."""
        self._stop.set()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def ask(self, scope: Scope, device: str, ask: Ask) -> DeviceRequest:
        """Have something asked of a box; `read` shows what came of it.

        Raises:
            Forbidden: unless admin or HQ asks.
            NotFound: no such live box in the caller's stores.
            TooManyRequests: too much is asked of it, or by this process, already.
            Unavailable: the database is away.
        """
        scope.require_role("admin", "hq")
        if not self._room.acquire(blocking=False):
            raise TooManyRequests("too much is asked of boxes at once", retry_after=int(self._within_s))
        try:
            found, asked = self._note(scope, device, ask)
            self._threads.submit(self._pass_on, scope, found, asked, ask)
        except BaseException:
            self._room.release()
            raise
        return asked

    def read(self, scope: Scope, request_id: str) -> DeviceRequest:
        """What was asked and what came of it.

        Raises:
            Forbidden: unless admin or HQ asks.
            NotFound: there is none in the caller's stores, or its minutes are over.
            Unavailable: the database is away.
        """
        scope.require_role("admin", "hq")
        with self._db.read() as conn:
            found = repository.request(conn, scope, request_id, self._clock())
        if found is None:
            raise _forgotten(request_id)
        return found

    def picture(self, scope: Scope, request_id: str) -> Snapshot:
        """The picture that was asked for; that it was looked at is on record.

        Raises:
            Forbidden: unless admin or HQ asks.
            NotFound: there is no picture under this number, or no longer.
            Unavailable: the database is away.
        """
        scope.require_role("admin", "hq")
        now = self._clock()
        with self._db.transaction() as conn:
            found = repository.request(conn, scope, request_id, now)
            if found is None or not isinstance(found.given, Snapshot):
                raise _forgotten(request_id)
            _record(conn, now, scope, "device.snapshot", found)
            return found.given

    def state(self, found: DeviceRequest) -> State:
        """How it stands."""
        if found.given is None:
            return "waiting" if self._clock() < found.waits_until else "failed"
        return "failed" if isinstance(found.given, Unable) else "answered"

    # -- inside ----------------------------------------------------------------------------------------------------

    def _note(self, scope: Scope, device: str, ask: Ask) -> tuple[AskedDevice, DeviceRequest]:
        now = self._clock()
        with self._db.transaction() as conn:
            repository.forget(conn, Scope.system("requests"), now)
            found = repository.asked_device(conn, scope, device, now)
            if found is None:
                raise NotFound(f"there is no live device {device!r}", field="name", remedy="see doorline device list")
            if found.open >= MOST_OF_A_BOX:
                raise TooManyRequests(
                    f"{device} has {found.open} requests to answer already", retry_after=int(self._within_s)
                )
            asked = self._new(scope, found, ask, now)
            repository.insert(conn, asked)
            _record(conn, now, scope, "device.ask", asked)
        return found, asked

    def _new(self, scope: Scope, device: AskedDevice, ask: Ask, now: datetime) -> DeviceRequest:
        return DeviceRequest(
            request_id=secrets.token_hex(16),
            device_id=device.device_id,
            store_id=device.store_id,
            camera_id=ask.camera,
            kind=_KINDS[type(ask)],
            asked_by=scope.actor,
            asked_at=now,
            waits_until=now + timedelta(seconds=self._within_s) + _SPARE,
            keep_until=now + KEEP,
            answered_at=None,
            given=None,
        )

    def _pass_on(self, scope: Scope, device: AskedDevice, asked: DeviceRequest, ask: Ask) -> None:
        """In a thread: ask, wait, and keep what came of it."""
        try:
            request = Request(device=device.device_id, id=asked.request_id, within_s=self._within_s, ask=ask)
            heard = self._exchange.ask(request, self._stop)
            given = self._given(device, ask, heard)
            with self._db.transaction() as conn:
                if not repository.keep_answer(conn, scope, asked.request_id, given, self._clock()):
                    _log.info("an answer that nobody waits for is dropped", device=device.device_id)
        except Unavailable as error:
            _log.warning("what a box answered can't be kept", device=device.device_id, reason=error.message)
        except Exception:  # noqa: BLE001 - nobody looks at this thread's end; whoever waits is told that nothing came
            _log.exception("a box can't be asked", device=device.device_id)
        finally:
            self._room.release()

    def _given(self, device: AskedDevice, ask: Ask, heard: Heard) -> Given:
        name = device.device_id
        if heard.outcome == "no_broker":
            return Unable(code="no_broker", reason=f"{heard.reason[:500]}; see DOORLINE_BROKER_* of this process")
        if heard.given is None and self._over_https(device, heard):
            return Unable(
                code="over_https",
                reason=f"{name} reaches us over HTTPS only, where it can't be asked; its counts arrive all the same. "
                "It can be asked again once MQTT is open at its shop",
            )
        if heard.outcome == "absent":
            return Unable(code="absent", reason=f"{name} is not connected now, or is too old to be asked")
        if heard.given is None:
            return Unable(code="no_answer", reason=f"{name} did not answer within {self._within_s:g} s; ask again")
        if not isinstance(heard.given, Unable) and not _answers(ask, heard.given):
            return Unable(code="failed", reason=f"{name} answered something else than was asked")
        return heard.given

    def _over_https(self, device: AskedDevice, heard: Heard) -> bool:
        """Whether its last word is newer than the one it left with the broker, and so came another way."""
        if not device.online or device.said_at is None or device.heard_at is None:
            return False
        fresh = self._clock() - device.heard_at <= SILENT_AFTER
        return fresh and (heard.said_at is None or device.said_at > heard.said_at)


def _answers(ask: Ask, given: Given) -> bool:
    """Whether it is what was asked; a picture has to be one, since browsers are told that it is."""
    match ask, given:
        case AskSnapshot(), Snapshot(camera=camera, jpeg=jpeg):
            return camera == ask.camera and jpeg.startswith(_JPEG)
        case (AskPaths(), Paths(camera=camera)) | (AskLineTest(), LineTest(camera=camera)):
            return camera == ask.camera
    return False


def _record(conn: Connection, now: datetime, scope: Scope, action: str, asked: DeviceRequest) -> None:
    detail: dict[str, object] = {"request": asked.request_id, "kind": asked.kind, "camera": asked.camera_id}
    audit.record(conn, now, scope.actor, action, subject=asked.device_id, store_id=asked.store_id, detail=detail)


def _forgotten(request_id: str) -> NotFound:
    minutes = int(KEEP.total_seconds() // 60)
    return NotFound(
        f"there is nothing under {request_id!r}",
        field="request_id",
        remedy=f"what a box answers is kept for {minutes} minutes; ask again",
    )
