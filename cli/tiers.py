"""`doorline tiers`: the rules by which members have tiers, tried before they are saved.

Everything of the server is imported inside the commands, so that `--help` costs nothing.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import central
from cli.main import fail

if TYPE_CHECKING:
    from server.membership.tiers.rules import TierRules

app = typer.Typer(no_args_is_help=True, help="Tiers: who has which, by what rules.")

_MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
File = Annotated[Path, typer.Argument(metavar="FILE", help="JSON with rules.", show_default=False)]


@app.command()
def simulate(
    file: File,
    movers: Annotated[int, typer.Option(min=0, max=10_000, help="List so many of those who would move.")] = 20,
) -> None:
    """Show who would move under other rules, and what their benefits would cost on last year's spend. Changes nothing.

    Example: doorline tiers simulate tiers.json --movers 50
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    rules = _read(file)
    with central.services() as services:
        found = services.tier_simulations.simulate(central.operator(), rules, movers)
    console = Console()
    table = Table("has", "would have", "members", f"cost now ({found.currency})", "cost then")
    for pair in found.pairs:
        table.add_row(
            escape(pair.from_tier),
            escape(pair.to_tier) if pair.to_tier != pair.from_tier else "the same",
            f"{pair.members:,}",
            f"{pair.cost_now:,}",
            f"{pair.cost_then:,}",
        )
    console.print(table)
    if found.movers:
        people = Table("card", "has", "would have", "spend", "visits", "points")
        for each in found.movers:
            people.add_row(
                each.card_no,
                escape(each.from_tier),
                escape(each.to_tier),
                f"{each.spend:,}",
                f"{each.visits:,}",
                f"{each.points:,}",
            )
        console.print(people)
    typer.echo(
        f"{found.moving:,} of {found.members:,} members would move; benefits cost {found.cost_now:,} {found.currency} a"
        f" year by the rules in force and would cost {found.cost_then:,}"
    )


@app.command()
def rules(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="JSON with new rules; without it those in force are printed."),
    ] = None,
    why: Annotated[str, typer.Option("--why", help="The reason, in words.")] = "",
    valid_from: Annotated[
        datetime | None, typer.Option("--from", formats=_MOMENTS, help="From when on (UTC); now if left out.")
    ] = None,
) -> None:
    """Print the rules in force, or save new ones.

    Example: doorline tiers rules tiers.json --why "a tier for regulars" --from 2027-01-01
    """
    from server.membership.tiers import rules as rules_of

    if file is None:
        with central.services() as services:
            saved, found = services.tiers.rules(central.operator())
        typer.echo(rules_of.written(found))
        typer.echo(f"version {saved.version}, by {saved.made_by}: {saved.reason}", err=True)
        return
    new = _read(file)
    starts = None if valid_from is None else valid_from.replace(tzinfo=UTC)
    with central.services() as services:
        kept = services.tiers.save_rules(central.operator(), new, why, starts)
    typer.echo(f"Saved as version {kept.version}; in force from {kept.valid_from:%Y-%m-%d %H:%M} UTC.")


def _read(file: Path) -> "TierRules":
    from server.membership.tiers import rules as rules_of

    try:
        text = file.read_bytes()
    except OSError as error:
        fail(f"can't read {file}: {error.strerror or error}")
    return rules_of.read(text)
