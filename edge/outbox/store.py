"""The outbox's rows: one SQLite file, and all the SQL that touches it.

WAL with synchronous=FULL: a commit that returned survives a power cut, at one fsync each. The file is held exclusively,
so that a second agent on one outbox fails at its start rather than numbering records twice. Acknowledgements are
kept as ranges in a table of their own; a mark on every record would write each one twice to a memory card.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

SCHEMA_VERSION: Final = 1
#: Stands for the time of an acknowledgement noted before the clock was set: later than any.
UNDATED: Final = 2**62
_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE boot (
    ordinal  INTEGER PRIMARY KEY,
    boot     TEXT NOT NULL UNIQUE,
    floor_us INTEGER,                -- UTC it can't have begun before, where known
    zero_us  INTEGER                 -- UTC at uptime zero, once the clock was trusted
);
CREATE TABLE epoch (
    ordinal      INTEGER PRIMARY KEY,
    epoch        TEXT NOT NULL UNIQUE,
    boot         INTEGER NOT NULL REFERENCES boot,
    last_seq     INTEGER NOT NULL DEFAULT 0,
    acked        INTEGER NOT NULL DEFAULT 0,
    sent_through INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE record (
    epoch    INTEGER NOT NULL REFERENCES epoch,
    seq      INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    span     INTEGER NOT NULL,       -- of a tally's sums, 0 for a record of its own
    uptime   REAL,                   -- set while it waits for a date
    body     BLOB NOT NULL,          -- as it goes over the wire
    PRIMARY KEY (epoch, seq)
) WITHOUT ROWID;
CREATE INDEX record_undated ON record (epoch, seq) WHERE uptime IS NOT NULL;
CREATE TABLE acked (epoch INTEGER NOT NULL, seq INTEGER NOT NULL, at_us INTEGER NOT NULL, PRIMARY KEY (epoch, seq))
    WITHOUT ROWID;
"""
#: Errors that mean the file's content can't be believed, as against a disk that takes nothing just now.
_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
#: What stands between the outbox's name and the time, and before the number of lost, in the name of a file put aside.
_ASIDE: Final = ".corrupt-"
_LOST: Final = "-lost-"
_IN_USE: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class CorruptStore(Exception):
    """The file is not what was written to it."""


class StoreInUse(Exception):
    """Another process holds the file."""


@dataclass(slots=True)
class EpochRow:
    """One epoch: how far it was numbered, sent and acknowledged."""

    ordinal: int
    epoch: str
    boot: int
    last_seq: int
    acked: int
    sent_through: int


@dataclass(frozen=True, slots=True)
class RecordRow:
    """One record; `uptime` is set while it waits for a date."""

    seq: int
    from_seq: int
    span: int
    uptime: float | None
    body: bytes


@dataclass(frozen=True, slots=True)
class BootRow:
    """One boot of the box; times in microseconds UTC."""

    ordinal: int
    boot: str
    floor_us: int | None
    zero_us: int | None


def code(error: sqlite3.Error) -> int:
    """SQLite's primary result code of an error, 0 where it has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether the error says that the file's content can't be believed."""
    return code(error) in _CORRUPT


