"""`doorline store`: add stores, see them, and add their cameras and lines."""

from datetime import time
from typing import Annotated

import typer

from cli import central
from cli.main import fail

app = typer.Typer(no_args_is_help=True, help="Add stores, opening hours, cameras and lines.")


@app.command()
def add(
    store_id: Annotated[str, typer.Argument(metavar="ID", help="Such as S01; it never changes.")],
    name: Annotated[str, typer.Option(help="The name people know it by.")],
    timezone: Annotated[str, typer.Option(help="IANA name.")] = "Asia/Shanghai",
    hours: Annotated[
        str, typer.Option(help="Opening hours of every day, on quarter hours; past midnight is fine (18:00-02:00).")
    ] = "10:00-22:00",
    day_starts: Annotated[str, typer.Option(help="When the business day begins, local time.")] = "04:00",
    region: Annotated[str, typer.Option(help="For roll-ups.")] = "",
    country: Annotated[
        str | None, typer.Option(help="ISO 3166, two letters; DOORLINE_DEFAULT_COUNTRY when left out.")
    ] = None,
    currency: Annotated[str, typer.Option(help="ISO 4217, three letters.")] = "CNY",
) -> None:
    """Add a store.

    Example: doorline store add S01 --name 静安店 --timezone Asia/Shanghai --hours 10:00-22:00
    """
    from server.stores.models import NewStore, every_day
    from server.stores.service import StoresService

    opens, dash, closes = hours.partition("-")
    if not dash:
        fail(f"--hours {hours!r} is not of the form 10:00-22:00")
    new = NewStore(
        store_id=store_id,
        name=name,
        timezone=timezone,
        region=region,
        country=country or central.settings().default_country,
        currency=currency,
        day_starts=_time(day_starts, "--day-starts"),
        hours=every_day(_time(opens, "--hours"), _time(closes, "--hours")),
    )
    with central.database() as db:
        added = StoresService(db).add_store(central.operator(), new)
    typer.echo(f"Added {added.store_id} {added.name} ({added.timezone}, {added.currency}).")


@app.command("list")
def list_() -> None:
    """List the stores.

    Example: doorline store list
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from server.stores.service import StoresService

    with central.database() as db:
        stores = StoresService(db).stores(central.operator())
    if not stores:
        typer.echo("There is no store yet. Add one: doorline store add S01 --name 静安店")
        return
    table = Table("id", "name", "region", "country", "currency", "timezone", "day starts")
    for store in stores:
        starts = f"{store.day_starts:%H:%M}"
        table.add_row(
            *map(escape, (store.store_id, store.name, store.region, store.country, store.currency, store.timezone)),
            starts,
        )
    Console().print(table)


@app.command("add-camera")
def add_camera(
    store_id: Annotated[str, typer.Argument(metavar="STORE")],
    camera_id: Annotated[str, typer.Argument(metavar="CAMERA", help="Such as S01-C1; it survives a change of box.")],
    line: Annotated[
        list[str] | None, typer.Option(help="A counting line of it, such as S01-L1; may be repeated.")
    ] = None,
    name: Annotated[str, typer.Option(help="Where it hangs.")] = "",
) -> None:
    """Register a camera and its lines; coverage is due from it from now on.

    Example: doorline store add-camera S01 S01-C1 --line S01-L1 --name "main door"
    """
    from server.stores.service import StoresService

    with central.database() as db:
        stores, scope = StoresService(db), central.operator()
        stores.add_camera(scope, store_id, camera_id, name)
        for line_id in line or []:
            stores.add_line(scope, camera_id, line_id)
    typer.echo(f"Added camera {camera_id} with {len(line or [])} line(s) to {store_id}.")


def _time(text: str, option: str) -> time:
    try:
        return time.fromisoformat(text.strip())
    except ValueError:
        fail(f"{option}: {text!r} is no time of day such as 10:00")
