"""`doorline points`: what members have, adjusting by two people, rules, what is owed, and the proof of the books.

Everything of the server is imported inside the commands, so that `--help` costs nothing. Whoever runs a command
stands in the ledger and the audit trail by their name on this machine, which is also what tells two people apart.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID, uuid4

import typer

from cli import central
from cli.main import fail

if TYPE_CHECKING:
    from server.membership.models import MemberRef

app = typer.Typer(no_args_is_help=True, help="Points: what members have and the chain owes.")

_MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
Card = Annotated[str, typer.Argument(metavar="CARD", help="A card number.", show_default=False)]
Why = Annotated[str, typer.Option("--why", help="The reason, in words.")]


@app.command()
def show(
    card: Card,
    store: Annotated[str, typer.Option(help="Where the member is.")],
    entries: Annotated[int, typer.Option(help="So many of the latest entries.", min=0, max=500)] = 10,
) -> None:
    """Print what a member has, what expires next and the latest entries.

    Example: doorline points show 6201234567 --store S01
    """
    from rich.console import Console
    from rich.table import Table

    with central.services() as services:
        found = services.points.balance_at_till(central.operator(), store, _ref(card))
        ledger = services.points.entries(central.operator(), found.member_id, limit=entries) if entries else []
    typer.echo(f"{found.balance:,} points, {found.pending:,} pending")
    for each in found.expiring:
        typer.echo(f"{each.points:,} expire on {each.at:%Y-%m-%d %H:%M} UTC")
    if ledger:
        table = Table("no", "at (UTC)", "kind", "points", "pending", "balance", "store", "receipt", "by")
        for entry in ledger:
            table.add_row(
                str(entry.entry_id),
                f"{entry.at:%Y-%m-%d %H:%M}",
                entry.kind,
                f"{entry.points:+,}",
                f"{entry.pending:+,}",
                f"{entry.balance:,}",
                entry.store_id or "",
                entry.receipt_no or "",
                entry.actor,
            )
        Console().print(table)


@app.command()
def adjust(
    card: Card,
    points: Annotated[int, typer.Argument(help="How many; with -- before it, fewer: -- -50.", show_default=False)],
    why: Why,
    store: Annotated[str, typer.Option(help="On behalf of which store; where the member is.")],
    key: Annotated[str | None, typer.Option(help="Idempotency key; give the same one to ask again.")] = None,
) -> None:
    """Give points, or take some; over the rules' limit a day a second person has to approve.

    Example: doorline points adjust 6201234567 50 --store S01 --why "waited too long"
    """
    used = key or str(uuid4())
    with central.services() as services:
        who = services.points.balance_at_till(central.operator(), store, _ref(card)).member_id
        done = services.adjustments.adjust(central.operator(), who, points, why, used, store)
    if done.entry is not None:
        typer.echo(f"Booked as {done.entry.entry_id}: the balance is {done.entry.balance:,}.")
    elif done.request is not None:
        typer.echo(f"Over the limit: request {done.request.request_id} waits for a second person (key {used}).")


@app.command()
def requests(decided: Annotated[bool, typer.Option(help="Those decided, instead.")] = False) -> None:
    """List adjustments that wait for a second person.

    Example: doorline points requests
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    with central.services() as services:
        found = services.adjustments.requests(central.operator(), decided=decided)
    if not found:
        typer.echo("There are none.")
        return
    table = Table("id", "asked (UTC)", "by", "points", "why", "decision", "by", "why")
    for each in found:
        table.add_row(
            str(each.request_id),
            f"{each.requested_at:%Y-%m-%d %H:%M}",
            escape(each.requested_by),
            f"{each.points:+,}",
            escape(each.reason),
            each.decision or "",
            escape(each.decided_by or ""),
            escape(each.decision_reason or ""),
        )
    Console().print(table)


