"""`doorline facts`: promotions, events, weather and rosters, which explain a number: from a spreadsheet or one by one.

Everything of the server is imported inside the commands, so that `--help` costs nothing.
"""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, cast

import typer

from cli import central
from cli.main import fail

if TYPE_CHECKING:
    from server.kpi.tables import TableImport, TableResult
    from server.storage.pool import Database
    from server.stores.models import FactKind

app = typer.Typer(no_args_is_help=True, help="Promotions, events, weather and rosters: what explains a number.")

_DAY_FORMATS = ["%Y-%m-%d"]
_SHOWN_ERRORS = 20

First = Annotated[datetime, typer.Option("--from", formats=_DAY_FORMATS, help="First day.")]
Last = Annotated[datetime | None, typer.Option("--to", formats=_DAY_FORMATS, help="Last day; the first if left out.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="CSV in UTF-8 or GB18030.", show_default=False)]


@app.command()
def add(
    kind: Annotated[str, typer.Argument(help="promotion, event or weather.")],
    title: Annotated[str, typer.Argument(help="In a few words.")],
    day_from: First,
    day_to: Last = None,
    store: Annotated[str | None, typer.Option(help="Of a store; without it and --region, of the whole chain.")] = None,
    region: Annotated[str | None, typer.Option(help="Of a region.")] = None,
    detail: Annotated[str, typer.Option(help="More about it.")] = "",
) -> None:
    """Note a promotion, an event or weather.

    Example: doorline facts add promotion "Two for one" --from 2026-11-20 --to 2026-11-22 --region east
    """
    from server.stores.facts import FactsService
    from server.stores.models import NewFact

    new = NewFact(
        kind=cast("FactKind", kind),
        day_from=day_from.date(),
        day_to=(day_to or day_from).date(),
        title=title,
        detail=detail,
        store_id=store,
        region=region,
    )
    with central.database() as db:
        noted = FactsService(db).add(central.operator(), new)
    typer.echo(f"Noted {noted.fact_id}: {noted.kind} {noted.title}, {noted.day_from} to {noted.day_to}.")


@app.command("list")
def list_(
    day_from: First,
    day_to: Last = None,
    store: Annotated[str | None, typer.Option(help="Those that hold for a store; all if left out.")] = None,
) -> None:
    """List promotions, events and weather of some days.

    Example: doorline facts list --from 2026-11-01 --to 2026-11-30 --store S01
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from server.stores.facts import FactsService

    with central.database() as db:
        found = FactsService(db).of_stores(
            central.operator(), day_from.date(), (day_to or day_from).date(), [store] if store else None
        )
    if not found:
        typer.echo("Nothing is noted.")
        return
    table = Table("id", "from", "to", "kind", "title", "of")
    for each in found:
        where = each.store_id or each.region or "the chain"
        table.add_row(
            str(each.fact_id), str(each.day_from), str(each.day_to), each.kind, escape(each.title), escape(where)
        )
    Console().print(table)


@app.command()
def remove(fact_id: Annotated[int, typer.Argument(metavar="ID", help="As `list` numbers them.")]) -> None:
    """Take one away.

    Example: doorline facts remove 12
    """
    from server.stores.facts import FactsService

    with central.database() as db:
        FactsService(db).remove(central.operator(), fact_id)
    typer.echo(f"Removed {fact_id}.")


@app.command("import")
def import_(file: File) -> None:
    """Note promotions, events and weather from a CSV file: all of it, or nothing where a row is wrong.

    Columns kind, from, title; and, where they are there, to, detail, store, region, temperature, rain.

    Example: doorline facts import weather.csv
    """
    with central.database() as db, _opened(file) as stream:
        _tell(_tables(db).facts(central.operator(), stream), "noted")


@app.command()
def roster(file: File) -> None:
    """Set rosters from a CSV file, each day's whole: all of the file, or nothing where a row is wrong.

    Columns store, day, from, to, people (one row a shift, on the store's clock); or store, day, hours.

    Example: doorline facts roster november.csv
    """
    with central.database() as db, _opened(file) as stream:
        _tell(_tables(db).rosters(central.operator(), stream), "days set")


def _tables(db: "Database") -> "TableImport":
    from server.kpi.correction_service import CorrectionsService
    from server.kpi.tables import TableImport
    from server.stores.facts import FactsService
    from server.stores.service import StoresService

    stores = StoresService(db)
    return TableImport(stores, FactsService(db), CorrectionsService(db, stores))


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        fail(f"can't read {file}: {error.strerror or error}")


def _tell(result: "TableResult", what: str) -> None:
    for error in result.errors[:_SHOWN_ERRORS]:
        where = f"line {error.line}" + (f", {error.field}" if error.field else "")
        typer.echo(f"{where}: {error.reason}; {error.remedy}", err=True)
    if result.error_count > _SHOWN_ERRORS:
        typer.echo(f"... and {result.error_count - _SHOWN_ERRORS:,} more", err=True)
    if result.error_count:
        typer.echo("Nothing of the file was taken.", err=True)
        raise typer.Exit(1)
    typer.echo(f"{result.rows:,} rows ({result.encoding}): {result.kept:,} {what}")
