"""A store's past crossings and watched minutes, written the way ingest writes them, only faster.

The rows of ninety days would take minutes through a broker, so they are copied in; but by the same statements, with a
cursor for the epoch they stand under, and with the roll-ups added from the very rows that are written. A test holds
the two against each other.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cli.demo import repository as demo
from cli.demo.chain import DemoStore
from cli.demo.day import SECOND, Crossings, micros, moment
from cli.demo.story import Outage
from server.ingest import packing, repository
from server.ingest.models import (
    STATES,
    CoverageKey,
    Cursor,
    Origin,
    Traffic,
    TrafficKey,
    Watched,
    worse,
)
from server.ingest.packing import Packer
from server.storage.pool import Connection

_MINUTE: Final = 60 * SECOND


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
    packer = Packer(Origin(store.store_id, store.device, epoch.name, now))
    ways = {
        (inward, staff): packer.way(
            store.camera,
            store.line,
            "in" if inward else "out",
            "staff" if staff else "adult",
            ("staff",) if staff else (),
            undated=False,
        )
        for inward in (True, False)
        for staff in (True, False)
    }
    told = zip(
        (crossings.at + packing.micros(moment(0))).tolist(),
        crossings.inward.tolist(),
        crossings.staff.tolist(),
        crossings.opens.tolist(),
        crossings.track.tolist(),
        (0.99 - (crossings.track % 23) / 100).tolist(),
        strict=True,
    )
    rows = [
        ways[inward, staff](at, seq, opens, track, confidence)
        for seq, (at, inward, staff, opens, track, confidence) in enumerate(told, start=first)
    ]
    repository.copy_crossings(conn, rows)
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
    """Write what was watched of each whole minute from `start` to `end`, and add it to the roll-up.

    A camera that is covered says so each minute; a box without power says nothing.
    """
    store = epoch.store
    here = [outage for outage in outages if outage.store_id == store.store_id]
    watched: dict[CoverageKey, Watched] = {}
    first = micros(start) // _MINUTE
    minutes = np.arange(first, micros(end) // _MINUTE)
    tenths = _watched_tenths(minutes)
    states = np.zeros(len(minutes), np.int64)
    for outage in here:
        within = (minutes >= micros(outage.start) // _MINUTE) & (minutes < micros(outage.end) // _MINUTE)
        tenths[within] = 0
        states[within] = STATES.index(outage.state)
    told = states != STATES.index("offline")
    demo.copy_minutes(
        conn,
        demo.Minutes(store.store_id, store.camera, store.device, epoch.name, epoch.seq + 1, now),
        minutes[told].tolist(),
        tenths[told].tolist(),
        [STATES[state] for state in states[told].tolist()],
    )
    epoch.seq += int(told.sum())
    for minute, tenth, state in zip(minutes[told].tolist(), tenths[told].tolist(), states[told].tolist(), strict=True):
        quarter = minute - minute % 15
        key = (store.store_id, moment(quarter * _MINUTE), store.camera)
        sums = watched.get(key)
        if sums is None:
            sums = watched[key] = Watched()
        sums.tenths[minute - quarter] = tenth
        sums.state = worse(sums.state, STATES[state])
    repository.add_coverage(conn, watched)


def _watched_tenths(minutes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Nearly all of a minute; now and then a frame comes late."""
    turn = minutes * 7919 % 97
    return np.where(turn > 92, 600 - 3 * (97 - turn), 600)


def settle(conn: Connection, epoch: Epoch, now: datetime) -> None:
    """Leave the cursor at the last number, as ingest would have."""
    repository.lock_cursors(conn, [(epoch.store.device, epoch.name)])
    repository.move_cursors(conn, [Cursor(epoch.store.device, epoch.name, epoch.store.store_id, epoch.seq)], now)
