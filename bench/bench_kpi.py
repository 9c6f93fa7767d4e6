"""What the numbers of a large chain cost to read: a made-up chain at full size, and the questions people ask of it.

- One store's day by quarter hour; HQ's table of all stores for 30 days beside the 30 before; a year's heat map of one
  store; why sales moved, for all stores.
- Each as the whole service call, and of that the time in the database alone: from a statement's sending until all its
  rows are here, as bytes.
- HQ's table and the others beside plain SQL over the raw crossings and receipts of the same days, in the same run,
  and with the same answers, which is checked first.
- Alone, and with eight readers at once while boxes' batches are booked by the real ingest.
- HQ's table for 100, 300 and 1,000 stores and for more days: what a store-day costs.

Processor time stays comparable on a machine that others use; the clock's does not. Workers that PostgreSQL starts for
a single statement are gone before they are looked at, so their part is in the clock's time alone. Run
`python -m bench.bench_kpi` from the repository's root; it makes its own database (a year of a thousand stores with two
months of raw rows takes an hour, and 30 GB), or measures one made before: `--dsn`, and `--pid` of its first process.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as wall
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import psycopg

from bench.central import Meter
from bench.chain import Raw, feed
from cli.bench.generating import Plan, generate
from server.access.models import Scope
from server.kpi.models import Report
from server.kpi.service import KpiService
from server.storage.embedded import FAST, EmbeddedPostgres
from server.storage.migrate import migrate
from server.storage.pool import Database
from server.stores.service import StoresService

SCOPE: Final = Scope.system("bench")
TABLE: Final = (
    "visitors",
    "transactions",
    "conversion",
    "atv",
    "net_sales",
    "sales_per_visitor",
    "member_share",
    "coverage",
)
GOALS: Final = {"day by quarter hour": 5, "HQ's table": 60, "year's heat map": 20, "why sales moved": 200}
READERS: Final = 8


class Timed(psycopg.Cursor[Any]):
    """A cursor that adds up how long the database took: rows are decoded later, when they are fetched."""

    spent = threading.local()

    def execute(self, *words: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return super().execute(*words, **options)
        finally:
            Timed.spent.seconds = getattr(Timed.spent, "seconds", 0.0) + time.perf_counter() - began


class Watched(Database):
    """A database whose statements are timed."""

    @contextmanager
    def read(self, *words: Any, **options: Any) -> Iterator[psycopg.Connection]:
        with super().read(*words, **options) as connection:
            connection.cursor_factory = Timed
            yield connection


@dataclass
class Cost:
    """Of many calls, in milliseconds."""

    database: list[float] = field(default_factory=list)
    service: list[float] = field(default_factory=list)
    #: Processor time of the database, and of the whole call with it; empty where its processes are not known.
    busy: list[float] = field(default_factory=list)
    busy_whole: list[float] = field(default_factory=list)

    def told(self) -> str:
        told = f"database p50 {median(self.database):7.1f}  p95 {p95(self.database):7.1f} ms"
        told += f"   whole call p50 {median(self.service):7.1f}  p95 {p95(self.service):7.1f} ms"
        if self.busy:
            told += f"   processor: database p50 {median(self.busy):.1f}  p95 {p95(self.busy):.1f} ms"
            told += f", whole call p50 {median(self.busy_whole):.1f} ms"
        return told


def p95(values: Sequence[float]) -> float:
    return sorted(values)[max(0, -(-95 * len(values) // 100) - 1)]


class Asker:
    """Puts the questions.

    Args:
        last: the last day of the chain; it is noon UTC of the next.
        days: of the chain's facts.
    """

    def __init__(self, dsn: str, last: date, days: int, seed: int = 1) -> None:
        now = datetime.combine(last + timedelta(days=1), wall(12), UTC)
        self.db = Watched(dsn, 2)
        self.stores = StoresService(self.db, lambda: now)
        self.kpi = KpiService(self.db, self.stores, lambda: now)
        self.ids = sorted(self.stores.todays(SCOPE, now))
        self.days = days
        self._last = last
        self._draw = random.Random(seed)

    def questions(self) -> dict[str, Callable[[], object]]:
        """Each call asks of another store where it is of one."""
        return {
            "day by quarter hour": self.quarters,
            "HQ's table": self.table,
            "year's heat map": self.heat_map,
            "why sales moved": self.moved,
        }

    def quarters(self) -> Report:
        store, day = self._draw.choice(self.ids), self._last - timedelta(days=self._draw.randrange(28))
        return self._report(["visitors", "transactions", "conversion"], day, day, [store], "quarter")

    def table(self) -> Report:
        """As the page asks for it."""
        shown = ("visitors", "conversion", "net_sales")
        return self.kpi.recent(
            SCOPE, kpis=TABLE, days=30, back=1, group_by="store", compare="previous_period", compared=shown
        )

    def heat_map(self, days: int | None = None, store: str | None = None) -> Report:
        first = self._last - timedelta(days=(days or min(365, self.days)) - 1)
        chosen = [store or self._draw.choice(self.ids)]
        return self._report(["visitors", "conversion"], first, self._last, chosen, "weekday,hour_of_day")

    def moved(self) -> object:
        first = self._last - timedelta(days=29)
        return self.kpi.decomposition(SCOPE, day_from=first, day_to=self._last, compare="previous_period")

    def some(self, stores: int, days: int) -> Report:
        """HQ's table of the first so many stores."""
        first = self._last - timedelta(days=days - 1)
        return self._report(TABLE, first, self._last, self.ids[:stores], "store", compare="previous_period")

    def _report(
        self, kpis: Sequence[str], first: date, last: date, stores: Sequence[str], by: str, **more: Any
    ) -> Report:
        return self.kpi.report(SCOPE, kpis=kpis, day_from=first, day_to=last, store_ids=stores, group_by=by, **more)


