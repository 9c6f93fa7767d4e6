"""`doorline user`: people who sign in, and keys for tills and BI tools. The first administrator comes from here.

No password is ever made up by the program and kept: one is typed, or a temporary one is printed once and opens nothing
but the form that replaces it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli import central
from cli.main import fail

if TYPE_CHECKING:
    from server.access.models import KeyRole, Locale, UserRole
    from server.access.service import AccessService

app = typer.Typer(no_args_is_help=True, help="People who sign in, and keys for tills and BI tools.")

_STORES = typer.Option("--store", help="A store they work for; may be repeated. None for admin and hq, who see all.")


@app.command()
def add(
    username: Annotated[str, typer.Argument(metavar="USERNAME")],
    role: Annotated[str, typer.Option(help="admin, hq, region, manager or desk.")],
    store: Annotated[list[str] | None, _STORES] = None,
    name: Annotated[str, typer.Option(help="The name shown; the user name when left out.")] = "",
    locale: Annotated[str, typer.Option(help="Language: zh or en.")] = "zh",
    password_stdin: Annotated[bool, typer.Option(help="Read the password from standard input, one line.")] = False,
    temporary: Annotated[
        bool, typer.Option("--temporary", help="Print a temporary password, to be replaced at the first sign-in.")
    ] = False,
) -> None:
    """Add a person who can sign in; the password is asked for and never stands on the command line.

    Example: doorline user add wang --role manager --store S01
    """
    if temporary and password_stdin:
        fail("give --temporary or --password-stdin, not both")
    password = "" if temporary else _password(from_stdin=password_stdin)
    given = (name, cast("UserRole", role), store or [], cast("Locale", locale))
    with _access() as access:
        if temporary:
            made, password = access.invite_user(central.operator(), username, *given)
            _show_temporary(password)
        else:
            made = access.create_user(central.operator(), username, password, *given)
    stores = ", ".join(made.stores) or "all stores"
    typer.echo(f"Added {made.username} ({made.role}, {stores}).")


@app.command("add-key")
def add_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which till or tool will use it.")],
    role: Annotated[str, typer.Option(help="till, hq or admin.")] = "till",
    store: Annotated[list[str] | None, typer.Option("--store", help="A store it may touch; may be repeated.")] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=36_000, help="Days until it ends; never when left out.")
    ] = None,
    right: Annotated[
        list[str] | None,
        typer.Option("--right", help="What it may do, such as kpi:read; may be repeated. None: what its role may."),
    ] = None,
) -> None:
    """Make an API key for a till or a BI tool and print it, once.

    Example: doorline user add-key "till 3" --store S01 --days 365 --right receipts:write
    """
    from server.clock import utc_now

    ends = None if days is None else utc_now() + timedelta(days=days)
    with _access() as access:
        _show_key(
            access.create_api_key(
                central.operator(), name, cast("KeyRole", role), store or [], expires_at=ends, rights=right or []
            )
        )


@app.command("keys")
def keys() -> None:
    """Print all API keys, without their secrets; times in UTC.

    Example: doorline user keys
    """
    with _access() as access:
        found = access.api_keys(central.operator())
    table = Table("Key", "Name", "Role", "Stores", "Rights", "Last used", "Ends", box=None, pad_edge=False)
    for key in found:
        used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"
        ends = f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "never"
        stores, rights = ", ".join(key.store_ids) or "all", ", ".join(key.rights) or "of its role"
        row = (key.key_id, key.name, key.role, stores, rights, used, "ended" if key.revoked_at else ends)
        table.add_row(*map(escape, row))
    Console().print(table)


@app.command("rotate-key")
def rotate_key(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="As `doorline user keys` shows it.")],
    overlap_hours: Annotated[int, typer.Option(min=0, max=720, help="How long the old one is still taken.")] = 24,
) -> None:
    """Make another key in place of one and print it, once; the old one is taken for a while yet.

    Example: doorline user rotate-key 1f0c33a0b2de --overlap-hours 72
    """
    with _access() as access:
        _show_key(access.rotate_api_key(central.operator(), key_id, timedelta(hours=overlap_hours)))


@app.command("end-key")
def end_key(key_id: Annotated[str, typer.Argument(metavar="KEY", help="As `doorline user keys` shows it.")]) -> None:
    """End an API key at once.

    Example: doorline user end-key 1f0c33a0b2de
    """
    with _access() as access:
        access.revoke_api_key(central.operator(), key_id)
    typer.echo(f"Ended {key_id}.")


@app.command("list")
def list_users() -> None:
    """Print everybody who can sign in, or could.

    Example: doorline user list
    """
    with _access() as access:
        found = access.users(central.operator())
    table = Table("User", "Name", "Role", "Stores", "Signs in by", "State", box=None, pad_edge=False)
    for user in found:
        by = "identity provider" if user.is_external else "password and code" if user.has_totp else "password"
        state = "disabled" if user.disabled_at else "temporary password" if user.must_change else ""
        row = (user.username, user.display_name, user.role, ", ".join(user.stores) or "all", by, state)
        table.add_row(*map(escape, row))
    Console().print(table)


@app.command()
def change(
    username: Annotated[str, typer.Argument(metavar="USERNAME")],
    role: Annotated[str | None, typer.Option(help="admin, hq, region, manager or desk.")] = None,
    store: Annotated[list[str] | None, typer.Option("--store", help="All stores they work for from now on.")] = None,
    name: Annotated[str | None, typer.Option(help="The name shown.")] = None,
) -> None:
    """Give a person another role, name or other stores; other rights end their sessions.

    Example: doorline user change wang --role region --store S01 --store S02
    """
    with _access() as access:
        user = access.change_user(
            central.operator(), username, display_name=name, role=cast("UserRole | None", role), stores=store
        )
    typer.echo(f"{user.username} is {user.role} of {', '.join(user.stores) or 'all stores'} now.")


@app.command()
def disable(username: Annotated[str, typer.Argument(metavar="USERNAME")]) -> None:
    """Bar a person from signing in and end their sessions.

    Example: doorline user disable wang
    """
    with _access() as access:
        access.disable_user(central.operator(), username)
    typer.echo(f"{username} can't sign in any more.")


@app.command()
def enable(username: Annotated[str, typer.Argument(metavar="USERNAME")]) -> None:
    """Let a person sign in again who was barred.

    Example: doorline user enable wang
    """
    with _access() as access:
        access.enable_user(central.operator(), username)
    typer.echo(f"{username} can sign in again.")


@app.command("reset-password")
def reset_password(username: Annotated[str, typer.Argument(metavar="USERNAME")]) -> None:
    """Print a temporary password for who forgot theirs, once; their sessions end.

    Example: doorline user reset-password wang
    """
    with _access() as access:
        _show_temporary(access.reset_password(central.operator(), username))


@app.command("reset-codes")
def reset_codes(username: Annotated[str, typer.Argument(metavar="USERNAME")]) -> None:
    """Take a person's one-time codes away, whose telephone is lost; their sessions end.

    Example: doorline user reset-codes wang
    """
    with _access() as access:
        access.reset_totp(central.operator(), username)
    typer.echo(f"{username} signs in without a code until others are set up.")


@app.command("end-sessions")
def end_sessions(username: Annotated[str, typer.Argument(metavar="USERNAME")]) -> None:
    """Sign a person out everywhere.

    Example: doorline user end-sessions wang
    """
    with _access() as access:
        ended = access.end_sessions(central.operator(), username)
    typer.echo(f"Ended {ended} sessions of {username}.")


@contextmanager
def _access() -> "Iterator[AccessService]":
    from server.access.service import AccessService

    with central.database() as db:
        yield AccessService(db, central.settings())


def _show_key(key: str) -> None:
    typer.echo("The key, which can't be shown again:", err=True)
    typer.echo(key)


def _show_temporary(password: str) -> None:
    typer.echo("The temporary password, which can't be shown again and is to be replaced within three days:", err=True)
    typer.echo(password)


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        fail("there is no terminal to ask for the password: use --password-stdin")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
