"""What the audit trail's chain costs: transactions a second with and without it, by one writer and by several.

    python -m bench.bench_audit [--seconds 5] [--writers 4]

Each transaction writes one line through `server.access.audit`, on an embedded PostgreSQL as it runs in a store's demo
(durable). The chain is taken away by disabling its one trigger, in turns of the same run: only the ratio counts.
"""

import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from server.access import audit
from server.clock import utc_now
from server.storage.embedded import EmbeddedPostgres
from server.storage.migrate import migrate
from server.storage.pool import Database


def rate(db: Database, writers: int, seconds: float) -> float:
    """Transactions a second, each with one line."""
    done = [0] * writers
    until = time.monotonic() + seconds

    def write(number: int) -> None:
        while time.monotonic() < until:
            with db.transaction() as conn:
                audit.record(conn, utc_now(), "bench", "bench.write", detail={"number": done[number]})
            done[number] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return sum(done) / seconds


def main(
    seconds: Annotated[float, typer.Option(min=0.2, help="Of each turn.")] = 3,
    writers: Annotated[int, typer.Option(min=2, max=32, help="Writers at once, beside the one alone.")] = 4,
    turns: Annotated[int, typer.Option(min=1, help="Turns of each kind.")] = 3,
) -> None:
    """Print the share of transactions that is left with the chain."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedPostgres(Path(folder) / "postgres").start()
        try:
            migrate(server.dsn)
            with Database(server.dsn, writers + 1) as db:
                for at_once in (1, writers):
                    shares = []
                    for _ in range(turns):
                        _chain(db, on=False)
                        bare = rate(db, at_once, seconds)
                        _chain(db, on=True)
                        linked = rate(db, at_once, seconds)
                        shares.append(linked / bare)
                        typer.echo(f"{at_once} writers: {bare:7.0f}/s bare, {linked:7.0f}/s linked")
                    typer.echo(f"{at_once} writers: {median(shares):.2f} of the transactions are left with the chain")
        finally:
            server.remove()


def _chain(db: Database, *, on: bool) -> None:
    with db.transaction() as conn:
        if on:
            conn.execute("ALTER TABLE audit ENABLE TRIGGER audit_chain")
        else:
            conn.execute("ALTER TABLE audit DISABLE TRIGGER audit_chain")


if __name__ == "__main__":
    typer.run(main)
