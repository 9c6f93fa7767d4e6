"""`doorline webhooks`: who outside is told what happens."""

from typing import Annotated
from uuid import UUID

import typer

from cli import central

app = typer.Typer(no_args_is_help=True, help="Who outside is told what happens.")

Id = Annotated[UUID, typer.Argument(metavar="ID", help="As `list` shows it.", show_default=False)]


@app.callback()
def webhooks() -> None:
    """Who outside is told what happens."""


@app.command()
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="https://…", show_default=False)],
    kind: Annotated[list[str], typer.Option(help="Kind of event, such as receipt.recorded; may be repeated.")],
    store: Annotated[list[str] | None, typer.Option(help="Only of this store; may be repeated.")] = None,
    note: Annotated[str, typer.Option(help="Whose it is.")] = "",
) -> None:
    """Subscribe an address to what happens from now on, and show its secret, once.

    Example: doorline webhooks add https://crm.example.com/doorline --kind receipt.recorded --kind tier.changed
    """
    with central.services() as services:
        made = services.webhooks.add(central.operator(), url, kind, store_ids=store or None, note=note)
    typer.echo(f"webhook {made.webhook.webhook_id}")
    typer.echo(f"secret  {made.secret}")
    typer.echo("the secret is not shown again", err=True)


@app.command("list")
def list_() -> None:
    """Show who is told, how each does, and which are paused and why.

    Example: doorline webhooks list
    """
    with central.services() as services:
        for each in services.webhooks.all(central.operator()):
            state = f"paused: {each.paused_why}" if each.paused_at else f"{each.failures} failures in a row"
            typer.echo(f"{each.webhook_id} {each.url} {','.join(each.kinds)}; {each.waiting:,} waiting; {state}")


@app.command()
def end(webhook_id: Id) -> None:
    """Tell an address nothing more.

    Example: doorline webhooks end 5f1e8a0c-3b54-4d8e-9a55-2f6f6b1c7d10
    """
    with central.services() as services:
        services.webhooks.end(central.operator(), webhook_id)


@app.command()
def resume(webhook_id: Id) -> None:
    """Tell an address again that was paused, beginning with what waits.

    Example: doorline webhooks resume 5f1e8a0c-3b54-4d8e-9a55-2f6f6b1c7d10
    """
    with central.services() as services:
        services.webhooks.resume(central.operator(), webhook_id)


@app.command()
def deliveries(webhook_id: Id, limit: Annotated[int, typer.Option(min=1, max=500)] = 50) -> None:
    """Show what was and is to be delivered, the latest first.

    Example: doorline webhooks deliveries 5f1e8a0c-3b54-4d8e-9a55-2f6f6b1c7d10 --limit 20
    """
    with central.services() as services:
        for each in services.webhooks.deliveries(central.operator(), webhook_id, limit=limit):
            ended = f"{each.status or ''} {each.reason}".strip()
            typer.echo(
                f"{each.delivery_id} {each.kind} {each.subject} event {each.event_id}: {each.state},"
                f" {each.attempts} attempts {ended}".rstrip()
            )


@app.command()
def send(webhook_id: Id, delivery_id: Annotated[int, typer.Argument(metavar="DELIVERY", show_default=False)]) -> None:
    """Send a delivery again.

    Example: doorline webhooks send 5f1e8a0c-3b54-4d8e-9a55-2f6f6b1c7d10 17
    """
    with central.services() as services:
        services.webhooks.send_again(central.operator(), webhook_id, delivery_id)
