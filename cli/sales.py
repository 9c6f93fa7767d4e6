"""`doorline sales`: bring in what tills exported, watch a folder they drop files into, and enter exchange rates."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from cli import central
from cli.main import fail

if TYPE_CHECKING:
    from server.sales.formats import TillFormat
    from server.sales.models import ImportResult
    from server.services import Services

app = typer.Typer(no_args_is_help=True, help="Bring in receipts from tills' exports; enter exchange rates.")

_SHOWN_ERRORS = 20
_SHOWN_RECEIPTS = 5

Store = Annotated[str, typer.Option(help="The store that sold; local times are on its clock.")]
Till = Annotated[str, typer.Option(help="Name of the saved format the file is read by.")]
Column = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="OURS=THEIRS", help="Name a column we don't recognise; may be repeated."),
]


@app.callback()
def sales() -> None:
    """Bring in receipts from tills' exports; enter exchange rates."""


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="CSV in UTF-8 or GB18030; comma, semicolon or tab. XLSX.", show_default=False
        ),
    ],
    store: Store,
    till: Till = "",
    column: Column = None,
    dry_run: Annotated[bool, typer.Option(help="Check everything, keep nothing.")] = False,
    preview: Annotated[bool, typer.Option(help="Show how the file would be read, and leave.")] = False,
    errors: Annotated[
        Path | None,
        typer.Option(
            help="Where rows that were not taken go, to be corrected and sent again; beside FILE if left out."
        ),
    ] = None,
) -> None:
    """Take receipts from a file; rows with the same number that follow one another are lines of one receipt.

    Safe to run again: what is known already counts as repeated. Leaves with status 1 when rows were refused; they stand
    in a file of their own then, which can be corrected and imported as it is. A cell that a spreadsheet would run has
    an apostrophe in front of it there, which the import takes off again.

    Example: doorline sales import november.csv --store S01 --column at=销售时间 --dry-run
    """
    mapping = _mapping(column or [])
    try:
        stream = file.open("rb")
    except OSError as error:
        fail(f"can't read {file}: {error.strerror or error}")
    with stream, central.services() as services:
        form = _form(services, till, mapping)
        if preview:
            _tell_preview(services, store, stream, form)
            return
        result = _with_bar(services, store, stream, form, file.name, dry_run=dry_run)
        if result.error_count:
            from server.files.correction_files import kind_of

            place = errors or file.with_name(f"{file.stem}.errors.{kind_of(result.encoding == 'xlsx')}")
            _write_errors(services, result, place)
            typer.echo(f"rows to correct: {place}", err=True)
    _tell(result)
    if result.error_count:
        raise typer.Exit(1)


@app.command()
def watch(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where tills drop files.", show_default=False)],
    store: Store,
    till: Till = "",
    column: Column = None,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 10,
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds a file must have lain unchanged before it is taken.")
    ] = 30,
    once: Annotated[bool, typer.Option(help="Take what is there and leave.")] = False,
) -> None:
    """Take the files that a till drops into a folder, until interrupted.

    A file is taken once it has not changed for a while and nobody writes to it under a temporary name (.part, .tmp,
    .crdownload, ~, or a leading dot). It is then moved to done/, or to failed/ with a file of the rows to correct and
    the reason; a file of which some rows were refused is failed. While the database is away files wait.

    Example: doorline sales watch /srv/tills/S01 --store S01 --till acme
    """
    import signal
    import threading

    from cli.dropped import Dropped

    if not folder.is_dir():
        fail(f"{folder} is no folder")
    mapping = _mapping(column or [])
    stop = threading.Event()
    if not once:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
    with central.services() as services:
        form = _form(services, till, mapping)
        dropped = Dropped(services.imports, central.operator(), folder, store, form, settle=settle, tell=typer.echo)
        dropped.look()
        if once:
            stop.wait(settle)
            dropped.look()
        while not once and not stop.wait(every):
            dropped.look()
    if once and dropped.failed:
        raise typer.Exit(1)


@app.command()
def formats(
    save: Annotated[str, typer.Option(metavar="NAME", help="Save a format under this name, read from --file.")] = "",
    file: Annotated[Path | None, typer.Option(help='JSON such as {"columns": {"at": "时间"}}.')] = None,
    delete: Annotated[str, typer.Option(metavar="NAME", help="Forget this one.")] = "",
) -> None:
    """How the files of each kind of till are read: list them, save one, forget one.

    Example: doorline sales formats --save acme --file acme.json
    """
    import msgspec

    from server.sales.formats import format_of

    with central.services() as services:
        scope = central.operator()
        if save:
            if file is None:
                fail("--save needs --file")
            try:
                services.formats.save(scope, save, format_of(file.read_bytes()))
            except OSError as error:
                fail(f"can't read {file}: {error.strerror or error}")
        elif delete:
            services.formats.delete(scope, delete)
        else:
            for name, form in services.formats.all(scope).items():
                typer.echo(f"{name}: {msgspec.json.encode(form).decode()}")


