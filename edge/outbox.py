"""What was counted, on disk until the server says it has it. The promise "a count is never lost" lives here.

Traps avoided: a number used twice after a power cut or a restored disk image (every start is a new epoch, and numbers
are given as rows are written, so what never reached the disk leaves no hole); a record whose content changes after it
was sent (`sent_through` is on disk before a batch is handed out, and only what lies above it is ever folded); an old
acknowledgement that skips records after a rewind (none counts beyond what was handed out since).
"""

import logging
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from edge import models
from edge.clock import Clock, Moment, moment
from edge.dating import dated, from_micros, micros, placeholder, renumbered
from edge.outbox_batch import Held, read_batch
from edge.outbox_buffer import Buffer
from edge.outbox_care import date_waiting, drop_oldest_acked, make_room, purge
from edge.outbox_epochs import Epoch, Epochs, Lane
from edge.outbox_store import CorruptStore, EpochRow, RecordRow, Store, StoreInUse, is_corrupt, put_aside, salvage
from wire import messages
from wire.messages import CameraState, Coverage, Crossing, Record, Tag, Tally

log = logging.getLogger(__name__)

#: How often the disk is tried again while it fails, and the file is looked after while nothing happens (seconds).
RETRY_S: Final = 1.0
TEND_S: Final = 5.0
_PURGE_EVERY_S: Final = 600.0
_ROOM_EVERY_S: Final = 60.0
_PROBE_EVERY_S: Final = 3600.0


class OutboxError(RuntimeError):
    """The outbox can't be used at all; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a lane has to send.

    Attributes:
        count: records not yet acknowledged.
        since: when the oldest not yet handed out was appended, on the process's monotonic clock; None when all were.
    """

    count: int
    since: float | None


