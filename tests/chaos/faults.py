"""What each kind of fault does, and what ends it.

A fault begins by a call that gives back what ends it. While one lasts, another on the same thing is left out: two
hands on one disk would test the test. What falls on different things overlaps as it will.
"""

import contextlib
import os
import random
import signal
import sqlite3
import threading
from collections.abc import Callable
from typing import Final

import psycopg

from tests.chaos.boxsite import BoxSite
from tests.chaos.plan import KINDS, Fault, Plan
from tests.chaos.site import STORES, Site
from tests.fixtures.wait import wait_until

End = Callable[[], object]
#: Faults that together leave nobody who could know what was lost: the server's memory and the box's, both gone.
_NOT_BOTH: Final = frozenset({"file_damaged", "restore_database"})
_PATIENCE_S: Final = 3.0


class Faults:
    """Lets the faults of a plan befall a site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._draw = random.Random(f"faults/{site.plan.seed}")
        self._busy: dict[str, str] = {}
        self._memory_lost = ""
        #: What befell what, in order; a fault that was left out says so.
        self.told: list[str] = []

    def begin(self, fault: Fault) -> End | None:
        """Begin a fault; None when it is left out."""
        what = KINDS[fault.kind]
        box = self._site.boxes[fault.which]
        on = f"{what} {box.name}" if what in _OF_A_BOX else what
        if (
            on in self._busy
            or (what == "transactions" and "database" in self._busy)
            or (fault.kind in _NOT_BOTH and self._memory_lost not in ("", fault.kind))
        ):
            self.told.append(f"{fault.at:5.2f} s  {fault.kind} on {on}: left out")
            return None
        begin = getattr(self, f"_{fault.kind}")
        end: End | None = begin(box) if what in _OF_A_BOX else begin()
        if end is None:
            self.told.append(f"{fault.at:5.2f} s  {fault.kind} on {on}: could not be")
            return None
        if fault.kind in _NOT_BOTH:
            self._memory_lost = fault.kind
        self._busy[on] = fault.kind
        self.told.append(f"{fault.at:5.2f} s  {fault.kind} on {on} for {fault.lasts:.2f} s")

        def ended() -> None:
            del self._busy[on]
            end()

        return ended

    # -- boxes -------------------------------------------------------------------------------------------------------

    def _kill_box(self, box: BoxSite) -> End:
        box.process.kill()
        return box.start

    def _power_cut(self, box: BoxSite) -> End:
        box.process.kill()
        if f"disk {box.name}" not in self._busy:
            box.disk.power_cut()
        box.boot += 1
        return box.start

    def _pause_box(self, box: BoxSite) -> End:
        box.process.send(signal.SIGSTOP)
        return lambda: box.process.send(signal.SIGCONT)

    def _quota(self, box: BoxSite) -> End:
        """The disk's share is used up while nothing can be sent: what was never sent is folded."""
        box.line.cut()
        box.order(quota_bytes=1)
        box.quota_bytes = 1

        def end() -> None:
            box.quota_bytes = 64 * 2**20
            box.order(quota_bytes=box.quota_bytes)
            box.line.heal()

        return end

    def _disk_full(self, box: BoxSite) -> End:
        running = box.process.running
        assert running is not None
        box.disk.fill(running.pid)
        return lambda: box.disk.free(running.pid)

    def _disk_read_only(self, box: BoxSite) -> End:
        box.process.kill()
        box.disk.read_only()
        box.start()
        return box.disk.writable

    def _file_damaged(self, box: BoxSite) -> End | None:
        """The outbox's file is damaged while it holds what nobody else has: that is lost, and to the number."""
        lines = [line for line in (box.line, box.https_line) if line is not None]
        box.order(hold=True)
        try:
            wait_until(lambda: box.state.held and box.state.pending == 0, _PATIENCE_S)
        except AssertionError:
            box.order(hold=False)
            return None
        sent = box.state.counted
        for line in lines:
            line.cut()
        box.order(hold=False)
        try:
            wait_until(lambda: box.state.pending > 20, _PATIENCE_S)
        except AssertionError:
            for line in lines:
                line.heal()
            return None
        box.process.kill()
        kept = box.on_disk()
        _damage(box)
        box.lost |= set(range(sent + 1, kept + 1))
        box.start()

        def end() -> None:
            for line in lines:
                line.heal()

        return end

    def _moved(self, box: BoxSite) -> End:
        """Its box hangs in another store from now on, with whatever it still has of the old one."""
        box.process.kill()
        first = max([box.on_disk(), *box.lost]) + 1
        store = STORES[1 - STORES.index(box.stream.store_of(first))]
        box.stream = box.stream.moved(first, store)

        def end() -> None:
            self._site.sql_in_time("UPDATE device SET store_id = %s WHERE device_id = %s", store, box.name)
            box.start()

        return end

    def _clock_steps(self, box: BoxSite) -> End | None:
        if not box.minutes_known:
            return None  # what waits for its date would get a wrong one, as it would of any clock that is wrong
        box.order(wall_s=self._draw.choice([-3 * 86400.0, -3600.0, -2.0, 2.0, 240.0, 7200.0, 10 * 86400.0]))
        return lambda: box.order(wall_s=0.0)

    def _clock_unset(self, box: BoxSite) -> End:
        """It boots and nobody tells it the time for a while."""
        box.process.kill()
        box.minutes_known = False
        box.boot += 1
        box.order(synchronised=False)
        box.start()
        return lambda: box.order(synchronised=True)

    # -- lines -------------------------------------------------------------------------------------------------------

    def _box_line_cut(self, box: BoxSite) -> End:
        box.line.cut()
        return box.line.heal

    def _box_line_half_open(self, box: BoxSite) -> End:
        box.line.half_open()
        return box.line.heal

    def _box_line_reset(self, box: BoxSite) -> End:
        box.line.reset()
        return box.line.heal

    def _box_line_slow(self, box: BoxSite) -> End:
        box.line.slow(self._draw.uniform(0.05, 0.6), self._draw.choice([4_000, 20_000]))
        return box.line.heal

    def _box_line_deaf(self, box: BoxSite) -> End:
        """What it says arrives; no answer does."""
        box.line.stall(up=False)
        return box.line.heal

    def _box_line_flaps(self, box: BoxSite) -> End:
        return _again_and_again(box.line.reset, self._draw.uniform(0.05, 0.3))

    def _mqtt_shut(self, box: BoxSite) -> End:
        """Long enough for HTTPS to be taken."""
        box.line.cut()
        return box.line.heal

    def _ingest_line_cut(self) -> End:
        self._site.ingest_line.cut()
        return self._site.ingest_line.heal

    def _ingest_line_half_open(self) -> End:
        self._site.ingest_line.half_open()
        return self._site.ingest_line.reset

    def _ingest_line_reset(self) -> End:
        return _again_and_again(self._site.ingest_line.reset, 0.4)

    def _database_line_cut(self) -> End:
        self._site.database_line.cut()
        return self._site.database_line.heal

    def _database_line_stalls(self) -> End:
        self._site.database_line.stall(up=self._draw.random() < 0.5)
        return self._site.database_line.heal

    def _database_line_half_open(self) -> End:
        self._site.database_line.half_open()
        return self._site.database_line.reset

    def _database_line_slow(self) -> End:
        self._site.database_line.slow(self._draw.uniform(0.01, 0.05), 200_000)
        return self._site.database_line.heal

    # -- the centre --------------------------------------------------------------------------------------------------

    def _kill_ingest(self) -> End:
        worker = self._draw.choice(self._site.ingest)
        worker.kill()
        return worker.start

    def _pause_ingest(self) -> End:
        worker = self._draw.choice(self._site.ingest)
        worker.send(signal.SIGSTOP)
        return lambda: worker.send(signal.SIGCONT)

    def _kill_web(self) -> End:
        self._site.web.kill()
        return self._site.web.start

    def _kill_broker(self) -> End:
        self._site.kill_broker(wipe=False)
        return self._site.start_broker

    def _wipe_broker(self) -> End:
        self._site.kill_broker(wipe=True)
        return self._site.start_broker

    def _pause_broker(self) -> End:
        self._site.send_broker(signal.SIGSTOP)
        return lambda: self._site.send_broker(signal.SIGCONT)

    def _kill_database(self) -> End:
        self._site.kill_database()
        return self._site.start_database

    def _restart_database(self) -> End:
        self._site.postgres.stop()
        return self._site.start_database

    def _restore_database(self) -> End:
        self._site.back_up()
        return self._site.restore

    def _transactions_fail(self) -> End:
        self._site.sql("UPDATE chaos SET share = %s", self._draw.choice([0.2, 0.5, 0.9]))
        return self._transactions_succeed

    def _transactions_succeed(self) -> None:
        if "database" not in self._busy:  # else the end of all faults does it
            self._site.sql("UPDATE chaos SET share = 0")

    def _backends_ended(self) -> End:
        """As a database does that is restarted in the middle of a commit, again and again."""
        return _again_and_again(self._end_backends, self._draw.uniform(0.02, 0.2))

    def _end_backends(self) -> None:
        with contextlib.suppress(psycopg.OperationalError):  # it may be dead itself just now
            self._site.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doorline'")

    def _copies(self) -> End:
        self._site.parrot.chance = 0.7
        return lambda: setattr(self._site.parrot, "chance", 0.0)


_OF_A_BOX: Final = frozenset({"box", "disk", "clock", "store", "box_line"})


def planned(plan: Plan) -> str:
    """A plan, for a person."""
    web = ", web" if plan.web else ""
    return f"{plan.boxes} boxes, {plan.workers} workers{web}; {len(plan.faults)} faults"


def _again_and_again(what: Callable[[], object], every_s: float) -> End:
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(every_s):
            what()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def end() -> None:
        stop.set()
        thread.join(20)

    return end


def _damage(box: BoxSite) -> None:
    """Overwrite the pages that hold its records; those that tell how many there were stay whole."""
    with sqlite3.connect(box.disk.outbox) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = int(db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'record'").fetchone()[0])
        size = int(db.execute("PRAGMA page_size").fetchone()[0])
    db.close()
    with box.disk.outbox.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(os.urandom(size))
        file.flush()
        os.fsync(file.fileno())  # or the next power cut undoes it
