"""The questions that benches of reading put to a chain, and what each answer costs: by the clock, and of processors.

A cursor that adds up how long the database took stands in for psycopg's own, so that the same call is measured as a
whole and in its database's part. The trap is a first answer: statements are planned anew until a connection has seen
them ten times, so nothing is measured before that.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as wall
from statistics import median
from typing import Any, Final

import psycopg

from bench.central import Meter
from bench.kept import Chain
from dashboards.hq.state import COLUMNS
from server.access.models import Scope
from server.kpi.models import Report
from server.kpi.service import KpiService
from server.storage.pool import Database
from server.stores.service import StoresService

SCOPE: Final = Scope.system("bench")
#: HQ's table as its page asks for it.
TABLE: Final = tuple(slug for slug, _, _ in COLUMNS)
SHOWN: Final = tuple(slug for slug, _, changes in COLUMNS if changes)
#: Goals in milliseconds, of the 95th of a hundred, in the database alone.
GOALS: Final = {"day by quarter hour": 5, "HQ's table": 60, "year's heat map": 20, "why sales moved": 200}
#: Times each question is asked before it is measured: two connections take turns, and each plans a statement ten times.
_BEFORE: Final = 24


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
    """Of many calls, in milliseconds.

    Attributes:
        database: by the clock, from a statement's sending until its rows are here; `service` the whole call.
        busy: processor time of the database; `busy_whole` of this process with it. Empty where it is not known.
    """

    database: list[float] = field(default_factory=list)
    service: list[float] = field(default_factory=list)
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
    """The smallest that at least 95 of a hundred don't exceed."""
    return sorted(values)[max(0, -(-95 * len(values) // 100) - 1)]


class Asker:
    """Puts the questions; it is noon UTC of the chain's today, until somebody moves `now`."""

    def __init__(self, dsn: str, chain: Chain, seed: int = 1) -> None:
        self.now = now = datetime.combine(chain.today, wall(12, 7), UTC)
        self.chain = chain
        self.db = Watched(dsn, 2)
        self.stores = StoresService(self.db, lambda: self.now)
        self.kpi = KpiService(self.db, self.stores, lambda: self.now)
        self.ids = sorted(self.stores.todays(SCOPE, now))
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
        store, day = self._draw.choice(self.ids), self.chain.last - timedelta(days=self._draw.randrange(28))
        return self._report(["visitors", "transactions", "conversion"], day, day, [store], "quarter")

    def table(self) -> Report:
        """As the page asks for it."""
        return self.recent(30, 1, "previous_period")

    def today(self) -> Report:
        """HQ's table of the day that runs, beside the same weekday last week up to the same minute."""
        return self.recent(1, 0, "last_week")

    def page(self) -> None:
        """All of the KPIs that HQ's page asks for: the table, the chart and its lines."""
        self.table()
        first = self.chain.last - timedelta(days=29)
        self._report(["visitors", "conversion"], first, self.chain.last, None, "day")
        self.kpi.daily(SCOPE, first, self.chain.last)
        self.stores.stores(SCOPE)

    def recent(self, days: int, back: int, compare: Any) -> Report:
        """HQ's table of some days."""
        return self.kpi.recent(
            SCOPE, kpis=TABLE, days=days, back=back, group_by="store", compare=compare, compared=SHOWN
        )

    def heat_map(self, days: int | None = None, store: str | None = None) -> Report:
        first = self.chain.last - timedelta(days=(days or min(365, self.chain.days)) - 1)
        chosen = [store or self._draw.choice(self.ids)]
        return self._report(["visitors", "conversion"], first, self.chain.last, chosen, "weekday,hour_of_day")

    def moved(self) -> object:
        first = self.chain.last - timedelta(days=29)
        return self.kpi.decomposition(SCOPE, day_from=first, day_to=self.chain.last, compare="previous_period")

    def some(self, stores: int, days: int) -> Report:
        """HQ's table of the first so many stores."""
        first = self.chain.last - timedelta(days=days - 1)
        return self._report(TABLE, first, self.chain.last, self.ids[:stores], "store", compare="previous_period")

    def _report(
        self, kpis: Sequence[str], first: date, last: date, stores: Sequence[str] | None, by: str, **more: Any
    ) -> Report:
        return self.kpi.report(SCOPE, kpis=kpis, day_from=first, day_to=last, store_ids=stores, group_by=by, **more)


def measure(ask: Callable[[], object], rounds: int, meter: Meter | None = None, before: int = _BEFORE) -> Cost:
    """Ask so often, after it was asked before."""
    for _ in range(before):
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


def timed(ask: Callable[[], object], rounds: int) -> float:
    """Median of so many (ms)."""
    spent = []
    for _ in range(rounds):
        began = time.perf_counter()
        ask()
        spent.append(1000 * (time.perf_counter() - began))
    return median(spent)
