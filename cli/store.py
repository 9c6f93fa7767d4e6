"""`doorline store`: add stores, see them, and add their cameras and lines."""

from datetime import datetime, time
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from cli import central
from cli.main import fail

if TYPE_CHECKING:
    from server.stores.models import LineKind

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
    store_format: Annotated[
        str, typer.Option("--format", help="How it is run, such as outlet; reports choose by it.")
    ] = "",
    tag: Annotated[list[str] | None, typer.Option(help="Whatever else reports choose by; may be repeated.")] = None,
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
        format=store_format,
        tags=tag or [],
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
    installed_at: Annotated[
        str, typer.Option(help="Coverage is due from then on, such as 2026-11-01T09:00+08:00; now when left out.")
    ] = "",
) -> None:
    """Register a camera and its lines, all or nothing; coverage is due from it from now on, or --installed-at.

    Example: doorline store add-camera S01 S01-C1 --line S01-L1 --name "main door" --installed-at 2026-11-01T09:00+08:00
    """
    from server.stores.service import StoresService

    lines = line or []
    since = _instant(installed_at, "--installed-at") if installed_at else None
    with central.database() as db:
        StoresService(db).add_camera(central.operator(), store_id, camera_id, name, since, lines)
    typer.echo(f"Added camera {camera_id} with {len(lines)} line(s) to {store_id}.")


@app.command("add-line")
def add_line(
    camera: Annotated[str, typer.Argument(metavar="STORE/CAMERA", help="Such as S01/S01-C1.")],
    lines: Annotated[list[str], typer.Argument(metavar="LINE...", help="Counting lines of it, such as S01-L2.")],
    kind: Annotated[str, typer.Option(help="What they count: door, street or interior.")] = "door",
) -> None:
    """Add counting lines to a camera that is there already, all of them or none.

    Example: doorline store add-line S01/S01-C1 S01-L2 S01-L3 --kind street
    """
    from server.stores.service import StoresService

    store_id, slash, camera_id = camera.partition("/")
    if not slash:
        fail(f"{camera!r} is not of the form STORE/CAMERA, such as S01/S01-C1")
    with central.database() as db:
        added = StoresService(db).add_lines(central.operator(), store_id, camera_id, lines, _kind(kind))
    typer.echo(f"Added {len(added)} line(s) to camera {camera_id} of {store_id}.")


@app.command()
def label(
    store_id: Annotated[str, typer.Argument(metavar="STORE")],
    valid_from: Annotated[
        datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First business day; earlier reports do not move.")
    ],
    store_format: Annotated[
        str | None, typer.Option("--format", help="How it is run, such as outlet; '' takes it away.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="All tags it has from then on; may be repeated.")] = None,
    no_tags: Annotated[bool, typer.Option("--no-tags", help="It has none from then on.")] = False,
    region: Annotated[str | None, typer.Option(help="For roll-ups; '' takes it away.")] = None,
) -> None:
    """Change a store's region, format and tags from a business day on; what is not named stays as it was.

    Example: doorline store label S01 --from 2027-01-01 --region 华东 --format flagship --tag airport
    """
    from server.stores.labels import LabelsService

    if store_format is None and region is None and not tag and not no_tags:
        fail("nothing is to change; name --region, --format, --tag or --no-tags")
    tags = [] if no_tags else tag
    with central.database() as db:
        new = LabelsService(db).set_labels(
            central.operator(), store_id, valid_from.date(), store_format=store_format, tags=tags, region=region
        )
    told = f"region {new.region or 'none'}, format {new.format or 'none'}, tags {', '.join(new.tags) or 'none'}"
    typer.echo(f"{store_id} from {new.valid_from} on: {told}.")


@app.command()
def exception(
    store_id: Annotated[str, typer.Argument(metavar="STORE")],
    day: Annotated[datetime, typer.Argument(metavar="DATE", formats=["%Y-%m-%d"], help="On the wall calendar.")],
    hours: Annotated[
        str, typer.Argument(metavar="HOURS", help="Such as 10:00-16:00 or 10:00-13:00,14:00-16:00; closed; or usual.")
    ],
    why: Annotated[str, typer.Option("--why", help="The reason.")] = "",
) -> None:
    """Set when a store opens on one date, whatever its weekday says; `usual` leaves it to the weekday again.

    Example: doorline store exception S01 2026-12-24 10:00-14:00 --why "Christmas Eve"
    """
    from server.stores.calendar import OpeningSpan
    from server.stores.opening import OpeningService
    from server.stores.service import StoresService

    spans = []
    for part in () if hours in ("closed", "usual") else hours.split(","):
        opens, dash, closes = part.partition("-")
        if not dash:
            fail(f"{part!r} is not of the form 10:00-16:00")
        spans.append(OpeningSpan(day.weekday(), _time(opens, "HOURS"), _time(closes, "HOURS")))
    with central.database() as db:
        opening = OpeningService(db, StoresService(db))
        if hours == "usual":
            opening.clear_exception(central.operator(), store_id, day.date())
        else:
            opening.set_exception(central.operator(), store_id, day.date(), spans, why)
    typer.echo(f"{store_id} on {day:%Y-%m-%d}: {hours}.")


def _kind(text: str) -> "LineKind":
    from server.stores.models import LineKind

    if text not in get_args(LineKind):
        fail(f"--kind {text!r} is none of {', '.join(get_args(LineKind))}")
    return cast("LineKind", text)


def _instant(text: str, option: str) -> datetime:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        fail(f"{option}: {text!r} is no time such as 2026-11-01T09:00+08:00")
    if at.tzinfo is None:
        fail(f"{option}: {text!r} has no offset from UTC; add it, as in 2026-11-01T09:00+08:00")
    return at


def _time(text: str, option: str) -> time:
    try:
        return time.fromisoformat(text.strip())
    except ValueError:
        fail(f"{option}: {text!r} is no time of day such as 10:00")
