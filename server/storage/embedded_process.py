"""The embedded server as a process: made by initdb, launched, watched, stopped, and found again after a crash.

Three things are arranged here so that no run can harm the next: the directory's lock is an flock, so a killed owner
leaves none; a watchdog holds the reading end of a pipe and stops the server when we die, however we die; and what a
`postmaster.pid` names is believed only after a look at that very process.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

import structlog

from server.storage.child import Child
from server.storage.embedded_errors import EmbeddedError
from server.storage.embedded_place import Account, Place

_log = structlog.get_logger(__name__)

_STOP_SECONDS: Final = 30.0


class PortTaken(EmbeddedError):
    """The TCP port is in use by somebody else."""


def take_lock(path: Path) -> IO[bytes]:
    """Lock the directory for this process; closing the file, or dying, gives it back.

    Raises:
        EmbeddedError: another process has it.
    """
    file = path.open("a+b")
    try:
        _lock_file(file)
    except OSError as error:
        file.seek(0)
        holder = file.read(64).decode("ascii", "replace").strip() or "unknown"
        file.close()
        raise EmbeddedError(
            f"a database is already running in {path.parent} (started by process {holder})",
            remedy="stop that process first, or use another directory",
        ) from error
    file.seek(0)
    file.truncate()
    file.write(f"{os.getpid()}\n".encode())
    file.flush()
    return file


def _lock_file(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        # Far beyond the text, which others must still be able to read.
        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def initdb(place: Place, user: str, password: str, *, sync: bool) -> None:
    """Make the cluster.

    Raises:
        EmbeddedError: with initdb's own words.
    """
    password_file = place.cluster.parent / "initial-password"
    handle = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(password)
    if place.account is not None:
        os.chown(password_file, place.account.uid, place.account.gid)
    command = [
        str(place.binaries / "initdb"),
        f"--pgdata={place.cluster}",
        f"--username={user}",
        "--auth=scram-sha-256",
        f"--pwfile={password_file}",
        "--encoding=UTF8",
        "--locale=C",
        "--no-instructions",
    ]
    if _major(place.binaries) >= 17:
        # Unicode's upper and lower case without depending on the machine's locales, which may not be there.
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    if not sync:
        command.append("--no-sync")
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            cwd="/",
            env=_environment(),
            **_as(place.account),
        )
    finally:
        password_file.unlink()
    if done.returncode != 0:
        raise _explain(done.stderr or done.stdout, place.cluster, "the database could not be made")


class Server:
    """A launched `postgres`."""

    def __init__(self, place: Place, settings: Mapping[str, str], log: Path) -> None:
        command: list[str | Path] = [place.binaries / "postgres", "-D", place.cluster]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self._cluster = place.cluster
        self._log = log
        self._child = Child(command, log, env=_environment(), stop_signal=signal.SIGINT, options=_as(place.account))

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        return self._child.pid

    def wait_until_ready(self, port: int, seconds: float) -> None:
        """Wait until it takes connections.

        Raises:
            PortTaken: somebody else has the port.
            EmbeddedError: it ended, with its own words, or isn't ready in time.
        """
        status = self._cluster / "postmaster.pid"
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            if self._child.ended:
                raise _explain(self._child.output(), self._cluster, "the database did not start", port, self._log)
            if _ready(status, self.pid):
                return
            time.sleep(0.02)
        raise EmbeddedError(
            f"the database in {self._cluster} did not become ready within {seconds:.0f} s",
            remedy=f"see {self._log}",
        )

    def stop(self) -> None:
        """Fast shutdown, and immediate when that takes too long; returns when it has ended."""
        self._child.stop(_STOP_SECONDS, at_last=getattr(signal, "SIGQUIT", signal.SIGTERM))


def stop_orphan(cluster: Path) -> None:
    """Make sure that no server of an earlier run is left on `cluster`; call it holding the directory's lock.

    A `postmaster.pid` that is empty, or names a live process that is not this cluster's server, is removed: PostgreSQL
    would refuse to start. One that names a dead process is left to PostgreSQL, which checks more than we could.

    Raises:
        EmbeddedError: an orphan that does not stop.
    """
    file = cluster / "postmaster.pid"
    try:
        first = file.read_text(encoding="ascii", errors="replace").split("\n", 1)[0].strip()
    except FileNotFoundError:
        return
    if not first.isdigit():
        _log.warning("removing an empty or damaged postmaster.pid", cluster=str(cluster))
        file.unlink()
        return
    pid = int(first)
    if not _alive(pid):
        return
    if not _serves(pid, cluster):
        _log.warning("removing a stale postmaster.pid: its number belongs to another process now", pid=pid)
        file.unlink()
        return
    _log.warning("stopping a database left over from a killed run", pid=pid)
    os.kill(pid, signal.SIGINT)
    give_up = time.monotonic() + _STOP_SECONDS
    while _alive(pid) and _serves(pid, cluster):
        if time.monotonic() > give_up:
            raise EmbeddedError(f"process {pid} still serves {cluster}", remedy=f"stop it: kill -INT {pid}")
        time.sleep(0.02)


def explain_os_error(error: OSError, where: Path) -> EmbeddedError:
    """An operating system's error as one line that says what to do."""
    remedy = {28: "free some disk space", 30: "the disk is read-only: choose another directory"}.get(
        error.errno or 0, "choose another directory"
    )
    return EmbeddedError(f"{error.filename or where}: {error.strerror or error}", remedy=remedy)


def _explain(output: str, cluster: Path, what: str, port: int = 0, log: Path | None = None) -> EmbeddedError:
    if re.search(r"Address already in use|could not bind", output):
        return PortTaken(f"port {port} on 127.0.0.1 is in use", remedy="choose another, or 0 for a free one")
    if "No space left on device" in output:
        return EmbeddedError(f"no space left on the disk of {cluster}", remedy="free some and start again")
    if "Permission denied" in output:
        return EmbeddedError(
            f"no permission in {cluster}: {_telling(output)}", remedy="give the directory back to its owner"
        )
    return EmbeddedError(f"{what}: {_telling(output)}", remedy=f"see {log}" if log else None)


def _telling(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [line for line in lines if re.search(r"FATAL|PANIC|ERROR|error:", line)]
    return " / ".join((told or lines[-3:])[-3:]) or "it said nothing"


def _ready(status: Path, pid: int) -> bool:
    """PostgreSQL writes its state into the eighth line of its pid file."""
    try:
        lines = status.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _serves(pid: int, cluster: Path) -> bool:
    """Whether process `pid` is a postgres whose data directory is `cluster`."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(cluster) and b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
    except PermissionError:
        return False
    told = subprocess.run(["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "postgres" in told.stdout and str(cluster) in told.stdout


def _major(binaries: Path) -> int:
    told = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=30)
    match = re.search(r"(\d+)", told.stdout)
    return int(match[1]) if match else 0


def _environment() -> dict[str, str]:
    """Ours, without what would lead PostgreSQL astray: PG* variables and locales this machine may not have."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "LANG": "C"}


def _as(account: Account | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}
