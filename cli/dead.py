"""`doorline ingest dead …`: the records that could not be booked, each kept with what the box sent.

A record is put aside when its line is not registered, its date lies ahead, or it can't be read. Most are mended at the
centre (register the line) and then booked after all; a letter that never will be is dropped, with a reason that stays.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from cli import central
from cli.main import fail

if TYPE_CHECKING:
    from server.access.models import Scope
    from server.ingest.letters import DeadLetters
    from server.ingest.models import DeadLetter

app = typer.Typer(
    no_args_is_help=True,
    help="Records that were put aside: look, book them, or drop them.\n\nExample: doorline ingest dead list",
)

_PAGE = 500

Ids = Annotated[list[int] | None, typer.Argument(metavar="[ID]...", help="Letters, as `list` numbers them.")]
Store = Annotated[str | None, typer.Option(help="Only letters of this store.")]
Code = Annotated[str | None, typer.Option(help="Only letters put aside for this, such as unknown_line.")]


@app.command("list")
def list_(
    store: Store = None,
    code: Code = None,
    settled: Annotated[bool, typer.Option("--settled", help="Also those that were booked or dropped.")] = False,
    payload: Annotated[bool, typer.Option("--payload", help="Also what the box sent, one line of JSON each.")] = False,
    after: Annotated[int, typer.Option(help="Only ids beyond this one: the next page.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
) -> None:
    """List records that were put aside, and why.

    Example: doorline ingest dead list --store S01 --payload
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from server.ingest.letters import DeadLetters

    with central.database() as db:
        found = DeadLetters(db).list(
            central.operator(),
            store_id=store,
            code=code,
            settled=settled,
            after=after,
            limit=limit,
            payloads=payload,
        )
    if not found:
        typer.echo("No dead letters.")
        return
    table = Table("id", "store", "box", "number", "received (UTC)", "why", "state")
    for letter in found:
        table.add_row(
            str(letter.dead_letter_id),
            letter.store_id,
            letter.device_id,
            f"{letter.epoch[:8]}:{letter.seq}",
            f"{letter.received_at:%Y-%m-%d %H:%M}",
            escape(f"{letter.code}: {letter.reason}"),
            escape(_state(letter)),
        )
    Console().print(table)
    if payload:
        for letter in found:
            typer.echo(f"{letter.dead_letter_id} {letter.payload}")
    if len(found) == limit:
        typer.echo(f"There may be more: --after {found[-1].dead_letter_id}")


@app.command()
def retry(
    ids: Ids = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All open letters, of --store and --code if given.")
    ] = False,
    store: Store = None,
    code: Code = None,
) -> None:
    """Book records that were put aside, once what was wrong is mended (a line registered, say).

    Each is booked once, whoever else retries at the same moment. Leaves with status 1 when one could not be booked.

    Example: doorline ingest dead retry --all --code unknown_line
    """
    from server.ingest.letters import DeadLetters

    if bool(ids) == everything:
        fail("give the letters' ids, or --all")
    failed = 0
    with central.database() as db:
        letters, scope = DeadLetters(db), central.operator()
        for retried in letters.retry(scope, ids or _all_open(letters, scope, store, code)):
            words = {"booked": "booked", "in_part": "booked in part", "still_bad": "not booked", "settled": "left"}
            reason = f": {retried.reason}" if retried.reason else ""
            typer.echo(f"{retried.dead_letter_id} {words[retried.outcome]}{reason}")
            failed += retried.outcome in {"in_part", "still_bad"}
    if failed:
        raise typer.Exit(1)


@app.command()
def drop(
    ids: Annotated[list[int], typer.Argument(metavar="ID...", help="Letters, as `list` numbers them.")],
    reason: Annotated[str, typer.Option(help="Why they are not to be counted; kept with them and in the audit trail.")],
) -> None:
    """Give records up for good, all that are named or none; what the box sent is kept.

    Example: doorline ingest dead drop 17 18 --reason "test line of the installer"
    """
    from server.ingest.letters import DeadLetters

    with central.database() as db:
        DeadLetters(db).drop(central.operator(), ids, reason)
    typer.echo(f"Dropped {len(set(ids))}.")


def _all_open(letters: "DeadLetters", scope: "Scope", store: str | None, code: str | None) -> Iterator[int]:
    """Ids page by page. What a retry leaves of a tally is a new letter at the end, tried once more and then left."""
    after = 0
    while page := letters.list(scope, store_id=store, code=code, after=after, limit=_PAGE, payloads=False):
        yield from (letter.dead_letter_id for letter in page)
        after = page[-1].dead_letter_id


def _state(letter: "DeadLetter") -> str:
    if letter.retried_at is not None:
        return f"booked {letter.retried_at:%Y-%m-%d} by {letter.settled_by}"
    if letter.dropped_at is not None:
        return f"dropped {letter.dropped_at:%Y-%m-%d} by {letter.settled_by}: {letter.drop_reason}"
    return f"open, tried {letter.tries} times" if letter.tries else "open"
