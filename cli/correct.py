"""`doorline correct`: what a number is corrected by, each with its reason, made and withdrawn and never changed.

Everything of the server is imported inside the commands, so that `--help` costs nothing.
"""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli import central
from cli.main import fail

if TYPE_CHECKING:
    from server.kpi.corrections.in_force import Correction, NewCorrection

app = typer.Typer(no_args_is_help=True, help="Correct what is counted: staff, groups, audits, intervals.")

_DAY_FORMATS = ["%Y-%m-%d"]
_ALL = "all"

Store = Annotated[str, typer.Argument(metavar="STORE", help="A store; `all` sets the chain's default.")]
OneStore = Annotated[str, typer.Argument(metavar="STORE")]
Why = Annotated[str, typer.Option("--why", help="The reason, as readers of the number will be told it.")]
First = Annotated[datetime, typer.Option("--from", formats=_DAY_FORMATS, help="First business day it holds on.")]
Last = Annotated[
    datetime | None, typer.Option("--to", formats=_DAY_FORMATS, help="The last; until further notice if left out.")
]


@app.command("staff-rate")
def staff_rate(
    store: Store,
    value: Annotated[str, typer.Argument(help="How often an hour a member of staff comes in by counted doors.")],
    why: Why,
    day_from: First,
    day_to: Last = None,
) -> None:
    """Take staff off the entries: hours of the roster times a rate, where they are not tagged.

    Example: doorline correct staff-rate S01 1.5 --from 2026-11-01 --why "watched for a day"
    """
    _make_factor("staff_rate", store, value, why, day_from, day_to)


@app.command("group-factor")
def group_factor(
    store: Store,
    value: Annotated[str, typer.Argument(help="Visitors to a buying group, such as 1.6.")],
    why: Why,
    day_from: First,
    day_to: Last = None,
) -> None:
    """Make buying groups of visitors by a factor, in place of those that cameras formed.

    Example: doorline correct group-factor all 1.6 --from 2026-11-01 --why "survey of October"
    """
    _make_factor("group_factor", store, value, why, day_from, day_to)


@app.command()
def accuracy(
    store: OneStore,
    counted: Annotated[int, typer.Option(help="Crossings the counter counted during the audit.")],
    missed: Annotated[int, typer.Option(help="Crossings it did not count.")],
    invented: Annotated[int, typer.Option(help="Of those it counted, those that never were.")],
    why: Why,
    day_from: First,
    day_to: Last = None,
    line: Annotated[str | None, typer.Option(help="The audited line; all door lines if left out.")] = None,
) -> None:
    """Correct a door by an audit: counts are multiplied by its factor, and intervals widened by what it leaves open.

    `doorline audit` says how many were counted, missed and invented.

    Example: doorline correct accuracy S01 --line S01-L1 --counted 338 --missed 9 --invented 2 --from 2026-11-01
    --why "audit of 31 October"
    """
    from server.kpi.corrections.in_force import Audit, NewCorrection

    _make(
        NewCorrection(
            "accuracy",
            why,
            store,
            day_from=day_from.date(),
            day_to=day_to.date() if day_to else None,
            line_id=line,
            audit=Audit(counted, missed, invented),
        )
    )


@app.command()
def exclude(
    store: OneStore,
    starts_at: Annotated[str, typer.Argument(metavar="START", help="Such as 2026-11-16T10:00+08:00.")],
    ends_at: Annotated[str, typer.Argument(metavar="END", help="Such as 2026-11-16T10:30+08:00.")],
    why: Why,
    line: Annotated[str | None, typer.Option(help="What it counted alone; all lines if left out.")] = None,
) -> None:
    """Leave out an interval, such as a delivery or an alarm: what was counted in its quarter hours is no visits.

    Example: doorline correct exclude S01 2026-11-16T10:00+08:00 2026-11-16T10:30+08:00 --why "delivery"
    """
    from server.kpi.corrections.in_force import NewCorrection

    _make(
        NewCorrection(
            "excluded",
            why,
            store,
            line_id=line,
            starts_at=_instant(starts_at, "START"),
            ends_at=_instant(ends_at, "END"),
        )
    )


