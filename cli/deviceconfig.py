"""`doorline device config`: what a box is to do, set from the centre, and what became of it.

What goes to standard output is a file that can be set again; what is said about it goes to the error channel, so that
`show > door-1.toml`, an editor and `set` are all one needs.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import central
from cli.main import fail

if TYPE_CHECKING:
    from server.configs.models import Revision, Standing

app = typer.Typer(no_args_is_help=True, help="Set what a box's cameras count and how, and see what became of it.")

Name = Annotated[str, typer.Argument(metavar="NAME")]
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="[[camera]] sections as in edge.toml; - for standard input.")
]
Note = Annotated[str, typer.Option(help="Why, for those who look later.")]


@app.command()
def show(
    name: Name,
    revision: Annotated[int | None, typer.Option(min=1, help="Another than the newest.")] = None,
) -> None:
    """Print what a box is to have, as a file that can be set again; and on the error channel what became of it.

    Example: doorline device config show door-1 > door-1.toml
    """
    from server.configs.service import ConfigService
    from server.configs.writing import to_toml

    with central.database() as db:
        service = ConfigService(db)
        found = service.revision(central.operator(), name, revision)
        standing = service.standings(central.operator(), [name])[name]
    if found is None:
        typer.echo(f"Nothing was set for {name}: it goes by its own edge.toml.", err=True)
        return
    typer.echo(f"revision {found.revision}, {found.created_at:%Y-%m-%d %H:%M} UTC by {found.author}", err=True)
    if found.note:
        typer.echo(found.note, err=True)
    typer.echo(outcome(found), err=True)
    if revision is None and standing.used != found.revision:
        typer.echo(f"In use: {_by(standing.used)}.", err=True)
    if standing.known > standing.desired:
        typer.echo(
            f"The box knows revision {standing.known}, which this database does not: it came back from a backup? "
            "What is set next gets a number above it.",
            err=True,
        )
    typer.echo(to_toml(found.camera) if found.camera else "", nl=False)


@app.command("set")
def set_(
    name: Name,
    file: File,
    note: Note = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check it and set nothing.")] = False,
) -> None:
    """Check FILE and make it what the box is to have; the box tries it, and goes back if a camera fails with it.

    It replaces all that was set before. Cameras that FILE does not name count as the box's own edge.toml says.

    Example: doorline device config set door-1 door-1.toml --note "the new door"
    """
    from server.configs.service import ConfigService

    text = _read(file)
    with central.database() as db:
        service = ConfigService(db)
        if dry_run:
            cameras = service.check(central.operator(), name, text)
            typer.echo(f"{file} could be set: {', '.join(camera.id for camera in cameras)}.")
            return
        made = service.put(central.operator(), name, text, note)
    _say_set(made)


@app.command()
def clear(name: Name, note: Note = "") -> None:
    """Give the box back to its own edge.toml.

    Example: doorline device config clear door-1
    """
    from server.configs.service import ConfigService

    with central.database() as db:
        made = ConfigService(db).clear(central.operator(), name, note)
    _say_set(made)


@app.command()
def diff(
    name: Name,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="What would be set; the newest revision when left out.")
    ] = None,
    revision: Annotated[
        int | None,
        typer.Option(min=1, help="Compared with; without FILE the one before the newest, with it the newest."),
    ] = None,
) -> None:
    """Print what FILE would change, or what the newest revision changed; leaves with status 1 if anything.

    Example: doorline device config diff door-1 door-1.toml
    """
    import difflib

    from server.configs.service import ConfigService
    from server.configs.writing import to_toml

    with central.database() as db:
        service, scope = ConfigService(db), central.operator()
        newest = service.history(scope, name, 2)
        if file is not None:
            after, said = to_toml(service.check(scope, name, _read(file))), str(file)
        elif newest:
            after, said = to_toml(newest[0].camera), f"revision {newest[0].revision}"
        else:
            fail(f"nothing was set for {name}")
        earlier = newest if file is not None else newest[1:]
        before = service.revision(scope, name, revision) if revision else next(iter(earlier), None)
    lines = list(
        difflib.unified_diff(
            ("" if before is None else to_toml(before.camera)).splitlines(),
            after.splitlines(),
            "nothing set" if before is None else f"revision {before.revision}",
            said,
            lineterm="",
        )
    )
    for line in lines:
        typer.echo(line)
    raise typer.Exit(1 if lines else 0)


@app.command()
def history(name: Name, limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20) -> None:
    """List what the box was to have, newest first: who set it, and what became of it.

    Example: doorline device config history door-1
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from server.configs.service import ConfigService

    with central.database() as db:
        found = ConfigService(db).history(central.operator(), name, limit)
    if not found:
        typer.echo(f"Nothing was set for {name}: it goes by its own edge.toml.")
        return
    table = Table("revision", "set", "by", "cameras", "became", "note")
    for each in found:
        table.add_row(
            str(each.revision),
            f"{each.created_at:%Y-%m-%d %H:%M}",
            escape(each.author),
            escape(", ".join(camera.id for camera in each.camera) or "(its own file)"),
            escape(outcome(each)),
            escape(each.note),
        )
    Console().print(table)


def outcome(revision: "Revision") -> str:
    """What became of a revision, for a person."""
    if revision.state is None:
        return "the box said nothing of it yet"
    when = f"{revision.reported_at:%Y-%m-%d %H:%M} UTC" if revision.reported_at else ""
    word = {"trying": "being tried", "applied": "applied", "failed": "FAILED"}[revision.state]
    return f"{word} {when}{': ' if revision.reason else ''}{revision.reason}".strip()


def remark(standing: "Standing | None") -> str:
    """How a box stands to its configuration, for the list of boxes; empty where nothing was ever set."""
    if standing is None or not (standing.desired or standing.used):
        return ""
    if standing.known > standing.desired:
        return f"{standing.used} in use, unknown here: doorline device config show"
    if standing.state == "applied":
        return f"{standing.desired} applied"
    if standing.state == "failed":
        return f"{standing.desired} FAILED ({standing.reason}); {_by(standing.used)} in use"
    if standing.state == "trying":
        return f"{standing.desired} being tried{f' ({standing.reason})' if standing.reason else ''}"
    return f"{standing.desired} not taken yet; {_by(standing.used)} in use"


def _by(revision: int) -> str:
    return f"revision {revision}" if revision else "its own edge.toml"


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        fail(f"{file} can't be read ({error.strerror}). Check the path")
    except UnicodeDecodeError:
        fail(f"{file} is not UTF-8 text. Save it as UTF-8")


def _say_set(made: "Revision") -> None:
    what = ", ".join(camera.id for camera in made.camera) or "its own edge.toml"
    typer.echo(f"Revision {made.revision} of {made.device_id}: {what}.")
    typer.echo(
        "The box takes it up within seconds while it is connected, else when it comes back. "
        f"What became of it: doorline device config show {made.device_id}"
    )
