"""A centre of its own for a bench: database, broker and programs in a folder that goes with it, and what they cost.

Every bench of ingest needs the same: PostgreSQL with our tables, a broker, `doorline ingest` in a process of its own,
and the processor time of all of them. Set up in one place, so that two benches' figures can be held beside each other.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.storage.embedded import EmbeddedPostgres
from server.storage.migrate import migrate
from tests.fixtures.broker import SERVER_PASSWORD
from tests.fixtures.processes import central_settings, command, environment
from tests.fixtures.wait import wait_until

TICKS = os.sysconf("SC_CLK_TCK")

T = TypeVar("T")


@dataclass(frozen=True)
class Central:
    """A database with our tables, and where its bench may write.

    Attributes:
        pid: of the database's first process; the others are its children.
    """

    folder: Path
    dsn: str
    pid: int

    def broker(self, name: str = "broker", kind: Literal["auto", "mosquitto"] = "auto") -> EmbeddedBroker:
        """A broker in its folder, to be started; it knows the server's user."""
        return EmbeddedBroker(self.folder / name, users={SERVER_USER: SERVER_PASSWORD}, kind=kind)

    def ingest(self, broker: EmbeddedBroker, name: str = "ingest") -> "Program":
        """`doorline ingest`, to be started."""
        settings = {**central_settings(self.dsn, broker), "DOORLINE_BROKER_PROTOCOL": broker.protocol}
        return Program(command("ingest"), environment(settings), self.folder / name, ready="listening for batches")


@contextmanager
def central() -> Iterator[Central]:
    """Make a centre; nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="doorline-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root, the database is somebody else's
        postgres = EmbeddedPostgres(folder / "postgres")
        try:
            migrate(postgres.start().dsn)
            assert postgres.pid is not None
            yield Central(folder, postgres.dsn, postgres.pid)
        finally:
            postgres.remove()


class Program:
    """A process that can be killed and started again; what it says goes into a file.

    Args:
        folder: where it runs, made when absent.
        ready: what it says when it is ready.
    """

    def __init__(self, words: Sequence[str], env: Mapping[str, str], folder: Path, *, ready: str) -> None:
        self._words = words
        self._env = env
        self._folder = folder
        self._log = folder / "said.log"
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        self._folder.mkdir(exist_ok=True)
        said = self._times_ready()
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(self._words, env=self._env, stdout=output, stderr=output, cwd=self._folder)
        process = self._process
        # One that ends with status 0 has ended, too.
        wait_until(lambda: self._times_ready() > said or process.poll() is not None, 120, "it to be ready")
        if process.poll() is not None:
            raise SystemExit(f"{self._words} ended early:\n{self._log.read_text()}")

    def kill(self) -> None:
        """As a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As a person would; nothing happens where it does not run."""
        self._end(signal.SIGTERM)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)

    def _times_ready(self) -> int:
        return self._log.read_text().count(self._ready) if self._log.exists() else 0


@dataclass(frozen=True)
class Spent:
    """What something cost (seconds)."""

    clock: float
    processor: float


class Meter:
    """Measures by the clock, and by the processor time of a database and of programs beside it.

    Args:
        database: its first process.
    """

    def __init__(self, database: int) -> None:
        self._database = database

    def spent(self, work: Callable[[T], object], items: Sequence[T]) -> Spent:
        """What doing this to each of them costs, in this process and the database."""
        ours, theirs, began = time.process_time(), self._seconds(), time.perf_counter()
        for item in items:
            work(item)
        clock = time.perf_counter() - began
        return Spent(clock, time.process_time() - ours + self._since(theirs))

    @contextmanager
    def watching(self, *programs: int) -> Iterator[Callable[[], Spent]]:
        """Gives what says how much was spent since, by these processes and the database."""
        before, theirs, began = sum(map(processor_of, programs)), self._seconds(), time.perf_counter()

        def spent() -> Spent:
            clock = time.perf_counter() - began
            return Spent(clock, sum(map(processor_of, programs)) - before + self._since(theirs))

        yield spent

    def _since(self, before: float) -> float:
        """What the database's processes have taken since, those that came and went meanwhile included."""
        return self._seconds() - before

    def _seconds(self) -> float:
        """Processor time of the database so far: of each living process, and of those its first one has seen end.

        A process's own time is told to the nanosecond (each has one thread), that of ended ones in ticks. Without those
        a job that takes its own connection, or workers beside it, would cost nothing.
        """
        total = 0.0
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                try:
                    fields = (folder / "stat").read_text().rpartition(") ")[2].split()
                    if self._database in (int(folder.name), int(fields[1])):
                        total += int((folder / "schedstat").read_text().split()[0]) / 1e9
                    if self._database == int(folder.name):
                        total += (int(fields[13]) + int(fields[14])) / TICKS
                except OSError:
                    continue
        return total


def processor_of(pid: int) -> float:
    """Processor time of a process with all its threads (seconds)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid: int) -> float:
    """Memory a process has now (10⁶ bytes)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
