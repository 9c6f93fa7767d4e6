"""`doorline gaps`: what the cameras of a store did not measure, and why, in a terminal.

Everything of the server is imported inside the command, so that `--help` costs nothing.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import date
    from zoneinfo import ZoneInfo

    from server.ingest.gaps import LostRecords
    from server.ingest.ledger import Ledger, Sums

_DAY_FORMATS = ["%Y-%m-%d"]


def gaps(
    store: Annotated[str, typer.Option(help="The store.")],
    day_from: Annotated[
        datetime | None, typer.Option("--from", formats=_DAY_FORMATS, help="First business day; six days before --to.")
    ] = None,
    day_to: Annotated[
        datetime | None, typer.Option("--to", formats=_DAY_FORMATS, help="Last business day; today.")
    ] = None,
) -> None:
    """Print when a store's cameras were not measuring, and why; and what is lost for good.

    Example: doorline gaps --store S01 --from 2026-11-16 --to 2026-11-22
    """
    from zoneinfo import ZoneInfo

    from rich.console import Console

    from cli import central
    from server.clock import utc_now
    from server.ingest.ledger import GapLedger
    from server.stores.service import StoresService

    with central.database() as db:
        stores, scope = StoresService(db), central.operator()
        last: date = day_to.date() if day_to else stores.calendar(scope, store).day_of(utc_now())
        first: date = day_from.date() if day_from else last - timedelta(days=6)
        ledger = GapLedger(db, stores).ledger(scope, store, first, last)
    zone = ZoneInfo(ledger.timezone)
    Console().print(_gap_table(ledger, zone))
    for camera in ledger.cameras:
        typer.echo(f"{camera.camera_id}: {_sums(camera.seconds)}")
    if len(ledger.cameras) > 1:
        typer.echo(f"all: {_sums(ledger.total)}")
    for lost in ledger.lost:
        typer.echo(_lost(lost, zone))
    if ledger.dead_letters:
        typer.echo(f"{ledger.dead_letters} records were put aside: doorline ingest dead list --store {store}")


def _gap_table(ledger: "Ledger", zone: "ZoneInfo") -> object:
    from rich.table import Table

    from server.ingest.gaps import REASONS
    from server.ingest.gaps import gaps as taken_together

    table = Table(title=f"{ledger.store_id}, {ledger.day_from} to {ledger.day_to}, {ledger.timezone}")
    for name in ("camera", "from", "to"):
        table.add_column(name)
    for name in ("missing", "imputed", "late"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for gap in taken_together(ledger.quarters):
        aside = f" ({gap.dead_letters})" if gap.dead_letters else ""
        why = "; ".join(REASONS[reason] + (aside if reason == "dead_letter" else "") for reason in gap.reasons)
        start, end = gap.start.astimezone(zone), gap.end.astimezone(zone)
        table.add_row(
            gap.camera_id,
            f"{start:%m-%d %H:%M}",
            f"{end:%H:%M}" if end.date() == start.date() else f"{end:%m-%d %H:%M}",
            *(_length(seconds) for seconds in (gap.missing, gap.imputed, gap.late)),
            why,
        )
    return table


def _sums(sums: "Sums") -> str:
    if not sums.due:
        return "nothing was due"
    share = 100 * (sums.measured + sums.late) / sums.due
    return (
        f"{share:.1f}% of {_length(sums.due)} due was watched; late {_length(sums.late)}, "
        f"imputed {_length(sums.imputed)}, missing {_length(sums.missing)}"
    )


def _lost(lost: "LostRecords", zone: "ZoneInfo") -> str:
    which = f"epoch {lost.epoch[:8]}, {lost.from_seq} to {lost.to_seq}" if lost.epoch else "as it says itself"
    since = "" if lost.starts_at is None else f" after {lost.starts_at.astimezone(zone):%m-%d %H:%M}"
    what = f"{lost.records} records are lost" if lost.records > 0 else f"{-lost.records} records were found again"
    return f"{lost.device_id}: {what} ({which}){since}, before {lost.ends_at.astimezone(zone):%m-%d %H:%M}"


def _length(seconds: float) -> str:
    """Such as ``1:05`` hours and minutes; below one minute in seconds."""
    if not seconds:
        return "-"
    if seconds < 60:
        return f"{seconds:g} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02}"
