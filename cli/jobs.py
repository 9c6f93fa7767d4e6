"""`doorline jobs` and `doorline kpi`: keep the numbers up to date, and read them in a terminal.

Everything of the server is imported inside the commands, so that `--help` costs nothing.
"""

import signal
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from decimal import Decimal

    from server.kpi.models import KpiValue, Report, ReportRow

_DAY_FORMATS = ["%Y-%m-%d"]
_SLUGS = "visitors,transactions,conversion,net_sales,atv,coverage"
_LEADERLESS = "another jobs process is at work; it does all of this"


def jobs(
    once: Annotated[bool, typer.Option("--once", help="Do every job once and leave, instead of by the clock.")] = False,
) -> None:
    """Keep the joined facts up to date, by the clock.

    Computes anew the days whose facts changed, today's of every open store, and yesterday's once it is over. Any number
    may run side by side: one works, the others stand by and take over when it ends.

    Example: DOORLINE_DSN=postgresql://doorline@db.example.com/doorline doorline jobs
    """
    from cli import central
    from cli.main import fail
    from server import logs
    from server.access.service import AccessService
    from server.jobs.process import JobsProcess, standard_jobs
    from server.kpi.service import KpiService
    from server.storage.pool import Database
    from server.stores.service import StoresService

    settings = central.settings()
    logs.configure()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Database(settings.dsn.get_secret_value(), settings.pool_size) as db:
        stores = StoresService(db)
        work = standard_jobs(settings, db, stores, KpiService(db, stores), AccessService(db, settings))
        process = JobsProcess(db, work)
        if not once:
            process.run(stop)
        elif not process.run_once(stop):
            fail(_LEADERLESS)


def kpi(
    names: Annotated[str, typer.Option("--kpi", help="Slugs, joined by commas.")] = _SLUGS,
    store: Annotated[
        list[str] | None, typer.Option(help="A store; may be given several times. All, if left out.")
    ] = None,
    day_from: Annotated[
        datetime | None, typer.Option("--from", formats=_DAY_FORMATS, help="First business day; six days before --to.")
    ] = None,
    day_to: Annotated[
        datetime | None, typer.Option("--to", formats=_DAY_FORMATS, help="Last business day; today.")
    ] = None,
    by: Annotated[
        str,
        typer.Option(help="chain, or some of: store, region, day, week, month, weekday, hour, hour_of_day, quarter."),
    ] = "store",
) -> None:
    """Print KPIs of stores over business days, with what is missing and why.

    Example: doorline kpi --kpi conversion,coverage --by store,day --from 2026-11-16 --to 2026-11-22
    """
    from rich.console import Console

    from cli import central
    from server.clock import utc_now
    from server.kpi.service import KpiService
    from server.stores.service import StoresService

    with central.database() as db:
        stores, scope = StoresService(db), central.operator()
        # The latest day any store is in: in Shanghai it is Monday's business day while UTC still has Sunday.
        todays = [calendar.day_of(utc_now()) for calendar in stores.calendars(scope).values()]
        last = day_to.date() if day_to else max(todays, default=utc_now().date())
        first = day_from.date() if day_from else last - timedelta(days=6)
        report = KpiService(db, stores).report(
            scope,
            kpis=[name.strip() for name in names.split(",") if name.strip()],
            day_from=first,
            day_to=last,
            store_ids=store or None,
            group_by=by,
        )
    Console().print(_table(report))


def _table(report: "Report") -> object:
    from rich.table import Table

    table = Table(
        title=f"{report.day_from} to {report.day_to}, as of {report.as_of:%Y-%m-%d %H:%M} UTC",
        caption=f"{report.pending} store-days wait to be computed anew" if report.pending else None,
        show_footer=False,
    )
    for name in report.group_by or ("chain",):
        table.add_column(name)
    for slug in report.kpis:
        table.add_column(slug, justify="right")
    for row in report.rows if report.group_by else ():
        table.add_row(*row.labels.values(), *_cells(row, report))
    if len(report.rows) != 1 or not report.group_by:
        table.add_section()
        table.add_row("all", *[""] * (len(report.group_by) - 1), *_cells(report.total, report))
    return table


def _cells(row: "ReportRow", report: "Report") -> list[str]:
    return [_cell(row.values[slug]) for slug in report.kpis]


def _cell(value: "KpiValue") -> str:
    if value.value is None:
        return f"({value.withheld})"
    if value.unit == "ratio":
        return f"{100 * value.value:.1f}%" + _between(value.low, value.high)
    if value.unit in ("count", "people", "hours"):
        return f"{value.value:,}"
    return f"{value.value:,} {value.unit}"


def _between(low: "Decimal | None", high: "Decimal | None") -> str:
    return "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
