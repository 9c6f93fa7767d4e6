"""One box of a chain: its process, its disk and its lines, and what can be told of them from outside.

What is on its disk is read from a copy, since to open an outbox's file is to change it.
"""

import shutil
import sqlite3
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from tests.chaos.box import MARK, Orders, Spec, State
from tests.chaos.disk import Disk
from tests.chaos.plan import SECONDS
from tests.chaos.process import Process
from tests.chaos.proxy import Line
from tests.chaos.stream import Stream
from tests.fixtures.processes import environment

#: Records a box counts in a schedule, and how many of them only once all faults are over.
LENGTH: Final = 660
TAIL: Final = 60
_QUOTA: Final = 64 * 1024 * 1024


@dataclass
class BoxSite:
    """One box, its disk and its line."""

    number: int
    name: str
    folder: Path
    disk: Disk
    line: Line
    stream: Stream
    password: str
    #: Its line to the web server, where there is one.
    https_line: Line | None
    orders: Orders = field(default_factory=Orders)
    boot: int = 0
    quota_bytes: int = _QUOTA
    #: Whether the minutes of what it counts can be told; and what it lost with its file, by number.
    minutes_known: bool = True
    lost: set[int] = field(default_factory=set)
    process: Process = field(init=False)

    def __post_init__(self) -> None:
        words = [sys.executable, "-m", "tests.chaos.box", str(self.folder / "spec")]
        self.process = Process(words, environment({}), self.folder / "log")

    def start(self) -> None:
        """Go on from what the disk has."""
        if self.process.running is not None and self.process.running.poll() is None:
            return
        spec = Spec(
            stream=self.stream,
            folder=str(self.folder),
            outbox=str(self.disk.outbox),
            boot_id=f"boot-{self.number}-{self.boot}",
            after=max([self.on_disk(), *self.lost]),
            password=self.password,
            broker_port=self.line.port,
            https_url=f"http://127.0.0.1:{self.https_line.port}" if self.https_line else "",
            quota_bytes=self.quota_bytes,
            rate=(LENGTH - TAIL) / SECONDS,
            tail=TAIL,
        )
        (self.folder / "spec").write_bytes(msgspec.json.encode(spec))
        self.process.start()

    def order(self, **changes: object) -> None:
        """Tell it something; also to the next process."""
        self.orders = msgspec.structs.replace(self.orders, **changes)
        draft = self.folder / "orders.tmp"
        draft.write_bytes(msgspec.json.encode(self.orders))
        draft.replace(self.folder / "orders")

    @property
    def state(self) -> State:
        """How the process that runs now does; all zeros until it has said so."""
        path = self.folder / "state"
        if self.process.running is None or not path.exists():
            return State()
        found = msgspec.json.decode(path.read_bytes(), type=State)
        return found if found.pid == self.process.running.pid else State()

    def on_disk(self) -> int:
        """How much of the stream the disk has. The box is dead."""
        with self.copied() as db:
            try:
                row = db.execute("SELECT value FROM meta WHERE key = ?", (MARK,)).fetchone()
            except sqlite3.DatabaseError:
                return 0  # nothing of it yet, or nothing of it any more
            return 0 if row is None else int(row[0])

    def copied(self) -> "Copied":
        """A copy of its file to look into: to look into the file itself would change it."""
        return Copied(self.disk.outbox)

    def acks(self) -> dict[str, int]:
        """The furthest it was told that the server has, by epoch."""
        path = self.folder / "acks"
        found: dict[str, int] = {}
        for line in path.read_text().splitlines() if path.exists() else []:
            epoch, _, seq = line.partition(" ")
            found[epoch] = max(found.get(epoch, 0), int(seq))
        return found


class Copied:
    """A copy of an outbox's file, open; an empty database where there is none."""

    def __init__(self, outbox: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="doorline-chaos-"))
        for part in outbox.parent.glob(f"{outbox.name}*"):
            if part.name in {outbox.name, f"{outbox.name}-wal"}:
                shutil.copy(part, self._folder)
        self._db = sqlite3.connect(self._folder / outbox.name)

    def __enter__(self) -> sqlite3.Connection:
        return self._db

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        shutil.rmtree(self._folder)
