"""A store's past crossings and watched minutes, written the way ingest writes them, only faster.

The rows of ninety days would take minutes through a broker, so they are copied in; but by the same statements, with a
cursor for the epoch they stand under, and with the roll-ups added from the very rows that are written. A test holds
the two against each other.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count, repeat
from typing import Final

import numpy as np

from cli.demo.chain import DemoStore
from cli.demo.day import Crossings, micros, moment
from cli.demo.story import Outage
from server.ingest import repository
from server.ingest.models import CoverageKey, CoverageRow, CrossingRow, Cursor, Traffic, TrafficKey, Watched
from server.storage.pool import Connection

_MINUTE: Final = timedelta(minutes=1)
_QUARTER: Final = timedelta(minutes=15)
_FPS: Final = 12


@dataclass(slots=True)
class Epoch:
    """The numbering under which one stretch of a store's past is written."""

    store: DemoStore
    name: str
    seq: int = 0

    @classmethod
    def of(cls, store: DemoStore, start: datetime) -> "Epoch":
        """The epoch of the stretch that begins at `start`; the same stretch has the same name."""
        text = f"{store.device} {start.isoformat()}"
        return cls(store, hashlib.md5(text.encode(), usedforsecurity=False).hexdigest())


def write_crossings(conn: Connection, epoch: Epoch, crossings: Crossings, now: datetime) -> None:
    """Copy crossings in and add them to the roll-up."""
    store = epoch.store
    first = epoch.seq + 1
    epoch.seq += len(crossings)
    rows: Iterator[CrossingRow] = zip(
        map(moment, crossings.at.tolist()),
        repeat(store.store_id),
        repeat(store.camera),
        repeat(store.line),
        ["in" if inward else "out" for inward in crossings.inward.tolist()],
        ["staff" if staff else "adult" for staff in crossings.staff.tolist()],
        crossings.opens.tolist(),
        crossings.track.tolist(),
        (0.99 - (crossings.track % 23) / 100).tolist(),
        [["staff"] if staff else [] for staff in crossings.staff.tolist()],
        repeat(False),
        repeat(store.device),
        repeat(epoch.name),
        count(first),
        repeat(now),
        strict=False,
    )
    repository.copy_crossings(conn, list(rows))
    repository.add_traffic(conn, _traffic(store, crossings))


def _traffic(store: DemoStore, crossings: Crossings) -> dict[TrafficKey, Traffic]:
    """What the crossings add to the roll-up."""
    if not len(crossings):
        return {}
    quarter = crossings.at // (900 * 1_000_000)
    keys, inverse = np.unique(
        np.stack([quarter, crossings.inward.astype(np.int64), crossings.staff.astype(np.int64)], axis=1),
        axis=0,
        return_inverse=True,
    )
    places = inverse.ravel()
    counts = np.bincount(places, minlength=len(keys))
    groups = np.bincount(places, weights=crossings.opens, minlength=len(keys))
    return {
        (
            store.store_id,
            moment(int(start) * 900 * 1_000_000),
            store.line,
            "in" if inward else "out",
            "staff" if staff else "adult",
        ): Traffic(int(many), int(parties))
        for (start, inward, staff), many, parties in zip(keys.tolist(), counts, groups, strict=True)
    }


def write_coverage(
    conn: Connection, epoch: Epoch, start: datetime, end: datetime, outages: Sequence[Outage], now: datetime
) -> None:
    """Copy in what was watched of each whole minute from `start` to `end`, and add it to the roll-up.

    A camera that is covered says so each minute; a box without power says nothing.
    """
    store = epoch.store
    rows: list[CoverageRow] = []
    watched: dict[CoverageKey, Watched] = {}
    here = [outage for outage in outages if outage.store_id == store.store_id]
    minute = start
    while minute + _MINUTE <= end:
        outage = next((each for each in here if each.start <= minute < each.end), None)
        if outage is None or outage.state != "offline":
            tenths = 0 if outage is not None else _watched_tenths(minute)
            state = "ok" if outage is None else outage.state
            epoch.seq += 1
            rows.append(
                (
                    minute, store.store_id, store.camera, _SECONDS[tenths], tenths * _FPS // 10, state, False,
                    store.device, epoch.name, epoch.seq, now,
                )
            )  # fmt: skip
            quarter = minute - timedelta(minutes=minute.minute % 15)
            sums = watched.setdefault((store.store_id, quarter, store.camera), Watched())
            sums.tenths[minute.minute % 15] = tenths
            sums.state = max(sums.state, state, key=("ok", "covered").index)
        minute += _MINUTE
    repository.copy_coverage(conn, rows)
    repository.add_coverage(conn, watched)


_SECONDS: Final = {tenths: Decimal(tenths) / 10 for tenths in range(601)}


def _watched_tenths(minute: datetime) -> int:
    """Nearly all of it; now and then a frame comes late."""
    turn = (micros(minute) // 60_000_000 * 7919) % 97
    return 600 - (3 * (97 - turn) if turn > 92 else 0)


def settle(conn: Connection, epoch: Epoch, now: datetime) -> None:
    """Leave the cursor at the last number, as ingest would have."""
    repository.lock_cursors(conn, [(epoch.store.device, epoch.name, epoch.store.store_id)])
    repository.move_cursors(conn, [Cursor(epoch.store.device, epoch.name, epoch.store.store_id, epoch.seq)], now)
