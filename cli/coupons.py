"""`doorline coupons`: what is promised, what became of it, and issuing by hand to one member or to a group.

Everything of the server is imported inside the commands, so that `--help` costs nothing. A definition is a file of JSON
with the fields of the API, so that what is promised can be kept beside a chain's other papers.
"""

from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from cli import central
from cli.main import fail

app = typer.Typer(no_args_is_help=True, help="Coupons: what is promised, issued and used.")

Number = Annotated[int, typer.Argument(metavar="ID", help="Of the definition.", show_default=False)]


@app.command("list")
def list_(ended: Annotated[bool, typer.Option(help="Those that were ended, too.")] = False) -> None:
    """List definitions with what became of their coupons.

    Example: doorline coupons list --ended
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    with central.services() as services:
        found = services.coupon_definitions.definitions(central.operator(), ended=ended)
        tallies = services.coupon_groups.tallies(central.operator())
    if not found:
        typer.echo("There are none.")
        return
    table = Table("id", "title", "gives", "issued on", "issued", "open", "used", "expired", "voided")
    for each in found:
        tally = tallies.get(each.definition_id)
        counts = (tally.issued, tally.open, tally.redeemed, tally.expired, tally.voided) if tally else (0, 0, 0, 0, 0)
        gives = each.gift_sku or f"{each.value}{'%' if each.kind == 'percent' else f' {each.currency}'}"
        title = next(iter(each.title.values())) + (" (ended)" if each.ended_at else "")
        table.add_row(
            str(each.definition_id),
            escape(title),
            escape(gives),
            each.issue_on or "by hand",
            *(f"{count:,}" for count in counts),
        )
    Console().print(table)


@app.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON: title, kind, currency, value and the like.")],
    dry_run: Annotated[bool, typer.Option(help="Check the file, keep nothing.")] = False,
) -> None:
    """Add a definition. It is never changed: to change a promise, end it and add another.

    Example: doorline coupons add welcome.json --dry-run
    """
    from dataclasses import fields

    import msgspec

    from server.membership.coupons.definitions import check
    from server.membership.coupons.models import NewDefinition

    try:
        text = file.read_bytes()
    except OSError as error:
        fail(f"can't read {file}: {error.strerror or error}")
    try:
        given = msgspec.json.decode(text, type=dict[str, object])
        # A misspelt field that is passed over is a promise nobody meant.
        unknown = sorted(given.keys() - {each.name for each in fields(NewDefinition)})
        if unknown:
            fail(f"{file} has fields no definition has: {', '.join(unknown)}; see docs/coupons.md")
        new = msgspec.convert(given, NewDefinition)
    except msgspec.DecodeError as error:
        fail(f"{file} is no definition: {error}; see docs/coupons.md")
    check(new)
    if dry_run:
        typer.echo("This definition can be added.")
        return
    with central.services() as services:
        made = services.coupon_definitions.add(central.operator(), new)
    typer.echo(f"Added as {made.definition_id}.")


@app.command()
def end(number: Number) -> None:
    """Issue no more of a definition; coupons that are out hold as long as they were to.

    Example: doorline coupons end 3
    """
    with central.services() as services:
        services.coupon_definitions.end(central.operator(), number)
    typer.echo("Ended: no more are issued.")


@app.command()
def issue(
    number: Number,
    card: Annotated[str, typer.Argument(metavar="CARD", help="A card or a whole phone number.", show_default=False)],
    key: Annotated[str | None, typer.Option(help="Idempotency key; give the same one to ask again.")] = None,
) -> None:
    """Issue one coupon to a member.

    Example: doorline coupons issue 3 6201234567
    """
    with central.services() as services:
        member = services.membership.find_exact(central.operator(), card)
        if member is None:
            fail("no member has this card or number")
        made = services.coupons.issue(central.operator(), number, member.member_id, key or uuid4().hex)
        code = services.coupons.code(central.operator(), made.coupon_id)
    typer.echo(f"Issued: {code}, until {made.valid_until:%Y-%m-%d %H:%M} UTC.")


@app.command()
def group(
    number: Number,
    key: Annotated[str, typer.Option(help="Names this issue: with the same key nobody gets a second coupon.")],
    tier: Annotated[str | None, typer.Option(help="Of this tier.")] = None,
    stage: Annotated[str | None, typer.Option(help="In this stage of life, such as at_risk.")] = None,
    store: Annotated[str | None, typer.Option(help="With this home store.")] = None,
    high: Annotated[bool, typer.Option("--high", help="Of high value.")] = False,
) -> None:
    """Issue to all members of a group; safe to break off and to run again with the same key.

    Example: doorline coupons group 3 --stage at_risk --key autumn-2026
    """
    from server.membership.coupons.models import Group

    asked = Group(tier=tier, stage=stage, store_id=store, high=high)
    issued = not_asked = used_up = 0
    after = None
    with central.services() as services:
        while True:
            done = services.coupon_groups.issue(central.operator(), number, asked, key, after)
            issued, not_asked, used_up = issued + done.issued, not_asked + done.not_asked, used_up + done.used_up
            after = done.after
            if after is None:
                break
            typer.echo(f"{issued:,} issued so far", err=True)
    typer.echo(f"{issued:,} issued; {not_asked:,} have not agreed to offers, {used_up:,} have had all they may.")
