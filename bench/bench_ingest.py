"""What exactly-once costs: rows a second from batches to commit, as a share of plain binary COPY of the same rows.

Plain is what psycopg does when it is given the rows, one by one, for a table without index or constraint, a thousand a
transaction, and nothing else is done. Beside it:

- the writer alone: rows already checked, packed and summed by booking, to commit: cursors, rows, roll-up, marks;
- booking and writer: decoded records to commit, so that packing is in it as it is in plain COPY;
- the service: payloads to commit;
- the whole way: published to mosquitto, 50 records a message from a thousand boxes, one or more worker processes.

Every box was heard before anything is measured, as boxes are but for the first batch after a start, and the database
has statistics and a checkpoint behind it. All take turns, each time in another order, so that whatever else the machine
does burdens all; shares are medians over the turns, given with their quartiles. Processor time of client and database
together is shown beside the clock's, because it stays comparable on a machine that others use.

Run `python -m bench.bench_ingest` from the repository's root.
"""

import argparse
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from itertools import islice
from statistics import median, quantiles

import psycopg

from bench.central import Central, Meter, Spent, central, resident_mb
from bench.traffic import DEVICES, RECORDS, STORES, Boxes, fill, messages, store_of
from server.ingest import reading
from server.ingest.booking import Booking
from server.ingest.broker import find_mosquitto
from server.ingest.models import Cursor, Incoming, Origin, Registry, class_of
from server.ingest.reading import Batch
from server.ingest.registry import RegistryCache
from server.ingest.service import IngestService, _Transaction
from server.storage.pool import Database
from wire.messages import Ack, Crossing

#: Messages in a transaction of a thousand rows.
GROUP = 1000 // RECORDS
COLUMNS = (
    "at, store_id, camera_id, line_id, direction, class, opens_group, track, confidence, tags, undated, device_id,"
    " epoch, seq, received_at"
)
TYPES = (
    *("timestamptz", "text", "text", "text", "text", "text", "bool", "int8", "float4", "text[]", "bool"),
    *("text", "text", "int8", "timestamptz"),
)

Row = tuple[datetime, str, str, str, str, str, bool, int, float, list[str], bool, str, str, int, datetime]


def booked(group: Sequence[Incoming]) -> Booking:
    """What a group becomes."""
    registry = Registry(
        {f"S{number}-L1": f"S{number}" for number in range(STORES)},
        {f"S{number}-C1": f"S{number}" for number in range(STORES)},
    )
    booking = Booking(registry)
    for incoming in group:
        batch = read(incoming)
        origin = Origin(store_of(incoming.device), incoming.device, batch.envelope.epoch, incoming.received_at)
        booking.book(batch.records, origin)
    return booking


def plain_rows(group: Sequence[Incoming]) -> list[Row]:
    """The same rows as the driver takes them."""
    found: list[Row] = []
    for incoming in group:
        batch = read(incoming)
        store = store_of(incoming.device)
        for numbered in batch.records:
            one = numbered.record
            assert isinstance(one, Crossing)
            tags: list[str] = [*one.tags]
            found.append(
                (
                    *(one.at, store, one.camera, one.line, one.direction, class_of(one.tags), one.opens_group),
                    *(one.track, one.confidence, tags, False, incoming.device, batch.envelope.epoch),
                    *(one.seq, incoming.received_at),
                )
            )
    return found


def read(incoming: Incoming) -> Batch:
    found = reading.read(incoming)
    assert isinstance(found, Batch)
    return found


def copy_plain(connection: psycopg.Connection, rows: Sequence[Row]) -> None:
    with (
        connection.transaction(),
        connection.cursor() as cursor,
        cursor.copy(f"COPY plain ({COLUMNS}) FROM STDIN (FORMAT BINARY)".encode()) as copy,
    ):
        copy.set_types(TYPES)
        for row in rows:
            copy.write_row(row)


class Booked(_Transaction):
    """A transaction whose records were booked beforehand: what is left is what the database is asked for."""

    booking: Booking

    def _apply(self, batch: Batch, cursor: Cursor, booking: Booking) -> Ack:  # noqa: ARG002
        cursor.seq = batch.envelope.last_seq
        self._moved[cursor.device_id, cursor.epoch] = cursor
        return Ack(epoch=cursor.epoch, seq=cursor.seq)

    def _write(self, booking: Booking) -> None:  # noqa: ARG002
        super()._write(self.booking)


def write_alone(db: Database, cache: RegistryCache, work: tuple[Sequence[Batch], Booking]) -> None:
    """Booked rows to commit: cursors, rows, roll-up, marks."""
    group, booking = work
    with db.transaction() as connection:
        transaction = Booked(connection, cache, group[0].incoming.received_at)
        transaction.booking = booking
        transaction.take(list(enumerate(group)))


def write_decoded(db: Database, cache: RegistryCache, group: Sequence[Batch]) -> None:
    """Decoded batches to commit."""
    with db.transaction() as connection:
        _Transaction(connection, cache, group[0].incoming.received_at).take(list(enumerate(group)))