class Outbox:
    """Appends from any thread, batches out for the uplink's thread, one SQLite writer."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        commit_every_s: float = 1.0,
        keep_acked: timedelta = timedelta(days=7),
        quota_bytes: int = 256 * 1024 * 1024,
        max_batch: int = 2000,
        buffer_limit: int = 50_000,
    ) -> None:
        """Open the file, or make it, and begin a new epoch.

        A file that can't be believed is put aside as `<name>.corrupt-<time>`. A disk that takes nothing is tried again
        with every flush, and what is counted meanwhile waits in memory.

        Args:
            path: the file; its folder is made.
            clock: boot, uptime and, when trusted, UTC.
            commit_every_s: appends are gathered this long before a commit; 0 commits each as it comes.
            keep_acked: how long acknowledged records stay, for a server that comes back from a backup.
            quota_bytes: beyond it acknowledged records go early, then the oldest never sent are folded.
            max_batch: most records in one batch.
            buffer_limit: most records in memory while the disk takes none; beyond it they are folded there.

        Raises:
            OutboxError: when another process holds the file.
        """
        self.path = path
        #: Called, without a lock held, after records reached the disk.
        self.on_commit: Callable[[], None] | None = None
        self._clock = clock
        self._commit_every_s = commit_every_s
        self._keep_acked = keep_acked
        self._quota_bytes = quota_bytes
        self._max_batch = max_batch
        self._buffer = Buffer(buffer_limit)
        # Guards all below. A camera's thread takes it only when each append is committed at once.
        self._lock = threading.RLock()
        self._store: Store | None = None
        self._epochs = Epochs()
        self._boot = 0
        self._boot_zero: datetime | None = None
        self._lost = 0
        self._problems: dict[Literal["disk", "file", "room", "clock"], str] = {}
        self._since: float | None = None
        self._next_purge = 0.0
        self._next_room = 0.0
        self._next_probe = 0.0
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        with self._lock:
            self._open()

    # -- in --------------------------------------------------------------------------------------------------------

    def append_crossing(self, camera: str, crossing: models.Crossing, when: Moment) -> None:
        """Take one crossing seen by `camera`."""
        self.append(crossing_record(camera, crossing, when), when.uptime if when.at is None else None)

    def append_coverage(self, camera: str, minute: Moment, *, seconds: float, frames: int, state: CameraState) -> None:
        """Take what was watched of `camera` in the minute that began at `minute`."""
        record = Coverage(
            seq=1,
            minute=minute.at or placeholder(minute.uptime),
            camera=camera,
            seconds=round(min(max(seconds, 0.0), 60.0), 1),
            frames=frames,
            state=state,
        )
        self.append(record, minute.uptime if minute.at is None else None)

    def append(self, record: Record, undated: float | None = None) -> None:
        """Take a record; its number is given when it is written.

        Args:
            record: with any number; that is replaced.
            undated: uptime at which it happened, when its date is not known yet.
        """
        self._buffer.add(record, undated)
        if self._commit_every_s == 0:
            self.flush()

    def start(self) -> None:
        """Commit what is appended in time, from a thread of the outbox's own."""
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing.is_set():
            appended = self._buffer.wait(TEND_S)
            if appended is not None:
                self._closing.wait(max(0.0, appended + self._commit_every_s - time.monotonic()))
            if not self._closing.is_set() and not self.flush():
                self._closing.wait(RETRY_S)

    def flush(self) -> bool:
        """Commit everything appended so far and look after the file. False when the disk takes nothing now."""
        with self._lock:
            try:
                if self._store is None:
                    self._open()
                if self._store is None:
                    self._shrink()
                    return False
                written = self._write(self._store)
                self._tend(self._store)
            except sqlite3.Error as error:
                self._failed(error)
                return False
            if self._problems.pop("disk", None):
                log.warning("outbox: the disk takes records again")
        if written and self.on_commit is not None:
            self.on_commit()
        return True

    def _write(self, store: Store) -> bool:
        """One transaction: records get their numbers. Whether there were any."""
        drafts, live, unsaved = self._buffer.peek(), self._epochs.live, self._epochs.unsaved
        if live is None or not (drafts or unsaved):
            return False
        last, rows = live.row.last_seq, []
        for draft in drafts:
            record, uptime = draft.record, draft.uptime
            if uptime is not None and self._boot_zero is not None:
                record, uptime = dated(record, self._boot_zero, uptime), None
            record = renumbered(record, last)
            first, last = messages.first_seq(record), record.seq
            span = 60 if isinstance(record, Tally) else 0
            rows.append(RecordRow(last, first, span, uptime, messages.encode(record)))
        with store.transaction():
            for epoch in unsaved:
                store.save_epoch(epoch.row)
            store.add_records(live.row.ordinal, rows)
            store.save_epoch(replace(live.row, last_seq=last))
            self._note(store)
        live.row.last_seq = last
        for epoch in unsaved:
            epoch.unsaved = False
        if drafts and self._since is None:
            self._since = drafts[0].appended
        self._buffer.drop(len(drafts))
        return bool(drafts)

    def _note(self, store: Store) -> None:
        """Keep beside the records what the next start must know."""
        store.set_meta("lost", self._lost)
        now = moment(self._clock).at
        if now is not None:
            store.set_meta("known_us", micros(now))

    # -- out -------------------------------------------------------------------------------------------------------

    def waiting(self, lane: Lane) -> Waiting:
        """What a lane has to send; a backlog never waits for more."""
        with self._lock:
            epoch = self._epochs.lane(lane)
            if epoch is None:
                return Waiting(0, None)
            return Waiting(epoch.owed, self._since if lane == "live" else float("-inf"))

    def next_batch(self, lane: Lane) -> Held | None:
        """What to send now: from the first record not acknowledged, the same again until it is.

        `sent_through` is on disk when this returns. None when there is nothing, or nothing dated, or the disk
        does not let us note it.
        """
        with self._lock:
            epoch = self._epochs.lane(lane)
            if epoch is None or self._store is None:
                return None
            try:
                held, unreadable = read_batch(self._store, epoch.row, self._max_batch)
                self._lost += unreadable
                if held is not None:
                    last = held.records[-1].seq
                    if last > epoch.row.sent_through:
                        with self._store.transaction():
                            self._store.save_epoch(replace(epoch.row, sent_through=last))
                        epoch.row.sent_through = last
                    epoch.frontier = max(epoch.frontier, last)
            except sqlite3.Error as error:
                self._failed(error)
                return None
            if held is None and self._store.oldest(epoch.row.ordinal) is None:
                self._lost += (lost := epoch.give_up())
                if lost:
                    log.error("outbox: %d records of epoch %s are gone from the disk", lost, epoch.row.epoch)
            if lane == "live":
                self._since = None if held is None or held.records[-1].seq == epoch.row.last_seq else self._since
            return held

    def acknowledge(self, epoch: str, seq: int) -> bool:
        """The server has committed `epoch` up to `seq`. Whether that was news; it never goes back."""
        with self._lock:
            found = self._epochs.find(epoch)
            if found is None:
                self._lost -= self._epochs.found_again(epoch, seq)
                return False
            if not found.acknowledge(seq):
                return False
            # What the server has stays acknowledged even if this disk can't note it: noting it later costs nothing.
            self._save(found, lambda store: store.add_ack(found.row.ordinal, found.row.acked, micros(self._now())))
            return True

    def rewind(self, epoch: str, seq: int) -> bool:
        """The server wants `epoch` again from `seq`, as far as it is held. Whether that changed anything."""
        with self._lock:
            found = self._epochs.find(epoch)
            if found is None:
                log.warning("outbox: asked to send epoch %s again, which is no longer held", epoch)
                return False
            if found is self._epochs.live:
                self._since = float("-inf")
            told = found.again
            if not found.rewind(seq):
                return False
            log.warning("outbox: the server lost epoch %s from %d; sending it again", epoch, seq)
            self._save(found, lambda store: store.forget_acks(found.row.ordinal, seq))
            if not told:
                # It may have lost finished epochs too, which would never show it.
                self._probe()
            return True

    def _save(self, epoch: Epoch, note: Callable[[Store], None]) -> None:
        """Keep an epoch's row and what goes with it; if the disk can't take them now, a later commit has the row."""
        if self._store is None:
            return
        try:
            with self._store.transaction():
                self._store.save_epoch(epoch.row)
                note(self._store)
            epoch.unsaved = False
        except sqlite3.Error as error:
            self._failed(error)

    def probe(self) -> None:
        """Send the last record of every finished epoch once more.

        A server that came back from a backup would answer with a rewind, but only to a batch of that epoch, and a
        finished epoch sends none: without this, what it lost of one would stay lost.
        """
        with self._lock:
            self._probe()

    def _probe(self) -> None:
        if self._store is not None:
            for epoch in self._epochs.finished():
                epoch.probe(self._store.newest(epoch.row.ordinal))

    # -- epochs and state ------------------------------------------------------------------------------------------

    def begin_epoch(self) -> str | None:
        """Begin a new epoch, so that what is owed of the old one no longer delays today. The live epoch's name."""
        self.flush()
        with self._lock:
            if self._store is not None:
                try:
                    self._new_epoch(self._store)
                except sqlite3.Error as error:
                    self._failed(error)
            return self.epoch

    def _new_epoch(self, store: Store) -> None:
        with store.transaction():
            known = store.meta("known_us")
            self._boot = store.add_boot(self._clock.boot_id, known or None)
            row = store.add_epoch(uuid.uuid4().hex, self._boot)
        self._epochs.begin(row)
        self._since = None

    def set_quota(self, quota_bytes: int) -> None:
        """Keep to another quota from the next commit on."""
        with self._lock:
            self._quota_bytes, self._next_room = quota_bytes, 0.0

    @property
    def epoch(self) -> str | None:
        """The live epoch; None while no file could be opened."""
        with self._lock:
            live = self._epochs.live
            return None if live is None else live.row.epoch

    @property
    def pending(self) -> int:
        """Records not yet acknowledged, in memory or on disk."""
        with self._lock:
            return len(self._buffer) + self._epochs.owed

    @property
    def lost(self) -> int:
        """Records lost for good since the outbox was made."""
        with self._lock:
            return self._lost

    @property
    def problem(self) -> str:
        """What is wrong, for a person; empty when nothing is."""
        with self._lock:
            return "; ".join(self._problems.values())

    def close(self) -> None:
        """Commit what is there and give the file up; what no disk took is counted as lost."""
        self._closing.set()
        self._buffer.wake()
        if self._thread is not None:
            self._thread.join(timeout=10.0)
        self.flush()
        with self._lock:
            if left := len(self._buffer):
                self._lost += left
                log.error("outbox: %d records were never written to disk and are lost", left)
            if self._store is not None:
                self._store.close()
                self._store = None

    # -- the file --------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Open the file and begin an epoch; a disk that does not allow it becomes a problem, not an error."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                store = Store(self.path)
            except CorruptStore as error:
                self._put_aside(str(error))
                store = Store(self.path)
            self._lost += store.meta("lost")
            self._epochs = Epochs(store.epochs(), self._epochs.gone)
            self._new_epoch(store)
        except StoreInUse as error:
            raise OutboxError(
                f"{self.path} is in use: another agent runs on it; stop that one, or give this one an outbox of its own"
            ) from error
        except (sqlite3.Error, OSError, CorruptStore) as error:
            self._disk_problem(error)
            return
        self._store = store
        self._boot_zero = next(
            (from_micros(b.zero_us) for b in store.boots() if b.ordinal == self._boot and b.zero_us is not None), None
        )

    def _put_aside(self, reason: str) -> None:
        """Keep a file that can't be believed for a person to look at, and count what went with it."""
        if self._store is not None:
            self._store.close()
            self._store = None
            rows: list[EpochRow] | None = self._epochs.rows
        else:
            known = salvage(self.path)
            rows = None if known is None else known[0]
            self._lost += 0 if known is None else known[1]
        aside = put_aside(self.path)
        self._epochs = self._epochs.given_up(rows or [])
        gone = sum(row.last_seq - row.acked for row in rows or [])
        self._lost += gone
        number = "an unknown number of" if rows is None else str(gone)
        self._problems["file"] = (
            f"the outbox was damaged and is kept as {aside.name}; {number} unsent records were in it"
        )
        log.error("outbox: %s (%s)", self._problems["file"], reason)

    def _failed(self, error: sqlite3.Error) -> None:
        """A corrupt file is replaced; a full disk gives up acknowledged records; memory stays bounded."""
        if is_corrupt(error):
            try:
                self._put_aside(str(error))
            except OSError as stuck:
                self._disk_problem(stuck)
            self._open()
            return
        self._disk_problem(error)
        if self._store is not None and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            try:
                drop_oldest_acked(self._store)
            except sqlite3.Error as full:
                log.debug("outbox: no room can be made either: %s", full)
        self._shrink()

    def _disk_problem(self, error: Exception) -> None:
        if "disk" not in self._problems:
            log.error("outbox: %s takes no records now (%s); counting goes on in memory", self.path, error)
        self._problems["disk"] = f"the outbox's disk takes no records: {error}"

    def _shrink(self) -> None:
        if lost := self._buffer.shrink():
            self._lost += lost
            log.error("outbox: memory is full and the disk takes nothing; %d records lost so far", self._lost)

    def _tend(self, store: Store) -> None:
        """What the file needs now and then: dates, purging, room."""
        self._date(store)
        now = time.monotonic()
        if now >= self._next_probe:
            self._next_probe = now + _PROBE_EVERY_S
            self._probe()
        if now >= self._next_purge:
            self._next_purge = now + _PURGE_EVERY_S
            self._purge(store)
        if now >= self._next_room or "room" not in self._problems:
            self._next_room = now + _ROOM_EVERY_S
            if make_room(store, self._epochs.rows, self._quota_bytes):
                self._problems.pop("room", None)
            else:
                self._problems["room"] = "the outbox is over its quota and nothing in it can be folded any further"

    def _now(self) -> datetime:
        return moment(self._clock).at or datetime.now(UTC)

    def _purge(self, store: Store) -> None:
        """Forget what the server has had for long enough. Not by a clock that can't be trusted."""
        now = moment(self._clock).at
        if now is None:
            return
        if self._epochs.live is not None:
            purge(store, micros(now - self._keep_acked), self._epochs.live.row.ordinal)
            self._epochs.keep(row.epoch for row in store.epochs())

    def _date(self, store: Store) -> None:
        """Date what waited for the clock: this boot's records exactly, those of boots that never knew by bounds."""
        zero = self._clock.zero()
        if zero is None:
            self._problems["clock"] = "the clock is not set; counts are kept and sent once it is"
            return
        self._problems.pop("clock", None)
        if self._boot_zero is None:
            date_waiting(store, self._boot, zero)
            self._boot_zero = zero


_TAGS: Final[dict[str, Tag]] = {"staff": "staff", "child": "child", "cart": "cart"}


def crossing_record(camera: str, crossing: models.Crossing, when: Moment) -> Crossing:
    """A crossing as it goes over the wire, but for its number, and its date where that is not known."""
    return Crossing(
        seq=1,
        at=when.at or placeholder(when.uptime),
        camera=camera,
        line=crossing.line_id,
        direction=crossing.direction,
        track=crossing.track_id,
        confidence=round(min(max(crossing.confidence, 0.0), 1.0), 3),
        group=crossing.group,
        tags=tuple(sorted({_TAGS[tag] for tag in crossing.tags if tag in _TAGS})),
    )
