"""`doorline members`: what whoever runs the server does with members' data: change its key."""

from typing import Annotated

import typer

from cli import central
from cli.main import fail

app = typer.Typer(no_args_is_help=True, help="Members: change the key of their data.")


@app.callback()
def members() -> None:
    """Members: change the key of their data."""


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
