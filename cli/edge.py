"""`doorline edge …`: run the box that counts, and find out beforehand what would keep it from it.

This runs where only `doorline[edge]` is installed, so nothing of the server is imported, and what runs the cameras is
imported when it is used, so that `--help` answers at once.
"""

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from cli.main import fail

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="Run the box that counts: cameras in, crossings out."
)

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="The box's edge.toml.")]


@app.command(epilog="Example: doorline edge run /etc/doorline/edge.toml")
def run(
    config: ConfigPath,
    until_drained: Annotated[
        bool,
        typer.Option("--until-drained", help="End once every recording has ended and the server has all of it."),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
) -> None:
    """Count what the cameras of CONFIG see and send it, until stopped.

    Ctrl-C or SIGTERM ends it within five seconds; what was counted is on disk and goes out at the next start.
    """
    from edge.agent import Agent
    from edge.config import load
    from edge.outbox import OutboxError
    from edge.settings import ConfigError

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    try:
        agent = Agent(load(config))
    except (ConfigError, OutboxError) as error:
        fail(str(error))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    agent.run(stop, until_drained=until_drained)


@app.command(epilog="Example: doorline edge check /etc/doorline/edge.toml --pictures /tmp/doors")
def check(
    config: ConfigPath,
    pictures: Annotated[
        Path | None,
        typer.Option(
            "--pictures",
            metavar="DIR",
            help="Save a picture of each camera with its lines drawn. Nobody can be recognised in them.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Try cameras, lines, processor, disk, clock and broker of CONFIG, and say what to mend.

    A running agent is not disturbed, except where a USB camera can be opened by one program only.

    Exit status 1 if anything must be mended.
    """
    from edge.check import check as findings
    from edge.config import load
    from edge.remote import in_use
    from edge.settings import ConfigError

    try:
        settings, revision = in_use(load(config))
    except ConfigError as error:
        typer.secho(f"wrong    {error}", fg=typer.colors.RED)
        raise typer.Exit(1) from error
    wrong = 0
    if revision:
        typer.echo(
            f"         What cameras count is set from the centre (revision {revision}), and is what is tried here."
        )
    colours = {"ok": typer.colors.GREEN, "warning": typer.colors.YELLOW, "wrong": typer.colors.RED}
    for finding in findings(settings, config, pictures):
        typer.echo(f"{typer.style(f'{finding.verdict:8}', fg=colours[finding.verdict])} {finding.what}")
        if finding.remedy:
            typer.echo(f"         {finding.remedy}")
        wrong += finding.verdict == "wrong"
    if wrong:
        typer.echo(f"{wrong} to mend.")
        raise typer.Exit(1)
    typer.echo("This box can count and send.")


@app.command(epilog="Example: doorline edge reference > docs/edge-toml.md")
def reference() -> None:
    """Print the page of all that can be set in edge.toml, with type, default, range and meaning."""
    from edge.reference import page

    typer.echo(page(), nl=False)


@app.command(epilog="Example: doorline edge enrol door-1.enrol")
def enrol(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As `doorline device add` or `rotate` wrote it.")],
    config: Annotated[Path, typer.Option(help="The box's edge.toml; made when it is not there.")] = Path(
        "/etc/doorline/edge.toml"
    ),
    replace: Annotated[bool, typer.Option("--replace", help="Also when the box has an identity already.")] = False,
    rename: Annotated[bool, typer.Option("--rename", help="Also when the box has another name already.")] = False,
    owner: Annotated[
        str, typer.Option(help="User the agent runs as; root gives the key to `doorline` where there is one.")
    ] = "",
) -> None:
    """Make this box the one that FILE is for: install its key and certificate and name the broker in edge.toml.

    All of it or nothing is installed, and never over an identity that is there unless told to.
    """
    from edge.enrol import EnrolError
    from edge.enrol import enrol as install

    try:
        done = install(file, config, replace=replace, rename=rename, owner=_owner(owner))
    except EnrolError as error:
        fail(f"{error.reason}\n{error.remedy}")
    if not done.new:
        typer.echo(f"This box is {done.identity.name} already, with just this certificate.")
    else:
        typer.echo(
            f"This box is {done.identity.name} now; its certificate is good until {done.identity.not_after:%Y-%m-%d}."
        )
    if done.replaced:
        typer.echo(f"It was {done.replaced}.")
    if done.config_made:
        typer.echo(f"Made {done.config}. Add its cameras there.")
    elif done.config_changed:
        typer.echo(f"Changed {done.config}. An agent that runs has to be started anew: systemctl restart doorline-edge")
    elif done.new:
        typer.echo("An agent that runs takes it up within a minute.")
    typer.echo(f"Delete {file}: it holds the box's key. Then try it all: doorline edge check {done.config}")


def _owner(name: str) -> tuple[int, int] | None:
    """Whom the identity is given to: installed by root, it is of no use to an agent that is not."""
    if sys.platform == "win32" or os.geteuid() != 0:
        if name:
            fail("--owner: only root can give files to somebody else")
        return None
    import pwd

    try:
        user = pwd.getpwnam(name or "doorline")
    except KeyError:
        if name:
            fail(f"--owner: there is no user {name!r}")
        return None
    return user.pw_uid, user.pw_gid