@app.command("list")
def list_(
    store: Annotated[str | None, typer.Option(help="Of a store, with the chain's own; all if left out.")] = None,
    at: Annotated[str, typer.Option(help="Those that stood at a moment, such as 2026-11-16T10:00+08:00.")] = "",
    withdrawn: Annotated[bool, typer.Option("--withdrawn", help="Also those that were withdrawn.")] = False,
) -> None:
    """List corrections: what, where, from when to when, who made them and why.

    Example: doorline correct list --store S01 --withdrawn
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from server.kpi.correction_service import CorrectionsService
    from server.stores.service import StoresService

    moment = _instant(at, "--at") if at else None
    with central.database() as db:
        found = CorrectionsService(db, StoresService(db)).corrections(
            central.operator(), store, at=moment, withdrawn=withdrawn
        )
    if not found:
        typer.echo("No corrections.")
        return
    table = Table("id", "store", "what", "holds", "made by", "made at (UTC)", "why", "withdrawn")
    for each in found:
        ended = f"{each.withdrawn_by}: {each.withdrawn_reason}" if each.withdrawn_at else ""
        table.add_row(
            str(each.correction_id),
            escape(each.store_id or _ALL),
            escape(_what(each)),
            _holds(each),
            escape(each.made_by),
            f"{each.made_at:%Y-%m-%d %H:%M}",
            escape(each.reason),
            escape(ended),
        )
    Console().print(table)


@app.command()
def withdraw(
    correction_id: Annotated[int, typer.Argument(metavar="ID", help="As `list` numbers them.")], why: Why
) -> None:
    """End a correction. It is kept; days it held for are computed anew.

    Example: doorline correct withdraw 12 --why "the audit was of another door"
    """
    from server.kpi.correction_service import CorrectionsService
    from server.stores.service import StoresService

    with central.database() as db:
        ended = CorrectionsService(db, StoresService(db)).withdraw(central.operator(), correction_id, why)
    typer.echo(f"Withdrew correction {ended.correction_id} ({_what(ended)}).")


def _make_factor(
    kind: Literal["staff_rate", "group_factor"],
    store: str,
    value: str,
    why: str,
    day_from: datetime,
    day_to: datetime | None,
) -> None:
    from server.kpi.corrections.in_force import NewCorrection

    last = day_to.date() if day_to else None
    _make(NewCorrection(kind, why, _store(store), day_from=day_from.date(), day_to=last, value=_number(value)))


def _make(new: "NewCorrection") -> None:
    from server.kpi.correction_service import CorrectionsService
    from server.stores.service import StoresService

    with central.database() as db:
        made = CorrectionsService(db, StoresService(db)).make(central.operator(), new)
    typer.echo(
        f"Made correction {made.correction_id} of {made.store_id or 'the whole chain'}: {_what(made)}, {_holds(made)}."
    )


def _what(correction: "Correction") -> str:
    what = correction.kind.replace("_", " ")
    if correction.value is not None:
        what += f" {correction.value.normalize():f}"
    return f"{what} of {correction.line_id}" if correction.line_id else what


def _holds(correction: "Correction") -> str:
    if correction.starts_at is not None and correction.ends_at is not None:
        return f"{correction.starts_at:%Y-%m-%d %H:%M} to {correction.ends_at:%Y-%m-%d %H:%M} UTC"
    return f"from {correction.day_from}" + (f" to {correction.day_to}" if correction.day_to else "")


def _store(text: str) -> str | None:
    return None if text == _ALL else text


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        fail(f"{text!r} is no number such as 1.5")


def _instant(text: str, what: str) -> datetime:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        fail(f"{what}: {text!r} is no time such as 2026-11-16T10:00+08:00")
    if at.tzinfo is None:
        fail(f"{what}: {text!r} has no offset from UTC; add it, as in 2026-11-16T10:00+08:00")
    return at