def measure(ask: Callable[[], object], rounds: int, meter: Meter | None = None) -> Cost:
    """Ask so often, once more before."""
    ask()
    cost = Cost()
    for _ in range(rounds):
        Timed.spent.seconds = 0.0
        with nullcontext(None) if meter is None else meter.watching() as spent_since:
            own, began = time.process_time(), time.perf_counter()
            ask()
            cost.service.append(1000 * (time.perf_counter() - began))
            own = time.process_time() - own
            if spent_since is not None:
                theirs = spent_since().processor
                cost.busy.append(1000 * theirs)
                cost.busy_whole.append(1000 * (own + theirs))
        cost.database.append(1000 * Timed.spent.seconds)
    return cost


def alone(asker: Asker, meter: Meter | None, rounds: int) -> dict[str, Cost]:
    """Each question by itself."""
    found = {}
    for name, ask in asker.questions().items():
        found[name] = measure(ask, rounds, meter)
        print(f"{name:22} {found[name].told()}   goal {GOALS[name]} ms in the database", flush=True)
    return found


def crowded(asker: Asker, dsn: str, quiet: dict[str, Cost], last: date, days: int, rounds: int) -> None:
    """Each question while seven others ask whatever comes, and boxes' batches are booked."""
    words = [sys.executable, "-m", "bench.bench_kpi", "--dsn", dsn, "--last", last.isoformat(), "--days", str(days)]
    others = [
        subprocess.Popen([*words, "--role", role], stdout=subprocess.PIPE, text=True)
        for role in (*(f"reader-{number}" for number in range(READERS - 1)), "writer")
    ]
    try:
        for other in others:
            assert other.stdout is not None
            if other.stdout.readline().strip() != "ready":
                raise SystemExit("a reader or the writer did not start")
        for name, ask in asker.questions().items():
            cost = measure(ask, rounds)
            ratio = p95(cost.database) / p95(quiet[name].database)
            whole = p95(cost.service) / p95(quiet[name].service)
            print(f"{name:22} {cost.told()}   p95 against alone: {ratio:.1f}x, the whole call {whole:.1f}x", flush=True)
    finally:
        for other in others:
            other.terminate()
        told = [other.communicate()[0] for other in others]
    print(f"meanwhile: {told[-1].strip()}")


def take_part(role: str, asker: Asker, dsn: str) -> None:
    """A reader or the writer of `crowded`, until it is ended."""
    import signal

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print("ready", flush=True)
    if role == "writer":
        print(json.dumps(feed(dsn, asker.ids, stop)))
        return
    asks = list(asker.questions().values())
    draw = random.Random(role)
    while not stop.is_set():
        draw.choice(asks)()


