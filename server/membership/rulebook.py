"""Saving a version of rules: who, when and why, from when on, and one at a time."""

from datetime import datetime

from server.access import audit
from server.access.models import Scope
from server.errors import Conflict, InvalidInput
from server.membership import rulebook_repository
from server.membership.rulebook_repository import Book, RulesRow
from server.storage.pool import Database


def save(
    db: Database, scope: Scope, book: Book, body: str, reason: str, now: datetime, valid_from: datetime | None
) -> RulesRow:
    """Keep a new version.

    Args:
        body: the rules in JSON.
        valid_from: aware; now if left out, and never in the past.

    Raises:
        InvalidInput: a time in the past: what was earned by the rules of then stays earned.
        Conflict: somebody else saved one at this moment.
    """
    starts = now if valid_from is None else valid_from
    if starts < now:
        raise InvalidInput(
            "rules can't hold from a time in the past: what was earned stays earned",
            field="valid_from",
            remedy="leave it out to let them hold from now on",
        )
    with db.transaction() as conn:
        version = 1 + max((row.version for row in rulebook_repository.rules_rows(conn, book)), default=0)
        row = RulesRow(version, starts, body, scope.actor, now, reason)
        if not rulebook_repository.insert_rules(conn, book, row):
            raise Conflict(
                "another version was saved for this moment", field="valid_from", remedy="look at it, then try again"
            )
        audit.record(
            conn,
            now,
            scope.actor,
            book.replace("_", "."),
            subject=str(version),
            detail={"valid_from": starts.isoformat(), "reason": reason},
        )
    return row
