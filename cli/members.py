"""`doorline members`: what whoever runs the server does with members' data: bring it in, change its key."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import central
from cli.main import fail

if TYPE_CHECKING:
    from server.membership.importing import MemberImportResult

app = typer.Typer(
    no_args_is_help=True, help="Members: bring them in from another system, change the key of their data."
)

_SHOWN = 20


@app.callback()
def members() -> None:
    """Members: bring them in from another system, change the key of their data."""


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV in UTF-8 or GB18030, or a workbook (.xlsx).", show_default=False)
    ],
    store: Annotated[
        str, typer.Option(help="Home of members whose row names no other; numbers are of the home's country.")
    ],
    basis: Annotated[str, typer.Option(help="What they agreed to, where and when: stands on record as their consent.")],
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="OURS=THEIRS", help="Name a column we don't recognise; may be repeated."),
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Check everything, keep nothing.")] = False,
) -> None:
    """Enrol everybody in a file whose number nobody has, with the points, tier and stored value they bring along.

    Needed columns: name, phone. Others: external_no, birthday, store (home, by id or name), enrolled_at (day of
    joining), points, points_expire (last day), principal and bonus (stored value, in the home store's currency), tier,
    marketing, staff, advisor, campaign, tags, custom.FIELD.

    Safe to run again: whoever came before is known by their number in the old system (external_no). Whose number
    somebody has is told and left as it is. Leaves with status 1 when rows were refused.

    Example: doorline members import old.xlsx --store S01 --basis "membership terms signed in store, 2024" --dry-run
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    mapping = dict(_pair(each) for each in column or [])
    try:
        stream = file.open("rb")
    except OSError as error:
        fail(f"can't read {file}: {error.strerror or error}")
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} rows"), TimeElapsedColumn())
    console = Console(stderr=True)
    with stream, central.services() as services, Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("rows", total=None)
        result = services.members.imports.run(
            central.operator(),
            store,
            stream,
            basis,
            mapping,
            dry_run=dry_run,
            heard=lambda so_far: bool(bar.update(task, completed=so_far.rows)),  # type: ignore[func-returns-value]
        )
    _tell_import(result)
    if result.error_count:
        raise typer.Exit(1)


def _tell_import(result: "MemberImportResult") -> None:
    for each in result.errors[:_SHOWN]:
        where = f"line {each.line}" + (f", {each.field}" if each.field else "")
        typer.echo(f"{where}: {each.reason}; {each.remedy}", err=True)
    for double in result.duplicates[:_SHOWN]:
        who = f"the member with card {double.card_no}" if double.card_no else f"line {double.earlier_line}"
        typer.echo(f"line {double.line}: this number belongs to {who}", err=True)
    told = min(len(result.errors), _SHOWN) + min(len(result.duplicates), _SHOWN)
    if result.error_count + result.duplicate_count > told:
        typer.echo(f"... and {result.error_count + result.duplicate_count - told:,} more", err=True)
    word = "would be enrolled" if result.dry_run else "enrolled"
    typer.echo(
        f"{result.rows:,} rows: {result.enrolled:,} {word}, {result.opened:,} opening balances booked, "
        f"{result.known:,} came before, {result.duplicate_count:,} numbers taken, {result.error_count:,} refused"
    )
    for currency, principal in sorted(result.principal.items()):
        what = "would be brought in" if result.dry_run else "brought in"
        typer.echo(f"stored value {what}: {principal:,} {currency} principal, {result.bonus[currency]:,} bonus")
    if result.tiers_left:
        typer.echo(f"{result.tiers_left:,} tiers left as they are: given by an earlier file, and moved since")


def _pair(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not equals or not theirs:
        fail(f"--column {text!r} is not OURS=THEIRS, such as phone=手机号")
    return ours.strip(), theirs.strip()


@app.command("rotate-keys")
def rotate_keys(
    dry_run: Annotated[bool, typer.Option(help="Only say how much there is to do.")] = False,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Members in one transaction.")] = 500,
) -> None:
    """Bring members' data under today's key, while the shops are open.

    First give every process of the server the new key in DOORLINE_SECRET_KEY and the one of before in
    DOORLINE_OLD_SECRET_KEYS, and start them again; then run this. Stopped half-way, it goes on when it is run again.
    Leaves with status 1 while anything is left under another key.

    Example: doorline members rotate-keys --dry-run
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with central.services() as services:
        rotation = services.members.rotation
        pending = rotation.pending(central.operator())
        if dry_run:
            _tell("to do", pending)
            return
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            tasks = {what: bar.add_task(what, total=rows) for what, rows in pending.items() if rows}

            def progress(what: str, done: int) -> None:
                if what in tasks:
                    bar.update(tasks[what], completed=done)

            rotated = rotation.run(central.operator(), progress, batch)
    _tell("done", rotated.done)
    if any(rotated.left.values()):
        _tell("left", rotated.left)
        fail("rows came under an old key meanwhile: start every process with the new one, and run this again")
    typer.echo(f"Everything is under key {rotated.key_id}; the keys in DOORLINE_OLD_SECRET_KEYS can go.")


def _tell(word: str, counts: dict[str, int]) -> None:
    told = ", ".join(f"{rows:,} {what}" for what, rows in counts.items() if rows)
    typer.echo(f"{word}: {told or 'nothing'}")
