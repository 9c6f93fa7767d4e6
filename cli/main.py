"""The `doorline` command: what it can do, listed without importing any of it.

A box in a store installs `doorline[edge]` alone and a server no OpenCV, so a command's module is imported
only when the command is used. The trap: a help page that imports every command to read its help would fail on
both, so the one-line help stands here, beside the name and the extra the command needs.
"""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

#: Wrong input, a missing extra, a port in use: something the caller can mend.
EXIT_USAGE: Final = 2

_TRY = "Try it"
_STORE = "In the store"
_CENTRE = "At the centre"
_SETUP = "Set up"


@dataclass(frozen=True, slots=True)
class Entry:
    """One command of the table below.

    Attributes:
        target: `module:attribute`; the attribute is a function or a Typer app.
        extras: what has to be installed for it, as in `doorline[edge]`.
        panel: the heading it stands under on the help page.
        help: one line.
        group: whether it has commands of its own, even when there is only one so far.
    """

    target: str
    extras: tuple[str, ...]
    panel: str
    help: str
    group: bool = False


_EDGE: Final = ("edge",)
_SERVER: Final = ("server",)

COMMANDS: Final[dict[str, Entry]] = {
    "demo": Entry(
        "cli.demo.command:demo", ("edge", "server"), _TRY, "Run a whole chain on this machine, history included."
    ),
    "count": Entry("cli.count:count", _EDGE, _TRY, "Count who crosses a line in a video, with no server."),
    "audit": Entry("cli.audit:audit", _EDGE, _TRY, "Compare a count with what a person saw: each miss by its frame."),
    "calibrate": Entry(
        "cli.calibrate:calibrate", _EDGE, _STORE, "Propose the line and the size of people from where they walk."
    ),
    "edge": Entry("cli.edge:app", _EDGE, _STORE, "Run the box that counts: cameras in, crossings out.", True),
    "models": Entry(
        "cli.models:app", _EDGE, _STORE, "Turn weights into a model for a box, and measure runtimes.", True
    ),
    "web": Entry("cli.web:web", _SERVER, _CENTRE, "Serve the pages and the API."),
    "ingest": Entry("cli.ingest:ingest", _SERVER, _CENTRE, "Take the boxes' batches from the broker.", True),
    "jobs": Entry("cli.jobs:jobs", _SERVER, _CENTRE, "Keep the joined facts up to date, by the clock."),
    "kpi": Entry("cli.jobs:kpi", _SERVER, _CENTRE, "Print KPIs of stores in the terminal."),
    "correct": Entry(
        "cli.correct:app", _SERVER, _CENTRE, "Correct what is counted: staff, groups, audits, intervals.", True
    ),
    "facts": Entry(
        "cli.facts:app", _SERVER, _CENTRE, "Promotions, events, weather and rosters: what explains a number.", True
    ),
    "gaps": Entry("cli.gaps:gaps", _SERVER, _CENTRE, "Print what was not measured, and why."),
    "broker": Entry("cli.ingest:broker", _SERVER, _CENTRE, "Run a small MQTT broker, for trying things out."),
    "db": Entry("cli.db:app", _SERVER, _SETUP, "Bring the database's schema up to date, and check its sums.", True),
    "store": Entry("cli.store:app", _SERVER, _SETUP, "Add stores, opening hours, cameras and lines.", True),
    "pki": Entry("cli.pki:app", _SERVER, _SETUP, "Keep the certificate authority of broker and boxes.", True),
    "device": Entry("cli.device:app", _SERVER, _SETUP, "Make boxes and what they sign in with, and end them.", True),
    "members": Entry("cli.members:app", _SERVER, _SETUP, "Members: change the key of their data.", True),
    "user": Entry("cli.user:app", _SERVER, _SETUP, "People who sign in, and keys for tills.", True),
    "audit-trail": Entry(
        "cli.audit_trail:app", _SERVER, _CENTRE, "Who did what, and the proof that nobody changed it.", True
    ),
    "webhooks": Entry("cli.webhooks:app", _SERVER, _SETUP, "Who outside is told what happens.", True),
    "sales": Entry(
        "cli.sales:app", _SERVER, _SETUP, "Bring in receipts from tills' exports; enter exchange rates.", True
    ),
    "points": Entry("cli.points:app", _SERVER, _CENTRE, "Points: what members have and the chain owes.", True),
    "tiers": Entry("cli.tiers:app", _SERVER, _CENTRE, "Tiers: who has which, and what other rules would do.", True),
    "coupons": Entry("cli.coupons:app", _SERVER, _CENTRE, "Coupons: what is promised, issued and used.", True),
    "stored-value": Entry(
        "cli.stored_value:app", _SERVER, _CENTRE, "Stored value: rules, what is owed, who owes whom.", True
    ),
    "bench": Entry("cli.bench.command:app", ("bench",), _TRY, "Make up a chain at full size, to measure with.", True),
}


class LazyGroup(TyperGroup):
    """A group whose commands are names until one of them is used."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        for name, entry in COMMANDS.items():
            self.commands[name] = TyperCommand(name=name, help=entry.help, rich_help_panel=entry.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Put the real command in the place of its name, then go on as usual."""
        name = args[0] if args else ""
        if name in COMMANDS:
            try:
                self.commands[name] = _load(name, COMMANDS[name])
            except ModuleNotFoundError as error:
                _missing_extra(name, error)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what it imports lazily may be missing just as well."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            _missing_extra(ctx.invoked_subcommand or "", error)
        except Exception as error:
            if not _is_domain_error(error):
                raise
            remedy = getattr(error, "remedy", None)
            fail(f"{error}" + (f"\n{remedy}" if remedy else ""))


def _load(name: str, entry: Entry) -> Any:
    module, _, attribute = entry.target.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        command = get_group(found) if entry.group else get_command(found)
    else:
        single = typer.Typer(add_completion=False)
        single.command(name)(found)
        command = get_command(single)
    command.name = name
    return command


def _missing_extra(name: str, error: ModuleNotFoundError) -> NoReturn:
    """Say which extra to install; a missing module of our own is a fault and stays one."""
    entry = COMMANDS.get(name)
    missing = (error.name or "").partition(".")[0]
    if entry is None or missing in {"wire", "edge", "server", "dashboards", "cli", ""}:
        raise error
    fail(
        f"`doorline {name}` needs `{missing}`, which is not installed.\n"
        f'Install it with: pip install "doorline[{",".join(entry.extras)}]"'
    )


def _is_domain_error(error: Exception) -> bool:
    """Whether it is one of the server's named errors, asked without importing the server."""
    errors = sys.modules.get("server.errors")
    return errors is not None and isinstance(error, errors.DoorlineError)


def fail(message: str) -> NoReturn:
    """Say what was wrong on stderr and leave with status 2."""
    typer.echo(f"doorline: {message}", err=True)
    raise typer.Exit(EXIT_USAGE)


app = typer.Typer(
    cls=LazyGroup,
    name="doorline",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        typer.echo(f"doorline {version('doorline')}")
    except PackageNotFoundError:
        typer.echo("doorline, run from its sources")
    raise typer.Exit


@app.callback(epilog="See a command's own help for its options and an example: [bold]doorline count --help[/bold]")
def doorline(
    _version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Say which version this is."
    ),
) -> None:
    """Count who comes through each door, join it with tills and members, and know how sure the number is.

    Try it: [bold]doorline demo[/bold] runs everything on this machine and needs no camera.
    """


def run(args: Sequence[str] | None = None) -> None:
    """The console script: run the command and leave with its status."""
    app(args=None if args is None else list(args), prog_name="doorline")


if __name__ == "__main__":
    run()
