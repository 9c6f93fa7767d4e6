"""`doorline db`: the schema brought up to date, and the sums in it held against what they are sums of.

`check` leaves with status 1 where it found a difference and left it, so that a script on a timer notices. Everything of
the server is imported inside the commands, so that `--help` costs nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from server.ingest.recount import Difference
    from server.storage.pool import Database

app = typer.Typer(no_args_is_help=True, help="Bring the database's schema up to date, and check its sums.")

_URL_HELP = "Connection string; DOORLINE_DSN when left out."
_DAY_FORMATS = ["%Y-%m-%d"]
#: Differences printed one by one; the rest is a number.
_SHOWN = 50


@app.command()
def migrate(dsn: Annotated[str, typer.Option(help=_URL_HELP)] = "") -> None:
    """Apply the migrations that are missing; any number may call it at once, one works and the others wait.

    Example: doorline db migrate --dsn postgresql://doorline@db.example.com/doorline
    """
    from server.storage.migrate import migrate as apply

    done = apply(_dsn(dsn))
    for name in done:
        typer.echo(f"applied {name}")
    typer.echo(f"{len(done)} applied" if done else "nothing to do: the schema is up to date")


@app.command()
def status(dsn: Annotated[str, typer.Option(help=_URL_HELP)] = "") -> None:
    """List the migrations and when each was applied; leaves with status 1 when one is missing or edited.

    Example: doorline db status
    """
    from server.storage.migrate import status as look

    wanting = False
    for one in look(_dsn(dsn)):
        when = f"applied {one.applied_at:%Y-%m-%d %H:%M} UTC" if one.applied_at else "not applied"
        note = ", edited since" if one.edited else ", unknown to this version" if one.missing else ""
        wanting = wanting or one.applied_at is None or one.edited
        typer.echo(f"{one.name:32} {when}{note}")
    raise typer.Exit(1 if wanting else 0)


@app.command()
def check(
    day_from: Annotated[
        datetime | None, typer.Option("--from", formats=_DAY_FORMATS, help="First day (UTC); six days before --to.")
    ] = None,
    day_to: Annotated[
        datetime | None, typer.Option("--to", formats=_DAY_FORMATS, help="Last day (UTC), included; today.")
    ] = None,
    store: Annotated[
        list[str] | None, typer.Option(help="A store; may be given several times. All, if left out.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make the roll-ups what their raw rows add up to. Ingest may go on.")
    ] = False,
    dsn: Annotated[str, typer.Option(help=_URL_HELP)] = "",
) -> None:
    """Add raw crossings and minutes up anew, and compare that with the roll-ups every report is made of.

    Compares nothing before the day from which raw rows are kept (DOORLINE_RAW_DAYS). Leaves with status 1 when there
    are differences that were not repaired.

    Example: doorline db check --from 2026-11-01 --to 2026-11-07 --repair
    """
    from cli import central
    from cli.main import fail
    from server.clock import utc_now
    from server.ingest.recount import Recount

    last = day_to.date() if day_to else utc_now().date()
    first = day_from.date() if day_from else last - timedelta(days=6)
    with _database(dsn) as db:
        recount = Recount(db)
        if last < first:
            fail(f"the last day {last} lies before the first, {first}: swap them")
        asked = recount.range(_midnight(first), _midnight(last) + timedelta(days=1))
        if asked.start > _midnight(first):
            typer.echo(f"raw rows before {asked.floor:%Y-%m-%d} UTC are no longer kept: compared from there on")
        find = recount.repair if repair else recount.differences
        found = 0
        for each in find(central.operator(), asked, store or None):
            found += 1
            if found <= _SHOWN:
                typer.echo(_line(each))
    if found > _SHOWN:
        typer.echo(f"and {found - _SHOWN} more")
    span = f"from {asked.start:%Y-%m-%d %H:%M} to {asked.end:%Y-%m-%d %H:%M} UTC"
    if not found:
        typer.echo(f"no differences {span}")
        return
    if repair:
        typer.echo(f"{found} rows repaired {span}; their days are computed anew by `doorline jobs`")
        return
    typer.echo(f"{found} differences {span}; --repair makes the roll-ups what their rows add up to", err=True)
    raise typer.Exit(1)


def _line(each: "Difference") -> str:
    from server.ingest.recount_repository import TrafficDifference

    at = f"{each.quarter.astimezone(UTC):%Y-%m-%d %H:%M}"
    if isinstance(each, TrafficDifference):
        what = f"{each.line_id} {each.direction} {each.crossing_class}"
        held, raw = (each.held_count, each.held_groups), (each.raw_count, each.raw_groups)
        return f"{at} {each.store_id} {what}: {_crossings(*held)} held, {_crossings(*raw)} in raw rows"
    held_seconds = None if each.held_minutes is None else sum(each.held_minutes)
    raw_seconds = None if each.raw_minutes is None else sum(each.raw_minutes)
    return (
        f"{at} {each.store_id} {each.camera_id}: {_watched(held_seconds, each.held_state)} held,"
        f" {_watched(raw_seconds, each.raw_state)} in raw rows"
    )


def _crossings(count: int | None, groups: int | None) -> str:
    return "nothing" if count is None else f"{count} ({groups} groups)"


def _watched(seconds: object, state: str | None) -> str:
    return "nothing" if seconds is None else f"{seconds} s ({state})"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@contextmanager
def _database(given: str) -> Iterator["Database"]:
    from server.storage.pool import Database

    with Database(_dsn(given), 2, statement_seconds=600) as opened:
        yield opened


def _dsn(given: str) -> str:
    from cli import central

    set_to = central.settings()
    return given or set_to.dsn.get_secret_value()
