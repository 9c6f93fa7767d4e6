"""One chain on plain PostgreSQL and on TimescaleDB, old rows packed: every answer equal to the last digit."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import psycopg
import pytest

from server.ingest import recount_repository
from server.ingest.ledger import GapLedger
from server.ingest.service import IngestService
from server.kpi.figures.registry import KPIS
from server.storage import timescale
from server.storage.migrate import migrate
from server.storage.pool import Database
from tests.server.ingest.devices import Sender, crossing, scalar, tell
from tests.server.kpi.chain import SYSTEM, Chain, by_hand
from wire.messages import Coverage, Record

FIRST, LAST = date(2026, 10, 5), date(2026, 11, 16)
NOW = datetime(2026, 11, 17, 3, 7, tzinfo=UTC)
GROUPS = ("chain", "store", "region", "day", "week", "month", "weekday", "hour", "hour_of_day", "store,day")


@pytest.fixture
def both(db: Database, timescale_dsn: str) -> Iterator[tuple[Chain, Chain]]:
    """The same chain twice: on the plain database, and on hypertables with all but the last week packed."""
    with db.read() as connection:
        if timescale.installed_version(connection) is not None:
            pytest.skip("compares a plain PostgreSQL with TimescaleDB: run without --timescale")
    migrate(timescale_dsn)
    with Database(timescale_dsn, size=4) as other:
        chains = [_chain(db), _chain(other)]
        with psycopg.connect(timescale_dsn, autocommit=True) as connection:
            packed = {name: timescale.pack(connection, name, NOW - timedelta(days=7)) for name in timescale.HYPERTABLES}
        assert min(packed.values()) >= 4
        # What comes late comes into packed chunks.
        for chain in chains:
            _late(chain)
            for store in chain.zones:
                for back in range((LAST - FIRST).days + 1):
                    chain.kpi.recompute(store, LAST - timedelta(days=back))
            chain.forget_marks()
        yield chains[0], chains[1]


def _chain(db: Database) -> Chain:
    """Two stores in two zones over six weeks and a day worked out by hand, written by the real ingest."""
    chain = Chain(db, NOW)
    by_hand(chain)
    chain.store("K01", "10:00", "20:00", timezone="Asia/Kathmandu", region="west", currency="NPR")
    draw = random.Random(7)
    ingest = IngestService(db, lambda: NOW)
    with db.transaction() as connection:
        connection.execute("INSERT INTO device (device_id, store_id) VALUES ('door-1', 'K01')")
    door, seq = Sender(epoch="e" * 32), 1
    for back in range((LAST - FIRST).days + 1):
        opened = chain.at("K01", f"{LAST - timedelta(days=back)} 10:00")
        records: list[Record] = []
        for _ in range(draw.randrange(20, 60)):
            at = opened + timedelta(seconds=draw.randrange(36_000), microseconds=draw.randrange(10**6))
            way = draw.choice(("in", "in", "out"))
            tags = draw.choice(((), (), (), ("staff",), ("child",)))
            records.append(crossing(seq, at, camera="K01-C1", line="K01-L1", direction=way, tags=tags, group=seq // 2))
            seq += 1
        for minute in range(0, 600, draw.choice((1, 1, 1, 2))):
            seconds = draw.choice((60.0, 60.0, 59.9, 30.3))
            at = opened + timedelta(minutes=minute)
            records.append(Coverage(seq=seq, minute=at, camera="K01-C1", seconds=seconds, frames=1))
            seq += 1
        for start in range(0, len(records), 200):
            tell(ingest, door.batch(records[start : start + 200], sent_at=NOW))
        for number in range(draw.randrange(1, 9)):
            money = f"{draw.randrange(1, 99_999) / 100:.2f}"
            chain.sell("K01", opened + timedelta(minutes=draw.randrange(600)), money, units=number + 1)
    return chain


def _late(chain: Chain) -> None:
    at = chain.at("K01", "2026-10-06 11:11")
    late: list[Record] = [
        crossing(1, at, camera="K01-C1", line="K01-L1"),
        Coverage(seq=2, minute=at, camera="K01-C1", seconds=12.5, frames=1, state="dark"),
    ]
    tell(IngestService(chain.db, lambda: NOW), Sender(epoch="f" * 32).batch(late, sent_at=NOW))


def _answers(chain: Chain) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Everything that may be asked, by name."""
    report = partial(chain.kpi.report, SYSTEM, kpis=list(KPIS))
    for group in GROUPS:
        yield f"by {group}", partial(report, group_by=group, day_from=FIRST + timedelta(days=7), day_to=LAST)
    last_week = partial(report, group_by="store", day_from=LAST - timedelta(days=6), day_to=LAST + timedelta(days=1))
    # With today, whose begun quarter hour a week ago is counted from raw rows.
    yield "compared with last week", partial(last_week, compare="last_week")
    yield "compared with the week before", partial(last_week, compare="previous_period")
    for store in ("S01", "K01"):
        yield f"live {store}", partial(chain.kpi.live, SYSTEM, store)
        yield f"a day of {store}", partial(chain.kpi.day, SYSTEM, store, LAST)
    yield "gaps", partial(GapLedger(chain.db, chain.stores, chain.clock).ledger, SYSTEM, "K01", FIRST, LAST)


@pytest.mark.timescale
def test_every_answer_is_the_same_to_the_last_digit(both: tuple[Chain, Chain]) -> None:
    plain, packed = both
    most = 0
    for (name, ask), (_, ask_packed) in zip(_answers(plain), _answers(packed), strict=True):
        said = ask()
        assert said == ask_packed(), name
        assert msgspec.json.encode(said) == msgspec.json.encode(ask_packed()), name
        most = max(most, len(msgspec.json.encode(said)))
    assert most > 10_000, "they say something"
    for query in (
        "SELECT string_agg(t::text, ';' ORDER BY t::text) FROM traffic_15m t",
        "SELECT string_agg(t::text, ';' ORDER BY t::text) FROM coverage_15m t",
        "SELECT string_agg(t::text, ';' ORDER BY t::text) FROM crossing t WHERE epoch <> 'e'",
        "SELECT string_agg(t::text, ';' ORDER BY t::text) FROM coverage t",
        "SELECT string_agg(to_jsonb(t) - 'computed_at' #>> '{}', ';' ORDER BY store_id, day) FROM store_day t",
        "SELECT string_agg(t::text, ';' ORDER BY t::text) FROM store_week t",
        "SELECT string_agg(t::text, ';' ORDER BY t::text) FROM bi.store_hours t",
    ):
        assert scalar(plain.db, query) == scalar(packed.db, query), query
    ever = (SYSTEM, ["K01"], datetime(2026, 9, 1, tzinfo=UTC), NOW)
    for chain in both:
        with chain.db.read() as connection:
            assert recount_repository.traffic_differences(connection, *ever) == []
            assert recount_repository.coverage_differences(connection, *ever) == []
