"""`doorline receipts`: bring in receipts from a till's export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import central
from cli.main import fail

if TYPE_CHECKING:
    from server.sales.models import ImportResult

app = typer.Typer(no_args_is_help=True, help="Bring in receipts from a till's export.")

_SHOWN_ERRORS = 20


@app.callback()
def receipts() -> None:
    """Bring in receipts from a till's export."""


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="CSV in UTF-8 or GB18030; comma, semicolon or tab.", show_default=False),
    ],
    store: Annotated[str, typer.Option(help="The store that sold; local times are on its clock.")],
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="OURS=THEIRS", help="Name a column we don't recognise; may be repeated."),
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Check everything, keep nothing.")] = False,
) -> None:
    """Take receipts from a CSV file; rows with the same number that follow one another are lines of one receipt.

    Safe to run again: what is known already counts as repeated. Leaves with status 1 when rows were refused.

    Example: doorline receipts import november.csv --store S01 --column at=销售时间 --dry-run
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    mapping = _mapping(column or [])
    try:
        stream = file.open("rb")
    except OSError as error:
        fail(f"can't read {file}: {error.strerror or error}")
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} rows"), TimeElapsedColumn())
    with stream, central.services() as services, Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("rows", total=None)
        result = services.sales.import_csv(
            central.operator(),
            store,
            stream,
            mapping,
            dry_run=dry_run,
            progress=lambda rows: bar.update(task, completed=rows),
        )
    _tell(result)
    if result.error_count:
        raise typer.Exit(1)


def _tell(result: "ImportResult") -> None:
    for error in result.errors[:_SHOWN_ERRORS]:
        where = f"line {error.line}" + (f", {error.field}" if error.field else "")
        typer.echo(f"{where}: {error.reason}; {error.remedy}", err=True)
    if result.error_count > _SHOWN_ERRORS:
        typer.echo(f"... and {result.error_count - _SHOWN_ERRORS:,} more", err=True)
    if result.notes:
        typer.echo(f"{len(result.notes):,} receipts name a member nobody knows; they were taken without one", err=True)
    kept = "would be new" if result.dry_run else "new"
    typer.echo(
        f"{result.rows:,} rows, {result.receipts:,} receipts ({result.encoding}): {result.accepted:,} {kept}, "
        f"{result.repeated:,} known, {result.conflicts:,} in conflict, {result.rejected:,} refused"
    )


def _mapping(pairs: list[str]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not equals or not theirs:
            fail(f"--column {pair!r} is not OURS=THEIRS, such as at=销售时间")
        mapping[ours.strip()] = theirs.strip()
    return mapping
