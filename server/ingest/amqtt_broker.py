"""amqtt as the embedded broker: ``python -m server.ingest.amqtt_broker HOST PORT PASSWORDS``.

amqtt's own password plugin reads its file once and its access lists need every user spelled out; the two small plugins
here read the file anew when it changes and hold the contract's one pattern. It is a process of its own, because its
event loop must not share a thread with anything that may block.
"""

import asyncio
import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from server.ingest import passwords
from server.ingest.broker import SERVER_USER
from wire import topics


class PasswordPlugin(BaseAuthPlugin):  # type: ignore[misc]
    """Everyone signs in with a password of the shared file."""

    @dataclass
    class Config:
        """Where the file is."""

        passwords: str = ""

    def __init__(self, context: Any) -> None:
        super().__init__(context)
        self._path = Path(self._get_config_option("passwords", ""))
        self._read_at = -1
        self._users: dict[str, str] = {}

    async def authenticate(self, *, session: Session) -> bool | None:
        """Whether the session's user and password are known."""
        changed_at = self._path.stat().st_mtime_ns
        if changed_at != self._read_at:
            self._users, self._read_at = passwords.read(self._path), changed_at
        stored = self._users.get(session.username or "")
        return stored is not None and passwords.verify_password(session.password or "", stored)


class OwnTopicsPlugin(BaseTopicPlugin):  # type: ignore[misc]
    """A device hears its own topics and says there what devices say; the server reaches all."""

    @dataclass
    class Config:
        """Nothing to choose."""

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool | None:
        """Whether `session` may publish to, subscribe to or receive `topic`."""
        if session is None or not session.username or not topic:
            return False
        if session.username == SERVER_USER:
            return True
        own = f"{topics.ROOT}/{session.username}/"
        if action is Action.PUBLISH:
            return topic in {own + channel.value for channel in topics.FROM_DEVICE}
        return topic.startswith(own)


def _config(host: str, port: str, password_file: str) -> dict[str, Any]:
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}},
        "plugins": {
            "server.ingest.amqtt_broker.PasswordPlugin": {"passwords": password_file},
            "server.ingest.amqtt_broker.OwnTopicsPlugin": {},
        },
    }


async def _run(host: str, port: str, password_file: str) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
    broker = Broker(_config(host, port, password_file))
    await broker.start()
    await stop.wait()
    await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_run(*sys.argv[1:4]))
