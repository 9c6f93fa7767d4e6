"""Tells boxes, over the broker, what they are to do: each configuration retained under its box's topic.

Nothing rests on the broker's memory: with every new connection all of it is said again, because the broker behind it
may be a new one. Several workers may do this side by side. The trap is a slow one, which says an older revision after
a newer one was said: it looks again and again, and what it said itself last is what it compares with.
"""

import threading
from typing import Final

import structlog

from server.configs.service import ConfigService
from server.errors import Unavailable
from server.ingest.link import BrokerLink
from wire import topics
from wire.messages import encode
from wire.topics import Channel

_log = structlog.get_logger(__name__)

#: How often it looks for something new (seconds).
EVERY_S: Final = 2.0


class ConfigPublisher:
    """A thread of its own, so that a slow database or broker delays no batch.

    Args:
        configs: what boxes are to have.
        link: the connection it is said over.
        every_s: how often it looks.
    """

    def __init__(self, configs: ConfigService, link: BrokerLink, *, every_s: float = EVERY_S) -> None:
        self._configs = configs
        self._link = link
        self._every_s = every_s
        self._said: dict[str, int] = {}
        self._connection = 0
        self._away = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="config-publisher", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after what is being said."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=15)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._look()
                self._away = False
            except Unavailable as error:
                if not self._away:
                    _log.warning("the database is away; boxes are told later what they are to do", reason=str(error))
                self._away = True
            except Exception:  # noqa: BLE001 - a row nobody foresaw must not keep all other boxes in the dark
                _log.exception("what boxes are to do can't be said now")
            self._stop.wait(self._every_s)

    def _look(self) -> None:
        connection = self._link.connection
        if connection != self._connection:
            self._connection, self._said = connection, {}
        if not self._link.ready:
            return
        for config in self._configs.unsaid(self._said):
            name = topics.topic(config.device, Channel.CONFIG)
            if self._stop.is_set() or not self._link.publish(name, encode(config), connection=connection):
                return
            self._said[config.device] = config.revision
            _log.info("a box is told its configuration", device=config.device, revision=config.revision)