@app.command()
def approve(request_id: Annotated[int, typer.Argument(metavar="ID")], why: Why = "") -> None:
    """Approve what somebody else asked for.

    Example: doorline points approve 12
    """
    with central.services() as services:
        done = services.adjustments.decide(central.operator(), request_id, "approved", why)
    typer.echo(f"Approved: booked as {done.entry_id}.")


@app.command()
def decline(request_id: Annotated[int, typer.Argument(metavar="ID")], why: Why) -> None:
    """Decline what somebody else asked for.

    Example: doorline points decline 12 --why "no such receipt"
    """
    with central.services() as services:
        services.adjustments.decide(central.operator(), request_id, "declined", why)
    typer.echo("Declined.")


@app.command("rules")
def rules_(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="JSON with new rules; without it those in force are printed."),
    ] = None,
    why: Why = "",
    valid_from: Annotated[
        datetime | None, typer.Option("--from", formats=_MOMENTS, help="From when on (UTC); now if left out.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Check the file, keep nothing.")] = False,
) -> None:
    """Print the rules by which points are earned, or save new ones.

    Example: doorline points rules points.json --why "double points in December" --from 2026-12-01
    """
    from server.membership.points import rules as rules_of

    if file is None:
        with central.services() as services:
            saved, rules = services.points.rules(central.operator())
        typer.echo(rules_of.written(rules))
        told = f"version {saved.version}, by {saved.made_by}: {saved.reason}" if saved else "nobody saved any"
        typer.echo(told, err=True)
        return
    try:
        text = file.read_bytes()
    except OSError as error:
        fail(f"can't read {file}: {error.strerror or error}")
    new = rules_of.read(text)
    if dry_run:
        typer.echo("These rules can be saved.")
        return
    starts = None if valid_from is None else valid_from.replace(tzinfo=UTC)
    with central.services() as services:
        kept = services.points.save_rules(central.operator(), new, why, starts)
    typer.echo(f"Saved as version {kept.version}; in force from {kept.valid_from:%Y-%m-%d %H:%M} UTC.")


@app.command()
def liability(
    currency: Annotated[str, typer.Option(help="In which points have a value by the rules.")],
    at: Annotated[
        datetime | None, typer.Option(formats=_MOMENTS, help="As of then (UTC), for the books; now if left out.")
    ] = None,
) -> None:
    """Print what the chain owes in points: by age of their lots and month in which they expire.

    Example: doorline points liability --currency CNY --at 2026-12-01
    """
    from rich.console import Console
    from rich.table import Table

    with central.services() as services:
        moment = None if at is None else at.replace(tzinfo=UTC)
        found = services.points_reports.liability(central.operator(), currency, moment)
    table = Table("years old", "expires", "state", "members", "points", currency)
    for row in found.rows:
        expires = "never" if row.expires is None else f"{row.expires:%Y-%m}"
        state = "pending" if row.is_pending else "open"
        table.add_row(str(row.age), expires, state, f"{row.members:,}", f"{row.points:,}", f"{row.worth:,}")
    Console().print(table)
    typer.echo(f"{found.points:,} points, {found.pending:,} of them pending: {found.worth:,} {currency}")
    if found.owed:
        typer.echo(f"{found.owed:,} points are owed by members, after refunds of what they had spent")


@app.command()
def check() -> None:
    """Prove that balances, ledger and lots agree; leaves with status 1 where they don't.

    Reads every entry there is. Example: doorline points check
    """
    from server.membership.points.reports import PointsReports
    from server.storage.pool import Database

    settings = central.settings()
    with Database(settings.dsn.get_secret_value(), 1, statement_seconds=0) as db:
        found = PointsReports(db).check(central.operator())
    for each in found:
        typer.echo(f"{each.what} of {each.subject}: {each.has:,}, should be {each.should:,}", err=True)
    if found:
        raise typer.Exit(1)
    typer.echo("Balances, ledger and lots agree.")


def _ref(card: str) -> "MemberRef":
    from server.membership.models import MemberRef

    try:
        return MemberRef(id=str(UUID(card)))
    except ValueError:
        return MemberRef(card=card.strip())
