"""Keeps open store pages up to date by server-sent events.

However many browsers look at one store, this process asks the database once: the first reader starts a poller, the last
one to leave stops it, and what it finds is written out once per language. A reader that is slow gets the newest view
when it is ready, never a queue of old ones.

A stream is one request that goes on for minutes, and what its reader may see can end meanwhile: so it looks every few
seconds whether the session still stands and still covers the store, without counting as somebody being there.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from dashboards.i18n import LANGUAGES
from dashboards.store_view import event, store_view
from dashboards.viewer import STORE_READERS, Viewer, maybe_viewer, unasked
from server.access.models import Locale
from server.errors import DoorlineError, Forbidden, NotFound, NotSignedIn, TooManyRequests, Unavailable
from server.kpi.live import LiveView

#: Seconds between two looks at the database. A look never takes more than a small part of it (see `_poll`).
EVERY_S: Final = 0.5
#: Seconds until the next look at the very most: a look that hung in a database that went is no measure of the next one.
MOST_PAUSE_S: Final = 10.0
#: Seconds after which a stream ends and the browser asks again.
STREAM_S: Final = 300.0
#: Seconds for which a reader who was allowed to follow is still taken for one.
STANDING_S: Final = 15.0
#: Streams one session may have open at once: a person has a few tabs, and each stream costs a connection and its looks.
MOST_STREAMS: Final = 20
_RETRY_MS: Final = 2000
_log = structlog.get_logger(__name__)


@dataclass(eq=False)
class _Channel:
    """One store: its poller and what it found last.

    Attributes:
        views: the newest event by language, as JSON; None while the database is out of reach.
        moment: rises with every look, so that a reader knows whether it has seen the newest.
        changed: set and replaced at every look.
    """

    readers: int = 0
    moment: int = 0
    views: dict[Locale, str] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class LiveHub:
    """The pollers of one process. Belongs to one event loop.

    Args:
        look: reads a store's day; called in a thread, with the store's id.
        every_s: seconds between two looks.
        standing_s: seconds between two looks whether a reader may still follow.
    """

    def __init__(
        self, look: Callable[[str], LiveView], every_s: float = EVERY_S, standing_s: float = STANDING_S
    ) -> None:
        self._look = look
        self._every_s = every_s
        self._standing_s = standing_s
        self._streams: Counter[str] = Counter()
        self._channels: dict[str, _Channel] = {}
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def pollers(self) -> int:
        """How many stores are being polled."""
        return len(self._channels)

    def close(self) -> None:
        """End every stream now; may be called from any thread.

        A server that is told to stop waits for its open answers first, and a stream would keep it waiting.
        """
        self._closing = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_all)

    @contextmanager
    def place(self, session_id: str) -> Iterator[None]:
        """One of the streams a session may have, for as long as it is open.

        Raises:
            TooManyRequests: it has them all.
        """
        if self._streams[session_id] >= MOST_STREAMS:
            raise TooManyRequests(
                f"this session has {MOST_STREAMS} live pages open already",
                retry_after=ceil(STANDING_S),
                remedy="close some of them",
            )
        self._streams[session_id] += 1
        try:
            yield
        finally:
            self._streams[session_id] -= 1
            if not self._streams[session_id]:
                del self._streams[session_id]

    async def follow(
        self, store_id: str, locale: Locale, may: Callable[[], bool] = lambda: True, for_s: float = STREAM_S
    ) -> AsyncGenerator[str | None, None]:
        """The store's day again and again: JSON when there is a view, None while there is none, or while it can't be
        told whether the reader may see it.

        Args:
            may: whether the reader still may follow; called in a thread. It ends once they may not.
            for_s: seconds after which it ends.
        """
        self._loop = asyncio.get_running_loop()
        until = self._loop.time() + for_s
        ask_at = self._loop.time() + self._standing_s
        channel = self._channels.setdefault(store_id, _Channel())
        channel.readers += 1
        if channel.task is None:
            channel.task = asyncio.create_task(self._poll(store_id, channel))
        seen = 0
        try:
            while not self._closing and self._loop.time() < until:
                if channel.moment == seen:
                    await channel.changed.wait()
                    continue
                seen = channel.moment
                if self._loop.time() >= ask_at:
                    try:
                        if not await run_in_threadpool(may):
                            return
                    except Unavailable:
                        yield None
                        continue
                    ask_at = self._loop.time() + self._standing_s
                yield channel.views[locale] if channel.views is not None else None
        finally:
            channel.readers -= 1
            if channel.readers == 0:
                channel.task.cancel()
                if self._channels.get(store_id) is channel:
                    del self._channels[store_id]

    async def _poll(self, store_id: str, channel: _Channel) -> None:
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                channel.views = await run_in_threadpool(self._views, store_id)
            except DoorlineError as error:
                _log.warning("live view failed", store=store_id, code=error.code, reason=error.message)
                channel.views = None
            except Exception:  # noqa: BLE001 - whatever it is
                # A poller that died would leave its readers waiting for ever, and every one who joins them.
                _log.exception("live view broke", store=store_id)
                channel.views = None
            channel.moment += 1
            self._wake(channel)
            # A slow database is asked less often: looking takes at most a fifth of the time.
            took = loop.time() - started
            await asyncio.sleep(pause_after(took, self._every_s))

    def _wake_all(self) -> None:
        for channel in self._channels.values():
            self._wake(channel)

    @staticmethod
    def _wake(channel: _Channel) -> None:
        channel.changed.set()
        channel.changed = asyncio.Event()

    def _views(self, store_id: str) -> dict[Locale, str]:
        live = self._look(store_id)
        return {
            locale: json.dumps(event(store_view(live, locale)), ensure_ascii=False, separators=(",", ":"))
            for locale in LANGUAGES
        }


def pause_after(took: float, every_s: float) -> float:
    """Seconds from a look that took so long to the next, when one is wanted every so often."""
    return max(every_s - took, min(4 * took, MOST_PAUSE_S))


def live_viewer(request: Request, store_id: str, viewer: Annotated[Viewer | None, Depends(maybe_viewer)]) -> Viewer:
    """Whoever may follow this store.

    Raises:
        NotSignedIn, Forbidden, NotFound: as an API answers; a stream has no page to show.
    """
    if viewer is None:
        raise NotSignedIn("the session has ended", remedy="sign in again")
    viewer.scope.require_role(*STORE_READERS)
    request.app.state.services.stores.store(viewer.scope, store_id)
    return viewer


async def placed_viewer(
    request: Request, viewer: Annotated[Viewer, Depends(live_viewer)]
) -> AsyncGenerator[Viewer, None]:
    """Whoever may follow this store, for as long as they do.

    Raises:
        TooManyRequests: they follow too many at once.
    """
    hub: LiveHub = request.app.state.live
    with hub.place(viewer.session.session_id):
        yield viewer


def _still(request: Request, store_id: str) -> bool:
    """Whether the reader of a stream that is open may go on reading.

    Raises:
        Unavailable: it can't be told now.
    """
    try:
        live_viewer(request, store_id, maybe_viewer(request))
    except (NotSignedIn, Forbidden, NotFound) as ended:
        _log.info("live stream ended", store=store_id, code=ended.code)
        return False
    return True


router = APIRouter(include_in_schema=False)


@router.get("/stores/{store_id}/live", response_class=EventSourceResponse)
@unasked
async def stream(
    request: Request, store_id: str, viewer: Annotated[Viewer, Depends(placed_viewer)]
) -> AsyncIterator[ServerSentEvent]:
    """A store's day, sent whenever it was looked at."""
    hub: LiveHub = request.app.state.live
    yield ServerSentEvent(comment="hello", retry=_RETRY_MS)
    async with aclosing(hub.follow(store_id, viewer.locale, may=partial(_still, request, store_id))) as views:
        async for view in views:
            if view is None:
                yield ServerSentEvent(event="trouble", data={})
            else:
                yield ServerSentEvent(event="view", raw_data=view)