def warm_up(db: Database, service: IngestService, stream: Iterator[Incoming]) -> None:
    """Hear every box once, so that each has its cursor, and leave nothing of it for the database to do later."""
    for _ in range(DEVICES // GROUP):
        service.take(list(islice(stream, GROUP)))
    with psycopg.connect(db.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE plain (LIKE crossing)")
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def beside_plain(db: Database, meter: Meter, stream: Iterator[Incoming], rounds: int, at_once: int) -> None:
    """Writer and service, taking turns with plain COPY."""
    service, cache = IngestService(db), RegistryCache()
    warm_up(db, service, stream)
    spent: dict[str, list[Spent]] = {}
    rows = at_once * GROUP * RECORDS
    with psycopg.connect(db.dsn, autocommit=True) as connection:
        for number in range(rounds + 1):
            groups = [list(islice(stream, GROUP)) for _ in range(3 * at_once)]
            mine, decoded, its = groups[:at_once], groups[at_once : 2 * at_once], groups[2 * at_once :]
            work = [([read(each) for each in group], booked(group)) for group in mine]
            batches = [[read(each) for each in group] for group in decoded]
            plain = [plain_rows(group) for group in mine]
            ways: list[tuple[str, Callable[[], Spent]]] = [
                ("plain COPY", partial(meter.spent, partial(copy_plain, connection), plain)),
                ("writer alone", partial(meter.spent, partial(write_alone, db, cache), work)),
                ("booking and writer", partial(meter.spent, partial(write_decoded, db, cache), batches)),
                ("service, from payloads", partial(meter.spent, service.take, its)),
            ]
            first = number % len(ways)
            found = {name: measure() for name, measure in ways[first:] + ways[:first]}
            if number:  # the first round warms up
                for name, _ in ways:
                    spent.setdefault(name, []).append(found[name])
    for name, costs in spent.items():
        report(name, costs, spent["plain COPY"], rows)


def report(name: str, costs: Sequence[Spent], plain: Sequence[Spent], rows: int) -> None:
    """Rows a second, and the share of plain COPY: median and quartiles over the turns."""
    rate = rows / median(cost.clock for cost in costs)
    clock = [base.clock / cost.clock for base, cost in zip(plain, costs, strict=True)]
    processor = [base.processor / cost.processor for base, cost in zip(plain, costs, strict=True)]
    print(f"{name:26} {rate:>10,.0f} rows/s   share: clock {spread(clock)}, processor {spread(processor)}", flush=True)


def spread(found: Sequence[float]) -> str:
    """Median, and between which half of them lie."""
    low, middle, high = quantiles(found, n=4) if len(found) > 1 else [found[0]] * 3
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def from_the_broker(
    centre: Central, meter: Meter, stream: Iterator[Incoming], number: int, count: int
) -> tuple[Spent, Spent, float]:
    """The whole way with so many workers: what it cost, what plain COPY of as many rows does, before and after, and by
    how much the workers grew (10⁶ bytes)."""
    sent = list(islice(stream, count))
    plain = [plain_rows(sent[start : start + GROUP]) for start in range(0, min(count, 40 * GROUP), GROUP)]
    share = count * RECORDS / (2 * sum(map(len, plain)))
    all_acked = threading.Event()
    with ExitStack() as stack:
        broker = stack.enter_context(centre.broker(f"broker-{number}", kind="mosquitto"))
        pids = [stack.enter_context(centre.ingest(broker, f"worker-{each}")).pid for each in range(number)]
        connection = stack.enter_context(psycopg.connect(centre.dsn, autocommit=True))

        def hear(_: bytes) -> None:
            if boxes.acked == count:
                all_acked.set()

        boxes = stack.enter_context(Boxes(broker, hear))
        copy = partial(meter.spent, partial(copy_plain, connection), plain)
        before, memory = copy(), sum(map(resident_mb, pids))
        with meter.watching(*pids) as spent_since:
            for incoming in sent:
                boxes.send(incoming)
            if not all_acked.wait(600):
                raise SystemExit("not everything was acknowledged")
            spent = spent_since()
        grown = sum(map(resident_mb, pids)) - memory
        after = copy()
    base = Spent((before.clock + after.clock) * share, (before.processor + after.processor) * share)
    return spent, base, grown


def the_whole_way(
    centre: Central, meter: Meter, stream: Iterator[Incoming], workers: Sequence[int], rounds: int, count: int
) -> None:
    """One worker, two and so on, in turns."""
    if find_mosquitto() is None:
        print("from the broker: mosquitto is not installed, left out")
        return
    found: dict[int, list[tuple[Spent, Spent, float]]] = {number: [] for number in workers}
    for turn in range(rounds):
        for number in workers if turn % 2 == 0 else reversed(workers):
            found[number].append(from_the_broker(centre, meter, stream, number, count))
    for number, turns in found.items():
        name = f"from the broker, {number} worker{'s' * (number > 1)}"
        report(name, [spent for spent, _, _ in turns], [base for _, base, _ in turns], count * RECORDS)
        against = [one.clock / own.clock for (one, _, _), (own, _, _) in zip(found[workers[0]], turns, strict=True)]
        grown = max(grown for _, _, grown in turns)
        print(f"{'':26} {spread(against)} times {workers[0]} worker's, by the clock; grown by {grown:.0f} MB at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="turns that plain COPY, writer and service take")
    parser.add_argument("--at-once", type=int, default=10, help="transactions of 1,000 rows in a turn")
    parser.add_argument("--messages", type=int, default=2000, help="messages of 50 records through the broker")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="worker processes, in turns")
    parser.add_argument("--turns", type=int, default=3, help="turns for each number of workers")
    asked = parser.parse_args()
    print("load of this machine: " + ", ".join(f"{each:.2f}" for each in os.getloadavg()))
    with central() as centre, Database(centre.dsn, 2) as db:
        fill(db)
        meter, stream = Meter(centre.pid), messages(1)
        beside_plain(db, meter, stream, asked.rounds, asked.at_once)
        if asked.workers:
            the_whole_way(centre, meter, stream, asked.workers, asked.turns, asked.messages)


if __name__ == "__main__":
    main()