class Store:
    """The open file. Not thread-safe: the outbox holds its lock around every call."""

    def __init__(self, path: Path) -> None:
        """Open or create.

        Raises:
            CorruptStore: when the content can't be believed.
            StoreInUse: when another process holds it.
            sqlite3.Error: when the disk does not allow it.
        """
        self._db = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
        try:
            self._open()
        except sqlite3.Error as error:
            self.close()
            if code(error) in _IN_USE:
                raise StoreInUse(str(path)) from error
            if is_corrupt(error):
                raise CorruptStore(str(error)) from error
            raise
        except CorruptStore:
            self.close()
            raise

    def _open(self) -> None:
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        with self.transaction():
            version = int(self._one("PRAGMA user_version"))
            if version == 0:
                for statement in _SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise CorruptStore(f"made by another release (schema {version}, this one knows {SCHEMA_VERSION})")
        found = self._one("PRAGMA quick_check(1)")
        if found != "ok":
            raise CorruptStore(str(found))

    def close(self) -> None:
        """Give the file up; what was not committed is gone."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and on disk when it returns."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _one(self, sql: str, *values: object) -> int | str:
        row = self._db.execute(sql, values).fetchone()
        value: int | str = row[0]
        return value

    # -- numbers about the file ------------------------------------------------------------------------------------

    def bytes_used(self) -> int:
        """Of the file's pages, those that hold something (bytes)."""
        pages = int(self._one("PRAGMA page_count")) - int(self._one("PRAGMA freelist_count"))
        return pages * int(self._one("PRAGMA page_size"))

    def meta(self, key: str) -> int | None:
        """A number kept beside the records; None when it was never set."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else int(row[0])

    def set_meta(self, key: str, value: int) -> None:
        """Keep a number beside the records."""
        self._db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))

    # -- boots and epochs ------------------------------------------------------------------------------------------

    def boots(self) -> list[BootRow]:
        """All boots that still have epochs, oldest first."""
        rows = self._db.execute("SELECT ordinal, boot, floor_us, zero_us FROM boot ORDER BY ordinal")
        return [BootRow(*row) for row in rows]

    def add_boot(self, boot: str, floor_us: int | None) -> int:
        """The boot's ordinal, new or not."""
        self._db.execute("INSERT OR IGNORE INTO boot (boot, floor_us) VALUES (?, ?)", (boot, floor_us))
        return int(self._one("SELECT ordinal FROM boot WHERE boot = ?", boot))

    def date_boot(self, ordinal: int, zero_us: int) -> None:
        """Keep when a boot began; once known it never changes."""
        self._db.execute("UPDATE boot SET zero_us = ? WHERE ordinal = ? AND zero_us IS NULL", (zero_us, ordinal))

    def epochs(self) -> list[EpochRow]:
        """All epochs, oldest first."""
        rows = self._db.execute(
            "SELECT ordinal, epoch, boot, last_seq, acked, sent_through FROM epoch ORDER BY ordinal"
        )
        return [EpochRow(*row) for row in rows]

    def add_epoch(self, epoch: str, boot: int) -> EpochRow:
        """A new epoch, the youngest."""
        ordinal = int(self._one("SELECT coalesce(max(ordinal), 0) + 1 FROM epoch"))
        self._db.execute("INSERT INTO epoch (ordinal, epoch, boot) VALUES (?, ?, ?)", (ordinal, epoch, boot))
        return EpochRow(ordinal, epoch, boot, 0, 0, 0)

    def save_epoch(self, row: EpochRow) -> None:
        """Keep how far an epoch has come."""
        self._db.execute(
            "UPDATE epoch SET last_seq = ?, acked = ?, sent_through = ? WHERE ordinal = ?",
            (row.last_seq, row.acked, row.sent_through, row.ordinal),
        )

    def drop_empty_epochs(self, keep: int) -> None:
        """Forget epochs of which nothing is held and nothing is owed, and boots without epochs; never epoch `keep`."""
        self._db.execute(
            "DELETE FROM epoch WHERE ordinal <> ? AND acked >= last_seq"
            " AND NOT EXISTS (SELECT 1 FROM record WHERE record.epoch = epoch.ordinal)",
            (keep,),
        )
        self._db.execute("DELETE FROM acked WHERE epoch NOT IN (SELECT ordinal FROM epoch)")
        self._db.execute("DELETE FROM boot WHERE ordinal NOT IN (SELECT boot FROM epoch)")

    # -- records ---------------------------------------------------------------------------------------------------

    def add_records(self, epoch: int, rows: Sequence[RecordRow]) -> None:
        """Append to an epoch."""
        self._db.executemany(
            "INSERT INTO record (epoch, seq, from_seq, span, uptime, body) VALUES (?, ?, ?, ?, ?, ?)",
            ((epoch, row.seq, row.from_seq, row.span, row.uptime, row.body) for row in rows),
        )

    def records(self, epoch: int, after: int, limit: int, *, finer_than: int = 901) -> list[RecordRow]:
        """Records above `after`, in order; only those whose span is below `finer_than`."""
        rows = self._db.execute(
            "SELECT seq, from_seq, span, uptime, body FROM record"
            " WHERE epoch = ? AND seq > ? AND span < ? ORDER BY seq LIMIT ?",
            (epoch, after, finer_than, limit),
        )
        return [RecordRow(*row) for row in rows]

    def oldest(self, epoch: int) -> int | None:
        """The lowest number held of an epoch; None when it holds nothing."""
        row = self._db.execute("SELECT from_seq FROM record WHERE epoch = ? ORDER BY seq LIMIT 1", (epoch,)).fetchone()
        return None if row is None else int(row[0])

    def newest(self, epoch: int) -> RecordRow | None:
        """The last record held of an epoch."""
        row = self._db.execute(
            "SELECT seq, from_seq, span, uptime, body FROM record WHERE epoch = ? ORDER BY seq DESC LIMIT 1", (epoch,)
        ).fetchone()
        return None if row is None else RecordRow(*row)

    def undated(self, boot: int) -> list[tuple[int, RecordRow]]:
        """Epoch and record of all that waits for a date in one boot."""
        rows = self._db.execute(
            "SELECT epoch, seq, from_seq, span, uptime, body FROM record"
            " WHERE uptime IS NOT NULL AND epoch IN (SELECT ordinal FROM epoch WHERE boot = ?) ORDER BY epoch, seq",
            (boot,),
        )
        return [(int(row[0]), RecordRow(*row[1:])) for row in rows]

    def set_body(self, epoch: int, seq: int, body: bytes) -> None:
        """Give a record its date, or give it up: it waits no longer."""
        self._db.execute("UPDATE record SET body = ?, uptime = NULL WHERE epoch = ? AND seq = ?", (body, epoch, seq))

    def replace_range(self, epoch: int, row: RecordRow) -> None:
        """Put one record in the place of all those it stands for."""
        self._db.execute("DELETE FROM record WHERE epoch = ? AND seq BETWEEN ? AND ?", (epoch, row.from_seq, row.seq))
        self.add_records(epoch, [row])

    # -- acknowledgements ------------------------------------------------------------------------------------------

    def add_ack(self, epoch: int, seq: int, at_us: int) -> None:
        """Note when an epoch was first acknowledged so far."""
        self._db.execute("INSERT OR IGNORE INTO acked (epoch, seq, at_us) VALUES (?, ?, ?)", (epoch, seq, at_us))

    def date_acks(self, now_us: int) -> None:
        """Acknowledgements noted before the clock was set, or by one that ran ahead, count from now on."""
        self._db.execute("UPDATE acked SET at_us = ? WHERE at_us > ?", (now_us, now_us))

    def forget_acks(self, epoch: int, from_seq: int) -> None:
        """The server no longer has this epoch from `from_seq`."""
        self._db.execute("DELETE FROM acked WHERE epoch = ? AND seq >= ?", (epoch, from_seq))

    def oldest_ack(self) -> tuple[int, int, int] | None:
        """Epoch, number and time (microseconds) of the acknowledgement that was noted first."""
        row = self._db.execute("SELECT epoch, seq, at_us FROM acked ORDER BY at_us, epoch, seq LIMIT 1").fetchone()
        return None if row is None else (int(row[0]), int(row[1]), int(row[2]))

    def oldest_spare_ack(self) -> tuple[int, int, int] | None:
        """The same of the first whose records can be spared: an epoch's last record is not."""
        row = self._db.execute(
            "SELECT acked.epoch, min(acked.seq, held.last - 1), at_us FROM acked"
            " JOIN (SELECT ordinal, (SELECT min(seq) FROM record WHERE epoch = ordinal) AS first,"
            "   (SELECT max(seq) FROM record WHERE epoch = ordinal) AS last FROM epoch) AS held"
            "   ON held.ordinal = acked.epoch"
            " WHERE held.first < held.last AND held.first <= acked.seq"
            " ORDER BY at_us, acked.epoch, acked.seq LIMIT 1"
        ).fetchone()
        return None if row is None else (int(row[0]), int(row[1]), int(row[2]))

    def purge(self, epoch: int, through: int) -> None:
        """Delete records of an epoch that the server has, and the note of it."""
        self._db.execute("DELETE FROM record WHERE epoch = ? AND seq <= ?", (epoch, through))
        self._db.execute("DELETE FROM acked WHERE epoch = ? AND seq <= ?", (epoch, through))


