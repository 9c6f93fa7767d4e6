"""A chain for the tests of ingest, and devices that say what tests want said."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from server.access.models import Scope
from server.ingest import recount_repository
from server.ingest.models import Incoming
from server.ingest.service import IngestService
from server.storage.pool import Database
from wire.messages import Ack, Coverage, Crossing, Record, Refusal, Rewind, Tally, decode, encode, first_seq, make_batch

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
#: Two stores with a camera, a door line and two devices each.
STORES = ("S01", "S02")


def add_stores(db: Database) -> None:
    """Two stores, each with camera `-C1`, line `-L1`, and devices `door-1`, `door-2` (`door-3`, `door-4`)."""
    with db.transaction() as connection:
        for number, store in enumerate(STORES):
            connection.execute("INSERT INTO store (store_id, name) VALUES (%s, %s)", (store, store))
            connection.execute(
                "INSERT INTO camera (camera_id, store_id, name, installed_at) VALUES (%s, %s, 'door', %s)",
                (f"{store}-C1", store, NOW - timedelta(days=100)),
            )
            connection.execute(
                "INSERT INTO line (line_id, camera_id, store_id, name) VALUES (%s, %s, %s, 'door')",
                (f"{store}-L1", f"{store}-C1", store),
            )
            for device in (2 * number + 1, 2 * number + 2):
                connection.execute(
                    "INSERT INTO device (device_id, store_id) VALUES (%s, %s)", (f"door-{device}", store)
                )


def crossing(seq: int, at: datetime = NOW, **more: Any) -> Crossing:
    """One person into S01, unless told otherwise."""
    fields: dict[str, Any] = {"camera": "S01-C1", "line": "S01-L1", "direction": "in", "track": seq, **more}
    return Crossing(seq=seq, at=at, **fields)


def coverage(seq: int, minute: datetime = NOW, seconds: float = 60, **more: Any) -> Coverage:
    """A minute watched by S01's camera, unless told otherwise."""
    fields: dict[str, Any] = {"camera": "S01-C1", "frames": int(seconds * 10), **more}
    return Coverage(seq=seq, minute=minute, seconds=seconds, **fields)


@dataclass
class Sender:
    """A device as far as ingest can see it."""

    device: str = "door-1"
    epoch: str = field(default_factory=lambda: uuid.uuid4().hex)

    def batch(self, records: Sequence[Record], *, oldest: int = 1, sent_at: datetime = NOW) -> Incoming:
        """Records in an envelope, as they would come in."""
        oldest = min(oldest, first_seq(records[0]))
        made = make_batch(device=self.device, epoch=self.epoch, oldest=oldest, sent_at=sent_at, records=records)
        return Incoming(self.device, encode(made), sent_at)


def tell(service: IngestService, *incoming: Incoming) -> list[Ack | Rewind | Refusal]:
    """What the service replies to batches of one group."""
    return [answer.reply for answer in service.take(incoming)]


def scalar(db: Database, query: str, *values: object) -> Any:
    """The first column of the first row."""
    with db.read() as connection:
        row = connection.execute(query.encode(), values).fetchone()
    assert row is not None
    return row[0]


def rows(db: Database, query: str, *values: object) -> list[tuple[Any, ...]]:
    """All rows."""
    with db.read() as connection:
        return connection.execute(query.encode(), values).fetchall()


def assert_roll_ups_equal_raw(db: Database) -> None:
    """Recompute both roll-ups from crossings, minutes and tallies, and compare; `doorline db check` must agree."""
    traffic: dict[tuple[Any, ...], list[int]] = {}
    for store, at, line, direction, kind, opens in rows(
        db, "SELECT store_id, at, line_id, direction, class, opens_group FROM crossing"
    ):
        added = traffic.setdefault((store, _quarter(at), line, direction, kind), [0, 0])
        added[0] += 1
        added[1] += int(opens)
    minutes: dict[tuple[str, datetime, str], list[int]] = {}

    def watch(store: str, camera: str, minute: datetime, tenths: int) -> None:
        quarter = _quarter(minute)
        sums = minutes.setdefault((store, quarter, camera), [0] * 15)
        sums[(minute - quarter) // timedelta(minutes=1)] += tenths

    for store, camera, minute, seconds in rows(db, "SELECT store_id, camera_id, minute, seconds FROM coverage"):
        watch(store, camera, minute, int(seconds * 10))
    for store, payload in rows(db, "SELECT store_id, payload::text FROM tally"):
        tally = decode(payload.encode(), Tally)
        for part in tally.crossings:
            kind = "staff" if "staff" in part.tags else "child" if "child" in part.tags else "adult"
            added = traffic.setdefault((store, _quarter(part.start), part.line, part.direction, kind), [0, 0])
            added[0] += part.count
            added[1] += part.groups
        for seen in tally.coverage:
            share, rest = divmod(round(seen.seconds * 10), seen.span // 60)
            for number in range(seen.span // 60):
                watch(store, seen.camera, seen.start + timedelta(minutes=number), share + (number < rest))
    held = {
        tuple(row[:5]): [row[5], row[6]]
        for row in rows(db, "SELECT store_id, quarter, line_id, direction, class, count, groups FROM traffic_15m")
    }
    assert held == traffic
    watched = {
        (row[0], row[1], row[2]): ([int(second * 10) for second in row[3]], int(row[4] * 10))
        for row in rows(db, "SELECT store_id, quarter, camera_id, minute_seconds, seconds FROM coverage_15m")
    }
    capped = {key: [min(600, tenths) for tenths in sums] for key, sums in minutes.items()}
    assert watched == {key: (sums, sum(sums)) for key, sums in capped.items()}
    ever = (Scope.system("tests"), STORES, datetime(2019, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC))
    with db.read() as connection:
        assert recount_repository.traffic_differences(connection, *ever) == []
        assert recount_repository.coverage_differences(connection, *ever) == []


def _quarter(at: datetime) -> datetime:
    return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
