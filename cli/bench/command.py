"""`doorline bench`: a chain made up at full size, to try Doorline's speed on.

numpy and everything of the server are imported inside the command, so that `--help` costs nothing.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Make up a chain at full size, to measure with.")


@app.callback()
def _bench() -> None:
    """One command of many."""


@app.command()
def generate(
    dsn: Annotated[str, typer.Option(help="PostgreSQL's address, postgresql://…, of an empty database.")],
    stores: Annotated[int, typer.Option(help="How many stores.")] = 1000,
    days: Annotated[int, typer.Option(help="Days of facts, by day and by hour.")] = 365,
    rollup_days: Annotated[
        int | None,
        typer.Option(help="Days of roll-ups by quarter hour, the last ones; as many as --days, if left out."),
    ] = None,
    raw_days: Annotated[int, typer.Option(help="Days of single crossings and receipts, the last ones.")] = 0,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The last day; yesterday (UTC), if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same chain.")] = 1,
) -> None:
    """Fill an empty database with a made-up chain: stores, cameras, roll-ups, facts and, if asked for, raw rows.

    A thousand stores and a year take about 14 GB; each day of raw rows 150 MB more.

    Example: doorline bench generate --stores 100 --days 90 --dsn postgresql://doorline@localhost/bench
    """
    from rich.console import Console
    from rich.progress import Progress

    from cli.bench.generating import Plan
    from cli.bench.generating import generate as make

    plan = Plan(
        stores=stores,
        days=days,
        last=until.date() if until else datetime.now(UTC).date() - timedelta(days=1),
        rollup_days=days if rollup_days is None else rollup_days,
        raw_days=raw_days,
        seed=seed,
    )
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{stores} stores", total=days)
        rows = make(dsn, plan, lambda done: bar.update(task, completed=done))
    for table, count in rows.items():
        typer.echo(f"{table:14} {count:>12,} rows")