def salvage(path: Path) -> tuple[list[EpochRow], int] | None:
    """Epochs and losses as far as a damaged file still tells; None when it doesn't.

    Where nothing waits in the log beside it, it is read as it lies there: otherwise SQLite makes a file of its own next
    to it to read by, for which a full disk has no room, and all that the file could still tell would be unknown.
    """
    try:
        waits = path.with_name(f"{path.name}-wal").stat().st_size > 0
    except FileNotFoundError:
        waits = False
    except OSError:
        return None
    try:
        how = "mode=ro" if waits else "immutable=1"
        db = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, timeout=0.0)
    except sqlite3.Error:
        return None
    try:
        rows = db.execute("SELECT ordinal, epoch, boot, last_seq, acked, sent_through FROM epoch").fetchall()
        lost = db.execute("SELECT coalesce(max(value), 0) FROM meta WHERE key = 'lost'").fetchone()[0]
    except sqlite3.Error:
        return None
    finally:
        db.close()
    return [EpochRow(*row) for row in rows], int(lost)


def put_aside(path: Path, lost: int | None = None) -> Path:
    """Rename a file that can't be believed, with its companions, for a person to look at; its new name.

    Args:
        path: the file.
        lost: how many records were lost for good by then, where any can be. The name tells it: who is started after
            a kill that came before the next file could say so finds it there.

    Raises:
        OSError: when the folder does not allow it.
    """
    told = "" if lost is None else f"{_LOST}{lost}"
    aside = path.with_name(f"{path.name}{_ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z{told}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def lost_by_then(path: Path) -> int:
    """The most that the names of files put aside tell as lost; 0 when there are none.

    Raises:
        OSError: the folder can't be read.
    """
    names = [each.name.removeprefix(path.name) for each in path.parent.iterdir() if each.name.startswith(path.name)]
    told = [name.rpartition(_LOST)[2] for name in names if name.startswith(_ASIDE)]
    return max((int(number) for number in told if number.isdecimal()), default=0)
