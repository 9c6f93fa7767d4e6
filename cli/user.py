"""`doorline user`: add people who sign in, and keys for tills. The first administrator comes from here."""

import sys
from typing import TYPE_CHECKING, Annotated, cast

import typer

from cli import central
from cli.main import fail

if TYPE_CHECKING:
    from server.access.models import KeyRole, Locale, UserRole

app = typer.Typer(no_args_is_help=True, help="Add people who sign in, and keys for tills.")

_STORES = typer.Option("--store", help="A store they work for; may be repeated. None for admin and hq, who see all.")


@app.command()
def add(
    username: Annotated[str, typer.Argument(metavar="USERNAME")],
    role: Annotated[str, typer.Option(help="admin, hq, region, manager or desk.")],
    store: Annotated[list[str] | None, _STORES] = None,
    name: Annotated[str, typer.Option(help="The name shown; the user name when left out.")] = "",
    locale: Annotated[str, typer.Option(help="Language: zh or en.")] = "zh",
    password_stdin: Annotated[bool, typer.Option(help="Read the password from standard input, one line.")] = False,
) -> None:
    """Add a person who can sign in; the password is asked for and never stands on the command line.

    Example: doorline user add wang --role manager --store S01
    """
    from server.access.service import AccessService

    password = _password(from_stdin=password_stdin)
    with central.database() as db:
        made = AccessService(db, central.settings()).create_user(
            central.operator(), username, password, name, cast("UserRole", role), store or [], cast("Locale", locale)
        )
    stores = ", ".join(made.stores) or "all stores"
    typer.echo(f"Added {made.username} ({made.role}, {stores}).")


@app.command("add-key")
def add_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which till or tool will use it.")],
    role: Annotated[str, typer.Option(help="till, hq or admin.")] = "till",
    store: Annotated[list[str] | None, typer.Option("--store", help="A store it may touch; may be repeated.")] = None,
) -> None:
    """Make an API key for a till or a BI tool and print it, once.

    Example: doorline user add-key "till 3" --store S01
    """
    from server.access.service import AccessService

    with central.database() as db:
        key = AccessService(db, central.settings()).create_api_key(
            central.operator(), name, cast("KeyRole", role), store or []
        )
    typer.echo("The key, which can't be shown again:", err=True)
    typer.echo(key)


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        fail("there is no terminal to ask for the password: use --password-stdin")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