def beside_raw(asker: Asker, dsn: str, last: date, raw_days: int, quiet: dict[str, Cost]) -> None:
    """The same questions to raw rows: first that they give the same answers, then what they cost."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        raw = Raw(connection, last)
        half = min(30, raw_days // 2)
        kept = asker.some(len(asker.ids), half)
        began = time.perf_counter()
        found = raw.table(half)
        spent = [1000 * (time.perf_counter() - began)]
        for row in kept.rows:
            values, counted = row.values, found[row.key, 0]
            assert (values["visitors"].value, values["transactions"].value) == counted[:2], row.key
            assert values["atv"].numerator == counted[2], row.key
        for _ in range(2):
            began = time.perf_counter()
            raw.table(half)
            spent.append(1000 * (time.perf_counter() - began))
        mine = median(
            quiet["HQ's table"].database if half == 30 else measure(lambda: asker.some(10**6, half), 20).database
        )
        print(f"HQ's table, {half} days and {half} before, from raw rows: {median(spent):,.0f} ms", end="")
        print(f"; {median(spent) / mine:,.0f} times as long as in the database from kept facts", flush=True)
        store = asker.ids[len(asker.ids) // 2]
        for name, ask_raw, ask in (
            ("day by quarter hour", lambda: raw.quarters(store), lambda: asker.quarters()),
            (
                f"{raw_days} days' heat map",
                lambda: raw.heat_map(store, raw_days),
                lambda: asker.heat_map(raw_days, store),
            ),
        ):
            raw_cost, cost = timed(ask_raw, 5), median(measure(ask, 20).database)
            print(f"{name}, from raw rows: {raw_cost:,.0f} ms; {raw_cost / cost:,.0f} times as long", flush=True)


def timed(ask: Callable[[], object], rounds: int) -> float:
    """Median of so many (ms)."""
    spent = []
    for _ in range(rounds):
        began = time.perf_counter()
        ask()
        spent.append(1000 * (time.perf_counter() - began))
    return median(spent)


def growth(asker: Asker, meter: Meter | None, rounds: int) -> None:
    """What a store-day costs, by how many are asked for."""
    sizes = [(stores, 30) for stores in (100, 300, 1000) if stores <= len(asker.ids)]
    if asker.days >= 180:
        sizes.append((len(asker.ids), 90))
    base = 0.0
    for stores, days in sizes:
        asker.some(stores, days)
        spent: list[float] = []
        for _ in range(rounds):
            if meter is not None:
                spent.append(meter.spent(lambda size: asker.some(*size), [(stores, days)]).processor)
            else:
                spent.append(timed(partial(asker.some, stores, days), 1) / 1000)
        each = 1e6 * median(spent) / (stores * days * 2)
        base = base or each
        what = "processor time" if meter is not None else "clock time"
        print(
            f"{stores:5} stores x {days} days, twice: {1000 * median(spent):7.1f} ms of {what},"
            f" {each:5.2f} µs a store-day: {each / base:.2f} of the first",
            flush=True,
        )


@contextmanager
def database(asked: argparse.Namespace) -> Iterator[tuple[str, int | None]]:
    """One that was made before, or a fresh one that goes again; and its first process."""
    if asked.dsn:
        migrate(asked.dsn)
        yield asked.dsn, asked.pid
        return
    with tempfile.TemporaryDirectory(prefix="doorline-bench-", dir=asked.folder) as name:
        Path(name).chmod(0o711)  # as root, the database is somebody else's
        # Sizes as a machine of this kind would be given; the generator needs no safety against power cuts.
        settings = {**FAST, "shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
        postgres = EmbeddedPostgres(Path(name) / "postgres", settings=settings)
        try:
            dsn = postgres.start().dsn
            plan = Plan(asked.stores, asked.days, asked.last, asked.rollup_days or asked.days, asked.raw_days, 1)
            began = time.perf_counter()
            rows = generate(dsn, plan, lambda done: print(f"\r{done} of {asked.days} days", end="", file=sys.stderr))
            made = ", ".join(f"{count:,} {table}" for table, count in rows.items())
            print(f"made in {time.perf_counter() - began:.0f} s: {made}", flush=True)
            yield dsn, postgres.pid
        finally:
            postgres.remove()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=int, default=1000)
    parser.add_argument("--days", type=int, default=366, help="days of facts")
    parser.add_argument("--rollup-days", type=int, default=0, help="days of roll-ups; as many as --days")
    parser.add_argument(
        "--raw-days", type=int, default=62, help="days of raw crossings and receipts; 0 leaves them out"
    )
    parser.add_argument("--rounds", type=int, default=60, help="how often each question is asked")
    parser.add_argument("--last", type=date.fromisoformat, default=datetime.now(UTC).date() - timedelta(days=1))
    parser.add_argument("--dsn", default="", help="a database that `doorline bench generate` filled up to --last")
    parser.add_argument("--pid", type=int, help="its first process, for its processor time")
    parser.add_argument("--folder", help="where a fresh database is put")
    parser.add_argument("--role", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.role:
        take_part(asked.role, Asker(asked.dsn, asked.last, asked.days, sum(map(ord, asked.role))), asked.dsn)
        return
    print("load of this machine: " + ", ".join(f"{each:.2f}" for each in os.getloadavg()))
    with database(asked) as (dsn, pid):
        asker = Asker(dsn, asked.last, asked.days)
        print(f"\n{len(asker.ids)} stores, {asked.days} days; alone:")
        meter = None if pid is None else Meter(pid)
        quiet = alone(asker, meter, asked.rounds)
        print("\nwhat grows with what is asked for:")
        growth(asker, meter, max(5, asked.rounds // 10))
        if asked.raw_days >= 2:
            print("\nbeside raw rows:")
            beside_raw(asker, dsn, asked.last, asked.raw_days, quiet)
        print(f"\nwith {READERS} readers and ingest:")
        crowded(asker, dsn, quiet, asked.last, asked.days, max(10, asked.rounds // 3))


if __name__ == "__main__":
    main()
