"""The demo's folder: what is kept there, and whether it can be used at all.

Whatever would stop the demo half-way (no room, no permission, another demo in the same folder, a port that is taken) is
looked for before anything is started, and said in one sentence.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import msgspec

from server.storage.embedded import EmbeddedPostgres

WEB_HOST: Final = "127.0.0.1"
_LEAST_FREE_MB: Final = 900
_SYLLABLES: Final = tuple(c + v for c in "bdfgklmnprstvz" for v in "aeiou")


class DemoError(RuntimeError):
    """The demo can't start, or can't go on; the text says why and what to do."""


class Kept(msgspec.Struct):
    """What one run leaves to the next, readable by its owner only.

    Attributes:
        made: the stores' date when the chain was made, once it is whole; empty before.
        master: key of members' data; sign-in passwords come from it, too.
        devices: the boxes' passwords.
        tills: the stores' till keys.
    """

    made: str = ""
    master: str = msgspec.field(default_factory=lambda: base64.b64encode(os.urandom(32)).decode())
    broker: str = msgspec.field(default_factory=lambda: secrets.token_urlsafe(24))
    devices: dict[str, str] = msgspec.field(default_factory=dict)
    tills: dict[str, str] = msgspec.field(default_factory=dict)

    def password(self, username: str) -> str:
        """A user's password: three words of no language, the same in every run, written down nowhere."""
        digest = hmac.digest(self.master.encode(), username.encode(), hashlib.sha256)
        parts = [_SYLLABLES[byte % len(_SYLLABLES)] for byte in digest[:9]]
        return "-".join("".join(parts[at : at + 3]) for at in (0, 3, 6))


@dataclass
class Home:
    """The folder, held by one demo at a time."""

    path: Path
    _lock: IO[bytes] | None = None

    @property
    def database(self) -> Path:
        """PostgreSQL's cluster."""
        return self.path / "postgres"

    @property
    def broker(self) -> Path:
        """Configuration and passwords of the broker."""
        return self.path / "broker"

    @property
    def logs(self) -> Path:
        """One file a process."""
        return self.path / "logs"

    def box(self, device: str) -> Path:
        """Configuration and outbox of one box."""
        return self.path / "boxes" / device

    def __enter__(self) -> Self:
        """Take the folder.

        Raises:
            DemoError: no permission, no room, or another demo runs in it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("ab")
        except OSError as error:
            raise DemoError(
                f"can't write to {self.path} ({error.strerror}): give a folder of yours with --home"
            ) from error
        try:
            _take(lock)
        except OSError as error:
            lock.close()
            raise DemoError(
                f"a demo is running in {self.path} already: stop it with Ctrl-C, or give another folder with --home"
            ) from error
        self._lock = lock
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def prepare(self) -> None:
        """Look for room and make the folders.

        Raises:
            DemoError: the disk is full, or nearly.
        """
        free = shutil.disk_usage(self.path).free // 2**20
        if free < _LEAST_FREE_MB:
            raise DemoError(
                f"only {free} MB are free at {self.path}; the demo needs {_LEAST_FREE_MB} MB: free some, or give a "
                "folder on another disk with --home"
            )
        try:
            for folder in (self.logs, self.path / "boxes"):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise DemoError(f"can't write to {error.filename} ({error.strerror})") from error

    def load(self) -> Kept:
        """What the last run left; something new when there was none.

        Raises:
            DemoError: the file is damaged.
        """
        try:
            return msgspec.json.decode((self.path / "kept.json").read_bytes(), type=Kept)
        except FileNotFoundError:
            return Kept()
        except (msgspec.DecodeError, OSError) as error:
            raise DemoError(
                f"{self.path / 'kept.json'} can't be read ({error}): begin anew with `doorline demo --fresh`"
            ) from error

    def save(self, kept: Kept) -> None:
        """Leave it to the next run."""
        draft = self.path / "kept.json.tmp"
        write_secret(draft, msgspec.json.encode(kept))
        draft.replace(self.path / "kept.json")

    def forget(self) -> None:
        """Remove the demo's data, the database's too where it had to be kept elsewhere; the lock stays held."""
        if self.database.exists():
            EmbeddedPostgres(self.database).remove()
        for entry in self.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()


def _take(lock: IO[bytes]) -> None:
    """Hold the file for this process alone, until it ends; raises OSError when another does."""
    import fcntl

    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def usable_port(port: int) -> int:
    """The port, or a free one for 0.

    Raises:
        DemoError: it is in use, or may not be used.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((WEB_HOST, port))
        except OSError as error:
            raise DemoError(
                f"port {port} can't be used ({error.strerror}): choose another with --port, as in "
                f"`make demo PORT={port + 1}`"
            ) from error
        return int(probe.getsockname()[1])
