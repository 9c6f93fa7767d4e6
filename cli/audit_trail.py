"""`doorline audit-trail`: read who did what, prove that nobody changed it, and take its head to be noted elsewhere.

A chain proves itself only against a head that whoever runs the database can't write to: mail it, print it, keep it with
the books. `verify` leaves with status 1 when something was done to the trail, so that a timer can raise an alarm.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli import central
from cli.main import fail

if TYPE_CHECKING:
    from server.access.trail import Head

app = typer.Typer(no_args_is_help=True, help="Who did what, and the proof that nobody changed it.")

#: The trail is not what was written.
EXIT_FOUND = 1


@app.command()
def verify(
    head: Annotated[str, typer.Option(help="A head noted before, number:hash: proves everything up to it.")] = "",
    head_file: Annotated[Path | None, typer.Option(help="File whose last line is such a head.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Walk along the whole audit trail; name each line that was changed, moved, deleted or inserted, and where.

    Without a noted head it can't be told whether somebody who may do everything in the database made the whole chain
    anew, or took its newest lines away.

    Example: doorline audit-trail verify --head-file heads.txt
    """
    from server.access.trail import AuditTrail

    noted = _noted(head, head_file)
    with central.database() as db:
        verdict = AuditTrail(db).verify(central.operator(), noted)
    if as_json:
        faults = [
            {"kind": each.kind, "link_no": each.link_no, "audit_id": each.audit_id, "message": each.message}
            for each in verdict.faults
        ]
        found = {"sound": verdict.is_sound, "lines": verdict.lines, "head": str(verdict.head), "faults": faults}
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        for fault in verdict.faults:
            typer.echo(f"{fault.kind}: {fault.message}")
        since = f", kept since link {verdict.cut_no + 1}" if verdict.cut_no else ""
        state = "sound" if verdict.is_sound else "NOT what was written"
        typer.echo(f"The audit trail is {state}: {verdict.lines} lines{since}, head {verdict.head}")
        if noted is None:
            typer.echo("no noted head was given: compare the one above with yours (--head)", err=True)
    if not verdict.is_sound:
        raise typer.Exit(EXIT_FOUND)


@app.command()
def head() -> None:
    """Print the end of the chain, number:hash, to be noted where nobody who runs this server can write.

    Example: doorline audit-trail head >> /mnt/elsewhere/heads.txt
    """
    from server.access.trail import AuditTrail

    with central.database() as db:
        typer.echo(str(AuditTrail(db).head(central.operator())))


@app.command("list")
def list_lines(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest first.")] = 50,
    before: Annotated[int | None, typer.Option(min=1, help="Only lines before the one of this number.")] = None,
) -> None:
    """Print the newest lines: who did what to what, in UTC.

    Example: doorline audit-trail list --limit 200
    """
    from server.access.trail import AuditTrail

    with central.database() as db:
        lines = AuditTrail(db).newest(central.operator(), limit, before)
    table = Table("No.", "At (UTC)", "Who", "Did", "To", "Store", "Detail", box=None, pad_edge=False)
    for each in lines:
        detail = json.dumps(each.detail, ensure_ascii=False) if each.detail else ""
        row = (f"{each.at:%Y-%m-%d %H:%M:%S}", each.actor, each.action, each.subject, each.store_id or "", detail)
        table.add_row(str(each.audit_id), *map(escape, row))
    Console().print(table)


def _noted(text: str, file: Path | None) -> "Head | None":
    from server.access.trail import Head

    if text and file is not None:
        fail("give --head or --head-file, not both")
    if file is not None:
        try:
            kept = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            fail(f"{file} can't be read: {error}")
        if not kept:
            fail(f"{file} holds no head")
        text = kept[-1].split()[-1]
    return Head.parse(text) if text else None
