"""What must be true when everything is over: counted once, added up right, and what is gone is said to the number.

Read from the database as anybody would who has to believe it, and held against what the boxes are known to have
counted. Every check adds sentences to a list; an empty list is a clean schedule.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from server.access.models import Scope
from server.services import Services
from server.storage.pool import Database
from tests.chaos.stream import STRANGER, Key, Stream, sums
from tests.server.ingest.devices import assert_roll_ups_equal_raw, rows
from wire.messages import Record, Tally, decode_record, first_seq

_MOST: Final = 5
_DAY: Final = timedelta(days=1)


class Counted(msgspec.Struct, frozen=True):
    """One box, as it is known to be.

    Attributes:
        lost: numbers of the stream that were in a damaged file.
        said_lost: how many the box says it lost.
        acks: the furthest the box was told that the server has, by epoch.
        minutes_known: whether each record's minute can be told.
    """

    stream: Stream
    lost: frozenset[int]
    said_lost: int
    acks: Mapping[str, int]
    minutes_known: bool


class Found:
    """What the database has of one box."""

    def __init__(self, db: Database, device: str) -> None:
        self.numbers: dict[str, Counter[int]] = defaultdict(Counter)
        self.sums: Counter[Key] = Counter()
        self.in_quarters: set[Key] = set()
        for row in rows(
            db,
            "SELECT epoch, seq, line_id, direction, at, 1 FROM crossing WHERE device_id = %s"
            " UNION ALL SELECT epoch, seq, camera_id, 'watched', minute, (seconds * 10)::int FROM coverage"
            " WHERE device_id = %s",
            device,
            device,
        ):
            epoch, seq, name, kind, at, number = row
            self.numbers[epoch][seq] += 1
            self.sums[name, kind, at.astimezone(UTC).replace(second=0, microsecond=0)] += number
        tallies = rows(db, "SELECT epoch, from_seq, seq, payload::text FROM tally WHERE device_id = %s", device)
        for epoch, first, last, payload in tallies:
            self.numbers[epoch].update(range(first, last + 1))
            self._add(decode_record(payload.encode()))
        spans = {(epoch, seq): range(first, seq + 1) for epoch, first, seq, _ in tallies}
        self.strangers_only = True
        for epoch, seq, code, payload in rows(
            db, "SELECT epoch, seq, code, payload FROM dead_letter WHERE device_id = %s", device
        ):
            record = decode_record(payload.encode())
            self._add(record)
            self.strangers_only = self.strangers_only and code in ("unknown_line", "wrong_store")
            # What is left of a tally stands beside the part that was booked, for the same numbers.
            if (epoch, seq) not in spans:
                self.numbers[epoch].update(range(first_seq(record), record.seq + 1))
        self.lost: dict[str, set[int]] = defaultdict(set)
        for epoch, first, last in rows(
            db, "SELECT epoch, from_seq, to_seq FROM lost_range WHERE device_id = %s", device
        ):
            self.lost[epoch] |= set(range(first, last + 1))
        self.cursors = dict(rows(db, "SELECT epoch, seq FROM ingest_cursor WHERE device_id = %s", device))

    def _add(self, record: Record) -> None:
        for key, number in sums(record):
            self.sums[key] += number
        if isinstance(record, Tally):
            self.in_quarters |= {
                (part.line, part.direction, part.start.astimezone(UTC)) for part in record.crossings if part.span == 900
            }
            self.in_quarters |= {
                (seen.camera, "watched", seen.start.astimezone(UTC)) for seen in record.coverage if seen.span == 900
            }


def verdict(services: Services, boxes: Iterable[Counted], contradictions: Iterable[object]) -> list[str]:
    """What is wrong; empty when nothing is."""
    wrong = [f"a number came with two contents: {each}" for each in contradictions][:_MOST]
    db = services.db
    for box in boxes:
        wrong += [f"{box.stream.device}: {each}" for each in _of_a_box(services, box)]
    try:
        assert_roll_ups_equal_raw(db)
    except AssertionError as error:
        wrong.append(f"the roll-ups are not the sums of the rows: {str(error)[:300]}")
    unmarked = rows(
        db,
        "SELECT DISTINCT store_id, date_trunc('hour', quarter) FROM traffic_15m"
        " EXCEPT SELECT store_id, hour FROM dirty_mark",
    )
    wrong += [f"nobody would compute anew {each}" for each in unmarked][:_MOST]
    return wrong


def _of_a_box(services: Services, box: Counted) -> list[str]:
    wrong: list[str] = []
    found = Found(services.db, box.stream.device)
    twice = [(epoch, seq) for epoch, seqs in found.numbers.items() for seq, times in seqs.items() if times > 1]
    if twice:
        wrong.append(f"{len(twice)} numbers are there twice, such as {twice[:_MOST]}")
    for epoch, cursor in found.cursors.items():
        known = set(found.numbers[epoch]) | found.lost[epoch]
        missing = set(range(1, cursor + 1)) - known
        if missing or max(known, default=0) > cursor:
            wrong.append(
                f"epoch {epoch} stands at {cursor}; without a trace: {sorted(missing)[:_MOST]} ({len(missing)})"
            )
        if both := set(found.numbers[epoch]) & found.lost[epoch]:
            wrong.append(f"epoch {epoch}: booked, and said to be lost: {sorted(both)[:_MOST]}")
    for epoch, acked in box.acks.items():
        if found.cursors.get(epoch, 0) < acked:
            wrong.append(f"epoch {epoch} was acknowledged to {acked}, and stands at {found.cursors.get(epoch, 0)}")
    if not found.strangers_only:
        wrong.append("dead letters nobody expected")
    booked = sum(map(len, found.numbers.values()))
    gone = sum(map(len, found.lost.values()))
    ledger = _in_the_ledger(services, box.stream.device)
    if booked + ledger != box.stream.length:
        wrong.append(f"counted {box.stream.length}, booked {booked}, lost by the ledger {ledger}")
    if ledger != gone + box.said_lost:
        wrong.append(f"the ledger has {ledger} lost, though {gone} numbers are and the box says {box.said_lost}")
    if box.said_lost != len(box.lost):
        wrong.append(f"the box says it lost {box.said_lost}; {len(box.lost)} were in the damaged file")
    return wrong + _totals(box, found, gone)


def _totals(box: Counted, found: Found, gone: int) -> list[str]:
    """Held against each other by minute where a minute is known, by quarter hour where sums were folded so far."""
    kept = (number for number in range(1, box.stream.length + 1) if number not in box.lost)
    expected = box.stream.expected(kept)
    quarters = {(name, kind, _quarter(at)) for name, kind, at in found.in_quarters if at is not None}

    def coarse(key: Key) -> Key:
        name, kind, at = key
        if at is None or not box.minutes_known:
            return name, kind, None
        wide = (name, kind, _quarter(at))
        return wide if wide in quarters else key

    mine, its = Counter[Key](), Counter[Key]()
    for key, number in expected.items():
        mine[coarse(key)] += number
    for key, number in found.sums.items():
        its[coarse(key)] += number
    more = {key: number - mine[key] for key, number in its.items() if number > mine[key]}
    fewer = {key: number - its[key] for key, number in mine.items() if number > its[key]}
    wrong = []
    if more:
        wrong.append(f"more than was counted: {_some(more)}")
    if fewer and not gone:
        wrong.append(f"fewer than were counted: {_some(fewer)}")
    if not gone and not any(key[0] == STRANGER for key in its):
        wrong.append("no record of a line nobody registered was put aside")
    return wrong


def _in_the_ledger(services: Services, device: str) -> int:
    """How many records of a box the gap ledger says are gone for good."""
    today = datetime.now(UTC).date()
    scope = Scope.system("chaos")
    stores = [row[0] for row in rows(services.db, "SELECT store_id FROM store")]
    ledgers = [services.gaps.ledger(scope, store, today - 2 * _DAY, today + _DAY) for store in stores]
    return sum(each.records for found in ledgers for each in found.lost if each.device_id == device)


def _quarter(at: datetime) -> datetime:
    return at.replace(minute=at.minute // 15 * 15)


def _some(counts: Mapping[Any, int]) -> str:
    said = [f"{name} {kind} {at and at.strftime('%H:%M')}: {number}" for (name, kind, at), number in counts.items()]
    return ", ".join(said[:_MOST]) + (f" and {len(said) - _MOST} more" if len(said) > _MOST else "")
