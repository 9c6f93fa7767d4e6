"""Made-up chains that are made once and measured later, by whoever has a quiet machine.

Making takes longer than measuring and can be done while others work; a figure can't. So chains are kept in a folder,
each a database of one server, with what they are written beside them. The trap is a chain that differs from the one
somebody thinks was measured: what a folder holds is read from it, never said again.

The last day of each chain is its today: its roll-ups and receipts are there, as the boxes and tills would have sent
them by closing, but no facts were joined of it yet.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from cli.bench.generating import Plan, generate
from server.storage.embedded import FAST, EmbeddedPostgres
from server.storage.migrate import migrate

#: Sizes as a machine of this kind would be given; a bench needs no safety against power cuts.
_SETTINGS: Final = {**FAST, "shared_buffers": "2GB", "max_wal_size": "4GB", "checkpoint_timeout": "30min"}
_WRITTEN: Final = "chains.json"
#: Read once before anything is measured: what reports are made of.
_WARM: Final = ("store_day", "store_week", "store_hour", "traffic_15m", "coverage_15m")


@dataclass(frozen=True)
class Chain:
    """One of a folder's chains.

    Attributes:
        today: its last day, of which no facts are joined; `days` before it are.
        raw_days: of them, with single crossings and receipts; today is one more.
    """

    stores: int
    days: int
    rollup_days: int
    raw_days: int
    today: date

    @property
    def last(self) -> date:
        """Its last whole day."""
        return self.today - timedelta(days=1)

    @property
    def database(self) -> str:
        """Its name on the server."""
        return f"chain_{self.stores}"


@dataclass(frozen=True)
class Opened:
    """A server that runs, and where to find the chain of so many stores.

    Attributes:
        pid: of its first process.
    """

    pid: int
    chains: Sequence[Chain]
    dsns: Sequence[str]


def make(folder: Path, chains: Sequence[Chain]) -> None:
    """Fill a folder, the smallest chain first.

    Raises:
        SystemExit: it holds some already.
    """
    if (folder / _WRITTEN).exists():
        raise SystemExit(f"{folder} holds chains already: name another folder, or measure them with --use")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)  # as root, the database is somebody else's
    with EmbeddedPostgres(folder / "postgres", settings=_SETTINGS) as server:
        for chain in sorted(chains, key=lambda each: each.stores):
            with psycopg.connect(server.dsn_of("postgres"), autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(chain.database)))
            _fill(server.dsn_of(chain.database), chain)
    (folder / _WRITTEN).write_text(json.dumps(list(map(written, chains)), indent=2), encoding="utf-8")


def written(chain: Chain) -> dict[str, Any]:
    """A chain as it is written down; `read` reads it."""
    return {**asdict(chain), "today": chain.today.isoformat()}


def read(chain: Mapping[str, Any]) -> Chain:
    """What `written` wrote."""
    return Chain(**{**chain, "today": date.fromisoformat(chain["today"])})


def _fill(dsn: str, chain: Chain) -> None:
    began = time.perf_counter()
    plan = Plan(chain.stores, chain.days + 1, chain.today, chain.rollup_days + 1, chain.raw_days + 1, 1)
    rows = generate(dsn, plan, lambda done: print(f"\r{done} of {plan.days} days", end="", file=sys.stderr))
    forget_today(dsn, chain)
    with psycopg.connect(dsn, autocommit=True) as connection:
        size = connection.execute("SELECT pg_size_pretty(pg_database_size(current_database()))").fetchone()
    told = ", ".join(f"{count:,} {table}" for table, count in rows.items())
    print(
        f"\n{chain.stores} stores made in {time.perf_counter() - began:.0f} s: {told}; {size and size[0]}", flush=True
    )


def forget_today(dsn: str, chain: Chain) -> None:
    """Take away what was kept of a chain's today, of which each measurement begins with nothing."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in ("store_day", "store_hour"):
            statement = sql.SQL("DELETE FROM {} WHERE day >= %s").format(sql.Identifier(table))
            connection.execute(statement, (chain.today,))
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table)))
        connection.execute("TRUNCATE store_day_beside")


@contextmanager
def opened(folder: Path) -> Iterator[Opened]:
    """Start a folder's server, bring its chains' schema up to date and read once what reports read."""
    try:
        found = json.loads((folder / _WRITTEN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SystemExit(f"{folder} holds no chains: make them with --make") from None
    chains = sorted(map(read, found), key=lambda each: each.stores)
    with EmbeddedPostgres(folder / "postgres", settings=_SETTINGS) as server:
        assert server.pid is not None
        dsns = [server.dsn_of(chain.database) for chain in chains]
        for dsn in dsns:
            migrate(dsn)
            _warm(dsn)
        yield Opened(server.pid, chains, dsns)


def _warm(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in map(sql.Identifier, _WARM):
            # The rows, and then the tree by the key.
            connection.execute(sql.SQL("SELECT max(t.ctid) FROM {} t").format(table))
            connection.execute("SET enable_seqscan = off")
            connection.execute(sql.SQL("SELECT count(*) FROM {} WHERE store_id >= ''").format(table))
            connection.execute("RESET enable_seqscan")
        connection.execute("CHECKPOINT")
