"""The embedded broker: mosquitto where it is installed, amqtt otherwise, under one rule.

The rule is the contract's: everyone signs in, a device hears what is said below ``doorline/v1/<its own name>/`` and
says there what a device has to say, nothing else; the server reaches everything. Mosquitto's defaults would silently
drop what queues up beyond 1,000 messages and, when root, it becomes another user that can't read its own configuration
again; the generated one avoids both. It listens on the loopback only: for demo and tests, and for a broker of its own
in production there is `deploy/`.
"""

import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from server.ingest import passwords
from server.storage.child import Child
from server.storage.embedded_errors import EmbeddedError
from wire import topics

Kind = Literal["auto", "mosquitto", "amqtt"]

HOST: Final = "127.0.0.1"
#: The server's own user: reads and writes every topic.
SERVER_USER: Final = topics.SERVER_USER
_START_SECONDS: Final = 20.0
#: An MQTT 3.1.1 CONNECT of nobody, which any broker of ours refuses, and how long its answer may take (seconds).
_CONNECT_OF_NOBODY: Final = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x0a\x00\x05probe"
_ANSWER_SECONDS: Final = 1.0


def find_mosquitto() -> Path | None:
    """The mosquitto program; also looked for where Debian puts it, which is not on an ordinary user's path."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
    return Path(found) if found else None


class EmbeddedBroker:
    """One broker in a directory of its own, running while this object is started.

    Args:
        directory: made when absent; holds configuration, passwords (hashed) and log.
        port: 0 means a free one.
        users: names and passwords that may sign in; those added earlier stay known.
        kind: `auto` takes mosquitto when it is there.
    """

    host: Final = HOST

    def __init__(
        self, directory: Path | str, port: int = 0, *, users: Mapping[str, str] | None = None, kind: Kind = "auto"
    ) -> None:
        self.directory = Path(directory).absolute()
        self.port = port
        self._users = dict(users or {})
        self._mosquitto = None if kind == "amqtt" else find_mosquitto()
        if kind == "mosquitto" and self._mosquitto is None:
            raise EmbeddedError(
                "mosquitto is not installed", remedy="install it (apt-get install mosquitto), or use kind amqtt"
            )
        self._child: Child | None = None

    @property
    def kind(self) -> Literal["mosquitto", "amqtt"]:
        """Which broker it is."""
        return "amqtt" if self._mosquitto is None else "mosquitto"

    @property
    def protocol(self) -> Literal["5", "3.1.1"]:
        """The MQTT version it speaks best; telling clients spares them finding out."""
        return "3.1.1" if self._mosquitto is None else "5"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return None if self._child is None else self._child.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended since."""
        return self._child is not None and not self._child.ended

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            EmbeddedError: port in use, no permission, or it ended at once; with its own words.
        """
        if self._child is not None:
            return self
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._write_passwords(self._users)
            wanted = self.port
            for attempt in range(5):
                self.port = wanted or _free_port()
                try:
                    self._launch()
                except _PortTaken:
                    if wanted or attempt == 4:
                        raise
                    continue
                return self
        except OSError as error:
            raise EmbeddedError(
                f"the broker can't use {error.filename or self.directory}: {error.strerror}",
                remedy="use a directory that belongs to you, on a disk with space left",
            ) from error
        return self

    def stop(self) -> None:
        """Stop it and wait for its end."""
        if self._child is not None:
            self._child.stop(10)
            self._child = None

    def add_user(self, name: str, password: str) -> None:
        """Let another user sign in, at once, also while it runs.

        Raises:
            wire.topics.TopicError: a name that could not stand in a topic.
        """
        self._write_passwords({name: password})
        if self._child is not None and self._mosquitto is not None:
            self._child.send(signal.SIGHUP)

    def remove_user(self, name: str) -> None:
        """Let a user sign in no more; a connection it has open stays."""
        known = passwords.read(self._password_file)
        known.pop(name, None)
        passwords.write(self._password_file, known)
        if self._child is not None and self._mosquitto is not None:
            self._child.send(signal.SIGHUP)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _password_file(self) -> Path:
        return self.directory / "passwords"

    def _write_passwords(self, users: Mapping[str, str]) -> None:
        known = passwords.read(self._password_file)
        for name, password in users.items():
            if name not in known or not passwords.verify_password(password, known[name]):
                known[topics.check_name(name)] = passwords.hash_password(password)
        passwords.write(self._password_file, known)

    def _launch(self) -> None:
        # Asked first: whoever has the port would answer in our child's place, and we would take it for ready.
        if not _is_free(self.port):
            raise _PortTaken(f"port {self.port} on {HOST} is in use", remedy="choose another, or 0 for a free one")
        command = self._mosquitto_command() if self._mosquitto else self._amqtt_command()
        # amqtt runs from our own source, wherever that is; the child finds it where we did.
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        child = Child(command, self.directory / "broker.log", env=env)
        try:
            self._wait_until_ready(child)
        except BaseException:
            child.stop(5)
            raise
        self._child = child

    def _wait_until_ready(self, child: Child) -> None:
        give_up = time.monotonic() + _START_SECONDS
        while time.monotonic() < give_up:
            if child.ended:
                said = child.output().strip()
                if "in use" in said:
                    raise _PortTaken(
                        f"port {self.port} on {HOST} is in use", remedy="choose another, or 0 for a free one"
                    )
                raise EmbeddedError(
                    f"the broker did not start: {' / '.join(said.splitlines()[-3:])}",
                    remedy=f"see {self.directory / 'broker.log'}",
                )
            if _answers(self.port):
                return
            time.sleep(0.02)
        raise EmbeddedError(
            f"the broker did not answer within {_START_SECONDS:.0f} s",
            remedy=f"see {self.directory / 'broker.log'}",
        )

    def _mosquitto_command(self) -> list[str | Path]:
        config, rules = self.directory / "mosquitto.conf", self.directory / "acl"
        said = "".join(f"pattern write {topics.ROOT}/%u/{channel.value}\n" for channel in topics.FROM_DEVICE)
        rules.write_text(
            f"user {SERVER_USER}\ntopic readwrite #\n\npattern read {topics.ROOT}/%u/#\n{said}", encoding="utf-8"
        )
        rules.chmod(0o600)
        lines = [
            f"listener {self.port} {HOST}",
            "allow_anonymous false",
            f"password_file {self._password_file}",
            f"acl_file {rules}",
            "persistence false",
            "max_queued_messages 0",
            "max_queued_bytes 0",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type notice",
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            # It would become user mosquitto, which may not enter this directory, and then fail to read it anew.
            lines.append("user root")
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return [self._mosquitto or "mosquitto", "-c", config]

    def _amqtt_command(self) -> list[str | Path]:
        return [sys.executable, "-m", "server.ingest.amqtt_broker", HOST, str(self.port), self._password_file]


class _PortTaken(EmbeddedError):
    pass


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As a server binds: connections that are just ending don't count.
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _answers(port: int) -> bool:
    """Whether a broker there answers, if only by a refusal.

    That it takes connections is not enough: it may have no handler yet for the signal to read its users anew, and die
    of it.
    """
    try:
        with socket.create_connection((HOST, port), timeout=_ANSWER_SECONDS) as probe:
            probe.sendall(_CONNECT_OF_NOBODY)
            return bool(probe.recv(1))
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