@app.command()
def rates(
    enter: Annotated[
        list[str] | None,
        typer.Option("--enter", metavar="CUR=RATE", help="What one unit is worth in the reporting currency."),
    ] = None,
    valid_from: Annotated[str, typer.Option("--from", metavar="DATE", help="First day of --enter; today.")] = "",
    file: Annotated[Path | None, typer.Option(help="CSV with the columns currency, valid_from, rate.")] = None,
) -> None:
    """Exchange rates into the chain's reporting currency: list them, or enter some. A rate holds until the next one.

    Example: doorline sales rates --enter USD=7.1234 --from 2026-11-01
    """
    from datetime import date
    from decimal import Decimal, InvalidOperation

    from server.sales.rates import NewRate

    with central.services() as services:
        scope = central.operator()
        if file is not None:
            try:
                changed = services.rates.import_csv(scope, file.read_text(encoding="utf-8-sig"))
            except (OSError, UnicodeDecodeError) as error:
                fail(f"can't read {file}: {error}")
            typer.echo(f"{changed:,} rates entered")
        elif enter:
            try:
                day = date.fromisoformat(valid_from) if valid_from else services.clock().date()
                pairs = [pair.partition("=") for pair in enter]
                new = [NewRate(currency, day, Decimal(rate)) for currency, _, rate in pairs]
            except (ValueError, InvalidOperation):
                fail("write it as --enter USD=7.1234 --from 2026-11-01")
            typer.echo(f"{services.rates.put(scope, new):,} rates entered")
        else:
            for rate in services.rates.rates(scope):
                typer.echo(f"{rate.currency} {rate.valid_from} {rate.rate:f} {rate.reporting}")


def _form(services: "Services", till: str, mapping: dict[str, str]) -> "TillFormat":
    import msgspec

    from server.sales.formats import TillFormat

    form = services.formats.named(central.operator(), till) if till else TillFormat()
    return msgspec.structs.replace(form, columns={**form.columns, **mapping})


def _mapping(pairs: list[str]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not equals or not theirs:
            fail(f"--column {pair!r} is not OURS=THEIRS, such as at=销售时间")
        mapping[ours.strip()] = theirs.strip()
    return mapping


def _with_bar(
    services: "Services", store: str, stream: BinaryIO, form: "TillFormat", name: str, *, dry_run: bool
) -> "ImportResult":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rows]:,} rows"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("rows", total=None, rows=0)

        def show(rows: int, done: int, size: int) -> None:
            # A workbook doesn't say how far it is read: then the bar only shows that something goes on.
            bar.update(task, rows=rows, completed=done, total=size if done else None)

        return services.imports.run(central.operator(), store, stream, form, name=name, dry_run=dry_run, progress=show)


def _write_errors(services: "Services", result: "ImportResult", place: Path) -> None:
    from server.files.correction_files import kind_of

    try:
        with place.open("wb") as out:
            # A place that was given says itself as what.
            kind = kind_of(place.suffix.lower() == ".xlsx")
            for part in services.imports.refused_file(central.operator(), result.import_id, kind):
                out.write(part)
    except OSError as error:
        fail(f"can't write {place}: {error.strerror or error}")


def _tell_preview(services: "Services", store: str, stream: BinaryIO, form: "TillFormat") -> None:
    seen = services.imports.preview(central.operator(), store, stream, form)
    typer.echo(f"read as {seen.encoding}, columns parted by {seen.delimiter!r}")
    for column in seen.columns:
        typer.echo(f"  {column.header or '(empty)'}: {column.ours or 'not read'}")
    for receipt in seen.receipts[:_SHOWN_RECEIPTS]:
        total = "from its lines" if receipt.gross is None else f"{receipt.gross}"
        typer.echo(
            f"receipt {receipt.receipt_no}: {receipt.kind} of {receipt.at.isoformat()}, {receipt.lines} lines,"
            f" gross {total}"
        )
    for error in seen.errors[:_SHOWN_ERRORS]:
        typer.echo(f"line {error.line}, {error.field}: {error.reason}; {error.remedy}")


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
