"""Whatever happens on the way, what was sent is there once: hypothesis looks for a way in which it isn't."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.errors import Unavailable
from server.ingest.booking import PAST
from server.ingest.models import Incoming
from server.ingest.service import IngestService
from server.storage.pool import Connection, Database
from tests.server.ingest.devices import (
    NOW,
    Sender,
    add_stores,
    assert_roll_ups_equal_raw,
    coverage,
    crossing,
    rows,
    tell,
)
from wire.messages import Ack, CoverageSum, Crossing, CrossingSum, Record, Rewind, Tally, first_seq

_LENGTH = 12


class LosesCommits(Database):
    """A database that is lost just before every commit: everything was done, nothing is kept."""

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Do the work, then lose it."""
        with super().transaction() as connection:
            yield connection
            raise Unavailable("lost before the commit")


@st.composite
def streams(draw: st.DrawFn) -> list[Record]:
    """Records of one epoch, without a hole."""
    stream: list[Record] = []
    seq = 1
    for _ in range(_LENGTH):
        at = NOW - timedelta(minutes=draw(st.integers(0, 40)))
        match draw(st.sampled_from(["crossing", "crossing", "coverage", "tally"])):
            case "crossing":
                direction = draw(st.sampled_from(["in", "out"]))
                tags = draw(st.sampled_from([(), ("staff",), ("child",)]))
                group = draw(st.sampled_from([None, 1, seq]))
                stream.append(crossing(seq, at=at, direction=direction, tags=tags, group=group))
            case "coverage":
                seconds = draw(st.integers(0, 600)) / 10
                state = draw(st.sampled_from(["ok", "dark", "offline"]))
                stream.append(coverage(seq, minute=at, seconds=seconds, state=state))
            case _:
                last = seq + draw(st.integers(0, 5))
                quarter = at.replace(minute=at.minute // 15 * 15)
                count = draw(st.integers(0, 9))
                stream.append(
                    Tally(
                        from_seq=seq,
                        seq=last,
                        crossings=(
                            CrossingSum(line="S01-L1", camera="S01-C1", direction="in", start=at, span=60, count=count),
                        ),
                        coverage=(
                            CoverageSum(
                                camera="S01-C1",
                                start=quarter,
                                span=900,
                                seconds=draw(st.integers(0, 9000)) / 10,
                                frames=1,
                            ),
                        ),
                    )
                )
                seq = last
        seq += 1
    return stream


#: A delivery: which epoch, from which record on, how many of them.
deliveries = st.tuples(st.integers(0, 2), st.integers(0, _LENGTH - 1), st.integers(1, _LENGTH))
#: A group and what becomes of it: committed and answered, committed with all answers lost, or lost before its commit.
groups = st.tuples(
    st.lists(deliveries, min_size=1, max_size=5), st.sampled_from(["answered", "unanswered", "not committed"])
)


@pytest.fixture
def losing(db: Database) -> Iterator[LosesCommits]:
    """The same database, losing every commit."""
    add_stores(db)
    with LosesCommits(db.dsn, size=1) as losing:
        yield losing


# The pool's threads draw random numbers for their jitter, which hypothesis takes for ours.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(epochs=st.lists(streams(), min_size=3, max_size=3), schedule=st.lists(groups, max_size=8))
def test_any_schedule_books_each_record_once(
    db: Database,
    losing: LosesCommits,
    epochs: list[list[Record]],
    schedule: list[tuple[list[tuple[int, int, int]], str]],
) -> None:
    forget_what_was_sent(db)
    senders = [Sender("door-1"), Sender("door-1"), Sender("door-2")]
    service, broken = IngestService(db, lambda: NOW), IngestService(losing, lambda: NOW)

    for group, fate in schedule:
        batches = [senders[who].batch(epochs[who][start : start + length]) for who, start, length in group]
        if fate == "not committed":
            with pytest.raises(Unavailable):
                broken.take(batches)
        else:
            service.take(batches)

    for sender, stream in zip(senders, epochs, strict=True):
        drain(service, sender, stream)
    for sender, stream in zip(senders, epochs, strict=True):
        booked = rows(
            db,
            "SELECT seq FROM crossing WHERE epoch = %s UNION ALL SELECT seq FROM coverage WHERE epoch = %s"
            " UNION ALL SELECT seq FROM tally WHERE epoch = %s ORDER BY 1",
            *[sender.epoch] * 3,
        )
        assert booked == [(record.seq,) for record in stream]
    assert rows(db, "SELECT * FROM dead_letter") == []
    assert rows(db, "SELECT * FROM lost_range") == []
    assert_roll_ups_equal_raw(db)


def forget_what_was_sent(db: Database) -> None:
    """Between two examples; DELETE, because TRUNCATE of small tables takes longer than the rest of an example."""
    with db.transaction() as connection:
        for table in ("ingest_cursor", "crossing", "coverage", "tally", "traffic_15m", "coverage_15m", "dirty_mark"):
            connection.execute(f"DELETE FROM {table}".encode())


def drain(service: IngestService, sender: Sender, stream: list[Record]) -> None:
    """Send as a device does: three records at a time from where it was told to go on."""
    start = 0
    for _ in range(3 * len(stream)):
        if start == len(stream):
            return
        [reply] = tell(service, sender.batch(stream[start : start + 3]))
        assert isinstance(reply, Ack | Rewind)
        wanted = reply.seq + 1 if isinstance(reply, Ack) else reply.seq
        start = sum(1 for record in stream if first_seq(record) < wanted)
    raise AssertionError("the device never got to the end of its stream")


def test_the_first_moment_that_is_believed_is_summed_up_like_any_other(db: Database) -> None:
    """A quarter hour of its own among those one after the other; a clock without a battery may begin with it."""
    add_stores(db)
    door = Sender()
    batch = door.batch([crossing(1, at=PAST), crossing(2, at=PAST + timedelta(minutes=14)), crossing(3)])
    assert tell(IngestService(db, lambda: NOW), batch) == [Ack(epoch=door.epoch, seq=3)]
    assert rows(db, "SELECT quarter, count FROM traffic_15m ORDER BY quarter") == [(PAST, 2), (NOW, 1)]
    assert_roll_ups_equal_raw(db)


def test_workers_side_by_side_neither_block_nor_double(db: Database) -> None:
    add_stores(db)
    senders = [Sender(f"door-{number % 4 + 1}") for number in range(12)]
    stores = {"door-1": "S01", "door-2": "S01", "door-3": "S02", "door-4": "S02"}

    def records(sender: Sender) -> list[Crossing]:
        store = stores[sender.device]
        return [
            crossing(seq, at=NOW - timedelta(minutes=seq % 45), line=f"{store}-L1", camera=f"{store}-C1")
            for seq in range(1, 41)
        ]

    streams_of = {sender.epoch: records(sender) for sender in senders}
    failures: list[BaseException] = []

    def work(number: int) -> None:
        service = IngestService(db, lambda: NOW)
        # Each worker gets every batch, in groups of another order: the most they can get in each other's way.
        order = senders if number % 2 else senders[::-1]
        try:
            for start in range(0, 40, 5):
                batches: list[Incoming] = [
                    sender.batch(streams_of[sender.epoch][start : start + 5])
                    for sender in order[number:] + order[:number]
                ]
                for half in (batches[::2], batches[1::2]):
                    # A worker may run ahead of the other; what it is told to send again it sends again.
                    while any(isinstance(answer.reply, Rewind) for answer in service.take(half)):
                        half = [sender.batch(streams_of[sender.epoch][: start + 5]) for sender in order]
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert not any(thread.is_alive() for thread in threads)
    booked = rows(db, "SELECT epoch, count(*), count(DISTINCT seq) FROM crossing GROUP BY 1")
    assert sorted(booked) == sorted((sender.epoch, 40, 40) for sender in senders)
    assert_roll_ups_equal_raw(db)
