"""`doorline stored-value`: the rules of a currency, what is owed to holders of cards, and what stores owe each other.

Everything of the server is imported inside the commands, so that `--help` costs nothing. Money on cards is moved at the
desk and nowhere else: no command tops up or pays out.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated
from uuid import uuid4

import typer

from cli import central
from cli.main import fail

app = typer.Typer(no_args_is_help=True, help="Stored value: rules, what is owed, who owes whom.")

_DAYS = ["%Y-%m-%d"]
Currency = Annotated[str, typer.Option(help="Three letters, such as CNY.")]


@app.command()
def rules(currency: Currency) -> None:
    """Print the rules of a currency and what top-ups bring on top.

    Example: doorline stored-value rules --currency CNY
    """
    with central.services() as services:
        now = services.value_rules.settings(central.operator(), currency)
        bonus = services.value_rules.bonus_rules(central.operator(), currency)
    for name, cap in (("a member's card", now.cap_registered), ("an unregistered card", now.cap_unregistered)):
        typer.echo(f"most on {name}: {'no limit' if cap is None else f'{cap:,} {currency}'}")
    typer.echo(f"a purchase takes: {now.spend_order.replace('_', ' ')}")
    typer.echo(f"paid back on demand for {now.cooling_off_days} days; after that a fee of {now.late_fee_percent}%")
    typer.echo(f"bonus is borne by the one that {'sold' if now.bonus_borne_by == 'seller' else 'served'}")
    for rule in bonus:
        where = "everywhere" if rule.store_ids is None else ", ".join(rule.store_ids)
        typer.echo(f"bonus {rule.rule_id}: from {rule.from_amount:,} on {rule.amount:,} and {rule.percent}%, {where}")


@app.command()
def liability() -> None:
    """Print what is owed to holders of cards, by the store that sold them.

    Example: doorline stored-value liability
    """
    from rich.console import Console
    from rich.table import Table

    with central.services() as services:
        found = services.settlement.liability(central.operator())
    if not found:
        typer.echo("Nothing is owed.")
        return
    table = Table("store", "currency", "cards", "principal", "bonus")
    for each in found:
        table.add_row(each.store_id, each.currency, f"{each.cards:,}", f"{each.principal:,}", f"{each.bonus:,}")
    Console().print(table)


@app.command()
def settlement(
    since: Annotated[datetime, typer.Option("--from", formats=_DAYS, help="First day (UTC).")],
    until: Annotated[datetime, typer.Option("--to", formats=_DAYS, help="Last day (UTC), included.")],
) -> None:
    """Print who sold and who served within some days, and what is owed now.

    Example: doorline stored-value settlement --from 2026-11-01 --to 2026-11-30
    """
    from rich.console import Console
    from rich.table import Table

    start, end = since.replace(tzinfo=UTC), until.replace(tzinfo=UTC) + timedelta(days=1)
    with central.services() as services:
        found = services.settlement.report(central.operator(), start, end)
    if not found:
        typer.echo("There was nothing.")
        return
    table = Table("sold by", "served by", "currency", "principal", "bonus", "paid out", "settled", "owed now")
    for row in found:
        amounts = (row.principal, row.bonus, row.paid_out, row.settled, row.owed)
        table.add_row(row.sold_by, row.served_by, row.currency, *(f"{amount:,}" for amount in amounts))
    Console().print(table)


@app.command()
def settle(
    payer: Annotated[str, typer.Argument(metavar="PAYER", help="The store that paid.", show_default=False)],
    payee: Annotated[str, typer.Argument(metavar="PAYEE", help="The store it paid.", show_default=False)],
    amount: Annotated[str, typer.Argument(help="How much, such as 120.50.", show_default=False)],
    currency: Currency,
    key: Annotated[str | None, typer.Option(help="Idempotency key; give the same one to ask again.")] = None,
) -> None:
    """Note that one store paid another what it owed, or part of it.

    Example: doorline stored-value settle S01 S02 120.50 --currency CNY
    """
    try:
        paid = Decimal(amount)
    except InvalidOperation:
        fail(f"{amount!r} is no amount; write it as 120.50")
    used = key or uuid4().hex
    with central.services() as services:
        done = services.settlement.settle(central.operator(), payer, payee, currency, paid, used)
    typer.echo(f"Noted as {done.posting_id}: {done.owed_after:,} {currency} are owed still (key {used}).")
