"""`doorline device`: enrol a box and give it its password."""

from typing import Annotated

import typer

from cli import central

app = typer.Typer(no_args_is_help=True, help="Enrol a box and give it its password.")


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its broker user name, unique in the chain.")],
    store: Annotated[str, typer.Option(help="The store it stands in.")],
) -> None:
    """Add a box and print its password, once.

    The password alone goes to standard output, so that it can be written to a file. The broker must be told it too.

    Example: doorline device add door-1 --store S01 > password
    """
    from server.stores.service import StoresService

    with central.database() as db:
        made = StoresService(db).add_device(central.operator(), store, name)
    typer.echo(f"Added {made.device_id} to {made.store_id}. Its password, which can't be shown again:", err=True)
    typer.echo(made.password)


@app.command()
def revoke(name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """End a box: what it sends is refused from then on.

    Example: doorline device revoke door-1
    """
    from server.stores.service import StoresService

    with central.database() as db:
        StoresService(db).revoke_device(central.operator(), name)
    typer.echo(f"Ended {name}.")
