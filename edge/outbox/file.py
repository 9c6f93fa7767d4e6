"""The outbox's file over a box's life: opened, looked after, put aside when damaged, waited for when the disk fails.

The traps: a loss that is added up again with every attempt to open the file; an acknowledgement noted by a clock that
was never set, whose seven days are over at once; and a damaged file that can't be moved out of the way, which must not
be mistaken for an empty one.
"""

import logging
import sqlite3
import time
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from edge.clock import Clock, moment
from edge.outbox.care import date_waiting, drop_oldest_acked, make_room, purge
from edge.outbox.dating import from_micros, micros
from edge.outbox.epochs import Epochs
from edge.outbox.store import UNDATED, CorruptStore, EpochRow, Store, is_corrupt, lost_by_then, put_aside, salvage
from edge.outbox.tide import Tide
from edge.outbox.unwritten import Unwritten

log = logging.getLogger(__name__)

_PURGE_EVERY_S: Final = 600.0
_ROOM_EVERY_S: Final = 60.0
_PROBE_EVERY_S: Final = 3600.0


class OutboxFile:
    """The file as it is now. Not thread-safe: the outbox holds its lock around every call.

    Attributes:
        store: the open file; None while there is none.
        epochs: all that are known; the disk's rows may be behind.
        boot_zero: UTC at uptime zero of this boot, once the file has it.
        lost: records lost for good since the outbox was made.
        lost_kept: as many of them as stand on the disk.
        presumed: as many as stand in a file that can be read but not taken over; until it is, `lost` is without them.
        problems: what is wrong, for a person, by subject.
        quota_bytes: what the file may hold.
        tide: how many records can be unsent at most, should the file not be readable one day.
        unwritten: how many are in memory alone while the disk takes none.
    """

    def __init__(self, path: Path, clock: Clock, *, keep_acked: timedelta, quota_bytes: int) -> None:
        self.store: Store | None = None
        self.epochs = Epochs()
        self.boot_zero: datetime | None = None
        self.lost = self.lost_kept = 0
        self.presumed: int | None = None
        self.problems: dict[Literal["disk", "file", "room", "clock"], str] = {}
        self.quota_bytes = quota_bytes
        self.tide = Tide(path)
        self.unwritten = Unwritten(path)
        self._path = path
        self._clock = clock
        self._keep_acked = keep_acked
        self._boot = 0
        self._next_purge = 0.0
        self._next_room = 0.0
        self._next_probe = 0.0

    # -- open, damaged, failing, closed ----------------------------------------------------------------------------

    def open(self) -> None:
        """Open it, or make it, and begin an epoch; a disk that does not allow it becomes a problem, not an error.

        Raises:
            StoreInUse: when another process holds it.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._begin()
            except CorruptStore as error:
                self._put_aside(str(error))
                self._begin()
        except (sqlite3.Error, OSError, CorruptStore) as error:
            self.disk_problem(error)
            if self.presumed is None:
                known = salvage(self._path)
                self.presumed = (0 if known is None else known[1]) + self.unwritten.earlier[0]

    def _begin(self) -> None:
        """Take the file over whole or not at all, so that another attempt finds everything as it was."""
        before = lost_by_then(self._path)
        store = Store(self._path)
        try:
            stored, epochs = store.meta("lost"), Epochs(store.epochs(), self.epochs.gone)
            # A file that never said is new, and whoever put the one before it aside may have been killed since.
            lost = max(self.lost, before) if stored is None else self.lost + stored
            left, mark = self.unwritten.earlier
            left = 0 if mark == store.meta("unwritten") else left
            lost += left
            self._new_epoch(store, epochs, lost, mark)
            zeros = {each.ordinal: each.zero_us for each in store.boots()}
        except sqlite3.Error as error:
            store.close()
            if is_corrupt(error):
                raise CorruptStore(str(error)) from error
            raise
        zero_us = zeros[self._boot]
        self.boot_zero = None if zero_us is None else from_micros(zero_us)
        self.lost = self.lost_kept = lost
        self.presumed = 0
        self.store, self.epochs = store, epochs
        self.unwritten.prepare()
        self.unwritten.take_over()
        if left:
            log.error("outbox: %d records of an earlier run were never written to disk and are lost", left)

    def begin_epoch(self, store: Store) -> None:
        """Begin a new epoch.

        Raises:
            sqlite3.Error: from the disk.
        """
        self._new_epoch(store, self.epochs, self.lost)

    def _new_epoch(self, store: Store, epochs: Epochs, lost: int, mark: int = 0) -> None:
        with store.transaction():
            store.set_meta("lost", lost)
            if mark:
                store.set_meta("unwritten", mark)
            self._boot = store.add_boot(self._clock.boot_id, store.meta("known_us"))
            row = store.add_epoch(uuid.uuid4().hex, self._boot)
        epochs.begin(row)

    def failed(self, error: sqlite3.Error) -> None:
        """A damaged file is replaced; a full disk gives up acknowledged records.

        Raises:
            StoreInUse: as `open`.
        """
        if is_corrupt(error):
            try:
                self._put_aside(str(error))
            except OSError as stuck:
                self.disk_problem(stuck)
            self.open()
            return
        self.disk_problem(error)
        if self.store is not None and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            try:
                drop_oldest_acked(self.store, self.epochs.insured)
            except sqlite3.Error as full:
                log.debug("outbox: no room can be made either: %s", full)

    def disk_problem(self, error: Exception) -> None:
        """The disk takes nothing now: say so, once aloud."""
        if "disk" not in self.problems:
            log.error("outbox: %s takes no records now (%s); counting goes on in memory", self._path, error)
        self.problems["disk"] = f"the outbox's disk takes no records: {error}"

    def _put_aside(self, reason: str) -> None:
        """Keep a file that can't be believed for a person to look at, and count what went with it.

        Raises:
            OSError: it can't be moved; nothing has changed then.
        """
        if self.store is not None:
            self.store.close()
            self.store = None
        # What we know ourselves is newer than what a damaged file still tells.
        held: list[EpochRow] = self.epochs.rows
        known = (held, 0) if held else salvage(self._path)
        rows, lost = known or ([], 0)
        gone = sum(row.last_seq - row.acked for row in rows)
        aside = put_aside(self._path, self.lost + lost + gone)
        self.lost += lost + gone
        self.lost_kept = self.lost
        self.epochs = self.epochs.given_up(rows)
        number = self._number(None if known is None else gone)
        self.problems["file"] = (
            f"the outbox was damaged and is kept as {aside.name}; {number} unsent records were in it"
        )
        log.error("outbox: %s (%s)", self.problems["file"], reason)

    def _number(self, gone: int | None) -> str:
        """How many records went with a damaged file, as exactly as is known."""
        if gone is not None:
            return str(gone)
        bound = self.tide.told()
        return "an unknown number of" if bound is None else f"at most {bound}" if bound else "no"

    def close(self, waiting: int = 0) -> None:
        """Give the file up, with so many records that never reached it."""
        if self.store is not None:
            self.tide.settle(self.epochs.owed + waiting)
        if self.store is not None:
            self.store.close()
            self.store = None

    # -- what it needs now and then --------------------------------------------------------------------------------

    def note(self, store: Store) -> None:
        """Keep beside the records what the next start must know; in a transaction."""
        store.set_meta("lost", self.lost)
        if self.unwritten.mark:
            store.set_meta("unwritten", self.unwritten.mark)
        now = moment(self._clock).at
        if now is not None:
            store.set_meta("known_us", micros(now))

    def note_lost(self, number: int) -> None:
        """So many turned out to be lost, and the disk says so already."""
        self.lost += number
        self.lost_kept += number

    def now_us(self) -> int:
        """What an acknowledgement is noted with: microseconds UTC, or `UNDATED` while the clock can't be trusted."""
        now = moment(self._clock).at
        return UNDATED if now is None else micros(now)

    def tend(self, store: Store) -> None:
        """Dates, purging, room, and a look whether the server still has what it had.

        Raises:
            sqlite3.Error: from the disk.
        """
        self._date(store)
        self.tide.ebb(self.epochs.owed)
        now = time.monotonic()
        if now >= self._next_probe:
            self._next_probe = now + _PROBE_EVERY_S
            self.probe()
        if now >= self._next_purge:
            self._next_purge = now + _PURGE_EVERY_S
            self._purge(store)
        if now >= self._next_room or "room" not in self.problems:
            self._next_room = now + _ROOM_EVERY_S
            if make_room(store, self.epochs.rows, self.epochs.insured, self.quota_bytes):
                self.problems.pop("room", None)
            else:
                self.problems["room"] = "the outbox is over its quota and nothing in it can be folded any further"

    def set_quota(self, quota_bytes: int) -> None:
        """Keep to another quota from the next commit on."""
        self.quota_bytes, self._next_room = quota_bytes, 0.0

    def probe(self) -> None:
        """Owe the last record of every finished epoch once more."""
        if self.store is not None:
            for epoch in self.epochs.finished():
                epoch.probe(self.store.newest(epoch.row.ordinal))

    def _purge(self, store: Store) -> None:
        """Forget what the server has had for long enough. Not by a clock that can't be trusted."""
        now = moment(self._clock).at
        if now is not None and self.epochs.live is not None:
            purge(store, self.epochs.insured, micros(now), self._keep_acked, self.epochs.live.row.ordinal)
            self.epochs.keep(row.epoch for row in store.epochs())

    def _date(self, store: Store) -> None:
        """Date what waited for the clock: this boot's records exactly, those of boots that never knew by bounds."""
        zero = self._clock.zero()
        if zero is None:
            self.problems["clock"] = "the clock is not set; counts are kept and sent once it is"
            return
        self.problems.pop("clock", None)
        if self.boot_zero is None:
            date_waiting(store, self._boot, zero)
            self.boot_zero = zero
